"""Pooling — one number for each window: its maximum, or its mean.

A window of KH×KW taps starts at (i·s − p, j·s − p) for output pixel (i, j); each channel is
pooled on its own. With kernel > stride the windows overlap (AlexNet: kernel 3, stride 2).

    maximum     y[n,c,i,j] = max_{u,v} x[n, c, i·s+u−p, j·s+v−p]        padding is −∞

                ∂y/∂x is 1 for the pixel that won and 0 for the others, so dy goes to the
                winner. A pixel may win in several windows: its gradients ADD. If several
                pixels tie, the first in reading order wins, alone.

    mean        y[n,c,i,j] = 1/m · Σ_{u,v} x[n, c, i·s+u−p, j·s+v−p]    padding is 0

                ∂y/∂x = 1/m for each pixel of the window: dy/m goes to all of them, and adds
                up where windows overlap. m = KH·KW, padding counted, unless
                count_include_pad=False: then only real pixels count.

How the winners are found and written down: convolution/maximum.py. Where NaN is in a window, y is
NaN, and dy goes to the pixel that had won before it, or to the first.

Rounding: sizes are rounded down, OH = ⌊(H + 2p − KH)/s⌋ + 1, unless ceil_mode=True: then a
last incomplete window is taken too, if it starts on the image or on the padding before it.

Shapes:  x (N, C, H, W) → y (N, C, OH, OW)
Maximum: Ranzato, Huang, Boureau & LeCun, CVPR 2007; overlapping: Krizhevsky, Sutskever &
Hinton, NIPS 2012, section 3.4; mean over the whole image: Lin, Chen & Yan, ICLR 2014.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend import empty, in_planes, xp_of
from scratchnet.convolution import inside, maximum, output_size, pair, short
from scratchnet.layer import Layer, expect, will_remember


class _Pool2d(Layer):
    """What both poolings share: the windows."""

    def __init__(self, kernel_size: int | tuple[int, int],
                 stride: int | tuple[int, int] | None = None,
                 padding: int | tuple[int, int] = 0, ceil_mode: bool = False):
        name = type(self).__name__
        self.kernel_size = pair(kernel_size, f"{name}: kernel_size")
        self.stride = pair(kernel_size if stride is None else stride, f"{name}: stride")
        self.padding = pair(padding, f"{name}: padding", least=0)
        self.ceil_mode = _flag(ceil_mode, f"{name}: ceil_mode")
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"{name}: padding may be at most half the kernel, or a window "
                             f"would see nothing but padding; got padding={padding}, "
                             f"kernel_size={kernel_size}")

    settings = {
        "the plain setting": ((2,), {}, (2, 3, 6, 4)),
        "overlap": ((3, 2), {}, (2, 3, 7, 5)),
        "padding": ((3, 3), {"padding": 1}, (2, 3, 7, 4)),
        "pixels that no window sees": ((2, 3), {}, (2, 3, 8, 5)),
        "ceil_mode": ((2,), {"ceil_mode": True}, (2, 3, 5, 7)),
    }

    @property
    def _window(self) -> tuple[tuple, tuple, tuple]:
        return self.kernel_size, self.stride, self.padding

    def _output_shape(self, x: Any) -> tuple[int, int]:
        expect(self, x, "N", "C", "H", "W")
        shape = tuple(output_size(size, k, s, p, ceil_mode=self.ceil_mode) for size, k, s, p in
                      zip(x.shape[2:], self.kernel_size, self.stride, self.padding, strict=True))
        if min(shape) < 1:
            (H, W), (KH, KW) = x.shape[2:], self.kernel_size
            raise ValueError(f"{self} looks through a window of {KH}×{KW}; got images of "
                             f"{H}×{W}: too small. Use larger images, or less shrinking "
                             f"before this layer")
        return shape

    def _taps(self, size: tuple, out: tuple) -> Iterator[tuple[tuple, tuple]]:
        """Yield, for each tap of the window in reading order, (index into y, index into x):
        the outputs for which this tap is a real pixel, and those pixels."""
        for u in range(self.kernel_size[0]):
            out_i, in_i = inside(u, 0, out[0], size[0], self.stride[0], self.padding[0])
            for v in range(self.kernel_size[1]):
                out_j, in_j = inside(v, 0, out[1], size[1], self.stride[1], self.padding[1])
                yield (..., out_i, out_j), (..., in_i, in_j)

    def __repr__(self) -> str:
        text = f"kernel {short(self.kernel_size)}, stride {short(self.stride)}"
        text += f", padding {short(self.padding)}" if any(self.padding) else ""
        text += ", ceil_mode" if self.ceil_mode else ""
        return f"{type(self).__name__}({text})"


class MaxPool2d(_Pool2d):
    """(N, C, H, W) → (N, C, OH, OW): the maximum of each window; stride defaults to kernel_size.

    Raises ValueError where the image has no room for a window.
    """

    def forward(self, x: Any) -> Any:
        out, row_winner, winner = self._output_shape(x), None, None
        if kernels.serve(x):
            y, winner = kernels.max_pool(x, *self._window, out)
        elif will_remember():
            y, row_winner, winner = maximum.forward(x, *self._window, out)
        else:
            y = maximum.largest(x, *self._window, out)
        self.remember(row_winner, winner, x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        row_winner, winner, x_shape = self.recall(dy)
        if kernels.serve(dy):
            return kernels.max_pool_backward(dy, winner, *self._window, x_shape)
        return maximum.backward(dy, row_winner, winner, *self._window, x_shape)


class AvgPool2d(_Pool2d):
    """(N, C, H, W) → (N, C, OH, OW): the mean of each window; stride defaults to kernel_size.

    count_include_pad=False divides by the number of real pixels only.
    Raises ValueError where the image has no room for a window.
    """

    def __init__(self, kernel_size: int | tuple[int, int],
                 stride: int | tuple[int, int] | None = None,
                 padding: int | tuple[int, int] = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = _flag(count_include_pad, "AvgPool2d: count_include_pad")

    def forward(self, x: Any) -> Any:
        OH, OW = self._output_shape(x)
        xp = xp_of(x)
        share = xp.asarray(self._share(x.shape[2:], (OH, OW)), dtype=x.dtype)      # 1/m
        if kernels.serve(x):
            y = kernels.mean_pool(x, share, *self._window)
            self.remember(share, x.shape, y=y)
            return y
        y = empty(xp, x.shape[:2] + (OH, OW), x.dtype)
        taps = list(self._taps(x.shape[2:], (OH, OW)))

        def forward(*part: slice) -> None:              # a few images, or channels of one
            x_n, y_n = x[part], y[part]
            y_n[...] = 0
            for outputs, pixels in taps:
                y_n[outputs] += x_n[pixels]
            y_n *= share

        in_planes(forward, x, len(taps))
        self.remember(share, x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        share, x_shape = self.recall(dy)
        if kernels.serve(dy):
            return kernels.mean_pool_backward(dy, share, *self._window, x_shape)
        dx = empty(xp_of(dy), x_shape, dy.dtype)
        taps = list(self._taps(x_shape[2:], dy.shape[2:]))

        def backward(*part: slice) -> None:
            dx_n, dy_share = dx[part], dy[part] * share
            dx_n[...] = 0
            for outputs, pixels in taps:
                dx_n[pixels] += dy_share[outputs]

        in_planes(backward, dx, len(taps))
        return dx

    def _share(self, size: tuple, out: tuple) -> np.ndarray:
        """1/m for each output pixel, (OH, OW)."""
        along = []
        for n, outs, k, s, p in zip(size, out, self.kernel_size, self.stride, self.padding,
                                    strict=True):
            first = np.arange(outs) * s - p
            low, high = (-p, n + p) if self.count_include_pad else (0, n)
            along.append(np.minimum(first + k, high) - np.maximum(first, low))
        return 1 / np.outer(*along)


class AdaptiveAvgPool2d(Layer):
    """(N, C, H, W) → (N, C, OH, OW) for any H and W; 1 is the mean over the whole image.

    Output pixel i is the mean of rows ⌊i·H/OH⌋ … ⌈(i+1)·H/OH⌉ − 1 (and columns likewise), so
    windows may differ in size and overlap by a pixel. Backward: dy/m to each of them, added.
    """

    def __init__(self, output_size: int | tuple[int, int] = 1):
        self.output_size = pair(output_size, "AdaptiveAvgPool2d: output_size")

    def forward(self, x: Any) -> Any:
        expect(self, x, "N", "C", "H", "W")
        y = xp_of(x).empty(x.shape[:2] + self.output_size, dtype=x.dtype)
        for i, j, window in self._windows(x.shape):
            y[:, :, i, j] = x[window].mean(axis=(2, 3))
        self.remember(x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x_shape, = self.recall(dy)
        dx = xp_of(dy).zeros(x_shape, dtype=dy.dtype)
        for i, j, window in self._windows(x_shape):
            m = dx[window][0, 0].size
            dx[window] += (dy[:, :, i, j] / m)[:, :, None, None]
        return dx

    def _windows(self, x_shape: tuple) -> Iterator[tuple[int, int, tuple]]:
        (_, _, H, W), (OH, OW) = x_shape, self.output_size
        for i in range(OH):
            rows = slice(i * H // OH, -(-(i + 1) * H // OH))
            for j in range(OW):
                yield i, j, (slice(None), slice(None), rows,
                             slice(j * W // OW, -(-(j + 1) * W // OW)))

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2d({short(self.output_size)})"


def _flag(value: bool, name: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False; got {value!r} (there is no dilation "
                         f"before it)")
    return bool(value)
