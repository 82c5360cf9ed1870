"""inception — look at one image in four ways at once, and stack the answers.

Write forward and backward of the module. Its four branches are ready; each is a layer:

    b1   1×1                              x is used four times;
    b2   1×1, then 3×3                    no branch changes H or W
    b3   1×1, then 5×5
    b4   maximum of 3×3, then 1×1

    forward     y = [b1(x), b2(x), b3(x), b4(x)], side by side along the channels, in this order

A layer inside yours is used as yours will be: y = branch.forward(x) and, once for each forward,
dx = branch.backward(dy), where dy has the shape of that branch's y. Its backward also adds into
the gradients of its own parameters.

Shapes      x, dx  (N, C, H, W)      y, dy  (N, ch1 + ch3 + ch5 + pool, H, W)
Rules       the branches differ in width. A slice of dy is still dy: never write into it.
            What backward needs, forward keeps with self.remember(…, y=y); self.recall(dy)
            hands it back, as a tuple.

Worked example: one pixel, one channel each; suppose b1(x) = x, b2(x) = 2x, b3(x) = −x, b4(x) = x

    x = 3      y  = [3    6   −3     3]
               dy = [1   10  100  1000]      dx = 921

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
"""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import MaxPool2d, Sequential
from scratchnet.models.googlenet import conv_relu  # a convolution and ReLU, one after another


class Inception(Layer):
    """(N, in_channels, H, W) → (N, ch1 + ch3 + ch5 + pool, H, W)."""

    def __init__(self, in_channels, ch1, ch3_reduce, ch3, ch5_reduce, ch5, pool, *, rng=None):
        rng = np.random.default_rng(rng)
        self.b1 = conv_relu(in_channels, ch1, 1, rng=rng)
        self.b2 = Sequential(reduce=conv_relu(in_channels, ch3_reduce, 1, rng=rng),
                             conv=conv_relu(ch3_reduce, ch3, 3, padding=1, rng=rng))
        self.b3 = Sequential(reduce=conv_relu(in_channels, ch5_reduce, 1, rng=rng),
                             conv=conv_relu(ch5_reduce, ch5, 5, padding=2, rng=rng))
        self.b4 = Sequential(pool=MaxPool2d(3, stride=1, padding=1),
                             proj=conv_relu(in_channels, pool, 1, rng=rng))

    def forward(self, x):
        """The four answers along the channels."""
        raise NotImplementedError("inception: write Inception.forward")

    def backward(self, dy):
        """dx; the branches collect the gradients of their parameters."""
        raise NotImplementedError("inception: write Inception.backward")
