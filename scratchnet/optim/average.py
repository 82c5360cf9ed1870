"""MovingAverage — the weights to test with are an average of those of the last steps.

With a constant learning rate the weights circle around a minimum; their average is nearer to it
than any of them. After each step, for every parameter w and its average a (which begins as w):

    a ← d·a + (1−d)·w  =  a + (1−d)·(w − a)                 d = decay, a little below 1

1/(1−d) is about how many steps are averaged: 10,000 for d = 0.9999. A run not much longer than
that would average in the weights it began with; with warm_up=True the decay begins small,

    d = min(decay, (1 + t)/(10 + t))                        t = the number of averagings before

as in TensorFlow's ExponentialMovingAverage with num_updates.

    average = optim.MovingAverage(net, 0.999)
    …
    optimizer.step()
    average.update()
    …
    with average.in_place():
        print(training.evaluate(net, *digits.validation))

Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; used by
GoogLeNet, the Inceptions and EfficientNet (0.9999) for the numbers of their papers.
"""
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.layer import Layer
from scratchnet.optim.optimizer import like, misfits, on_host


class MovingAverage:
    """The moving average of every parameter of `model`; it doubles their memory.

    Buffers (batch norm's running averages) are averages already, and stay the model's own.
    Raises ValueError for what is no network or has no parameters, and a decay not from 0 to 1.
    """

    def __init__(self, model: Layer, decay: float, *, warm_up: bool = False):
        if not isinstance(model, Layer):
            raise ValueError(f"MovingAverage expects a network; got {type(model).__name__}")
        if not 0 <= decay < 1:
            raise ValueError(f"MovingAverage expects 0 ≤ decay < 1; got {decay}")
        self._parameters = dict(model.named_parameters())
        if not self._parameters:
            raise ValueError(f"MovingAverage: {model} has no parameters to average")
        self.decay, self.warm_up, self.updates = decay, warm_up, 0
        self.averages = {name: p.value.copy() for name, p in self._parameters.items()}

    def update(self) -> None:
        """Take the model's present weights into the averages.

        Raises RuntimeError inside `in_place`, where the model's weights are the averages.
        """
        if any(p.value is self.averages[name] for name, p in self._parameters.items()):
            raise RuntimeError("MovingAverage.update: the averages are in place of the weights; "
                               "call it outside `with average.in_place():`")
        t = self.updates
        d = min(self.decay, (1 + t) / (10 + t)) if self.warm_up else self.decay
        for name, p in self._parameters.items():
            a = self.averages[name] = like(self.averages[name], p.value)
            a += (1 - d) * (p.value - a)
        self.updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """`with average.in_place():` the model has the averages for weights; afterwards its own
        again, the very same arrays. (To evaluate or save; what is trained inside is lost.)"""
        own = {name: p.value for name, p in self._parameters.items()}
        try:
            for name, p in self._parameters.items():
                self.averages[name] = p.value = like(self.averages[name], p.value)
            yield
        finally:
            for name, p in self._parameters.items():
                p.value = own[name]

    def state_dict(self) -> dict[str, np.ndarray | int]:
        """Return a copy, on the host, of the averages ("average.conv1.weight", …) and the number
        of "updates"."""
        return {"updates": self.updates} | {
            f"average.{name}": np.array(to_host(a), order="C")
            for name, a in self.averages.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, as state_dict() returned it.

        Everything is checked before anything is changed.
        Raises ValueError that lists what does not fit.
        """
        state = on_host(state)
        updates = state.pop("updates", np.array(None))
        expected = {f"average.{name}": p.value for name, p in self._parameters.items()}
        problems = misfits(expected, state)
        if updates.shape != () or updates.dtype.kind not in "iu" or updates < 0:
            problems.append(f"updates: expected an integer ≥ 0, got {updates}")
        if problems:
            raise ValueError("this state does not fit the averages; nothing was loaded.\n  "
                             + "\n  ".join(problems))
        self.updates = int(updates)
        self.averages = {name: to_device(state[f"average.{name}"].copy(), device_of(p.value))
                         for name, p in self._parameters.items()}
