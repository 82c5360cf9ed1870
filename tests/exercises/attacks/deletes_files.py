"""Deletes what another student has handed in, and its own file."""
import os

import numpy as np

from scratchnet import Layer

for path in ("@OTHER@", __file__):
    os.unlink(path)


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
