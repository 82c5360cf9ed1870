"""Setting — a case of an exercise with its random numbers: inputs, parameters, running averages.

The student's layer, the reference and a classic mistake are all put into the same state. No
parameter is 0 or 1: with γ = 1 or b = 0, forgetting it would not show.
"""
import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scratchnet.exercises.solution import Solution, SolutionError
from scratchnet.exercises.spec import Case, Exercise
from scratchnet.gradcheck import Configuration
from scratchnet.layer import Layer


@dataclass
class Setting:
    """A case with its random numbers: whatever is made of it is the same each time."""

    exercise: Exercise
    case: Case
    solution: Solution
    seed: int

    def arguments(self) -> tuple:
        """The inputs, freshly drawn: whoever writes into them harms nobody."""
        return tuple(self.case.draw(np.random.default_rng(self.seed)))

    def right(self) -> Layer:
        """The reference."""
        return self.dress(self.exercise.reference[self.case.name])

    def own(self) -> Layer:
        """The student's layer, in the same state. Raises SolutionError if it has other names."""
        right, name = self.right(), self.case.name
        layer = self.solution.make(name, *self.case.args, **copy.deepcopy(self.case.options))
        wanted, came = ({n: p.value.shape for n, p in x.named_parameters()}
                        for x in (right, layer))
        if wanted != came:
            raise SolutionError(f"{name} must have the parameters {_shapes(wanted)}; it has "
                                f"{_shapes(came)}: leave the constructor as it was given")
        if missing := sorted(set(right.state_dict()) - set(layer.state_dict())):
            raise SolutionError(f"{name} must keep {', '.join(missing)}: leave the constructor as "
                                f"it was given")
        if more := sorted(set(layer.state_dict()) - set(right.state_dict())):
            raise SolutionError(f"{name} keeps {', '.join(more)}, which would be saved with the "
                                f"network: begin the name of an array of your own with '_'")
        return self._in_state(layer)

    def dress(self, kind: Callable) -> Layer:
        """A layer of another class in the same state: the reference, or a classic mistake."""
        try:
            layer = self._built(kind)
        except TypeError:                           # a classic without a constructor of its own
            layer = kind()
        return self._in_state(layer)

    def _in_state(self, layer: Layer) -> Layer:
        """Give every parameter and buffer that the reference has a random value; 0 and 1 would
        hide mistakes."""
        right = self._built(self.exercise.reference[self.case.name])
        rng, state = np.random.default_rng([self.seed, 1]), {}
        parameters = {name for name, _ in right.named_parameters()}
        for name, array in right.state_dict().items():
            if array.dtype.kind == "f":
                value = rng.uniform(0.4, 0.9, array.shape)
                if name in parameters:              # a running variance must stay positive
                    value *= rng.choice([-1, 1], array.shape)
                state[name] = value / math.sqrt(max(1, math.prod(array.shape[1:])))
        layer.astype(np.float64).train(self.case.training)
        return layer.load_state_dict(state, strict=False)

    def _built(self, kind: Callable) -> Layer:
        return kind(*self.case.args, **copy.deepcopy(self.case.options))

    def configuration(self) -> Configuration:
        """What gradcheck needs to ask here."""
        return Configuration(self.case.label, self.own(), self.arguments(), self.right())


def _shapes(shapes: dict[str, tuple]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
