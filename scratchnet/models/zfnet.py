"""ZFNet — AlexNet, looked into and mended; winner of ILSVRC-2013's classification.

Pictures of AlexNet's features showed dead and blurred filters in conv1 and aliasing in conv2.
The cure: conv1 looks through 7×7 in steps of 2 instead of 11×11 in steps of 4, and there is
one tower instead of two. One image of 3×224×224 (figure 3 of the paper):

    layer   kernel  stride  pad     output            parameters
    ──────  ──────  ──────  ───     ───────────────   ──────────────────────────────────
    conv1    7×7      2      1       96 × 110 × 110   7·7·3·96     + 96   =     14,208
    pool1    3×3      2      1       96 ×  55 ×  55
    norm1   LRN n=5, k=2, α=1e-4, β=0.75
    conv2    5×5      2      0      256 ×  26 ×  26   5·5·96·256   + 256  =    614,656
    pool2    3×3      2      1      256 ×  13 ×  13
    norm2   as norm1
    conv3    3×3      1      1      384 ×  13 ×  13   3·3·256·384  + 384  =    885,120
    conv4    3×3      1      1      384 ×  13 ×  13   3·3·384·384  + 384  =  1,327,488
    conv5    3×3      1      1      256 ×  13 ×  13   3·3·384·256  + 256  =    884,992
    pool5    3×3      2      0      256 ×   6 ×   6
    fc6                                     4096      9216·4096    + 4096 = 37,752,832
    fc7                                     4096      4096·4096    + 4096 = 16,781,312
    fc8                                     1000      4096·1000    + 1000 =  4,097,000
                                                                            ──────────
                                                                            62,357,608

ReLU follows every layer with weights but the last, dropout 0.5 follows fc6 and fc7.

Departures: the figure gives sizes but no padding; the padding here is what makes its sizes
come out. The paper normalises "contrast across feature maps" without constants; AlexNet's are
taken. The paper also rescales filters whose RMS exceeds 0.1, which is training, not topology.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
"""
import numpy as np

from scratchnet.layers import (
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)


def zfnet(num_classes: int = 1000, in_channels: int = 3,
          rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return Sequential(
        conv1=Conv2d(in_channels, 96, 7, stride=2, padding=1, rng=rng),
        relu1=ReLU(),
        pool1=MaxPool2d(3, stride=2, padding=1),
        norm1=LocalResponseNorm(),
        conv2=Conv2d(96, 256, 5, stride=2, rng=rng),
        relu2=ReLU(),
        pool2=MaxPool2d(3, stride=2, padding=1),
        norm2=LocalResponseNorm(),
        conv3=Conv2d(256, 384, 3, padding=1, rng=rng),
        relu3=ReLU(),
        conv4=Conv2d(384, 384, 3, padding=1, rng=rng),
        relu4=ReLU(),
        conv5=Conv2d(384, 256, 3, padding=1, rng=rng),
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
    )


def zfnet_small(num_classes: int = 10, in_channels: int = 1,
                rng: int | np.random.Generator | None = None) -> Sequential:
    """The same layers in the same order for 32×32 images: narrower, and with gentler strides."""
    rng = np.random.default_rng(rng)
    return Sequential(
        conv1=Conv2d(in_channels, 32, 5, stride=1, padding=2, rng=rng),     # 32 × 32 × 32
        relu1=ReLU(),
        pool1=MaxPool2d(3, stride=2, padding=1),                            # 32 × 16 × 16
        norm1=LocalResponseNorm(),
        conv2=Conv2d(32, 64, 5, stride=2, padding=2, rng=rng),              # 64 × 8 × 8
        relu2=ReLU(),
        pool2=MaxPool2d(3, stride=2, padding=1),                            # 64 × 4 × 4
        norm2=LocalResponseNorm(),
        conv3=Conv2d(64, 96, 3, padding=1, rng=rng),
        relu3=ReLU(),
        conv4=Conv2d(96, 96, 3, padding=1, rng=rng),
        relu4=ReLU(),
        conv5=Conv2d(96, 64, 3, padding=1, rng=rng),                        # 64 × 4 × 4
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
