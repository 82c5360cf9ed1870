"""Checker — is a student's solution right? If not: where, and why.

    result = check(catalogue.load("relu"), LocalSolution("exercises/relu.py"))
    print(result)

The questions, in this order; the first one answered with no is what the student is told:

    does it run?                        the exception, with the student's own line
    is forward (the function) right?    type, shape, dtype, the worst number, and the mistake that
                                        this looks like; float32 stays float32
    is backward right?                  gradcheck, with the reference's derivatives, and its cause;
                                        buffers replaced, the mode not asked again

Each is asked in every case of the exercise, with fresh random inputs and parameters.
"""
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scratchnet import gradcheck
from scratchnet.exercises.difference import changed, difference, pattern
from scratchnet.exercises.hunt import check_hunt
from scratchnet.exercises.result import Answer, Result, indent, result_of
from scratchnet.exercises.setting import Setting
from scratchnet.exercises.solution import NotWritten, Solution, SolutionError, explain
from scratchnet.exercises.spec import Case, Exercise, Hunt
from scratchnet.gradcheck import Cause, Report, hygiene
from scratchnet.layer import Layer

__all__ = ["Result", "check"]

NUMBERED = ("scale", "offset")          # patterns that may have another number in each case


def check(exercise: Exercise | Hunt, solution: Solution,
          rng: int | np.random.Generator | None = None) -> Result:
    """Check the solution of an exercise. `rng` makes it repeatable; None draws fresh inputs.

    Nothing that the student's code raises comes out of here: it is in the result.
    """
    rng = np.random.default_rng(rng)
    try:
        solution.has("")                # whatever the name: does the file run at all?
    except SolutionError as error:
        return Result(exercise.name, "error", 0.0,
                      text=f"{exercise.name}: the file does not run\n{indent(str(error))}")
    if isinstance(exercise, Hunt):
        return check_hunt(exercise, solution, rng)
    answers: dict[str, list[Answer]] = {}
    for name in dict.fromkeys(case.name for case in exercise.cases):
        settings = [Setting(exercise, case, solution, int(rng.integers(2**62)))
                    for case in exercise.cases if case.name == name]
        ask = _ask_layer if isinstance(exercise.reference[name], type) else _ask_function
        answers[name] = ask(exercise, name, settings)
    return result_of(exercise, answers)


# ── functions ────────────────────────────────────────────────────────────────────────


def _ask_function(exercise: Exercise, name: str, settings: list[Setting]) -> list[Answer]:
    answers = []
    for setting in settings:
        arguments, reference = setting.arguments(), exercise.reference[name]
        right = reference(*setting.arguments())
        try:
            got = setting.solution.call(name, *arguments)
        except SolutionError as error:
            answers.append(_broken(setting.case, "forward", error, (name,)))
            continue
        answer = Answer(setting.case)
        if text := difference(got, right, "the result"):
            answer = Answer(setting.case, "failed", "forward", text, (name,),
                            results=({"y": got}, {"y": right}))
        elif (i := changed(arguments, setting.arguments())) is not None:
            argument = [*inspect.signature(reference).parameters][i]
            answer = Answer(setting.case, "failed", "forward", "", (name,), (Cause(
                "argument overwritten", argument, f"{name} wrote into {argument}, an array that "
                f"belongs to the caller: work on a copy", "the result is right", "exact"),),
                manners=True)
        else:
            answer = _in_float32(
                setting, name, lambda call, s=setting: {"y": call(*_single(s.arguments()))},
                partial(setting.solution.call, name), reference)
        answers.append(answer)
    return _with_cause(exercise, name, settings, answers,
                       lambda setting, other: {"y": other(*setting.arguments())})


# ── layers ───────────────────────────────────────────────────────────────────────────


