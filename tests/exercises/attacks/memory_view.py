"""Returns a memoryview of the right numbers."""
import numpy as np

from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        return memoryview(np.ascontiguousarray(np.maximum(x, 0)))

    def backward(self, dy):
        self.recall(dy)
        return dy
