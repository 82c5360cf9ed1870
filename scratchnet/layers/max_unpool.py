"""MaxUnpool2d — numbers put back to where maxima once were.

Max-pooling keeps each window's largest number and forgets its place. The places, noted down, are
called switches; with them the way back is open, as far as it can be:

    switch      t[n,c,i,j] = r·W + q            (r, q): the pixel of x that won window (i, j)

    unpooling   x̂[n,c,r,q] = Σ y[n,c,i,j]       over all (i, j) with t[n,c,i,j] = r·W + q
                                                (no such window: 0)

    backward    dy[n,c,i,j] = dx̂[n, c, place t[n,c,i,j]]     each y stands in one sum, factor 1

Where windows overlap, one pixel may have won several of them, and its numbers ADD. So unpooling is
max-pooling's own backward, dx from dy, and its backward is a max-pooling that looks where it was
told. (The paper does not say what happens there; PyTorch's max_unpool2d keeps one of them.)

The size of x̂ must be told: pixels past the last window leave no trace in y.

Shapes:  y, switches (N, C, OH, OW), switches integers → x̂ (N, C, H, W)
Zeiler, Taylor & Fergus, "Adaptive Deconvolutional Networks", ICCV 2011; here as in Zeiler &
Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 2.1.
"""
from typing import Any

import numpy as np

from scratchnet.backend import device_of, is_array, xp_of
from scratchnet.convolution import pair, short
from scratchnet.layer import Layer, expect, remembering
from scratchnet.layers.pool import MaxPool2d


class MaxUnpool2d(Layer):
    """forward(y, switches): both (N, C, OH, OW) → (N, C, H, W); size is (H, W), or one number.

    `switches` gives them. Numbers flow through y only: backward returns its gradient, one array.
    Raises ValueError for switches that are not integers from 0 to H·W − 1, one for each y.
    """

    def __init__(self, size: int | tuple[int, int]):
        self.size = pair(size, "MaxUnpool2d: size")

    def forward(self, y: Any, switches: Any) -> Any:
        expect(self, y, "N", "C", "OH", "OW")
        self._check(y, switches)
        x_hat = xp_of(y).zeros((*y.shape[:2], *self.size), dtype=y.dtype)
        xp_of(y).add.at(x_hat.reshape(-1), self._places(switches), y)
        self.remember(switches, y=x_hat)
        return x_hat

    def backward(self, dx_hat: Any) -> Any:
        switches, = self.recall(dx_hat)
        return dx_hat.reshape(-1)[self._places(switches)]

    def _places(self, switches: Any) -> Any:
        """The switches, counted on through all maps of all images."""
        N, C, H, W = *switches.shape[:2], *self.size
        maps = xp_of(switches).arange(N * C).reshape(N, C, 1, 1)
        return maps * (H * W) + switches

    def _check(self, y: Any, switches: Any) -> None:
        last = self.size[0] * self.size[1] - 1
        came = (f"{switches.dtype} of shape {switches.shape} on the {device_of(switches)}"
                if is_array(switches) else type(switches).__name__)
        if not is_array(switches) or switches.dtype.kind not in "iu" or (
                switches.shape, device_of(switches)) != (y.shape, device_of(y)):
            raise ValueError(f"{self} expects integer switches of shape {y.shape} on the "
                             f"{device_of(y)}, one for each number of y; got {came}")
        low, high = int(switches.min()), int(switches.max())
        if low < 0 or high > last:
            raise ValueError(f"{self} expects switches from 0 to {last}, places in a map of "
                             f"{self.size[0]}×{self.size[1]}; got {low if low < 0 else high}: "
                             f"is it the size of the map that was pooled?")

    def __repr__(self) -> str:
        return f"MaxUnpool2d({short(self.size)})"


def switches(pool: MaxPool2d, x: Any) -> tuple[Any, Any]:
    """Run `pool` on x (N, C, H, W); return (y, switches), switches int64 like y.

    Where several pixels tie, the first in reading order won. Raises ValueError for another kind of
    layer.
    """
    if not isinstance(pool, MaxPool2d):
        raise ValueError(f"switches are the places of maxima: expected a MaxPool2d; got {pool!r}")
    with remembering():
        y = pool.forward(x)
    row_winner, winner, (_, _, _, W) = pool.recall()
    xp = xp_of(x)
    (sh, sw), (ph, pw) = pool.stride, pool.padding
    if row_winner is None:                                                  # one tap a window
        u, v = winner // pool.kernel_size[1], winner % pool.kernel_size[1]
    else:
        n, c, i, j = xp.ogrid[tuple(map(slice, y.shape))]
        u = winner[:, :, :y.shape[2], :y.shape[3]]                          # first which row won,
        v = row_winner[u % sh, n, c, i + u // sh, j]                        # then who won in it
    r = xp.arange(y.shape[2])[:, None] * sh + u.astype(np.int64) - ph
    q = xp.arange(y.shape[3]) * sw + v.astype(np.int64) - pw
    return y, r * W + q
