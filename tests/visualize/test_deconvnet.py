"""The deconvnet: its steps on paper, by hand and by the network's own backward, and its errors."""
import io

import numpy as np
import pytest
from test_find import state

from scratchnet import cost, models
from scratchnet.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from scratchnet.visualize.deconvnet import (
    _mosaics,
    _strongest,
    _window,
    deconvnet_figure,
    descend,
    reconstruct,
    strongest,
)


def images(n, name, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *models.input_shape(name)), np.float32)


def row(*numbers):
    return np.array([[[numbers]]], dtype=float)


def tiny():
    """Two convolutions of one filter each, with ReLU and max-pooling between them."""
    net = Sequential(conv1=Conv2d(1, 1, (1, 2)), relu1=ReLU(), pool1=MaxPool2d((1, 2)),
                     conv2=Conv2d(1, 1, (1, 2)), relu2=ReLU()).astype(np.float64)
    net.conv1.weight.value[...], net.conv1.bias.value[...] = row(1, -1), 1
    net.conv2.weight.value[...], net.conv2.bias.value[...] = row(2, -1), 10
    return net


def test_every_step_on_paper():
    """Forward, from the image 1 2 0 3 1:

        conv1   1−2+1  2−0+1  0−3+1  3−1+1   =   0  3  −2  3
        relu1                                    0  3   0  3
        pool1   winners at 1 and 3               3  3
        conv2   2·3 − 3 + 10                     13
    """
    steps = descend(tiny(), row(1, 2, 0, 3, 1), "conv2", 0)
    expected = [("conv2", row(13)),
                ("conv2", row(26, -13)),                # 13 · (2, −1), without the bias
                ("pool1", row(0, 26, 0, -13)),          # where the maxima were
                ("relu1", row(0, 26, 0, 0)),            # what is negative itself stops
                ("conv1", row(0, 26, -26, 0, 0))]       # 26 · (1, −1)
    for (name, r), (right, numbers) in zip(steps, expected, strict=True):
        assert name == right
        np.testing.assert_array_equal(r, numbers)
    np.testing.assert_array_equal(reconstruct(tiny(), row(1, 2, 0, 3, 1), "conv2", 0),
                                  row(0, 26, -26, 0, 0))


def test_only_the_strongest_activation_goes_down():
    steps = descend(tiny(), row(1, 2, 0, 3, 1), "pool1", 0)
    np.testing.assert_array_equal(steps[0][1], row(3, 0))               # the first of the two 3s
    np.testing.assert_array_equal(steps[-1][1], row(0, 3, -3, 0, 0))


@pytest.mark.parametrize("name, layer", [
    ("zfnet_small", "relu1"), ("zfnet_small", "conv3"), ("zfnet_small", "pool5"),
    ("zfnet_small", "fc7"), ("alexnet_small", "relu5"), ("vgg_small", "relu3_1")])
def test_by_hand_equals_the_networks_own_backward_with_the_rule(name, layer):
    net = models.get_model(name, rng=0).astype(np.float64)
    x = images(1, name).astype(np.float64)
    feature = int(np.argmax(strengths(net, x, layer)))
    by_hand, general = descend(net, x, layer, feature)[-1][1], reconstruct(net, x, layer, feature)
    assert np.abs(general).max() > 0
    np.testing.assert_allclose(by_hand, general, rtol=1e-10, atol=1e-14)


def strengths(net, x, layer):
    """The largest activation of each feature."""
    a = [feature[0].activation for feature in [strongest(net, x, layer, f, 1) for f in range(6)]]
    return np.array(a)


@pytest.mark.parametrize("stride, size", [(1, 9), (2, 9), (2, 10), (3, 11)])
def test_by_hand_with_groups_batch_norm_and_strides_that_leave_pixels_over(stride, size):
    rng = np.random.default_rng(0)
    bn = BatchNorm2d(6)
    net = Sequential(features=Sequential(Conv2d(4, 6, 3, stride, 1, groups=2, rng=rng), bn, ReLU(),
                                         MaxPool2d(3, 1, 1)), conv2=Conv2d(6, 3, 2, 2, rng=rng))
    bn.running_mean = rng.standard_normal(6, np.float32)
    bn.running_var = rng.random(6, np.float32) + 1
    bn.weight.value = rng.standard_normal(6, np.float32)
    net.astype(np.float64)
    x = rng.standard_normal((1, 4, size, size + 1))
    for feature in range(3):
        steps = descend(net, x, "conv2", feature)
        assert [name for name, _ in steps] == ["conv2", "conv2", *(f"features.{i}" for i in
                                                                   (3, 2, 1, 0))]
        by_hand = steps[-1][1]
        np.testing.assert_allclose(by_hand, reconstruct(net, x, "conv2", feature), rtol=1e-12)


