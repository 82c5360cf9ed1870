"""Grad-CAM and CAM — where in the image a class is seen, from the last feature maps.

A deep feature map A^k (h×w) says where its feature is. How much does each speak for the class c,
whose logit is s? Grad-CAM takes the gradient, averaged over the map, and adds the maps up:

    α_k = 1/(h·w) · Σ_i Σ_j ∂s/∂A^k_ij
    L   = max( Σ_k α_k · A^k, 0 )           only what speaks for the class

CAM, which is older, needs no gradient, but a network that ends in a mean over each map and one
linear layer, s = b_c + Σ_k w_k · 1/(h·w) Σ_ij A^k_ij. Then the logit is the mean of one map:

    M = Σ_k w_k · A^k                       s = b_c + mean of M

There ∂s/∂A^k_ij = w_k/(h·w), so α_k = w_k/(h·w) and L = max(M, 0)/(h·w): the same map. In a network
that ends in the mean itself (NiN), A^c is M already.

A worked example, two maps of 1×2, s = 4·(first map's mean) − 2·(second map's mean):

    A¹ = [3 1]   α₁ = 4/2 = 2            L = max([6 2] − [1 5], 0) = [5 0]
    A² = [1 5]   α₂ = −2/2 = −1          M = [12 4] − [2 10] = [10 −6] = 2·[5 −3]

The maps are small; to lay them over the image they are enlarged bilinearly (pixel middles stay
where they are, and beyond the outermost ones the edge is repeated).

Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra, "Grad-CAM", ICCV 2017; Zhou, Khosla, Lapedriza,
Oliva & Torralba, "Learning Deep Features for Discriminative Localization", CVPR 2016.
"""
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.backend import to_host
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import AdaptiveAvgPool2d, AvgPool2d, Dropout, Flatten, Identity, Linear
from scratchnet.visualize import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gradcam(model: Layer, x: Any, target: Any, layer: str | None = None) -> np.ndarray:
    """Return L for each image, as small as the layer's maps, (N, h, w), on the host.

    x (N, C, H, W) as the network takes it; `target` is a class, or one for each image; `layer` is a
    dotted name, default the last layer with maps of more than one pixel. `resize` enlarges L.
    The model is left as it was. Raises ValueError for names, numbers and images that do not fit.
    """
    with find.undisturbed(model):
        layer = _last_maps(model, x) if layer is None else layer
        found = find.layer(model, layer)
        received = []
        with find.listening(found) as heard:
            y = find.run(model, x)
        a = _maps(find.heard_of(heard, layer, found), layer)
        backward = found.backward

        def listened(dy: Any) -> Any:
            received.append(dy)
            return backward(dy)

        found.backward = listened
        find.back(model, y, dy=find.one_hot(find.classes_of(y, target), y))
        if not received:
            raise ValueError(f"{layer}, {found}: no gradient came by on the way back; name "
                             f"another layer")
        alpha = received[0].mean(axis=(2, 3), keepdims=True)
        return np.maximum(to_host((alpha * a).sum(axis=1)), 0)


def cam(model: Layer, x: Any, target: Any) -> np.ndarray:
    """Return M for each image, (N, h, w), on the host: with its negative parts.

    Raises ValueError for a network that does not end in a mean over each map and at most one
    linear layer (say, VGG): use `gradcam` there.
    """
    layers = [one for _, one in model.named_layers() if not any(one.children())]
    with find.undisturbed(model), no_grad(), find.listening(*layers) as heard:
        y = find.run(model, x)
        classes = find.classes_of(y, target)
        ended = list(heard.items())
        weights = None
        while ended:
            one, ((a, *_), out) = ended.pop()
            if isinstance(one, Linear) and weights is None:
                weights = to_host(one.weight.value)[classes]                # (N, K)
            elif isinstance(one, AdaptiveAvgPool2d | AvgPool2d) and out.shape[2:] == (1, 1):
                a = to_host(a)
                if weights is None:
                    return a[np.arange(len(a)), classes]
                return (weights[:, :, None, None] * a).sum(axis=1)
            elif not isinstance(one, Dropout | Flatten | Identity):
                break
    raise ValueError(f"class activation maps need a network that ends in a mean over each map and "
                     f"at most one linear layer; {type(model).__name__} does not: use gradcam(…)")


def resize(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge maps (N, h, w) bilinearly to (N, *size)."""
    down, across = (_weights(n, size[axis], maps.dtype) for axis, n in enumerate(maps.shape[1:]))
    return down @ maps @ across.T


def _weights(n: int, size: int, dtype: Any) -> np.ndarray:
    """(size, n): how much of each of n pixels goes into each of `size`."""
    at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    return np.maximum(1 - abs(at[:, None] - np.arange(n)), 0).astype(dtype)


def _last_maps(model: Layer, x: Any) -> str:
    """The name of the layer that was the last to return maps of more than one pixel: a block that
    joins branches ends after them."""
    names = {one: name for name, one in model.named_layers() if name}
    with no_grad(), find.listening(*names) as heard:
        find.run(model, x)
    for one, (_, y) in reversed(heard.items()):
        if getattr(y, "ndim", 0) == 4 and y.shape[2] * y.shape[3] > 1:
            return names[one]
    raise ValueError(f"no layer in {type(model).__name__} returns maps (N, C, H, W) of more than "
                     f"one pixel, so there is nowhere to look")


def _maps(a: Any, layer: str) -> Any:
    if getattr(a, "ndim", 0) != 4:
        raise ValueError(f"Grad-CAM needs maps (N, C, H, W); {layer} returns "
                         f"{getattr(a, 'shape', type(a).__name__)}: name an earlier layer")
    return a


# ── the picture ──────────────────────────────────────────────────────────────────────


def gradcam_figure(model: Layer, x: Any, targets: list[int], layer: str | None = None,
                   names: list[str] | None = None, note: str = "") -> "Figure":
    """Each image, and beside it where each of some classes is seen in it; red most, its own scale.

    `names` are those of the classes in `targets`, one at least. Other arguments and errors are
    `gradcam`'s.
    """
    targets = [targets] if isinstance(targets, Integral) else targets
    if not len(targets) or names is not None and len(names) != len(targets):
        raise ValueError(f"gradcam_figure expects classes, and a name for each or none; got "
                         f"{len(targets)} and {len(names or ())}")
    seen = [gradcam(model, x, target, layer) for target in targets]
    from matplotlib.figure import Figure
    figure = Figure(figsize=(1.75 * (1 + len(targets)), 1.75 * len(x) + 0.4 + 0.2 * bool(note)),
                    layout="constrained")
    grid = figure.subplots(len(x), 1 + len(targets), squeeze=False)
    for n, row in enumerate(grid):
        shown = find.picture(x[n])
        grey = shown.mean(axis=2) if shown.ndim == 3 else shown
        row[0].imshow(shown, cmap="gray", vmin=0, vmax=1)
        for axes, maps in zip(row[1:], seen, strict=True):
            heat = resize(maps[n:n + 1], x.shape[2:])[0]
            heat = heat / (heat.max() or 1.0)
            axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
            axes.imshow(heat, cmap="jet", vmin=0, vmax=1, alpha=0.5 * heat)
        for axes in row:
            axes.set_axis_off()
    titles = names or [f"class {target}" for target in targets]
    for axes, title in zip(grid[0], ["image", *titles], strict=True):
        axes.set_title(title, fontsize=9)
    if note:
        figure.suptitle(note, fontsize=9)
    return figure
