"""NASNet-A — a cell found by search, drawn from its genotype.

The search chose, five times over, two inputs, an operation for each, and added the results; what
no addition used is laid side by side as the cell's output. A cell has two inputs: h, the cell
before it, and p, the one before that. Both are brought to F channels by ReLU, 1×1 and
batch normalisation. The two genotypes (0 … 4: the additions; figure 4 of the paper):

    normal cell, keeps the side              reduction cell, halves the side
    0 = sep5×5(h) + sep3×3(p)                0 = sep5×5(h) + sep7×7(p)
    1 = sep5×5(p) + sep3×3(p)                1 = max3×3(h) + sep7×7(p)
    2 = mean3×3(h) + p                       2 = mean3×3(h) + sep5×5(p)
    3 = mean3×3(p) + mean3×3(p)              3 = 1 + mean3×3(0)
    4 = sep3×3(h) + h                        4 = sep3×3(0) + max3×3(h)
    output [p, 0, 1, 2, 3, 4]: 6·F channels  output [1, 2, 3, 4]: 4·F channels

sep: twice ReLU, depthwise, 1×1, batch normalisation. Where h and p differ in size, p's every
second pixel is taken twice, the second time shifted by one pixel, half of F from each. In a
reduction cell everything that reads h or p has stride 2. The network "4 @ 1056", one image of
3×224×224:

    conv0               32 × 111²   3×3/2, batch normalisation
    cell_stem_0         44 ×  56²   reduction, F = 11
    cell_stem_1         88 ×  28²   reduction, F = 22
    cell_0 … 3         264 ×  28²   normal, F = 44
    reduction_cell_0   352 ×  14²   F = 88
    cell_6 … 9         528 ×  14²   normal, F = 88
    reduction_cell_1   704 ×   7²   F = 176
    cell_12 … 15      1056 ×   7²   normal, F = 176
    ReLU, mean, dropout 0.5, linear      1000            5,289,978 parameters, 0.568 G MACs

Departures: no auxiliary head and no scheduled drop-path, as in the published PyTorch port
(Cadene), whose names these are; the paper's training had both. Strided windows are shifted by
one pixel, as TensorFlow's "SAME" does, by padding before and cutting after (layers/pad.py).

Zoph, Vasudevan, Shlens & Le, "Learning Transferable Architectures for Scalable Image
Recognition", CVPR 2018.
"""
import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concatenate,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    ZeroPad2d,
)

#: For each addition: operation, input, operation, input; then what is laid side by side.
NORMAL = ((("sep5", "h", "sep3", "p"), ("sep5", "p", "sep3", "p"), ("mean3", "h", "", "p"),
           ("mean3", "p", "mean3", "p"), ("sep3", "h", "", "h")), ("p", "0", "1", "2", "3", "4"))
REDUCTION = ((("sep5", "h", "sep7", "p"), ("max3", "h", "sep7", "p"), ("mean3", "h", "sep5", "p"),
              ("", "1", "mean3", "0"), ("sep3", "0", "max3", "h")), ("1", "2", "3", "4"))


