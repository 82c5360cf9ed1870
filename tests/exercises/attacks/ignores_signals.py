"""Never comes to an end, and ignores every signal that can be ignored."""
import contextlib
import signal

from scratchnet import Layer

for number in signal.valid_signals():
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)


class ReLU(Layer):
    def forward(self, x):
        while True:
            pass

    def backward(self, dy):
        self.recall(dy)
        return dy
