"""squeeze_excitation — a product whose two factors come from the same input."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Sequential
from scratchnet.models import SqueezeExcitation


class Block(SqueezeExcitation):
    """models.SqueezeExcitation, with the exercise's signature."""

    def __init__(self, channels: int, reduced: int,
                 rng: int | np.random.Generator | None = None):
        super().__init__(channels, reduced, np.random.default_rng(rng))

    def terms(self, x: Any, dy: Any) -> dict[str, Any]:
        """What dx is made of, by name: for the diagnosis."""
        s = Sequential.forward(self, x)
        ds = (dy * x).sum(axis=(2, 3), keepdims=True)
        return {"direct": dy * s, "cross (through s)": Sequential.backward(self, ds)}


class Added(Block):
    def forward(self, x: Any) -> Any:
        return x + Sequential.forward(self, x)


class NoSigmoid(Block):
    def forward(self, x: Any) -> Any:
        s = x
        for name in ("avg_pool", "fc1", "relu", "fc2"):
            s = self[name].forward(s)
        return x * s


class NoReLU(Block):
    def forward(self, x: Any) -> Any:
        s = x
        for name in ("avg_pool", "fc1", "fc2", "sigmoid"):
            s = self[name].forward(s)
        return x * s


class WithShortcut(Block):
    def forward(self, x: Any) -> Any:
        return x + x * Sequential.forward(self, x)


EXERCISE = Exercise(
    name="squeeze_excitation",
    title="Squeeze and excitation: one volume for each channel",
    reference={"SqueezeExcitation": Block},
    cases=(
        Case("images", "SqueezeExcitation", randn((2, 4, 2, 3)), (4, 3), {"rng": 0}),
        Case("a batch of one", "SqueezeExcitation", randn((1, 4, 2, 3)), (4, 3), {"rng": 1}),
        Case("one pixel", "SqueezeExcitation", randn((2, 4, 1, 1)), (4, 3), {"rng": 2}),
        Case("as many units as channels", "SqueezeExcitation", randn((2, 3, 4, 2)), (3, 3),
             {"rng": 3}),
        Case("everything at once", "SqueezeExcitation", randn((3, 6, 2, 4)), (6, 5), {"rng": 4}),
    ),
    classics=(
        Classic("SqueezeExcitation", Added, "x and s were added: s is a factor"),
        Classic("SqueezeExcitation", NoSigmoid, "the sigmoid is missing: the factors must lie "
                "between 0 and 1"),
        Classic("SqueezeExcitation", NoReLU, "the ReLU between fc1 and fc2 is missing"),
        Classic("SqueezeExcitation", WithShortcut, "x was added to x · s: the shortcut belongs "
                "to the block around this one"),
    ),
    hints=(
        "The block computes a product of two things, and both of them come from x. If you freeze "
        "s for a moment and move one pixel of x, how does y change? If you freeze the x that is "
        "multiplied and move s instead, by how much does which part of y change? The second "
        "question has a twist: s holds one number for a whole channel of an image, and that one "
        "number was used at every pixel of it. How many numbers of y change if you move one "
        "number of s, and what does that mean for ds? Only one shape is possible for ds: "
        "write it down before anything else. Which array must the sigmoid's backward be given?",

        "Take one channel of three pixels, x = [1, 2, 4], and suppose for now that s is a "
        "number from elsewhere, s = 5, so y = [5, 10, 20]. Let dy = [1, 10, 100]. Move s by "
        "0.1: y grows by 0.1, 0.2 and 0.4, so the loss grows by 0.1 + 2 + 40 = 42.1, that is "
        "421 per unit of s. A number that was spread over three pixels collects from all three. "
        "Now move the second pixel by 0.1: only the second y changes, by 0.5, the loss by 5, so "
        "50 per unit. That would be all if s really came from elsewhere. In the block it came "
        "from the same pixels, so that the 421 travel back through the parts of s and reach "
        "every one of them, too.",

        "Forward: send x through the five parts of s, in order; the result has the shape "
        "(N, C, 1, 1), so NumPy spreads it over the pixels when you multiply. Remember both "
        "factors. Backward: recall them. First the direct way: what dx would be if s were a "
        "constant. Then the way through s: multiply dy with the other factor, elementwise, and "
        "add up over the pixels of each channel of each image, not over images and not over "
        "channels. Keep the two axes that you summed over, with size 1, so that the shape is "
        "that of s. Send this back through the five parts, from the sigmoid to the mean; the "
        "mean's backward returns the shape of x. Add the two ways.",
    ),
)
