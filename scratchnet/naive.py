"""naive — the definitions as plain loops: page one of the lessons, and the oracle of the tests.

Nothing here is fast and everything is plain: one number at a time, straight from the formula,
on NumPy arrays. Convolution and pooling, where the bookkeeping of backward is intricate, have
their backward passes here too: walk over forward's terms once more, and give every factor its
share of dy. The other gradients are measured against these forwards by scratchnet.gradcheck.
"""
import math

import numpy as np


def conv2d(x, w, b=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·s+u·d−p, j·s+v·d−p]."""
    OH, OW = (_steps(x.shape[2 + a], w.shape[2 + a], stride[a], padding[a], dilation[a])
              for a in (0, 1))
    y = np.zeros((x.shape[0], w.shape[0], OH, OW), dtype=x.dtype)
    for n, o, i, j, c, r, q, u, v in _conv_terms(x, w, OH, OW, stride, padding, dilation, groups):
        y[n, o, i, j] += w[o, c % w.shape[1], u, v] * x[n, c, r, q]
    if b is not None:
        for o in range(w.shape[0]):
            y[:, o] += b[o]
    return y


def conv2d_backward(dy, x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """Return dx, dw, db: each term w·x of y passes dy·w to x and dy·x to w."""
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(w.shape[0], dtype=w.dtype)
    terms = _conv_terms(x, w, *dy.shape[2:], stride, padding, dilation, groups)
    for n, o, i, j, c, r, q, u, v in terms:
        dx[n, c, r, q] += dy[n, o, i, j] * w[o, c % w.shape[1], u, v]
        dw[o, c % w.shape[1], u, v] += dy[n, o, i, j] * x[n, c, r, q]
    for o in range(w.shape[0]):
        db[o] = dy[:, o].sum()
    return dx, dw, db


def _conv_terms(x, w, OH, OW, stride, padding, dilation, groups):
    """Every (n,o,i,j, c,r,q, u,v): output (n,o,i,j) sees pixel (n,c,r,q) with tap (u,v)."""
    N, C, H, W = x.shape
    O, C_g, KH, KW = w.shape
    for n in range(N):
        for o in range(O):
            slab = o // (O // groups)
            for i in range(OH):
                for j in range(OW):
                    for c in range(slab * C_g, (slab + 1) * C_g):
                        for u in range(KH):
                            for v in range(KW):
                                r = i * stride[0] + u * dilation[0] - padding[0]
                                q = j * stride[1] + v * dilation[1] - padding[1]
                                if 0 <= r < H and 0 <= q < W:
                                    yield n, o, i, j, c, r, q, u, v


def conv_transpose2d(x, w, b=None, stride=(1, 1), padding=(0, 0), output_padding=(0, 0),
                     dilation=(1, 1), groups=1):
    """Every pixel x[n,c,i,j] adds x·w[c,o,u,v] to y[n, o, i·s+u·d−p, j·s+v·d−p]."""
    OH, OW = ((x.shape[2 + a] - 1) * stride[a] - 2 * padding[a] + dilation[a]
              * (w.shape[2 + a] - 1) + 1 + output_padding[a] for a in (0, 1))
    y = np.zeros((x.shape[0], w.shape[1] * groups, OH, OW), dtype=x.dtype)
    terms = _conv_terms(y, w, *x.shape[2:], stride, padding, dilation, groups)
    for n, c, i, j, o, r, q, u, v in terms:
        y[n, o, r, q] += w[c, o % w.shape[1], u, v] * x[n, c, i, j]
    if b is not None:
        for o in range(y.shape[1]):
            y[:, o] += b[o]
    return y


def conv_transpose2d_backward(dy, x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """Return dx, dw, db: each term w·x of y passes dy·w to x and dy·x to w."""
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(dy.shape[1], dtype=w.dtype)
    terms = _conv_terms(dy, w, *x.shape[2:], stride, padding, dilation, groups)
    for n, c, i, j, o, r, q, u, v in terms:
        dx[n, c, i, j] += dy[n, o, r, q] * w[c, o % w.shape[1], u, v]
        dw[c, o % w.shape[1], u, v] += dy[n, o, r, q] * x[n, c, i, j]
    for o in range(dy.shape[1]):
        db[o] = dy[:, o].sum()
    return dx, dw, db


def max_pool2d(x, kernel, stride, padding=(0, 0), ceil_mode=False):
    """y[n,c,i,j] = the largest real pixel of the window."""
    y = np.empty(x.shape[:2] + _pool_shape(x, kernel, stride, padding, ceil_mode), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        y[n, c, i, j] = max(x[n, c, r, q] for r, q in _window(x, i, j, kernel, stride, padding))
    return y


def max_pool2d_backward(dy, x, kernel, stride, padding=(0, 0)):
    """Each dy goes to the first largest pixel of its window."""
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        window = list(_window(x, i, j, kernel, stride, padding))
        values = [x[n, c, r, q] for r, q in window]
        r, q = window[values.index(max(values))]
        dx[n, c, r, q] += dy[n, c, i, j]
    return dx


def max_pool2d_switches(x, kernel, stride, padding=(0, 0), ceil_mode=False):
    """t[n,c,i,j] = r·W + q of the first largest pixel of the window."""
    shape = _pool_shape(x, kernel, stride, padding, ceil_mode)
    switches = np.empty(x.shape[:2] + shape, np.int64)
    for n, c, i, j in np.ndindex(switches.shape):
        window = list(_window(x, i, j, kernel, stride, padding))
        values = [x[n, c, r, q] for r, q in window]
        r, q = window[values.index(max(values))]
        switches[n, c, i, j] = r * x.shape[3] + q
    return switches


def max_unpool2d(y, switches, size):
    """Every y[n,c,i,j] is added at the place that its switch names."""
    x_hat = np.zeros(y.shape[:2] + size, y.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        r, q = divmod(int(switches[n, c, i, j]), size[1])
        x_hat[n, c, r, q] += y[n, c, i, j]
    return x_hat


def max_unpool2d_backward(dx_hat, switches):
    """Every y gets the gradient of the place where it went."""
    dy = np.zeros(switches.shape, dx_hat.dtype)
    for n, c, i, j in np.ndindex(dy.shape):
        r, q = divmod(int(switches[n, c, i, j]), dx_hat.shape[3])
        dy[n, c, i, j] = dx_hat[n, c, r, q]
    return dy


def avg_pool2d(x, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True):
    """y[n,c,i,j] = Σ of the window / m."""
    y = np.empty(x.shape[:2] + _pool_shape(x, kernel, stride, padding, ceil_mode), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        window = list(_window(x, i, j, kernel, stride, padding))
        m = _divisor(x, i, j, kernel, stride, padding) if count_include_pad else len(window)
        y[n, c, i, j] = sum(x[n, c, r, q] for r, q in window) / m
    return y


def avg_pool2d_backward(dy, x, kernel, stride, padding=(0, 0), count_include_pad=True):
    """Each dy is shared out equally over its window."""
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        window = list(_window(x, i, j, kernel, stride, padding))
        m = _divisor(x, i, j, kernel, stride, padding) if count_include_pad else len(window)
        for r, q in window:
            dx[n, c, r, q] += dy[n, c, i, j] / m
    return dx


def zero_pad2d(x, left, right, top, bottom):
    """y[n,c,i,j] = x[n, c, i−top, j−left] where there is such a pixel, 0 elsewhere."""
    N, C, H, W = x.shape
    y = np.zeros((N, C, top + H + bottom, left + W + right), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        if 0 <= i - top < H and 0 <= j - left < W:
            y[n, c, i, j] = x[n, c, i - top, j - left]
    return y


def subsampling(x, w, b):
    """y[n,c,i,j] = w[c] · (the four pixels of window i, j added up) + b[c]."""
    N, C, H, W = x.shape
    y = np.empty((N, C, H // 2, W // 2), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        s = sum(x[n, c, 2 * i + u, 2 * j + v] for u in (0, 1) for v in (0, 1))
        y[n, c, i, j] = w[c] * s + b[c]
    return y


def adaptive_avg_pool2d(x, output_size):
    """y[n,c,i,j] = mean of rows ⌊i·H/OH⌋ … ⌈(i+1)·H/OH⌉−1, columns likewise."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = np.empty((N, C, OH, OW), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        pixels = [x[n, c, r, q]
                  for r in range(math.floor(i * H / OH), math.ceil((i + 1) * H / OH))
                  for q in range(math.floor(j * W / OW), math.ceil((j + 1) * W / OW))]
        y[n, c, i, j] = sum(pixels) / len(pixels)
    return y


