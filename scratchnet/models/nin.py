"""Network in Network — a tiny network at every pixel, and no fully connected layer.

A convolution is a linear judge of its patch. NiN follows each one with two 1×1 convolutions
and ReLUs: a small multilayer perceptron ("mlpconv") that slides over the image. At the end
each map belongs to one class, and its mean is the class's score: global average pooling
replaces AlexNet's 58 million weights, and has none. One image of 3×224×224:

    layer                   kernel  stride  pad   output             parameters
    ──────────────────────  ──────  ──────  ───   ───────────────    ───────────────────────────
    conv1                   11×11     4      0      96 × 54 × 54     11·11·3·96    =     34,944
    cccp1a, cccp1b           1×1                    96 × 54 × 54     2 · (96² + 96)=     18,624
    pool1                    3×3      2             96 × 26 × 26
    conv2                    5×5      1      2     256 × 26 × 26     5·5·96·256    =    614,656
    cccp2a, cccp2b           1×1                   256 × 26 × 26                        131,584
    pool2                    3×3      2            256 × 12 × 12
    conv3                    3×3      1      1     384 × 12 × 12     3·3·256·384   =    885,120
    cccp3a, cccp3b           1×1                   384 × 12 × 12                        295,680
    pool3, dropout 0.5       3×3      2            384 ×  5 ×  5
    conv4                    3×3      1      1    1024 ×  5 ×  5     3·3·384·1024  =  3,539,968
    cccp4a                   1×1                  1024 ×  5 ×  5                      1,049,600
    cccp4b                   1×1                  1000 ×  5 ×  5                      1,025,000
    gap                     whole map             1000                               ──────────
                                                                                      7,595,176

The counts include the biases; every convolution is followed by ReLU, the last one, too.

Departures: the paper has no ImageNet network. This is the layout that its authors published
in Caffe's model zoo. ("cccp": cascaded cross-channel parametric pooling, the paper's other
name for a 1×1 convolution.)

Lin, Chen & Yan, "Network In Network", ICLR 2014.
"""
import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Sequential,
)


def nin(num_classes: int = 1000, in_channels: int = 3,
        rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        **mlpconv(1, in_channels, 96, 96, 96, 11, stride=4, rng=rng),
        pool1=MaxPool2d(3, stride=2),
        **mlpconv(2, 96, 256, 256, 256, 5, padding=2, rng=rng),
        pool2=MaxPool2d(3, stride=2),
        **mlpconv(3, 256, 384, 384, 384, 3, padding=1, rng=rng),
        pool3=MaxPool2d(3, stride=2),
        drop=Dropout(0.5, rng=rng),
        **mlpconv(4, 384, 1024, 1024, num_classes, 3, padding=1, rng=rng),
        gap=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
    )


def nin_small(num_classes: int = 10, in_channels: int = 1,
              rng: int | np.random.Generator | None = None) -> Sequential:
    """Three mlpconvs for 32×32 images, (N, in_channels, 32, 32) → (N, num_classes).

    The last ReLU is left out: with few classes it would silence some for good.
    """
    rng = np.random.default_rng(rng)
    last = mlpconv(3, 64, 96, 96, num_classes, 3, padding=1, rng=rng)
    del last["relu3b"]
    return Sequential(
        **mlpconv(1, in_channels, 32, 32, 32, 5, stride=2, padding=2, rng=rng),     # 32 × 16 × 16
        pool1=MaxPool2d(3, stride=2),                                               # 32 × 7 × 7
        **mlpconv(2, 32, 64, 64, 64, 5, padding=2, rng=rng),                        # 64 × 7 × 7
        pool2=MaxPool2d(3, stride=2),                                               # 64 × 3 × 3
        drop=Dropout(0.5, rng=rng),
        **last,                                                         # num_classes × 3 × 3
        gap=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
    )


def mlpconv(number: int, channels: int, conv: int, hidden: int, out: int, kernel: int,
            stride: int = 1, padding: int = 0,
            rng: np.random.Generator | None = None) -> dict[str, Layer]:
    """A convolution and a two-layer network at each of its pixels: layers by name."""
    i = number
    return {
        f"conv{i}": Conv2d(channels, conv, kernel, stride, padding, rng=rng),
        f"relu{i}": ReLU(),
        f"cccp{i}a": Conv2d(conv, hidden, 1, rng=rng),
        f"relu{i}a": ReLU(),
        f"cccp{i}b": Conv2d(hidden, out, 1, rng=rng),
        f"relu{i}b": ReLU(),
    }
