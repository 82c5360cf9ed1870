"""Objects — the end of the wire where the layers are: they are copied and called from the other.

A layer crosses as what can be seen of it: its arrays (parameters, gradients, buffers, all that
gradcheck would find), its numbers, its modes and its generators. The other end shows them in a
RemoteLayer, where they may be changed; so every question brings the state in which the layer is
to be asked, and every answer the state in which that left it.

Python shares arrays, a wire copies them. So that "wrote into dy" is seen over there, each layer
keeps the arrays it was given and has returned, and each answer says which of them have changed
since.
"""
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchnet.exercises.grading.wire import (
    Payload,
    WireError,
    decode,
    encode,
    generator_state,
)
from scratchnet.gradcheck import hygiene
from scratchnet.gradcheck.subject import arrays_in, held, pin_randomness
from scratchnet.layer import Layer, Parameter, no_grad, remembering

KEPT = 32               # arrays that a layer keeps an eye on
HANDLES = 1000          # layers alive at once


class Objects:
    """Layers by number. `answer` does what a Line's other end asks of them.

    anonymous   a layer does not say what class it is of
    """

    def __init__(self, anonymous: bool = False):
        self.anonymous = anonymous
        self._entries: dict[int, _Entry] = {}
        self._next = 0

    def add(self, layer: Layer, reply: list) -> dict:
        """Take this layer in; what the other end must know to show it."""
        if not isinstance(layer, Layer):
            raise TypeError(f"{type(layer).__name__} is no Layer: write class "
                            f"{type(layer).__name__}(Layer), with Layer from scratchnet")
        name = "Layer" if self.anonymous else type(layer).__name__
        return {"handle": self._keep(_Entry(layer)), "class": name[:80],
                "repr": f"{name}()" if self.anonymous else repr(layer)[:200],
                "forward": _arguments(layer.forward), "backward": _arguments(layer.backward),
                "state": self._entries[self._next - 1].state(reply)}

    def answer(self, message: dict, payload: Payload, reply: list) -> dict:
        """Do what was asked: "copy", "forward" or "backward"."""
        for handle in message.get("freed", ()):
            self._entries.pop(handle, None)
        entry = self._entries.get(message.get("handle"))
        if entry is None:
            raise WireError(f"there is no layer {message.get('handle')!r}")
        # decode, not trust: in a bug hunt the state comes from the submission
        arrays = [decode(code, payload) for code in message["arrays"]]
        modes = [bool(mode) for mode in message["modes"]]
        generators = [decode({"generator": s}, payload) for s in message["generators"]]
        numbers = {} if self.anonymous else {
            (i, name): decode(code, payload) for i, name, code in message["numbers"]}
        if message["ask"] == "copy":
            entry = entry.copy(arrays)
            entry.install([None] * len(arrays), modes, generators, numbers)
            return {"handle": self._keep(entry), "state": entry.state(reply)}
        entry.install(arrays, modes, generators, numbers)
        entry.forget(int(message["kept"]))
        given: list[np.ndarray] = []
        arguments = [decode(code, payload, given) for code in message["arguments"]]
        return entry.call(message["ask"], arguments, given, bool(message["forgetful"]), reply)

    def _keep(self, entry: "_Entry") -> int:
        if len(self._entries) >= HANDLES:
            raise WireError(f"more than {HANDLES} layers at once")
        self._entries[self._next] = entry
        self._next += 1
        return self._next - 1


