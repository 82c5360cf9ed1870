"""im2col — copy every patch into a column, so that a convolution becomes one matrix product.

Write im2col. It computes nothing, it only copies:

    columns[c·KH·KW + u·KW + v,  n·OH·OW + i·OW + j]  =  x[n, c, i·sh + u − ph, j·sw + v − pw]

and 0 where that pixel lies outside the image. So a column is what one output pixel (n,i,j) looks
at, flattened in the order channel, row, column; a row is what one weight (c,u,v) is multiplied
with. With the filters flattened to the rows of a matrix W, O × (C·KH·KW), W · columns is the
convolution.

    sh, sw  stride      ph, pw  padding, pixels of 0 on both sides      KH, KW  kernel

Shapes      x (N, C, H, W)  →  columns (C·KH·KW, N·OH·OW)
            OH = ⌊(H + 2·ph − KH) / sh⌋ + 1,    OW = ⌊(W + 2·pw − KW) / sw⌋ + 1
Rules       kernel, stride and padding are pairs, (vertical, horizontal). Keep the dtype of x, and
            never write into x.

Worked example: one image, one channel, kernel (2, 2), stride (1, 1), padding (0, 0)

    x = [1  2  3]       columns = [1  2]        1, 2, 4, 5: the left patch
        [4  5  6]                 [2  3]        2, 3, 5, 6: the right one
                                  [4  5]
                                  [5  6]
"""


def im2col(x, kernel, stride, padding):
    """Return columns (C·KH·KW, N·OH·OW) of x (N, C, H, W)."""
    raise NotImplementedError("im2col: write im2col")
