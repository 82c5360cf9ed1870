"""Data sets by name — what every one of them looks like, and where it is found.

    digits      1,797 digits, 8×8, shipped          mnist           70,000 digits, 28×28
    shapes      drawn shapes, generated             fashion-mnist   70,000 articles of clothing
    FOLDER      your own pictures, a folder a class  cifar10, cifar100   60,000 photographs, 32×32

A Data has three parts. Networks learn from `train`; `validation` decides when the learning
rate drops and which network is kept; `test` is looked at once, at the end: a figure that has
been used to decide something is no longer a measurement.
"""
import difflib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.data.digits import Split, load_digits
from scratchnet.data.images import resize
from scratchnet.data.shapes import SHAPES, load_shapes

NAMES = ("digits", "shapes", "mnist", "fashion-mnist", "cifar10", "cifar100")


class Data(NamedTuple):
    """The three parts, the names of the classes (label 0's first), and where it all came from.

    The images of a part are an array (N, C, H, W), float32 from 0 to 1 or uint8 from 0 to 255, or
    an object with len(), .shape and .dtype that reads them when it is indexed; its labels are
    int64 (N,).
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    source: str


class Resized:
    """Images of another size: uint8 (N, C, H, W) → (N, C, size, size), each when it is asked for.

    Bilinear, antialiased. (CIFAR at 224×224 is 9 GB; the batch that is wanted, a few MB.)
    """

    def __init__(self, images: Any, size: int):
        self.images, self.size = images, size
        self.shape, self.dtype = (*images.shape[:2], size, size), images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """The images at `index` (an array of positions, a slice, or one position), resized."""
        images = self.images[index]
        if images.ndim == 3:
            return resize(images, self.size, self.size)
        resized = np.empty((len(images), *self.shape[1:]), self.dtype)
        for at, image in enumerate(images):
            resized[at] = resize(image, self.size, self.size)
        return resized

    def __repr__(self) -> str:
        return f"Resized({'×'.join(map(str, self.shape))})"


def load(spec: str | os.PathLike, size: int | None = None) -> Data:
    """Return the data set called `spec`, or the pictures in the folder `spec`.

    `size` is the side of the images, resized if need be (bilinear); None means their own, and for
    a folder 256. A name comes before a folder of that name: ./digits is the folder.
    Raises ValueError for an unknown name, with the nearest ones; what the readers raise.
    """
    if size is not None and (not isinstance(size, int) or isinstance(size, bool)
                             or not 1 <= size <= 1024):
        raise ValueError(f"data.load: size must be an integer from 1 to 1024; got {size!r}")
    if not isinstance(spec, str | os.PathLike):
        raise ValueError(f"data.load expects the name of a data set or the path of a folder; got "
                         f"{type(spec).__name__}")
    # The readers make a Data themselves, so they are imported after it.
    from scratchnet.data import cifar, folder, idx
    if spec == "digits":
        return checked(Data(*load_digits(size or 8), tuple("0123456789"), "digits"))
    if spec == "shapes":
        return checked(Data(*load_shapes(size=size or 32)[:3], SHAPES, "shapes"))
    if spec in NAMES:
        found = (idx.load_mnist(fashion=spec == "fashion-mnist") if "mnist" in spec else
                 cifar.load_cifar10() if spec == "cifar10" else cifar.load_cifar100())
        return checked(found if size in (None, *found.train.images.shape[3:]) else found._replace(
            **{part: Split(Resized(images, size), labels)
               for part, (images, labels) in zip(Data._fields, found[:3], strict=False)}))
    if not Path(spec).is_dir():
        near = difflib.get_close_matches(str(spec).lower(), NAMES, cutoff=0.5)
        raise ValueError(f"data.load: there is no data set, and no folder, called "
                         f"{os.fspath(spec)!r}. " + (f"Did you mean {' or '.join(near)}? "
                                                     if near else "")
                         + f"The data sets: {', '.join(NAMES)}")
    return checked(folder.load_folder(spec, size=size or 256))


def checked(data: Data) -> Data:
    """Return `data`; raises ValueError unless it keeps the promises of Data."""
    if not data.classes or len(set(data.classes)) < len(data.classes):
        raise ValueError(f"{data.source}: expected class names, each once; got {data.classes}")
    if len(data.classes) < 2:
        raise ValueError(f"{data.source}: expected two classes or more; got {data.classes[0]!r} "
                         f"only, and nothing to tell apart")
    for part, (images, labels) in zip(Data._fields, data[:3], strict=False):
        where = f"{data.source}, {part}"
        if len(images.shape) != 4 or 0 in images.shape or str(images.dtype) not in ("uint8",
                                                                                    "float32"):
            raise ValueError(f"{where}: expected images (N, C, H, W), uint8 or float32, at least "
                             f"one; got {images.dtype}, shape {images.shape}")
        if labels.dtype != np.int64 or labels.shape != (len(images),):
            raise ValueError(f"{where}: expected {len(images):,} int64 labels, one an image; got "
                             f"{labels.dtype}, shape {labels.shape}")
        wrong = (labels < 0) | (labels >= len(data.classes))
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(f"{where}: expected labels from 0 to {len(data.classes) - 1}; got "
                             f"{labels[at]} at position {at:,}")
    return data


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Cut the last `count` images off `split`: (the rest, these). Always the same ones.

    Raises ValueError if either would be empty.
    """
    images, labels = split
    if not 0 < count < len(labels):
        raise ValueError(f"{len(labels)} training images are too few to hold some out for "
                         f"validation")
    return Split(images[:-count], labels[:-count]), Split(images[-count:], labels[-count:])
