"""Values — along random directions, is backward's gradient the derivative of forward?

With dy random, L(x) = ⟨dy, forward(x)⟩ is one number whose gradient is what backward(dy)
returns. For a random direction u, the derivative of L along u is measured in two ways that
know nothing of backward, and compared with ⟨gradient, u⟩:

complex step     L(x + ih·u) = L(x) + ih·L'(x)·u − …, so the imaginary part, divided by h, is
                 the derivative. Nothing is subtracted, so h can be 1e-30: no rounding error,
                 no step to choose, no kink crossed. It is exact to about 1e-15, but code that
                 drops imaginary parts (`abs`, `.real`, float buffers) defeats it.

differences      (−L(2h) + 8L(h) − 8L(−h) + L(−2h)) / 12h, with error h⁴. Works for any code.
                 Two step sizes must agree, and both sides of the point, or it does not count:
                 near a kink there is no derivative to measure.

A network has hundreds of arguments. They are moved all at once first, each along a direction of
its own, scaled so that each has an equal part in the sum: a mistake in any one of them shows.
Only if that does not come out right is each argument asked alone, to say which is wrong.

The complex step decides; differences are the second opinion on every argument, and the
fall-back where the complex step does not work. Errors are relative to the larger of both
numbers and to the size such a sum of random signs would have, √Σ(g·u)². Before an error is
called a mistake, backward runs once in float32: rounding grows by 1e9 there, a mistake does not.

Squire & Trapp, "Using Complex Variables to Estimate Derivatives of Real Functions", SIAM
Review 1998.
"""
import warnings
from typing import NamedTuple

import numpy as np

from scratchnet.backend import to_device
from scratchnet.gradcheck.report import Row
from scratchnet.gradcheck.subject import Run, Subject

H = 1e-30                                       # the complex step
STEPS = ((1e-3, 1e-4, 1e-5, 1e-6, 1e-7),        # differences, relative to the argument's size;
         (1e-3, 1e-2, 1e-1))                    # where kinks are far and rounding is near
AGREE = 1e-6                                    # relative tolerance of differences
MANY = 16                                       # arguments: above, all at once first
VANISHES = 1e-12                                # relative: a gradient that does nothing to L


class Measured(NamedTuple):
    """A derivative along one direction; conclusive only if there is one, known to AGREE or to
    within the rounding error of forward."""

    value: float
    conclusive: bool
    noise: float = 0.0


def check_values(subject: Subject, first: Run, probes: int, tolerance: float,
                 rng: np.random.Generator) -> list[Row]:
    """One Row for each differentiated input and each parameter."""
    arguments = [(subject.input_name(i), i, subject.inputs[i], dx)
                 for i, dx in zip(subject.floats, first.dxs, strict=True)]
    arguments += [(name, name, value, first.grads[name])
                  for name, value in subject.values().items()]

    # How large L is if no terms cancel, and if y is of order 1 where it is nearly 0 itself.
    loss_size = float(np.sqrt(sum((np.square(dy) * np.maximum(np.abs(y), 1) ** 2).sum()
                                  for dy, y in zip(subject.dys, first.ys, strict=True))))
    if len(arguments) > MANY and (error := _check_together(
            subject, {key: (value, np.asarray(gradient)) for _, key, value, gradient in arguments},
            probes, tolerance, loss_size, rng)) is not None:
        return [Row(name, value.shape, "correct", error, probes, "complex step, all at once", "")
                for name, _, value, _ in arguments]

    probing = []
    for name, key, value, gradient in arguments:
        directions = [_direction(value.shape, rng) for _ in range(probes)]
        probing.append((name, key, value, np.asarray(gradient), directions))
    # A gradient that is zero but for rounding (a bias before batch norm) must not be held to
    # its own size; the scale of its neighbours says what rounding is.
    floor = 1e-3 * max((_size(g, u) for _, _, _, g, us in probing for u in us), default=0.0)
    return [_check_argument(subject, *probe, floor, loss_size, tolerance) for probe in probing]


