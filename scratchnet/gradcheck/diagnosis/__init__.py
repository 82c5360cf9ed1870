"""diagnosis — the check has failed: what was the mistake?

The questions are asked in the order in which a teacher would ask them, and the first that is
answered ends it: does backward run? have the gradients the right shapes? is forward right? does
anything break the contract (arrays overwritten, stale memory, a backward that is not linear)? Only
then the values:

    setting.py        the layer on small inputs, with both Jacobians written out entry by entry
    window.py         the same for layers too large to be seen whole
    calls.py          the parts of a block, listened to

and then, hypothesis by hypothesis, what shows in the two tables:

    factors.py        a factor is missing, or too much
    slopes.py         elementwise functions: another slope, another mask
    entries.py        zeros where there should be none, and the other way about
    places.py         the right numbers in the wrong places
    structure.py      what is missing has a form

and what forward would have to be for this gradient to be right:

    experiments.py    with w transposed, ε = 0, x replaced by y, in the other mode
    terms.py          with one term of the sum less, or its sign turned
    norms.py          a normalisation with one mistake
    parts.py          a block with one of its parts frozen, or passed over

Every explanation has to hold in each setting in which the layer is wrong: with another batch size,
another image size, and in the settings that the layer's class declares, which change one thing
at a time; those in which it is right are evidence too ("wrong only with stride 2"). An explanation
that reproduces the wrong gradient number by number in two settings or more is "exact", in one it
is "likely"; what only fits is a "guess".
"""
from dataclasses import replace
from typing import Any

import numpy as np

from scratchnet.gradcheck.derivative import check_values
from scratchnet.gradcheck.diagnosis import (
    entries,
    experiments,
    factors,
    norms,
    parts,
    places,
    structure,
    terms,
)
from scratchnet.gradcheck.diagnosis.before import before_values
from scratchnet.gradcheck.diagnosis.calls import calls_of_parts, direct_parts
from scratchnet.gradcheck.diagnosis.hint import Hint, d
from scratchnet.gradcheck.diagnosis.setting import ONE, Setting, small_settings
from scratchnet.gradcheck.diagnosis.slopes import slopes
from scratchnet.gradcheck.report import Cause, Finding, Row
from scratchnet.gradcheck.subject import Subject

CONFIDENCE = ("exact", "likely", "guess")

# The hypotheses, in the order in which they are asked: the plainest first.
WHOLE = (factors.zero, factors.precision, factors.multiple, places.exchanged)
PATTERNS = (slopes, places.moved, entries.label_only, structure.projection,
            entries.windows_differ, entries.misrouted, entries.rows, entries.columns,
            structure.shortcut, structure.product_rule, structure.turned, structure.diagonal,
            structure.summed, factors.ratios, entries.overwritten, entries.extra)
EXPERIMENTS = (terms.terms, parts.terms_of_parts, norms.normalised_wrongly, parts.skipped,
               parts.left_out, terms.labels, experiments.other_parameter,
               experiments.other_constant, experiments.other_buffer, experiments.other_input,
               experiments.factor)
# Of blocks, the parts are asked for themselves, with all of the above.
OF_BLOCKS = (terms.terms, parts.terms_of_parts, parts.skipped, parts.left_out,
             parts.skipped_on_a_way, experiments.factor)
# What may look different with another number of samples: one setting is enough.
PATTERN_ONLY = (entries.rows, entries.columns, entries.overwritten, entries.misrouted,
                entries.extra, terms.terms, parts.terms_of_parts, terms.labels)

MOST_ARGUMENTS = 4
PLAIN = "the plain setting"
ENOUGH = 2              # settings in which an explanation must hold, if there are so many


def diagnose(subject: Subject, rows: list[Row], findings: list[Finding], others: Any,
             rng: np.random.Generator) -> list[Cause]:
    """Causes, the best first; [] for a check that passed or that has nothing to explain."""
    wrong = [row for row in rows if row.verdict == "wrong"]
    causes = before_values(subject, wrong, findings)
    if causes or not wrong:
        return causes
    with np.errstate(all="ignore"):
        if causes := in_parts(subject, rng):
            return causes
        settings = small_settings(subject, subject.run(subject.dys), others,
                                  [row.name for row in wrong], rng)
        causes = calls(subject)
        here = Setting(subject)
        for row in wrong[:MOST_ARGUMENTS]:      # inputs come first; one mistake spoils many
            causes += _causes_of(settings, row, here)
    return sorted(causes, key=lambda cause: CONFIDENCE.index(cause.confidence))


def in_parts(subject: Subject, rng: np.random.Generator) -> list[Cause]:
    """In a block or a network: the causes in the first part that is wrong by itself."""
    for path, part, inputs, _ in calls_of_parts(subject)[0]:
        try:
            inner = Subject(part, tuple(inputs), rng)
            first = inner.run(inner.dys)
            if inner.shape_problems(first):
                continue
            rows = check_values(inner, first, 2, 1e-10, rng)
        except Exception:           # a part that has no backward of its own, or cannot be copied
            continue
        if any(row.verdict == "wrong" for row in rows):
            causes = diagnose(inner, rows, [], (), rng)
            return [replace(c, says=f"in {path} ({type(part).__name__}), {c.says}",
                            argument=f"{path}.{c.argument}") for c in causes]
    return []


