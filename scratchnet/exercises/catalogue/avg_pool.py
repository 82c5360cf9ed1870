"""avg_pool — every pixel of a window has an equal part in its mean, and in its gradient."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import AvgPool2d, MaxPool2d


class Sum(AvgPool2d):
    def forward(self, x):
        K, L = self.kernel_size
        options = {"padding": self.padding}
        return AvgPool2d(self.kernel_size, self.stride, **options).forward(x) * (K * L)


class Maximum(MaxPool2d):
    def __init__(self, kernel_size, stride, padding=0, count_include_pad=True):
        super().__init__(kernel_size, stride, padding)


class AlwaysCounted(AvgPool2d):
    def __init__(self, kernel_size, stride, padding=0, count_include_pad=True):
        super().__init__(kernel_size, stride, padding)


class NeverCounted(AvgPool2d):
    def __init__(self, kernel_size, stride, padding=0, count_include_pad=True):
        super().__init__(kernel_size, stride, padding, count_include_pad=False)


class NotPadded(AvgPool2d):
    def __init__(self, kernel_size, stride, padding=0, count_include_pad=True):
        super().__init__(kernel_size, stride)


class RoundedUp(AvgPool2d):
    """Windows that hang over the end; the mean of what there is of them."""

    def forward(self, x):
        (p, _), (K, _), (s, _) = self.padding, self.kernel_size, self.stride
        ends = [(0, -(size + 2 * p - K) % s) for size in x.shape[2:]]
        inside = np.pad(np.ones(x.shape), ((0, 0), (0, 0), (p, p), (p, p)),
                        constant_values=self.count_include_pad)
        x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        whole = AvgPool2d(K, s)
        return (whole.forward(np.pad(x, ((0, 0), (0, 0), *ends)))
                / whole.forward(np.pad(inside, ((0, 0), (0, 0), *ends))))


EXERCISE = Exercise(
    name="avg_pool",
    title="Average pooling: the mean of each window",
    reference={"AvgPool2d": AvgPool2d},
    cases=(
        Case("windows side by side", "AvgPool2d", randn((2, 3, 4, 6)), (2, 2)),
        Case("overlapping windows", "AvgPool2d", randn((2, 3, 5, 7)), (3, 2)),
        Case("padding", "AvgPool2d", randn((2, 3, 5, 8)), (3, 3), {"padding": 1}),
        Case("padding that is not counted", "AvgPool2d", randn((2, 3, 5, 8)), (3, 3),
             {"padding": 1, "count_include_pad": False}),
        Case("border pixels that no window sees", "AvgPool2d", randn((2, 3, 5, 7)), (2, 2)),
        Case("a batch of one", "AvgPool2d", randn((1, 3, 4, 6)), (2, 2)),
        Case("everything at once", "AvgPool2d", randn((2, 3, 7, 11)), (5, 3),
             {"padding": 2, "count_include_pad": False}),
    ),
    classics=(
        Classic("AvgPool2d", Sum, "the sum of each window came out, not its mean"),
        Classic("AvgPool2d", Maximum, "the maximum of each window came out, not its mean"),
        Classic("AvgPool2d", NotPadded, "the padding is ignored: the windows begin on the image "
                                        "itself, not on its border"),
        Classic("AvgPool2d", RoundedUp, "the last windows hang over the end: OH and OW are rounded "
                                        "down, only whole windows count"),
        Classic("AvgPool2d", AlwaysCounted, "count_include_pad=False makes no difference: there, "
                                            "windows at the border have fewer pixels to count"),
        Classic("AvgPool2d", NeverCounted, "the padding is never counted: with "
                                           "count_include_pad=True it is"),
    ),
    hints=(
        "A window holds the numbers 3, 5, 6 and 10; their mean is 6. Add 4 to the 10: what is the "
        "mean now? Add 4 to the 3 instead: what is it then? Does the answer depend on which "
        "pixel was changed, or on how large it was? So what is the derivative of the mean with "
        "respect to each of its pixels? Now suppose that 12 arrives from above for this output: "
        "how much of it does each pixel get, and what is the sum of what they get? A pixel that "
        "lies in several windows gets something from each of them. And where a window hangs over "
        "the border, by what number did forward divide there? Backward has to divide by the same "
        "one.",

        "Four people share a taxi and each pays a quarter of 20 francs. If the fare had been 24 "
        "francs, each would pay a franc more; nobody pays for another, and it does not matter who "
        "got in first. Somebody who took two taxis that evening pays two shares, one for each "
        "ride. If a seat was empty, there are two ways to settle: by seats (each still pays a "
        "quarter, and the empty seat's share is lost) or by persons (each pays a third). That is "
        "count_include_pad. The number of shares is a property of the ride, not of the person: it "
        "is one number for each output pixel, the same for all images and channels, and it is "
        "settled in forward. Backward must share out by that same number.",

        "Forward: put p rows and columns of zeros on all four sides. For each output pixel, cut "
        "out the window of the padded image, add up its numbers, and divide by m. To know m, one "
        "can make a second image of the same size that is 1 where a pixel counts and 0 where it "
        "does not, and add up the same window of it. Remember m for all output pixels, and the "
        "shape of x. Backward: divide dy by m. Make an array of zeros as large as the padded "
        "image. For each output pixel, add its share to all K·K pixels of its window, on top of "
        "what other windows have left there. At the end cut off the border, with a slice that is "
        "right for p = 0 too.",
    ),
)
