"""What do the readers make of broken files? Thousands of them, from valid ones, by a seed.

    python benchmarks/malformed.py --mutants 600 --seed 0

Each valid file is cut short, lengthened, flipped, swapped and doubled in places; its counts are
changed (with checksums made right again, so that they get past them); and there are bombs, small
files that promise or unpack to gigabytes. Folders of pictures are rearranged. For each, a reader
must do one of two things:

    accept      and give the data of the valid file, or those that a plain reference reader
                finds in the broken one (a pixel that changed where nothing guards it)
    refuse      with one ValueError that names the file; no warning, nothing half done

Anything else is a violation: it is printed, and the command ends with 1. Each kind of file is read
in a process of its own, whose memory is watched: at its peak it may have grown by twice what
the reader is allowed, and bombs are far larger than that. (The readers' limits are set low for
it, and CIFAR's batches are small.) Writes benchmarks/results/malformed.json.
"""
import argparse
import datetime
import gzip
import io
import json
import os
import platform
import shutil
import struct
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import numpy as np  # noqa: E402

from scratchnet import data, weights  # noqa: E402
from scratchnet.data import cifar, idx, images  # noqa: E402
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, Sequential  # noqa: E402

BATCH = 4                       # images in a batch of CIFAR's, for 10,000
LIMIT = 16_000_000              # bytes, for every reader; bombs hold ten times as much and more
MOST_PIXELS = LIMIT // 16
BOMB = 160_000_000
ROOM = 8_000_000                # what Python itself may take between two looks at the memory


# ── valid files ──────────────────────────────────────────────────────────────────────


def network() -> Sequential:
    """What the weights are of."""
    return Sequential(conv=Conv2d(3, 4, 3, rng=0), norm=BatchNorm2d(4), fc=Linear(4, 3, rng=0))


