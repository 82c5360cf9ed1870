"""diagnosis — the check has failed: what was the mistake?

The questions are asked in the order in which a teacher would ask them, and the first that is
answered ends it: does backward run? have the gradients the right shapes? is forward right? does
anything break the contract (arrays overwritten, stale memory, a backward that is not linear)? Only
then the values:

    setting.py        the layer on small inputs, with both Jacobians written out entry by entry
    patterns.py       what shows in the two tables: a factor, a flip, a row of zeros, …
    experiments.py    what forward would have to be for this gradient to be right: with w
                      transposed, ε = 0, one term less, …

Every explanation has to hold in each setting in which the layer is wrong: with another batch size,
another image size, and in the settings that the layer's class declares, which change one thing
at a time; those in which it is right are evidence too ("wrong only with stride 2"). An explanation
that reproduces the wrong gradient number by number in two settings or more is "exact", in one it
is "likely"; what only fits is a "guess".
"""
from typing import Any

import numpy as np

from scratchnet.gradcheck.diagnosis.before import before_values
from scratchnet.gradcheck.diagnosis.experiments import EXPERIMENTS
from scratchnet.gradcheck.diagnosis.patterns import PATTERNS, Hint, d
from scratchnet.gradcheck.diagnosis.setting import Setting, small_settings
from scratchnet.gradcheck.report import Cause, Finding, Row
from scratchnet.gradcheck.subject import Subject

ENOUGH = 2              # settings in which an explanation must hold, if there are so many


def diagnose(subject: Subject, rows: list[Row], findings: list[Finding], others: Any,
             rng: np.random.Generator) -> list[Cause]:
    """Causes, the best first; [] for a check that passed or that has nothing to explain."""
    wrong = [row for row in rows if row.verdict == "wrong"]
    causes = before_values(subject, wrong, findings)
    if causes or not wrong:
        return causes
    with np.errstate(all="ignore"):
        settings = small_settings(subject, others, [row.name for row in wrong], rng)
        for row in wrong:
            causes += _causes_of(settings, row)
    order = {"exact": 0, "likely": 1, "guess": 2}
    return sorted(causes, key=lambda cause: order[cause.confidence])


def _causes_of(settings: list[Setting], row: Row) -> list[Cause]:
    name = row.name
    asked = [s for s in settings if name in s.names]
    bad = []
    right, wrong_labels = [], []
    for s in asked:
        if s.wrong(name):
            bad.append(s)
            wrong_labels.append(s.label)
        else:
            right.append(s.label)
    if not bad:
        return [Cause("unknown", name, f"{d(name)} is wrong, though not on smaller inputs like these",
                      row.note, "guess")] if asked else []
    only = _only_with(right, wrong_labels)
    causes, bad = [], bad[:ENOUGH]
    for rank, hypothesis in enumerate((*PATTERNS, *EXPERIMENTS)):
        found = _agreed(hypothesis, bad, name)
        for hint, exact in found:
            confidence = "exact" if exact and len(bad) > 1 else "likely" if hint.exact else "guess"
            evidence = hint.evidence + (f"; {only}" if only else
                                        f"; in {len(bad)} settings" if len(bad) > 1 else "")
            causes.append((confidence != "exact", confidence == "guess", rank, Cause(
                hypothesis.__name__, name, hint.says, evidence, confidence)))
        if causes and not causes[0][0]:
            break
    causes = [cause for *_, cause in sorted(causes, key=lambda c: c[:3])]
    if not any(c.confidence != "guess" for c in causes) and only:
        causes.insert(0, Cause("factor", name, f"{d(name)} is {only}", row.note, "likely"))
    return causes or [Cause("unknown", name, _where(bad[0], name), row.note, "guess")]


def _agreed(hypothesis: Any, bad: list[Setting], name: str) -> list[tuple[Hint, bool]]:
    """The hints whose key every setting gives; exact if each reproduces A."""
    keys: dict[str, list[Hint]] = {}
    for n, s in enumerate(bad):
        found = hypothesis(s, name)
        keys = {key: [*keys.get(key, []), hint] for key, hint in found.items()
                if n == 0 or key in keys}
        if not keys:
            return []
    return [(hints[0], all(h.exact for h in hints)) for hints in keys.values()]


def _only_with(right: list[str], wrong: list[str]) -> str:
    """ "wrong only with stride 2", where what is wrong, or what is right, has a name."""
    named = [w for w in wrong if w]
    if not right:
        return ""
    if len(named) == len(wrong) and len(wrong) <= len(right):
        return f"wrong only with {', '.join(named)}"
    if all(right):
        return f"right with {', '.join(right)}, wrong otherwise"
    return f"wrong with {', '.join(named)}; right with {', '.join(r for r in right if r)}"


def _where(s: Setting, name: str) -> str:
    A, N = s.analytic(name), s.numeric(name)
    share = np.mean(np.abs(A - N) > 1e-7 * np.abs(N).max())
    cosine = np.vdot(A, N) / (np.linalg.norm(A) * np.linalg.norm(N) or 1)
    return (f"{d(name)} is wrong in {share:.0%} of the entries of its Jacobian; as directions, the "
            f"wrong and the true one have a cosine of {cosine:.2f}")
