"""hunt_col2im — a convolution whose gradient is right, as long as its windows keep apart.

Below is a convolution with a bug in its backward. Write a test that exposes it.

    y[n,o,i,j] = Σ_c Σ_u Σ_v  w[o,c,u,v] · x[n, c, i·s+u, j·s+v]        3×3, stride s = 2

Its author computed a gradient by hand, for one window, and it was right. Later a network with
AlexNet's pooling had the same mistake, and trained all the same.

`test(make)` is called with functions that build a layer that looks at images through windows of
3×3 with stride 2: a convolution as below, a maximum, or a mean. make() gives you a new one, with
forward(x) and backward(dy) → dx, for float64 images (N, 2, H, W), any N, H and W from 3 on. It
must

    raise AssertionError    if dx is wrong: for the layer below, and for maximum and mean with
                            the same mistake;
    return                  if the layer is right, however it was written.

dx is right if it is the derivative of Σ dy·forward(x) with respect to x; forward itself is right
in all of them. Judge a layer by what it does, not by its code or its attributes; and do it by
hand, without scratchnet.gradcheck, which is what such questions grow into.
"""
import numpy as np

from scratchnet import Layer, Parameter

K, S = 3, 2


class WindowConv(Layer):
    """Convolution with 3×3 windows, stride 2, no padding: (N, 2, H, W) → (N, 3, OH, OW)."""

    def __init__(self):
        self.weight = Parameter(np.random.default_rng(0).standard_normal((3, 2, K, K)))

    def forward(self, x):
        N, C, H, W = x.shape
        OH, OW = (H - K) // S + 1, (W - K) // S + 1
        columns = np.empty((N, OH, OW, C, K, K), dtype=x.dtype)
        for i in range(OH):
            for j in range(OW):
                columns[:, i, j] = x[:, :, i * S:i * S + K, j * S:j * S + K]
        y = np.einsum("ocuv,nijcuv->noij", self.weight.value, columns)
        self.remember(columns, x.shape, y=y)
        return y

    def backward(self, dy):
        columns, x_shape = self.recall(dy)
        self.weight.grad += np.einsum("noij,nijcuv->ocuv", dy, columns)
        dcolumns = np.einsum("noij,ocuv->nijcuv", dy, self.weight.value)
        dx = np.zeros(x_shape, dtype=dy.dtype)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                dx[:, :, i * S:i * S + K, j * S:j * S + K] = dcolumns[:, i, j]
        return dx


def test(make):
    """Raise AssertionError if dx of the layer that make() builds is wrong."""
    raise NotImplementedError("hunt_col2im: write test")