def picture(rng: np.random.Generator, size: tuple[int, int] = (24, 20)) -> Any:
    """A smooth coloured picture with a little noise."""
    from PIL import Image
    y, x = np.mgrid[:size[1], :size[0]]
    waves = [127 + 100 * np.sin(x / (3 + c) + y / (5 - c) + rng.random()) for c in range(3)]
    noisy = np.stack(waves, axis=2) + rng.normal(0, 5, (*size[::-1], 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def idx_file(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) \
        + array.tobytes()


def records(rng: np.random.Generator, count: int) -> bytes:
    table = rng.integers(0, 256, (count, 1 + cifar.PIXELS), dtype=np.uint8)
    table[:, 0] %= 10
    return table.tobytes()


def cifar_files(rng: np.random.Generator) -> dict[str, bytes]:
    return {name: records(rng, BATCH) for name in (*cifar.CIFAR10.train, cifar.CIFAR10.test)}


def tar(members: dict[str, bytes]) -> bytes:
    """The members of CIFAR-10's archive, as a .tar."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, contents in members.items():
            info = tarfile.TarInfo(f"{cifar.CIFAR10.folder}/{name}")
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return file.getvalue()


def weights_file(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"w{suffix}"
        weights.save(network(), path)
        return path.read_bytes()


# ── broken files ─────────────────────────────────────────────────────────────────────


def mutants(kind: str, valid: bytes, rng: np.random.Generator, n: int
            ) -> Iterator[tuple[str, bytes]]:
    """Yield (what was done, bytes) n times: broken files of a kind, from a valid one.

    Kinds: the keys of KINDS. The same rng, the same files. A third are cuts, at every place if
    there are enough of them; then come changes in any place, and what is done to this format
    alone: its counts, its checksums, its members.
    """
    cuts = np.unique(np.linspace(0, len(valid) - 1, max(n // 3, 1)).astype(int))
    yield from (("cut", valid[:cut]) for cut in cuts[:n])
    special = SPECIAL.get(kind, [])
    for i in range(n - len(cuts[:n])):
        change = (special + ANYWHERE)[i % (len(special) + len(ANYWHERE))]
        yield change.__name__.strip("_"), change(valid, rng)


def _pick(rng: np.random.Generator, choices: Any) -> Any:
    """One of `choices`, as it is (rng.choice would make numbers of one kind of them)."""
    return choices[int(rng.integers(len(choices)))]


def _place(valid: bytes, rng: np.random.Generator) -> int:
    """Any place, half of the time near one of the ends, where headers are."""
    if rng.random() < 0.5:
        near = int(rng.integers(min(128, len(valid))))
        return near if rng.random() < 0.5 else len(valid) - 1 - near
    return int(rng.integers(len(valid)))


def flip_bit(valid: bytes, rng: np.random.Generator) -> bytes:
    changed, at = bytearray(valid), _place(valid, rng)
    changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def change_byte(valid: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(valid)
    for _ in range(int(rng.integers(1, 4))):
        changed[_place(valid, rng)] = int(_pick(rng, [0, 1, 127, 128, 255, rng.integers(256)]))
    return bytes(changed)


def overwrite(valid: bytes, rng: np.random.Generator) -> bytes:
    at, length = _place(valid, rng), int(rng.integers(1, 65))
    filler = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    return (valid[:at] + filler + valid[at + length:])[:len(valid)]


def insert(valid: bytes, rng: np.random.Generator) -> bytes:
    at = _place(valid, rng)
    return valid[:at] + rng.bytes(int(rng.integers(1, 17))) + valid[at:]


def remove(valid: bytes, rng: np.random.Generator) -> bytes:
    at = _place(valid, rng)
    return valid[:at] + valid[at + int(rng.integers(1, 65)):]


def double(valid: bytes, rng: np.random.Generator) -> bytes:
    first, last = sorted(int(i) for i in rng.integers(0, len(valid) + 1, 2))
    return valid[:last] + valid[first:]


def append(valid: bytes, rng: np.random.Generator) -> bytes:
    tail = [b"\0", bytes(512), rng.bytes(40), valid]
    return valid + _pick(rng, tail)


def swap(valid: bytes, rng: np.random.Generator) -> bytes:
    a, b, c = sorted(int(i) for i in rng.integers(0, len(valid) + 1, 3))
    return valid[:a] + valid[b:c] + valid[a:b] + valid[c:]


ANYWHERE = [flip_bit, change_byte, overwrite, insert, remove, double, append, swap]


def wrong_count(valid: bytes, rng: np.random.Generator) -> bytes:
    """An IDX header with another type, number of dimensions, or size."""
    changed = bytearray(valid)
    which = int(rng.integers(5))
    if which < 2:
        changed[2 + which] = int(rng.integers(256))
    else:
        size = _pick(rng, [0, 1, 2**16, 2**31 - 1, 2**32 - 1, rng.integers(2**32)])
        struct.pack_into(">I", changed, 4 * (which - 1), int(size))
    return bytes(changed)


def packed_mutant(valid: bytes, rng: np.random.Generator) -> bytes:
    """Broken inside, with a sound gzip around it."""
    inner = gzip.decompress(valid)
    changes = [*ANYWHERE, wrong_count]
    return gzip.compress(_pick(rng, changes)(inner, rng), 1, mtime=0)


def gzip_twice(valid: bytes, rng: np.random.Generator) -> bytes:
    return gzip.compress(valid, 1, mtime=0) if rng.random() < 0.5 else valid + valid


def gzip_bomb(valid: bytes, rng: np.random.Generator) -> bytes:
    """The valid contents, and after them zeros without end."""
    packer = zlib.compressobj(1, wbits=31)
    packed = [packer.compress(gzip.decompress(valid))]
    packed += [packer.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)]
    return b"".join(packed) + packer.flush()


def tar_mutant(valid: bytes, rng: np.random.Generator) -> bytes:
    """A sound .tar.gz whose members are not: lengths, links, twins, strangers, one missing."""
    file, members = io.BytesIO(), dict(_members(valid))
    names, twin = list(members), int(rng.integers(7))
    chosen = _pick(rng, names)
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, contents in members.items():
            info = tarfile.TarInfo(name)
            if name == chosen:
                if twin == 0:
                    continue
                if twin == 1:
                    contents = contents[:int(rng.integers(len(contents)))]
                elif twin == 2:
                    contents += rng.bytes(int(rng.integers(1, 4000)))
                elif twin == 3:
                    info.type, info.linkname, contents = tarfile.SYMTYPE, "/etc/passwd", b""
                elif twin == 4:
                    info.name = "../" * 5 + name
                elif twin == 5:
                    contents = bytes([int(rng.integers(10, 256))]) + contents[1:]
            for _ in range(1 + (twin == 6 and name == chosen)):
                info.size = len(contents)
                archive.addfile(info, io.BytesIO(contents))
    return gzip.compress(file.getvalue(), 1, mtime=0)


def tar_promise(valid: bytes, rng: np.random.Generator) -> bytes:
    """A header of the .tar (a long name, say) that promises gigabytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type = _pick(rng, [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.REGTYPE])
    info.size = int(_pick(rng, [2**31, 2**32 + 5, 8**11 - 1]))
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + gzip.decompress(valid), 1, mtime=0)


def _members(valid: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(valid), mode="r:gz") as archive:
        for member in archive:
            yield member.name, archive.extractfile(member).read()


def zip_mutant(valid: bytes, rng: np.random.Generator) -> bytes:
    """A sound zip of broken members: one missing, twice, renamed, changed, packed."""
    members, file, what = _zip_members(valid), io.BytesIO(), int(rng.integers(6))
    chosen = int(rng.integers(len(members)))
    pack = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", pack) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")                             # of the name twice
        for i, (name, contents) in enumerate(members):
            if i == chosen:
                if what == 0:
                    continue
                if what == 1:
                    archive.writestr(name, contents)
                elif what == 2:
                    name = ["x.npy", "../" + name, name[:-4], name + "\0.npy"][rng.integers(4)]
                elif what == 3:
                    contents = contents[:int(rng.integers(len(contents)))]
                elif what == 4:
                    contents = _pick(rng, ANYWHERE)(contents, rng)
                else:
                    contents = _npy_header(contents, rng)
            archive.writestr(name, contents)
    return file.getvalue()


