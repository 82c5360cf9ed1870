"""SENet — let the network turn its own channels up and down.

A squeeze-and-excitation block looks at the mean of each channel over the whole image
("squeeze"), passes these C numbers through a small two-layer network with C/16 units
("excitation") and multiplies every channel with the answer, between 0 and 1. It is added to
the end of each bottleneck, before the shortcut:

    y = ReLU( x + f(x) · s ),       s = σ(fc2(ReLU(fc1(mean f(x)))))

    network                parameters      + against its ResNet            MACs
    ────────────────────   ──────────      ────────────────────────────    ───────
    se_resnet50            28,088,024      2·C²/16 + C/16 + C a block      3.860 G
    se_resnext50_32x4d     27,559,896                                      4.233 G

Stages are those of models/resnet.py; depths 3, 4, 6, 3. fc1 and fc2 are 1×1 convolutions on a
1×1 map. Departures from torchvision's ResNet, as in the authors' published networks: the
stem's pooling rounds up without padding; se_resnet50 has the stride on the first 1×1.
Names are those of timm's legacy networks.

Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018; winner of ILSVRC-2017.
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
    Scale,
    Sequential,
    Sigmoid,
)
from scratchnet.models.resnet import Bottleneck, stage


class SqueezeExcitation(Scale):
    """y = x · s(x), one factor a channel: (N, C, H, W) → the same shape."""

    def __init__(self, channels: int, reduced: int, rng: np.random.Generator | None = None):
        super().__init__(
            avg_pool=AdaptiveAvgPool2d(1),                                  # squeeze: C × 1 × 1
            fc1=Conv2d(channels, reduced, 1, rng=rng),
            relu=ReLU(),
            fc2=Conv2d(reduced, channels, 1, rng=rng),
            sigmoid=Sigmoid(),
        )


class SEBottleneck(Bottleneck):
    """A Bottleneck that ends in squeeze-and-excitation, C/`reduction` units wide."""

    def __init__(self, in_channels: int, width: int, stride: int = 1,
                 downsample: Layer | None = None, rng: np.random.Generator | None = None, *,
                 reduction: int = 16, **options: Any):
        super().__init__(in_channels, width, stride, downsample, rng, **options)
        self._add("se_module", SqueezeExcitation(4 * width, 4 * width // reduction, rng))


def se_resnet50(num_classes: int = 1000, in_channels: int = 3,
                rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return _senet(num_classes, in_channels, rng, stride_first=True)


def se_resnext50_32x4d(num_classes: int = 1000, in_channels: int = 3,
                       rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return _senet(num_classes, in_channels, rng, groups=32, base_width=4)


def _senet(num_classes: int, in_channels: int, rng: int | np.random.Generator | None,
           **options: Any) -> Sequential:
    rng = np.random.default_rng(rng)
    C, layers = 64, {}
    for i, depth in enumerate((3, 4, 6, 3)):
        layers[f"layer{i + 1}"], C = stage(SEBottleneck, C, 64 << i, depth, 1 if i == 0 else 2,
                                           rng, **options)
    return Sequential(
        layer0=Sequential(
            conv1=Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False, rng=rng),
            bn1=BatchNorm2d(64),
            relu1=ReLU(),
        ),
        pool0=MaxPool2d(3, stride=2, ceil_mode=True),
        **layers,
        avg_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        last_linear=Linear(C, num_classes, rng=rng),
    )


def se_resnet_small(num_classes: int = 10, in_channels: int = 1,
                    rng: int | np.random.Generator | None = None) -> Sequential:
    """resnet_small with squeeze-and-excitation, (N, in_channels, 32, 32) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    C, layers = 32, {}
    for i, width in enumerate((16, 32, 64)):
        layers[f"layer{i + 1}"], C = stage(SEBottleneck, C, width, 2, 1 if i == 0 else 2, rng)
    return Sequential(
        layer0=Sequential(
            conv1=Conv2d(in_channels, 32, 3, stride=2, padding=1, bias=False, rng=rng),
            bn1=BatchNorm2d(32),
            relu1=ReLU(),
        ),                                                                  # 32 × 16 × 16
        **layers,                           # 64 × 16 × 16, 128 × 8 × 8, 256 × 4 × 4
        avg_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        last_linear=Linear(C, num_classes, rng=rng),
    )
