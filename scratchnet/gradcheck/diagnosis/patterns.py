"""Patterns — causes that show in the two Jacobians alone.

Each function compares A (backward's) with N (the truth) for one argument and returns the
explanations that fit, as {key: Hint}; the key is what several settings must agree on.
"""
import inspect
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np

from scratchnet.gradcheck.diagnosis.setting import Setting, is_block, same


class Hint(NamedTuple):
    """An explanation that fits one argument in one setting.

    strength "exact": A is reproduced, number by number; "likely": its pattern is explained;
             "guess": there are other explanations
    """

    says: str
    evidence: str
    strength: str = "exact"


def d(name: str) -> str:
    return f"d{name}" if len(name) <= 2 else f"the gradient of {name}"


AXES = {1: ("position",), 2: ("sample", "feature"), 4: ("sample", "channel", "row", "column")}
WEIGHT_AXES = {1: ("channel",), 2: ("output", "input"),
               3: ("channel", "kernel row", "kernel column"),
               4: ("output channel", "input channel", "kernel row", "kernel column")}


def axes_of(setting: Setting, name: str) -> tuple[str, ...]:
    shape = setting.value(name).shape
    known = (AXES if isinstance(setting.key(name), int) else WEIGHT_AXES).get(len(shape))
    return known or tuple(f"axis {i}" for i in range(len(shape)))


def y_axes(setting: Setting) -> tuple[str, ...]:
    n = len(setting.y_shape)
    return AXES.get(n) or tuple(f"axis {i}" for i in range(n))


# ── the whole gradient ───────────────────────────────────────────────────────────────


def zero(s: Setting, name: str) -> dict[str, Hint]:
    if s.analytic(name).any():
        return {} if s.numeric(name).any() else {"no influence": Hint(
            f"forward does not use {name} at all, so {d(name)} must be 0", "it is not 0")}
    stored = [n for n, v in getattr(s.first.layer, "__dict__", {}).items()
              if name.split(".")[-1] != n and getattr(v, "shape", None) == s.value(name).shape
              and not hasattr(s.subject.layer, n) and not isinstance(s.key(name), int)]
    return {"zero": Hint(f"{d(name)} is all zeros: it is never computed, or never "
                         f"{'returned' if isinstance(s.key(name), int) else 'added into .grad'}"
                         + (f" (self.{stored[0]} has its shape: add that to self.{name}.grad)"
                            if stored else ""), "every entry is 0")}


def multiple(s: Setting, name: str) -> dict[str, Hint]:
    """A = c·N with c named from the sizes and constants at hand."""
    A, N = s.analytic(name), s.numeric(name)
    c = np.vdot(N, A) / max(np.vdot(N, N), 1e-300)
    return _named_multiple(s, name, c) if c and s.match(A, c * N) else {}


def multiple_here(s: Setting, name: str) -> dict[str, Hint]:
    """The same for inputs of any size, given that it is a multiple: from one direction."""
    g = np.asarray(s.gradient(name))
    try:
        true = float(np.concatenate([np.ravel(dy) for dy in s.subject.dys]) @ s.along(name, g))
    except Exception:                   # no complex step: believe the smaller ones
        return {}
    return _named_multiple(s, name, float(np.vdot(g, g)) / true) if true else {}


def _named_multiple(s: Setting, name: str, c: float) -> dict[str, Hint]:
    if abs(c + 1) < 1e-9:
        return {"sign": Hint(f"{d(name)} is exactly the negative of the true gradient: a sign is "
                             f"wrong", "times −1")}
    minus = "minus " if c < 0 else ""
    found = {}
    for label, value, meaning in factors(s, name):
        if abs(abs(c) - value) < 1e-7 * value and abs(value - 1) > 1e-9:
            found[f"{minus}{label}"] = Hint(
                f"{d(name)} is {minus}the true gradient times {label}{meaning}",
                f"times {c:.6g}, with {label} = {value:.6g}")
    if not found and abs(c - 1) < 0.02:
        found["nearly 1"] = Hint(f"{d(name)} is the true gradient times {c:.7g}: a small constant "
                                 f"(ε?) is left out or added", "a factor near 1")
    whole = round(1 / abs(c))
    label = f"{minus.replace('minus ', '−')}1/{whole}" if 1 < whole < 1000 and abs(
        abs(c) * whole - 1) < 1e-7 else f"{c:.6g}"
    found.setdefault(f"{c:.6g}", Hint(
        f"{d(name)} is the true gradient times {label}: a constant factor is wrong",
        f"times {c:.6g} everywhere"))
    found["constant"] = Hint(f"{d(name)} is a multiple of the true gradient: its direction is "
                             f"right, a factor is wrong", f"times {c:.6g} here", strength="guess")
    return found


def factors(s: Setting, name: str) -> Iterator[tuple[str, float, str]]:
    """(name, value, what it would mean) of the numbers by which gradients are wrongly scaled."""
    x, y = s.subject.inputs[s.subject.floats[0]], s.y_shape
    N = x.shape[0] if x.ndim else 1
    sizes = {"N": (N, ": {} the batch size")}
    if not y and x.ndim == 2:
        sizes |= {"C": (x.shape[1], ": {} the number of classes"),
                  "N·C": (x.size, ": {} every number instead of every sample")}
    kernel = [s.value(n).shape[2:] for n in s.first.grads if s.value(n).ndim == 4]
    kernel += windows(s.subject.layer)
    for k in kernel[:1]:
        sizes |= {"KH·KW": (k[0] * k[1], ": {} the size of the window"),
                  "KH": (k[0], ": {} one side of the window only"),
                  "KW": (k[1], ": {} one side of the window only")}
    if x.ndim == 4:
        sizes |= {"H·W": (x.shape[2] * x.shape[3], ": {} the number of pixels"),
                  "N·H·W": (N * x.shape[2] * x.shape[3], ": mean and sum confused over batch "
                                                         "and pixels"),
                  "C": (x.shape[1], ": {} the number of channels"),
                  "H": (x.shape[2], ": {} one side of the image only"),
                  "W": (x.shape[3], ": {} one side of the image only")}
    elif x.ndim == 2:
        sizes |= {"D": (x.shape[1], ": {} the number of features")}
    if len(y) == 4:
        sizes |= {"Ho·Wo": (y[2] * y[3], ": mean and sum confused over the output's pixels"),
                  "N·Ho·Wo": (y[0] * y[2] * y[3], ": mean instead of sum over batch and pixels"),
                  "F": (y[1], ": {} the number of output channels")}
    elif len(y) == 2:
        sizes |= {"F": (y[1], ": {} the number of outputs")}
    for label, (n, meaning) in sizes.items():
        if n > 1:
            if label == "N":
                yield "1/N", 1 / n, (
                    ": divided by the batch size, which is the loss's business (mean instead of "
                    "sum?)" if y else ": divided by the batch size twice?")
            else:
                yield f"1/({label})" if "·" in label else f"1/{label}", 1 / n, \
                    meaning.format("divided by")
            yield label, n, meaning.format("not divided by, or multiplied by,")
    for attribute, v in constants(s).items():
        for label, value in ((attribute, v), (f"1/{attribute}", 1 / v if v else 0),
                             (f"(1 − {attribute})", 1 - v),
                             (f"1/(1 − {attribute})", 1 / (1 - v) if v != 1 else 0),
                             (f"1/(1 − {attribute})²", (1 - v) ** -2 if v != 1 else 0),
                             (f"(1 − {attribute})/{attribute}", (1 - v) / v if v else 0),
                             (f"{attribute}²", v * v), (f"2·{attribute}", 2 * v)):
            if value > 0 and abs(value - 1) > 1e-9:
                mode = "" if getattr(s.subject.layer, "training", True) else (
                    " (training's factor in evaluation mode?)")
                yield label, value, (f": the factor with {attribute} = {v:g} is missing or "
                                     f"wrong{mode}")
    yield "2", 2.0, (": a factor 2 too many, or added twice" if not isinstance(s.key(name), int)
                     else ": a factor 2 too many, or counted twice")
    yield "1/2", 0.5, ": a factor 2 is missing"
    lengths = {f"{n}.shape[{j}]": side for n in s.names
               for j, side in enumerate(s.value(n).shape) if side > 1}
    for a, p in lengths.items():
        yield f"√({a})", p ** 0.5, ": a factor 1/√d is missing, or stands there twice"
        yield f"1/√({a})", p ** -0.5, ": a factor √d is missing, or 1/√d stands there twice"
        for b, q in lengths.items():
            if p != q:
                yield f"{a}/{b}", p / q, ": divided by the one where the other is meant?"


