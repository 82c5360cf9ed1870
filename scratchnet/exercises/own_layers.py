"""Own layers — the student's layers in a real network, in place of the library's.

    own = OwnLayers(["relu.py", "conv2d.py"])       checked: a wrong one is refused with its report
    own.replace(network, images)                    says what it replaced, and what it left
    training.fit(network, …, loss=own.loss())       the student's SoftmaxCrossEntropy, if any

A class takes the place of the library's class of the same name, wherever its constructor can
say what the library's was told (a Conv2d without `groups` cannot be conv2 of AlexNet). Each is
compared once more with the layer whose place it takes, on the numbers that arrive there.
"""
import copy
import inspect
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import gradcheck, layers
from scratchnet.exercises import catalogue, limit
from scratchnet.exercises.checker import Result
from scratchnet.exercises.difference import difference
from scratchnet.exercises.limit import check_within
from scratchnet.exercises.solution import LocalSolution, SolutionError, explain
from scratchnet.exercises.spec import Exercise
from scratchnet.layer import Layer, no_grad

SLOWER = 5              # times as long for a step: worth a warning


class Refused(Exception):
    """A layer is wrong; the message is the report."""


class NoPlace(ValueError):
    """There is nothing to replace."""


class OwnLayers:
    """The classes of some files that are called like layers of the library. Each check may take
    `seconds` (0: for ever; see limit.py).

    Raises Refused if one of them is wrong or does not run, ValueError for a file without such a
    class and for two with the same.
    """

    def __init__(self, paths: Iterable[str | os.PathLike], seconds: float | None = None):
        self.classes: dict[str, type[Layer]] = {}
        for path in map(Path, paths):
            found = _classes(path)
            if twice := set(found) & set(self.classes):
                raise ValueError(f"{path.name}: another file has a {min(twice)}, too; leave one "
                                 f"of them out")
            for name, kind in found.items():
                _refuse_wrong(name, path, limit.SECONDS if seconds is None else seconds)
                self.classes[name] = kind

    def replace(self, network: Layer, images: np.ndarray) -> None:
        """Put the student's layers into `network`, with the parameters and in the mode of those
        whose places they take, and print what was done. `images`: a batch to train on.

        Raises Refused if one gives other results than the layer whose place it takes, NoPlace if
        none has a place here.
        """
        places = {name: layer for name, layer in network.named_layers()
                  if name and type(layer) is _library(type(layer).__name__)
                  and type(layer).__name__ in self.classes}
        inputs = _inputs(network, places.values(), images[:2])
        before = _seconds(network, images)
        new, left = {}, {}
        for name, layer in places.items():
            own = _built(self.classes[type(layer).__name__], layer)
            if isinstance(own, str):
                left.setdefault((type(layer).__name__, own), []).append(name)
                continue
            if id(layer) in inputs:                 # not so with layers that run in training only
                _refuse_different(name, own, layer, inputs[id(layer)])
            new[id(layer)] = own
        for _, layer in list(network.named_layers()):
            for name, value in list(vars(layer).items()):
                if not name.startswith("_"):
                    setattr(layer, name, _swapped(value, new))
        self._say(Counter(type(own).__name__ for own in new.values()), left)
        if not new and "SoftmaxCrossEntropy" not in self.classes:
            here = sorted({type(layer).__name__ for _, layer in network.named_layers()
                           if not any(layer.children())} & set(layers.__all__))
            raise NoPlace(f"none of your layers ({', '.join(self.classes)}) has a place in this "
                          f"network, which would be trained without them; it is made of "
                          f"{', '.join(here)}")
        if (after := _seconds(network, images)) > SLOWER * before:
            print(f"A step takes {after:.2g} seconds instead of {before:.2g}, "
                  f"{after / before:.0f} times as long, and so will training.")

    def loss(self) -> Layer | None:
        """The student's SoftmaxCrossEntropy, or None."""
        kind = self.classes.get("SoftmaxCrossEntropy")
        return None if kind is None else kind()

    def _say(self, replaced: Counter, left: dict[tuple, list[str]]) -> None:
        if "SoftmaxCrossEntropy" in self.classes:
            replaced["SoftmaxCrossEntropy"] = 1
        print("Your own layers in this network: "
              + (", ".join(f"{count} {name}" for name, count in replaced.items()) or "none"))
        for (name, reason), places in left.items():
            print(f"  the library's stays in {', '.join(places)}: your {name} {reason}")
        for name in sorted(set(self.classes) - set(replaced) - {name for name, _ in left}):
            print(f"  there is no {name} in this network")


# ── reading and checking ─────────────────────────────────────────────────────────────


def _library(name: str) -> type | None:
    return getattr(layers, name) if name in layers.__all__ else None


