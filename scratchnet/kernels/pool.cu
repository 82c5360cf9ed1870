// pool — the maximum or the mean of each window, and back.
//
// In the symbols of layers/pool.py: window (i, j) has the pixels r = i·s + u − p, q = j·s + v − p.
// A map is one channel of one image; map m begins at m·H·W in x and at m·OH·OW in y.
//
//     max_pool            a thread for each y[m,i,j]: walks over its window, and notes the tap
//                         u·KW + v that won
//     max_pool_backward   a thread for each dx[m,r,q]: asks the windows that see the pixel whether
//                         it won there, that is whether they noted (r + p − i·s, q + p − j·s)
//     mean_pool           y = share[i,j] · Σ x, where share is 1/m of the docstring there
//     mean_pool_backward  dx[m,r,q] = Σ dy · share over the windows that see the pixel
//
// Backward is a gather: written the other way round, dy to its winner, windows that overlap would
// add to one number from several threads.
//
// The maximum is taken of the maxima of the rows, as in layers/pool.py: without NaN that is the
// first largest pixel in reading order; with NaN it makes the same tap win as there.
// (log(0) is −∞, which CUDA's compiler has no portable name for.)

extern "C" __global__ void max_pool(const real* x, integer n, integer H, integer W, integer OH,
                                    integer OW, integer KH, integer KW, integer sh, integer sw,
                                    integer ph, integer pw, real* y, tap* winner) {
    const real lowest = (real)log(0.0);
    for (EACH(t, n)) {
        integer j = t % OW, i = t / OW % OH;
        const real* map = x + t / (OH * OW) * H * W;
        // the first taps that are pixels: one of them wins even where all pixels are −∞
        integer top = i * sh < ph ? ph - i * sh : 0, left = j * sw < pw ? pw - j * sw : 0;
        real largest = lowest;
        integer best = top * KW + left;
        for (integer u = top; u < KH; ++u) {
            integer r = i * sh + u - ph;
            if (r >= H) break;
            real of_row = lowest;
            integer best_of_row = left;
            for (integer v = left; v < KW; ++v) {
                integer q = j * sw + v - pw;
                if (q >= W) break;
                real number = map[r * W + q];
                if (number > of_row) best_of_row = v;
                of_row = maximum(of_row, number);
            }
            if (u == top || of_row > largest) best = u * KW + best_of_row;
            largest = maximum(largest, of_row);
        }
        y[t] = largest;
        winner[t] = (tap)best;
    }
}

extern "C" __global__ void max_pool_backward(const real* dy, const tap* winner, integer n,
                                             integer H, integer W, integer OH, integer OW,
                                             integer KH, integer KW, integer sh, integer sw,
                                             integer ph, integer pw, real* dx) {
    for (EACH(t, n)) {
        integer q = t % W, r = t / W % H, map = t / (H * W) * OH * OW;
        integer last_i = last_window(r, sh, ph, OH), last_j = last_window(q, sw, pw, OW);
        real sum = 0;
        for (integer i = first_window(r, KH, sh, ph); i <= last_i; ++i)
            for (integer j = first_window(q, KW, sw, pw); j <= last_j; ++j) {
                integer here = (r + ph - i * sh) * KW + q + pw - j * sw;
                if (winner[map + i * OW + j] == here) sum += dy[map + i * OW + j];
            }
        dx[t] = sum;
    }
}

extern "C" __global__ void mean_pool(const real* x, const real* share, integer n, integer H,
                                     integer W, integer OH, integer OW, integer KH, integer KW,
                                     integer sh, integer sw, integer ph, integer pw, real* y) {
    for (EACH(t, n)) {
        integer j = t % OW, i = t / OW % OH;
        const real* map = x + t / (OH * OW) * H * W;
        real sum = 0;
        for (integer u = 0; u < KH; ++u) {
            integer r = i * sh + u - ph;
            if (r < 0 || r >= H) continue;
            for (integer v = 0; v < KW; ++v) {
                integer q = j * sw + v - pw;
                if (q >= 0 && q < W) sum += map[r * W + q];
            }
        }
        y[t] = sum * share[i * OW + j];
    }
}

extern "C" __global__ void mean_pool_backward(const real* dy, const real* share, integer n,
                                              integer H, integer W, integer OH, integer OW,
                                              integer KH, integer KW, integer sh, integer sw,
                                              integer ph, integer pw, real* dx) {
    for (EACH(t, n)) {
        integer q = t % W, r = t / W % H, map = t / (H * W) * OH * OW;
        integer last_i = last_window(r, sh, ph, OH), last_j = last_window(q, sw, pw, OW);
        real sum = 0;
        for (integer i = first_window(r, KH, sh, ph); i <= last_i; ++i)
            for (integer j = first_window(q, KW, sw, pw); j <= last_j; ++j)
                sum += dy[map + i * OW + j] * share[i * OW + j];
        dx[t] = sum;
    }
}
