"""Receptive fields — what a unit can see of the image, and what it really looks at.

The theoretical field of a unit, one pixel of a feature map, is all that its number can depend on.
Its side and jump are those of `cost.summary`. Where it lies in the image is found by asking the
network: NaN spreads to all that is computed from it (0 · NaN is NaN), so with the rows 0 … i of the
image made NaN, the unit turns NaN as soon as row i is one that it sees. The first such i is the
top of its field, found by halving; likewise the other three sides. (Convolutions are `local` here:
an algorithm that mixes pixels would spread NaN further.)

The effective field is how much it depends on each pixel,

    e[i, j] = mean over images and channels of |∂(Σ_c y[c, centre]) / ∂x[·, i, j]|

from a backward with dy = 1 at the centre in every channel, 0 elsewhere. A pixel in the middle of
the field reaches the unit on many paths, one in the corner on a single one. Through n layers of
random 3×3 weights the numbers of paths are those of n dice added up: a bell, whose width grows with
√n while the theoretical side grows with n. So most of a field is hardly looked at. One number for
it, the share of the energy in the middle:

    Σ e² within half the width and height of the field, around the unit  /  Σ e²

Evenly looked at, that would be ¼.

Luo, Li, Urtasun & Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks", NIPS 2016.
"""
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scratchnet import convolution
from scratchnet.backend import asarray_like, to_host
from scratchnet.cost import summary
from scratchnet.layer import Layer, no_grad
from scratchnet.visualize import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Field(NamedTuple):
    """The field of one unit (row, column) of a layer; pairs are (vertical, horizontal)."""

    unit: tuple[int, int]
    side: tuple[float, float] | None    # with what lies beyond the image; inf "all", None unknown
    jump: tuple[int, int] | None        # how far its neighbours look from it
    box: tuple[int, int, int, int]      # top, left, bottom, right within the image, ends excluded

    def middle(self) -> tuple[int, int, int, int]:
        """Half of the box's width and height, around its middle: top, left, bottom, right."""
        top, left, bottom, right = self.box
        H, W = bottom - top, right - left
        return top + H // 4, left + W // 4, bottom - H // 4, right - W // 4


def theoretical_field(model: Layer, name: str, input_shape: tuple[int, int, int],
                      unit: tuple[int, int] | None = None) -> Field:
    """The field of a unit of the layer of this dotted name, for images of (C, H, W).

    `unit` is (row, column), by default the centre of the map. The model is left as it was.
    Raises ValueError for a layer without maps, a unit outside them, and images that do not fit.
    """
    table = summary(model, input_shape)
    row = table.blocks.get(name) or next((r for r in table.rows if r.name == name), None)
    C, H, W = input_shape
    parameters = model.parameters()
    dtype = to_host(parameters[0].value).dtype if parameters else np.float32
    with find.undisturbed(model), no_grad(), np.errstate(all="ignore"), convolution.local():
        x = np.zeros((1, C, H, W), dtype=dtype)
        if parameters:
            x = asarray_like(x, parameters[0].value)
        unit = _unit(find.output_of(model, name, x, single=True), name, unit)
        found = find.layer(model, name)

        def sees(images: np.ndarray) -> np.ndarray:
            with find.listening(found) as heard:
                model.forward(asarray_like(images.astype(dtype), x))
            return np.isnan(to_host(heard[found][1][:, :, unit[0], unit[1]])).any(axis=1)

        top, bottom = _ends(sees, (C, H, W), axis=2)
        left, right = _ends(sees, (C, H, W), axis=3)
    return Field(unit, row and row.receptive_field, row and row.jump, (top, left, bottom, right))


def effective_field(model: Layer, name: str, images: Any,
                    unit: tuple[int, int] | None = None) -> np.ndarray:
    """How much a unit depends on each pixel: e (H, W), the mean of |dx| over images (N, C, H, W)
    and channels, with dy = 1 in every channel of the unit.

    Give random images, or those the network is for. The model is left as it was. Raises
    ValueError as theoretical_field does.
    """
    with find.undisturbed(model), convolution.local():
        found = find.layer(model, name)
        with find.listening(found) as heard:
            y = find.run(model, images)
        a = find.heard_of(heard, name, found)
        row, column = _unit(a, name, unit)
        dy = np.zeros(a.shape, dtype=a.dtype)
        dy[:, :, row, column] = 1
        dx = find.back(model, y, found, asarray_like(dy, a))
        return to_host(abs(dx).mean(axis=(0, 1))).astype(np.float64)


def width(e: np.ndarray) -> float:
    """The standard deviation of an effective field (H, W) around its mean, in pixels, the mean of
    vertical and horizontal; 0 for a field of nothing."""
    total, spreads = e.sum(), []
    if not total > 0:
        return 0.0
    for axis in (0, 1):
        p = e.sum(axis=1 - axis) / total
        i = np.arange(len(p))
        spreads.append((p * (i - (p * i).sum()) ** 2).sum())
    return math.sqrt(sum(spreads) / 2)


