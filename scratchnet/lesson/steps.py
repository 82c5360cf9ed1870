"""Steps — a network layer by layer as the lessons print it, and what changed since another.

    steps(models.zfnet(), (3, 224, 224))

    layer    output     parameters             MACs   gradient
    conv1    96×110×110 7·7·3·96 + 96 = 14,208 …      correct, 4e-16

For each step: its output for one image; its parameters as a sum that one can follow; its
multiply-accumulates; the gradient check, on an image that is as small as the layer allows, and for
layers and blocks of the same make (all that is in them alike) only the first time. "·" stands for
nothing to count or check.
"""
from collections import Counter
from typing import Any

import numpy as np

from scratchnet import gradcheck
from scratchnet.compare import networks
from scratchnet.cost import Summary, params_sum, summary
from scratchnet.layer import Layer, no_grad
from scratchnet.models import get_model, input_shape

SIZES = ((5, 6), (9, 11), (15, 19), (33, 35), (67, 67))     # for the check, the first that fits
FEW = 64                # outputs of a linear layer that are checked, of all its inputs


class Step:
    """One row: `name`, `layer`, `output` (C, H, W) or (F,), `params`, `sum`, `macs`, `report` (the
    gradient check; None if there is nothing to check, or it was checked above)."""

    def __init__(self, name: str, layer: Layer, output: tuple[int, ...], params: int, macs: int):
        self.name, self.layer, self.output = name, layer, output
        self.params, self.macs = params, macs
        simple = not list(layer.children())
        self.sum = params_sum(layer) if params and simple else ""
        self.report: gradcheck.Report | None = None


def steps(network: Layer, shape: tuple[int, ...], check: bool = True) -> list[Step]:
    """Print the table of a network's children, one row each, for images of `shape` (C, H, W), and
    return its rows. A child that holds others (a block) is one row.

    The network is one that runs its children one after another, as Sequential does. Raises
    AssertionError, with the report, where a gradient is wrong.
    """
    x = np.zeros((1, *shape), dtype=np.float32)
    rows: list[Step] = []
    seen: dict[str, str] = {}
    print(f"{'layer':14s} {'output':>13s}  {'parameters':>36s} {'MACs':>15s}  gradient")
    with no_grad():
        for name, layer in network.children():
            y = layer.eval().forward(x)
            table = summary(layer, x.shape[1:])
            step = Step(name, layer, y.shape[1:], table.params, table.macs)
            told = "·"
            if check and (step.params or step.macs):
                make = " ".join(map(str, [layer, *(child for _, child in layer.named_layers())]))
                if make in seen:
                    told = f"as {seen[make]}"
                else:
                    seen[make] = name
                    step.report = check_small(layer.train(), x.shape[1:])
                    told = f"{step.report.verdict}, {step.report.worst:.0e}"
            elif check:
                step.report = check_small(layer.train(), x.shape[1:])
                told = f"{step.report.verdict}, {step.report.worst:.0e}"
            rows.append(step)
            params = f"{step.sum} = {step.params:,}" if step.sum else f"{step.params:,}"
            print(f"{name:14s} {_shape(step.output):>13s}  {params if step.params else '·':>36s} "
                  f"{f'{step.macs:,}' if step.macs else '·':>15s}  {told}")
            x = y
    print(f"{'total':14s} {'':13s}  {f'{sum(r.params for r in rows):,}':>36s} "
          f"{f'{sum(r.macs for r in rows):,}':>15s}")
    for row in rows:
        assert row.report is None or row.report.passed, row.report
    return rows


def check_small(layer: Layer, shape: tuple[int, ...]) -> gradcheck.Report:
    """Check a layer's gradients, with all its inputs and channels, on a small image."""
    from scratchnet.layers import Linear
    rng = np.random.default_rng(0)
    if isinstance(layer, Linear) and layer.out_features > FEW:
        small = Linear(layer.in_features, FEW)
        small.weight.value = layer.weight.value[:FEW]
        small.bias.value = layer.bias.value[:FEW]
        return gradcheck.check(small, rng.standard_normal((2, layer.in_features)), probes=2)
    if len(shape) == 1:
        return gradcheck.check(layer, rng.standard_normal((2, *shape)), probes=2)
    for size in (*SIZES, shape[1:]):
        size = tuple(map(min, size, shape[1:]))
        try:
            with no_grad():
                layer.forward(np.zeros((2, shape[0], *size), dtype=np.float32))
        except ValueError:              # too small to be looked at
            continue
        return gradcheck.check(layer, rng.standard_normal((2, shape[0], *size)), probes=2)
    raise ValueError(f"no image is small enough for {layer}")


def what_changed(before: str, after: str) -> tuple[Summary, Summary]:
    """Print what one network by name has that another had not, layers by kind, parameters, MACs
    and the published accuracy (of one crop unless it says more); return both summaries."""
    tables, kinds = [], []
    for name in (before, after):
        net = get_model(name, rng=0)
        tables.append(summary(net, input_shape(name)))
        kinds.append(Counter(type(layer).__name__ for _, layer in net.named_layers()
                             if not list(layer.children())))
    print(f"{'':26s}{before:>18s}{after:>18s}")
    for kind in sorted(set(kinds[0]) | set(kinds[1])):
        if kinds[0][kind] != kinds[1][kind]:
            print(f"{kind:26s}{kinds[0][kind] or '·':>18}{kinds[1][kind] or '·':>18}")
    for what, values in (("parameters", [table.params - table.params_unused for table in tables]),
                         ("MACs for one image", [table.macs for table in tables])):
        print(f"{what:26s}{values[0]:>18,}{values[1]:>18,}   ×{values[1] / values[0]:.3g}")
    for name, table in zip((before, after), tables, strict=True):
        if table.params_unused:
            print(f"    {name} in training: {table.params_unused:,} parameters more, of heads that "
                  "are left out afterwards")
    published = {entry.name: entry for entry in networks()}
    accuracy = [_accuracy(published.get(name)) for name in (before, after)]
    print(f"{'published top-1, ImageNet':26s}{accuracy[0]:>18s}{accuracy[1]:>18s}")
    return tables[0], tables[1]


def _accuracy(entry: Any) -> str:
    if entry is None or entry.top1 is None:
        return "not published"
    return f"{entry.top1:.1f} %" + (f", {entry.crops} crops" if (entry.crops or 1) > 1 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
