"""max_pool — a layer whose backward is a choice: the gradient goes where the maximum was."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import AvgPool2d, MaxPool2d


def negative(*shape):
    """A `draw` of numbers between −2 and −1."""
    return lambda rng: (-1 - rng.random(shape),)


class NeverNegative(MaxPool2d):
    def forward(self, x):
        return np.maximum(super().forward(x), 0)


class Minimum(MaxPool2d):
    def forward(self, x):
        return -super().forward(-x)


class StrideIgnored(MaxPool2d):
    def __init__(self, kernel_size, stride):
        super().__init__(kernel_size, 1)
        self.out_stride = stride

    def forward(self, x):
        K, s = self.kernel_size[0], self.out_stride
        OH, OW = ((size - K) // s + 1 for size in x.shape[2:])
        return super().forward(x)[:, :, :OH, :OW]


class RoundedUp(MaxPool2d):
    """Windows that hang over the end; the maximum of what there is of them."""

    def forward(self, x):
        (p, _), (K, _), (s, _) = self.padding, self.kernel_size, self.stride
        ends = [(p, p + -(size + 2 * p - K) % s) for size in x.shape[2:]]
        padded = np.pad(x, ((0, 0), (0, 0), *ends), constant_values=-np.inf)
        return MaxPool2d(K, s).forward(padded)


class OverChannels(MaxPool2d):
    axes = (1,)

    def forward(self, x):
        y = super().forward(x)
        return np.broadcast_to(y.max(axis=self.axes, keepdims=True), y.shape)


class OverEverything(OverChannels):
    axes = (0, 1)


EXERCISE = Exercise(
    name="max_pool",
    title="Max pooling: the largest number of each window",
    reference={"MaxPool2d": MaxPool2d},
    cases=(
        Case("windows side by side", "MaxPool2d", randn((2, 3, 4, 6)), (2, 2)),
        Case("a larger kernel", "MaxPool2d", randn((2, 3, 6, 9)), (3, 3)),
        Case("a stride above the kernel size", "MaxPool2d", randn((2, 3, 5, 8)), (2, 3)),
        Case("border pixels that no window sees", "MaxPool2d", randn((2, 3, 5, 7)), (2, 2)),
        Case("negative numbers only", "MaxPool2d", negative(2, 3, 4, 6), (2, 2)),
        Case("a batch of one", "MaxPool2d", randn((1, 3, 4, 6)), (2, 2)),
        Case("everything at once", "MaxPool2d", randn((3, 2, 7, 11)), (3, 4)),
    ),
    classics=(
        Classic("MaxPool2d", NeverNegative, "a window of negative numbers came out as 0: look at "
                                            "the number that its pixels are first compared with"),
        Classic("MaxPool2d", AvgPool2d, "the mean of each window came out, not its maximum"),
        Classic("MaxPool2d", Minimum, "the smallest number of each window came out"),
        Classic("MaxPool2d", StrideIgnored, "each window begins one pixel after the one before: "
                                            "look at how the stride enters into its position"),
        Classic("MaxPool2d", RoundedUp, "the last windows hang over the end: OH and OW are rounded "
                                        "down, only whole windows count"),
        Classic("MaxPool2d", OverChannels, "the maximum runs over all channels too: each channel "
                                           "is pooled on its own"),
        Classic("MaxPool2d", OverEverything, "the maximum runs over all images and channels too: "
                                             "each channel of each image is pooled on its own"),
    ),
    hints=(
        "Take one window with four different numbers, 1, 7, 3 and 5. Its maximum is 7. Now add "
        "a thousandth to the 7: by how much does the output change? Add a thousandth to the 5 "
        "instead: what happens to the output then? The answers are the derivatives of the "
        "output with respect to each of the four pixels. Backward has to multiply them by dy, "
        "the gradient that arrives for this output. So which of the four pixels receives "
        "something, how much is it, and what do the other three receive? And at the time when "
        "backward runs, how can it still know which of the four it was? Forward saw all four "
        "numbers; backward sees only dy.",

        "Think of a competition in each of several schools. One pupil of each school is sent to "
        "the final, and later a prize comes back to the school. The school gives it whole to "
        "that pupil, and nothing to the others. To be able to do so, it must have written down "
        "a name on the day of the competition; the result alone, 9.3 seconds, does not say "
        "whose it was, since two pupils may have run the same time. In the layer, the school is "
        "a window and the prize is a number of dy. What forward writes down is not the value of "
        "the maximum but its place in the window: one whole number for each output pixel, from "
        "0 to K·K−1 if the pixels are counted in reading order. Keep it with self.remember.",

        "Forward: compute OH and OW and make room for the outputs, and for one place per output. "
        "Go over all output pixels with two loops. For each, cut the window out of all images "
        "and channels at once; its corner lies at i times the stride, j times the stride. Lay "
        "its rows end to end, so that a window is a line of K·K numbers. Take the maximum "
        "along that line and also its position. Remember the positions and x's shape. "
        "Backward: begin with zeros of x's shape. Go over the output pixels again. Turn each "
        "position back into a row and a column within the window, by division by K with "
        "remainder, and add the window's corner. At that pixel, separately for each image and "
        "channel, put the number from dy. All other pixels stay 0.",
    ),
)
