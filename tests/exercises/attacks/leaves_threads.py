"""Leaves threads behind that never end, as far as it may start any; right otherwise."""
import contextlib
import threading
import time

import numpy as np

from scratchnet import Layer


def work():
    while True:
        time.sleep(0.01)


for _ in range(4):
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=work, daemon=False).start()


class ReLU(Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy):
        positive, = self.recall(dy)
        return dy * positive
