"""StochasticDepth — while training, leave out a whole residual branch, image by image.

    forward     m_n = 0 with probability p, else 1/(1−p)        one draw an image
    (training)  y[n] = m_n · x[n]

    backward    dx[n] = m_n · dy[n]                             the same m, remembered

    evaluation  y = x,  dx = dy

It is dropout that silences f(x) as a whole in y = x + f(x): that image passes through a
shallower network. Dividing by 1−p keeps the mean, as in dropout.

The mask is drawn on the host from `rng`, so that both devices see the same one.

Shapes:  x (N, …); y and dx have x's.
Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016; in EfficientNet ("drop
connect"): Tan & Le, ICML 2019, p growing to 0.2 from block to block.
"""
from typing import Any

import numpy as np

from scratchnet.backend import asarray_like
from scratchnet.layer import Layer, expect


class StochasticDepth(Layer):
    """y[n] = x[n] · (0 or 1/(1−p)) in training, y = x in evaluation; floating point.

    `rng` is an int, a numpy Generator or None (a fresh one).
    """

    def __init__(self, p: float, *, rng: int | np.random.Generator | None = None):
        if not 0 <= p < 1:
            raise ValueError(f"StochasticDepth: p is the probability of leaving a branch out, "
                             f"0 ≤ p < 1; got {p!r}")
        self.p = float(p)
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Any) -> Any:
        expect(self, x, "N", "…")
        if x.ndim == 0:
            raise ValueError(f"{self} leaves out images of a batch (N, …); got a single number")
        if not self.training or self.p == 0:
            self.remember(None, y=x)
            return x
        kept = self.rng.random(len(x)) >= self.p
        m = (kept / (1 - self.p)).astype(x.real.dtype).reshape(-1, *[1] * (x.ndim - 1))
        m = asarray_like(m, x)                                  # (N, 1, 1, 1)
        y = x * m
        self.remember(m, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        m, = self.recall(dy)
        return dy if m is None else dy * m

    def __repr__(self) -> str:
        return f"StochasticDepth({self.p:g})"
