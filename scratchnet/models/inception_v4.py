"""Inception-v4 — inception modules alone, tidied up; and how far one can factor a filter.

Wide filters are split into thin ones: 5×5 into two 3×3, n×n into 1×n and n×1. Where the maps
shrink, strided convolutions and a maximum run side by side ("reduction"). One image of
3×299×299 (figures 3 to 9 of the paper); conv: convolution, batch normalisation, ReLU:

    features      output        branches, laid side by side
    ────────────  ───────────   ───────────────────────────────────────────────────────────────
     0  conv        32 × 149²   3×3/2
     1  conv        32 × 147²   3×3
     2  conv        64 × 147²   3×3, padded
     3  stem       160 ×  73²   max 3×3/2 | 3×3/2, 96
     4  stem       192 ×  71²   1×1, 64; 3×3, 96 | 1×1, 64; 1×7, 64; 7×1, 64; 3×3, 96
     5  stem       384 ×  35²   3×3/2, 192 | max 3×3/2
     6 … 9  A      384 ×  35²   1×1, 96 | 1×1, 64; 3×3, 96 | 1×1, 64; 3×3, 96; 3×3, 96
                                | mean; 1×1, 96
    10  reduce A  1024 ×  17²   3×3/2, 384 | 1×1, 192; 3×3, 224; 3×3/2, 256 | max 3×3/2
    11 … 17  B    1024 ×  17²   1×1, 384 | 1×1, 192; 1×7, 224; 7×1, 256
                                | 1×1, 192; 7×1, 192; 1×7, 224; 7×1, 224; 1×7, 256
                                | mean; 1×1, 128
    18  reduce B  1536 ×   8²   1×1, 192; 3×3/2, 192 | 1×1, 256; 1×7, 256; 7×1, 320; 3×3/2, 320
                                | max 3×3/2
    19 … 21  C    1536 ×   8²   1×1, 256 | 1×1, 384; (1×3, 256 | 3×1, 256)
                                | 1×1, 384; 3×1, 448; 1×3, 512; (1×3, 256 | 3×1, 256)
                                | mean; 1×1, 256
    mean, dropout 0.2, linear 1000                      42,679,816 parameters, 12.254 G MACs

It is "a pure Inception variant without residual connections" (the paper); for those see
models/inception_resnet.py. Names are timm's, but for the forks of C, which are nested here.

Szegedy, Ioffe, Vanhoucke & Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual
Connections on Learning", AAAI 2017.
"""
import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Concat,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Sequential,
)
from scratchnet.models.blocks import conv_bn_relu as conv


def inception_v4(num_classes: int = 1000, in_channels: int = 3,
                 rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 299, 299) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return _network([
        conv(in_channels, 32, 3, stride=2, rng=rng),
        conv(32, 32, 3, rng=rng),
        conv(32, 64, 3, padding=1, rng=rng),
        Concat(maxpool=MaxPool2d(3, stride=2), conv=conv(64, 96, 3, stride=2, rng=rng)),
        Concat(branch0=Sequential(conv(160, 64, 1, rng=rng), conv(64, 96, 3, rng=rng)),
               branch1=Sequential(conv(160, 64, 1, rng=rng),
                                  conv(64, 64, (1, 7), padding=(0, 3), rng=rng),
                                  conv(64, 64, (7, 1), padding=(3, 0), rng=rng),
                                  conv(64, 96, 3, rng=rng))),
        Concat(conv=conv(192, 192, 3, stride=2, rng=rng), maxpool=MaxPool2d(3, stride=2)),
        *[inception_a(384, 96, 64, rng) for _ in range(4)],
        reduction_a(384, 384, (192, 224, 256), rng),
        *[inception_b(1024, 384, (192, 224, 256), 128, rng) for _ in range(7)],
        reduction_b(1024, 192, 256, 320, rng),
        *[inception_c(1536, 256, (384, 448, 512), rng) for _ in range(3)],
    ], 1536, num_classes, rng)


def inception_v4_small(num_classes: int = 10, in_channels: int = 1,
                       rng: int | np.random.Generator | None = None) -> Sequential:
    """Each module once for 32×32 images, an eighth as wide, (N, in_channels, 32, 32) →
    (N, num_classes)."""
    rng = np.random.default_rng(rng)
    return _network([
        conv(in_channels, 16, 3, stride=2, padding=1, rng=rng),             # 16 × 16 × 16
        Concat(branch0=Sequential(conv(16, 12, 1, rng=rng), conv(12, 16, 3, padding=1, rng=rng)),
               branch1=Sequential(conv(16, 12, 1, rng=rng),
                                  conv(12, 12, (1, 7), padding=(0, 3), rng=rng),
                                  conv(12, 12, (7, 1), padding=(3, 0), rng=rng),
                                  conv(12, 16, 3, padding=1, rng=rng))),    # 32 × 16 × 16
        inception_a(32, 12, 8, rng),                                        # 48 × 16 × 16
        reduction_a(48, 32, (16, 24, 32), rng),                             # 112 × 7 × 7
        inception_b(112, 32, (16, 24, 32), 16, rng),                        # 112 × 7 × 7
        reduction_b(112, 24, 24, 32, rng),                                  # 168 × 3 × 3
        inception_c(168, 32, (32, 40, 48), rng),                            # 192 × 3 × 3
    ], 192, num_classes, rng)


