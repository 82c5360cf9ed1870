"""sigmoid_tanh — slopes that can be read off the output, and exponentials that overflow."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layer import Layer
from scratchnet.layers import Sigmoid, Tanh


class Mirrored(Layer):
    def forward(self, x):
        return 1 - Sigmoid().forward(x)


class HalfAsSteep(Layer):
    def forward(self, x):
        return np.tanh(x / 2)


def far_out(rng):
    """A matrix with one row of numbers whose exponential overflows."""
    x = rng.standard_normal((4, 5))
    x[1] *= 1000 / np.abs(x[1]).min()
    return x,


EXERCISE = Exercise(
    name="sigmoid_tanh",
    title="Sigmoid and Tanh: two curves and their slopes",
    reference={"Sigmoid": Sigmoid, "Tanh": Tanh},
    cases=tuple(case for name in ("Sigmoid", "Tanh") for case in (
        Case("a matrix", name, randn((3, 5))),
        Case("images", name, randn((2, 3, 4, 5))),
        Case("a batch of one", name, randn((1, 7))),
        Case("numbers beyond ±1000", name, far_out),
    )),
    classics=(
        Classic("Sigmoid", Mirrored, "the curve falls where it should rise: check the sign in "
                                     "the exponent"),
        Classic("Sigmoid", Tanh, "this is tanh, between −1 and 1: the sigmoid stays between 0 "
                                 "and 1"),
        Classic("Tanh", HalfAsSteep, "the curve is half as steep as it should be: a sigmoid "
                                     "stretched to −1 … 1 is not enough, its x counts, too"),
        Classic("Tanh", Sigmoid, "this is the sigmoid, between 0 and 1: tanh keeps 0 at 0"),
    ),
    hints=(
        "For the slope you do not need a table of derivatives. Write the sigmoid as one over a "
        "sum, y = 1/s with s = 1 + e^(−x). How does s change when x grows a little, and how does "
        "one over s change when s does? That gives the slope with exponentials in it. Now look "
        "at the two pieces from which it is made: can you recognise y in one of them, and 1 "
        "minus something in the other? Do the same for tanh, as a fraction: which square of the "
        "denominator and which square of the numerator appear, and what is their quotient? At "
        "the end, test yourself at x = 0, where both curves are steepest: one slope must come "
        "out as a quarter, the other as one.",

        "At x = 0 the sigmoid is 0.5, and a step of 0.01 moves it to about 0.5025: the slope is a "
        "quarter, and 0.25 is 0.5 times 0.5. At x = 2 it is 0.8808, the same step moves it by "
        "0.00105, and 0.105 is 0.8808 times 0.1192: what y has, times what y lacks to 1. That is "
        "the whole slope, and it needs no x. For tanh, the limits are −1 and 1, so two distances "
        "count, from y down to −1 and from y up to 1; at y = 0.6 they are 1.6 and 0.4, and the "
        "slope is their product, 0.64. As for large numbers: the exponential of −1000 is a "
        "harmless 0, that of 1000 is infinite. A fraction can be multiplied above and below by "
        "the same exponential, so you can choose which of the two appears.",

        "Sigmoid first. Decide for each number whether x is positive. If it is, the formula as it "
        "stands only takes the exponential of something negative, and is safe. If it is not, "
        "multiply numerator and denominator by e^x: the new fraction again only contains the "
        "exponential of something negative. Compute that harmless exponential once for the whole "
        "array, choosing the sign number by number, then choose between the two fractions in the "
        "same way. Remember y and return it. In backward, multiply dy by y and by what is "
        "missing from y to 1, into a new array. Tanh is shorter: NumPy's function is safe "
        "already, you remember y, and the factor in backward is 1 less the square of y. Nothing "
        "else is needed; if you find an x in your backward, look again.",
    ),
)
