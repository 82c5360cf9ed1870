"""hunt_stale — a memory that outlives the forward it belongs to."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Hunt
from scratchnet.exercises.templates import hunt_stale as shown
from scratchnet.layer import Layer
from scratchnet.layers import Tanh


class KeepsInput(Layer):
    """Remembers x instead of y, and another formula for the slope."""

    def forward(self, x: Any) -> Any:
        y = np.tanh(x)
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        return dy / np.cosh(x) ** 2


class KeepsSlope(Layer):
    """Computes the slope in forward already."""

    def forward(self, x: Any) -> Any:
        y = np.tanh(x)
        self.remember((1 - y) * (1 + y), y=y)
        return y

    def backward(self, dy: Any) -> Any:
        slope, = self.recall(dy)
        return slope * dy


class Queue(Layer):
    """Backward takes the first entry: right as long as every forward is followed by one."""

    def __init__(self):
        self._ys = []

    def forward(self, x: Any) -> Any:
        self._ys.append(np.tanh(x))
        return self._ys[-1].copy()

    def backward(self, dy: Any) -> Any:
        return dy * (1 - self._ys.pop(0) ** 2)


class FirstOfItsShape(Layer):
    """A new y is remembered only if its shape is new: right on the first call only."""

    def __init__(self):
        self._y = None

    def forward(self, x: Any) -> Any:
        y = np.tanh(x)
        if self._y is None or self._y.shape != y.shape:
            self._y = y
        return y

    def backward(self, dy: Any) -> Any:
        return dy * (1 - self._y ** 2)


class SlopeKept(Layer):
    """The slope is computed in the first backward, and kept for its shape."""

    def __init__(self):
        self._slopes = {}

    def forward(self, x: Any) -> Any:
        self._y = np.tanh(x)
        return self._y.copy()

    def backward(self, dy: Any) -> Any:
        return dy * self._slopes.setdefault(dy.shape, 1 - self._y ** 2)


EXERCISE = Hunt(
    name="hunt_stale",
    title="Bug hunt: a layer that lives in the past",
    right=(Tanh, KeepsInput, KeepsSlope),
    wrong=(shown.Tanh, Queue, FirstOfItsShape, SlopeKept),
    hints=(
        "A layer lives longer than one test. In training, one object sees thousands of batches, "
        "and now and then an evaluation, that is a forward which nobody runs backwards. Write "
        "down the calls that one layer gets in two steps of training with an evaluation between "
        "them. Which forward does each backward belong to? Then read the layer with your list in "
        "hand: what does it hold after each line? The author's test made a new layer each time, "
        "so it never saw a second call. Which second calls are there? Would a test notice if "
        "both calls had the same x? And would it notice if they had different shapes?",

        "Think of a shop that writes each order on a slip and packs by the slip. One shop writes "
        "a new slip only if there is none on the counter; another one puts slips on a spike and "
        "always packs the oldest; a third one packs the first order of the day again for whoever "
        "orders as many things. Each serves its first customer well. If a customer asks for a "
        "price and leaves, the first two shops pack his order for the next customer. If everybody "
        "buys, only the third one is found out. A test customer must come twice, with another "
        "order of the same length, and between two purchases somebody must ask without buying.",

        "Make one layer and keep it. Draw three inputs of one shape, all different, and three "
        "arrays dy. First run forward and backward on the first pair, and assert that y and dx "
        "equal the formulas. Then run forward on the second input and no backward: the "
        "evaluation. Then forward on the third, and backward: assert that dx was computed with "
        "the third input. Then once more a plain forward and backward with new numbers. Compare "
        "with a tolerance of rounding, because a right layer may compute the slope in another "
        "way. Do not call backward twice after one forward: by the contract of this library each "
        "forward can be run backwards once.",
    ),
)
