"""ONNX — a network as a file that other programs run (onnxruntime) and draw (Netron).

    onnx.save(net, "net.onnx", (3, 224, 224))

An ONNX file is the graph of structure.py in other words: a list of nodes, each with an operator
of a fixed vocabulary, the names of the values that it reads and writes, and attributes; and the
parameters, as named arrays. A *rule* says a layer in these words. Most are one node. Some say more:

    LocalResponseNorm   ONNX divides α by n, the paper does not: write α·n
    ceil_mode           its rounding differs between programs: write the padding that leads to
                        our output size instead
    Dropout, …          do nothing in evaluation, and are no node

The file format is Protocol Buffers: a message is a row of fields, each a key (its number · 8 + the
kind of what follows) and a value: a whole number in groups of seven bits, the lowest first (a
*varint*), four bytes of a float, or a length and so many bytes, which may be a message again.

For a layer of your own, say it in ONNX's operators:

    @onnx.rule(Square)
    def square(graph, layer, x):
        return graph.node("Mul", x, x)

Source of operators and fields: github.com/onnx/onnx, onnx/onnx.proto and docs/Operators.md.
"""
import argparse
import math
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Number
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import scratchnet
from scratchnet.archive import replace_file
from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concatenate,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    StochasticDepth,
    Tanh,
    ZeroPad2d,
)
from scratchnet.models.cifar_resnet import PadShortcut
from scratchnet.models.lenet import CodeDistance, PartialConv2d, ScaledTanh, Subsampling
from scratchnet.structure import Batch, Node, Ref, Structure, _swap, structure

OPSET, IR = 15, 8               # of the vocabulary, and of the file format
LARGEST = 2**31 - 1             # bytes of a message in Protocol Buffers
ELEMENTS = {"float32": 1, "float64": 11, "float16": 10, "int64": 7}


def save(model: Layer, path: str | Path, input_shape: tuple[int, ...]) -> None:
    """Write the network, as it computes in evaluation, for batches of any size.

    The file takes "input", (N, *input_shape), and gives "output" (of several, "output1", …);
    values have the names of the layers. The images' size is fixed. The file is written whole or
    not at all.

    Raises ValueError for a layer without a rule, for complex numbers, and for more than 2 GB.
    """
    net = structure(model, input_shape)
    if net.dtype.name not in ELEMENTS:
        raise ValueError(f"ONNX files hold float32 or float64 networks; got {net.dtype}: convert "
                         f"it with .astype('float32')")
    message = _model(net, type(model).__name__)
    if (size := sum(map(len, message))) > LARGEST:
        raise ValueError(f"this network takes {size:,} bytes as ONNX, and one file holds at most "
                         f"{LARGEST:,}: make it narrower, or float32")
    replace_file(Path(path), lambda file: file.writelines(message))


# ── the command ──────────────────────────────────────────────────────────────────────


def add_command(subparsers: Any) -> None:
    """Add `scratchnet export MODEL|RUN --onnx FILE` to the command line."""
    command = subparsers.add_parser("export", help="a network as an ONNX file, for other programs")
    command.add_argument("model", metavar="MODEL", help="a network's name, or the folder of a run")
    command.add_argument("--onnx", metavar="FILE", required=True, help="the file to write")
    command.add_argument("--weights", metavar="FILE", help="for a name: the weights, as "
                         "weights.save wrote them (default: untrained)")
    command.set_defaults(run=run_export)


