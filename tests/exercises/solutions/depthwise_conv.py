"""The solution of depthwise_conv, as a good student writes it."""
import numpy as np

from scratchnet import Layer, Parameter


class DepthwiseConv2d(Layer):
    """(N, channels, H, W) → (N, channels, OH, OW), each channel with its own kernel."""

    def __init__(self, channels, kernel_size, stride=1, padding=0, *, rng=None):
        w = np.random.default_rng(rng).standard_normal((channels, 1, kernel_size, kernel_size),
                                                       dtype=np.float32)
        self.weight = Parameter(w * (2 / kernel_size ** 2) ** 0.5)
        self.bias = Parameter(np.zeros(channels, dtype=np.float32))
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x):
        N, C, H, W = x.shape
        K, s, p = self.kernel_size, self.stride, self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        OH, OW = (H + 2 * p - K) // s + 1, (W + 2 * p - K) // s + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        for u in range(K):
            for v in range(K):
                w = self.weight.value[:, :, u, v, None]                     # (C, 1, 1)
                y += w * padded[:, :, u:u + s * OH:s, v:v + s * OW:s]
        y += self.bias.value[:, None, None]
        self.remember(padded, y=y)
        return y

    def backward(self, dy):
        padded, = self.recall(dy)
        K, s, p = self.kernel_size, self.stride, self.padding
        OH, OW = dy.shape[2:]
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        dpadded = np.zeros(padded.shape, dtype=dy.dtype)
        for u in range(K):
            for v in range(K):
                seen = (..., slice(u, u + s * OH, s), slice(v, v + s * OW, s))
                w = self.weight.value[:, :, u, v, None]
                self.weight.grad[:, 0, u, v] += (dy * padded[seen]).sum(axis=(0, 2, 3))
                dpadded[seen] += w * dy
        H, W = padded.shape[2] - 2 * p, padded.shape[3] - 2 * p
        return dpadded[:, :, p:p + H, p:p + W]
