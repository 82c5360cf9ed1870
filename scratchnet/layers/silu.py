"""SiLU — x times its own sigmoid; also called swish.

    forward     y = x · σ(x)                    σ(x) = 1 / (1 + e^{−x})

    backward    ∂y/∂x = σ(x) + x · σ(x)·(1 − σ(x))          product rule, σ' = σ·(1 − σ)

                dx = dy · σ(x) · (1 + x·(1 − σ(x)))

Like ReLU it is ≈ x on the right and ≈ 0 on the left, but smooth, and it dips below zero:
its least value is −0.278, at x = −1.278. Backward needs x; σ(x) is cheap to compute again.

Shapes: any; y and dx have x's.
Hendrycks & Gimpel, 2016; Elfwing, Uchibe & Doya, 2018; Ramachandran, Zoph & Le, "Searching
for Activation Functions", 2017 (swish); in EfficientNet: Tan & Le, ICML 2019.
"""
from typing import Any

from scratchnet.layer import Layer, expect
from scratchnet.layers.sigmoid import sigmoid


class SiLU(Layer):
    """y = x · σ(x), elementwise; x of any shape, floating point."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        y = x * sigmoid(x)
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        s = sigmoid(x)
        return dy * s * (1 + x * (1 - s))
