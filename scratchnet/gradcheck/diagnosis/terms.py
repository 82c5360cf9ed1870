"""Terms — the true gradient is a sum of terms: which of them has not the coefficient 1?

Batch norm's dx has three terms, LRN's two, the loss's two. With each term's Jacobian at hand, A is
written as a combination of them; a coefficient 0 is a missing term, −1 a sign. The terms come from
the layer's own `terms(…)`, from the loss, or from norms.py.
"""

import numpy as np

from scratchnet.gradcheck.diagnosis.factors import coefficient
from scratchnet.gradcheck.diagnosis.hint import Hint, d
from scratchnet.gradcheck.diagnosis.norms import jacobians, normalisation_terms
from scratchnet.gradcheck.diagnosis.setting import Setting, same


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
                break
    return found


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
    says = "; ".join(f"the {n} term {coefficient(s, name, c)}" for n, c in off.items())
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
    return jacobians(s, lambda layer, dy: layer.terms(*map(np.array, s.subject.inputs), dy))


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
