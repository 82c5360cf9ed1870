"""lrn — the first layer in which channels look at one another."""
from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import LocalResponseNorm


class DividedBySize(LocalResponseNorm):
    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        super().__init__(size, alpha / size, beta, k)


class Alone(LocalResponseNorm):
    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        super().__init__(1, alpha, beta, k)


class LeaningForwards(LocalResponseNorm):
    def forward(self, a):
        return super().forward(a[:, ::-1])[:, ::-1]


class Multiplied(LocalResponseNorm):
    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        super().__init__(size, alpha, -beta, k)


EXERCISE = Exercise(
    name="lrn",
    title="Local response normalisation: neighbouring channels inhibit one another",
    reference={"LocalResponseNorm": LocalResponseNorm},
    cases=(
        # The paper's α = 1e-4 would hide the neighbours: 0.5 shows them.
        Case("α = 0.5", "LocalResponseNorm", randn((2, 7, 3, 4)), (5,), {"alpha": 0.5}),
        Case("a window of 3", "LocalResponseNorm", randn((2, 7, 3, 4)), (3,), {"alpha": 0.5}),
        Case("an even window", "LocalResponseNorm", randn((2, 7, 3, 4)), (4,), {"alpha": 0.5}),
        Case("fewer channels than the window", "LocalResponseNorm", randn((2, 3, 4, 5)), (9,),
             {"alpha": 0.5}),
        Case("β = 0.5 and k = 1", "LocalResponseNorm", randn((2, 7, 3, 4)), (5,),
             {"alpha": 0.5, "beta": 0.5, "k": 1.0}),
        Case("a batch of one", "LocalResponseNorm", randn((1, 7, 3, 4)), (5,), {"alpha": 0.5}),
        Case("everything at once", "LocalResponseNorm", randn((3, 5, 2, 4)), (2,),
             {"alpha": 0.7, "beta": 1.3, "k": 0.6}),
    ),
    classics=(
        Classic("LocalResponseNorm", DividedBySize, "α was divided by the window's size: in the "
                                                    "paper it is not"),
        Classic("LocalResponseNorm", Alone, "s_i holds the square of a_i only: its neighbours "
                                            "belong to it too"),
        Classic("LocalResponseNorm", LeaningForwards, "an even window leans to the wrong side: "
                                                      "count the channels before i and after it"),
        Classic("LocalResponseNorm", Multiplied, "a was multiplied by s^β: look at the sign of "
                                                 "the exponent"),
    ),
    hints=(
        "Take three channels at one pixel, with a window of three, and make the middle one a "
        "little larger. Which of the three outputs change? The middle one changes for two "
        "reasons: it stands in the numerator, and its own square is in its own sum. What about "
        "the first and the third? They were not touched, but their windows contain the middle "
        "channel, so their sums grow, and they shrink. So one number of a reaches the loss along "
        "several paths: one direct path, and one through each s whose window contains it. The "
        "gradient is the sum over all these paths. It helps to treat s as a layer of its own: "
        "what is the gradient of the loss with respect to s_i, and how does it go on from s_i to "
        "each a_j?",

        "Several stalls of a market share a square. What a stall sells depends on its own goods, "
        "and on the noise around it, to which every stall close by adds its part. If one stall "
        "becomes louder, it sells differently itself, and so does every neighbour that hears it. "
        "To know what a little more volume at one stall does to the total sales, add its own "
        "direct effect to its effect on the noise at every stall that hears it, times what noise "
        "costs that stall. Mind who hears whom. I must ask all stalls in whose surroundings I "
        "am, which need not be the stalls in my own surroundings: if everybody hears two to the "
        "left and one to the right, then I am heard by one on my left and two on my right.",

        "Forward: compute s for all channels, and b from a and s. Remember a and s. Backward, in "
        "three steps. First the direct path: hold s fixed; then b_i is a_i times a constant, and "
        "this gives the first part of da. Second, the gradient with respect to s_i: hold a_i "
        "fixed and differentiate the power of s; the exponent comes to the front, with its sign, "
        "and then decreases by one. Multiply by a_i and by db_i. Third, from s_i to its channels: "
        "the derivative of α·a_j² is taken for every j in the window of i, and all contributions "
        "to the same a_j add up. The simplest way to get the windows right is to walk over i "
        "and its j as forward did, and to give each j its part.",
    ),
)
