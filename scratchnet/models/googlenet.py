"""GoogLeNet — do several things to the same image at once, and let 1×1 keep them cheap.

An Inception module looks at its input with 1×1, 3×3 and 5×5 filters and a maximum side by
side, and stacks the answers. 1×1 "reductions" first squeeze the channels, so that the 5×5
costs little. Winner of ILSVRC-2014. One image of 3×224×224 (table 1 of the paper):

    layer          kernel   output        #1×1  #3×3r  #3×3  #5×5r  #5×5  pool   parameters
    ─────────────  ──────   ──────────    ────  ─────  ────  ─────  ────  ────   ──────────
    conv1          7×7/2     64 × 112²                                                9,472
    pool1, norm1   3×3/2     64 ×  56²
    conv2_reduce   1×1       64 ×  56²                                                4,160
    conv2, norm2   3×3      192 ×  56²                                              110,784
    pool2          3×3/2    192 ×  28²
    inception_3a            256 ×  28²      64    96    128    16     32    32      163,696
    inception_3b            480 ×  28²     128   128    192    32     96    64      388,736
    pool3          3×3/2    480 ×  14²
    inception_4a            512 ×  14²     192    96    208    16     48    64      376,176
    inception_4b            512 ×  14²     160   112    224    24     64    64      449,160
    inception_4c            512 ×  14²     128   128    256    24     64    64      510,104
    inception_4d            528 ×  14²     112   144    288    32     64    64      605,376
    inception_4e            832 ×  14²     256   160    320    32    128   128      868,352
    pool4          3×3/2    832 ×   7²
    inception_5a            832 ×   7²     256   160    320    32    128   128    1,043,456
    inception_5b           1024 ×   7²     384   192    384    48    128   128    1,444,080
    pool5          7×7     1024            the mean
    drop 0.4, fc           1000                                                   1,025,000
                                                                                  ─────────
                                                                                  6,998,552

Two auxiliary classifiers, on 4a and 4d, add 6,379,728 parameters in training only: mean 5×5/3,
1×1 to 128 channels, 2048→1024, dropout 0.7, 1024→classes. Their losses count 0.3 each.

Departures: pooling rounds up, as in Caffe (112 → 56 → 28 → 14 → 7 needs it). The paper names no
constants for LRN; these are its Caffe model's (α = 1e-4/5, n = 5, k = 1). The paper's column of
parameters disagrees with its own channels in nine of twelve rows (conv1: 2.7K for 9,408).

`googlenet_bn` is torchvision's: batch normalisation instead of LRN and biases, 3×3 in place
of the 5×5 (an old mistake, kept for the sake of the published weights), last pooling 2×2,
dropout 0.2. Its published weights expect pixels (x − 0.5)/0.5.

In training both return (logits, aux1, aux2), and backward takes (dlogits, daux1, daux2); in
evaluation the logits alone. (torchvision returns aux2 before aux1.)

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet.layer import Layer, in_layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)
from scratchnet.models.blocks import conv_bn_relu

#: Table 1: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool projection.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNet(Sequential):
    """A chain of layers, with an auxiliary classifier on the outputs of two of them.

    In training forward returns (logits, aux1, aux2) and backward takes their three gradients;
    in evaluation there are only the logits. Where an output feeds both the next layer and a
    classifier, their gradients add. `after` names the two layers.
    """

    def __init__(self, aux1: Layer, aux2: Layer, after: tuple[str, str], **layers: Layer):
        self.aux1, self.aux2, self._after = aux1, aux2, after   # first: fc stays the last layer
        super().__init__(**layers)

    def forward(self, x: Any) -> Any:
        heads = []
        for name in self._names:
            with in_layer(name):
                x = self[name](x)
            if self.training and name in self._after:
                head = ("aux1", "aux2")[self._after.index(name)]
                with in_layer(head):
                    heads.append(getattr(self, head)(x))
        self.remember(self.training)
        return (x, *heads) if self.training else x

    def backward(self, dlogits: Any, daux1: Any = None, daux2: Any = None) -> Any:
        trained, = self.recall()
        if trained != (daux1 is not None) or trained != (daux2 is not None):
            self.remember(trained)                              # a wrong call loses nothing
            raise ValueError("GoogLeNet.backward expects " + (
                "(dlogits, daux1, daux2) after a forward in training" if trained else
                "dlogits alone after a forward in evaluation"))
        dx = dlogits
        for name in reversed(self._names):
            if trained and name == self._after[1]:
                dx = dx + self.aux2.backward(daux2)
            if trained and name == self._after[0]:
                dx = dx + self.aux1.backward(daux1)
            dx = self[name].backward(dx)
        return dx

    def entrance(self) -> Layer:
        return self[0].entrance()


def googlenet(num_classes: int = 1000, in_channels: int = 3,
         rng: int | np.random.Generator | None = None) -> GoogLeNet:
    """The paper's network, (N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)

    def inception(name: str, channels: int) -> Concat:
        return inception_module(channels, *INCEPTION[name], rng=rng)

    return GoogLeNet(
        auxiliary_head(512, num_classes, conv_relu, AvgPool2d(5, stride=3), rng),
        auxiliary_head(528, num_classes, conv_relu, AvgPool2d(5, stride=3), rng),
        ("inception_4a", "inception_4d"),
        conv1=conv_relu(in_channels, 64, 7, stride=2, padding=3, rng=rng),
        pool1=MaxPool2d(3, stride=2, ceil_mode=True),
        norm1=LocalResponseNorm(alpha=2e-5, k=1.0),
        conv2_reduce=conv_relu(64, 64, 1, rng=rng),
        conv2=conv_relu(64, 192, 3, padding=1, rng=rng),
        norm2=LocalResponseNorm(alpha=2e-5, k=1.0),
        pool2=MaxPool2d(3, stride=2, ceil_mode=True),
        inception_3a=inception("3a", 192),
        inception_3b=inception("3b", 256),
        pool3=MaxPool2d(3, stride=2, ceil_mode=True),
        inception_4a=inception("4a", 480),
        inception_4b=inception("4b", 512),
        inception_4c=inception("4c", 512),
        inception_4d=inception("4d", 512),
        inception_4e=inception("4e", 528),
        pool4=MaxPool2d(3, stride=2, ceil_mode=True),
        inception_5a=inception("5a", 832),
        inception_5b=inception("5b", 832),
        pool5=AvgPool2d(7, stride=1),
        flatten=Flatten(),
        drop=Dropout(0.4, rng=rng),
        fc=Linear(1024, num_classes, rng=rng),
    )


