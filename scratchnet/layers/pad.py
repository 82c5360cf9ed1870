"""ZeroPad2d — a frame of zeros, whose four sides may differ.

With l, r, t, b the numbers of columns and rows added left, right, top and bottom:

    forward     y[n,c,i,j] = x[n, c, i−t, j−l]  inside the image, 0 on the frame
    backward    dx[n,c,i,j] = dy[n, c, i+t, j+l]            the frame is a constant: its
                                                            gradient goes nowhere

A negative side cuts rows or columns off instead; what is cut off gets the gradient 0. At
least one pixel must remain.

Conv2d's own padding is the same on both sides. TensorFlow's "SAME" with stride 2 is not: an
even image gets its odd row below and its odd column on the right. To shift a window by one
pixel, pad (1, 0, 1, 0), convolve or pool with symmetric padding, and cut (−1, 0, −1, 0).

Shapes:  x (N, C, H, W) → y (N, C, t + H + b, l + W + r)
"""
from numbers import Integral
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Layer, expect


class ZeroPad2d(Layer):
    """(N, C, H, W) → (N, C, t+H+b, l+W+r), floating point; padding is (left, right, top, bottom),
    or one number for all four, as in PyTorch; negative numbers cut off.

    Raises ValueError for a padding that is neither, and for images it would cut off whole.
    """

    def __init__(self, padding: int | tuple[int, int, int, int]):
        sides = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * 4
        if len(sides) != 4 or not all(
                isinstance(side, Integral) and not isinstance(side, bool) for side in sides):
            raise ValueError(f"ZeroPad2d: padding is (left, right, top, bottom), four integers, "
                             f"or one for all sides; got {padding!r}")
        self.padding = tuple(map(int, sides))

    def forward(self, x: Any) -> Any:
        expect(self, x, "N", "C", "H", "W")
        (_, _, H, W), (left, right, top, bottom) = x.shape, self.padding
        if H + min(0, top) + min(0, bottom) < 1 or W + min(0, left) + min(0, right) < 1:
            raise ValueError(f"{self} leaves nothing of images of {H}×{W}: cut less off")
        y = xp_of(x).zeros(x.shape[:2] + (H + top + bottom, W + left + right), dtype=x.dtype)
        y[self._kept(y.shape, 1)] = x[self._kept(x.shape, -1)]
        self.remember(x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x_shape, = self.recall(dy)
        dx = xp_of(dy).zeros(x_shape, dtype=dy.dtype)
        dx[self._kept(x_shape, -1)] = dy[self._kept(dy.shape, 1)]
        return dx

    def _kept(self, shape: tuple, sign: int) -> tuple:
        """Where the pixels that both x and y have lie: in y (sign 1), in x (sign −1)."""
        left, right, top, bottom = (max(0, sign * side) for side in self.padding)
        return ..., slice(top, shape[2] - bottom), slice(left, shape[3] - right)

    def __repr__(self) -> str:
        return f"ZeroPad2d{self.padding}"
