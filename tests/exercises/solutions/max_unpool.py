"""The solution of max_unpool, as a good student writes it."""
import numpy as np

from scratchnet import Layer


def max_pool(x, kernel_size, stride):
    """Return (y, switches): (N, C, OH, OW) in x's dtype, and int64; kernel k×k, no padding."""
    N, C, H, W = x.shape
    k, s = kernel_size, stride
    OH, OW = (H - k) // s + 1, (W - k) // s + 1
    y = np.empty((N, C, OH, OW), dtype=x.dtype)
    switches = np.empty((N, C, OH, OW), dtype=np.int64)
    for i in range(OH):
        for j in range(OW):
            window = x[:, :, i * s:i * s + k, j * s:j * s + k].reshape(N, C, k * k)
            winner = window.argmax(axis=2)
            y[:, :, i, j] = window.max(axis=2)
            r, q = i * s + winner // k, j * s + winner % k
            switches[:, :, i, j] = r * W + q
    return y, switches


class MaxUnpool2d(Layer):
    """forward(y, switches): (N, C, OH, OW) twice → x̂ (N, C, H, W); size is (H, W)."""

    def __init__(self, size):
        self.size = size

    def forward(self, y, switches):
        N, C = y.shape[:2]
        x_hat = np.zeros((N, C, *self.size), dtype=y.dtype)
        for n in range(N):
            for c in range(C):
                np.add.at(x_hat[n, c].reshape(-1), switches[n, c], y[n, c])
        self.remember(switches, y=x_hat)
        return x_hat

    def backward(self, dx_hat):
        switches, = self.recall(dx_hat)
        dy = np.empty(switches.shape, dtype=dx_hat.dtype)
        for n in range(switches.shape[0]):
            for c in range(switches.shape[1]):
                dy[n, c] = dx_hat[n, c].reshape(-1)[switches[n, c]]
        return dy
