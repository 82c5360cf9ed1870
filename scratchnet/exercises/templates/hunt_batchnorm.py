"""hunt_batchnorm — a gradient that is right for the one dy that its author tried.

Below is batch normalisation, in training, with a bug in its backward. Write a test that
exposes it.

    x̂ = (x − μ) / √(σ² + ε)      μ and σ² of each channel, over N, H and W (σ² divided by N·H·W)
    y = γ · x̂ + β                γ = 1 and β = 0 at first; ε is small, but whose own choice it is

Its author took the sum of all y for the loss, so dy = 1 everywhere, measured the derivative with
respect to x, and found what backward had said, to fifteen digits.

`test(make)` is called with functions that build this layer: make() gives you a new one, in
training, with forward(x) and backward(dy) → dx, for float64 images (N, 3, H, W) of any size. It
must

    raise AssertionError    if dx is wrong: for the layer below, and for relatives in which the
                            same place is wrong in another way;
    return                  if the layer is right, however it was written, and whatever its ε.

dx is right if it is the derivative of Σ dy·forward(x) with respect to x; forward itself is right
in all of them. Judge a layer by what it does, not by its code or its attributes; and do it by
hand, without scratchnet.gradcheck, which is what such questions grow into.
"""
import numpy as np

from scratchnet import Layer, Parameter

AXES = (0, 2, 3)


class BatchNorm2d(Layer):
    """(N, 3, H, W) → the same shape, each channel with mean β and standard deviation γ."""

    def __init__(self):
        self.weight = Parameter(np.ones((1, 3, 1, 1)))
        self.bias = Parameter(np.zeros((1, 3, 1, 1)))

    def forward(self, x):
        std = np.sqrt(x.var(axis=AXES, keepdims=True) + 1e-5)
        x_hat = (x - x.mean(axis=AXES, keepdims=True)) / std
        y = self.weight.value * x_hat + self.bias.value
        self.remember(x_hat, std, y=y)
        return y

    def backward(self, dy):
        x_hat, std = self.recall(dy)
        self.weight.grad += (dy * x_hat).sum(axis=AXES, keepdims=True)
        self.bias.grad += dy.sum(axis=AXES, keepdims=True)
        dx_hat = self.weight.value * dy
        return (dx_hat - dx_hat.mean(axis=AXES, keepdims=True)) / std


def test(make):
    """Raise AssertionError if dx of the layer that make() builds is wrong."""
    raise NotImplementedError("hunt_batchnorm: write test")
