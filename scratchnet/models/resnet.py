"""ResNet — learn what to add to x, not what to make of it.

A deeper plain network fits worse than a shallower one, even on its training set. If a block
computes y = x + f(x) instead of f(x), doing nothing is easy (f = 0), and the gradient reaches
every block undiminished: dx = dy + f'(x)·dy. Winner of ILSVRC-2015. One image of 3×224×224
(table 1 of the paper; a block in brackets, times how often it is repeated):

    stage    output        18            34            50                 101       152
    ───────  ───────────   ───────────   ───────────   ────────────────   ───────   ───────
    conv1     64 × 112²    7×7, 64, stride 2
    maxpool   64 ×  56²    3×3, stride 2
    layer1         56²     [3×3, 64 ]×2  [3×3, 64 ]×3  [1×1, 64 ]         ×3        ×3
                           [3×3, 64 ]    [3×3, 64 ]    [3×3, 64 ]×3
                                                       [1×1, 256]
    layer2         28²     128, ×2       128, ×4       128, 512,  ×4      ×4        ×8
    layer3         14²     256, ×2       256, ×6       256, 1024, ×6      ×23       ×36
    layer4          7²     512, ×2       512, ×3       512, 2048, ×3      ×3        ×3
    avgpool, fc    1000    mean over 7×7, then 512·1000 or 2048·1000 weights and 1000 biases
                           ──────────    ──────────    ──────────         ────────── ──────────
    parameters             11,689,512    21,797,672    25,557,032         44,549,160 60,192,808
    multiply-accumulates   1.814 G       3.664 G       4.089 G            7.801 G    11.514 G

Batch normalisation follows every convolution (which therefore has no bias); ReLU follows it,
but after the last one of a block it waits until the shortcut has been added. Where the shape
changes, the shortcut is a 1×1 convolution with batch normalisation (the paper's option B).

Departures: in the blocks of three, torchvision and this file take the stride in the 3×3
("v1.5"); the paper takes it in the first 1×1: `resnet50_paper`, 3.858 G. `plain18` and
`plain34` are the paper's networks without shortcuts, as deep and as wide. Names are torchvision's.

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
"""
from typing import Any

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)


class _Block(Residual):
    """y = ReLU(f(x) + shortcut(x)): one more ReLU, after the sum."""

    def __init__(self, downsample: Layer | None, **layers: Layer):
        super().__init__(**layers, downsample=downsample)
        self.relu = ReLU()

    def forward(self, x: Any) -> Any:
        return self.relu(super().forward(x))

    def backward(self, dy: Any) -> Any:
        return super().backward(self.relu.backward(dy))


class BasicBlock(_Block):
    """3×3, 3×3, and the shortcut around them: (N, C, H, W) → (N, width, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1,
                 downsample: Layer | None = None, rng: np.random.Generator | None = None):
        super().__init__(
            downsample,
            conv1=Conv2d(in_channels, width, 3, stride, 1, bias=False, rng=rng),
            bn1=BatchNorm2d(width),
            relu1=ReLU(),
            conv2=Conv2d(width, width, 3, 1, 1, bias=False, rng=rng),
            bn2=BatchNorm2d(width),
        )


class Bottleneck(_Block):
    """1×1 squeezes, 3×3 looks, 1×1 widens fourfold: (N, C, H, W) → (N, 4·width, H/s, W/s).

    `groups` and `base_width` are ResNeXt's; `stride_first` puts the stride on the first 1×1, as
    in the paper, and not on the 3×3.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1,
                 downsample: Layer | None = None, rng: np.random.Generator | None = None, *,
                 groups: int = 1, base_width: int = 64, stride_first: bool = False):
        inner = width * base_width // 64 * groups
        first, second = (stride, 1) if stride_first else (1, stride)
        super().__init__(
            downsample,
            conv1=Conv2d(in_channels, inner, 1, first, bias=False, rng=rng),
            bn1=BatchNorm2d(inner),
            relu1=ReLU(),
            conv2=Conv2d(inner, inner, 3, second, 1, groups=groups, bias=False, rng=rng),
            bn2=BatchNorm2d(inner),
            relu2=ReLU(),
            conv3=Conv2d(inner, 4 * width, 1, bias=False, rng=rng),
            bn3=BatchNorm2d(4 * width),
        )


