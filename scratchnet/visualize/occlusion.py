"""Occlusion — cover a part of the image with a grey square: how sure is the network still?

    p[r, q] = probability of the class when the square's upper left corner is at (top r, left q)

for squares `stride` apart, all of them within the image, the last ones flush with its edges, so
that every pixel is covered at least once. Where p falls, the network needed what was there. Where
it rises, the square hid something that spoke for another class. Nothing is differentiated: it
works for any function of an image, and costs a forward for each place.

One number a pixel, the drop: the mean of p₀ − p over the squares that cover the pixel, where p₀ is
the probability for the whole image.

On paper: an image of 1×3 pixels, squares of 1×1, p₀ = 0.9, p = [0.9 0.3 1.0]. The drop is
[0 0.6 −0.1]: the class stands in the middle.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
"""
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scratchnet.backend import to_host, xp_of
from scratchnet.layer import Layer, no_grad
from scratchnet.visualize import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Occlusion(NamedTuple):
    """p (R, Q) for squares of `size` (height, width) with corners (tops[r], lefts[q]), and the
    probability `whole` for the image itself, of height and width `shape`."""

    p: np.ndarray
    whole: float
    tops: np.ndarray
    lefts: np.ndarray
    size: tuple[int, int]
    shape: tuple[int, int]

    def drop(self) -> np.ndarray:
        """How much covering a pixel takes from the probability, (H, W), on average over squares."""
        total, times = np.zeros(self.shape), np.zeros(self.shape)
        for (r, q), p in np.ndenumerate(self.p):
            top, left = self.tops[r], self.lefts[q]
            square = slice(top, top + self.size[0]), slice(left, left + self.size[1])
            total[square] += self.whole - p
            times[square] += 1
        return total / times


def occlusion(model: Layer, x: Any, target: int, size: int | tuple[int, int] | None = None,
              stride: int | None = None, grey: float | None = None,
              batch_size: int = 64) -> Occlusion:
    """Slide a grey square over one image x (1, C, H, W); the probability of a class at each place.

    size        of the square, a number or (height, width); default a quarter of the image's sides
    stride      between places; default a quarter of the square's smaller side
    grey        its brightness in all channels; default the mean of the image
    batch_size  covered images at once

    The model is left as it was. Raises ValueError for numbers and images that do not fit.
    """
    with find.undisturbed(model), no_grad():
        logits = find.run(model, x, single=True)
        target = int(find.classes_of(logits, target)[0])
        H, W = x.shape[2:]
        size = (max(1, H // 4), max(1, W // 4)) if size is None else _pair(size)
        if not all(1 <= n <= side for n, side in zip(size, (H, W), strict=True)):
            raise ValueError(f"occlusion: the square must fit into the image of {H}×{W}; got a "
                             f"size of {size[0]}×{size[1]}")
        stride = max(1, min(size) // 4) if stride is None else stride
        for n, name in ((stride, "stride"), (batch_size, "batch_size")):
            if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
                raise ValueError(f"occlusion: {name} must be an integer ≥ 1; got {n!r}")
        tops, lefts = _places(H, size[0], stride), _places(W, size[1], stride)
        grey = float(x.mean()) if grey is None else grey
        if not np.isfinite(grey):
            raise ValueError(f"occlusion: grey must be a finite number; got {grey}")
        p = np.empty(len(tops) * len(lefts))
        for start in range(0, len(p), batch_size):
            some = range(start, min(start + batch_size, len(p)))
            covered = xp_of(x).repeat(x, len(some), axis=0)
            for image, place in zip(covered, some, strict=True):
                top, left = tops[place // len(lefts)], lefts[place % len(lefts)]
                image[:, top:top + size[0], left:left + size[1]] = grey
            p[start:start + len(some)] = _probability(model.forward(covered), target)
        return Occlusion(p.reshape(len(tops), len(lefts)), float(_probability(logits, target)[0]),
                         tops, lefts, size, (H, W))


def _pair(size: Any) -> tuple[int, int]:
    both = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(both) != 2 or not all(isinstance(n, int | np.integer) and not isinstance(n, bool)
                                 for n in both):
        raise ValueError(f"occlusion: size must be an integer or (height, width); got {size!r}")
    return int(both[0]), int(both[1])


def _places(side: int, size: int, stride: int) -> np.ndarray:
    """Corners from 0 to side − size, `stride` apart, with the last one."""
    return np.unique([*range(0, side - size, stride), side - size])


def _probability(logits: Any, target: int) -> np.ndarray:
    """Softmax of (N, classes), the column of the class, (N,)."""
    z = to_host(logits).astype(np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e[:, target] / e.sum(axis=1)


# ── the picture ──────────────────────────────────────────────────────────────────────


def occlusion_figure(model: Layer, x: Any, target: int, size: int | tuple[int, int] | None = None,
                     stride: int | None = None, name: str = "", note: str = "") -> "Figure":
    """The image with the square drawn at its size, the probability for each place of its middle,
    and the drop over the image. `name` is the class's; arguments and errors are `occlusion`'s."""
    found = occlusion(model, x, target, size, stride)
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    figure = Figure(figsize=(9.4, 3.2), layout="constrained")
    image, places, drops = figure.subplots(1, 3)
    (H, W), (h, w) = found.shape, found.size
    shown = find.picture(x[0])
    image.imshow(shown, cmap="gray", vmin=0, vmax=1)
    image.add_patch(Rectangle((-0.5, -0.5), w, h, facecolor="0.5", edgecolor="white"))
    image.set_title(f"the image, and a square of {h}×{w}", fontsize=9)

    what = name or f"class {target}"
    edges = [_edges(corners, side) for corners, side in ((found.lefts, w), (found.tops, h))]
    mesh = places.pcolormesh(*edges, found.p, cmap="viridis", vmin=0,
                             vmax=max(found.whole, found.p.max(), 1e-6))
    places.set(xlim=(-0.5, W - 0.5), ylim=(H - 0.5, -0.5), aspect="equal", facecolor="0.92")
    places.set_title(f"probability of {what}, by the square's middle\n"
                     f"(nothing covered: {found.whole:.2f})", fontsize=9)
    figure.colorbar(mesh, ax=places, shrink=0.8)

    drop = found.drop()
    most = max(abs(drop).max(), 1e-6)
    drops.imshow(shown.mean(axis=2) if shown.ndim == 3 else shown, cmap="gray", vmin=0, vmax=1)
    over = drops.imshow(drop, cmap="RdBu_r", vmin=-most, vmax=most,
                        alpha=0.75 * np.clip(abs(drop) / most, 0.15, 1))
    drops.set_title("what covering a pixel takes from it\n(red: takes, blue: adds)", fontsize=9)
    figure.colorbar(over, ax=drops, shrink=0.8)
    for axes in (image, drops):
        axes.set_axis_off()
    places.set_xticks([])
    places.set_yticks([])
    if note:
        figure.suptitle(note, fontsize=9)
    return figure


def _edges(corners: np.ndarray, size: int) -> np.ndarray:
    """Borders between the middles of squares, one more than squares."""
    middles = corners + (size - 1) / 2
    if len(middles) == 1:
        return np.array([middles[0] - 0.5, middles[0] + 0.5])
    between = (middles[1:] + middles[:-1]) / 2
    return np.concatenate([[2 * middles[0] - between[0]], between, [2 * middles[-1] - between[-1]]])
