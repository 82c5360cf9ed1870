"""Memory — large arrays in memory that is used again.

A new array of 50 MB costs more than filling it: the system hands out its pages one by one, each
wiped with zeros, and takes them all back when the array is gone. A network asks for the same
sizes at every step. So the blocks of large arrays are kept when their arrays are gone, and the
next array of about that size gets one of them:

    y = empty(xp, shape, dtype)         like xp.empty

A block is free when the last view of its array is gone; NumPy's views keep alive the array that
they look into, so a finalizer on that one array is enough. Blocks come in sizes of four steps to
the doubling, so that sizes that hardly differ share theirs. Free blocks that nobody asks for are
given back to the system: where a new block is needed, at most a quarter of what is in use (or
KEEP, if that is more) stays free. CuPy has such a pool of its own.
"""
import math
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from scratchnet.backend.arrays import xp_of

SMALL = 256 << 10       # bytes; the C library keeps smaller ones by itself
KEEP = 64 << 20         # bytes that may lie free at any time
LINE = 64               # bytes of a cache line: a vector that lies across two costs twice

_local = threading.local()
_free: defaultdict[int, list[np.ndarray]] = defaultdict(list)   # lists: append and pop are atomic
_bytes = {"used": 0, "free": 0}     # a hint for when to give back, not an account


def empty(xp: ModuleType, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array of `shape` and `dtype` whose numbers are not set yet."""
    dtype = np.dtype(dtype)
    bytes_ = math.prod(shape) * dtype.itemsize
    if xp is not np or bytes_ < SMALL or getattr(_local, "fresh", False):
        return xp.empty(shape, dtype=dtype)
    size = block_size(bytes_)
    try:
        block = _free[size].pop()
        _bytes["free"] -= size
    except IndexError:
        _give_back()
        block = np.empty(size + LINE, dtype=np.uint8)
    _bytes["used"] += size
    array = np.frombuffer(block.data, dtype=np.uint8, count=bytes_,
                          offset=-block.ctypes.data % LINE)
    weakref.finalize(array, _recycle, size, block).atexit = False
    return array.view(dtype).reshape(shape)


def empty_like(x: Any) -> Any:
    """Return an array like x (C order), whose numbers are not set yet."""
    return empty(xp_of(x), x.shape, x.dtype)


class Workspace:
    """Float32 arrays on the CPU, for work that uses them again and again: `workspace("V", shape)`
    is an array whose numbers are not set, in the same memory for the same name."""

    def __init__(self):
        self._blocks = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> Any:
        count = math.prod(shape)
        if name not in self._blocks or len(self._blocks[name]) < count:
            self._blocks[name] = empty(np, (count,), np.float32)
        return self._blocks[name][:count].reshape(shape)


def block_size(bytes_: int) -> int:
    """Round up to 4, 5, 6 or 7 times a power of two: at most a quarter more."""
    step = 1 << max(0, (bytes_ - 1).bit_length() - 3)
    return -(-bytes_ // step) * step


@contextmanager
def fresh() -> Iterator[None]:
    """`with fresh():` this thread's arrays are new ones, so that a tool can count their bytes."""
    outer, _local.fresh = getattr(_local, "fresh", False), True
    try:
        yield
    finally:
        _local.fresh = outer


def held() -> tuple[int, int]:
    """Return the bytes of blocks in use and of free ones."""
    return _bytes["used"], _bytes["free"]


def release() -> None:
    """Give every free block back to the system."""
    _give_back(keep=0)


def _recycle(size: int, block: np.ndarray) -> None:
    _bytes["used"] -= size
    _bytes["free"] += size
    _free[size].append(block)


def _give_back(keep: int | None = None) -> None:
    """Drop free blocks, the largest first, until at most `keep` bytes of them are left."""
    keep = max(KEEP, _bytes["used"] // 4) if keep is None else keep
    for size in sorted(_free, reverse=True):
        while _bytes["free"] > keep and _free[size]:
            try:
                _free[size].pop()
            except IndexError:          # another thread took it
                break
            _bytes["free"] -= size
