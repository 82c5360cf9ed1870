"""Class image — the picture that a network finds most like a class, climbed to from noise.

The weights stay; the image x learns. Each step goes up the gradient of the class's logit s, the
length of the step fixed; then x is drawn back towards grey m, the middle of its range:

    g = ∂s/∂x at x moved by a few pixels        other pixels each time, moved back afterwards
    x ← x + rate · g / √(mean of g²)
    x ← m + (1 − decay) · (x − m)               the L2 penalty of Simonyan et al., as decay
    x ← blurred x, every few steps              kernel [1 2 1]/4 along both axes
    x ← clip(x, low, high)

Without the last three and the shifts, the logit grows as well, but from patterns as fine as
pixels, in which nobody sees anything: the network was never asked about such images. The rules
keep to images that change little from pixel to pixel, and whose effect does not hang on a pixel's
place. What comes out is what the class's logit hangs on, and no photograph.

Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014 (the climb,
L2); Yosinski, Clune, Nguyen, Fuchs & Lipson, "Understanding Neural Networks Through Deep
Visualization", ICML workshop 2015 (decay, blur); Mordvintsev, Olah & Tyka, "Inceptionism", 2015
(shifts, steps of fixed length).
"""
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.layer import Layer, no_grad
from scratchnet.visualize import find
from scratchnet.visualize.sheet import image_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_image(model: Layer, target: int, shape: tuple[int, int, int], steps: int = 200,
                rate: float = 0.02, decay: float = 0.01, shift: int = 2, blur_every: int = 8,
                low: float = 0.0, high: float = 1.0,
                rng: int | np.random.Generator | None = None) -> np.ndarray:
    """Return an image (C, H, W) on which the class `target` scores high, on the host.

    shape       (C, H, W) of the images that the network takes
    steps       of the climb; rate, decay and blur_every (0: never) as above
    shift       the image is moved by up to so many pixels, round the edges, before each step
    low, high   the range of the network's images
    rng         an int, a numpy Generator or None (a fresh one): begins with weak noise, and shifts

    The model is left as it was. Raises ValueError for numbers and shapes that do not fit.
    """
    _check(shape, steps, rate, decay, shift, blur_every, low, high)
    rng = np.random.default_rng(rng)
    parameters = model.parameters()
    value = parameters[0].value if parameters else np.zeros(0, np.float32)
    middle = (low + high) / 2
    x = middle + 0.02 * (high - low) * rng.standard_normal((1, *shape))
    with find.undisturbed(model):
        for step in range(1, steps + 1):
            by = rng.integers(-shift, shift + 1, 2)
            moved = np.roll(x, by, axis=(2, 3)).astype(value.dtype)
            y = find.run(model, to_device(moved, device_of(value)))
            dx = find.back(model, y, dy=find.one_hot(find.classes_of(y, target), y))
            g = np.roll(to_host(dx).astype(np.float64), -by, axis=(2, 3))
            x = x + rate * (high - low) * g / (np.sqrt((g**2).mean()) or 1.0)
            x = middle + (1 - decay) * (x - middle)
            if blur_every and step % blur_every == 0 and step < steps:
                x = _blurred(x)
            x = np.clip(x, low, high)
    return x[0].astype(value.dtype)


def _blurred(x: np.ndarray) -> np.ndarray:
    """[1 2 1]/4 along both axes; the edges are repeated."""
    for axis in (2, 3):
        padded = np.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(4)], mode="edge")
        before, after = (padded.take(range(i, i + x.shape[axis]), axis) for i in (0, 2))
        x = (before + 2 * x + after) / 4
    return x


def _check(shape: Any, steps: Any, rate: Any, decay: Any, shift: Any, blur_every: Any, low: Any,
           high: Any) -> None:
    if not (isinstance(shape, tuple | list) and len(shape) == 3
            and all(isinstance(n, int | np.integer) and n > 0 for n in shape)):
        raise ValueError(f"class_image expects the shape of one image, (C, H, W), such as "
                         f"(3, 32, 32); got {shape!r}")
    for n, name, least in ((steps, "steps", 1), (shift, "shift", 0),
                           (blur_every, "blur_every", 0)):
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < least:
            raise ValueError(f"class_image: {name} must be an integer ≥ {least}; got {n!r}")
    if not rate > 0 or not 0 <= decay < 1 or not low < high:
        raise ValueError(f"class_image: expected rate > 0, 0 ≤ decay < 1 and low < high; got "
                         f"rate={rate}, decay={decay}, low={low}, high={high}")


# ── the picture ──────────────────────────────────────────────────────────────────────


def class_images_figure(model: Layer, targets: list[int], shape: tuple[int, int, int],
                        names: list[str] | None = None, note: str = "",
                        **settings: Any) -> "Figure":
    """A class image for each of `targets`, with its name, and the probability that the network
    gives the class there. `settings` are those of `class_image`."""
    if not len(targets) or names is not None and len(names) != len(targets):
        raise ValueError(f"class_images_figure expects classes, and a name for each or none; got "
                         f"{len(targets)} and {len(names or ())}")
    images = np.stack([class_image(model, target, shape, **settings) for target in targets])
    with find.undisturbed(model), no_grad():
        parameters = model.parameters()
        where = device_of(parameters[0].value) if parameters else "cpu"
        z = to_host(find.run(model, to_device(images, where))).astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = (p / p.sum(axis=1, keepdims=True))[np.arange(len(p)), targets]
    captions = [f"{name}\n{one:.0%}" for name, one in zip(
        names or [f"class {target}" for target in targets], p, strict=True)]
    low, high = settings.get("low", 0.0), settings.get("high", 1.0)
    shown = (images - low) / (high - low)
    if shown.shape[1] not in (1, 3):
        shown = shown.mean(axis=1, keepdims=True)
    return image_sheet(shown, captions, columns=5, title=note)
