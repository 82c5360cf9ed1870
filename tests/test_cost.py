"""Counts: parameters, multiply-accumulates, shapes, memory, receptive fields; the command."""
import argparse
import json
import math
import tracemalloc

import numpy as np
import pytest
import strict_cupy

from scratchnet import cost, models, no_grad, summary
from scratchnet.backend import device_of
from scratchnet.cost import macs, params_sum
from scratchnet.layer import Layer, Parameter
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Concatenate,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Sigmoid,
    ZeroPad2d,
)

ALL = (math.inf, math.inf)


def fields(model, shape=(1, 64, 64)):
    """{name: receptive field}, one number where both axes agree."""
    return {row.name: row.receptive_field and (
        row.receptive_field[0] if len(set(row.receptive_field)) == 1 else row.receptive_field)
        for row in summary(model, shape).rows}


# ── parameters, MACs, shapes ─────────────────────────────────────────────────────────


def test_worked_example():
    """A 3×3 convolution of 4×4 images, 3 → 7 channels, padding 1: 3·3·3·7 + 7 = 196 parameters
    (the 7 biases are easily forgotten) and 4·4·7 · 3·3·3 = 3,024 multiply-accumulates."""
    table = summary(Sequential(Conv2d(3, 7, 3, padding=1), ReLU()), (3, 4, 4))
    assert (table.params, table.macs) == (196, 3024)
    assert [row.output_shape for row in table.rows] == [(7, 4, 4), (7, 4, 4)]


def test_groups_bias_and_linear():
    table = summary(Sequential(Conv2d(4, 6, 3, groups=2, bias=False), Flatten(), Linear(6, 5)),
                    (4, 3, 3))
    assert [row.params for row in table.rows] == [6 * 2 * 9, 0, 35]
    assert [row.macs for row in table.rows] == [6 * 2 * 9, 0, 30]


def test_sums_one_can_follow():
    assert params_sum(Conv2d(3, 96, 11)) == "11·11·3·96 + 96"
    assert params_sum(Conv2d(96, 256, 5, groups=2)) == "5·5·48·256 + 256"
    assert params_sum(Conv2d(2, 3, 1, bias=False)) == "1·1·2·3"
    assert params_sum(Linear(9216, 4096)) == "9216·4096 + 4096"
    assert params_sum(BatchNorm2d(8)) == "8 + 8"
    assert params_sum(ReLU()) == "0"


def test_every_sum_is_the_count():
    for layer in (Conv2d(4, 6, (2, 3), groups=2), Conv2d(4, 6, 1, bias=False), Linear(3, 5),
                  Linear(3, 5, bias=False), BatchNorm2d(4)):
        assert eval(params_sum(layer).replace("·", "*")) == sum(
            p.value.size for p in layer.parameters())


def test_branches_are_listed_and_shared_parameters_counted_once():
    a, b = Linear(3, 3), Linear(3, 3)
    b.weight = a.weight
    table = summary(Sequential(a, b), (3,))
    assert table.params == 9 + 3 + 3 and [row.params for row in table.rows] == [12, 3]
    table = summary(Concat(Identity(), Conv2d(2, 3, 1)), (2, 5, 4))
    assert [row.output_shape for row in table.rows] == [(2, 5, 4), (3, 5, 4)]


def test_a_single_layer_is_a_network():
    row, = summary(Conv2d(1, 2, 3), (1, 5, 6)).rows
    assert (row.name, row.output_shape, row.params, row.receptive_field) == ("", (2, 3, 4), 20,
                                                                             (3, 3))


class Twice(Layer):
    """Runs one layer object twice."""

    def __init__(self):
        self.conv = Conv2d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        return self.conv(self.conv.forward(x))


def test_a_layer_that_runs_twice_has_two_rows_and_its_parameters_once():
    table = summary(Twice(), (1, 8, 8))
    assert [(r.name, r.params, r.macs) for r in table.rows] == [("conv", 9, 576), ("conv", 0, 576)]
    assert (table.params, table.macs) == (9, 1152)
    assert [row.receptive_field[0] for row in table.rows] == [3, 5]


