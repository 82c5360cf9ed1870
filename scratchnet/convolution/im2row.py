"""im2row — im2col with the channels innermost, on the CPU.

The same matrix product as in im2col.py, with a patch in each row and its numbers in another order:

    rows = im2row(x)             (N·OH·OW) × (KH·KW·C): each row is one patch
    y    = rows · Wᵀ             W: O × (KH·KW·C)

    dW = dyᵀ · rows              dx = im2rowᵀ(dy · W): add up what was copied

In memory an image is C maps, and a patch takes a few numbers here and there from each. Laid out
with the channels innermost first, pixel by pixel, one row of a patch is a single run of KW·C
numbers, whatever the stride is; long runs are what a computer copies fast. It pays from some
16 channels on; with 3 channels im2col's runs, rows of an output, are longer.
"""
from collections.abc import Callable
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet.backend import empty, spread, threads
from scratchnet.convolution.geometry import Geometry, output_shape, tiles

TILE = 16 << 20         # bytes of rows at once: BLAS wants many more than it wants them near
FOUR = 4                # rows of pixels transposed at once: a core's first cache holds them


def fits(geometry: Geometry) -> bool:
    """Whether this convolution can be computed so: every output sees all channels."""
    return geometry.groups == 1


def pays(w_shape: tuple) -> bool:
    """Whether it is faster than im2col, as measured."""
    return w_shape[1] >= 16


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·s+u·d−p, j·s+v·d−p]."""
    N, O = len(x), len(w)
    OH, OW = output_shape(x.shape, w.shape, geometry)
    WT = w.transpose(2, 3, 1, 0).reshape(-1, O)                     # (KH·KW·C, O)
    y = empty(np, (N, O, OH, OW), np.result_type(x, w))

    def part(cut: list) -> None:
        for images, rows in cut:
            product = _rows(x, images, rows, w.shape, geometry) @ WT
            if b is not None:
                product += b
            _to_maps(product.reshape(_len(images), _len(rows), OW, O), y[images, :, rows])

    _spread(part, N, OH, OW * WT.shape[0] * x.itemsize)
    return y


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dW = dyᵀ · rows: every place where a filter looked, times its error there."""
    O, C, KH, KW = w_shape

    def part(cut: list) -> Any:
        dW = np.zeros((O, KH * KW * C), dtype=np.result_type(x, dy))
        for images, rows in cut:
            dy_tile = _to_pixels(dy[images, :, rows]).reshape(-1, O)
            dW += dy_tile.T @ _rows(x, images, rows, w_shape, geometry)
        return dW

    dW = reduce(iadd, _spread(part, len(x), dy.shape[2],
                              dy.shape[3] * KH * KW * C * x.itemsize))
    return np.ascontiguousarray(dW.reshape(O, KH, KW, C).transpose(0, 3, 1, 2))


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx = im2rowᵀ(dy · W): every filter that looked at a pixel, times its error."""
    (N, C, H, W_), (O, _, KH, KW) = x_shape, w.shape
    (sh, sw), (ph, pw), (dh, dw), _ = geometry
    OH, OW = dy.shape[2:]
    W = np.ascontiguousarray(w.transpose(0, 2, 3, 1)).reshape(O, -1)        # (O, KH·KW·C)
    dx = empty(np, x_shape, np.result_type(dy, w))

    def part(first: int, last: int) -> None:
        image_bytes = OH * OW * W.shape[1] * dx.itemsize
        at_once = max(1, TILE // max(1, image_bytes))
        for n in range(first, last, at_once):
            some = slice(n, min(n + at_once, last))
            drows = (_to_pixels(dy[some]).reshape(-1, O) @ W).reshape(-1, OH, OW, KH, KW, C)
            padded = np.zeros((len(drows), H + 2 * ph, W_ + 2 * pw, C), dtype=dx.dtype)
            for u in range(KH):
                for v in range(KW):
                    rows = slice(u * dh, u * dh + sh * (OH - 1) + 1, sh)
                    columns = slice(v * dw, v * dw + sw * (OW - 1) + 1, sw)
                    padded[:, rows, columns] += drows[:, :, :, u, v]
            _to_maps(padded[:, ph:ph + H, pw:pw + W_], dx[some])

    spread(part, N)
    return dx


def _spread(part: Callable, N: int, OH: int, row_bytes: int) -> list:
    """Cut a batch into tiles, of some images or some rows of outputs; call part on a list of them
    for each thread."""
    cut = list(tiles(N, OH, row_bytes, min(TILE, -(-N * OH * row_bytes // threads()))))
    return spread(lambda first, last: part(cut[first:last]), len(cut))


def _rows(x: Any, images: slice, rows: slice, w_shape: tuple, geometry: Geometry) -> Any:
    """Copy the patches that some rows of outputs see: (n·rows·OW, KH·KW·C)."""
    (_, C, H, W), (_, _, KH, KW), n, r = x.shape, w_shape, _len(images), _len(rows)
    (sh, sw), (ph, pw), (dh, dw), _ = geometry
    OW = output_shape(x.shape, w_shape, geometry)[1]
    padded = empty(np, (n, (r - 1) * sh + (KH - 1) * dh + 1, (OW - 1) * sw + (KW - 1) * dw + 1, C),
                   x.dtype)
    padded[...] = 0
    top = rows.start * sh - ph                                      # where padded begins in x
    first, last = max(top, 0), min(top + padded.shape[1], H)
    width = min(W, padded.shape[2] - pw)
    if last > first and width > 0:
        _transpose(x[images, :, first:last, :width].transpose(0, 2, 3, 1),
                   padded[:, first - top:last - top, pw:pw + width])

    i, h, w, c = padded.strides
    view = np.lib.stride_tricks.as_strided(padded, (n, r, OW, KH, KW, C),
                                           (i, sh * h, sw * w, dh * h, dw * w, c), writeable=False)
    out = empty(np, view.shape, x.dtype)
    out[...] = view
    return out.reshape(n * r * OW, KH * KW * C)


def _to_pixels(x: Any) -> Any:
    """(n, C, H, W) → (n, H, W, C), contiguous."""
    out = empty(np, (len(x), *x.shape[2:], x.shape[1]), x.dtype)
    _transpose(x.transpose(0, 2, 3, 1), out)
    return out


def _to_maps(pixels: Any, out: Any) -> None:
    """(n, H, W, C) → (n, C, H, W), into `out`."""
    _transpose(pixels, out.transpose(0, 2, 3, 1))


def _transpose(x: Any, out: Any) -> None:
    """out[...] = x, both (n, H, W, C), whose numbers lie in different orders."""
    for image, place in zip(x, out, strict=True):
        for h in range(0, len(image), FOUR):
            place[h:h + FOUR] = image[h:h + FOUR]


def _len(part: slice) -> int:
    return part.stop - part.start
