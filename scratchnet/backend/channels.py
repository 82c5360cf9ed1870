"""Channels — sums over the numbers of each channel, one pass over memory.

With k any number near the mean, the m numbers x of a channel have

    μ = k + 1/m · Σ (x − k)             σ² = 1/m · Σ (x − k)² − (μ − k)²

With k = 0 the last difference would lose every digit where the mean is large beside σ. Here k is
the mean of the first of the N images: σ² holds at least 1/N of (μ − k)² itself, so that at most a
factor of N + 1 is lost in precision, and there is none to lose with one image (Chan, Golub &
LeVeque, 1983, call such sums shifted).
"""
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend.arrays import xp_of
from scratchnet.backend.memory import empty
from scratchnet.backend.parallel import in_planes

LONG = 512              # pixels of a map from which a row of them is long enough


def moments(x: Any) -> tuple[Any, Any]:
    """Return mean and variance of each channel of x (N, C, H, W): (C,) each, in x's dtype."""
    if kernels.serve(x):
        return kernels.moments(x)
    xp, m = xp_of(x), x.size // x.shape[1]
    k = x[0].reshape(x.shape[1], -1).mean(axis=1)
    plain, squares = _sums_of_centred(x, None, k)
    shift = plain / m
    return k + shift, xp.maximum(squares / m - shift * shift, 0)


def sums(dy: Any, x: Any, mean: Any) -> tuple[Any, Any]:
    """Return Σ dy and Σ dy·(x − mean) over each channel: (C,) each."""
    if kernels.serve(dy, x, mean):
        return kernels.sums(dy, x, mean)
    return _sums_of_centred(x, dy, mean)


def _sums_of_centred(x: Any, dy: Any, k: Any) -> tuple[Any, Any]:
    """Σ (x − k) and Σ (x − k)², or Σ dy and Σ dy·(x − k): (C,) each."""
    xp, (N, C, H, W) = xp_of(x), x.shape
    ones, k_ = xp.ones(H * W, dtype=x.dtype), per_pixel(k, x)
    plain, products = (xp.empty((N, C), dtype=x.dtype) for _ in range(2))

    def of_planes(n: slice, c: slice) -> None:
        centred = xp.subtract(x[n, c], k_[c], out=empty(xp, x[n, c].shape, x.dtype))
        a, b = (z.reshape(*z.shape[:2], H * W) for z in (
            centred, centred if dy is None else dy[n, c]))
        plain[n, c] = xp.matmul(b, ones)
        products[n, c] = xp.einsum("ncp,ncp->nc", a, b)

    in_planes(of_planes, x, 4)
    return plain.sum(axis=0), products.sum(axis=0)


def per_pixel(a: Any, x: Any) -> Any:
    """Return a (C,) so that it stands beside every pixel of x (N, C, H, W): as (C, 1, 1); or, where
    maps are small, as (C, H, W), one long run of numbers for NumPy instead of C short ones."""
    a = a[:, None, None]
    if isinstance(x, np.ndarray) and len(x) > 1 and x[0, 0].size < LONG:
        return np.repeat(a.reshape(-1), x[0, 0].size).reshape(x.shape[1:])
    return a
