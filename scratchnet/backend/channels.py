"""Channels — sums over the numbers of each channel, one pass over memory.

With m_i, M_i = Σ (x − m_i)² the mean and the sum of squares of channel c in image i, of P pixels
each, and N images, the moments of the whole batch are (Chan, Golub & LeVeque, 1983)

    μ = 1/N · Σ m_i             σ² = 1/(N·P) · ( Σ M_i + P · Σ (m_i − μ)² )

Each image is read from memory once, its two passes are in the cache; and nothing is lost by
cancellation where the mean is large, as it is in Σx² − m·μ².
"""
from typing import Any

from scratchnet.backend.arrays import xp_of
from scratchnet.backend.memory import empty
from scratchnet.backend.parallel import in_tiles


def moments(x: Any) -> tuple[Any, Any]:
    """Return mean and variance of each channel of x (N, C, H, W): (C,) each, in x's dtype."""
    xp, x, ones = _rows(x)
    N, C, P = x.shape
    mean, squares = xp.empty((N, C), dtype=x.dtype), xp.empty((N, C), dtype=x.dtype)

    def of_images(n: Any) -> None:
        mean[n] = xp.matmul(x[n], ones) / P
        centred = xp.subtract(x[n], mean[n][..., None], out=empty(xp, x[n].shape, x.dtype))
        squares[n] = xp.einsum("ncp,ncp->nc", centred, centred)

    in_tiles(of_images, x, 3)
    mu = mean.mean(axis=0)
    between = mean - mu
    return mu, (squares.sum(axis=0) + P * xp.einsum("nc,nc->c", between, between)) / (N * P)


def sums(dy: Any, x: Any, mean: Any) -> tuple[Any, Any]:
    """Return Σ dy and Σ dy·(x − mean) over each channel: (C,) each."""
    xp, dy, ones = _rows(dy)
    (N, C, _), x = dy.shape, _rows(x)[1]
    plain, products = (xp.empty((N, C), dtype=dy.dtype) for _ in range(2))

    def of_images(n: Any) -> None:
        plain[n] = xp.matmul(dy[n], ones)
        centred = xp.subtract(x[n], mean[:, None], out=empty(xp, x[n].shape, x.dtype))
        products[n] = xp.einsum("ncp,ncp->nc", dy[n], centred)

    in_tiles(of_images, dy, 4)
    return plain.sum(axis=0), products.sum(axis=0)


def _rows(x: Any) -> tuple[Any, Any, Any]:
    """xp, x as (N, C, H·W), and as many ones."""
    xp, (N, C, H, W) = xp_of(x), x.shape
    return xp, x.reshape(N, C, H * W), xp.ones(H * W, dtype=x.dtype)
