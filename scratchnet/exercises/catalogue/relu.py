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
        "Look at one number of x at a time: no other number has a say in its y. Change it a "
        "little. If it was 3, what happens to y? And if it was −3? There are only these two "
        "answers, and they do not depend on how large the number is, only on which side of zero "
        "it lies. Now let the gradient dy arrive from the layer above, one number for each y. "
        "What reaches the x below it in the first case, and what in the second? Ask yourself "
        "also when the choice between the two was made, and by whom: dy may be positive or "
        "negative, large or small, whatever x was. So what would backward have to know, and who "
        "can tell it?",

        "Think of a row of gates, one for each number. While going forward, each gate opens for "
        "a positive number and stays shut for a negative one; behind a shut gate the result is "
        "0. Going backward, nothing is decided any more: a gate that was open lets its number of "
        "dy through as it is, even a negative one, and a gate that was shut lets nothing "
        "through. With x = 4, −1, 6 and dy = −7, 8, 9, the gates are open, shut, open, and dx is "
        "−7, 0, 9. Note that the −7 passes: it is the gradient that is negative there, not the "
        "input. So backward looks neither at the sign of dy nor at its size; it only looks at "
        "which gates were open, and that has to be remembered by forward.",

        "In forward, compute y in a new array: each number is the larger of x and zero, and "
        "NumPy has a function for the larger of two that works on whole arrays. Then make an "
        "array of the same shape that says, for each number, whether x was above zero, and give "
        "it to self.remember together with y=y. Return y. In backward, ask self.recall(dy) for "
        "it; remember that you get a tuple, even if it holds only one thing. The result is dy "
        "where that array is true and 0 where it is false; an array of truth values can stand in "
        "a product, where it counts as ones and zeros. Make this a new array, too: dy itself "
        "must stay as it is, because another branch of the network may hold the same array.",
    ),
)
