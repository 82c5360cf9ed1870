"""Right numbers in an array with negative strides: that is allowed."""
import numpy as np

from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y[::-1].copy()[::-1]

    def backward(self, dy):
        positive, = self.recall(dy)
        return dy * positive
