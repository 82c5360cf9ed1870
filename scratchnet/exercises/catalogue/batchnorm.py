"""batchnorm — every number of the batch has a part in the mean, and so in every output."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import BatchNorm2d


def shifted(*shape):
    """A `draw` of numbers whose mean is not 0 and whose variance is not 1."""
    return lambda rng: (3 + 2 * rng.standard_normal(shape),)


class Normalised(BatchNorm2d):
    """The layer with its statistics left open."""

    def forward(self, x):
        mean, std = self.statistics(x)
        y = (x - mean) / std
        return self.weight.value[:, None, None] * y + self.bias.value[:, None, None]

    def statistics(self, x, axes=(0, 2, 3), ddof=0):
        return (x.mean(axis=axes, keepdims=True),
                np.sqrt(x.var(axis=axes, keepdims=True, ddof=ddof) + self.eps))


class AlwaysTheBatch(Normalised):
    pass


class AlwaysRunning(Normalised):
    def statistics(self, x):
        return (self.running_mean[:, None, None],
                np.sqrt(self.running_var + self.eps)[:, None, None])


class Unbiased(Normalised):
    def statistics(self, x):
        if not self.training:
            return AlwaysRunning.statistics(self, x)
        return super().statistics(x, ddof=1)


class OneImage(Normalised):
    def statistics(self, x):
        if not self.training:
            return AlwaysRunning.statistics(self, x)
        return super().statistics(x, axes=(2, 3))


class DividedByVariance(Normalised):
    def statistics(self, x):
        mean, std = (AlwaysRunning.statistics(self, x) if not self.training else
                     super().statistics(x))
        return mean, std ** 2


class EpsOutside(Normalised):
    """ε beside the root."""

    def statistics(self, x):
        mean, std = (AlwaysRunning.statistics(self, x) if not self.training else
                     super().statistics(x))
        return mean, np.sqrt(std ** 2 - self.eps) + self.eps


class BiasedRunning(BatchNorm2d):
    """running_var without m/(m−1)."""

    def forward(self, x):
        before, r = self.running_var, self.momentum
        y = super().forward(x)
        if self.training:
            self.running_var = (1 - r) * before + r * x.var(axis=(0, 2, 3))
        return y


class MomentumExchanged(BatchNorm2d):
    """momentum is the share of what was there before."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__(num_features, eps, 1 - momentum)


class NeverUpdated(BatchNorm2d):
    def forward(self, x):
        before = self.running_mean, self.running_var
        y = super().forward(x)
        self.running_mean, self.running_var = before
        return y


class AlwaysUpdated(BatchNorm2d):
    def forward(self, x):
        y, mode = super().forward(x), self.training
        if not mode:
            self.train()
            super().forward(x)                          # for what it does to the averages
        self.train(mode)
        return y


EXERCISE = Exercise(
    name="batchnorm",
    title="Batch normalisation: mean 0 and variance 1 for every channel",
    reference={"BatchNorm2d": BatchNorm2d},
    cases=(
        Case("training", "BatchNorm2d", randn((3, 2, 4, 5)), (2,)),
        Case("evaluation", "BatchNorm2d", randn((3, 2, 4, 5)), (2,), training=False),
        Case("a mean far from 0", "BatchNorm2d", shifted(3, 2, 4, 5), (2,)),
        Case("a large ε", "BatchNorm2d", randn((3, 2, 4, 5)), (2,), {"eps": 0.3}),
        Case("a momentum of 0.4", "BatchNorm2d", randn((3, 2, 4, 5)), (2,), {"momentum": 0.4}),
        Case("a batch of one", "BatchNorm2d", randn((1, 2, 4, 5)), (2,)),
        Case("everything at once", "BatchNorm2d", shifted(2, 5, 3, 4), (5,),
             {"eps": 0.2, "momentum": 0.7}),
    ),
    classics=(
        Classic("BatchNorm2d", AlwaysTheBatch, "evaluation used the batch's own mean and variance: "
                                               "there, they are the running averages"),
        Classic("BatchNorm2d", AlwaysRunning, "training used the running averages: there, mean and "
                                              "variance are the batch's own"),
        Classic("BatchNorm2d", Unbiased, "the variance that x is divided by has m − 1 in it: that "
                                         "belongs to running_var only"),
        Classic("BatchNorm2d", OneImage, "each image was normalised by itself: the mean runs over "
                                         "the batch too"),
        Classic("BatchNorm2d", DividedByVariance, "x was divided by the variance: look for the "
                                                  "root in the formula"),
        Classic("BatchNorm2d", EpsOutside, "ε was added to the standard deviation: in the formula "
                                           "it stands under the root, beside the variance"),
        Classic("BatchNorm2d", BiasedRunning, "running_var took the variance with 1/m: look at the "
                                              "last factor of its formula"),
        Classic("BatchNorm2d", MomentumExchanged, "the running averages took 1 − momentum of the "
                                                  "batch: momentum is the share of what is new"),
        Classic("BatchNorm2d", NeverUpdated, "the running averages stayed as they were: training "
                                             "must move them"),
        Classic("BatchNorm2d", AlwaysUpdated, "the running averages moved in evaluation too: only "
                                              "training may move them"),
    ),
    hints=(
        "Forget γ and β for a moment and think of one channel with four numbers. If the first "
        "grows a little, which of the four outputs change? The first, of course. But the mean has "
        "grown too, and it is subtracted from all four; and the variance has changed, by which "
        "all four are divided. So one number of x reaches the loss along three kinds of path: "
        "directly, through the mean, and through the variance. The gradient is the sum of all of "
        "them. Two questions test a result. If a constant is added to all four numbers, forward "
        "does not change: what does that say about the sum of the four numbers of dx? And if all "
        "four are stretched away from their mean, what about the sum of dx · x̂? In evaluation, "
        "which paths remain?",

        "Marks in a class are often adjusted so that the average is 4. If one pupil's paper gains "
        "a point, that mark goes up, but the average goes up as well, and so everybody's adjusted "
        "mark falls by one n-th of it. What a pupil's gain is worth to the whole class is "
        "therefore: what it is worth to that pupil, minus the average of what it is worth to all. "
        "This is the path through the mean, and it looks the same in the layer: from each "
        "number of the direct gradient, the average over the channel is subtracted. The path "
        "through the variance is similar: what is subtracted there is proportional to x̂, with "
        "a factor that is again an average over the channel, of the direct gradient times x̂. "
        "Only then does everything get divided by the standard deviation.",

        "Write forward along the four formulas, with axes 0, 2 and 3 for every mean, and None "
        "twice in an index to turn (C,) into (C, 1, 1). In training, replace the running averages; "
        "mind that running_var takes m/(m−1) times the variance, but x̂ does not. Remember x̂, the "
        "standard deviation and the mode. Backward: γ and β first; each is one number for a whole "
        "channel, so its gradient is a sum over that channel, of dy times what stood beside it. "
        "Then the gradient with respect to x̂. In evaluation divide it by the standard deviation "
        "and you are done. In training, first take away its average over the channel; then take "
        "away x̂ times the average of (gradient of x̂, times x̂). Both averages are of the gradient "
        "before anything was taken away.",
    ),
)
