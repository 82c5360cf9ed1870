"""max_pool — of each window keep the largest number, and give it the gradient.

Write forward and backward. The window of output pixel (i, j) has K×K pixels (K = kernel_size)
and begins at row i·s, column j·s (s = stride). Each channel of each image is pooled on its own.

    forward     y[n,c,i,j] = max x[n, c, i·s+u, j·s+v]  over  u, v = 0 … K−1
                OH = ⌊(H − K)/s⌋ + 1,  OW = ⌊(W − K)/s⌋ + 1:  whole windows only

For backward, ask of each pixel of x: if it grew a little, which y would grow with it?

Shapes      x and dx (N, C, H, W)       y and dy (N, C, OH, OW)
Rules       windows do not overlap here: s ≥ K. (overlapping_pool lifts that.)
            Equal maxima: the first in reading order wins, alone.
            A pixel that no window sees has gradient 0.
            New arrays have x's dtype: np.zeros(shape, dtype=x.dtype). Never write into x or dy.

Worked example, K = 2, s = 2; the last column is in no window:

    x = [1  5 -3 -1  7]      y  = [ 5  -1]      dx = [0 10  0 20  0]
        [4  2 -2 -6  9]      dy = [10  20]           [0  0  0  0  0]
"""
from scratchnet import Layer


class MaxPool2d(Layer):
    """The maximum of each window, (N, C, H, W) → (N, C, OH, OW); stride ≥ kernel_size."""

    def __init__(self, kernel_size, stride):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        raise NotImplementedError("max_pool: write MaxPool2d.forward")

    def backward(self, dy):
        raise NotImplementedError("max_pool: write MaxPool2d.backward")
