"""Before the values — what the findings of the check say already, as causes."""
import inspect
import re

import numpy as np

from scratchnet.gradcheck.diagnosis.hint import d
from scratchnet.gradcheck.diagnosis.setting import same
from scratchnet.gradcheck.report import Cause, Finding, Row
from scratchnet.gradcheck.subject import BackwardError, Subject

# Findings that explain wrong values too, in the order in which they are believed.
FIRST = ("runs", "forward", "shapes", "finite", "repeatable", "leaves its arrays alone",
         "keeps dtypes", "linear in dy", "new input, new answer", "any batch size", "gradients add",
         "any memory layout", "finds every parameter")
LAST = ("ties", "no stale backward")


def before_values(subject: Subject, wrong: list[Row], findings: list[Finding]) -> list[Cause]:
    """Causes that the findings state; none where the values have to be asked."""
    bad = {f.name: f for f in findings if f.verdict == "wrong"}
    if wrong and "keeps dtypes" in bad and bad["keeps dtypes"].message.startswith("float32 in"):
        del bad["keeps dtypes"]         # true, but not why the values are wrong in float64
    causes = []
    for name in (*FIRST, *([] if wrong else LAST)):
        if name in bad:
            says, evidence = _words(subject, bad[name])
            causes.append(Cause(name, "", says, evidence,   # what ends in a question is no more
                                "likely" if says.endswith("?") else "exact"))
    return causes


def _words(subject: Subject, finding: Finding) -> tuple[str, str]:
    """(says, evidence)."""
    explain = {"shapes": _shape, "linear in dy": _not_linear, "runs": _does_not_run}
    try:
        return explain.get(finding.name, _as_it_says)(subject, finding.message)
    except BackwardError:
        return _as_it_says(subject, finding.message)


def _as_it_says(subject: Subject, message: str) -> tuple[str, str]:
    return message, "seen in a run made for the purpose"


def _does_not_run(subject: Subject, message: str) -> tuple[str, str]:
    if "NotImplementedError" in message:
        return f"backward is not written yet: {message}", "it raised NotImplementedError"
    if "'Parameter'" in message:
        return f"{message}: a Parameter holds its array in .value, as in self.weight.value", \
            "the error speaks of a Parameter"
    if words := _no_comma(subject):
        return words
    sizes = [f"{subject.input_name(i)} {x.shape}" for i, x in enumerate(subject.inputs)]
    sizes += [f"dy {dy.shape}" for dy in subject.dys]
    sizes += [f"{name} {value.shape}" for name, value in subject.values().items()]
    return message, "the shapes are " + ", ".join(sizes)


def _no_comma(subject: Subject) -> tuple[str, str] | None:
    """`x = self.recall(dy)` gives a tuple, where `x, = self.recall(dy)` gives what is in it."""
    try:
        source = inspect.getsource(type(subject.layer).backward)
    except (OSError, TypeError):
        return None
    line = re.search(r"^\s*((\w+) ?= ?\w+\.recall\(.*)$", source, re.MULTILINE)
    if not line or re.search(rf"\b{line[2]}\[|in {line[2]}\b|= {line[2]}$", source, re.MULTILINE):
        return None                         # it is unpacked, later
    name = line[2]
    return (f"self.recall returns a tuple, even of one: write `{name}, = self.recall(dy)`, with a "
            f"comma"), f"the line is `{line[1].strip()}`"


