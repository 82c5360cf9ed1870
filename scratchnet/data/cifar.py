"""CIFAR-10 and CIFAR-100 — 60,000 small photographs, in ten classes or in a hundred.

Read from the binary version, in which a picture is a record of fixed length: 3,072 bytes, red,
green, blue, each 32×32 row by row, and before them its label: one byte (CIFAR-10), or two, the
coarse class and the fine one (CIFAR-100). (The Python version is a pickle, a program that runs
when it is read.) Every file must have exactly the records that were published.

The .tar.gz is read as it is, from beginning to end, once: nothing is unpacked to the disk, so a
name such as ../../.bashrc inside it has no power, and a file that inflates without end is
left at 256 MB.

The last 5,000 of the 50,000 training images are for validation, as in He, Zhang, Ren & Sun, CVPR
2016, section 4.2 ("a 45k/5k train/val split").

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""
import gzip
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.archive import damage_told
from scratchnet.data.digits import Split
from scratchnet.data.download import fetch
from scratchnet.data.sets import Data, hold_out

BATCH = 10_000                  # images in a file of CIFAR-10, and in each test set
PIXELS = 3 * 32 * 32
MOST_BYTES = 256_000_000        # of an inflated .tar; the published ones have 185 million
MOST_NAMES = 65_536             # bytes of a file of class names


class Edition(NamedTuple):
    """What is where in one of the two."""

    archive: str
    folder: str                 # inside the archive, and beside it once unpacked
    train: dict[str, int]       # how many thousands of the 10,000s: {file: batches}
    test: str
    label_bytes: int
    names: tuple[str, ...]      # files of class names, by label byte


CIFAR10 = Edition("cifar-10-binary.tar.gz", "cifar-10-batches-bin",
                  {f"data_batch_{i}.bin": 1 for i in range(1, 6)}, "test_batch.bin", 1,
                  ("batches.meta.txt",))
CIFAR100 = Edition("cifar-100-binary.tar.gz", "cifar-100-binary", {"train.bin": 5}, "test.bin", 2,
                   ("coarse_label_names.txt", "fine_label_names.txt"))
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(folder: str | os.PathLike | None = None) -> Data:
    """Return CIFAR-10: images uint8 (N, 3, 32, 32), labels 0 to 9; 45,000, 5,000 and 10,000.

    `folder` is cifar-10-batches-bin, or holds it, or cifar-10-binary.tar.gz; or it is the path of
    that archive. Without it, the archive is downloaded, once (scratchnet/data/download.py).
    Raises ValueError that names the file which does not fit; FileNotFoundError; what `fetch`
    raises.
    """
    return _load(CIFAR10, folder, "cifar10", 0, OBJECTS)


def load_cifar100(folder: str | os.PathLike | None = None, coarse: bool = False) -> Data:
    """Return CIFAR-100: images uint8 (N, 3, 32, 32), labels 0 to 99; 45,000, 5,000 and 10,000.

    With coarse=True, the labels are the 20 coarse classes. Without files of names beside them
    the classes are called by their numbers. The rest is as in load_cifar10.
    """
    classes = 20 if coarse else 100
    return _load(CIFAR100, folder, "cifar100-coarse" if coarse else "cifar100", 0 if coarse else 1,
                 tuple(map(str, range(classes))))


def _load(edition: Edition, folder: str | os.PathLike | None, name: str, byte: int,
          names: tuple[str, ...]) -> Data:
    """Read an edition, with the label that is in `byte` of each record."""
    path = fetch(f"{name.split('-')[0]}/{edition.archive}") if folder is None else Path(folder)
    counts = {file: batches * BATCH for file, batches in (*edition.train.items(),
                                                          (edition.test, 1))}
    parts, count = {}, len(names)
    for file, where, contents in _contents(edition, path, counts):
        if file in counts:
            parts[file] = _records(contents, where, counts[file], edition.label_bytes, byte, count)
        elif file == edition.names[byte]:
            names = _names(contents, where, count)
    train = Split(*(np.concatenate([parts[file][i] for file in edition.train]) for i in (0, 1)))
    return Data(*hold_out(train, len(train.labels) // 10), Split(*parts[edition.test]), names,
                name if folder is None else str(folder))


def _contents(edition: Edition, path: Path, counts: dict[str, int]
              ) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, where it is, bytes) of each file of the edition, a folder's or an archive's.

    A file of records is there exactly once, in its exact size; one of names may be missing.
    """
    sizes = {file: n * (edition.label_bytes + PIXELS) for file, n in counts.items()}
    inside = next((p for p in (path / edition.folder, path) if (p / edition.test).is_file()), None)
    if inside is None:
        archive = path / edition.archive if path.is_dir() else path
        if not archive.is_file():
            raise FileNotFoundError(
                f"expected {edition.folder} or {edition.archive} in {path}, or the path of one of "
                f"them: put it there, or leave the folder out to have it downloaded")
        with damage_told(archive):
            yield from _members(edition, archive, sizes)
        return
    for file in (*sizes, *edition.names):
        where = inside / file
        if where.is_file():
            _check_size(file, where, where.stat().st_size, sizes)
            yield file, str(where), where.read_bytes()
        elif file in sizes:
            raise FileNotFoundError(f"expected {file} in {inside}, beside {edition.test}")


