"""Archives — a table of arrays in one .npz file: written whole or not at all, read warily.

    replace_file(path, write)       the new file, complete, takes the old one's place in one step
    write_npz(arrays, file)         a zip of .npy files, each a line of text and then its numbers
    open_npz(path)                  the table first (names, shapes, dtypes), numbers only when asked
    read_npz(path)                  all of it, and never more than the file has bytes

A program can be killed between any two instructions, and a machine can lose its power. So a file
is written under another name in the same folder; the disk is waited for (fsync); the file may be
read back; then it is renamed, which is one step, at any moment the path names the whole old file
or the whole new one; and the folder, where the name is kept, is waited for, too.

A file may come from anywhere: a header that promises a terabyte is believed only as far as the
bytes that are there, and nothing is ever unpickled.
"""
import contextlib
import io
import math
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

LONGEST_HEADER = 4096           # bytes of text before the numbers in a .npy; NumPy writes 128
LISTED = 10                     # problems of one kind in an error; the rest are counted


def replace_file(path: Path, write: Callable[[BinaryIO], Any],
                 check: Callable[[Path], Any] | None = None) -> None:
    """Make `path` what `write(file)` writes; until that is complete, the old file stays.

    `check`, if given, is handed the path of the new file before it takes the name, and may raise.
    A kill may leave a `.tmp` beside it, nothing else. Raises FileNotFoundError for a folder that
    is not there, and OSError where the disk is full or does not let us write.
    """
    target = path.resolve()                     # through a link, not in its place
    if target.is_dir() or not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: " + (
            "it is a folder" if target.is_dir() else f"there is no folder {target.parent}"))
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            _wait_for_disk(file.fileno())
        if check is not None:
            check(temporary)
        os.replace(temporary, target)
    except BaseException as error:              # Ctrl-C, too
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise type(error)(error.errno, f"{path} was not written ({error.strerror}); what was "
                                           f"there before is untouched") from error
        raise
    _wait_for_folder(target.parent)


def _wait_for_disk(descriptor: int) -> None:
    """Have what was written on the disk. (On macOS fsync does not wait for the disk's cache.)"""
    try:
        import fcntl
    except ImportError:                                 # Windows
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    except (AttributeError, OSError):                   # another system, or file system
        os.fsync(descriptor)


def _wait_for_folder(folder: Path) -> None:
    """Have the folder's list of names on the disk. (Windows has no such call and needs none.)"""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:             # a file system without it (some network drives)
        pass
    finally:
        os.close(descriptor)


class Entry(NamedTuple):
    """What is known of an array before it is read: its shape, and its dtype's name."""

    shape: tuple
    dtype: str


def write_npz(arrays: dict[str, np.ndarray], file: Any) -> None:
    """What np.savez writes; but np.savez cannot hold an array that is called "file"."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


@contextmanager
def open_npz(path: Path) -> Iterator[tuple[dict[str, Entry], Callable]]:
    """The table of a .npz, and the function that reads one array of it.

    np.load would do for a file one trusts: it allocates whatever a header asks for.
    """
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Entry] = {}
        for info in archive.infolist():
            name, suffix = info.filename[:-4], info.filename[-4:]
            if suffix != ".npy":
                raise ValueError(f"it holds {info.filename!r}, which is not a .npy")
            if name in found:
                raise ValueError(f"it has two arrays called {name!r}")
            found[name] = _npy_entry(archive, info)

        def read(name: str) -> np.ndarray:
            with archive.open(f"{name}.npy") as member:
                return npy.read_array(member, allow_pickle=False)       # zipfile checks its CRC

        yield found, read


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz that we wrote: none is compressed, so the arrays have no more
    bytes than the file. Raises ValueError for a file that is damaged, or promises more."""
    size = path.stat().st_size
    with damage_told(path), open_npz(path) as (table, read):
        promised = sum(math.prod(entry.shape) * np.dtype(entry.dtype).itemsize
                       for entry in table.values())
        if promised > size:
            raise ValueError(f"its arrays would take {promised:,} bytes; it has {size:,}")
        return {name: read(name) for name in table}


def _npy_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    """Read the header of one .npy, and no more than a header's worth of bytes."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename!r} is compressed in a way that NumPy does not write")
    with archive.open(info) as member:
        start = io.BytesIO(member.read(LONGEST_HEADER))
    version = npy.read_magic(start)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{info.filename!r} is not a plain array (.npy version {version})")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(start)
    if dtype.hasobject:
        raise ValueError(f"{info.filename!r} holds Python objects, not numbers")
    if info.file_size != start.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{info.filename!r} says shape {shape}, {dtype}, but has "
                         f"{info.file_size:,} bytes")
    return Entry(shape, dtype.name)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes of zipfile, NumPy and safetensors into one ValueError."""
    try:
        yield
    except (ImportError, MemoryError, PermissionError):     # not the file's fault
        raise
    except Exception as error:      # a file can be broken in ways that raise any kind of error
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is truncated or damaged; nothing was loaded. Save or download "
                         f"it again.{listed([reason])}") from error


def listed(lines: list[str], prefix: str = "") -> str:
    """The first of `lines`, indented; names from a file may be long, or not for printing."""
    shown = [line if line.isprintable() and len(line) < 200 else ascii(line)[:200] + "…"
             for line in lines[:LISTED]]
    if len(lines) > LISTED:
        shown.append(f"… and {len(lines) - LISTED:,} more")
    return "".join(f"\n  {prefix}{line}" for line in shown)
