"""im2col — convolution as one matrix product over patches copied into columns.

    columns = im2col(x)          (C·KH·KW) × (N·OH·OW): each column is one patch
    y       = W · columns        W: each filter flattened to a row, O × (C·KH·KW)

im2col computes nothing, it only copies: as a matrix it is a G with a single 1 in each row
(or none, where the patch lies on the padding). Backward therefore needs its transpose,

    dW = dy · columnsᵀ           columns are copied again, not remembered:
                                 they are KH·KW/stride² times larger than x
    dx = Gᵀ · (Wᵀ · dy)          = col2im: "copy to many places" becomes
                                 "add up from many places", hence its `+=`

The columns of a whole batch never exist at once. They would be KH·KW/stride² times larger than
the batch and would fall out of every cache; a tile of a few images, or of a few rows of one
image, is copied into a buffer that the next tile uses again. With g groups, all of this happens
g times, on one extra axis. Each thread has tiles, and a buffer, of its own.

With stride 1, Gᵀ·(Wᵀ·dy) is itself a convolution, of dy by the filters turned by 180°. It is
computed so, because to copy is faster than to add, unless dy has many more channels to copy.

On a GPU, im2col and col2im are a kernel each, and the columns lie as its matrix products want them:
those of each image by themselves for y and dx, which come out as images, no axis to be moved; those
of all images side by side for dW, which sums over them.

Chellapilla, Puri & Simard, "High Performance Convolutional Neural Networks for Document
Processing", 2006.
"""
from collections.abc import Iterator
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend import EACH, WORTH, empty, spread, threads, xp_of
from scratchnet.convolution.geometry import Geometry, inside, output_shape, tiles

CPU_TILE = 2 << 20      # bytes of columns at once: about a core's second-level cache
COLUMNS = 512           # … at least so many, in up to four times the bytes: BLAS lays the filters
                        # out anew for each tile
