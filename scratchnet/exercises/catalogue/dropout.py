"""dropout — a layer with two modes and a memory: the mask is drawn once, and used twice."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layer import Layer


class Dropout(Layer):
    """Scales while training. The library's draws its mask in float32; here it is the template's."""

    def __init__(self, p=0.5, *, rng=None):
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x):
        m = self.factor(x) if self.training else 1.0
        self.remember(m, y=x)
        return x * m

    def backward(self, dy):
        m, = self.recall(dy)
        return dy * m

    def factor(self, x):
        return self.kept(x) * (1 / (1 - self.p))

    def kept(self, x):
        return (self.rng.random(x.shape) >= self.p).astype(x.dtype)


class AlexNetDropout(Dropout):
    """Scales in evaluation."""

    def forward(self, x):
        m = self.kept(x) if self.training else 1 - self.p
        self.remember(m, y=x)
        return x * m


class AlwaysDrops(Dropout):
    def forward(self, x):
        return x * self.factor(x)


class KeepsWithP(Dropout):
    def factor(self, x):
        return (1 - self.kept(x)) / (1 - self.p)


class DividedByP(Dropout):
    def factor(self, x):
        return self.kept(x) / self.p


class NeverScales(AlexNetDropout):
    def forward(self, x):
        return x * self.kept(x) if self.training else x


class ScaledByP(AlexNetDropout):
    def forward(self, x):
        return super().forward(x) if self.training else x * self.p


class AlwaysDropsUnscaled(AlexNetDropout):
    def forward(self, x):
        return x * self.kept(x)


EXERCISE = Exercise(
    name="dropout",
    title="Dropout: silence numbers at random, in today's way and in AlexNet's",
    reference={"Dropout": Dropout, "AlexNetDropout": AlexNetDropout},
    cases=(
        Case("training", "Dropout", randn((4, 7)), (0.5,), {"rng": 1}),
        Case("a p that is not one half", "Dropout", randn((4, 7)), (0.3,), {"rng": 2}),
        Case("images", "Dropout", randn((2, 3, 4, 5)), (0.5,), {"rng": 3}),
        Case("evaluation", "Dropout", randn((4, 7)), (0.3,), {"rng": 4}, training=False),
        Case("training", "AlexNetDropout", randn((4, 7)), (0.5,), {"rng": 5}),
        Case("a p that is not one half", "AlexNetDropout", randn((4, 7)), (0.3,), {"rng": 6}),
        Case("images", "AlexNetDropout", randn((2, 3, 4, 5)), (0.5,), {"rng": 7}),
        Case("evaluation", "AlexNetDropout", randn((4, 7)), (0.3,), {"rng": 8}, training=False),
    ),
    # Where two explain the same results, the first is told: what is wrong in one mode only comes
    # before what is wrong in both.
    classics=(
        Classic("Dropout", NeverScales, "what is kept came out unscaled: its mean is then smaller "
                                        "than in evaluation"),
        Classic("Dropout", AlexNetDropout, "the factor 1 − p is where AlexNetDropout has it: here "
                                           "it belongs into training"),
        Classic("Dropout", AlwaysDrops, "numbers were silenced in evaluation too: look at "
                                        "self.training"),
        Classic("Dropout", KeepsWithP, "the wrong part was silenced: p is the probability to be "
                                       "silenced, not to be kept"),
        Classic("Dropout", DividedByP, "what is kept was divided by p: the factor must make up for "
                                       "the share that was silenced"),
        Classic("AlexNetDropout", NeverScales, "evaluation returned x itself: with nothing "
                                               "silenced, y is larger than in training"),
        Classic("AlexNetDropout", Dropout, "the factor 1 − p is where Dropout has it: in the "
                                           "paper, evaluation scales"),
        Classic("AlexNetDropout", ScaledByP, "in evaluation x was multiplied by p: ask which share "
                                             "of the numbers is kept in training"),
        Classic("AlexNetDropout", AlwaysDropsUnscaled, "numbers were silenced in evaluation too: "
                                                       "look at self.training"),
    ),
    hints=(
        "Once the mask is drawn, what is left of this layer? For a number that was silenced, y is "
        "0, whatever x is; so what is its derivative? For a number that was kept, y is x times a "
        "constant; which one, in each of the two classes? So backward is a product of dy and "
        "something that forward knew. Where does backward get it from? If it drew a new mask, it "
        "would send gradients to numbers that had no part in this output, and withhold them from "
        "others that had. And in evaluation, where nothing is drawn: is there a constant as well, "
        "in one class or the other? Note that the mode may have been switched between forward and "
        "backward, so backward must not ask for it.",

        "A teacher lets a class of thirty sing, and each time asks half of them, chosen by lot, "
        "to be silent. The song should be equally loud with all thirty in the concert. There are "
        "two ways. Either those who sing at a rehearsal sing twice as loudly, and nothing is "
        "special about the concert; that is Dropout. Or they sing as usual at rehearsals, and in "
        "the concert all thirty sing at half their strength; that is AlexNetDropout. With a "
        "quarter silenced, the factors are 4/3 in one case and 3/4 in the other: they come from "
        "the share that sings. After a rehearsal, praise is given only to those who sang this "
        "time. For that, the teacher has to keep the list, not draw lots once more.",

        "For both classes, find one thing m for which y = x · m: an array or a single number. In "
        "training, call the generator once with x's shape, compare with p as the template says, "
        "and you have an array that is true where a number is kept. For Dropout, scale it by the "
        "constant that makes up for the silenced share; for AlexNetDropout leave it. In "
        "evaluation, m is the number of the table in the template, and no random number is "
        "drawn. Remember m together with y. Backward recalls m and needs one product, the same "
        "in training and evaluation. Look out for dtypes: a float32 x should give a float32 y, so "
        "convert the true-false array to x's dtype before you divide it by something.",
    ),
)
