"""Toom–Cook — the matrices of Winograd's algorithm, for any size.

A product of polynomials g·h, with r and m coefficients, has n = m + r − 1 of them. It is known from
its values at n points; there it is one multiplication a point:

    (g·h)(a) = g(a) · h(a)          at n − 1 numbers a, and at "∞": the leading coefficients

Back from values s(a) to coefficients is Lagrange's interpolation; with M(x) = Π (x − a),

    s(x) = Σ_a s(a) · M_a(x) / M_a(a)  +  s(∞) · M(x)           M_a = M without the factor x − a

Correlation, y[i] = Σ_u g[u] · d[i+u] with m outputs, is the transpose of that product in h (the
one spreads what the other gathers), so the same numbers serve, transposed:

    y = Aᵀ · ( (G·g) ⊙ (Bᵀ·d) )

    Aᵀ  m×n     powers of the points: h at a, transposed
    G   n×r     powers of the points: g at a, divided by M_a(a)
    Bᵀ  n×n     coefficients of M_a, and of M: integers if the points are, so that x is not rounded

Toom 1963; Cook 1966; Winograd, "Arithmetic Complexity of Computations", 1980.
"""
from functools import cache

import numpy as np

POINTS = (0, 1, -1, 2, -2, 1 / 2, -1 / 2)       # small, and their powers too


@cache
def matrices(m: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Bᵀ (n×n), G (n×r) and Aᵀ (m×n) for m outputs and r taps, n = m + r − 1, in float32."""
    n = m + r - 1
    points = np.array(POINTS[:n - 1])
    powers = np.vander(points, increasing=True, N=n)            # (n−1, n)
    infinity = np.eye(n)[-1]

    def coefficients(roots: np.ndarray) -> np.ndarray:
        return np.pad(np.atleast_1d(np.poly(roots))[::-1], (0, n))[:n]      # lowest first

    others = [np.delete(points, a) for a in range(n - 1)]
    scale = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    BT = np.stack([*map(coefficients, others), coefficients(points)])
    G = np.vstack([powers[:, :r] / scale[:, None], infinity[-r:]])
    AT = np.vstack([powers[:, :m], infinity[-m:]]).T
    return tuple(np.ascontiguousarray(matrix, dtype=np.float32) for matrix in (BT, G, AT))
