"""Pre-activation ResNet — leave the shortcut clean, from the first block to the last.

In ResNet a ReLU follows each sum, and stands in the way of whatever takes the shortcut. Here
batch normalisation and ReLU come *before* each convolution, and nothing follows the sum:

    ResNet            y = ReLU( x + bn(conv(ReLU(bn(conv(x))))) )
    pre-activation    y = x + conv(ReLU(bn( conv(ReLU(bn(x))) )))

Then x_L = x_l + Σ f_i(x_i) over all blocks between: every block's input is passed on
unchanged, and ∂L/∂x_l = ∂L/∂x_L · (1 + …), at any depth. One image:

    network                     blocks                          parameters   MACs
    ──────────────────────────  ─────────────────────────────   ──────────   ───────
    preact_resnet50, 3×224²     stem and stages of resnet50     25,549,352   4.089 G
    cifar_preact_resnet110,     16, 32, 64 channels, 18 blocks   1,727,962   0.253 G
    3×32²                       of 3×3, 3×3 each

A last batch normalisation and ReLU precede the mean. In the first block of each stage the
first normalisation and ReLU come before the fork, so that the shortcut takes them, too (paper,
appendix; in the ImageNet network the stem's serve the very first block). Where the shape
changes, the shortcut is a bare 1×1 convolution, for CIFAR option A (models/cifar_resnet.py).

Departures: the 50-layer network is that of the published Torch code (the paper's ImageNet
networks are 101, 152 and 200 layers), which puts the stride on the 3×3.

He, Zhang, Ren & Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016.
"""
from typing import Any

import numpy as np

from scratchnet.layer import Layer, in_layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from scratchnet.models.cifar_resnet import PadShortcut


class PreActBlock(Layer):
    """y = f(a) + shortcut(x), a = preact(x); with `shared`, y = f(a) + shortcut(a)."""

    def __init__(self, preact: Layer, body: Layer, shortcut: Layer, shared: bool):
        self.preact, self.body, self.shortcut, self.shared = preact, body, shortcut, shared

    def forward(self, x: Any) -> Any:
        with in_layer("preact"):
            a = self.preact(x)
        with in_layer("body"):
            f = self.body(a)
        with in_layer("shortcut"):
            shortcut = self.shortcut(a if self.shared else x)
        if f.shape != shortcut.shape:
            raise ValueError(f"{self} adds its body and its shortcut, so both must have one "
                             f"shape; got {f.shape} and {shortcut.shape}")
        return f + shortcut

    def backward(self, dy: Any) -> Any:
        da, dshortcut = self.body.backward(dy), self.shortcut.backward(dy)
        if self.shared:
            return self.preact.backward(da + dshortcut)
        return self.preact.backward(da) + dshortcut


def preact_basic(in_channels: int, width: int, stride: int = 1, shared: bool = False,
                 rng: np.random.Generator | None = None) -> PreActBlock:
    """(bn, ReLU, 3×3) twice: (N, C, H, W) → (N, width, H/stride, W/stride).

    More channels come with stride 2: the shortcut is the identity, or PadShortcut.
    """
    return PreActBlock(
        preact=Sequential(bn=BatchNorm2d(in_channels), relu=ReLU()),
        body=Sequential(conv1=Conv2d(in_channels, width, 3, stride, 1, bias=False, rng=rng),
                        bn2=BatchNorm2d(width),
                        relu2=ReLU(),
                        conv2=Conv2d(width, width, 3, 1, 1, bias=False, rng=rng)),
        shortcut=(Identity() if (in_channels, stride) == (width, 1) else
                  PadShortcut(in_channels, width)),
        shared=shared,
    )


def preact_bottleneck(in_channels: int, width: int, stride: int = 1, shared: bool = False,
                      rng: np.random.Generator | None = None, first: bool = False) -> PreActBlock:
    """(bn, ReLU, convolution) with 1×1, 3×3, 1×1: (N, C, H, W) → (N, 4·width, H/s, W/s).

    The `first` block of a network follows a normalisation and ReLU, and has none of its own.
    """
    out = 4 * width
    return PreActBlock(
        preact=Identity() if first else Sequential(bn=BatchNorm2d(in_channels), relu=ReLU()),
        body=Sequential(conv1=Conv2d(in_channels, width, 1, bias=False, rng=rng),
                        bn2=BatchNorm2d(width),
                        relu2=ReLU(),
                        conv2=Conv2d(width, width, 3, stride, 1, bias=False, rng=rng),
                        bn3=BatchNorm2d(width),
                        relu3=ReLU(),
                        conv3=Conv2d(width, out, 1, bias=False, rng=rng)),
        shortcut=(Identity() if (in_channels, stride) == (out, 1) else
                  Conv2d(in_channels, out, 1, stride, bias=False, rng=rng)),
        shared=shared,
    )


def preact_resnet50(num_classes: int = 1000, in_channels: int = 3,
                    rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    C, layers = 64, {}
    for i, depth in enumerate((3, 4, 6, 3)):
        width, blocks = 64 << i, []
        for j in range(depth):
            blocks.append(preact_bottleneck(C, width, 2 if i > 0 and j == 0 else 1, j == 0, rng,
                                            first=i == j == 0))
            C = 4 * width
        layers[f"layer{i + 1}"] = Sequential(*blocks)
    return Sequential(
        conv1=Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False, rng=rng),
        bn1=BatchNorm2d(64),
        relu1=ReLU(),
        maxpool=MaxPool2d(3, stride=2, padding=1),
        **layers,
        bn=BatchNorm2d(C),
        relu=ReLU(),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(C, num_classes, rng=rng),
    )


def cifar_preact_resnet110(num_classes: int = 10, in_channels: int = 3,
                           rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 18, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar_preact(18, num_classes, in_channels, rng, stride=1)


def preact_resnet_small(num_classes: int = 10, in_channels: int = 1,
                        rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 2 (14 layers), at half the side, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar_preact(2, num_classes, in_channels, rng, stride=2)


def _cifar_preact(n: int, num_classes: int, in_channels: int,
                  rng: int | np.random.Generator | None, stride: int) -> Sequential:
    rng = np.random.default_rng(rng)
    C, layers = 16, {}
    for i, width in enumerate((16, 32, 64)):
        blocks = []
        for j in range(n):
            blocks.append(preact_basic(C, width, 2 if i > 0 and j == 0 else 1, j == 0, rng))
            C = width
        layers[f"layer{i + 1}"] = Sequential(*blocks)
    return Sequential(
        conv1=Conv2d(in_channels, 16, 3, stride, padding=1, bias=False, rng=rng),
        **layers,
        bn=BatchNorm2d(64),
        relu=ReLU(),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(64, num_classes, rng=rng),
    )
