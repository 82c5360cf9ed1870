"""ResNet for CIFAR — as thin as it is deep: the networks of section 4.2 of the paper.

Three stages of n blocks of two 3×3 convolutions, so 6n + 2 layers with weights. One image of
3×32×32:

    stage     output         blocks
    ────────  ────────────   ──────────────────────────────────────────
    conv1     16 × 32 × 32   3×3, 16
    layer1    16 × 32 × 32   [3×3, 16; 3×3, 16] × n
    layer2    32 × 16 × 16   [3×3, 32; 3×3, 32] × n    the first with stride 2
    layer3    64 ×  8 ×  8   [3×3, 64; 3×3, 64] × n    the first with stride 2
    avgpool, fc         10

    n           3         5         7         9         18
    layers     20        32        44        56        110
    params    269,722   464,154   658,586   853,018   1,727,962

Where the shape changes, the shortcut takes every second pixel and fills the new channels with
zeros (the paper's option A): it has no parameters, so that a residual network has exactly as many
as the plain one of its depth (`cifar_plain20`, `cifar_plain56`). Half of the new channels come
before the old ones, half behind, as in most copies; the paper does not say.

The paper's tables quote 0.27, 0.46, 0.66, 0.85 and 1.7 million.

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
"""
from typing import Any

import numpy as np

from scratchnet.backend import xp_of
from scratchnet.convolution import whole
from scratchnet.layer import Layer, expect
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
)
from scratchnet.models.resnet import BasicBlock, PlainBlock


class PadShortcut(Layer):
    """Every second pixel, new channels zero: (N, C, H, W) → (N, out, ⌈H/2⌉, ⌈W/2⌉).

    forward     y[n, k + c, i, j] = x[n, c, 2i, 2j],    k = (out − C)/2 zero channels before
    backward    the same pixels take their dy back; the pixels passed over get 0
    """

    stride = (2, 2)
    kernel_size = (1, 1)

    def __init__(self, in_channels: int, out_channels: int):
        whole(in_channels, "PadShortcut: in_channels")
        whole(out_channels, "PadShortcut: out_channels", least=in_channels)
        self.in_channels, self.out_channels = in_channels, out_channels

    def forward(self, x: Any) -> Any:
        expect(self, x, "N", self.in_channels, "H", "W")
        seen = x[:, :, ::2, ::2]
        y = xp_of(x).zeros((len(x), self.out_channels, *seen.shape[2:]), dtype=x.dtype)
        y[:, self._old()] = seen
        self.remember(x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x_shape, = self.recall(dy)
        dx = xp_of(dy).zeros(x_shape, dtype=dy.dtype)
        dx[:, :, ::2, ::2] = dy[:, self._old()]
        return dx

    def _old(self) -> slice:
        before = (self.out_channels - self.in_channels) // 2
        return slice(before, before + self.in_channels)

    def __repr__(self) -> str:
        return f"PadShortcut({self.in_channels}→{self.out_channels}, stride 2)"


def cifar_resnet20(num_classes: int = 10, in_channels: int = 3,
                   rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 3, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar(BasicBlock, 3, num_classes, in_channels, rng)


def cifar_resnet32(num_classes: int = 10, in_channels: int = 3,
                   rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 5, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar(BasicBlock, 5, num_classes, in_channels, rng)


def cifar_resnet44(num_classes: int = 10, in_channels: int = 3,
                   rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 7, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar(BasicBlock, 7, num_classes, in_channels, rng)


def cifar_resnet56(num_classes: int = 10, in_channels: int = 3,
                   rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 9, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar(BasicBlock, 9, num_classes, in_channels, rng)


def cifar_resnet110(num_classes: int = 10, in_channels: int = 3,
                    rng: int | np.random.Generator | None = None) -> Sequential:
    """n = 18, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _cifar(BasicBlock, 18, num_classes, in_channels, rng)


def cifar_plain20(num_classes: int = 10, in_channels: int = 3,
                  rng: int | np.random.Generator | None = None) -> Sequential:
    """cifar_resnet20 without shortcuts."""
    return _cifar(PlainBlock, 3, num_classes, in_channels, rng)


def cifar_plain56(num_classes: int = 10, in_channels: int = 3,
                  rng: int | np.random.Generator | None = None) -> Sequential:
    """cifar_resnet56 without shortcuts."""
    return _cifar(PlainBlock, 9, num_classes, in_channels, rng)


def _cifar(block: type[Layer], n: int, num_classes: int, in_channels: int,
           rng: int | np.random.Generator | None) -> Sequential:
    rng = np.random.default_rng(rng)

    def smaller(C: int) -> Layer:
        """The first block of a stage: half the side, twice the channels."""
        return block(C, 2 * C, 2, None if block is PlainBlock else PadShortcut(C, 2 * C), rng)

    return Sequential(
        conv1=Conv2d(in_channels, 16, 3, padding=1, bias=False, rng=rng),
        bn1=BatchNorm2d(16),
        relu=ReLU(),
        layer1=Sequential(*[block(16, 16, rng=rng) for _ in range(n)]),
        layer2=Sequential(smaller(16), *[block(32, 32, rng=rng) for _ in range(n - 1)]),
        layer3=Sequential(smaller(32), *[block(64, 64, rng=rng) for _ in range(n - 1)]),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(64, num_classes, rng=rng),
    )
