"""DenseNet — every layer sees the outputs of all layers before it.

Where ResNet adds, DenseNet concatenates: a dense layer computes k new maps (k: the growth
rate) and lays them beside all the old ones, which the next layers can still read. So each
layer can be narrow. A layer is bn, ReLU, 1×1 to 4k maps, bn, ReLU, 3×3 to k maps. A transition
between blocks halves the channels (1×1) and the side (mean 2×2). One image of 3×224×224:

    stage          output      121       169       201          channels (121)
    ─────────────  ────────    ───────   ───────   ───────      ─────────────────────
    conv0, pool0   56 × 56     7×7/2, 64; 3×3/2                   64
    denseblock1    56 × 56     ×6        ×6        ×6             64 +  6·32 =  256
    transition1    28 × 28                                       128
    denseblock2    28 × 28     ×12       ×12       ×12           128 + 12·32 =  512
    transition2    14 × 14                                       256
    denseblock3    14 × 14     ×24       ×32       ×48           256 + 24·32 = 1024
    transition3     7 ×  7                                       512
    denseblock4     7 ×  7     ×16       ×32       ×32           512 + 16·32 = 1024
    norm5, mean, classifier                                     1000
                               ───────   ────────  ────────
    parameters               7,978,856  14,149,480 20,013,928

`cifar_densenet_bc100` is the paper's network for CIFAR: k = 12, three blocks of 16 layers, 24
channels from the first 3×3; 769,162 parameters. ("BC": bottleneck 1×1, and compression ½ in
the transitions.)

The gradient splits where forward concatenated: dy's old channels go straight past the
layer, its new ones through it, and both add up in dx.

No departures. Names of the ImageNet networks are torchvision's.

Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks", CVPR 2017.
"""
from typing import Any

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from scratchnet.layers.branch import concatenate


class DenseLayer(Sequential):
    """y = [x, f(x)], f: bn, ReLU, 1×1, bn, ReLU, 3×3: (N, C, H, W) → (N, C + growth, H, W)."""

    def __init__(self, in_channels: int, growth: int, rng: np.random.Generator | None = None):
        super().__init__(
            norm1=BatchNorm2d(in_channels),
            relu1=ReLU(),
            conv1=Conv2d(in_channels, 4 * growth, 1, bias=False, rng=rng),
            norm2=BatchNorm2d(4 * growth),
            relu2=ReLU(),
            conv2=Conv2d(4 * growth, growth, 3, padding=1, bias=False, rng=rng),
        )

    def forward(self, x: Any) -> Any:
        y = concatenate(self, [x, super().forward(x)])
        self.remember(x.shape[1], y=y)
        return y

    def backward(self, dy: Any) -> Any:
        C, = self.recall(dy)
        dx = super().backward(dy[:, C:])
        dx += dy[:, :C]                     # in place: norm1 has just made it
        return dx


def transition(in_channels: int, out_channels: int,
               rng: np.random.Generator | None = None) -> Sequential:
    """Between blocks: (N, C, H, W) → (N, out, H/2, W/2)."""
    return Sequential(
        norm=BatchNorm2d(in_channels),
        relu=ReLU(),
        conv=Conv2d(in_channels, out_channels, 1, bias=False, rng=rng),
        pool=AvgPool2d(2),
    )


def densenet121(num_classes: int = 1000, in_channels: int = 3,
                rng: int | np.random.Generator | None = None) -> Sequential:
    """k = 32, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _densenet((6, 12, 24, 16), num_classes, in_channels, rng)


def densenet169(num_classes: int = 1000, in_channels: int = 3,
                rng: int | np.random.Generator | None = None) -> Sequential:
    """k = 32, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _densenet((6, 12, 32, 32), num_classes, in_channels, rng)


def densenet201(num_classes: int = 1000, in_channels: int = 3,
                rng: int | np.random.Generator | None = None) -> Sequential:
    """k = 32, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _densenet((6, 12, 48, 32), num_classes, in_channels, rng)


def cifar_densenet_bc100(num_classes: int = 10, in_channels: int = 3,
                         rng: int | np.random.Generator | None = None) -> Sequential:
    """k = 12, three blocks of 16, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar_densenet((16, 16, 16), 12, num_classes, in_channels, rng, stride=1)


def densenet_small(num_classes: int = 10, in_channels: int = 1,
                   rng: int | np.random.Generator | None = None) -> Sequential:
    """k = 12, three blocks of 4, at half the side, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar_densenet((4, 4, 4), 12, num_classes, in_channels, rng, stride=2)


def _densenet(depths: tuple[int, ...], num_classes: int, in_channels: int,
              rng: int | np.random.Generator | None) -> Sequential:
    rng = np.random.default_rng(rng)
    blocks, C = _dense_blocks(depths, 64, 32, rng)
    return Sequential(
        features=Sequential(
            conv0=Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False, rng=rng),
            norm0=BatchNorm2d(64),
            relu0=ReLU(),
            pool0=MaxPool2d(3, stride=2, padding=1),
            **blocks,
            norm5=BatchNorm2d(C),
        ),
        relu=ReLU(),
        avg_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        classifier=Linear(C, num_classes, rng=rng),
    )


def _cifar_densenet(depths: tuple[int, ...], growth: int, num_classes: int, in_channels: int,
                    rng: int | np.random.Generator | None, stride: int) -> Sequential:
    rng = np.random.default_rng(rng)
    blocks, C = _dense_blocks(depths, 2 * growth, growth, rng)
    return Sequential(
        conv0=Conv2d(in_channels, 2 * growth, 3, stride, padding=1, bias=False, rng=rng),
        **blocks,
        norm=BatchNorm2d(C),
        relu=ReLU(),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(C, num_classes, rng=rng),
    )


def _dense_blocks(depths: tuple[int, ...], C: int, growth: int,
                  rng: np.random.Generator) -> tuple[dict[str, Layer], int]:
    """Blocks with transitions between them, by name; and the number of channels at the end."""
    layers = {}
    for b, depth in enumerate(depths, start=1):
        layers[f"denseblock{b}"] = Sequential(**{
            f"denselayer{i + 1}": DenseLayer(C + i * growth, growth, rng) for i in range(depth)})
        C += depth * growth
        if b < len(depths):
            layers[f"transition{b}"] = transition(C, C // 2, rng)
            C //= 2
    return layers, C
