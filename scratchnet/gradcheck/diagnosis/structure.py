"""Structure — what is missing has a form: dy itself, a cross term, a projection, a sum."""
import inspect

import numpy as np

from scratchnet.gradcheck.diagnosis.calls import direct_parts
from scratchnet.gradcheck.diagnosis.factors import coefficient
from scratchnet.gradcheck.diagnosis.hint import Hint, constant_along, d, few, spread, y_axes
from scratchnet.gradcheck.diagnosis.setting import Setting, same


def shortcut(s: Setting, name: str) -> dict[str, Hint]:
    """y = x + f(x): is dy itself missing, doubled, or all there is?"""
    A, N, x = s.analytic(name), s.numeric(name), s.value(name)
    if not isinstance(s.key(name), int) or s.y_shape != x.shape or s.rows < 2:
        return {}
    eye, D = np.eye(s.rows), A - N
    if s.match(A, eye) and not (N - np.diag(np.diag(N))).any():
        return {}               # elementwise: the table of slopes says it better
    parts = direct_parts(s.subject.layer) or "+" in _source(s)
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
        if constant_along(ratio, 1) is None and constant_along(ratio, 0) is None:
            return {}
        return {"cross factor": Hint(
            f"{d(name)}: the own (direct) term is right, the cross term is off by a factor that "
            f"differs from number to number: a wrong exponent (power), or a factor left out",
            f"the factors are {few(ratio[live])}", strength="likely")}
    found = {}
    if abs(a - 1) > 1e-6:
        found["own"] = Hint(f"{d(name)}: the own (direct) term, dy times the factor y/x, "
                            f"{coefficient(s, name, a)}", f"coefficient {a:.4g}, expected 1")
    if abs(b - 1) > 1e-6:
        found["cross"] = Hint(f"{d(name)}: the cross term (through the factor that y = x·factor "
                              f"takes from x and its neighbours) {coefficient(s, name, b)}"
                              + (": the factor is taken as a constant" if abs(b) < 1e-6 else ""),
                              f"coefficient {b:.4g}, expected 1")
    return found


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


def summed(s: Setting, name: str) -> dict[str, Hint]:
    """A parameter's gradient that is a sum over dy: over which axes?"""
    A, N = s.analytic(name), s.numeric(name)
    if isinstance(s.key(name), int) or not s.y_shape:
        return {}
    found, y = {}, s.y_shape
    columns = A.shape[1]
    if columns > 1 and (np.abs(N) > 1e-12 * np.abs(N).max()).sum(axis=1).max() == 1 \
            and A.any() and spread(A.ravel()) < 1e-9:
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
