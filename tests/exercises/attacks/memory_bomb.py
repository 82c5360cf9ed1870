"""Asks for memory until there is none."""
import numpy as np

from scratchnet import Layer

HOARD = []
while True:
    HOARD.append(np.ones(1 << 22))


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
