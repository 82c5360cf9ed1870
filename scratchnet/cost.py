"""Cost — what a network costs: shapes, parameters, multiply-accumulates, memory, fields of view.

    print(summary(models.alexnet(), (3, 227, 227)))
    print(summary(models.alexnet(), (3, 227, 227)).folded(1))      one line a block

One multiply-accumulate (MAC) is w·x added to a sum. Only convolutions and linear layers
count, without biases: the convention of the papers, which often call MACs "FLOPs" (real
FLOPs are twice as many).

    Conv2d      params  O·(C/g)·KH·KW + O       MACs  OH·OW · O·(C/g)·KH·KW
    Linear      params  O·I + O                 MACs  O·I

The receptive field r of a pixel is how many pixels of the image, along one axis, it can have
seen; the jump j is how far apart two neighbouring pixels look. The image itself has r = j = 1.
A window of K taps, d apart, with stride s spreads over d·(K−1) jumps more:

    r ← r + d·(K−1)·j           j ← j·s

Elementwise layers leave both alone; where branches join, the largest r counts. A layer whose
one output looks at a whole map (a linear layer, a mean over the map) sees "all". The padding
counts, so r can be larger than the image. A squeeze-and-excitation scale was computed from the
whole map, so from the first one on everything sees all: that is true.

Memory is measured, not estimated: NumPy tells tracemalloc of each array it makes and frees.
"""
import argparse
import copy
import json
import math
import re
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import to_host
from scratchnet.backend.memory import fresh
from scratchnet.backend.parallel import limited
from scratchnet.convolution import output_size, pair
from scratchnet.layer import Layer, Parameter, _held, no_grad, remembering
from scratchnet.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Linear, ZeroPad2d


@dataclass(frozen=True)
class Row:
    """One layer of the table; shapes, MACs and memory (bytes) are those of one image.

    `memory` is what the output takes: 0 where it is no new array (Flatten, Dropout in
    evaluation). `receptive_field` and `jump` are (vertical, horizontal); math.inf is "all",
    None is "not known". A layer that did not run has no output_shape, and a `note`.
    """

    name: str
    layer: str
    output_shape: tuple[int, ...] | None
    params: int
    macs: int
    memory: int = 0
    receptive_field: tuple[float, float] | None = None
    jump: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True)
class Summary:
    """A network's table: `rows`, and the totals; `print` it, or fold it into blocks first.

    The rows add up to `params` and `macs`. `params_unused` of the parameters are in layers that
    did not run in evaluation. `blocks` has a row for each layer that holds others, by name: what
    it returned, and the parameters of its own. In bytes, for one image:

    memory_params       the parameters, without their gradients
    memory_forward      the most that was alive at once in a forward without memory for
                        backward (no_grad), besides the parameters and the image
    memory_backward     what the layers keep from a forward in evaluation until backward (in
                        training, dropout's masks come on top), the image included
    workspace           the largest work space of one layer beyond its input and output, and
                        `workspace_layer`, its name
    """

    rows: list[Row]
    params: int
    macs: int
    input_shape: tuple[int, ...]
    params_unused: int
    memory_params: int
    memory_forward: int
    memory_backward: int
    workspace: int
    workspace_layer: str
    blocks: dict[str, Row]

    def folded(self, depth: int = 1) -> "Summary":
        """Return the same summary with one row for all layers whose names share their first
        `depth` parts: of ResNet's "layer1.0.conv1", 1 keeps "layer1", 2 keeps "layer1.0".

        A row has the output and the receptive field of its block (of its last layer, if the
        block never ran as a whole), and the sums of parameters, MACs and memory of its layers.
        Raises ValueError for a depth below 1.
        """
        if not isinstance(depth, Integral) or isinstance(depth, bool) or depth < 1:
            raise ValueError(f"folded expects how many parts of each name to keep, 1 or more; "
                             f"got {depth!r}")
        blocks: dict[str, list[Row]] = {}
        for row in self.rows:
            blocks.setdefault(".".join(row.name.split(".")[:depth]), []).append(row)
        return replace(self, rows=[_folded(name, rows, self.blocks.get(name))
                                   for name, rows in blocks.items()])

    def to_json(self) -> str:
        """Return everything as JSON: an object with the totals and the list "rows".

        A receptive field is a pair of numbers or "all"; null is "not known".
        """
        table = asdict(replace(self, blocks={}))
        del table["blocks"]
        for row in table["rows"]:
            row["receptive_field"] = row["receptive_field"] and [
                "all" if r == math.inf else r for r in row["receptive_field"]]
        return json.dumps(table, indent=1)

    def __str__(self) -> str:
        table = [("layer", "", "output", "parameters", "MACs", "memory", "field")]
        table += [(row.name, _short(row.layer), row.note or "×".join(map(str, row.output_shape)),
                   f"{row.params:,}" if row.params else "", f"{row.macs:,}" if row.macs else "",
                   _size(row.memory) if row.memory else "", self._field(row))
                  for row in self.rows]
        table.append(("total", "", "", f"{self.params:,}", f"{self.macs:,}", "", ""))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        room = max(20, 110 - (sum(widths) - widths[1]) - 2 * (len(widths) - 1))
        widths[1] = min(widths[1], room)
        just = (str.ljust,) * 3 + (str.rjust,) * 4
        lines = ["  ".join(j(_cut(cell, w), w) for j, cell, w in
                           zip(just, line, widths, strict=True)).rstrip() for line in table]
        lines.append("")
        if self.params_unused:
            lines.append(f"of the parameters, {self.params_unused:,} are in layers that do not "
                         f"run in evaluation")
        lines.append(f"memory for one image of {'×'.join(map(str, self.input_shape))}, besides "
                     f"{_size(self.memory_params)} of parameters:")
        lines.append(f"  forward, most at once  {_size(self.memory_forward):>8s}")
        lines.append(f"  kept for backward      {_size(self.memory_backward):>8s}")
        lines.append(f"  largest work space     {_size(self.workspace):>8s}" + (
            f"  in {self.workspace_layer}" if self.workspace_layer else ""))
        return "\n".join(lines)

    def _field(self, row: Row) -> str:
        if len(self.input_shape) != 3 or row.output_shape is None:
            return ""
        if row.receptive_field is None:
            return "?"
        r = ["all" if r == math.inf else str(r) for r in row.receptive_field]
        return r[0] if r[0] == r[1] else "×".join(r)