def windows(layer: Any) -> Iterator[tuple[int, int]]:
    """The size of the layer's window, by the names that people give it."""
    given = {n.lower().strip("_"): v for n, v in getattr(layer, "__dict__", {}).items()}
    for n in ("kernel_size", "kernel", "pool_size", "pool", "window", "ksize", "k", "size", "f",
              "filter_size", "field", "scale", "factor"):
        if isinstance(given.get(n), int) and given[n] > 1:
            yield given[n], given[n]
        elif isinstance(given.get(n), tuple) and len(given[n]) == 2:
            yield given[n]
    for h, w in (("kh", "kw"), ("k_h", "k_w"), ("kernel_h", "kernel_w"), ("pool_h", "pool_w"),
                 ("ph", "pw"), ("hh", "ww"), ("fh", "fw"), ("pool_height", "pool_width")):
        if isinstance(given.get(h), int) and isinstance(given.get(w), int):
            yield given[h], given[w]


def constants(s: Setting) -> dict[str, float]:
    """The public numbers in the layer's attributes: p, alpha, eps, …"""
    found = {}
    for n, v in getattr(s.subject.layer, "__dict__", {}).items():
        if not n.startswith("_") and isinstance(v, float | np.floating) and np.isfinite(v) \
                and v != 0 and v != 1:
            found[n] = float(v)
    return found


def precision(s: Setting, name: str) -> dict[str, Hint]:
    A, N, g = s.analytic(name), s.numeric(name), s.gradient(name)
    for dtype, tolerance in ((np.float32, 1e-5), (np.float16, 1e-2)):
        stored = bool((np.asarray(g).astype(dtype) == g).all())
        if same(A, N, tolerance) and (stored or (dtype == np.float32 and same(A, N, 5e-7))):
            kind = np.dtype(dtype).name
            return {kind: Hint(f"{d(name)} has only the digits of {kind}: a {kind} buffer or "
                               f"conversion is in its way",
                               f"right to {np.abs(A - N).max() / np.abs(N).max():.0e}"
                               + (f", and every number is a {kind}" if stored else ""))}
    return {}


# ── a factor for each channel, sample or number ──────────────────────────────────────


def ratios(s: Setting, name: str) -> dict[str, Hint]:
    """A = N times a factor that depends on one axis, or on the number itself."""
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max(initial=0)
    if np.abs(A[np.abs(N) <= tiny]).max(initial=0) > tiny * 10 or not N.any():
        return {}
    seen = np.abs(N) > 1e-6 * np.abs(N).max()
    R = np.where(seen, A / np.where(seen, N, 1), np.nan)
    if np.nanmax(np.abs(R - 1)) < 1e-7:
        return {}
    value, found = s.value(name), {}
    for whose, shape, axes, axis in (
            ("y", s.y_shape, y_axes(s), 0), (name, value.shape, axes_of(s, name), 1)):
        ratio = _constant(R, 1 - axis)
        if ratio is None:
            continue
        ratio = ratio.reshape(shape)
        for j in range(len(shape)):
            along = _constant(np.moveaxis(ratio, j, 0).reshape(shape[j], -1), 1)
            if along is not None and shape[j] > 1:
                if _spread(along) < 1e-7:
                    continue
                if np.nanmax(np.abs(along - 1)) < 0.02:
                    found["nearly 1"] = Hint(
                        f"{d(name)} is off by a factor near 1 for each {axes[j]} of {whose}: a "
                        f"small constant (ε) is left out, or stands at another place than in "
                        f"forward", f"the factors are {_few(along, 8)}", strength="likely")
                    continue
                hint = _named_vector(s, name, along, f"{axes[j]} of {whose}")
                found |= hint or {f"per {axes[j]} of {whose}": Hint(
                    f"{d(name)} is off by a factor for each {axes[j]} of {whose}: a factor that "
                    f"belongs to the {axes[j]} is missing or wrong",
                    f"the factors are {_few(along)}", strength="guess")}
        if not found and whose == "y" and len(shape) == 4:
            place = _constant(ratio.reshape(shape[0] * shape[1], -1), 0)
            if place is not None and _spread(place) > 1e-7:
                found["position"] = Hint(
                    f"{d(name)} is off by a factor for each output position: the divisor (the "
                    f"number of pixels in the window) is not forward's; does it count the padding, "
                    f"and the incomplete windows at the border, as forward does?",
                    f"the factors are {_few(place)}", strength="likely")
        if not found and _spread(ratio) > 1e-7:
            found |= _elementwise(s, name, ratio)
    return found


def _named_vector(s: Setting, name: str, factor: np.ndarray, where: str) -> dict[str, Hint]:
    x = s.subject.inputs[s.subject.floats[0]]
    for axes in ((0,), (0, 2, 3), (1,), (1, 2, 3), (2, 3)):
        if max(axes) >= x.ndim:
            continue
        std = x.std(axis=axes).ravel()
        for label, known in (("σ", std), ("1/σ", 1 / std), ("σ²", std ** 2), ("1/σ²", std ** -2)):
            if same(factor, known, 1e-3) and factor.size > 1 and _spread(known) > 1e-3:
                return {label: Hint(
                    f"{d(name)} is off by {label} for each {where}: the standard deviation is "
                    f"missing or used once too often (x − μ in place of the normalised x̂?)",
                    f"the factors are {label} to 3 digits", strength="likely")}
    for other in s.first.grads:
        v = s.value(other).ravel()
        if v.shape != factor.shape or other == name or not v.all():
            continue
        for label, known, says in (
                ("1/", 1 / v, f"the factor {other} (γ?) is missing"),
                ("", v, f"multiplied by {other} (γ?) once too often"),
                ("1/ ²", v ** -2, f"divided by {other} instead of multiplied"),
                ("sign", np.sign(v), f"uses |{other}|")):
            if same(factor, known, 1e-6):
                return {f"{label}{other}": Hint(f"{d(name)}: {says}",
                                                f"off by {label}{other} for each {where}")}
    return {}


