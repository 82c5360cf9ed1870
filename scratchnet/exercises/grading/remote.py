"""RemoteLayer — a layer whose forward and backward run at the other end of a wire.

To whoever holds it, gradcheck above all, it is a Layer like any other: its parameters, buffers
and generators are there, may be changed, and are copied by copy.deepcopy with any of them
replaced; an array that the layer writes into changes here too. What it computes is computed
over there, and nothing comes from there but numbers.
"""
import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from scratchnet.exercises.grading.objects import KEPT, is_number
from scratchnet.exercises.grading.wire import (
    Line,
    Payload,
    WireError,
    decode,
    encode,
    generator_state,
)
from scratchnet.layer import Layer, Parameter, _mode


def remote_layer(line: Line, answer: dict, payload: Payload) -> "RemoteLayer":
    """The layer that the other end has just described (Objects.add)."""
    with _described("a layer"):
        methods = {name: _method(name, answer[name]) for name in ("forward", "backward")}
        name, text = str(answer["class"])[:80], str(answer["repr"])[:200]
        layer = type(name if name.isidentifier() else "Layer", (RemoteLayer,),
                     {**methods, "__repr__": lambda self: text})(_Far(line, answer["handle"]))
        layer._show(answer["state"], payload)
        payload.end()
    return layer


class RemoteLayer(Layer):
    """See the module's docstring; remote_layer makes one."""

    def __init__(self, far: "_Far"):
        self._far = far
        self._places: list[tuple[Any, str]] = []        # of each array: the object, its attribute
        self._parts: list[Layer] = []                   # this layer and those inside
        self._own: list[Any] = []                       # holders of arrays without a public name
        self._lost: list[Parameter] = []                # Parameters without one
        self._generators: list[np.random.Generator] = []

    def __deepcopy__(self, memo: dict) -> "RemoteLayer":
        new = memo[id(self)] = type(self).__new__(type(self))
        for name, value in vars(self).items():
            if name != "_far":
                new.__dict__[name] = copy.deepcopy(value, memo)
        answer, payload = self._ask("copy", new)
        with _described("a copy"):
            new._far = _Far(self._far.line, answer["handle"])
            new._show(answer["state"], payload, fresh=True)
        return new

    def _run(self, method: str, arguments: tuple) -> Any:
        kept = self._far.kept
        count = len(kept)
        del kept[:-KEPT]
        given: list[np.ndarray] = []
        payload: list[bytes] = []
        codes = [encode(argument, payload, given) for argument in arguments]
        kept += given           # the caller's own arrays: what the layer writes there is seen
        answer, arrays = self._ask(method, self, payload, arguments=codes, kept=count,
                                   forgetful=bool(getattr(_mode, "forgetful", False)))
        with _described("an answer"):
            result = decode(answer["result"], arrays, kept)
            for number, code in answer["changed"]:
                now = decode(code, arrays)
                if now.tobytes() != kept[number].tobytes():
                    kept[number][...] = now
            self._show(answer["state"], arrays)
            arrays.end()
        return result

    def _ask(self, what: str, of: "RemoteLayer", payload: list[bytes] = (),
             **fields: Any) -> tuple[dict, Payload]:
        """Ask the layer there, in the state in which `of` is here."""
        line = self._far.line
        freed, line.freed = line.freed, []
        state: list[bytes] = []
        arrays = [encode(vars(owner).get(name), state) for owner, name in of._places]
        numbers = [[i, name, encode(value, state)] for i, part in enumerate(of._parts)
                   for name, value in vars(part).items()
                   if is_number(value) and not name.startswith("_") and name != "training"]
        return line.ask(what, [*state, *payload], handle=self._far.handle, freed=freed,
                        arrays=arrays, numbers=numbers,
                        modes=[layer.training for layer in of._parts],
                        generators=[generator_state(g) for g in of._generators], **fields)

    def _show(self, state: dict, payload: Payload, fresh: bool = False) -> None:
        """Make what is seen here like `state`.

        An array that is still the same one there is the same one here, written into; any other
        is replaced. Of a copy just made (`fresh`), all are what they are here already.
        """
        old = [vars(owner).get(name) for owner, name in self._places]
        arrays = []
        for number, (before, code) in enumerate(state["arrays"]):
            new = decode(code, payload)
            before = number if fresh else before
            mine = old[before] if 0 <= before < len(old) else None
            if isinstance(mine, np.ndarray) and isinstance(new, np.ndarray) \
                    and mine.shape == new.shape and mine.dtype == new.dtype:
                if mine.tobytes() != new.tobytes():
                    mine[...] = new
                new = mine
            arrays.append(new)
        self._places = [(None, "")] * len(arrays)

        def put(owner: Any, name: str, where: Any) -> None:
            if isinstance(where, dict):
                vars(owner)[name] = decode(where["value"], payload)
                return
            vars(owner)[name] = arrays[where]
            if self._places[where][0] is None:
                self._places[where] = (owner, name)

        parts = dict(zip(self._names(), self._parts, strict=True))
        parameters = {(i, name): p for i, part in enumerate(self._parts)
                      for name, p in part._attributes(Parameter)}
        for part in self._parts:
            for name in [name for name in vars(part) if not name.startswith("_")]:
                del vars(part)[name]
        self._parts = []
        for name, mode in state["layers"]:
            part = self if not self._parts else parts.get(name) or _Part()
            part.training = bool(mode)
            if part is not self:
                vars(self)[_public(name)] = part
            self._parts.append(part)
        for i, name, value, grad in state["parameters"]:
            parameter = parameters.get((i, name)) or Parameter.__new__(Parameter)
            vars(self._parts[i])[_public(name)] = parameter
            put(parameter, "value", value)
            put(parameter, "grad", grad)
        for i, name, where in state["buffers"]:
            put(self._parts[i], _public(name), where)
        for i, name, code in state["numbers"]:
            vars(self._parts[i])[_public(name)] = decode(code, payload)
        self._lost = []
        for value, grad in state["lost"]:
            self._lost.append(Parameter.__new__(Parameter))
            put(self._lost[-1], "value", value)
            put(self._lost[-1], "grad", grad)
        self._own = []
        for where, (owner, _) in enumerate(self._places):
            if owner is None:
                self._own.append(_Holder())
                put(self._own[-1], "array", where)
        states = [decode({"generator": s}, payload) for s in state["generators"]]
        if len(states) == len(self._generators):
            for mine, new in zip(self._generators, states, strict=True):
                mine.bit_generator.state = new.bit_generator.state
        else:
            self._generators = states

    def _names(self) -> list[str]:
        names = {id(part): name for name, part in vars(self).items() if isinstance(part, Layer)}
        return [names.get(id(part), "") for part in self._parts]


