"""The solution of squeeze_excitation, as a good student writes it."""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import AdaptiveAvgPool2d, Conv2d, ReLU, Sigmoid


class SqueezeExcitation(Layer):
    """y = x · s(x): (N, channels, H, W) → the same shape; fc1 has `reduced` units."""

    def __init__(self, channels, reduced, *, rng=None):
        rng = np.random.default_rng(rng)
        self.avg_pool = AdaptiveAvgPool2d(1)
        self.fc1 = Conv2d(channels, reduced, 1, rng=rng)
        self.relu = ReLU()
        self.fc2 = Conv2d(reduced, channels, 1, rng=rng)
        self.sigmoid = Sigmoid()

    def forward(self, x):
        s = x
        for part in (self.avg_pool, self.fc1, self.relu, self.fc2, self.sigmoid):
            s = part.forward(s)
        y = x * s
        self.remember(x, s, y=y)
        return y

    def backward(self, dy):
        x, s = self.recall(dy)
        direct = dy * s
        ds = (dy * x).sum(axis=(2, 3), keepdims=True)
        for part in (self.sigmoid, self.fc2, self.relu, self.fc1, self.avg_pool):
            ds = part.backward(ds)
        return direct + ds
