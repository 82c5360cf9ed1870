"""bottleneck — a residual block whose shortcut may be a layer that learns."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import BatchNorm2d, Conv2d, Sequential
from scratchnet.models import Bottleneck


class Block(Bottleneck):
    """models.Bottleneck with a projection exactly where the shape changes."""

    def __init__(self, in_channels: int, width: int, stride: int = 1,
                 rng: int | np.random.Generator | None = None):
        rng, out = np.random.default_rng(rng), 4 * width
        projection = None if (in_channels, stride) == (out, 1) else Sequential(
            Conv2d(in_channels, out, 1, stride, bias=False, rng=rng), BatchNorm2d(out))
        super().__init__(in_channels, width, stride, projection, rng)

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
        return Sequential.forward(self, x) + self.downsample.forward(x)


class EarlyReLU(Block):
    def forward(self, x: Any) -> Any:
        return self.relu.forward(Sequential.forward(self, x)) + self.downsample.forward(x)


class NoReLU2(Block):
    def forward(self, x: Any) -> Any:
        f = x
        for name in ("conv1", "bn1", "relu1", "conv2", "bn2", "conv3", "bn3"):
            f = self[name].forward(f)
        return self.relu.forward(f + self.downsample.forward(x))


EXERCISE = Exercise(
    name="bottleneck",
    title="Bottleneck: 1×1, 3×3, 1×1, and a projection where the shape changes",
    reference={"Bottleneck": Block},
    cases=(
        Case("the same shape", "Bottleneck", randn((2, 8, 2, 3)), (8, 2), {"rng": 0}),
        Case("a projection to more channels", "Bottleneck", randn((2, 3, 2, 4)), (3, 2),
             {"rng": 1}),
        Case("stride 2", "Bottleneck", randn((2, 4, 5, 3)), (4, 2, 2), {"rng": 2}),
        Case("a batch of one", "Bottleneck", randn((1, 2, 3, 4)), (2, 3), {"rng": 3}),
        Case("evaluation", "Bottleneck", randn((2, 3, 2, 4)), (3, 2), {"rng": 4},
             training=False),
        Case("everything at once", "Bottleneck", randn((3, 2, 5, 4)), (2, 2, 2), {"rng": 5}),
    ),
    classics=(
        Classic("Bottleneck", NoShortcut, "the shortcut is missing: what came out is f(x) after "
                "ReLU, and nothing was added"),
        Classic("Bottleneck", NoReLU, "the last ReLU is missing: the sum came out as it is, "
                "negative numbers too"),
        Classic("Bottleneck", EarlyReLU, "the last ReLU came too soon: it stands after the sum, "
                "not on f(x) alone"),
        Classic("Bottleneck", NoReLU2, "relu2 is missing: a ReLU stands after the 3×3, too"),
    ),
    hints=(
        "In a block without projection, the shortcut brings the gradient home untouched. Here "
        "the shortcut may be a convolution with batch normalisation: a small network of its own, "
        "with weights that must learn. What does it need to be told in backward, and when? The "
        "chain and the shortcut meet at a plus sign, so look there first: which array arrives at "
        "that place from above, and is it dy, or is it what the last ReLU has left of dy? Then "
        "look at x. It was read by the first part of the chain and by the shortcut. Which two "
        "arrays have its shape, and come from where? If there is no projection, is anything in "
        "your answer different?",

        "Take plain numbers: the chain is f(x) = 5x, the shortcut g(x) = 3x, at x = 2, and the "
        "loss is 4 times y. The sum is 10 + 6 = 16, positive, so the ReLU lets everything "
        "through, and 4 arrives at the plus sign. The chain is told 4 and answers 20, the "
        "shortcut is told 4 and answers 12, and x gets 32. Check it: move x to 2.1, and y grows "
        "by 0.8, the loss by 3.2. If g were the identity it would answer 4, and the same sum "
        "would be right, which is why one way of writing serves both. At x = −2 the sum is −16, "
        "the ReLU stops it, and both must be told 0: neither way may hear of dy itself.",

        "Forward: send x through the eight parts of the chain, in order. Send x, the same array, "
        "through the shortcut. Add both results into a new array and send the sum through the "
        "last ReLU. All parts keep what they need for themselves. Backward: begin with the last "
        "ReLU, and keep what it returns, because it is needed twice. Send it back through the "
        "chain, from the last part to the first; what comes out has the shape of x. Send it back "
        "through the shortcut, as well; that also has the shape of x. The two together are dx. "
        "Add them into a new array: if the shortcut is the identity, it has returned the very "
        "array that you gave it.",
    ),
)