def _ask_layer(exercise: Exercise, name: str, settings: list[Setting]) -> list[Answer]:
    answers = [_ask_forward(setting) for setting in settings]
    good = [s for s, a in zip(settings, answers, strict=True) if a.verdict == "passed"]
    told = len(good) < len(settings)
    for i, setting in enumerate(settings):
        if setting in good:
            # what the student is told about needs a diagnosis; the other cases only count
            answers[i] = _count_backward(setting) if told else _ask_backward(setting, good)
            told |= answers[i].verdict != "passed"
    return _with_cause(exercise, name, settings, answers,
                       lambda setting, other: _outcome(setting.dress(other), setting))


def _ask_forward(setting: Setting) -> Answer:
    """Does it run, and is forward right? Running averages are results, too."""
    try:
        got = _outcome(setting.own(), setting)
    except (Exception, SystemExit) as error:
        return _broken(setting.case, "forward", explain(error), ("forward",))
    right = _outcome(setting.right(), setting)
    for name in right:
        if text := difference(got.get(name), right[name], name):
            if name == "y":
                return Answer(setting.case, "failed", "forward", text, ("forward",),
                              results=({"y": got["y"]}, {"y": right["y"]}))
            return Answer(setting.case, "failed", "forward", f"after forward, {text}", (name,),
                          results=({name: got.get(name) for name in right}, right))
    return _in_float32(setting, "forward", lambda layer: _outcome(
        layer.astype(np.float32), setting, _single), setting.own(), setting.right())


def _in_float32(setting: Setting, name: str, ask: Callable[[Any], dict], own: Any,
                right: Any) -> Answer:
    """Does it give float32 for float32, where the reference does? np.zeros alone does not."""
    try:
        got, should = ask(own), ask(right)
    except (Exception, SystemExit) as error:
        return _broken(setting.case, "forward", explain(error), (name,))
    for what in should:
        for mine, theirs in zip(_arrays(got[what]), _arrays(should[what]), strict=False):
            if theirs.dtype == np.float32 and mine.ndim and mine.dtype != np.float32:
                said = (f"{name} gave {mine.dtype}" if what == "y" else
                        f"forward left {what} in {mine.dtype}")
                return Answer(setting.case, "failed", "forward", "", (name,), (Cause(
                    "dtype", name, f"{said} for float32 inputs: np.zeros and the like need "
                    f"dtype=x.dtype", "asked once more, in float32", "exact"),), manners=True)
    return Answer(setting.case)


def _arrays(result: Any) -> list[np.ndarray]:
    return [np.asarray(r) for r in (result if isinstance(result, tuple | list) else (result,))]


def _finite(result: Any) -> Any:
    """The result with 0 for NaN and infinity: a mistake may bring them about."""
    if isinstance(result, tuple | list):
        return tuple(map(_finite, result))
    floating = isinstance(result, np.ndarray) and result.dtype.kind == "f"
    return np.where(np.isfinite(result), result, result.dtype.type(0)) if floating else result


def _single(arguments: tuple) -> tuple:
    """The same numbers in float32."""
    return tuple(a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
                 for a in arguments)


def _outcome(layer: Layer, setting: Setting, convert: Callable = tuple) -> dict[str, Any]:
    """All that forward computes: y, and the buffers as it leaves them."""
    y = layer.forward(*convert(setting.arguments()))
    parameters = {name for name, _ in layer.named_parameters()}
    return {"y": y} | {name: array for name, array in sorted(layer.state_dict().items())
                       if name not in parameters}


def _ask_backward(setting: Setting, others: list[Setting]) -> Answer:
    """Does backward run, and is it the derivative of the reference's forward?"""
    case = setting.case
    try:
        gradients = _gradients(setting.own(), setting)
        here = setting.configuration()
        report = gradcheck.check(
            here.layer, *here.inputs, reference=here.reference,
            others=[other.configuration() for other in others],
            rng=np.random.default_rng([setting.seed, 2]))
        if report.passed:
            return _ask_rules(setting, gradients)
    except (Exception, SystemExit) as error:
        return _broken(case, "backward", explain(error), ("backward",))
    return Answer(case, "failed", "backward", *_told(report, gradients, setting),
                  causes=tuple(report.causes), manners=bool(report.rows) and all(
                      row.verdict == "correct" for row in report.rows))