def _check_together(subject: Subject, arguments: dict, probes: int, tolerance: float,
                    loss_size: float, rng: np.random.Generator) -> float | None:
    """Move all arguments, {key: (value, gradient)}, at once: the worst error if all is right,
    None if it is not, or not certain."""
    norms = {key: float(np.linalg.norm(gradient)) for key, (_, gradient) in arguments.items()}
    floor = max(1e-3 * max(norms.values()), 1e-300)         # as for one argument
    expected = np.sqrt(len(arguments))                      # the size of n terms of order 1
    worst = 0.0
    for _ in range(probes):
        u = {key: _direction(value.shape, rng) / max(norms[key], floor)
             for key, (value, _) in arguments.items()}
        claimed = sum(_dot(gradient, u[key]) for key, (_, gradient) in arguments.items())
        exact, _ = _complex_steps(subject, {key: value for key, (value, _) in arguments.items()},
                                  [u])
        if exact is None or abs(exact[0] - claimed) > tolerance * expected:
            return None
        worst = max(worst, abs(exact[0] - claimed) / expected)
    # The second opinion, along u: does forward drop imaginary parts?
    values = {key: value for key, (value, _) in arguments.items()}
    size = min(_rms(value) / _rms(u[key]) for key, value in values.items())
    second = _differences(subject, values, u, size, expected, loss_size)
    if second.conclusive and abs(second.value - exact[0]) > max(10 * AGREE * expected,
                                                                10 * second.noise):
        return None
    return worst if any(exact) else None


def _check_argument(subject: Subject, name: str, key: int | str, value: np.ndarray,
                    gradient: np.ndarray, directions: list, floor: float, loss_size: float,
                    tolerance: float) -> Row:
    def row(verdict: str, error: float, method: str, note: str = "") -> Row:
        return Row(name, value.shape, verdict, float(error), len(directions), method, note)

    def least(u: np.ndarray) -> float:
        return max(_size(gradient, u), floor, 1e-300)

    def scale(measured: float, claimed: float, u: np.ndarray) -> float:
        return max(abs(measured), abs(claimed), least(u))

    def error(measured: float, u: np.ndarray) -> float:
        claimed = _dot(gradient, u)
        return abs(measured - claimed) / scale(measured, claimed, u)

    def told(u: np.ndarray, measured: float) -> str:
        return (f"along one direction, backward says {_dot(gradient, u):.9g}, forward "
                f"{measured:.9g}")

    def same(measured: Measured, other: float, u: np.ndarray) -> bool:
        return abs(measured.value - other) <= max(
            10 * AGREE * scale(measured.value, other, u), 10 * measured.noise)

    exact, why_not = _complex_steps(subject, {key: value}, [{key: u} for u in directions])
    if exact is not None:
        errors = [error(m, u) for m, u in zip(exact, directions, strict=True)]
        worst = int(np.argmax(errors))
        verdict, note = "correct", ""
        if errors[worst] > tolerance:
            u = directions[worst]
            verdict, note = "wrong", told(u, exact[worst])
            excuse = _excuse(subject, key, value, gradient, u, exact[worst], errors[worst],
                             loss_size)
            if excuse:
                verdict, note = excuse[0], f"{note}: {excuse[1]}"
        # The second opinion: one direction is enough, unless a kink is near or they disagree.
        # A kink spoils the differences along some directions, a forward that drops imaginary
        # parts spoils the complex step along all.
        disagree = False
        for i, (u, by_complex_step) in enumerate(zip(directions, exact, strict=True)):
            if i == 2 and verdict == "correct" and not disagree and any(exact):
                break                       # many kinks: the complex step alone must do
            second = _differences(subject, {key: value}, {key: u}, _rms(value), least(u), loss_size)
            if second.conclusive and same(second, by_complex_step, u):
                return row(verdict, errors[worst], "complex step, differences", note)
            disagree |= second.conclusive
        if not disagree:
            if verdict == "wrong" or not any(exact):    # 0 too where `.real` drops everything
                verdict = "inconclusive"
                note = (f"{told(directions[worst], exact[worst])} by the complex step, but "
                        f"differences settle on no value there: near a kink?")
            return row(verdict, errors[worst], "complex step", note)
        why_not = "the complex step and differences disagree: does forward drop imaginary parts?"

    measured = [_differences(subject, {key: value}, {key: u}, _rms(value), least(u), loss_size)
                for u in directions]
    errors = [error(m.value, u) for m, u in zip(measured, directions, strict=True)]
    bad = [i for i, (m, u) in enumerate(zip(measured, directions, strict=True))
           if m.conclusive and not same(m, _dot(gradient, u), u)]
    if bad:
        return row("wrong", max(errors[i] for i in bad), "differences",
                   told(directions[bad[0]], measured[bad[0]].value))
    if not all(m.conclusive for m in measured):
        return row("inconclusive", max(errors), "differences",
                   f"differences settle on no value (near a kink?), and {why_not}")
    return row("correct", max(errors), "differences",
               f"not measured by the complex step: {why_not}")


