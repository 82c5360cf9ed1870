"""Inception-ResNet-v2 — inception modules as the f of y = x + f(x).

Each block's branches are laid side by side and brought back to the width of x by a 1×1
convolution without normalisation; the result is scaled down before it is added, since sums of
over a thousand channels otherwise grow until the network dies:

    y = ReLU( x + scale · conv1×1([branch0(x), branch1(x), …]) )

One image of 3×299×299; conv: convolution, batch normalisation, ReLU:

    stage          output        branches
    ─────────────  ───────────   ──────────────────────────────────────────────────────────────
    conv2d_1a       32 × 149²    3×3/2
    conv2d_2a, 2b   64 × 147²    3×3, 32; 3×3 padded, 64
    maxpool_3a      64 ×  73²    3×3/2
    conv2d_3b, 4a  192 ×  71²    1×1, 80; 3×3, 192
    maxpool_5a     192 ×  35²    3×3/2
    mixed_5b       320 ×  35²    1×1, 96 | 1×1, 48; 5×5, 64 | 1×1, 64; 3×3, 96; 3×3, 96
                                 | mean; 1×1, 64
    repeat ×10     320 ×  35²    1×1, 32 | 1×1, 32; 3×3, 32 | 1×1, 32; 3×3, 48; 3×3, 64
                                 scale 0.17
    mixed_6a      1088 ×  17²    3×3/2, 384 | 1×1, 256; 3×3, 256; 3×3/2, 384 | max 3×3/2
    repeat_1 ×20  1088 ×  17²    1×1, 192 | 1×1, 128; 1×7, 160; 7×1, 192; scale 0.10
    mixed_7a      2080 ×   8²    1×1, 256; 3×3/2, 384 | 1×1, 256; 3×3/2, 288
                                 | 1×1, 256; 3×3, 288; 3×3/2, 320 | max 3×3/2
    repeat_2 ×9   2080 ×   8²    1×1, 192 | 1×1, 192; 1×3, 224; 3×1, 256; scale 0.20
    block8        2080 ×   8²    the same, scale 1 and no ReLU
    conv2d_7b     1536 ×   8²    1×1
    mean, dropout 0.2, linear 1000                      55,843,464 parameters, 13.156 G MACs

Departure: this is the network that the authors published, with other counts of blocks and
another stem than the paper's figures. Names are timm's.

Szegedy, Ioffe, Vanhoucke & Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual
Connections on Learning", AAAI 2017.
"""
from typing import Any

import numpy as np

from scratchnet.layer import Layer, in_layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from scratchnet.models.blocks import conv_bn_relu as conv
from scratchnet.models.inception_v4 import mean_pool


class InceptionResidual(Concat):
    """y = act(x + scale · conv2d([branch0(x), …])): (N, C, H, W) → the same shape.

    `act` is ReLU, but for the last block.
    """

    def __init__(self, conv2d: Conv2d, scale: float, act: bool = True, **branches: Layer):
        super().__init__(**branches)
        self.conv2d, self.scale, self.act = conv2d, scale, ReLU() if act else Identity()

    def forward(self, x: Any) -> Any:
        y = super().forward(x)
        with in_layer("conv2d"):
            y = self.conv2d(y)
        return self.act(x + self.scale * y)

    def backward(self, dy: Any) -> Any:
        dsum = self.act.backward(dy)
        return dsum + super().backward(self.conv2d.backward(self.scale * dsum))


def inception_resnet_v2(num_classes: int = 1000, in_channels: int = 3,
                        rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 299, 299) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        conv2d_1a=conv(in_channels, 32, 3, stride=2, rng=rng),
        conv2d_2a=conv(32, 32, 3, rng=rng),
        conv2d_2b=conv(32, 64, 3, padding=1, rng=rng),
        maxpool_3a=MaxPool2d(3, stride=2),
        conv2d_3b=conv(64, 80, 1, rng=rng),
        conv2d_4a=conv(80, 192, 3, rng=rng),
        maxpool_5a=MaxPool2d(3, stride=2),
        mixed_5b=Concat(
            branch0=conv(192, 96, 1, rng=rng),
            branch1=Sequential(conv(192, 48, 1, rng=rng), conv(48, 64, 5, padding=2, rng=rng)),
            branch2=Sequential(conv(192, 64, 1, rng=rng),
                               conv(64, 96, 3, padding=1, rng=rng),
                               conv(96, 96, 3, padding=1, rng=rng)),
            branch3=Sequential(mean_pool(), conv(192, 64, 1, rng=rng))),
        repeat=Sequential(*[block35(320, (32, 48, 64), 0.17, rng) for _ in range(10)]),
        mixed_6a=Concat(
            branch0=conv(320, 384, 3, stride=2, rng=rng),
            branch1=Sequential(conv(320, 256, 1, rng=rng),
                               conv(256, 256, 3, padding=1, rng=rng),
                               conv(256, 384, 3, stride=2, rng=rng)),
            branch2=MaxPool2d(3, stride=2)),
        repeat_1=Sequential(*[block17(1088, (128, 160, 192), 0.10, rng) for _ in range(20)]),
        mixed_7a=Concat(
            branch0=Sequential(conv(1088, 256, 1, rng=rng), conv(256, 384, 3, stride=2, rng=rng)),
            branch1=Sequential(conv(1088, 256, 1, rng=rng), conv(256, 288, 3, stride=2, rng=rng)),
            branch2=Sequential(conv(1088, 256, 1, rng=rng),
                               conv(256, 288, 3, padding=1, rng=rng),
                               conv(288, 320, 3, stride=2, rng=rng)),
            branch3=MaxPool2d(3, stride=2)),
        repeat_2=Sequential(*[block8(2080, (192, 224, 256), 0.20, rng) for _ in range(9)]),
        block8=block8(2080, (192, 224, 256), 1.0, rng, act=False),
        conv2d_7b=conv(2080, 1536, 1, rng=rng),
        global_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        head_drop=Dropout(0.2, rng=rng),
        classif=Linear(1536, num_classes, rng=rng),
    )


