"""Experiments — causes found by asking "for what else would this gradient be right?"

dx that uses w where wᵀ is meant is wrong for this w, but right for the transposed one: so forward
is run again with another parameter, another input, another constant, in the other mode, or with
one of its parts frozen, and its Jacobian compared with A. What reproduces A, explains it.
"""
import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from scratchnet.gradcheck.diagnosis.patterns import (
    Hint,
    _coefficient,
    axes_of,
    constants,
    d,
    elementwise,
    index_maps,
)
from scratchnet.gradcheck.diagnosis.setting import Setting, is_block, same
from scratchnet.gradcheck.subject import Subject, _deepcopy
from scratchnet.layer import Layer


def _reproduces(s: Setting, name: str, replace: dict | None = None, layer: Any = None) -> bool:
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
            if _reproduces(s, name, {p: other}):
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
            yield key, f"{says}", value.ravel()[index].reshape(value.shape)
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
            if changed is not None and _reproduces(s, name, layer=changed):
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
            if _reproduces(s, name, {i: other}):
                slope = "the local derivative is wrong: " if elementwise(s.numeric(name)) else ""
                found[f"{label} {key}"] = Hint(f"{d(name)}: {slope}it is right for {label} {says}",
                                               f"reproduced with {label} {says}")
                break
    return found


def _other_inputs(s: Setting, x: np.ndarray, label: str
                  ) -> Iterator[tuple[str, str, np.ndarray]]:
    y, block = s.first.ys[0], bool(is_block(s.subject.truth.layer))
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
            if layer is not None and _reproduces(s, name, layer=layer):
                found[f"{attribute} {says}"] = Hint(
                    f"{d(name)} is right for {attribute} = {says}: backward leaves {attribute} "
                    f"out, or uses it otherwise than forward", f"reproduced with {attribute} = "
                    f"{other:g}")
                break
    if hasattr(s.subject.layer, "training"):
        mode = bool(s.subject.layer.training)
        layer = _with_attribute(s, "training", not mode)
        names = ("training", "evaluation")
        if layer is not None and _reproduces(s, name, layer=layer):
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


# ── additive terms ───────────────────────────────────────────────────────────────────


def terms(s: Setting, name: str) -> dict[str, Hint]:
    """A as a combination of the terms of the true gradient: which coefficient is not 1?"""
    found = {}
    for source in (declared_terms, loss_terms, normalisation_terms):
        try:
            parts = source(s, name)
        except Exception:               # the terms are for another shape or mode
            continue
        if parts:
            found |= regress(s, s.analytic(name), s.numeric(name), name, parts)
            if found:
                return found
    return terms_of_parts(s, name)


NICE = (0, 1, -1, 2, 0.5, -2)
_ONE_AT_A_TIME = threading.RLock()
MOST_PARTS, FEW_PARTS = 40, 12


def regress(s: Setting, A: np.ndarray, N: np.ndarray, name: str, parts: dict[str, np.ndarray],
            allowed: tuple | None = None) -> dict[str, Hint]:
    """{key: Hint} for the terms of `parts` (name: Jacobian; their sum is N, if they are
    complete) whose coefficient in A is not 1."""
    size = np.abs(N).max()
    parts = {n: J for n, J in parts.items() if np.abs(J).max(initial=0) > 1e-9 * size}
    if not s.match(sum(parts.values()), N) or len(parts) < 2:
        return {}
    matrix = np.array([J.ravel() for J in parts.values()]).T
    coefficients, *_ = np.linalg.lstsq(matrix, A.ravel(), rcond=None)
    if not same((matrix @ coefficients).reshape(A.shape), A, s.tolerance * 100):
        return {}
    off = {n: c for n, c in zip(parts, coefficients, strict=True) if abs(c - 1) > 1e-6}
    if allowed and any(min(abs(c - a) for a in allowed) > 1e-6 for c in off.values()):
        return {}
    if not off or len(off) == len(parts) and len({round(c, 9) for c in off.values()}) == 1:
        return {}
    says = "; ".join(f"the {n} term {_coefficient(s, name, c)}" for n, c in off.items())
    hint = Hint(f"{d(name)}: {says}", "coefficients of the terms: " + ", ".join(
        f"{n} {c:.4g}" for n, c in zip(parts, coefficients, strict=True)))
    return {f"{n} {_key(c)}": hint for n, c in off.items()}     # one each: some may be 0 elsewhere


