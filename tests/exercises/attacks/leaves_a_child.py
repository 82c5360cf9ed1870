"""Leaves a child behind, in a session of its own, that writes a file later."""
import os
import time

import numpy as np

from scratchnet import Layer

if os.fork() == 0:
    os.setsid()
    time.sleep(1)
    with open("@MARK@", "w") as file:
        file.write("still here")
    os._exit(0)


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
