"""hunt_relu — a layer that writes into arrays which are not its own."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Hunt
from scratchnet.exercises.templates import hunt_relu as shown
from scratchnet.layer import Layer
from scratchnet.layers import ReLU

# ── right: three ways to write it ────────────────────────────────────────────────────


class FromZero(Layer):
    """Slope 1 at x = 0, and a dx built by np.where."""

    def forward(self, x: Any) -> Any:
        self.remember(x >= 0, y=x)
        return np.where(x >= 0, x, 0)

    def backward(self, dy: Any) -> Any:
        positive, = self.recall(dy)
        return np.where(positive, dy, 0)


class OnACopy(Layer):
    """Writes, but only into copies of its own; slope ½ at x = 0."""

    def forward(self, x: Any) -> Any:
        y = x.copy()
        y[x < 0] = 0
        self.remember(x.copy(), y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        dx = dy.copy()
        dx[x < 0] = 0
        dx[x == 0] /= 2
        return dx


# ── wrong: the layer shown, and relatives ────────────────────────────────────────────


class TimesInPlace(ReLU):
    """dy *= mask, in other words."""

    def backward(self, dy: Any) -> Any:
        y, = self.recall(dy)
        return np.multiply(dy, y > 0, out=dy)


class ForwardInPlace(Layer):
    """The same mistake in forward: the caller's x is gone."""

    def forward(self, x: Any) -> Any:
        positive = x > 0
        x[~positive] = 0
        self.remember(positive, y=x)
        return x

    def backward(self, dy: Any) -> Any:
        positive, = self.recall(dy)
        return dy * positive


class IntoOutput(Layer):
    """dx is written into the y that forward had handed out."""

    def forward(self, x: Any) -> Any:
        y = np.maximum(x, 0)
        self.remember(y, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        y, = self.recall(dy)
        y[...] = dy * (y > 0)
        return y


EXERCISE = Hunt(
    name="hunt_relu",
    title="Bug hunt: a ReLU that spoils its neighbours",
    right=(ReLU, FromZero, OnACopy),
    wrong=(shown.ReLU, TimesInPlace, ForwardInPlace, IntoOutput),
    hints=(
        "The numbers that come out are right, so comparing them more exactly will not help. What "
        "else can a call do, besides returning something? Think of y = x + relu(x): there, two "
        "branches share one input, and on the way back both are handed the same gradient array. "
        "Whoever goes second finds it as the first one left it. Which arrays pass through a "
        "layer's hands in a forward and a backward: which is it given, and which has it handed "
        "out to somebody who may still be using it? For each of these arrays, at which moment "
        "would you have to look at it, in order to notice that the layer has touched it?",

        "Suppose a layer returned y = 3x by multiplying its x in place. With x = [1, 2] it "
        "returns [3, 6], as it should. A test that afterwards compares y with 3x fails, and one "
        "that has written down [3, 6] passes; in both cases nobody looked at x. The honest test "
        "puts a copy of x aside before the call, and compares x with the copy after it. The copy "
        "must be a real one: a second name for the same array changes together with it, so the "
        "comparison would always succeed. The same goes for every other array: each is compared "
        "with what it was at the moment when the layer got it, or gave it away.",

        "Draw x and dy at random, with both signs. Put copies of both aside. Run forward, and "
        "compare x with its copy. Compare y with the formula, computed from the copy. Put a copy "
        "of y aside, too: the next layer in a network holds y until its own backward is over. Run "
        "backward. Compare dx with the formula, computed from the copies, and then x, y and dy "
        "with their copies. Use assert for each comparison, so that a difference is an "
        "AssertionError. Do not ask whether dx is a new object or which slope it has at 0: there "
        "are right layers that answer differently, so keep zeros out of your x.",
    ),
)
