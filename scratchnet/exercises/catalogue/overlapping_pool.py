"""overlapping_pool — the pooling of AlexNet: a pixel may win in several windows."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import MaxPool2d


def negative(*shape):
    """A `draw` of numbers between −2 and −1."""
    return lambda rng: (-1 - rng.random(shape),)


class Minimum(MaxPool2d):
    def forward(self, x):
        return -super().forward(-x)


class PaddedWithZeros(MaxPool2d):
    def forward(self, x):
        (p, q), (K, L), (s, t) = self.padding, self.kernel_size, self.stride
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)))
        return MaxPool2d((K, L), (s, t)).forward(padded)


class NotPadded(MaxPool2d):
    def __init__(self, kernel_size, stride, padding=0):
        super().__init__(kernel_size, stride)


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
    name="overlapping_pool",
    title="Overlapping pooling: windows of 3×3, two pixels apart",
    reference={"MaxPool2d": MaxPool2d},
    cases=(
        Case("a kernel of 3 and a stride of 2", "MaxPool2d", randn((2, 3, 5, 7)), (3, 2)),
        Case("a stride of 1", "MaxPool2d", randn((2, 3, 4, 6)), (3, 1)),
        Case("padding", "MaxPool2d", randn((2, 3, 5, 7)), (3, 2), {"padding": 1}),
        Case("padding around negative numbers", "MaxPool2d", negative(2, 3, 5, 7), (3, 2),
             {"padding": 1}),
        Case("border pixels that no window sees", "MaxPool2d", randn((2, 3, 6, 8)), (3, 2)),
        Case("windows that do not overlap", "MaxPool2d", randn((2, 3, 4, 6)), (2, 2)),
        Case("a batch of one", "MaxPool2d", randn((1, 3, 5, 7)), (3, 2)),
        Case("everything at once", "MaxPool2d", negative(2, 3, 7, 11), (5, 3), {"padding": 2}),
    ),
    classics=(
        Classic("MaxPool2d", PaddedWithZeros, "at the border, negative maxima came out as 0: ask "
                                              "what the border is filled with"),
        Classic("MaxPool2d", NotPadded, "the padding is ignored: the windows begin on the image "
                                        "itself, not on its border"),
        Classic("MaxPool2d", Minimum, "the smallest number of each window came out"),
        Classic("MaxPool2d", RoundedUp, "the last windows hang over the end: OH and OW are rounded "
                                        "down, only whole windows count"),
        Classic("MaxPool2d", OverChannels, "the maximum runs over all channels too: each channel "
                                           "is pooled on its own"),
        Classic("MaxPool2d", OverEverything, "the maximum runs over all images and channels too: "
                                             "each channel of each image is pooled on its own"),
    ),
    hints=(
        "In AlexNet the windows are three pixels wide and begin two pixels apart, so the third "
        "column of one window is the first column of the next. Suppose that the largest number of "
        "both windows lies in that shared column, at the very same pixel. Two outputs then show "
        "the same number. If this pixel grows by a thousandth, by how much does each of the two "
        "outputs grow? The loss depends on both. What, then, is the derivative of the loss with "
        "respect to the pixel, if 10 arrives for the first output and 20 for the second? Follow "
        "your program through both windows and see what it has stored at this pixel after the "
        "first, and after the second. A second question: what must a border be filled with, so "
        "that it never wins?",

        "A musician plays in two bands, and each band pays for the evening. What the musician "
        "takes home is the sum of both payments. Somebody who keeps the accounts by writing "
        "each payment into the box beside the name, over what stood there, loses the first; "
        "somebody who adds to the box keeps the books right. Each pixel of x is such a musician: "
        "every window that chose it pays it one number of dy. The border is another matter. A "
        "border of zeros would win against −4 and −2, and an output 0 would appear that is "
        "nowhere in the image. The border must lose against every number there is. As it never "
        "wins, nothing is ever paid to it, and cutting it off at the end loses nothing.",

        "Forward: put p rows and columns of −∞ on all four sides, and compute OH and OW from "
        "the padded size. For each output pixel cut out the window of the padded image, whose "
        "corner is i·s, j·s; take its maximum, and the position of the maximum in reading order. "
        "Remember the positions, and the shape of x without border. Backward: make an array of "
        "zeros as large as the padded image. For each output pixel turn the position back into a "
        "row and a column of the padded image. Add the number of dy to what already stands "
        "there, for each image and channel at its own place. When all windows are done, cut the "
        "border off: of each axis keep the H, or W, pixels that come after the first p. Write "
        "that slice so that it is right for p = 0 too.",
    ),
)
