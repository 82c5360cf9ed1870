"""Linear — every output is a weighted sum of all inputs.

    forward     y[n,o] = b[o] + Σ_i w[o,i] · x[n,i]             y = x·wᵀ + b

    backward    the chain rule sums over every y in which a number occurs:

                dx[n,i] = Σ_o dy[n,o] · w[o,i]                  dx = dy·w
                dw[o,i] = Σ_n dy[n,o] · x[n,i]                  dw = dyᵀ·x
                db[o]   = Σ_n dy[n,o]

The shapes leave no other choice: dw must be O × I, and dyᵀ·x is the only product of dy
(N × O) and x (N × I) that is.

Shapes:  x (N, I) → y (N, O)      w (O, I)   b (O,)
Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors", 1986.
"""
import math
from typing import Any

import numpy as np

from scratchnet.backend import in_tiles, product
from scratchnet.convolution import whole
from scratchnet.layer import Layer, Parameter, expect

ROWS = 32               # of dw at once, at least: BLAS lays x out anew for each product


class Linear(Layer):
    """(N, I) → (N, O), floating point; weights He-initialised N(0, 2/I), biases 0.

    `rng` is an int, a numpy Generator or None (a fresh one).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 rng: int | np.random.Generator | None = None):
        whole(in_features, "Linear: in_features")
        whole(out_features, "Linear: out_features")
        self.in_features, self.out_features = in_features, out_features
        w = np.random.default_rng(rng).standard_normal((out_features, in_features),
                                                       dtype=np.float32)
        w *= math.sqrt(2 / in_features)         # math, not numpy: no float64 slips in
        self.weight = Parameter(w)
        self.bias = Parameter(np.zeros(out_features, dtype=np.float32)) if bias else None

    def forward(self, x: Any) -> Any:
        w = self.weight.value
        expect(self, x, "N", self.in_features, weight=w)
        y = product(x, w.T)                                     # (N, O)
        if self.bias is not None:
            y += self.bias.value
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        dw = self.weight.grad

        def add(rows: Any) -> None:             # not all at once: 411 MB in VGG's first Linear
            dw[rows] += dy[:, rows].T @ x                       # some rows of (O, I)

        in_tiles(add, dw, least=ROWS)
        if self.bias is not None:
            self.bias.grad += dy.sum(axis=0)
        return product(dy, self.weight.value)                   # (N, I)

    settings = {"the plain setting": ((5, 3), {}, (4, 5)),
                "as many outputs as inputs": ((4, 4), {}, (3, 4)),
                "one output": ((5, 1), {}, (4, 5))}

    def __repr__(self) -> str:
        return (f"Linear({self.in_features}→{self.out_features}"
                f"{', no bias' if self.bias is None else ''})")
