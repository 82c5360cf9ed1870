"""Filters and maps: what is counted is what is there."""
import io

import numpy as np
import pytest

from scratchnet import models
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
from scratchnet.visualize import features

RNG = np.random.default_rng(0)
X = RNG.random((3, 3, 8, 8), dtype=np.float32)


def network():
    """conv1 with a dead filter (1), a faint one (2) and a duplicate (5 of 0; 4 is its negative)."""
    rng = np.random.default_rng(1)
    net = Sequential(conv1=Conv2d(3, 6, 3, padding=1, rng=rng), bn=BatchNorm2d(6), relu1=ReLU(),
                     conv2=Conv2d(6, 4, 3, rng=rng), relu2=ReLU(), flatten=Flatten(),
                     fc=Linear(144, 5, rng=rng)).eval()
    w = net.conv1.weight.value
    w[2] *= 0.001
    w[4], w[5] = -w[0], 2.5 * w[0]
    net.bn.bias.value[...] = 5
    net.bn.bias.value[1] = -1000                # behind ReLU never anything
    return net


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return len(file.getvalue())


def title(figure):
    return figure.get_suptitle()


def test_dead_filters_are_those_of_next_to_no_norm():
    w = np.ones((5, 2, 3, 3))
    w[1], w[3] = 0, 0.009
    assert features.dead_filters(w).tolist() == [False, True, False, True, False]
    w[3] = 0.011
    assert features.dead_filters(w).tolist() == [False, True, False, False, False]


def test_duplicates_point_to_the_first_of_them_and_ignore_size_but_not_sign():
    """On paper: the cosine of (1, 0) and (1, 0.3) is 0.958, of (1, 0) and (1, 0.34) 0.947."""
    w = np.array([[1, 0], [3, 0.9], [1, 0.34], [-1, 0], [0, 0], [5, 0], [0, 0]], float)
    assert features.duplicates(w[[0, 1]]) == {1: 0}
    assert features.duplicates(w[[0, 2]]) == {}
    assert features.duplicates(w) == {1: 0, 2: 1, 5: 0}


def test_colourfulness_is_the_energy_off_the_grey_axis():
    """On paper: grey 0; red alone, mean ⅓: 1 − 3·(1/9) = ⅔; red against green 1."""
    w = np.zeros((4, 3, 2, 2))
    w[0] = [[[1, -2], [3, 0.5]]]
    w[1, 0] = 7
    w[2, 0], w[2, 1] = 1, -1
    np.testing.assert_allclose(features.colourfulness(w), [0, 2 / 3, 1, 0], atol=1e-12)
    many = features.colourfulness(RNG.standard_normal((500, 3, 5, 5)))
    assert many.mean() == pytest.approx(2 / 3, abs=0.01)
    with pytest.raises(ValueError, match=r"\(O, 3, KH, KW\); got \(4, 1, 2, 2\)"):
        features.colourfulness(w[:, :1])


def test_activation_is_behind_the_batch_norm_and_relu_that_follow():
    net = network()
    conv = net.conv1.forward(X)
    relu = net.relu1.forward(net.bn.forward(conv))
    before = net.state_dict()
    np.testing.assert_array_equal(features.activation(net, "conv1", X), relu)
    np.testing.assert_array_equal(features.activation(net, "bn", X), relu)
    np.testing.assert_array_equal(features.activation(net, "relu1", X), relu)
    np.testing.assert_array_equal(features.activation(net, "fc", X), net.forward(X))
    assert all((net.state_dict()[name] == array).all() for name, array in before.items())


def test_a_sheet_counts_and_frames_dead_and_duplicate_filters():
    net = network()
    figure = features.filter_sheet(net, "conv1", note="untrained: weights as drawn")
    assert title(figure) == ("conv1: 6 filters of 3×3×3 — 1 dead (orange), "
                             "1 duplicate (blue, = of which)")
    axes, = figure.axes
    assert len(axes.patches) == 2 and [t.get_text() for t in axes.texts] == ["0", "3", "=0"]
    assert figure.get_supxlabel() == "untrained: weights as drawn" and drawn(figure)
    figure = features.filter_sheet(net, "conv1", X)             # the images tell of one more
    assert "2 dead" in title(figure) and len(figure.axes[0].patches) == 3
    assert features.filter_sheet(net, "conv1", most=2).axes[0].patches[:] == []
    assert "the first 2 shown — 1 dead" in title(features.filter_sheet(net, "conv1", most=2))


