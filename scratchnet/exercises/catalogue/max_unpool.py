"""max_unpool — the places of the maxima, and the way back to them."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise
from scratchnet.layer import Layer


def max_pool(x: np.ndarray, kernel_size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """(y, switches): the maximum of each window, and r·W + q of the pixel that won."""
    u, v = _winner(x, kernel_size, stride)
    r = u + stride * np.arange(u.shape[2])[:, None]
    q = v + stride * np.arange(u.shape[3])
    switches = (r * x.shape[3] + q).astype(np.int64)
    return np.take_along_axis(_flat(x), _flat(switches), axis=2).reshape(u.shape), switches


def _winner(x: np.ndarray, kernel_size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Which tap (u, v) of each window won."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel_size, kernel_size), (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    tap = windows.reshape(*windows.shape[:4], -1).argmax(axis=4)
    return tap // kernel_size, tap % kernel_size


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:2], -1)


class MaxUnpool2d(Layer):
    """forward(y, switches): each number at the place that its switch names, added up there."""

    def __init__(self, size: tuple[int, int]):
        self.size = size

    def forward(self, y: Any, switches: Any) -> Any:
        x_hat = np.zeros((*y.shape[:2], *self.size), dtype=y.dtype)
        place = np.ogrid[:y.shape[0], :y.shape[1], :1]
        np.add.at(_flat(x_hat), (place[0], place[1], _flat(switches)), _flat(y))
        self.remember(switches, y=x_hat)
        return x_hat

    def backward(self, dx_hat: Any) -> Any:
        switches, = self.recall(dx_hat)
        dy = np.take_along_axis(_flat(dx_hat), _flat(switches), axis=2)
        return dy.reshape(switches.shape)


def _pooled(rng: np.random.Generator, shape: tuple, kernel_size: int, stride: int) -> tuple:
    """New numbers y, and the switches of a random image."""
    _, switches = max_pool(rng.standard_normal(shape), kernel_size, stride)
    return rng.standard_normal(switches.shape), switches


# ── known mistakes ───────────────────────────────────────────────────────────────────


def in_the_window(x: np.ndarray, kernel_size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    u, v = _winner(x, kernel_size, stride)
    return max_pool(x, kernel_size, stride)[0], u * kernel_size + v


def by_columns(x: np.ndarray, kernel_size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    y, switches = max_pool(x, kernel_size, stride)
    r, q = np.divmod(switches, x.shape[3])
    return y, q * x.shape[2] + r


def last_winner(x: np.ndarray, kernel_size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    H, W = x.shape[2:]
    end_h, end_w = ((n - kernel_size) // stride * stride + kernel_size for n in (H, W))
    turned = x[:, :, :end_h, :end_w][:, :, ::-1, ::-1]
    y, switches = max_pool(turned, kernel_size, stride)
    r, q = np.divmod(switches, end_w)
    switches = (end_h - 1 - r) * W + end_w - 1 - q
    return y[:, :, ::-1, ::-1], switches[:, :, ::-1, ::-1]


class Overwritten(MaxUnpool2d):
    def forward(self, y: Any, switches: Any) -> Any:
        x_hat = np.zeros((*y.shape[:2], *self.size), dtype=y.dtype)
        np.put_along_axis(_flat(x_hat), _flat(switches), _flat(y), axis=2)
        return x_hat


class ByColumns(MaxUnpool2d):
    def forward(self, y: Any, switches: Any) -> Any:
        H, W = self.size
        q, r = np.divmod(switches, H)
        return super().forward(y, r * W + q)


EXERCISE = Exercise(
    name="max_unpool",
    title="Switches and unpooling: put maxima back where they came from",
    reference={"max_pool": max_pool, "MaxUnpool2d": MaxUnpool2d},
    cases=(
        Case("windows side by side", "max_pool",
             lambda rng: (rng.standard_normal((2, 3, 4, 6)), 2, 2)),
        Case("windows that overlap", "max_pool",
             lambda rng: (rng.standard_normal((2, 3, 5, 7)), 3, 2)),
        Case("pixels that no window sees", "max_pool",
             lambda rng: (rng.standard_normal((1, 2, 6, 8)), 2, 3)),
        Case("numbers that tie", "max_pool",
             lambda rng: (rng.integers(-2, 2, (2, 3, 5, 7)).astype(np.float64), 3, 2)),
        Case("windows side by side", "MaxUnpool2d", lambda rng: _pooled(rng, (2, 3, 4, 6), 2, 2),
             ((4, 6),)),
        Case("windows that overlap", "MaxUnpool2d", lambda rng: _pooled(rng, (2, 3, 5, 7), 3, 1),
             ((5, 7),)),
        Case("pixels that no window sees", "MaxUnpool2d",
             lambda rng: _pooled(rng, (2, 3, 6, 8), 2, 3), ((6, 8),)),
        Case("everything at once", "MaxUnpool2d", lambda rng: _pooled(rng, (1, 2, 8, 6), 3, 2),
             ((8, 6),)),
    ),
    classics=(
        Classic("max_pool", in_the_window, "y is right, but the switches count within the window: "
                "they must name a place in the whole map"),
        Classic("max_pool", by_columns, "y is right, but the switches count down the columns: "
                "reading order goes along the rows"),
        Classic("max_pool", last_winner, "y is right, and so are the switches where nothing ties; "
                "where several pixels tie, the first in reading order wins"),
        Classic("MaxUnpool2d", Overwritten, "where several windows have the same switch, only the "
                "last number is left: they must be added"),
        Classic("MaxUnpool2d", ByColumns, "numbers stand in wrong places, as if switches "
                "counted down the columns: reading order goes along the rows"),
    ),
    hints=(
        "Max-pooling throws most of the image away. What must be noted down, besides the "
        "maximum, so that somebody with a blank map of the same size could put it back in "
        "exactly the right place? And does the place within its window suffice, if the blank map "
        "knows nothing of windows? Then think of unpooling as a layer like any other: it takes "
        "numbers, and the switches say where they go. Nothing is computed, numbers are only "
        "moved. If one number of y grows by a little, which number of the map grows, and by how "
        "much? So where does that number of y find its gradient? Lastly: what should happen if "
        "one pixel was the largest of two windows?",

        "A map of two rows and five columns, window 2, stride 1: four windows. If the pixel in "
        "row 1, column 2 is larger than all the others, the second and the third window both "
        "choose it. Counted in reading order, its place is 1·5 + 2 = 7, and both windows write "
        "down 7. Now unpool the numbers 20 and 30 with the switch 7 twice: the place gets 50. "
        "Suppose a gradient of 4 arrives at place 7. Moving the 20 by 0.1 moves the map there by "
        "0.1, and the loss by 0.4; moving the 30 does the same. So both numbers have gradient 4. "
        "You may have seen this scatter before: it is what max-pooling's own backward does with "
        "dy.",

        "max_pool: walk over the windows. Flatten each one, so that argmax gives the winner as "
        "one number, first of equals included. Divide it by k: the quotient is the row in the "
        "window, the remainder the column. Add the window's corner to get the row and column in "
        "the map, and from them, with the width of the map, the switch. Unpooling, forward: make "
        "zeros of the map's size in the dtype of y, look at each map as one long row, and add "
        "each number at its switch; plain indexed assignment would keep only the last one where "
        "switches repeat, and so would an indexed sum. Remember the switches. Backward: read the "
        "gradient of the map at the switches.",
    ),
)