def _classes(path: Path) -> dict[str, type[Layer]]:
    """The classes that `path` defines under a name of the library's."""
    try:
        own = LocalSolution(path).classes()
    except SolutionError as error:
        raise Refused(str(error)) from None
    found = {name: kind for name, kind in own.items() if name in layers.__all__}
    if not found:
        raise ValueError(f"{path.name} has no class named like a layer of the library (ReLU, "
                         f"Conv2d, …), so it can take no place; it has "
                         f"{', '.join(own) or 'no class at all'}")
    return found


def _refuse_wrong(name: str, path: Path, seconds: float) -> None:
    """Raise Refused unless the class solves an exercise that asks for it.

    There may be several (pooling windows side by side, and overlapping ones) or none: what
    no exercise asks for is checked in the network only.
    """
    results: list[Result] = []
    for exercise in map(catalogue.load, catalogue.names()):
        if isinstance(exercise, Exercise) and name in exercise.reference:
            results.append(check_within(seconds, exercise.name, path, kind=name))
            if results[-1].passed:
                return
    if results:
        raise Refused(f"{path.name} cannot be used yet.\n"
                      f"{max(results, key=lambda result: result.score)}")


def _refuse_different(name: str, own: Layer, layer: Layer, inputs: tuple) -> None:
    """Raise Refused unless `own` computes, forwards and backwards, what `layer` does."""
    inputs = tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs)
    ours, theirs = (copy.deepcopy(x).astype(np.float64).eval() for x in (layer, own))
    dy = np.random.default_rng(0).standard_normal(ours.forward(*inputs).shape)
    try:
        results = []
        for each in (theirs, ours):
            y = each.zero_grad().forward(*map(np.copy, inputs))
            dx = each.backward(dy.copy())
            grads = {name: p.grad for name, p in each.named_parameters()}
            results.append({"y": y, "the gradient of x": dx} | {
                f"the gradient of {name}": grads[name] for name in sorted(grads)})
    except (Exception, SystemExit) as error:
        raise Refused(f"your {type(own).__name__} does not run as {name} of this network:\n"
                      f"  {explain(error)}") from None
    got, right = results
    for what in right:
        if text := difference(got[what], right[what], what):
            report = gradcheck.check(theirs, *inputs, reference=ours)
            causes = "".join(f"\n  {cause}" for cause in report.causes[:1])
            raise Refused(f"your {type(own).__name__} is wrong as {name} of this network "
                          f"({layer}):\n  {text}{causes}")


# ── replacing ────────────────────────────────────────────────────────────────────────


def _built(kind: type[Layer], layer: Layer) -> Layer | str:
    """A layer of the student's class like `layer`, or why there can be none."""
    takes = inspect.signature(kind).parameters
    wide = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    arguments = {}
    for name, parameter in inspect.signature(type(layer)).parameters.items():
        value = _argument(layer, name)
        if name in takes or wide:
            arguments[name] = value
        elif name != "rng" and value != _short(parameter.default):
            return f"has no argument {name}, and here {name} is {value}"
    try:
        own = kind(**arguments)
        own.astype(next((p.value.dtype for p in layer.parameters()), np.float32))
        own.load_state_dict(layer.state_dict())
    except (Exception, SystemExit) as error:
        return f"cannot be built like it ({explain(error)})"
    return own.train(layer.training)


def _argument(layer: Layer, name: str) -> Any:
    """What the library's layer was told as `name`; pairs of equal numbers as one number."""
    if name == "bias":
        return layer.bias is not None
    return _short(getattr(layer, name, getattr(getattr(layer, "geometry", None), name, None)))


def _short(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _swapped(value: Any, new: dict[int, Layer]) -> Any:
    """`value` with the layers in `new` (by the id of the old) replaced, in lists and dicts too."""
    if id(value) in new:
        return new[id(value)]
    if isinstance(value, dict):
        swapped = {key: _swapped(item, new) for key, item in value.items()}
        return swapped if any(swapped[key] is not value[key] for key in value) else value
    if isinstance(value, list | tuple):
        swapped = [_swapped(item, new) for item in value]
        same = all(a is b for a, b in zip(swapped, value, strict=True))
        return value if same else type(value)(swapped)
    return value


def _inputs(network: Layer, some: Iterable[Layer], images: np.ndarray) -> dict[int, tuple]:
    """What arrives at these layers when `network` sees `images`, by the layer's id."""
    seen: dict[int, tuple] = {}
    trial = copy.deepcopy(network).eval()
    twins = dict(trial.named_layers())
    places = {id(layer): name for name, layer in network.named_layers()}
    for layer in some:
        twin = twins[places[id(layer)]]

        def forward(*xs: Any, place: int = id(layer), run: Any = twin.forward) -> Any:
            seen[place] = xs
            return run(*xs)

        twin.forward = forward
    with no_grad():
        trial.forward(images)
    return seen


def _seconds(network: Layer, images: np.ndarray) -> float:
    """How long a step takes, on a copy: the better of two."""
    times = []
    for _ in range(2):
        trial = copy.deepcopy(network).train()
        start = time.perf_counter()
        y = trial.forward(images)
        trial.backward(np.ones_like(y))
        times.append(time.perf_counter() - start)
    return min(times)
