"""Features — what the filters of a layer look like, and what each makes of an image.

    filter_sheet(net, "conv1")              the filters of any layer in one sheet
    map_sheet(net, "conv1", images)         what they make of an image
    towers_figure(net)                      AlexNet's two towers side by side
    filters(weight), feature_maps(steps)    the same from arrays

Two kinds of filters are marked, for they are what one mends a network by:

    dead        nothing ever comes of it. With images: max |a| = 0 over all of them and all places,
                where a is the layer's output behind the batch norm and the ReLU (or the like)
                that follow it directly. Without: ‖w‖ < 0.01 · the median of all ‖w‖.
    duplicate   ⟨w, v⟩ / (‖w‖·‖v‖) > 0.95 for an earlier filter v of the layer

A filter is colourful as far as its energy lies off the grey axis, the filters that treat red,
green and blue alike. With w̄ the mean over the three channels,

    colourfulness = 1 − 3·Σ w̄² / Σ w²       0 grey … 1 colour that adds up to nothing

A random filter has two of three dimensions off the axis, so ⅔.

Krizhevsky, Sutskever & Hinton, NIPS 2012, figure 3 and section 6.1: the first of AlexNet's towers
became "largely color-agnostic", the other "largely color-specific", in every run. Dead filters as
the reason for another first layer: Zeiler & Fergus, ECCV 2014, section 4.1.
"""
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.backend import to_host
from scratchnet.layer import Layer, Parameter, no_grad
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, ReLU, ReLU6, Sigmoid, SiLU, Tanh
from scratchnet.visualize import find
from scratchnet.visualize.sheet import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEAD, TWIN = "#d55e00", "#0072b2"           # frames: orange, blue
ALIKE = 0.95                                # the cosine beyond which two filters are the same
FAINT = 0.01                                # of the median norm


def dead_filters(weight: Any) -> np.ndarray:
    """Which filters (O, …) are next to nothing: ‖w‖ < 0.01 · median; (O,) bool."""
    norms = np.linalg.norm(_rows(weight), axis=1)
    return (norms < FAINT * np.median(norms)) | (norms == 0)


def dead_maps(a: Any) -> np.ndarray:
    """Which features of activations (N, F) or (N, F, H, W) are 0 everywhere; (F,) bool."""
    a = to_host(a)
    return abs(a).max(axis=tuple(d for d in range(a.ndim) if d != 1)) == 0


def duplicates(weight: Any) -> dict[int, int]:
    """{filter: the first earlier one that is the same} for filters (O, …) whose cosine is above
    0.95; filters of 0 are like none."""
    rows = _rows(weight)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    alike = np.tril(rows @ rows.T > ALIKE, k=-1)
    return {int(o): int(alike[o].argmax()) for o in np.flatnonzero(alike.any(axis=1))}


def colourfulness(weight: Any) -> np.ndarray:
    """The share of each filter's energy off the grey axis, (O, 3, KH, KW) → (O,).

    Raises ValueError for filters of another number of channels.
    """
    w = np.asarray(to_host(weight), dtype=np.float64)
    if w.ndim != 4 or w.shape[1] != 3:
        raise ValueError(f"colourfulness is that of filters of colour images, (O, 3, KH, KW); got "
                         f"{w.shape}")
    energy = (w**2).sum(axis=(1, 2, 3))
    grey = 3 * (w.mean(axis=1) ** 2).sum(axis=(1, 2))
    return np.where(energy > 0, 1 - grey / np.where(energy > 0, energy, 1), 0.0).clip(0, 1)


def activation(model: Layer, name: str, x: Any) -> np.ndarray:
    """What the layer makes of images x (N, C, H, W), behind the batch norm and the nonlinearity
    that follow it directly, if any; on the host. The model is left as it was."""
    found = find.layer(model, name)
    after = [one for _, one in model.named_layers() if isinstance(
        one, BatchNorm2d | ReLU | ReLU6 | SiLU | Sigmoid | Tanh)]
    with find.undisturbed(model), no_grad(), find.listening(found, *after) as heard:
        find.run(model, x)
        a = find.heard_of(heard, name, found)
        for one, (inputs, y) in heard.items():              # in the order in which they ran
            if one is not found and inputs[0] is a:
                a = y
                if not isinstance(one, BatchNorm2d):
                    break
        return np.array(to_host(a))