def _elementwise(s: Setting, name: str, ratio: np.ndarray) -> dict[str, Hint]:
    """The factor is different for every number: is it x, y, 1/x, …?"""
    for other, v in [("y", s.first.ys[0]), *((n, s.value(n)) for n in s.names)]:
        if v.shape != ratio.shape:
            continue
        with np.errstate(all="ignore"):
            for label, known in ((other, v), (f"1/{other}", 1 / v), (f"{other}²", v * v),
                                 (f"1/{other}²", v ** -2),
                                 (f"[{other} > 0] (a mask that forward does not have)",
                                  (v > 0) * 1.0),
                                 (f"[{other} < 0] (a mask that forward does not have)",
                                  (v < 0) * 1.0), (f"sign({other})", np.sign(v))):
                if same(np.nan_to_num(ratio), np.where(np.isnan(ratio), 0, known), 1e-6):
                    means = (f": the factor {label[2:]} is missing" if label.startswith("1/") else
                             f": multiplied by {label} once too often" if label[0] != "[" else "")
                    return {label: Hint(f"{d(name)} is the true gradient times {label}, element "
                                        f"by element{means}", "the same for every number")}
    return {}


def slopes(s: Setting, name: str) -> dict[str, Hint]:
    """Elementwise layers: N is diagonal. Which slope was used, and which mask?"""
    x, A, N = s.value(name), s.analytic(name), s.numeric(name)
    if s.y_shape != x.shape or A.shape[0] != A.shape[1] or A.shape[0] < 2:
        return {}
    if (N - np.diag(np.diag(N))).any():
        return {}
    if np.abs(A - np.diag(np.diag(A))).max() > 1e-12 * np.abs(A).max():
        return {"not diagonal": Hint(
            f"{d(name)} mixes numbers: each output depends on one input only, so each number of "
            f"{d(name)} may come from one number of dy only"
            + ("" if getattr(s.subject.layer, "training", True) else
               " (in evaluation mode the statistics are constants: is this training's formula?)"),
            f"{np.mean(np.abs(A) > 0):.0%} of the entries are not 0",
            strength="guess" if getattr(s.subject.layer, "training", True) else "likely")}
    a, n, x, y = np.diag(A), np.diag(N), x.ravel(), s.first.ys[0].ravel()
    off = np.abs(a - n) > 1e-7 * np.abs(n).max()
    missing, extra = off & (a == 0), off & (n == 0)
    other_mask = {} if not off.any() or not (missing | extra == off).all() else {
        "another mask": Hint(
            f"{d(name)}: the mask is not the one that forward applied (drawn anew, or made from "
            f"something else): remember forward's", f"{missing.sum()} numbers are stopped that "
            f"should pass, {extra.sum()} pass that should be stopped", strength="likely")}
    if off.all() and (missing | extra).all():
        return {"mask inverted": Hint(f"{d(name)}: the mask is the wrong way round: what should "
                                      f"pass is stopped and what should be stopped passes",
                                      "right nowhere")}
    if missing.any() and extra.any() and other_mask:
        return other_mask
    if (n == 0).any() and off.any() and (extra == off).all():
        where = _where_x(x, off, n == 0)
        return other_mask | {"mask missing": Hint(
            f"{d(name)}: a mask is not applied (or too wide): where forward's slope is 0, "
            f"gradient passes{where}", f"{off.sum()} of {(n == 0).sum()} such numbers get "
            f"gradient; all others are right")}
    if off.any() and (missing == off).all():
        return other_mask | {"mask too narrow": Hint(
            f"{d(name)}: a mask stops gradient that should pass{_where_x(x, off, n != 0)}",
            f"{off.sum()} numbers get 0; all others are right")}
    if (n == 0).any() and extra.any() and (a[n == 0] != 0).all() and not missing.any():
        inner = a[n != 0] / n[n != 0]
        if _spread(inner) < 1e-7:
            return {"mask missing": Hint(
                f"{d(name)}: the mask is not applied: where forward's slope is 0, gradient passes",
                f"elsewhere times {inner.mean():.6g}")}
    if s.first.grads and ratios(s, name):
        return {}                       # a factor that is a parameter: said there
    table = dict(_slope_table(x, y, constants(s)))
    truth = [label for label, f in table.items() if s.match(f, n)]
    used = [label for label, f in table.items() if s.match(f, a)]
    if used and used[0] not in truth:
        return {f"slope {used[0]}": Hint(
            f"{d(name)}: the local derivative is wrong: {used[0]} is used"
            + (f" where {truth[0]} is meant" if truth else ", which is not forward's slope")
            + (": y and x confused" if truth and _swapped(used[0], truth[0]) else ""),
            "the same for every number")}
    return {"slope": Hint(f"{d(name)}: the local derivative (the slope) of this elementwise "
                          f"function is wrong", f"at x = {x[off][0]:.4g}: {a[off][0]:.6g}; "
                          f"expected {n[off][0]:.6g}", strength="guess")}


def _slope_table(x: np.ndarray, y: np.ndarray, c: dict) -> Iterator[tuple[str, np.ndarray]]:
    with np.errstate(all="ignore"):
        sigma = 1 / (1 + np.exp(-x))
        sy = 1 / (1 + np.exp(-y))
        yield "[x > 0]", (x > 0) * 1.0
        yield "1", np.ones_like(x)
        for v, z in (("y", y), ("x", x)):
            yield f"{v}·(1 − {v})", z * (1 - z)
            yield f"1 − {v}²", 1 - z * z
            yield f"1 − {v}", 1 - z
            yield f"{v}", z
            yield f"{v}²", z * z
            yield f"{v}·(1 − {v}²)", z * (1 - z * z)
            yield f"1/{v}", 1 / z
            yield f"exp({v})", np.exp(z)
            yield f"(1 − {v})²", (1 - z) ** 2
            yield f"1 + {v}", 1 + z
            yield f"sign({v})", np.sign(z)
            yield f"2·{v}", 2 * z
            yield f"{v}·(1 + {v})", z * (1 + z)
        for v, t in (("x", sigma), ("y", sy)):
            z = x if v == "x" else y
            yield f"σ({v})", t
            yield f"σ({v})·(1 − σ({v}))", t * (1 - t)
            yield f"{v}·σ({v})·(1 − σ({v}))", z * t * (1 - t)
            yield f"σ({v})·(1 + {v}·(1 − σ({v})))", t * (1 + z * (1 - t))
            yield f"σ({v}) + σ({v})·(1 − σ({v}))", t * (2 - t)
            yield f"σ({v})·(1 + {v}·σ({v}))", t * (1 + z * t)
            yield f"1 − tanh²({v})", 1 - np.tanh(z) ** 2
        yield "y/x", y / x
        for name, value in c.items():
            yield f"(1 where x > 0, else {name})", np.where(x > 0, 1, value)
            yield f"(1 where x > 0, else 1/{name})", np.where(x > 0, 1, 1 / value)
            yield f"(1 where x > 0, else −{name})", np.where(x > 0, 1, -value)
            yield f"({name} where x > 0, else 1)", np.where(x > 0, value, 1)
            yield f"y + {name}", y + value
            yield f"(1 where x > 0, else {name}·eˣ)", np.where(x > 0, 1, value * np.exp(x))
            yield f"(1 where x > 0, else y + {name})", np.where(x > 0, 1, y + value)
            yield "(1 where x > 0, else y)", np.where(x > 0, 1, y)
            yield f"(1 where x > 0, else {name}·x)", np.where(x > 0, 1, value * x)


