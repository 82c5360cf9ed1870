"""Sigmoid — squash every number into (0, 1).

    forward     y = 1 / (1 + e^{−x})

    backward    ∂y/∂x = e^{−x} / (1 + e^{−x})² = y · (1 − y)

                dx = dy · y · (1 − y)

The slope is at most ¼ (at x = 0) and fades on both sides: the unit saturates, and a stack
of k sigmoids passes back at most 4^{−k} of a gradient. We remember y alone.

e^{−x} overflows for x ≪ 0; we compute with z = e^{−|x|} ≤ 1 instead:
y = 1/(1+z) for x > 0 and z/(1+z) for x ≤ 0.

Shapes: any; y and dx have x's.
Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors", 1986.
"""
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Layer, expect


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^{−x}), elementwise, without overflow (SiLU computes with it, too)."""
    xp = xp_of(x)
    z = xp.exp(xp.where(x.real > 0, -x, x))         # e^{−|x|}, and analytic where x is complex
    return xp.where(x.real > 0, xp.ones_like(z), z) / (1 + z)


class Sigmoid(Layer):
    """y = 1 / (1 + e^{−x}), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        y = sigmoid(x)
        self.remember(y, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        y, = self.recall(dy)
        return dy * y * (1 - y)
