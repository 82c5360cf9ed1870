"""The solution of max_pool, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class MaxPool2d(Layer):
    """The maximum of each window, (N, C, H, W) → (N, C, OH, OW); stride ≥ kernel_size."""

    def __init__(self, kernel_size, stride):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        N, C, H, W = x.shape
        K, s = self.kernel_size, self.stride
        OH, OW = (H - K) // s + 1, (W - K) // s + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        winner = np.zeros((N, C, OH, OW), dtype=int)
        for i in range(OH):
            for j in range(OW):
                window = x[:, :, i * s:i * s + K, j * s:j * s + K].reshape(N, C, K * K)
                winner[:, :, i, j] = window.argmax(axis=2)      # the first, where several tie
                y[:, :, i, j] = window.max(axis=2)
        self.remember(winner, x.shape, y=y)
        return y

    def backward(self, dy):
        winner, x_shape = self.recall(dy)
        K, s = self.kernel_size, self.stride
        N, C, OH, OW = dy.shape
        n, c = np.arange(N)[:, None], np.arange(C)              # (N, 1) and (C,): all pairs
        dx = np.zeros(x_shape, dtype=dy.dtype)
        for i in range(OH):
            for j in range(OW):
                u, v = np.divmod(winner[:, :, i, j], K)
                dx[n, c, i * s + u, j * s + v] = dy[:, :, i, j]
        return dx
