"""Pictures — arrays of numbers as PNGs of a few hundred bytes, written into the page itself.

A number is a colour: blue below 0, white at 0, red above, the largest of a sheet darkest. So the
sheet says its scale, and one palette of 256 colours serves for all of them; a byte a pixel. Entry
0 is transparent: the gaps between the tiles, and what is no number.
"""
import base64
import io
import math
from typing import Any

import numpy as np

from scratchnet.layer import Layer

MOST_FILTERS = 32
MOST_ROWS, MOST_INPUTS = 8, 12          # of a deeper layer: a row a filter, a tile an input
SIDE = 40                               # larger tiles are shrunk to this
LOW, HIGH = (12, 74, 140), (158, 20, 34)


def palette() -> np.ndarray:
    """Return the colours (256, 3), uint8: entry 128 + 127·v for v from −1 to 1; 0 is the gap."""
    v = (np.arange(256)[:, None] - 128) / 127
    ends = np.where(v < 0, LOW, HIGH)
    return np.clip(255 + np.abs(v) * (ends - 255), 0, 255).round().astype(np.uint8)


def colour(image: np.ndarray) -> str:
    """A picture (C, H, W) as the network takes it, its numbers stretched from black to white.

    Of other than 3 channels, the first alone.
    """
    image = _shrunk(image.astype(np.float64), 96)
    low, high = image.min(), image.max()
    levels = np.round(255 * (image - low) / ((high - low) or 1)).astype(np.uint8)
    return _uri(levels.transpose(1, 2, 0) if len(image) == 3 else levels[0])


def maps(outputs: list[np.ndarray], most: int = 16) -> dict[str, Any]:
    """The first `most` channels of a layer's output for each image: {"said", "sheets"}.

    outputs: (C, H, W) or (F,), one an image. Each sheet has a scale of its own.
    """
    y = outputs[0]
    if y.ndim != 3:
        said = f"{y.size:,} numbers, 32 in a row"
        count = min(y.size, 1024)
        if count < y.size:
            said += f": the first {count:,}"
        rows = [np.full(-(-count // 32) * 32, np.nan) for _ in outputs]
        for row, output in zip(rows, outputs, strict=True):
            row[:count] = output.ravel()[:count]
        return {"said": said, "sheets": [sheet(row.reshape(1, -1, min(32, row.size)), 1)
                                         for row in rows]}
    said = f"{len(y)} maps of {y.shape[1]}×{y.shape[2]}"
    if len(y) > most:
        said = f"the first {most} of {said}"
    if max(y.shape[1:]) > SIDE:
        said += ", shrunk"
    sheets = []
    for output in outputs:
        one = sheet(_shrunk(output[:most], SIDE), 8)
        one["dead"] = int((output == 0).all(axis=(1, 2)).sum())
        sheets.append(one)
    return {"said": said, "sheets": sheets}


def filters(layer: Layer) -> dict[str, Any] | None:
    """The filters of a layer with a weight (O, C, KH, KW) or (O, I), with what they are in words;
    None for others."""
    weight = getattr(getattr(layer, "weight", None), "value", None)
    if weight is None or weight.ndim not in (2, 4):
        return None
    weight = np.asarray(weight, dtype=np.float64)
    if weight.ndim == 2:
        O, I = weight.shape
        part = _shrunk(weight[None, :256, :512], 128)
        said = f"{O:,} × {I:,} weights, a row an output, a column an input"
        if part[0].shape != weight.shape:
            said += f"; shown: the first {min(O, 256)} × {min(I, 512)}, shrunk"
        return {"said": said, **sheet(part, 1)}
    O, C, KH, KW = weight.shape
    some = min(O, MOST_FILTERS)
    which = f"the first {some} of {O} filters" if some < O else f"{O} filters"
    if C == 3:
        return {"said": f"{which} of {KH}×{KW}, in colour: grey is 0",
                **_coloured(weight[:some], 8)}
    if C == 1:
        return {"said": f"{which} of {KH}×{KW}", **sheet(weight[:some, 0], 8)}
    some, inputs = min(O, MOST_ROWS), min(C, MOST_INPUTS)
    which = f"the first {some} of {O} filters" if some < O else f"{O} filters"
    said = f"{which} of {KH}×{KW}, a row each: its {inputs} "
    said += "inputs" if inputs == C else f"strongest inputs of {C}, from the left"
    order = np.argsort(-np.abs(weight[:some]).sum(axis=(2, 3)), axis=1, kind="stable")[:, :inputs]
    order = order if inputs < C else np.broadcast_to(np.arange(C), (some, C))
    tiles = np.take_along_axis(weight[:some], order[:, :, None, None], axis=1)
    return {"said": said, **sheet(tiles.reshape(-1, KH, KW), inputs)}


def sheet(tiles: np.ndarray, columns: int) -> dict[str, Any]:
    """Tiles (n, h, w) in rows of `columns`: {"png", "width", "height", "scale"}; NaN is a gap."""
    n, h, w = tiles.shape
    known = np.nan_to_num(tiles, nan=0.0, posinf=0.0, neginf=0.0)
    scale = float(np.abs(known).max())
    levels = 128 + np.round(127 * known / (scale or 1)).astype(int)
    levels[~np.isfinite(tiles)] = 0
    columns, gap = min(columns, n), 1 if max(h, w) < 16 else 2
    rows = -(-n // columns)
    grid = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap), dtype=np.uint8)
    for i in range(n):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        grid[top:top + h, left:left + w] = levels[i]
    return {"png": _uri(grid, palette()), "width": grid.shape[1], "height": grid.shape[0],
            "scale": scale}


def _coloured(weight: np.ndarray, columns: int) -> dict[str, Any]:
    """First-layer filters (n, 3, h, w): 0 is grey, the largest of all black or white."""
    n, _, h, w = weight.shape
    scale = float(np.abs(weight).max())
    levels = np.round(127.5 + 127.5 * weight / (scale or 1)).astype(np.uint8)
    columns = min(columns, n)
    grid = np.zeros((-(-n // columns) * (h + 1) - 1, columns * (w + 1) - 1, 4), dtype=np.uint8)
    for i in range(n):
        top, left = i // columns * (h + 1), i % columns * (w + 1)
        grid[top:top + h, left:left + w, :3] = levels[i].transpose(1, 2, 0)
        grid[top:top + h, left:left + w, 3] = 255
    return {"png": _uri(grid), "width": grid.shape[1], "height": grid.shape[0], "scale": None}


def _shrunk(maps: np.ndarray, side: int) -> np.ndarray:
    """(n, H, W) with sides of at most `side`: means over squares of pixels."""
    n, H, W = maps.shape
    step = math.ceil(max(H, W) / side)
    if step == 1:
        return maps
    maps = np.pad(maps, ((0, 0), (0, -H % step), (0, -W % step)), mode="edge")
    return maps.reshape(n, maps.shape[1] // step, step, -1, step).mean(axis=(2, 4))


def _uri(pixels: np.ndarray, colours: np.ndarray | None = None) -> str:
    """uint8 (H, W), grey or indices into `colours`, or (H, W, 3 or 4), as a data: address."""
    from PIL import Image
    image, file = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    options = {}
    if colours is not None:
        image = image.convert("P") if image.mode != "L" else image
        image.putpalette(colours.tobytes())
        options = {"transparency": 0}
    image.save(file, format="PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