class LayerScale(Layer):
    """y = x + γ·f(x): holds a layer, and a parameter of its own."""

    def __init__(self):
        self.body = Sequential(Conv2d(2, 2, 3, padding=1), ReLU())
        self.gains = [Parameter(np.ones((2, 1, 1), dtype=np.float32))]

    def forward(self, x):
        return x + self.gains[0].value * self.body(x)


def test_own_parameters_of_a_layer_that_holds_others_have_a_row():
    table = summary(Sequential(scale=LayerScale(), fc=Conv2d(2, 1, 1)), (2, 6, 6))
    assert [(row.name, row.params) for row in table.rows] == [
        ("scale.body.0", 38), ("scale.body.1", 0), ("scale", 2), ("fc", 3)]
    row = table.rows[2]
    assert (row.output_shape, row.memory, row.receptive_field) == ((2, 6, 6), 2 * 36 * 4, (3, 3))
    assert sum(row.params for row in table.rows) == table.params == 43


class WithHead(Layer):
    """An auxiliary head that runs in training only, and shares its convolution with the trunk."""

    def __init__(self):
        self.aux = Sequential(conv=Conv2d(1, 2, 3), flatten=Flatten(), fc=Linear(8, 3))
        self.trunk = Conv2d(1, 2, 3)
        self.aux["conv"].weight = self.trunk.weight

    def forward(self, x):
        return (self.trunk(x), self.aux(x)) if self.training else self.trunk(x)


def test_layers_that_run_in_training_only_come_last_without_a_shape():
    table = summary(WithHead(), (1, 4, 4))
    assert [(r.name, r.params, r.output_shape, r.macs, r.note) for r in table.rows] == [
        ("trunk", 20, (2, 2, 2), 72, ""), ("aux.conv", 2, None, 0, "training only"),
        ("aux.flatten", 0, None, 0, "training only"), ("aux.fc", 27, None, 0, "training only")]
    assert (table.params, table.params_unused) == (49, 29)
    assert table.folded().rows[1].note == "training only" and "29" in str(table)


def test_several_outputs_and_options_of_a_layer_of_ones_own():
    class Split(Layer):
        def forward(self, x, *, at):
            return {"left": x[:, :at] * 1, "right": [x[:, at:] * 1]}

    class Mine(Layer):
        def __init__(self):
            self.split, self.conv = Split(), Conv2d(2, 1, 3)

        def forward(self, x):
            return self.conv(self.split.forward(x, at=1)["right"][0])

    split, conv = summary(Mine(), (3, 5, 5)).rows
    assert (split.output_shape, split.memory) == ((1, 5, 5), 3 * 25 * 4)
    assert conv.receptive_field == (3, 3)


def test_output_shapes_of_a_real_network_sum_to_its_totals():
    table = summary(models.alexnet_small(rng=0), (1, 32, 32))
    assert table.macs == sum(row.macs for row in table.rows)
    assert table.macs == 25 * 32 * 256 + 25 * 16 * 64 * 49 + (64 * 96 + 48 * 96 + 48 * 64) * 9 * 9 \
        + 64 * 256 + 256 * 256 + 256 * 10
    conv1 = models.alexnet_small(rng=0).conv1
    assert macs(conv1, (7, 32, 16, 16)) == table.rows[0].macs


# ── receptive fields ─────────────────────────────────────────────────────────────────


def test_receptive_field_by_hand():
    net = Sequential(a=Conv2d(1, 1, 3), b=MaxPool2d(2), c=Conv2d(1, 1, 3, stride=2, dilation=2),
                     d=ReLU(), e=Conv2d(1, 1, (1, 5)))
    rows = {row.name: row for row in summary(net, (1, 64, 64)).rows}
    assert [rows[n].receptive_field for n in "abcde"] == [(3, 3), (4, 4), (12, 12), (12, 12),
                                                         (12, 28)]
    assert [rows[n].jump for n in "abcde"] == [(1, 1), (2, 2), (4, 4), (4, 4), (4, 4)]


