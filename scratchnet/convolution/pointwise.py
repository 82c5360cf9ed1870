"""Pointwise — a 1×1 convolution is a matrix product at every pixel, and copies nothing.

Seen as a matrix of C channels by H·W pixels, an image already is its own im2col:

    y[n] = W · x[n]              W: O × C
    dx[n] = Wᵀ · dy[n]           dW = Σ_n dy[n] · x[n]ᵀ

With a stride only every s-th pixel takes part; the others get no gradient.

Maps of a few pixels make thin matrices, which a processor multiplies slowly. Several of them are
laid side by side first, C × n·H·W, and the product is cut up again: a copy of x, but each
number of it takes part in O products. (A GPU is asked once for all images: the products of a batch
are one launch, and what is laid side by side for dW are the columns of im2col.)

Lin, Chen & Yan, "Network In Network", ICLR 2014.
"""
from functools import reduce
from operator import iadd
from typing import Any

from scratchnet import kernels
from scratchnet.backend import EACH, WORTH, empty, spread, xp_of
from scratchnet.convolution import im2col
from scratchnet.convolution.geometry import Geometry

WIDE = 128          # pixels from which a matrix is not thin


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c w[o,c] · x[n, c, i·s, j·s]."""
    x = _seen(x, geometry)
    N, C, OH, OW = x.shape
    O, g = len(w), geometry.groups
    y = _product(w.reshape(g, O // g, C // g), x.reshape(N, g, C // g, OH * OW), b)
    return y.reshape(N, O, OH, OW)


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dW = Σ_n dy[n] · x[n]ᵀ, one image at a time: no array of N weight gradients."""
    if kernels.serve(x, dy):
        return im2col.backward_w(x, dy, w_shape, geometry)
    x = _seen(x, geometry)
    xp, g = xp_of(x), geometry.groups
    (N, C, OH, OW), O = x.shape, w_shape[0]
    x, dy = x.reshape(N, g, C // g, OH * OW), dy.reshape(N, g, O // g, OH * OW)
    at_once = _images_at_once(OH * OW)

    def part(first: int, last: int) -> Any:
        dW = xp.zeros((g, O // g, C // g), dtype=xp.result_type(x, dy))
        for n in range(first, last, at_once):
            stop = min(n + at_once, last)
            dW += _side_by_side(dy[n:stop]) @ _side_by_side(x[n:stop]).swapaxes(-1, -2)
        return dW

    return reduce(iadd, spread(part, N, x.size * (O // g) > WORTH)).reshape(w_shape)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx[n] = Wᵀ · dy[n], at the pixels that were seen."""
    xp, g = xp_of(dy), geometry.groups
    N, O, OH, OW = dy.shape
    C = x_shape[1]
    WT = w.reshape(g, O // g, C // g).swapaxes(-1, -2)
    dx_seen = _product(WT, dy.reshape(N, g, O // g, OH * OW)).reshape(N, C, OH, OW)
    if geometry.stride == (1, 1):
        return dx_seen
    dx = empty(xp, x_shape, dx_seen.dtype)
    dx[...] = 0
    _seen(dx, geometry)[...] = dx_seen
    return dx


def _side_by_side(x: Any) -> Any:
    """(n, g, C, P) → (g, C, n·P); nothing is copied for one image."""
    return x.transpose(1, 2, 0, 3).reshape(*x.shape[1:3], -1)


def _product(W: Any, x: Any, b: Any = None) -> Any:
    """W (g, O, C) · x (N, g, C, P) + b = y (N, g, O, P)."""
    xp = xp_of(x)
    (N, g, _, P), O = x.shape, W.shape[1]
    if kernels.serve(W, x):
        y = xp.matmul(W, x)
        return y if b is None else xp.add(y, b.reshape(g, O, 1), out=y)
    y = empty(xp, (N, g, O, P), xp.result_type(W, x))
    at_once = _images_at_once(P)
    bias = None if b is None else b.reshape(g, O, 1)

    def part(first: int, last: int) -> None:
        for n in range(first, last, at_once):
            tile = y[n:min(n + at_once, last)]
            if at_once == 1:
                xp.matmul(W, x[n], out=tile[0])
            else:
                product = xp.matmul(W, _side_by_side(x[n:n + len(tile)]))
                tile[...] = product.reshape(g, O, len(tile), P).transpose(2, 0, 1, 3)
            if bias is not None:
                tile += bias                    # while it is in the cache

    spread(part, N, y.size * W.shape[2] > WORTH, EACH if at_once == 1 else 1)
    return y


def _images_at_once(pixels: int) -> int:
    """How many maps are laid side by side: 1 where one is wide enough."""
    return 1 if pixels >= WIDE else -(-4 * WIDE // pixels)


def _seen(x: Any, geometry: Geometry) -> Any:
    """The pixels that a 1×1 kernel looks at: a view."""
    sh, sw = geometry.stride
    return x[:, :, ::sh, ::sw]
