"""Crops for testing — the middle, or ten views of an image and the mean of what is said of them.

A network trained on crops of a larger image may look at several of them in the test as well.
AlexNet looks at ten: the four corners and the centre, and their mirror images; the answer is the
mean of the ten softmax outputs. (Nothing is random here: the 2,048 crops and reflections are
those of training.)

Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.data.augment import Transform, expect_images, whole
from scratchnet.data.loader import fetch
from scratchnet.layer import Layer, no_grad
from scratchnet.layers.softmax import softmax


class CentreCrop(Transform):
    """The size×size pixels in the middle, (N, C, H, W) → (N, C, size, size).

    An odd border is one pixel narrower above and on the left. Raises ValueError for images that
    are smaller.
    """

    def __init__(self, size: int):
        self.size = whole(self, "size", size, 1)

    def __call__(self, images: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        expect_images(self, images, at_least=self.size)
        top, left = ((length - self.size) // 2 for length in images.shape[2:])
        return images[:, :, top:top + self.size, left:left + self.size].copy()


class TenCrop(Transform):
    """Ten views of each image, (N, C, H, W) → (10·N, C, size, size): those of image n are
    10·n … 10·n + 9.

    Top left, top right, bottom left, bottom right, centre; then their mirror images in the
    same order, or not (mirror=False) where a mirrored digit is another one, and five views remain.
    Raises ValueError for images without a border around the crop, of which all views
    would be the same.
    """

    def __init__(self, size: int, mirror: bool = True):
        self.size, self.mirror = whole(self, "size", size, 1), mirror

    def __call__(self, images: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        expect_images(self, images, at_least=self.size)
        if self.size in images.shape[2:]:
            raise ValueError(f"{self} needs images larger than {self.size}×{self.size}, to have "
                             f"corners; got {images.shape}: store larger images, 256 for crops "
                             f"of 224")
        s = self.size
        views = [images[:, :, rows, columns] for rows in (slice(s), slice(-s, None))
                 for columns in (slice(s), slice(-s, None))]
        views.append(CentreCrop(s)(images))
        if self.mirror:
            views += [view[..., ::-1] for view in views]
        return np.stack(views, axis=1).reshape(-1, images.shape[1], s, s)


def ten_crop_probabilities(model: Layer, images: Any, size: int,
                           transform: Callable | None = None,
                           batch_size: int = 128, mirror: bool = True) -> np.ndarray:
    """Return (N, classes), float64: the mean of the model's softmax over ten views of each image.

    images: an array (N, C, H, W), or an object that reads when asked; bytes are divided by 255.
    `transform(images, rng)`, Normalise for instance, comes before cropping, and must draw nothing
    (its rng is None). `batch_size` counts views. Leaves the model in evaluation mode.
    Raises ValueError for no images, or images without a border around the crop.
    """
    if not len(images) or batch_size < 1:
        raise ValueError(f"ten_crop_probabilities expects at least one image and batch_size ≥ 1; "
                         f"got {len(images)} images, batch_size={batch_size}")
    crop, step = TenCrop(size, mirror), max(1, batch_size // 10)
    parameters = model.parameters()
    model.eval()
    means = []
    for start in range(0, len(images), step):
        batch = fetch(images, np.arange(start, min(start + step, len(images))))
        views = crop(batch if transform is None else transform(batch, None))
        device = device_of(parameters[0].value) if parameters else device_of(views)
        with no_grad():
            logits = to_host(model.forward(to_device(views, device)))       # (10·n, classes)
        means.append(softmax(logits).reshape(len(batch), -1, logits.shape[1]).mean(axis=1))
    return np.concatenate(means)
