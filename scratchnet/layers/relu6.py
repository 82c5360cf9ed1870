"""ReLU6 — ReLU that stops growing at 6.

    forward     y = min(max(x, 0), 6)

                         ┌ 1   0 < x < 6
    slope       ∂y/∂x =  ┤
                         └ 0   elsewhere        (at 0 and at 6 we take 0, as PyTorch does)

    backward    dx = dy · [0 < x < 6]

The ceiling keeps activations within a known range, so that they survive the rounding of
16-bit and 8-bit arithmetic on a phone. Backward needs one truth value a number.

Shapes: any; y and dx have x's.
Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010; in MobileNet: Sandler et
al., "MobileNetV2", CVPR 2018.
"""
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Layer, expect


class ReLU6(Layer):
    """y = min(max(x, 0), 6), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        xp = xp_of(x)
        y = xp.minimum(xp.maximum(x, 0), 6)
        self.remember((x > 0) & (x < 6), y=y)
        return y

    def backward(self, dy: Any) -> Any:
        between, = self.recall(dy)
        return dy * between
