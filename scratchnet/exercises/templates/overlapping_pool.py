"""overlapping_pool — AlexNet's pooling: windows of 3×3, two pixels apart, so that they overlap.

Write forward and backward. The image is given a border of p pixels of −∞ on all four sides
(p = padding). On that padded image, the window of output pixel (i, j) has K×K pixels
(K = kernel_size) and begins at row i·s, column j·s (s = stride); s may be smaller than K.

    forward     y[n,c,i,j] = max x[n, c, i·s+u−p, j·s+v−p]  over  u, v = 0 … K−1
                x = −∞ outside the image
                OH = ⌊(H + 2p − K)/s⌋ + 1,  OW = ⌊(W + 2p − K)/s⌋ + 1

Shapes      x and dx (N, C, H, W): the border is no part of dx       y and dy (N, C, OH, OW)
Rules       2p ≤ K, so that every window sees at least one real pixel.
            Equal maxima: the first in reading order wins, alone.
            New arrays have x's dtype: np.zeros(shape, dtype=x.dtype). Never write into x or dy.

Worked example, K = 3, s = 2, p = 0; both windows contain the third column:

    x = [1  2  3  4  0]      y  = [ 9   9]      dx = [0  0  0  0  0]
        [0  5  9  1  2]      dy = [10  20]           [0  0 30  0  0]
        [3  1  2  0  6]                              [0  0  0  0  0]

and K = 2, s = 2, p = 1; each window sees one real pixel:

    x = [-4 -2]              y  = [-4 -2]       dx = [10 20]
        [-7 -3]                   [-7 -3]            [30 40]       for dy = [10 20]
                                                                           [30 40]
"""
from scratchnet import Layer


class MaxPool2d(Layer):
    """The maximum of each window, (N, C, H, W) → (N, C, OH, OW), padded with −∞."""

    def __init__(self, kernel_size, stride, padding=0):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x):
        raise NotImplementedError("overlapping_pool: write MaxPool2d.forward")

    def backward(self, dy):
        raise NotImplementedError("overlapping_pool: write MaxPool2d.backward")