def energy_within(e: np.ndarray, box: tuple[int, int, int, int]) -> float:
    """The share of Σ e² that lies in a box (top, left, bottom, right, ends excluded)."""
    top, left, bottom, right = box
    total = float((e**2).sum())
    return float((e[top:bottom, left:right] ** 2).sum()) / total if total > 0 else 0.0


def receptive_field_figure(model: Layer, name: str, images: Any,
                           unit: tuple[int, int] | None = None, note: str = "") -> "Figure":
    """The first image, with the theoretical field as a box and the effective one, measured over
    all `images` (N, C, H, W), as heat; beside it the heat's profile from left to right.

    Raises ValueError as theoretical_field does.
    """
    e = effective_field(model, name, images, unit)
    field = theoretical_field(model, name, tuple(images.shape[1:]), unit)
    top, left, bottom, right = field.box
    share = energy_within(e, field.middle())
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    axes, profile = figure.subplots(1, 2, width_ratios=[1, 1.15])
    H, W = e.shape
    axes.imshow(find.picture(images[0]).reshape(H, W, -1).mean(axis=2), cmap="gray", vmin=0,
                vmax=1, alpha=0.6, extent=(0, W, H, 0))
    heat = e / (e.max() or 1.0)
    axes.imshow(heat, cmap="inferno", alpha=np.clip(1.6 * heat, 0, 0.9), extent=(0, W, H, 0))
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, linewidth=2.5,
                             edgecolor="#0072b2", clip_on=False))
    half = field.middle()
    axes.add_patch(Rectangle((half[1], half[0]), half[3] - half[1], half[2] - half[0], fill=False,
                             linewidth=1.5, linestyle="--", edgecolor="#009e73"))
    axes.set_axis_off()
    axes.set_title(f"can see {_side(field)} (box), looks at the glow", fontsize=10)

    columns = e.sum(axis=0)
    columns = columns / (columns.max() or 1.0)
    profile.fill_between(np.arange(W) + 0.5, columns, color="#f0a35e", step="mid", alpha=0.8)
    for edge in (left, right):
        profile.axvline(edge, color="#0072b2", linewidth=2.5)
    profile.axvspan(half[1], half[3], color="#009e73", alpha=0.13, linewidth=0)
    profile.text((half[1] + half[3]) / 2, 1.04, f"{share:.0%} of the energy in the middle\n"
                 f"(evenly looked at: 25%)", ha="center", va="bottom", fontsize=9,
                 color="#00694d")
    profile.set(xlim=(0, W), ylim=(0, 1.22), xlabel="column of the image",
                ylabel="how much the unit depends on it")
    profile.set_yticks([0, 1], ["0", "most"])
    profile.spines[["top", "right"]].set_visible(False)
    profile.set_title(f"width {width(e):.1f} pixels (standard deviation)", fontsize=10)
    figure.suptitle(f"{name}, unit ({field.unit[0]}, {field.unit[1]}): its receptive field",
                    fontsize=12)
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8, color="#555555")
    return figure


def _side(field: Field) -> str:
    if field.side is None:
        return f"{field.box[2] - field.box[0]}×{field.box[3] - field.box[1]}"
    if math.inf in field.side:
        return "the whole image"
    told = "×".join(str(int(n)) for n in field.side) + " pixels"
    top, left, bottom, right = field.box
    cut = any(n > seen for n, seen in zip(field.side, (bottom - top, right - left), strict=True))
    return told + (f", {bottom - top}×{right - left} of them in the image" if cut else "")


def _unit(a: Any, name: str, unit: tuple[int, int] | None) -> tuple[int, int]:
    """The unit asked for, or the centre; a is what the layer returned."""
    if getattr(a, "ndim", 0) != 4:
        raise ValueError(f"{name} returns {getattr(a, 'shape', type(a).__name__)}: receptive "
                         f"fields are those of maps, (N, C, H, W)")
    H, W = a.shape[2:]
    if unit is None:
        return H // 2, W // 2
    if not (isinstance(unit, tuple | list) and len(unit) == 2 and all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) and 0 <= n < size
            for n, size in zip(unit, (H, W), strict=True))):
        raise ValueError(f"{name} has maps of {H}×{W}; unit is (row, column) within them; got "
                         f"{unit!r}")
    return int(unit[0]), int(unit[1])


def _ends(sees: Any, shape: tuple[int, int, int], axis: int) -> tuple[int, int]:
    """The first row (axis 2) or column (3) that the unit sees, and the one behind the last."""
    size = shape[axis - 1]
    ends = []
    for backwards in (False, True):
        low, high = 0, size                     # it sees nothing of the first `low`
        while high - low > 1:
            painted = (low + high) // 2
            images = np.zeros((1, *shape))
            lines = slice(size - painted, None) if backwards else slice(painted)
            images[(slice(None),) * axis + (lines,)] = np.nan
            if sees(images)[0]:
                high = painted
            else:
                low = painted
        ends.append(low)
    return ends[0], size - ends[1]
