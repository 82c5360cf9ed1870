"""col2im — the way back from columns to images: every copy returns to its pixel.

im2col copies the patches of x into columns,

    columns[c·KH·KW + u·KW + v,  n·OH·OW + i·OW + j]  =  x[n, c, i·sh + u − ph, j·sw + v − pw]

or 0 where that pixel lies outside the image. Backward knows the gradient of the loss with respect
to every entry of columns, and wants it with respect to x. Write col2im, which does that: it is not
the inverse of im2col, but its transpose. Where patches overlap, a pixel was copied several times;
what does the chain rule say then? What becomes of the entries that came from the padding, and of
pixels that were never copied?

    sh, sw  stride      ph, pw  padding      KH, KW  kernel

Shapes      columns (C·KH·KW, N·OH·OW)  →  dx (N, C, H, W) = x_shape
            OH = ⌊(H + 2·ph − KH) / sh⌋ + 1,    OW = ⌊(W + 2·pw − KW) / sw⌋ + 1
Rules       kernel, stride and padding are pairs, (vertical, horizontal). Keep the dtype of
            columns, and never write into them.

Worked example: one image of 1×1×3, kernel (1, 2), stride (1, 1); x's columns are on the left

    x = [a  b  c]       im2col: [a  b]      columns = [1  10]       dx = [1  12  20]
                                [b  c]                [2  20]

With padding (0, 1), there are two more patches, and two entries of columns lie on the padding:

    columns = [1  10  100  1000]        dx = [2+10  20+100  200+1000] = [12  120  1200]
              [2  20  200  2000]
"""


def col2im(columns, x_shape, kernel, stride, padding):
    """Return dx, of shape x_shape, from columns (C·KH·KW, N·OH·OW)."""
    raise NotImplementedError("col2im: write col2im")