def _key(c: float) -> str:
    return "0" if abs(c) < 1e-6 else "negative" if c < 0 else "scaled"


def declared_terms(s: Setting, name: str) -> dict[str, np.ndarray]:
    """The terms that the layer's class, or its reference's, states beside its formula."""
    truth = s.subject.truth
    stated = getattr(truth.layer, "terms", None)
    if stated is None or not isinstance(s.key(name), int):
        return {}
    return _jacobians(s, lambda layer, dy: stated_terms(layer, s, dy))


def stated_terms(layer: Any, s: Setting, dy: np.ndarray) -> dict[str, np.ndarray]:
    return layer.terms(*[np.array(x) for x in s.subject.inputs], dy)


def _jacobians(s: Setting, terms_of: Callable) -> dict[str, np.ndarray]:
    """The Jacobian of each term, row by row: terms_of(layer, dy) for dy = e_k."""
    rows: dict[str, list] = {}
    layer = s.subject.truth.layer
    for k in range(s.rows):
        dy = np.zeros(s.y_shape)
        dy.reshape(-1)[k] = 1
        for n, term in terms_of(layer, dy).items():
            rows.setdefault(n, []).append(np.broadcast_to(
                term, s.subject.inputs[s.subject.floats[0]].shape).ravel())
    return {n: np.array(r) for n, r in rows.items()}


def terms_of_parts(s: Setting, name: str) -> dict[str, Hint]:
    """A block: what flows through each part is N less the Jacobian with that part frozen.

    Not whole Jacobians, but their products with a few random directions are compared: one call
    of forward for each.
    """
    leaves = parts_of(s.subject.truth.layer)
    if not leaves or not s.complex_step:
        return {}
    rng = np.random.default_rng(0)
    us = [rng.standard_normal(s.value(name).shape) for _ in range(4)]

    def product(layer: Any = None) -> np.ndarray:
        return np.array([s.along(name, u, layer=layer) for u in us]).T

    try:
        N = product()
        shares: dict[str, np.ndarray] = {}
        for path, part in leaves:
            share = N - product(_with_part(s, part, _Frozen))
            if np.abs(share).max() > 1e-9 * np.abs(N).max() and not same(share, N) and not any(
                    same(share, other) for other in shares.values()):
                shares[f"branch {path} ({type(part).__name__})"] = share
    except Exception:
        return {}
    if not shares:
        return {}
    rest = N - sum(shares.values())
    if np.abs(rest).max() > 1e-9 * np.abs(N).max():
        shares["direct (shortcut)"] = rest
    matrix = np.array([share.ravel() for share in shares.values()])
    if np.linalg.matrix_rank(matrix / np.abs(N).max(), tol=1e-6) < len(shares):
        return {}
    A = s.analytic(name) @ np.array([u.ravel() for u in us]).T
    return regress(s, A, N, name, shares, (*NICE, *constants(s).values()))


def skipped(s: Setting, name: str) -> dict[str, Hint]:
    """A block: right if dy passed one of its parts (a ReLU, a norm) unchanged?"""
    found = {}
    for path, part in parts_of(s.subject.truth.layer) if s.complex_step else ():
        if _reproduces(s, name, layer=_with_part(s, part, _Through)):
            found[path] = Hint(f"{d(name)}: {path} is skipped in backward: dy passes it unchanged, "
                               f"as if it were not there", f"reproduced with {path} passed over")
    return found


