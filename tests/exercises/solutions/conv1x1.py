"""The solution of conv1x1, as a good student writes it."""
import numpy as np

from scratchnet import Layer, Parameter


class Conv1x1(Layer):
    """(N, in_channels, H, W) → (N, out_channels, H, W), pixel by pixel."""

    def __init__(self, in_channels, out_channels, *, rng=None):
        w = np.random.default_rng(rng).standard_normal((out_channels, in_channels),
                                                       dtype=np.float32)
        self.weight = Parameter(w * (2 / in_channels) ** 0.5)
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32))

    def forward(self, x):
        y = np.einsum("oc,nchw->nohw", self.weight.value, x) + self.bias.value[:, None, None]
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        self.weight.grad += np.einsum("nohw,nchw->oc", dy, x)
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        return np.einsum("oc,nohw->nchw", self.weight.value, dy)
