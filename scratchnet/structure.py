"""Structure — the network as a graph, read off its own forward.

    net = structure(models.resnet_small(), (1, 32, 32))
    net.nodes                   what is computed: innermost layers, and what containers do between
    net.blocks                  the containers, each with the nodes and blocks in it
    net.run(x)                  the graph computed from its nodes: the model's output, bit for bit

Nothing is declared by the model: one forward is watched. The arrays that a container holds are
of a class that looks like NumPy's and writes down what is done with it, f + shortcut or
concatenate([a, b]), as a node of the graph; an innermost layer is handed plain arrays, is one
node, and its output is watched again.

                        container: y = conv(x) + x
    x, watched ──┬───→  conv gets plain numbers; y, watched    node 1: conv(0)
                 └───→  y + x                                  node 2: add(1, 0)

Some things cannot be watched: a way chosen by the numbers, a value that left the arrays, an
array filled piece by piece. So the forward runs twice, on different images and on batches of
different size. What is not the same both times depends on the image behind our back; the
container in which that happens becomes one node, `opaque`. A whole number that grew with the
batch is a `Batch`.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from scratchnet.cost import copy_of, is_innermost, macs, watched
from scratchnet.layer import Layer, Parameter, no_grad


class Ref(NamedTuple):
    """What the node `id` returned, as an argument of a later one."""

    id: int


class Batch(NamedTuple):
    """A whole number among the arguments that is `times` the number of images."""

    times: int


@dataclass(frozen=True)
class Node:
    """One computation: an innermost layer, or an operation between layers.

    name        the layer's dotted name, or that of its container and the operation:
                "layer1.0.add". A layer that runs twice has two nodes.
    op          the layer's class, or the operation: "add", "multiply", "concatenate", "slice",
                "reshape", …; "input", "parameter" (of a container's own), "pick" (one of several)
    layer       the layer, a copy in evaluation mode on the CPU; None for an operation
    block       the block in which it runs, a place in Structure.blocks
    args        its arguments, and `options` those by name: a Ref for each array that was computed
    shape       of the output, without the batch; the first, of several
    params      parameters that no earlier node has; macs for one image, as summary counts them
    opaque      True: a container that could not be looked into, and `why`
    """

    id: int
    name: str
    op: str
    layer: Layer | None
    block: int
    args: tuple
    options: dict[str, Any]
    shape: tuple[int, ...]
    params: int = 0
    macs: int = 0
    opaque: bool = False
    why: str = ""
    function: Callable | None = field(default=None, repr=False)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The ids of the nodes it computes from, in the order of its arguments."""
        return tuple(ref.id for ref in _leaves((self.args, self.options)) if isinstance(ref, Ref))


@dataclass(frozen=True)
class Block:
    """A container while it ran: its `name` (the model itself is ""), the layer, the block it stands
    in (None for the model), the shape that it returned, and the nodes that it returned."""

    id: int
    name: str
    layer: Layer
    parent: int | None
    shape: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Structure:
    """A network as a graph: nodes in the order in which they ran, so inputs come first.

    `inputs` are the nodes of the network's arguments, `output` what it returns: a Ref, or a tuple
    of them. `params_unused` of the parameters are in no node (heads for training, say).
    """

    nodes: list[Node]
    blocks: list[Block]
    inputs: tuple[int, ...]
    output: Any
    params: int
    macs: int
    params_unused: int
    dtype: np.dtype

    @property
    def outputs(self) -> tuple[int, ...]:
        """The ids of the nodes that the network returns."""
        return tuple(ref.id for ref in _leaves(self.output) if isinstance(ref, Ref))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """(from, to) for each use of a node's output."""
        return [(source, node.id) for node in self.nodes for source in node.inputs]

    def path(self, block: int) -> list[int]:
        """The blocks around and including this one, the model first."""
        path = [block]
        while (parent := self.blocks[path[0]].parent) is not None:
            path.insert(0, parent)
        return path

    def run(self, *xs: np.ndarray) -> Any:
        """Compute the graph, node by node, for a batch of images of the traced size."""
        if len(xs) != len(self.inputs):
            raise ValueError(f"run expects {len(self.inputs)} arrays, the network's inputs; got "
                             f"{len(xs)}")
        last_use = dict(self.edges)
        kept, values = set(self.outputs), dict(zip(self.inputs, xs, strict=True))

        def fill(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return values[leaf.id]
            return leaf.times * len(xs[0]) if isinstance(leaf, Batch) else leaf

        with no_grad():
            for node in self.nodes:
                if node.op == "input":
                    continue
                function = node.layer.forward if node.layer is not None else node.function
                values[node.id] = function(*_swap(node.args, fill), **_swap(node.options, fill))
                for source in node.inputs:
                    if last_use[source] == node.id and source not in kept:
                        values.pop(source, None)
        return _swap(self.output, fill)


def structure(model: Layer, input_shape: tuple[int, ...] | list[tuple[int, ...]], *,
              training: bool = False) -> Structure:
    """Read the graph off the model's forward on images of `input_shape`, (C, H, W).

    A layer with several inputs takes a list of shapes. With `training` it is the forward of
    training, with the heads that only run there. What runs is a copy on the CPU: the model is
    left as it was. Raises ValueError for a model that is no Layer or a shape that is none; errors
    of the model's own come through.
    """
    if not isinstance(model, Layer):
        raise ValueError(f"structure expects a layer or a network, an object of a subclass of "
                         f"scratchnet.Layer; got {model!r}")
    shapes = _shapes(input_shape)
    model = copy_of(model).train(training)
    opaque: dict[type, str] = {}
    sizes = (2, 3) if training else (1, 2)          # batch norm trains on more than one number
    while True:
        try:
            first, second = (_Trace(model, shapes, N, opaque) for N in sizes)
            return _merged(first, second, sizes)
        except _Untraceable as found:
            kind = type(found.layer)
            if kind in opaque:
                raise ValueError(f"{kind.__name__} cannot be traced: {found.why}, even as a "
                                 f"whole") from None
            opaque[kind] = found.why


def _shapes(input_shape: Any) -> list[tuple[int, ...]]:
    shapes = input_shape if isinstance(input_shape, list) and input_shape and all(
        isinstance(shape, tuple | list) for shape in input_shape) else [input_shape]
    for shape in shapes:
        if not (isinstance(shape, tuple | list) and shape and all(
                isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in shape)):
            raise ValueError(f"structure expects the shape of one image, such as (3, 224, 224), or "
                             f"a list of shapes for a layer with several inputs; got "
                             f"{input_shape!r}")
    return [tuple(map(int, shape)) for shape in shapes]


# ── watching one forward ─────────────────────────────────────────────────────────────


class _Untraceable(BaseException):
    """Ends a trace: this container does what cannot be watched. (A container's own `except
    Exception` must not stop it.)"""

    def __init__(self, layer: Layer, why: str):
        self.layer, self.why = layer, why


class _Trace:
    """The nodes of one forward on N random images."""

    def __init__(self, model: Layer, shapes: list[tuple[int, ...]], N: int,
                 opaque: dict[type, str]):
        self.nodes: list[Node] = []
        self.blocks: list[Block] = []
        self.open: list[Block] = []             # the containers that are running
        self.names: set[str] = set()
        self._opaque, self._counted = opaque, set()
        self._inside = self._macs = 0           # how deep in a leaf; the MACs of what is in it
        parameters = model.parameters()
        self.dtype = parameters[0].value.dtype if parameters else np.dtype(np.float32)
        own = _own_parameters(model)
        values = {id(p): p.value for p in own.values()}
        rng = np.random.default_rng(N)
        try:
            with no_grad(), watched(model.named_layers(), self):
                # In a block of its own, which is dropped again: inputs belong to the model.
                self.open.append(Block(0, "", model, None))
                xs = [self._leaf(f"input{i + 1}" if len(shapes) > 1 else "input", "input",
                                 rng.standard_normal((N, *shape)).astype(self.dtype))
                      for i, shape in enumerate(shapes)]
                self.inputs = tuple(x._ref.id for x in xs)
                for name, parameter in own.items():
                    parameter.value = self._leaf(name, "parameter", parameter.value)
                self.open.pop()
                y = model.forward(*xs)
                if isinstance(y, np.ndarray) and not isinstance(y, _Watched):
                    raise _Untraceable(model, "it returns an array that no layer computed")
                self.output = _swap(y, self._ref_of)
        finally:
            for parameter in own.values():
                parameter.value = values[id(parameter)]
        self.params = sum(p.value.size for p in parameters)

    # ── layers ───────────────────────────────────────────────────────────────────────

    def __call__(self, name: str, layer: Layer, forward: Callable, *xs: Any,
                 **options: Any) -> Any:
        """Runs in place of the forward of each layer."""
        innermost = is_innermost(layer)
        if self._inside:
            y = forward(*xs, **options)
            if innermost:
                self._macs += macs(layer, _first_shape(y))
            return y
        if innermost or type(layer) in self._opaque:
            return self._run_leaf(name, layer, forward, xs, options)
        block = Block(len(self.blocks), name, layer, self.open[-1].id if self.open else None)
        self.blocks.append(block)
        self.open.append(block)
        y = forward(*xs, **options)
        outputs = [array for array in _leaves(y) if isinstance(array, np.ndarray)]
        if not outputs or not all(isinstance(array, _Watched) for array in outputs):
            raise _Untraceable(layer, "it returns an array that no layer computed")
        self.blocks[block.id] = replace(block, shape=_first_shape(y)[1:], outputs=tuple(
            self._ref_of(array).id for array in outputs))
        self.open.pop()
        return y

    def _run_leaf(self, name: str, layer: Layer, forward: Callable, xs: tuple,
                  options: dict) -> Any:
        if not self.open:                       # the model itself: it gets a block to stand in
            self.blocks.append(Block(0, "", layer, None))
            self.open.append(self.blocks[0])
        args, named = _swap(xs, self._ref_of), _swap(options, self._ref_of)
        sources = [x for x in _leaves((xs, options)) if isinstance(x, _Watched)]
        self._inside, self._macs = self._inside + 1, 0
        y = forward(*_swap(xs, _plain), **_swap(options, _plain))
        self._inside -= 1
        y = _swap(y, _plain)
        innermost = is_innermost(layer)
        ours = {id(p): p.value.size for p in layer.parameters()}
        node = Node(len(self.nodes), name, type(layer).__name__, layer, self.open[-1].id, args,
                    named, _first_shape(y)[1:],
                    sum(size for key, size in ours.items() if key not in self._counted),
                    macs(layer, _first_shape(y)) if innermost else self._macs,
                    not innermost, self._opaque.get(type(layer), ""))
        self._counted.update(ours)
        self.nodes.append(node)
        y = self._watched_output(node, y, sources)
        if self.blocks[0].layer is layer:
            self.blocks[0] = replace(self.blocks[0], shape=node.shape, outputs=tuple(
                array._ref.id for array in _leaves(y) if isinstance(array, _Watched)))
        return y

    def _leaf(self, name: str, op: str, value: np.ndarray) -> "_Watched":
        """A node that computes nothing: an input, or a parameter of a container."""
        is_input = op == "input"
        self.names.add(name)
        node = Node(len(self.nodes), name, op, None, 0, () if is_input else (value,), {},
                    value.shape[1:] if is_input else value.shape,
                    0 if is_input else value.size, function=_itself)
        self.nodes.append(node)
        return self._wrap(node.id, value, [])

    # ── operations between layers ────────────────────────────────────────────────────

    def operation(self, op: str, function: Callable, args: tuple, options: dict,
                  out: "_Watched | None" = None) -> Any:
        """Compute, and write a node; `out`, if given, is where the result belongs."""
        if self._inside:
            result = function(*_swap(args, _plain), **_swap(options, _plain))
            if out is None:
                return result
            _plain(out)[...] = result
            return out
        block = self.open[-1]
        refs, named = _swap(args, self._ref_of), _swap(options, self._ref_of)
        result = function(*_swap(args, _plain), **_swap(options, _plain))
        arrays = [leaf for leaf in _leaves(result) if isinstance(leaf, np.ndarray | np.generic)]
        if not arrays:                          # a shape, a number of dims
            return result
        name = f"{block.name}.{op}" if block.name else op
        while name in self.names:
            stem, _, count = name.rpartition("_")
            name = f"{stem}_{int(count) + 1}" if stem and count.isdecimal() else f"{name}_2"
        self.names.add(name)
        node = Node(len(self.nodes), name, op, None, block.id, refs, named,
                    np.shape(arrays[0])[1:], function=function)
        self.nodes.append(node)
        if out is None:
            sources = [a for a in _leaves((args, options)) if isinstance(a, _Watched)]
            return self._watched_output(node, result, sources)
        if out._shared or not isinstance(out, _Watched) or (
                (out.shape, out.dtype) != (np.shape(result), result.dtype)):
            raise _Untraceable(block.layer, f"it writes into an array ({op}) that others hold too")
        _plain(out)[...] = result
        out._ref = Ref(node.id)
        return out

    def write(self, array: "_Watched", key: Any, value: Any) -> None:
        """array[key] = value: from here on, `array` is what a new node returns."""
        def written(old: np.ndarray, key: Any, value: Any) -> np.ndarray:
            new = old.copy()
            new[key] = value
            return new
        self.operation("write", written, (array, key, value), {}, out=array)

    def refuse(self, why: str) -> None:
        """What was asked for cannot be watched."""
        if not self._inside:
            raise _Untraceable(self.open[-1].layer, why)

    def _watched_output(self, node: Node, y: Any, sources: list) -> Any:
        if isinstance(y, np.ndarray | np.generic):
            return self._wrap(node.id, y, sources)
        if not isinstance(y, tuple | list):
            raise _Untraceable(self.open[-1].layer, f"{node.name} returns {type(y).__name__}")
        parts = []
        for i, part in enumerate(y):            # several outputs: each picked by a node
            pick = Node(len(self.nodes), f"{node.name}.{i}", "pick", None, node.block,
                        (Ref(node.id), i), {}, np.shape(part)[1:], function=_pick)
            self.nodes.append(pick)
            parts.append(self._wrap(pick.id, part, sources))
        return type(y)(parts) if isinstance(y, list) else tuple(parts)

    def _wrap(self, node: int, value: Any, sources: list) -> "_Watched":
        """The array, watched; a copy, where it shares the memory of what it was made from."""
        array = np.asarray(value)
        shared = False
        for source in sources:
            if np.may_share_memory(array, _plain(source)):
                source._shared = shared = True
        watched = (array.copy() if shared else array).view(_Watched)
        watched._trace, watched._ref, watched._shared = self, Ref(node), shared
        return watched

    def _ref_of(self, leaf: Any) -> Any:
        """A watched array as a Ref; anything else, a constant, as it is."""
        if not isinstance(leaf, _Watched):
            return leaf
        if leaf._ref is None:
            self.refuse("it takes an array apart in a way that is not known here")
        return leaf._ref


def _own_parameters(model: Layer) -> dict[str, Parameter]:
    """{dotted name: Parameter} that containers hold themselves, beside their layers."""
    own, seen = {}, set()
    for prefix, layer in model.named_layers():
        for name, parameter in () if is_innermost(layer) else layer._attributes(Parameter):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                own[f"{prefix}.{name}" if prefix else name] = parameter
    return own


def _itself(value: Any) -> Any:
    return value


def _pick(values: Any, i: int) -> Any:
    return values[i]


def _plain(leaf: Any) -> Any:
    return leaf.view(np.ndarray) if isinstance(leaf, _Watched) else leaf


def _first_shape(y: Any) -> tuple[int, ...]:
    return next((np.shape(a) for a in _leaves(y) if isinstance(a, np.ndarray | np.generic)), ())


# ── arrays that write down what is done with them ────────────────────────────────────

WRITERS = ("copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis")


class _Watched(np.ndarray):
    """An array in a container's hands."""

    _trace: _Trace | None = None
    _ref: Ref | None = None
    _shared = False             # its memory is, or was, seen through another array, too

    def __array_finalize__(self, source: Any) -> None:
        self._trace = getattr(source, "_trace", None)   # but no _ref: nobody knows what it is yet

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None,
                        **options: Any) -> Any:
        trace = _trace_of((inputs, options, out))
        into = None if out is None else out[0]
        if method == "at" or (out is not None and not (
                len(out) == 1 and isinstance(into, _Watched))):
            trace.refuse(f"it writes into an array ({ufunc.__name__})")
            into = None
        op = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}_{method}"
        return trace.operation(op, getattr(ufunc, method), inputs, options, into)

    def __array_function__(self, function: Callable, types: Any, args: tuple,
                           options: dict) -> Any:
        trace = _trace_of((args, options))
        if function.__name__ in WRITERS or options.get("out") is not None:
            trace.refuse(f"it writes into an array ({function.__name__})")
        result = trace.operation(function.__name__, function, args, options)
        if isinstance(result, bool | np.bool_):
            trace.refuse(f"its way depends on the numbers ({function.__name__})")
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        _trace_of((self, value, key)).write(self, key, value)

    @property
    def T(self) -> Any:
        return self.transpose()


