"""Factors — the gradient is right but for a factor: none at all, 1/N, γ, 1/(1−p), ε, …

The first thing to ask of the two Jacobians: is A = c·N, with one c for all, one for each channel,
sample or position, or one for each number? Each function returns {key: Hint}, the explanations
that fit one argument in one setting; the key is what several settings must agree on.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchnet.gradcheck.diagnosis.hint import (
    Hint,
    axes_of,
    constant_along,
    d,
    few,
    spread,
    y_axes,
)
from scratchnet.gradcheck.diagnosis.setting import Setting, same


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


def coefficient(s: Setting, name: str, c: float) -> str:
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
        ratio = constant_along(R, 1 - axis)
        if ratio is None:
            continue
        ratio = ratio.reshape(shape)
        for j in range(len(shape)):
            along = constant_along(np.moveaxis(ratio, j, 0).reshape(shape[j], -1), 1)
            if along is not None and shape[j] > 1:
                if spread(along) < 1e-7:
                    continue
                if np.nanmax(np.abs(along - 1)) < 0.02:
                    found["nearly 1"] = Hint(
                        f"{d(name)} is off by a factor near 1 for each {axes[j]} of {whose}: a "
                        f"small constant (ε) is left out, or stands at another place than in "
                        f"forward", f"the factors are {few(along, 8)}", strength="likely")
                    continue
                hint = _named_vector(s, name, along, f"{axes[j]} of {whose}")
                found |= hint or {f"per {axes[j]} of {whose}": Hint(
                    f"{d(name)} is off by a factor for each {axes[j]} of {whose}: a factor that "
                    f"belongs to the {axes[j]} is missing or wrong",
                    f"the factors are {few(along)}", strength="guess")}
        if not found and whose == "y" and len(shape) == 4:
            place = constant_along(ratio.reshape(shape[0] * shape[1], -1), 0)
            if place is not None and spread(place) > 1e-7:
                found["position"] = Hint(
                    f"{d(name)} is off by a factor for each output position: the divisor (the "
                    f"number of pixels in the window) is not forward's; does it count the padding, "
                    f"and the incomplete windows at the border, as forward does?",
                    f"the factors are {few(place)}", strength="likely")
        if not found and spread(ratio) > 1e-7:
            found |= _elementwise(s, name, ratio)
    return found


def _named_vector(s: Setting, name: str, factor: np.ndarray, where: str) -> dict[str, Hint]:
    x = s.subject.inputs[s.subject.floats[0]]
    for axes in ((0,), (0, 2, 3), (1,), (1, 2, 3), (2, 3)):
        if max(axes) >= x.ndim:
            continue
        std = x.std(axis=axes).ravel()
        for label, known in (("σ", std), ("1/σ", 1 / std), ("σ²", std ** 2), ("1/σ²", std ** -2)):
            if same(factor, known, 1e-3) and factor.size > 1 and spread(known) > 1e-3:
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
