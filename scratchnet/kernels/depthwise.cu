// depthwise — a convolution in which channel c meets its own filter only.
//
// In the symbols of convolution/depthwise.py; tap (u, v) of output (i, j) sees the pixel
// r = i·sh + u·dh − ph, q = j·sw + v·dw − pw.
//
//     depthwise               a thread for each y[n,c,i,j]: its KH·KW products
//     depthwise_backward_x    a thread for each dx[n,c,r,q]: a product for each tap (u, v) that saw
//                             the pixel, from i = (r + ph − u·dh) / sh where that is whole
//     depthwise_backward_w    a thread for each part of each dw[c,u,v]: parts[k·T + t] is its t-th
//                             of T sums, of the outputs t, t + T, t + 2T, … of all images; the T
//                             are added up afterwards. k = (c·KH + u)·KW + v
//
// Columns would be KH·KW times larger than x, for a product of one row.

extern "C" __global__ void depthwise(const real* x, const real* w, integer n, integer C, integer H,
                                     integer W, integer OH, integer OW, integer KH, integer KW,
                                     integer sh, integer sw, integer ph, integer pw, integer dh,
                                     integer dw, real* y) {
    for (EACH(t, n)) {
        integer j = t % OW, i = t / OW % OH, m = t / (OH * OW);
        const real* map = x + m * H * W;
        const real* filter = w + m % C * KH * KW;
        real sum = 0;
        for (integer u = 0; u < KH; ++u) {
            integer r = i * sh + u * dh - ph;
            if (r < 0 || r >= H) continue;
            for (integer v = 0; v < KW; ++v) {
                integer q = j * sw + v * dw - pw;
                if (q >= 0 && q < W) sum += filter[u * KW + v] * map[r * W + q];
            }
        }
        y[t] = sum;
    }
}

extern "C" __global__ void depthwise_backward_x(const real* dy, const real* w, integer n, integer C,
                                                integer H, integer W, integer OH, integer OW,
                                                integer KH, integer KW, integer sh, integer sw,
                                                integer ph, integer pw, integer dh, integer dw,
                                                real* dx) {
    for (EACH(t, n)) {
        integer q = t % W, r = t / W % H, m = t / (H * W);
        const real* map = dy + m * OH * OW;
        const real* filter = w + m % C * KH * KW;
        real sum = 0;
        for (integer u = 0; u < KH; ++u) {
            integer from_i = r + ph - u * dh, i = from_i / sh;
            if (from_i < 0 || from_i % sh || i >= OH) continue;
            for (integer v = 0; v < KW; ++v) {
                integer from_j = q + pw - v * dw, j = from_j / sw;
                if (from_j < 0 || from_j % sw || j >= OW) continue;
                sum += filter[u * KW + v] * map[i * OW + j];
            }
        }
        dx[t] = sum;
    }
}

extern "C" __global__ void depthwise_backward_w(const real* x, const real* dy, integer n, integer N,
                                                integer C, integer H, integer W, integer OH,
                                                integer OW, integer KH, integer KW, integer sh,
                                                integer sw, integer ph, integer pw, integer dh,
                                                integer dw, integer T, real* parts) {
    for (EACH(t, n)) {
        integer v = t / T % KW, u = t / T / KW % KH, c = t / T / KW / KH, P = OH * OW;
        real sum = 0;
        for (integer e = t % T; e < N * P; e += T) {
            integer m = e / P * C + c, p = e % P;
            integer r = p / OW * sh + u * dh - ph, q = p % OW * sw + v * dw - pw;
            if (r < 0 || r >= H || q < 0 || q >= W) continue;
            sum += dy[m * P + p] * x[m * H * W + r * W + q];
        }
        parts[t] = sum;
    }
}