def _npy_header(contents: bytes, rng: np.random.Generator) -> bytes:
    """Another shape or dtype in the line of text of a .npy."""
    old = [b"(4,)", b"(4, 3, 3, 3)", b"(3, 4)", b"(3,)", b"<f4", b"False"]
    new = [b"(40000000000,)", b"(-4,)", b"(4.0,)", b"()", b"|O8", b"<f8", b"True", b"(4" * 1000,
           b"__import__('os')"]
    for text in old:
        contents = contents.replace(text, _pick(rng, new), 1)
    return contents


def _zip_members(valid: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zip_bomb(valid: bytes, rng: np.random.Generator) -> bytes:
    """Every array of the right name, one of them zeros without end, with a header to match."""
    members, file = _zip_members(valid), io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False,
                                                  "shape": (BOMB // 4,)})
    honest = rng.random() < 0.5             # whether the shape says what will come
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, contents in members[1:]:
            archive.writestr(name, contents)
        with archive.open(members[0][0], "w") as member:
            member.write(header.getvalue() if honest else members[0][1][:128])
            for _ in range(BOMB >> 20):
                member.write(bytes(1 << 20))
    return file.getvalue()


def table_mutant(valid: bytes, rng: np.random.Generator) -> bytes:
    """A .safetensors whose JSON is sound, and whose shapes, types and places are not."""
    length, = struct.unpack("<Q", valid[:8])
    table, numbers = json.loads(valid[8:8 + length]), valid[8 + length:]
    names = [name for name in table if name != "__metadata__"]
    entry, what = table[_pick(rng, names)], int(rng.integers(6))
    big = int(_pick(rng, [0, 1, 2**31, 2**40, 2**62, 2**63]))
    if what == 0:
        entry["shape"] = [*entry["shape"], big]
    elif what == 1:
        entry["dtype"] = _pick(rng, ["F64", "I32", "BF16", "BOOL", "Q7", "F8_E4M3"])
    elif what == 2:
        entry["data_offsets"][int(rng.integers(2))] = big
    elif what == 3:
        table["extra"] = dict(entry)
    elif what == 4:
        table[names[0]], table[names[-1]] = table[names[-1]], table[names[0]]
    else:
        entry.pop(list(entry)[int(rng.integers(len(entry)))])
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def long_table(valid: bytes, rng: np.random.Generator) -> bytes:
    """A .safetensors that promises a table of gigabytes."""
    return struct.pack("<Q", int(_pick(rng, [2**20, 2**40, 2**63, 2**64 - 1]))) + valid[8:]


def _chunks(valid: bytes) -> list[tuple[bytes, bytes]]:
    """(kind, contents) of each chunk of a PNG."""
    chunks, at = [], 8
    while at < len(valid):
        length, kind = struct.unpack_from(">I4s", valid, at)
        chunks.append((kind, valid[at + 8:at + 8 + length]))
        at += 12 + length
    return chunks


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(contents)) + kind + contents
        + struct.pack(">I", zlib.crc32(kind + contents)) for kind, contents in chunks)


