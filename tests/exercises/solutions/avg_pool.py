"""The solution of avg_pool, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class AvgPool2d(Layer):
    """The mean of each window, (N, C, H, W) → (N, C, OH, OW), padded with 0."""

    def __init__(self, kernel_size, stride, padding=0, count_include_pad=True):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.count_include_pad = count_include_pad

    def forward(self, x):
        N, C, H, W = x.shape
        K, s, p = self.kernel_size, self.stride, self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        counted = np.pad(np.ones((H, W)), p, constant_values=int(self.count_include_pad))
        OH, OW = (H + 2 * p - K) // s + 1, (W + 2 * p - K) // s + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        m = np.zeros((OH, OW), dtype=x.dtype)
        for i in range(OH):
            for j in range(OW):
                rows, columns = slice(i * s, i * s + K), slice(j * s, j * s + K)
                m[i, j] = counted[rows, columns].sum()
                y[:, :, i, j] = padded[:, :, rows, columns].sum(axis=(2, 3)) / m[i, j]
        self.remember(m, x.shape, y=y)
        return y

    def backward(self, dy):
        m, (N, C, H, W) = self.recall(dy)
        K, s, p = self.kernel_size, self.stride, self.padding
        OH, OW = dy.shape[2:]
        share = dy / m
        padded = np.zeros((N, C, H + 2 * p, W + 2 * p), dtype=dy.dtype)
        for i in range(OH):
            for j in range(OW):
                padded[:, :, i * s:i * s + K, j * s:j * s + K] += share[:, :, i:i + 1, j:j + 1]
        return padded[:, :, p:p + H, p:p + W]
