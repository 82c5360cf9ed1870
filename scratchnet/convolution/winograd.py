"""Winograd — 3×3 convolution with a quarter of the multiplications.

A 3×3 filter over a tile of 6×6 pixels gives 4×4 outputs: 144 multiplications. Read the rows of tile
and filter as polynomials, and convolution is their product; a product of polynomials is known
from its values at enough points, where it is one multiplication a point. With the six points
0, 1, −1, 2, −2, ∞ along each axis, 36 multiplications suffice:

    Y = Aᵀ · ( (G · w · Gᵀ) ⊙ (Bᵀ · x · B) ) · A        x 6×6,  w 3×3,  Y 4×4
               └── U ─────┘   └── V ─────┘

B, G and A are fixed: B and G evaluate at the points, A puts the product together again. In each of
the 36 places the sum over channels is a matrix product of its own,

    M = U · V        36 times (O × C) · (C × tiles)

and that is where the time goes: 2.25 multiplications for each output and channel, not 9.

All of it is linear, so the backward pass is the transpose, and never leaves the transformed space:

    dM = A · dY · Aᵀ        dU = dM · Vᵀ, summed over tiles        dw = Gᵀ · dU · G

and dx is a convolution again, of dy with w turned by 180° and its channels exchanged.

Written with vectors of 36, Bᵀ·x·B is (Bᵀ ⊗ Bᵀ) · vec(x): one matrix product transforms all
tiles of all channels. A block of tiles is taken at a time, so that it stays in the cache.

The points 2 and −2 make numbers that differ by 16 in size, and so rounding is ten times that of
im2col: 1e-5 relative in float32. It is for float32 only; gradient checks, in float64, run im2col.

Winograd, "Arithmetic Complexity of Computations", 1980; for neural networks: Lavin & Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016.
"""
from collections.abc import Iterator
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet.backend import empty, spread
from scratchnet.convolution.geometry import Geometry, output_shape

TILES = 256             # tiles in a block: 36·C·TILES numbers stay in a core's cache

BT = np.array([[4, 0, -5, 0, 1, 0],
               [0, -4, -4, 1, 1, 0],
               [0, 4, -4, -1, 1, 0],
               [0, -2, -1, 2, 1, 0],
               [0, 2, -1, -2, 1, 0],
               [0, 4, 0, -5, 0, 1]], dtype=np.float32)
G = np.array([[1 / 4, 0, 0],
              [-1 / 6, -1 / 6, -1 / 6],
              [-1 / 6, 1 / 6, -1 / 6],
              [1 / 24, 1 / 12, 1 / 6],
              [1 / 24, -1 / 12, 1 / 6],
              [0, 0, 1]], dtype=np.float32)
AT = np.array([[1, 1, 1, 1, 1, 0],
               [0, 1, -1, 2, -2, 0],
               [0, 1, 1, 4, 4, 0],
               [0, 1, -1, 8, -8, 1]], dtype=np.float32)
BB, GG, AA = (np.kron(matrix, matrix) for matrix in (BT, G, AT))    # 36×36, 36×9, 16×36


def fits(w_shape: tuple, geometry: Geometry, dtype: Any) -> bool:
    """Whether this convolution can be computed so: 3×3, stride 1, float32, padding up to 2."""
    return (w_shape[2:] == (3, 3) and geometry.stride == geometry.dilation == (1, 1)
            and geometry.groups == 1 and max(geometry.padding) <= 2 and dtype == np.float32)


