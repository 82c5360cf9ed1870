"""softmax — the loss: what was said, minus what is true."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise
from scratchnet.layer import Layer
from scratchnet.layers import SoftmaxCrossEntropy


class Loss(Layer):
    """The loss with one step of it to be replaced."""

    axis = 1

    def forward(self, logits, labels):
        z = logits - logits.max(axis=self.axis, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=self.axis, keepdims=True))
        return self.mean(log_p[np.arange(len(z)), labels], log_p)

    def mean(self, right, log_p):
        return -right.mean()


class NotAveraged(Loss):
    def mean(self, right, log_p):
        return -right.sum()


class AveragedOverAll(Loss):
    def mean(self, right, log_p):
        return -right.sum() / log_p.size


class Positive(Loss):
    def mean(self, right, log_p):
        return right.mean()


class OverTheBatch(Loss):
    axis = 0


class AllClasses(Loss):
    def mean(self, right, log_p):
        return -log_p.sum() / len(log_p)


def scores(N, C, shift=0.0):
    """Scores around `shift` and labels, not all the same."""
    def draw(rng):
        labels = rng.permutation(np.arange(N) % C)
        return shift + rng.standard_normal((N, C)), labels
    return draw


class AllPairs(Loss):
    """Every image with the label of every other: log_p[:, labels]."""

    def forward(self, logits, labels):
        z = logits - logits.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -log_p[:, labels].mean()


EXERCISE = Exercise(
    name="softmax",
    title="Softmax and cross-entropy: the loss",
    reference={"SoftmaxCrossEntropy": SoftmaxCrossEntropy},
    cases=(
        Case("a batch", "SoftmaxCrossEntropy", scores(3, 5)),
        Case("a batch of one", "SoftmaxCrossEntropy", scores(1, 5)),
        Case("more images than classes", "SoftmaxCrossEntropy", scores(7, 4)),
        Case("two classes", "SoftmaxCrossEntropy", scores(3, 2)),
        Case("scores near 1000", "SoftmaxCrossEntropy", scores(3, 5, shift=1000.0)),
    ),
    classics=(
        Classic("SoftmaxCrossEntropy", NotAveraged, "the loss grows with the batch: it is a mean "
                                                    "over the images, not their sum"),
        Classic("SoftmaxCrossEntropy", AveragedOverAll, "the loss is divided by N·C: the mean is "
                                                        "over the images only"),
        Classic("SoftmaxCrossEntropy", Positive, "the loss is exactly the negative of the right "
                                                 "one: a sure and right answer costs nothing, "
                                                 "a wrong one costs more than that"),
        Classic("SoftmaxCrossEntropy", OverTheBatch, "the probabilities of a class add up to 1 "
                                                     "over the images: those of an image should "
                                                     "add up to 1 over the classes"),
        Classic("SoftmaxCrossEntropy", AllPairs, "each image is counted with the labels of all "
                                                 "images: `[:, labels]` takes whole columns, and "
                                                 "from each row only one number is wanted"),
        Classic("SoftmaxCrossEntropy", AllClasses, "every class counts in the loss: only the "
                                                   "true class of each image should"),
    ),
    hints=(
        "Do not differentiate the fraction. Take the logarithm first, and look at one image: "
        "what becomes of the logarithm of a quotient, and of the logarithm of an exponential? "
        "Two terms are left, a simple one and a harder one. Which scores does the simple one "
        "contain, and so which numbers of its gradient are not zero? For the harder one, "
        "differentiate the logarithm from the outside in: one over what stands inside, times "
        "the derivative of the inside. Compare the result with the definition of softmax. What "
        "is it? Then put the two together, with the sign of the loss and its 1/N. Before you "
        "write code, add up the gradient of one image over all classes: what must come out, if "
        "raising all scores together changes nothing?",

        "Say a network gives the three classes the probabilities 0.7, 0.2 and 0.1, and the "
        "second one is true. The gradient with respect to the scores is 0.7, −0.8 and 0.1: what "
        "was said, less what is true, where the truth is 0, 1, 0. A step downhill lowers the "
        "first and third score in proportion to the belief in them and raises the second. The "
        "three add up to zero. With a batch of N images, each has such a row, divided by N, "
        "since the loss is a mean. Now the large scores: 1000 and 1001 have the same softmax as "
        "−1 and 0, because every exponential shares a factor that cancels. So an image's scores "
        "may be lowered by its largest one first. Then no exponential is above 1, and their sum "
        "is at least 1, so its logarithm is harmless, too.",

        "In forward, find the largest score of each image, keep that axis so that shapes fit, "
        "and subtract it; do not write into the logits. Take the exponential, sum it over the "
        "classes, again keeping the axis, and take the logarithm of the sum. Shifted score less "
        "this logarithm is log p, for all classes at once; its exponential is p. Now pick, in "
        "every row, the entry of the true class: index with two arrays, the row numbers 0 … N−1 "
        "and the labels. The mean of these, with the sign turned, is the loss. Remember p and "
        "the labels. In backward, make a copy of p, subtract 1 at the same N places, and "
        "multiply by dy and by one over N. All of this is one row an image: whenever you sum, "
        "ask whether it is over the classes or over the images.",
    ),
)
