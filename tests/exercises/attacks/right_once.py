"""Right the first time, wrong from then on."""
import numpy as np

from scratchnet import Layer

calls = []


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        positive, = self.recall(dy)
        calls.append(1)
        return dy * positive if len(calls) == 1 else dy