def _swapped(used: str, truth: str) -> bool:
    return used.replace("x", "y") == truth or used.replace("y", "x") == truth


def _where_x(x: np.ndarray, off: np.ndarray, candidates: np.ndarray) -> str:
    inside, rest = x[off], x[candidates & ~off]
    if not inside.size or not rest.size:
        return ""
    if inside.min() > rest.max():
        return f", for x of {inside.min():.3g} and more"
    if inside.max() < rest.min():
        return f", for x of {inside.max():.3g} and less"
    return ""


def elementwise(N: np.ndarray) -> bool:
    """Does each output depend on its own input alone?"""
    return N.shape[0] == N.shape[1] > 1 and not (N - np.diag(np.diag(N))).any()


# ── which entries ────────────────────────────────────────────────────────────────────


def rows(s: Setting, name: str) -> dict[str, Hint]:
    """Some outputs send nothing back, or only some do."""
    A, N = s.analytic(name), s.numeric(name)
    if elementwise(N):
        return {}                               # slopes says it better
    live = np.abs(N).max(axis=1) > 1e-12 * np.abs(N).max()
    off = _rows_off(A, N) & live
    dead = off & (np.abs(A).max(axis=1) < 1e-12 * np.abs(N).max())
    if not off.any() or not (dead == off).all() or off.sum() == live.sum():
        return {}
    if len(s.first.ys) > 1:
        ends = np.cumsum([y.size for y in s.first.ys])
        gone = [n for n, (end, y) in enumerate(zip(ends, s.first.ys, strict=True))
                if off[end - y.size:end].any()]
        if sum(live[ends[n] - s.first.ys[n].size:ends[n]].sum() for n in gone) == off.sum():
            return {f"output {gone}": Hint(
                f"{d(name)}: the gradient of output {', '.join(map(str, gone))} (of "
                f"{len(ends)} outputs: a head, a branch) is never used", "its rows are 0, the "
                "others are right")}
    for i, labels in enumerate(s.subject.inputs):
        if labels.dtype.kind in "iu" and labels.ndim and labels.shape == s.y_shape[:labels.ndim]:
            labels = labels.ravel()
            again = np.array([label in labels[n + 1:] for n, label in enumerate(labels)])
            if again.any() and (off.reshape(len(again), -1).any(axis=1) == again).all():
                which = s.subject.input_name(i)
                return {"repeated": Hint(
                    f"{d(name)}: where {which} has a number twice, only the last one counts: `+=` "
                    f"with an index array writes once for each place; np.add.at adds all of them",
                    f"the samples whose {which} comes again are lost")}
    return _slices(s, name, off, s.y_shape, y_axes(s), live, "output") or {
        "outputs": Hint(f"{d(name)}: some outputs are never visited (they send nothing back): does "
                        f"a loop end, or return, too early?",
                        f"{off.sum()} of {live.sum()} outputs; the others are right",
                        strength="likely")}


def columns(s: Setting, name: str) -> dict[str, Hint]:
    """Some numbers of the argument get nothing, though the others are right."""
    A, N = s.analytic(name), s.numeric(name)
    if elementwise(N):
        return {}
    live = np.abs(N).max(axis=0) > 1e-12 * np.abs(N).max()
    off = _rows_off(A.T, N.T) & live
    dead = off & (np.abs(A).max(axis=0) < 1e-12 * np.abs(N).max())
    if not off.any() or not (dead == off).all() or off.sum() == live.sum():
        return {}
    return _slices(s, name, off, s.value(name).shape, axes_of(s, name), live, "argument")


def _slices(s: Setting, name: str, off: np.ndarray, shape: tuple, axes: tuple,
            live: np.ndarray, what: str) -> dict[str, Hint]:
    off, live = off.reshape(shape), live.reshape(shape)
    verb = "sends nothing back" if what == "output" else "gets nothing"
    found = {}
    for j, axis in enumerate(axes):
        if shape[j] < 2:
            continue
        others = tuple(i for i in range(len(shape)) if i != j)
        wrong, alive = off.any(axis=others), live.any(axis=others)
        whole = np.array([(off.take(i, j) == live.take(i, j)).all() for i in range(shape[j])])
        if not (wrong & ~whole).any() and wrong.sum() < alive.sum():
            at, right = np.flatnonzero(wrong), np.flatnonzero(alive & ~wrong)
            thing = f"{axis} of y" if what == "output" else f"{axis} of {name}"
            if len(right) == 1 and (axis not in ("row", "column") or len(at) > 1):
                place = {0: "the first", shape[j] - 1: "the last"}.get(int(right[0]),
                                                                       f"number {right[0]}")
                key = f"only {place} {thing}"
                found[key] = Hint(
                    f"only {place} {thing} counts in {d(name)}; a loop that returns or assigns "
                    f"(`=` where `+=` is needed) too early, or an index [{right[0]}] too many? "
                    f"Only sample, channel or position {right[0]} is right"
                    if axis != "sample" else
                    f"only sample {right[0]} counts in {d(name)}: only {place} sample contributes, "
                    f"the others are lost (`=` in a loop over samples, or an index too many)",
                    f"the other {len(at)} are 0")
            if len(right) == 1 < len(at):
                continue
            if list(at) == list(range(shape[j] - len(at), shape[j])):
                found[f"last {thing}"] = Hint(
                    f"{d(name)}: the last {thing} is never visited ({verb}): does a loop or a "
                    f"slice end too early?", f"{len(at)} of {shape[j]} are 0, the others right")
            elif list(at) == list(range(len(at))):
                found[f"first {thing}"] = Hint(
                    f"{d(name)}: the first {thing} is never visited ({verb}): does a loop or a "
                    f"slice begin too late?", f"{len(at)} of {shape[j]} are 0, the others right")
            else:
                found[f"some {thing}"] = Hint(
                    f"{d(name)}: some {thing} {verb} (never visited)",
                    f"numbers {_few(at)} of {shape[j]}")
    return found


