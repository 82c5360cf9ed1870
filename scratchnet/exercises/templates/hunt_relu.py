"""hunt_relu — every number it returns is right, and yet it breaks networks.

Below is a ReLU with a bug. Write a test that exposes it.

    y = max(x, 0)       dx = dy where x > 0, and 0 where x < 0; at x = 0 either is valid

Its author compared y and dx with these formulas, on random numbers, and all was well. In a
network with branches it learned badly.

`test(make)` is called with functions that build a layer of this kind: make() gives you a new one,
with forward(x) and backward(dy), for arrays of any shape. It must

    raise AssertionError    if the layer is wrong: for the one below, and for relatives that make
                            the same mistake with another array;
    return                  if it is right, also where it was written in another way.

Judge a layer by what it does, not by its code or its attributes; and do it by hand, without
scratchnet.gradcheck, which is what such questions grow into.
"""
import numpy as np

from scratchnet import Layer


class ReLU(Layer):
    """y = max(x, 0), elementwise; x of any shape."""

    def forward(self, x):
        y = np.maximum(x, 0)
        self.remember(x <= 0, y=y)
        return y

    def backward(self, dy):
        stopped, = self.recall(dy)
        dy[stopped] = 0
        return dy


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    raise NotImplementedError("hunt_relu: write test")