# ── filters ──────────────────────────────────────────────────────────────────────────


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


def filter_sheet(model: Layer, name: str, images: Any = None, most: int = 96, strongest: int = 8,
                 note: str = "") -> "Figure":
    """The filters of the layer of this dotted name, dead and duplicate ones framed and counted.

    Filters of 1 or 3 channels are one tile each, as in `filters`. Deeper ones are a row of grey
    tiles: the `strongest` of their inputs, white positive and black negative. A Linear layer is a
    heat map, an output a row. At most `most` filters are drawn; all are counted. `images`
    (N, C, H, W) tell which are dead (see above). One scale for the sheet, so that weak filters
    look weak.

    Raises ValueError for a layer that has no filters, and for images that do not fit.
    """
    _at_least_one(most, strongest)
    found = find.layer(model, name)
    parameter = getattr(found, "weight", None)
    if not isinstance(parameter, Parameter) or parameter.value.ndim not in (2, 4):
        holders = [n for n, one in model.named_layers() if isinstance(one, Conv2d | Linear)]
        raise ValueError(f"{name}, {found}, has no filters to show; layers that have: "
                         f"{', '.join(holders[:6])}{', …' if len(holders) > 6 else ''}")
    w = np.asarray(to_host(parameter.value), dtype=np.float64)
    dead = dead_filters(w)
    if images is not None and len(unheard := dead_maps(activation(model, name, images))) == len(w):
        dead = dead | unheard
    twins = {o: first for o, first in duplicates(w).items() if not dead[o]}
    shape = "×".join(map(str, w.shape[1:]))
    title = _counted(f"{name}: {len(w)} filters of {shape}", len(w), most, dead, twins)
    w, dead = w[:most], dead[:most]
    twins = {o: first for o, first in twins.items() if o < most}
    if w.ndim == 2:
        return _heat(w, dead, twins, title, note)
    scale = max(np.quantile(abs(w), 0.998), 1e-300)
    if w.shape[1] == 3:
        tiles = list(np.clip(0.5 + 0.5 * w / scale, 0, 1).transpose(0, 2, 3, 1))
        return _mosaic(tiles, title, note, dead, twins)
    if w.shape[1] == 1:
        return _mosaic(list(w[:, 0]), title, note, dead, twins, cmap="RdBu_r", vmin=-scale,
                       vmax=scale)
    inputs = np.argsort((w**2).sum(axis=(2, 3)), axis=1, kind="stable")[:, ::-1][:, :strongest]
    strips = []
    for one, chosen in zip(w, inputs, strict=True):
        strip = np.full((one.shape[1], len(chosen), one.shape[2] + 1), np.nan)
        strip[:, :, :-1] = one[chosen].transpose(1, 0, 2)
        strips.append(strip.reshape(one.shape[1], -1)[:, :-1])
    if len(inputs[0]) < parameter.value.shape[1]:
        title += f"\na row of tiles each: its {len(inputs[0])} strongest inputs"
    return _mosaic(strips, title, note, dead, twins, cmap="gray", vmin=-scale, vmax=scale)


