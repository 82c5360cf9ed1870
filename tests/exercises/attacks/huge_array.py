"""Returns an array of a tebibyte, which costs it nothing."""
import numpy as np

from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        return np.broadcast_to(0.0, (1 << 37,))

    def backward(self, dy):
        self.recall(dy)
        return dy
