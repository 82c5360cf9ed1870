"""Norms — batch, layer and instance norm, recognised by their Jacobian, whatever they are called.

    y = γ·(x − μ)/σ + β        μ and σ over some axes
    dx = dy·γ/σ − mean(dy·γ)/σ − x̂·mean(dy·γ·x̂)/σ       directly, through μ, through σ

The derivation is in layers/batchnorm.py. Every term can have one of a dozen mistakes; the one that
gives A is the cause.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scratchnet.gradcheck.diagnosis.factors import constants
from scratchnet.gradcheck.diagnosis.hint import Hint, d
from scratchnet.gradcheck.diagnosis.setting import Setting, same


def normalisation_terms(s: Setting, name: str) -> dict[str, np.ndarray]:
    """Batch, layer and instance norm: directly, through the mean, through the variance."""
    norm = normalisation(s, name)
    return jacobians(s, lambda layer, dy: norm.terms(dy)) if norm else {}


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


def jacobians(s: Setting, terms_of: Callable) -> dict[str, np.ndarray]:
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
