"""VGG — one kind of layer, 3×3 with stride 1, and depth.

Two 3×3 layers in a row see 5×5, three see 7×7: with C channels in and out, three cost
3·9·C² = 27·C² weights instead of 49·C², and bend three times instead of once. Five stages,
each followed by a 2×2 maximum; the channels double as the side halves. One image of 3×224×224:

    stage   output          11 (A)   13 (B)   16 (D)   19 (E)      64-…: channels of each conv
    ──────  ─────────────   ──────   ──────   ──────   ──────
      1      64 × 224²        1        2        2        2
      2     128 × 112²        1        2        2        2
      3     256 ×  56²        2        2        3        4
      4     512 ×  28²        2        2        3        4
      5     512 ×  14²        2        2        3        4
    fc6                      25088·4096 + 4096  =  102,764,544     512·7·7 = 25,088 inputs
    fc7                       4096·4096 + 4096  =   16,781,312
    fc8                       4096·1000 + 1000  =    4,097,000
                             ──────────────────────────────────
    parameters              132,863,336  133,047,848  138,357,544  143,667,240

A convolution costs 3·3·in·out + out. Nine tenths of VGG-16 are in its fully connected layers;
nearly all of its 15.5 billion multiply-accumulates are in its convolutions.

`vgg…_bn` puts batch normalisation between each convolution and its ReLU (not in the paper,
which is older; the convolutions keep their biases, as in torchvision). `vgg11_lrn` is the
paper's A-LRN: LRN after the first stage's ReLU, which, it found, does not help. Names are
torchvision's, but for vgg11_lrn, which torchvision lacks.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
ICLR 2015.
"""
import numpy as np

from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg11(num_classes: int = 1000, in_channels: int = 3,
          rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration A, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _vgg(11, False, num_classes, in_channels, rng)


def vgg13(num_classes: int = 1000, in_channels: int = 3,
          rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration B, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _vgg(13, False, num_classes, in_channels, rng)


def vgg16(num_classes: int = 1000, in_channels: int = 3,
          rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration D, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _vgg(16, False, num_classes, in_channels, rng)


def vgg19(num_classes: int = 1000, in_channels: int = 3,
          rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration E, (N, in_channels, 224, 224) → (N, num_classes)."""
    return _vgg(19, False, num_classes, in_channels, rng)


def vgg11_bn(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration A with batch normalisation."""
    return _vgg(11, True, num_classes, in_channels, rng)


def vgg13_bn(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration B with batch normalisation."""
    return _vgg(13, True, num_classes, in_channels, rng)


def vgg16_bn(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration D with batch normalisation."""
    return _vgg(16, True, num_classes, in_channels, rng)


def vgg19_bn(num_classes: int = 1000, in_channels: int = 3,
             rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration E with batch normalisation."""
    return _vgg(19, True, num_classes, in_channels, rng)


def _vgg(depth: int, norm: bool, num_classes: int, in_channels: int,
         rng: int | np.random.Generator | None) -> Sequential:
    """Five stages and three fully connected layers, under torchvision's numbers."""
    rng = np.random.default_rng(rng)
    features, C = [], in_channels
    for out, count in zip(CHANNELS, CONVOLUTIONS[depth], strict=True):
        for _ in range(count):
            features.append(Conv2d(C, out, 3, padding=1, rng=rng))
            features += [BatchNorm2d(out), ReLU()] if norm else [ReLU()]
            C = out
        features.append(MaxPool2d(2))
    return Sequential(
        features=Sequential(*features),
        avgpool=AdaptiveAvgPool2d(7),           # changes nothing at 224×224
        flatten=Flatten(),
        classifier=Sequential(
            Linear(512 * 7 * 7, 4096, rng=rng),
            ReLU(),
            Dropout(0.5, rng=rng),
            Linear(4096, 4096, rng=rng),
            ReLU(),
            Dropout(0.5, rng=rng),
            Linear(4096, num_classes, rng=rng),
        ),
    )


def vgg11_lrn(num_classes: int = 1000, in_channels: int = 3,
              rng: int | np.random.Generator | None = None) -> Sequential:
    """Configuration A-LRN, (N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        conv1_1=Conv2d(in_channels, 64, 3, padding=1, rng=rng),
        relu1_1=ReLU(),
        lrn1=LocalResponseNorm(),
        pool1=MaxPool2d(2),                                                 # 64 × 112 × 112
        conv2_1=Conv2d(64, 128, 3, padding=1, rng=rng),
        relu2_1=ReLU(),
        pool2=MaxPool2d(2),                                                 # 128 × 56 × 56
        conv3_1=Conv2d(128, 256, 3, padding=1, rng=rng),
        relu3_1=ReLU(),
        conv3_2=Conv2d(256, 256, 3, padding=1, rng=rng),
        relu3_2=ReLU(),
        pool3=MaxPool2d(2),                                                 # 256 × 28 × 28
        conv4_1=Conv2d(256, 512, 3, padding=1, rng=rng),
        relu4_1=ReLU(),
        conv4_2=Conv2d(512, 512, 3, padding=1, rng=rng),
        relu4_2=ReLU(),
        pool4=MaxPool2d(2),                                                 # 512 × 14 × 14
        conv5_1=Conv2d(512, 512, 3, padding=1, rng=rng),
        relu5_1=ReLU(),
        conv5_2=Conv2d(512, 512, 3, padding=1, rng=rng),
        relu5_2=ReLU(),
        pool5=MaxPool2d(2),                                                 # 512 × 7 × 7
        flatten=Flatten(),
        fc6=Linear(512 * 7 * 7, 4096, rng=rng),
        relu6=ReLU(),
        drop6=Dropout(0.5, rng=rng),
        fc7=Linear(4096, 4096, rng=rng),
        relu7=ReLU(),
        drop7=Dropout(0.5, rng=rng),
        fc8=Linear(4096, num_classes, rng=rng),
    )


def vgg_small(num_classes: int = 10, in_channels: int = 1,
              rng: int | np.random.Generator | None = None) -> Sequential:
    """Three stages of two 3×3 layers for 32×32 images, (N, in_channels, 32, 32) →
    (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        conv1_1=Conv2d(in_channels, 16, 3, padding=1, rng=rng),
        relu1_1=ReLU(),
        conv1_2=Conv2d(16, 16, 3, padding=1, rng=rng),
        relu1_2=ReLU(),
        pool1=MaxPool2d(2),                                                 # 16 × 16 × 16
        conv2_1=Conv2d(16, 32, 3, padding=1, rng=rng),
        relu2_1=ReLU(),
        conv2_2=Conv2d(32, 32, 3, padding=1, rng=rng),
        relu2_2=ReLU(),
        pool2=MaxPool2d(2),                                                 # 32 × 8 × 8
        conv3_1=Conv2d(32, 64, 3, padding=1, rng=rng),
        relu3_1=ReLU(),
        conv3_2=Conv2d(64, 64, 3, padding=1, rng=rng),
        relu3_2=ReLU(),
        pool3=MaxPool2d(2),                                                 # 64 × 4 × 4
        flatten=Flatten(),
        fc6=Linear(64 * 4 * 4, 256, rng=rng),
        relu6=ReLU(),
        drop6=Dropout(0.5, rng=rng),
        fc7=Linear(256, 256, rng=rng),
        relu7=ReLU(),
        drop7=Dropout(0.5, rng=rng),
        fc8=Linear(256, num_classes, rng=rng),
    )
