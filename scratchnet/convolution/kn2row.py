"""kn2row — a convolution as KH·KW pointwise ones, shifted and added: for few outputs.

A convolution sums over channels and over the taps of its kernel. im2col copies what the taps see,
and then sums over all of it at once; here the channels are summed first, at every pixel, for each
tap by itself, and what the taps say of the pixels they look at is added up afterwards:

    Z[o,u,v,r,q] = Σ_c w[o,c,u,v] · x[n,c,r,q]              one matrix product, x[n] as it lies
    y[n,o,i,j]   = b[o] + Σ_u Σ_v Z[o, u, v, i+u−p, j+v−p]

im2col copies C·KH·KW numbers for each pixel, this adds O·KH·KW: it is for many channels and few
outputs (DenseNet: 128 to 32). With stride 1 and images that keep their size, to move a map by some
rows and columns is to read it from another number on, one run for the whole map. Only where a row
ends, this runs on into the next: the columns of Z that no output may see are set to 0 first.

Backward. Z is moved and added, so its gradient is dy moved back, 0 in the columns that were set to
0; and Z = w · x is a matrix product:

    dZ[o, u, v, i+u−p, j+v−p] = dy[n,o,i,j]
    dx[n] = wᵀ · dZ             dw = Σ_n dZ · x[n]ᵀ

Shapes:  x (N, C, H, W)   w (O, C, KH, KW)   y (N, O, H, W)   Z (KH, KW, O, H·W), of each image
Vasudevan, Anderson & Gregg, "Parallel Multi Channel Convolution using General Matrix
Multiplication", ASAP 2017.
"""
import math
from collections.abc import Callable, Iterator
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from scratchnet.backend import EACH, Workspace, empty, spread, threads
from scratchnet.convolution.geometry import Geometry

TILE = 2 << 20          # bytes of Z at once, of several images where they are small
LARGE = 4 << 20         # bytes of one image's Z, from which no cache holds it
FEW = 32                # outputs; with more, Winograd's algorithm saves more than it copies


def fits(w_shape: tuple, geometry: Geometry, dtype: Any) -> bool:
    """Whether this convolution can be computed so: stride 1, no groups, images that keep their
    size, float32."""
    return (geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
            and all(2 * p == K - 1 for p, K in zip(geometry.padding, w_shape[2:], strict=True))
            and dtype == np.float32)


def pays(x_shape: tuple, w_shape: tuple, geometry: Geometry) -> bool:
    """Whether it is faster than the others, as measured: few outputs, many channels."""
    O, C, *kernel = w_shape
    return (O <= FEW and 2 * O <= C and max(kernel) <= 3 and threads() <= x_shape[0]
            and _bytes(w_shape, x_shape[2:]) <= LARGE)


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_u Σ_v Z[o, u, v, i+u−p, j+v−p]."""
    (N, C, H, W), (O, _, KH, KW) = x.shape, w.shape
    y = empty(np, (N, O, H, W), np.float32)
    taps = w.transpose(2, 3, 0, 1).reshape(-1, C)                   # (KH·KW·O, C)
    x = x.reshape(N, C, H * W)

    def part(images: slice, space: Workspace) -> None:
        y_n = y[images].reshape(-1, O, H * W)
        Z = space("Z", (len(y_n), KH * KW * O, H * W))
        np.matmul(taps, x[images], out=Z)
        y_n[...] = 0 if b is None else b[:, None]
        for Z_uv, outputs, pixels, unseen in _taps(Z, w.shape, (H, W)):
            Z_uv.reshape(*Z_uv.shape[:2], H, W)[..., unseen] = 0
            y_n[..., outputs] += Z_uv[..., pixels]

    _over_images(part, N, w.shape, (H, W))
    return y


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx[n] = wᵀ · dZ."""
    N, C, H, W = x_shape
    dx = empty(np, (N, C, H * W), np.float32)
    tapsT = np.ascontiguousarray(w.transpose(1, 2, 3, 0).reshape(C, -1))      # (C, KH·KW·O)

    def part(images: slice, space: Workspace) -> None:
        np.matmul(tapsT, _moved(dy[images], w.shape, space), out=dx[images])

    _over_images(part, N, w.shape, (H, W))
    return dx.reshape(x_shape)


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw = Σ_n dZ · x[n]ᵀ."""
    (N, C, H, W), O = x.shape, w_shape[0]
    x = x.reshape(N, C, H * W)

    def part(images: slice, space: Workspace) -> Any:
        dZ = _moved(dy[images], w_shape, space)
        return np.matmul(dZ, x[images].swapaxes(1, 2)).sum(axis=0)

    dtaps = reduce(iadd, _over_images(part, N, w_shape, (H, W)))     # (KH·KW·O, C)
    return np.ascontiguousarray(dtaps.reshape(*w_shape[2:], O, C).transpose(2, 3, 0, 1))


def _moved(dy: Any, w_shape: tuple, space: Workspace) -> Any:
    """dZ of some images, (n, KH·KW·O, H·W): dy (n, O, H, W) as each tap saw it."""
    n, O, H, W = dy.shape
    dy = dy.reshape(n, O, H * W)
    dZ = space("dZ", (n, math.prod(w_shape[2:]) * O, H * W))
    for dZ_uv, outputs, pixels, unseen in _taps(dZ, w_shape, (H, W)):
        dZ_uv[..., :pixels.start], dZ_uv[..., pixels.stop:] = 0, 0
        dZ_uv[..., pixels] = dy[..., outputs]
        dZ_uv.reshape(n, O, H, W)[..., unseen] = 0
    return dZ


def _taps(Z: Any, w_shape: tuple, size: tuple[int, int]) -> Iterator[tuple]:
    """Yield, for each tap, (its part of Z, (n, O, H·W); the outputs, and the pixels that they see,
    as numbers of a map; the columns of the image that no output sees)."""
    (O, _, KH, KW), (H, W) = w_shape, size
    for u in range(KH):
        for v in range(KW):
            down, right = u - KH // 2, v - KW // 2
            far = min(max(down * W + right, -H * W), H * W)
            outputs = slice(max(0, -far), H * W - max(0, far))
            pixels = slice(max(0, far), H * W - max(0, -far))
            first = (u * KW + v) * O
            yield (Z[:, first:first + O], outputs, pixels,
                   slice(0, right) if right >= 0 else slice(max(0, W + right), W))


def _bytes(w_shape: tuple, size: tuple[int, int]) -> int:
    """Bytes of one image's Z."""
    return 4 * w_shape[0] * math.prod(w_shape[2:]) * math.prod(size)


def _over_images(part: Callable, N: int, w_shape: tuple, size: tuple[int, int]) -> list:
    """Call part(images, space) for a few images at a time, spread over the threads."""
    at_once = max(1, min(TILE // _bytes(w_shape, size), -(-N // threads())))
    tiles = [slice(n, min(n + at_once, N)) for n in range(0, N, at_once)]

    def run(first: int, last: int) -> list:
        space = Workspace()
        return [part(images, space) for images in tiles[first:last]]

    return [result for results in spread(run, len(tiles), each=EACH) for result in results]
