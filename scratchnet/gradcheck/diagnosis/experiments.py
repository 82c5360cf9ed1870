"""Experiments — causes found by asking "for what else would this gradient be right?"

dx that uses w where wᵀ is meant is wrong for this w, but right for the transposed one: so forward
is run again with another parameter, another input, another constant or in the other mode, and its
Jacobian compared with A. What reproduces A, explains it.
"""
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchnet.gradcheck.diagnosis.calls import direct_parts
from scratchnet.gradcheck.diagnosis.factors import constants
from scratchnet.gradcheck.diagnosis.hint import Hint, axes_of, d, elementwise
from scratchnet.gradcheck.diagnosis.places import index_maps
from scratchnet.gradcheck.diagnosis.setting import Setting
from scratchnet.gradcheck.subject import Subject


def reproduces(s: Setting, name: str, replace: dict | None = None, layer: Any = None) -> bool:
    """Is A the Jacobian of forward with these things replaced? Asked along two directions, for
    every output."""
    A, shape = s.analytic(name), s.value(name).shape
    if not A.any():
        return False
    rng = np.random.default_rng(0)
    try:
        for _ in range(2):
            u = rng.standard_normal(shape)
            if not s.match(s.along(name, u, replace, layer), A @ u.ravel()):
                return False
    except Exception:               # forward does not take it
        return False
    return True


def other_parameter(s: Setting, name: str) -> dict[str, Hint]:
    """Right for another value of a parameter: transposed, flipped, rolled, 1, 0, …"""
    found = {}
    for p in s.first.grads:
        if p == name:
            continue
        value = s.value(p)
        for key, says, other in _changed(value, axes_of(s, p)):
            if reproduces(s, name, {p: other}):
                found[f"{p} {key}"] = Hint(f"{d(name)} is right for {p} {says}",
                                           f"reproduced with {p} {says}")
                break
    return found


def _changed(value: np.ndarray, axes: tuple[str, ...]) -> Iterator[tuple[str, str, np.ndarray]]:
    yield "is 1", "left out (taken as 1): the factor is missing", np.ones_like(value)
    yield "negative", "with the opposite sign", -value
    yield "inverse", "divided by instead of multiplied with (1/value)", 1 / np.where(
        value, value, 1)
    yield "squared", "used twice (squared)", value ** 2
    yield "absolute", "without its sign (absolute value)", np.abs(value)
    yield "is 0", "left out (taken as 0): a term is missing", np.zeros_like(value)
    if value.ndim < 2:
        if value.ndim == 1 and value.size > 1:
            yield "reversed", "in reversed order", value[::-1].copy()
        return
    for key, says, index in index_maps(value.shape, axes):
        if (index >= 0).all():
            yield key, says, value.ravel()[index].reshape(value.shape)
    half = value.shape[0] // 2
    if value.shape[0] == 2 * half and half:
        first = np.concatenate([value[:half]] * 2)
        yield "first half", "with the first group's weights used for every group", first
        yield "last half", "with the last group's weights used for every group", np.concatenate(
            [value[half:]] * 2)
    yield "first row", "with the first output's weights used for all", np.broadcast_to(
        value[:1], value.shape).copy()
    yield "rounded", "rounded to float32", value.astype(np.float32).astype(np.float64)


def other_buffer(s: Setting, name: str) -> dict[str, Hint]:
    """Right for another value of an array that is no parameter: running averages, codes, …"""
    found = {}
    layer, known = s.subject.truth.layer, {id(v) for v, _ in s.subject.truth.slots(
        s.subject.truth.layer).values()}
    for attribute, value in getattr(layer, "__dict__", {}).items():
        if attribute.startswith("_") or not isinstance(value, np.ndarray) \
                or value.dtype.kind != "f" or id(value) in known or value.size < 2:
            continue
        for says, other in (("left out (taken as 0)", np.zeros_like(value)),
                            ("left out (taken as 1)", np.ones_like(value)),
                            ("with the opposite sign", -value), ("squared", value ** 2),
                            ("its square root", np.sqrt(np.abs(value))),
                            ("its inverse", 1 / np.where(value, value, 1))):
            changed = _with_attribute(s, attribute, other)
            if changed is not None and reproduces(s, name, layer=changed):
                found[f"{attribute} {says}"] = Hint(
                    f"{d(name)} is right for {attribute} {says}: backward uses {attribute} "
                    f"otherwise than forward", f"reproduced with {attribute} {says}")
                break
    return found


def other_input(s: Setting, name: str) -> dict[str, Hint]:
    """Right for another input: y in place of x, another sample's, shifted, unpadded, …"""
    found = {}
    for i in s.subject.floats:
        x, label = s.subject.inputs[i], s.subject.input_name(i)
        for key, says, other in _other_inputs(s, x, label):
            if reproduces(s, name, {i: other}):
                slope = "the local derivative is wrong: " if elementwise(s.numeric(name)) else ""
                found[f"{label} {key}"] = Hint(f"{d(name)}: {slope}it is right for {label} {says}",
                                               f"reproduced with {label} {says}")
                break
    return found