def test_all_is_for_windows_that_cover_the_map():
    """4 of 5 pixels are not all; once there is a single pixel, nothing adds to what it has seen."""
    net = Sequential(a=Conv2d(1, 4, 4, stride=2), b=Conv2d(4, 1, 3, padding=1),
                     c=AdaptiveAvgPool2d(1), d=Flatten(), e=Linear(1, 3))
    assert list(fields(net, (1, 5, 5)).values()) == [4, 4, 4, 4, 4]
    assert list(fields(net, (1, 4, 5)).values()) == [(math.inf, 4)] * 5


def test_a_join_has_the_jump_of_its_own_size():
    net = Sequential(Scale(Conv2d(1, 1, 5, stride=4)), Conv2d(1, 1, 3))
    row = summary(net, (1, 6, 6)).rows[-1]
    assert (row.receptive_field, row.jump) == ((7, 7), (1, 1))


def test_vectors_side_by_side_keep_their_fields():
    net = Graph(("a", Flatten(), "x"), ("b", Conv2d(1, 1, 3), "x"), ("c", Flatten(), "b"),
                ("ac", Concatenate(), "a", "c"), ("relu", ReLU(), "ac"))
    assert fields(net, (1, 8, 8)) == {"a": 1, "b": 3, "c": 3, "ac": 3, "relu": 3}


def test_receptive_field_of_alexnet():
    """11; 11+2·4 = 19; 19+4·8 = 51; 51+2·8 = 67; 67+2·16 = 99; 131; 163; 163+2·16 = 195."""
    net = Sequential(
        conv1=Conv2d(1, 1, 11, stride=4), pool1=MaxPool2d(3, 2), conv2=Conv2d(1, 1, 5, padding=2),
        pool2=MaxPool2d(3, 2), conv3=Conv2d(1, 1, 3, padding=1), conv4=Conv2d(1, 1, 3, padding=1),
        conv5=Conv2d(1, 1, 3, padding=1), pool5=MaxPool2d(3, 2), flatten=Flatten(),
        fc6=Linear(36, 2))
    assert list(fields(net, (1, 227, 227)).values()) == [11, 19, 51, 67, 99, 131, 163, 195, 195,
                                                         math.inf]


def test_receptive_field_of_vgg16():
    """Each 3×3 adds 2 jumps, each pooling one."""
    layers = []
    for count in (2, 2, 3, 3, 3):
        layers += [Conv2d(1, 1, 3, padding=1) for _ in range(count)] + [MaxPool2d(2)]
    found = [row.receptive_field[0] for row in summary(Sequential(*layers), (1, 224, 224)).rows]
    assert found == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]


