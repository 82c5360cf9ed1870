"""columns — im2col and col2im, plain: given to the exercise conv2d, asked for by the two others.

    columns = im2col(x, kernel, stride, padding)                (C·KH·KW, N·OH·OW)
    dx      = col2im(columns, x.shape, kernel, stride, padding) (N, C, H, W)

Column n·OH·OW + i·OW + j is the patch that output pixel (n,i,j) sees; row c·KH·KW + u·KW + v
is tap (u,v) of channel c. im2col copies x[n, c, i·s+u−p, j·s+v−p] there, or 0 where the patch
lies on the padding; col2im is its transpose and adds every entry back to the pixel that it
would be copied from. kernel, stride and padding are pairs (vertical, horizontal).

The library convolves with scratchnet/convolution/im2col.py, which never makes all columns at
once; this file is for reading and for exercises.
"""
from collections.abc import Iterator
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.convolution import output_size

Pair = tuple[int, int]


def im2col(x: Any, kernel: Pair, stride: Pair, padding: Pair) -> Any:
    """Copy every patch of x (N, C, H, W) into a column, (C·KH·KW, N·OH·OW).

    Raises ValueError if no window fits on the padded image.
    """
    xp, (N, C, H, W), (KH, KW), (ph, pw) = xp_of(x), x.shape, kernel, padding
    OH, OW = _windows((H, W), kernel, stride, padding)
    padded = xp.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    columns = xp.empty((C, KH, KW, N, OH, OW), dtype=x.dtype)
    for u, v, rows, cols in _taps(kernel, stride, (OH, OW)):
        columns[:, u, v] = padded[:, :, rows, cols].swapaxes(0, 1)      # (C, N, OH, OW)
    return columns.reshape(C * KH * KW, N * OH * OW)


def col2im(columns: Any, x_shape: tuple[int, int, int, int], kernel: Pair, stride: Pair,
           padding: Pair) -> Any:
    """Add every entry of columns (C·KH·KW, N·OH·OW) to the pixel it belongs to, (N, C, H, W).

    Raises ValueError if no window fits on the padded image.
    """
    xp, (N, C, H, W), (KH, KW), (ph, pw) = xp_of(columns), x_shape, kernel, padding
    OH, OW = _windows((H, W), kernel, stride, padding)
    columns = columns.reshape(C, KH, KW, N, OH, OW)
    padded = xp.zeros((N, C, H + 2 * ph, W + 2 * pw), dtype=columns.dtype)
    for u, v, rows, cols in _taps(kernel, stride, (OH, OW)):
        padded[:, :, rows, cols] += columns[:, u, v].swapaxes(0, 1)
    return padded[:, :, ph:ph + H, pw:pw + W]


def _windows(size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> tuple[int, ...]:
    """(OH, OW)."""
    windows = tuple(map(output_size, size, kernel, stride, padding))
    if min(windows) < 1:
        raise ValueError(f"im2col and col2im expect a kernel that fits on the image; got "
                         f"{kernel} on {size} with padding {padding}: use larger images, more "
                         f"padding or a smaller kernel")
    return windows


def _taps(kernel: Pair, stride: Pair, windows: tuple[int, ...]) -> Iterator[tuple]:
    """Yield (u, v, rows, cols): the pixels of the padded image that tap (u, v) sees, as slices."""
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            yield (u, v, *(slice(tap, tap + s * n, s)
                           for tap, s, n in zip((u, v), stride, windows, strict=True)))