def test_networks_that_are_no_chain_are_reconstructed_all_the_same():
    net, x = models.get_model("resnet_small", rng=0), images(2, "resnet_small")
    inner = [name for name, _ in net.named_layers() if name.endswith("conv1")][-1]
    assert reconstruct(net, x, inner, 2).shape == x.shape
    with pytest.raises(ValueError, match=r"is not a link of a plain chain.*use reconstruct\(…\).*"
                                         r"or saliency\(…\)"):
        descend(net, x[:1], inner, 2)


def test_a_mean_has_no_switches():
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), relu=ReLU(), pool=AvgPool2d(2),
                     conv2=Conv2d(2, 2, 1, rng=0))
    x = np.ones((1, 1, 6, 6), np.float32)
    with pytest.raises(ValueError, match=r"pool is AvgPool2d.*a mean has no switches.*use recon"):
        descend(net, x, "conv2", 0)
    assert descend(net, x, "relu", 0)[-1][1].shape == x.shape           # above it all is well
    figure = deconvnet_figure(net, x, {"conv2": [0]})
    assert "no max-pooling in this network, so no switches" in figure._suptitle.get_text()


def test_the_model_is_left_as_it_was():
    net, x = models.zfnet_small(rng=0), images(2, "zfnet_small")
    net.forward(x)
    before = state(net)
    descend(net, x[:1], "conv4", 3)
    reconstruct(net, x, "conv4", 3)
    strongest(net, x, "conv4", 3)
    assert state(net) == before


# ── the strongest of the data ────────────────────────────────────────────────────────


def test_the_strongest_are_found_one_an_image():
    """A filter that looks for a lit pixel; the images have one each, image 4 a second."""
    net = Sequential(conv=Conv2d(1, 1, 3, padding=1), relu=ReLU())
    net.conv.weight.value[...] = 0
    net.conv.weight.value[0, 0, 1, 1] = 2
    x = np.zeros((6, 1, 7, 9), np.float32)
    places = [(1, 2), (0, 0), (6, 8), (3, 3), (5, 5), (2, 7)]
    for n, (i, j) in enumerate(places):
        x[n, 0, i, j] = (3, 1, 5, 2, 6, 4)[n]
    x[4, 0, 1, 1] = 5.5
    found = strongest(net, x, "relu", 0, count=4, batch_size=4)
    assert [one.image for one in found] == [4, 2, 5, 0]
    assert [one.activation for one in found] == [12, 10, 8, 6]
    assert [one.place for one in found] == [(5, 5), (6, 8), (2, 7), (1, 2)]
    assert [one.window for one in found] == [
        (slice(4, 7), slice(4, 7)), (slice(4, 7), slice(6, 9)),         # the edge: slid inwards
        (slice(1, 4), slice(6, 9)), (slice(0, 3), slice(1, 4))]
    for one in found:
        assert one.reconstruction[(0, *one.place)] == 2 * one.activation
        assert np.count_nonzero(one.reconstruction) == 1


def test_fewer_images_than_asked_for():
    net, x = models.zfnet_small(rng=0), images(3, "zfnet_small")
    assert len(strongest(net, x, "conv1", 0, count=9)) == 3


@pytest.mark.parametrize("layer", ["relu1", "relu2", "relu4"])
def test_the_window_is_the_receptive_field_and_holds_the_reconstruction(layer):
    net, x = models.zfnet_small(rng=0), images(8, "zfnet_small")
    field = {r.name: r.receptive_field for r in cost.summary(net, x.shape[1:]).rows}[layer]
    for one in strongest(net, x, layer, 5, count=4):
        for part, r in zip(one.window, field, strict=True):
            assert part.stop - part.start == min(r, 32) and part.start >= 0 and part.stop <= 32
        outside = one.reconstruction.copy()
        outside[(slice(None), *one.window)] = 0
        assert not outside.any()