class _Part(Layer):
    """A layer inside a RemoteLayer: it has parameters and a mode, but is asked as a whole only."""


class _Far:
    """The layer at the other end. Slots keep it out of what gradcheck sees of a layer."""

    __slots__ = ("line", "handle", "kept")

    def __init__(self, line: Line, handle: Any):
        if type(handle) is not int or handle < 0:
            raise ValueError(f"no number of a layer: {handle!r:.80}")
        self.line, self.handle = line, handle
        self.kept: list[np.ndarray] = []

    def __del__(self) -> None:
        if hasattr(self, "kept"):
            self.line.freed.append(self.handle)


class _Holder:
    """Holds one array."""


def _method(name: str, arguments: list) -> Any:
    """forward or backward, with the signature that the layer's own has."""
    def method(self: RemoteLayer, *xs: Any) -> Any:
        return self._run(name, xs)

    kinds = list(inspect._ParameterKind)
    method.__name__ = name
    method.__signature__ = inspect.Signature(
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
        + [inspect.Parameter(argument, kinds[kind]) for argument, kind in arguments])
    return method


def _public(name: Any) -> str:
    """A name that may be an attribute here: not private, and nothing that a Layer has."""
    if not isinstance(name, str) or name.startswith("_") or hasattr(RemoteLayer, name):
        raise WireError(f"a layer, parameter or array may not be called {str(name)[:80]!r}")
    return name


@contextmanager
def _described(what: str) -> Iterator[None]:
    """An error while reading what came means that it was not as it should be."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise WireError(f"{what} was badly described: {error!r:.200}") from error
