"""grouped_conv — AlexNet's two towers: convolutions side by side that never see each other.

Write forward and backward. The C input channels are cut into g = groups slabs of C/g, the O
output channels into g slabs of O/g, and each output slab is an ordinary convolution of the
input slab with the same number. In AlexNet g was 2, one slab on each of two graphics cards.

    forward     y[:, slab k] = conv(x[:, slab k], w[slab k]) + b[slab k]        k = 0 … g−1

The convolution itself is given. For one slab, with self.geometry as the last argument:

    convolution.forward(x, w, geometry)                     y, without a bias
    convolution.backward_x(dy, w, x.shape, geometry)        dx
    convolution.backward_w(x, dy, w.shape, geometry)        dw

Shapes      x and dx (N, C, H, W)       y and dy (N, O, OH, OW)
            w (O, C/g, K, K) is self.weight.value       b (O,) is self.bias.value
Rules       add into self.weight.grad and self.bias.grad with +=. Never write into x or dy.

Worked example, C = 4, O = 2, g = 2, K = 1, one image of one pixel:

    x  = [1 10 100 1000]        w = [1 2]       b = [0 0]
    y  = [21  4300]                 [3 4]
    dy = [ 1     2]             dw = [  1   10]     db = [1 2]      dx = [1 2 6 8]
                                     [200 2000]
"""
import numpy as np

from scratchnet import Layer, Parameter, convolution


class GroupedConv2d(Layer):
    """(N, in_channels, H, W) → (N, out_channels, OH, OW), stride 1, in `groups` slabs."""

    def __init__(self, in_channels, out_channels, kernel_size, groups, padding=0, *, rng=None):
        shape = (out_channels, in_channels // groups, kernel_size, kernel_size)
        w = np.random.default_rng(rng).standard_normal(shape, dtype=np.float32)
        self.groups = groups
        self.weight = Parameter(w * (2 / (shape[1] * kernel_size ** 2)) ** 0.5)
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32))
        self.geometry = convolution.Geometry(padding=(padding, padding))    # of one slab

    def forward(self, x):
        raise NotImplementedError("grouped_conv: write GroupedConv2d.forward")

    def backward(self, dy):
        raise NotImplementedError("grouped_conv: write GroupedConv2d.backward")
