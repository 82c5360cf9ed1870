"""Pointwise — a 1×1 convolution is a matrix product at every pixel, and copies nothing.

Seen as a matrix of C channels by H·W pixels, an image already is its own im2col:

    y[n] = W · x[n]              W: O × C
    dx[n] = Wᵀ · dy[n]           dW = Σ_n dy[n] · x[n]ᵀ

With a stride only every s-th pixel takes part; the others get no gradient.

Lin, Chen & Yan, "Network In Network", ICLR 2014.
"""
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.convolution.geometry import Geometry


def forward(x: Any, w: Any, geometry: Geometry) -> Any:
    """y[n,o,i,j] = Σ_c w[o,c] · x[n, c, i·s, j·s]."""
    x = _seen(x, geometry)
    N, C, OH, OW = x.shape
    O, g = len(w), geometry.groups
    y = w.reshape(1, g, O // g, C // g) @ x.reshape(N, g, C // g, OH * OW)
    return y.reshape(N, O, OH, OW)


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dW = Σ_n dy[n] · x[n]ᵀ, one image at a time: no array of N weight gradients."""
    x = _seen(x, geometry)
    xp, g = xp_of(x), geometry.groups
    O, C = w_shape[0], x.shape[1]
    dW = xp.zeros((g, O // g, C // g), dtype=xp.result_type(x, dy))
    for x_n, dy_n in zip(x, dy, strict=True):
        dW += dy_n.reshape(g, O // g, -1) @ x_n.reshape(g, C // g, -1).swapaxes(-1, -2)
    return dW.reshape(w_shape)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx[n] = Wᵀ · dy[n], at the pixels that were seen."""
    xp, g = xp_of(dy), geometry.groups
    N, O, OH, OW = dy.shape
    C = x_shape[1]
    WT = w.reshape(1, g, O // g, C // g).swapaxes(-1, -2)
    dx_seen = (WT @ dy.reshape(N, g, O // g, OH * OW)).reshape(N, C, OH, OW)
    if geometry.stride == (1, 1):
        return dx_seen
    dx = xp.zeros(x_shape, dtype=dx_seen.dtype)
    _seen(dx, geometry)[...] = dx_seen
    return dx


def _seen(x: Any, geometry: Geometry) -> Any:
    """The pixels that a 1×1 kernel looks at: a view."""
    sh, sw = geometry.stride
    return x[:, :, ::sh, ::sw]
