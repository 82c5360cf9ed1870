"""Subject — the layer under test, as a supply of fresh copies with any array replaced.

A forward may draw random numbers, update running averages or leave a cache behind, so no
two evaluations may share an object: each runs on its own copy of the same original.
`copy.deepcopy` takes a memo that says "for this object, take that one instead"; listing a
parameter's array there gives a copy of the layer in which that parameter is replaced, for
any object at all, without knowing how it stores its arrays, and without copying the rest.
"""
import copy
import inspect
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import device_of, is_array, to_device, to_host
from scratchnet.gradcheck.report import Finding
from scratchnet.layer import Layer, Parameter, remembering

TINY = 1e-6             # relative: beyond the precision of float32
OFF_TIES = 1e-2         # relative to the largest number

_NOTHING = np.empty(0)
_NUMPY_STATE = np.random.RandomState(0).get_state()                         # noqa: NPY002
_PYTHON_STATE = random.Random(0).getstate()


class BackwardError(Exception):
    """backward raised an exception; the message says which and where."""


@dataclass
class Run:
    """One forward and backward: everything that came out, as host arrays."""

    layer: Any
    ys: list[np.ndarray]
    dxs: list[np.ndarray]               # one for each differentiated input
    grads: dict[str, np.ndarray]        # one for each parameter


