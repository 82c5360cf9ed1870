"""The solution of im2col, as a good student writes it."""
import numpy as np


def im2col(x, kernel, stride, padding):
    """Return columns (C·KH·KW, N·OH·OW) of x (N, C, H, W)."""
    N, C, H, W = x.shape
    KH, KW = kernel
    sh, sw = stride
    ph, pw = padding
    OH = (H + 2 * ph - KH) // sh + 1
    OW = (W + 2 * pw - KW) // sw + 1

    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    columns = np.zeros((C * KH * KW, N * OH * OW), dtype=x.dtype)
    column = 0
    for n in range(N):
        for i in range(OH):
            for j in range(OW):
                top, left = i * sh, j * sw
                columns[:, column] = x[n, :, top:top + KH, left:left + KW].ravel()
                column += 1
    return columns