def local_response_norm(a, size, alpha, beta, k):
    """b_i = a_i / (k + α Σ_j a_j²)^β, j over the `size` channels around i that exist."""
    N, C, H, W = a.shape
    b = np.empty_like(a)
    for n, i, r, q in np.ndindex(a.shape):
        s = k
        for j in range(i - size // 2, i + (size - 1) // 2 + 1):
            if 0 <= j < C:
                s += alpha * a[n, j, r, q] ** 2
        b[n, i, r, q] = a[n, i, r, q] / s ** beta
    return b


def batch_norm2d(x, gamma, beta, eps=1e-5):
    """y = γ·(x − mean)/√(var + ε) + β, mean and var over each channel of the batch."""
    N, C, H, W = x.shape
    y = np.empty_like(x)
    for c in range(C):
        numbers = [x[n, c, r, q] for n in range(N) for r in range(H) for q in range(W)]
        mean = sum(numbers) / len(numbers)
        var = sum((number - mean) ** 2 for number in numbers) / len(numbers)
        for n, r, q in np.ndindex(N, H, W):
            y[n, c, r, q] = gamma[c] * (x[n, c, r, q] - mean) / math.sqrt(var + eps) + beta[c]
    return y


def linear(x, w, b=None):
    """y[n,o] = b[o] + Σ_i w[o,i] · x[n,i]."""
    y = np.zeros((x.shape[0], w.shape[0]), dtype=x.dtype)
    for n, o in np.ndindex(y.shape):
        for i in range(x.shape[1]):
            y[n, o] += w[o, i] * x[n, i]
        if b is not None:
            y[n, o] += b[o]
    return y


def softmax_cross_entropy(z, labels):
    """−1/N Σ_n log( e^{z[n, t_n]} / Σ_c e^{z[n, c]} )."""
    loss = 0.0
    for n, t in enumerate(labels):
        loss -= z[n, t] - math.log(sum(math.exp(score) for score in z[n]))
    return loss / len(labels)


def _steps(size, kernel, stride, padding, dilation=1, ceil_mode=False):
    """Count the windows by placing them one after another."""
    reach = dilation * (kernel - 1)
    count, start = 0, -padding
    while start + reach <= size + padding - 1:              # the window fits entirely
        count, start = count + 1, start + stride
    if ceil_mode and start - stride + reach < size + padding - 1 and start < size:
        count += 1                                          # an incomplete one, begun on pixels
    return count


def _pool_shape(x, kernel, stride, padding, ceil_mode):
    return tuple(_steps(x.shape[2 + a], kernel[a], stride[a], padding[a], 1, ceil_mode)
                 for a in (0, 1))


def _window(x, i, j, kernel, stride, padding):
    """The real pixels of window (i, j), in reading order."""
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            r, q = i * stride[0] + u - padding[0], j * stride[1] + v - padding[1]
            if 0 <= r < x.shape[2] and 0 <= q < x.shape[3]:
                yield r, q


def _divisor(x, i, j, kernel, stride, padding):
    """Taps of window (i, j) on pixels or padding, not beyond (ceil_mode can go beyond)."""
    m = 1
    for a, step in enumerate((i, j)):
        taps = [step * stride[a] + u for u in range(kernel[a])]
        m *= sum(tap < x.shape[2 + a] + 2 * padding[a] for tap in taps)
    return m
