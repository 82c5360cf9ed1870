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

from scratchnet.backend import Workspace, empty, product, spread, threads
from scratchnet.convolution.geometry import Geometry, output_shape, tiles
from scratchnet.convolution.winograd import AT, BT, G, fits

__all__ = ["backward_w", "backward_x", "fits", "forward", "pays"]

PIXELS = 512            # of a channel in a block: a matrix product wants some hundred columns …
NUMBERS = 1 << 15       # … and each of our calls some ten thousand numbers


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
        space = Workspace()
        dU, term = empty(np, (6, O, 3 * C), np.float32), space("term", (6, O, 3 * C))
        dU[...] = 0
        for images, rows in blocks:
            V = _taps(_transform(BT, _read(x, images, rows, 6, padding, pitch, space),
                                 space, "transformed"), space)      # (6, 3·C, pixels)
            dM = _transform(AT.T, _read(dy, images, rows, 4, (0, 0), pitch, space),
                            space, "dM")                            # (6, O, pixels)
            dU += np.matmul(dM, V.transpose(0, 2, 1), out=term)
        return dU

    dU = reduce(iadd, _blocks(part, len(x), dy.shape[2], pitch, C))
    dw = product(G.T, dU.reshape(6, -1)).reshape(3, O, 3, C)        # u, o, v, c
    return np.ascontiguousarray(dw.transpose(1, 3, 0, 2))


def _convolve(x: Any, w: Any, padding: tuple[int, int], size: tuple[int, int], b: Any = None
              ) -> Any:
    """Σ over channels of x (N, C, H, W) and w (O, C, 3, 3), stride 1: (N, O, *size)."""
    N, O, C = len(x), *w.shape[:2]
    w = np.ascontiguousarray(w.transpose(2, 0, 3, 1))               # u, o, v, c
    U = product(G, w.reshape(3, -1)).reshape(6, O, 3 * C)
    y = empty(np, (N, O, *size), np.float32)
    pitch = x.shape[3] + padding[1]

    def part(blocks: list) -> None:
        space = Workspace()
        for images, rows in blocks:
            V = _taps(_transform(BT, _read(x, images, rows, 6, padding, pitch, space),
                                 space, "transformed"), space)
            M = np.matmul(U, V, out=space("M", (6, O, V.shape[2])))
            _write(y, _transform(AT, M, space, "Y"), images, rows, pitch, b)

    _blocks(part, N, size[0], pitch, C)
    return y


def _blocks(part: Callable, N: int, OH: int, pitch: int, C: int) -> list:
    """Cut the outputs of a batch into blocks: some images, some of their rows, four in one. Call
    part on a list of blocks for each thread."""
    down = -(-OH // 4)
    pixels = min(max(PIXELS, NUMBERS // C), -(-N * down * pitch // threads()))
    blocks = list(tiles(N, down, pitch, pixels))
    return spread(lambda first, last: part(blocks[first:last]), len(blocks))


def _read(x: Any, images: slice, rows: slice, side: int, padding: tuple[int, int], pitch: int,
          space: Workspace) -> Any:
    """Copy rows of pixels, `pitch` numbers from one to the next: (side, C, n·rows·pitch + side−4),
    where [k] has the k-th of those `side` rows that four rows of outputs look at."""
    (_, C, H, W), (ph, pw) = x.shape, padding
    n, down = images.stop - images.start, rows.stop - rows.start
    high, pixels = 4 * down + side - 4, n * down * pitch
    padded = space(f"padded {side}", (C, n * high * pitch + side - 4))
    padded[...] = 0
    top = 4 * rows.start - ph                                       # where padded begins in x
    first, last = max(top, 0), min(top + high, H)
    place = padded[:, pw:pw + n * high * pitch].reshape(C, n, high, pitch)      # a view
    place[:, :, first - top:last - top, :W] = x[images, :, first:last].transpose(1, 0, 2, 3)

    c, number = padded.strides
    row = pitch * number
    view = np.lib.stride_tricks.as_strided(
        padded, (side, C, n, down, pitch), (row, c, high * row, 4 * row, number), writeable=False)
    block = space(f"rows {side}", (side, C, pixels + side - 4))
    block[:, :, :pixels].reshape(view.shape)[...] = view
    block[:, :, pixels:] = 0
    return block


def _taps(V: Any, space: Workspace) -> Any:
    """(6, C, pixels + 2) → (6, 3·C, pixels): what each of the three taps sees."""
    C, pixels = V.shape[1], V.shape[2] - 2
    k, c, number = V.strides
    out = space("taps", (6, 3, C, pixels))
    out[...] = np.lib.stride_tricks.as_strided(V, out.shape, (k, number, c, number),
                                               writeable=False)
    return out.reshape(6, 3 * C, pixels)


def _transform(matrix: Any, block: Any, space: Workspace, name: str) -> Any:
    """matrix · block over the first axis: (k, C, pixels) → (m, C, pixels)."""
    out = space(name, (len(matrix), *block.shape[1:]))
    np.matmul(matrix, block.reshape(len(block), -1), out=out.reshape(len(matrix), -1))
    return out


def _write(y: Any, block: Any, images: slice, rows: slice, pitch: int, b: Any) -> None:
    """Put rows of outputs, (4, O, pixels), where they belong in y, and add b."""
    O, OW, n = y.shape[1], y.shape[3], images.stop - images.start
    block = block.reshape(4, O, n, -1, pitch)[..., :OW].transpose(2, 1, 3, 0, 4)
    b = 0 if b is None else b[:, None, None, None]
    out = y[images, :, 4 * rows.start:4 * rows.stop]
    fours = out.shape[2] // 4
    np.add(block[:, :, :fours], b, out=out[:, :, :4 * fours].reshape(n, O, fours, 4, OW))
    if left := out.shape[2] % 4:
        np.add(block[:, :, fours:, :left], b, out=out[:, :, 4 * fours:, None].swapaxes(2, 3))
