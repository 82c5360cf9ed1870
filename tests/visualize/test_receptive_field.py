"""Receptive fields: where theory puts them, and what is looked at."""
import io

import numpy as np
import pytest

from scratchnet import models
from scratchnet.cost import summary
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from scratchnet.visualize import receptive_field as rf


def stack(n, channels=8, seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(*[Conv2d(1 if i == 0 else channels, channels, 3, padding=1, bias=False,
                               rng=rng) for i in range(n)])


def test_the_field_of_a_window_by_hand():
    """conv 3×3 stride 2 padding 1, then max-pool 2×2: unit u sees rows 4u−1 … 4u+3."""
    net = Sequential(conv=Conv2d(2, 3, 3, stride=2, padding=1, rng=0), relu=ReLU(),
                     pool=MaxPool2d(2))
    field = rf.theoretical_field(net, "pool", (2, 16, 20))
    assert field == rf.Field((2, 2), (5, 5), (4, 4), (7, 7, 12, 12))
    corner = rf.theoretical_field(net, "pool", (2, 16, 20), (0, 4))
    assert corner.box == (0, 15, 4, 20)                     # cut by the edge at the top
    assert corner.side == (5, 5)
    assert rf.theoretical_field(net, "conv", (2, 16, 20), (1, 3)).box == (1, 5, 4, 8)


def test_boxes_have_the_side_that_the_summary_gives_where_nothing_cuts_them():
    net = models.resnet_small(rng=0)
    shape = models.input_shape("resnet_small")
    checked = 0
    for row in summary(net, shape).rows[:12:3]:             # further down the fields reach edges
        field = rf.theoretical_field(net, row.name, shape)
        top, left, bottom, right = field.box
        if top > 0 and left > 0 and bottom < shape[1] and right < shape[2]:
            assert (bottom - top, right - left) == field.side == row.receptive_field, row.name
            checked += 1
    assert checked == 4


def test_what_was_computed_from_everything_sees_everything():
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), pool=AdaptiveAvgPool2d(1))
    field = rf.theoretical_field(net, "pool", (1, 9, 9))
    assert field.box == (0, 0, 9, 9) and field.side == (np.inf, np.inf)


def test_the_effective_field_of_one_convolution_is_its_weights():
    net = Sequential(conv=Conv2d(2, 1, 3, rng=0))
    x = np.random.default_rng(0).random((4, 2, 7, 7), dtype=np.float32)
    e = rf.effective_field(net, "conv", x)
    w = abs(net.conv.weight.value[0]).mean(axis=0)
    np.testing.assert_allclose(e[2:5, 2:5], w, rtol=1e-6)
    assert np.count_nonzero(e) == 9


def test_nothing_outside_the_theoretical_field_is_looked_at():
    rng = np.random.default_rng(1)
    net = Sequential(a=Conv2d(1, 4, 3, rng=rng), bn=BatchNorm2d(4),
                     block=Residual(Conv2d(4, 4, 3, padding=1, rng=rng), ReLU()),
                     pool=MaxPool2d(2), last=Conv2d(4, 4, 3, dilation=2, rng=rng))
    x = rng.random((8, 1, 24, 24), dtype=np.float32)
    for name in ("a", "block", "pool", "last"):
        top, left, bottom, right = rf.theoretical_field(net, name, (1, 24, 24)).box
        e = rf.effective_field(net, name, x)
        assert e[top:bottom, left:right].sum() == e.sum() > 0, name
        assert bottom - top < 20


def test_the_width_grows_with_the_root_of_the_depth():
    """Luo et al.: n layers of random 3×3 weights; theory gives 2n + 1, the bell's width ∝ √n."""
    widths = {}
    for n in (4, 16):
        x = np.random.default_rng(0).standard_normal((1, 1, 41, 41)).astype(np.float32)
        fields = [rf.effective_field(stack(n, seed=seed), str(n - 1), x) for seed in range(6)]
        widths[n] = rf.width(np.mean(fields, axis=0))
    assert widths[16] / widths[4] == pytest.approx(2, rel=0.2)      # not 4, as the side does
    assert rf.theoretical_field(stack(16), "15", (1, 41, 41)).side == (33, 33)


def test_width_and_energy_on_paper():
    e = np.zeros((5, 7))
    e[2, 1] = e[2, 5] = 3                                   # ±2 columns, 0 rows: √((4 + 0)/2)
    assert rf.width(e) == pytest.approx(2**0.5)
    assert rf.energy_within(e, (2, 0, 3, 3)) == 0.5
    assert rf.width(0 * e) == rf.energy_within(0 * e, (0, 0, 5, 7)) == 0
    assert rf.Field((0, 0), None, None, (2, 4, 10, 20)).middle() == (4, 8, 8, 16)


def test_the_model_is_left_as_it_was():
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), bn=BatchNorm2d(2)).train()
    net.conv.weight.grad[...] = 3
    before = net.state_dict()
    rf.theoretical_field(net, "bn", (1, 9, 9))
    rf.effective_field(net, "bn", np.ones((1, 1, 9, 9), np.float32))
    assert net.bn.training and (net.conv.weight.grad == 3).all()
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_the_figure_says_what_was_measured():
    net, x = stack(5), np.random.default_rng(0).random((4, 1, 31, 31), dtype=np.float32)
    figure = rf.receptive_field_figure(net, "4", x, note="untrained: weights as drawn")
    image, profile = figure.axes
    assert image.get_title() == "can see 11×11 pixels (box), looks at the glow"
    box = image.patches[0]
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (10, 10, 11, 11)
    share = rf.energy_within(rf.effective_field(net, "4", x), (12, 12, 19, 19))
    assert profile.texts[0].get_text().startswith(f"{share:.0%} of the energy in the middle")
    assert share > 0.5
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    assert file.getvalue()


@pytest.mark.parametrize("name, unit, message", [
    ("fc", None, r"fc returns \(1, 3\): receptive fields are those of maps"),
    ("conv", (7, 0), r"conv has maps of 7×7; unit is \(row, column\) within them; got \(7, 0\)"),
    ("conv", 3, "got 3"),
    ("cov", None, "no layer 'cov' in Sequential; the nearest are conv"),
])
def test_units_and_layers_that_do_not_fit(name, unit, message):
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), flatten=Flatten(), fc=Linear(98, 3, rng=0))
    with pytest.raises(ValueError, match=message):
        rf.theoretical_field(net, name, (1, 9, 9), unit)
    with pytest.raises(ValueError, match=message):
        rf.effective_field(net, name, np.ones((1, 1, 9, 9), np.float32), unit)
