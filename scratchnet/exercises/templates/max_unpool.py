"""max_unpool — keep the places of the maxima, and put numbers back there.

Write the function max_pool, and forward and backward of MaxUnpool2d.

    max_pool    y[n,c,i,j] = the largest x[n, c, i·s+u, j·s+v],  u, v = 0 … k−1
                switches[n,c,i,j] = r·W + q, where (r, q) is the pixel of x that won

A switch is an integer: the place of the winner in its H×W map, counted in reading order from 0.
Where several pixels tie, the first in reading order wins. OH = ⌊(H − k)/s⌋ + 1, OW likewise.

    MaxUnpool2d    x̂ = 0 everywhere, but each y[n,c,i,j] at the place that its switch names;
                   where several windows have the same switch, their numbers are added

Shapes      x, x̂  (N, C, H, W)      y, dy, switches  (N, C, OH, OW)
            MaxUnpool2d((H, W)) is told the size of the map: y does not say it, because pixels
            past the last window leave no trace.
Rules       y and switches are two inputs of forward; numbers only flow through y, so backward
            returns one gradient, that of y. Its argument dx̂ has the shape of x̂.
            What backward needs, forward keeps with self.remember(…, y=x_hat);
            self.recall(dx_hat) hands it back, as a tuple.

Worked example, k = 2, s = 1, so that the windows overlap

    x = [1  5  2]      y = [5  5]      switches = [1  1]      x̂ = [0  10  0]
        [4  3  0]                                                 [0   0  0]

    backward of dx̂ = [1  2  3]    is    dy = [2  2]
                     [4  5  6]

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
"""
from scratchnet import Layer


def max_pool(x, kernel_size, stride):
    """Return (y, switches): (N, C, OH, OW) in x's dtype, and int64; kernel k×k, no padding."""
    raise NotImplementedError("max_unpool: write max_pool")


class MaxUnpool2d(Layer):
    """forward(y, switches): (N, C, OH, OW) twice → x̂ (N, C, H, W); size is (H, W)."""

    def __init__(self, size):
        self.size = size

    def forward(self, y, switches):
        raise NotImplementedError("max_unpool: write MaxUnpool2d.forward")

    def backward(self, dx_hat):
        """dy, of the shape of y."""
        raise NotImplementedError("max_unpool: write MaxUnpool2d.backward")
