"""Never comes to an end."""
from scratchnet import Layer


class ReLU(Layer):
    def forward(self, x):
        while True:
            pass

    def backward(self, dy):
        self.recall(dy)
        return dy
