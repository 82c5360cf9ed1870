"""residual — learn what to add to x, not what to make of it.

Write forward and backward of the block. Its parts are ready, one for each place:

    f(x)        conv1 (3×3), bn1, relu1, conv2 (3×3), bn2, in this order
    forward     y = max(x + f(x), 0); the part `relu` is the one after the sum

A layer inside yours is used as yours will be: y = part.forward(x) and, once for each forward,
dx = part.backward(dy). Its backward also adds into the gradients of its own parameters.

Shapes      x, y, dy, dx  (N, C, H, W): f keeps the shape, so x can be added as it is
Rules       x is used twice. Never write into x or dy: they are not yours.

Worked example: suppose f(x) = −3x

    x  = [ 1  −2]      x + f(x) = [−2   4]      y  = [0    4]
    dy = [10  20]                               dx = [0  −40]

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
"""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import BatchNorm2d, Conv2d, ReLU


class BasicBlock(Layer):
    """y = max(x + f(x), 0): (N, channels, H, W) → the same shape."""

    def __init__(self, channels, *, rng=None):
        rng = np.random.default_rng(rng)
        self.conv1 = Conv2d(channels, channels, 3, padding=1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(channels)
        self.relu1 = ReLU()
        self.conv2 = Conv2d(channels, channels, 3, padding=1, bias=False, rng=rng)
        self.bn2 = BatchNorm2d(channels)
        self.relu = ReLU()

    def forward(self, x):
        """The chain, the shortcut, their sum, and ReLU."""
        raise NotImplementedError("residual: write BasicBlock.forward")

    def backward(self, dy):
        """dx; the parts collect the gradients of their parameters."""
        raise NotImplementedError("residual: write BasicBlock.backward")
