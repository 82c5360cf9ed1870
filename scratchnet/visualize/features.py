"""Features — what the filters of a layer look like, and what each makes of an image."""
from typing import TYPE_CHECKING

import numpy as np

from scratchnet.visualize.sheet import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(weight: np.ndarray, title: str = "") -> "Figure":
    """The filters (O, C, KH, KW) of a first layer, one picture each.

    Three channels are shown as colour, one as a scale from blue (negative) over white (0) to
    red (positive), the same for all filters. Raises ValueError for other channel counts.
    """
    if weight.ndim != 4 or weight.shape[1] not in (1, 3):
        raise ValueError(f"filters shows a first layer, (O, 1 or 3, KH, KW): 1 or 3 channels; "
                         f"got {weight.shape}")
    O, C, KH, KW = weight.shape
    largest = np.abs(weight).max() or 1.0
    if C == 3:
        pictures, scale = (0.5 + 0.5 * weight / largest).transpose(0, 2, 3, 1), {}
    else:
        pictures, scale = weight[:, 0], {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    return sheet(list(pictures), columns=min(O, 8), title=title, size=0.85, **scale)


def feature_maps(steps: list[tuple[str, np.ndarray]], most: int = 12) -> "Figure":
    """One image on its way through the layers: a row a layer, the first `most` channels each.

    `steps` holds (name, maps) with maps (C, H, W). Each row has one grey scale, from black at 0
    (or below) to white at the largest number of the row: compare maps within a row.
    """
    from matplotlib.figure import Figure
    columns = max(min(len(maps), most) for _, maps in steps)
    figure = Figure(figsize=(1.4 + 0.72 * columns, 0.78 * len(steps)), layout="constrained")
    grid = figure.subplots(len(steps), columns, squeeze=False)
    for row, (name, maps) in zip(grid, steps, strict=True):
        for axes in row:
            axes.set_axis_off()
        shown = maps[:columns]
        for axes, one in zip(row, shown, strict=False):
            axes.imshow(one, cmap="gray", vmin=0, vmax=max(shown.max(), 1e-12))
        C, H, W = maps.shape
        row[0].text(-0.25, 0.5, f"{name}\n{C}×{H}×{W}", transform=row[0].transAxes, ha="right",
                    va="center", fontsize=8)
    return figure
