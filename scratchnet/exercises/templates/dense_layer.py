"""dense_layer — keep everything that was known, and put something new beside it.

Write forward and backward of the layer. Its parts are ready, one for each place:

    f(x)        norm1, relu1, conv1 (1×1), norm2, relu2, conv2 (3×3), in this order:
                normalise first, convolve last
    forward     y = [x, f(x)], side by side along the channels, x first

A layer inside yours is used as yours will be: y = part.forward(x) and, once for each forward,
dx = part.backward(dy). Its backward also adds into the gradients of its own parameters.

Shapes      x, dx  (N, C, H, W)      f(x)  (N, growth, H, W)      y, dy  (N, C + growth, H, W)
Rules       x is used twice, and once it is not computed with at all. A slice of dy is still
            dy: never write into it.
            What backward needs, forward keeps with self.remember(…, y=y); self.recall(dy)
            hands it back, as a tuple.

Worked example: one pixel, one channel, growth 1; suppose f(x) = 2x

    x  = 3      y  = [ 3    6]
                dy = [10  100]      dx = 210

Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks", CVPR 2017.
"""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import BatchNorm2d, Conv2d, ReLU


class DenseLayer(Layer):
    """y = [x, f(x)]: (N, in_channels, H, W) → (N, in_channels + growth, H, W)."""

    def __init__(self, in_channels, growth, *, rng=None):
        rng = np.random.default_rng(rng)
        self.norm1 = BatchNorm2d(in_channels)
        self.relu1 = ReLU()
        self.conv1 = Conv2d(in_channels, 4 * growth, 1, bias=False, rng=rng)
        self.norm2 = BatchNorm2d(4 * growth)
        self.relu2 = ReLU()
        self.conv2 = Conv2d(4 * growth, growth, 3, padding=1, bias=False, rng=rng)

    def forward(self, x):
        """x, and beside it what the chain made of it."""
        raise NotImplementedError("dense_layer: write DenseLayer.forward")

    def backward(self, dy):
        """dx; the parts collect the gradients of their parameters."""
        raise NotImplementedError("dense_layer: write DenseLayer.backward")