def inception_resnet_v2_small(num_classes: int = 10, in_channels: int = 1,
                              rng: int | np.random.Generator | None = None) -> Sequential:
    """Each kind of block once or twice for 32×32 images, (N, in_channels, 32, 32) →
    (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        conv2d_1a=conv(in_channels, 16, 3, stride=2, padding=1, rng=rng),   # 16 × 16 × 16
        mixed_5b=Concat(
            branch0=conv(16, 12, 1, rng=rng),
            branch1=Sequential(conv(16, 8, 1, rng=rng), conv(8, 12, 5, padding=2, rng=rng)),
            branch3=Sequential(mean_pool(), conv(16, 8, 1, rng=rng))),      # 32 × 16 × 16
        repeat=Sequential(*[block35(32, (8, 12, 16), 0.17, rng) for _ in range(2)]),
        mixed_6a=Concat(
            branch0=conv(32, 48, 3, stride=2, rng=rng),
            branch1=Sequential(conv(32, 24, 1, rng=rng), conv(24, 32, 3, padding=1, rng=rng),
                               conv(32, 48, 3, stride=2, rng=rng)),
            branch2=MaxPool2d(3, stride=2)),                                # 128 × 7 × 7
        repeat_1=Sequential(*[block17(128, (16, 20, 24), 0.10, rng) for _ in range(2)]),
        mixed_7a=Concat(
            branch0=Sequential(conv(128, 32, 1, rng=rng), conv(32, 64, 3, stride=2, rng=rng)),
            branch1=MaxPool2d(3, stride=2)),                                # 192 × 3 × 3
        repeat_2=Sequential(block8(192, (32, 40, 48), 0.20, rng)),
        block8=block8(192, (32, 40, 48), 1.0, rng, act=False),
        conv2d_7b=conv(192, 128, 1, rng=rng),
        global_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        head_drop=Dropout(0.2, rng=rng),
        classif=Linear(128, num_classes, rng=rng),
    )


def block35(C: int, klm: tuple[int, int, int], scale: float,
            rng: np.random.Generator | None = None) -> InceptionResidual:
    """1×1, 3×3 and two 3×3; k, l, m: the widths of the longest branch."""
    k, l, m = klm
    return InceptionResidual(
        Conv2d(2 * k + m, C, 1, rng=rng), scale,
        branch0=conv(C, k, 1, rng=rng),
        branch1=Sequential(conv(C, k, 1, rng=rng), conv(k, k, 3, padding=1, rng=rng)),
        branch2=Sequential(conv(C, k, 1, rng=rng), conv(k, l, 3, padding=1, rng=rng),
                           conv(l, m, 3, padding=1, rng=rng)),
    )


def block17(C: int, klm: tuple[int, int, int], scale: float,
            rng: np.random.Generator | None = None) -> InceptionResidual:
    """1×1, and 7×7 in thin slices."""
    k, l, m = klm
    return InceptionResidual(
        Conv2d(2 * m, C, 1, rng=rng), scale,
        branch0=conv(C, m, 1, rng=rng),
        branch1=Sequential(conv(C, k, 1, rng=rng), conv(k, l, (1, 7), padding=(0, 3), rng=rng),
                           conv(l, m, (7, 1), padding=(3, 0), rng=rng)),
    )


def block8(C: int, klm: tuple[int, int, int], scale: float,
           rng: np.random.Generator | None = None, act: bool = True) -> InceptionResidual:
    """1×1, and 3×3 in thin slices."""
    k, l, m = klm
    return InceptionResidual(
        Conv2d(k + m, C, 1, rng=rng), scale, act,
        branch0=conv(C, k, 1, rng=rng),
        branch1=Sequential(conv(C, k, 1, rng=rng), conv(k, l, (1, 3), padding=(0, 1), rng=rng),
                           conv(l, m, (3, 1), padding=(1, 0), rng=rng)),
    )
