"""The algorithms behind Conv2d: each computes the same three things, and this file chooses.

    forward(x, w, geometry, b)              y
    backward_x(dy, w, x_shape, geometry)    dx
    backward_w(x, dy, w_shape, geometry)    dw

    im2col      any convolution: patches copied into columns, then one matrix product
    pointwise   1×1 kernels without padding: a matrix product, nothing to copy
    depthwise   one filter a channel: nothing to sum over, a product for each tap
    depthwise_strips    the same by matrix products all the same, in float32 on the CPU
    kn2row      many channels, few outputs, in float32 on the CPU: 1×1 kernels, shifted and added
    winograd    3×3 with stride 1, in float32 on the CPU: a quarter of the multiplications
    winograd_rows       the same along one axis, 2×2 to 5×5, groups too: half of them, less to copy
    space_to_depth      11×11 with stride 4 (AlexNet) and 7×7 with stride 2 (ResNet) as 3×3 and 4×4
                        with stride 1, for winograd_rows

(maximum is no convolution: it has the same windows, for MaxPool2d.)
"""
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from scratchnet.backend import xp_of
from scratchnet.convolution import (
    depthwise,
    depthwise_strips,
    im2col,
    kn2row,
    pointwise,
    space_to_depth,
    winograd,
    winograd_rows,
)
from scratchnet.convolution.geometry import Geometry, inside, output_size, pair, short, whole

__all__ = ["ALGORITHMS", "Geometry", "backward_w", "backward_x", "choose", "forward", "inside",
           "local", "output_size", "pair", "short", "whole"]

ALGORITHMS = {"depthwise": depthwise, "depthwise_strips": depthwise_strips, "im2col": im2col,
              "kn2row": kn2row, "pointwise": pointwise, "space_to_depth": space_to_depth,
              "winograd": winograd, "winograd_rows": winograd_rows}

MIXING = depthwise_strips, space_to_depth, winograd, winograd_rows      # pixels; see local()

_mode = threading.local()


@contextmanager
def local() -> Iterator[None]:
    """`with local():` no number depends on pixels that its filter does not look at, not even by
    rounding or NaN. (Winograd mixes the pixels of its tiles, small images' with those of three
    neighbours: NaN in one is NaN in up to 64 outputs. So do depthwise_strips, and space_to_depth by
    way of winograd_rows.)"""
    outer, _mode.local = getattr(_mode, "local", False), True
    try:
        yield
    finally:
        _mode.local = outer


def choose(x: Any, w_shape: tuple[int, ...], geometry: Geometry, algorithm: str | None = None,
           x_shape: tuple[int, ...] | None = None) -> ModuleType:
    """Return the algorithm that is fastest for images like x, or for output gradients like x of
    images of x_shape; or the one that is asked for by name.

    Within `local()` a name whose algorithm mixes pixels counts as no name. Raises ValueError for a
    name that is unknown, or one that cannot compute this convolution.
    """
    local_ = getattr(_mode, "local", False)
    x_shape = x.shape if x_shape is None else x_shape
    fast = {module: xp_of(x) is np and module.fits(w_shape, geometry, x.dtype)
            for module in (depthwise_strips, space_to_depth, kn2row, winograd, winograd_rows)}
    depthwise_ = geometry.groups == w_shape[0] and w_shape[1] == 1
    possible = {im2col: True, depthwise: depthwise_,
                pointwise: w_shape[2:] == (1, 1) and geometry.padding == (0, 0), **fast}
    if algorithm is not None:
        if not possible.get(ALGORITHMS.get(algorithm)):
            can = ", ".join(name for name, module in ALGORITHMS.items() if possible[module])
            raise ValueError(f"algorithm {algorithm!r} cannot compute this convolution; {can} can")
        if not (local_ and ALGORITHMS[algorithm] in MIXING):
            return ALGORITHMS[algorithm]
    if possible[pointwise]:
        return pointwise
    for module, fits in fast.items():
        if (fits and not (local_ and module in MIXING)
                and module.pays(x_shape, w_shape, geometry)):
            return module
    return depthwise if depthwise_ and geometry.groups > 1 else im2col


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None, algorithm: str | None = None
            ) -> Any:
    """Return y (N, O, OH, OW)."""
    return choose(x, w.shape, geometry, algorithm).forward(x, w, geometry, b)


def backward_x(dy: Any, w: Any, x_shape: tuple[int, ...], geometry: Geometry,
               algorithm: str | None = None) -> Any:
    """Return dx (N, C, H, W)."""
    return choose(dy, w.shape, geometry, algorithm, x_shape).backward_x(dy, w, x_shape, geometry)


def backward_w(x: Any, dy: Any, w_shape: tuple[int, ...], geometry: Geometry,
               algorithm: str | None = None) -> Any:
    """Return dw (O, C/g, KH, KW)."""
    return choose(dy, w_shape, geometry, algorithm).backward_w(x, dy, w_shape, geometry)
