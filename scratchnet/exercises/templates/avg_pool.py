"""avg_pool — the mean of each window.

Write forward and backward. The image is given a border of p pixels of 0 on all four sides
(p = padding). On that padded image, the window of output pixel (i, j) has K×K pixels
(K = kernel_size) and begins at row i·s, column j·s (s = stride).

    forward     y[n,c,i,j] = 1/m · Σ x[n, c, i·s+u−p, j·s+v−p]  over  u, v = 0 … K−1
                x = 0 outside the image
                OH = ⌊(H + 2p − K)/s⌋ + 1,  OW = ⌊(W + 2p − K)/s⌋ + 1

                m = K·K                                 with count_include_pad=True,
                m = the number of real pixels           with count_include_pad=False:
                    of window (i, j)                    the border is not counted

Shapes      x and dx (N, C, H, W): the border is no part of dx       y and dy (N, C, OH, OW)
Rules       s may be smaller than K, and 2p ≤ K.
            New arrays have x's dtype: np.zeros(shape, dtype=x.dtype). Never write into x or dy.

Worked example, K = 2, s = 1, p = 0; both windows contain the middle column:

    x = [1  2  3]            y  = [3   4]       dx = [2  5  3]
        [4  5  6]            dy = [8  12]            [2  5  3]

and K = 2, s = 2, p = 1; each window sees one real pixel, so m is 4 or 1:

    x = [4  8]               y  = [1  2]  or, with count_include_pad=False,  y = x
        [0 12]                    [0  3]
"""
from scratchnet import Layer


class AvgPool2d(Layer):
    """The mean of each window, (N, C, H, W) → (N, C, OH, OW), padded with 0."""

    def __init__(self, kernel_size, stride, padding=0, count_include_pad=True):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.count_include_pad = count_include_pad

    def forward(self, x):
        raise NotImplementedError("avg_pool: write AvgPool2d.forward")

    def backward(self, dy):
        raise NotImplementedError("avg_pool: write AvgPool2d.backward")
