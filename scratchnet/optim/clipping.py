"""Clipping — a gradient that is too long is shortened before the step.

Near a cliff of the loss one gradient can be a thousand times the usual, and one step along it
undoes an epoch. By norm, with g all gradients laid end to end,

    g ← g · min(1, limit/‖g‖)               ‖g‖ = √Σ g²

the direction stays and only the length changes. By value, every number is moved into
−limit … +limit by itself; that turns the direction too.

    loss backward, then    optim.clip_by_norm(net.parameters(), 2.0)    then optimizer.step()

Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
"""
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from scratchnet.backend import xp_of
from scratchnet.layer import Parameter
from scratchnet.optim.group import in_groups


def gradient_norm(parameters: Iterable[Parameter]) -> float:
    """Return ‖g‖ of all gradients that are not frozen; NaN or infinity if one number of them is."""
    return math.sqrt(sum(_sum_of_squares(p.grad) for p in parameters if not p.frozen))


def clip_by_norm(parameters: Iterable[Parameter], limit: float) -> float:
    """Scale all gradients in place so that their common norm is at most `limit`.

    Frozen parameters neither count nor change. Returns the norm before. PyTorch's
    clip_grad_norm_ divides by ‖g‖ + 1e-6 and so ends a little below the limit; this one on it.
    Where it is NaN or infinite nothing is scaled: no scale would repair that.
    Raises ValueError for a limit that is not above 0.
    """
    moving = _moving("clip_by_norm", parameters, limit)
    norm = gradient_norm(moving)
    if limit < norm < math.inf:
        for p in moving:
            p.grad *= limit / norm
    return norm


def clip_by_value(parameters: Iterable[Parameter], limit: float) -> None:
    """Clip every gradient of what is not frozen to −limit … +limit, in place; NaN stays NaN.

    Raises ValueError for a limit that is not above 0.
    """
    for p in _moving("clip_by_value", parameters, limit):
        xp_of(p.grad).clip(p.grad, -limit, limit, out=p.grad)


def _moving(who: str, parameters: Iterable[Parameter], limit: float) -> list[Parameter]:
    if not 0 < limit < float("inf"):
        raise ValueError(f"{who} expects a limit above 0; got {limit}")
    return [p for group in in_groups(who, parameters) for p in group.parameters if not p.frozen]


def _sum_of_squares(g: Any) -> float:
    xp, g = xp_of(g), g.ravel()
    with np.errstate(over="ignore"):
        total = float(xp.dot(g, g))
    if math.isfinite(total):
        return total
    g = g.astype(np.float64)                # 1e20² has no float32
    return float(xp.dot(g, g))
