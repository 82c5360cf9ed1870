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

The maximum of a window is the maximum of its rows' maxima, so it is found in two passes, along
the rows and then down the columns: KW + KH comparisons, not KW · KH. What is remembered is who won
in each pass, a byte each (four where the kernel is larger than 256). The first winner of the first
row that has the maximum is the first in reading order. (Inside no_grad nobody asks who won, and the
columns come first.) Where NaN is in a window, y is NaN, and dy goes to the pixel that had won
before it, or to the first.

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
from scratchnet.convolution import inside, output_size, pair, short
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
        OH, OW = self._output_shape(x)
        if kernels.serve(x):
            y, winner = kernels.max_pool(x, *self._window, (OH, OW))
            self.remember(None, winner, x.shape, y=y)
            return y
        xp, (N, C, H, W) = xp_of(x), x.shape
        y = empty(xp, (N, C, OH, OW), x.dtype)
        row_winner = winner = None
        if will_remember():
            tap = np.uint8 if max(self.kernel_size) <= 256 else np.int32
            row_winner = empty(xp, (N, C, H, OW), tap)      # of each piece of a row
            winner = empty(xp, (N, C, OH, OW), tap)         # which of the rows

        def forward(*part: slice) -> None:                  # a few images, or channels of one
            x_n, y_n = x[part], y[part]
            if winner is None:                              # columns first: whole rows at a time
                columns = empty(xp, (*x_n.shape[:2], OH, W), x.dtype)
                self._largest(x_n.swapaxes(-1, -2), columns.swapaxes(-1, -2), axis=0)
                self._largest(columns, y_n, axis=1)
            else:
                rows = empty(xp, (*x_n.shape[:3], OW), x.dtype)
                self._maximum(x_n, rows, row_winner[part], axis=1)
                self._maximum(*(a.swapaxes(-1, -2) for a in (rows, y_n, winner[part])), axis=0)

        in_planes(forward, x, 9)
        self.remember(row_winner, winner, x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        row_winner, winner, x_shape = self.recall(dy)
        if row_winner is None:
            return kernels.max_pool_backward(dy, winner, *self._window, x_shape)
        xp = xp_of(dy)
        dx = empty(xp, x_shape, dy.dtype)

        def backward(*part: slice) -> None:
            drows = empty(xp, row_winner[part].shape, dy.dtype)
            drows[...], dx[part] = 0, 0
            self._spread(*(a.swapaxes(-1, -2) for a in (dy[part], drows, winner[part])), axis=0)
            self._spread(drows, dx[part], row_winner[part], axis=1)

        in_planes(backward, dx, 9)
        return dx

    def _maximum(self, x: Any, y: Any, winner: Any, axis: int) -> None:
        """y[…, j] = max_v x[…, j·s + v − p], and winner[…, j] = the first v that has it."""
        xp = xp_of(x)
        y[...], winner[...] = -np.inf, 0
        for v, outputs, pixels in self._along(axis, x.shape[-1], y.shape[-1]):
            x_v, y_v, winner_v = x[..., pixels], y[..., outputs], winner[..., outputs]
            winner[..., :outputs.start] = v + 1     # up to v they have seen padding only
            if v:                                   # v ascends: the largest is the last that won
                won = (x_v > y_v).view(np.uint8) * winner.dtype.type(v)
                xp.maximum(winner_v, won, out=winner_v)
            xp.maximum(y_v, x_v, out=y_v)

    def _largest(self, x: Any, y: Any, axis: int) -> None:
        """y[…, j] = max_v x[…, j·s + v − p], and nothing remembered."""
        xp, taps = xp_of(x), list(self._along(axis, x.shape[-1], y.shape[-1]))
        whole = [(v, pixels) for v, outputs, pixels in taps if outputs == slice(0, y.shape[-1])]
        if whole:                                   # taps that are pixels for every output
            (first, ones), (last, others) = whole[0], whole[-1]
            xp.maximum(x[..., ones], x[..., others], out=y)
        else:
            first = last = None
            y[...] = -np.inf
        for v, outputs, pixels in taps:
            if v not in (first, last):
                xp.maximum(y[..., outputs], x[..., pixels], out=y[..., outputs])

    def _spread(self, dy: Any, dx: Any, winner: Any, axis: int) -> None:
        """dx[…, j·s + v − p] += dy[…, j] where v is the winner."""
        for v, outputs, pixels in self._along(axis, dx.shape[-1], dy.shape[-1]):
            share = (winner[..., outputs] == v).astype(dy.dtype)
            share *= dy[..., outputs]
            dx[..., pixels] += share

    def _along(self, axis: int, size: int, outs: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield, for each tap along an axis, (tap, the outputs for which it is a real pixel,
        those pixels)."""
        for v in range(self.kernel_size[axis]):
            yield v, *inside(v, 0, outs, size, self.stride[axis], self.padding[axis])


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