def overwritten(s: Setting, name: str) -> dict[str, Hint]:
    """A is N with entries set to 0: each number keeps a part of what it should receive."""
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max()
    kept, true = np.abs(A) > tiny, np.abs(N) > tiny
    if (kept & ~true).any() or not same(np.where(kept, N, 0), A, s.tolerance * 10):
        return {}
    lost = true & ~kept
    if not lost.any() or not kept.any():
        return {}
    shape = s.y_shape
    groups = {"position": tuple(i for i in range(len(shape)) if i not in (2, 3))
              if len(shape) == 4 else tuple(range(1, len(shape)))}
    places_kept = kept.T.reshape(-1, *shape).any(axis=tuple(a + 1 for a in groups["position"]))
    places_true = true.T.reshape(-1, *shape).any(axis=tuple(a + 1 for a in groups["position"]))
    places_kept, places_true = (p.reshape(p.shape[0], -1).sum(axis=1) for p in
                                (places_kept, places_true))
    several = places_true > 1
    is_input = isinstance(s.key(name), int)
    if several.any() and (places_kept[several] == 1).all() and len(shape) == 4:
        if is_input and s.rows > A.shape[1] and (true.sum(axis=1) == 1).all() \
                and _spread(N[true]) < 1e-9:
            return {"copies": Hint(
                f"{d(name)}: only one of the outputs that copy a number is counted; the sum over "
                f"all copies is needed", "each number keeps one share of many")}
        if is_input:
            return {"overlap": Hint(
                f"{d(name)} is wrong only where windows overlap; each pixel keeps one window's "
                f"share: `=` where `+=` is needed (in col2im, or when dx is filled)",
                f"{lost.any(axis=0).sum()} of {N.shape[1]} pixels lost all shares but one")}
        return {"one position": Hint(
            f"{d(name)}: only one output position counts: `=` where `+=` is needed in the loop "
            f"over positions", "each number of it keeps one share of many")}
    if s.y_shape == s.value(name).shape and len(s.y_shape) > 1:
        ks, xs = np.nonzero(lost)
        apart = np.unravel_index(xs, s.y_shape)[1] - np.unravel_index(ks, s.y_shape)[1]
        true_ks, true_xs = np.nonzero(true)
        all_apart = (np.unravel_index(true_xs, s.y_shape)[1]
                     - np.unravel_index(true_ks, s.y_shape)[1])
        if (apart == apart[0]).all() and apart[0] != 0 and (all_apart == apart[0]).sum() == len(
                apart):
            return {"window": Hint(
                f"{d(name)}: one end of the window is left out: the neighbour {abs(apart[0])} "
                f"{'after' if apart[0] > 0 else 'before'} gets nothing",
                "exactly these entries are 0; all others are right", strength="likely")}
    share = places_kept[several].mean() / places_true[several].mean() if several.any() else 0
    return {"part lost": Hint(
        f"{d(name)}: a part of the contributions is missing (overwritten or never visited): every "
        f"share that is there is right, others are 0",
        f"{lost.sum()} of {true.sum()} shares are missing"
        + (f"; {share:.0%} of the positions are kept" if share else ""), strength="guess")}


def extra(s: Setting, name: str) -> dict[str, Hint]:
    """A has entries where the truth is 0: gradient for numbers that had no influence."""
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max()
    more = (np.abs(N) <= tiny) & (np.abs(A) > tiny)
    if not more.any():
        return {}
    rest_right = same(np.where(more, 0, A), N, s.tolerance * 10)
    evidence = f"{more.sum()} entries of the Jacobian should be 0" + (
        "; all the others are right" if rest_right else "")
    x, found = s.value(name), {}
    unseen = np.abs(N).max(axis=0) <= tiny
    is_input = isinstance(s.key(name), int)
    if not is_input and s.subject.inputs[s.subject.floats[0]].size == s.rows:
        v, rows_off = s.subject.inputs[s.subject.floats[0]].ravel(), more.any(axis=1)
        for sign, mask in ((">", v > 0), ("<", v < 0)):
            if rest_right and (rows_off == mask).all():
                found["mask"] = Hint(f"{d(name)}: a mask is not applied: numbers with x {sign} 0 "
                                     f"count, too, though forward does not use {name} there",
                                     evidence)
                return found
    if is_input and unseen.any() and (more.any(axis=0) <= unseen).all() \
            and (np.abs(N) > tiny).sum(axis=1).max() > 1:
        if x.ndim != 4:
            return {"unseen": Hint(f"{d(name)}: numbers that have no influence get gradient: a "
                                   f"mask is not applied?", evidence, strength="guess")}
        found["unseen"] = Hint(f"{d(name)}: pixels that no window sees get gradient; they must "
                               f"get 0", evidence, strength="exact" if rest_right else "likely")
        return found
    if is_input and x.ndim > 1 and len(s.y_shape) > 1 \
            and x.shape[0] == s.y_shape[0] > 1:
        ks, is_ = np.nonzero(more)
        n_y = np.unravel_index(ks, s.y_shape)
        n_x = np.unravel_index(is_, x.shape)
        true_k, true_i = np.nonzero(np.abs(N) > tiny)
        apart = (np.unravel_index(true_k, s.y_shape)[0] == np.unravel_index(true_i, x.shape)[0])
        if (n_y[0] != n_x[0]).any() and apart.all():
            found["samples mixed"] = Hint(
                f"{d(name)} mixes samples: the gradient of one image reaches another; a reshape or "
                f"a transpose in the wrong order?", evidence, strength="guess")
        elif x.ndim == 4 and len(s.y_shape) == 4:
            reach = _reach(N, tiny, s.y_shape[1], x.shape[1], s.y_shape, x.shape)
            if (~reach[n_y[1], n_x[1]]).any():
                found["channels mixed"] = Hint(
                    f"{d(name)} mixes channels (groups): gradient reaches channels that the output "
                    f"does not depend on", evidence, strength="guess")
    return found


def _reach(N: np.ndarray, tiny: float, F: int, C: int, y: tuple, x: tuple) -> np.ndarray:
    """Which input channels does each output channel depend on?"""
    B = (np.abs(N) > tiny).reshape(*y, *x)
    return B.any(axis=(0, 2, 3, 4, 6, 7))


