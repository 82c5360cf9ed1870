"""The solution of sigmoid_tanh, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class Sigmoid(Layer):
    """y = 1 / (1 + e^(−x)), elementwise; x of any shape."""

    def forward(self, x):
        positive = x > 0
        z = np.exp(np.where(positive, -x, x))           # never above 1
        y = np.where(positive, 1 / (1 + z), z / (1 + z))
        self.remember(y, y=y)
        return y

    def backward(self, dy):
        y, = self.recall(dy)
        return dy * y * (1 - y)


class Tanh(Layer):
    """y = tanh(x), elementwise; x of any shape."""

    def forward(self, x):
        y = np.tanh(x)
        self.remember(y, y=y)
        return y

    def backward(self, dy):
        y, = self.recall(dy)
        return dy * (1 - y ** 2)
