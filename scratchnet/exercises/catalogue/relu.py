"""relu — the first layer with a choice in it: a mask that backward must remember."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layer import Layer
from scratchnet.layers import ReLU


class Absolute(Layer):
    def forward(self, x):
        return np.abs(x)


class Clipped(Layer):
    def forward(self, x):
        return np.clip(x, 0, 1)


class Minimum(Layer):
    def forward(self, x):
        return np.minimum(x, 0)


EXERCISE = Exercise(
    name="relu",
    title="ReLU: let positive numbers through",
    reference={"ReLU": ReLU},
    cases=(
        Case("a matrix", "ReLU", randn((3, 5))),
        Case("images", "ReLU", randn((2, 3, 4, 5))),
        Case("a batch of one", "ReLU", randn((1, 7))),
    ),
    classics=(
        Classic("ReLU", Absolute, "negative numbers came out positive: they should come out 0"),
        Classic("ReLU", Clipped, "numbers above 1 came out as 1: ReLU has no upper end"),
        Classic("ReLU", Minimum, "positive and negative are the wrong way round"),
    ),
    hints=(
        # Three texts of 80 to 160 words each. The first asks the question that leads there, the
        # second explains the idea on an example other than the solution's, the third is a plan
        # in words, step by step; none holds a line of the solution.
        "…", "…", "…",
    ),
)
