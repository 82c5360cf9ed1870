"""Arithmetic — what containers do between layers: a + b, a · b, and [a, b, …] along the channels.

NumPy's functions of these names in one respect apart: the result lies in memory that is used
again, and is computed a few images at a time, by all threads.

An array of a class of its own is handed to NumPy's function whole: the arrays of structure.py write
down what is done with them, and would see neither a sum nor a product in its pieces.
"""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scratchnet.backend.arrays import xp_of
from scratchnet.backend.memory import empty
from scratchnet.backend.parallel import in_tiles


def add(a: Any, b: Any) -> Any:
    """Return a + b, of one shape."""
    return _elementwise(xp_of(a).add, a, b)


def multiply(a: Any, b: Any) -> Any:
    """Return a · b; b has a's shape, or 1 in its last dims: spread over a's."""
    return _elementwise(xp_of(a).multiply, a, b)


def concatenate(arrays: Sequence[Any]) -> Any:
    """Return the arrays side by side along axis 1; they are of one dtype."""
    xp = xp_of(arrays[0])
    if _of_a_class_of_its_own(*arrays):
        return xp.concatenate(list(arrays), axis=1)
    ends = [sum(a.shape[1] for a in arrays[:i]) for i in range(len(arrays) + 1)]
    N, _, *rest = arrays[0].shape
    y = empty(xp, (N, ends[-1], *rest), arrays[0].dtype)

    def copy(n: Any) -> None:                                   # a few images
        for a, start, end in zip(arrays, ends, ends[1:], strict=False):
            y[n][:, start:end] = a[n]

    in_tiles(copy, y)
    return y


def _elementwise(function: Callable, a: Any, b: Any) -> Any:
    if _of_a_class_of_its_own(a, b) or a.shape[:1] != b.shape[:1]:
        return function(a, b)
    xp = xp_of(a)
    y = empty(xp, a.shape, xp.result_type(a, b))
    in_tiles(lambda n: function(a[n], b[n], out=y[n]), a)
    return y


def _of_a_class_of_its_own(*arrays: Any) -> bool:
    return any(isinstance(a, np.ndarray) and type(a) is not np.ndarray for a in arrays)
