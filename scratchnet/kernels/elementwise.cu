// elementwise — what would take several functions, each number by itself.
//
//     relu6               y = min(max(x, 0), 6)
//     relu6_backward      dx = dy · [0 < y < 6]
//     sgd                 a step of optim/sgd.py, in place, in its symbols
//
// As in NumPy NaN stays NaN, and ∞ · 0 is NaN.

extern "C" __global__ void relu6(const real* x, integer n, real* y) {
    for (EACH(t, n)) y[t] = -maximum(-maximum(x[t], 0), -6);
}

extern "C" __global__ void relu6_backward(const real* dy, const real* y, integer n, real* dx) {
    for (EACH(t, n)) dx[t] = dy[t] * (real)(y[t] > 0 && y[t] < 6);
}

extern "C" __global__ void sgd(const real* gradient, integer n, real lr, real decay, real m,
                               integer paper, integer nesterov, real* w, real* velocity) {
    for (EACH(t, n)) {
        real g = gradient[t] + decay * w[t], v = m * velocity[t] + (paper ? -lr * g : g);
        real step = paper ? (nesterov ? m * v - lr * g : v) : -lr * (nesterov ? g + m * v : v);
        velocity[t] = v;
        w[t] += step;
    }
}
