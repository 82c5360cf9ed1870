"""Has the shell write a file."""
import subprocess

import numpy as np

from scratchnet import Layer

subprocess.run(["/bin/sh", "-c", "echo here > @MARK@"], check=False)


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
