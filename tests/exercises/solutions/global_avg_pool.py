"""The solution of global_avg_pool, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class GlobalAvgPool2d(Layer):
    """The mean of each channel, (N, C, H, W) → (N, C, 1, 1)."""

    def forward(self, x):
        y = x.mean(axis=(2, 3), keepdims=True)
        self.remember(x.shape, y=y)
        return y

    def backward(self, dy):
        x_shape, = self.recall(dy)
        H, W = x_shape[2:]
        return np.ones(x_shape, dtype=dy.dtype) * dy / (H * W)
