"""The solution of relu, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class ReLU(Layer):
    """y = max(x, 0), elementwise; x of any shape."""

    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        positive, = self.recall(dy)
        return dy * positive