def calls(subject: Subject) -> list[Cause]:
    """In a block: parts whose backward is not called, or in the wrong order."""
    forwards, backwards = calls_of_parts(subject)
    ran = [call.name for call in forwards]
    causes = [Cause("never called", "", f"{name}.backward is never called: {name} is left out on "
                    f"the way back", "seen in a run: its forward is called", "likely")
              for name in ran if backwards and name not in backwards]
    for before in forwards:
        for after in forwards:
            if before.y is not None and len(after.inputs) == 1 and np.array_equal(
                    before.y, after.inputs[0]) and before.name in backwards \
                    and after.name in backwards[backwards.index(before.name) + 1:]:
                return [Cause(
                    "order", "", f"{before.name} runs backwards before {after.name}, in forward's "
                    f"order: what comes last in forward must come first in backward",
                    f"backward was called in the order {', '.join(backwards)}", "exact")]
    return causes


def _causes_of(settings: list[Setting], row: Row, here: Setting) -> list[Cause]:
    name = row.name
    asked = [s for s in settings if name in s.names]
    bad = [s for s in asked if s.wrong(name)]
    if not bad:
        return [Cause("unknown", name, f"{d(name)} is wrong, though not on smaller inputs like "
                      f"these", row.note, "guess")] if asked else []
    only = _only_with(asked, bad, name)
    causes = []
    bad = sorted(bad, key=lambda s: (s.label == ONE, s.declared))[:ENOUGH]
    if len(bad) > 1 and bad[1].label == ONE:
        bad.pop()               # a batch of one hides too much to be a second witness
    order = (*WHOLE, *OF_BLOCKS, *PATTERNS) if direct_parts(bad[0].subject.layer) \
        else (*WHOLE, *PATTERNS, *EXPERIMENTS)
    for rank, hypothesis in enumerate(order):
        for hint, strength in _agreed(hypothesis, bad, name, here):
            evidence = hint.evidence + (f"; {only}" if only else
                                        f"; in {len(bad)} settings" if len(bad) > 1 else "")
            causes.append((CONFIDENCE.index(strength), rank, Cause(
                hypothesis.__name__, name, hint.says, evidence, strength)))
        if any(strength == 0 for strength, *_ in causes):
            break
    causes = [cause for *_, cause in sorted(causes, key=lambda c: c[:2])]
    said: dict[str, Cause] = {}
    for cause in causes:
        said.setdefault(cause.says, cause)
    causes = list(said.values())
    if only and PLAIN not in only and all(c.confidence == "guess" for c in causes):
        causes.insert(0, Cause("factor", name, f"{d(name)} is {only}", row.note, "likely"))
    return causes or [Cause("unknown", name, _where(bad[0], name), row.note, "guess")]


def _agreed(hypothesis: Any, bad: list[Setting], name: str, here: Setting
            ) -> list[tuple[Hint, str]]:
    """The hints of this hypothesis, and how sure they are: those that every setting gives.

    What is seen in a pattern (rows of zeros, a missing term) may look different with another
    number of samples, so one setting is enough, but makes it less sure.
    """
    found = [hypothesis(s, name) for s in bad]
    if hypothesis is factors.multiple and all(found) and len(bad[0].y_shape) == len(here.y_shape):
        found.append(factors.multiple_here(here, name))    # at the user's sizes, too
    keys = dict.fromkeys(key for hints in found for key in hints)
    agreed = []
    for key in keys:
        hints = [hints[key] for hints in found if key in hints]
        if len(hints) < len(found) and hypothesis not in PATTERN_ONLY:
            continue
        weakest = max(hints, key=lambda hint: CONFIDENCE.index(hint.strength)).strength
        agreed.append((hints[0], "likely" if weakest == "exact" and len(hints) == 1 else weakest))
    return agreed


def _only_with(asked: list[Setting], bad: list[Setting], name: str) -> str:
    """ "wrong only with stride 2", where what is wrong, or what is right, has a name."""
    labels = {s.label: s in bad for s in asked
              if s.declared and not s.label.startswith("everything")}
    wrong, right = ([label for label, w in labels.items() if w is which]
                    for which in (True, False))
    if wrong and right:
        return (f"wrong only with {', '.join(wrong)}" if len(wrong) <= len(right) else
                f"right only with {', '.join(right)}")
    alone = [s for s in asked if s.label == ONE and s not in bad and np.any(s.gradient(name))]
    return "right with a batch of one, wrong with more" if alone and not right else ""


def _where(s: Setting, name: str) -> str:
    A, N = s.analytic(name), s.numeric(name)
    share = np.mean(np.abs(A - N) > 1e-7 * np.abs(N).max())
    cosine = np.vdot(A, N) / (np.linalg.norm(A) * np.linalg.norm(N) or 1)
    return (f"{d(name)} is wrong in {share:.0%} of the entries of its Jacobian; as directions, the "
            f"wrong and the true one have a cosine of {cosine:.2f}")
