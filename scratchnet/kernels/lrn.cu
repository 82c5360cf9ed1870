// lrn — local response normalisation, and back: a thread for each pixel of each channel.
//
// In the symbols of layers/lrn.py. A number of channel i + 1 lies P = H·W further on than that of
// channel i, so a window is n numbers, P apart; `before` and `after` say how many channels below
// and above i are in it (if they exist).
//
//     lrn             s = k + α · Σ a²               b = a · s^−β
//     lrn_backward    da = db · s^−β − 2αβ · a · Σ db · a · s^−β / s
//
// In backward the window is turned round. A term of its sum is computed by each of the n threads
// that want it: their numbers are in the cache, and an array of the terms would have to be written.

// s^−β. The paper's β = 0.75 takes two square roots: √s · √√s = s^0.75.
__device__ real power(real s, real beta) {
    return beta == (real)0.75 ? 1 / (sqrt(s) * sqrt(sqrt(s))) : pow(s, -beta);
}

extern "C" __global__ void lrn(const real* a, integer n, integer C, integer P, integer before,
                               integer after, real alpha, real beta, real k, real* s, real* b) {
    for (EACH(t, n)) {
        integer i = t / P % C;
        real sum = 0;
        for (integer j = i < before ? 0 : i - before; j <= i + after && j < C; ++j) {
            real number = a[t + (j - i) * P];
            sum += number * number;
        }
        s[t] = sum * alpha + k;
        b[t] = a[t] * power(s[t], beta);
    }
}

extern "C" __global__ void lrn_backward(const real* db, const real* a, const real* s, integer n,
                                        integer C, integer P, integer before, integer after,
                                        real alpha, real beta, real* da) {
    for (EACH(t, n)) {
        integer j = t / P % C;
        real cross = 0;
        for (integer i = j < before ? 0 : j - before; i <= j + after && i < C; ++i) {
            integer at = t + (i - j) * P;
            cross += db[at] * a[at] * power(s[at], beta) / s[at];
        }
        da[t] = db[t] * power(s[t], beta) - 2 * alpha * beta * a[t] * cross;
    }
}
