"""Setting — both Jacobians of a layer, entry by entry: backward's, and the true one.

Where the check asks along a few random directions, the diagnosis wants to see everything:
A[k, i] is how strongly backward says that output k depends on number i of an argument, N[k, i]
how strongly it does. Row k of A is backward(dy) for a dy that is 1 at k and 0 elsewhere; column i
of N is forward's complex step along i (or differences, where forward drops imaginary parts). That
takes as many calls as there are numbers, so the inputs are cut down first: a mistake in a layer
shows on seven pixels as on seven hundred.
"""
import warnings
from functools import cached_property
from typing import Any

import numpy as np

from scratchnet.backend import to_device
from scratchnet.gradcheck.derivative import H
from scratchnet.gradcheck.diagnosis.window import Window
from scratchnet.gradcheck.subject import BackwardError, Run, Subject

EXACT = 1e-8            # relative: the same numbers, but for rounding
ONE = "a batch of one"
MOST_ROWS, MOST_COLUMNS = 1500, 3000
SIZES = ((3, 4), (3, 7), (3, 9), (4, 12), (4, 16))      # batch and side, until the layer runs


class Setting:
    """One layer at one input, with A and N for each of its arguments, as they are asked for."""

    def __init__(self, subject: Subject, label: str = "", declared: bool = False):
        self.subject, self.label, self.declared = subject, label, declared
        self.first = subject.run(subject.dys)
        self.y_shape = self.first.ys[0].shape if len(self.first.ys) == 1 else (
            sum(y.size for y in self.first.ys),)
        if problems := subject.shape_problems(self.first):
            raise BackwardError(str(problems[0]))
        if not self.rows:
            raise ValueError("forward returned nothing")
        self._columns: dict[Any, np.ndarray] = {}
        self.tolerance = EXACT

    @cached_property
    def rows(self) -> int:
        return sum(y.size for y in self.first.ys)

    @cached_property
    def names(self) -> list[str]:
        """Every argument that has a gradient: inputs first, then parameters."""
        return [self.subject.input_name(i) for i in self.subject.floats] + list(self.first.grads)

    def key(self, name: str) -> int | str:
        for i in self.subject.floats:
            if self.subject.input_name(i) == name:
                return i
        return name

    def value(self, name: str) -> np.ndarray:
        key = self.key(name)
        return self.subject.inputs[key] if isinstance(key, int) else self.subject.values()[key]

    def fits(self) -> bool:
        """Small enough to be seen whole?"""
        return self.rows <= MOST_ROWS

    @cached_property
    def _analytic(self) -> dict[str, np.ndarray]:
        """A for each argument: how backward(dy) changes if 1 is added to one number of dy.

        (Around a dy without zeros: code that overwrites does so with zeros, too.)
        """
        def gradients(dys: list) -> list[np.ndarray]:
            run = self.subject.run(dys)
            return [np.asarray(g, np.float64).ravel() for g in (*run.dxs, *run.grads.values())]

        rows, here = [], gradients(self.subject.dys)
        for n, y in enumerate(self.first.ys):
            for k in range(y.size):
                dys = [dy.copy() for dy in self.subject.dys]
                dys[n].reshape(-1)[k] += 1
                rows.append([g - h for g, h in zip(gradients(dys), here, strict=True)]
                            if self.subject.takes_dy else here)
        found = {}
        for name, column, g in zip(self.names, zip(*rows, strict=True), here, strict=True):
            A = np.array(column)
            A[np.abs(A) < 1e-12 * np.abs(g).max(initial=0)] = 0         # rounding
            found[name] = A
        return found

    def analytic(self, name: str) -> np.ndarray:
        """A: (numbers of y, numbers of the argument)."""
        return self._analytic[name]

    def numeric(self, name: str) -> np.ndarray:
        """N, of the same shape: the truth."""
        if name not in self._columns:
            self._columns[name] = self.jacobian(name)
        return self._columns[name]

    def jacobian(self, name: str, replace: dict | None = None, layer: Any = None) -> np.ndarray:
        """The Jacobian of forward with respect to an argument, column by column.

        `replace` gives inputs (by number) and parameters (by name) other values, `layer` is
        another layer to ask.
        """
        value = self.value(name)
        N, u = np.empty((self.rows, value.size)), np.zeros(value.shape)
        for i in range(value.size):
            u.reshape(-1)[i] = 1
            N[:, i] = self.along(name, u, replace, layer)
            u.reshape(-1)[i] = 0
        return N

    def along(self, name: str, u: np.ndarray, replace: dict | None = None,
              layer: Any = None) -> np.ndarray:
        """The Jacobian times the direction u of the argument: one complex step, or differences
        where forward drops imaginary parts."""
        if self.complex_step:
            return self._forward(name, 1j * H * u, replace, layer).imag / H
        h = 1e-5 * (float(np.sqrt(np.mean(self.value(name) ** 2))) or 1) / (
            np.abs(u).max(initial=0) or 1)
        two, one, minus, minus_two = (self._forward(name, t * h * u, replace, layer)
                                      for t in (2, 1, -1, -2))
        return (-two + 8 * one - 8 * minus + minus_two) / (12 * h)

    @cached_property
    def complex_step(self) -> bool:
        """Does forward hand on imaginary parts? (x.var() and float buffers do not.)"""
        rng = np.random.default_rng(0)
        for name in self.names:
            u = rng.standard_normal(self.value(name).shape)
            self.__dict__["complex_step"] = False
            by_differences = self.along(name, u)
            self.__dict__["complex_step"] = True
            try:
                exact = self.along(name, u)
            except Exception:
                exact = np.full_like(by_differences, np.nan)
            if not same(exact, by_differences, 1e-4):
                self.tolerance = 1e-6
                return False
        return True

    def _forward(self, name: str, step: np.ndarray, replace: dict | None, layer: Any
                 ) -> np.ndarray:
        """All outputs, one after the other, for the argument moved by `step`."""
        truth, key, replace = self.subject.truth, self.key(name), dict(replace or {})
        dtype = np.complex128 if np.iscomplexobj(step) else np.float64
        moved = np.asarray(replace.get(key, self.value(name)), np.float64) + step
        inputs = [np.asarray(replace.pop(i, x)) for i, x in enumerate(self.subject.inputs)]
        inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
        replace = {n: np.asarray(v, dtype) for n, v in replace.items()}
        if isinstance(key, int):
            inputs[key] = moved
        else:
            replace[key] = moved
        kept = truth.layer, truth._complex
        if layer is not None:
            truth.layer, truth._complex = layer, None
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                ys = truth.forward(inputs, truth.fresh_complex(replace)
                                   if dtype == np.complex128 else truth.fresh(
                                       {n: to_device(v, truth.device)
                                        for n, v in replace.items()}))
        finally:
            truth.layer, truth._complex = kept
        return np.concatenate([np.ravel(y) for y in ys])

    def wrong(self, name: str) -> bool:
        """Is this argument's gradient wrong here? Asked along three directions, not of all."""
        g = np.asarray(self.gradient(name))
        rng, dy = np.random.default_rng(0), np.concatenate([np.ravel(v) for v in self.subject.dys])
        for _ in range(3):
            u = rng.standard_normal(g.shape)
            true = dy @ self.along(name, u)
            if abs(true - np.vdot(g, u)) > 0.01 * self.tolerance * max(
                    abs(true), np.sqrt(np.vdot(g * g, u * u))) * (1 if self.complex_step else 100):
                return True
        return False

    def gradient(self, name: str) -> np.ndarray:
        """What backward returned for the random dy."""
        key = self.key(name)
        return (self.first.dxs[self.subject.floats.index(key)] if isinstance(key, int)
                else self.first.grads[name])

    def match(self, some: np.ndarray, others: np.ndarray) -> bool:
        """Equal but for the error of the measurement."""
        return same(some, others, self.tolerance)


