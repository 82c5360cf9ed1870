"""What lessons print of a network, layer by layer, and what changed since another."""
import pytest

from scratchnet import Layer
from scratchnet.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Residual, Sequential
from scratchnet.lesson import steps, what_changed


def small():
    return Sequential(conv=Conv2d(3, 8, 3, padding=1, rng=0), relu=ReLU(), pool=MaxPool2d(2),
                      same=Conv2d(8, 8, 3, padding=1, rng=0),
                      again=Conv2d(8, 8, 3, padding=1, rng=0),
                      block=Residual(Conv2d(8, 8, 1, rng=0)), flatten=Flatten(),
                      fc=Linear(8 * 16, 100, rng=0))


def test_every_step_has_its_shape_sum_macs_and_check(capsys):
    rows = {row.name: row for row in steps(small(), (3, 8, 8))}
    assert rows["conv"].output == (8, 8, 8)
    assert rows["conv"].params == 3 * 3 * 3 * 8 + 8 and rows["conv"].macs == 8 * 8 * 27 * 8
    assert rows["block"].params == 72 and rows["flatten"].output == (128,)
    assert all(row.report.passed for row in rows.values() if row.name != "again")
    assert rows["again"].report is None                     # the same make is checked once
    told = capsys.readouterr().out.splitlines()
    assert "3·3·3·8 + 8 = 224" in told[1] and "correct" in told[1] and "13,824" in told[1]
    assert told[5].endswith("as same")
    total = sum(row.params for row in rows.values())
    assert told[-1].split() == ["total", f"{total:,}", f"{sum(r.macs for r in rows.values()):,}"]


def test_a_wrong_gradient_stops_it():
    class Wrong(Layer):
        def forward(self, x):
            self.remember(x, y=x)
            return 3 * x

        def backward(self, dy):
            self.recall(dy)
            return 2 * dy

    with pytest.raises(AssertionError, match="Wrong"):
        steps(Sequential(wrong=Wrong()), (3, 8, 8))


def test_a_layer_that_needs_a_large_image_gets_one():
    rows = steps(Sequential(conv=Conv2d(1, 2, 11, stride=4, rng=0)), (1, 40, 40))
    assert rows[0].report.passed


def test_what_changed_from_one_network_to_another(capsys):
    before, after = what_changed("resnet_small", "densenet_small")
    told = capsys.readouterr().out
    assert f"{before.params:,}" in told and f"{after.macs:,}" in told
    assert "not published" in told and "Linear" not in told     # one each: no difference