def summary(model: Layer, input_shape: tuple[int, ...]) -> Summary:
    """Run one black image of `input_shape`, (C, H, W) without the batch, through `model`.

    Lists every innermost layer each time it runs, in that order; then those that did not run,
    such as heads that are for training only. A layer that holds others is listed too if it has
    parameters of its own, where it ends. Shared parameters count once, in the row that comes
    first.

    What runs, twice, is a copy of the model on the CPU, in evaluation mode: the model itself is
    left as it was. (On a GPU the work space is larger; the rest is the same.)

    The receptive field of an array that no innermost layer returned (a sum or a product in your
    own forward, say) is the largest of what has gone into that forward and come out of its
    layers so far. A layer of your own that keeps the size of its maps is taken to work pixel by
    pixel; one that changes it needs `kernel_size` (and `stride`, `padding`, `dilation`, where
    they are not 1, 0, 1), or its field, and all that follow, are unknown: "?".

    Raises ValueError for a model that is no Layer or a shape that is none; errors of the
    model's own come through.
    """
    if not isinstance(model, Layer):
        raise ValueError(f"summary expects a layer or a network, an object of a subclass of "
                         f"scratchnet.Layer; got {model!r}")
    shape = _shape(input_shape)
    model = copy_of(model)
    parameters = model.parameters()
    x = np.zeros((1, *shape), dtype=parameters[0].value.dtype if parameters else np.float32)

    before, trace = _held_by(model), _Trace(x)
    with remembering(), watched(model.named_layers(), trace):
        model.forward(x)
    memory_backward = sum(array.nbytes for key, array in _held_by(model).items()
                          if key not in before)
    for _, layer in model.named_layers():
        layer.__dict__.pop("_memory", None)
    for name, layer in model.named_layers():
        if id(layer) not in trace.ran:
            trace.add_row(name, layer, note="training only")
    peaks = _Peaks.of(model, x)

    rows = trace.rows
    return Summary(rows, sum(p.value.size for p in parameters), sum(row.macs for row in rows),
                   shape, sum(row.params for row in rows if row.note),
                   sum(p.value.nbytes for p in parameters), peaks.top, memory_backward,
                   peaks.workspace, peaks.workspace_layer, trace.blocks)