def _ask_rules(setting: Setting, gradients: tuple[tuple, dict]) -> Answer:
    """What gradcheck does not ask: are buffers replaced, is the mode that of forward, and does
    evaluation leave the generators alone?"""
    layer = setting.own()
    states = hygiene._random_states(layer)
    written = _written_buffers(setting)
    try:
        switched = _gradients(layer, setting, switch=True)
        same = all(difference(a, b, "") is None for a, b in zip(
            [*switched[0], *switched[1].values()], [*gradients[0], *gradients[1].values()],
            strict=True) if b is not None)
        evidence = "with train() or eval() between forward and backward, the gradients are others"
    except (Exception, SystemExit) as error:
        same, evidence = False, str(explain(error))
    if written:
        cause = Cause("buffer overwritten", written[0], f"forward wrote into {written[0]}: replace "
                      f"it by a new array; whoever has kept the old one sees it change",
                      "the array of before forward holds other numbers now", "exact")
    elif not setting.case.training and states != hygiene._random_states(layer):
        cause = Cause("drew", "forward", "forward draws random numbers in evaluation: there is "
                      "nothing to draw there", "a generator moved on", "exact")
    elif not same:
        cause = Cause("mode asked again", "", "backward asked for the mode again, and it may have "
                      "changed: what counts is forward's, so forward must remember it",
                      evidence, "exact")
    else:
        return Answer(setting.case)
    return Answer(setting.case, "failed", "backward", "", (cause.argument or "backward",), (cause,),
                  manners=True)


def _written_buffers(setting: Setting) -> list[str]:
    """The buffers into which a second forward writes (the first one may have converted them)."""
    layer = setting.own()
    layer.forward(*setting.arguments())
    before = {".".join(filter(None, (place, name))): (array, array.copy())
              for place, part in layer.named_layers() for name, array in part._buffers()}
    layer.forward(*setting.arguments())
    return [name for name, (array, copy) in before.items() if not np.array_equal(array, copy)]


def _count_backward(setting: Setting) -> Answer:
    """As _ask_backward, but quick where a gradient is wrong: it asks for no cause."""
    try:
        (dxs, grads), (right_dxs, right_grads) = (
            _gradients(layer, setting) for layer in (setting.own(), setting.right()))
    except (Exception, SystemExit):
        return _ask_backward(setting, [])
    pairs = [*zip(dxs, right_dxs, strict=False),
             *((grads[name], right) for name, right in right_grads.items())]
    if any(difference(got, right, "") for got, right in pairs if right is not None):
        return Answer(setting.case, "failed", "backward")
    return _ask_backward(setting, [])


def _gradients(layer: Layer, setting: Setting, switch: bool = False) -> tuple[tuple, dict]:
    """What backward returns for a random dy, and the parameters' gradients. `switch`: the mode
    changes between forward and backward."""
    ys = layer.forward(*setting.arguments())
    rng = np.random.default_rng([setting.seed, 3])
    dys = [rng.standard_normal(y.shape) for y in (ys if isinstance(ys, tuple) else (ys,))
           if np.ndim(y)]               # a loss has no dy
    if switch:
        layer.train(not layer.training)
    dx = layer.backward(*dys)
    return (dx if isinstance(dx, tuple) else (dx,),
            {name: p.grad for name, p in layer.named_parameters()})


