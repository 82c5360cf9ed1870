"""Optimizer — what all of them share: whose turn it is, at which rate, and what is remembered.

    optimizer.zero_grad()
    network.backward(loss.backward())
    optimizer.step()

A subclass writes `move`, which changes one array of weights in place by its gradient, and names
the arrays that it remembers for each parameter (`memory`): a velocity, an average of squares.

A frozen parameter (p.frozen = True) is passed over: its value and what is remembered for it stay
as they are. Each parameter's steps are therefore counted for itself: one that thaws after an
epoch is at its first step.
"""
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from scratchnet.backend import device_of, in_tiles, is_array, to_device, to_host, xp_of
from scratchnet.layer import Parameter, zero
from scratchnet.optim.group import Group, in_groups


class Optimizer:
    """Base class; `lr` and `weight_decay` may be changed between steps.

    `parameters`: Parameters, or Groups of them with rates of their own (see group.py).
    Raises ValueError for no parameters, something that is no Parameter, or one that comes twice.
    """

    #: What is remembered for each parameter: {name: the number that it begins with}.
    memory: ClassVar[dict[str, float]] = {}

    def __init__(self, parameters: Iterable[Parameter] | Iterable[Group], lr: float,
                 weight_decay: float = 0):
        self.groups = in_groups(type(self).__name__, parameters)
        self.parameters = [p for group in self.groups for p in group.parameters]
        self.lr, self.weight_decay = lr, weight_decay
        self.steps = [0] * len(self.parameters)
        self._memory: list[dict[str, Any]] = [{} for _ in self.parameters]  # begins at step 1

    def step(self) -> None:
        """Move every parameter that is not frozen by one step along its gradient."""
        scales = [group[1:] for group in self.groups for _ in group.parameters]
        for i, (p, (lr_scale, decay_scale)) in enumerate(zip(self.parameters, scales, strict=True)):
            if p.frozen:
                continue
            self._memory[i] = self._remembered(i)
            self.steps[i] += 1
            # float: NumPy's own float64 would make float32 weights compute in float64
            move = partial(self.move, lr=float(self.lr) * lr_scale,
                           decay=float(self.weight_decay) * decay_scale, t=self.steps[i])
            w, g, memory = p.value, p.grad, self._memory[i]
            in_tiles(lambda rows, w=w, g=g, memory=memory, move=move: move(
                w[rows], g[rows], **{name: array[rows] for name, array in memory.items()}), w, 4)

    def move(self, w: Any, g: Any, *, lr: float, decay: float, t: int, **memory: Any) -> None:
        """Change `w` and the arrays of `memory` in place, for the t-th time; never `g`.

        Each number moves by itself: `w` may be some rows of the parameter, with theirs of the rest.
        """
        raise NotImplementedError(f"{type(self).__name__} has no move(w, g, …) yet: write it")

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters:
            zero(p.grad)

    # ── saving ───────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy, on the host, of all that is remembered.

        "steps" has the number of steps of each parameter, (parameters,) int64; "velocity.3", say,
        the velocity of the fourth, of its shape and dtype, if it has taken a step.
        """
        return {"steps": np.array(self.steps, dtype=np.int64)} | {
            f"{name}.{i}": np.array(to_host(array), order="C")
            for i, arrays in enumerate(self._memory) for name, array in arrays.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, as state_dict() returned it for the same parameters in the same
        order. Constants and lr are not in it.

        Everything is checked before anything is changed.
        Raises ValueError that lists what does not fit.
        """
        state = on_host(state)
        steps = state.pop("steps", np.zeros(()))
        if steps.shape != (len(self.parameters),) or steps.dtype.kind not in "iu" or min(steps) < 0:
            raise ValueError(
                f"this state does not fit {type(self).__name__}; nothing was loaded.\n  steps: "
                f"expected {len(self.parameters)} integers ≥ 0, one a parameter; got "
                f"{steps.dtype}, shape {steps.shape}")
        expected = {f"{name}.{i}": self.parameters[i].value for i in np.flatnonzero(steps)
                    for name in self.memory}
        if problems := misfits(expected, state):
            raise ValueError(f"this state does not fit {type(self).__name__}; nothing was "
                             f"loaded.\n  " + "\n  ".join(problems))
        self.steps = steps.tolist()
        self._memory = [
            {name: to_device(state[f"{name}.{i}"].copy(), device_of(p.value))
             for name in (self.memory if n else ())}
            for i, (p, n) in enumerate(zip(self.parameters, self.steps, strict=True))]

    # ── checks, and memory that goes where the network goes ──────────────────────────

    def _expect(self, good: bool, expected: str, **came: Any) -> None:
        """Raise ValueError unless the constants are good."""
        if not good:
            raise ValueError(f"{type(self).__name__} expects {expected}; got " + ", ".join(
                f"{name}={value}" for name, value in came.items()))

    def _remembered(self, i: int) -> dict[str, Any]:
        """The arrays for parameter i, new at its first step, like w in dtype and device."""
        w, arrays = self.parameters[i].value, self._memory[i]
        if not arrays:
            xp = xp_of(w)
            return {name: xp.full(w.shape, start, dtype=w.dtype)
                    for name, start in self.memory.items()}
        return {name: like(array, w) for name, array in arrays.items()}


def like(array: Any, w: Any) -> Any:
    """`array` with the dtype and on the device of `w`: itself, unless the network has moved."""
    return to_device(array.astype(w.dtype, copy=False), device_of(w))


def decayed(g: Any, w: Any, decay: float) -> Any:
    """g + λ·w, the gradient of the loss with ½·λ·Σw² added to it."""
    return g + decay * w if decay else g


def on_host(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A state as NumPy arrays; ValueError if it is no dict."""
    if not isinstance(state, Mapping):
        raise ValueError(f"load_state_dict expects a dict, as state_dict() returns it; got "
                         f"{type(state).__name__}")
    return {name: np.asarray(to_host(value) if is_array(value) else value)
            for name, value in state.items()}


def misfits(expected: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> list[str]:
    """What stands between the arrays expected and those that came, a line each."""
    problems = [f"missing: {name}" for name in expected if name not in state]
    problems += [f"unexpected: {name}" for name in state if name not in expected]
    for name, array in expected.items():
        came = state.get(name, array)
        if (came.shape, came.dtype) != (array.shape, array.dtype):
            problems.append(f"{name}: expected {array.shape} {array.dtype}, got {came.shape} "
                            f"{came.dtype}")
    return problems