def _excuse(subject: Subject, key: int | str, value: np.ndarray, gradient: np.ndarray,
            u: np.ndarray, exact: float, error: float, loss_size: float) -> tuple[str, str] | None:
    """(verdict, reason) if this error may be rounding in backward, else None.

    y·(1 − y) loses its digits where a sigmoid saturates. Such an error grows with the unit of
    rounding, by 1e9 in float32; a mistake is as large there as here.
    """
    claimed = _dot(gradient, u)
    largest = max(abs(exact), abs(claimed))
    if max(largest, _size(gradient, u)) * _rms(value) < VANISHES * loss_size:
        return "inconclusive", "the gradient vanishes here; do the inputs saturate something?"
    try:
        run = subject.run_in_float32()
    except Exception:                       # hygiene reports it
        return None
    single = run.grads[key] if isinstance(key, str) else run.dxs[subject.floats.index(key)]
    rounding = abs(_dot(np.asarray(single, np.float64), u) - claimed)
    if error <= AGREE and abs(claimed - exact) <= 1e-5 * rounding:
        return "correct", "rounding (it is over 100 000 times larger in float32)"
    if rounding > 0.5 * largest:
        return "inconclusive", "rounding? In float32 not one digit of this gradient is left"
    return None


def _complex_steps(subject: Subject, values: dict, directions: list[dict]
                   ) -> tuple[list[float] | None, str]:
    """The derivative along each direction, {key: u}, from `values`, {key: value}; or None and the
    reason why not. A key is the number of an input or the name of a parameter."""
    inputs = [x.astype(np.complex128) if x.dtype.kind == "f" else x for x in subject.inputs]
    measured = []
    for u in directions:
        moved = {key: value + 1j * H * u[key] for key, value in values.items()}
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                ys = subject.truth.forward([moved.pop(i, x) for i, x in enumerate(inputs)],
                                           subject.truth.fresh_complex(moved))
                derivative = sum(_dot(dy, y.imag) for dy, y in
                                 zip(subject.dys, ys, strict=True)) / H
        except Exception as error:          # whatever foreign code makes of complex numbers
            return None, f"complex numbers raise {type(error).__name__}: {error}"
        if not np.isfinite(derivative):
            return None, "complex numbers give NaN or infinity"
        measured.append(float(derivative))
    return measured, ""


def _differences(subject: Subject, values: dict, u: dict, size: float, least: float,
                 loss_size: float) -> Measured:
    """The derivative along u, {key: u}, by differences of order 4, at the first step (times
    `size`) that is certain to AGREE of its size, or of `least`, or to within the rounding error
    of forward."""
    def loss(t: float) -> float:
        moved = {key: value + t * u[key] for key, value in values.items()}
        inputs = [moved.pop(i, x) for i, x in enumerate(subject.inputs)]
        layer = subject.truth.fresh({name: to_device(value, subject.device)
                                     for name, value in moved.items()})
        return float(sum(_dot(dy, y) for dy, y in
                         zip(subject.dys, subject.forward(inputs, layer), strict=True)))

    best = Measured(0.0, False)
    with np.errstate(all="ignore"):
        here = loss(0.0)
        for ladder in STEPS:
            previous = None
            for h in (step * size for step in ladder):
                two, one, minus_one, minus_two = (loss(t) for t in (2 * h, h, -h, -2 * h))
                value_h = (-two + 8 * one - 8 * minus_one + minus_two) / (12 * h)
                ahead, behind = (one - here) / h, (here - minus_one) / h
                if not np.isfinite(value_h):
                    continue
                if previous is not None:
                    scale = max(abs(value_h), abs(previous), abs(ahead), abs(behind), least)
                    noise = 1e-15 * max(loss_size, abs(one)) / h
                    agree = abs(value_h - previous) <= max(AGREE * scale, noise)
                    one_slope = abs(ahead - behind) <= max(0.05 * scale, noise)
                    precise = noise <= AGREE * scale or scale <= 10 * noise
                    if agree and one_slope and precise:
                        return Measured(previous, True, noise)
                    best = Measured(value_h, False)
                previous = value_h
    return best


def _direction(shape: tuple, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32).astype(np.float64)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return np.dot(np.ravel(a), np.ravel(b))


def _rms(value: np.ndarray) -> float:
    return float(np.sqrt(np.mean(value * value))) or 1.0


def _size(gradient: np.ndarray, u: np.ndarray) -> float:
    """How large Σ g·u would be if its terms had random signs."""
    return float(np.sqrt(_dot(gradient * gradient, u * u)))
