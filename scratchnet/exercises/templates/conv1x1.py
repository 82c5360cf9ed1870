"""conv1x1 — at every pixel, the same matrix: it mixes channels and sees no neighbours.

Write forward and backward. The kernel is a single pixel, so the weights are a matrix w with a
row for each output channel o and a column for each input channel c:

    forward     y[n,o,i,j] = b[o] + Σ_c w[o,c] · x[n,c,i,j]

The same w and b are used at all N·H·W pixels.

Shapes      x and dx (N, C, H, W)       y and dy (N, O, H, W)
            w (O, C) is self.weight.value       b (O,) is self.bias.value
Rules       add into self.weight.grad and self.bias.grad with +=. Never write into x or dy.
            No loop over pixels is needed; np.einsum or a reshape will do.

Worked example, C = 2, O = 3, one image of one pixel:

    w = [1  2]      b = [10 20 30]      x  = [5 7]        y  = [29 13 45]
        [0 -1]                          dy = [1 2 3]      dx = [10 0]
        [3  0]
    dw = [ 5  7]    db = [1 2 3]
         [10 14]
         [15 21]
"""
import numpy as np

from scratchnet import Layer, Parameter


class Conv1x1(Layer):
    """(N, in_channels, H, W) → (N, out_channels, H, W), pixel by pixel."""

    def __init__(self, in_channels, out_channels, *, rng=None):
        w = np.random.default_rng(rng).standard_normal((out_channels, in_channels),
                                                       dtype=np.float32)
        self.weight = Parameter(w * (2 / in_channels) ** 0.5)
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32))

    def forward(self, x):
        raise NotImplementedError("conv1x1: write Conv1x1.forward")

    def backward(self, dy):
        raise NotImplementedError("conv1x1: write Conv1x1.backward")
