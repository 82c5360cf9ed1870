"""Saliency — which pixels a class, or a feature, hangs on: three ways back through ReLU.

A number s that the network computes of an image (a class's logit, a feature) has a gradient with
respect to every pixel: how much s would change with it. The way down is the network's own
backward, but for one choice. At a ReLU, y = max(x, 0), what comes down, dy, may be let through

    gradient        dx = dy · [x > 0]                   where forward was positive: the derivative
    deconvnet       dx = dy · [dy > 0]                  where it is positive itself
    guided          dx = dy · [x > 0] · [dy > 0]        where both are

The first tells the truth about s and looks noisy. The others follow positive influences only
and draw clear pictures; they are gradients of nothing. On a worked example,

    x = [ 1 −1  2 −3 ]      gradient    [ 5  0 −2  0 ]
    dy = [ 5  4 −2 −1 ]     deconvnet   [ 5  4  0  0 ]
                            guided      [ 5  0  0  0 ]

ReLU6 and SiLU count as ReLU: deconvnet lets through dy · [dy > 0], guided their own derivative of
that (SiLU's slope is slightly negative below x = −1.28, and stays so). Other activations keep their
derivative under all three. The deconvnet has a second rule: local response normalisation is
passed over, dx = dy, as its authors did (recalled, not looked up again). Everything else is the
gradient: a convolution's is the transposed convolution, max-pooling's is unpooling with forward's
switches, batch norm's in evaluation a factor γ/√(σ² + ε), dropout's there nothing.

The saliency map of Simonyan et al. is one number a pixel, the largest |dx| over its channels.

Gradient: Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014.
Deconvnet: Zeiler & Fergus, ECCV 2014. Guided: Springenberg, Dosovitskiy, Brox & Riedmiller,
"Striving for Simplicity", ICLR workshop 2015, whose figure 1 sets the three side by side.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.backend import to_host, xp_of
from scratchnet.layer import Layer
from scratchnet.layers import LocalResponseNorm, ReLU, ReLU6, SiLU
from scratchnet.visualize import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("gradient", "deconvnet", "guided")
RECTIFIERS = ReLU | ReLU6 | SiLU


def saliency(model: Layer, x: Any, target: Any, rule: str = "gradient",
             layer: str | None = None) -> Any:
    """Return what the rule leaves of the gradient of a number with respect to x, (N, C, H, W).

    x (N, C, H, W) are images as the network takes them. The number is, for each image, the logit
    of the class `target`, or with `layer`, a dotted name, that layer's feature `target` where it
    is strongest in the image. `target` is one number for all images, or one for each.
    The model is left as it was. Raises ValueError for names, numbers, rules and images that do not
    fit, and for the rules deconvnet and guided where there is no ReLU to apply them to.
    """
    with find.undisturbed(model), ruled(model, rule):
        if layer is None:
            y = find.run(model, x)
            return find.back(model, y, dy=find.one_hot(find.classes_of(y, target), y))
        found = find.layer(model, layer)
        with find.listening(found) as heard:
            y = find.run(model, x)
        a = find.heard_of(heard, layer, found)
        seed = find.at(find.strongest_places(a, find.features_of(a, target, layer)), a)
        return find.back(model, y, found, seed)


def saliency_map(dx: Any) -> np.ndarray:
    """The largest |dx| over the channels: (N, C, H, W) → (N, H, W), on the host."""
    return to_host(abs(dx).max(axis=1))


@contextmanager
def ruled(model: Layer, rule: str) -> Iterator[None]:
    """Within, backward follows this rule at every ReLU, ReLU6 and SiLU of the model.

    Raises ValueError for another rule's name, or if there is nothing to apply it to.
    """
    if rule not in RULES:
        raise ValueError(f"there are the rules {', '.join(RULES)}; got {rule!r}")
    layers = [one for _, one in model.named_layers()]
    rectifiers = [one for one in layers if isinstance(one, RECTIFIERS)]
    if rule != "gradient" and not rectifiers:
        raise ValueError(f"the rule {rule!r} says what to do at a ReLU, and {type(model).__name__} "
                         f"has no layer ReLU, ReLU6 or SiLU: use the plain gradient, saliency")
    changed = []
    if rule == "deconvnet":
        changed = [(one, _rectified(one)) for one in rectifiers]
        changed += [(one, _passed_over(one)) for one in layers
                    if isinstance(one, LocalResponseNorm)]
    elif rule == "guided":
        changed = [(one, _guided(one.backward)) for one in rectifiers]
    before = [(one, vars(one).get("backward")) for one, _ in changed]
    for one, backward in changed:
        one.backward = backward
    try:
        yield
    finally:
        for one, own in before:
            del one.backward
            if own is not None:
                one.backward = own


def _rectified(layer: Layer) -> Any:
    def backward(dy: Any) -> Any:
        layer.recall(dy)                        # what forward saw does not count
        return xp_of(dy).maximum(dy, 0)
    return backward


def _guided(gradient: Any) -> Any:
    return lambda dy: gradient(xp_of(dy).maximum(dy, 0))


def _passed_over(layer: Layer) -> Any:
    def backward(dy: Any) -> Any:
        layer.recall(dy)
        return dy
    return backward


# ── the picture ──────────────────────────────────────────────────────────────────────


def saliency_figure(model: Layer, x: Any, target: Any, layer: str | None = None,
                    note: str = "") -> "Figure":
    """The three rules side by side: two rows an image, dx in colour, and its saliency map below.

    Each picture has its own scale: in colour, grey is no influence and brighter is more of that
    colour; in the map, black is none. `note` is written above, such as "untrained: weights as
    drawn". The arguments and errors are those of `saliency`.
    """
    rules = RULES if any(isinstance(one, RECTIFIERS) for _, one in model.named_layers()) else \
        ("gradient",)
    if len(rules) == 1:
        note += f"{'; ' if note else ''}no ReLU in this network, so the other rules do not apply"
    given = [saliency(model, x, target, rule, layer) for rule in rules]
    chosen = np.broadcast_to(np.asarray(target), len(x))
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6.6, 3.3 * len(x) + 0.5), layout="constrained")
    grid = figure.subplots(2 * len(x), 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for n in range(len(x)):
        above, below = grid[2 * n], grid[2 * n + 1]
        above[0].imshow(find.picture(x[n]), cmap="gray", vmin=0, vmax=1)
        what = f"class {chosen[n]}" if layer is None else f"{layer},\nfeature {chosen[n]}"
        below[0].text(0.5, 0.95, f"what speaks\nfor {what}", ha="center", va="top", fontsize=10)
        below[0].text(0.95, 0.35, "in this row:\nits size, the largest\nof the channels' →",
                      ha="right", va="center", fontsize=8)
        for axes, dx in zip(above[1:], given, strict=False):
            axes.imshow(signed(dx[n]), cmap="gray", vmin=0, vmax=1)
        for axes, dx in zip(below[1:], given, strict=False):
            one = saliency_map(dx[n:n + 1])[0]
            axes.imshow(one, cmap="gray", vmin=0, vmax=np.quantile(one, 0.995) or 1.0)
    for axes, title in zip(grid[0], ("image", *rules), strict=False):
        axes.set_title(title, fontsize=10)
    if note:
        figure.suptitle(note, fontsize=9)
    return figure


def signed(dx: Any) -> np.ndarray:
    """(C, H, W) of either sign for matplotlib: 0 is grey, the largest size white or black."""
    dx = np.asarray(to_host(dx), dtype=np.float64)
    scale = np.quantile(abs(dx), 0.98) or abs(dx).max() or 1.0
    colour = np.clip(0.5 + 0.5 * dx / scale, 0, 1)
    return colour.transpose(1, 2, 0) if len(colour) == 3 else colour.mean(axis=0)
