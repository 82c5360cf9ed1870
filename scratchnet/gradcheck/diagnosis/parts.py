"""Parts — blocks: which way does the gradient go that it should not, or not go that it should?

A block is made of parts with a forward of their own. Freezing one shows what flows through it;
letting dy pass it unchanged shows what a forgotten backward would give. Functions that a
stranger's forward calls (np.maximum, np.tanh) are tried likewise.
"""
import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from scratchnet.gradcheck.diagnosis.calls import direct_parts
from scratchnet.gradcheck.diagnosis.experiments import reproduces
from scratchnet.gradcheck.diagnosis.factors import constants
from scratchnet.gradcheck.diagnosis.hint import Hint, d
from scratchnet.gradcheck.diagnosis.setting import Setting, same
from scratchnet.gradcheck.diagnosis.terms import regress
from scratchnet.gradcheck.subject import copy_with
from scratchnet.layer import Layer

NICE = (0, 1, -1, 2, 0.5, -2)         # coefficients that a mistake gives
MOST_PARTS, FEW_PARTS = 40, 12

_ONE_AT_A_TIME = threading.RLock()


def terms_of_parts(s: Setting, name: str) -> dict[str, Hint]:
    """A block: what flows through each part is N less the Jacobian with that part frozen.

    Not whole Jacobians, but their products with a few random directions are compared: one call
    of forward for each.
    """
    leaves = parts_of(s.subject.truth.layer)
    if not leaves or not s.complex_step:
        return {}
    rng = np.random.default_rng(0)
    us = [rng.standard_normal(s.value(name).shape) for _ in range(4)]

    def product(layer: Any = None) -> np.ndarray:
        return np.array([s.along(name, u, layer=layer) for u in us]).T

    try:
        N = product()
        shares: dict[str, np.ndarray] = {}
        for path, part in leaves:
            share = N - product(_with_part(s, part, _Frozen))
            if np.abs(share).max() > 1e-9 * np.abs(N).max() and not same(share, N) and not any(
                    same(share, other) for other in shares.values()):
                shares[f"branch {path} ({type(part).__name__})"] = share
    except Exception:
        return {}
    if not shares:
        return {}
    rest = N - sum(shares.values())
    if np.abs(rest).max() > 1e-9 * np.abs(N).max():
        shares["direct (shortcut)"] = rest
    matrix = np.array([share.ravel() for share in shares.values()])
    if np.linalg.matrix_rank(matrix / np.abs(N).max(), tol=1e-6) < len(shares):
        return {}
    A = s.analytic(name) @ np.array([u.ravel() for u in us]).T
    return regress(s, A, N, name, shares, (*NICE, *constants(s).values()))


def skipped(s: Setting, name: str) -> dict[str, Hint]:
    """A block: right if dy passed one of its parts (a ReLU, a norm) unchanged?"""
    found = {}
    for path, part in parts_of(s.subject.truth.layer) if s.complex_step else ():
        if reproduces(s, name, layer=_with_part(s, part, _Through)):
            found[path] = Hint(f"{d(name)}: {path} is skipped in backward: dy passes it unchanged, "
                               f"as if it were not there", f"reproduced with {path} passed over")
    return found


def skipped_on_a_way(s: Setting, name: str) -> dict[str, Hint]:
    """The same, for one of the ways that lead to a part: a shortcut that gets dy itself."""
    leaves = parts_of(s.subject.truth.layer)
    if not 1 < len(leaves) <= FEW_PARTS or not s.complex_step:
        return {}
    rng = np.random.default_rng(0)
    us = [rng.standard_normal(s.value(name).shape) for _ in range(2)]
    A = s.analytic(name) @ np.array([u.ravel() for u in us]).T

    def product(stand_ins: dict) -> np.ndarray:
        memo = {id(part): stand_in(part) for part, stand_in in stand_ins.items()}
        layer = copy_with(s.subject.truth.layer, memo)
        return np.array([s.along(name, u, layer=layer) for u in us]).T

    N = product({})
    for path, part in leaves:
        for other, frozen in leaves:
            if frozen is part:
                continue
            try:            # what comes by the ways past `frozen`, with and without `part`
                extra = product({part: _Through, frozen: _Frozen}) - product({frozen: _Frozen})
            except Exception:               # a part that changes the shape
                break
            if np.abs(extra).max() > 1e-9 * np.abs(N).max() and same(N + extra, A, 1e-7):
                return {path: Hint(
                    f"{d(name)}: the way past {other} (the shortcut) gets dy as it is before "
                    f"{path}: the gradient after {path}'s mask must go both ways",
                    f"reproduced with {path} passed over on that way")}
    return {}


