"""Slopes — elementwise functions: which local derivative was used, and which mask?

If y_k depends on x_k alone, both Jacobians are diagonal, and all there is to see is a curve: the
slope that backward used against the one that is meant, at every x.
"""
from collections.abc import Iterator

import numpy as np

from scratchnet.gradcheck.diagnosis.factors import constants, ratios
from scratchnet.gradcheck.diagnosis.hint import Hint, d, spread
from scratchnet.gradcheck.diagnosis.setting import Setting


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
        if spread(inner) < 1e-7:
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
