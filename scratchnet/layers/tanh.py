"""Tanh — squash every number into (−1, 1), zero staying zero.

    forward     y = tanh(x) = (eˣ − e^{−x}) / (eˣ + e^{−x})

    backward    ∂y/∂x = 1 − y²          (quotient rule; cosh² − sinh² = 1)

                dx = dy · (1 − y²)

The slope is at most 1 (at x = 0), four times the sigmoid's, but tanh saturates all the same.
We remember y alone.

Shapes: any; y and dx have x's.
LeCun, Bottou, Orr & Müller, "Efficient BackProp", 1998, section 4.4.
"""
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Layer, expect


class Tanh(Layer):
    """y = tanh(x), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        y = xp_of(x).tanh(x)
        self.remember(y, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        y, = self.recall(dy)
        return dy * (1 - y * y)
