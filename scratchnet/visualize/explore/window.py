"""Window — the numbers that a convolution or a pooling works with, for one channel of an image.

A layer's output pixel (i, j) looks at the pixels (see scratchnet/convolution/geometry.py)

    r(i, u) = i·s + u·d − p,  q(j, v) = j·s + v·d − p           u < KH,  v < KW

The page steps (i, j) over one output map o and shows those of one input map c, with the weights
w[o,c,u,v]; what the other maps and the bias add is y less this sum. Backwards it steps over the
pixels (r, q), and shows every dy[i,j] that comes back to it, times the tap through which it went.

Large maps are cut: of the output a block in the middle, of the input all that it looks at. So every
sum over a window is complete; backwards, the page steps only over pixels whose windows are all in
the block.
"""
import base64
from typing import Any

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import AvgPool2d, Conv2d, MaxPool2d
from scratchnet.visualize.explore.listen import Seen


def numbers(layer: Layer, seen: list[Seen], side: int = 48) -> dict[str, Any] | None:
    """Geometry, channels and numbers of a Conv2d, MaxPool2d or AvgPool2d; None for other layers.

    Input blocks have sides of about `side` pixels at most. Arrays are base64 of float32, rows one
    after another, one for each image; those of dy and dx are None without gradients.
    """
    if type(layer) not in (Conv2d, MaxPool2d, AvgPool2d):
        return None
    x, y = seen[0].xs[0][0], seen[0].y[0]
    conv = type(layer) is Conv2d
    geometry = layer.geometry if conv else layer
    stride, padding = geometry.stride, geometry.padding
    dilation = geometry.dilation if conv else (1, 1)
    c, o = _channels(layer, x, y)
    block = [_block(*axis, side) for axis in zip(x.shape[1:], y.shape[1:], layer.kernel_size,
                                                 stride, padding, dilation, strict=True)]
    (i0, i1, r0, r1), (j0, j1, q0, q1) = block
    found = {
        "kind": {Conv2d: "conv", MaxPool2d: "max", AvgPool2d: "mean"}[type(layer)],
        "kernel": list(layer.kernel_size), "stride": list(stride), "padding": list(padding),
        "dilation": list(dilation), "size": list(x.shape[1:]), "out": list(y.shape[1:]),
        "c": c, "o": o, "rows": [r0, r1], "columns": [q0, q1], "outRows": [i0, i1],
        "outColumns": [j0, j1], "x": [], "y": [], "dy": [], "dx": [],
        "others": [1, 1], "bias": None, "w": None,
        "countPad": getattr(layer, "count_include_pad", True),
    }
    if conv:
        groups, (O, C) = geometry.groups, layer.weight.value.shape[:2]
        found["w"] = _text(layer.weight.value[o, c % C])
        found["bias"] = None if layer.bias is None else float(layer.bias.value[o])
        found["others"] = [C, O // groups]
    for one in seen:
        found["x"].append(_text(one.xs[0][0, c, r0:r1, q0:q1]))
        found["y"].append(_text(one.y[0, o, i0:i1, j0:j1]))
        gone = one.dy is None or one.dx is None
        found["dy"].append(None if gone else _text(one.dy[0, o, i0:i1, j0:j1]))
        found["dx"].append(None if gone else _text(one.dx[0, c, r0:r1, q0:q1]))
    return found


def _channels(layer: Layer, x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """The input and the output map in which there is most to see: (c, o)."""
    if type(layer) is not Conv2d:
        c = int(x.var(axis=(1, 2)).argmax())
        return c, c
    o = int(y.var(axis=(1, 2)).argmax())
    O, C = layer.weight.value.shape[:2]
    first = o // (O // layer.geometry.groups) * C           # of the group's inputs
    strength = np.abs(layer.weight.value[o]).sum(axis=(1, 2))
    return first + int((strength * x[first:first + C].std(axis=(1, 2))).argmax()), o


def _block(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int,
           side: int) -> tuple[int, int, int, int]:
    """Along one axis: outputs i0 … i1−1, and the pixels r0 … r1−1 that they look at."""
    reach = dilation * (kernel - 1) + 1
    count = out if size <= side else max(1, min(out, (side - reach) // stride + 1))
    i0 = (out - count) // 2
    if count == out:
        return 0, out, 0, size
    return i0, i0 + count, max(0, i0 * stride - padding), \
        min(size, (i0 + count - 1) * stride - padding + reach)


def _text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()
