"""Winograd along one axis — 3×3 convolution with half of the multiplications, 5×5 with 2/5 of them.

Winograd's algorithm (see winograd.py) for the vertical axis only: n = 3 + KH rows of pixels give
four rows of outputs, with n multiplications for each horizontal tap where 4·KH were needed:

    Y = Aᵀ · ( Σ_v (G · w[:, v]) ⊙ (Bᵀ · x[:, j+v]) )       x n rows,  w KH rows,  Y 4 rows

The KW horizontal taps v stay what they are in im2col: the row KW times, one pixel further each
time. In each of the n places, channels and taps are summed by matrix products,

    M = U · V        n times (O × KW·C) · (KW·C × pixels): V is copied KW times, or
    M = Σ_v U_v · V_v       KW·n times (O × C) · (C × pixels): V_v is V, read from number v on

The second copies nothing, but adds up KW products as large as M: it is for no more outputs than
channels.

For 3×3 it saves half where two axes save three quarters, but it copies whole rows and never a tile,
and U is 2 times as large as w, not 4 times. That pays for large maps of few channels, where copying
is what takes the time, and for small maps of many, where U is.

Rows lie one behind the other with p zeros between them, which serve the end of one row and the
beginning of the next. To move all rows by one pixel is then to copy everything from one number
further on; the results at the ends of rows, KW − 1 − p of W + p, are of no use and left out.

Backward is the transpose, as in winograd.py:

    dM = A · dY        dU = dM · Vᵀ, summed over blocks        dw = Gᵀ · dU

With g groups, all of this happens g times. Rounding is 3 (3×3) to 10 times (5×5) that of im2col.

Shapes:  x (N, C, H, W)   w (O, C/g, KH, KW)   y (N, O, H + 2p − KH + 1, W + 2p − KW + 1)
         V (n, C, pixels + KW − 1), its taps (n, KW·C, pixels)   U (n, O, KW·C)
         M (n, O, pixels), in blocks of rows
"""
from collections.abc import Callable, Iterator
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet.backend import EACH, Workspace, empty, product, spread, threads
from scratchnet.convolution.geometry import Geometry, output_shape, tiles
from scratchnet.convolution.toom_cook import matrices

PIXELS = 512            # of a channel in a block: a matrix product wants some hundred columns …
NUMBERS = 1 << 15       # … and each of our calls some ten thousand numbers


def fits(w_shape: tuple, geometry: Geometry, dtype: Any) -> bool:
    """Whether this convolution can be computed so: 2×2 to 5×5, stride 1, float32, padding that
    leaves every window a pixel."""
    return (min(w_shape[2:]) >= 2 and max(w_shape[2:]) <= 5
            and geometry.stride == geometry.dilation == (1, 1)
            and all(p < K for p, K in zip(geometry.padding, w_shape[2:], strict=True))
            and dtype == np.float32)


