"""Find — a layer by its name, what it makes of an image, and the way back from there.

Everything that looks into a network needs the same few things, and leaves it as it was:

    layer           the layer called "features.3", as model.named_layers() calls it
    undisturbed     with undisturbed(model): run it as you like; afterwards all is as before
    run             the network's output for some images, or one error that says what does not fit
    listening       what a layer returned, while the network runs
    back            the way from a layer down to the image, for any gradient given there

The last is a trick. Backward begins at the end of a network, but here it is to begin in the middle,
whatever the network's wiring. So it begins at the end with zeros, which stay zeros on all ways
(every backward is linear in dy); where they arrive at the layer in question, the gradient given is
put in their place, and from there on the ordinary backward of every layer does the rest.
"""
import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np

from scratchnet.backend import asarray_like, is_array, to_host, xp_of
from scratchnet.layer import Layer, remembering
from scratchnet.training.finite import generators


def layer(model: Layer, name: str) -> Layer:
    """Return the layer of this dotted name, as model.named_layers() lists them ("features.3").

    Raises ValueError, with the nearest names, if there is none.
    """
    layers = dict(model.named_layers())
    if name in layers and name != "":
        return layers[name]
    names = [known for known in layers if known]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4) or names[:3]
    raise ValueError(f"no layer {name!r} in {type(model).__name__}; the nearest are "
                     f"{', '.join(near)}. [name for name, _ in model.named_layers()] lists all "
                     f"{len(names)}" if names else
                     f"no layer {name!r} in {type(model).__name__}: it holds no layers")


@contextmanager
def undisturbed(model: Layer) -> Iterator[None]:
    """Within, the model is in evaluation mode with gradients of its own, all zero; afterwards
    parameters, gradients, buffers, modes, generators, forward's memory and every other attribute
    of its layers are as they were, bit by bit, also after an error.

    Its layers may be given other methods within (`layer.backward = …`): they go at the end.
    Forward remembers, whatever no_grad is around. (Copied are the buffers; the gradients are set
    aside, so that a large network costs no time.)
    """
    layers = [one for _, one in model.named_layers()]
    attributes = [dict(vars(one)) for one in layers]
    buffers = [(a, a.copy()) for kept in attributes for a in kept.values() if is_array(a)]
    parameters = [(p, p.value, p.grad) for p in model.parameters()]
    own = list(generators(model).values())
    states = [generator.bit_generator.state for generator in own]
    try:
        for parameter, _, grad in parameters:
            parameter.grad = xp_of(grad).zeros_like(grad)
        model.eval()
        with remembering():
            yield
    finally:
        for one, kept in zip(layers, attributes, strict=True):
            vars(one).clear()
            vars(one).update(kept)
        for array, copy in buffers:
            if getattr(array.flags, "writeable", True):
                array[...] = copy
        for parameter, value, grad in parameters:
            parameter.value, parameter.grad = value, grad
        for generator, state in zip(own, states, strict=True):
            generator.bit_generator.state = state


def run(model: Layer, x: Any, single: bool = False) -> Any:
    """Return the network's output for images x (N, C, H, W), with N = 1 if `single`.

    Raises ValueError for arrays that are no images, and with the layer's own words for images
    that the network does not take: another size or number of channels.
    """
    wanted = "one image (1, C, H, W)" if single else "images (N, C, H, W)"
    if not is_array(x) or x.ndim != 4 or 0 in x.shape or (single and len(x) != 1):
        came = f"shape {x.shape}" if is_array(x) else type(x).__name__
        hint = (": one alone is image[None]" if is_array(x) and x.ndim == 3 else
                ": take x[:1]" if is_array(x) and x.ndim == 4 and len(x) > 1 else "")
        raise ValueError(f"expected {wanted}, floating point, as the network takes them; got "
                         f"{came}{hint}")
    if x.dtype.kind != "f":
        raise ValueError(f"expected {wanted}, floating point, as the network takes them; got "
                         f"{x.dtype}: convert as for training, such as x.astype('float32') / 255")
    if not bool(xp_of(x).isfinite(x).all()):
        raise ValueError("these images hold NaN or infinity, of which nothing can be shown")
    try:
        return model.forward(x)
    except ValueError as error:
        size = "×".join(map(str, x.shape[1:]))
        raise ValueError(f"the network does not take images of {size} (channels × height × "
                         f"width): {error}") from error


def classes_of(y: Any, target: Any) -> np.ndarray:
    """The class for each row of y (N, classes), from one number for all or one for each, (N,).

    Raises ValueError for outputs that are no logits, and for classes out of range.
    """
    if not is_array(y) or y.ndim != 2:
        came = f"shape {y.shape}" if is_array(y) else type(y).__name__
        raise ValueError(f"expected a network that returns logits (N, classes); this one returns "
                         f"{came}: name a layer= to look at instead")
    return _numbers(target, y, "class", "classes")


