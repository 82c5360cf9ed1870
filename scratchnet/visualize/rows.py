"""Rows — pictures in rows, each row under its own title."""
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_rows(rows: list[tuple[str, np.ndarray]], size: float = 1.0) -> "Figure":
    """A row for each (title, images): (N, 1 or 3, H, W) from 0 to 1, each `size` inches wide.

    Numbers beyond 0 and 1 are shown as black and white. Raises ValueError for another shape.
    """
    if not rows:
        raise ValueError("image_rows expects (title, images) for each row, one row at least")
    for title, images in rows:
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
            raise ValueError(f"image_rows expects (N, 1 or 3, H, W), N ≥ 1; got {images.shape} "
                             f"for {title!r}")
    from matplotlib.figure import Figure
    columns = max(len(images) for _, images in rows)
    line = size + 0.25                      # inches a row: the pictures, and their title
    figure = Figure(figsize=(size * columns, line * len(rows)))
    for place, (title, images) in enumerate(rows, start=1):
        strip = _strip(np.clip(images, 0, 1))
        axes = figure.add_axes((0.005, 1 - place / len(rows), len(images) / columns - 0.005,
                                (size - 0.03) / (line * len(rows))))
        axes.set_axis_off()
        axes.set_anchor("W")
        axes.imshow(strip)                  # one picture a row: a hundred axes take seconds
        axes.set_title(title, fontsize=8, loc="left", pad=3)
    return figure


def _strip(images: np.ndarray) -> np.ndarray:
    """The images side by side, white between them, (H, N·(W + gap) − gap, 3)."""
    N, C, H, W = images.shape
    gap = max(1, W // 20)
    strip = np.ones((H, N, W + gap, 3))
    strip[:, :, :W] = images.transpose(2, 0, 3, 1)              # grey becomes three channels
    return strip.reshape(H, -1, 3)[:, :-gap]