def resnet(depths, convs, first_stride_at):
    """A ResNet of one channel; `convs` are the kernels of a block, one of which has its stride."""
    def block(stride):
        body = [Conv2d(1, 1, k, padding=k // 2, stride=stride if i == first_stride_at else 1)
                for i, k in enumerate(convs)]
        shortcut = Conv2d(1, 1, 1, stride=stride) if stride > 1 else None
        return Sequential(Residual(*body, downsample=shortcut), ReLU())

    stages = [block(2 if i and not j else 1) for i, n in enumerate(depths) for j in range(n)]
    return Sequential(Conv2d(1, 1, 7, stride=2, padding=3), ReLU(), MaxPool2d(3, 2, padding=1),
                      *stages)


@pytest.mark.parametrize("depths, convs, first_stride_at, expected", [
    # 7/2: r 7, j 2; pooling 3/2: r 11, j 4. A 3×3 with stride belongs to the stage before it.
    ((2, 2, 2, 2), (3, 3), 0, 11 + 4 * 8 + (8 + 3 * 16) + (16 + 3 * 32) + (32 + 3 * 64)),    # 435
    ((3, 4, 6, 3), (1, 3, 1), 1, 11 + 3 * 8 + (8 + 3 * 16) + (16 + 5 * 32) + (32 + 2 * 64)),  # 427
    # the paper's ResNet-50 takes its strides in the 1×1 before: each 3×3 is behind them
    ((3, 4, 6, 3), (1, 3, 1), 0, 11 + 3 * 8 + 4 * 16 + 6 * 32 + 3 * 64),                      # 483
])
def test_receptive_field_of_resnets(depths, convs, first_stride_at, expected):
    assert expected in (435, 427, 483)
    last = summary(resnet(depths, convs, first_stride_at), (1, 224, 224)).rows[-1]
    assert (last.receptive_field, last.jump) == ((expected, expected), (32, 32))


class Joined(Layer):
    """Joins of one's own: of a and b a product, of that and x a concatenation, and a sum."""

    def __init__(self):
        self.a = Conv2d(1, 1, 3, padding=1)
        self.b = Conv2d(1, 1, 5, padding=2)
        self.c = Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        a = self.a(x)
        product = a * self.b(x)
        return self.c(np.concatenate([product, x], axis=1)) + a

    def backward(self, dy):
        dx = self.c.backward(dy)
        d_product = dx[:, :1]               # a > 0 and b > 0 in the test: they change no zeros
        return self.a.backward(d_product + dy) + self.b.backward(d_product) + dx[:, 1:]


def positive(model):
    """All weights 1, all biases 0, so that gradients cannot cancel."""
    for p in model.parameters():
        p.value[...] = p.value.ndim > 1
    return model


@pytest.mark.parametrize("model", [
    Sequential(Conv2d(1, 1, 3), Conv2d(1, 1, 3, stride=2), AvgPool2d(3, 2), Conv2d(1, 1, 3)),
    Sequential(Conv2d(1, 1, (5, 3), stride=(1, 2)), Conv2d(1, 1, 3, dilation=(2, 3))),
    Sequential(Residual(Conv2d(1, 1, 3, padding=1), Conv2d(1, 1, 5, padding=2)), AvgPool2d(2),
               Concat(Identity(), Conv2d(1, 1, 3, padding=1), Conv2d(1, 1, 1)), Conv2d(3, 1, 3)),
    Sequential(AdaptiveAvgPool2d(12), Conv2d(1, 1, 3)),
    Sequential(ZeroPad2d((1, 0, 2, 0)), Conv2d(1, 1, 3), AvgPool2d(2, 1), ZeroPad2d(-3)),
    Sequential(AvgPool2d(2), Joined()),
    Sequential(Conv2d(1, 1, 3), AdaptiveAvgPool2d(1)),
    Sequential(Conv2d(1, 1, 3), Flatten(), Linear(46 * 46, 3)),
    Sequential(Conv2d(1, 1, 3, stride=3), AvgPool2d(16)),
    Scale(AdaptiveAvgPool2d(1), Conv2d(1, 1, 1)),
], ids=["chain", "oblong", "branches", "adaptive", "pad", "joins", "mean", "linear", "window",
        "scale"])
def test_receptive_field_is_where_the_gradient_reaches(model):
    """The gradient of one pixel in the middle, with positive weights, is not 0 in a rectangle
    of the image: its sides are the receptive field."""
    x = np.ones((1, 1, 48, 48), dtype=np.float32)
    positive(model).eval()
    y = model.forward(x)
    dy = np.zeros_like(y)
    dy[(0, 0, *(n // 2 for n in y.shape[2:]))[:y.ndim]] = 1
    reached = model.backward(dy)[0, 0] != 0
    sides = tuple(int(np.ptp(np.nonzero(reached)[axis])) + 1 for axis in (0, 1))

    wrapped = Sequential(model, Identity())         # its row has what the model returns
    found = summary(wrapped, (1, 48, 48)).rows[-1].receptive_field
    assert tuple(min(r, 48) for r in found) == sides
    assert (found == ALL) == (sides == (48, 48))


def test_squeeze_and_excitation_sees_the_whole_map_from_there_on():
    net = Sequential(a=Conv2d(2, 2, 3, padding=1),
                     se=Scale(AdaptiveAvgPool2d(1), Conv2d(2, 2, 1), Sigmoid()),
                     b=Conv2d(2, 2, 3, stride=2, padding=1))
    table = summary(net, (2, 16, 16))
    assert [row.receptive_field for row in table.rows] == [(3, 3), ALL, ALL, ALL, ALL]
    assert table.rows[-1].jump == (2, 2)
    assert str(table).count(" all\n") == 4


def test_means_and_reshapes_in_a_forward_of_ones_own():
    class Head(Layer):
        def __init__(self, reduce):
            self.conv, self.reduce, self.out = Conv2d(1, 4, 3), reduce, ReLU()

        def forward(self, x):
            return self.out(self.reduce(self.conv(x)))

    def fields_with(reduce):
        return fields(Head(reduce), (1, 8, 8))["out"]

    assert fields_with(lambda y: y.mean(axis=(2, 3))) == math.inf
    assert fields_with(lambda y: y.mean(axis=(2, 3), keepdims=True)) == math.inf
    assert fields_with(lambda y: y.reshape(1, -1)) == 3         # positions are still apart
    assert fields_with(lambda y: 2 * y) == 3
    assert fields_with(lambda y: y[:, :, ::2, ::2]) is None     # which pixels? nobody knows


def test_a_change_of_size_that_is_not_known_is_a_question_mark_from_there_on():
    class Upsample(Layer):
        def forward(self, x):
            return x.repeat(2, axis=2).repeat(2, axis=3)

    class Transposed(Upsample):
        kernel_size, stride = 2, 2

    class Dilation(Layer):
        """A window of one's own, which says what it is."""
        kernel_size, stride = (3, 3), 2

        def forward(self, x):
            return np.maximum(x[:, :, 0:-2:2, 0:-2:2], x[:, :, 2::2, 2::2])

    for unknown in (Upsample(), Transposed()):
        found = fields(Sequential(Conv2d(1, 1, 3), unknown, Conv2d(1, 1, 3), Flatten()))
        assert list(found.values()) == [3, None, None, None]
    table = summary(Sequential(Upsample(), ReLU()), (1, 2, 2))
    assert str(table).count(" ?\n") == 2
    assert list(fields(Sequential(Conv2d(1, 1, 3), Dilation(), ReLU()), (1, 65, 65)).values()) == [
        3, 5, 5]


def test_without_an_image_there_is_no_receptive_field():
    table = summary(Sequential(Linear(3, 4), ReLU()), (3,))
    assert [row.receptive_field for row in table.rows] == [None, None]
    assert "?" not in str(table)


# ── memory ───────────────────────────────────────────────────────────────────────────

MAP = 64 * 64 * 4                                   # bytes of one channel


def test_memory_of_an_output_is_that_of_new_arrays_only():
    net = Sequential(Conv2d(1, 2, 1), Dropout(0.5), Identity(), ReLU(), Flatten())
    assert [row.memory for row in summary(net, (1, 64, 64)).rows] == [2 * MAP, 0, 0, 2 * MAP, 0]
    net = Sequential(Residual(Conv2d(1, 1, 1)), Flatten())     # the sum is nobody's: no row
    assert [row.memory for row in summary(net, (1, 64, 64)).rows] == [MAP, 0, 0]

    class Doubled(Layer):
        def __init__(self):
            self.flatten = Flatten()

        def forward(self, x):
            return self.flatten(2 * x)

    assert [row.memory for row in summary(Doubled(), (1, 64, 64)).rows] == [0]


def test_memory_kept_for_backward():
    """conv: x (8 channels); ReLU: its output; then conv: the same again, which counts once.
    A layer that remembers a view keeps what the view is of, and nothing counts twice."""
    net = Sequential(Conv2d(8, 16, 1), ReLU(), Concat(Conv2d(16, 1, 1), Conv2d(16, 1, 1)))
    table = summary(net, (8, 64, 64))
    assert table.memory_backward == (8 + 16) * MAP
    assert table.memory_params == 4 * table.params == 4 * (144 + 17 + 17)

    class OneChannel(Layer):
        def __init__(self):
            self.weight = Parameter(np.ones(1000, dtype=np.float32))

        def forward(self, x):
            y = 2 * x
            self.remember(self.weight.value[:10], [{"a": y[:, :1]}, y[:, 1:]], y=y)
            return y

    assert summary(OneChannel(), (8, 64, 64)).memory_backward == 8 * MAP


def test_memory_of_a_forward_is_the_most_at_once():
    """x (not counted) → 16 channels → 16: alive at the same time; afterwards the first 16 are
    freed, and 8 more are not as much."""
    net = Sequential(Conv2d(8, 16, 1, bias=False), ReLU(), Conv2d(16, 8, 1, bias=False))
    table = summary(net, (8, 64, 64))
    assert table.memory_forward == pytest.approx((16 + 16) * MAP, rel=0.01)


def test_memory_of_a_forward_is_without_what_backward_would_need():
    net = Sequential(*(Conv2d(8, 8, 1, bias=False) for _ in range(6)))
    table = summary(net, (8, 128, 128))             # large: Python's own objects are 3 KB
    assert table.memory_forward == pytest.approx(2 * 8 * 4 * MAP, rel=0.01)
    assert table.memory_backward == 6 * 8 * 4 * MAP


class Greedy(Layer):
    """Needs ten times its input for a while."""

    def forward(self, x):
        return np.concatenate([x] * 10).sum(axis=0, keepdims=True)


def test_workspace_is_what_a_layer_needs_beyond_its_output():
    net = Sequential(Conv2d(8, 16, 1, bias=False), Sequential(greedy=Greedy()), ReLU())
    table = summary(net, (8, 64, 64))
    assert table.workspace_layer == "1.greedy"
    assert table.workspace == pytest.approx(160 * MAP, rel=0.01)
    assert table.memory_forward == pytest.approx((16 + 160 + 16) * MAP, rel=0.01)


def test_tracing_is_as_it_was_and_memory_of_others_does_not_count():
    net = Sequential(Conv2d(8, 16, 1, bias=False), Greedy())
    alone = summary(net, (8, 64, 64))
    assert not tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        mine = np.ones((500, 64, 64), dtype=np.float32)
        beside = summary(net, (8, 64, 64))
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert mine.nbytes > 2 * alone.memory_forward
    assert beside.memory_forward == pytest.approx(alone.memory_forward, rel=0.02)
    assert beside.workspace == pytest.approx(alone.workspace, rel=0.02)


# ── the model is left alone ──────────────────────────────────────────────────────────


class Untidy(Layer):
    """Changes everything it can, in evaluation too."""

    def __init__(self):
        self.inner, self.drop = Linear(3, 2, rng=0), Dropout(0.5, rng=0)
        self.rng, self.calls = np.random.default_rng(5), np.zeros(1)
        self.log = []

    def forward(self, x):
        self.calls += 1
        self.inner.weight.value += self.rng.standard_normal()
        self.log.append(x)
        self.training = True
        if x[0, 0] == 0 and self.calls[0] > 99:
            raise ZeroDivisionError("mine")
        return self.drop(self.inner(x))


@pytest.mark.parametrize("calls", [0, 99])
def test_model_is_left_as_it_was(calls):
    net = Untidy()
    net.calls[0] = calls
    net.drop.training = False
    before = net.state_dict()
    draws = net.rng.bit_generator.state, net.drop.rng.bit_generator.state
    if calls:
        with pytest.raises(ZeroDivisionError, match="mine"):
            summary(net, (3,))
    else:
        assert summary(net, (3,)).params == 8
    assert net.training and not net.drop.training
    assert before.keys() == net.state_dict().keys()
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())
    assert draws == (net.rng.bit_generator.state, net.drop.rng.bit_generator.state)
    assert net.log == [] and not tracemalloc.is_tracing()
    assert all("forward" not in vars(layer) and not hasattr(layer, "_memory")
               for _, layer in net.named_layers())


def test_an_earlier_forward_can_still_be_run_backwards():
    net, x = Sequential(Conv2d(1, 2, 3, rng=0), ReLU()), np.ones((2, 1, 4, 4), dtype=np.float32)
    net.backward(net.forward(x))
    expected = net[0].weight.grad.copy()
    net.zero_grad()
    y = net.forward(x)
    with no_grad():
        summary(net, (1, 6, 6))
    net.backward(y)
    assert np.array_equal(net[0].weight.grad, expected)


def test_a_network_on_the_gpu_stays_there():
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Flatten(), Linear(16, 2))
    expected = summary(net, (3, 4, 4))
    with strict_cupy.installed():
        net.to("gpu")
        table = summary(net, (3, 4, 4))
        assert {device_of(p.value) for p in net.parameters()} == {"gpu"}
        assert device_of(net[1].running_mean) == "gpu"
    assert table.rows == expected.rows and table.memory_backward == expected.memory_backward


def test_the_model_runs_twice_at_most():
    """And the first run's memory is gone before the second."""
    class Counted(Layer):
        runs = []

        def forward(self, x):
            self.runs.append((x.shape, hasattr(self, "_memory")))
            self.remember(x)
            return x

    summary(Counted(), (1, 4, 4))
    assert Counted.runs == [((1, 1, 4, 4), False)] * 2


# ── errors ───────────────────────────────────────────────────────────────────────────


def test_errors_say_what_is_wrong():
    for model in (Linear, "alexnet", None):
        with pytest.raises(ValueError, match=r"summary expects a layer or a network.*; got"):
            summary(model, (3,))
    for shape in (7, (), (3, 0), (3, -1, 2), (3, 2.0), (True,), "3", None):
        with pytest.raises(ValueError, match=r"shape of one image, such as \(3, 224, 224\); got"):
            summary(Linear(3, 2), shape)
    with pytest.raises(ValueError, match=r"Linear\(3→2\) expects \(N, 3\); got \(1, 4\)"):
        summary(Sequential(Linear(3, 2)), (4,))
    for depth in (0, -1, 1.5, True, None):
        with pytest.raises(ValueError, match="folded expects how many parts"):
            summary(Linear(3, 2), (3,)).folded(depth)


def test_a_model_that_cannot_be_copied_is_named():
    net = Sequential(Linear(3, 2))
    net.stream = open(__file__, encoding="utf-8")           # noqa: SIM115
    with net.stream, pytest.raises(TypeError, match="Sequential cannot be copied: .*TextIOWrapper"):
        summary(net, (3,))


# ── folding, printing, JSON ──────────────────────────────────────────────────────────


def blocks():
    return Sequential(stem=Conv2d(1, 4, 3, padding=1),
                      block1=Sequential(a=Concat(Identity(), Conv2d(4, 2, 3, padding=1)),
                                        b=Sequential(conv=Conv2d(6, 6, 1), relu=ReLU())),
                      head=Sequential(Flatten(), Linear(6 * 64, 3)))


def test_folding_keeps_the_totals():
    table = summary(blocks(), (1, 8, 8))
    for depth in (1, 2, 3, 9):
        folded = table.folded(depth)
        for column in ("params", "macs", "memory"):
            assert sum(getattr(row, column) for row in folded.rows) == \
                sum(getattr(row, column) for row in table.rows), (depth, column)
        assert (folded.params, folded.macs) == (table.params, table.macs)
        assert folded.memory_forward == table.memory_forward
    assert [row.name for row in table.folded().rows] == ["stem", "block1", "head"]
    assert [row.name for row in table.folded(2).rows] == ["stem", "block1.a", "block1.b", "head.0",
                                                         "head.1"]
    assert table.folded(9).rows == table.rows


def test_a_folded_block_shows_what_the_block_returned():
    """The concatenation, not the last of its branches."""
    a = summary(blocks(), (1, 8, 8)).folded(2).rows[1]
    assert (a.name, a.layer, a.output_shape) == ("block1.a", "Concat, 2 layers", (6, 8, 8))
    assert (a.params, a.macs, a.receptive_field) == (74, 64 * 72, (5, 5))
    b = summary(blocks(), (1, 8, 8)).folded(1).rows[1]
    assert (b.layer, b.output_shape, b.receptive_field) == ("Sequential, 4 layers", (6, 8, 8),
                                                            (5, 5))


def test_folding_a_block_that_never_ran_as_a_whole():
    """Only its layers did, and the last of them did not: the block has what the first returned."""
    class Mine(Layer):
        def __init__(self):
            self.parts = Sequential(a=Conv2d(1, 2, 3), b=Linear(2, 3))

        def forward(self, x):
            return self.parts["a"](x)

    row, = summary(Mine(), (1, 5, 5)).folded().rows
    assert (row.name, row.layer, row.output_shape, row.params, row.note) == (
        "parts", "2 layers", (2, 3, 3), 29, "")


def test_prints_a_table():
    text = str(summary(Sequential(conv=Conv2d(3, 7, 3, bias=False), out=ReLU()), (3, 40, 40)))
    lines = text.splitlines()
    assert lines[0].split() == ["layer", "output", "parameters", "MACs", "memory", "field"]
    assert lines[1].split() == ["conv", "Conv2d(3→7,", "k", "3,", "s", "1)", "7×38×38", "189",
                                "272,916", "39.5", "KiB", "3"]
    assert {len(line) for line in lines[:3]} == {len(lines[0])}
    assert lines[3].split() == ["total", "189", "272,916"]
    assert "756 B of parameters" in text and "kept for backward" in text


def test_tables_stay_narrow_where_names_and_layers_are_long():
    net = Conv2d(2048, 2048, 1, stride=2, padding=1, dilation=2, groups=1024)
    for name in ("downsample", "layer4", "features"):
        net = Sequential(**{name: net})
    lines = str(summary(net, (2048, 8, 8))).splitlines()
    assert "Conv2d(2048→2048, k 1, s 2, p 1, " in lines[1] and "…" in lines[1]
    assert max(map(len, lines)) == 110


def test_json_has_every_row_and_total():
    table = summary(Sequential(Conv2d(1, 2, (3, 1)), Flatten(), Linear(32, 3)), (1, 6, 4))
    read = json.loads(table.to_json())
    assert read["rows"][0] == {
        "name": "0", "layer": "Conv2d(1→2, kernel 3×1, stride 1)", "output_shape": [2, 4, 4],
        "params": 8, "macs": 96, "memory": 128, "receptive_field": [3, 1], "jump": [1, 1],
        "note": ""}
    assert [row["receptive_field"] for row in read["rows"]] == [[3, 1], [3, 1], ["all", "all"]]
    assert read.pop("rows") and read == {
        "params": 8 + 99, "macs": 192, "input_shape": [1, 6, 4], "params_unused": 0,
        "memory_params": 4 * 107, "memory_forward": table.memory_forward,
        "memory_backward": 96 + 128, "workspace": table.workspace,
        "workspace_layer": table.workspace_layer}
    unknown = json.loads(summary(WithHead(), (1, 4, 4)).to_json())["rows"][1]
    assert unknown["receptive_field"] is unknown["output_shape"] is None
    assert table.rows[2].receptive_field == ALL             # the table itself is as it was


# ── the command ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def run(capsys):
    """run("alexnet_small", …) → (exit status, what it printed, errors)."""
    parser = argparse.ArgumentParser()
    cost.add_command(parser.add_subparsers(required=True))

    def run(*words):
        options = parser.parse_args(["summary", *words])
        status = options.run(options)
        return status, *capsys.readouterr()
    return run


def test_command_prints_the_table_of_a_network_by_name(run):
    status, out, _ = run("alexnet_small")
    assert status == 0 and "Linear(256→10)" in out and "one image of 1×32×32" in out


def test_command_options(run):
    _, out, _ = run("alexnet_small", "--num-classes", "7", "--input", "3,40,40", "--json",
                    "--fold", "1")
    read = json.loads(out)
    assert read["input_shape"] == [3, 40, 40] and read["rows"][-1]["output_shape"] == [7]
    assert read["rows"][0]["params"] == 5 * 5 * 3 * 32 + 32
    assert len(read["rows"]) == 23


@pytest.mark.parametrize("words, message", [
    (["alexnett"], "unknown model 'alexnett': did you mean"),
    (["alexnet_small", "--input", "1,32"], "--input expects 3 whole numbers with commas between, "
                                           "1 or more; got '1,32'"),
    (["alexnet_small", "--input", "1,0,32"], "--input expects 3 whole numbers"),
    (["alexnet_small", "--fold", "0"], "--fold expects one whole number, 1 or more; got '0'"),
    (["alexnet_small", "--num-classes", "x"], "--num-classes expects one whole number"),
    (["alexnet_small", "--input", "1,9,9"], "too small"),
])
def test_command_errors_are_one_line_and_status_2(run, words, message):
    status, out, error = run(*words)
    assert status == 2 and out == "" and message in error
    assert error.startswith("scratchnet: ") and error.count("\n") == 1