def _shape(subject: Subject, message: str) -> tuple[str, str]:
    """What a wrong shape looks like."""
    if words := _no_comma(subject):
        return words
    found = re.search(r"shape (\(.*?\)); expected (\(.*?\)), like (.+)", message)
    if not found:
        if "NoneType" in message:
            return f"{message}: backward ends without return", "it returned None"
        return message, "seen in one run"
    came, wanted = (tuple(int(n) for n in re.findall(r"\d+", found[i])) for i in (1, 2))
    name, size = found[3], int(np.prod(wanted))
    why = ""
    if 0 in came:
        why = ("it is empty: a slice such as [p:-p] with p = 0 (that is [0:-0]) holds nothing; "
               "cut with [p:p + H]")
    elif len(came) == len(wanted) == 4 and came[:2] == wanted[:2] and (
            came[2] > wanted[2] or came[3] > wanted[3]) and name not in subject.values():
        why = "the padding is not cropped: cut off what forward added"
    elif sorted(came) == sorted(wanted) and len(came) == len(wanted):
        why = "the axes are in another order: transposed"
    elif int(np.prod(came)) == size and len(came) > len(wanted):
        why = "an axis of length 1 too many (summed with keepdims?)"
    elif int(np.prod(came)) == size:
        why = f"the same numbers in another shape: reshape to {name}'s shape"
    elif len(came) < len(wanted):
        why = "summed over an axis too many"
    elif len(came) > len(wanted):
        why = "an axis is not summed over"
    elif name in subject.values() and came != wanted:
        why = "summed over the wrong axes?"
    return message + (f": {why}" if why else ""), "seen in one run"


def _not_linear(subject: Subject, message: str) -> tuple[str, str]:
    """How does backward depend on dy, if not linearly?"""
    def gradients(scale: float) -> list[np.ndarray]:
        run = subject.run([scale * dy for dy in subject.dys])
        return [np.asarray(g, np.float64) for g in (*run.dxs, *run.grads.values())]

    names = [subject.input_name(i) for i in subject.floats] + list(subject.values())
    values = [subject.inputs[i] for i in subject.floats] + list(subject.values().values())
    zero, once, twice, minus = (gradients(scale) for scale in (0.0, 1.0, 2.0, -1.0))
    for name, z, g, gg in zip(names, zero, once, twice, strict=True):
        grad = d(name)
        if z.any():
            if same(g, z) and same(gg, z):
                return f"{grad} ignores dy: it is the same for every dy; multiply by dy", \
                    "with dy = 0 it is what it is for any dy, not 0"
            for other, v in zip(names, values, strict=True):
                if v.shape == z.shape and (c := np.vdot(v, z) / np.vdot(v, v)) \
                        and same(c * v, z, 1e-6):
                    return (f"{grad} contains {c:.4g}·{other}, which does not come from dy: weight "
                            f"decay (or another penalty) that is not part of forward"), \
                        "exactly that is left with dy = 0"
            return (f"{grad} contains a term that does not come from dy: every term of a gradient "
                    f"is multiplied by dy"), "with dy = 0 it is not 0"
    for name, g in zip(names, once, strict=True):
        for dtype in (np.float16, np.float32):
            if np.unique(g).size > 3 and (g == g.astype(dtype)).all():
                grad = d(name)
                return (f"{grad} has only the digits of {dtype.__name__}: a {dtype.__name__} "
                        f"buffer or conversion is in its way"), "every number is one"
    for name, g, gg, m in zip(names, once, twice, minus, strict=True):
        grad = d(name)
        if same(gg, 2 * g) and same(m, -g):
            continue
        if same(gg, 4 * g) and np.abs(g).any():
            return f"{grad} is not linear in dy: dy is used twice (squared)", \
                "twice the dy gives four times the gradient"
        if same(gg, 2 * g):
            return (f"{grad} is not linear in dy: it depends on dy's sign; a mask is made from dy "
                    f"(it must come from x), or |dy| is used"), \
                "twice the dy gives twice the gradient, but −dy does not give −gradient"
        if same(gg, g):
            return f"{grad} depends only on the sign of dy: the size of dy is lost", \
                "twice the dy gives the same gradient"
        if same(gradients(0.002)[names.index(name)], 2 * gradients(0.001)[names.index(name)]):
            return (f"{grad} is not linear in dy: large numbers are clipped (or a threshold is "
                    f"applied)"), "small dy are treated rightly, larger ones are not"
        return (f"{grad} is not linear in dy: is something changed by dy before it is used (a "
                f"parameter already updated), or dy clipped?"), \
            "twice the dy does not give twice the gradient"
    return message, "seen with sums and multiples of two dy"