def _trace_of(values: Any) -> _Trace:
    return next(a._trace for a in _leaves(values) if isinstance(a, _Watched))


def _method(name: str) -> Callable:
    function = getattr(np.ndarray, name)
    op = {"__getitem__": "slice"}.get(name, name)

    def watched(self: _Watched, *args: Any, **options: Any) -> Any:
        return self._trace.operation(op, function, (self, *args), options)

    return watched


def _leaves_the_arrays(name: str) -> Callable:
    function = getattr(np.ndarray, name)

    def watched(self: _Watched, *args: Any, **options: Any) -> Any:
        self._trace.refuse("its way depends on the numbers")
        return function(self.view(np.ndarray), *args, **options)

    return watched


for _name in ("__getitem__", "reshape", "transpose", "swapaxes", "ravel", "flatten", "squeeze",
              "astype", "copy", "sum", "mean", "max", "min", "prod", "var", "std", "clip",
              "repeat", "take", "round", "cumsum", "argmax", "argmin", "diagonal", "dot"):
    setattr(_Watched, _name, _method(_name))
for _name in ("__bool__", "__float__", "__int__", "__complex__", "__index__", "item", "tolist",
              "tobytes", "sort", "fill", "partition", "resize", "put"):
    setattr(_Watched, _name, _leaves_the_arrays(_name))


