"""Calls — the parts of a block, listened to: what they are given, and which run backwards when."""
import contextlib
import copy
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import is_array, to_host
from scratchnet.gradcheck.subject import Subject, copy_with
from scratchnet.layer import Layer


def direct_parts(layer: Any) -> list[tuple[str, Any]]:
    """(name, part) for each part of the layer that has a forward of its own."""
    if isinstance(layer, Layer):
        return list(layer.children())
    parts = []
    for name, value in getattr(layer, "__dict__", {}).items():
        items = (value.items() if isinstance(value, dict) else
                 enumerate(value) if isinstance(value, list | tuple) else ())
        for key, part in [(name, value), *((f"{name}.{key}", part) for key, part in items)]:
            if callable(getattr(part, "forward", None)):
                parts.append((str(key), part))
    return parts


class Call(NamedTuple):
    """One forward of a part of a block."""

    name: str
    part: Any
    inputs: list
    y: Any


def calls_of_parts(subject: Subject) -> tuple[list[Call], list[str]]:
    """The calls of the parts' forward, in their order; and the names of the parts whose backward
    was called, in theirs."""
    parts = direct_parts(subject.layer)
    forwards: list[Call] = []
    backwards: list[str] = []
    memo = {id(part): _Listener(name, part, forwards, backwards) for name, part in parts}
    if parts:
        with contextlib.suppress(Exception):        # code that asks its parts for their type
            subject.run(subject.dys, layer=copy_with(subject.layer, memo))
    return forwards, backwards


class _Listener:
    """Stands in the place of a part, and notes what it is given."""

    def __init__(self, name: str, part: Any, forwards: list, backwards: list):
        self.name, self.part, self.forwards, self.backwards = name, part, forwards, backwards
        self.copy = copy.deepcopy(part)

    def forward(self, *xs: Any) -> Any:
        inputs = [np.array(to_host(x)) for x in xs]
        y = self.copy.forward(*xs)
        self.forwards.append(Call(self.name, self.part, inputs, np.array(to_host(y))
                                  if is_array(y) else None))
        return y

    def backward(self, *dys: Any) -> Any:
        self.backwards.append(self.name)
        return self.copy.backward(*dys)

    __call__ = forward

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("part", "copy", "name"):
            raise AttributeError(name)
        return getattr(self.copy, name)
