"""bottleneck — squeeze the channels, look, widen them again, and add the input.

Write forward and backward of the block. Its parts are ready, one for each place:

    f(x)          conv1 (1×1), bn1, relu1, conv2 (3×3), bn2, relu2, conv3 (1×1), bn3
    shortcut(x)   `downsample`: x itself where the shape stays; where it changes, a 1×1
                  convolution and batch normalisation, a layer like any other
    forward       y = max(f(x) + shortcut(x), 0); the part `relu` is the one after the sum

A layer inside yours is used as yours will be: y = part.forward(x) and, once for each forward,
dx = part.backward(dy). Its backward also adds into the gradients of its own parameters.

Shapes      x, dx  (N, in_channels, H, W)      y, dy  (N, 4·width, ⌈H/stride⌉, ⌈W/stride⌉)
Rules       write no case for "with a projection" and "without": `downsample` is always a layer.
            Where it is Identity, its backward returns the very array that it was given.

Worked example: suppose f(x) = −3x and shortcut(x) = 2x

    x  = [ 1  −2]      f(x) + shortcut(x) = [−1   2]      y  = [0    2]
    dy = [10  20]                                         dx = [0  −20]

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016; the stride on
the 3×3, as most libraries have it.
"""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import BatchNorm2d, Conv2d, Identity, ReLU, Sequential


class Bottleneck(Layer):
    """y = max(f(x) + shortcut(x), 0): (N, in_channels, H, W) → (N, 4·width, H/stride, W/stride)."""

    def __init__(self, in_channels, width, stride=1, *, rng=None):
        rng = np.random.default_rng(rng)
        out = 4 * width
        self.conv1 = Conv2d(in_channels, width, 1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(width)
        self.relu1 = ReLU()
        self.conv2 = Conv2d(width, width, 3, stride, padding=1, bias=False, rng=rng)
        self.bn2 = BatchNorm2d(width)
        self.relu2 = ReLU()
        self.conv3 = Conv2d(width, out, 1, bias=False, rng=rng)
        self.bn3 = BatchNorm2d(out)
        self.downsample = Identity() if (in_channels, stride) == (out, 1) else Sequential(
            Conv2d(in_channels, out, 1, stride, bias=False, rng=rng), BatchNorm2d(out))
        self.relu = ReLU()

    def forward(self, x):
        """The chain, the shortcut, their sum, and ReLU."""
        raise NotImplementedError("bottleneck: write Bottleneck.forward")

    def backward(self, dy):
        """dx; the parts collect the gradients of their parameters."""
        raise NotImplementedError("bottleneck: write Bottleneck.backward")