def chunk_mutant(valid: bytes, rng: np.random.Generator) -> bytes:
    """A PNG with right checksums, and a wrong header, row, order or number of chunks."""
    chunks, what = _chunks(valid), int(rng.integers(5))
    at = int(rng.integers(len(chunks)))
    if what == 0:
        header = bytearray(chunks[0][1])
        header[int(rng.integers(13))] = int(_pick(rng, [0, 1, 2, 3, 4, 16, 255, rng.integers(256)]))
        chunks[0] = b"IHDR", bytes(header)
    elif what == 1:
        chunks[at] = chunks[at][0], _pick(rng, ANYWHERE)(
            chunks[at][1] or b"\0", rng)
    elif what == 2:
        chunks.insert(at, _pick(rng, chunks))
    elif what == 3:
        del chunks[at]
    else:
        rows = zlib.decompress(b"".join(c for kind, c in chunks if kind == b"IDAT"))
        rows = _pick(rng, ANYWHERE)(rows, rng)
        chunks = [c for c in chunks if c[0] != b"IDAT"]
        chunks.insert(-1, (b"IDAT", zlib.compress(rows, 1)))
    return _png(chunks)


def png_bomb(valid: bytes, rng: np.random.Generator) -> bytes:
    """Pixels, or text, or a colour profile, that unpack to far more than there is room for."""
    packer = zlib.compressobj(9)
    zeros = b"".join(packer.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)) + packer.flush()
    chunks, what = _chunks(valid), int(rng.integers(5))
    if what == 0:
        chunks[0] = b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        chunks = [chunks[0], (b"IDAT", zeros), chunks[-1]]
    elif what == 1:
        chunks.insert(-1, (b"IDAT", zeros))
    elif what == 2:
        chunks = [chunks[0], (b"IDAT", zeros), chunks[-1]]
    elif what == 3:
        chunks.insert(1, (b"zTXt", b"Comment\0\0" + zeros))
    else:
        chunks.insert(1, (b"iCCP", b"profile\0\0" + zeros))
    return _png(chunks)


def jpeg_mutant(valid: bytes, rng: np.random.Generator) -> bytes:
    """A JPEG with another size, number of channels, table or marker."""
    changed, what = bytearray(valid), int(rng.integers(3))
    frame = valid.index(b"\xff\xc0")
    if what == 0:
        size = [int(_pick(rng, [0, 1, 8, 100, 2**16 - 1])) for _ in range(2)]
        struct.pack_into(">HH", changed, frame + 5, *size)
    elif what == 1:
        changed[frame + int(rng.integers(2, 19))] = int(rng.integers(256))
    else:
        places = [i for i in range(len(valid) - 1) if valid[i] == 255 and valid[i + 1] > 0xBF]
        changed[_pick(rng, places) + 1] = int(rng.integers(0xC0, 255))
    return bytes(changed)


