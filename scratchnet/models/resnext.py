"""ResNeXt — many thin paths instead of one thick one.

A ResNet block whose 3×3 has g groups: g independent paths of d channels each, "g×d d". With
32 paths of 4 channels the block costs what ResNet-50's costs, and is better. The paper calls
g the cardinality. Stages, stem and head are ResNet's (models/resnet.py):

    block, width w       resnet50           32×4d                        32×8d
    ─────────────────    ───────────────    ─────────────────────────    ───────────────────────
    1×1                  C   → w            C   → 2w                     C   → 4w
    3×3                  w   → w            2w  → 2w in 32 groups        4w  → 4w in 32 groups
    1×1                  w   → 4w           2w  → 4w                     4w  → 4w
    ─────────────────    ───────────────    ─────────────────────────    ───────────────────────
    depths               3, 4, 6, 3         3, 4, 6, 3                   3, 4, 23, 3
    parameters           25,557,032         25,028,904                   88,791,336
    MACs                 4.089 G            4.230 G                      16.414 G

Departures: 32×8d is torchvision's; the paper's larger network is 64×4d. The stride is on the
3×3, in the paper's code as well. Names are torchvision's.

Xie, Girshick, Dollár, Tu & He, "Aggregated Residual Transformations for Deep Neural Networks",
CVPR 2017.
"""
import numpy as np

from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
)
from scratchnet.models.resnet import Bottleneck, resnet, stage


def resnext50_32x4d(num_classes: int = 1000, in_channels: int = 3,
                    rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return resnet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, rng,
                  groups=32, base_width=4)


def resnext101_32x8d(num_classes: int = 1000, in_channels: int = 3,
                     rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    return resnet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, rng,
                  groups=32, base_width=8)


def resnext_small(num_classes: int = 10, in_channels: int = 1,
                  rng: int | np.random.Generator | None = None) -> Sequential:
    """Eight paths of 2, 4 and 8 channels for 32×32 images, (N, in_channels, 32, 32) →
    (N, num_classes): resnet_small with groups."""
    rng = np.random.default_rng(rng)
    C, layers = 32, {}
    for i, width in enumerate((16, 32, 64)):
        layers[f"layer{i + 1}"], C = stage(Bottleneck, C, width, 2, 1 if i == 0 else 2, rng,
                                           groups=8, base_width=8)
    return Sequential(
        conv1=Conv2d(in_channels, 32, 3, stride=2, padding=1, bias=False, rng=rng),
        bn1=BatchNorm2d(32),
        relu=ReLU(),                                                        # 32 × 16 × 16
        **layers,                           # 64 × 16 × 16, 128 × 8 × 8, 256 × 4 × 4
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Linear(C, num_classes, rng=rng),
    )
