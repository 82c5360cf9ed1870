"""The solution of inception, as a good student writes it."""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import MaxPool2d, Sequential
from scratchnet.models.googlenet import conv_relu  # a convolution and ReLU, one after another


class Inception(Layer):
    """(N, in_channels, H, W) → (N, ch1 + ch3 + ch5 + pool, H, W)."""

    def __init__(self, in_channels, ch1, ch3_reduce, ch3, ch5_reduce, ch5, pool, *, rng=None):
        rng = np.random.default_rng(rng)
        self.b1 = conv_relu(in_channels, ch1, 1, rng=rng)
        self.b2 = Sequential(reduce=conv_relu(in_channels, ch3_reduce, 1, rng=rng),
                             conv=conv_relu(ch3_reduce, ch3, 3, padding=1, rng=rng))
        self.b3 = Sequential(reduce=conv_relu(in_channels, ch5_reduce, 1, rng=rng),
                             conv=conv_relu(ch5_reduce, ch5, 5, padding=2, rng=rng))
        self.b4 = Sequential(pool=MaxPool2d(3, stride=1, padding=1),
                             proj=conv_relu(in_channels, pool, 1, rng=rng))

    def forward(self, x):
        ys = [branch.forward(x) for branch in (self.b1, self.b2, self.b3, self.b4)]
        y = np.concatenate(ys, axis=1)
        self.remember([part.shape[1] for part in ys], y=y)
        return y

    def backward(self, dy):
        widths, = self.recall(dy)
        dx, start = 0, 0
        for branch, width in zip((self.b1, self.b2, self.b3, self.b4), widths, strict=True):
            part = dy[:, start:start + width]
            dx = dx + branch.backward(part)
            start += width
        return dx
