"""dense_layer — the input is carried along unchanged, beside what was made of it."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Sequential
from scratchnet.models import DenseLayer


class Block(DenseLayer):
    """models.DenseLayer, with the exercise's signature."""

    def __init__(self, in_channels: int, growth: int,
                 rng: int | np.random.Generator | None = None):
        super().__init__(in_channels, growth, np.random.default_rng(rng))

    def terms(self, x: Any, dy: Any) -> dict[str, Any]:
        """What dx is made of, by name: for the diagnosis."""
        C = x.shape[1]
        Sequential.forward(self, x)
        return {"copy's": dy[:, :C], "chain's": Sequential.backward(self, dy[:, C:])}


class NewFirst(Block):
    def forward(self, x: Any) -> Any:
        return np.concatenate([Sequential.forward(self, x), x], axis=1)


class Normalised(Block):
    def forward(self, x: Any) -> Any:
        f = Sequential.forward(self, x)
        return np.concatenate([self.relu1.forward(self.norm1.forward(x)), f], axis=1)


class OneReLU(Block):
    def forward(self, x: Any) -> Any:
        f = x
        for name in ("norm1", "relu1", "conv1", "norm2", "conv2"):
            f = self[name].forward(f)
        return np.concatenate([x, f], axis=1)


EXERCISE = Exercise(
    name="dense_layer",
    title="Dense layer: put something new beside everything known",
    reference={"DenseLayer": Block},
    cases=(
        Case("images", "DenseLayer", randn((2, 3, 2, 4)), (3, 2), {"rng": 0}),
        Case("as many new channels as old", "DenseLayer", randn((2, 3, 4, 2)), (3, 3),
             {"rng": 1}),
        Case("growth 1", "DenseLayer", randn((2, 3, 2, 4)), (3, 1), {"rng": 2}),
        Case("a batch of one", "DenseLayer", randn((1, 2, 3, 4)), (2, 3), {"rng": 3}),
        Case("evaluation", "DenseLayer", randn((2, 3, 2, 4)), (3, 2), {"rng": 4},
             training=False),
        Case("everything at once", "DenseLayer", randn((3, 4, 2, 5)), (4, 2), {"rng": 5}),
    ),
    classics=(
        Classic("DenseLayer", NewFirst, "the channels are right, but in the wrong order: x comes "
                "first, what is new after it"),
        Classic("DenseLayer", Normalised, "what is carried along is x after the first "
                "normalisation and ReLU: it must be x itself"),
        Classic("DenseLayer", OneReLU, "relu2 is missing: a ReLU follows each normalisation"),
    ),
    hints=(
        "The first C channels of y are x itself, and the others were computed from x. So one "
        "number of x shows up in two kinds of places: once as it is, and spread over the new "
        "channels through the chain. If the next layer asks for a change of the first kind, who "
        "has to be told? And of the second kind? Look at dy with this in mind: it has as many "
        "channels as y, and each of them belongs to one of the two. What is the derivative of a "
        "copy? Which of the parts of your layer must never hear of the first C channels of dy? "
        "And how do you know, in backward, where the first kind ends and the second begins?",

        "Take one pixel with one channel, x = 4, and f(x) = 6x. The layer returns y = [4, 24]. "
        "Let the loss be 3 times the first number plus 5 times the second, so dy = [3, 5]. Move "
        "x by 0.1: the first number grows by 0.1, the second by 0.6, so the loss grows by "
        "0.3 + 3 = 3.3, that is 33 per unit of x. The chain must be told 5, and answers 30. The "
        "copy needs no layer: its 3 goes home as it is. This is the residual block's sum once "
        "more, with one difference. There, both ways were told the same; here the two ways end "
        "in different channels, so each is told what arrived in its own.",

        "Forward: send x through the six parts of the chain. Join x and the result along axis 1, "
        "in this order, and remember how many channels x had. Backward: recall that number, C. "
        "Cut dy along axis 1 in two: the first C channels are the gradient of the copy, the rest "
        "is the gradient of what the chain returned. Send the rest back through the six parts, "
        "from the last to the first; what comes out has the shape of x. Add the first C channels "
        "of dy to it. Do that in a new array: both pieces are views of dy, which belongs to the "
        "layer above. The parts have collected the gradients of their parameters on the way, so "
        "there is nothing else to do.",
    ),
)