def misrouted(s: Setting, name: str) -> dict[str, Hint]:
    """Each output gives to one number: the right amount to the wrong one (max-pooling)."""
    if not isinstance(s.key(name), int):
        return {}
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max()
    one_a, one_n = (np.abs(A) > tiny).sum(axis=1), (np.abs(N) > tiny).sum(axis=1)
    square = A.shape[0] == A.shape[1]
    if (one_n > 1).all() and (one_a == 1).all() and not (
            square and same(A, np.diag(np.diag(A)))):
        return {"not shared": Hint(
            f"{d(name)}: each output's gradient goes to one number only (one pixel of the window); "
            f"it should be shared among all that the output depends on",
            f"one entry in each row of the Jacobian, where there should be {one_n.min()}",
            strength="likely")}
    if (one_n > 1).any() or not (one_n == 1).any() or elementwise(N):
        return {}
    sums = np.abs(A.sum(axis=1) - N.sum(axis=1)) <= 1e-7 * np.abs(N).max()
    if (one_a <= 1).all() and (sums | (one_a == 0)).all():
        went = (A.argmax(axis=1) != N.argmax(axis=1)) & (one_a == 1) & (one_n == 1)
        if not went.any():
            return {}
        where = ""
        x = s.value(name).ravel()
        if (x[A.argmax(axis=1)] <= x[N.argmax(axis=1)])[went].all():
            where = " (one with a smaller number than the maximum)"
        lost = f", {(one_a < one_n).sum()} are lost" if (one_a < one_n).any() else ""
        if square and (one_n == 1).all() and ((np.abs(N) > tiny).sum(axis=0) == 1).all():
            return {"misplaced": Hint(
                f"{d(name)}: the right numbers go to the wrong places: axes are swapped in a "
                f"reshape or transpose, or an index is off", f"{went.sum()} of {len(one_n)} "
                f"numbers are at the wrong place{lost}")}
        return {"misrouted": Hint(
            f"{d(name)}: the right amount goes to the wrong pixel{where}: the index (of the "
            f"maximum, or of the window) is wrong, or is used wrongly",
            f"{went.sum()} of {(one_n == 1).sum()} outputs are misrouted{lost}")}
    if (one_a > 1).any():
        return {"shared": Hint(f"{d(name)}: each output depends on one number, but gives gradient "
                               f"to several: a mask (the maximum's?) is missing or wrong, or it is "
                               f"repeated where it should not be",
                               f"up to {one_a.max()} numbers get a share"
                               + (", which add up to the right amount" if sums.all() else ""),
                               strength="guess")}
    return {}


def exchanged(s: Setting, name: str) -> dict[str, Hint]:
    """Several inputs or parameters: this one's gradient is another's."""
    A, is_input = s.analytic(name), isinstance(s.key(name), int)
    for other in s.names:
        if other != name and isinstance(s.key(other), int) == is_input and s.value(
                other).shape == s.value(name).shape and s.match(A, s.numeric(other)):
            how = ": the gradients of the inputs are returned in another order" if is_input else ""
            return {other: Hint(f"{d(name)} is what {d(other)} should be (swapped){how}",
                                f"it equals the true {d(other)}")}
    alike = [other for other in s.names if isinstance(s.key(other), int) and is_input
             and s.value(other).shape == s.value(name).shape]
    if len(alike) > 1 and s.match(A, sum(s.numeric(other) for other in alike)):
        return {"sum": Hint(f"{d(name)} is the sum of the gradients of all inputs: each input gets "
                            f"its own only", f"the sum of those of {', '.join(alike)}")}
    return {}


def label_only(s: Setting, name: str) -> dict[str, Hint]:
    """A loss: wrong only at the entries of the true classes."""
    z = s.value(name)
    labels = [x for x in s.subject.inputs if x.dtype.kind in "iu" and x.shape == z.shape[:1]]
    if z.ndim != 2 or len(labels) != 1 or s.y_shape:
        return {}
    off = np.abs(s.analytic(name) - s.numeric(name)).reshape(z.shape)
    off = off > 1e-9 * np.abs(s.numeric(name)).max()
    own = np.zeros_like(off)
    own[np.arange(len(z)), labels[0]] = True
    if off.any() and (off <= own).all():
        return {"label": Hint(f"{d(name)} is wrong only at the entries of the true classes (the "
                              f"labels): what is subtracted, or counted, there is not right",
                              f"{off.sum()} of {len(z)} of them; all the others are right",
                              strength="likely")}
    return {}


def windows_differ(s: Setting, name: str) -> dict[str, Hint]:
    """Means over windows: each output shares out the right amount, among the wrong numbers."""
    A, N = s.analytic(name), s.numeric(name)
    if not isinstance(s.key(name), int) or not N.any():
        return {}
    tiny = 1e-9 * np.abs(N).max()
    used, true = np.abs(A) > tiny, np.abs(N) > tiny
    if (used == true).all() or not used.any(axis=1).all() or true.sum(axis=1).max() < 2 \
            or used.sum(axis=1).max() == 1:
        return {}
    even = all(np.ptp(np.where(mask, J, J.max(axis=1, keepdims=True)), axis=1).max() < tiny * 10
               for J, mask in ((A, used), (N, true)))
    if not even or not np.allclose(A.sum(axis=1), N.sum(axis=1), rtol=1e-9):
        return {}
    how = ("smaller than" if (used <= true).all() else "larger than" if (used >= true).all() else
           "at another place than")
    return {"windows": Hint(
        f"{d(name)}: backward's windows are {how} forward's: each output shares out the right "
        f"amount, but among the wrong pixels (the first or last row or column of a window)",
        f"{(used != true).any(axis=1).sum()} of {len(A)} windows differ")}


def projection(s: Setting, name: str) -> dict[str, Hint]:
    """Something is divided by its norm, or its mean is taken off: that term is missing."""
    A, N, v = s.analytic(name), s.numeric(name), s.value(name)
    for over in ([], *([j] for j in range(v.ndim) if v.ndim > 1)):
        # groups: the whole array, or one group for each index along an axis
        groups = np.moveaxis(np.arange(v.size).reshape(v.shape), over, range(len(over)))
        groups = groups.reshape(v.shape[over[0]] if over else 1, -1)
        for u, says in ((v.ravel(), f"the norm of {name}"),
                        (np.ones(v.size), f"the mean of {name}")):
            projected = A.copy()
            for g in groups:
                along = u[g] / np.linalg.norm(u[g])
                projected[:, g] -= np.outer(A[:, g] @ along, along)
            if groups.shape[1] > 1 and s.match(projected, N):
                return {says: Hint(f"{d(name)}: the term through {says} is missing: it is taken as "
                                   f"a constant", "what is missing is the part along it")}
    return {}


# ── the right numbers in the wrong places ────────────────────────────────────────────


def moved(s: Setting, name: str) -> dict[str, Hint]:
    """A is N with its argument's (or dy's) indices flipped, swapped, rolled or shifted."""
    A, N = s.analytic(name), s.numeric(name)
    found = {}
    shape, rng = s.value(name).shape, np.random.default_rng(0)
    # A random sum of all rows (or columns) tells nearly everything, and is quick to compare.
    r = rng.standard_normal(A.shape[0])
    a, n = r @ A, r @ N
    for key, says, index in index_maps(shape, axes_of(s, name)):
        there = index >= 0                      # what comes in from outside may be anything
        if 4 * there.sum() > index.size and s.match(n[index[there]], a[there]) and s.match(
                N[:, index[there]], A[:, there]):
            found[f"{name} {key}"] = Hint(f"{d(name)} is right but {says}",
                                          "every entry of the Jacobian is there, elsewhere")
    u = rng.standard_normal(A.shape[1])
    a, n = A @ u, N @ u
    for key, says, index in index_maps(s.y_shape, y_axes(s)) if s.rows > 1 else ():
        if s.match(np.where(index >= 0, n[index], 0), a) and s.match(
                np.where(index[:, None] >= 0, N[index], 0), A):
            found[f"dy {key}"] = Hint(f"{d(name)} is right for dy {says}",
                                      "every row of the Jacobian is there, elsewhere")
    return found


