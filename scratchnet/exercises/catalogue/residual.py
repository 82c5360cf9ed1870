"""residual — an addition copies the gradient, a fork adds it."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Sequential
from scratchnet.models import BasicBlock


class Block(BasicBlock):
    """models.BasicBlock where the shape does not change."""

    def __init__(self, channels: int, rng: int | np.random.Generator | None = None):
        super().__init__(channels, channels, rng=np.random.default_rng(rng))

    def terms(self, x: Any, dy: Any) -> dict[str, Any]:
        """What dx is made of, by name: for the diagnosis."""
        self.forward(x)
        dsum = self.relu.backward(dy)
        return {"chain's": Sequential.backward(self, dsum),
                "shortcut's": self.downsample.backward(dsum)}


class NoShortcut(Block):
    def forward(self, x: Any) -> Any:
        return self.relu.forward(Sequential.forward(self, x))


class NoReLU(Block):
    def forward(self, x: Any) -> Any:
        return x + Sequential.forward(self, x)


class EarlyReLU(Block):
    def forward(self, x: Any) -> Any:
        return x + self.relu.forward(Sequential.forward(self, x))


EXERCISE = Exercise(
    name="residual",
    title="Residual block: learn what to add",
    reference={"BasicBlock": Block},
    cases=(
        Case("images", "BasicBlock", randn((2, 3, 2, 4)), (3,), {"rng": 0}),
        Case("a batch of one", "BasicBlock", randn((1, 2, 3, 4)), (2,), {"rng": 1}),
        Case("one channel", "BasicBlock", randn((2, 1, 3, 4)), (1,), {"rng": 2}),
        Case("evaluation", "BasicBlock", randn((2, 3, 2, 4)), (3,), {"rng": 3},
             training=False),
        Case("everything at once", "BasicBlock", randn((3, 4, 2, 5)), (4,), {"rng": 4}),
    ),
    classics=(
        Classic("BasicBlock", NoShortcut, "the shortcut is missing: what came out is f(x) after "
                "ReLU, and x was never added"),
        Classic("BasicBlock", NoReLU, "the last ReLU is missing: x + f(x) came out as it is, "
                "negative numbers too"),
        Classic("BasicBlock", EarlyReLU, "the last ReLU came too soon: it stands after the sum, "
                "not on f(x) alone"),
    ),
    hints=(
        "Draw the block as a picture with arrows: x goes in, parts into two arrows, one of them "
        "passes through the chain, both meet at a plus sign, and after it stands a ReLU. Now "
        "turn every arrow round. At the plus sign, one gradient arrives and two leave: how large "
        "is each of them, if y = a + b and you move a alone? At the place where x parted, two "
        "gradients arrive and one must leave: what becomes of them? And which of the two ways "
        "does the last ReLU belong to, one of them or both? Write the answer beside each place "
        "of your picture, and only then write code.",

        "Take numbers in place of images: f(x) = 4x, without the ReLU for the moment, so that "
        "y = x + 4x, at x = 3. If the loss is 10·y, what arrives from above is 10. Move x by "
        "0.1: the shortcut adds 0.1 to y, the chain 0.4, so the loss grows by 5. Per unit of x "
        "that is 50 = 10 + 40. The shortcut has carried the 10 home untouched, and the chain has "
        "multiplied it by its own slope. This is why the block was invented: even if the chain's "
        "slope were nearly 0, the 10 would still arrive. With the ReLU at the end, a sum that is "
        "negative stops both ways at once, and one that is positive stops neither.",

        "Forward: send x through the five parts of the chain, one after another, each taking "
        "what the one before returned. Add x to the result, into a new array, and send the sum "
        "through the last ReLU. Its part remembers its own mask, as all parts remember what they "
        "need, so there is nothing for you to keep. Backward: the last thing that forward did is "
        "undone first, so begin with the last ReLU. What it returns is the gradient at the sum. "
        "Keep that, and send it back through the five parts, from the last to the first. In the "
        "end add the two gradients that belong to x: the one that came out of the chain, and the "
        "one that you kept. Make a new array for their sum.",
    ),
)
