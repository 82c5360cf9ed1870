"""AlexNet — the network that won ILSVRC-2012, and a small one of the same make.

The network of the paper, one image of 3×227×227 (the text says 224, but only 227 gives the
55×55 of its figure 2). Parameters as kernel·kernel·inputs·outputs + biases; where a layer
is split over the paper's two GPUs, each filter sees half of the inputs (groups = 2):

    layer   kernel  stride  pad  groups   output        parameters
    ──────  ──────  ──────  ───  ──────   ───────────   ────────────────────────────────
    conv1   11×11      4     0     1       96 × 55 × 55   11·11·3·96    + 96   =     34,944
    norm1   LRN n=5, k=2, α=1e-4, β=0.75
    pool1    3×3       2                   96 × 27 × 27   (overlapping: 3 > 2)
    conv2    5×5       1     2     2      256 × 27 × 27   5·5·48·256    + 256  =    307,456
    norm2   as norm1
    pool2    3×3       2                  256 × 13 × 13
    conv3    3×3       1     1     1      384 × 13 × 13   3·3·256·384   + 384  =    885,120
    conv4    3×3       1     1     2      384 × 13 × 13   3·3·192·384   + 384  =    663,936
    conv5    3×3       1     1     2      256 × 13 × 13   3·3·192·256   + 256  =    442,624
    pool5    3×3       2                  256 ×  6 ×  6
    fc6                                          4096     9216·4096     + 4096 = 37,752,832
    fc7                                          4096     4096·4096     + 4096 = 16,781,312
    fc8                                          1000     4096·1000     + 1000 =  4,097,000
                                                                                 ──────────
                                                                                 60,965,224

ReLU follows conv1 … conv5, fc6 and fc7; dropout 0.5 follows ReLU after fc6 and fc7. The
order within a stage is convolution, ReLU, normalisation, pooling. No departures but one: dropout
scales while training instead of at test time (layers/dropout.py).

The paper counts 253,440 neurons in conv1; 55·55·96 is 290,400, and only with that number does
its sum come to the 650,000 of the abstract.

Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural
Networks", NIPS 2012.

`alexnet_owt` is the other AlexNet, the one of torchvision: one tower, no LRN, fewer filters
(64, 192, 384, 256, 256), 224×224 with padding 2, dropout before fc6 and fc7 instead of after.
61,100,840 parameters. Departure from its paper: that has 384 filters in conv4, not 256
(recalled, not looked up again).
Krizhevsky, "One Weird Trick for Parallelizing Convolutional Neural Networks", 2014.
"""
import numpy as np

from scratchnet.initialization import gaussian
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)


def alexnet(num_classes: int = 1000, in_channels: int = 3,
            rng: int | np.random.Generator | None = None) -> Sequential:
    """The 2012 network, (N, in_channels, 227, 227) → (N, num_classes), initialised as in the
    paper (see paper_init)."""
    rng = np.random.default_rng(rng)
    return paper_init(Sequential(
        conv1=Conv2d(in_channels, 96, 11, stride=4, rng=rng),
        relu1=ReLU(),
        norm1=LocalResponseNorm(),
        pool1=MaxPool2d(3, stride=2),
        conv2=Conv2d(96, 256, 5, padding=2, groups=2, rng=rng),
        relu2=ReLU(),
        norm2=LocalResponseNorm(),
        pool2=MaxPool2d(3, stride=2),
        conv3=Conv2d(256, 384, 3, padding=1, rng=rng),
        relu3=ReLU(),
        conv4=Conv2d(384, 384, 3, padding=1, groups=2, rng=rng),
        relu4=ReLU(),
        conv5=Conv2d(384, 256, 3, padding=1, groups=2, rng=rng),
        relu5=ReLU(),
        pool5=MaxPool2d(3, stride=2),
        flatten=Flatten(),
        fc6=Linear(256 * 6 * 6, 4096, rng=rng),
        relu6=ReLU(),
        drop6=Dropout(0.5, rng=rng),
        fc7=Linear(4096, 4096, rng=rng),
        relu7=ReLU(),
        drop7=Dropout(0.5, rng=rng),
        fc8=Linear(4096, num_classes, rng=rng),
    ), rng)


