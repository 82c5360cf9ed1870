"""convolution — the definition, as loops: what everything faster must equal."""
import numpy as np

from scratchnet import naive
from scratchnet.exercises.spec import Case, Classic, Exercise


def conv2d(x, w, b, stride, padding):
    """The plain loops of scratchnet/naive.py, with one stride and one padding for both axes."""
    return naive.conv2d(x, w, b, (stride, stride), (padding, padding))


# ── classic mistakes ─────────────────────────────────────────────────────────────────

def flipped(x, w, b, stride, padding):
    return conv2d(x, w[:, :, ::-1, ::-1], b, stride, padding)


def no_bias(x, w, b, stride, padding):
    return conv2d(x, w, 0 * b, stride, padding)


def bias_everywhere(x, w, b, stride, padding):
    """b[o] added to every product instead of to their sum."""
    return conv2d(x, w, b * w[0].size, stride, padding)


def stride_ignored(x, w, b, stride, padding):
    y = conv2d(x, w, b, stride, padding)
    return conv2d(x, w, b, 1, padding)[:, :, :y.shape[2], :y.shape[3]]


def edges_repeated(x, w, b, stride, padding):
    p = padding
    return conv2d(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="edge"), w, b, stride, 0)


def first_channel(x, w, b, stride, padding):
    return conv2d(x[:, :1], w[:, :1], b, stride, padding)


def last_channel(x, w, b, stride, padding):
    return conv2d(x[:, -1:], w[:, -1:], b, stride, padding)


def last_row_missing(x, w, b, stride, padding):
    y = conv2d(x, w, b, stride, padding)
    y[:, :, -1] = 0
    return y


def padding_below(x, w, b, stride, padding):
    """All of the padding after the image, none before it."""
    p = padding
    return conv2d(np.pad(x, ((0, 0), (0, 0), (0, 2 * p), (0, 2 * p))), w, b, stride, 0)


def not_padded(x, w, b, stride, padding):
    return conv2d(x, w, b, stride, 0)


def draw(N, C, H, W, O, KH, KW, stride=1, padding=0):
    def arguments(rng):
        return (rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C, KH, KW)),
                rng.standard_normal(O), stride, padding)
    return arguments


EXERCISE = Exercise(
    name="convolution",
    title="Convolution, by its definition",
    reference={"conv2d": conv2d},
    cases=(
        Case("a 2×3 kernel", "conv2d", draw(1, 1, 4, 5, 1, 2, 3)),
        Case("several channels and filters", "conv2d", draw(1, 3, 4, 5, 2, 2, 3)),
        Case("a batch", "conv2d", draw(2, 1, 4, 5, 1, 2, 3)),
        Case("stride 2", "conv2d", draw(1, 1, 6, 7, 1, 2, 3, stride=2)),
        Case("padding 2", "conv2d", draw(1, 1, 4, 5, 1, 2, 3, padding=2)),
        Case("pixels that no filter sees", "conv2d", draw(1, 1, 7, 6, 1, 2, 3, stride=2)),
        Case("everything at once", "conv2d", draw(2, 3, 6, 9, 4, 3, 2, stride=2, padding=1)),
    ),
    classics=(
        Classic("conv2d", flipped, "the filter is turned by 180°: tap (0,0) belongs to the upper "
                                   "left pixel of the patch"),
        Classic("conv2d", no_bias, "the bias is missing"),
        Classic("conv2d", bias_everywhere, "the bias is added once for each product: once for "
                                           "each output pixel is right"),
        Classic("conv2d", stride_ignored, "the stride only changes the size of y: the filter "
                                          "itself moves by one pixel"),
        Classic("conv2d", edges_repeated, "the padding repeats the image's edge: it should be 0"),
        Classic("conv2d", first_channel, "only the first channel counts: a filter sums over all "
                                         "of them"),
        Classic("conv2d", last_channel, "only the last channel counts: is something overwritten "
                                        "that should be added up?"),
        Classic("conv2d", last_row_missing, "the last row of y is never computed: count the "
                                            "windows along the height"),
        Classic("conv2d", padding_below, "the image is shifted: padding belongs on all four "
                                         "sides, not only below and on the right"),
        Classic("conv2d", not_padded, "the padding is ignored: the filter begins on the image "
                                      "itself, not on its border"),
    ),
    hints=(
        "Choose one output pixel, say the one in row 1 and column 2 of the first filter's map. "
        "Which pixels of the image does it look at? Draw the image with its border of zeros, "
        "lay the filter on it, and write the row and column of its upper left tap beside it. "
        "How does that corner move when the output pixel moves by one, and what does the border "
        "change about its numbers? Once you know the corner, the patch is a plain slice. Then "
        "ask how many numbers it holds if the image has three channels, how many the filter "
        "holds, and how the two become one number. Which of the four letters n, o, i and j does "
        "the patch depend on, and which does the filter depend on?",

        "Take an image of 5 columns with a border of 1, so 7 columns, a filter of width 3 and a "
        "stride of 2. The filter begins at column 0 of the bordered image, then at 2, then at 4; "
        "at 4 it covers 4, 5 and 6, the last column, and there is no room for another step. "
        "Three outputs, and the formula says so too: (5 + 2 − 3)/2 + 1. With a sixth column in "
        "the image there is still no room for a fourth output, and the last column of the border "
        "is looked at by nobody. In the bordered image no index is ever negative: the "
        "corner of output j is simply j times the stride. That is why it is easier to build the "
        "border first than to ask at every pixel whether it lies outside the image.",

        "Read N, C, H and W off x and O, KH and KW off w, and compute OH and OW with whole-number "
        "division. Make an array of zeros that is larger than x by the padding on all four "
        "sides, with x's dtype, and copy x into its middle; the border belongs to height and "
        "width only, not to images or channels. Make an empty y. Then four loops: images, "
        "filters, output rows, output columns. Inside, compute the corner, cut out the patch "
        "with all of its channels, multiply it with the filter, element by element, sum "
        "everything to one number, and add the filter's bias. Return y. Compare with the worked "
        "example: its weights are powers of ten, so each digit of y shows which pixel met which "
        "tap.",
    ),
)
