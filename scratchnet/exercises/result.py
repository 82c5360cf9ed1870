"""Result — what came of a check: the score of all cases, and the first problem in full.

A student mends one thing at a time, and is told one: of the first class or function that is
not right, the first case that is wrong, forward before backward.
"""
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Exercise
from scratchnet.gradcheck import Cause


@dataclass(frozen=True)
class Result:
    """What came of one check; `print` it.

    verdict     "passed", "failed", "error" (it did not run) or "not started" (it is the template)
    score       0 to 1: the share of the cases that are right; classes and functions count alike.
                Of a hunt: the share of wrong layers exposed times that of right ones accepted
    arguments   what is wrong: "forward", "x", "weight", a function's name, …
    causes      the best first; there may be none
    """

    name: str
    verdict: str
    score: float
    arguments: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    text: str = ""

    @property
    def passed(self) -> bool:
        """True only if everything is right."""
        return self.verdict == "passed"

    def __str__(self) -> str:
        return self.text


@dataclass
class Answer:
    """What came of one case. `results` are kept where one is wrong; `manners`: all numbers are
    right, and what is wrong is something else, an array overwritten or a dtype."""

    case: Case
    verdict: str = "passed"
    stage: str = ""                     # "forward" or "backward"
    text: str = ""
    arguments: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    results: tuple[dict[str, Any], dict[str, Any]] = ({}, {})       # {"y": got}, {"y": right}
    manners: bool = False


def result_of(exercise: Exercise, answers: dict[str, list[Answer]]) -> Result:
    """The score of all cases, and the first problem in full."""
    everything = [answer for group in answers.values() for answer in group]
    score = float(np.mean([np.mean([a.verdict == "passed" for a in group])
                           for group in answers.values()]))
    if score == 1:
        return Result(exercise.name, "passed", 1.0,
                      text=f"{exercise.name}: right in all {len(everything)} cases")
    if all((answer.verdict, answer.stage) == ("not started", "forward") for answer in everything):
        return Result(exercise.name, "not started", 0.0,
                      text=f"{exercise.name}: not started\n{indent(everything[0].text)}")

    lines, headline = [], None
    for name, group in answers.items():
        bad = sorted((a for a in group if a.verdict != "passed"), key=lambda a: a.stage,
                     reverse=True)                          # forward before backward
        if not bad:
            lines.append(f"{name}: right in all {len(group)} cases")
        elif headline is None:
            headline = bad[0]
            lines += _headline(name, group, bad, isinstance(exercise.reference[name], type))
        else:
            lines.append(f"{name}: " + ("not written yet" if bad[0].verdict == "not started"
                                        else f"wrong in {len(bad)} of {len(group)} cases"))
    verdict = "error" if headline.verdict == "error" else "failed"
    arguments = tuple(dict.fromkeys(argument for group in answers.values() for a in group
                                    if a.stage == headline.stage for argument in a.arguments))
    head = f"{exercise.name}: {verdict}, score {score:.0%}"
    if headline.stage == "backward":
        head += " (a case counts if forward and backward are right)"
    return Result(exercise.name, verdict, score, arguments, headline.causes,
                  "\n".join([head, *map(indent, lines)]))


def _headline(name: str, group: list[Answer], bad: list[Answer], layer: bool) -> list[str]:
    """The first problem of one class or function, in full."""
    first, same = bad[0], [a for a in bad if a.stage == bad[0].stage]
    if first.verdict == "not started":
        said = f"{name}: not written" if first.stage == "forward" else (
            f"{name}: forward is right, backward is not written")
    elif first.verdict == "error":
        said = f"{name}: {first.stage + ' ' if layer else ''}does not run"
    elif first.stage == "forward":
        said = f"{name}: {'forward' if layer else 'the result'} " + (
            "has the right numbers, but breaks a rule" if first.manners else "is wrong")
    elif first.manners:
        said = f"{name}: the numbers are right, but a rule is broken"
    elif first.causes and first.causes[0].says.startswith("forward"):
        said = f"{name}: forward gives the right numbers, but the gradients are wrong"
    else:
        said = f"{name}: forward is right, backward is wrong"
    if len(same) < len(group):
        labels = [a.case.label for a in same]
        said += f", only with {', '.join(labels)}" if len(labels) <= 3 else (
            f" in {len(labels)} of {len(group)} cases")
    elif len(group) > 1:
        said += f" in all {len(group)} cases"
    lines = [f"with {first.case.label}:\n{indent(first.text)}"] if first.text else []
    return [said, *map(indent, [*lines, *map(str, first.causes[:1])])]


def indent(text: str) -> str:
    """`text`, two places further in."""
    return "  " + text.replace("\n", "\n  ")
