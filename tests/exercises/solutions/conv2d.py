"""The solution of conv2d, as a good student writes it."""
import math

import numpy as np

from scratchnet import Layer, Parameter
from scratchnet.convolution import pair
from scratchnet.exercises.columns import col2im, im2col


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
        N, C, H, W = x.shape
        O = self.out_channels
        OH = (H + 2 * self.padding[0] - self.kernel_size[0]) // self.stride[0] + 1
        OW = (W + 2 * self.padding[1] - self.kernel_size[1]) // self.stride[1] + 1

        columns = im2col(x, self.kernel_size, self.stride, self.padding)
        y = self.weight.value.reshape(O, -1) @ columns + self.bias.value[:, None]
        y = y.reshape(O, N, OH, OW).transpose(1, 0, 2, 3)
        self.remember(x.shape, columns, y=y)
        return y

    def backward(self, dy):
        x_shape, columns = self.recall(dy)
        O = self.out_channels
        w = self.weight.value

        dy = dy.transpose(1, 0, 2, 3).reshape(O, -1)
        self.weight.grad += (dy @ columns.T).reshape(w.shape)
        self.bias.grad += dy.sum(axis=1)
        dcolumns = w.reshape(O, -1).T @ dy
        return col2im(dcolumns, x_shape, self.kernel_size, self.stride, self.padding)
