"""LocalResponseNorm — neighbouring channels inhibit one another.

At each pixel on its own, with a_i the number in channel i and n the window size:

    forward     s_i = k + α · Σ_{j near i} a_j²         j = i − ⌊n/2⌋ … i + ⌊(n−1)/2⌋,
                                                        those that exist
                b_i = a_i · s_i^{−β}

A channel that shouts makes s large for its neighbours and turns them down: "lateral
inhibition", as between neurons of the retina.

    backward    b_i depends on a_i directly, and through s_i on every a_j near i:

                ∂b_i/∂a_j = [i=j] · s_i^{−β}  −  a_i · β · s_i^{−β−1} · 2α · a_j · [j near i]

                da_j = db_j · s_j^{−β}  −  2αβ · a_j · Σ_{i : j near i} db_i · a_i · s_i^{−β−1}
                       └ own ────────┘    └ cross ─────────────────────────────────────────┘

The sum runs over the channels i that have j in their window, j − ⌊(n−1)/2⌋ … j + ⌊n/2⌋: the
window turned round. For odd n (the paper's n = 5) both windows are the same.

As in the paper, α is not divided by n. PyTorch and Caffe do divide it: their alpha=5e-4,
size=5 is α = 1e-4, n = 5 here.

Shapes:  x (N, C, H, W); y and dx have x's.
Krizhevsky, Sutskever & Hinton, NIPS 2012, section 3.3: n = 5, k = 2, α = 1e-4, β = 0.75.
"""
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend import empty_like, in_tiles, xp_of
from scratchnet.convolution import whole
from scratchnet.layer import Layer, expect


class LocalResponseNorm(Layer):
    """(N, C, H, W) → the same shape, floating point; the paper's constants by default."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0):
        whole(size, "LocalResponseNorm: size")
        if not (0 < k < np.inf and 0 <= alpha < np.inf and abs(beta) < np.inf):
            raise ValueError(f"LocalResponseNorm divides by (k + α·Σa²)^β: k must be above 0, "
                             f"alpha at least 0 and beta a number; got k={k}, alpha={alpha}, "
                             f"beta={beta}")
        self.size, self.alpha, self.beta, self.k = size, float(alpha), float(beta), float(k)

    def forward(self, a: Any) -> Any:
        expect(self, a, "N", "C", "H", "W")
        before, after = self.size // 2, (self.size - 1) // 2
        if kernels.serve(a):
            s, b = kernels.lrn(a, before, after, self.alpha, self.beta, self.k)
            self.remember(a, s, y=b)
            return b
        s, b = empty_like(a), empty_like(a)

        def forward(n: Any) -> None:                                # a few images
            s_n = _window_sum(a[n] * a[n], before, after, out=s[n])
            s_n *= self.alpha
            s_n += self.k
            b_n = _power(s_n, self.beta, out=b[n])
            b_n *= a[n]

        in_tiles(forward, a, 2 * self.size)
        self.remember(a, s, y=b)
        return b

    def backward(self, db: Any) -> Any:
        a, s = self.recall(db)
        before, after = (self.size - 1) // 2, self.size // 2        # the window turned round
        if kernels.serve(db):
            return kernels.lrn_backward(db, a, s, before, after, self.alpha, self.beta)
        da = empty_like(db)

        def backward(n: Any) -> None:
            own = _power(s[n], self.beta, out=empty_like(s[n]))
            own *= db[n]
            cross = own * a[n]
            cross /= s[n]
            cross = _window_sum(cross, before, after, out=da[n])
            cross *= a[n]
            cross *= -2 * self.alpha * self.beta
            cross += own

        in_tiles(backward, db, 2 * self.size)
        return da

    settings = {"the plain setting": ((3, 0.5, 0.75, 2.0), {}, (2, 5, 2, 3)),
                "n even": ((4, 0.5, 0.75, 2.0), {}, (2, 5, 2, 3)),
                "n above 2·C": ((9, 0.5, 0.75, 2.0), {}, (2, 4, 2, 3)),
                "beta 1": ((3, 0.5, 1.0, 2.0), {}, (2, 5, 2, 3))}

    def terms(self, a: Any, db: Any) -> dict[str, Any]:
        """da is their sum."""
        before, after = (self.size - 1) // 2, self.size // 2
        s = self.k + self.alpha * _window_sum(a * a, after, before, empty_like(a))
        own = db * s ** -self.beta
        return {"own": own,
                "cross": -2 * self.alpha * self.beta * a
                * _window_sum(own * a / s, before, after, empty_like(a))}

    def __repr__(self) -> str:
        return (f"LocalResponseNorm(size {self.size}, alpha {self.alpha:g}, beta "
                f"{self.beta:g}, k {self.k:g})")


def _window_sum(x: Any, before: int, after: int, out: Any) -> Any:
    """y[:, i] = Σ x[:, j] over j = i−before … i+after, those that exist; into `out`."""
    C, y = x.shape[1], out
    y[...] = x
    for shift in range(-before, after + 1):             # y[i] += x[i + shift]
        low, high = max(0, -shift), min(C, C - shift)
        if shift and low < high:
            y[:, low:high] += x[:, low + shift:high + shift]
    return y


def _power(s: Any, beta: float, out: Any) -> Any:
    """s^−β into `out`. The paper's β = 0.75 takes two square roots: √s · √√s = s^0.75."""
    xp = xp_of(s)
    if beta != 0.75:
        return xp.power(s, -beta, out=out)
    root = xp.sqrt(s)
    xp.sqrt(root, out=out)
    out *= root
    return xp.divide(1, out, out=out)
