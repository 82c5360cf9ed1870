"""Weights — what a network has learned, as a file, and back again.

    weights.save(net, "mine.npz")
    weights.load(net, "mine.npz")
    weights.load(models.resnet50(num_classes=5), "resnet50.safetensors", skip_head=True)

A file is a table from the dotted names of `state_dict()` to arrays. Two formats, told apart by
the suffix:

    .npz           a zip of .npy files, each a line of text (dtype, shape) and then its numbers
    .safetensors   one table in JSON (name, dtype, shape, place), and then all the numbers;
                   needs the safetensors package: pip install "scratchnet[weights]"

Both are only numbers. PyTorch's .pth is a pickle, a program that runs when it is read;
`python tools/convert_pth.py IN.pth OUT.npz` turns one into a file for `load`.

A file may come from anywhere, so `load` goes through it in three steps. The names, dtypes and
shapes are held against the network's; only then are numbers read, no more of them than the
network has; and only when all of them are there, and finite, does the network change.

How a file is written whole or not at all, and how a .npz is read with suspicion: archive.py.
"""
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.archive import Entry, damage_told, listed, open_npz, replace_file, write_npz
from scratchnet.backend import is_array, to_host
from scratchnet.layer import Layer

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
CODES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16",
         "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
         "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64"}


def save(model: Layer | Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write a network, or a dict of name: array, to `path` (.npz or .safetensors).

    Arrays may be on either device and in any memory order; the file has them in C order. Until
    the new file is complete the old one stays; a kill may leave a `.tmp` beside it, nothing else.
    Raises ValueError for another suffix, for what is not an array of numbers, and for NaN or
    infinity, which `load` would refuse; OSError where the file cannot be written; ImportError
    for .safetensors without its package.
    """
    path = Path(path)
    write = _format(path).write
    if not isinstance(model, Layer | Mapping):
        raise ValueError(f"weights.save expects a network, or a dict of name: array; got "
                         f"{type(model).__name__}")
    state = model.state_dict() if isinstance(model, Layer) else model
    arrays = {name: _plain(name, array) for name, array in state.items()}
    if broken := _not_finite(arrays):
        raise ValueError(f"weights.save: these arrays hold NaN or infinity; nothing was written."
                         f"{listed(broken)}\nHas the training diverged?")
    replace_file(path, lambda file: write(arrays, file))


def load(model: Layer, path: str | os.PathLike, skip_head: bool = False) -> Layer:
    """Read the file `path` (.npz or .safetensors) into `model`; returns the model.

    The file must have every name of `model.state_dict()` and no other; PyTorch's
    num_batches_tracked are passed over. Floating-point numbers are converted to the network's.

    skip_head=True is for other classes than the file's: the head, the last layer that has
    an array of two or more dimensions, keeps its own values; so does each array that differs from
    the file only in having the new number of classes for the old (the auxiliary heads of
    GoogLeNet). Everything else must fit.

    Raises ValueError that lists what does not fit, or says what is wrong with the file;
    FileNotFoundError; ImportError for .safetensors without its package. The model is then as
    it was.
    """
    path = Path(path)
    open_file = _format(path).open
    if not isinstance(model, Layer):
        raise ValueError(f"weights.load expects a network to load into; got "
                         f"{type(model).__name__}")
    if not path.is_file():
        raise FileNotFoundError(f"weights.load expects a file; {path} is "
                                f"{'a folder' if path.is_dir() else 'not there'}")
    _refuse_renamed(path)
    own = {name: Entry(array.shape, array.dtype.name) for name, array, _ in model._state()}
    with damage_told(path), open_file(path) as (found, read):
        heads = _heads(own, found)
        skipped = heads if skip_head else set()
        problems = _misfits(own, found, skipped)
        if skip_head and heads >= own.keys():
            problems = f"\n  skip_head=True leaves nothing to load: {model} is all head"
        arrays = {} if problems else {name: read(name) for name in own if name not in skipped}
    if problems:
        if not (skip_head or heads >= own.keys() or _misfits(own, found, heads)):
            problems += "\nAll but the head fits: skip_head=True loads the rest"
        raise ValueError(f"{path} does not fit {type(model).__name__}; nothing was loaded."
                         f"{problems}")
    with np.errstate(over="ignore"):            # 1e300 has no float32: inf, told below
        arrays = {name: np.asarray(array, dtype=own[name].dtype, order="C")
                  for name, array in arrays.items()}
    if broken := _not_finite(arrays):
        raise ValueError(f"{path} has NaN or infinity (or numbers too large for the network's "
                         f"dtype); nothing was loaded.{listed(broken)}")
    return model.load_state_dict(arrays, strict=False)      # strict about all but the head above


# ── what must fit ────────────────────────────────────────────────────────────────────


def _misfits(own: dict[str, Entry], found: dict[str, Entry], skipped: set[str]) -> str:
    """Say what stands between the network's entries and the file's: lines of text, or ""."""
    missing = [name for name in own if name not in found and name not in skipped]
    unexpected = [name for name in found if name not in own and name not in skipped
                  and name.rpartition(".")[2] != "num_batches_tracked"]
    misfits = []
    for name in (name for name in own if name in found and name not in skipped):
        (shape, dtype), (its_shape, its_dtype) = own[name], found[name]
        whole = dtype in INTEGERS
        if its_shape != shape:
            misfits.append(f"{name}: expected shape {shape}, got {its_shape}")
        elif its_dtype == "bfloat16" and not whole:
            misfits.append(f"{name}: bfloat16, which NumPy does not have: convert it to float32 "
                           f"first (in PyTorch: tensor.float())")
        elif its_dtype not in ((dtype,) if whole else FLOATS):
            misfits.append(f"{name}: expected {dtype if whole else 'floating-point numbers'}, "
                           f"got {its_dtype}")
    return (listed(missing, "missing: ") + listed(unexpected, "unexpected: ")
            + listed(misfits))


def _heads(own: dict[str, Entry], found: dict[str, Entry]) -> set[str]:
    """The names, in the network and in the file, that skip_head leaves alone."""
    tables = [name for name, (shape, _) in own.items() if len(shape) > 1]
    if not tables:
        return set()
    last = tables[-1]
    head = last.rpartition(".")[0]
    skipped = {name for name in (*own, *found) if name.rpartition(".")[0] == head}
    classes, its_classes = own[last].shape[:1], found[last].shape[:1] if last in found else ()
    if classes == its_classes:
        return skipped
    return skipped | {name for name, (shape, _) in own.items() if name in found
                      and shape[:1] == classes and found[name].shape == its_classes + shape[1:]}


def _not_finite(arrays: dict[str, np.ndarray]) -> list[str]:
    return [name for name, array in arrays.items() if not np.isfinite(array).all()]


def _plain(name: Any, array: Any) -> np.ndarray:
    """`array` as every reader expects it: on the host, C-ordered, little-endian."""
    if not isinstance(name, str) or not name or "\0" in name or name == "__metadata__":
        raise ValueError(f"weights.save: {name!r} cannot be the name of an array: names are "
                         f"strings, as state_dict() returns them")
    if not is_array(array):
        raise ValueError(f"weights.save: {name} must be an array; got {type(array).__name__}: "
                         f"convert it with numpy.asarray(…)")
    if array.dtype.name not in FLOATS + INTEGERS:
        raise ValueError(f"weights.save: {name} has dtype {array.dtype}; a file can hold "
                         f"{', '.join(FLOATS)} and integers: convert it with .astype('float32')")
    return to_host(array).astype(array.dtype.newbyteorder("<"), order="C", copy=False)


# ── the two formats ──────────────────────────────────────────────────────────────────


def _write_safetensors(arrays: dict[str, np.ndarray], file: Any) -> None:
    from safetensors.numpy import save
    file.write(save(arrays))


@contextmanager
def _open_safetensors(path: Path) -> Iterator[tuple[dict[str, Entry], Callable]]:
    """The table of a .safetensors, and the function that reads one array of it.

    The package has checked that the table is sound: every byte belongs to one array, and
    each array has the bytes that its shape and dtype ask for.
    """
    from safetensors import safe_open
    with safe_open(path, framework="numpy") as file:
        found = {}
        for name in file.keys():                                    # noqa: SIM118 (not a dict)
            table = file.get_slice(name)
            found[name] = Entry(tuple(table.get_shape()),
                                CODES.get(table.get_dtype(), table.get_dtype()))
        yield found, file.get_tensor


class Format(NamedTuple):
    """How to write a file of one suffix, and how to open it."""

    write: Callable
    open: Callable


FORMATS = {".npz": Format(write_npz, open_npz),
           ".safetensors": Format(_write_safetensors, _open_safetensors)}


def _format(path: Path) -> Format:
    """The format that goes with the suffix of `path`."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        convert = (": convert it with tools/convert_pth.py of the scratchnet repository"
                   if suffix in (".pth", ".pt", ".bin") else "")
        raise ValueError(f"a weights file ends in .npz or .safetensors; got {path.name!r}{convert}")
    if suffix == ".safetensors" and find_spec("safetensors") is None:
        raise ImportError('.safetensors files need the safetensors package: pip install '
                          '"scratchnet[weights]", or use .npz')
    return FORMATS[suffix]


def _refuse_renamed(path: Path) -> None:
    """Raise ValueError for an empty file, and for contents that belong under another suffix."""
    with path.open("rb") as file:
        start = file.read(512)
    suffix = path.suffix.lower()
    if not start:
        raise ValueError(f"{path} is empty: save or download it again")
    looks_like = (".safetensors" if start[8:9] == b"{" else     # first: its length may be "PK"
                  ".npy" if start.startswith(b"\x93NUMPY") else
                  ".pth" if start.startswith(b"\x80") or b"data.pkl" in start else
                  ".npz" if start.startswith(b"PK") else suffix)
    if looks_like != suffix:
        advice = {".pth": "convert it with tools/convert_pth.py of the scratchnet repository",
                  ".npy": "one array is no network"}.get(looks_like, "rename it")
        raise ValueError(f"{path} holds what belongs in a {looks_like} file: {advice}")