def pays(x_shape: tuple, w_shape: tuple, geometry: Geometry) -> bool:
    """Whether it is faster than im2col, as measured: with enough channels, and pixels for U."""
    N, _, H, W = x_shape
    return (min(w_shape[0] // geometry.groups, w_shape[1]) >= 12 and min(H, W) >= 4
            and N * H * W >= 1024)


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i+u−p, j+v−p]."""
    y = empty(np, (len(x), len(w), *output_shape(x.shape, w.shape, geometry)), np.float32)
    for c, o in _groups(w.shape, geometry.groups):
        _convolve(x[:, c], w[o], geometry.padding, y[:, o], None if b is None else b[o])
    return y


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx = dy convolved with w turned by 180°, from outputs to inputs; the padding is K − 1 − p."""
    turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)                     # (C/g, O, KH, KW)
    padding = tuple(K - 1 - p for K, p in zip(w.shape[2:], geometry.padding, strict=True))
    dx = empty(np, x_shape, np.float32)
    for c, o in _groups(w.shape, geometry.groups):
        _convolve(dy[:, o], turned[:, o], padding, dx[:, c])
    return dx


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw = Gᵀ · (Σ dM · Vᵀ)."""
    dw = empty(np, w_shape, np.float32)
    for c, o in _groups(w_shape, geometry.groups):
        _correlate(x[:, c], dy[:, o], geometry.padding, dw[o])
    return dw


def _groups(w_shape: tuple, g: int) -> Iterator[tuple[slice, slice]]:
    """(channels, outputs) of each group."""
    O, C = w_shape[:2]
    for i in range(g):
        yield slice(i * C, (i + 1) * C), slice(i * (O // g), (i + 1) * (O // g))


def _convolve(x: Any, w: Any, padding: tuple[int, int], y: Any, b: Any = None) -> None:
    """y (N, O, OH, OW) = Σ over channels of x (N, C, H, W) and w (O, C, KH, KW), + b."""
    O, C, KH, KW = w.shape
    BT, G, AT = matrices(4, KH)
    n, pitch = len(BT), x.shape[3] + padding[1]
    w = np.ascontiguousarray(w.transpose(2, 0, 3, 1))               # u, o, v, c
    U = product(G, w.reshape(KH, -1)).reshape(n, O, KW * C)

    def part(blocks: list) -> None:
        space = Workspace()     # "rows": pixels, once they are in V then M; "transformed": V, Y
        for images, rows in blocks:
            V = _read(x, images, rows, n, padding, pitch, KW - 1, space)
            V = _transform(BT, V, space, "transformed")
            pixels = V.shape[2] - KW + 1
            M = space("rows", (n, O, pixels))
            if O > C:
                np.matmul(U, _taps(V, KW, space), out=M)
            else:
                np.matmul(U[:, :, :C], V[:, :, :pixels], out=M)
                for v in range(1, KW):
                    M += np.matmul(U[:, :, v * C:(v + 1) * C], V[:, :, v:v + pixels],
                                   out=space("taps", M.shape))
            _write(y, _transform(AT, M, space, "transformed"), images, rows, pitch, b)

    _blocks(part, len(x), y.shape[2], pitch, C, EACH)


def _correlate(x: Any, dy: Any, padding: tuple[int, int], dw: Any) -> None:
    """dw (O, C, KH, KW) of images x and output gradients dy."""
    O, C, KH, KW = dw.shape
    BT, G, AT = matrices(4, KH)
    n, pitch = len(BT), x.shape[3] + padding[1]

    def part(blocks: list) -> Any:
        space = Workspace()
        dU, term = empty(np, (n, O, KW * C), np.float32), space("term", (n, O, KW * C))
        dU[...] = 0
        for images, rows in blocks:
            V = _read(x, images, rows, n, padding, pitch, KW - 1, space)
            V = _transform(BT, V, space, "transformed")     # (n, C, pixels + KW − 1)
            dM = _transform(AT.T, _read(dy, images, rows, 4, (0, 0), pitch, 0, space),
                            space, "dM")                                    # (n, O, pixels)
            if O > C:
                np.matmul(dM, _taps(V, KW, space).transpose(0, 2, 1), out=term)
            else:
                for v in range(KW):
                    V_v = V[:, :, v:v + dM.shape[2]]
                    np.matmul(dM, V_v.transpose(0, 2, 1), out=term[:, :, v * C:(v + 1) * C])
            dU += term
        return dU

    dU = reduce(iadd, _blocks(part, len(x), dy.shape[2], pitch, C))
    terms = product(G.T, dU.reshape(n, -1)).reshape(KH, O, KW, C)
    dw[...] = terms.transpose(1, 3, 0, 2)                           # from u, o, v, c


def _blocks(part: Callable, N: int, OH: int, pitch: int, C: int, each: int = 1) -> list:
    """Cut the outputs of a batch into blocks: some images, some of their rows, four in one. Call
    part on a list of blocks for each thread."""
    down = -(-OH // 4)
    pixels = min(max(PIXELS, NUMBERS // C), -(-N * down * pitch // threads()))
    blocks = list(tiles(N, down, pitch, pixels))
    return spread(lambda first, last: part(blocks[first:last]), len(blocks), each=each)


def _read(x: Any, images: slice, rows: slice, side: int, padding: tuple[int, int], pitch: int,
          more: int, space: Workspace) -> Any:
    """Copy rows of pixels, `pitch` numbers from one to the next: (side, C, n·rows·pitch + more),
    where [k] has the k-th of those `side` rows that four rows of outputs look at."""
    (_, C, H, W), (ph, pw) = x.shape, padding
    n, down = images.stop - images.start, rows.stop - rows.start
    high, pixels = 4 * down + side - 4, n * down * pitch
    padded = space("padded", (C, n * high * pitch + more))
    padded[...] = 0
    top = 4 * rows.start - ph                                       # where padded begins in x
    first, last = max(top, 0), min(top + high, H)
    place = padded[:, pw:pw + n * high * pitch].reshape(C, n, high, pitch)      # a view
    place[:, :, first - top:last - top, :W] = x[images, :, first:last].transpose(1, 0, 2, 3)

    c, number = padded.strides
    row = pitch * number
    view = np.lib.stride_tricks.as_strided(
        padded, (side, C, n, down, pitch), (row, c, high * row, 4 * row, number), writeable=False)
    block = space("rows", (side, C, pixels + more))
    block[:, :, :pixels].reshape(view.shape)[...] = view
    block[:, :, pixels:] = 0
    return block


def _taps(V: Any, KW: int, space: Workspace) -> Any:
    """(n, C, pixels + KW − 1) → (n, KW·C, pixels): what each of the taps sees."""
    n, C, pixels = *V.shape[:2], V.shape[2] - KW + 1
    k, c, number = V.strides
    out = space("taps", (n, KW, C, pixels))
    out[...] = np.lib.stride_tricks.as_strided(V, out.shape, (k, number, c, number),
                                               writeable=False)
    return out.reshape(n, KW * C, pixels)


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
