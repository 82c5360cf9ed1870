"""Has the system's alarm clock end the process."""
import signal
import time

import numpy as np

from scratchnet import Layer

signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(1)


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return dy
