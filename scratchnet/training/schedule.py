"""Schedules — how the learning rate changes in the course of training.

The rate of a step is the optimizer's lr, at the beginning, times factor(step, steps_per_epoch),
where `step` counts the updates done before it; t is the same in epochs. T stands for `epochs`:

    Constant                    1
    Steps(at, factor)           1/factorᵏ, k = how many of `at` are reached
    Exponential(factor, every)  factorᵏ, k = ⌊t/every⌋
    Polynomial(T, power, end)   end + (1 − end) · (1 − t/T)^power       and `end` after T
    Cosine(T, end)              end + (1 − end) · ½(1 + cos(π·t/T))     and `end` after T
    Plateau(patience, factor)   1/factorᵏ, k = how often the validation error stopped improving
    WarmUp(then, steps)         at first less, and then as `then`

They come from, in this order: He et al., 2016 (ResNet: divided by 10 at 32,000 and 48,000 steps);
Szegedy et al., 2015 (Inception-v3: 0.94 every two epochs); the GoogLeNet of Caffe (power ½);
Loshchilov & Hutter, "SGDR", 2017; AlexNet; and, for warming up, He et al., 2016 (a tenth of the
rate until ResNet-110 begins to learn, about 400 steps) and Goyal et al., "Accurate, Large
Minibatch SGD", 2017 (growing linearly for five epochs).

Plateau: "The heuristic which we followed was to divide the learning rate by 10 when the validation
error rate stopped improving with the current learning rate." (Krizhevsky, Sutskever & Hinton,
NIPS 2012, section 5; they did it three times and by eye.) By eye becomes: `patience` epochs
in a row without a new lowest error.
"""
import math
from collections.abc import Mapping, Sequence

INFINITY = float("inf")


class Schedule:
    """Base class of the schedules; one that has no state of its own only writes `factor`."""

    def factor(self, step: int, steps_per_epoch: int) -> float:
        """Return what to multiply the base learning rate by after `step` updates."""
        raise NotImplementedError(f"{type(self).__name__} has no factor(…) yet: write it")

    def see(self, validation_error: float) -> bool:
        """Look at the error after an epoch; True when training is done."""
        return False

    def state_dict(self) -> dict[str, float]:
        """Return what the schedule has seen, as plain numbers."""
        return {}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue from `state`; raise ValueError, and change nothing, if it is another
        schedule's."""
        if not isinstance(state, Mapping) or state.keys() != self.state_dict().keys():
            came = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"{self} expects a state with {list(self.state_dict())}; got {came}: "
                             f"is it another schedule's?")


class Constant(Schedule):
    """The base learning rate, all the time."""

    def factor(self, step: int, steps_per_epoch: int) -> float:
        return 1.0

    def __repr__(self) -> str:
        return "Constant()"


class Steps(Schedule):
    """Divide by `factor` at each of the epochs (or steps) `at`.

    Raises ValueError for an unknown unit, and for `at` that is empty or does not grow.
    """

    def __init__(self, at: Sequence[float], factor: float = 10, unit: str = "epochs"):
        at = list(at) if isinstance(at, Sequence) else [at]
        if not at or not all(a < b for a, b in zip([0, *at], [*at, INFINITY], strict=True)):
            raise ValueError(f"Steps expects at = epochs or steps above 0, each after the one "
                             f"before; got {at}")
        if not 1 < factor < INFINITY or unit not in ("epochs", "steps"):
            raise ValueError(f"Steps expects factor > 1 and unit 'epochs' or 'steps'; got "
                             f"factor={factor}, unit={unit!r}")
        self.at, self.divisor, self.unit = at, factor, unit

    def factor(self, step: int, steps_per_epoch: int) -> float:
        length = steps_per_epoch if self.unit == "epochs" else 1
        return 1 / self.divisor ** sum(step >= a * length for a in self.at)

    def __repr__(self) -> str:
        unit = "" if self.unit == "epochs" else f", unit={self.unit!r}"
        return f"Steps({self.at}, factor={self.divisor}{unit})"


class Exponential(Schedule):
    """Multiply by `factor` every so many epochs, at once ("staircase")."""

    def __init__(self, factor: float = 0.94, every: float = 2):
        if not (0 < factor < 1 and 0 < every < INFINITY):
            raise ValueError(f"Exponential expects 0 < factor < 1 and every > 0 epochs; got "
                             f"factor={factor}, every={every}")
        self.multiplier, self.every = factor, every

    def factor(self, step: int, steps_per_epoch: int) -> float:
        return self.multiplier ** (step // max(1, round(self.every * steps_per_epoch)))

    def __repr__(self) -> str:
        return f"Exponential(factor={self.multiplier}, every={self.every})"


class Polynomial(Schedule):
    """Fall from 1 to `end` in so many epochs, step by step: (1 − t/T)^power."""

    def __init__(self, epochs: float, power: float = 0.5, end: float = 0):
        _check_fall("Polynomial", epochs, end)
        if not 0 < power < INFINITY:
            raise ValueError(f"Polynomial expects power > 0; got power={power}")
        self.epochs, self.power, self.end = epochs, power, end

    def factor(self, step: int, steps_per_epoch: int) -> float:
        left = 1 - min(1.0, step / (self.epochs * steps_per_epoch))
        return self.end + (1 - self.end) * left ** self.power

    def __repr__(self) -> str:
        return f"Polynomial({self.epochs}, power={self.power}, end={self.end})"


class Cosine(Schedule):
    """Fall from 1 to `end` in so many epochs, step by step, along half a wave."""

    def __init__(self, epochs: float, end: float = 0):
        _check_fall("Cosine", epochs, end)
        self.epochs, self.end = epochs, end

    def factor(self, step: int, steps_per_epoch: int) -> float:
        passed = min(1.0, step / (self.epochs * steps_per_epoch))
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * passed)) / 2

    def __repr__(self) -> str:
        return f"Cosine({self.epochs}, end={self.end})"