def _members(edition: Edition, archive: Path, sizes: dict[str, int]
             ) -> Iterator[tuple[str, str, bytes]]:
    """The files of the edition in a .tar.gz; anything else in it is passed over."""
    seen = set()
    with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as inflated:
        stream = _Limited(inflated)
        with tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                if folder != edition.folder or name not in (*sizes, *edition.names):
                    continue
                where = f"{name} in {archive}"
                if not member.isreg() or member.issparse():
                    raise ValueError(f"{name} in it is no plain file")
                if name in seen:
                    raise ValueError(f"it holds {name} twice")
                seen.add(name)
                _check_size(name, where, member.size, sizes)
                contents = members.extractfile(member).read()
                if len(contents) != member.size:
                    raise ValueError(f"it ends inside {name}")
                yield name, where, contents
        while stream.read(1 << 20):             # to the end, where the checksum is
            pass
    if missing := [name for name in sizes if name not in seen]:
        raise ValueError(f"{edition.folder}/{missing[0]} is not in it, or lies behind damage")


class _Limited:
    """A stream that refuses to give more than MOST_BYTES."""

    def __init__(self, stream: Any):
        self.stream, self.left = stream, MOST_BYTES

    def read(self, count: int) -> bytes:
        read = self.stream.read(min(count, self.left + 1))
        self.left -= len(read)
        if self.left < 0:
            raise ValueError(f"it inflates to more than {MOST_BYTES:,} bytes")
        return read


def _check_size(name: str, where: Any, size: int, sizes: dict[str, int]) -> None:
    """Raise ValueError for records of another size, or for names without end."""
    fits = size == sizes[name] if name in sizes else size <= MOST_NAMES
    if not fits:
        expected = f"{sizes[name]:,}" if name in sizes else f"at most {MOST_NAMES:,}"
        raise ValueError(f"{where} expected to have {expected} bytes; it has {size:,}: download it "
                         f"again")


def _records(contents: bytes, where: str, count: int, label_bytes: int, byte: int, classes: int
             ) -> tuple[np.ndarray, np.ndarray]:
    """The images (count, 3, 32, 32) and labels (count,) in a file of records."""
    table = np.frombuffer(contents, np.uint8).reshape(count, label_bytes + PIXELS)
    labels = table[:, byte].astype(np.int64)
    if labels.max() >= classes:
        at = labels.argmax()
        raise ValueError(f"{where} expected to hold labels from 0 to {classes - 1}; got "
                         f"{labels[at]} at position {at:,}")
    return table[:, label_bytes:].reshape(count, 3, 32, 32), labels


def _names(contents: bytes, where: str, count: int) -> tuple[str, ...]:
    """The class names in a text file, one a line."""
    lines = contents.decode("ascii", errors="replace").split("\n")
    names = tuple(line.strip() for line in lines if line.strip())
    if len(set(names)) != count or len(names) != count or not "".join(names).isprintable():
        raise ValueError(f"{where} expected to hold {count} names in ASCII, one a line, each once; "
                         f"got {len(names)}")
    return names
