"""Counts: parameters, multiply-accumulates, output shapes."""
import numpy as np

from scratchnet import summary
from scratchnet.cost import params_sum
from scratchnet.layer import Layer
from scratchnet.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    ReLU,
    Sequential,
)


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
    assert summary(Sequential(a, b), (3,)).params == 9 + 3 + 3
    table = summary(Concat(Identity(), Conv2d(2, 3, 1)), (2, 5, 4))
    assert [row.output_shape for row in table.rows] == [(2, 5, 4), (3, 5, 4)]


def test_model_is_left_as_it_was():
    class Mine(Layer):
        def __init__(self):
            self.inner, self.drop = Linear(3, 2, rng=0), Dropout(0.5, rng=0)

        def forward(self, x):
            return self.drop(self.inner(x))

    net = Mine()
    net.drop.training = False
    before = net.state_dict()
    assert summary(net, (3,)).params == 8
    assert net.training and not net.drop.training
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())
    assert "forward" not in vars(net.inner)
    assert not hasattr(net.inner, "_memory")


def test_prints_a_table():
    text = str(summary(Sequential(conv=Conv2d(3, 7, 3)), (3, 4, 4)))
    assert "conv" in text and "7×2×2" in text and "196" in text and "total" in text
