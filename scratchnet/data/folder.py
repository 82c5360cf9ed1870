"""Folders of pictures — your own data set, a folder a class.

    pets/cat/*.jpg                  pets/train/cat/*.jpg    pets/val/cat/*.jpg
    pets/dog/*.png                  pets/train/dog/*.png    pets/val/dog/*.png    (pets/test/…)

On the left, each class is split 80/10/10 into training, validation and test pictures: its files
are put in the order of the SHA-256 of "class/name", which is as good as drawn by lot; the first
tenth is for the test, the next one for validation. It depends on nothing but the names, so the
split is the same for ever and on every machine.

On the right, as ImageNet is laid out, the parts are those of the folders. Without val/, a tenth
of train/ is held out for validation, as above; without test/, val/ is also the test.

Pictures are read when they are asked for, and never kept: the folder may be larger than memory.
"""
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.data.digits import Split
from scratchnet.data.images import centre_square, read_image
from scratchnet.data.sets import Data

SUFFIXES = (".png", ".jpg", ".jpeg")
PASSED_OVER = ("Thumbs.db", "desktop.ini")      # and every name that begins with a dot
LISTED = 10


class ImageFolder:
    """Pictures in files, as uint8 (N, channels, size, size): read, and cut square, on demand.

    The shorter side becomes `size`, then the central square is cut out. `images[index]` takes
    what NumPy takes (positions, a slice, a mask, one position), reads just those files, and may
    be called from several threads at once. It raises ValueError that names the file which
    cannot be read.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, files: list[str | os.PathLike], size: int = 256, channels: int = 3):
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 4096:
            raise ValueError(f"ImageFolder: size must be an integer from 1 to 4096; got {size!r}")
        if channels not in (1, 3):
            raise ValueError(f"ImageFolder: channels must be 1 or 3; got {channels!r}")
        self.files = [os.fspath(path) for path in files]        # a million Paths weigh more
        self.shape = (len(self.files), channels, size, size)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> np.ndarray:
        chosen = np.arange(len(self))[index]
        images = np.empty((*chosen.shape, *self.shape[1:]), np.uint8)
        for at, number in np.ndenumerate(chosen):
            images[at] = self._read(self.files[number])
        return images

    def _read(self, path: str) -> np.ndarray:
        image = read_image(path, self.shape[1])
        try:
            return centre_square(image, self.shape[2])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def __repr__(self) -> str:
        return f"ImageFolder({'×'.join(map(str, self.shape))})"


def load_folder(root: str | os.PathLike, size: int = 256, channels: int = 3) -> Data:
    """Return the pictures under `root`, laid out as above; classes in the order of their names.

    Images are read on demand, uint8 (N, channels, size, size); only names are looked at now.
    Raises ValueError that says what is wrong with the layout: no class folders, an empty one,
    parts whose classes differ, files that are no pictures, too few of them to split;
    FileNotFoundError.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"load_folder expects a folder; {root} is "
                                f"{'a file' if root.exists() else 'not there'}")
    parts = {name: _classes(root / name) for name in ("train", "val", "test")
             if (root / name).is_dir()}
    if parts and "train" not in parts:
        raise ValueError(f"{root} has {' and '.join(f'{name}/' for name in parts)} but no train/: "
                         f"expected train/CLASS/*, or CLASS/* alone")
    train = parts.get("train") or _classes(root)
    for name, classes in parts.items():
        _same_classes(root, train, name, classes)
    validation, test = parts.get("val"), parts.get("test")
    if validation is None:
        held_out = {name: _by_lot(name, files, 2 if test is None else 1)
                    for name, files in train.items()}
        train, validation, *rest = ({name: lots[i] for name, lots in held_out.items()}
                                    for i in range(3 if test is None else 2))
        test = rest[0] if rest else test
    return Data(*(_split(part, size, channels) for part in (train, validation, test or validation)),
                tuple(train), str(root))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """{class: its pictures}, both in the order of their names."""
    entries = _visible(folder)
    if stray := [p for p in entries if not p.is_dir() and p.suffix.lower() in SUFFIXES]:
        raise ValueError(f"{folder} has pictures beside its class folders: {_some(stray)}. "
                         f"Expected CLASS/*: move them")
    found = {p.name: _visible(p) for p in entries if p.is_dir()}
    if not found:
        raise ValueError(f"{folder} has no class folders: expected CLASS/*.png or *.jpg, a folder "
                         f"for each class")
    for name, files in found.items():
        if strange := [p for p in files
                       if p.suffix.lower() not in SUFFIXES or not p.is_file()]:
            raise ValueError(f"{folder / name} expected to hold pictures ({', '.join(SUFFIXES)}) "
                             f"and nothing else; got {_some(strange)}")
        if not files:
            raise ValueError(f"{folder / name} is empty: expected pictures of the class {name!r}, "
                             f"or no such folder")
    return found


def _visible(folder: Path) -> list[Path]:
    """What is in `folder`, in the order of the names, without what systems leave there."""
    return sorted((p for p in folder.iterdir()
                   if not p.name.startswith(".") and p.name not in PASSED_OVER),
                  key=lambda p: p.name)


def _same_classes(root: Path, train: dict, name: str, classes: dict) -> None:
    lacks, besides = sorted(train.keys() - classes), sorted(classes.keys() - train)
    if lacks or besides:
        raise ValueError(f"{root / name} must have the classes of {root / 'train'}: "
                         + "; ".join(f"{what} {_some(which)}" for what, which in
                                     (("it lacks", lacks), ("only it has", besides)) if which))


def _by_lot(name: str, files: list[Path], parts: int) -> list[list[Path]]:
    """Cut `parts` tenths off one class: [the rest, one, …], the last drawn first."""
    tenth = max(1, round(len(files) / 10))
    if len(files) <= parts * tenth:
        raise ValueError(f"{files[0].parent} has {len(files)} pictures; expected at least "
                         f"{parts + 1}, to hold some out for validation and test")
    drawn = sorted(files, key=lambda p: hashlib.sha256(
        os.fsencode(f"{name}/{p.name}")).digest())
    lots = [drawn[i * tenth:(i + 1) * tenth] for i in range(parts)]
    return [sorted(lot) for lot in (drawn[parts * tenth:], *reversed(lots))]


def _split(part: dict[str, list[Path]], size: int, channels: int) -> Split:
    files = [path for name in sorted(part) for path in part[name]]
    counts = [len(part[name]) for name in sorted(part)]
    return Split(ImageFolder(files, size, channels), np.repeat(np.arange(len(part)), counts))


def _some(names: list) -> str:
    """The first of these names; a folder's may be long, or not for printing."""
    shown = [ascii(getattr(name, "name", name))[:120] for name in names[:LISTED]]
    return ", ".join(shown) + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")
