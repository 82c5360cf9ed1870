"""hunt_col2im — assigned where it must be added: right while windows do not overlap."""
from functools import partial
from typing import Any

import numpy as np

from scratchnet import naive
from scratchnet.exercises.spec import Hunt
from scratchnet.exercises.templates import hunt_col2im as shown
from scratchnet.layer import Layer
from scratchnet.layers import AvgPool2d, Conv2d, MaxPool2d

KERNEL, STRIDE = (3, 3), (2, 2)


def conv() -> Layer:
    return Conv2d(2, 3, 3, stride=2, rng=0).astype("float64")


class Loops(Layer):
    """The convolution of naive.py, without a bias."""

    def __init__(self):
        self._w = np.random.default_rng(1).standard_normal((3, 2, *KERNEL))

    def forward(self, x: Any) -> Any:
        y = naive.conv2d(x, self._w, stride=STRIDE)
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        return naive.conv2d_backward(dy, x, self._w, stride=STRIDE)[0]


class _Windows(Layer):
    """The windows one after another; a subclass says what becomes of each."""

    def forward(self, x: Any) -> Any:
        places = [(i, j, (slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3)))
                  for i in range((x.shape[2] - 1) // 2) for j in range((x.shape[3] - 1) // 2)]
        y = np.empty((*x.shape[:2], (x.shape[2] - 1) // 2, (x.shape[3] - 1) // 2), x.dtype)
        for i, j, window in places:
            y[:, :, i, j] = self.value(x[:, :, *window])
        self.remember(x, y, places, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, y, places = self.recall(dy)
        dx = np.zeros_like(x)
        for i, j, window in places:
            share = self.share(x[:, :, *window], y[:, :, i, j, None, None])
            self.put(dx[:, :, *window], share * dy[:, :, i, j, None, None])
        return dx

    def put(self, place: Any, gradient: Any) -> None:
        place += gradient


class Maximum(_Windows):
    """Equal pixels share."""

    def value(self, window: Any) -> Any:
        return window.max(axis=(2, 3))

    def share(self, window: Any, y: Any) -> Any:
        winners = window == y
        return winners / winners.sum(axis=(2, 3), keepdims=True)


class AssignedMaximum(Maximum):
    """dx = dy at the winners, but zeros at the losers: the last window wins."""

    def put(self, place: Any, gradient: Any) -> None:
        place[...] = gradient


class AssignedWinner(Maximum):
    """Only the winners are assigned, so only a pixel that won twice is wrong."""

    def put(self, place: Any, gradient: Any) -> None:
        place[gradient != 0] = gradient[gradient != 0]


class AssignedMean(_Windows):
    def value(self, window: Any) -> Any:
        return window.mean(axis=(2, 3))

    def share(self, window: Any, y: Any) -> Any:
        return np.full(window.shape, 1 / 9)

    def put(self, place: Any, gradient: Any) -> None:
        place[...] = gradient


EXERCISE = Hunt(
    name="hunt_col2im",
    title="Bug hunt: windows that overlap",
    right=(conv, Loops, partial(MaxPool2d, 3, stride=2), Maximum, partial(AvgPool2d, 3, stride=2)),
    wrong=(shown.WindowConv, AssignedMaximum, AssignedWinner, AssignedMean),
    hints=(
        "Take a pencil and draw a row of seven pixels, and below it the windows of three pixels "
        "that start at the first, the third and the fifth. Which pixels lie in more than one "
        "window? If such a pixel grows a little, which numbers of y change? So from how many "
        "places does its gradient come? Then read the last loop of backward and follow one such "
        "pixel through it. Now for your test: how large must an image be at least, along an axis, "
        "so that a pixel lies in two windows? And what do you compare dx with, for a layer of "
        "which you only know forward, without writing the right backward of three layers?",

        "The derivative can be measured. Let f(x) = x², at x = 3, and suppose somebody claims "
        "that the slope is 5. Move x by h = 0.001 to both sides: f(3.001) − f(2.999) = 0.012, "
        "divided by 2h this is 6, so the claim is wrong. A layer has many numbers in and many "
        "out. Make one number of what comes out by adding up y with random weights dy; that is "
        "exactly the loss whose gradient backward(dy) claims to return. And move all of x at "
        "once, along a random direction u: the loss changes by the sum of dx · u per unit. One "
        "comparison of two numbers then asks every pixel at once, and a few directions make sure.",

        "Draw x at random, two images of two channels, with H and W of six and seven or so; they "
        "should differ. Run forward once to learn the shape of y, draw dy at random, and run "
        "backward. Now repeat a few times: draw a direction u of x's shape; compute the sum of "
        "dy times forward(x + h·u), and the same with x − h·u, with h about 10⁻⁵; divide the "
        "difference by 2h. Compare with the sum of dx times u, to six digits or so, relative to "
        "their size: not more exactly, because such differences carry a rounding error. A "
        "maximum has kinks, but random numbers are rarely that close to each other. assert that "
        "both agree.",
    ),
)