def same(some: np.ndarray, others: np.ndarray, tolerance: float = EXACT) -> bool:
    """Equal but for rounding, relative to the largest number of either."""
    if some.shape != others.shape:
        return False
    size = max(np.abs(some).max(initial=0), np.abs(others).max(initial=0))
    if not np.isfinite(size):
        return False
    return bool(np.abs(some - others).max(initial=0) <= tolerance * size)


def small_settings(subject: Subject, first: Run, others: Any, wrong: list[str],
                   rng: np.random.Generator) -> list[Setting]:
    """The layer's own inputs cut down, the same with other sizes, and `others`."""
    settings = []
    zero = {name for name, g in zip(
        [subject.input_name(i) for i in subject.floats] + list(first.grads),
        (*first.dxs, *first.grads.values()), strict=True) if not np.any(g)}
    for inputs in _cut_down(subject):
        setting = _setting(subject.original, inputs, rng, "", subject.original_reference)
        # Cut too far, what was wrong may be right, or nothing may be left of it.
        if setting and all(setting.wrong(name) and np.any(setting.gradient(name)) == (
                name not in zero) for name in wrong if name in setting.names):
            settings = [setting]
            if len(setting.y_shape) < 4 or min(setting.y_shape[2:]) > 2:
                break               # else the last row is nearly all of it: try a larger one
    if not settings:
        settings = _through_windows(subject, rng)
    else:
        inputs = settings[0].subject.inputs
        for label, other in _other_sizes(inputs):
            setting = _setting(subject.original, other, rng, label, subject.original_reference)
            if setting:
                settings.append(setting)
    declared = [(c.label, c.layer, c.inputs, c.reference) for c in others] or [
        (label, layer, inputs, None) for label, layer, inputs in declared_settings(
            subject.original, rng)]
    for label, layer, inputs, reference in declared:
        if setting := _setting(layer, inputs, rng, label, reference, declared=True):
            settings.append(setting)
    return settings


