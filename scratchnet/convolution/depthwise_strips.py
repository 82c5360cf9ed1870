"""Depthwise in strips — one filter a channel, yet by matrix products.

depthwise.py passes over memory once for each tap. Here a channel's image is cut into strips, S
output columns wide, of which each sees V = (S − 1)·s + KW columns of pixels. The KH rows of a strip
that one row of its outputs looks at lie one behind the other in memory, KH·V numbers, and

    y[i, j] = Σ_u Σ_q  x[i·s + u, q] · T[u·V + q, j]        T[u·V + j·s + v, j] = w[u,v], else 0

is a product of a row with a matrix: the filter written S times, each time s numbers further down (a
Toeplitz matrix). Most of T is zero, and at S = 16 a 3×3 filter costs six times the multiplications
that it needs; but they are BLAS's, at a rate that is higher than that by more.

The windows of neighbouring rows overlap, and rows of a matrix must not. Those of every m-th row do
not, m = ⌈KH/s⌉: the outputs are computed in m turns, and nothing is copied but the strips.

dx is the same convolution of dy, its pixels s apart with zeros between them, by the filter turned
by 180°. dw is a sum over all pixels for each tap, and there depthwise.py is no slower.

Shapes:  as in depthwise.py.  Within a tile: channels, images, strips, rows, columns.
The zeros of T are multiplied, too: NaN or ∞ in a pixel spoils all outputs of its strip (of two, at
their seam) in the rows that look at it.
"""
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import EACH, WORTH, Workspace, empty, spread
from scratchnet.convolution.depthwise import backward_w
from scratchnet.convolution.geometry import Geometry, output_shape

__all__ = ["backward_w", "backward_x", "fits", "forward", "pays"]

WIDEST = 16             # S: more columns are more zeros, fewer are more of our copying
TILE = 1 << 20          # bytes of pixels at once


def fits(w_shape: tuple, geometry: Geometry, dtype: Any) -> bool:
    """Whether this convolution can be computed so: depthwise, float32, the kernel not spread out,
    padding that leaves every window a pixel."""
    return (geometry.groups == w_shape[0] and w_shape[1] == 1 and geometry.dilation == (1, 1)
            and all(p < K for p, K in zip(geometry.padding, w_shape[2:], strict=True))
            and dtype == np.float32)


def pays(x_shape: tuple, w_shape: tuple, geometry: Geometry) -> bool:
    """Whether it is faster than depthwise.py, as measured: with taps enough, and pixels."""
    N, _, H, W = x_shape
    return (geometry.groups > 1 and w_shape[2] * w_shape[3] >= 9 and min(H, W) >= 4
            and N * H * W >= 256)


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,c,i,j] = b[c] + Σ_u Σ_v w[c,u,v] · x[n, c, i·s+u−p, j·s+v−p]."""
    y = empty(np, x.shape[:2] + output_shape(x.shape, w.shape, geometry), np.float32)
    _convolve(x, w[:, 0], (1, 1), geometry.stride, geometry.padding, y, b)
    return y


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx: dy, s − 1 zeros after each pixel, convolved with w turned; the padding is K − 1 − p."""
    dx = empty(np, x_shape, np.float32)
    padding = tuple(K - 1 - p for K, p in zip(w.shape[2:], geometry.padding, strict=True))
    _convolve(dy, w[:, 0, ::-1, ::-1], geometry.stride, (1, 1), padding, dx)
    return dx


def _convolve(x: Any, w: Any, every: tuple, stride: tuple, padding: tuple, y: Any,
              b: Any = None) -> None:
    """y[n,c,i,j] = b[c] + Σ_u Σ_v w[c,u,v] · X[n, c, i·s+u−p, j·s+v−p], where X has x's pixels
    `every` so many rows and columns, and zeros between them."""
    C, KH, KW = w.shape
    cut = _Cut.of(x.shape, y.shape, (KH, KW), every, stride)
    T = np.zeros((C, KH * cut.V, cut.S), np.float32)
    c, row, number = T.strides
    np.lib.stride_tricks.as_strided(        # where T has w[u,v], for each of the S columns
        T, (C, KH, KW, cut.S), (c, cut.V * row, row, stride[1] * row + number))[...] = w[..., None]

    def part(first: int, last: int) -> None:
        space = Workspace()
        for n, c in cut.tiles[first:last]:
            X = cut.strips(x[n, c], padding, space)
            Y = space("Y", (len(X), cut.M(X), cut.turns, cut.S))
            for turn in range(cut.turns):
                np.matmul(cut.windows(X, turn), T[c], out=Y[:, :, turn])
            cut.write(Y, y[n, c], None if b is None else b[c])

    spread(part, len(cut.tiles), y.size * KH * KW > WORTH, EACH)


