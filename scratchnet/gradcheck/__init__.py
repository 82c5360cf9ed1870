"""gradcheck — is backward() really the derivative of forward()?

    report = gradcheck.check(layer, x)       any object with forward and backward, ours or not
    print(report)                            a table: one verdict for each argument
    gradcheck.assert_correct(layer, x)       for tests: AssertionError with the report

One check asks four kinds of question, each in a file of its own:

    derivative.py   values: along random directions u, is ⟨gradient, u⟩ the derivative of
                    ⟨dy, forward⟩? Measured by the complex step, with differences of order 4
                    as second opinion and as fall-back; dy is random (with dy = 1, batch norm
                    or softmax would pass with a backward of zeros).
    hygiene.py      what values cannot show: arrays overwritten, stale memory, gradients
                    assigned instead of added, a backward that is not linear in dy, …
    ties.py         equal maxima, x exactly at the kink: is the gradient one of the valid ones?
    subject.py      all of it on copies: your layer is as it was when the check is over.

"Inconclusive" is not a pass: the report says so, and `passed` is False.
"""
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratchnet.backend import is_array, to_host
from scratchnet.gradcheck.derivative import check_values
from scratchnet.gradcheck.diagnosis import diagnose
from scratchnet.gradcheck.hygiene import check_hygiene
from scratchnet.gradcheck.report import Cause, Configuration, Finding, Report, Row
from scratchnet.gradcheck.subject import BackwardError, Subject, own_randomness
from scratchnet.gradcheck.ties import check_ties

__all__ = ["Cause", "Configuration", "Finding", "Report", "Row", "assert_correct", "check"]


def check(layer: Any, *inputs: Any, probes: int = 4, tolerance: float = 1e-10,
          rng: int | np.random.Generator = 0, reference: Any = None,
          others: Sequence[Configuration] = ()) -> Report:
    """Check every gradient of `layer` at `inputs`; nothing of yours is changed.

    layer      an object with forward(*inputs) and backward(dy). Parameters are found in a
               scratchnet Layer; elsewhere as attributes with a mate (W and dW, w and grad_w),
               in dicts or lists `params` and `grads`, or as objects with .value or .data and
               .grad; also in parts that have a backward of their own. An array that changes
               the output but has no gradient makes the check inconclusive, unless its name
               begins with "_": a constant. Checked in the mode (train or eval) it is in.
    inputs     arrays, any shape; floating-point ones are differentiated, integer ones
               (labels) are not. The check is made close by, not at them: within a millionth,
               so that no number is exact in float32, and where one repeats or is 0, within
               1 % of the largest, off the ties (which have a probe of their own). Constant
               parameters and buffers (γ = 1, b = 0, μ = 0) are varied: a factor 1 would hide
               that it is missing.
    probes     random directions for each argument (where there are many, for all at once; if
               that fails, for each)
    tolerance  relative, for the complex step; differences are held to 1e-6
    rng        where dy and the directions come from
    reference  a layer whose forward is right, with parameters of the same names: forward is
               compared with it first, and derivatives are taken of it
    others     the same layer in other settings, each with its reference: if the check fails,
               the diagnosis asks there too

    Errors that forward raises for these inputs are passed on; those of backward are findings.
    Raises ValueError for inputs that are not finite arrays.
    """
    start = time.perf_counter()
    for i, x in enumerate(inputs):
        if not is_array(x):
            raise ValueError(f"check: input {i} is a {type(x).__name__}: expected a NumPy or "
                             f"CuPy array")
        if x.dtype.kind == "f" and not np.isfinite(to_host(x)).all():
            raise ValueError(f"check: input {i} holds NaN or infinity; a derivative needs "
                             f"finite numbers")
        if x.dtype.kind == "c":
            raise ValueError(f"check: input {i} is complex; the check makes its own complex "
                             f"numbers: pass a real array")
    if not any(x.dtype.kind == "f" for x in inputs):
        raise ValueError("check: no input is a floating-point array, so there is no gradient to "
                         "check: pass x, for instance rng.standard_normal((2, 3, 7, 9))")
    if isinstance(layer, type) or not all(callable(getattr(layer, m, None))
                                          for m in ("forward", "backward")):
        raise ValueError(f"check: expected an object with forward and backward (not its class); "
                         f"got {layer!r}")
    if not isinstance(probes, int) or probes < 1:
        raise ValueError(f"check: probes must be an integer ≥ 1; got {probes!r}")
    if not 0 < tolerance < 1:
        raise ValueError(f"check: tolerance must lie between 0 and 1; got {tolerance!r}")

    rng = np.random.default_rng(rng)
    with own_randomness():
        subject = Subject(layer, inputs, rng, reference)
        rows, findings = _examine(subject, probes, tolerance, rng)
        causes = _diagnosis(subject, rows, findings, others, rng)
    name = repr(layer) if type(layer).__repr__ is not object.__repr__ else type(layer).__name__
    return Report(name, rows, findings, time.perf_counter() - start, causes)


def assert_correct(layer: Any, *inputs: Any, probes: int = 4, tolerance: float = 1e-10,
                   rng: int | np.random.Generator = 0, reference: Any = None) -> None:
    """Raise AssertionError with the whole report unless check(…) passes."""
    report = check(layer, *inputs, probes=probes, tolerance=tolerance, rng=rng,
                   reference=reference)
    if not report.passed:
        raise AssertionError(f"gradient check failed\n{report}")


def _diagnosis(*what: Any) -> list[Cause]:
    """diagnose(…), whose failure must not cost the report."""
    try:
        return diagnose(*what)
    except Exception:
        if "SCRATCHNET_DEBUG" in os.environ:        # our own tests want to see it
            raise
        return []


def _examine(subject: Subject, probes: int, tolerance: float,
             rng: np.random.Generator) -> tuple[list[Row], list[Finding]]:
    if problem := subject.forward_problem():
        return [], [Finding("forward", "wrong", problem)]
    try:
        first = subject.run(subject.dys)
    except BackwardError as error:
        return [], [Finding("runs", "wrong", str(error))]
    if problems := subject.shape_problems(first):
        return [], problems
    rows = check_values(subject, first, probes, tolerance, rng)
    return rows, [*subject.unexamined(first), *check_hygiene(subject, first, rng),
                  *check_ties(subject, rng)]