def skipped_on_a_way(s: Setting, name: str) -> dict[str, Hint]:
    """The same, for one of the ways that lead to a part: a shortcut that gets dy itself."""
    leaves = parts_of(s.subject.truth.layer)
    if not 1 < len(leaves) <= FEW_PARTS or not s.complex_step:
        return {}
    rng = np.random.default_rng(0)
    us = [rng.standard_normal(s.value(name).shape) for _ in range(2)]
    A = s.analytic(name) @ np.array([u.ravel() for u in us]).T

    def product(stand_ins: dict) -> np.ndarray:
        memo = {id(part): stand_in(part) for part, stand_in in stand_ins.items()}
        layer = _deepcopy(s.subject.truth.layer, memo)
        return np.array([s.along(name, u, layer=layer) for u in us]).T

    N = product({})
    for path, part in leaves:
        for other, frozen in leaves:
            if frozen is part:
                continue
            try:            # what comes by the ways past `frozen`, with and without `part`
                extra = product({part: _Through, frozen: _Frozen}) - product({frozen: _Frozen})
            except Exception:               # a part that changes the shape
                break
            if np.abs(extra).max() > 1e-9 * np.abs(N).max() and same(N + extra, A, 1e-7):
                return {path: Hint(
                    f"{d(name)}: the way past {other} (the shortcut) gets dy as it is before "
                    f"{path}: the gradient after {path}'s mask must go both ways",
                    f"reproduced with {path} passed over on that way")}
    return {}


def left_out(s: Setting, name: str) -> dict[str, Hint]:
    """Right if a function that forward calls (np.maximum, np.tanh, …) had the derivative 1?"""
    found = {}
    for function, means in (("maximum", "the mask of np.maximum (a ReLU) is not applied"),
                            ("where", "the mask of np.where (a ReLU?) is not applied"),
                            ("clip", "the mask of np.clip is not applied"),
                            ("tanh", "the derivative of tanh is left out"),
                            ("exp", "the derivative of exp is left out"),
                            ("sqrt", "the derivative of the square root is left out")):
        if not s.complex_step:
            break
        with _derivative_of_one(function) as called:
            right = _reproduces(s, name)
        if right and called:
            found[function] = Hint(f"{d(name)}: {means} in backward", f"reproduced with the "
                                   f"derivative of np.{function} taken as 1")
    return found


@contextmanager
def _derivative_of_one(function: str) -> Iterator[list]:
    """np.function(…) returns its value, and hands on the derivative of its argument."""
    original, called, here = getattr(np, function), [], threading.get_ident()

    class Through:
        """np.function, but for this thread's complex numbers."""

        def __call__(self, *args: Any, **options: Any) -> Any:
            y = original(*args, **options)
            inner = [a for a in args if np.iscomplexobj(a) and np.shape(a) == np.shape(y)]
            if len(inner) != 1 or options or threading.get_ident() != here:
                return y
            called.append(function)
            return y.real + 1j * inner[0].imag

        def __getattr__(self, name: str) -> Any:        # np.maximum.reduce, …
            return getattr(original, name)

    with _ONE_AT_A_TIME:
        original = getattr(np, function)
        setattr(np, function, Through())
        try:
            yield called
        finally:
            setattr(np, function, original)


def parts_of(layer: Any) -> list[tuple[str, Any]]:
    """(name, part) for the innermost parts of a block, at most MOST_PARTS of them."""
    if isinstance(layer, Layer):
        parts = [(path, part) for path, part in layer.named_layers()
                 if path and not list(part.children())]
    else:
        parts = is_block(layer)
    return parts if len(parts) <= MOST_PARTS else []


def _with_part(s: Setting, part: Any, stand_in: Callable) -> Any:
    return _deepcopy(s.subject.truth.layer, {id(part): stand_in(part)})


