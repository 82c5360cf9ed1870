"""Cost — what a network costs: output shapes, parameters, multiply-accumulates.

    print(summary(models.alexnet(), (3, 227, 227)))

One multiply-accumulate (MAC) is w·x added to a sum. Only convolutions and linear layers
count, without biases: the convention of the papers, which often call MACs "FLOPs" (real
FLOPs are twice as many).

    Conv2d      params  O·(C/g)·KH·KW + O       MACs  OH·OW · O·(C/g)·KH·KW
    Linear      params  O·I + O                 MACs  O·I
"""
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import device_of, to_device
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import BatchNorm2d, Conv2d, Linear


@dataclass(frozen=True)
class Row:
    """One layer of the table; shapes are those of one image, without the batch."""

    name: str
    layer: str
    output_shape: tuple[int, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Summary:
    """A network's table: `rows`, and the totals `params` and `macs`; `print` it."""

    rows: list[Row]
    params: int
    macs: int

    def __str__(self) -> str:
        table = [("layer", "", "output", "parameters", "MACs")]
        table += [(row.name, row.layer, "×".join(map(str, row.output_shape)),
                   f"{row.params:,}" if row.params else "", f"{row.macs:,}" if row.macs else "")
                  for row in self.rows]
        table.append(("total", "", "", f"{self.params:,}", f"{self.macs:,}"))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        just = (str.ljust, str.ljust, str.ljust, str.rjust, str.rjust)
        return "\n".join("  ".join(j(cell, w) for j, cell, w in
                                   zip(just, line, widths, strict=True)).rstrip()
                         for line in table)


def summary(model: Layer, input_shape: tuple[int, ...]) -> Summary:
    """Run one black image of `input_shape`, (C, H, W) without the batch, through `model`.

    Lists every innermost layer in the order in which it runs. Shared parameters count once,
    in the layer that comes first. The model is left as it was, in its own mode.
    """
    if not isinstance(input_shape, tuple | list):
        raise ValueError(f"summary expects the shape of one image, such as (3, 224, 224); got "
                         f"{input_shape!r}")
    parameters = model.parameters()
    dtype = parameters[0].value.dtype if parameters else np.float32
    x = np.zeros((1, *input_shape), dtype=dtype)
    if parameters:
        x = to_device(x, device_of(parameters[0].value))
    modes = [(layer, layer.training) for _, layer in model.named_layers()]
    with no_grad(), _watched(model) as seen:
        try:
            model.eval().forward(x)
        finally:
            for layer, training in modes:
                layer.training = training
    rows, counted = [], set()
    for name, layer, y_shape in seen:
        mine = [p for p in layer.parameters() if id(p) not in counted]
        counted.update(map(id, mine))
        rows.append(Row(name, repr(layer), y_shape[1:], sum(p.value.size for p in mine),
                        macs(layer, y_shape)))
    return Summary(rows, sum(p.value.size for p in parameters), sum(row.macs for row in rows))


def macs(layer: Layer, y_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates for one image, given the shape of the layer's output."""
    if isinstance(layer, Conv2d | Linear):
        return math.prod(y_shape[1:]) * math.prod(layer.weight.value.shape[1:])
    return 0


def params_sum(layer: Layer) -> str:
    """The layer's parameters as a sum one can follow: "11·11·3·96 + 96"."""
    if isinstance(layer, Conv2d):
        KH, KW = layer.kernel_size
        g = layer.geometry.groups
        text = f"{KH}·{KW}·{layer.in_channels // g}·{layer.out_channels}"
        return text + (f" + {layer.out_channels}" if layer.bias is not None else "")
    if isinstance(layer, Linear):
        text = f"{layer.in_features}·{layer.out_features}"
        return text + (f" + {layer.out_features}" if layer.bias is not None else "")
    if isinstance(layer, BatchNorm2d):
        return f"{layer.num_features} + {layer.num_features}"
    return " + ".join(str(p.value.size) for p in layer.parameters()) or "0"


@contextmanager
def _watched(model: Layer) -> Iterator[list]:
    """Note (name, layer, output shape) each time an innermost layer runs."""
    seen: list[tuple[str, Layer, tuple]] = []
    inner = [(name, layer) for name, layer in model.named_layers()
             if not any(True for _ in layer.children())]

    def watch(name: str, layer: Layer) -> None:
        forward = layer.forward

        def noted(*xs: Any) -> Any:
            y = forward(*xs)
            seen.append((name, layer, y.shape))
            return y
        layer.forward = noted           # on this one object, until the end of the `with`

    for name, layer in inner:
        watch(name, layer)
    try:
        yield seen
    finally:
        for _, layer in inner:
            del layer.forward