def left_out(s: Setting, name: str) -> dict[str, Hint]:
    """Right if a function that forward calls (np.maximum, np.tanh, …) had the derivative 1?"""
    found = {}
    for function, means in (("maximum", "the mask of np.maximum (a ReLU) is not applied"),
                            ("where", "the mask of np.where (a ReLU?) is not applied"),
                            ("clip", "the mask of np.clip is not applied"),
                            ("tanh", "the derivative of tanh is left out"),
                            ("exp", "the derivative of exp is left out"),
                            ("sqrt", "the derivative of the square root is left out")):
        if not s.complex_step:
            break
        with _derivative_of_one(function) as called:
            right = reproduces(s, name)
        if right and called:
            found[function] = Hint(f"{d(name)}: {means} in backward", f"reproduced with the "
                                   f"derivative of np.{function} taken as 1")
    return found


@contextmanager
def _derivative_of_one(function: str) -> Iterator[list]:
    """np.function(…) returns its value, and hands on the derivative of its argument."""
    original, called, here = getattr(np, function), [], threading.get_ident()

    class Through:
        """np.function, but for this thread's complex numbers."""

        def __call__(self, *args: Any, **options: Any) -> Any:
            y = original(*args, **options)
            inner = [a for a in args if np.iscomplexobj(a) and np.shape(a) == np.shape(y)]
            if len(inner) != 1 or options or threading.get_ident() != here:
                return y
            called.append(function)
            return y.real + 1j * inner[0].imag

        def __getattr__(self, name: str) -> Any:        # np.maximum.reduce, …
            return getattr(original, name)

    with _ONE_AT_A_TIME:
        original = getattr(np, function)
        setattr(np, function, Through())
        try:
            yield called
        finally:
            setattr(np, function, original)


def parts_of(layer: Any) -> list[tuple[str, Any]]:
    """(name, part) for the innermost parts of a block, at most MOST_PARTS of them."""
    if isinstance(layer, Layer):
        parts = [(path, part) for path, part in layer.named_layers()
                 if path and not list(part.children())]
    else:
        parts = direct_parts(layer)
    return parts if len(parts) <= MOST_PARTS else []


def _with_part(s: Setting, part: Any, stand_in: Callable) -> Any:
    return copy_with(s.subject.truth.layer, {id(part): stand_in(part)})


class _StandIn:
    """Takes the place of a part of a block, for an experiment."""

    def __init__(self, part: Any):
        self.part = part

    def forward(self, *xs: Any) -> Any:
        raise NotImplementedError

    def __call__(self, *xs: Any) -> Any:
        return self.forward(*xs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "part":
            raise AttributeError(name)
        return getattr(self.part, name)

    def __deepcopy__(self, memo: dict) -> "_StandIn":
        return type(self)(copy.deepcopy(self.part, memo))


class _Frozen(_StandIn):
    """A part whose output is a constant: it passes numbers on, and no derivative back."""

    def forward(self, *xs: Any) -> Any:
        y = self.part.forward(*xs)
        if isinstance(y, tuple):
            return tuple(v.real.astype(v.dtype) for v in y)
        return y.real.astype(y.dtype)


class _Through(_StandIn):
    """A part whose derivative is 1: dy passes it unchanged."""

    def forward(self, x: Any) -> Any:
        return self.part.forward(x).real + 1j * x.imag
