"""The solution of convolution, as a good student writes it."""
import numpy as np


def conv2d(x, w, b, stride, padding):
    """Return y (N, O, OH, OW); stride and padding are numbers."""
    N, C, H, W = x.shape
    O, C, KH, KW = w.shape
    OH = (H + 2 * padding - KH) // stride + 1
    OW = (W + 2 * padding - KW) // stride + 1

    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding), dtype=x.dtype)
    padded[:, :, padding:padding + H, padding:padding + W] = x

    y = np.zeros((N, O, OH, OW), dtype=x.dtype)
    for n in range(N):
        for o in range(O):
            for i in range(OH):
                for j in range(OW):
                    top, left = i * stride, j * stride
                    patch = padded[n, :, top:top + KH, left:left + KW]
                    y[n, o, i, j] = np.sum(w[o] * patch) + b[o]
    return y
