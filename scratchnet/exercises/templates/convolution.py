"""convolution — every output pixel is a dot product between a filter and a patch.

Write conv2d by its definition. Loops are welcome: this one has to be right, not fast.

    y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·s + u − p, j·s + v − p]

    s  stride      how far the filter moves from one output pixel to the next
    p  padding     pixels of 0 around the image, on all four sides: x is 0 outside

Shapes      x (N, C, H, W)    w (O, C, KH, KW)    b (O,)    y (N, O, OH, OW)
            OH = ⌊(H + 2·p − KH) / s⌋ + 1,    OW = ⌊(W + 2·p − KW) / s⌋ + 1
            (pixels beyond the last whole step are seen by no filter)
Rules       the filter is not flipped: tap (0,0) lies on the patch's upper left pixel.
            New arrays have x's dtype: np.zeros(shape, dtype=x.dtype). Never write into x, w or b.

Worked example: one image, one channel, one filter, s = 1, p = 0, b = [0.5]

    x = [1  2  3]       w = [  1    10]       y = [5421.5   6532.5]
        [4  5  6]           [100  1000]

The same with s = 2 and p = 1; the padding is drawn as 0:

    0  0  0  0  0       y = [1000.5   3200.5]
    0  1  2  3  0           [  40.5     65.5]
    0  4  5  6  0
    0  0  0  0  0
"""


def conv2d(x, w, b, stride, padding):
    """Return y (N, O, OH, OW); stride and padding are numbers."""
    raise NotImplementedError("convolution: write conv2d")
