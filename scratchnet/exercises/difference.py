"""Difference — how a student's result differs from the right one.

    difference(got, right, "y")     None, or one sentence with the worst element and both numbers
    pattern(got, right)             the mistake that this looks like, such as "the axes are in
                                    another order"

Results are arrays, numbers, or tuples of them. Whole numbers must be equal; others may
differ by a rounding, a billionth of the largest number.
"""
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np

ROUNDING = 1e-9         # of the largest number


class Pattern(NamedTuple):
    """What a wrong result looks like; `code` is the same where only the numbers differ.

    weak    one case proves nothing: any number is a multiple of any other
    """

    code: str
    says: str
    weak: bool = False


def difference(got: Any, right: Any, name: str) -> str | None:
    """Return one sentence on how `got` differs from `right`, or None if it does not.

    Type first, then shape, dtype, NaN, and the worst element. `name` is what the student
    calls the result: "y", "the gradient of x".
    """
    if isinstance(right, tuple | list):
        if not isinstance(got, tuple | list) or len(got) != len(right):
            came = f"{len(got)}" if isinstance(got, tuple | list) else _kind(got)
            return f"{name} must be {len(right)} results, `return a, b, …`; it is {came}"
        return next((text for i, (g, r) in enumerate(zip(got, right, strict=True))
                     if (text := difference(g, r, f"{name}[{i}]"))), None)
    if isinstance(right, np.ndarray) and right.ndim:
        return _of_arrays(got, right, name)
    if np.ndim(right) == 0 and np.asarray(right).dtype.kind in "iu":
        if not isinstance(got, int | np.integer) or isinstance(got, bool):
            return f"{name} must be a whole number, {right}; it is {_kind(got)}"
        return None if got == right else f"{name} is {got}; expected {right}"
    if not isinstance(got, int | float | np.number | np.ndarray) or np.ndim(got):
        return f"{name} must be one number; it is {_kind(got)}"
    if not np.isfinite(got):
        return f"{name} is {got}; expected {float(right):.6g}"
    return None if _close(got, right).all() else f"{name} is {_both(got, right)}"


def _of_arrays(got: Any, right: np.ndarray, name: str) -> str | None:
    if not isinstance(got, np.ndarray):
        return f"{name} must be an array of shape {right.shape}; it is {_kind(got)}"
    if got.shape != right.shape:
        return f"{name} has shape {got.shape}; expected {right.shape}"
    whole = right.dtype.kind in "iu"
    if got.dtype != right.dtype and not (whole and got.dtype.kind in "iu"):
        return f"{name} has dtype {got.dtype}; expected {right.dtype}"
    if whole or right.dtype.kind not in "fc":
        wrong = got != right
    elif not np.isfinite(got).all():
        place = np.unravel_index(np.argmin(np.isfinite(got)), got.shape)
        return f"{name}{_index(place)} is {got[place]}; expected {right[place]:.6g}"
    else:
        wrong = ~_close(got, right)
    if not wrong.any():
        return None
    worst = np.argmax(np.where(wrong, np.abs(got.astype(float) - right.astype(float)), -1))
    place = np.unravel_index(worst, got.shape)
    count = f" ({wrong.sum()} of {wrong.size} numbers are wrong)" if wrong.size > 1 else ""
    return f"{name}{_index(place)} is {_both(got[place], right[place])}{count}"


def pattern(got: Any, right: Any) -> list[Pattern]:
    """Return what the wrong result `got` looks like: the patterns that fit, the best first."""
    if isinstance(right, tuple | list):
        if not isinstance(got, tuple | list) or len(got) != len(right):
            return []
        pairs = [(g, r) for g, r in zip(got, right, strict=True) if difference(g, r, "")]
        return pattern(*pairs[0]) if pairs else []
    if not isinstance(got, np.ndarray | np.number | int | float):
        return []
    got, right = np.asarray(got), np.asarray(right)
    if got.dtype.kind not in "iuf" or right.dtype.kind not in "iuf":
        return []
    if not np.isfinite(got).all():
        return [Pattern("not finite", "it is not finite (NaN or infinity): a number overflows, or "
                                      "is divided by zero")]
    return list(_patterns(got.astype(float), right.astype(float)))


def _patterns(got: np.ndarray, right: np.ndarray) -> Iterator[Pattern]:
    if got.ndim == right.ndim > 1:
        yield from _reordered(got, right)
    if got.shape != right.shape:
        return
    scale = abs(right).max(initial=0)
    if not got.any():
        yield Pattern("zeros", "it is all zeros")
        return
    if (abs(got - right) <= 1e-5 * scale).all():
        yield Pattern("float32", "it is right to about seven digits only: something is computed "
                                 "in float32, where x has float64")
        return
    factor = (got * right).sum() / (right * right).sum() if right.any() else 0.0
    if factor and _close(got, factor * right).all():
        yield (Pattern("negative", "it is exactly the negative of the right result: a sign")
               if np.isclose(factor, -1) else
               Pattern("scale", f"it is the right result times {_fraction(factor)}", got.size == 1))
    offset = (got - right).mean()
    if got.size > 1 and _close(got - offset, right).all():
        yield Pattern("offset", f"it is the right result plus {offset:.6g}")
    if got.ndim:
        yield from _moved(got, right)
        yield from _partly_right(got, right)


