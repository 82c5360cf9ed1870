"""MobileNetV2 — the shortcut joins the thin ends, and the thin ends stay linear.

An inverted residual widens its input t times with 1×1, filters each channel with a depthwise
3×3, and narrows again with 1×1; ReLU6 follows the first two, nothing the last: in a thin
layer a ReLU would destroy what it silences. Where the shape is kept, a shortcut adds the
input. One image of 3×224×224 (table 2 of the paper; t: widening, c: channels, n: repeated, s:
stride of the first):

    layer                 t    c     n   s    output
    ────────────────────  ─    ────  ─   ─    ────────────
    3×3                        32    1   2      32 × 112²
    inverted residual     1    16    1   1      16 × 112²
    inverted residual     6    24    2   2      24 ×  56²
    inverted residual     6    32    3   2      32 ×  28²
    inverted residual     6    64    4   2      64 ×  14²
    inverted residual     6    96    3   1      96 ×  14²
    inverted residual     6    160   3   2     160 ×   7²
    inverted residual     6    320   1   1     320 ×   7²
    1×1                        1280  1   1    1280 ×   7²
    mean, dropout 0.2, linear                 1000                3,504,872 parameters, 0.301 G MACs

No departures but padding: see models/mobilenet_v1.py. Names are torchvision's.

Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018.
"""
from typing import Any

import numpy as np

from scratchnet.layer import Layer, in_layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    ReLU6,
    Sequential,
)

#: t, c, n, s of table 2.
SETTINGS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(Layer):
    """Wide inside, thin outside: (N, C, H, W) → (N, out, H/stride, W/stride).

    y = conv(x), plus x where the shape is kept.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, widen: int,
                 rng: np.random.Generator | None = None):
        wide = in_channels * widen
        self.shortcut = stride == 1 and in_channels == out_channels
        self.conv = Sequential(
            *([conv_bn_act(in_channels, wide, 1, act=ReLU6, rng=rng)] if widen > 1 else []),
            conv_bn_act(wide, wide, 3, stride, groups=wide, act=ReLU6, rng=rng),
            Conv2d(wide, out_channels, 1, bias=False, rng=rng),
            BatchNorm2d(out_channels),
        )

    def forward(self, x: Any) -> Any:
        with in_layer("conv"):
            y = self.conv(x)
        return x + y if self.shortcut else y

    def backward(self, dy: Any) -> Any:
        dx = self.conv.backward(dy)
        return dy + dx if self.shortcut else dx


def mobilenet_v2(num_classes: int = 1000, in_channels: int = 3,
                 rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return _mobilenet_v2(32, SETTINGS, 1280, num_classes, in_channels, rng)


def mobilenet_v2_small(num_classes: int = 10, in_channels: int = 1,
                       rng: int | np.random.Generator | None = None) -> Sequential:
    """Five inverted residuals for 32×32 images, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _mobilenet_v2(16, ((1, 8, 1, 1), (4, 16, 2, 2), (4, 24, 2, 2)), 128, num_classes,
                         in_channels, rng)


def conv_bn_act(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1,
                groups: int = 1, act: type[Layer] | None = None,
                rng: np.random.Generator | None = None) -> Sequential:
    """Convolution that keeps the size (but for its stride), batch normalisation, activation."""
    return Sequential(
        Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups,
               bias=False, rng=rng),
        BatchNorm2d(out_channels),
        *([act()] if act else []),
    )


def _mobilenet_v2(C: int, settings: tuple, last: int, num_classes: int,
                  in_channels: int, rng: int | np.random.Generator | None) -> Sequential:
    rng = np.random.default_rng(rng)
    features = [conv_bn_act(in_channels, C, 3, 2, act=ReLU6, rng=rng)]
    for t, c, n, s in settings:
        for i in range(n):
            features.append(InvertedResidual(C, c, s if i == 0 else 1, t, rng))
            C = c
    features.append(conv_bn_act(C, last, 1, act=ReLU6, rng=rng))
    return Sequential(
        features=Sequential(*features),
        avg_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        classifier=Sequential(Dropout(0.2, rng=rng), Linear(last, num_classes, rng=rng)),
    )
