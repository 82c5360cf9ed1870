"""The solution of col2im, as a good student writes it."""
import numpy as np


def col2im(columns, x_shape, kernel, stride, padding):
    """Return dx, of shape x_shape, from columns (C·KH·KW, N·OH·OW)."""
    N, C, H, W = x_shape
    KH, KW = kernel
    sh, sw = stride
    ph, pw = padding
    OH = (H + 2 * ph - KH) // sh + 1
    OW = (W + 2 * pw - KW) // sw + 1

    dx = np.zeros((N, C, H + 2 * ph, W + 2 * pw), dtype=columns.dtype)
    column = 0
    for n in range(N):
        for i in range(OH):
            for j in range(OW):
                top, left = i * sh, j * sw
                patch = columns[:, column].reshape(C, KH, KW)
                dx[n, :, top:top + KH, left:left + KW] += patch
                column += 1
    return dx[:, :, ph:ph + H, pw:pw + W]