def _reordered(got: np.ndarray, right: np.ndarray) -> Iterator[Pattern]:
    """The right numbers, with axes swapped or in another order of reading."""
    for order in permutations(range(right.ndim)):
        if order != tuple(range(right.ndim)) and got.shape == (
                turned := right.transpose(order)).shape and _close(got, turned).all():
            yield Pattern("transposed", "it is transposed: the right numbers, with the axes in the "
                                        f"order {order}")
            return
    for order in permutations(range(right.ndim)):
        if order != tuple(range(right.ndim)) and got.size == right.size and _close(
                got.ravel(), right.transpose(order).ravel()).all():
            yield Pattern("reshaped", "it holds the right numbers in the wrong places: a reshape "
                                      "reads them in another order; transpose before it")
            return


def _moved(got: np.ndarray, right: np.ndarray) -> Iterator[Pattern]:
    """Flipped or shifted along some axes, or the right numbers in other places."""
    for count in range(1, min(got.ndim, 4) + 1):
        for axes in combinations(range(got.ndim), count):
            if _close(got, np.flip(right, axes)).all():
                yield Pattern("flipped", "it is flipped: the right numbers in reverse order along "
                                         f"{_axes(axes)}")
                return
    for axis in range(got.ndim):
        g, r = np.moveaxis(got, axis, 0), np.moveaxis(right, axis, 0)
        for ahead, behind, way in ((g[1:], r[:-1], "later"), (g[:-1], r[1:], "earlier")):
            if len(ahead) > 1 and _close(ahead, behind).all():
                yield Pattern("shifted", f"it is shifted: everything stands one place {way} along "
                                         f"{_axes((axis,))} than it should")
                return
    if _close(np.sort(got, None), np.sort(right, None)).all():
        yield Pattern("places", "it holds the right numbers in the wrong places")


def _partly_right(got: np.ndarray, right: np.ndarray) -> Iterator[Pattern]:
    """Right in some rows only: the first sample, away from the border."""
    wrong = ~_close(got, right)
    if not wrong.any():
        return
    if len(got) > 1 and not wrong[0].any() and wrong[1:].any(axis=tuple(range(1, got.ndim))).all():
        yield Pattern("first", "only the first row along axis 0 is right: only sample 0, perhaps")
    elif got.ndim == 4 and min(got.shape[2:]) > 2 and not wrong[:, :, 1:-1, 1:-1].any():
        yield Pattern("border", "it is right inside, and wrong only at the border of the image: "
                                "look at the padding")


def changed(arguments: tuple, before: tuple) -> int | None:
    """Return the position of the first array that is no longer as it was `before`, or None."""
    return next((i for i, (now, then) in enumerate(zip(arguments, before, strict=True))
                 if isinstance(now, np.ndarray)
                 and not np.array_equal(now, then, equal_nan=now.dtype.kind == "f")), None)


def _close(got: Any, right: Any) -> np.ndarray:
    """Where `got` equals `right`, but for rounding."""
    return np.asarray(abs(np.asarray(got) - right)
                      <= ROUNDING * max(np.abs(right).max(initial=0), 1e-30))


def _both(got: Any, right: Any) -> str:
    """Both numbers, with as many digits as it takes to tell them apart."""
    got, right = got + 0, right + 0                 # no −0
    texts = next(((a, b) for digits in (6, 12, 17)
                  if (a := f"{got:.{digits}g}") != (b := f"{right:.{digits}g}")), (got, right))
    return f"{texts[0]}; expected {texts[1]}"


def _fraction(factor: float) -> str:
    """A factor as a number, and as a fraction where it is a simple one."""
    for top in (1, 2, 3):
        bottom = round(top / abs(factor))
        if bottom > top and abs(abs(factor) * bottom / top - 1) < ROUNDING:
            return f"{factor:.6g}, {'−' if factor < 0 else ''}{top}/{bottom}"
    return f"{factor:.6g}"


def _index(place: tuple) -> str:
    return f"[{', '.join(str(int(i)) for i in place)}]"


def _axes(axes: tuple) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + " and ".join(map(str, axes))


def _kind(thing: Any) -> str:
    """What `thing` is, with its article."""
    if thing is None:
        return "None: is a return missing?"
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape}"
    if isinstance(thing, float | np.floating):
        return f"a number with a point, {thing}"
    if isinstance(thing, int) and not isinstance(thing, bool):
        return f"the number {thing}"
    return f"a {type(thing).__name__}"
