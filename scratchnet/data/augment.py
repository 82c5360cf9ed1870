"""Augmentation — new training images from old ones, by changes that leave the label true.

A transform is called with a batch, (N, C, H, W) floating point, and a random generator; it returns
new images and leaves the old ones alone. Each image is varied by draws of its own, and all chance
comes from the generator: the same generator gives the same images. Constants are attributes; a
transform prints as it is constructed. In the order in which they are usually listed:

    ColourJitter, PCAColour                             other light
    Normalise                                           numbers around 0
    RandomCrop, RandomResizedCrop, ScaleJitter          another place, another size
    RandomShift, RandomReflection, Cutout               where nothing is cut off

Images are from 0 to 1 until Normalise. ColourJitter needs that and keeps it; PCAColour may leave
it by a little; all others leave numbers as they are, or mix neighbours. Padding and Cutout fill
in zeros: black before Normalise, the mean after it.

A label has to survive: a mirrored cat is a cat, a mirrored 3 is nothing.
"""
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np

from scratchnet.data.loader import fetch

SAMPLE = 10_000         # images that are read to measure a set that reads when it is asked
AT_ONCE = 1 << 22       # numbers at once, while measuring


class Transform:
    """Base class: checks the images, and prints the constants."""

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no __call__(images, rng) yet")

    def __repr__(self) -> str:
        constants = (f"{name}={_spelled(value)}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(constants)})"


# ── places and sizes ─────────────────────────────────────────────────────────────────

class RandomCrop(Transform):
    """A random size×size part of each image, (N, C, H, W) → (N, C, size, size).

    Every position is equally likely. From 256×256 stored pixels, 224 are cut in AlexNet's training;
    with reflections the paper counts 32·32·2 = 2,048 different crops of an image (33 positions
    along each axis would be 2,178; all are drawn here). With `padding`, that many rows of zeros
    are first added on each side: ResNet's 32 of 40 on CIFAR-10.

    Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1; He, Zhang, Ren & Sun, CVPR 2016,
    section 4.2. Raises ValueError for images smaller than the crop.
    """

    def __init__(self, size: int, padding: int = 0):
        self.size, self.padding = whole(self, "size", size, 1), whole(self, "padding", padding, 0)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images, at_least=self.size - 2 * self.padding)
        N, _, H, W = images.shape
        p = self.padding
        padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p))) if p else images
        top = rng.integers(0, H + 2 * p - self.size + 1, N)
        left = rng.integers(0, W + 2 * p - self.size + 1, N)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.size, self.size), (2, 3))
        return windows[np.arange(N), :, top, left]


class RandomResizedCrop(Transform):
    """A random part of each image, of random area and proportions, resized to size×size.

    The area is uniform between the two shares of the image's, width/height between the two of
    `aspect`, by its logarithm, so that flat and tall are equally likely (the paper does not say),
    and only among those that fit into the image. Where none fits, which needs an image much
    longer than wide, the part is made smaller.

    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.
    """

    def __init__(self, size: int, area: tuple[float, float] = (0.08, 1),
                 aspect: tuple[float, float] = (3 / 4, 4 / 3)):
        self.size = whole(self, "size", size, 1)
        self.area, self.aspect = _range(self, "area", area), _range(self, "aspect", aspect)
        if not (0 < self.area[0] <= self.area[1] <= 1 and self.aspect[0] > 0):
            raise ValueError(f"{self}: expected shares of the area above 0 and up to 1, and "
                             f"width/height above 0")

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images)
        N, _, H, W = images.shape
        area = rng.uniform(*self.area, N) * (H * W)
        low = np.clip(area / H**2, *self.aspect)        # height² = area / aspect ≤ H²
        high = np.clip(W**2 / area, *self.aspect)       # width²  = area · aspect ≤ W²
        aspect = low * (high / low) ** rng.random(N)
        height, width = np.sqrt(area / aspect), np.sqrt(area * aspect)
        fit = np.minimum(1, np.minimum(H / height, W / width))
        height, width = fit * height, fit * width
        top, left = rng.random(N) * (H - height), rng.random(N) * (W - width)
        return resize_bilinear(images, np.stack([top, left, height, width], axis=1), self.size)


