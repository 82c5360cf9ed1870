"""squeeze_excitation — let the network turn its own channels up and down.

Write forward and backward of the block. Its parts are ready, one for each place:

    s(x)        avg_pool (the mean of each channel), fc1, relu, fc2, sigmoid, in this order:
                one number between 0 and 1 for each channel of each image, (N, C, 1, 1)
    forward     y = x · s(x): every pixel of a channel times the number of that channel

A layer inside yours is used as yours will be: y = part.forward(x) and, once for each forward,
dx = part.backward(dy). Its backward also adds into the gradients of its own parameters.

Shapes      x, y, dy, dx  (N, C, H, W)      s, ds  (N, C, 1, 1)
Rules       x is used twice: as what is multiplied, and to find out by what. Both ways back count.
            What backward needs, forward keeps with self.remember(…, y=y); self.recall(dy)
            hands it back, as a tuple.

Worked example: one channel of two pixels; suppose s(x) is simply their mean

    x  = [ 1    3]      s = 2      y  = [  2    6]
    dy = [10  100]                 dx = [175  355]

Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018.
"""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import AdaptiveAvgPool2d, Conv2d, ReLU, Sigmoid


class SqueezeExcitation(Layer):
    """y = x · s(x): (N, channels, H, W) → the same shape; fc1 has `reduced` units."""

    def __init__(self, channels, reduced, *, rng=None):
        rng = np.random.default_rng(rng)
        self.avg_pool = AdaptiveAvgPool2d(1)
        self.fc1 = Conv2d(channels, reduced, 1, rng=rng)
        self.relu = ReLU()
        self.fc2 = Conv2d(reduced, channels, 1, rng=rng)
        self.sigmoid = Sigmoid()

    def forward(self, x):
        """One factor a channel, and x times it."""
        raise NotImplementedError("squeeze_excitation: write SqueezeExcitation.forward")

    def backward(self, dy):
        """dx; the parts collect the gradients of their parameters."""
        raise NotImplementedError("squeeze_excitation: write SqueezeExcitation.backward")