GPU_TILE = 256 << 20    # a GPU wants few, large launches


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·s+u·d−p, j·s+v·d−p]."""
    if kernels.serve(x, w):
        return _forward_on_gpu(x, w, geometry, b)
    xp = xp_of(x)
    N, O, g = len(x), len(w), geometry.groups
    OH, OW = output_shape(x.shape, w.shape, geometry)

    W = w.reshape(g, O // g, -1)
    y = empty(xp, (N, O, OH, OW), xp.result_type(x, w))
    cut = list(_tiles(x, W.shape[2], g, OH, OW))

    def part(first: int, last: int) -> None:
        for images, rows, columns in _column_tiles(x, w.shape, geometry, cut[first:last]):
            y_tile = y[images, :, rows]                             # a view: (n, O, rows, OW)
            if len(y_tile) == 1:
                xp.matmul(W, columns, out=y_tile.reshape(g, O // g, -1))   # (g, O/g, rows·OW)
            else:
                product = xp.matmul(W, columns)                     # (g, O/g, n·rows·OW)
                y_tile.swapaxes(0, 1)[...] = product.reshape(O, -1, *y_tile.shape[2:])
            if b is not None:
                y_tile += b[:, None, None]                          # while it is in the cache

    spread(part, len(cut), y.size * W.shape[2] > WORTH, EACH)
    return y


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dW = Σ dy · columnsᵀ: every place where a filter looked, times its error there."""
    if kernels.serve(x, dy):
        return _backward_w_on_gpu(x, dy, w_shape, geometry)
    xp = xp_of(x)
    O, g = w_shape[0], geometry.groups
    K = int(np.prod(w_shape[1:]))
    cut = list(_tiles(x, K, g, *dy.shape[2:]))

    def part(first: int, last: int) -> Any:
        dW = xp.zeros((g, O // g, K), dtype=xp.result_type(x, dy))
        for images, rows, columns in _column_tiles(x, w_shape, geometry, cut[first:last]):
            dy_tile = dy[images, :, rows].swapaxes(0, 1).reshape(g, O // g, -1)
            dW += xp.matmul(dy_tile, columns.swapaxes(-1, -2))
        return dW

    return reduce(iadd, spread(part, len(cut), dy.size * K > WORTH)).reshape(w_shape)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx = col2im(Wᵀ · dy): every filter that looked at a pixel, times its error."""
    if kernels.serve(dy, w):
        return _backward_x_on_gpu(dy, w, x_shape, geometry)
    xp = xp_of(dy)
    (N, C, *HW), (O, _, KH, KW) = x_shape, w.shape
    g, OW = geometry.groups, dy.shape[3]
    turned = _turned(w, geometry)
    if turned is not None:
        return forward(dy, *turned)

    WT = w.reshape(g, O // g, -1).swapaxes(-1, -2)
    dx = empty(xp, x_shape, xp.result_type(dy, w))

    def part(first: int, last: int) -> None:        # of the images: bands of rows overlap in dx
        for images, rows in _tiles(dy[first:last], WT.shape[1], g, *dy.shape[2:], first):
            dy_tile = dy[images, :, rows].swapaxes(0, 1).reshape(g, O // g, -1)
            dcolumns = (WT @ dy_tile).reshape(C, KH, KW, _len(images), _len(rows), OW)
            dx_tile = dx[images].swapaxes(0, 1)                     # a view: (C, n, H, W)
            if rows.start == 0:
                dx_tile[...] = 0
            for u, v, out_i, out_j, in_i, in_j in _taps(rows, OW, HW, (KH, KW), geometry):
                dx_tile[:, :, in_i, in_j] += dcolumns[:, u, v, :, out_i, out_j]

    spread(part, N, threads() <= N and dy.size * WT.shape[1] > WORTH)
    return dx


def _turned(w: Any, geometry: Geometry) -> tuple[Any, Geometry] | None:
    """Filters and geometry with which dy convolved is dx; None where windows are more than a pixel
    apart, or lie on padding alone, or it would be slower."""
    stride, padding, dilation, g = geometry
    O, C, KH, KW = w.shape
    padding = tuple(d * (K - 1) - p for K, p, d in zip(w.shape[2:], padding, dilation, strict=True))
    if stride != (1, 1) or min(padding) < 0 or 2 * g * C < O:
        return None
    w = w[:, :, ::-1, ::-1].reshape(g, O // g, C, KH, KW).swapaxes(1, 2)    # from outputs to inputs
    return w.reshape(g * C, O // g, KH, KW), Geometry((1, 1), padding, dilation, g)


def _forward_on_gpu(x: Any, w: Any, geometry: Geometry, b: Any) -> Any:
    O, g = len(w), geometry.groups
    OH, OW = output_shape(x.shape, w.shape, geometry)
    W = w.reshape(g, O // g, -1)
    y = xp_of(x).empty((len(x), O, OH, OW), dtype=x.dtype)
    for images, rows in _tiles(x, W.shape[2], g, OH, OW):
        n = _len(images)
        columns = kernels.im2col(x[images], rows, OW, (w.shape[2:], *geometry[:3]))
        xp_of(x).matmul(W, columns.reshape(n, g, W.shape[2], -1),
                        out=y[images, :, rows].reshape(n, g, O // g, -1))       # a view
    if b is not None:
        y += b[:, None, None]
    return y


def _backward_w_on_gpu(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    O, g, K = w_shape[0], geometry.groups, int(np.prod(w_shape[1:]))
    dW = xp_of(x).zeros((g, O // g, K), dtype=x.dtype)
    for images, rows in _tiles(x, K, g, *dy.shape[2:]):
        columns = kernels.im2col(x[images], rows, dy.shape[3], (w_shape[2:], *geometry[:3]),
                                 side_by_side=True).reshape(g, K, -1)
        dy_tile = dy[images, :, rows].swapaxes(0, 1).reshape(g, O // g, -1)
        for k in range(g):                  # two matrices: their product takes one transposed as
            dW[k] += dy_tile[k] @ columns[k].T                      # it is, and copies nothing
    return dW.reshape(w_shape)


def _backward_x_on_gpu(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    O, g = len(w), geometry.groups
    WT = w.reshape(g, O // g, -1).swapaxes(-1, -2)
    dx = xp_of(dy).empty(x_shape, dtype=dy.dtype)
    for images, rows in _tiles(dy, WT.shape[1], g, *dy.shape[2:]):
        n = _len(images)
        dcolumns = WT @ dy[images, :, rows].reshape(n, g, O // g, -1)
        kernels.col2im(dcolumns.reshape(n, WT.shape[1] * g, -1), rows, dy.shape[3],
                       (w.shape[2:], *geometry[:3]), dx[images])
    return dx


def _column_tiles(x: Any, w_shape: tuple, geometry: Geometry,
                  cut: list[tuple[slice, slice]]) -> Iterator[tuple]:
    """Yield (images, rows, columns): im2col of one tile of `cut` after another, in one buffer."""
    xp = xp_of(x)
    (_, C, *HW), (_, _, KH, KW), g = x.shape, w_shape, geometry.groups
    OW = output_shape(x.shape, w_shape, geometry)[1]

    largest = max((_len(images) * _len(rows) for images, rows in cut), default=0)
    buffer = empty(xp, (C * KH * KW * OW * largest,), x.dtype)
    for images, rows in cut:
        n, r = _len(images), _len(rows)
        columns = buffer[:C * KH * KW * n * r * OW].reshape(C, KH, KW, n, r, OW)
        tile = x[images].swapaxes(0, 1)                             # a view: (C, n, H, W)
        for u, v, out_i, out_j, in_i, in_j in _taps(rows, OW, HW, (KH, KW), geometry):
            tap = columns[:, u, v]
            if out_i != slice(0, r) or out_j != slice(0, OW):
                tap[...] = 0                                # on the padding
            tap[:, :, out_i, out_j] = tile[:, :, in_i, in_j]
        yield images, rows, columns.reshape(g, C // g * KH * KW, n * r * OW)


def _len(part: slice) -> int:
    return part.stop - part.start


def _taps(rows: slice, OW: int, size: tuple, kernel: tuple, geometry: Geometry) -> Iterator:
    """Yield (u, v, output rows, output columns, pixel rows, pixel columns) for each tap."""
    (sh, sw), (ph, pw), (dh, dw), _ = geometry
    for u in range(kernel[0]):
        out_i, in_i = inside(u, rows.start, rows.stop, size[0], sh, ph, dh)
        for v in range(kernel[1]):
            out_j, in_j = inside(v, 0, OW, size[1], sw, pw, dw)
            yield u, v, out_i, out_j, in_i, in_j


def _tiles(x: Any, patch: int, g: int, OH: int, OW: int, first: int = 0
           ) -> Iterator[tuple[slice, slice]]:
    """Cut a batch into tiles of about CPU_TILE bytes, and into one a thread at least; `first` is
    the number of x[0]."""
    row_bytes = g * patch * OW * x.dtype.itemsize
    budget = GPU_TILE
    if xp_of(x) is np:
        budget = min(max(CPU_TILE, COLUMNS * patch * x.dtype.itemsize), 4 * CPU_TILE,
                     -(-len(x) * OH * row_bytes // threads()))
    for images, rows in tiles(len(x), OH, row_bytes, budget):
        yield slice(first + images.start, first + images.stop), rows