def nasnet_a_mobile(num_classes: int = 1000, in_channels: int = 3,
                    rng: int | np.random.Generator | None = None) -> Graph:
    """(N, in_channels, 224, 224) → (N, num_classes)."""
    rng = np.random.default_rng(rng)
    F = 44
    return Graph(
        ("conv0", Sequential(conv=Conv2d(in_channels, 32, 3, stride=2, bias=False, rng=rng),
                             bn=BatchNorm2d(32, eps=1e-3)), "x"),
        ("cell_stem_0", cell(REDUCTION, 32, 32, F // 4, "raw", rng), "conv0", "conv0"),
        ("cell_stem_1", cell(REDUCTION, F, 32, F // 2, "larger", rng), "cell_stem_0", "conv0"),
        ("cell_0", cell(NORMAL, 2 * F, F, F, "larger", rng), "cell_stem_1", "cell_stem_0"),
        ("cell_1", cell(NORMAL, 6 * F, 2 * F, F, "same", rng), "cell_0", "cell_stem_1"),
        ("cell_2", cell(NORMAL, 6 * F, 6 * F, F, "same", rng), "cell_1", "cell_0"),
        ("cell_3", cell(NORMAL, 6 * F, 6 * F, F, "same", rng), "cell_2", "cell_1"),
        ("reduction_cell_0", cell(REDUCTION, 6 * F, 6 * F, 2 * F, "same", rng), "cell_3", "cell_2"),
        ("cell_6", cell(NORMAL, 8 * F, 6 * F, 2 * F, "larger", rng), "reduction_cell_0", "cell_3"),
        ("cell_7", cell(NORMAL, 12 * F, 8 * F, 2 * F, "same", rng), "cell_6", "reduction_cell_0"),
        ("cell_8", cell(NORMAL, 12 * F, 12 * F, 2 * F, "same", rng), "cell_7", "cell_6"),
        ("cell_9", cell(NORMAL, 12 * F, 12 * F, 2 * F, "same", rng), "cell_8", "cell_7"),
        ("reduction_cell_1", cell(REDUCTION, 12 * F, 12 * F, 4 * F, "same", rng),
         "cell_9", "cell_8"),
        ("cell_12", cell(NORMAL, 16 * F, 12 * F, 4 * F, "larger", rng),
         "reduction_cell_1", "cell_9"),
        ("cell_13", cell(NORMAL, 24 * F, 16 * F, 4 * F, "same", rng),
         "cell_12", "reduction_cell_1"),
        ("cell_14", cell(NORMAL, 24 * F, 24 * F, 4 * F, "same", rng), "cell_13", "cell_12"),
        ("cell_15", cell(NORMAL, 24 * F, 24 * F, 4 * F, "same", rng), "cell_14", "cell_13"),
        *_head(24 * F, num_classes, "cell_15", AvgPool2d(7, stride=1), rng),
    )


def nasnet_small(num_classes: int = 10, in_channels: int = 1,
                 rng: int | np.random.Generator | None = None) -> Graph:
    """Reduction (the stem), normal, reduction, normal for 32×32 images, (N, in_channels, 32, 32) →
    (N, num_classes)."""
    rng = np.random.default_rng(rng)
    F = 12
    return Graph(
        ("conv0", Sequential(conv=Conv2d(in_channels, 16, 3, stride=2, padding=1, bias=False,
                                         rng=rng),
                             bn=BatchNorm2d(16, eps=1e-3)), "x"),                # 16 × 16 × 16
        ("cell_stem_0", cell(REDUCTION, 16, 16, F // 2, "raw", rng), "conv0", "conv0"),
        ("cell_0", cell(NORMAL, 2 * F, 16, F, "larger", rng), "cell_stem_0", "conv0"),  # 72 × 8²
        ("reduction_cell_0", cell(REDUCTION, 6 * F, 2 * F, 2 * F, "same", rng),
         "cell_0", "cell_stem_0"),                                               # 96 × 4 × 4
        ("cell_1", cell(NORMAL, 8 * F, 6 * F, 2 * F, "larger", rng),
         "reduction_cell_0", "cell_0"),                                          # 144 × 4 × 4
        *_head(12 * F, num_classes, "cell_1", AdaptiveAvgPool2d(1), rng),
    )


def _head(channels: int, num_classes: int, last: str, pool: Layer,
          rng: np.random.Generator) -> list[tuple]:
    return [("relu", ReLU(), last),
            ("avg_pool", pool, "relu"),
            ("flatten", Flatten(), "avg_pool"),
            ("dropout", Dropout(0.5, rng=rng), "flatten"),
            ("last_linear", Linear(channels, num_classes, rng=rng), "dropout")]


def cell(genotype: tuple, h_channels: int, p_channels: int, F: int, p_is: str,
         rng: np.random.Generator | None = None) -> Graph:
    """Draw a cell: a Graph of h (N, h_channels, H, W) and p → (N, 6·F, H, W) or (N, 4·F, H/2, W/2).

    `p_is`: "same" if p is of h's size, "larger" if it has twice the side, and "raw" for the
    first cell, which takes p as it is and does not shift its strided windows.
    """
    additions, output = genotype
    strided = ("h", "p") if genotype is REDUCTION else ()
    rows = [("conv_1x1", squeeze(h_channels, F, rng), "h")]
    if p_is == "same":
        rows.append(("conv_prev_1x1", squeeze(p_channels, F, rng), "p"))
    elif p_is == "larger":
        rows += halve(p_channels, F, rng)
    value = {"h": "conv_1x1", "p": "p" if p_is == "raw" else rows[-1][0]}

    for i, (left, a, right, b) in enumerate(additions):
        joined = []
        for side, op, source in (("left", left, a), ("right", right, b)):
            name = f"comb_iter_{i}_{side}" if op else value[source]
            if op:
                C = p_channels if (p_is, source) == ("raw", "p") else F
                stride = 2 if source in strided else 1
                # The port shifts the separable of addition 4, too. It has stride 1: shifting
                # changes nothing but the count of MACs (a row and a column computed, then cut).
                shifted = p_is != "raw" and (stride == 2 or bool(strided) and op == "sep3")
                rows.append((name, operation(op, C, F, stride, shifted, rng), value[source]))
            joined.append(name)
        value[str(i)] = f"comb_iter_{i}"
        rows.append((value[str(i)], Add(), *joined))
    return Graph(*rows, ("cat", Concatenate(), *(value[o] for o in output)), inputs=("h", "p"))


def operation(name: str, C: int, F: int, stride: int, shifted: bool,
              rng: np.random.Generator | None = None) -> Layer:
    """One operation of the search space: (N, C, H, W) → (N, F, H/stride, W/stride)."""
    if name.startswith("sep"):
        return separable(C, F, int(name[3:]), stride, shifted, rng)
    pool = MaxPool2d(3, stride, 1) if name == "max3" else AvgPool2d(3, stride, 1,
                                                                    count_include_pad=False)
    if not shifted:
        return pool
    return Sequential(pad=ZeroPad2d((1, 0, 1, 0)), pool=pool, crop=ZeroPad2d((-1, 0, -1, 0)))


def separable(C: int, F: int, kernel: int, stride: int, shifted: bool,
              rng: np.random.Generator | None = None) -> Sequential:
    """ReLU, depthwise, 1×1, batch normalisation, twice; only the first has the stride."""
    first = Sequential(
        depthwise_conv2d=Conv2d(C, C, kernel, stride, kernel // 2, groups=C, bias=False, rng=rng),
        pointwise_conv2d=Conv2d(C, F, 1, bias=False, rng=rng))
    second = Sequential(
        depthwise_conv2d=Conv2d(F, F, kernel, 1, kernel // 2, groups=F, bias=False, rng=rng),
        pointwise_conv2d=Conv2d(F, F, 1, bias=False, rng=rng))
    before = {"pad": ZeroPad2d((1, 0, 1, 0))} if shifted else {}
    after = {"crop": ZeroPad2d((-1, 0, -1, 0))} if shifted else {}
    return Sequential(relu=ReLU(), **before, separable_1=first, **after,
                      bn_sep_1=BatchNorm2d(F, eps=1e-3), relu1=ReLU(),
                      separable_2=second, bn_sep_2=BatchNorm2d(F, eps=1e-3))


def squeeze(C: int, F: int, rng: np.random.Generator | None = None) -> Sequential:
    """ReLU, 1×1, batch normalisation: (N, C, H, W) → (N, F, H, W)."""
    return Sequential(relu=ReLU(), conv=Conv2d(C, F, 1, bias=False, rng=rng),
                      bn=BatchNorm2d(F, eps=1e-3))


def halve(C: int, F: int, rng: np.random.Generator | None = None) -> list[tuple]:
    """Rows of a Graph that bring p to F channels and half its side without losing pixels:
    every second one from the first on, and every second one from the second on."""
    return [
        ("relu", ReLU(), "p"),
        ("path_1", Sequential(avgpool=AvgPool2d(1, stride=2),
                              conv=Conv2d(C, F // 2, 1, bias=False, rng=rng)), "relu"),
        ("path_2", Sequential(pad=ZeroPad2d((-1, 1, -1, 1)), avgpool=AvgPool2d(1, stride=2),
                              conv=Conv2d(C, F // 2, 1, bias=False, rng=rng)), "relu"),
        ("paths", Concatenate(), "path_1", "path_2"),
        ("final_path_bn", BatchNorm2d(F, eps=1e-3), "paths"),
    ]