def _other_inputs(s: Setting, x: np.ndarray, label: str
                  ) -> Iterator[tuple[str, str, np.ndarray]]:
    y, block = s.first.ys[0], bool(direct_parts(s.subject.truth.layer))
    if y.shape == x.shape:
        yield "y", f"replaced by y: backward uses the output where the input {label} is meant", y
    yield "rounded", "rounded to float32: a float32 buffer or conversion", x.astype(
        np.float32).astype(np.float64)
    yield "rounded 16", "rounded to float16: a float16 buffer or conversion", x.astype(
        np.float16).astype(np.float64)
    if x.ndim > 1 and len(x) > 1:
        yield "first", "with the first sample used for all", np.broadcast_to(
            x[:1], x.shape).copy()
        yield "last", "with the last sample used for all", np.broadcast_to(
            x[-1:], x.shape).copy()
    if not block:                   # a ReLU in a block makes others of them of one x
        yield "absolute", "without its sign (|x|, its absolute value)", np.abs(x)
        yield "negative", "with the opposite sign", -x
        yield "positive", "with negative numbers set to 0", np.maximum(x, 0)
        yield "squared", "squared", x * x
        yield "is 1", "taken as 1: the factor is missing", np.ones_like(x)
    if x.ndim > 1:
        axes = tuple(range(x.ndim))[1:]
        yield "centred", "after subtracting its mean", x - x.mean(axis=0)
        yield "normalised", "normalised", (x - x.mean(axis=axes, keepdims=True)) / x.std(
            axis=axes, keepdims=True)
    if x.ndim == 4 and x.shape[1] > 1:
        half = x.shape[1] // 2
        if 2 * half == x.shape[1]:
            yield "first half", "with the first group's channels used for every group", \
                np.concatenate([x[:, :half]] * 2, axis=1)
    if x.ndim > 1:
        for key, says, index in index_maps(x.shape, axes_of(s, label)):
            new = np.where(index >= 0, x.ravel()[index], 0).reshape(x.shape)
            yield key, says, new


def other_constant(s: Setting, name: str) -> dict[str, Hint]:
    """Right for another value of a number in the layer: eps = 0, p → 1 − p, …"""
    found = {}
    for attribute, v in constants(s).items():
        for says, other in (("0", 0.0), ("1", 1.0), (f"−{attribute}", -v),
                            (f"2·{attribute}", 2 * v),
                            (f"{attribute}/2", v / 2), (f"1/{attribute}", 1 / v),
                            (f"{attribute} + 1", v + 1), (f"{attribute} − 1", v - 1),
                            (f"1 − {attribute}", 1 - v), (f"{attribute}²", v * v)):
            layer = _with_attribute(s, attribute, type(v)(other))
            if layer is not None and reproduces(s, name, layer=layer):
                found[f"{attribute} {says}"] = Hint(
                    f"{d(name)} is right for {attribute} = {says}: backward leaves {attribute} "
                    f"out, or uses it otherwise than forward", f"reproduced with {attribute} = "
                    f"{other:g}")
                break
    if hasattr(s.subject.layer, "training"):
        mode = bool(s.subject.layer.training)
        layer = _with_attribute(s, "training", not mode)
        names = ("training", "evaluation")
        if layer is not None and reproduces(s, name, layer=layer):
            here, there = names if mode else names[::-1]
            found["mode"] = Hint(
                f"{d(name)} is {there}'s gradient, though forward ran in {here} mode: what forward "
                f"did (mask, batch statistics) must be remembered", f"reproduced in {there} mode")
    return found


def _with_attribute(s: Setting, attribute: str, value: Any) -> Any:
    layer = copy.deepcopy(s.subject.truth.layer)
    if not hasattr(layer, attribute):
        return None
    try:
        if attribute == "training" and hasattr(layer, "train"):
            layer.train(value)
        else:
            setattr(layer, attribute, value)
    except Exception:
        return None
    return layer


FACTORS = {     # attribute: (neutral value, what being right with it means)
    "stride": (1, "wrong only with stride > 1: the stride is ignored, or dy is not spread out by "
                  "it"),
    "padding": (0, "wrong only with padding: the unpadded input is used, or the padding is "
                   "cropped wrongly"),
    "dilation": (1, "wrong only with dilation > 1: the dilation is ignored"),
    "groups": (1, "wrong only with groups > 1: the groups are mixed up, or one group's part is "
                  "used for all"),
    "ceil_mode": (False, "wrong only with ceil_mode: the last, incomplete windows are not treated "
                         "as in forward"),
    "count_include_pad": (True, "wrong only if padding is not counted in the mean: the divisor"),
}

ALIASES = {"stride": ("s", "strides"), "padding": ("pad", "p"), "dilation": ("dil", "d", "rate"),
           "groups": ("group", "g")}


def factor(s: Setting, name: str) -> dict[str, Hint]:
    """One factor at a time: is the gradient right once the stride is 1, the padding 0, …?"""
    found = {}
    layer = s.subject.original
    for attribute, (neutral, says) in FACTORS.items():
        for changed in _with_factor(layer, attribute, neutral):
            try:
                subject = Subject(changed, tuple(s.subject.inputs), np.random.default_rng(0))
                right = not Setting(subject).wrong(name)
            except Exception:               # the layer does not run with it
                continue
            if right:
                found[attribute] = Hint(f"{d(name)} is {says}",
                                        f"right with {attribute} = {neutral}", strength="likely")
    return found


def _with_factor(layer: Any, attribute: str, neutral: Any) -> Iterator[Any]:
    """Copies of the layer with an attribute (its own, or one of its geometry's) at `neutral`."""
    geometry = getattr(layer, "geometry", None)
    for key in (attribute, *ALIASES.get(attribute, ())):
        value = getattr(layer, key, None)
        new = (neutral,) * len(value) if isinstance(value, tuple) else neutral
        if isinstance(value, int | tuple) and value != new:
            changed = copy.deepcopy(layer)
            try:
                setattr(changed, key, new)
            except AttributeError:
                continue
            yield changed
    if hasattr(geometry, "_replace") and hasattr(geometry, attribute):
        value = getattr(geometry, attribute)
        new = (neutral,) * len(value) if isinstance(value, tuple) else neutral
        if value != new:
            changed = copy.deepcopy(layer)
            changed.geometry = geometry._replace(**{attribute: new})
            yield changed
