// columns — im2col and col2im: patches of images copied into columns, and added up again.
//
// In the symbols of convolution/im2col.py: tap (u, v) of output (i, j) sees the pixel
//
//     r = i·sh + u·dh − ph        q = j·sw + v·dw − pw        (nothing, outside the image)
//
// The column of output p = (i − row)·OW + j, for a band of `rows` rows from `row` on, has the
// number k = (c·KH + u)·KW + v at
//
//     columns[ n·image + k·step + p ]
//
// so that two layouts have one kernel, and neither has to be transposed before its matrix product:
// with step = P = rows·OW and image = C·KH·KW·P each image has a matrix of its own, and W · columns
// is y as it should lie; with step = N·P and image = P the images lie side by side, and
// dy · columnsᵀ sums over all of them.
//
//     im2col      a thread for each (n, c, p): copies KH·KW numbers; neighbouring threads write
//                 neighbouring numbers
//     col2im      a thread for each dx[n,c,r,q]: adds up the columns that saw the pixel, that is
//                 all (u, v) for which r + ph − u·dh is a multiple i·sh, and likewise j. A band
//                 after the first (row > 0) adds to what the bands before it left there.
//
// Chellapilla, Puri & Simard, 2006; col2im as a gather, without atomics: as in Caffe (Jia et al.,
// "Caffe: Convolutional Architecture for Fast Feature Embedding", 2014).

extern "C" __global__ void im2col(const real* x, integer n, integer C, integer H, integer W,
                                  integer rows, integer OW, integer row, integer KH, integer KW,
                                  integer sh, integer sw, integer ph, integer pw, integer dh,
                                  integer dw, integer image, integer step, real* columns) {
    for (EACH(t, n)) {
        integer P = rows * OW, p = t % P, c = t / P % C;
        integer i = row + p / OW, j = p % OW;
        const real* map = x + t / P * H * W;
        real* column = columns + t / P / C * image + c * KH * KW * step + p;
        for (integer u = 0; u < KH; ++u)
            for (integer v = 0; v < KW; ++v) {
                integer r = i * sh + u * dh - ph, q = j * sw + v * dw - pw;
                bool inside = r >= 0 && r < H && q >= 0 && q < W;
                column[(u * KW + v) * step] = inside ? map[r * W + q] : 0;
            }
    }
}

extern "C" __global__ void col2im(const real* columns, integer n, integer C, integer H, integer W,
                                  integer rows, integer OW, integer row, integer KH, integer KW,
                                  integer sh, integer sw, integer ph, integer pw, integer dh,
                                  integer dw, integer image, integer step, real* dx) {
    for (EACH(t, n)) {
        integer q = t % W, r = t / W % H, c = t / (H * W) % C;
        const real* column = columns + t / (H * W) / C * image + c * KH * KW * step;
        real sum = row > 0 ? dx[t] : 0;
        for (integer u = 0; u < KH; ++u) {
            integer from_i = r + ph - u * dh, i = from_i / sh - row;
            if (from_i < 0 || from_i % sh || i < 0 || i >= rows) continue;
            for (integer v = 0; v < KW; ++v) {
                integer from_j = q + pw - v * dw, j = from_j / sw;
                if (from_j < 0 || from_j % sw || j >= OW) continue;
                sum += column[(u * KW + v) * step + i * OW + j];
            }
        }
        dx[t] = sum;
    }
}