def index_maps(shape: tuple, axes: tuple[str, ...]) -> Iterator[tuple[str, str, np.ndarray]]:
    """(key, words, index): all ways in which indices are commonly confused; −1 is nothing."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    n = len(shape)

    def changes(new: np.ndarray) -> bool:
        return new.shape == shape and not np.array_equal(new, index)

    wide = [j for j in range(n) if shape[j] > 1]
    for count in (1, 2):
        for js in combinations(wide, count):
            new = np.flip(index, js)
            names = " and ".join(axes[j] for j in js)
            if count == 2 and js != (n - 2, n - 1):
                continue
            yield (f"flipped {js}", "flipped by 180° (kernel or image turned round)"
                   if count == 2 else f"flipped along the {names} axis", new.ravel())
    for order in permutations(range(n)):
        new = index.transpose(order)
        if order == tuple(range(n)):
            continue
        swapped = [axes[j] for j in range(n) if order[j] != j]
        if changes(new):
            yield (f"transposed {order}", f"transposed (the axes {', '.join(swapped)} swapped)",
                   new.ravel())
        if changes(new.reshape(shape)):         # where sizes are equal, both are the same thing
            yield (f"reshaped {order}", "reshaped in the wrong order, without the transpose that "
                   f"must go with it (the axes {', '.join(swapped)} are mixed up)",
                   new.reshape(shape).ravel())
            back = np.empty_like(index.ravel())
            back[new.ravel()] = np.arange(index.size)
            yield (f"reshaped back {order}", "reshaped in the wrong order, without the transpose "
                   f"that must go with it (the axes {', '.join(swapped)} are mixed up)", back)
    for j in wide:
        for a in range(2, shape[j]):
            if shape[j] % a == 0 and n > 1:
                mixed = np.arange(shape[j]).reshape(a, -1).T.ravel()
                if not np.array_equal(mixed, np.arange(shape[j])):
                    yield (f"interleaved {j} {a}", f"interleaved along the {axes[j]} axis (taken "
                           f"in steps of {a} or {shape[j] // a} where a block of neighbours is "
                           f"meant, or the other way about: groups mixed?)",
                           index.take(mixed, j).ravel())
    fortran = index.reshape(shape, order="F")
    if n > 1 and changes(fortran):
        yield "fortran", "reshaped in the wrong order (Fortran's)", fortran.ravel()
    for j in wide:
        for step in range(1, shape[j]):
            if step > 2 and step < shape[j] - 2 and n > 2 and j > 1:
                continue
            yield (f"rolled {j} {step}" if shape[j] != 2 * step else f"rolled {j} half",
                   f"rolled along the {axes[j]} axis " + (
                       "(shifted: padding cropped at the wrong place?)" if n == 4 and j > 1 else
                       "(another channel's or group's part is used: the wrong order?)"),
                   np.roll(index, step, j).ravel())
    for j in wide:
        if j < n - 2 and n == 4:
            continue
        for step in (1, -1, 2, -2):
            if abs(step) >= shape[j]:
                continue
            new = np.full_like(index, -1)
            cut = [slice(None)] * n
            put = [slice(None)] * n
            cut[j] = slice(step, None) if step > 0 else slice(None, step)
            put[j] = slice(None, -step) if step > 0 else slice(-step, None)
            new[tuple(put)] = index[tuple(cut)]
            yield (f"shifted {j} {step}", f"shifted by {abs(step)} along the {axes[j]} axis "
                   f"(padding cropped at the wrong place?)", new.ravel())
    if n == 4:
        for a in (1, -1, 2, -2):
            for b in (1, -1, 2, -2):
                if abs(a) < shape[2] and abs(b) < shape[3]:
                    new = np.full_like(index, -1)
                    new[..., max(-a, 0):shape[2] - max(a, 0), max(-b, 0):shape[3] - max(b, 0)] = \
                        index[..., max(a, 0):shape[2] + min(a, 0), max(b, 0):shape[3] + min(b, 0)]
                    yield (f"shifted both {a} {b}", f"shifted by ({abs(a)}, {abs(b)}) pixels "
                           f"(padding cropped at the wrong place?)", new.ravel())


# ── structure of the difference ──────────────────────────────────────────────────────


def shortcut(s: Setting, name: str) -> dict[str, Hint]:
    """y = x + f(x): is dy itself missing, doubled, or all there is?"""
    A, N, x = s.analytic(name), s.numeric(name), s.value(name)
    if not isinstance(s.key(name), int) or s.y_shape != x.shape or s.rows < 2:
        return {}
    eye, D = np.eye(s.rows), A - N
    if s.match(A, eye) and not (N - np.diag(np.diag(N))).any():
        return {}               # elementwise: the table of slopes says it better
    parts = is_block(s.subject.layer) or "+" in _source(s)
    if s.match(D, -eye) or s.match(A + eye, N):
        return {"shortcut": Hint(f"{d(name)}: the shortcut's term is missing: dy itself, which "
                                 f"reaches x unchanged, must be added", "exactly dy is missing")}
    if not parts:
        return {}
    if s.match(A - eye, N):
        return {"shortcut twice": Hint(f"{d(name)}: the shortcut's term (dy itself) is added once "
                                       f"too often", "exactly dy is too much")}
    if s.match(A + 2 * eye, N):
        return {"shortcut sign": Hint(f"{d(name)}: the shortcut's term has the wrong sign (dy "
                                      f"subtracted)", "exactly 2·dy is missing")}
    if s.match(A, eye):
        return {"dy": Hint(f"{d(name)} is dy itself: the term of everything else (the branch, the "
                           f"layer) is missing", "A is the identity")}
    return {}


def _source(s: Setting) -> str:
    """The text of forward, where there is one: is anything added in it?"""
    try:
        return inspect.getsource(type(s.subject.layer).forward)
    except (OSError, TypeError):
        return ""


def product_rule(s: Setting, name: str) -> dict[str, Hint]:
    """y = x·g(x): dx has a direct term, dy·g, and one through g. Which is missing?"""
    A, N, x = s.analytic(name), s.numeric(name), s.value(name)
    if not isinstance(s.key(name), int) or s.y_shape != x.shape or s.rows < 2 or not x.all():
        return {}
    diagonal = not (N - np.diag(np.diag(N))).any()
    own = np.diag((s.first.ys[0] / x).ravel())
    cross = N - own
    if np.abs(cross).max() < 1e-9 * np.abs(N).max():
        return {}
    terms = np.array([own.ravel(), cross.ravel()]).T
    (a, b), *_ = np.linalg.lstsq(terms, A.ravel(), rcond=None)
    if diagonal or abs(a - b) < 1e-6:
        return {}
    if not s.match(a * own + b * cross, A):
        live = np.abs(cross) > 1e-6 * np.abs(cross).max()
        ratio = np.where(live, (A - own) / np.where(live, cross, 1), np.nan)
        if _constant(ratio, 1) is None and _constant(ratio, 0) is None:
            return {}
        return {"cross factor": Hint(
            f"{d(name)}: the own (direct) term is right, the cross term is off by a factor that "
            f"differs from number to number: a wrong exponent (power), or a factor left out",
            f"the factors are {_few(ratio[live])}", strength="likely")}
    found = {}
    if abs(a - 1) > 1e-6:
        found["own"] = Hint(f"{d(name)}: the own (direct) term, dy times the factor y/x, "
                            f"{_coefficient(s, name, a)}", f"coefficient {a:.4g}, expected 1")
    if abs(b - 1) > 1e-6:
        found["cross"] = Hint(f"{d(name)}: the cross term (through the factor that y = x·factor "
                              f"takes from x and its neighbours) {_coefficient(s, name, b)}"
                              + (": the factor is taken as a constant" if abs(b) < 1e-6 else ""),
                              f"coefficient {b:.4g}, expected 1")
    return found


def _coefficient(s: Setting, name: str, c: float) -> str:
    x = s.subject.inputs[s.subject.floats[0]]
    m = x.size // x.shape[1] if x.ndim > 1 else x.size
    sizes = [("m", m), ("1/m", 1 / m), ("2", 2.0), ("1/2", 0.5)]
    if m > 2:
        sizes += [("m/(m − 1)", m / (m - 1)), ("(m − 1)/m", (m - 1) / m)]
    for label, value in (*sizes, *((label, value) for label, value, _ in factors(s, name))):
        if abs(c - value) < 1e-6 * value and abs(value - 1) > 1e-6:
            what = ": mean and sum confused" if "m" in label or "·" in label else ""
            return f"is multiplied by {label} ({c:.4g}){what}"
    if abs(c) < 1e-6:
        return "is missing (coefficient 0.00)"
    if abs(c + 1) < 1e-6:
        return "has the wrong sign (coefficient −1)"
    return f"is multiplied by {c:.4g}"


def turned(s: Setting, name: str) -> dict[str, Hint]:
    """The neighbourhood, as in LRN's window, is the wrong way round."""
    A, N = s.analytic(name), s.numeric(name)
    if A.shape[0] != A.shape[1] or not isinstance(s.key(name), int):
        return {}
    tiny = 1e-9 * np.abs(N).max()
    used, true = np.abs(A) > tiny, np.abs(N) > tiny
    if (used == true.T).all() and not (used == true).all():
        return {"turned": Hint(
            f"{d(name)}: the window is not turned round: what is before in forward is after in "
            f"backward (each number hears from those that have it in their window)",
            "the Jacobian has its zeros where the transposed one should", strength="likely")}
    return {}