def pays(x_shape: tuple, w_shape: tuple) -> bool:
    """Whether it is faster than im2col, as measured: enough channels to pay for the transforms."""
    return min(w_shape[:2]) >= 16


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i+u−p, j+v−p]."""
    return _convolve(x, w, geometry.padding, output_shape(x.shape, w.shape, geometry), b)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx = dy convolved with w turned by 180°, from outputs to inputs; the padding is 2 − p."""
    turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)              # (C, O, 3, 3)
    padding = tuple(2 - p for p in geometry.padding)
    return _convolve(dy, turned, padding, x_shape[2:])


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw = Gᵀ · (Σ dM · Vᵀ) · G."""
    (O, C), (OH, OW) = w_shape[:2], dy.shape[2:]
    grid = _Grid(len(x), OH, OW)

    def part(first: int, last: int) -> Any:
        dU, product = empty(np, (36, O, C), np.float32), empty(np, (36, O, C), np.float32)
        dU[...] = 0
        tiles_x = _Tiles(x, 6, geometry.padding, grid)
        tiles_dy = _Tiles(dy, 4, (0, 0), grid)
        for start, stop in grid.blocks(first, last):
            V = _transform(BB, tiles_x.read(start, stop))           # (36, C, tiles)
            dM = _transform(AA.T, tiles_dy.read(start, stop))       # (36, O, tiles)
            dU += np.matmul(dM, V.transpose(0, 2, 1), out=product)
        return dU

    dU = reduce(iadd, spread(part, grid.rows))
    dw = (GG.T @ dU.reshape(36, -1)).reshape(3, 3, O, C)
    return np.ascontiguousarray(dw.transpose(2, 3, 0, 1))


def _convolve(x: Any, w: Any, padding: tuple[int, int], size: tuple[int, int], b: Any = None
              ) -> Any:
    """Σ over channels of x (N, C, H, W) and w (O, C, 3, 3), stride 1: (N, O, *size)."""
    N, O = len(x), len(w)
    U = empty(np, (36, O, w.shape[1]), np.float32)
    np.matmul(GG, w.reshape(-1, 9).T, out=U.reshape(36, -1))
    y = empty(np, (N, O, *size), np.float32)
    grid = _Grid(N, *size)

    def part(first: int, last: int) -> None:
        tiles = _Tiles(x, 6, padding, grid)
        for start, stop in grid.blocks(first, last):
            V = _transform(BB, tiles.read(start, stop))             # (36, C, tiles)
            M = np.matmul(U, V, out=empty(np, (36, O, V.shape[2]), np.float32))
            _write(y, _transform(AA, M), start, stop, grid, b)      # from (16, O, tiles)

    spread(part, grid.rows)
    return y


class _Grid:
    """The outputs of a batch cut into tiles of 4×4: `down` rows of `across` tiles an image, `rows`
    of them in all images."""

    def __init__(self, N: int, OH: int, OW: int):
        self.down, self.across = -(-OH // 4), -(-OW // 4)
        self.rows = N * self.down

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Cut the rows first … last − 1 of tiles into blocks of about TILES tiles."""
        step = max(1, TILES // self.across)
        for start in range(first, last, step):
            yield start, min(start + step, last)

    def images(self, start: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield (image, its rows, where they lie in the block) for a block of rows."""
        row = start
        while row < stop:
            n, top = divmod(row, self.down)
            count = min(self.down - top, stop - row)
            yield n, slice(top, top + count), slice(row - start, row - start + count)
            row += count


class _Tiles:
    """Tiles of `side`×`side` pixels, one every 4 pixels, of images with zeros around them."""

    def __init__(self, x: Any, side: int, padding: tuple[int, int], grid: _Grid):
        self.x, self.side, self.padding, self.grid = x, side, padding, grid
        self.padded = np.zeros((x.shape[1], 4 * grid.down + side - 4, 4 * grid.across + side - 4),
                               dtype=np.float32)
        c, h, w = self.padded.strides
        self.view = np.lib.stride_tricks.as_strided(
            self.padded, (side, side, x.shape[1], grid.down, grid.across),
            (h, w, c, 4 * h, 4 * w), writeable=False)
        self.image = -1

    def read(self, start: int, stop: int) -> Any:
        """Copy a block of rows of tiles: (side², C, tiles)."""
        C, across, side = self.x.shape[1], self.grid.across, self.side
        block = empty(np, (side, side, C, stop - start, across), np.float32)
        for n, rows, where in self.grid.images(start, stop):
            if n != self.image:
                (ph, pw), (H, W) = self.padding, self.x.shape[2:]
                self.padded[:, ph:ph + H, pw:pw + W] = self.x[n]
                self.image = n
            block[:, :, :, where] = self.view[:, :, :, rows]
        return block.reshape(side * side, C, -1)


def _transform(matrix: Any, block: Any) -> Any:
    """matrix · block over the first axis: (k, C, tiles) → (m, C, tiles)."""
    out = empty(np, (len(matrix), *block.shape[1:]), np.float32)
    np.matmul(matrix, block.reshape(len(block), -1), out=out.reshape(len(matrix), -1))
    return out


def _write(y: Any, block: Any, start: int, stop: int, grid: _Grid, b: Any) -> None:
    """Put tiles of outputs, (16, O, tiles), where they belong in y, and add b."""
    O, (OH, OW) = y.shape[1], y.shape[2:]
    if b is not None:
        block += b[:, None]
    block = block.reshape(4, 4, O, stop - start, grid.across)
    for n, rows, where in grid.images(start, stop):
        tiles = block[:, :, :, where].transpose(2, 3, 0, 4, 1)      # (O, rows, 4, across, 4)
        top, bottom = 4 * rows.start, min(4 * rows.stop, OH)
        if bottom == 4 * rows.stop and 4 * grid.across == OW:
            y[n, :, top:bottom].reshape(tiles.shape)[...] = tiles
        else:
            y[n, :, top:bottom] = tiles.reshape(O, -1, 4 * grid.across)[:, :bottom - top, :OW]
