"""The blocks that networks are built of: shapes, gradients in both modes, equality with PyTorch,
what each does on paper, and what it refuses."""
from typing import NamedTuple

import numpy as np
import pytest
import strict_cupy
from layer_cases import Case, case, gradient_like

from scratchnet import gradcheck
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Graph,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Tanh,
)
from scratchnet.models.blocks import conv_bn_relu
from scratchnet.models.cifar_resnet import PadShortcut
from scratchnet.models.densenet import DenseLayer, transition
from scratchnet.models.efficientnet import MBConv, gate
from scratchnet.models.googlenet import (
    GoogLeNet,
    auxiliary_head,
    conv_relu,
    inception_bn,
    inception_module,
)
from scratchnet.models.inception_resnet import block8, block17, block35
from scratchnet.models.inception_v4 import (
    inception_a,
    inception_b,
    inception_c,
    reduction_a,
    reduction_b,
)
from scratchnet.models.mobilenet_v2 import InvertedResidual
from scratchnet.models.nasnet import NORMAL, REDUCTION, cell, halve, operation, separable
from scratchnet.models.preact_resnet import PreActBlock, preact_basic, preact_bottleneck
from scratchnet.models.resnet import BasicBlock, Bottleneck, PlainBlock
from scratchnet.models.senet import SEBottleneck, SqueezeExcitation


class Block(NamedTuple):
    case: Case
    y_shape: tuple          # as the docstring promises; of the first output, if there are several

    def __str__(self) -> str:
        return self.case.id


def block(id, make, *shapes) -> Block:
    """The last shape is that of the output."""
    return Block(case(id, make, *shapes[:-1]), shapes[-1])


def downsample(C, out):
    return Sequential(Conv2d(C, out, 1, 2, bias=False, rng=3), BatchNorm2d(out))


def head(channels, unit, pool, classes=4):
    """A small classifier; its dropout draws the same each time."""
    return auxiliary_head(channels, classes, unit, pool, np.random.default_rng(1), width=3, side=2,
                          hidden=20)


def small_googlenet():
    """A first part, two parts with a classifier each, and an end."""
    return GoogLeNet(
        head(3, conv_relu, AdaptiveAvgPool2d(2)), head(5, conv_relu, AdaptiveAvgPool2d(2)),
        ("b", "c"),
        a=conv_relu(2, 3, 3), b=conv_relu(3, 3, 1), c=conv_bn_relu(3, 5, 3, padding=1),
        d=MaxPool2d(2), pool=AdaptiveAvgPool2d(1), flatten=Flatten(), fc=Linear(5, 4))