def macs(layer: Layer, y_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates for one image, given the shape of the layer's output.

    A layer of another kind that multiplies may have a method `macs(y_shape)` of its own.
    """
    if isinstance(layer, Conv2d | Linear):
        return math.prod(y_shape[1:]) * math.prod(layer.weight.value.shape[1:])
    own = getattr(layer, "macs", None)
    return own(y_shape) if callable(own) else 0


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


# ── the command ──────────────────────────────────────────────────────────────────────


def add_command(subparsers: Any) -> None:
    """Add `scratchnet summary MODEL` to the command line."""
    command = subparsers.add_parser("summary", help="the cost of a network, layer by layer")
    command.add_argument("model", metavar="MODEL", help="its name, such as alexnet")
    command.add_argument("--input", metavar="C,H,W", help="the shape of one image, such as "
                         "3,224,224 (default: the network's own)")
    command.add_argument("--fold", metavar="DEPTH", help="one line a block: keep this many parts "
                         "of each layer's name")
    command.add_argument("--num-classes", metavar="N", help="(default: the network's own)")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(run=run_summary)


def run_summary(options: argparse.Namespace) -> int:
    """Print the summary of a network by name."""
    # Imported here, for only the command needs to know the networks.
    from scratchnet.models import get_model, input_shape

    try:
        classes, = whole_numbers(options.num_classes, "--num-classes", 1) or (None,)
        depth, = whole_numbers(options.fold, "--fold", 1) or (None,)
        shape = whole_numbers(options.input, "--input", 3)
        channels = shape[0] if shape else None
        model = get_model(options.model, num_classes=classes, in_channels=channels, rng=0)
        table = summary(model, shape or input_shape(options.model))
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    table = table.folded(depth) if depth else table
    print(table.to_json() if options.json else table)
    return 0


def whole_numbers(text: str | None, option: str, count: int) -> tuple[int, ...] | None:
    """Read `count` positive whole numbers with commas between them; None stays None."""
    if text is None:
        return None
    words = text.split(",")
    if len(words) != count or not all(w.strip().isdecimal() and int(w) > 0 for w in words):
        wanted = "one whole number" if count == 1 else f"{count} whole numbers with commas between"
        raise ValueError(f"{option} expects {wanted}, 1 or more; got {text!r}")
    return tuple(map(int, words))


# ── running the model ────────────────────────────────────────────────────────────────


def _shape(input_shape: Any) -> tuple[int, ...]:
    if not (isinstance(input_shape, tuple | list) and input_shape and all(
            isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in input_shape)):
        raise ValueError(f"summary expects the shape of one image, such as (3, 224, 224); got "
                         f"{input_shape!r}")
    return tuple(map(int, input_shape))


def copy_of(model: Layer) -> Layer:
    """A copy on the host, in evaluation mode, without memory of an earlier forward."""
    parameters = {id(p): Parameter(np.array(to_host(p.value))) for p in model.parameters()}
    try:
        copied = copy.deepcopy(model, parameters)
    except TypeError as error:
        raise TypeError(f"summary runs a copy of the model, and {type(model).__name__} cannot be "
                        f"copied: {error}") from error
    return copied.to("cpu").eval()


@contextmanager
def watched(layers: Iterable[tuple[str, Layer]], call: Callable) -> Iterator[None]:
    """Until the end of the `with`, each of these layers runs as
    call(name, layer, its own forward, *inputs)."""
    layers = list(layers)
    for name, layer in layers:
        layer.forward = partial(call, name, layer, layer.forward)
    try:
        yield
    finally:
        for _, layer in layers:
            del layer.forward


class _Trace:
    """Follows the arrays through one forward, and writes the rows."""

    def __init__(self, x: np.ndarray):
        self.rows: list[Row] = []
        self.blocks: dict[str, Row] = {}
        self.ran: set[int] = set()                  # ids of layers
        self._counted: set[int] = set()             # ids of parameters
        self._fields: dict[int, tuple] = {}         # id of an array: (weak reference, field)
        # For each forward that is running, the fields of the arrays it has seen so far:
        self._frames: list[list[_Field | None]] = [[]]
        # Ids are used again for new arrays, so nothing goes by an id without a weak reference.
        self._buffers = weakref.WeakValueDictionary({id(owner_of(x)): owner_of(x)})
        self._put(x, _Field.of_image(x))

    def __call__(self, name: str, layer: Layer, forward: Callable, *xs: Any,
                 **options: Any) -> Any:
        inputs = arrays_in((xs, options))
        seen = [self._field_of(x) for x in inputs]
        self._new_bytes(inputs)
        self._frames.append(seen.copy())
        y = forward(*xs, **options)
        outputs = arrays_in(y)
        if is_innermost(layer):
            fields = [_through(layer, seen, output) for output in outputs]
            for output, field in zip(outputs, fields, strict=True):
                self._put(output, field)
        else:
            fields = [self._field_of(output) for output in outputs]
        self._frames.pop()
        self._frames[-1] += fields
        self.ran.add(id(layer))
        self.add_row(name, layer, outputs, fields)
        return y

    def add_row(self, name: str, layer: Layer, outputs: Any = (), fields: Any = (),
                note: str = "") -> None:
        """Write a row for an innermost layer, or for one with parameters of its own."""
        innermost = is_innermost(layer)
        own = {id(p): p.value.size for _, p in layer._attributes(Parameter)}
        shape = outputs[0].shape if outputs else ()
        field = fields[0] if fields else None
        row = Row(name, repr(layer), None if note else shape[1:],
                  sum(size for key, size in own.items() if key not in self._counted),
                  0 if note else macs(layer, shape), self._new_bytes(outputs),
                  field and tuple(axis.seen for axis in field.axes),
                  field and tuple(axis.jump for axis in field.axes), note)
        self._counted.update(own)
        if own or innermost:
            self.rows.append(row)
        if not (innermost or note):
            self.blocks[name] = row

    def _new_bytes(self, arrays: Any) -> int:
        """The bytes of those arrays whose memory has not been met before."""
        new = {id(owner): owner for owner in map(owner_of, arrays)
               if id(owner) not in self._buffers}
        self._buffers.update(new)
        return sum(owner.nbytes for owner in new.values())

    def _field_of(self, array: np.ndarray) -> "_Field | None":
        reference, field = self._fields.get(id(array), (lambda: None, None))
        if reference() is not array:                # made by the forward that is running
            field = _join(self._frames[-1], array)
            self._put(array, field)
        return field

    def _put(self, array: np.ndarray, field: "_Field | None") -> None:
        self._fields[id(array)] = weakref.ref(array), field


@dataclass
class _Peaks:
    """The most bytes alive at once in a forward, and the largest work space of one layer."""

    top: int = 0
    workspace: int = 0
    workspace_layer: str = ""

    @classmethod
    def of(cls, model: Layer, x: np.ndarray) -> "_Peaks":
        peaks = cls()
        innermost = [(name, layer) for name, layer in model.named_layers() if is_innermost(layer)]
        was_on = tracemalloc.is_tracing()
        if not was_on:
            tracemalloc.start()
        try:
            with no_grad(), watched(innermost, peaks), fresh(), limited(1):
                before, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                model.forward(x)
                peaks.top = max(peaks.top, tracemalloc.get_traced_memory()[1]) - before
        finally:
            if not was_on:
                tracemalloc.stop()
        return peaks

    def __call__(self, name: str, layer: Layer, forward: Callable, *xs: Any,
                 **options: Any) -> Any:
        self.top = max(self.top, tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
        y = forward(*xs, **options)
        alive, peak = tracemalloc.get_traced_memory()       # y is alive, the work space is not
        if peak - alive > self.workspace:
            self.workspace, self.workspace_layer = peak - alive, name
        return y


def is_innermost(layer: Layer) -> bool:
    return next(layer.children(), None) is None


def arrays_in(value: Any) -> list[np.ndarray]:
    """The arrays in `value`, a list, tuple or dict at any depth."""
    return [array for _, array in _held("", value, np.ndarray)]


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array whose memory `array` is a view of; itself if it is none."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _held_by(model: Layer) -> dict[int, np.ndarray]:
    """{id: array} of all memory that the layers hold: parameters, buffers, what they remember."""
    arrays = [p.value for p in model.parameters()]
    for _, layer in model.named_layers():
        arrays += arrays_in(dict(vars(layer)))
    return {id(owner_of(array)): owner_of(array) for array in arrays}


# ── receptive fields ─────────────────────────────────────────────────────────────────


class _Axis(NamedTuple):
    """Along one axis: what each pixel of a map has seen, their distance, and their number."""

    seen: float
    jump: int
    size: int

    def window(self, kernel: int, stride: int, padding: int, size: int) -> "_Axis":
        """The map behind a window; `kernel` is its whole reach, dilation included."""
        if size == 1 and kernel - padding >= self.size:
            return self.whole()
        return _Axis(self.seen + (kernel - 1) * self.jump, self.jump * stride, size)

    def whole(self) -> "_Axis":
        """One number that has looked at every pixel there is."""
        return _Axis(self.seen if self.size == 1 else math.inf, self.jump, 1)


class _Field(NamedTuple):
    """What the pixels of an array of `count` numbers have seen; in a flattened array, the
    axes are those of the map that it was."""

    axes: tuple[_Axis, _Axis]
    count: int

    @classmethod
    def of_image(cls, x: np.ndarray) -> "_Field | None":
        return cls(tuple(_Axis(1, 1, n) for n in x.shape[2:]), x.size) if x.ndim == 4 else None

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)


def _through(layer: Layer, fields: list, y: np.ndarray) -> _Field | None:
    """The field of y, an output of an innermost layer whose inputs have these fields."""
    if len(fields) != 1 or fields[0] is None:
        return _join(fields, y)
    field, = fields
    if isinstance(layer, Linear):
        return _Field(tuple(axis.whole() for axis in field.axes), y.size)
    if y.ndim != 4:
        return _join(fields, y)
    if isinstance(layer, ZeroPad2d):
        return _Field(tuple(axis._replace(size=n) for axis, n in
                            zip(field.axes, y.shape[2:], strict=True)), y.size)
    if isinstance(layer, AdaptiveAvgPool2d):
        windows = [_adaptive(*sizes) for sizes in zip(field.size, y.shape[2:], strict=True)]
    elif hasattr(layer, "kernel_size"):
        windows = _windows(layer, field.size, y.shape[2:])
    else:
        return _join(fields, y)
    return windows and _Field(tuple(
        axis.window(*window, n) for axis, window, n in
        zip(field.axes, windows, y.shape[2:], strict=True)), y.size)


def _windows(layer: Layer, sizes: tuple, outs: tuple) -> list[tuple[int, int, int]] | None:
    """(reach, stride, padding) of the layer's window along both axes; None if such a window does
    not lead to these sizes (a transposed convolution, say)."""
    geometry = getattr(layer, "geometry", layer)
    try:
        both = zip(pair(layer.kernel_size, "kernel_size"),
                   pair(getattr(geometry, "stride", 1), "stride"),
                   pair(getattr(geometry, "padding", 0), "padding", least=0),
                   pair(getattr(geometry, "dilation", 1), "dilation"), strict=True)
    except ValueError:
        return None
    windows = []
    for size, out, (kernel, stride, padding, dilation) in zip(sizes, outs, both, strict=True):
        if out not in (output_size(size, kernel, stride, padding, dilation, ceil_mode)
                       for ceil_mode in (False, True)):
            return None
        windows.append((dilation * (kernel - 1) + 1, stride, padding))
    return windows


def _adaptive(size: int, out: int) -> tuple[int, int, int]:
    """(reach, stride, padding) of adaptive pooling; where windows differ, the largest."""
    return max(-(-(i + 1) * size // out) - i * size // out for i in range(out)), \
        -(-size // out), 0


def _join(fields: list, y: np.ndarray) -> _Field | None:
    """The field of y, computed in some way from arrays of these fields: the largest."""
    if not fields or None in fields or y.ndim not in (2, 4):
        return None
    counts = [f.count for f in fields]
    mixed = y.size not in (*counts, sum(counts)) if y.ndim == 2 else y.shape[2:] == (1, 1)
    like = fields if mixed or y.ndim == 2 else [f for f in fields if f.size == y.shape[2:]]
    if not like:
        return None
    axes = [_Axis(max(f.axes[a].seen for f in fields), max(f.axes[a].jump for f in like),
                  max(f.axes[a].size for f in like)) for a in (0, 1)]
    return _Field(tuple(axis.whole() if mixed else axis for axis in axes), y.size)


# ── printing ─────────────────────────────────────────────────────────────────────────


def _folded(name: str, rows: list[Row], block: Row | None) -> Row:
    """One row for several; `block`, if there is one, is the layer that holds them."""
    last = block or ([row for row in rows if row.output_shape is not None] or rows)[-1]
    kind = f"{block.layer.split('(')[0]}, " if block else ""
    text = f"{kind}{len({row.name for row in rows})} layers" if len(rows) > 1 else rows[0].layer
    return replace(last, name=name, layer=text, params=sum(row.params for row in rows),
                   macs=sum(row.macs for row in rows), memory=sum(row.memory for row in rows))


def _short(layer: str) -> str:
    """Conv2d(64→64, kernel 3, stride 1, padding 1) is Conv2d(64→64, k 3, s 1, p 1): the symbols
    of layers/conv.py. The number of parameters says whether there is a bias."""
    layer = re.sub(r"\b(kernel|stride|padding|dilation|groups) (?=\d)",
                   lambda word: f"{word[1][0]} ", layer.replace(", no bias", ""))
    return " ".join(layer.split())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[:width - 1] + "…"


def _size(count: int) -> str:
    """Bytes with a unit: "512 B", "12.3 KiB", "1.50 MiB"."""
    if count < 1024:
        return f"{count} B"
    n, unit = (count / 1024, "KiB") if count < 1 << 20 else (count / (1 << 20), "MiB")
    return f"{n:.{2 if n < 10 else 1 if n < 100 else 0}f} {unit}"