class Plateau(Schedule):
    """Divide by `factor` after `patience` epochs without improvement, `drops` times.

    Training is done when it is time for one drop more.
    """

    def __init__(self, patience: int = 5, factor: float = 10, drops: int = 3):
        if patience < 1 or not 1 < factor < INFINITY or drops < 0:
            raise ValueError(f"Plateau expects patience ≥ 1, factor > 1 and drops ≥ 0; got "
                             f"patience={patience}, factor={factor}, drops={drops}")
        self.patience, self.divisor, self.drops = patience, factor, drops
        self.best, self.waited, self.dropped = INFINITY, 0, 0

    def factor(self, step: int, steps_per_epoch: int) -> float:
        return 1 / self.divisor ** self.dropped

    def see(self, validation_error: float) -> bool:
        """Look at one epoch's error, drop if it is time; True after the last drop's patience."""
        if validation_error < self.best:
            self.best, self.waited = float(validation_error), 0
            return False
        self.waited += 1
        if self.waited < self.patience:
            return False
        if self.dropped == self.drops:
            return True
        self.dropped, self.waited = self.dropped + 1, 0
        return False

    def state_dict(self) -> dict[str, float]:
        """Return the lowest error so far, the epochs since it, and the drops made."""
        return {"best": self.best, "waited": self.waited, "dropped": self.dropped}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        super().load_state_dict(state)
        best, waited, dropped = (float(state[name]) for name in ("best", "waited", "dropped"))
        if waited < 0 or waited % 1 or dropped % 1 or not 0 <= dropped <= self.drops:
            raise ValueError(f"{self} expects a state with waited ≥ 0 and 0 ≤ dropped ≤ "
                             f"{self.drops}, integers; got waited={waited:g}, dropped={dropped:g}")
        self.best, self.waited, self.dropped = best, int(waited), int(dropped)

    def __repr__(self) -> str:
        return f"Plateau(patience={self.patience}, factor={self.divisor}, drops={self.drops})"


class WarmUp(Schedule):
    """At first `start` times the rate, growing linearly or constant, for so many steps (or epochs);
    and after that as the schedule `then`.

    `then` counts from the beginning, not from the end of the warm-up; while that lasts the two
    factors are multiplied.
    Raises ValueError unless one of steps and epochs is given.
    """

    def __init__(self, then: Schedule, steps: int | None = None, epochs: float | None = None,
                 start: float = 0.1, kind: str = "linear"):
        if not isinstance(then, Schedule):
            raise ValueError(f"WarmUp expects the schedule to follow, such as Constant(); got "
                             f"{type(then).__name__}")
        if (steps is None) == (epochs is None):
            raise ValueError(f"WarmUp expects either steps or epochs; got steps={steps}, "
                             f"epochs={epochs}")
        if not 0 < (epochs if steps is None else steps) < INFINITY:
            raise ValueError(f"WarmUp expects its steps or epochs to be above 0; got "
                             f"steps={steps}, epochs={epochs}")
        if not 0 <= start <= 1 or kind not in ("linear", "constant"):
            raise ValueError(f"WarmUp expects 0 ≤ start ≤ 1 and kind 'linear' or 'constant'; got "
                             f"start={start}, kind={kind!r}")
        self.then, self.steps, self.epochs = then, steps, epochs
        self.start, self.kind = start, kind

    def factor(self, step: int, steps_per_epoch: int) -> float:
        length = self.steps if self.epochs is None else self.epochs * steps_per_epoch
        after = self.then.factor(step, steps_per_epoch)
        if step >= length:
            return after
        grown = step / length if self.kind == "linear" else 0.0
        return after * (self.start + (1 - self.start) * grown)

    def see(self, validation_error: float) -> bool:
        return self.then.see(validation_error)

    def state_dict(self) -> dict[str, float]:
        return self.then.state_dict()

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.then.load_state_dict(state)

    def __repr__(self) -> str:
        length = f"steps={self.steps}" if self.epochs is None else f"epochs={self.epochs}"
        return f"WarmUp({self.then}, {length}, start={self.start}, kind={self.kind!r})"


def _check_fall(name: str, epochs: float, end: float) -> None:
    if not (0 < epochs < INFINITY and 0 <= end < 1):
        raise ValueError(f"{name} expects epochs > 0 and 0 ≤ end < 1; got epochs={epochs}, "
                         f"end={end}")
