"""Works in another folder; right otherwise."""
import os

import numpy as np

from scratchnet import Layer

os.chdir("/")


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        positive, = self.recall(dy)
        return dy * positive
