"""IDX — MNIST's file format, and the two data sets that come in it.

An IDX file is one array: two zero bytes, a byte for the type of number, a byte for the number of
dimensions, each size as four bytes, and then the numbers, all big-endian. An image file of
MNIST begins

    00 00  08  03   00 00 EA 60   00 00 00 1C   00 00 00 1C     60,000 × 28 × 28 of uint8

The header says how many bytes follow; a file with one less or one more is refused, and a .gz is
never inflated further than that: deflate packs a thousand bytes into one, so a small file can
hold more than the machine has memory.

MNIST: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 1998. Fashion-MNIST: Xiao, Rasul & Vollgraf, arXiv 1708.07747.
"""
import gzip
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.archive import damage_told
from scratchnet.data.digits import Split
from scratchnet.data.download import fetch
from scratchnet.data.sets import Data, hold_out

TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32",
         0x0E: "float64"}
MOST_BYTES = 2_000_000_000
MOST_DIMS = 8
DEFLATE = 1032                  # no stream inflates to more than 1,032 times its length
CHUNK = 1 << 20

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
           "bag", "ankle boot")
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Return the array in an IDX file, plain or gzipped (told by its first bytes).

    Raises ValueError that names the file: not IDX, more than 2 GB, or not exactly the bytes that
    its header promises; FileNotFoundError.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_idx expects a file; {path} is "
                                f"{'no file' if path.exists() else 'not there'}")
    with path.open("rb") as file, damage_told(path):
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not gzipped:
            return _read(file, path.stat().st_size)
        with gzip.GzipFile(fileobj=file) as inflated:
            return _read(inflated, DEFLATE * path.stat().st_size)


def load_mnist(folder: str | os.PathLike | None = None, fashion: bool = False) -> Data:
    """Return MNIST (or Fashion-MNIST): images uint8 (N, 1, 28, 28), labels from 0 to 9.

    The four files are read from `folder`, each plain or .gz: any data in their layout will do.
    Without a folder the published ones are downloaded, once (see scratchnet/data/download.py).
    The last twelfth of the training images is for validation: 55,000, 5,000 and 10,000.
    Raises ValueError that names the file which does not fit; FileNotFoundError; what `fetch`
    raises.
    """
    name = "fashion-mnist" if fashion else "mnist"
    if folder is None:
        paths = [fetch(f"{name}/{file}.gz") for file in FILES]
    else:
        paths = [_find(Path(folder), file) for file in FILES]
    images, labels = _pair(*paths[:2])
    train, validation = hold_out(Split(images, labels), len(labels) // 12)
    return Data(train, validation, Split(*_pair(*paths[2:])), CLOTHES if fashion else DIGITS,
                name if folder is None else str(folder))


def _read(file: Any, most: int) -> np.ndarray:
    """Read one array, and not a byte beyond it; `most` bytes at most can be there."""
    zeros, code, dims = struct.unpack(">HBB", _exactly(file, 4, "the first 4 bytes"))
    if zeros or code not in TYPES or not 1 <= dims <= MOST_DIMS:
        raise ValueError(f"it is no IDX file: expected 00 00, a type ({', '.join(TYPES.values())}:"
                         f" 08 to 0E) and 1 to {MOST_DIMS} dimensions; the first 4 bytes are "
                         f"{zeros >> 8:02X} {zeros & 255:02X} {code:02X} {dims:02X}")
    shape = struct.unpack(f">{dims}I", _exactly(file, 4 * dims, f"{dims} sizes"))
    dtype = np.dtype(TYPES[code])
    size, begin = math.prod(shape) * dtype.itemsize, 4 + 4 * dims
    said = f"its header says {' × '.join(f'{n:,}' for n in shape)} of {dtype}"
    if not 0 < size <= MOST_BYTES:
        raise ValueError(f"{said}, {size:,} bytes; expected 1 to {MOST_BYTES:,}")
    if begin + size > most:
        raise ValueError(f"{said}, {size:,} bytes; this file has room for {max(0, most - begin):,}")
    array = np.empty(shape, dtype)
    view, at = memoryview(array.reshape(-1).view(np.uint8)), 0
    while at < size:
        count = file.readinto(view[at:at + CHUNK])
        if not count:
            raise ValueError(f"{said}, {size:,} bytes; only {at:,} are there")
        at += count
    if file.read(1):                            # (and the end of a .gz has its checksum tested)
        raise ValueError(f"{said}, {size:,} bytes; more than that are there")
    return array if dtype.itemsize == 1 else array.view(dtype.newbyteorder(">")).astype(dtype)


def _exactly(file: Any, count: int, what: str) -> bytes:
    read = file.read(count)
    if len(read) < count:
        raise ValueError(f"it ends before {what}")
    return read


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"load_mnist expects {name} or {name}.gz in {folder}: put it there, or "
                            f"leave the folder out to have it downloaded")


def _pair(image_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read images and their labels, and hold them against each other."""
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(f"{image_path} expected to hold uint8 images, N × 28 × 28; got "
                         f"{images.dtype}, {' × '.join(map(str, images.shape))}")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(f"{label_path} expected to hold {len(images):,} uint8 labels, one for "
                         f"each image in {image_path.name}; got {labels.dtype}, "
                         f"{' × '.join(map(str, labels.shape))}")
    if labels.max() > 9:
        raise ValueError(f"{label_path} expected to hold labels from 0 to 9; got {labels.max()} "
                         f"at position {labels.argmax()}")
    return images[:, None], labels.astype(np.int64)