def run_export(options: argparse.Namespace) -> int:
    """Write the file; say what goes into it."""
    # Imported here, for only the command needs to know the networks and runs.
    from scratchnet import weights
    from scratchnet.visualize.target import target

    try:
        found = target(options.model)
        if options.weights and found.run is not None:
            raise ValueError("export: a run has weights of its own; leave --weights out")
        if options.weights:
            weights.load(found.model, options.weights)
        elif found.note:
            print(f"{found.note}. For trained ones, name a run, or --weights")
        save(found.model, options.onnx, found.shape)
    except (ValueError, OSError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(f"{options.onnx}: takes \"input\", (N, {', '.join(map(str, found.shape))}), "
          + ("floating point" if found.run is None else "prepared as the run's images are "
             "(training.Run.probabilities)") + f"; opset {OPSET}")
    return 0


# ── the graph in ONNX's words ────────────────────────────────────────────────────────


class Value(NamedTuple):
    """An array of the graph: its name in the file, and its shape without the batch."""

    name: str
    shape: tuple[int, ...]
    dims: int


@dataclass
class _Written:
    """One node of the file."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    name: str


class Graph:
    """What a rule writes into: `node` and `constant`; `name` and `shape` of the layer at work."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.name = ""
        self.shape: tuple[int, ...] = ()
        self.nodes: list[_Written] = []
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[int, tuple[str, np.ndarray]] = {}
        self._names: set[str] = set()

    def node(self, op: str, *inputs: Any, **attributes: Any) -> Value:
        """Write a node; returns its output. Arrays and numbers among the inputs become constants;
        attributes are numbers, text, or lists of whole numbers."""
        names = [value.name if isinstance(value, Value) else
                 "" if value is None else self.constant(value).name for value in inputs]
        name = self.unique(self.name)
        self.nodes.append(_Written(op, names, [name], attributes, name))
        return Value(name, self.shape, len(self.shape) + 1)

    def constant(self, value: Any, name: str = "") -> Value:
        """An array in the file: floating point in the network's dtype, whole numbers as int64."""
        known, _ = self._known.get(id(value), ("", None))
        if known:
            return Value(known, np.shape(value), np.ndim(value))
        array = np.asarray(value)
        if array.dtype.kind in "iu" and isinstance(value, list | tuple):
            array = array.astype(np.int64)
        elif isinstance(value, Number) and not isinstance(value, np.generic):
            array = array.astype(self.dtype)
        elif array.dtype != self.dtype:
            raise ValueError(f"at {self.name}, a {self.dtype} network computes with a constant of "
                             f"{array.dtype}: convert it with .astype('{self.dtype}')")
        name = self.unique(f"{self.name}.{name or 'constant'}")
        self.constants[name] = array
        self._known[id(value)] = name, value            # the value is kept, so its id is its own
        return Value(name, array.shape, array.ndim)

    def unique(self, name: str) -> str:
        """`name`, or with a number if it is taken."""
        new, count = name, 2
        while new in self._names:
            new, count = f"{name}_{count}", count + 1
        self._names.add(new)
        return new


def _graph(net: Structure) -> tuple[Graph, list[Value], list[Value]]:
    """Say each node of the structure; returns the graph, its inputs and its outputs."""
    graph, values = Graph(net.dtype), {}
    for node in net.nodes:
        graph.name, graph.shape = node.name, node.shape
        args, options = _swap((node.args, node.options), lambda leaf: (
            values[leaf.id] if isinstance(leaf, Ref) else leaf))
        if node.op == "input":
            value = Value(graph.unique(node.name), node.shape, len(node.shape) + 1)
        elif node.op == "parameter":
            graph.name, _, own = node.name.rpartition(".")
            value = graph.constant(args[0], own)
        elif node.layer is not None:
            value = _rule_for(node)(graph, node.layer, *args, **options)
        else:
            value = _operation(graph, node, net, args, options)
        shape = value.shape if node.op == "parameter" else node.shape
        values[node.id] = Value(value.name, shape, len(shape) + (node.op != "parameter"))
    inputs = [values[i] for i in net.inputs]
    outputs = [values[i] for i in net.outputs]
    written = {name for node in graph.nodes for name in node.outputs}
    for i, value in enumerate(outputs):
        name = "output" if len(outputs) == 1 else f"output{i + 1}"
        if value.name not in written or value in outputs[:i]:   # an input, or returned twice
            graph.name = name
            outputs[i] = value._replace(name=graph.node("Identity", value).name)
            continue
        graph.unique(name)
        for node in graph.nodes:
            node.inputs = [name if v == value.name else v for v in node.inputs]
            node.outputs = [name if v == value.name else v for v in node.outputs]
        outputs[i] = value._replace(name=name)
    return graph, inputs, outputs


# ── rules for layers ─────────────────────────────────────────────────────────────────

_RULES: dict[type, Callable] = {}


def rule(kind: type[Layer]) -> Callable:
    """Decorate rule(graph, layer, *inputs) → output, which says layers of this class in ONNX.

    Inputs and output are what graph.node returns; `graph.shape` is the output's shape and
    x.shape the input's, both without the batch.
    """
    def keep(function: Callable) -> Callable:
        _RULES[kind] = function
        return function

    return keep


def _rule_for(node: Node) -> Callable:
    kind = type(node.layer)
    for base in kind.__mro__:           # a subclass that computes something else needs its own
        if base in _RULES and base.forward is kind.forward:
            return _RULES[base]
    looked = f" (it is one node, for {node.why})" if node.opaque else ""
    raise ValueError(f"onnx has no rule for {node.name or 'the network'}, {node.layer}{looked}. "
                     f"Write one, with ONNX's operators:\n"
                     f"  @onnx.rule({kind.__name__})\n"
                     f"  def rule(graph, layer, x):\n"
                     f"      return graph.node(\"Mul\", x, 2.0)")


def _plain(op: str) -> Callable:
    return lambda graph, layer, *xs: graph.node(op, *xs)


for _kind, _op in ((ReLU, "Relu"), (Sigmoid, "Sigmoid"), (Tanh, "Tanh")):
    rule(_kind)(_plain(_op))
for _kind in (Dropout, StochasticDepth, Identity):
    rule(_kind)(lambda graph, layer, x: x)


@rule(Conv2d)
def _conv(graph: Graph, layer: Conv2d, x: Value) -> Value:
    (sy, sx), (py, px), (dy, dx), groups = layer.geometry
    return graph.node("Conv", x, *_parameters(graph, layer), kernel_shape=list(layer.kernel_size),
                      strides=[sy, sx], pads=[py, px, py, px], dilations=[dy, dx], group=groups)


@rule(ConvTranspose2d)
def _conv_transpose(graph: Graph, layer: ConvTranspose2d, x: Value) -> Value:
    (sy, sx), (py, px), (dy, dx), groups = layer.geometry
    return graph.node("ConvTranspose", x, *_parameters(graph, layer), strides=[sy, sx],
                      kernel_shape=list(layer.kernel_size), pads=[py, px, py, px],
                      output_padding=list(layer.output_padding), dilations=[dy, dx], group=groups)


@rule(Linear)
def _linear(graph: Graph, layer: Linear, x: Value) -> Value:
    return graph.node("Gemm", x, *_parameters(graph, layer), transB=1)


@rule(BatchNorm2d)
def _batch_norm(graph: Graph, layer: BatchNorm2d, x: Value) -> Value:
    mean = graph.constant(layer.running_mean, "running_mean")
    var = layer.running_var
    if graph.dtype == np.float64:       # the attribute is float32: what ε loses there goes here
        var = var + (layer.eps - float(np.float32(layer.eps)))
    var = graph.constant(var, "running_var")
    return graph.node("BatchNormalization", x, *_parameters(graph, layer), mean, var,
                      epsilon=layer.eps)


@rule(LocalResponseNorm)
def _lrn(graph: Graph, layer: LocalResponseNorm, x: Value) -> Value:
    n = layer.size
    if n % 2 and graph.dtype == np.float32:
        return graph.node("LRN", x, size=n, alpha=layer.alpha * n, beta=layer.beta, bias=layer.k)
    # ONNX turns an even window round, and its attributes are float32: say it in smaller steps.
    # The window's sum is a 1×1 convolution with ones near the diagonal.
    i, j = np.indices((x.shape[0],) * 2)
    near = layer.alpha * ((i - n // 2 <= j) & (j <= i + (n - 1) // 2))
    s = graph.node("Conv", graph.node("Mul", x, x), near.astype(graph.dtype)[:, :, None, None],
                   np.full(x.shape[0], layer.k, graph.dtype))
    return graph.node("Mul", x, graph.node("Pow", s, -layer.beta))


@rule(ReLU6)
def _relu6(graph: Graph, layer: ReLU6, x: Value) -> Value:
    return graph.node("Clip", x, 0.0, 6.0)


@rule(SiLU)
def _silu(graph: Graph, layer: SiLU, x: Value) -> Value:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


@rule(Flatten)
def _flatten(graph: Graph, layer: Flatten, x: Value) -> Value:
    return graph.node("Flatten", x, axis=1)


@rule(Add)
def _add(graph: Graph, layer: Add, *xs: Value) -> Value:
    total = xs[0]
    for x in xs[1:]:
        total = graph.node("Add", total, x)
    return total


@rule(Concatenate)
def _concatenate(graph: Graph, layer: Concatenate, *xs: Value) -> Value:
    return graph.node("Concat", *xs, axis=1)


@rule(MaxPool2d)
def _max_pool(graph: Graph, layer: MaxPool2d, x: Value) -> Value:
    return graph.node("MaxPool", x, kernel_shape=list(layer.kernel_size),
                      strides=list(layer.stride), pads=_pads(graph, layer, x))


@rule(AvgPool2d)
def _avg_pool(graph: Graph, layer: AvgPool2d, x: Value) -> Value:
    pads = _pads(graph, layer, x)
    y = graph.node("AveragePool", x, kernel_shape=list(layer.kernel_size),
                   strides=list(layer.stride), pads=pads,
                   count_include_pad=int(layer.count_include_pad))
    if not layer.count_include_pad or not any(
            end > p for end, p in zip(pads[2:], layer.padding, strict=True)):
        return y
    # With ceil_mode the last window reaches beyond the padding, and we do not count what is there.
    share = layer._share(x.shape[1:], graph.shape[1:]) * math.prod(layer.kernel_size)
    return graph.node("Mul", y, share.astype(graph.dtype))


def _pads(graph: Graph, layer: Any, x: Value) -> list[int]:
    """[top, left, bottom, right], so that rounding down gives the output size that we have."""
    ends = [max(0, (out - 1) * s + k - size - p) for out, s, k, size, p in zip(
        graph.shape[1:], layer.stride, layer.kernel_size, x.shape[1:], layer.padding, strict=True)]
    return [*layer.padding, *ends]


@rule(AdaptiveAvgPool2d)
def _adaptive(graph: Graph, layer: AdaptiveAvgPool2d, x: Value) -> Value:
    sizes, outs = x.shape[1:], layer.output_size
    if outs == (1, 1):
        return graph.node("GlobalAveragePool", x)
    if not any(size % out for size, out in zip(sizes, outs, strict=True)):
        window = [size // out for size, out in zip(sizes, outs, strict=True)]
        return graph.node("AveragePool", x, kernel_shape=window, strides=window)
    # Windows of different size: a product with the windows' shares on both sides.
    rows, columns = (_windows(size, out, graph.dtype)
                     for size, out in zip(sizes, outs, strict=True))
    return graph.node("MatMul", graph.node("MatMul", rows, x), columns.T.copy())


def _windows(size: int, out: int, dtype: np.dtype) -> np.ndarray:
    """(out, size): 1/m where output i looks, 0 elsewhere."""
    share = np.zeros((out, size), dtype)
    for i in range(out):
        first, end = i * size // out, -(-(i + 1) * size // out)
        share[i, first:end] = 1 / (end - first)
    return share


@rule(ZeroPad2d)
def _zero_pad(graph: Graph, layer: ZeroPad2d, x: Value) -> Value:
    left, right, top, bottom = layer.padding
    if min(layer.padding) < 0:
        H, W = x.shape[1:]
        x = graph.node("Slice", x, [max(0, -top), max(0, -left)],
                       [H + min(0, bottom), W + min(0, right)], [2, 3])
    if max(layer.padding) > 0:
        top, left, bottom, right = (max(0, side) for side in (top, left, bottom, right))
        x = graph.node("Pad", x, [0, 0, top, left, 0, 0, bottom, right])
    return x


@rule(PadShortcut)
def _pad_shortcut(graph: Graph, layer: PadShortcut, x: Value) -> Value:
    seen = graph.node("Slice", x, [0, 0], list(x.shape[1:]), [2, 3], [2, 2])
    before = layer._old().start
    after = layer.out_channels - layer.in_channels - before
    return graph.node("Pad", seen, [0, before, 0, 0, 0, after, 0, 0])


@rule(ScaledTanh)
def _scaled_tanh(graph: Graph, layer: ScaledTanh, x: Value) -> Value:
    return graph.node("Mul", graph.node("Tanh", graph.node("Mul", x, layer.S)), layer.A)


@rule(Subsampling)
def _subsampling(graph: Graph, layer: Subsampling, x: Value) -> Value:
    """Each map is convolved with four times its own coefficient."""
    w = np.tile(layer.weight.value[:, None, None, None], (1, 1, 2, 2))
    return graph.node("Conv", x, graph.constant(w, "weight"),
                      graph.constant(layer.bias.value, "bias"), kernel_shape=[2, 2],
                      strides=[2, 2], group=layer.channels)


@rule(PartialConv2d)
def _partial_conv(graph: Graph, layer: PartialConv2d, x: Value) -> Value:
    return graph.node("Conv", x, graph.constant(layer._full(), "weight"),
                      graph.constant(layer.bias.value, "bias"),
                      kernel_shape=list(layer.kernel_size))


@rule(CodeDistance)
def _code_distance(graph: Graph, layer: CodeDistance, x: Value) -> Value:
    apart = graph.node("Sub", graph.node("Unsqueeze", x, [1]), layer.codes[None])
    return graph.node("Neg", graph.node("ReduceSum", graph.node("Mul", apart, apart), [2],
                                        keepdims=0))


def _parameters(graph: Graph, layer: Any) -> list[Value]:
    """Weight and bias, the latter only if there is one."""
    return [graph.constant(p.value, name) for name in ("weight", "bias")
            if (p := getattr(layer, name)) is not None]


# ── what containers do between layers ────────────────────────────────────────────────

ELEMENTWISE = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div",
               "negative": "Neg", "absolute": "Abs", "sqrt": "Sqrt", "exp": "Exp", "log": "Log",
               "tanh": "Tanh", "power": "Pow", "maximum": "Max", "minimum": "Min",
               "matmul": "MatMul"}
REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin",
              "amax": "ReduceMax", "amin": "ReduceMin"}


def _operation(graph: Graph, node: Node, net: Structure, args: tuple, options: dict) -> Value:
    """Say an operation on arrays in ONNX; ValueError for one that is not known."""
    op, shape = node.op, list(node.shape)
    if op in ELEMENTWISE and not options:
        return graph.node(ELEMENTWISE[op], *args)
    if op == "square" and not options:
        return graph.node("Mul", args[0], args[0])
    if op == "concatenate" and len(args) + len(options) <= 2:
        return graph.node("Concat", *args[0], axis=_given(args, options, 1, "axis", 0))
    if op == "copy":
        return args[0]
    if op in ("reshape", "squeeze", "expand_dims"):
        size = args[1] if len(args) > 1 else -1
        if isinstance(size, list | tuple) and not isinstance(size, Batch):
            size = size[0] if size else -1
        first = size if op == "reshape" and isinstance(size, Integral) and size > 0 else -1
        return graph.node("Reshape", args[0], [int(first), *shape])
    if op in ("transpose", "permute_dims"):
        axes = args[1:] if len(args) > 2 else _given(args, options, 1, "axes", None)
        axes = tuple(reversed(range(args[0].dims))) if axes is None else tuple(axes)
        return graph.node("Transpose", args[0], perm=[axis % args[0].dims for axis in axes])
    if op in REDUCTIONS and set(options) <= {"axis", "keepdims"} and len(args) <= 2:
        axis = _given(args, options, 1, "axis", None)
        axes = list(range(args[0].dims)) if axis is None else list(
            axis if isinstance(axis, tuple | list) else [axis])
        keep = int(options.get("keepdims", False))
        if op == "sum":                         # alone, since opset 13, takes its axes as an input
            return graph.node("ReduceSum", args[0], axes, keepdims=keep)
        return graph.node(REDUCTIONS[op], args[0], axes=axes, keepdims=keep)
    if op == "pad" and len(args) == 2 and options.get("mode", "constant") == "constant" and (
            set(options) <= {"mode"}):
        widths = np.broadcast_to(args[1], (args[0].dims, 2))
        return graph.node("Pad", args[0], [int(n) for n in widths.T.ravel()])
    if op == "slice" and (key := _slices(args[1])) is not None:
        return _slice(graph, args[0], key, shape)
    block = net.blocks[node.block]
    raise ValueError(f"onnx has no rule for the operation {op!r} that {block.name or 'the network'}"
                     f", {block.layer}, does between its layers. Move it into a layer of its own, "
                     f"and write a rule for that: see the head of scratchnet/onnx.py")


def _given(args: tuple, options: dict, place: int, name: str, default: Any) -> Any:
    return args[place] if len(args) > place else options.get(name, default)


def _slices(key: Any) -> tuple | None:
    """The key of x[key] as a tuple, if it has only slices, whole numbers, None and …"""
    key = key if isinstance(key, tuple) else (key,)
    numbers = (n for part in key for n in (
        (part.start, part.stop, part.step) if isinstance(part, slice) else
        () if part is None or part is Ellipsis else (part,)))
    plain = all(n is None or (isinstance(n, Integral) and not isinstance(n, bool))
                for n in numbers)
    return key if plain else None


def _slice(graph: Graph, x: Value, key: tuple, shape: list[int]) -> Value:
    used = sum(part is not None and part is not Ellipsis for part in key)
    full = (slice(None),) * (x.dims - used)
    at = key.index(Ellipsis) if Ellipsis in key else len(key)
    key = (*key[:at], *full, *key[at + 1:])
    rows = []                           # (start, end, axis, step) of what is cut
    for axis, part in enumerate(part for part in key if part is not None):
        if not isinstance(part, slice):
            part = slice(part, part + 1 if part != -1 else None)
        if part != slice(None):
            step = part.step or 1
            start = part.start if part.start is not None else 0 if step > 0 else 2**31 - 1
            end = part.stop if part.stop is not None else 2**31 - 1 if step > 0 else -2**31
            rows.append((int(start), int(end), axis, int(step)))
    if rows:
        x = graph.node("Slice", x, *([row[i] for row in rows] for i in range(4)))
    if all(isinstance(part, slice) for part in key):
        return x if rows else graph.node("Identity", x)
    first = 1 if key[0] is None else -1         # axes that went or came
    return graph.node("Reshape", x, [first, *shape])


# ── the file ─────────────────────────────────────────────────────────────────────────


def _model(net: Structure, name: str) -> list:
    """The message of the whole file, in pieces: weights are not copied. The numbers are those of
    the fields in onnx.proto."""
    graph, inputs, outputs = _graph(net)
    fields = [(1, _node_message(node)) for node in graph.nodes]
    fields += [(2, name)]
    fields += [(5, _tensor(key, array)) for key, array in graph.constants.items()]
    fields += [(11, _value(value, net.dtype)) for value in inputs]
    fields += [(12, _value(value, net.dtype)) for value in outputs]
    return _message((1, IR), (2, "scratchnet"), (3, scratchnet.__version__),
                    (8, _message((2, OPSET))), (7, _message(*fields)))


def _node_message(node: _Written) -> list:
    return _message(*((1, v) for v in node.inputs), *((2, v) for v in node.outputs),
                    (3, node.name), (4, node.op),
                    *((5, _attribute(name, value)) for name, value in node.attributes.items()))


def _attribute(name: str, value: Any) -> list:
    if isinstance(value, list):
        return _message((1, name), *((8, int(n)) for n in value), (20, 7))
    if isinstance(value, Number):       # NumPy's too
        value = int(value) if isinstance(value, Integral) else float(value)
    number, kind = {float: (2, 1), int: (3, 2), str: (4, 3)}[type(value)]
    return _message((1, name), (number, value), (20, kind))


def _tensor(name: str, array: np.ndarray) -> list:
    data = memoryview(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)).cast(
        "B") if array.size else b""
    return _message(*((1, int(n)) for n in array.shape), (2, ELEMENTS[array.dtype.name]), (8, name),
                    (9, data))


def _value(value: Value, dtype: np.dtype) -> list:
    """A name, and its type: elements, and (N, *shape)."""
    dims = [(1, _message((2, "N"))), *((1, _message((1, n))) for n in value.shape)]
    tensor = _message((1, ELEMENTS[dtype.name]), (2, _message(*dims)))
    return _message((1, value.name), (2, _message((1, tensor))))


def _message(*fields: tuple[int, Any]) -> list:
    """The bytes, in pieces, of fields (number, value): whole numbers, floats, text, bytes, or
    messages."""
    pieces = []
    for number, value in fields:
        if isinstance(value, int):
            pieces += _varint(number << 3), _varint(value)
        elif isinstance(value, float):
            pieces += _varint(number << 3 | 5), struct.pack("<f", value)
        else:
            inside = [value.encode()] if isinstance(value, str) else (
                value if isinstance(value, list) else [value])
            pieces += _varint(number << 3 | 2), _varint(sum(map(len, inside))), *inside
    return pieces


def _varint(n: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    n &= 2**64 - 1                      # negative numbers: two's complement, ten bytes
    groups = bytearray()
    while n > 127:
        groups.append(n & 127 | 128)
        n >>= 7
    groups.append(n)
    return bytes(groups)
