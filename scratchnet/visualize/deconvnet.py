"""Deconvnet — from one activation back to the pixels that made it.

What does feature 17 of conv4 respond to? Take an image that excites it, keep its one strongest
activation, set all others of the layer to zero, and go down again, layer by layer, each step
answering the forward step of its layer:

    forward                                 back
    ─────────────────────────────────       ────────────────────────────────────────────────────
    max-pooling   y = max of a window       unpooling: r to where forward's maximum was (the switch)
    ReLU          y = max(x, 0)             rectification: max(r, 0)
    convolution   y = w ∗ x + b             transposed convolution with the same w, without b
    ─────────────────────────────────       ────────────────────────────────────────────────────
    LRN                                     passed over: r
    batch norm    y = γ·(x − μ)/√(σ² + ε)   r · γ/√(σ² + ε), μ, σ² the running averages; no shift
    linear        y = W·x + b               Wᵀ·r
    dropout       (evaluation) y = x        r

until r has the shape of the image. It is no inverse and learns nothing: it shows which pattern in
this image, of those the filters know, the activation came from. The first three rows are the
paper's. That it leaves normalisation out is recalled, not looked up again; batch norm is
younger, and linear layers it does not go through: both are done here as backward does them.

Set beside the gradient: unpooling is max-pooling's backward, the transposed convolution is
convolution's, and only ReLU differs, which asks whether r is positive now, not whether x was
(and LRN, with a gradient of its own). So there are two functions: `descend` goes down a plain
chain of layers by hand and shows every step; `reconstruct` uses the network's own backward with
the rule "deconvnet" of saliency.py, for any network at all. On chains they agree.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 2.1.
"""
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scratchnet import convolution
from scratchnet.backend import device_of, to_device, to_host, xp_of
from scratchnet.cost import summary
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    MaxUnpool2d,
    ReLU,
    ReLU6,
    Sequential,
    SiLU,
)
from scratchnet.layers.max_unpool import switches
from scratchnet.visualize import find
from scratchnet.visualize.saliency import ruled, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Strong(NamedTuple):
    """One strong activation: of which image, how strong, where in its map (i, j), the window
    (rows, columns) of the image that it sees, and its reconstruction (C, H, W)."""

    image: int
    activation: float
    place: tuple[int, ...]
    window: tuple[slice, slice]
    reconstruction: np.ndarray


# ── by hand ──────────────────────────────────────────────────────────────────────────


def descend(model: Layer, x: Any, layer: str, feature: int) -> list[tuple[str, Any]]:
    """Go down from the strongest activation of a feature in one image x (1, C, H, W), by hand.

    Returns the steps, (name of the layer that was passed, what came out below it): first
    (`layer`, its output with all but the one activation set to zero), last the reconstruction,
    shaped like x. The model is left as it was.
    Raises ValueError for names, numbers and images that do not fit, and for networks that are not
    a chain, down from `layer`, of the layers in the table above.
    """
    found = find.layer(model, layer)
    chain = list(_chain(model))
    place = next((i for i, (_, f) in enumerate(chain) if f is found), None)
    if place is None:
        raise ValueError(f"{layer} is not a link of a plain chain of layers from the image: "
                         f"{_INSTEAD}")
    chain = chain[:place + 1]
    for name, f in chain:
        _way_back(name, f)                      # complain before anything is computed
    with find.undisturbed(model), convolution.local():
        find.run(model, x, single=True)         # so that errors are the same everywhere
        below, a = [], x
        for _, f in chain:
            y, t = switches(f, a) if isinstance(f, MaxPool2d) else (f.forward(a), None)
            below.append((a.shape, t))
            a = y
        r = find.at(places := _strongest(a, feature, layer), a, _values(a, places))
        steps = [(layer, r)]
        for (name, f), (shape, t) in zip(reversed(chain), reversed(below), strict=True):
            r = _way_back(name, f)(f, r, shape, t)
            steps.append((name, r))
    return steps