def towers_figure(model: Layer, name: str = "conv1", note: str = "") -> "Figure":
    """The first layer's filters of a network in two towers, the first half of the channels on the
    left, the second on the right; on each filter its colourfulness in percent, and above each
    tower the mean.

    Raises ValueError for a layer that does not look at colour images, or cannot be halved.
    """
    found = find.layer(model, name)
    parameter = getattr(found, "weight", None)
    shape = getattr(getattr(parameter, "value", None), "shape", ())
    if len(shape) != 4 or shape[1] != 3 or shape[0] % 2:
        raise ValueError(f"towers are shown of a convolution of colour images, with an even number "
                         f"of filters (O, 3, KH, KW); got {name}, {found}")
    w = np.asarray(to_host(parameter.value), dtype=np.float64)
    colour = colourfulness(w)
    scale = np.quantile(abs(w), 0.998) or 1.0
    pictures = np.clip(0.5 + 0.5 * w / scale, 0, 1).transpose(0, 2, 3, 1)
    half = len(w) // 2
    two = any(isinstance(one, Conv2d) and one.geometry.groups == 2 for _, one in
              model.named_layers())
    part_of = "tower" if two else "half"            # most networks have no towers
    columns = max(1, round(half ** 0.5 * 0.87))
    from matplotlib.figure import Figure
    figure = Figure(figsize=(9.0, 1.2 + 4.4 * -(-half // columns) / columns),
                    layout="constrained")
    for axes, part, which in zip(figure.subplots(1, 2), (slice(0, half), slice(half, None)),
                                 ("first", "second"), strict=True):
        image, places = _tiled(list(pictures[part]), columns)
        axes.imshow(image)
        axes.set_axis_off()
        for (left, top), share in zip(places, colour[part], strict=True):
            axes.text(left, top - 0.7, f"{share:.0%}", fontsize=6.5, va="bottom",
                      color="#555555")
        axes.set_title(f"{which} {part_of}: {colour[part].mean():.0%} of the energy is colour",
                       fontsize=11)
    figure.suptitle(f"{name}: colour in each filter (0 % grey, a random filter 67 %)", fontsize=11)
    _noted(figure, note)
    return figure


# ── maps ─────────────────────────────────────────────────────────────────────────────


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


def map_sheet(model: Layer, name: str, images: Any, most: int = 96, note: str = "") -> "Figure":
    """What a layer makes of the first of `images` (N, C, H, W), a tile a feature, the image beside.

    Shown is its `activation`, behind a ReLU that follows. Features that are 0 in all the images
    are framed and counted as dead. One grey scale, black at the smallest number (0 behind ReLU)
    and white near the largest. Raises ValueError for a layer whose output is no features.
    """
    _at_least_one(most)
    a = activation(model, name, images)
    if a.ndim not in (2, 4):
        raise ValueError(f"{name} returns {a.shape}; features are those of a layer that returns "
                         f"(N, F) or (N, F, H, W)")
    dead, N = dead_maps(a), len(a)
    a = a if a.ndim == 4 else a[:, :, None, None]
    shape = f"maps of {a.shape[2]}×{a.shape[3]}" if a.shape[2:] != (1, 1) else "numbers"
    title = _counted(f"{name}: {a.shape[1]} {shape}", a.shape[1], most, dead, {},
                     f" in {N} image{'s' * (N > 1)}")
    low, high = min(0.0, float(a[0].min())), max(float(np.quantile(a[0], 0.999)), 1e-12)
    return _mosaic(list(a[0, :most]), title, note, dead[:most], {}, find.picture(images[0]),
                   cmap="gray", vmin=low, vmax=high)


# ── drawing ──────────────────────────────────────────────────────────────────────────


def _at_least_one(*numbers: int) -> None:
    if any(not isinstance(n, Integral) or n < 1 for n in numbers):
        raise ValueError(f"expected how many are drawn, 1 or more; got "
                         f"{', '.join(map(str, numbers))}")


def _rows(weight: Any) -> np.ndarray:
    weight = np.asarray(to_host(weight), dtype=np.float64)
    return weight.reshape(len(weight), -1)


def _counted(title: str, count: int, most: int, dead: np.ndarray, twins: dict,
             where: str = "") -> str:
    """The title, with what is shown and what is wrong."""
    if count > most:
        title += f", the first {most} shown"
    marks = [f"{dead.sum()} dead{where} (orange)"] if dead.any() else []
    marks += [f"{len(twins)} duplicate{'s' * (len(twins) > 1)} (blue, = of which)"] if twins else []
    return title + (" — " + ", ".join(marks) if marks else "")


def _tiled(tiles: list[np.ndarray], columns: int,
           apart: int = 0) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """One array with all tiles (h, w) or (h, w, 3) in it, and the corner (left, top) of each;
    columns are at least `apart` pixels from each other.

    One picture for all: a hundred axes take seconds.
    """
    h, w = tiles[0].shape[:2]
    gap = max(1, round(0.22 * h))
    rows = -(-len(tiles) // columns)
    blank = 1.0 if tiles[0].ndim == 3 else np.nan
    wide = max(gap, apart)
    image = np.full((rows * (h + gap) + gap, columns * (w + wide) + wide, *tiles[0].shape[2:]),
                    blank)
    places = []
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (h + gap) + gap, (i % columns) * (w + wide) + wide
        image[top:top + h, left:left + w] = tile
        places.append((left, top))
    return image, places


def _mosaic(tiles: list[np.ndarray], title: str, note: str, dead: np.ndarray, twins: dict,
            beside: np.ndarray | None = None, **imshow: Any) -> "Figure":
    from matplotlib.figure import Figure
    h, w = tiles[0].shape[:2]
    columns = max(1, min(len(tiles), round((len(tiles) * h / w * 1.9) ** 0.5)))
    image, places = _tiled(tiles, columns, apart=h if w > 1.5 * h else 0)     # strips: more
    width = min(9.0, max(3.6, 0.7 * columns * max(1.0, w / h / 1.5)))
    height = width * image.shape[0] / image.shape[1]
    extra = 0.0 if beside is None else 2.2
    figure = Figure(figsize=(max(width + extra, 5.2), max(height, 1.2) + 0.7),
                    layout="constrained")
    if beside is None:
        axes = figure.subplots()
    else:
        left, axes = figure.subplots(1, 2, width_ratios=[extra - 0.2, width])
        left.imshow(beside, cmap="gray", vmin=0, vmax=1)
        left.set_axis_off()
        left.set_title("image", fontsize=9)
    axes.imshow(image, interpolation="nearest", **imshow)
    axes.set_axis_off()
    for first in range(0, len(tiles), columns):
        left, top = places[first]
        axes.annotate(str(first), (left - 0.5, top + h / 2 - 0.5), (-4, 0), va="center",
                      textcoords="offset points", ha="right", fontsize=7, color="#777777",
                      annotation_clip=False)
    _frame(axes, places, (w, h), dead, twins)
    figure.suptitle(title, fontsize=10)
    _noted(figure, note)
    return figure


def _frame(axes: Any, places: list[tuple[int, int]], size: tuple[int, int], dead: np.ndarray,
           twins: dict) -> None:
    from matplotlib.patches import Rectangle
    for i, (left, top) in enumerate(places):
        if dead[i] or i in twins:
            axes.add_patch(Rectangle((left - 0.5, top - 0.5), *size, fill=False, linewidth=2.2,
                                     edgecolor=DEAD if dead[i] else TWIN, clip_on=False))
        if i in twins:
            axes.text(left - 0.3, top - 0.3, f"={twins[i]}", fontsize=7, color="white", va="top",
                      bbox={"facecolor": TWIN, "edgecolor": "none", "pad": 0.8})


def _heat(w: np.ndarray, dead: np.ndarray, twins: dict, title: str, note: str) -> "Figure":
    """A matrix (O, I) in colour, blue below 0 and red above, its marked rows at the left."""
    step = -(-w.shape[1] // 2048)
    if step > 1:
        title += f"\nevery {step}th of {w.shape[1]} inputs"
    scale = np.quantile(abs(w), 0.998) or 1.0
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8.4, 1.6 + min(5.0, max(1.2, 0.22 * len(w)))), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(w[:, ::step], cmap="RdBu_r", vmin=-scale, vmax=scale, aspect="auto",
                        interpolation="nearest")
    marked = [*np.flatnonzero(dead), *twins]
    for o in marked:
        axes.annotate("dead" if dead[o] else f"{o} = {twins[o]}", (-0.005, o), fontsize=7,
                      xycoords=("axes fraction", "data"), ha="right", va="center",
                      color=DEAD if dead[o] else TWIN, annotation_clip=False)
    axes.set_yticks([] if marked or len(w) > 24 else range(len(w)))
    axes.set(xlabel="input", ylabel="output" if not marked else "")
    figure.colorbar(image, ax=axes, pad=0.01, label="weight")
    figure.suptitle(title, fontsize=10)
    _noted(figure, note)
    return figure


def _noted(figure: "Figure", note: str) -> None:
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8, color="#555555")
