"""hunt_max_pool — padding with zeros, and a zero that wins."""
from functools import partial
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Hunt
from scratchnet.exercises.templates import hunt_max_pool as shown
from scratchnet.layer import Layer
from scratchnet.layers import MaxPool2d


class Padded(Layer):
    """Windows of an image padded with a number that cannot win; equal pixels share."""

    def forward(self, x: Any) -> Any:
        y = _windows(x, self.padding(x)).max(axis=0)
        self.remember(x, y, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, y = self.recall(dy)
        winners = self.winners(_windows(x, self.padding_in_backward(x)), y)
        dpadded = np.zeros((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2), dtype=dy.dtype)
        for place, won in zip(_taps(dpadded), winners, strict=True):
            place += dy * won
        return dpadded[:, :, 1:-1, 1:-1]

    def padding(self, x: Any) -> float:
        return -np.inf

    def padding_in_backward(self, x: Any) -> float:
        return self.padding(x)

    def winners(self, windows: Any, y: Any) -> Any:
        won = windows == y
        return won / np.maximum(won.sum(axis=0), 1)


class SmallestNumber(Padded):
    """The smallest pixel of all cannot beat a real one. The last of equal pixels wins."""

    def padding(self, x: Any) -> float:
        return x.min() - 1

    def winners(self, windows: Any, y: Any) -> Any:
        return np.arange(9)[:, None, None, None, None] == 8 - windows[::-1].argmax(axis=0)


class FromZero(Padded):
    """The search for the maximum begins with 0."""

    def forward(self, x: Any) -> Any:
        y = np.maximum(_windows(x, -np.inf).max(axis=0), 0)
        self.remember(x, y, y=y)
        return y


class BackwardOnly(Padded):
    """Forward is right, but backward looks for the winner among zeros, too."""

    def padding_in_backward(self, x: Any) -> float:
        return 0

    def winners(self, windows: Any, y: Any) -> Any:
        return np.arange(9)[:, None, None, None, None] == windows.argmax(axis=0)


def _windows(x: Any, padding: float) -> Any:
    """The nine taps of every window, (9, N, C, OH, OW)."""
    return np.stack(_taps(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=padding)))


def _taps(padded: Any) -> list:
    """For each of the nine taps, in reading order, the pixels of all windows: views."""
    end_h, end_w = (2 * ((n - 1) // 2) - 1 for n in padded.shape[2:])
    return [padded[:, :, u:u + end_h:2, v:v + end_w:2] for u in range(3) for v in range(3)]


EXERCISE = Hunt(
    name="hunt_max_pool",
    title="Bug hunt: a maximum over something that is not there",
    right=(partial(MaxPool2d, 3, stride=2, padding=1), Padded, SmallestNumber),
    wrong=(shown.MaxPool2d, FromZero, BackwardOnly),
    hints=(
        "The windows at the border reach beyond the image. What number does the layer find there, "
        "and what does the definition say about it? When is that number larger than all real "
        "pixels of its window? Behind a ReLU no pixel is below 0, so the author never saw it: "
        "which images would you send in instead? Then ask the same of backward, on its own. "
        "Somebody may have repaired forward alone. Where does dy go, if the place that won does "
        "not exist? And if two pixels of a window are equal, the text allows several answers: how "
        "do you write your test so that the question never comes up?",

        "Imagine a weather station that reports the warmest of three neighbouring days, and takes "
        "0 degrees for a day that is missing. In summer nobody notices. In a January of −5, −8, "
        "−3 degrees, the report for the edge of the month says 0: warmer than any day there was. "
        "The mistake shows only if every number of a window is below what was put in for the "
        "missing ones, so a winter is needed, not merely some cold days. On the way back it is "
        "the same: whoever asks which day set the record is sent to a day that does not exist, "
        "and the answer is lost. So the gradients that arrive add up to less than those that "
        "were sent.",

        "Draw an image of odd and even sides with all numbers well below 0, and no two equal; "
        "random numbers are never equal. Compute what is right with plain loops: for each image, "
        "channel and window, go over the pixels that exist, find the largest and its place; that "
        "is y, and dx gets dy added at this place. assert that forward agrees, run backward with "
        "a random dy, and assert that dx agrees. Do the same once more with numbers of both "
        "signs. Do not test what happens to equal pixels, nor what the layer uses for its "
        "padding: some right layers use minus infinity, some another number that cannot win.",
    ),
)
