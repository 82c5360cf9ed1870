"""Calls itself without end."""
from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        return self.forward(x)

    def backward(self, dy):
        self.recall(dy)
        return dy