def _network(features: list[Layer], channels: int, num_classes: int,
             rng: np.random.Generator) -> Sequential:
    return Sequential(
        features=Sequential(*features),
        global_pool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        head_drop=Dropout(0.2, rng=rng),
        last_linear=Linear(channels, num_classes, rng=rng),
    )


def mean_pool() -> AvgPool2d:
    """3×3 mean that keeps the size; at the border it divides by the real pixels only."""
    return AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def inception_a(C: int, out: int, reduce: int, rng: np.random.Generator | None = None) -> Concat:
    """1×1, 3×3, two 3×3 and mean: (N, C, H, W) → (N, 4·out, H, W)."""
    return Concat(
        branch0=conv(C, out, 1, rng=rng),
        branch1=Sequential(conv(C, reduce, 1, rng=rng),
                           conv(reduce, out, 3, padding=1, rng=rng)),
        branch2=Sequential(conv(C, reduce, 1, rng=rng),
                           conv(reduce, out, 3, padding=1, rng=rng),
                           conv(out, out, 3, padding=1, rng=rng)),
        branch3=Sequential(mean_pool(), conv(C, out, 1, rng=rng)),
    )


def reduction_a(C: int, n: int, klm: tuple[int, int, int],
                rng: np.random.Generator | None = None) -> Concat:
    """Halve the side: (N, C, H, W) → (N, n + m + C, ⌊(H−1)/2⌋, ⌊(W−1)/2⌋); k, l, m as in table 1
    of the paper."""
    k, l, m = klm
    return Concat(
        branch0=conv(C, n, 3, stride=2, rng=rng),
        branch1=Sequential(conv(C, k, 1, rng=rng),
                           conv(k, l, 3, padding=1, rng=rng),
                           conv(l, m, 3, stride=2, rng=rng)),
        branch2=MaxPool2d(3, stride=2),
    )


def inception_b(C: int, n: int, klm: tuple[int, int, int], pool: int,
                rng: np.random.Generator | None = None) -> Concat:
    """7×7 in thin slices: (N, C, H, W) → (N, n + 2·m + pool, H, W)."""
    k, l, m = klm
    return Concat(
        branch0=conv(C, n, 1, rng=rng),
        branch1=Sequential(conv(C, k, 1, rng=rng),
                           conv(k, l, (1, 7), padding=(0, 3), rng=rng),
                           conv(l, m, (7, 1), padding=(3, 0), rng=rng)),
        branch2=Sequential(conv(C, k, 1, rng=rng),
                           conv(k, k, (7, 1), padding=(3, 0), rng=rng),
                           conv(k, l, (1, 7), padding=(0, 3), rng=rng),
                           conv(l, l, (7, 1), padding=(3, 0), rng=rng),
                           conv(l, m, (1, 7), padding=(0, 3), rng=rng)),
        branch3=Sequential(mean_pool(), conv(C, pool, 1, rng=rng)),
    )


def reduction_b(C: int, n: int, k: int, m: int, rng: np.random.Generator | None = None) -> Concat:
    """Halve the side: (N, C, H, W) → (N, n + m + C, ⌊(H−1)/2⌋, ⌊(W−1)/2⌋)."""
    return Concat(
        branch0=Sequential(conv(C, n, 1, rng=rng), conv(n, n, 3, stride=2, rng=rng)),
        branch1=Sequential(conv(C, k, 1, rng=rng),
                           conv(k, k, (1, 7), padding=(0, 3), rng=rng),
                           conv(k, m, (7, 1), padding=(3, 0), rng=rng),
                           conv(m, m, 3, stride=2, rng=rng)),
        branch2=MaxPool2d(3, stride=2),
    )


def inception_c(C: int, n: int, klm: tuple[int, int, int],
                rng: np.random.Generator | None = None) -> Concat:
    """Branches that fork once more at their ends: (N, C, H, W) → (N, 6·n, H, W)."""
    k, l, m = klm
    return Concat(
        branch0=conv(C, n, 1, rng=rng),
        branch1=Sequential(conv(C, k, 1, rng=rng), _fork(k, n, rng)),
        branch2=Sequential(conv(C, k, 1, rng=rng),
                           conv(k, l, (3, 1), padding=(1, 0), rng=rng),
                           conv(l, m, (1, 3), padding=(0, 1), rng=rng),
                           _fork(m, n, rng)),
        branch3=Sequential(mean_pool(), conv(C, n, 1, rng=rng)),
    )


def _fork(C: int, out: int, rng: np.random.Generator | None) -> Concat:
    """1×3 and 3×1 side by side."""
    return Concat(a=conv(C, out, (1, 3), padding=(0, 1), rng=rng),
                  b=conv(C, out, (3, 1), padding=(1, 0), rng=rng))