def _told(report: Report, gradients: tuple[tuple, dict],
          setting: Setting) -> tuple[str, tuple[str, ...]]:
    """What the report found, with the worst element of each wrong gradient; and its arguments."""
    try:
        right_dxs, right_grads = _gradients(setting.right(), setting)
    except NotImplementedError:                     # a reference may have a forward only
        right_dxs, right_grads = gradients
    dxs, grads = gradients
    inputs = [row.name for row in report.rows if row.name not in grads]
    pairs = dict(zip(inputs, zip(dxs, right_dxs, strict=False), strict=False))
    pairs |= {name: (grads[name], right_grads[name]) for name in grads}
    lines, arguments = [], []
    for row in report.rows:
        if row.verdict != "correct":
            arguments.append(row.name)
            what = f"the gradient of {row.name}"
            text = difference(*pairs[row.name], what) if row.name in pairs else None
            lines.append(text or f"{what} is {row.verdict}")
    lines += [finding.message for finding in report.findings
              if finding.verdict not in ("correct", "not applicable")
              and not (arguments and finding.name == "ties")        # they mean nothing, then
              and not any(finding.message in cause.says for cause in report.causes[:1])]
    arguments += [cause.argument for cause in report.causes
                  if cause.argument and not arguments]
    if not arguments and any(c.says.startswith("forward") for c in report.causes[:1]):
        arguments = ["forward"]
    return "\n".join(lines), tuple(arguments) or ("backward",)


# ── the cause of a wrong result ──────────────────────────────────────────────────────


def _broken(case: Case, stage: str, error: SolutionError, arguments: tuple) -> Answer:
    verdict = "not started" if isinstance(error, NotWritten) else "error"
    return Answer(case, verdict, stage, str(error), arguments)


def _with_cause(exercise: Exercise, name: str, settings: list[Setting], answers: list[Answer],
                ask: Callable[[Setting, Any], dict]) -> list[Answer]:
    """Give the wrong results of forward, or of a function, the mistake that explains them all: a
    classic one, or what the numbers look like. `ask` returns what another class or function
    gives in a setting."""
    wrong = [(s, a.results[0]) for s, a in zip(settings, answers, strict=True) if a.results[0]]
    bad = [a for a in answers if a.results[0]]
    if not wrong:
        return answers
    right = [(s, ask(s, exercise.reference[name])) for s, a in zip(settings, answers, strict=True)
             if a.verdict == "passed"]

    def agreeing(mistake: Any, results: list[tuple[Setting, dict]]) -> int:
        return sum(_same(ask, setting, mistake, result) for setting, result in results)

    classics = [classic for classic in exercise.classics if classic.name == name
                and agreeing(classic.wrong, wrong) == len(wrong)]
    classics.sort(key=lambda classic: -agreeing(classic.wrong, right))
    argument, count = bad[0].arguments[0], len(wrong)
    where = {1: "one case", 2: "both cases"}.get(count, f"all {count} cases")
    causes = [Cause("classic", argument, classic.says,
                    f"your results are those of this mistake, in {where}",
                    "exact" if count > 1 else "likely") for classic in classics]
    seen = [pattern(*([*results.values()] for results in answer.results)) for answer in bad]
    for p in seen[0]:
        twins = [next((q for q in patterns if q.code == p.code), None) for patterns in seen]
        if None in twins or p.weak and count == 1:
            continue
        if p.code not in NUMBERED or len({q.says for q in twins}) == 1:
            causes.append(Cause(p.code, argument, p.says, f"the same in {where}",
                                "likely" if count > 1 else "guess"))
        elif not any(q.weak for q in twins):
            others = "; ".join(f"{a.case.label}: {q.says}" for a, q in
                               zip(bad[1:3], twins[1:], strict=False))
            causes.append(Cause(p.code, argument, p.says, f"another number in other cases "
                                f"({others})", "likely"))
    for answer in bad:
        answer.causes = tuple(causes)
    return answers


def _same(ask: Callable, setting: Setting, mistake: Any, result: dict) -> bool:
    """True if the mistake would give this result here."""
    try:
        would = ask(setting, mistake)
        return all(difference(_finite(result[name]), _finite(would[name]), "") is None and all(
            np.array_equal(np.isfinite(a), np.isfinite(b)) for a, b in
            zip(_arrays(result[name]), _arrays(would[name]), strict=True)) for name in result)
    except Exception:                   # a mistake need not run in every case
        return False
