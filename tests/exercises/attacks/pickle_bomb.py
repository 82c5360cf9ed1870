"""Returns an object that runs a command where it is unpickled."""
import os

from scratchnet import Layer


class Bomb:
    def __reduce__(self):
        return os.system, ("echo here > @MARK@",)


class ReLU(Layer):
    def forward(self, x):
        return Bomb()

    def backward(self, dy):
        self.recall(dy)
        return dy