class PlainBlock(Sequential):
    """A BasicBlock without its shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1,
                 downsample: None = None, rng: np.random.Generator | None = None):
        if downsample is not None:
            raise ValueError("PlainBlock has no shortcut, and so no downsample")
        super().__init__(
            conv1=Conv2d(in_channels, width, 3, stride, 1, bias=False, rng=rng),
            bn1=BatchNorm2d(width),
            relu1=ReLU(),
            conv2=Conv2d(width, width, 3, 1, 1, bias=False, rng=rng),
            bn2=BatchNorm2d(width),
            relu2=ReLU(),
        )


def resnet18(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return resnet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels, rng)


def resnet34(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return resnet(BasicBlock, (3, 4, 6, 3), num_classes, in_channels, rng)


def resnet50(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes); stride on the 3×3."""
    return resnet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, rng)


def resnet101(num_classes: int = 1000, in_channels: int = 3,
              rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes); stride on the 3×3."""
    return resnet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, rng)


def resnet152(num_classes: int = 1000, in_channels: int = 3,
              rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes); stride on the 3×3."""
    return resnet(Bottleneck, (3, 8, 36, 3), num_classes, in_channels, rng)


def resnet50_paper(num_classes: int = 1000, in_channels: int = 3,
                   rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes); stride on the first 1×1, as in the paper."""
    return resnet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, rng, stride_first=True)


def plain18(num_classes: int = 1000, in_channels: int = 3,
            rng: int | np.random.Generator | None = None) -> Sequential:
    """resnet18 without shortcuts, (N, in_channels, 224, 224) → (N, num_classes)."""
    return resnet(PlainBlock, (2, 2, 2, 2), num_classes, in_channels, rng)


def plain34(num_classes: int = 1000, in_channels: int = 3,
            rng: int | np.random.Generator | None = None) -> Sequential:
    """resnet34 without shortcuts, (N, in_channels, 224, 224) → (N, num_classes)."""
    return resnet(PlainBlock, (3, 4, 6, 3), num_classes, in_channels, rng)


def resnet_small(num_classes: int = 10, in_channels: int = 1,
                 rng: int | np.random.Generator | None = None) -> Sequential:
    """Bottlenecks for 32×32 images: a 3×3 stem with stride 2, three stages of two blocks,
    (N, in_channels, 32, 32) → (N, num_classes). (For blocks of two: cifar_resnet20.)"""
    rng = np.random.default_rng(rng)
    C, layers = 32, {}
    for i, width in enumerate((16, 32, 64)):
        layers[f"layer{i + 1}"], C = stage(Bottleneck, C, width, 2, 1 if i == 0 else 2, rng)
    return Sequential(
        conv1=Conv2d(in_channels, 32, 3, stride=2, padding=1, bias=False, rng=rng),
        bn1=BatchNorm2d(32),
        relu=ReLU(),                                                        # 32 × 16 × 16
        **layers,                           # 64 × 16 × 16, 128 × 8 × 8, 256 × 4 × 4
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(C, num_classes, rng=rng),
    )


def resnet(block: type[Layer], depths: tuple[int, ...], num_classes: int, in_channels: int,
           rng: int | np.random.Generator | None, **options: Any) -> Sequential:
    """Stem, four stages of `block`s, mean, linear; `options` are the block's."""
    rng = np.random.default_rng(rng)
    C, layers = 64, {}
    for i, depth in enumerate(depths):
        layers[f"layer{i + 1}"], C = stage(block, C, 64 << i, depth, 1 if i == 0 else 2, rng,
                                           **options)
    return Sequential(
        conv1=Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False, rng=rng),
        bn1=BatchNorm2d(64),
        relu=ReLU(),
        maxpool=MaxPool2d(3, stride=2, padding=1),
        **layers,
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(C, num_classes, rng=rng),
    )


def stage(block: type[Layer], in_channels: int, width: int, depth: int, stride: int,
          rng: np.random.Generator, **options: Any) -> tuple[Sequential, int]:
    """`depth` blocks, the first of which changes the shape; and their number of channels."""
    C, out = in_channels, width * block.expansion
    blocks = []
    for i in range(depth):
        s = stride if i == 0 else 1
        shortcut = None if (s, C) == (1, out) or block is PlainBlock else Sequential(
            Conv2d(C, out, 1, s, bias=False, rng=rng), BatchNorm2d(out))
        blocks.append(block(C, width, s, shortcut, rng, **options))
        C = out
    return Sequential(*blocks), out
