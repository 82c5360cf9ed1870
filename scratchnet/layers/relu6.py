"""ReLU6 — ReLU that stops growing at 6.

    forward     y = min(max(x, 0), 6)

                         ┌ 1   0 < x < 6
    slope       ∂y/∂x =  ┤
                         └ 0   elsewhere        (at 0 and at 6 we take 0, as PyTorch does)

    backward    dx = dy · [0 < x < 6]

The ceiling keeps activations within a known range, so that they survive the rounding of
16-bit and 8-bit arithmetic on a phone. Backward asks y, as ReLU's does.

Shapes: any; y and dx have x's.
Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010; in MobileNet: Sandler et
al., "MobileNetV2", CVPR 2018.
"""
from collections.abc import Callable
from typing import Any

from scratchnet import kernels
from scratchnet.backend import empty_like, in_tiles, xp_of
from scratchnet.layer import Layer, expect


class ReLU6(Layer):
    """y = min(max(x, 0), 6), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        if kernels.serve(x):
            y = kernels.relu6(x)
            self.remember(y, y=y)
            return y
        xp, y = xp_of(x), empty_like(x)
        in_tiles(lambda n: xp.clip(x[n], 0, 6, out=y[n]), x)
        self.remember(y, y=y)           # 0 < y < 6 exactly where 0 < x < 6
        return y

    def by_parts(self, x: Any, y: Any) -> Callable | None:
        if type(self) is not ReLU6 or x.ndim < 2:
            return None
        expect(self, x, "…")
        xp = xp_of(x)
        return lambda n, c: xp.clip(x[n, c], 0, 6, out=y[n, c])

    def backward(self, dy: Any) -> Any:
        y, = self.recall(dy)
        if kernels.serve(dy):
            return kernels.relu6_backward(dy, y)
        xp, dx = xp_of(dy), empty_like(dy)
        in_tiles(lambda n: xp.multiply(dy[n], (y[n] > 0) & (y[n] < 6), out=dx[n]), dy, 2)
        return dx
