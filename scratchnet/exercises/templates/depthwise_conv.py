"""depthwise_conv — one filter for each channel, and nothing is summed over channels.

Write forward and backward. MobileNet's convolution: each channel is convolved with a K×K kernel
of its own (K = kernel_size), on the image with a border of p zeros on all sides (p = padding),
in steps of s (s = stride):

    forward     y[n,c,i,j] = b[c] + Σ_u Σ_v w[c,0,u,v] · x[n, c, i·s+u−p, j·s+v−p]
                u, v = 0 … K−1,  x = 0 outside the image
                OH = ⌊(H + 2p − K)/s⌋ + 1,  OW = ⌊(W + 2p − K)/s⌋ + 1

Shapes      x and dx (N, C, H, W): the border is no part of dx       y and dy (N, C, OH, OW)
            w (C, 1, K, K) is self.weight.value     b (C,) is self.bias.value
Rules       add into self.weight.grad and self.bias.grad with +=. Never write into x or dy.
            New arrays have x's dtype: np.zeros(shape, dtype=x.dtype).
            A loop over the K·K taps, with slices of whole images, is fast enough.

Worked example, one channel, K = 2, s = 1, p = 0, b = 0:

    x = [1  2  3]       w = [1  0]      y  = [-4 -4]        dx = [10  20   0]
        [4  5  6]           [0 -1]      dy = [10 20]             [ 0 -10 -20]
    dw = [ 50  80]      db = 30
         [140 170]
"""
import numpy as np

from scratchnet import Layer, Parameter


class DepthwiseConv2d(Layer):
    """(N, channels, H, W) → (N, channels, OH, OW), each channel with its own kernel."""

    def __init__(self, channels, kernel_size, stride=1, padding=0, *, rng=None):
        w = np.random.default_rng(rng).standard_normal((channels, 1, kernel_size, kernel_size),
                                                       dtype=np.float32)
        self.weight = Parameter(w * (2 / kernel_size ** 2) ** 0.5)
        self.bias = Parameter(np.zeros(channels, dtype=np.float32))
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x):
        raise NotImplementedError("depthwise_conv: write DepthwiseConv2d.forward")

    def backward(self, dy):
        raise NotImplementedError("depthwise_conv: write DepthwiseConv2d.backward")
