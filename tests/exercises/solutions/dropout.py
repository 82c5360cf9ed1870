"""The solution of dropout, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class Dropout(Layer):
    """Scales while training, so that evaluation has nothing to do; x of any shape."""

    def __init__(self, p=0.5, *, rng=None):
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x):
        factor = 1.0
        if self.training:
            factor = (self.rng.random(x.shape) >= self.p).astype(x.dtype) / (1 - self.p)
        y = x * factor
        self.remember(factor, y=y)
        return y

    def backward(self, dy):
        factor, = self.recall(dy)
        return dy * factor


class AlexNetDropout(Layer):
    """Scales in evaluation, as in the AlexNet paper; x of any shape."""

    def __init__(self, p=0.5, *, rng=None):
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x):
        m = self.rng.random(x.shape) >= self.p if self.training else 1 - self.p
        y = x * m
        self.remember(m, y=y)
        return y

    def backward(self, dy):
        m, = self.recall(dy)
        return dy * m
