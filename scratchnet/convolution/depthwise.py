"""Depthwise — each channel has a filter of its own, and meets no other channel.

There is no sum over channels, so there is no matrix product to gain from columns. For each
of the KH·KW taps, one number a channel is multiplied with the pixels that this tap sees:

    y[n,c,i,j]    = Σ_u Σ_v w[c,u,v] · x[n, c, i·s+u·d−p, j·s+v·d−p]
    dx[n,c,r,q]  += w[c,u,v] · dy[n,c,i,j]       at the pixel r, q that tap u, v saw from i, j
    dw[c,u,v]     = Σ_n Σ_i Σ_j dy[n,c,i,j] · x[n, c, i·s+u·d−p, j·s+v·d−p]

Everything passes through memory KH·KW times, so it is done a tile of images and channels at
a time, small enough to stay in the cache. Within a tile the images are the innermost axis: one
tap of several small maps is one long run in memory.

Sifre, "Rigid-Motion Scattering for Image Classification", 2014; Howard et al., "MobileNets", 2017.
"""
from collections.abc import Iterator
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend import EACH, WORTH, empty, spread, xp_of
from scratchnet.convolution.geometry import Geometry, inside, output_shape

CPU_TILE = 512 << 10    # bytes of x at once: with y and a product, within a core's own cache
FEW = 8                 # fewer images are faster transposed one by one than all at once


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,c,i,j] = b[c] + Σ_u Σ_v w[c,u,v] · x[n, c, i·s+u·d−p, j·s+v·d−p]."""
    xp = xp_of(x)
    OH, OW = output_shape(x.shape, w.shape, geometry)
    if kernels.serve(x, w):
        y = kernels.depthwise(x, w, (OH, OW), (w.shape[2:], *geometry[:3]))
        if b is not None:
            y += b[:, None, None]
        return y
    y = empty(xp, x.shape[:2] + (OH, OW), xp.result_type(x, w))
    cut, taps = list(_tiles(x)), list(_taps(x.shape, y.shape, w.shape, geometry))

    def part(first: int, last: int) -> None:
        for tile, channels in cut[first:last]:
            x_tile, w_tile = _images_last(x[tile]), w[channels, 0, :, :, None, None, None]
            y_tile = xp.zeros((len(x_tile), OH, OW, x_tile.shape[3]), dtype=y.dtype)
            if b is not None:
                y_tile += b[channels, None, None, None]
            product = xp.empty_like(y_tile)
            for u, v, outputs, pixels in taps:
                xp.multiply(w_tile[:, u, v], x_tile[pixels], out=product[outputs])
                y_tile[outputs] += product[outputs]
            y[tile] = y_tile.transpose(3, 0, 1, 2)

    spread(part, len(cut), y.size * len(taps) > WORTH, EACH)
    return y


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx: every tap gives dy, times its weight, back to the pixel that it saw."""
    if kernels.serve(dy, w):
        return kernels.depthwise_backward_x(dy, w, x_shape, (w.shape[2:], *geometry[:3]))
    xp = xp_of(dy)
    dx = empty(xp, x_shape, xp.result_type(dy, w))
    cut, taps = list(_tiles(dx)), list(_taps(x_shape, dy.shape, w.shape, geometry))

    def part(first: int, last: int) -> None:
        for tile, channels in cut[first:last]:
            dy_tile, w_tile = _images_last(dy[tile]), w[channels, 0, :, :, None, None, None]
            dx_tile = xp.zeros((len(dy_tile), *x_shape[2:], dy_tile.shape[3]), dtype=dx.dtype)
            product = xp.empty(dy_tile.shape, dtype=dx.dtype)
            for u, v, outputs, pixels in taps:
                xp.multiply(w_tile[:, u, v], dy_tile[outputs], out=product[outputs])
                dx_tile[pixels] += product[outputs]
            dx[tile] = dx_tile.transpose(3, 0, 1, 2)

    spread(part, len(cut), dy.size * len(taps) > WORTH, EACH)
    return dx


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw[c,u,v]: dy times what tap u, v saw, summed over all places."""
    if kernels.serve(x, dy):
        return kernels.depthwise_backward_w(x, dy, w_shape, (w_shape[2:], *geometry[:3]))
    xp = xp_of(x)
    cut, taps = list(_tiles(x)), list(_taps(x.shape, dy.shape, w_shape, geometry))

    def part(first: int, last: int) -> Any:
        dw = xp.zeros(w_shape, dtype=xp.result_type(x, dy))
        for tile, channels in cut[first:last]:
            x_tile, dy_tile = _images_last(x[tile]), _images_last(dy[tile])
            for u, v, outputs, pixels in taps:
                dw[channels, 0, u, v] += xp.einsum("chwn,chwn->c", dy_tile[outputs],
                                                   x_tile[pixels])
        return dw

    return reduce(iadd, spread(part, len(cut), dy.size * len(taps) > WORTH))


def _tiles(x: Any) -> Iterator[tuple[tuple[slice, slice], slice]]:
    """Cut x's images and channels: yield ((images, channels), channels)."""
    N, C, H, W = x.shape
    room = max(1, (CPU_TILE if xp_of(x) is np else x.nbytes) // (H * W * x.dtype.itemsize))
    c = min(C, room)
    n = max(1, room // C)
    for i in range(0, N, n):
        for k in range(0, C, c):
            channels = slice(k, min(k + c, C))
            yield (slice(i, min(i + n, N)), channels), channels


def _taps(x_shape: tuple, y_shape: tuple, w_shape: tuple, geometry: Geometry) -> Iterator:
    """Yield (u, v, index into y, index into x): each tap, and where it sees a real pixel."""
    stride, padding, dilation, _ = geometry
    for u in range(w_shape[2]):
        out_i, in_i = inside(u, 0, y_shape[2], x_shape[2], stride[0], padding[0], dilation[0])
        for v in range(w_shape[3]):
            out_j, in_j = inside(v, 0, y_shape[3], x_shape[3], stride[1], padding[1], dilation[1])
            yield u, v, (slice(None), out_i, out_j), (slice(None), in_i, in_j)


def _images_last(x: Any) -> Any:
    """(n, C, H, W) → (C, H, W, n), contiguous; nothing is copied for one contiguous image.

    One tap of several small maps is then one long run in memory, not many short ones.
    """
    xp = xp_of(x)
    if not 1 < len(x) < FEW:
        return xp.ascontiguousarray(x.transpose(1, 2, 3, 0))
    last = xp.empty((*x.shape[1:], len(x)), dtype=x.dtype)
    for n, image in enumerate(x):
        last[..., n] = image
    return last