class _StandIn:
    """Takes the place of a part of a block, for an experiment."""

    def __init__(self, part: Any):
        self.part = part

    def forward(self, *xs: Any) -> Any:
        raise NotImplementedError

    def __call__(self, *xs: Any) -> Any:
        return self.forward(*xs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "part":
            raise AttributeError(name)
        return getattr(self.part, name)

    def __deepcopy__(self, memo: dict) -> "_StandIn":
        return type(self)(copy.deepcopy(self.part, memo))


class _Frozen(_StandIn):
    """A part whose output is a constant: it passes numbers on, and no derivative back."""

    def forward(self, *xs: Any) -> Any:
        y = self.part.forward(*xs)
        if isinstance(y, tuple):
            return tuple(v.real.astype(v.dtype) for v in y)
        return y.real.astype(y.dtype)


class _Through(_StandIn):
    """A part whose derivative is 1: dy passes it unchanged."""

    def forward(self, x: Any) -> Any:
        return self.part.forward(x).real + 1j * x.imag


def labels(s: Setting, name: str) -> dict[str, Hint]:
    """Softmax with cross-entropy: the label's 1 subtracted at the wrong place."""
    try:
        parts = list(loss_terms(s, name).values())
    except Exception:
        return {}
    if not parts or not s.match(sum(parts), s.numeric(name)):
        return {}
    p, hot = (J.reshape(s.value(name).shape) for J in parts)
    rest = s.analytic(name).reshape(hot.shape) - p          # should be −[c = t]/N
    one = np.abs(hot).max()
    if same(rest, np.broadcast_to(hot.sum(axis=0), hot.shape)):
        return {"every row": Hint(f"{d(name)}: each label is subtracted in every sample's row: "
                                  f"index with [arange(N), labels], one entry a row",
                                  "all rows have all labels")}
    if same(np.sort(rest, axis=1), np.sort(hot, axis=1)):
        return {"wrong class": Hint(f"{d(name)}: the one-hot label is subtracted at the wrong "
                                    f"class", "each row has its 1, elsewhere")}
    if same(-rest, np.full_like(rest, one)):
        return {"everywhere": Hint(f"{d(name)}: 1 is subtracted from every class, not from the "
                                   f"label's (one-hot) only", "all entries are p − 1")}
    return {}


def loss_terms(s: Setting, name: str) -> dict[str, np.ndarray]:
    """Softmax with cross-entropy: p/N and the labels' −[c = t]/N."""
    labels = [x for x in s.subject.inputs if x.dtype.kind in "iu"]
    z = s.value(name)
    if not isinstance(s.key(name), int) or len(labels) != 1 or z.ndim != 2 or s.y_shape:
        return {}
    N, C = z.shape
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    hot = np.zeros((N, C))
    hot[np.arange(N), labels[0]] = 1
    scale = 1 if s.match(s.numeric(name), (p - hot).reshape(1, -1)) else N
    return {"probabilities'": (p / scale).reshape(1, -1),
            "one-hot label": (-hot / scale).reshape(1, -1)}


def normalisation_terms(s: Setting, name: str) -> dict[str, np.ndarray]:
    """Batch, layer and instance norm: directly, through the mean, through the variance."""
    norm = normalisation(s, name)
    return _jacobians(s, lambda layer, dy: norm.terms(dy)) if norm else {}


class Norm(NamedTuple):
    """y = γ·(x − μ)/σ + β, with μ and σ over these axes."""

    x: np.ndarray
    axes: tuple
    gamma: np.ndarray
    eps: float
    ddof: int = 0           # σ² is divided by m − ddof

    def terms(self, dy: np.ndarray, wrong: str = "", term: str = "") -> dict[str, np.ndarray]:
        """The three terms of dx; one of them, or all, with a mistake in it."""
        mean = self.x.mean(axis=self.axes, keepdims=True)
        var = self.x.var(axis=self.axes, keepdims=True, ddof=self.ddof)
        m = self.x.size // mean.size
        std = np.sqrt(var + self.eps)
        hat = (self.x - mean) / std
        terms = {}
        for n in ("direct", "mean", "variance"):
            how = wrong if term in (n, "all") else ""
            axes = NORM_MISTAKES[how](self.x.ndim) if how.startswith("over") else self.axes
            g = dy if how == "γ left out" else dy * self.gamma
            h = self.x - mean if how == "x − μ for x̂" else self.x if how == "x for x̂" else hat
            if n == "variance" and how != "m for m − 1":
                h = h * (m / (m - self.ddof))
            sigma = (1.0 if how == "1/σ left out" else var + self.eps if how == "1/σ² for 1/σ"
                     else 1 / std if how == "σ for 1/σ" else std)
            terms[n] = (g if n == "direct" else -g.mean(axis=axes, keepdims=True)
                        if n == "mean" else -h * (g * h).mean(axis=axes, keepdims=True)) / sigma
        return terms


NORM_MISTAKES = {
    "γ left out": None, "1/σ left out": None, "1/σ² for 1/σ": None, "σ for 1/σ": None,
    "x − μ for x̂": None, "x for x̂": None, "m for m − 1": None,
    "over the batch (the wrong axes)": lambda n: (0,),
    "over the channels or features (the wrong axes)": lambda n: (1,),
    "over the pixels only (the wrong axes)": lambda n: (2, 3) if n == 4 else (0,),
    "over the whole image (the wrong axes)": lambda n: tuple(range(1, n)),
    "over everything (the wrong axes)": lambda n: tuple(range(n)),
}


def normalised_wrongly(s: Setting, name: str) -> dict[str, Hint]:
    """Batch, layer or instance norm with one mistake in one term, or the same in all."""
    norm = normalisation(s, name)
    if norm is None:
        return {}
    dys = np.random.default_rng(0).standard_normal((2, *s.y_shape))
    claimed = [dy.ravel() @ s.analytic(name) for dy in dys]
    for term in ("all", "direct", "mean", "variance"):
        for wrong in NORM_MISTAKES:
            if all(s.match(sum(norm.terms(dy, wrong, term).values()).ravel(), c)
                   for dy, c in zip(dys, claimed, strict=True)):
                where = "" if term == "all" else f" in the {term} term"
                what = f"the sums run {wrong}" if wrong.startswith("over") else wrong
                return {f"{term} {wrong}": Hint(f"{d(name)}: {what}{where}",
                                                f"reproduced with this mistake{where}")}
    return {}


def normalisation(s: Setting, name: str) -> Norm | None:
    """Any layer that normalises is recognised by its Jacobian, whatever it is called."""
    x, N = s.value(name), s.numeric(name)
    if not isinstance(s.key(name), int) or s.y_shape != x.shape or x.ndim < 2:
        return None
    direct_slope = np.diag(N)
    axes_sets = {2: ((0,), (1,)), 3: ((0, 1), (2,), (1, 2)),
                 4: ((0, 2, 3), (1, 2, 3), (2, 3), (1,), (0,))}.get(x.ndim, ())
    factors = [np.ones_like(x)]
    for p in s.first.grads:
        v = s.value(p)
        for shape in (v.shape, (1, v.size, *[1] * (x.ndim - 2)), (1,) * (x.ndim - 1) + (v.size,)):
            try:
                factors.append(np.broadcast_to(v.reshape(shape), x.shape))
            except ValueError:
                continue
    epsilons = {1e-5, 1e-8, 1e-7, 1e-6, 1e-3, 1e-12, 0.0, *constants(s).values()}
    for axes, ddof in ((axes, ddof) for axes in axes_sets for ddof in (0, 1)):
        mean = x.mean(axis=axes, keepdims=True)
        m = x.size // mean.size
        if m < 2:
            continue
        var = x.var(axis=axes, keepdims=True, ddof=ddof)
        for gamma in factors:
            for eps in epsilons:
                if eps < 0:
                    continue
                std = np.sqrt(var + eps)
                hat = (x - mean) / std
                slope = gamma / std * (1 - 1 / m - hat * hat / (m - ddof))
                if not same(slope.ravel(), direct_slope, 10 * s.tolerance):
                    continue

                norm = Norm(x, axes, gamma, eps, ddof)
                dy = np.random.default_rng(0).standard_normal(x.shape)
                if s.match(sum(norm.terms(dy).values()).ravel(), dy.ravel() @ N):
                    return norm
    return None


EXPERIMENTS = (terms, normalised_wrongly, skipped, left_out, labels, other_parameter,
               other_constant, other_buffer, other_input, factor)
# Of blocks the parts are asked for themselves, with all of the above.
OF_BLOCKS = (terms, skipped, left_out, skipped_on_a_way, factor)
