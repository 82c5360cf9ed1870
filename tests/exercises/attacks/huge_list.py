"""Returns a list of five million numbers."""
from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        return [0.0] * 5_000_000

    def backward(self, dy):
        self.recall(dy)
        return dy