def _chain(model: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(dotted name, layer), in order, with chains inside the chain opened."""
    if type(model).forward is not Sequential.forward:
        yield prefix, model
        return
    for name in model._names:
        yield from _chain(model[name], f"{prefix}.{name}" if prefix else name)


def _unpool(pool: MaxPool2d, r: Any, shape: tuple, t: Any) -> Any:
    return MaxUnpool2d(shape[2:]).forward(r, t)


def _rectify(relu: Layer, r: Any, shape: tuple, t: Any) -> Any:
    return xp_of(r).maximum(r, 0)


def _filter(conv: Conv2d, r: Any, shape: tuple, t: Any) -> Any:
    """The transposed convolution with conv's weights, back to the size that conv came from."""
    stride, padding, dilation, groups = conv.geometry
    left = [(n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in zip(
        shape[2:], conv.kernel_size, stride, padding, dilation, strict=True)]
    back = ConvTranspose2d(conv.out_channels, conv.in_channels, conv.kernel_size, stride, padding,
                           tuple(left), dilation, groups, bias=False)
    back.weight = conv.weight
    return back.forward(r)


def _scale(norm: BatchNorm2d, r: Any, shape: tuple, t: Any) -> Any:
    factor = norm.weight.value / xp_of(r).sqrt(norm.running_var + norm.eps)
    return r * factor[:, None, None].astype(r.dtype)


def _linear(linear: Linear, r: Any, shape: tuple, t: Any) -> Any:
    return r @ linear.weight.value


def _shape(flatten: Flatten, r: Any, shape: tuple, t: Any) -> Any:
    return r.reshape(shape)


def _pass_over(layer: Layer, r: Any, shape: tuple, t: Any) -> Any:
    return r


_BACK = {MaxPool2d: _unpool, ReLU: _rectify, ReLU6: _rectify, SiLU: _rectify, Conv2d: _filter,
         BatchNorm2d: _scale, Linear: _linear, Flatten: _shape, LocalResponseNorm: _pass_over,
         Dropout: _pass_over, Identity: _pass_over}
_INSTEAD = ("use reconstruct(…), which goes down any network by its own backward with the "
            "deconvnet's rule for ReLU, or saliency(…) with another rule")


def _way_back(name: str, f: Layer) -> Any:
    for kind, back in _BACK.items():
        if isinstance(f, kind):
            return back
    why = ("a mean has no switches, it does not say where its numbers came from"
           if isinstance(f, AvgPool2d | AdaptiveAvgPool2d) else
           "the deconvnet has no way back through it")
    raise ValueError(f"{name} is {f}: {why}; {_INSTEAD}")


# ── for any network ──────────────────────────────────────────────────────────────────


def reconstruct(model: Layer, x: Any, layer: str, feature: Any) -> Any:
    """Return, for each image, the reconstruction from its strongest activation of a feature.

    x (N, C, H, W) as the network takes it; `feature` is one number for all images, or one for each.
    What comes back is shaped like x. The model is left as it was. Raises ValueError for names,
    numbers and images that do not fit, and for networks without any ReLU.
    """
    # local: what the activation does not see stays 0, and so _window can tell where it looked
    with find.undisturbed(model), ruled(model, "deconvnet"), convolution.local():
        found = find.layer(model, layer)
        with find.listening(found) as heard:
            y = find.run(model, x)
        a = find.heard_of(heard, layer, found)
        places = _strongest(a, feature, layer)
        return find.back(model, y, found, find.at(places, a, _values(a, places)))


def strongest(model: Layer, images: np.ndarray, layer: str, feature: int, count: int = 9,
              batch_size: int = 64) -> list[Strong]:
    """Return the `count` strongest activations of a feature in images (N, C, H, W), one an image.

    Strongest first; fewer if there are fewer images. The window is as large as the layer's
    receptive field, and holds what the reconstruction shows. Errors are those of `reconstruct`.
    """
    return _strongest_of(model, images, [(layer, feature)], count, batch_size)[0]


def _strongest_of(model: Layer, images: np.ndarray, wanted: Sequence[tuple[str, int]], count: int,
                  batch_size: int) -> list[list[Strong]]:
    """The same for several (layer, feature), in one pass over the images."""
    for n, name in ((count, "count"), (batch_size, "batch_size")):
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ValueError(f"strongest: {name} must be an integer ≥ 1; got {n!r}")
    layers = {name: find.layer(model, name) for name, _ in wanted}
    best: list[list[tuple[float, int, tuple]]] = [[] for _ in wanted]
    for start in range(0, len(images), batch_size):
        with find.undisturbed(model), no_grad(), find.listening(*layers.values()) as heard:
            find.run(model, _placed(model, images[start:start + batch_size]))
            for so_far, (name, feature) in zip(best, wanted, strict=True):
                a = find.heard_of(heard, name, layers[name])
                for place in _strongest(a, feature, name):
                    so_far.append((float(a[place]), start + place[0], place[2:]))
    fields = _fields(model, images.shape[1:])
    result = []
    for (name, feature), found in zip(wanted, best, strict=True):
        found = sorted(found, key=lambda one: (-one[0], one[1]))[:count]
        shown = reconstruct(model, _placed(model, images[[n for _, n, _ in found]]), name, feature)
        result.append([Strong(n, activation, place, _window(dx, fields[name]), dx) for
                       (activation, n, place), dx in zip(found, to_host(shown), strict=True)])
    return result


def _strongest(a: Any, feature: Any, layer: str) -> list[tuple[int, ...]]:
    return find.strongest_places(a, find.features_of(a, feature, layer))


def _values(a: Any, places: list[tuple[int, ...]]) -> np.ndarray:
    return np.array([a[place].item() for place in places])


def _placed(model: Layer, images: np.ndarray) -> Any:
    """The images where the model is."""
    parameters = model.parameters()
    return to_device(images, device_of(parameters[0].value)) if parameters else images


def _fields(model: Layer, shape: tuple) -> dict[str, tuple[float, float]]:
    """Each layer's receptive field; where it is not known, all."""
    table = summary(model, shape)
    rows = [*table.rows, *table.blocks.values()]
    return {row.name: row.receptive_field or (np.inf, np.inf) for row in rows}


def _window(dx: np.ndarray, field: tuple[float, float]) -> tuple[slice, slice]:
    """The window of this size, within the image, that holds where dx is not zero."""
    window = []
    for axis, r in enumerate(field):
        size = dx.shape[1 + axis]
        seen = np.flatnonzero(dx.any(axis=(0, 2 - axis)))
        length = int(min(r, size))
        middle = (seen[0] + seen[-1] + 1) / 2 if len(seen) else size / 2
        start = int(np.clip(round(middle - length / 2), 0, size - length))
        window.append(slice(start, start + length))
    return window[0], window[1]


# ── the picture ──────────────────────────────────────────────────────────────────────


def deconvnet_figure(model: Layer, images: np.ndarray, features: Mapping[str, Sequence[int]],
                     count: int = 9, note: str = "") -> "Figure":
    """As in the paper's figure 2: for each feature its strongest reconstructions, and beside them
    the patches of the images that they are reconstructions of.

    `features` says which of which layer, {"conv2": [0, 5], "conv4": [3]}: a row a layer. Every
    reconstruction has its own scale, grey is zero. `note` is written above, such as "untrained:
    weights as drawn". Raises ValueError for no features, and as `strongest` does.
    """
    if not isinstance(features, Mapping):
        raise ValueError(f"deconvnet_figure expects {{layer's name: feature numbers}}; got "
                         f"{features!r}")
    wanted = [(layer, feature) for layer, numbers in features.items() for feature in numbers]
    if not wanted or not all(len(numbers) for numbers in features.values()):
        raise ValueError("deconvnet_figure expects {layer's name: feature numbers}, at least one "
                         f"each; got {features!r}")
    found = dict(zip(wanted, _strongest_of(model, images, wanted, count, 64), strict=True))
    from matplotlib.figure import Figure
    columns = max(len(numbers) for numbers in features.values())
    figure = Figure(figsize=(max(3.4 * columns, 4.6), 1.95 * len(features) + 0.5),
                    layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.1)
    grid = figure.subplots(len(features), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (layer, numbers) in zip(grid, features.items(), strict=True):
        for axes, feature in zip(row, numbers, strict=False):
            strong = found[layer, feature]
            shown = [signed(s.reconstruction[:, s.window[0], s.window[1]]) for s in strong]
            patches = [find.picture(images[s.image][:, s.window[0], s.window[1]]) for s in strong]
            axes.imshow(_mosaics(shown, patches))
            dead = max(s.activation for s in strong) <= 0
            axes.set_title(f"{layer}, feature {feature}" + (": never active" if dead else ""),
                           fontsize=9)
    notes = [note, "" if any(isinstance(f, MaxPool2d) for _, f in model.named_layers())
             else "no max-pooling in this network, so no switches"]
    notes = "; ".join(n for n in notes if n)
    figure.suptitle("reconstructions (left) and the patches that they are made from (right)"
                    + (f"\n{notes}" if notes else ""), fontsize=9)
    return figure


def _mosaics(*sets: list[np.ndarray]) -> np.ndarray:
    """Squares of pictures beside each other, white between the pictures and more between the
    squares; (H, W, 3)."""
    side = int(np.ceil(len(sets[0]) ** 0.5))
    H, W = sets[0][0].shape[:2]
    gap = max(1, W // 20)
    rows = -(-len(sets[0]) // side)
    sheets = []
    for pictures in sets:
        sheet = np.ones((rows * (H + gap) - gap, side * (W + gap) - gap, 3))
        for i, one in enumerate(pictures):
            top, left = i // side * (H + gap), i % side * (W + gap)
            sheet[top:top + H, left:left + W] = one if one.ndim == 3 else one[..., None]
        sheets += [sheet, np.ones((len(sheet), 3 * gap, 3))]
    return np.concatenate(sheets[:-1], axis=1)