BLOCKS = [
    block("basic", lambda: BasicBlock(4, 4), (2, 4, 5, 6), (2, 4, 5, 6)),
    block("basic, stride 2", lambda: BasicBlock(3, 5, 2, downsample(3, 5)),
          (2, 3, 6, 8), (2, 5, 3, 4)),
    block("bottleneck", lambda: Bottleneck(8, 2), (2, 8, 4, 5), (2, 8, 4, 5)),
    block("bottleneck, stride 2", lambda: Bottleneck(3, 2, 2, downsample(3, 8)),
          (2, 3, 6, 8), (2, 8, 3, 4)),
    block("bottleneck, stride first", lambda: Bottleneck(3, 2, 2, downsample(3, 8),
                                                         stride_first=True),
          (2, 3, 6, 8), (2, 8, 3, 4)),
    block("bottleneck, groups", lambda: Bottleneck(16, 4, groups=2, base_width=32),
          (2, 16, 3, 4), (2, 16, 3, 4)),
    block("plain", lambda: PlainBlock(3, 4, 2), (2, 3, 6, 8), (2, 4, 3, 4)),
    block("pre-activation", lambda: preact_basic(4, 4), (2, 4, 5, 6), (2, 4, 5, 6)),
    block("pre-activation, stride 2", lambda: preact_basic(3, 5, 2), (2, 3, 6, 7), (2, 5, 3, 4)),
    block("pre-activation, stride 2, shared", lambda: preact_basic(3, 4, 2, shared=True),
          (2, 3, 6, 8), (2, 4, 3, 4)),
    block("pre-activation, stride 2 alone", lambda: preact_basic(4, 4, 2),
          (2, 4, 6, 5), (2, 4, 3, 3)),
    block("pre-activation, shared", lambda: preact_basic(4, 4, shared=True),
          (2, 4, 3, 5), (2, 4, 3, 5)),
    block("pre-activation of three", lambda: preact_bottleneck(8, 2), (2, 8, 4, 5), (2, 8, 4, 5)),
    block("pre-activation of three, first", lambda: preact_bottleneck(3, 2, first=True),
          (2, 3, 4, 5), (2, 8, 4, 5)),
    block("pre-activation of three, stride 2, shared",
          lambda: preact_bottleneck(3, 2, 2, shared=True), (2, 3, 6, 8), (2, 8, 3, 4)),
    block("squeeze-and-excitation", lambda: SqueezeExcitation(6, 2), (2, 6, 3, 4), (2, 6, 3, 4)),
    block("se bottleneck", lambda: SEBottleneck(8, 2, reduction=4), (2, 8, 4, 5), (2, 8, 4, 5)),
    block("se bottleneck, stride 2", lambda: SEBottleneck(3, 2, 2, downsample(3, 8), reduction=2),
          (2, 3, 6, 8), (2, 8, 3, 4)),
    block("dense", lambda: DenseLayer(3, 2), (2, 3, 4, 5), (2, 5, 4, 5)),
    block("transition", lambda: transition(4, 3), (2, 4, 4, 6), (2, 3, 2, 3)),
    block("inverted residual", lambda: InvertedResidual(3, 3, 1, 4), (2, 3, 4, 5), (2, 3, 4, 5)),
    block("inverted residual, widen 1", lambda: InvertedResidual(4, 3, 1, 1),
          (2, 4, 3, 5), (2, 3, 3, 5)),
    block("inverted residual, stride 2", lambda: InvertedResidual(3, 3, 2, 2),
          (2, 3, 6, 8), (2, 3, 3, 4)),
    block("mbconv", lambda: MBConv(4, 4, 3, 1, 2, p=0.5, rng=np.random.default_rng(2)),
          (5, 4, 3, 4), (5, 4, 3, 4)),
    block("mbconv, 5×5, stride 2", lambda: MBConv(4, 3, 5, 2, 2, p=0.5), (2, 4, 6, 8),
          (2, 3, 3, 4)),
    block("mbconv, widen 1", lambda: MBConv(3, 3, 3, 1, 1), (2, 3, 4, 5), (2, 3, 4, 5)),
    block("gate", lambda: gate(4, 2), (3, 4, 2, 5), (3, 4, 2, 5)),
    block("inception", lambda: inception_module(3, 2, 3, 4, 2, 5, 1), (2, 3, 4, 5), (2, 12, 4, 5)),
    block("inception with bn", lambda: inception_bn(3, 2, 3, 4, 2, 5, 1),
          (2, 3, 4, 5), (2, 12, 4, 5)),
    block("auxiliary head", lambda: head(4, conv_relu, AvgPool2d(3, 2), classes=5),
          (2, 4, 5, 6), (2, 5)),
    block("auxiliary head with bn", lambda: head(4, conv_bn_relu, AdaptiveAvgPool2d(2), classes=5),
          (2, 4, 5, 6), (2, 5)),
    block("googlenet", small_googlenet, (3, 2, 6, 7), (3, 4)),
    block("inception a", lambda: inception_a(4, 3, 2), (2, 4, 3, 5), (2, 12, 3, 5)),
    block("reduction a", lambda: reduction_a(3, 2, (2, 3, 4)), (2, 3, 7, 8), (2, 9, 3, 3)),
    block("inception b", lambda: inception_b(3, 2, (2, 3, 4), 5), (2, 3, 4, 5), (2, 15, 4, 5)),
    block("reduction b", lambda: reduction_b(3, 2, 4, 5), (2, 3, 8, 7), (2, 10, 3, 3)),
    block("inception c", lambda: inception_c(3, 2, (2, 3, 4)), (2, 3, 4, 5), (2, 12, 4, 5)),
    block("block35", lambda: block35(3, (2, 3, 4), 0.17), (2, 3, 4, 5), (2, 3, 4, 5)),
    block("block17", lambda: block17(3, (2, 3, 4), 0.1), (2, 3, 4, 5), (2, 3, 4, 5)),
    block("block8", lambda: block8(3, (2, 3, 4), 0.2), (2, 3, 4, 5), (2, 3, 4, 5)),
    block("block8, no relu", lambda: block8(3, (2, 3, 4), 1.0, act=False),
          (2, 3, 4, 5), (2, 3, 4, 5)),
    block("cell, normal", lambda: cell(NORMAL, 3, 4, 2, "same"),
          (2, 3, 4, 5), (2, 4, 4, 5), (2, 12, 4, 5)),
    block("cell, normal, p larger", lambda: cell(NORMAL, 3, 4, 2, "larger"),
          (2, 3, 3, 4), (2, 4, 6, 8), (2, 12, 3, 4)),
    block("cell, reduction", lambda: cell(REDUCTION, 3, 4, 2, "same"),
          (2, 3, 4, 6), (2, 4, 4, 6), (2, 8, 2, 3)),
    block("cell, reduction, p larger", lambda: cell(REDUCTION, 3, 4, 2, "larger"),
          (2, 3, 4, 6), (2, 4, 8, 12), (2, 8, 2, 3)),
    block("cell, reduction, p raw", lambda: cell(REDUCTION, 3, 4, 2, "raw"),
          (2, 3, 5, 6), (2, 4, 5, 6), (2, 8, 3, 3)),
    *[block(f"{name}, stride {stride}{', shifted' if shifted else ''}",
            lambda a=(name, C, F, stride, shifted): operation(*a), (2, C, 6, 8),
            (2, F, 6 // stride, 8 // stride))
      for name, C, F in (("sep3", 2, 3), ("sep7", 3, 2), ("max3", 3, 3), ("mean3", 3, 3))
      for stride, shifted in ((1, False), (2, False), (2, True))],
    block("separable 5", lambda: separable(3, 4, 5, 1, shifted=True), (2, 3, 4, 5), (2, 4, 4, 5)),
    block("halve", lambda: Graph(*halve(3, 4), inputs=("p",)), (2, 3, 4, 6), (2, 4, 2, 3)),
    block("halve, odd", lambda: Graph(*halve(3, 4), inputs=("p",)), (2, 3, 5, 7), (2, 4, 3, 4)),
]
ALL = pytest.mark.parametrize("block", BLOCKS, ids=str)
BOTH_MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def first(y):
    return y[0] if isinstance(y, tuple) else y


@ALL
@BOTH_MODES
def test_the_shape_is_the_one_promised(block, training):
    y = first(block.case.layer().train(training).forward(*block.case.inputs()))
    assert y.shape == block.y_shape


# A check takes as long as there are parameters, up to seconds for a cell. So both modes only
# where a block has a backward of its own, and each once; the rest are known layers put together.
# (PyTorch compares every gradient of every block in both.)
BOTH = {"basic, stride 2", "bottleneck", "pre-activation", "pre-activation, stride 2, shared",
        "se bottleneck", "squeeze-and-excitation", "dense", "inverted residual", "mbconv",
        "googlenet", "block8", "block8, no relu"}
TRAIN = {"basic", "plain", "pre-activation of three, stride 2, shared", "transition",
         "inverted residual, stride 2", "mbconv, 5×5, stride 2", "gate", "inception",
         "inception with bn", "auxiliary head", "inception a", "reduction a", "inception b",
         "reduction b", "inception c", "block35", "block17", "cell, normal",
         "cell, normal, p larger", "cell, reduction, p raw", "sep3, stride 2, shifted",
         "max3, stride 2, shifted", "mean3, stride 2, shifted", "halve"}
assert {b.case.id for b in BLOCKS} >= BOTH | TRAIN


@pytest.mark.parametrize("block, training", [
    pytest.param(b, training, id=f"{b}, {'train' if training else 'eval'}")
    for b in BLOCKS for training in (True, False)
    if b.case.id in BOTH or training and b.case.id in TRAIN])
def test_gradients_are_right(block, training):
    gradcheck.assert_correct(block.case.layer().train(training), *block.case.inputs(), probes=1)


@ALL
@BOTH_MODES
def test_equals_torch(block, training):
    from torch_twin import assert_equals_torch
    assert_equals_torch(block.case.layer().train(training), block.case.inputs(), 1e-9, 1e-9)


@ALL
def test_the_gpu_computes_what_the_cpu_computes(block):
    results = []
    with strict_cupy.installed() as cupy:
        for device, put in (("cpu", np.asarray), ("gpu", cupy.asarray)):
            layer = block.case.layer().to(device)
            y = layer.forward(*map(put, block.case.inputs()))
            ys = y if isinstance(y, tuple) else (y,)
            dx = layer.backward(*(put(gradient_like(y, seed)) for seed, y in enumerate(ys)))
            arrays = [*ys, *(dx if isinstance(dx, tuple) else (dx,)),
                      *(p.grad for p in layer.parameters())]
            assert device == "cpu" or all(isinstance(a, cupy.ndarray) for a in arrays)
            results.append([a.get() if device == "gpu" else a for a in arrays])
    for cpu, gpu in zip(*results, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-10, atol=1e-10)


# ── on paper ─────────────────────────────────────────────────────────────────────────


def image(*rows):
    return np.array([[rows]], dtype=float)


def constant(conv, w):
    """A convolution whose weights are all 0 but the middle one of each filter: w."""
    conv.weight.value[...] = 0
    conv.weight.value[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = w
    return conv


def test_pad_shortcut_on_paper():
    """One channel of 3×3 to four: ⌊3/2⌋ = 1 zero channel before it, two behind."""
    layer = PadShortcut(1, 4)
    y = layer.forward(image([1, 2, 3],
                            [4, 5, 6],
                            [7, 8, 9]))
    expected = np.zeros((1, 4, 2, 2))
    expected[0, 1] = [[1, 3], [7, 9]]
    np.testing.assert_array_equal(y, expected)
    dx = layer.backward(np.arange(16.0).reshape(1, 4, 2, 2))
    np.testing.assert_array_equal(dx, image([4, 0, 5],
                                            [0, 0, 0],
                                            [6, 0, 7]))


def test_basic_block_on_paper():
    """In evaluation, with convolutions that multiply by 2 and by −3 and norms that do nothing:
    f(x) = −6·x for x > 0, else 0; y = ReLU(f(x) + x)."""
    layer = BasicBlock(1, 1).astype(np.float64).eval()
    constant(layer.conv1, 2), constant(layer.conv2, -3)
    for norm in (layer.bn1, layer.bn2):
        norm.running_var[...] = 1 - norm.eps
    x = image([1, -2, 0.5])
    np.testing.assert_array_equal(layer.forward(x), image([0, 0, 0]))       # −5, −2, −2.5
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), image([0, 0, 0]))
    constant(layer.conv2, 3)
    np.testing.assert_allclose(layer.forward(x), image([7, 0, 3.5]), rtol=1e-15)
    np.testing.assert_allclose(layer.backward(image([1, 10, 100])), image([7, 0, 700]), rtol=1e-15)


@pytest.mark.parametrize("shared, y, dx", [
    (False, [2 * 3 + 3, 2 * 0 - 1], [1 + 2, 10 + 0]),       # 2·ReLU(x) + x
    (True, [2 * 3 + 3, 0], [1 + 2, 0]),                     # 2·ReLU(x) + ReLU(x)
])
def test_pre_activation_on_paper(shared, y, dx):
    layer = PreActBlock(ReLU(), constant(Conv2d(1, 1, 3, padding=1).astype(np.float64), 2),
                        Identity(), shared)
    np.testing.assert_array_equal(layer.forward(image([3, -1])), image(y))
    np.testing.assert_array_equal(layer.backward(image([1, 10])), image(dx))


def test_inverted_residual_has_no_shortcut_where_the_shape_changes():
    for args, shortcut in (((3, 3, 1, 2), True), ((3, 4, 1, 2), False), ((3, 3, 2, 2), False)):
        assert InvertedResidual(*args).shortcut is shortcut
        assert MBConv(*args[:2], 3, *args[2:]).shortcut is shortcut


def test_a_dense_layer_carries_its_input_on():
    """The first channels of y are x itself; with f silenced, so is the gradient."""
    layer, x = DenseLayer(2, 3).astype(np.float64), np.arange(24.0).reshape(1, 2, 3, 4)
    layer.conv2.weight.value[...] = 0
    y = layer.forward(x)
    assert y.shape == (1, 5, 3, 4)
    np.testing.assert_array_equal(y[:, :2], x)
    np.testing.assert_array_equal(y[:, 2:], 0)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    np.testing.assert_array_equal(layer.backward(dy), dy[:, :2])


def test_inception_residual_scales_its_branches():
    """act(x + scale · f(x)): with scale 0 it is ReLU, without ReLU the identity."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5), np.float32)
    np.testing.assert_array_equal(block17(3, (2, 3, 4), 0.0)(x), np.maximum(x, 0))
    layer = block8(3, (2, 3, 4), 0.0, act=False)
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_halve_loses_no_pixel():
    """Path 1 sees pixels (0, 0), (0, 2), …; path 2 pixels (1, 1), (1, 3), …, zero beyond."""
    rows = {name: layer for name, layer, *_ in halve(1, 2)}
    x = image([1, 2, 3], [4, 5, 6], [7, 8, 9])
    np.testing.assert_array_equal(rows["path_1"].avgpool(x), image([1, 3], [7, 9]))
    np.testing.assert_array_equal(rows["path_2"].avgpool(rows["path_2"].pad(x)),
                                  image([5, 0], [0, 0]))


def test_a_shifted_maximum_looks_one_pixel_further():
    """Stride 2: windows centred on columns 0 and 2; shifted, on columns 1 and 3."""
    x = image([9, 1, 2, 3, 4, 8])
    np.testing.assert_array_equal(operation("max3", 1, 1, 2, shifted=False)(x), image([9, 3, 8]))
    shifted = operation("max3", 1, 1, 2, shifted=True)
    np.testing.assert_array_equal(shifted(np.repeat(x, 2, axis=2)), image([9, 4, 8]))


def test_the_genotypes_are_those_of_the_docstring():
    """Every addition takes what exists by then, and every value is used or put out."""
    for genotype, known in ((NORMAL, {"h", "p"}), (REDUCTION, {"h", "p"})):
        additions, output = genotype
        assert len(additions) == 5
        used = set(output)
        for i, (_, a, _, b) in enumerate(additions):
            assert {a, b} <= known
            known, used = known | {str(i)}, used | {a, b}
        assert used == known
    assert cell(NORMAL, 3, 4, 2, "same")._rows[-1][1][0] == "conv_prev_1x1"     # p put out


# ── GoogLeNet: three outputs in training, one in evaluation ──────────────────────────


def test_googlenet_returns_three_outputs_in_training_and_one_in_evaluation():
    net, x = small_googlenet(), np.ones((2, 2, 6, 7), np.float32)
    ys = net.forward(x)
    assert isinstance(ys, tuple) and [y.shape for y in ys] == [(2, 4)] * 3
    assert net.eval().forward(x).shape == (2, 4)


def test_googlenets_outputs_come_from_where_after_says():
    """The first head sees b's output, the second c's."""
    net = GoogLeNet(Tanh(), Identity(), ("b", "c"), a=ReLU(), b=Sequential(ReLU()), c=Identity(),
                    d=constant(Conv2d(1, 1, 1).astype(np.float64), 3))
    y, one, two = net.forward(image([2, -1]))
    np.testing.assert_array_equal(y, image([6, 0]))
    np.testing.assert_allclose(one, np.tanh(image([2, 0])), rtol=1e-15)
    np.testing.assert_array_equal(two, image([2, 0]))
    dx = net.backward(image([1, 1]), image([0, 0]), image([100, 100]))
    np.testing.assert_array_equal(dx, image([3 + 100, 0]))
    net.forward(image([2, -1]))
    dx = net.backward(image([0, 0]), image([10, 10]), image([0, 0]))
    np.testing.assert_allclose(dx, image([10 * (1 - np.tanh(2) ** 2), 0]), rtol=1e-12)


def test_googlenets_heads_are_no_part_of_the_chain():
    net = small_googlenet()
    assert [name for name, _ in net.children()][:2] == ["aux1", "aux2"]
    assert len(net) == 7 and net[-1] is net.fc and net["b"] is net.b
    with pytest.raises(KeyError):
        net["aux1"]


@pytest.mark.parametrize("training, count, message", [
    (True, 1, r"expects \(dlogits, daux1, daux2\) after a forward in training"),
    (True, 2, r"expects \(dlogits, daux1, daux2\) after a forward in training"),
    (False, 2, "expects dlogits alone after a forward in evaluation"),
    (False, 3, "expects dlogits alone after a forward in evaluation"),
])
def test_another_number_of_gradients_is_refused_and_loses_nothing(training, count, message):
    net, x = small_googlenet().train(training), np.ones((2, 2, 6, 7), np.float32)
    y = net.forward(x)
    dys = [gradient_like(first(y), seed) for seed in range(3)]
    with pytest.raises(ValueError, match=f"GoogLeNet.backward {message}"):
        net.train(not training).backward(*dys[:count])          # the mode of forward counts
    assert all((p.grad == 0).all() for p in net.parameters())
    assert net.backward(*dys[:3 if training else 1]).shape == x.shape


def test_googlenet_runs_backwards_once_for_each_forward():
    net, x = small_googlenet().eval(), np.ones((2, 2, 6, 7), np.float32)
    y = net.forward(x)
    net.backward(y)
    with pytest.raises(RuntimeError, match="needs a forward"):
        net.backward(y)


# ── what is refused ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sizes, message", [
    ((4, 3), "out_channels must be an integer ≥ 4; got 3"),
    ((0, 3), "in_channels must be an integer ≥ 1; got 0"), ((2, 2.5), "got 2.5")])
def test_a_pad_shortcut_to_fewer_channels_is_refused(sizes, message):
    with pytest.raises(ValueError, match=f"PadShortcut: .*{message}"):
        PadShortcut(*sizes)


@pytest.mark.parametrize("make, message", [
    (lambda: BasicBlock(3, 4), "BasicBlock.* both must have one shape.*give it a downsample="),
    (lambda: Bottleneck(3, 2), r"Bottleneck.* got \(2, 8, 2, 2\) and \(2, 3, 2, 2\)"),
    (lambda: preact_basic(3, 4), r"PreActBlock.* got \(2, 4, 2, 2\) and \(2, 4, 1, 1\)"),
    (lambda: PreActBlock(Identity(), Conv2d(3, 1, 1), Identity(), False),
     r"PreActBlock.* one shape; got \(2, 1, 2, 2\) and \(2, 3, 2, 2\)"),
])
def test_a_sum_of_two_shapes_is_refused(make, message):
    """NumPy would spread one pixel, or one channel, over all."""
    with pytest.raises(ValueError, match=message):
        make().forward(np.ones((2, 3, 2, 2), np.float32))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.case.id != "googlenet"], ids=str)
def test_a_wrong_input_or_dy_is_refused_and_loses_nothing(block):
    layer, inputs = block.case.layer(), block.case.inputs()
    with pytest.raises(ValueError, match="float"):
        layer.forward(*[x.astype(np.float32) if layer.parameters() else x.astype(int)
                        for x in inputs])
    dy = gradient_like(layer.forward(*inputs))
    for bad in (dy[:-1], dy.astype(np.float32), dy[..., None]):
        with pytest.raises(ValueError, match="backward expects dy to be like y"):
            layer.backward(bad)
    assert all((p.grad == 0).all() for p in layer.parameters())
    dxs = layer.backward(dy)
    assert [dx.shape for dx in (dxs if isinstance(dxs, tuple) else (dxs,))] == \
        [x.shape for x in inputs]
