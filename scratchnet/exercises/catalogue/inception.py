"""inception — concatenation and its way back, a split; a fork and its way back, a sum."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Concat
from scratchnet.layers.branch import split
from scratchnet.models import inception_module


class Inception(Concat):
    """models.inception_module as a class."""

    def __init__(self, *widths: int, rng: int | np.random.Generator | None = None):
        module = inception_module(*widths, rng=rng)
        super().__init__(b1=module["b1"], b2=module["b2"], b3=module["b3"], b4=module["b4"])

    def terms(self, x: Any, dy: Any) -> dict[str, Any]:
        """What dx is made of, by name: for the diagnosis."""
        dys = split(dy, [branch.forward(x).shape[1] for branch in self])
        return {f"branch b{i}'s": branch.backward(dy_branch)
                for i, (branch, dy_branch) in enumerate(zip(self, dys, strict=True), start=1)}


class Reversed(Inception):
    def forward(self, x: Any) -> Any:
        return np.concatenate([branch.forward(x) for branch in reversed(list(self))], axis=1)


class PoolFirst(Inception):
    def forward(self, x: Any) -> Any:
        return np.concatenate([self[name].forward(x) for name in ("b4", "b1", "b2", "b3")], axis=1)


EXERCISE = Exercise(
    name="inception",
    title="Inception: four branches side by side",
    reference={"Inception": Inception},
    cases=(
        Case("branches of different widths", "Inception", randn((2, 3, 2, 4)),
             (3, 2, 3, 4, 2, 5, 3), {"rng": 0}),
        Case("branches of one width", "Inception", randn((2, 3, 4, 2)),
             (3, 2, 3, 2, 4, 2, 2), {"rng": 1}),
        Case("a batch of one", "Inception", randn((1, 2, 3, 4)),
             (2, 2, 3, 4, 2, 5, 3), {"rng": 2}),
        Case("everything at once", "Inception", randn((3, 1, 4, 5)),
             (1, 3, 2, 1, 5, 2, 6), {"rng": 3}),
    ),
    classics=(
        Classic("Inception", Reversed, "the maps are right, but the branches lie in reverse "
                "order: b1 comes first, b4 last"),
        Classic("Inception", PoolFirst, "the maps are right, but those of the pooling branch "
                "come first: it is b4, the last"),
    ),
    hints=(
        "Follow one number of y. It lies in one channel, and that channel was computed by exactly "
        "one of the four branches; the other three know nothing of it. So which branch should "
        "hear of the gradient that arrives there? And which of the numbers in dy concern the "
        "branch b3, if b1 made two channels, b2 four, b3 five and b4 three? Then look at the "
        "other end. One number of x was read by all four branches. If it grows a little, the "
        "loss changes along four ways at once. Each branch's backward tells you how much along "
        "its own way. What is the change in total? Look at your sum for one pixel before you "
        "think about arrays.",

        "Take two branches with one pixel and one channel each: a(x) = 4x and b(x) = x², at "
        "x = 5. The module returns y = [20, 25]. Let the loss be 7 times the first number plus 2 "
        "times the second, so dy = [7, 2]. Move x to 5.01: the first number grows by 0.04, the "
        "second by about 0.1, the loss by 7·0.04 + 2·0.1 = 0.48. Per unit of x that is 48: 28 of "
        "it came through a, which must be told 7 and nothing else, and 20 through b, which must "
        "be told 2. So laying side by side is undone by cutting apart, and reading the same x "
        "twice is undone by adding. Neither step changes a number in between.",

        "Forward: send x through each of the four branches and keep the results in order. Join "
        "them along axis 1, the channels. Remember how many channels each of them had; the "
        "widths in the constructor would do too, but the arrays cannot be wrong. Backward: "
        "recall the widths. Walk through the branches in forward's order, with a position that "
        "starts at channel 0. For each one, take as many channels of dy as it made, call its "
        "backward with them, and move the position on by that width. Add up the four arrays "
        "that come back: they all have the shape of x. Make a new array for the sum, and check "
        "at the end that the position has reached the last channel of dy.",
    ),
)
