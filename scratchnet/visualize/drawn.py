"""Drawn — pictures to look at for a network that comes without images of its own."""
import numpy as np

from scratchnet.data import SHAPES, draw_shapes, load_digits


def drawn(shape: tuple[int, int, int], count: int) -> tuple[np.ndarray, np.ndarray,
                                                             tuple[str, ...]]:
    """Return (images (count, C, H, W) from 0 to 1, labels (count,), names of the classes): digits
    for one channel, shapes for three; always the same.

    Of images that are not square, the middle. Raises ValueError for other channels, or a side
    that cannot be drawn.
    """
    C, H, W = shape
    side = max(H, W)
    if C not in (1, 3) or not 8 <= side <= 1024:
        raise ValueError(f"there are pictures of 1 or 3 channels, sides of 8 to 1024, to look at; "
                         f"the network takes {C}×{H}×{W}: give images=(N, {C}, {H}, {W})")
    if C == 1:
        images, labels = load_digits(side).train
        names = tuple("0123456789")
    else:
        images, labels, _ = draw_shapes(count, side, 0.3, np.random.default_rng(0))
        names = SHAPES
    top, left = (side - H) // 2, (side - W) // 2
    return images[:count, :, top:top + H, left:left + W], labels[:count], names