class ScaleJitter(Transform):
    """Each image is resized so that its shorter side is a random S, then size×size are cut out.

    S is an integer from `smallest` to `largest`, all equally likely: VGG's [256, 512], with
    crops of 224. Both steps are done in one: the part that will be cut is resized. (Above the
    stored side S only enlarges: what was not stored cannot come back.)

    Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    ICLR 2015, section 3.1.
    """

    def __init__(self, size: int, smallest: int, largest: int):
        self.size = whole(self, "size", size, 1)
        self.smallest = whole(self, "smallest", smallest, self.size)
        self.largest = whole(self, "largest", largest, self.smallest)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images)
        N, _, H, W = images.shape
        side = self.size * min(H, W) / rng.integers(self.smallest, self.largest + 1, N)
        top, left = rng.random(N) * (H - side), rng.random(N) * (W - side)
        return resize_bilinear(images, np.stack([top, left, side, side], axis=1), self.size)


class RandomShift(Transform):
    """Each image is moved by up to `pixels` in both directions; see random_shift."""

    def __init__(self, pixels: int = 2):
        self.pixels = whole(self, "pixels", pixels, 0)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images)
        return random_shift(images, rng, self.pixels)


def random_shift(images: np.ndarray, rng: np.random.Generator, pixels: int = 2) -> np.ndarray:
    """Shift each image by −pixels … +pixels in both directions; (N, C, H, W) → the same shape.

    What moves in from outside repeats the border.
    """
    if images.ndim != 4 or pixels < 0:
        raise ValueError(f"random_shift expects (N, C, H, W) and pixels ≥ 0; got {images.shape}, "
                         f"pixels={pixels}")
    N, C, H, W = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    top, left = rng.integers(0, 2 * pixels + 1, size=(2, N))
    return np.stack([padded[n, :, i:i + H, j:j + W]
                     for n, (i, j) in enumerate(zip(top, left, strict=True))])


class RandomReflection(Transform):
    """Each image is mirrored, left for right, with probability p.

    Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1.
    """

    def __init__(self, p: float = 0.5):
        if not isinstance(p, Real) or not 0 <= p <= 1:
            raise ValueError(f"RandomReflection: p must be a probability, from 0 to 1; got {p!r}")
        self.p = p

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images)
        mirrored = rng.random(len(images)) < self.p
        return np.where(mirrored[:, None, None, None], images[..., ::-1], images)


