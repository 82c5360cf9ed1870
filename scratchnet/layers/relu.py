"""ReLU — let positive numbers through, stop the rest.

    forward     y = max(x, 0)

                         ┌ 1   x > 0
    slope       ∂y/∂x =  ┤
                         └ 0   x ≤ 0        at x = 0 any slope in [0, 1] is a valid
                                            subgradient; like everyone, we take 0

    backward    dx = dy · [x > 0]           elementwise: the Jacobian is diagonal

What backward needs is one truth value a number: was x positive? The mask takes a quarter of
the bytes of x in float32.

Shapes: any; y and dx have x's.
Nair & Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010;
in AlexNet: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 3.1.
"""
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Layer, expect


class ReLU(Layer):
    """y = max(x, 0), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        y = xp_of(x).maximum(x, 0)
        self.remember(x > 0, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        positive, = self.recall(dy)
        return dy * positive            # a new array: dy may be feeding another branch too
