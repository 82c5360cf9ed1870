"""EfficientNet-B0 — a network that was searched for: MobileNetV2's block with a gate in it.

MBConv is an inverted residual (models/mobilenet_v2.py) with SiLU in place of ReLU6, 3×3 or 5×5
depthwise filters, and squeeze-and-excitation on the wide part. One image of 3×224×224 (table 1
of the paper; t: widening, k: kernel, c: channels, n: repeated, s: stride of the first):

    layer        t    k    c     n   s    output
    ───────────  ─    ─    ────  ─   ─    ────────────
    3×3                    32    1   2      32 × 112²
    MBConv       1    3    16    1   1      16 × 112²
    MBConv       6    3    24    2   2      24 ×  56²
    MBConv       6    5    40    2   2      40 ×  28²
    MBConv       6    3    80    3   2      80 ×  14²
    MBConv       6    5    112   3   1     112 ×  14²
    MBConv       6    5    192   4   2     192 ×   7²
    MBConv       6    3    320   1   1     320 ×   7²
    1×1                    1280  1   1    1280 ×   7²
    mean, dropout 0.2, linear             1000                 5,288,548 parameters, 0.386 G MACs

The gate's inner width is a quarter of the block's *input*, before the widening. In training a
block's f(x) is left out with a probability that grows from 0 to 0.2·15/16 (stochastic depth).

Departure: padding is symmetric, as in torchvision; TensorFlow's own network pads stride-2
layers below and on the right only. Names are torchvision's.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019.
"""
from typing import Any

import numpy as np

from scratchnet.layer import Layer, in_layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    Scale,
    Sequential,
    Sigmoid,
    SiLU,
    StochasticDepth,
)
from scratchnet.models.mobilenet_v2 import conv_bn_act

#: t, k, c, n, s of table 1.
SETTINGS = ((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2),
            (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1))


class MBConv(Layer):
    """Widen, filter, gate, narrow: (N, C, H, W) → (N, out, H/stride, W/stride).

    y = block(x), or x + stochastic_depth(block(x)) where the shape is kept.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int,
                 widen: int, p: float = 0.0, rng: np.random.Generator | None = None):
        wide = in_channels * widen
        self.shortcut = stride == 1 and in_channels == out_channels
        self.block = Sequential(
            *([conv_bn_act(in_channels, wide, 1, act=SiLU, rng=rng)] if widen > 1 else []),
            conv_bn_act(wide, wide, kernel_size, stride, groups=wide, act=SiLU, rng=rng),
            gate(wide, max(1, in_channels // 4), rng),
            conv_bn_act(wide, out_channels, 1, rng=rng),
        )
        self.stochastic_depth = StochasticDepth(p, rng=rng)

    def forward(self, x: Any) -> Any:
        with in_layer("block"):
            y = self.block(x)
        return x + self.stochastic_depth(y) if self.shortcut else y

    def backward(self, dy: Any) -> Any:
        if self.shortcut:
            return dy + self.block.backward(self.stochastic_depth.backward(dy))
        return self.block.backward(dy)


def gate(channels: int, reduced: int, rng: np.random.Generator | None = None) -> Scale:
    """Squeeze-and-excitation with SiLU: y = x · s(x), one factor a channel."""
    return Scale(
        avgpool=AdaptiveAvgPool2d(1),
        fc1=Conv2d(channels, reduced, 1, rng=rng),
        activation=SiLU(),
        fc2=Conv2d(reduced, channels, 1, rng=rng),
        scale_activation=Sigmoid(),
    )


def efficientnet_b0(num_classes: int = 1000, in_channels: int = 3,
                    rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return _efficientnet(32, SETTINGS, 1280, 0.2, num_classes, in_channels, rng)


def efficientnet_small(num_classes: int = 10, in_channels: int = 1,
                       rng: int | np.random.Generator | None = None) -> Sequential:
    """Five MBConvs for 32×32 images, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _efficientnet(16, ((1, 3, 8, 1, 1), (4, 3, 16, 2, 2), (4, 5, 24, 2, 2)), 128, 0.1,
                         num_classes, in_channels, rng)


def _efficientnet(C: int, settings: tuple, last: int, drop: float, num_classes: int,
                  in_channels: int, rng: int | np.random.Generator | None) -> Sequential:
    rng = np.random.default_rng(rng)
    stages, block, blocks = [], 0, sum(n for _, _, _, n, _ in settings)
    stages.append(conv_bn_act(in_channels, C, 3, 2, act=SiLU, rng=rng))
    for t, k, c, n, s in settings:
        stage = []
        for i in range(n):
            stage.append(MBConv(C, c, k, s if i == 0 else 1, t, drop * block / blocks, rng))
            C, block = c, block + 1
        stages.append(Sequential(*stage))
    stages.append(conv_bn_act(C, last, 1, act=SiLU, rng=rng))
    return Sequential(
        features=Sequential(*stages),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        classifier=Sequential(Dropout(0.2, rng=rng), Linear(last, num_classes, rng=rng)),
    )
