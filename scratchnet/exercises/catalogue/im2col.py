"""im2col — patches as columns: the copying that makes convolution fast."""
import numpy as np

from scratchnet.exercises.columns import im2col
from scratchnet.exercises.spec import Case, Classic, Exercise


def axes(columns, x, kernel, stride, padding):
    """columns as (C, KH, KW, N, OH, OW)."""
    OH, OW = ((x.shape[2 + a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1))
    return columns.reshape(x.shape[1], *kernel, len(x), OH, OW)


# ── classic mistakes ─────────────────────────────────────────────────────────────────

def reordered(*order):
    """im2col with its six axes (c, u, v, n, i, j) in another order."""
    def wrong(x, *geometry):
        columns = im2col(x, *geometry)
        return axes(columns, x, *geometry).transpose(order).reshape(columns.shape)
    return wrong


def on_its_side(x, kernel, stride, padding):
    return im2col(x, kernel, stride, padding).T


def stride_ignored(x, kernel, stride, padding):
    _, _, _, _, OH, OW = axes(im2col(x, kernel, stride, padding), x, kernel, stride,
                              padding).shape
    all_windows = axes(im2col(x, kernel, (1, 1), padding), x, kernel, (1, 1), padding)
    return all_windows[..., :OH, :OW].reshape(x.shape[1] * kernel[0] * kernel[1], -1)


def edges_repeated(x, kernel, stride, padding):
    (ph, pw) = padding
    return im2col(np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), mode="edge"), kernel, stride,
                  (0, 0))


def first_image(x, kernel, stride, padding):
    return im2col(np.repeat(x[:1], len(x), axis=0), kernel, stride, padding)


def draw(shape, kernel, stride=(1, 1), padding=(0, 0)):
    return lambda rng: (rng.standard_normal(shape), kernel, stride, padding)


EXERCISE = Exercise(
    name="im2col",
    title="im2col: every patch a column",
    reference={"im2col": im2col},
    cases=(
        Case("one channel", "im2col", draw((1, 1, 4, 6), (3, 2))),
        Case("several channels", "im2col", draw((1, 5, 4, 6), (3, 2))),
        Case("a batch", "im2col", draw((3, 1, 4, 6), (3, 2))),
        Case("stride (2, 3)", "im2col", draw((1, 1, 7, 8), (3, 2), (2, 3))),
        Case("padding (1, 2)", "im2col", draw((1, 1, 4, 6), (3, 2), padding=(1, 2))),
        Case("pixels that no window sees", "im2col", draw((1, 1, 6, 9), (3, 2), (2, 2))),
        Case("everything at once", "im2col", draw((2, 3, 8, 11), (4, 3), (3, 2), (2, 1))),
    ),
    classics=(
        Classic("im2col", on_its_side, "the result lies on its side: a patch should be a column, "
                                       "not a row"),
        Classic("im2col", reordered(1, 2, 0, 3, 4, 5), "the rows are in the order (u,v,c): the "
                                                       "channel should come first, as in the "
                                                       "filters"),
        Classic("im2col", reordered(0, 2, 1, 3, 4, 5), "height and width of the patch are "
                                                       "swapped: rows should go (c,u,v)"),
        Classic("im2col", reordered(0, 1, 2, 4, 5, 3), "the columns are in the order (i,j,n): "
                                                       "all patches of one image should come "
                                                       "before the next image"),
        Classic("im2col", reordered(0, 1, 2, 3, 5, 4), "the patches go down the image first: "
                                                       "columns should go (n,i,j), along the "
                                                       "rows of the output"),
        Classic("im2col", stride_ignored, "the stride only changes the number of patches: the "
                                          "window itself moves by one pixel"),
        Classic("im2col", edges_repeated, "the padding repeats the image's edge: it should be 0"),
        Classic("im2col", first_image, "every patch comes from the first image"),
    ),
    hints=(
        "Before you copy anything, count: how many patches are there, and how many numbers does "
        "one hold? These are the two sides of the result; if yours has them the other way round, "
        "a patch lies in a row. Then choose one column, for instance the third. Which image does "
        "it come from, which row and which column of the output does it stand for, and where "
        "does its patch begin? Choose one row, too: which channel, and which place in the patch? "
        "There are two natural ways to fill the array, one column at a time or one row at a "
        "time. What would a loop run over in the first, and what in the second? Both give the "
        "same array; which has fewer steps for a small kernel on a large batch?",

        "Take an image with two channels of 3×3 and a kernel of 2×2. There are four patches, and "
        "each holds 2·2·2 = 8 numbers, so the result is 8 × 4. The first column holds the upper "
        "left corner of channel 0, its four pixels in reading order, and below them the same "
        "corner of channel 1. The second column holds the patch one step to the right. Looked at "
        "along a row, the picture is another: the first row holds the upper left pixel of each "
        "patch of channel 0, and together these are the image without its last row and column. "
        "So a row of the result is a piece of the image, shifted; with a stride of 2, every "
        "second pixel of it. A second image of the batch adds four more columns on the right.",

        "Compute the size of the output from the formula. Put a border of zeros around the "
        "images, above and below as the first padding says, left and right as the second. Make "
        "an array for the result with x's dtype. The plain way: three nested loops over images, "
        "output rows and output columns, in this order, and a counter for the column; inside, "
        "cut out the patch with all of its channels, flatten it, put it into the column, and "
        "raise the counter. The fast way: loop over the two indices of the kernel only, and for "
        "each take from the bordered images, with a step as large as the stride, all pixels that "
        "this tap meets; bring the channel axis to the front and store it. At the end, six axes "
        "become two. Begin with the plain way.",
    ),
)