def test_a_reconstruction_is_zero_outside_of_its_field_not_only_nearly():
    """3×3 convolutions of many channels have a faster algorithm, which mixes pixels."""
    net = Sequential(Conv2d(16, 16, 3, padding=1, rng=0), ReLU(),
                     last=Conv2d(16, 16, 3, padding=1, rng=1))
    x = np.random.default_rng(0).standard_normal((1, 16, 13, 13), np.float32)
    dx, = reconstruct(net, x, "last", 3)
    _, _, i, j = _strongest(net.forward(x), 3, "last")[0]
    field = np.zeros((13, 13), bool)
    field[max(0, i - 2):i + 3, max(0, j - 2):j + 3] = True
    assert (dx[:, ~field] == 0).all() and np.abs(dx[:, field]).max() > 0.1
    by_hand = descend(net, x, "last", 3)[-1][1]
    np.testing.assert_array_equal(by_hand[0] == 0, dx == 0)


def test_windows_where_nothing_is_known():
    dx = np.zeros((1, 8, 8))
    assert _window(dx, (np.inf, 4)) == (slice(0, 8), slice(2, 6))
    dx[0, 0, 7] = 1
    assert _window(dx, (3, 4)) == (slice(0, 3), slice(4, 8))


@pytest.mark.parametrize("change, message", [
    ({"layer": "conv9"}, "no layer 'conv9'.*the nearest are conv"),
    ({"feature": 32}, "there are 32 features, 0 to 31; got the number 32 for a feature of conv1"),
    ({"layer": "flatten", "feature": 64}, "there are 64 features"),
    ({"images": np.ones((2, 3, 32, 32), np.float32)}, "does not take images of 3×32×32"),
    ({"images": np.ones((2, 1, 40, 40), np.float32)}, "does not take images of 1×40×40"),
    ({"images": np.ones((2, 1, 32, 32), np.uint8)}, "got uint8"),
    ({"count": 0}, "count must be an integer ≥ 1"),
    ({"batch_size": 2.5}, "batch_size must be an integer ≥ 1; got 2.5"),
])
def test_what_it_refuses(change, message):
    arguments = {"images": np.ones((2, 1, 32, 32), np.float32), "layer": "conv1", "feature": 0}
    net = models.zfnet_small(rng=0)
    with pytest.raises(ValueError, match=message):
        strongest(net, **(arguments | change))


def test_by_hand_wants_one_image():
    with pytest.raises(ValueError, match=r"expected one image \(1, C, H, W\)"):
        descend(models.zfnet_small(rng=0), images(2, "zfnet_small"), "conv1", 0)


# ── the picture ──────────────────────────────────────────────────────────────────────


def test_the_figure_has_a_row_a_layer_and_names_the_dead():
    net, x = models.zfnet_small(rng=0), images(10, "zfnet_small")
    net.conv3.weight.value[4] = 0
    net.conv3.bias.value[4] = -1
    figure = deconvnet_figure(net, x, {"relu1": [0, 1], "relu3": [4]},
                              note="untrained: weights as drawn")
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["relu1, feature 0", "relu1, feature 1", "relu3, feature 4: never active"]
    assert "untrained: weights as drawn" in figure._suptitle.get_text()
    assert "switches" not in figure._suptitle.get_text()
    figure.savefig(io.BytesIO(), dpi=50)
    for wrong in ({}, {"relu1": []}):
        with pytest.raises(ValueError, match="expects {layer's name: feature numbers}"):
            deconvnet_figure(net, x, wrong)


def test_mosaics_stand_side_by_side():
    ones, halves = [np.zeros((4, 4, 3))] * 5, [np.full((4, 4), 0.5)] * 5
    both = _mosaics(ones, halves)
    assert both.shape == (2 * 4 + 1, 2 * (3 * 4 + 2) + 3, 3)
    assert (both[:4, :4] == 0).all() and (both[:4, 17:21] == 0.5).all()
    assert (both[5:, 10:14] == 1).all()                                 # no sixth picture


def test_linear_layers_too():
    net = Sequential(flatten=Flatten(), fc=Linear(4, 2, rng=0), relu=ReLU()).astype(np.float64)
    net.fc.weight.value[...] = [[1, 2, 3, 4], [0, 0, 0, 1]]
    x = row(1, 1, 1, 1)
    np.testing.assert_array_equal(descend(net, x, "relu", 0)[-1][1], row(10, 20, 30, 40))