# ── two forwards made one ────────────────────────────────────────────────────────────


def _merged(first: _Trace, second: _Trace, sizes: tuple[int, int]) -> Structure:
    """The graph that both traces followed; _Untraceable where they part."""
    merge = partial(_merge, sizes=sizes)
    nodes = []
    for a, b in zip(first.nodes, second.nodes, strict=False):
        layer = first.blocks[a.block].layer
        if (a.name, a.op, a.block) != (b.name, b.op, b.block) or a.layer is not b.layer:
            raise _Untraceable(layer, "its way depends on the image, or on how many there are")
        try:
            nodes.append(replace(a, args=merge(a.args, b.args),
                                 options=merge(a.options, b.options)))
        except _Differ:
            raise _Untraceable(layer, f"what it hands to {a.name} was computed from the image in "
                                      f"ways that cannot be watched") from None
    for longer, other in ((first, second), (second, first)):
        if len(longer.nodes) > len(other.nodes):
            node = longer.nodes[len(other.nodes)]
            raise _Untraceable(longer.blocks[node.block].layer, "its way depends on the image")
    params = sum(node.params for node in nodes)
    return Structure(nodes, first.blocks, first.inputs, first.output, first.params,
                     sum(node.macs for node in nodes), first.params - params, first.dtype)


