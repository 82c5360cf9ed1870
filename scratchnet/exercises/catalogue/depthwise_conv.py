"""depthwise_conv — MobileNet's convolution: one kernel for each channel."""
import numpy as np

from scratchnet import convolution
from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Conv2d


class DepthwiseConv2d(Conv2d):
    """The library's convolution with as many groups as channels."""

    def __init__(self, channels, kernel_size, stride=1, padding=0, *, rng=None):
        super().__init__(channels, channels, kernel_size, stride, padding, groups=channels, rng=rng)


class Flipped(DepthwiseConv2d):
    def forward(self, x):
        w = self.weight.value[:, :, ::-1, ::-1]
        return convolution.forward(x, w, self.geometry) + self.bias.value[:, None, None]


class FirstKernelForAll(DepthwiseConv2d):
    def forward(self, x):
        w = np.repeat(self.weight.value[:1], x.shape[1], axis=0)
        return convolution.forward(x, w, self.geometry) + self.bias.value[:, None, None]


class Summed(DepthwiseConv2d):
    """Σ over the channels, as an ordinary convolution has it."""

    def forward(self, x):
        b = self.bias.value[:, None, None]
        return np.repeat((super().forward(x) - b).sum(axis=1, keepdims=True), len(b), axis=1) + b


class NoBias(DepthwiseConv2d):
    def forward(self, x):
        return super().forward(x) - self.bias.value[:, None, None]


class NotPadded(DepthwiseConv2d):
    def __init__(self, channels, kernel_size, stride=1, padding=0):
        super().__init__(channels, kernel_size, stride)


EXERCISE = Exercise(
    name="depthwise_conv",
    title="Depthwise convolution: a kernel of its own for each channel",
    reference={"DepthwiseConv2d": DepthwiseConv2d},
    cases=(
        Case("a kernel of 3", "DepthwiseConv2d", randn((2, 3, 5, 7)), (3, 3)),
        Case("a kernel of 2", "DepthwiseConv2d", randn((2, 3, 5, 7)), (3, 2)),
        Case("a stride of 2", "DepthwiseConv2d", randn((2, 3, 5, 7)), (3, 3), {"stride": 2}),
        Case("padding", "DepthwiseConv2d", randn((2, 3, 5, 7)), (3, 3), {"padding": 1}),
        Case("border pixels that no window sees", "DepthwiseConv2d", randn((2, 3, 6, 8)), (3, 3),
             {"stride": 2}),
        Case("a batch of one", "DepthwiseConv2d", randn((1, 3, 5, 7)), (3, 3)),
        Case("one channel", "DepthwiseConv2d", randn((2, 1, 5, 7)), (1, 3)),
        Case("everything at once", "DepthwiseConv2d", randn((2, 3, 6, 8)), (3, 4),
             {"stride": 3, "padding": 1}),
    ),
    classics=(
        Classic("DepthwiseConv2d", Flipped, "the kernels are flipped: here w[c,0,0,0] meets the "
                                            "upper left pixel of the window"),
        Classic("DepthwiseConv2d", FirstKernelForAll, "every channel was convolved with the first "
                                                      "channel's kernel"),
        Classic("DepthwiseConv2d", Summed, "the channels were added up: here each stays by itself"),
        Classic("DepthwiseConv2d", NoBias, "the bias is missing"),
        Classic("DepthwiseConv2d", NotPadded, "the padding is ignored: the windows begin on the "
                                              "image itself, not on its border"),
    ),
    hints=(
        "Follow one product of forward's sum: a weight w[c,0,u,v] and a pixel of x meet, and the "
        "result goes into one pixel of y, in the same channel. What is the derivative of that y "
        "with respect to the weight, and with respect to the pixel? Each is the other one of "
        "the two. Now count. With how many pixels of x does this one weight meet during forward, "
        "over all images and output pixels? All of these meetings add up in its gradient. With how "
        "many weights does a pixel in the middle of the image meet, if K is 3 and the stride is 1? "
        "And if the stride is 2? All of those add up in dx. Which channels take part? In how many "
        "places does a bias take part?",

        "Lay a stencil with nine holes on a picture, and move it over the picture step by step. "
        "Rather than looking at one position and all nine holes, watch one hole through all "
        "positions: the upper left hole sees a copy of the picture, cut off at the right and at "
        "the bottom; the hole beside it sees a copy that is shifted by one pixel. With steps of "
        "two, each hole sees every second pixel. So forward is a sum of nine shifted pictures, "
        "each times one number for each channel. In that view backward is short. The gradient of "
        "a hole's number tells how well its shifted picture agrees with dy, multiplied and added "
        "up. And the pixels that a hole has seen receive dy times the hole's number, in the places "
        "where they were seen.",

        "Forward: put zeros around x. Begin with y = 0, loop over the K·K taps u and v, and for "
        "each cut a slice from the padded images: rows from u on, in steps of s, OH of them, and "
        "columns likewise. Multiply it by this tap of w, shaped so that it lies along the "
        "channels, and add to y. In the end add the bias. Remember the padded images. Backward: "
        "db is a sum of dy over all axes but one. Loop over the taps with the same slices. To the "
        "tap's gradient, add the sum of dy times the slice, over all axes but the channels. In a "
        "padded array of zeros for dx, add dy times the weight at the same slice; different taps "
        "see the same pixels, so adding matters. At the end cut the border off, in a way that is "
        "right for p = 0.",
    ),
)
