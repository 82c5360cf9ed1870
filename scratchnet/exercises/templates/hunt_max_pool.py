"""hunt_max_pool — a pooling layer that sees what is not there.

Below is max-pooling with padding, and with a bug. Write a test that exposes it.

    y[n,c,i,j] = the largest x[n, c, 2i+u−1, 2j+v−1],  u, v = 0 … 2,
                 of those pixels that exist             3×3, stride 2, padding 1
    dx           each dy goes to the pixel that won, and adds up there; where several pixels tie
                 for the maximum of a window, its dy may go to any of them

Its author tried it behind a ReLU, as networks have it, and all was well.

`test(make)` is called with functions that build this layer: make() gives you a new one, with
forward(x) → y and backward(dy) → dx, for float64 images (N, C, H, W), H and W from 2 on. It must

    raise AssertionError    if the layer is wrong: for the one below, and for relatives that make
                            the same mistake elsewhere, or in backward only;
    return                  if it is right, however it treats the padding and whichever of several
                            equal pixels it prefers.

Judge a layer by what it does, not by its code or its attributes; and do it by hand:
scratchnet.gradcheck asks whether backward is the derivative of forward, and below it is.
"""
import numpy as np

from scratchnet import Layer


class MaxPool2d(Layer):
    """The maximum of 3×3 windows, stride 2, padding 1: (N, C, H, W) → (N, C, ⌈H/2⌉, ⌈W/2⌉)."""

    def forward(self, x):
        N, C, H, W = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        OH, OW = (H + 1) // 2, (W + 1) // 2
        taps = np.stack([padded[:, :, u:u + 2 * OH - 1:2, v:v + 2 * OW - 1:2]
                         for u in range(3) for v in range(3)])
        y = taps.max(axis=0)
        self.remember(taps.argmax(axis=0), x.shape, y=y)
        return y

    def backward(self, dy):
        winner, (N, C, H, W) = self.recall(dy)
        OH, OW = dy.shape[2:]
        dpadded = np.zeros((N, C, H + 2, W + 2), dtype=dy.dtype)
        for tap in range(9):
            u, v = tap // 3, tap % 3
            dpadded[:, :, u:u + 2 * OH - 1:2, v:v + 2 * OW - 1:2] += dy * (winner == tap)
        return dpadded[:, :, 1:-1, 1:-1]


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    raise NotImplementedError("hunt_max_pool: write test")
