"""The algorithms behind Conv2d: each computes the same three things, and this file chooses.

    forward(x, w, geometry)                 y
    backward_x(dy, w, x_shape, geometry)    dx
    backward_w(x, dy, w_shape, geometry)    dw

    im2col      any convolution: patches copied into columns, then one matrix product
    pointwise   1×1 kernels without padding: a matrix product, nothing to copy
    depthwise   one filter a channel: nothing to sum over, a product for each tap
"""
from types import ModuleType
from typing import Any

from scratchnet.convolution import depthwise, im2col, pointwise
from scratchnet.convolution.geometry import Geometry, inside, output_size, pair, short, whole

__all__ = ["Geometry", "backward_w", "backward_x", "choose", "forward", "inside",
           "output_size", "pair", "short", "whole"]


def choose(w_shape: tuple[int, ...], geometry: Geometry) -> ModuleType:
    """Return the fastest algorithm that can compute this convolution."""
    if w_shape[2:] == (1, 1) and geometry.padding == (0, 0):
        return pointwise
    if geometry.groups > 1 and geometry.groups == w_shape[0] and w_shape[1] == 1:
        return depthwise
    return im2col


def forward(x: Any, w: Any, geometry: Geometry) -> Any:
    """Return y (N, O, OH, OW)."""
    return choose(w.shape, geometry).forward(x, w, geometry)


def backward_x(dy: Any, w: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """Return dx (N, C, H, W)."""
    return choose(w.shape, geometry).backward_x(dy, w, x_shape, geometry)


def backward_w(x: Any, dy: Any, w_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """Return dw (O, C/g, KH, KW)."""
    return choose(w_shape, geometry).backward_w(x, dy, w_shape, geometry)