class _Differ(Exception):
    """Two constants that should be one."""


def _merge(a: Any, b: Any, sizes: tuple[int, int]) -> Any:
    """What both arguments are; a whole number that grew with the batch is a Batch."""
    if type(a) is not type(b):
        raise _Differ
    if isinstance(a, Ref):
        if a != b:
            raise _Differ
        return a
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            raise _Differ
        return type(a)(_merge(x, y, sizes) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        if a.keys() != b.keys():
            raise _Differ
        return {key: _merge(a[key], b[key], sizes) for key in a}
    if isinstance(a, slice):
        return slice(*_merge((a.start, a.stop, a.step), (b.start, b.stop, b.step), sizes))
    if isinstance(a, np.ndarray | np.generic):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            raise _Differ
        return a
    if isinstance(a, Integral) and not isinstance(a, bool) and a != b:
        times, rest = divmod(int(a), sizes[0])
        if rest or times * sizes[1] != b:
            raise _Differ
        return Batch(times)
    if a is not b and a != b and not (a != a and b != b):       # nan is nan
        raise _Differ
    return a


# ── arguments ────────────────────────────────────────────────────────────────────────


def _swap(value: Any, change: Callable) -> Any:
    """`value` with each leaf of its lists, tuples, dicts and slices changed."""
    if isinstance(value, Ref | Batch):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_swap(item, change) for item in value)
    if isinstance(value, dict):
        return {key: _swap(item, change) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(_swap(item, change) for item in (value.start, value.stop, value.step)))
    return change(value)


def _leaves(value: Any) -> Iterator[Any]:
    """What is in lists, tuples, dicts and slices at any depth."""
    if isinstance(value, list | tuple) and not isinstance(value, Ref | Batch):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    elif isinstance(value, slice):
        yield from _leaves([value.start, value.stop, value.step])
    else:
        yield value