SPECIAL: dict[str, list[Callable]] = {
    "idx": [wrong_count], "idx.gz": [packed_mutant, gzip_twice], "cifar.tar.gz": [tar_mutant],
    "npz": [zip_mutant], "safetensors": [table_mutant, long_table], "png": [chunk_mutant],
    "jpeg": [jpeg_mutant]}
BOMBS: dict[str, list[Callable]] = {
    "idx.gz": [gzip_bomb], "cifar.tar.gz": [gzip_bomb, tar_promise], "npz": [zip_bomb],
    "png": [png_bomb]}


# ── readers ──────────────────────────────────────────────────────────────────────────


class Kind(NamedTuple):
    """One kind of file: a valid one, its name, the reader, and a plain reader to compare with."""

    valid: Callable[[np.random.Generator], bytes]
    name: str
    read: Callable[[Path], Any]
    reference: Callable[[Path], Any]


def _reference_idx(path: Path) -> np.ndarray:
    contents = path.read_bytes()
    if contents[:2] == b"\x1f\x8b":
        contents = gzip.decompress(contents)
    dims = contents[3]
    shape = struct.unpack(f">{dims}I", contents[4:4 + 4 * dims])
    dtype = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}[contents[2]]
    return np.frombuffer(contents[4 + 4 * dims:], dtype).reshape(shape)


def _read_cifar(path: Path) -> list[np.ndarray]:
    found = data.load_cifar10(path if path.suffix == ".gz" else path.parent)
    return [array for part in found[:3] for array in part]


def _reference_cifar(path: Path) -> list[np.ndarray]:
    """The records of the batches in order, then 9 of 10 training images, the rest, the test."""
    if path.suffix == ".gz":
        members = {name.rpartition("/")[2]: contents
                   for name, contents in _members(path.read_bytes())}
    else:
        members = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    tables = [np.frombuffer(members[name], np.uint8).reshape(BATCH, -1)
              for name in (*sorted(cifar.CIFAR10.train), cifar.CIFAR10.test)]
    train = np.concatenate(tables[:-1])
    cut = len(train) - len(train) // 10
    return [array for table in (train[:cut], train[cut:], tables[-1])
            for array in (table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0].astype(np.int64))]


def _read_weights(path: Path) -> list[np.ndarray]:
    net = network()
    before = [array.copy() for array in net.state_dict().values()]
    try:
        weights.load(net, path)
    except ValueError:
        assert _same(list(net.state_dict().values()), before), "refused, but the network changed"
        raise
    return list(net.state_dict().values())


def _reference_weights(path: Path) -> list[np.ndarray]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            found = dict(archive)
    else:
        from safetensors.numpy import load_file
        found = load_file(path)
    return [found[name].astype(array.dtype) for name, array in network().state_dict().items()]


def _reference_image(path: Path) -> np.ndarray:
    """Pillow's pixels; of a PNG only if its checksums are right and its rows are all there."""
    from PIL import Image
    contents = path.read_bytes()
    if contents.startswith(b"\x89PNG"):
        with Image.open(path) as image:
            image.verify()
        chunks = _chunks(contents[:contents.rindex(b"IEND") + 8])
        width, height, depth, colour = struct.unpack_from(">IIBB", chunks[0][1])
        row = 1 + (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] + 7) // 8
        packed = zlib.decompressobj()
        rows = packed.decompress(b"".join(c for kind, c in chunks if kind == b"IDAT"),
                                 row * height + 1)
        assert len(rows) > row * height or len(rows) == row * height and packed.eof
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _read_image(path: Path) -> np.ndarray:
    return data.read_image(path, most_pixels=MOST_PIXELS)


