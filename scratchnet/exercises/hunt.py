"""Hunt — does a student's test tell wrong layers from right ones?

The layers are asked about in random order, and the result says how many of which kind were
misjudged, not which: to find what the others have is the exercise.
"""
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet.exercises.result import Result, indent
from scratchnet.exercises.solution import NotWritten, Solution, SolutionError, explain
from scratchnet.exercises.spec import Hunt
from scratchnet.gradcheck import Cause


def check_hunt(hunt: Hunt, solution: Solution, rng: np.random.Generator) -> Result:
    """Ask the student's test about right and wrong layers, in random order."""
    refused: dict[str, list[SolutionError]] = {"right": [], "wrong": []}    # what the test said
    accepted: dict[str, list[Callable]] = {"right": [], "wrong": []}
    errors: list[tuple[str, SolutionError]] = []
    layers = [("right", make) for make in hunt.right] + [("wrong", make) for make in hunt.wrong]
    for i in rng.permutation(len(layers)):
        kind, make = layers[i]
        names: set[str] = set()                         # of the classes built: not to be told

        def build(make: Callable = make, names: set[str] = names) -> Any:
            layer = make()
            names.add(type(layer).__name__)
            return layer

        try:
            solution.test(build)
        except AssertionError as error:
            refused[kind].append(_anonymous(explain(error), names))
        except NotWritten as error:
            return Result(hunt.name, "not started", 0.0,
                          text=f"{hunt.name}: not started\n{indent(str(error))}")
        except (Exception, SystemExit) as error:
            errors.append((kind, _anonymous(explain(error), names)))
        else:
            accepted[kind].append(make)

    rights, wrongs = len(hunt.right), len(hunt.wrong)
    score = len(refused["wrong"]) / wrongs * len(accepted["right"]) / rights
    if score == 1:
        return Result(hunt.name, "passed", 1.0, text=f"{hunt.name}: your test accepts "
                      f"{rights} right layers and exposes {wrongs} wrong ones")
    problems = []
    if errors:
        kind, error = errors[0]
        problems.append(Cause("error", "test", f"the test raised something other than "
                              f"AssertionError, or did not run, for a {kind} layer",
                              str(error), "exact"))
    if refused["right"]:
        problems.append(Cause("too strict", "test", f"the test refuses {len(refused['right'])} of "
                              f"{rights} right layers", str(refused["right"][0]), "exact"))
    if accepted["wrong"]:
        shown = hunt.wrong[0] in accepted["wrong"]
        problems.append(Cause(
            "too lax", "test",
            f"the test accepts {len(accepted['wrong'])} of {wrongs} wrong layers",
            "the one in the file among them" if shown else
            "it exposes the one in the file; others have the same mistake elsewhere", "exact"))
    verdict = "error" if errors and len(errors) == len(layers) else "failed"
    lines = [f"{cause.says}\n  {cause.evidence}" for cause in problems]
    return Result(hunt.name, verdict, score, ("test",), tuple(problems),
                  "\n".join([f"{hunt.name}: {verdict}", *map(indent, lines)]))


def _anonymous(error: SolutionError, names: set[str]) -> SolutionError:
    """The error without the names of hidden classes; and what a common one means."""
    said, *code = str(error).split("\n")
    said = said.replace("'Layer' object", "the layer")          # that is how a remote one is called
    for name in names:
        said = re.sub(rf"'{name}' object|\b{name}\b(\([^)]*\))?", "the layer", said)
    if re.search(r"'function' object has no attribute '(forward|backward|training)'", said):
        said += ": make is a function that builds a layer: begin with `layer = make()`"
    return SolutionError("\n".join([said, *code]))
