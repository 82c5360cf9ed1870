"""Opens a connection to a machine elsewhere."""
import socket

import numpy as np

from scratchnet import Layer

socket.create_connection(("192.0.2.1", 80), timeout=1)


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