KINDS = {
    "idx": Kind(lambda rng: idx_file(rng.integers(0, 256, (5, 9, 7), dtype=np.uint8)),
                "train-images-idx3-ubyte", data.read_idx, _reference_idx),
    "idx.gz": Kind(lambda rng: gzip.compress(
        idx_file(rng.integers(0, 64, (9, 12, 12), dtype=np.uint8)), mtime=0),
        "train-images-idx3-ubyte.gz", data.read_idx, _reference_idx),
    "cifar.bin": Kind(lambda rng: records(rng, BATCH), "data_batch_2.bin", _read_cifar,
                      _reference_cifar),
    "cifar.tar.gz": Kind(lambda rng: gzip.compress(tar(cifar_files(rng)), 1, mtime=0),
                         cifar.CIFAR10.archive, _read_cifar, _reference_cifar),
    "npz": Kind(lambda rng: weights_file(".npz"), "w.npz", _read_weights, _reference_weights),
    "safetensors": Kind(lambda rng: weights_file(".safetensors"), "w.safetensors", _read_weights,
                        _reference_weights),
    "png": Kind(lambda rng: encoded(picture(rng), "PNG"), "p.png", _read_image, _reference_image),
    "jpeg": Kind(lambda rng: encoded(picture(rng), "JPEG", quality=90), "p.jpg", _read_image,
                 _reference_image),
}


