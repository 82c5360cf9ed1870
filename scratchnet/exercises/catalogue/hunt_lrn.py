"""hunt_lrn — one channel too few, in a sum that the paper's α makes nearly invisible."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Hunt
from scratchnet.exercises.templates import hunt_lrn as shown
from scratchnet.layer import Layer
from scratchnet.layers import LocalResponseNorm

ALPHA, BETA, K = 1e-4, 0.75, 2.0


class Matrix(Layer):
    """The window as a matrix of zeros and ones, C×C: s = k + α · near · a².

    near[i, j] is 1 if the window of channel i holds channel j; backward turns it round.
    """

    alpha = ALPHA

    def forward(self, a: Any) -> Any:
        s = K + self.alpha * self.sum(self.near(a.shape[1]), a * a)
        b = a * s ** -BETA
        self.remember(a, s, y=b)
        return b

    def backward(self, db: Any) -> Any:
        a, s = self.recall(db)
        own = db * s ** -BETA
        around = self.sum(self.near_in_backward(a.shape[1]).T, own * a / s)
        return own - 2 * self.alpha * BETA * a * around

    def near(self, C: int) -> np.ndarray:
        return _band(C, 2, 2)

    def near_in_backward(self, C: int) -> np.ndarray:
        return self.near(C)

    def sum(self, near: np.ndarray, x: Any) -> Any:
        return np.einsum("ij,njhw->nihw", near.astype(x.dtype), x)


class Divided(Matrix):
    """α divided by the size of the window, and five times as large."""

    alpha = 5 * ALPHA

    def sum(self, near: np.ndarray, x: Any) -> Any:
        return super().sum(near, x) / 5


class OtherSide(Matrix):
    def near(self, C: int) -> np.ndarray:
        return _band(C, 1, 2)


class BackwardOnly(Matrix):
    def near_in_backward(self, C: int) -> np.ndarray:
        return _band(C, 2, 1)


class BackwardOtherSide(Matrix):
    def near_in_backward(self, C: int) -> np.ndarray:
        return _band(C, 1, 2)


def _band(C: int, before: int, after: int) -> np.ndarray:
    """1 where i − before ≤ j ≤ i + after."""
    return np.tri(C, k=after) - np.tri(C, k=-before - 1)


EXERCISE = Hunt(
    name="hunt_lrn",
    title="Bug hunt: four channels where five are meant",
    right=(LocalResponseNorm, Matrix, Divided),
    wrong=(shown.LocalResponseNorm, OtherSide, BackwardOnly, BackwardOtherSide),
    hints=(
        "How much does it matter whether one neighbour is counted? Put numbers in: with a = 1 "
        "everywhere, s is 2 plus a ten-thousandth for each channel in the window. If one of five "
        "is forgotten, in which digit of b would you see it? And how exactly did the author "
        "compare? There are two ways to see a small effect: look more closely, or make it "
        "large. You cannot change α, but a is yours. How large would a have to be, for the sum "
        "to weigh as much as the 2? Then think of the number of channels: with how many does a "
        "window have all five? And where do you get the right b from, if not from a copy of the "
        "layer?",

        "Take 1 / (8 + 0.001 · sum) with three neighbours of size 1: it is 1 / 8.003 = 0.12495, "
        "and with two of them 1 / 8.002 = 0.12497. A test to three digits sees no difference. "
        "With neighbours of size 100 it is 1 / (8 + 30) = 0.026 against 1 / (8 + 20) = 0.036, and "
        "no tolerance in the world hides that. The constant was small so that nothing would "
        "happen to usual numbers; in a test you want something to happen. The same is true "
        "backwards: the part of the gradient that goes through the neighbours carries the small "
        "constant as a factor, so a test of backward with usual numbers tests the other part "
        "alone.",

        "Draw a at random with at least six or seven channels, and multiply it by a hundred or "
        "so. Compute b from the definition with plain loops over channels, that is from the text "
        "and not from the layer: for each channel, add up the squares of those among the five "
        "that exist. assert that forward agrees to many digits. Then measure backward: draw db; "
        "for a few random directions u, compare the sum of da · u with the difference of "
        "Σ db · forward(a + h·u) and Σ db · forward(a − h·u), divided by 2h, with h about 10⁻³, "
        "because a is large, too. Six digits are enough. Do both for one channel or two, as well, "
        "if you wish: there the window is cut off.",
    ),
)