class _Cut(NamedTuple):
    """How the images are cut: tiles of (images, channels), and strips of S outputs."""

    tiles: list
    strips_: int        # side by side
    S: int              # output columns of each
    V: int              # columns of pixels that they see
    rows: int           # of pixels in memory for each strip
    turns: int          # m of them
    KH: int
    every: tuple
    stride: tuple

    @classmethod
    def of(cls, x_shape: tuple, y_shape: tuple, kernel: tuple, every: tuple, stride: tuple
           ) -> "_Cut":
        (N, C), (OH, OW), (KH, KW) = x_shape[:2], y_shape[2:], kernel
        strips = -(-OW // WIDEST)
        S = -(-OW // strips)
        V, turns = (S - 1) * stride[1] + KW, -(-KH // stride[0])
        step = turns * stride[0]
        rows = -(-max(OH * stride[0], (OH - 1) * stride[0] + KH) // step) * step
        plane = 4 * strips * rows * V
        n = max(1, min(N, TILE // plane))
        c = max(1, min(C, TILE // (n * plane)))
        tiles = [(slice(i, min(i + n, N)), slice(k, min(k + c, C)))
                 for k in range(0, C, c) for i in range(0, N, n)]
        return cls(tiles, strips, S, V, rows, turns, KH, every, stride)

    def strips(self, x: Any, padding: tuple, space: Workspace) -> Any:
        """Copy x (n, c, H, W) into strips: (c, n·strips·rows·V + KH·V zeros)."""
        n, c, H, W = x.shape
        size = n * self.strips_ * self.rows * self.V
        X = space("X", (c, size + self.KH * self.V))
        X[...] = 0
        strips = X[:, :size].reshape(c, n, self.strips_, self.rows, self.V)
        i, rows = _within(0, self.rows, padding[0], self.every[0], H)
        for k in range(self.strips_):
            j, columns = _within(k * self.S * self.stride[1], self.V, padding[1], self.every[1], W)
            strips[:, :, k, rows, columns] = x[:, :, i, j].transpose(1, 0, 2, 3)
        return X

    def windows(self, X: Any, turn: int) -> Any:
        """The windows of every m-th row of outputs, from row `turn` on: a view (c, M, KH·V)."""
        c, number = X.strides
        return np.lib.stride_tricks.as_strided(
            X[:, turn * self.stride[0] * self.V:], (len(X), self.M(X), self.KH * self.V),
            (c, self.turns * self.stride[0] * self.V * number, number), writeable=False)

    def M(self, X: Any) -> int:
        """How many rows of outputs there are, of all images and strips, in each turn."""
        return (X.shape[1] - self.KH * self.V) // (self.turns * self.stride[0] * self.V)

    def write(self, Y: Any, y: Any, b: Any) -> None:
        """Put strips of outputs where they belong in y (n, c, OH, OW), and add b."""
        n, c, OH, _ = y.shape
        strips = Y.reshape(c, n, self.strips_, -1, self.S)
        for k in range(self.strips_):
            some = y[..., k * self.S:(k + 1) * self.S].transpose(1, 0, 2, 3)
            some[...] = strips[:, :, k, :OH, :some.shape[3]]
        if b is not None:
            y += b[:, None, None]


def _within(first: int, size: int, padding: int, every: int, pixels: int) -> tuple[slice, slice]:
    """Of `size` places from `first` on, pixel i of an image being at place p + every·i: return
    which pixels lie there, and where."""
    low = max(0, -((padding - first) // every))
    high = min(pixels, -((padding - first - size) // every))
    if high <= low:
        return slice(0, 0), slice(0, 0)
    start = padding + every * low - first
    return slice(low, high), slice(start, start + every * (high - low - 1) + 1, every)
