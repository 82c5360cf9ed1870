"""Channels — sums over the numbers of each channel, one pass over memory.

    μ = 1/m · Σ x            σ² = 1/m · Σ x² − μ²            Σ dy·(x − μ) = Σ dy·x − μ · Σ dy

The differences on the right lose digits where μ is large beside σ: σ² has an error (μ/σ)² times
that of a sum of its own size. So a channel whose mean is further than FAR·σ from 0 has its sums
taken again with x − μ in the place of x, which is a second pass, or a copy; after a convolution
hardly any channel is so far.
"""
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend.arrays import xp_of
from scratchnet.backend.memory import empty
from scratchnet.backend.parallel import in_planes

LONG = 512              # pixels of a map from which a row of them is long enough
FAR = 4                 # standard deviations: 16 times the rounding of σ², at most


def moments(x: Any) -> tuple[Any, Any]:
    """Return mean and variance of each channel of x (N, C, H, W): (C,) each, in x's dtype."""
    if kernels.serve(x):
        return kernels.moments(x)
    xp, m = xp_of(x), x.size // x.shape[1]
    if x.dtype == np.float16:                               # sums like these end above 65504
        return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    plain, squares = _sums(x, x)
    mean = plain / m
    var = squares / m - mean * mean
    if not xp.all(abs(mean) <= FAR * xp.sqrt(abs(var))):    # far, or NaN
        plain, squares = _sums(None, x, mean)
        shift = plain / m                                   # what rounding has left
        mean, var = mean + shift, squares / m - shift * shift
    return mean, xp.maximum(var, 0)


def near_zero(mean: Any, inv_std: Any) -> bool:
    """Whether no mean is further than FAR standard deviations from 0, so that what is done with
    x − μ may be done with x and with μ apart."""
    return bool((abs(mean) <= FAR / inv_std).all())


def sums(dy: Any, x: Any, mean: Any, inv_std: Any) -> tuple[Any, Any]:
    """Return Σ dy and Σ dy·(x − mean)·inv_std over each channel: (C,) each."""
    if kernels.serve(dy, x, mean):
        plain, products = kernels.sums(dy, x, mean)
    elif near_zero(mean, inv_std):
        plain, products = _sums(dy, x)
        products = products - mean * plain
    else:
        plain, products = _sums(dy, x, mean)
    return plain, products * inv_std


def _sums(dy: Any, x: Any, k: Any = None) -> tuple[Any, Any]:
    """Σ dy and Σ dy·(x − k) over each channel: (C,) each. k is 0 if it is None; dy is x − k."""
    xp, (N, C, H, W) = xp_of(x), x.shape
    k_ = None if k is None else per_pixel(k, x)
    plain, products = (xp.empty((N, C), dtype=x.dtype) for _ in range(2))

    def of_planes(n: slice, c: slice) -> None:
        centred = x[n, c] if k is None else xp.subtract(
            x[n, c], k_[c], out=empty(xp, x[n, c].shape, x.dtype))
        a, b = (z.reshape(*z.shape[:2], H * W) for z in (
            centred, centred if dy is None else dy[n, c]))
        plain[n, c] = xp.einsum("ncp->nc", b)
        products[n, c] = xp.einsum("ncp,ncp->nc", a, b)

    in_planes(of_planes, x, 3)
    return plain.sum(axis=0), products.sum(axis=0)


def per_pixel(a: Any, x: Any) -> Any:
    """Return a (C,) so that it stands beside every pixel of x (N, C, H, W): as (C, 1, 1); or, where
    maps are small, as (C, H, W), one long run of numbers for NumPy instead of C short ones."""
    a = a[:, None, None]
    if isinstance(x, np.ndarray) and len(x) > 1 and x[0, 0].size < LONG:
        planes = empty(np, x.shape[1:], a.dtype)
        planes[...] = a
        return planes
    return a