def features_of(y: Any, feature: Any, name: str) -> np.ndarray:
    """The feature for each row of a layer's output y, (N, F) or (N, F, H, W), likewise.

    Raises ValueError for other outputs, and for features out of range.
    """
    if not is_array(y) or y.ndim not in (2, 4):
        came = f"shape {y.shape}" if is_array(y) else type(y).__name__
        raise ValueError(f"{name} returns {came}; features are those of a layer that returns "
                         f"(N, F) or (N, F, H, W)")
    return _numbers(feature, y, f"feature of {name}", "features")


@contextmanager
def listening(*layers: Layer) -> Iterator[dict[Layer, tuple]]:
    """Within, what each of these layers was given last and returned: {layer: (inputs, output)},
    in the order in which they ended.

    To be used inside `undisturbed`, which takes the listening methods away again.
    """
    heard: dict[Layer, tuple] = {}

    def listen(one: Layer, forward: Any) -> Any:
        def listened(*xs: Any) -> Any:
            y = forward(*xs)
            heard.pop(one, None)
            heard[one] = xs, y
            return y
        return listened

    methods = [one.forward for one in layers]
    for one, method in zip(layers, methods, strict=True):
        one.forward = listen(one, method)
    try:
        yield heard
    finally:
        for one, method in zip(layers, methods, strict=True):
            one.forward = method


def output_of(model: Layer, name: str, x: Any, single: bool = False) -> Any:
    """Run the network; return what the layer of this name returned, on its way to the end.

    Raises ValueError for a layer that is not there or does not run in evaluation.
    """
    found = layer(model, name)
    with listening(found) as heard:
        run(model, x, single)
    return heard_of(heard, name, found)


def heard_of(heard: dict[Layer, tuple], name: str, found: Layer) -> Any:
    """What this layer returned; ValueError if it has not run."""
    if found not in heard:
        raise ValueError(f"{name}, {found}, does not run in evaluation mode (a classifier for "
                         f"training only, or a container that never runs as a whole): name "
                         f"another layer, or one inside it")
    return heard[found][1]


def back(model: Layer, y: Any, found: Layer | None = None, dy: Any = None) -> Any:
    """Return the gradient with respect to the images, of a network that has just run.

    y is what the network returned. With `found`, one of its layers, the way down begins there
    with dy, shaped as what it returned; without, it begins at the end, with dy like y.
    """
    if found is None:
        return model.backward(dy)
    begin = found.backward
    found.backward = lambda zeros: begin(dy)
    try:
        return model.backward(*(xp_of(one).zeros_like(one)
                                for one in (y if isinstance(y, tuple) else (y,))))
    finally:
        found.backward = begin


def picture(image: Any) -> np.ndarray:
    """An image (C, H, W) for matplotlib: (H, W) or (H, W, 3), stretched to 0 … 1 if it is
    beyond that; of another number of channels the mean."""
    image = np.asarray(to_host(image), dtype=np.float64)
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        image = (image - low) / (high - low or 1.0)
    return image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0)


def _numbers(given: Any, y: Any, what: str, many: str) -> np.ndarray:
    """(N,) integers from one or from N of them, each a column of y."""
    numbers = np.asarray(to_host(given) if is_array(given) else given)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (len(y),)):
        one = isinstance(given, Integral | np.ndarray | list | tuple)
        raise ValueError(f"expected the number of a {what}, or one for each of the {len(y)} "
                         f"images; got {numbers.tolist() if one else given!r}")
    numbers = np.broadcast_to(numbers, (len(y),)).astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= y.shape[1]:
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise ValueError(f"there are {y.shape[1]} {many}, 0 to {y.shape[1] - 1}; got the number "
                         f"{wrong} for a {what}")
    return numbers


def strongest_places(a: Any, features: np.ndarray) -> list[tuple[int, ...]]:
    """For each image the index into a of its feature's largest number: (n, f) or (n, f, i, j)."""
    places = []
    for n, feature in enumerate(features):
        one = to_host(a[n, int(feature)])
        places.append((n, int(feature), *map(int, np.unravel_index(one.argmax(), one.shape))))
    return places


def at(places: list[tuple[int, ...]], a: Any, values: Any = 1) -> Any:
    """Like a, `values` at these places (one for all, or one each) and 0 elsewhere."""
    seed = np.zeros(a.shape, dtype=a.dtype)
    seed[tuple(np.array(places).T)] = values
    return asarray_like(seed, a)


def one_hot(numbers: np.ndarray, y: Any) -> Any:
    """Like y (N, F), 1 in each row's column of that number and 0 elsewhere."""
    hot = np.zeros(y.shape, dtype=y.dtype)
    hot[np.arange(len(hot)), numbers] = 1
    return asarray_like(hot, y)
