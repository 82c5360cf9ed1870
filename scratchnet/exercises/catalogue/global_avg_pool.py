"""global_avg_pool — the smallest backward with a division in it."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layer import Layer
from scratchnet.layers import AdaptiveAvgPool2d


class Sum(Layer):
    def forward(self, x):
        return x.sum(axis=(2, 3), keepdims=True)


class Maximum(Layer):
    def forward(self, x):
        return x.max(axis=(2, 3), keepdims=True)


class OneSide(Layer):
    def forward(self, x):
        return x.sum(axis=(2, 3), keepdims=True) / x.shape[2]


class BatchMean(Layer):
    def forward(self, x):
        mean = x.mean(axis=(0, 2, 3))
        return np.broadcast_to(mean[:, None, None], (*x.shape[:2], 1, 1))


EXERCISE = Exercise(
    name="global_avg_pool",
    title="Global average pooling: one number for each channel",
    reference={"GlobalAvgPool2d": AdaptiveAvgPool2d},
    cases=(
        Case("images of 4×6", "GlobalAvgPool2d", randn((2, 3, 4, 6))),
        Case("a larger image", "GlobalAvgPool2d", randn((2, 3, 7, 9))),
        Case("a single row", "GlobalAvgPool2d", randn((2, 3, 1, 5))),
        Case("a batch of one", "GlobalAvgPool2d", randn((1, 3, 4, 6))),
        Case("one channel", "GlobalAvgPool2d", randn((2, 1, 4, 6))),
        Case("everything at once", "GlobalAvgPool2d", randn((5, 7, 2, 3))),
    ),
    classics=(
        Classic("GlobalAvgPool2d", Sum, "the sum of each channel came out, not its mean"),
        Classic("GlobalAvgPool2d", Maximum, "the maximum of each channel came out, not its mean"),
        Classic("GlobalAvgPool2d", OneSide, "the sum of each channel was divided by its height "
                                            "only"),
        Classic("GlobalAvgPool2d", BatchMean, "the mean was taken over the batch too: each image "
                                              "has its own"),
    ),
    hints=(
        "A channel of 2×3 pixels has six numbers, and their mean is 4. Make one of them larger by "
        "6: what is the mean now? Does it matter which one you took, or how large it was? That is "
        "the derivative of y with respect to any of the six pixels. If 12 arrives for this y from "
        "the layer above, how much does each pixel receive, and what is the sum over the "
        "six? Now count for a whole batch: dy holds one number for each channel of each image, and "
        "dx must hold H·W numbers for each of them. Do different images, or different channels, "
        "have anything to do with one another? What does backward need to know about x: its "
        "numbers, or something smaller?",

        "The temperature of a day is the mean of twenty-four readings. If one reading had been "
        "12 degrees higher, the day would have been half a degree warmer, whichever the hour. So "
        "if the heating bill rises by 2 francs for each degree of the day's mean, each of the "
        "readings is answerable for a twenty-fourth of these 2 francs: a hot hour is not more "
        "answerable than a cold one. To share out the bill one need not know the readings, only "
        "how many there were. Had the thermometer been read four times, the share would be a "
        "quarter. In the layer a day is one channel of one image, a reading is a pixel, and the "
        "number of readings is H·W, which may be different for the next batch.",

        "Forward: take the mean over the two axes of the image, and keep these axes with length "
        "1, because y has the shape (N, C, 1, 1). Remember what is needed of x: its shape is "
        "enough. Backward: recall the shape and take H and W from it. Every pixel of dx "
        "receives its channel's number of dy, divided by the number of pixels, which is the "
        "product of height and width. As dy has two axes of length 1, NumPy repeats it along them "
        "by itself when it meets an array of x's shape. The result should be a new array of "
        "x's shape, and of dy's dtype: an array of ones or zeros made without a dtype is float64, "
        "and would turn a float32 gradient into float64.",
    ),
)
