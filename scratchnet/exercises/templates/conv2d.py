"""conv2d — convolution as one matrix product, forwards and backwards.

Write forward and backward. The copying is done for you (see scratchnet/exercises/columns.py):

    im2col(x, kernel, stride, padding)              (C·KH·KW, N·OH·OW): each column is the patch
                                                    that one output pixel (n,i,j) looks at
    col2im(dcolumns, x.shape, kernel, stride, padding)      (N, C, H, W): its transpose; adds
                                                    every entry to the pixel it was copied from

    forward     y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·s + u − p, j·s + v − p]

Columns stand in the order (n,i,j), rows in the order (c,u,v), the order in which w[o] lies in
memory. Find the product that computes all of y, then the three gradients: they are a product
and col2im for dx, a product for dw, and a sum for db.

Shapes      x, dx (N, C, H, W)    y, dy (N, O, OH, OW)    w, dw (O, C, KH, KW)    b, db (O,)
            OH = ⌊(H + 2·ph − KH) / sh⌋ + 1,    OW = ⌊(W + 2·pw − KW) / sw⌋ + 1
Rules       w is self.weight.value and b is self.bias.value. Add dw to self.weight.grad and db
            to self.bias.grad; return dx. Never write into x or dy. No loop is needed.
            self.kernel_size, self.stride and self.padding are pairs, (vertical, horizontal).

Worked example: one image, one channel, one filter, stride 1, padding 0, b = [10]

    x = [1  2  3]       w = [1   0]         columns = [1  2  4  5]      y  = [61   72]
        [4  5  6]           [0  10]                   [2  3  5  6]           [94  105]
        [7  8  9]                                     [4  5  7  8]
                                                      [5  6  8  9]      dy = [1  2]
                                                                             [3  4]
    dx = [1   2   0]    dw = [37  47]       db = [10]
         [3  14  20]         [67  77]
         [0  30  40]
"""
import math

import numpy as np

from scratchnet import Layer, Parameter
from scratchnet.convolution import pair
from scratchnet.exercises.columns import col2im, im2col  # noqa: F401 (for you to use)


class Conv2d(Layer):
    """(N, in_channels, H, W) → (N, out_channels, OH, OW)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, *, rng=None):
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair(kernel_size, "Conv2d: kernel_size")     # 3 becomes (3, 3)
        self.stride = pair(stride, "Conv2d: stride")
        self.padding = pair(padding, "Conv2d: padding", least=0)

        shape = (out_channels, in_channels, *self.kernel_size)
        w = np.random.default_rng(rng).standard_normal(shape, dtype=np.float32)
        self.weight = Parameter(w * math.sqrt(2 / math.prod(shape[1:])))
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32))

    def forward(self, x):
        raise NotImplementedError("conv2d: write Conv2d.forward")

    def backward(self, dy):
        raise NotImplementedError("conv2d: write Conv2d.backward")
