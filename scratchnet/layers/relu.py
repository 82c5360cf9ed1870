"""ReLU — let positive numbers through, stop the rest.

    forward     y = max(x, 0)

                         ┌ 1   x > 0
    slope       ∂y/∂x =  ┤
                         └ 0   x ≤ 0        at x = 0 any slope in [0, 1] is a valid
                                            subgradient; like everyone, we take 0

    backward    dx = dy · [x > 0]           elementwise: the Jacobian is diagonal

Backward must know where x was positive. There y is positive, too, and y is at hand: the layer
after this one is holding it, so that remembering it costs nothing.

Shapes: any; y and dx have x's.
Nair & Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010;
in AlexNet: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 3.1.
"""
from collections.abc import Callable
from typing import Any

from scratchnet.backend import empty_like, in_tiles, xp_of
from scratchnet.layer import Layer, expect


class ReLU(Layer):
    """y = max(x, 0), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        xp, y = xp_of(x), empty_like(x)
        in_tiles(lambda n: xp.maximum(x[n], 0, out=y[n]), x)
        self.remember(y, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        y, = self.recall(dy)
        xp, dx = xp_of(dy), empty_like(dy)      # a new array: dy may be feeding another branch too
        in_tiles(lambda n: xp.multiply(dy[n], y[n] > 0, out=dx[n]), dy)
        return dx

    def by_parts(self, x: Any, y: Any) -> Callable | None:
        if type(self) is not ReLU or x.ndim < 2:
            return None
        expect(self, x, "…")
        xp = xp_of(x)
        return lambda n, c: xp.maximum(x[n, c], 0, out=y[n, c])