def _through_windows(subject: Subject, rng: np.random.Generator) -> list[Setting]:
    """Two settings of a layer too large to be seen whole."""
    settings: list[Setting] = []
    for inputs in _cut_down(subject):
        try:
            window = Window(Subject(subject.original, tuple(inputs), rng,
                                    subject.original_reference))
            settings.append(Setting(Subject(window, window.inputs(), rng)))
        except Exception:                   # cut too far; several outputs; labels that do not fit
            continue
        if len(settings) == 2:
            break
    return settings


def declared_settings(layer: Any, rng: np.random.Generator) -> list:
    """(label, layer, inputs) for each of the settings that the layer's class declares."""
    found = []
    for label, (args, options, *shapes) in (getattr(type(layer), "settings", None) or {}).items():
        try:
            other = type(layer)(*args, **options)
            for parameter in other.parameters():
                parameter.value = rng.standard_normal(parameter.value.shape)
                parameter.grad = np.zeros(parameter.value.shape)
            other.train(layer.training)
        except Exception:               # a subclass with a constructor of its own
            continue
        found.append((label, other, tuple(rng.standard_normal(shape) for shape in shapes)))
    return found


def _setting(layer: Any, inputs: Any, rng: np.random.Generator, label: str,
             reference: Any, declared: bool = False) -> Setting | None:
    """None where the layer does not run there, or is too large to be seen whole."""
    try:
        with np.errstate(all="ignore"):
            setting = Setting(Subject(layer, tuple(inputs), rng, reference), label, declared)
    except Exception:
        return None
    small = all(setting.value(name).size <= MOST_COLUMNS for name in setting.names)
    return setting if setting.fits() and small else None


def _cut_down(subject: Subject) -> list:
    """The layer's inputs cut down to each of SIZES, the smallest first; its own at the end."""
    cuts = []
    for batch, side in SIZES:
        cut = []
        for x in subject.inputs:
            x = x[:batch] if x.ndim else x
            cut.append(x[..., :side, :side + 1] if x.ndim == 4 else x)
        cuts.append([c.copy() for c in cut])
    return [*cuts, subject.inputs]


def _other_sizes(inputs: list) -> list:
    """(label, inputs): another batch size with another height and width; and a batch of one."""
    floats = [x for x in inputs if x.dtype.kind == "f"]
    cases, larger = [], [x.copy() for x in inputs]
    if all(x.ndim == 4 and min(x.shape[2:]) > 1 for x in floats):
        larger = [x[:, :, :-1, :-1] if x.ndim == 4 else x for x in inputs]
    batches = {len(x) if x.ndim else 0 for x in inputs}
    if len(batches) == 1 and min(batches) > 0 and inputs[0].ndim > 1:
        n = min(batches)
        larger = [np.concatenate([x, 1.3 * x if x.dtype.kind == "f" else x])[:n + 1]
                  for x in larger]
        cases.append(("a larger batch of smaller images" if len(floats[0].shape) == 4 else
                      "a larger batch", larger))
        if n > 1:
            cases.append((ONE, [x[:1] for x in inputs]))
    return cases








