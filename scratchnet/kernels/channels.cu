// channels — sums over the numbers of each channel, and what batch norm does with them.
//
// In the symbols of layers/batchnorm.py: channel c has the m = N·P numbers x[n,c,p], P = H·W.
//
//     sums                 parts[c·T + t]:  Σ x
//     squares                               Σ (x − μ)²
//     products             parts[c·T + t]:  Σ dy,   and behind all these   Σ dy · (x − μ)
//
// each over the t-th of T parts of the channel, its numbers e = t, t + T, t + 2T, … with n = e / P
// and p = e % P: neighbouring threads read neighbouring numbers. The T parts are added up
// afterwards. The variance takes two passes, sums and then squares about the mean: in one pass,
// Σx² − m·μ² loses its digits where the mean is large.
//
//     normalise            y  = (x − μ) · scale + β                     scale = γ / √(σ² + ε)
//     normalise_backward   dx = scale · (dy − Σdy/m − (x − μ) · through_var)
//
// Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", 1983.

extern "C" __global__ void sums(const real* x, integer n, integer m, integer C, integer P,
                                integer T, real* parts) {
    for (EACH(t, n)) {
        integer c = t / T;
        real sum = 0;
        for (integer e = t % T; e < m; e += T) sum += x[(e / P * C + c) * P + e % P];
        parts[t] = sum;
    }
}

extern "C" __global__ void squares(const real* x, const real* mean, integer n, integer m, integer C,
                                   integer P, integer T, real* parts) {
    for (EACH(t, n)) {
        integer c = t / T;
        real sum = 0;
        for (integer e = t % T; e < m; e += T) {
            real centred = x[(e / P * C + c) * P + e % P] - mean[c];
            sum += centred * centred;
        }
        parts[t] = sum;
    }
}

extern "C" __global__ void products(const real* dy, const real* x, const real* mean, integer n,
                                    integer m, integer C, integer P, integer T, real* parts) {
    for (EACH(t, n)) {
        integer c = t / T;
        real plain = 0, product = 0;
        for (integer e = t % T; e < m; e += T) {
            integer place = (e / P * C + c) * P + e % P;
            plain += dy[place];
            product += dy[place] * (x[place] - mean[c]);
        }
        parts[t] = plain;
        parts[n + t] = product;
    }
}

extern "C" __global__ void normalise(const real* x, const real* mean, const real* scale,
                                     const real* beta, integer n, integer C, integer P, real* y) {
    for (EACH(t, n)) {
        integer c = t / P % C;
        y[t] = (x[t] - mean[c]) * scale[c] + beta[c];
    }
}

extern "C" __global__ void normalise_backward(const real* dy, const real* x, const real* mean,
                                              const real* scale, const real* through_mean,
                                              const real* through_var, integer n, integer C,
                                              integer P, real* dx) {
    for (EACH(t, n)) {
        integer c = t / P % C;
        dx[t] = scale[c] * (dy[t] - through_mean[c] - (x[t] - mean[c]) * through_var[c]);
    }
}
