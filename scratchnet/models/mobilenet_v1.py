"""MobileNet — split a convolution into "where" and "what", and save nine tenths of it.

A 3×3 convolution from C to O channels costs 9·C·O a pixel. MobileNet filters each channel on
its own (depthwise, 9·C) and then mixes channels (1×1, C·O): together 9·C + C·O, a ninth plus
1/O of it. Batch normalisation and ReLU follow both. One image of 3×224×224; every row is a
pair dw (3×3, stride s) and pw (1×1):

    rows          s   output          parameters of dw and pw, without batch normalisation
    ───────────   ─   ────────────    ─────────────────────────────────────────────────────
    conv0 3×3     2     32 × 112²     3·3·3·32
    1             1     64 × 112²     9·32   + 32·64
    2             2    128 ×  56²     9·64   + 64·128
    3             1    128 ×  56²     9·128  + 128·128
    4             2    256 ×  28²     9·128  + 128·256
    5             1    256 ×  28²     9·256  + 256·256
    6             2    512 ×  14²     9·256  + 256·512
    7 … 11        1    512 ×  14²     9·512  + 512·512       five times
    12            2   1024 ×   7²     9·512  + 512·1024
    13            1   1024 ×   7²     9·1024 + 1024·1024
    avgpool, fc        1000           1024·1000 + 1000

`width` multiplies every number of channels: 1.0, 0.75, 0.5 and 0.25 have 4,231,976, 2,585,560,
1,331,592 and 470,072 parameters.

Departures: the paper's table prints stride 2 for row 13 (recalled, not looked up again), but
its shapes need 1. Padding is 1
on each side; TensorFlow's own network pads stride-2 layers below and on the right only, and has
ReLU6 where the paper has ReLU.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017.
"""
from numbers import Real

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
)

#: Output channels and stride of the thirteen pairs.
PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
         (512, 1), (512, 1), (1024, 2), (1024, 1))


def mobilenet_v1(num_classes: int = 1000, in_channels: int = 3,
                 rng: int | np.random.Generator | None = None, width: float = 1.0) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes); channels times `width`."""
    if isinstance(width, bool) or not isinstance(width, Real) or not 0 < width <= 4:
        raise ValueError(f"mobilenet_v1: width multiplies the channels, above 0 and up to 4; got "
                         f"{width!r}")
    return _mobilenet(32, PAIRS, width, num_classes, in_channels, rng)


def mobilenet_v1_small(num_classes: int = 10, in_channels: int = 1,
                       rng: int | np.random.Generator | None = None) -> Sequential:
    """Six pairs for 32×32 images, (N, in_channels, 32, 32) → (N, num_classes)."""
    return _mobilenet(16, ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1)), 1.0,
                      num_classes, in_channels, rng)


def separable(number: int, in_channels: int, out_channels: int, stride: int,
              rng: np.random.Generator | None = None) -> dict[str, Layer]:
    """A depthwise 3×3 and a pointwise 1×1 convolution, each with bn and ReLU: layers by name."""
    i, C = number, in_channels
    return {
        f"dw{i}": Conv2d(C, C, 3, stride, 1, groups=C, bias=False, rng=rng),
        f"dwbn{i}": BatchNorm2d(C),
        f"dwrelu{i}": ReLU(),
        f"pw{i}": Conv2d(C, out_channels, 1, bias=False, rng=rng),
        f"pwbn{i}": BatchNorm2d(out_channels),
        f"pwrelu{i}": ReLU(),
    }


def _mobilenet(stem: int, pairs: tuple, width: float, num_classes: int, in_channels: int,
               rng: int | np.random.Generator | None) -> Sequential:
    rng = np.random.default_rng(rng)
    C = max(1, int(stem * width))
    layers: dict[str, Layer] = {
        "conv0": Conv2d(in_channels, C, 3, stride=2, padding=1, bias=False, rng=rng),
        "bn0": BatchNorm2d(C),
        "relu0": ReLU(),
    }
    for i, (channels, stride) in enumerate(pairs, start=1):
        out = max(1, int(channels * width))
        layers |= separable(i, C, out, stride, rng)
        C = out
    return Sequential(**layers, avgpool=AdaptiveAvgPool2d(1), flatten=Flatten(),
                      fc=Linear(C, num_classes, rng=rng))
