"""Augmentation — new training images from old ones, by changes that leave the label true.

Each is a function transform(images, rng) → images of the same shape, new arrays, so that
`training.fit` can draw fresh variations every time an image is used.

Translation: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1 (random 224×224 crops of
256×256 images, which is the same as shifting by up to 16 pixels).
"""
import numpy as np


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
