"""Winograd along one axis — 3×3 convolution with half of the multiplications.

Winograd's algorithm (see winograd.py) for the vertical axis only: six rows of pixels give four rows
of outputs, with 6 multiplications for each horizontal tap where 4·3 were needed:

    Y = Aᵀ · ( Σ_v (G · w[:, v]) ⊙ (Bᵀ · x[:, j+v]) )       x 6 rows,  w 3 rows,  Y 4 rows

The three horizontal taps v stay what they are in im2col: the row copied three times, one pixel
further each time. In each of the six places, channels and taps are summed in one matrix product,

    M = U · V        6 times (O × 3·C) · (3·C × pixels)

It saves half where two axes save three quarters, but it copies whole rows and never a tile, and
U is 2 times as large as w, not 4 times. That pays for large maps of few channels, where copying is
what takes the time, and for small maps of many, where U is.

Rows lie one behind the other with p zeros between them, which serve the end of one row and the
beginning of the next. To move all rows by one pixel is then to copy everything from one number
further on; the results at the ends of rows, 2 − p of W + p, are of no use and left out.

Backward is the transpose, as in winograd.py:

    dM = A · dY        dU = dM · Vᵀ, summed over blocks        dw = Gᵀ · dU

Rounding is 3 times that of im2col: 3e-6 relative in float32.
"""
from collections.abc import Callable
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet.backend import empty, spread, threads
from scratchnet.convolution.geometry import Geometry, inside, output_shape, tiles
from scratchnet.convolution.winograd import AT, BT, G, fits

__all__ = ["backward_w", "backward_x", "fits", "forward", "pays"]

PIXELS = 512            # of a channel in a block: a matrix product wants some hundred columns


def pays(x_shape: tuple, w_shape: tuple) -> bool:
    """Whether it is faster than im2col, as measured: with enough channels, and pixels for U."""
    N, _, H, W = x_shape
    return min(w_shape[:2]) >= 16 and min(H, W) >= 4 and N * H * W >= 256


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i+u−p, j+v−p]."""
    return _convolve(x, w, geometry.padding, output_shape(x.shape, w.shape, geometry), b)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx = dy convolved with w turned by 180°, from outputs to inputs; the padding is 2 − p."""
    turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)              # (C, O, 3, 3)
    return _convolve(dy, turned, tuple(2 - p for p in geometry.padding), x_shape[2:])


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw = Gᵀ · (Σ dM · Vᵀ)."""
    (O, C), padding = w_shape[:2], geometry.padding
    pitch = x.shape[3] + padding[1]

    def part(blocks: list) -> Any:
        dU, product = empty(np, (6, O, 3 * C), np.float32), empty(np, (6, O, 3 * C), np.float32)
        dU[...] = 0
        for images, rows in blocks:
            V = _taps(_transform(BT, _read(x, images, rows, 6, padding, pitch)))
            dM = _transform(AT.T, _read(dy, images, rows, 4, (0, 0), pitch))
            dU += np.matmul(dM, V.transpose(0, 2, 1), out=product)
        return dU

    dU = reduce(iadd, _blocks(part, len(x), dy.shape[2], pitch))
    dw = (G.T @ dU.reshape(6, -1)).reshape(3, O, 3, C)              # u, o, v, c
    return np.ascontiguousarray(dw.transpose(1, 3, 0, 2))


def _convolve(x: Any, w: Any, padding: tuple[int, int], size: tuple[int, int], b: Any = None
              ) -> Any:
    """Σ over channels of x (N, C, H, W) and w (O, C, 3, 3), stride 1: (N, O, *size)."""
    N, O, C = len(x), *w.shape[:2]
    w = np.ascontiguousarray(w.transpose(2, 0, 3, 1))               # u, o, v, c
    U = (G @ w.reshape(3, -1)).reshape(6, O, 3 * C)
    y = empty(np, (N, O, *size), np.float32)
    pitch = x.shape[3] + padding[1]

    def part(blocks: list) -> None:
        for images, rows in blocks:
            V = _taps(_transform(BT, _read(x, images, rows, 6, padding, pitch)))
            M = np.matmul(U, V, out=empty(np, (6, O, V.shape[2]), np.float32))
            _write(y, _transform(AT, M), images, rows, pitch, b)    # from (4, O, pixels)

    _blocks(part, N, size[0], pitch)
    return y


def _blocks(part: Callable, N: int, OH: int, pitch: int) -> list:
    """Cut the outputs of a batch into blocks: some images, some of their rows, four in one. Call
    part on a list of blocks for each thread."""
    down = -(-OH // 4)
    blocks = list(tiles(N, down, pitch, min(PIXELS, -(-N * down * pitch // threads()))))
    return spread(lambda first, last: part(blocks[first:last]), len(blocks))


def _read(x: Any, images: slice, rows: slice, side: int, padding: tuple[int, int], pitch: int
          ) -> Any:
    """Copy rows of pixels, `pitch` numbers from one to the next: (side, C, n·rows·pitch + side−4),
    where [k] has the k-th of those `side` rows that four rows of outputs look at."""
    (_, C, H, W), (top, left) = x.shape, padding
    n, down = images.stop - images.start, rows.stop - rows.start
    pixels = n * down * pitch
    block = empty(np, (side, C, pixels + side - 4), np.float32)
    block[...] = 0
    place = block[:, :, left:left + pixels].reshape(side, C, n, down, pitch)[..., :W]   # a view
    x = x[images].transpose(1, 0, 2, 3)
    for k in range(side):
        out, seen = inside(k, rows.start, rows.stop, H, 4, top)
        place[k, :, :, out] = x[:, :, seen]
    return block


def _taps(V: Any) -> Any:
    """(6, C, pixels + 2) → (6, 3·C, pixels): what each of the three taps sees."""
    C, pixels = V.shape[1], V.shape[2] - 2
    out = empty(np, (6, 3, C, pixels), np.float32)
    for v in range(3):
        out[:, v] = V[:, :, v:v + pixels]
    return out.reshape(6, 3 * C, pixels)


def _transform(matrix: Any, block: Any) -> Any:
    """matrix · block over the first axis: (k, C, pixels) → (m, C, pixels)."""
    out = empty(np, (len(matrix), *block.shape[1:]), np.float32)
    np.matmul(matrix, block.reshape(len(block), -1), out=out.reshape(len(matrix), -1))
    return out


def _write(y: Any, block: Any, images: slice, rows: slice, pitch: int, b: Any) -> None:
    """Put rows of outputs, (4, O, pixels), where they belong in y, and add b."""
    _, O, _, OW = y.shape
    block = block.reshape(4, O, images.stop - images.start, -1, pitch)[..., :OW]
    b = 0 if b is None else b[:, None, None, None]
    for k in range(4):
        out = y[images, :, 4 * rows.start + k:4 * rows.stop:4].transpose(1, 0, 2, 3)
        np.add(block[k, :, :, :out.shape[2]], b, out=out)
