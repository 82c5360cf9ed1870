"""hunt_stale — right today, wrong tomorrow.

Below is tanh with a bug. Write a test that exposes it.

    y = tanh(x)         dx = dy · (1 − y²), where y belongs to the last forward

Its author ran forward and backward on random numbers, compared y and dx with the formulas, built
a new layer for the next test, did so again, and all was well.

`test(make)` is called with functions that build a layer of this kind: make() gives you a new one,
with forward(x) and backward(dy), for arrays of any shape. It must

    raise AssertionError    if the layer is wrong: for the one below, and for relatives that
                            remember something else for too long;
    return                  if it is right, whatever it remembers, and however it computes.

Each forward can be run backwards once, but it need not be: between two steps of training, a
network may be evaluated. Judge a layer by what it does, not by its code or its attributes; and do
it by hand, without scratchnet.gradcheck, which is what such questions grow into.
"""
import numpy as np

from scratchnet import Layer


class Tanh(Layer):
    """y = tanh(x), elementwise; x of any shape."""

    def __init__(self):
        self._y = None

    def forward(self, x):
        y = np.tanh(x)
        if self._y is None:
            self._y = y
        return y

    def backward(self, dy):
        y, self._y = self._y, None
        return dy * (1 - y * y)


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    raise NotImplementedError("hunt_stale: write test")