@contextmanager
def low_limits() -> Iterator[None]:
    """The readers' limits, and CIFAR's batches, made small."""
    changes = [(idx, "MOST_BYTES", LIMIT), (cifar, "MOST_BYTES", LIMIT), (cifar, "BATCH", BATCH),
               (images, "MOST_PIXELS", MOST_PIXELS)]
    before = [getattr(module, name) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changes, before, strict=True):
            setattr(module, name, value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a.shape == b.shape and np.array_equal(a, b)


def outcome(read: Callable[[], Any], valid: Any, reference: Callable[[], Any], named: list[str]
            ) -> tuple[str, str]:
    """("accepted: …" | "refused" | "violation", why) of one reading.

    valid: the data before the file was broken, if they would still do. named: one of these is in
    the error.
    """
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = read()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if type(error) is not ValueError:
                return "violation", f"{type(error).__name__}: {error}"
            if not any(name in str(error) for name in named):
                return "violation", f"the error names none of {named}: {error}"
            found = None
    if warned:
        return "violation", f"it warned: {warned[0].message}"
    if found is None:
        return "refused", ""
    if valid is not None and _same(found, valid):
        return "accepted: the same data", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = reference()
    except Exception as error:
        return "violation", f"accepted, but the reference says {type(error).__name__}: {error}"
    if _same(found, told):
        return "accepted: what it says now", ""
    return "violation", "accepted, with data that are neither the old nor the file's own"


def run(kind: str, seed: int, n: int, bombs: int, folder: Path) -> dict:
    """Read n broken files of one kind, and some bombs; count what became of them."""
    if kind == "folder":
        return run_folders(seed, n, folder)
    spec, rng = KINDS[kind], np.random.default_rng([seed, *kind.encode()])
    path = folder / spec.name
    if kind == "cifar.bin":
        for name, contents in cifar_files(rng).items():
            (folder / name).write_bytes(contents)
    whole = spec.valid(rng)
    with low_limits():
        path.write_bytes(whole)
        valid = spec.read(path)
        assert _same(valid, spec.reference(path)), f"{kind}: the valid file is not read right"
        counts, violations = Counter(), []
        memory = _peak()
        hostile = (BOMBS.get(kind, []) * bombs)[:bombs]
        broken = chain(mutants(kind, whole, rng, n),
                       ((bomb.__name__, bomb(whole, rng)) for bomb in hostile))
        for number, (what, contents) in enumerate(broken):
            path.write_bytes(contents)
            verdict, why = outcome(lambda: spec.read(path), valid, lambda: spec.reference(path),
                                   [str(path)])
            counts[verdict] += 1
            if verdict == "violation":
                violations.append(f"{kind} {number} ({what}, {len(contents)} bytes): {why}")
    grown = _peak() - memory if memory else None
    if grown is not None and grown > 2 * LIMIT + ROOM:
        violations.append(f"{kind}: memory grew by {grown:,} bytes; allowed are {2 * LIMIT:,}")
    return {"files": sum(counts.values()), "bombs": len(hostile), **dict(sorted(counts.items())),
            "memory_grew_by": grown, "violations": violations}


def _peak() -> int | None:
    """The most memory this process has had, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line, = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


# ── folders ──────────────────────────────────────────────────────────────────────────


def empty_class(root: Path, rng: np.random.Generator) -> str | None:
    folder = _any(rng, root.glob("*/*"))
    shutil.rmtree(folder)
    folder.mkdir()
    return folder.name


def new_empty_class(root: Path, rng: np.random.Generator) -> str | None:
    folder = _any(rng, root.iterdir()) / "new"
    folder.mkdir()
    return "new"


def no_class(root: Path, rng: np.random.Generator) -> str | None:
    folder = _any(rng, root.glob("*/*"))
    shutil.rmtree(folder)
    return folder.name


def rename_class(root: Path, rng: np.random.Generator) -> str | None:
    folder = _any(rng, root.glob("*/*"))
    folder.rename(folder.with_name(_pick(rng, ["zebra", "0", "a b", "ñandú", "x" * 200])))
    return folder.name


def no_train(root: Path, rng: np.random.Generator) -> str | None:
    shutil.rmtree(root / "train")
    return "no train/"


def no_val(root: Path, rng: np.random.Generator) -> str | None:
    shutil.rmtree(root / "val")
    return None if (root / "test").exists() else ""


def hidden_file(root: Path, rng: np.random.Generator) -> str | None:
    name = _pick(rng, [".DS_Store", "Thumbs.db", "._0.png", "desktop.ini"])
    (_any(rng, root.glob("*/*")) / name).write_bytes(rng.bytes(30))
    return None


def stranger(root: Path, rng: np.random.Generator) -> str | None:
    name = _pick(rng, ["notes.txt", "clip.mp4", "0.png.part", "no_suffix", "\n\x1b[2J.txt"])
    (_any(rng, root.glob("*/*")) / name).write_bytes(rng.bytes(30))
    return ascii(name)


def picture_beside(root: Path, rng: np.random.Generator) -> str | None:
    folder = _any(rng, root.iterdir())
    shutil.copy(_any(rng, root.glob("*/*/*.png")), folder / "lost.png")
    return "lost.png"


def folder_inside(root: Path, rng: np.random.Generator) -> str | None:
    (_any(rng, root.glob("*/*")) / "more.png").mkdir()
    return "more.png"


def dangling_link(root: Path, rng: np.random.Generator) -> str | None:
    (_any(rng, root.glob("*/*")) / "gone.png").symlink_to("/nowhere/at/all.png")
    return "gone.png"


def link_to_above(root: Path, rng: np.random.Generator) -> str | None:
    (_any(rng, root.glob("*/*")) / "loop").symlink_to(root, target_is_directory=True)
    return "loop"


def pipe(root: Path, rng: np.random.Generator) -> str | None:
    os.mkfifo(_any(rng, root.glob("*/*")) / "pipe.png")
    return "pipe.png"


def broken_picture(root: Path, rng: np.random.Generator) -> str | None:
    path = _any(rng, root.glob("*/*/*.png"))
    whole = path.read_bytes()
    path.write_bytes(whole[:int(rng.integers(len(whole)))])
    return path.name


def not_a_picture(root: Path, rng: np.random.Generator) -> str | None:
    path = _any(rng, root.glob("*/*/*.png"))
    path.write_bytes(rng.bytes(200))
    return path.name


LAYOUTS = [empty_class, new_empty_class, no_class, rename_class, no_train, no_val, hidden_file,
           stranger, picture_beside, folder_inside, dangling_link, link_to_above, pipe,
           broken_picture, not_a_picture]


def _any(rng: np.random.Generator, paths: Any) -> Path:
    return _pick(rng, sorted(paths))


def run_folders(seed: int, n: int, folder: Path) -> dict:
    """Rearrange a folder of pictures n times, and load it and read every picture.

    What is wrong must be named. Nothing wrong: the pictures of each class, all of them, are those
    that lie in its folder.
    """
    rng = np.random.default_rng([seed, 99])
    whole = folder / "whole"
    for part, count in (("train", 4), ("val", 1), ("test", 1)):
        for name in ("ant", "bee"):
            (whole / part / name).mkdir(parents=True)
            for i in range(count):
                picture(rng, (9, 8)).save(whole / part / name / f"{part}{i}.png")
    counts, violations = Counter(), []
    changes = [change for change in LAYOUTS if change is not pipe or hasattr(os, "mkfifo")]
    for number in range(n):
        root = folder / f"set{number}"
        shutil.copytree(whole, root)
        change = changes[number % len(changes)]
        named = change(root, rng)

        def read(root: Path = root) -> list[np.ndarray]:
            found = data.load_folder(root, size=4)
            return [np.concatenate([part.images[:].sum(axis=(1, 2, 3)) for part in found[:3]]),
                    np.concatenate([part.labels for part in found[:3]])]

        def reference(root: Path = root) -> list[np.ndarray]:
            """Every picture once, in the parts that are there."""
            parts = [p for p in ("train", "val", "test") if (root / p).is_dir()]
            files = [path for part in parts for path in sorted((root / part).glob("*/[!.]*.png"))]
            squares = [data.centre_square(_reference_image(path), 4) for path in files]
            labels = [["ant", "bee"].index(path.parent.name) for path in files]
            return [np.array([square.sum() for square in squares]), np.array(labels)]

        told = reference(root) if named is None else None
        verdict, why = outcome(lambda: [np.sort(a) for a in read()],
                               None if told is None else [np.sort(a) for a in told],
                               lambda: [], [named or str(root)])
        if named is not None and verdict != "refused":
            why = why or f"accepted, though {named!r} is wrong"
            verdict = "violation"
        counts[verdict] += 1
        if verdict == "violation":
            violations.append(f"folder {number} ({change.__name__}): {why}")
        shutil.rmtree(root)
    return {"files": n, "bombs": 0, **dict(sorted(counts.items())), "memory_grew_by": None,
            "violations": violations}


# ── all of them ──────────────────────────────────────────────────────────────────────


def _child(kind: str, seed: int, n: int, bombs: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        return run(kind, seed, n, bombs, Path(folder))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=600, help="broken files of each kind")
    parser.add_argument("--bombs", type=int, default=10, help="bombs of each kind that has them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "malformed.json")
    options = parser.parse_args()

    started, readers = time.monotonic(), {}
    for kind in (*KINDS, "folder"):
        with get_context("spawn").Pool(1) as pool:              # a fresh process: its own memory
            result = pool.apply(_child, (kind, options.seed, options.mutants, options.bombs))
        readers[kind] = result
        grown = result["memory_grew_by"]
        print(f"{kind:13s}{result['files']:5d} files, {result.get('refused', 0):5d} refused, "
              f"{result.get('accepted: the same data', 0):4d} the same data, "
              f"{result.get('accepted: what it says now', 0):4d} what it says now, "
              f"{len(result['violations'])} violations"
              + (f", memory +{grown / 1e6:.0f} MB" if grown is not None else ""), flush=True)
        print("".join(f"  {line[:300]}\n" for line in result["violations"][:20]), end="")
    files = sum(result["files"] for result in readers.values())
    violations = sum(len(result["violations"]) for result in readers.values())
    summary = {"date": datetime.date.today().isoformat(),
               "command": f"python benchmarks/malformed.py --mutants {options.mutants} --bombs "
                          f"{options.bombs} --seed {options.seed}",
               "machine": {"processor": platform.processor() or platform.machine(),
                           "python": platform.python_version(), "numpy": np.__version__},
               "files": files, "violations": violations, "limit_bytes": LIMIT,
               "seconds": round(time.monotonic() - started), "readers": readers}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    print(f"{files} malformed files, {violations} violations, {summary['seconds']} s")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
