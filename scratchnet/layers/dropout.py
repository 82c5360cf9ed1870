"""Dropout — while training, silence each number with probability p.

    forward     m = 0 with probability p, else 1/(1−p)          drawn anew each forward
    (training)  y = m · x

    backward    dx = m · dy                                     the same m, remembered

    evaluation  y = x,  dx = dy

Dividing by 1−p while training keeps the mean: E[m] = (1−p)·1/(1−p) = 1, so that evaluation
has nothing to do ("inverted" dropout). The paper scales the other way about: y = x·[kept] in
training and y = (1−p)·x at test time. Up to the factor 1−p on the activations, these are the
same network.

The mask is drawn on the host from `rng`, so that both devices see the same one.

Shapes: any; y and dx have x's.
Hinton et al., "Improving neural networks by preventing co-adaptation of feature detectors",
2012; in AlexNet: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.2, p = 0.5.
"""
from typing import Any

import numpy as np

from scratchnet.backend import asarray_like
from scratchnet.layer import Layer, expect


class Dropout(Layer):
    """y = x · mask/(1−p) in training, y = x in evaluation; x of any shape, floating point.

    `rng` is an int, a numpy Generator or None (a fresh one).
    """

    def __init__(self, p: float = 0.5, *, rng: int | np.random.Generator | None = None):
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p is the probability of silencing a number, "
                             f"0 ≤ p < 1; got {p!r}")
        self.p = float(p)
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        if not self.training or self.p == 0:
            self.remember(None, y=x)
            return x
        kept = asarray_like(self.rng.random(x.shape, dtype=np.float32) >= self.p, x)
        y = x * kept * (1 / (1 - self.p))                       # m = kept / (1 − p)
        self.remember(kept, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        kept, = self.recall(dy)
        return dy if kept is None else dy * kept * (1 / (1 - self.p))

    settings = {"the plain setting": ((0.3,), {"rng": 0}, (3, 7)),
                "p = 0": ((0.0,), {}, (3, 7)),
                "images": ((0.4,), {"rng": 0}, (2, 3, 4, 5))}

    def __repr__(self) -> str:
        return f"Dropout({self.p:g})"
