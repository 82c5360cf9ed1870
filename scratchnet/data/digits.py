"""Digits — 1,797 handwritten digits that ship with scratchnet.

Forty-three people wrote digits on a pad; these 1,797 come from thirteen of them (the test
part of the UCI data set). Each was reduced from 32×32 black-and-white pixels to 8×8 counts
from 0 to 16. Licence: CC BY 4.0; attribution in DIGITS-LICENSE.txt, beside this file.

The split is fixed and stored with the data: 1,257 to train on, 180 to validate (to decide when
the learning rate drops), 360 held out; equal shares of every digit in each. All thirteen
writers are in all three parts, so the held-out figure says how well new digits by known
hands are read.

Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, https://doi.org/10.24432/C50P49.
"""
from importlib.resources import files
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """images (N, 1, size, size) float32 from 0 to 1; labels (N,) int64 from 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


class Digits(NamedTuple):
    """The three parts of the data set."""

    train: Split
    validation: Split
    test: Split


def load_digits(size: int = 8) -> Digits:
    """Return the digits, resized from 8×8 to size×size by bilinear interpolation.

    Raises ValueError for a size that is no integer from 1 to 1024.
    """
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 1024:
        raise ValueError(f"load_digits: size must be an integer from 1 to 1024; got {size!r}")
    with files("scratchnet.data").joinpath("digits.npz").open("rb") as file, \
            np.load(file, allow_pickle=False) as archive:
        counts, labels, part = (archive[name] for name in ("images", "labels", "part"))

    images = counts.astype(np.float32) / 16
    if size != 8:
        from PIL import Image
        images = np.stack([np.asarray(Image.fromarray(image).resize(
            (size, size), Image.Resampling.BILINEAR)) for image in images])
    images, labels = images[:, None], labels.astype(np.int64)
    return Digits(*(Split(images[part == p], labels[part == p]) for p in (0, 1, 2)))