class Cutout(Transform):
    """A side×side square of each image becomes zeros; its middle is any pixel of the image, so
    part of the square may lie outside.

    DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017
    (16 for CIFAR-10, after Normalise).
    """

    def __init__(self, side: int):
        self.side = whole(self, "side", side, 1)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images)
        N, _, H, W = images.shape
        rows, columns = (self._covered(rng.integers(0, length, N), length) for length in (H, W))
        keep = ~(rows[:, :, None] & columns[:, None, :])                # (N, H, W)
        return images * keep[:, None]

    def _covered(self, middle: np.ndarray, length: int) -> np.ndarray:
        first = (middle - self.side // 2)[:, None]
        at = np.arange(length)
        return (first <= at) & (at < first + self.side)                 # (N, length)


# ── colours and numbers ──────────────────────────────────────────────────────────────

class PCAColour(Transform):
    """AlexNet's colours: each image moves along the directions in which pixels differ.

    To every pixel of an image are added

        [p₁ p₂ p₃] [α₁λ₁, α₂λ₂, α₃λ₃]ᵀ,     αᵢ drawn from N(0, std²) anew for each image

    where λᵢ and pᵢ (the columns of `eigenvectors`) belong to the covariance of the pixels' colours
    over the training set. The object keeps its identity when the light changes its colour and
    intensity. Not clipped.

    Scale matters: λ is a variance, so the formula works for pixels from 0 to 1, as here (for
    those up to 255 λ would be 65,025 times as large).

    Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1 (std 0.1; top-1 error over 1 % lower).
    """

    def __init__(self, eigenvalues: np.ndarray, eigenvectors: np.ndarray, std: float = 0.1):
        self.eigenvalues = np.asarray(eigenvalues, dtype=np.float32)
        self.eigenvectors = np.asarray(eigenvectors, dtype=np.float32)
        C = self.eigenvalues.size
        if self.eigenvalues.shape != (C,) or self.eigenvectors.shape != (C, C):
            raise ValueError(f"PCAColour expects C eigenvalues and eigenvectors (C, C), one a "
                             f"column; got {self.eigenvalues.shape}, {self.eigenvectors.shape}")
        if not isinstance(std, Real) or not 0 <= std < float("inf"):
            raise ValueError(f"PCAColour: std must be a number ≥ 0; got {std!r}")
        self.std = std

    @classmethod
    def of(cls, images: Any, std: float = 0.1) -> Self:
        """Measure the training images (see `measured`); the largest eigenvalue comes first."""
        total, products, count = 0.0, 0.0, 0
        for batch in measured(images):
            pixels = batch.swapaxes(0, 1).reshape(batch.shape[1], -1)       # (C, N·H·W)
            total, products = total + pixels.sum(axis=1), products + pixels @ pixels.T
            count += pixels.shape[1]
        mean = total / count
        eigenvalues, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
        vectors *= np.where(vectors.sum(axis=0) < 0, -1, 1)     # the same sign on every machine
        return cls(np.maximum(eigenvalues[::-1], 0), vectors[:, ::-1], std)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images, channels=len(self.eigenvalues))
        alpha = rng.normal(0, self.std, (len(images), len(self.eigenvalues)))
        shift = (alpha * self.eigenvalues) @ self.eigenvectors.T                    # (N, C)
        return images + shift[:, :, None, None].astype(images.dtype)


class ColourJitter(Transform):
    """TensorFlow's random brightness, contrast and saturation, in this order, for RGB from 0 to 1.

        brightness      x ← x + δ                   δ uniform from −brightness to brightness
        contrast        x ← f·(x − mean) + mean     mean of each channel; f uniform in contrast
        saturation      S ← min(1, g·S) in HSV      hue and value stay; g uniform in saturation

    S = (V − min)/V, where V is the largest of the three colours of a pixel and min the smallest.
    With hue and V fixed the distances V − x grow in the same proportion as S does, so no
    hue need be computed:

        x ← V − (V − x)·S′/S

    After the contrast, numbers are clipped to [0, 1] (TensorFlow leaves them; its models clip them
    at the end), so the result lies there, too. The ranges are those of TensorFlow's
    Inception models. TensorFlow's documentation of tf.image: random_brightness, random_contrast,
    random_saturation.
    """

    def __init__(self, brightness: float = 32 / 255, contrast: tuple[float, float] = (0.5, 1.5),
                 saturation: tuple[float, float] = (0.5, 1.5)):
        if not isinstance(brightness, Real) or not 0 <= brightness <= 1:
            raise ValueError(f"ColourJitter: brightness must be from 0 to 1; got {brightness!r}")
        self.brightness = brightness
        self.contrast = _range(self, "contrast", contrast)
        self.saturation = _range(self, "saturation", saturation)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        expect_images(self, images, channels=3)
        if images.min() < -0.25 or images.max() > 1.25:         # PCAColour's little is allowed
            raise ValueError(f"{self} expects images from 0 to 1; got {images.min():.3g} … "
                             f"{images.max():.3g}: list it before Normalise")
        delta, f, g = (rng.uniform(low, high, (len(images), 1, 1, 1)).astype(images.dtype)
                       for low, high in ((-self.brightness, self.brightness), self.contrast,
                                         self.saturation))
        x = images + delta
        mean = x.mean(axis=(2, 3), keepdims=True)
        x = np.clip(f * (x - mean) + mean, 0, 1)
        value = x.max(axis=1, keepdims=True)
        spread = value - x.min(axis=1, keepdims=True)
        grow = np.minimum(g, value / np.maximum(spread, np.finfo(x.dtype).tiny))    # S′/S
        return np.clip(value - (value - x) * grow, 0, 1)        # against rounding only


