"""Geometry — where a sliding window lands.

Along one axis, a window of K taps, `dilation` d apart, that starts at i·s − p for output i,
touches the pixels

    r(i, u) = i·s + u·d − p          u = 0 … K−1      (s: stride, p: padding)

Taps that fall outside 0 … size−1 lie on the padding. The window takes

    output_size = ⌊(size + 2p − d·(K−1) − 1) / s⌋ + 1

whole steps; pixels past the last whole step are looked at by no window.
"""
from collections.abc import Iterator
from numbers import Integral
from typing import NamedTuple


class Geometry(NamedTuple):
    """How a kernel walks over an image; each pair is (vertical, horizontal)."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def whole(value: int, name: str, least: int = 1) -> int:
    """Return `value` if it is an integer ≥ least; `name` is for the error."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer ≥ {least}; got {value!r}")
    return int(value)


def pair(value: int | tuple[int, int], name: str, least: int = 1) -> tuple[int, int]:
    """Return (vertical, horizontal) from a number or a pair; `name` is for the error."""
    both = (value, value) if not isinstance(value, tuple | list) else tuple(value)
    if len(both) != 2 or not all(
            isinstance(n, Integral) and not isinstance(n, bool) and n >= least for n in both):
        raise ValueError(f"{name} must be an integer ≥ {least} or a pair of them; got {value!r}")
    return int(both[0]), int(both[1])


def short(both: tuple[int, int]) -> str:
    """Spell a pair: (3, 3) is "3", (3, 5) is "3×5"."""
    return str(both[0]) if both[0] == both[1] else f"{both[0]}×{both[1]}"


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1,
                ceil_mode: bool = False) -> int:
    """How many windows fit along one axis; zero or less if not even one does.

    With `ceil_mode` a last, incomplete step is taken too, provided that its window starts
    on the image or on the padding before it (not on the padding after it); as in PyTorch,
    it may be the only one: an image up to stride − 1 pixels smaller than the kernel will do.
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    steps = -(-room // stride) if ceil_mode else room // stride
    if ceil_mode and steps * stride >= size + padding:
        steps -= 1
    return steps + 1


def output_shape(x_shape: tuple, w_shape: tuple, geometry: Geometry) -> tuple[int, int]:
    """Return (OH, OW) of a convolution of images x with filters w."""
    stride, padding, dilation, _ = geometry
    return tuple(output_size(x_shape[2 + a], w_shape[2 + a], stride[a], padding[a], dilation[a])
                 for a in (0, 1))


def inside(tap: int, first: int, last: int, size: int, stride: int, padding: int,
           dilation: int = 1) -> tuple[slice, slice]:
    """For the outputs first … last−1 and one tap u: which outputs see a real pixel, and which.

    Returns (outputs, pixels): a slice of the outputs, counted from `first`, and the slice
    of pixels r(i, u) that they see, of equal lengths (possibly empty).
    """
    shift = tap * dilation - padding                        # r(i, u) = i·stride + shift
    low = max(first, -(shift // stride))                    # least i with r ≥ 0: ⌈−shift/s⌉
    high = min(last, (size - 1 - shift) // stride + 1)      # past the last i with r ≤ size−1
    if high <= low:
        return slice(0, 0), slice(0, 0)
    return (slice(low - first, high - first),
            slice(low * stride + shift, (high - 1) * stride + shift + 1, stride))


def tiles(images: int, rows: int, row_bytes: int, budget: int) -> Iterator[tuple[slice, slice]]:
    """Cut a batch into (images, output rows) tiles whose work space stays within `budget`.

    Small images are taken several at a time, large ones a band of rows at a time; a tile
    has at least one row of one image.
    """
    rows_at_once = max(1, min(rows, budget // max(1, row_bytes)))
    images_at_once = max(1, budget // max(1, row_bytes * rows)) if rows_at_once == rows else 1
    for n in range(0, images, images_at_once):
        for r in range(0, rows, rows_at_once):
            yield (slice(n, min(n + images_at_once, images)),
                   slice(r, min(r + rows_at_once, rows)))