class _Entry:
    """One layer, the arrays last shown to the other end, and the arrays it was given."""

    def __init__(self, layer: Layer):
        self.layer = layer
        self.shown: list[np.ndarray] = []
        self.kept: list[np.ndarray] = []
        self.before: list[bytes] = []

    def copy(self, arrays: list) -> "_Entry":
        """A copy of the layer with these arrays in the places of those shown."""
        return _Entry(copy.deepcopy(self.layer, self._memo(arrays)))

    def install(self, arrays: list, modes: list[bool], generators: list,
                numbers: dict[tuple, Any]) -> None:
        """Put the layer into the state that the other end wants; None is "as it is"."""
        rebind = False
        for old, new in zip(self.shown, arrays, strict=False):
            if isinstance(new, np.ndarray) and (new.shape != old.shape or new.dtype != old.dtype):
                rebind = True
            elif isinstance(new, np.ndarray) and new.tobytes() != old.tobytes():
                old[...] = new
        if rebind:                      # astype, or a parameter with a new array
            self.layer = copy.deepcopy(self.layer, self._memo(arrays))
        layers = [layer for _, layer in self.layer.named_layers()]
        for layer, mode in zip(layers, modes, strict=False):
            if layer.training is not mode:
                layer.training = mode
        for (i, name), value in numbers.items():
            if vars(layers[i]).get(name) != value:
                setattr(layers[i], name, value)
        for mine, state in zip(_generators(self.layer), generators, strict=False):
            mine.bit_generator.state = state.bit_generator.state

    def call(self, method: str, arguments: list, given: list, forgetful: bool,
             reply: list) -> dict:
        """forward or backward; the result, the state, and the kept arrays that changed."""
        if method not in ("forward", "backward"):
            raise WireError(f"a layer has no {method!r}")
        self._keep(given)
        pin_randomness()
        with no_grad() if forgetful else remembering():
            result = getattr(self.layer, method)(*arguments)
        known = list(self.kept)
        code = encode(result, reply, known)
        self._keep(known[len(self.kept):])
        changed = []
        for i, (array, before) in enumerate(zip(self.kept, self.before, strict=True)):
            if (now := array.tobytes()) != before:
                self.before[i] = now
                changed.append([i, encode(array, reply)])
        return {"result": code, "changed": changed, "state": self.state(reply)}

    def forget(self, known: int) -> None:
        """Of the kept arrays, keep those that the other end knows too (after an exception it does
        not know the last ones), and of these the last; RemoteLayer does the same."""
        del self.kept[known:], self.before[known:]
        del self.kept[:-KEPT], self.before[:-KEPT]

    def state(self, reply: list) -> dict:
        """What can be seen of the layer. An array comes with its place in the state before, or
        −1: so the other end knows whether it was written into or replaced."""
        before = {id(array): i for i, array in enumerate(self.shown)}
        self.shown = list(arrays_in(self.layer))
        place = {id(array): i for i, array in enumerate(self.shown)}

        def where(thing: Any) -> Any:
            return place[id(thing)] if id(thing) in place else {"value": encode(thing, reply)}

        arrays = [[before.get(id(array), -1), encode(array, reply)] for array in self.shown]
        layers, parameters, buffers, numbers, seen = [], [], [], [], set()
        for i, (name, layer) in enumerate(self.layer.named_layers()):
            layers.append([name, bool(layer.training)])
            for inner, parameter in layer._attributes(Parameter):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    parameters.append([i, inner, where(parameter.value), where(parameter.grad)])
            buffers += [[i, inner, where(array)] for inner, array in layer._buffers()]
            numbers += [[i, inner, encode(value, reply)] for inner, value in vars(layer).items()
                        if is_number(value) and not (
                            inner.startswith("_") or hasattr(Layer, inner))]
        lost = [[where(p.value), where(p.grad)] for p in
                held(self.layer, lambda thing: isinstance(thing, Parameter)) if id(p) not in seen]
        return {"arrays": arrays, "layers": layers, "parameters": parameters, "buffers": buffers,
                "numbers": numbers, "lost": lost,
                "generators": [generator_state(g) for g in _generators(self.layer)]}

    def _memo(self, arrays: list) -> dict:
        return {id(old): new if isinstance(new, np.ndarray) else old.copy()
                for old, new in zip(self.shown, arrays, strict=False)}

    def _keep(self, arrays: list) -> None:
        self.kept += arrays
        self.before += [array.tobytes() for array in arrays]


def is_number(value: Any) -> bool:
    """True for what a layer keeps of its geometry and its constants: 2, 0.5, True, (1, 2)."""
    if type(value) is tuple:
        return len(value) <= 8 and all(type(item) in (bool, int, float) for item in value)
    return type(value) in (bool, int, float)


def _generators(layer: Layer) -> Iterator[np.random.Generator]:
    return (g for g in hygiene._generators(layer)
            if isinstance(g, np.random.Generator) and generator_state(g))


def _arguments(method: Any) -> list[list]:
    """[name, kind] of each argument, as inspect has them."""
    try:
        found = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return [["xs", int(inspect.Parameter.VAR_POSITIONAL)]]
    return [[p.name[:80], int(p.kind)] for p in found]