def diagonal(s: Setting, name: str) -> dict[str, Hint]:
    A, N, x = s.analytic(name), s.numeric(name), s.value(name)
    if s.y_shape != x.shape or s.rows < 2:
        return {}
    diag, own = np.diag(np.diag(N)), np.diag(np.diag(A))
    if (N - diag).any() and s.match(A - own, N - diag):
        return {"own": Hint(f"{d(name)}: the own (direct) term of each number is wrong; all cross "
                            f"terms (to other numbers) are right",
                            "the Jacobian is right off its diagonal", strength="guess")}
    if (N - diag).any() and s.match(A, diag):
        return {"diagonal": Hint(f"{d(name)}: only the diagonal of the Jacobian (each output's own "
                                 f"input) is counted; the cross terms are missing (every output "
                                 f"depends on others, too)",
                                 "A is the diagonal of the true Jacobian")}
    if (N - diag).any() and s.match(A, own):
        return {"no cross": Hint(f"{d(name)}: each number gets its own dy only; the cross terms, a "
                                 f"sum over the others (every output depends on them, too), are "
                                 f"missing", "A is diagonal, the true Jacobian is not",
                                 strength="likely")}
    return {}


def summed(s: Setting, name: str) -> dict[str, Hint]:
    """A parameter's gradient that is a sum over dy: over which axes?"""
    A, N = s.analytic(name), s.numeric(name)
    if isinstance(s.key(name), int) or not s.y_shape:
        return {}
    found, y = {}, s.y_shape
    columns = A.shape[1]
    if columns > 1 and (np.abs(N) > 1e-12 * np.abs(N).max()).sum(axis=1).max() == 1 \
            and A.any() and _spread(A.ravel()) < 1e-9:
        return {"all": Hint(f"{d(name)} is summed over too many axes: every number of it is the "
                            f"sum of all of dy", "all entries of the Jacobian are equal")}
    a = A.sum(axis=1)
    one = (np.abs(A) > 1e-12 * np.abs(A).max(initial=1e-300)).sum(axis=1)
    true_one = (np.abs(N) > 1e-12 * np.abs(N).max()).sum(axis=1)
    if (one <= 1).all() and (true_one == 1).all():
        support = np.abs(A).argmax(axis=1)
        true_support = np.abs(N).argmax(axis=1)
        for j in range(len(y)):
            along = np.indices(y)[j].ravel()
            if y[j] == columns and (support == along)[one == 1].all() \
                    and not (true_support == along).all():
                found["axes"] = Hint(f"{d(name)} is summed over the wrong axes: it keeps the "
                                     f"{y_axes(s)[j]} axis of dy", "entry by entry")
        if (support == np.abs(N).argmax(axis=1))[one == 1].all() and (one == 1).all():
            n = N.sum(axis=1)
            for label, v in (("1", np.ones(s.rows)),
                             *((m, s.value(m).ravel()) for m in s.names if s.value(m).size
                               == s.rows), ("y", np.concatenate([v.ravel() for v in s.first.ys]))):
                if same(a, v, 1e-7) and not same(n, v, 1e-7):
                    what = ("is the plain sum of dy: a factor is missing" if label == "1" else
                            f"multiplies dy by {label}, which is not what forward multiplies "
                            f"the parameter with")
                    extra_words = (" (the normalised x̂, not x?)" if label != "1" else
                                   " (x̂ or x?)")
                    found[f"with {label}"] = Hint(f"{d(name)} {what}{extra_words}",
                                                  "entry by entry")
    return found


# ── helpers ──────────────────────────────────────────────────────────────────────────


def _rows_off(A: np.ndarray, N: np.ndarray) -> np.ndarray:
    return np.abs(A - N).max(axis=1) > 1e-7 * np.abs(N).max()


def _constant(R: np.ndarray, axis: int) -> np.ndarray | None:
    """The value of R along each line, if it is the same all along (NaN passed over)."""
    with np.errstate(all="ignore"):
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = np.nanmin(R, axis=axis), np.nanmax(R, axis=axis)
    spread = np.nan_to_num(high - low)
    if (spread > 1e-6 * np.nanmax(np.abs(R))).any():
        return None
    return np.where(np.isnan(high), np.nan, high)


def _spread(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(np.ptp(values) / max(np.abs(values).max(initial=0), 1e-300)) if values.size else 0


def _few(values: np.ndarray, digits: int = 4) -> str:
    shown = ", ".join(f"{v:.{digits}g}" for v in np.ravel(values)[:4])
    return shown + (", …" if np.size(values) > 4 else "")


PATTERNS = (zero, precision, multiple, exchanged, slopes, moved, label_only, projection,
            windows_differ, misrouted, rows, columns,
            shortcut, product_rule, turned, diagonal, summed, ratios, overwritten, extra)