class Normalise(Transform):
    """x ← (x − mean) / std; mean (C, 1, 1) or (C, H, W), std a number or the same shapes.

    Draws nothing, so it belongs to testing as well as to training. AlexNet and ResNet subtract
    a mean of each pixel (C, H, W), which asks for images of that size; VGG a mean of each channel.
    """

    def __init__(self, mean: np.ndarray, std: np.ndarray | float = 1.0):
        self.mean, self.std = (np.asarray(a, dtype=np.float32) for a in (mean, std))
        if self.mean.ndim != 3 or not (self.std.ndim == 0 or (
                self.std.ndim == 3 and len(self.std) == len(self.mean))):
            raise ValueError(f"Normalise expects a mean (C, 1, 1) or (C, H, W) and a std that is "
                             f"a number or like it; got {self.mean.shape}, {self.std.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()
                and (self.std > 0).all()):
            raise ValueError("Normalise: mean must be finite numbers, std finite and above 0")

    @classmethod
    def of(cls, images: Any, per: str = "channel") -> Self:
        """Measure the training images (see `measured`): the mean of each channel or of each pixel,
        and how far each channel lies from it (its standard deviation; 1 where nothing varies).

        For the mean alone: Normalise(Normalise.of(images, per).mean).
        """
        if per not in ("pixel", "channel"):
            raise ValueError(f'Normalise.of: per must be "pixel" or "channel"; got {per!r}')
        total, squares, count = 0.0, 0.0, 0
        for batch in measured(images):
            total, count = total + batch.sum(axis=0), count + len(batch)
            squares = squares + (batch**2).mean(axis=(2, 3)).sum(axis=0)
        mean = total / count
        if per == "channel":
            mean = mean.mean(axis=(1, 2), keepdims=True)
        variance = (squares / count)[:, None, None] - (mean**2).mean(axis=(1, 2), keepdims=True)
        return cls(mean, np.sqrt(np.where(variance > 1e-12, variance, 1)))

    def __call__(self, images: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        expect_images(self, images, channels=len(self.mean))
        for shape in (self.mean.shape, self.std.shape):
            if shape[1:] not in ((), (1, 1), images.shape[2:]):
                raise ValueError(f"{self} expects images of {shape[1]}×{shape[2]} pixels; got "
                                 f"{images.shape}: list it before what changes the size")
        return (images - self.mean.astype(images.dtype)) / self.std.astype(images.dtype)


# ── together ─────────────────────────────────────────────────────────────────────────

class Compose(Transform):
    """One transform after another; `transforms` is the list."""

    def __init__(self, transforms: Iterable[Callable]):
        self.transforms = list(transforms)
        if wrong := [t for t in self.transforms if not callable(t) or isinstance(t, type)]:
            raise ValueError(f"Compose expects transforms, which can be called with (images, "
                             f"rng); got {wrong[0]!r}")

    def __call__(self, images: np.ndarray,
                 rng: np.random.Generator | None = None) -> np.ndarray:
        for transform in self.transforms:
            images = transform(images, rng)
        return images

    def __repr__(self) -> str:
        lines = "".join(f"    {line}\n" for t in self.transforms
                        for line in f"{t!r},".splitlines())
        return f"Compose([\n{lines}])" if lines else "Compose([])"


# ── what they are made of ────────────────────────────────────────────────────────────

def resize_bilinear(images: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Cut a box out of each image and resize it: (N, C, H, W), (N, 4) → (N, C, size, size).

    A box is (top, left, height, width) in pixels, fractions allowed. The middle of the new pixel
    i lies at

        y = top + (i + ½)·height/size − ½

    of the old ones, whose middles are at 0, 1, 2, …; between two of them, they are mixed
    linearly, and beyond the border it repeats. Rows first, then columns. Only the neighbours
    are looked at: a box much more than twice `size` should be made smaller by a mean first.
    """
    i, down = _between(boxes[:, 0::2], images.shape[2], size)
    j, right = _between(boxes[:, 1::2], images.shape[3], size)
    down, right = down.astype(images.dtype), right.astype(images.dtype)
    resized = np.empty((*images.shape[:2], size, size), dtype=images.dtype)
    for n, image in enumerate(images):          # one at a time stays in the cache
        above, below = image[:, i[n]], image[:, np.minimum(i[n] + 1, image.shape[1] - 1)]
        rows = above + down[n, :, None] * (below - above)                   # (C, size, W)
        here = rows[:, :, j[n]]
        there = rows[:, :, np.minimum(j[n] + 1, image.shape[2] - 1)]
        resized[n] = here + right[n] * (there - here)                       # (C, size, size)
    return resized


def _between(spans: np.ndarray, length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For spans (N, 2), start and extent: the old pixel before each new one, and how far after
    it that lies, both (N, size)."""
    start, extent = spans[:, :1], spans[:, 1:]
    at = np.clip(start + (np.arange(size) + 0.5) * (extent / size) - 0.5, 0, length - 1)
    before = at.astype(np.int64)
    return before, at - before


def measured(images: Any) -> Iterator[np.ndarray]:
    """Yield the images in batches (n, C, H, W) of float64, from 0 to 1, to compute statistics.

    All of an array; of an object that reads when it is asked, 10,000 images, evenly spread.
    Raises ValueError for images of another shape, or none.
    """
    shape = getattr(images, "shape", ())
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"expected images (N, C, H, W), N ≥ 1, to measure; got "
                         f"{shape or type(images).__name__}")
    N = len(images)
    count = N if isinstance(images, np.ndarray) else min(N, SAMPLE)
    positions = np.arange(count) * N // count
    step = max(1, AT_ONCE // int(np.prod(shape[1:])))
    for start in range(0, count, step):
        yield fetch(images, positions[start:start + step]).astype(np.float64)


def expect_images(transform: Transform, images: Any, channels: int | None = None,
                  at_least: int = 1) -> None:
    """Raise ValueError unless `images` are (N, C, H, W), floating point, and large enough."""
    wanted = f"{transform} expects images (N, {channels or 'C'}, H, W), floating point"
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        came = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"{wanted}; got {came}: convert bytes with images.astype('float32') / 255")
    if images.ndim != 4 or 0 in images.shape[1:] or channels not in (None, images.shape[1]):
        raise ValueError(f"{wanted}; got {images.shape}")
    if min(images.shape[2:]) < at_least:
        raise ValueError(f"{wanted}, of at least {at_least}×{at_least} pixels; got {images.shape}: "
                         f"store larger images")


def whole(transform: Transform, name: str, n: Any, least: int) -> int:
    """Return n if it is an integer, `least` or more; else raise ValueError."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < least:
        raise ValueError(f"{type(transform).__name__}: {name} must be an integer ≥ {least}; got "
                         f"{n!r}")
    return int(n)


def _range(transform: Transform, name: str, pair: Sequence[float]) -> tuple[float, float]:
    if not (isinstance(pair, tuple | list) and len(pair) == 2
            and all(isinstance(x, Real) for x in pair) and 0 <= pair[0] <= pair[1] < float("inf")):
        raise ValueError(f"{type(transform).__name__}: {name} must be a pair (lowest, highest) of "
                         f"numbers ≥ 0; got {pair!r}")
    return tuple(pair)


def _spelled(value: Any) -> str:
    """A constant as it is typed; of arrays with more than nine numbers, the shape."""
    if not isinstance(value, np.ndarray):
        return f"({', '.join(map(_spelled, value))})" if isinstance(value, tuple) else (
            f"{value:.4g}" if isinstance(value, float) else repr(value))
    if value.size > 9:
        return f"<{'×'.join(map(str, value.shape))}>"
    return f"{value.item():.4g}" if value.ndim == 0 else (
        f"[{', '.join(_spelled(row) for row in value)}]" if value.ndim > 1 else
        f"[{', '.join(f'{x:.4g}' for x in value)}]")