class Subject:
    """A float64 copy of the layer, its inputs, a random dy, and ways to evaluate it."""

    def __init__(self, layer: Any, inputs: tuple, rng: np.random.Generator,
                 reference: Any = None):
        self.original, self.original_inputs = layer, inputs
        self.original_reference = reference
        self.is_layer = isinstance(layer, Layer)
        self.device = device_of(inputs[0]) if inputs else "cpu"
        self.inputs = [_generic(to_host(x), rng) for x in inputs]
        self.floats = [i for i, x in enumerate(self.inputs) if x.dtype.kind == "f"]

        doubles = {id(a): a.astype(np.float64) for a in arrays_in(layer) if a.dtype.kind == "f"}
        self.layer = copy_with(layer, doubles)
        self._complex: dict[int, Any] | None = None
        takes = inspect.signature(self.layer.backward).parameters.values()
        self.takes_dy = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD,
                                       p.VAR_POSITIONAL) for p in takes)
        self.slots = _layer_slots if self.is_layer else self._find_slots(rng)
        self._vary(rng)
        self.truth = self if reference is None else self._double(reference)
        ys = self.forward()
        self.dys = [rng.standard_normal(y.shape) if self.takes_dy else np.ones(y.shape)
                    for y in ys]

    def _double(self, reference: Layer) -> "Subject":
        """The reference as a Subject with this one's inputs, parameters and buffers: what forward
        should compute."""
        truth = object.__new__(Subject)
        vars(truth).update(vars(self))
        state = {name: array for name, array, _ in self.layer._state()}
        own = {name: array for name, array, _ in reference._state()}
        if different := {n: a.shape for n, a in own.items()}.items() ^ {
                n: a.shape for n, a in state.items()}.items():
            raise ValueError(f"check: the reference needs the layer's parameters and buffers, of "
                             f"the same names and shapes; different: {sorted(different)}")
        doubles = {id(a): a.astype(np.float64) for a in arrays_in(reference)
                   if a.dtype.kind == "f"}
        truth.layer = copy_with(reference, doubles | {
            id(own[name]): array for name, array in state.items()})
        truth.is_layer, truth.slots, truth._complex, truth.truth = True, _layer_slots, None, truth
        return truth

    def forward_problem(self) -> str:
        """How forward differs from the reference's, "" if it does not."""
        if self.truth is self:
            return ""
        for y, true in zip(ys := self.forward(), trues := self.truth.forward(), strict=False):
            if y.shape != true.shape:
                return f"forward returned shape {y.shape}; expected {true.shape}"
            if y.dtype.kind != "f" or not np.isfinite(y).all():
                return f"forward returned {y.dtype} with NaN or infinity; expected finite numbers" \
                    if y.dtype.kind == "f" else f"forward returned {y.dtype}; expected {true.dtype}"
            wrong = np.abs(y - true)
            if wrong.max(initial=0) > 1e-9 * max(np.abs(true).max(initial=0), 1e-300):
                place = tuple(map(int, np.unravel_index(wrong.argmax(), wrong.shape)))
                share = np.mean(wrong > 1e-9 * np.abs(true).max(initial=0))
                at = f" at {place}" if place else ""
                return (f"forward is wrong{at}: {y[place]:.6g}; expected {true[place]:.6g} "
                        f"({share:.0%} of its numbers are wrong)")
        return "" if len(ys) == len(trues) else (
            f"forward returned {len(ys)} arrays; expected {len(trues)}")

    # ── evaluating ───────────────────────────────────────────────────────────────────

    def fresh(self, replace: dict[str, Any] | None = None) -> Any:
        """A copy of the layer with zero gradients; `replace` gives parameters new values."""
        memo = {}
        for name, (value, grad) in self.slots(self.layer).items():
            memo[id(value)] = (replace or {}).get(name, value)
            if is_array(grad):              # zeros from the system cost nothing until touched
                memo[id(grad)] = to_device(np.zeros(grad.shape, memo[id(value)].dtype),
                                           self.device)
            elif grad is not None:
                memo[id(grad)] = np.float64(0)
        return copy_with(self.layer, memo)

    def fresh_to_write(self) -> Any:
        """A copy that shares not even its parameters: a wrong backward may write there."""
        return self.fresh({name: value.copy()
                           for name, (value, _) in self.slots(self.layer).items()})

    def fresh_complex(self, replace: dict[str, np.ndarray]) -> Any:
        """A copy in which every floating-point array is complex; `replace` gives parameters new
        values."""
        if self._complex is None:
            self._complex = {id(a): a.astype(np.complex128) for a in arrays_in(self.layer)
                             if a.dtype.kind == "f"}
        memo = dict(self._complex)
        for slot, (old, grad) in self.slots(self.layer).items():
            if slot in replace:
                memo[id(old)] = to_device(replace[slot], self.device)
            if is_array(grad):
                memo[id(grad)] = _NOTHING           # a forward needs no gradients
        return copy_with(self.layer, memo)

    def forward(self, inputs: list | None = None, layer: Any = None,
                layout: Callable = np.copy) -> list[np.ndarray]:
        """The outputs of forward on a fresh copy, or on `layer`."""
        layer = self.fresh() if layer is None else layer
        pin_randomness()
        with remembering():
            y = layer.forward(*self.put(self.inputs if inputs is None else inputs, layout))
        return [to_host(v) if is_array(v) else np.asarray(v)
                for v in (y if isinstance(y, tuple) else (y,))]

    def run(self, dys: list, inputs: list | None = None, layer: Any = None,
            layout: Callable = np.copy) -> Run:
        """Forward and backward on a fresh copy, or on `layer`."""
        layer = self.fresh_to_write() if layer is None else layer
        ys = self.forward(inputs, layer, layout)
        return Run(layer, ys, self.backward(layer, dys, layout), self.grads(layer))

    def run_in_float32(self) -> Run:
        """The same as `run(self.dys)`, every floating-point array in float32."""
        singles = {id(a): a.astype(np.float32) for a in arrays_in(self.layer)
                   if a.dtype.kind == "f"}
        return self.run([dy.astype(np.float32) for dy in map(np.asarray, self.dys)],
                        [x.astype(np.float32) if x.dtype.kind == "f" else x
                         for x in self.inputs], copy_with(self.layer, singles))

    def backward(self, layer: Any, dys: list, layout: Callable = np.copy) -> list:
        """What backward returns for the differentiated inputs. Raises BackwardError."""
        arguments = [self.put([dy], layout)[0] if dy.ndim else dy.dtype.type(dy) for dy in dys]
        try:
            with remembering():
                dx = layer.backward(*(arguments if self.takes_dy else ()))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise BackwardError(f"backward raised {type(error).__name__}: {error} "
                                f"({where.filename}:{where.lineno})") from error
        if self.is_layer and len(self.inputs) == 1 and isinstance(dx, tuple | list) \
                and len(dx) == 1:
            raise BackwardError(f"backward returned a {type(dx).__name__} of one; with one input "
                                f"it must return dx itself, an array")
        dxs = [to_host(v) if is_array(v) else v
               for v in (dx if isinstance(dx, tuple | list) else (dx,))]
        # one for each input, labels included: those of labels mean nothing
        return [dxs[i] for i in self.floats] if len(dxs) == len(self.inputs) else dxs

    def put(self, arrays: list, layout: Callable = np.copy) -> list:
        """Copies, on the layer's device, for forward or backward to do with as they like."""
        return [to_device(layout(a), self.device) for a in arrays]

    # ── parameters ───────────────────────────────────────────────────────────────────

    def _find_slots(self, rng: np.random.Generator) -> Callable:
        """How to find the parameters of an object that is not ours: arrays that were there
        before forward (no caches) and have a gradient after backward."""
        trial = copy_with(self.layer, {})
        there = list(arrays_in(trial))              # held, so that no id is used again
        known = set(map(id, there))
        ys = self.forward(layer=trial)
        then = {name: id(value) for name, (value, _) in _foreign_slots(trial).items()}
        try:
            self.backward(trial, [rng.standard_normal(y.shape) for y in ys])
        except BackwardError:                       # it will raise again, and be reported
            names = set()
        else:
            names = {name for name, (value, grad) in _foreign_slots(trial).items()
                     if grad is not None and then.get(name, id(value)) in known}
        return lambda layer: {name: slot for name, slot in _foreign_slots(layer).items()
                              if name in names}

    def _vary(self, rng: np.random.Generator) -> None:
        """Move the parameters, and the buffers of our layers, to a point that hides nothing:
        no two equal (γ = 1 hides that it is missing), none exact in float32."""
        varied = {}
        for value, _ in self.slots(self.layer).values():
            host = to_host(value)
            u, v = rng.uniform(-0.3, 0.3, (2, *host.shape))
            new = host * (1 + u) + v if _constant(host) else host * (1 + TINY * u)
            varied[id(value)] = to_device(new, device_of(value))
        for _, layer in self.layer.named_layers() if self.is_layer else ():
            for _, value in layer._buffers():
                host = to_host(value)
                if host.dtype.kind == "f" and _constant(host):
                    u = rng.uniform(0.1, 0.4, host.shape)           # a variance stays positive
                    varied[id(value)] = to_device(host * (1 + u) if host.all() else u,
                                                  device_of(value))
        self.layer = copy_with(self.layer, varied)

    def values(self) -> dict[str, np.ndarray]:
        """The parameters' values, by name, on the host."""
        return {name: to_host(value) for name, (value, _) in self.slots(self.layer).items()}

    def grads(self, layer: Any) -> dict[str, np.ndarray]:
        """Copies of the parameters' gradients in `layer`, by name, on the host."""
        return {name: np.array(to_host(grad) if is_array(grad) else grad)
                for name, (_, grad) in self.slots(layer).items()}

    def shape_problems(self, run: Run) -> list[Finding]:
        """Findings about gradients whose number, kind or shape is wrong."""
        problems = []
        dxs = run.dxs
        if len(dxs) != len(self.floats):
            def count(n: int, what: str) -> str:
                return f"{n} {what}{'' if n == 1 else 's'}"
            return [Finding("shapes", "wrong", f"backward returned {count(len(dxs), 'gradient')} "
                            f"for {count(len(self.floats), 'input')}")]
        wanted = [(self.input_name(i), self.inputs[i].shape, dx)
                  for i, dx in zip(self.floats, dxs, strict=True)]
        wanted += [(name, value.shape, run.grads[name]) for name, value in self.values().items()]
        for name, shape, grad in wanted:
            if not isinstance(grad, np.ndarray | np.generic | float | complex):
                problems.append(Finding("shapes", "wrong", f"the gradient of {name} is "
                                        f"{type(grad).__name__}, not an array"))
            elif np.shape(grad) != shape:
                problems.append(Finding("shapes", "wrong", f"the gradient of {name} has shape "
                                        f"{np.shape(grad)}; expected {shape}, like {name}"))
            elif np.asarray(grad).dtype.kind not in "fc":
                what = ("truth values, a mask: multiply it by dy" if np.asarray(grad).dtype == bool
                        else f"{np.asarray(grad).dtype}, not floating-point numbers")
                problems.append(Finding("shapes", "wrong", f"the gradient of {name} holds {what}"))
            elif not np.isfinite(grad).all():
                problems.append(Finding("finite", "wrong", f"the gradient of {name} holds NaN "
                                        f"or infinity"))
        return problems

    def unexamined(self, first: Run) -> list[Finding]:
        """Findings about arrays that forward uses as parameters and whose gradient nobody sees."""
        if self.is_layer:
            found = {id(p) for p in self.layer.parameters()}
            lost = [p for p in held(self.layer, lambda thing: isinstance(thing, Parameter))
                    if id(p) not in found]
            return [Finding("finds every parameter", "wrong", f"{len(lost)} Parameters are not in "
                            f"named_parameters(), the first being {lost[0]}: an attribute whose "
                            f"name begins with '_' is private; rename it")] if lost else []
        seen = self.slots(self.layer)
        findings = []
        for name, (value, _) in _foreign_slots(self.layer).items():
            if name in seen or name.split(".")[-1].startswith("_"):
                continue
            moved = copy_with(self.layer, {id(value): value * 1.25 + 0.01})
            ys = self.forward(layer=moved)
            if any(a.shape != b.shape or (a != b).any() for a, b in
                   zip(ys, first.ys, strict=True)):
                findings.append(Finding("finds every parameter", "inconclusive",
                                        f"{name} changes the output, but backward left no gradient "
                                        f"for it (under d{name}, grad_{name} or {name}_grad). If "
                                        f"it is a constant, begin its name with '_'"))
        return findings

    def input_name(self, i: int) -> str:
        """x for the first input where it is the only one, else the names forward uses."""
        names = getattr(self.layer, "input_names", None) or [
            name for name, p in inspect.signature(self.layer.forward).parameters.items()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return names[i] if i < len(names) else f"input {i}"


def arrays_in(thing: Any) -> Iterator[Any]:
    """Yield every array held by `thing`, in attributes, lists, tuples and dicts, each once."""
    return held(thing, is_array)


def held(thing: Any, wanted: Callable[[Any], bool], seen: set | None = None) -> Iterator[Any]:
    """Yield every wanted object held by `thing`, in attributes, lists, tuples and dicts."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, str | bytes | type | np.random.Generator):
        return
    seen.add(id(thing))
    if wanted(thing):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from held(value, wanted, seen)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from held(value, wanted, seen)
    elif hasattr(thing, "__dict__") and not inspect.ismodule(thing) and not callable(
            getattr(thing, "__code__", None)):
        for name, value in vars(thing).items():
            if name != "_memory":
                yield from held(value, wanted, seen)


@contextmanager
def own_randomness() -> Iterator[None]:
    """Leave the global generators as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()    # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(numpy_state)                                    # noqa: NPY002
        random.setstate(python_state)


def pin_randomness() -> None:
    """Layers that draw from the global generators shall draw the same numbers each time."""
    np.random.set_state(_NUMPY_STATE)                                       # noqa: NPY002
    random.setstate(_PYTHON_STATE)


def copy_with(layer: Any, replace: dict[int, Any]) -> Any:
    """copy.deepcopy, with the objects of these ids replaced instead of copied."""
    try:
        return copy.deepcopy(layer, dict(replace))
    except TypeError as error:
        raise TypeError(f"check works on copies, and {type(layer).__name__} cannot be copied: "
                        f"{error}") from error


def _layer_slots(layer: Layer) -> dict[str, tuple]:
    return {name: (p.value, p.grad) for name, p in layer.named_parameters()}


def _foreign_slots(thing: Any) -> dict[str, tuple]:
    """{name: (value, gradient or None)} for an object that is no scratchnet layer, and for
    those with a backward that it holds."""
    slots: dict[str, tuple] = {}
    seen: set[int] = set()

    def visit(thing: Any, prefix: str) -> None:
        if id(thing) in seen or not hasattr(thing, "__dict__"):
            return
        seen.add(id(thing))
        held = {id(value) for value, _ in slots.values()}       # a network may list them too
        slots.update({prefix + name: slot for name, slot in _own_slots(thing).items()
                      if id(slot[0]) not in held})
        for name, value in vars(thing).items():
            items = (value.items() if isinstance(value, dict) else
                     enumerate(value) if isinstance(value, list | tuple) else ())
            for key, part in [(name, value), *((f"{name}.{key}", part) for key, part in items)]:
                if hasattr(part, "backward"):
                    visit(part, f"{prefix}{key}.")

    visit(thing, "")
    return slots


def _own_slots(thing: Any) -> dict[str, tuple]:
    """The slots of one object, by each of the usual conventions."""
    if isinstance(thing, Layer):            # one of ours inside: its other arrays are buffers
        return {name: (p.value, p.grad) for name, p in thing._attributes(Parameter)}
    slots = {}
    for values, grads in (("params", "grads"), ("parameters", "gradients")):
        values, grads = getattr(thing, values, None), getattr(thing, grads, None)
        if isinstance(values, dict) and isinstance(grads, dict):
            slots |= {str(k): (v, _mate(grads, str(k))) for k, v in values.items()
                      if _is_float(v)}
        elif isinstance(values, list) and isinstance(grads, list) and len(values) == len(grads):
            slots |= {f"params[{i}]": (v, g) for i, (v, g) in
                      enumerate(zip(values, grads, strict=True)) if _is_float(v)}
    if slots:
        return slots
    for name, value in vars(thing).items():
        if _is_float(value):
            slots[name] = (value, _mate(vars(thing), name, itself=False))
        for inner in ("value", "data"):
            array, grad = getattr(value, inner, None), getattr(value, "grad", None)
            if not is_array(value) and _is_float(array):
                slots[name] = (array, grad if is_array(grad) else None)
    return slots


def _mate(grads: dict, name: str, itself: bool = True) -> Any:
    """The gradient that belongs to `name`: dW, d_W, grad_W or W_grad (or W itself)."""
    names = [f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad", f"grad{name}"]
    for candidate in names + ([name] if itself else []):
        if is_array(grads.get(candidate)) or isinstance(grads.get(candidate), np.floating):
            return grads[candidate]
    return None


def _is_float(value: Any) -> bool:
    return is_array(value) and value.dtype.kind == "f"


def _constant(host: np.ndarray) -> bool:
    return bool(host.size and (host == host.flat[0]).all())


def _generic(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x in float64, moved to a point that hides nothing.

    By a millionth, so that the numbers are not exact in float32; and where there are equal
    numbers or zeros, by up to a hundredth of the largest, evenly, so that all differ.
    """
    if x.dtype.kind != "f":
        return x.copy()
    moved = x.astype(np.float64) * (1 + TINY * rng.uniform(-1, 1, x.shape))
    if x.size and (not x.all() or np.unique(x).size < x.size):
        away = (1 + rng.permutation(x.size).reshape(x.shape) / x.size) / 2      # ½ … 1
        moved += OFF_TIES * (np.abs(moved).max() or 1.0) * away * rng.choice([-1, 1], x.shape)
    return moved