def test_first_layers_are_in_colour_and_deeper_ones_show_their_strongest_inputs():
    net = network()
    assert features.filter_sheet(net, "conv1").axes[0].images[0].get_array().shape[2:] == (3,)
    net.conv2.weight.value[0, 4] = 9 * np.arange(9).reshape(3, 3)
    net.conv2.weight.value[0, 1] = 50
    figure = features.filter_sheet(net, "conv2", strongest=2)
    assert "its 2 strongest inputs" in title(figure) and drawn(figure)
    shown = np.asarray(figure.axes[0].images[0].get_array().filled(np.nan))
    top, left = np.argwhere(~np.isnan(shown))[0]
    np.testing.assert_allclose(shown[top:top + 3, left:left + 3], 50)
    np.testing.assert_allclose(shown[top:top + 3, left + 4:left + 7],
                               9 * np.arange(9).reshape(3, 3))
    grey = models.zfnet_small(rng=0)
    assert drawn(features.filter_sheet(grey, "conv1"))
    assert "strongest" not in title(features.filter_sheet(grey, "conv1"))


def test_a_linear_layer_is_a_heat_map_with_its_rows_marked():
    net = network()
    net.fc.weight.value[1] = 0
    net.fc.weight.value[3] = net.fc.weight.value[2]
    figure = features.filter_sheet(net, "fc")
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), net.fc.weight.value)
    assert [t.get_text() for t in figure.axes[0].texts] == ["dead", "3 = 2"]
    assert "1 dead (orange), 1 duplicate" in title(figure) and drawn(figure)


def test_maps_of_an_image_with_dead_ones_framed():
    net = network()
    figure = features.map_sheet(net, "conv1", X)
    assert title(figure) == "conv1: 6 maps of 8×8 — 1 dead in 3 images (orange)"
    image, axes = figure.axes
    np.testing.assert_allclose(image.images[0].get_array(), X[0].transpose(1, 2, 0), rtol=1e-6)
    assert len(axes.patches) == 1 and drawn(figure)
    shown = np.asarray(axes.images[0].get_array().filled(np.nan))
    top, left = np.argwhere(~np.isnan(shown))[0]
    np.testing.assert_allclose(shown[top:top + 8, left:left + 8],
                               features.activation(net, "conv1", X)[0, 0])
    assert title(features.map_sheet(net, "fc", X)) == "fc: 5 numbers"


def test_the_towers_are_the_halves_and_their_colour_is_measured():
    net = models.alexnet_small(in_channels=3, rng=0)
    w = net.conv1.weight.value
    w[:len(w) // 2] = w[:len(w) // 2].mean(axis=1, keepdims=True)       # a grey tower
    figure = features.towers_figure(net)
    second = features.colourfulness(w[len(w) // 2:]).mean()
    assert [axes.get_title() for axes in figure.axes] == [
        "first tower: 0% of the energy is colour",
        f"second tower: {second:.0%} of the energy is colour"]
    assert len(figure.axes[0].texts) == len(w) // 2 and drawn(figure)
    with pytest.raises(ValueError, match="a convolution of colour images.*got conv1"):
        features.towers_figure(models.alexnet_small(rng=0))
    with pytest.raises(ValueError, match="got fc8, Linear"):
        features.towers_figure(net, "fc8")


@pytest.mark.parametrize("name, images, message", [
    ("relu1", None, "relu1, .*has no filters to show; layers that have: conv1, conv2, fc"),
    ("conv3", None, "no layer 'conv3' in Sequential; the nearest are conv"),
    ("conv1", X[:, :1], "does not take images of 1×8×8"),
    ("conv1", X[0], r"one alone is image\[None\]"),
])
def test_layers_and_images_that_do_not_fit(name, images, message):
    with pytest.raises(ValueError, match=message):
        features.filter_sheet(network(), name, images)
