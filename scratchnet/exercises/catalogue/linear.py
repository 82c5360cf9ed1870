"""linear — the first layer that learns: shapes leave each gradient only one product."""
from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Linear


class NoBias(Linear):
    def forward(self, x):
        return x @ self.weight.value.T


class Activated(Linear):
    def forward(self, x):
        y = super().forward(x)
        return y * (y > 0)


class WrongWayRound(Linear):
    """With as many inputs as outputs, the shapes do not complain."""

    def forward(self, x):
        w = self.weight.value
        return x @ (w if len(w) == w.shape[1] else w.T) + self.bias.value


EXERCISE = Exercise(
    name="linear",
    title="Linear: a weighted sum of all inputs",
    reference={"Linear": Linear},
    cases=(
        Case("a small batch", "Linear", randn((3, 5)), (5, 4)),
        Case("more outputs than inputs", "Linear", randn((3, 4)), (4, 7)),
        Case("as many outputs as inputs", "Linear", randn((3, 4)), (4, 4)),
        Case("a single output", "Linear", randn((3, 5)), (5, 1)),
        Case("a batch of one", "Linear", randn((1, 5)), (5, 4)),
    ),
    classics=(
        Classic("Linear", NoBias, "the bias is missing: every output o has its own b[o] added"),
        Classic("Linear", Activated, "negative outputs came out as 0: a linear layer ends with "
                                     "the sum, the activation is a layer of its own"),
        Classic("Linear", WrongWayRound, "the weights are the wrong way round: w[o,i] belongs to "
                                         "output o and input i; only a square w hides it"),
    ),
    hints=(
        "Take one number of x, say x[n,i], and change it a little. Which numbers of y move, and "
        "by how much each? Write the answer down before you write code: it is a short list, one "
        "entry for each output of the same row, and none in other rows. The loss feels each of "
        "these movements through the number of dy that belongs to it. Now ask the same question "
        "of one weight w[o,i], and of one bias b[o]. They are used by every row of the batch, so "
        "there the list runs down the rows instead of along the outputs. The three lists, each "
        "weighted with dy and added up, are the three gradients. All that is left is to find, "
        "for each, the product of two matrices that does all of its sums at once.",

        "Take two inputs and one output, y = b + 3·x₁ + 5·x₂, and let dy be 10. If x₁ grows by a "
        "little, y grows three times as much, and the loss ten times that: dx₁ is 30, and in the "
        "same way dx₂ is 50. If the weight 3 grows by a little, y grows by x₁ times that, so the "
        "gradient of this weight is 10·x₁. The bias passes dy on unchanged. Each derivative is "
        "the factor that stands beside the number. Now let the batch have a second row. The same "
        "weights are used again, so what the second row asks of them is added to what the first "
        "one asked; the same holds for the bias. But dx keeps a row for each row of x: the "
        "second image cannot change the first one's output.",

        "For forward, look at the shapes: you want N × O, and you have N × I and O × I, so one "
        "of the two has to be turned over before they can be multiplied; then the bias is added "
        "to every row. Backward still has the weights, but not x: that is what forward has to "
        "remember. For backward, write down the shapes of dy, of x and of the weights. Only one "
        "product of dy with the weights has the shape of x: that is dx. Only one product of dy, "
        "turned over, with x has the shape of the weights: that is dw. The gradient of the bias "
        "adds dy up down the batch, so that one number for each output is left. Add the last two "
        "into the .grad arrays, which may already hold something, and return the first.",
    ),
)
