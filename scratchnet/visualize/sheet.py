"""Sheets — many small pictures side by side."""
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_sheet(images: np.ndarray, captions: list[str] | None = None, columns: int = 10,
                title: str = "") -> "Figure":
    """Images (N, 1, H, W) grey or (N, 3, H, W) colour from 0 to 1, with captions above.

    Raises ValueError for another shape, or captions of another number.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"image_sheet expects (N, 1 or 3, H, W), N ≥ 1; got {images.shape}")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"image_sheet got {len(images)} images but {len(captions)} captions")
    pictures = [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in images]
    return sheet(pictures, captions, columns, title, cmap="gray", vmin=0, vmax=1)


def sheet(pictures: list, captions: list[str] | None = None, columns: int = 10,
          title: str = "", size: float = 0.95, **imshow: Any) -> "Figure":
    """Pictures in rows of `columns`, each `size` inches wide; `imshow` goes to matplotlib."""
    from matplotlib.figure import Figure
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height = (size + 0.3 * bool(captions)) * rows + 0.35 * bool(title)
    figure = Figure(figsize=(max(size * columns, 3.0), height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (axes, picture) in enumerate(zip(grid.flat, pictures, strict=False)):
        axes.imshow(picture, **imshow)
        if captions:
            axes.set_title(captions[i], fontsize=8, pad=2)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
