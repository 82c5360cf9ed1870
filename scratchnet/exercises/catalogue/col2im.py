"""col2im — the transpose of im2col: "copied to many places" becomes "added up from many"."""
import numpy as np

from scratchnet.exercises.columns import col2im, im2col
from scratchnet.exercises.spec import Case, Classic, Exercise


def windows(x_shape, kernel, stride, padding):
    """(OH, OW)."""
    return tuple((x_shape[2 + a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1))


def unpadded(x_shape, padding):
    """The shape of x with its padding, and padding (0, 0): for another way to crop."""
    N, C, H, W = x_shape
    return N, C, H + 2 * padding[0], W + 2 * padding[1]


# ── classic mistakes ─────────────────────────────────────────────────────────────────

def overwritten(columns, x_shape, kernel, stride, padding):
    """`=` for `+=`, patch after patch: the last one that saw a pixel wins."""
    (N, C, H, W), (KH, KW), (OH, OW) = x_shape, kernel, windows(x_shape, kernel, stride, padding)
    dx = np.zeros(unpadded(x_shape, padding), columns.dtype)
    patches = columns.reshape(C, KH, KW, N, OH, OW)
    for i in range(OH):
        for j in range(OW):
            top, left = i * stride[0], j * stride[1]
            dx[:, :, top:top + KH, left:left + KW] = patches[..., i, j].transpose(3, 0, 1, 2)
    return dx[:, :, padding[0]:padding[0] + H, padding[1]:padding[1] + W]


def overwritten_by_taps(columns, x_shape, kernel, stride, padding):
    """`=` for `+=`, tap after tap."""
    (N, C, H, W), (KH, KW), (OH, OW) = x_shape, kernel, windows(x_shape, kernel, stride, padding)
    dx = np.zeros(unpadded(x_shape, padding), columns.dtype)
    patches = columns.reshape(C, KH, KW, N, OH, OW)
    for u in range(KH):
        for v in range(KW):
            dx[:, :, u:u + stride[0] * OH:stride[0], v:v + stride[1] * OW:stride[1]] = \
                patches[:, u, v].swapaxes(0, 1)
    return dx[:, :, padding[0]:padding[0] + H, padding[1]:padding[1] + W]


def averaged(columns, x_shape, kernel, stride, padding):
    """The inverse of im2col: the mean of the copies."""
    copies = col2im(np.ones_like(columns), x_shape, kernel, stride, padding)
    return col2im(columns, x_shape, kernel, stride, padding) / np.maximum(copies, 1)


def cropped_from_the_corner(columns, x_shape, kernel, stride, padding):
    N, C, H, W = x_shape
    return col2im(columns, unpadded(x_shape, padding), kernel, stride, (0, 0))[:, :, :H, :W]


def not_cropped(columns, x_shape, kernel, stride, padding):
    return col2im(columns, unpadded(x_shape, padding), kernel, stride, (0, 0))


def crop_with_minus(columns, x_shape, kernel, stride, padding):
    (ph, pw), dx = padding, not_cropped(columns, x_shape, kernel, stride, padding)
    return dx[:, :, ph:-ph, pw:-pw]


def stride_ignored(columns, x_shape, kernel, stride, padding):
    OH, OW = windows(x_shape, kernel, stride, padding)
    N, C, H, W = x_shape
    near = N, C, OH + kernel[0] - 1, OW + kernel[1] - 1
    dx = np.zeros(unpadded(x_shape, padding), columns.dtype)
    dx[:, :, :near[2], :near[3]] = col2im(columns, near, kernel, (1, 1), (0, 0))
    return dx[:, :, padding[0]:padding[0] + H, padding[1]:padding[1] + W]


def reordered(*order):
    """col2im of columns whose axes (c, u, v, n, i, j) it takes to stand in another order."""
    def wrong(columns, x_shape, kernel, stride, padding):
        sizes = (x_shape[1], *kernel, x_shape[0],
                 *windows(x_shape, kernel, stride, padding))
        taken = columns.reshape([sizes[axis] for axis in order])
        return col2im(taken.transpose(np.argsort(order)).reshape(columns.shape), x_shape, kernel,
                      stride, padding)
    return wrong


def draw(x_shape, kernel, stride=(1, 1), padding=(0, 0)):
    def arguments(rng):
        shape = im2col(np.zeros(x_shape), kernel, stride, padding).shape
        return rng.standard_normal(shape), x_shape, kernel, stride, padding
    return arguments


EXERCISE = Exercise(
    name="col2im",
    title="col2im: every copy returns to its pixel",
    reference={"col2im": col2im},
    cases=(
        Case("windows side by side", "col2im", draw((1, 1, 6, 4), (3, 2), (3, 2))),
        Case("overlap", "col2im", draw((1, 1, 5, 6), (3, 2))),
        Case("several channels", "col2im", draw((1, 5, 6, 4), (3, 2), (3, 2))),
        Case("a batch", "col2im", draw((2, 1, 6, 8), (3, 2), (3, 2))),
        Case("padding (1, 2)", "col2im", draw((1, 1, 7, 8), (3, 2), (3, 2), (1, 2))),
        Case("pixels that no window sees", "col2im", draw((1, 1, 8, 5), (3, 2), (3, 2))),
        Case("everything at once", "col2im", draw((2, 3, 8, 11), (4, 3), (3, 2), (2, 1))),
    ),
    classics=(
        *(Classic("col2im", wrong, "where windows overlap, one overwrites the other: a pixel "
                                   "that was copied several times gets the sum (+=)")
          for wrong in (overwritten, overwritten_by_taps)),
        Classic("col2im", averaged, "where windows overlap, you take the mean: that undoes "
                                    "im2col, but a gradient is the sum over all copies"),
        Classic("col2im", cropped_from_the_corner, "the result is shifted: cut the padding off "
                                                   "on all four sides, not only below and on the "
                                                   "right"),
        Classic("col2im", not_cropped, "the padding is still there: dx has the shape of x"),
        Classic("col2im", crop_with_minus, "a slice that ends at −p is empty when p is 0: say "
                                           "where the image ends instead"),
        Classic("col2im", stride_ignored, "the windows lie one pixel apart: the stride says how "
                                          "far they are"),
        Classic("col2im", reordered(1, 2, 0, 3, 4, 5), "the rows are read as (u,v,c): im2col has "
                                                       "them as (c,u,v)"),
        Classic("col2im", reordered(0, 1, 2, 4, 5, 3), "the columns are read as (i,j,n): im2col "
                                                       "has them as (n,i,j)"),
        Classic("col2im", reordered(0, 1, 2, 3, 5, 4), "the columns are read down the image "
                                                       "first: im2col has them as (n,i,j)"),
    ),
    hints=(
        "Follow one pixel instead of one patch. Into which entries of columns did im2col copy "
        "it? In the middle of the image, with a kernel of 3×3 and a stride of 1, there are nine "
        "of them, in nine different columns. If the pixel changes a little, all nine change with "
        "it, and the loss feels all nine. What does the chain rule do with nine ways on which "
        "one number reaches the loss? Now follow a pixel in a corner, and one that no window "
        "ever reaches because the stride steps over it. And last, an entry of columns that came "
        "from the padding: is there a pixel of x that could change it? Answer these four before "
        "you write the loop; the answers are all there is to this function.",

        "Suppose a row of three pixels is looked at by two windows of two. The pixel in the "
        "middle is in both of them: it is the right one of the first window and the left one of "
        "the second. If the first window asks for 5 from its right place and the second for 7 "
        "from its left place, the middle pixel gets 12. If you write 5 and then write 7 over it, "
        "the first window is forgotten; nobody notices in training, because the network still "
        "learns, only worse. The mean, 6, would be right if you wanted to restore the image from "
        "its copies, but this is a gradient. Written as a matrix, im2col has a 1 for each copy; "
        "the transposed matrix has the same ones, read the other way, and a row with two ones "
        "adds two numbers.",

        "Make an array of zeros that is larger than x_shape by the padding on all four sides, "
        "with the dtype of columns. Walk over the columns exactly as im2col does: images, then "
        "rows of the output, then columns of the output. For each, take the column, give it back "
        "its three axes, channel first, find the upper left corner of its window from i, j and "
        "the stride, and add it to this part of the array; adding is what makes overlaps right. "
        "At the end, cut the image out of the middle. Say where it begins and where it ends with "
        "the help of H and W, not by counting from the far end: with no padding, that would be "
        "an empty slice. What lies on the border is thrown away, since nothing of x was there.",
    ),
)