def alexnet_owt(num_classes: int = 1000, in_channels: int = 3,
                rng: int | np.random.Generator | None = None) -> Sequential:
    """torchvision's AlexNet and its names, (N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        features=Sequential(
            Conv2d(in_channels, 64, 11, stride=4, padding=2, rng=rng),      # 64 × 55 × 55
            ReLU(),
            MaxPool2d(3, stride=2),                                         # 64 × 27 × 27
            Conv2d(64, 192, 5, padding=2, rng=rng),                         # 192 × 27 × 27
            ReLU(),
            MaxPool2d(3, stride=2),                                         # 192 × 13 × 13
            Conv2d(192, 384, 3, padding=1, rng=rng),
            ReLU(),
            Conv2d(384, 256, 3, padding=1, rng=rng),
            ReLU(),
            Conv2d(256, 256, 3, padding=1, rng=rng),                        # 256 × 13 × 13
            ReLU(),
            MaxPool2d(3, stride=2),                                         # 256 × 6 × 6
        ),
        avgpool=AdaptiveAvgPool2d(6),           # changes nothing at 224×224
        flatten=Flatten(),
        classifier=Sequential(
            Dropout(0.5, rng=rng),
            Linear(256 * 6 * 6, 4096, rng=rng),
            ReLU(),
            Dropout(0.5, rng=rng),
            Linear(4096, 4096, rng=rng),
            ReLU(),
            Linear(4096, num_classes, rng=rng),
        ),
    )


def alexnet_small(num_classes: int = 10, in_channels: int = 1,
                  rng: int | np.random.Generator | None = None) -> Sequential:
    """The same layers in the same order for 32×32 images, (N, in_channels, 32, 32) →
    (N, num_classes).

    Narrower, and conv1 has a 5×5 kernel with stride 2 in place of 11×11 with stride 4.
    Initialised by He's rule with biases 0: with the paper's standard deviation of 0.01 so
    narrow a network passes next to nothing on (lesson 6 shows it).
    """
    rng = np.random.default_rng(rng)
    return Sequential(
        conv1=Conv2d(in_channels, 32, 5, stride=2, padding=2, rng=rng),     # 32 × 16 × 16
        relu1=ReLU(),
        norm1=LocalResponseNorm(),
        pool1=MaxPool2d(3, stride=2),                                       # 32 × 7 × 7
        conv2=Conv2d(32, 64, 5, padding=2, groups=2, rng=rng),              # 64 × 7 × 7
        relu2=ReLU(),
        norm2=LocalResponseNorm(),
        pool2=MaxPool2d(3, stride=2),                                       # 64 × 3 × 3
        conv3=Conv2d(64, 96, 3, padding=1, rng=rng),                        # 96 × 3 × 3
        relu3=ReLU(),
        conv4=Conv2d(96, 96, 3, padding=1, groups=2, rng=rng),
        relu4=ReLU(),
        conv5=Conv2d(96, 64, 3, padding=1, groups=2, rng=rng),              # 64 × 3 × 3
        relu5=ReLU(),
        pool5=MaxPool2d(3, stride=2),                                       # 64 × 1 × 1
        flatten=Flatten(),
        fc6=Linear(64, 256, rng=rng),
        relu6=ReLU(),
        drop6=Dropout(0.5, rng=rng),
        fc7=Linear(256, 256, rng=rng),
        relu7=ReLU(),
        drop7=Dropout(0.5, rng=rng),
        fc8=Linear(256, num_classes, rng=rng),
    )


def paper_init(network: Sequential, rng: int | np.random.Generator | None = None) -> Sequential:
    """Initialise an AlexNet as in section 5 of the paper; returns the network.

    Weights N(0, 0.01²); biases 1 in conv2, conv4, conv5, fc6 and fc7 ("provides the ReLUs with
    positive inputs"), 0 elsewhere.
    """
    return gaussian(network, 0.01, dict.fromkeys(("conv2", "conv4", "conv5", "fc6", "fc7"), 1.0),
                    rng=rng)
