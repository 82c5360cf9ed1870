"""The table of cases: one line a layer and its inputs, used by every test that asks all layers.

Sizes are small, and distinct wherever the layer allows it, so that swapped axes show. The
geometries cover kernels above, at and below the stride, overlap, padding 0, 1 and more,
padding below 0, pixels that no window sees, dilation, groups and N = 1.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Concatenate,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    MaxUnpool2d,
    ReLU,
    ReLU6,
    Residual,
    Scale,
    Sequential,
    Sigmoid,
    SiLU,
    SoftmaxCrossEntropy,
    StochasticDepth,
    Tanh,
    ZeroPad2d,
)
from scratchnet.models.cifar_resnet import PadShortcut
from scratchnet.models.lenet import (
    CodeDistance,
    PartialConv2d,
    ScaledTanh,
    Subsampling,
    codes,
)

LABELS = "labels"       # in the place of a shape: N integers below the logits' columns


class Switches(NamedTuple):
    """In the place of a shape: integers of this shape, below `places`."""

    shape: tuple
    places: int


class Case(NamedTuple):
    id: str
    make: Callable[[], Layer]
    shapes: tuple
    size: float = 1         # of the inputs: their standard deviation

    def __str__(self) -> str:
        return self.id

    def layer(self, dtype: Any = np.float64, seed: int = 0) -> Layer:
        """A new layer; nothing in it is 0 or 1, so that no factor and no term can hide."""
        rng = np.random.default_rng(seed)
        layer = self.make()
        for parameter in layer.parameters():
            parameter.value = rng.standard_normal(parameter.value.shape, np.float32)
        for _, inner in layer.named_layers():
            if isinstance(inner, BatchNorm2d):
                inner.running_mean = rng.standard_normal(inner.num_features, np.float32)
                inner.running_var = 0.5 + rng.random(inner.num_features, np.float32)
            elif isinstance(inner, CodeDistance):
                inner.codes = rng.standard_normal(inner.codes.shape, np.float32)
        return layer.astype(dtype)

    def inputs(self, dtype: Any = np.float64, seed: int = 1) -> list:
        """Random inputs; the float64 ones are exactly the float32 ones."""
        rng = np.random.default_rng(seed)
        return [rng.integers(0, self.shapes[0][1], self.shapes[0][0]) if shape == LABELS
                else rng.integers(0, shape.places, shape.shape) if isinstance(shape, Switches)
                else (self.size * rng.standard_normal(shape, np.float32)).astype(dtype)
                for shape in self.shapes]

    @property
    def takes_dy(self) -> bool:
        """False for a loss: its backward takes a number."""
        return LABELS not in self.shapes


def case(id: str, make: Callable[[], Layer], *shapes: tuple | str, size: float = 1) -> Case:
    return Case(id, make, shapes, size)


CONV = [
    case("conv 3", lambda: Conv2d(2, 3, 3), (2, 2, 5, 6)),
    case("conv 3 padding 1", lambda: Conv2d(3, 2, 3, padding=1), (2, 3, 4, 5)),
    case("conv 2x3 stride 1x2", lambda: Conv2d(3, 4, (2, 3), (1, 2)), (2, 3, 5, 7)),
    case("conv 3 stride 2, last row unseen", lambda: Conv2d(3, 2, 3, 2), (2, 3, 6, 7)),
    case("conv at stride", lambda: Conv2d(3, 4, (2, 3), (2, 3)), (1, 3, 5, 7)),
    case("conv below stride", lambda: Conv2d(3, 2, (1, 2), (2, 4)), (2, 3, 5, 8)),
    case("conv padding 2x3", lambda: Conv2d(2, 3, (5, 4), (2, 1), (2, 3)), (2, 2, 4, 3)),
    case("conv padding above kernel", lambda: Conv2d(2, 3, 2, 3, 4), (2, 2, 3, 5)),
    case("conv dilation 2x3", lambda: Conv2d(2, 3, (3, 2), dilation=(2, 3)), (2, 2, 7, 6)),
    case("conv groups 2", lambda: Conv2d(4, 6, (3, 2), groups=2, padding=1), (2, 4, 3, 5)),
    case("conv depthwise", lambda: Conv2d(3, 3, (2, 3), groups=3), (2, 3, 4, 5)),
    case("conv depthwise x2", lambda: Conv2d(3, 6, 3, 2, 1, groups=3, bias=False), (2, 3, 4, 5)),
    case("conv depthwise 3 stride 2", lambda: Conv2d(3, 3, 3, 2, 1, groups=3), (2, 3, 4, 6)),
    case("conv depthwise 5, last column unseen",
         lambda: Conv2d(2, 2, 5, (1, 2), (2, 1), groups=2, bias=False), (3, 2, 6, 8)),
    case("conv depthwise everything", lambda: Conv2d(4, 4, (2, 3), (3, 2), (2, 1), (2, 3), 4),
         (2, 4, 7, 9)),
    case("conv depthwise N = 1", lambda: Conv2d(5, 5, 3, padding=1, groups=5), (1, 5, 3, 4)),
    case("conv depthwise, image below kernel", lambda: Conv2d(2, 2, 5, padding=2, groups=2),
         (3, 2, 1, 4)),
    case("conv depthwise, taps on padding alone",
         lambda: Conv2d(3, 3, (5, 1), (2, 3), (4, 2), groups=3), (2, 3, 1, 2)),
    case("conv everything", lambda: Conv2d(4, 2, (2, 3), (3, 2), (2, 1), (2, 1), 2), (3, 4, 7, 6)),
    case("conv no bias", lambda: Conv2d(2, 3, 2, bias=False), (1, 2, 3, 4)),
    case("conv whole image", lambda: Conv2d(3, 2, (4, 5)), (2, 3, 4, 5)),
    case("conv one pixel", lambda: Conv2d(2, 3, 3, padding=1), (1, 2, 1, 1)),
    case("conv 1x1", lambda: Conv2d(3, 5, 1), (2, 3, 4, 6)),
    case("conv 1x1 stride 2x3", lambda: Conv2d(3, 2, 1, (2, 3), bias=False), (2, 3, 4, 5)),
    case("conv 1x1 stride 2x1", lambda: Conv2d(2, 3, 1, (2, 1)), (2, 2, 5, 3)),
    case("conv 1x1 groups 2", lambda: Conv2d(4, 6, 1, (1, 2), groups=2), (3, 4, 2, 5)),
    case("conv 1x1 depthwise", lambda: Conv2d(3, 3, 1, groups=3), (2, 3, 4, 5)),
    case("conv 1x1 padding 1", lambda: Conv2d(2, 3, 1, padding=1), (1, 2, 3, 4)),
]

TRANSPOSE = [
    case("transpose 3", lambda: ConvTranspose2d(2, 3, 3), (2, 2, 4, 5)),
    case("transpose 3 padding 1", lambda: ConvTranspose2d(3, 2, 3, padding=1), (2, 3, 4, 5)),
    case("transpose 2x3 stride 1x2", lambda: ConvTranspose2d(3, 4, (2, 3), (1, 2)), (2, 3, 3, 4)),
    case("transpose 3 stride 2, one more row", lambda: ConvTranspose2d(3, 2, 3, 2, 0, (1, 0)),
         (2, 3, 3, 4)),
    case("transpose at stride", lambda: ConvTranspose2d(3, 4, (2, 3), (2, 3)), (1, 3, 2, 4)),
    case("transpose below stride", lambda: ConvTranspose2d(3, 2, (1, 2), (2, 4), 0, (1, 3)),
         (2, 3, 3, 4)),
    case("transpose padding 2x1", lambda: ConvTranspose2d(2, 3, (5, 4), (2, 1), (2, 1)),
         (2, 2, 3, 4)),
    case("transpose padding cuts all of some pixels", lambda: ConvTranspose2d(2, 3, 2, 3, 3),
         (2, 2, 4, 5)),
    case("transpose dilation 2x1", lambda: ConvTranspose2d(3, 4, (2, 3), 1, 1, 0, (2, 1)),
         (2, 3, 4, 3)),
    case("transpose groups 2", lambda: ConvTranspose2d(4, 6, (3, 2), groups=2), (2, 4, 3, 5)),
    case("transpose depthwise", lambda: ConvTranspose2d(3, 3, 3, 2, 1, 1, groups=3),
         (2, 3, 4, 5)),
    case("transpose everything", lambda: ConvTranspose2d(4, 2, (2, 3), (3, 2), (2, 1), (2, 1),
                                                         (2, 1), 2), (3, 4, 3, 4)),
    case("transpose no bias", lambda: ConvTranspose2d(2, 3, 2, bias=False), (1, 2, 3, 4)),
    case("transpose one pixel", lambda: ConvTranspose2d(2, 3, (4, 5)), (2, 2, 1, 1)),
    case("transpose 1x1", lambda: ConvTranspose2d(3, 5, 1), (2, 3, 4, 6)),
    case("transpose 1x1 stride 2x3", lambda: ConvTranspose2d(3, 2, 1, (2, 3), 0, (1, 0)),
         (2, 3, 4, 5)),
]

WINDOWS = [             # name, arguments of both poolings, shape
    ("at stride", (2,), (2, 3, 6, 5)),
    ("3x2 at stride", ((3, 2),), (2, 3, 7, 5)),
    ("overlap", (3, 2), (2, 3, 7, 6)),
    ("2x3 stride 1", ((2, 3), 1), (1, 2, 4, 5)),
    ("below stride", ((1, 2), (2, 3)), (2, 3, 4, 7)),
    ("padding 1", (3, 2, 1), (2, 3, 5, 6)),
    ("padding 2x1", ((4, 3), (1, 2), (2, 1)), (2, 3, 3, 6)),
    ("ceil", (3, 2, 0, True), (2, 3, 6, 8)),
    ("ceil padding", ((3, 2), (2, 3), 1, True), (2, 3, 4, 6)),
    ("ceil on padding", (2, 2, 1, True), (2, 2, 3, 5)),
    ("ceil below stride", (2, 4, 0, True), (2, 3, 5, 7)),
    ("ceil, image below kernel", (3, 2, 0, True), (1, 3, 2, 4)),
    ("whole image", ((3, 4),), (2, 5, 3, 4)),
    ("one tap", (1,), (2, 3, 2, 4)),
]
POOL = [
    *[case(f"max {name}", lambda a=args: MaxPool2d(*a), shape) for name, args, shape in WINDOWS],
    *[case(f"avg {name}", lambda a=args: AvgPool2d(*a), shape) for name, args, shape in WINDOWS],
    *[case(f"avg {name}, pixels only", lambda a=args: AvgPool2d(*a, count_include_pad=False),
           shape) for name, args, shape in WINDOWS if "padding" in name],
    case("max 17x16: 272 taps", lambda: MaxPool2d((17, 16)), (1, 1, 17, 18)),
    case("adaptive 1", lambda: AdaptiveAvgPool2d(), (2, 3, 4, 5)),
    case("adaptive 2x3", lambda: AdaptiveAvgPool2d((2, 3)), (2, 4, 5, 7)),
    case("adaptive 6", lambda: AdaptiveAvgPool2d(6), (2, 3, 7, 9)),
    case("adaptive above image", lambda: AdaptiveAvgPool2d((4, 7)), (1, 2, 3, 5)),
    case("adaptive one channel", lambda: AdaptiveAvgPool2d(2), (3, 1, 4, 5)),
    case("adaptive same", lambda: AdaptiveAvgPool2d((3, 4)), (2, 5, 3, 4)),
]
UNPOOL = [
    case("unpool", lambda: MaxUnpool2d((4, 6)), (2, 3, 2, 3), Switches((2, 3, 2, 3), 24)),
    case("unpool, many to one place", lambda: MaxUnpool2d((2, 3)), (2, 3, 4, 5),
         Switches((2, 3, 4, 5), 6)),
    case("unpool one pixel", lambda: MaxUnpool2d(5), (1, 4, 1, 1), Switches((1, 4, 1, 1), 25)),
]

NORM = [
    case("lrn paper", lambda: LocalResponseNorm(), (2, 7, 3, 4)),
    case("lrn loud", lambda: LocalResponseNorm(alpha=0.5), (2, 7, 3, 4)),
    case("lrn 3", lambda: LocalResponseNorm(3, 0.5, 0.6, 1.5), (1, 5, 2, 3)),
    case("lrn even 4", lambda: LocalResponseNorm(4, 0.5), (2, 7, 3, 4)),
    case("lrn even 2", lambda: LocalResponseNorm(2, 0.5), (2, 3, 4, 5)),
    case("lrn 1", lambda: LocalResponseNorm(1, 0.5, k=1), (2, 3, 4, 5)),
    case("lrn window above channels", lambda: LocalResponseNorm(9, 0.5), (2, 3, 4, 5)),
    case("lrn one channel", lambda: LocalResponseNorm(5, 0.5), (2, 1, 3, 4)),
    case("batchnorm", lambda: BatchNorm2d(3), (2, 3, 4, 5)),
    case("batchnorm N = 1", lambda: BatchNorm2d(2, eps=1e-3, momentum=0.3), (1, 2, 3, 4)),
    case("batchnorm one pixel", lambda: BatchNorm2d(3), (5, 3, 1, 1)),
]

PLAIN = [
    case("linear", lambda: Linear(4, 3), (5, 4)),
    case("linear no bias", lambda: Linear(3, 2, bias=False), (4, 3)),
    case("linear N = 1", lambda: Linear(2, 5), (1, 2)),
    *[case(f"{make.__name__.lower()} {len(shape)}-d", make, shape, size=size)
      for make, size in ((ReLU, 1), (ReLU6, 6), (Sigmoid, 1), (SiLU, 1), (Tanh, 1))
      for shape in ((7,), (2, 3), (2, 3, 4, 5))],
    case("dropout", lambda: Dropout(0.5, rng=5), (2, 3, 4, 5)),
    case("dropout 0.3", lambda: Dropout(0.3, rng=6), (4, 7)),
    case("dropout 0", lambda: Dropout(0), (3, 4)),
    case("stochastic depth", lambda: StochasticDepth(0.5, rng=5), (5, 3, 2, 4)),
    case("stochastic depth 0.2", lambda: StochasticDepth(0.2, rng=1), (7, 3)),
    case("stochastic depth 0", lambda: StochasticDepth(0), (2, 3, 4, 5)),
    case("flatten", lambda: Flatten(), (2, 3, 4, 5)),
    case("flatten 2-d", lambda: Flatten(), (3, 4)),
    case("softmax", lambda: SoftmaxCrossEntropy(), (4, 5), LABELS),
    case("softmax smoothed", lambda: SoftmaxCrossEntropy(label_smoothing=0.3), (4, 5), LABELS),
    case("softmax N = 1", lambda: SoftmaxCrossEntropy(), (1, 3), LABELS),
]

PAD = [
    case("pad 0", lambda: ZeroPad2d(0), (2, 3, 4, 5)),
    case("pad 2", lambda: ZeroPad2d(2), (2, 3, 4, 5)),
    case("pad four sides", lambda: ZeroPad2d((1, 2, 3, 4)), (1, 2, 3, 5)),
    case("pad left and above", lambda: ZeroPad2d((1, 0, 1, 0)), (2, 3, 4, 5)),
    case("pad cuts left and above", lambda: ZeroPad2d((-1, 0, -1, 0)), (2, 3, 4, 5)),
    case("pad cuts four sides", lambda: ZeroPad2d((-1, -2, -2, -1)), (2, 3, 5, 7)),
    case("pad shifts", lambda: ZeroPad2d((-1, 1, 2, -2)), (2, 3, 4, 5)),
    case("pad cuts all but one pixel", lambda: ZeroPad2d((3, -4, -3, 2)), (3, 2, 4, 5)),
]

WIRING = [
    case("identity", lambda: Identity(), (2, 3, 4)),
    case("sequential", lambda: Sequential(conv=Conv2d(2, 3, 2), tanh=Tanh(), flat=Flatten(),
                                          fc=Linear(36, 5)), (2, 2, 5, 4)),
    case("residual", lambda: Residual(Conv2d(2, 3, 3, padding=1), BatchNorm2d(3), Sigmoid(),
                                      Conv2d(3, 2, 1)), (2, 2, 4, 5)),
    case("residual downsample", lambda: Residual(Conv2d(2, 3, 3, 2, 1), Tanh(),
                                                 downsample=Conv2d(2, 3, 1, 2)), (2, 2, 4, 5)),
    case("concat", lambda: Concat(Conv2d(2, 1, 1), Conv2d(2, 4, 3, padding=1), Identity(),
                                  AvgPool2d(3, 1, 1)), (3, 2, 4, 5)),
    case("dense", lambda: Concat(Identity(), Sequential(Tanh(), Conv2d(3, 2, 1))), (2, 3, 4, 5)),
    case("scale", lambda: Scale(squeeze=AdaptiveAvgPool2d(1), fc1=Conv2d(3, 2, 1), act=Tanh(),
                                fc2=Conv2d(2, 3, 1), gate=Sigmoid()), (2, 3, 4, 5)),
    case("add", lambda: Add(), (2, 3, 4), (2, 3, 4), (2, 3, 4)),
    case("concatenate", lambda: Concatenate(), (2, 3, 4, 5), (2, 1, 4, 5)),
    case("graph", lambda: Graph(
        ("a", Conv2d(2, 3, 1), "x"), ("b", Conv2d(2, 3, 3, padding=1), "x"),
        ("sum", Add(), "a", "b", "a"), ("act", Tanh(), "sum"), ("pool", AvgPool2d(3, 1, 1), "b"),
        ("all", Concatenate(), "x", "act", "pool"), ("last", Conv2d(8, 2, 1), "all")),
        (2, 2, 4, 5)),
    case("graph in graph", lambda: Graph(
        ("f", Graph(("y", Sigmoid(), "x"), ("twice", Add(), "y", "y")), "x"),
        ("g", Residual(Tanh()), "x"), ("sum", Add(), "f", "g", "x")), (3, 4)),
    case("graph in sequential", lambda: Sequential(
        Tanh(), Graph(("y", Sigmoid(), "x"), ("sum", Add(), "x", "y"))), (3, 4)),
    case("graph of two inputs", lambda: Graph(
        ("a", Conv2d(2, 3, 1), "h"), ("b", Conv2d(4, 3, 3, 2, 1), "p"), ("sum", Add(), "a", "b"),
        ("act", Tanh(), "sum"), ("all", Concatenate(), "h", "act", "sum"), inputs=("h", "p")),
        (2, 2, 3, 4), (2, 4, 5, 7)),
    case("graph of two inputs in a graph", lambda: Graph(
        ("f", Graph(("sq", Sigmoid(), "p"), ("sum", Add(), "h", "sq", "p"), inputs=("p", "h")),
         "x", "x"), ("g", Tanh(), "f"), ("sum", Add(), "f", "g", "x")), (3, 4)),
]

MODEL_LAYERS = [
    *[case(f"scaled tanh {len(shape)}-d", ScaledTanh, shape) for shape in ((7,), (2, 3, 4, 5))],
    case("subsampling", lambda: Subsampling(3), (2, 3, 4, 6)),
    case("subsampling, last row unseen", lambda: Subsampling(3), (4, 3, 5, 8)),
    case("subsampling, last column unseen", lambda: Subsampling(4), (1, 4, 2, 3)),
    case("partial conv", lambda: PartialConv2d(3, ((0, 1), (2,), (1, 0, 2), (2, 0)), 2),
         (2, 3, 4, 5)),
    case("partial conv, a map unseen", lambda: PartialConv2d(3, ((2,), (0,)), 3), (1, 3, 3, 4)),
    case("code distance", lambda: CodeDistance(codes(3, rng=0)), (2, 84)),
    case("code distance 4→2", lambda: CodeDistance(np.ones((2, 4), np.float32)), (3, 4)),
    case("pad shortcut", lambda: PadShortcut(2, 4), (3, 2, 4, 6)),
    case("pad shortcut, odd", lambda: PadShortcut(2, 5), (2, 2, 3, 7)),
    case("pad shortcut, no new channels", lambda: PadShortcut(3, 3), (1, 3, 1, 4)),
]

CASES = CONV + TRANSPOSE + POOL + UNPOOL + NORM + PAD + PLAIN + WIRING + MODEL_LAYERS


def cases_of(kind: type) -> list[Case]:
    """The cases whose layer is a `kind`."""
    return [case for case in CASES if type(case.make()) is kind]


def gradient_like(y: Any, seed: int = 2) -> np.ndarray:
    """A random dy for the output y (on the host)."""
    return np.random.default_rng(seed).standard_normal(y.shape, np.float32).astype(y.dtype)


def run(case: Case, layer: Layer, inputs: list, dy: Any = None) -> tuple:
    """One forward and backward: y, the list of input gradients, the parameter gradients."""
    y = layer.forward(*inputs)
    if case.takes_dy:
        dx = layer.backward(gradient_like(y) if dy is None else dy)
    else:
        dx = layer.backward()
    dxs = list(dx) if isinstance(dx, tuple) else [dx]
    return y, dxs, {name: p.grad.copy() for name, p in layer.named_parameters()}
