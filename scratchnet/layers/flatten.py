"""Flatten — from feature maps to one row of numbers an image.

    forward     y = x, its C·H·W numbers an image laid in one row
    backward    dx = dy, laid back in x's shape

Nothing is computed: y[n, (c·H + h)·W + w] = x[n,c,h,w], so each gradient goes back to where
its number came from.

Shapes:  x (N, …) → y (N, product of the rest)
"""
from typing import Any

from scratchnet.layer import Layer, expect


class Flatten(Layer):
    """(N, C, H, W) → (N, C·H·W); any number of dims after N."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        if x.ndim < 2:
            raise ValueError(f"Flatten expects (N, …), at least two dims; got {x.shape}")
        y = x.reshape(len(x), -1)
        self.remember(x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x_shape, = self.recall(dy)
        return dy.reshape(x_shape)
