"""hunt_lrn — a normalisation that is wrong, and that nobody can see being wrong.

Below is local response normalisation with a bug. Write a test that exposes it.

    s_i = k + α · Σ_j a_j²       j = i−2 … i+2, those of the five channels that exist
    b_i = a_i · s_i^{−β}         k = 2, α = 10⁻⁴, β = 0.75: the constants of the AlexNet paper

Its author compared it with plain loops, on standard normal numbers, to three digits, and all was
well: the loops were copied from the layer.

`test(make)` is called with functions that build this layer, with these constants: make() gives
you a new one, with forward(a) → b and backward(db) → da, for float64 arrays (N, C, H, W) of any
size. It must

    raise AssertionError    if the layer is wrong: for the one below, and for relatives that make
                            the same mistake on the other side, or in backward only;
    return                  if it is right, also where it is written in another way. (Some divide
                            α by 5 and are given an α five times as large: that is the same.)

da is right if it is the derivative of Σ db·forward(a) with respect to a. Judge a layer by what it
does, not by its code or its attributes; and do it by hand, without scratchnet.gradcheck, which is
what such questions grow into.
"""
import numpy as np

from scratchnet import Layer

ALPHA, BETA, K = 1e-4, 0.75, 2.0


def window_sum(x):
    """Σ over the channels near each channel."""
    total = np.zeros_like(x)
    for i in range(x.shape[1]):
        total[:, i] = x[:, max(0, i - 2):i + 2].sum(axis=1)
    return total


class LocalResponseNorm(Layer):
    """b = a / (2 + 10⁻⁴ · Σ a²)^0.75, the sum over five channels: (N, C, H, W) → the same shape."""

    def forward(self, a):
        s = K + ALPHA * window_sum(a * a)
        b = a * s ** -BETA
        self.remember(a, s, y=b)
        return b

    def backward(self, db):
        a, s = self.recall(db)
        own = db * s ** -BETA
        return own - 2 * ALPHA * BETA * a * window_sum(own * a / s)


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    raise NotImplementedError("hunt_lrn: write test")
