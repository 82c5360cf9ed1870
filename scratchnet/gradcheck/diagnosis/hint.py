"""Hint — what an explanation is, and the words for arguments, axes and numbers in it."""
import warnings
from typing import NamedTuple

import numpy as np

from scratchnet.gradcheck.diagnosis.setting import Setting


class Hint(NamedTuple):
    """An explanation that fits one argument in one setting.

    strength "exact": A is reproduced, number by number; "likely": its pattern is explained;
             "guess": there are other explanations
    """

    says: str
    evidence: str
    strength: str = "exact"


def d(name: str) -> str:
    """What the gradient of this argument is called: dx, the gradient of weight."""
    return f"d{name}" if len(name) <= 2 else f"the gradient of {name}"


AXES = {1: ("position",), 2: ("sample", "feature"), 4: ("sample", "channel", "row", "column")}
WEIGHT_AXES = {1: ("channel",), 2: ("output", "input"),
               3: ("channel", "kernel row", "kernel column"),
               4: ("output channel", "input channel", "kernel row", "kernel column")}


def axes_of(setting: Setting, name: str) -> tuple[str, ...]:
    """The names of an argument's axes."""
    shape = setting.value(name).shape
    known = (AXES if isinstance(setting.key(name), int) else WEIGHT_AXES).get(len(shape))
    return known or tuple(f"axis {i}" for i in range(len(shape)))


def y_axes(setting: Setting) -> tuple[str, ...]:
    """The names of y's axes."""
    n = len(setting.y_shape)
    return AXES.get(n) or tuple(f"axis {i}" for i in range(n))


def elementwise(N: np.ndarray) -> bool:
    """Does each output depend on its own input alone?"""
    return N.shape[0] == N.shape[1] > 1 and not (N - np.diag(np.diag(N))).any()


def rows_off(A: np.ndarray, N: np.ndarray) -> np.ndarray:
    """Which rows of A are not N's?"""
    return np.abs(A - N).max(axis=1) > 1e-7 * np.abs(N).max()


def constant_along(R: np.ndarray, axis: int) -> np.ndarray | None:
    """The value of R along each line, if it is the same all along (NaN passed over)."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanmin(R, axis=axis), np.nanmax(R, axis=axis)
    apart = np.nan_to_num(high - low)
    if (apart > 1e-6 * np.nanmax(np.abs(R))).any():
        return None
    return np.where(np.isnan(high), np.nan, high)


def spread(values: np.ndarray) -> float:
    """How far the values are apart, relative to the largest (NaN passed over)."""
    values = values[~np.isnan(values)]
    return float(np.ptp(values) / max(np.abs(values).max(initial=0), 1e-300)) if values.size else 0


def few(values: np.ndarray, digits: int = 4) -> str:
    """The first four values, in words."""
    shown = ", ".join(f"{v:.{digits}g}" for v in np.ravel(values)[:4])
    return shown + (", …" if np.size(values) > 4 else "")
