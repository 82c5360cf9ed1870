"""hunt_batchnorm — a term is missing that no loss of ones can see."""
from functools import partial
from typing import Any

from scratchnet.exercises.spec import Hunt
from scratchnet.exercises.templates import hunt_batchnorm as shown
from scratchnet.layer import Layer
from scratchnet.layers import BatchNorm2d

AXES = (0, 2, 3)


def library(eps: float) -> Layer:
    return BatchNorm2d(3, eps=eps).astype("float64")


class Written(shown.BatchNorm2d):
    """All three terms; a subclass changes the third."""

    def backward(self, dy: Any) -> Any:
        x_hat, std = self.recall(dy)
        self.weight.grad += (dy * x_hat).sum(axis=AXES, keepdims=True)
        self.bias.grad += dy.sum(axis=AXES, keepdims=True)
        dx_hat = self.weight.value * dy
        direct = dx_hat - dx_hat.mean(axis=AXES, keepdims=True)
        return (direct - self.through_variance(dx_hat, x_hat)) / std

    def through_variance(self, dx_hat: Any, x_hat: Any) -> Any:
        return x_hat * (dx_hat * x_hat).mean(axis=AXES, keepdims=True)


class HalfTheTerm(Written):
    """The 2 of ∂σ²/∂x is forgotten."""

    def through_variance(self, dx_hat: Any, x_hat: Any) -> Any:
        return super().through_variance(dx_hat, x_hat) / 2


class PlusTheTerm(Written):
    def through_variance(self, dx_hat: Any, x_hat: Any) -> Any:
        return -super().through_variance(dx_hat, x_hat)


class OneLess(Written):
    """The variance of backward is divided by m − 1, that of forward by m."""

    def through_variance(self, dx_hat: Any, x_hat: Any) -> Any:
        m = x_hat.size // x_hat.shape[1]
        return super().through_variance(dx_hat, x_hat) * m / (m - 1)


EXERCISE = Hunt(
    name="hunt_batchnorm",
    title="Bug hunt: a term that a loss of ones cannot see",
    right=(partial(library, 1e-5), partial(library, 1e-3), Written),
    wrong=(shown.BatchNorm2d, HalfTheTerm, PlusTheTerm, OneLess),
    hints=(
        "The author's loss was the sum of all y. What is that sum, for batch normalisation? Work "
        "it out for one channel: the mean of x̂ is known without computing it. If you now move "
        "one number of x, by how much does the sum of y change? So what must dx be with dy = 1, "
        "and which wrong backwards return the same? It was no accident that the test passed, and "
        "more digits will not help. What would dy have to be like, so that each of the ways from "
        "x to the loss carries something? And what do you compare dx with, if you do not want to "
        "trust a second formula?",

        "A simpler layer of the same kind: y = x divided by the sum of all x. The sum of y is "
        "always 1, whatever x is, so with dy = 1 the right dx is 0, and a backward that returns "
        "nothing but zeros passes. Take x = [1, 3] and dy = [1, 0] instead, so that the loss is "
        "the first number of y: 1/4 now, and 1.04/4.04 = 0.2574 if the first number moves by "
        "0.04. The slope is about 0.19, far from 0. A dy of different numbers breaks the balance "
        "that hides the mistake. Random numbers are the simplest of that kind, since they have no "
        "reason to be in balance with anything.",

        "Draw x at random, some images of three channels with H and W that differ; not too many "
        "pixels, because some mistakes are as small as one in the number of them. Run forward, "
        "draw dy at random in the shape of y, run backward. Then, for a few random directions u: "
        "compute the sum of dy · forward(x + h·u), and of dy · forward(x − h·u), with h about "
        "10⁻⁵, and divide their difference by 2h. Compare with the sum of dx · u to six digits "
        "or so, and assert. Stay in training, where μ and σ² are those of the batch. Do not "
        "compare y with a formula of your own: you do not know the layer's ε.",
    ),
)