def googlenet_bn(num_classes: int = 1000, in_channels: int = 3,
                 rng: int | np.random.Generator | None = None) -> GoogLeNet:
    """torchvision's network and its names, (N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)

    def inception(name: str, channels: int) -> Concat:
        return inception_bn(channels, *INCEPTION[name], rng=rng)

    return GoogLeNet(
        auxiliary_head(512, num_classes, conv_bn_relu, AdaptiveAvgPool2d(4), rng),
        auxiliary_head(528, num_classes, conv_bn_relu, AdaptiveAvgPool2d(4), rng),
        ("inception4a", "inception4d"),
        conv1=conv_bn_relu(in_channels, 64, 7, stride=2, padding=3, rng=rng),
        maxpool1=MaxPool2d(3, stride=2, ceil_mode=True),
        conv2=conv_bn_relu(64, 64, 1, rng=rng),
        conv3=conv_bn_relu(64, 192, 3, padding=1, rng=rng),
        maxpool2=MaxPool2d(3, stride=2, ceil_mode=True),
        inception3a=inception("3a", 192),
        inception3b=inception("3b", 256),
        maxpool3=MaxPool2d(3, stride=2, ceil_mode=True),
        inception4a=inception("4a", 480),
        inception4b=inception("4b", 512),
        inception4c=inception("4c", 512),
        inception4d=inception("4d", 512),
        inception4e=inception("4e", 528),
        maxpool4=MaxPool2d(2, stride=2, ceil_mode=True),
        inception5a=inception("5a", 832),
        inception5b=inception("5b", 832),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        dropout=Dropout(0.2, rng=rng),
        fc=Linear(1024, num_classes, rng=rng),
    )


def googlenet_small(num_classes: int = 10, in_channels: int = 1,
                    rng: int | np.random.Generator | None = None) -> GoogLeNet:
    """The same trunk, modules and heads for 32×32 images: five modules, a sixth of the width."""
    rng = np.random.default_rng(rng)

    def inception(channels: int, *widths: int) -> Concat:
        return inception_module(channels, *widths, rng=rng)

    def head(channels: int) -> Sequential:
        return auxiliary_head(channels, num_classes, conv_relu, AdaptiveAvgPool2d(2), rng,
                              width=32, side=2, hidden=128)

    return GoogLeNet(
        head(76), head(84), ("inception_4a", "inception_4b"),
        conv1=conv_relu(in_channels, 16, 5, stride=2, padding=2, rng=rng),  # 16 × 16 × 16
        norm1=LocalResponseNorm(alpha=2e-5, k=1.0),
        conv2_reduce=conv_relu(16, 16, 1, rng=rng),
        conv2=conv_relu(16, 32, 3, padding=1, rng=rng),
        norm2=LocalResponseNorm(alpha=2e-5, k=1.0),
        pool2=MaxPool2d(3, stride=2, ceil_mode=True),                       # 32 × 8 × 8
        inception_3a=inception(32, 12, 16, 24, 4, 8, 8),                    # 52 × 8 × 8
        inception_4a=inception(52, 24, 16, 32, 4, 8, 12),                   # 76 × 8 × 8
        inception_4b=inception(76, 24, 20, 36, 4, 12, 12),                  # 84 × 8 × 8
        inception_4e=inception(84, 32, 24, 48, 8, 20, 20),                  # 120 × 8 × 8
        pool4=MaxPool2d(3, stride=2, ceil_mode=True),                       # 120 × 4 × 4
        inception_5a=inception(120, 48, 32, 64, 8, 24, 24),                 # 160 × 4 × 4
        pool5=AvgPool2d(4, stride=1),
        flatten=Flatten(),
        drop=Dropout(0.4, rng=rng),
        fc=Linear(160, num_classes, rng=rng),
    )


def inception_module(in_channels: int, ch1: int, ch3_reduce: int, ch3: int, ch5_reduce: int,
                     ch5: int, pool: int, rng: np.random.Generator | None = None) -> Concat:
    """1×1, 3×3, 5×5 and maximum side by side: (N, C, H, W) → (N, ch1+ch3+ch5+pool, H, W)."""
    return Concat(
        b1=conv_relu(in_channels, ch1, 1, rng=rng),
        b2=Sequential(reduce=conv_relu(in_channels, ch3_reduce, 1, rng=rng),
                      conv=conv_relu(ch3_reduce, ch3, 3, padding=1, rng=rng)),
        b3=Sequential(reduce=conv_relu(in_channels, ch5_reduce, 1, rng=rng),
                      conv=conv_relu(ch5_reduce, ch5, 5, padding=2, rng=rng)),
        b4=Sequential(pool=MaxPool2d(3, stride=1, padding=1),
                      proj=conv_relu(in_channels, pool, 1, rng=rng)),
    )


def inception_bn(in_channels: int, ch1: int, ch3_reduce: int, ch3: int, ch5_reduce: int,
                 ch5: int, pool: int, rng: np.random.Generator | None = None) -> Concat:
    """torchvision's module: batch normalisation, and 3×3 where the paper has 5×5."""
    return Concat(
        branch1=conv_bn_relu(in_channels, ch1, 1, rng=rng),
        branch2=Sequential(conv_bn_relu(in_channels, ch3_reduce, 1, rng=rng),
                           conv_bn_relu(ch3_reduce, ch3, 3, padding=1, rng=rng)),
        branch3=Sequential(conv_bn_relu(in_channels, ch5_reduce, 1, rng=rng),
                           conv_bn_relu(ch5_reduce, ch5, 3, padding=1, rng=rng)),
        branch4=Sequential(MaxPool2d(3, stride=1, padding=1),
                           conv_bn_relu(in_channels, pool, 1, rng=rng)),
    )


def auxiliary_head(in_channels: int, num_classes: int, unit: Callable[..., Sequential],
                   pool: Layer, rng: np.random.Generator | None = None,
                   width: int = 128, side: int = 4, hidden: int = 1024) -> Sequential:
    """A classifier halfway up: it brings a gradient to the early layers on a short way."""
    return Sequential(
        avgpool=pool,                                                       # C × side × side
        conv=unit(in_channels, width, 1, rng=rng),
        flatten=Flatten(),
        fc1=Linear(width * side * side, hidden, rng=rng),
        relu=ReLU(),
        dropout=Dropout(0.7, rng=rng),
        fc2=Linear(hidden, num_classes, rng=rng),
    )


def conv_relu(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1,
              padding: int = 0, rng: np.random.Generator | None = None) -> Sequential:
    """Convolution and ReLU: "all the convolutions use rectified linear activation"."""
    return Sequential(
        conv=Conv2d(in_channels, out_channels, kernel_size, stride, padding, rng=rng),
        relu=ReLU(),
    )
