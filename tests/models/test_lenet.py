"""LeNet-5: its own layers on paper and against the plain loops, its table, codes and weights."""
import math

import numpy as np
import pytest
from layer_cases import cases_of, gradient_like

from scratchnet import gradcheck, models, naive, summary
from scratchnet.layer import no_grad
from scratchnet.layers import Conv2d
from scratchnet.models.lenet import (
    CONNECTIONS,
    CodeDistance,
    PartialConv2d,
    ScaledTanh,
    Subsampling,
    codes,
)


def image(*rows):
    return np.array([[rows]], dtype=float)


# ── ScaledTanh ───────────────────────────────────────────────────────────────────────


def test_scaled_tanh_on_paper():
    """At x = 1.5·ln 2 the tanh is 3/5, and its slope ⅔·(1 − 9/25) = ⅔ · 16/25."""
    layer = ScaledTanh()
    y = layer.forward(np.array([0, 1.5 * math.log(2), -1.5 * math.log(2)]))
    np.testing.assert_allclose(y, [0, 1.7159 * 3 / 5, -1.7159 * 3 / 5], rtol=1e-15)
    dx = layer.backward(np.array([3.0, 75, -75]))
    np.testing.assert_allclose(dx, 1.7159 * np.array([2, 32, -32]), rtol=1e-14)


def test_scaled_tanh_takes_1_to_1():
    """The paper chose A and S for it; 1.7159 alone is the limit."""
    np.testing.assert_allclose(ScaledTanh()(np.array([-1.0, 1, 1e3])), [-1, 1, 1.7159], atol=1e-4)


# ── Subsampling ──────────────────────────────────────────────────────────────────────


def test_subsampling_on_paper():
    """w = ½, b = 1: the four pixels of each window added up, halved, plus 1."""
    layer = Subsampling(1).astype(np.float64)
    layer.weight.value[...], layer.bias.value[...] = 0.5, 1
    y = layer.forward(image([1, 2, 0, 1],
                            [3, 4, 1, 0]))                  # s = 10, 2
    np.testing.assert_array_equal(y, image([6, 2]))
    np.testing.assert_array_equal(naive.subsampling(image([1, 2, 0, 1], [3, 4, 1, 0]), [0.5], [1]),
                                  y)
    dx = layer.backward(image([10, 100]))
    np.testing.assert_array_equal(dx, image([5, 5, 50, 50],
                                            [5, 5, 50, 50]))
    assert layer.weight.grad == [10 * 10 + 100 * 2] and layer.bias.grad == [110]


@pytest.mark.parametrize("case", cases_of(Subsampling), ids=str)
def test_subsampling_equals_the_plain_loops(case):
    layer, (x,) = case.layer(), case.inputs()
    np.testing.assert_allclose(layer.forward(x), naive.subsampling(
        x, layer.weight.value, layer.bias.value), rtol=1e-13, atol=1e-13)


def test_subsampling_begins_as_the_mean():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6), np.float32)
    np.testing.assert_allclose(Subsampling(3)(x), naive.avg_pool2d(x, (2, 2), (2, 2)), rtol=1e-5)


def test_pixels_that_no_window_sees_get_no_gradient():
    layer = Subsampling(1)
    y = layer.forward(np.ones((1, 1, 3, 5), np.float32))
    dx = layer.backward(gradient_like(y))
    assert y.shape == (1, 1, 1, 2)
    assert (dx[..., 2, :] == 0).all() and (dx[..., 4] == 0).all() and (dx[..., :2, :4] != 0).all()


@pytest.mark.parametrize("shape, message", [
    ((2, 3, 1, 4), r"Subsampling\(3, 2×2\) looks through windows of 2×2; got images of 1×4"),
    ((2, 3, 4, 1), r"windows of 2×2; got images of 4×1"),
    ((2, 4, 6, 6), r"expects \(N, 3, H, W\), channels first; got \(2, 4, 6, 6\)"),
])
def test_what_subsampling_refuses(shape, message):
    with pytest.raises(ValueError, match=message):
        Subsampling(3).forward(np.ones(shape, np.float32))


@pytest.mark.parametrize("channels", [0, 1.5, None])
def test_channels_that_are_no_number(channels):
    with pytest.raises(ValueError, match="Subsampling: channels must be an integer ≥ 1; got"):
        Subsampling(channels)


# ── PartialConv2d ────────────────────────────────────────────────────────────────────


def test_partial_convolution_on_paper():
    """Map 0 looks at maps 0 and 1, map 1 at map 1 only; filters of one pixel: 1, 10 and 100."""
    layer = PartialConv2d(2, ((0, 1), (1,)), 1).astype(np.float64)
    layer.weight.value[...] = np.array([1, 10, 100]).reshape(3, 1, 1)
    layer.bias.value[...] = 0.5, 0.25
    x = np.array([2.0, 3]).reshape(1, 2, 1, 1)
    y = layer.forward(x)
    np.testing.assert_array_equal(y.ravel(), [2 + 30 + 0.5, 300 + 0.25])
    dx = layer.backward(np.array([1.0, 7]).reshape(1, 2, 1, 1))
    np.testing.assert_array_equal(dx.ravel(), [1, 10 + 700])
    np.testing.assert_array_equal(layer.weight.grad.ravel(), [2, 3, 7 * 3])
    np.testing.assert_array_equal(layer.bias.grad, [1, 7])


@pytest.mark.parametrize("case", cases_of(PartialConv2d), ids=str)
def test_partial_convolution_equals_the_plain_loops_map_by_map(case):
    """Each output map is an ordinary convolution of the maps that it looks at."""
    layer, (x,) = case.layer(), case.inputs()
    y = layer.forward(x)
    dy = gradient_like(y)
    dx = layer.backward(dy)
    expected_dx, row = np.zeros_like(x), 0
    connections = [[c for o, c in zip(layer._outputs, layer._inputs, strict=True) if o == output]
                   for output in range(layer.out_channels)]
    for o, maps in enumerate(connections):
        rows, row = slice(row, row + len(maps)), row + len(maps)
        seen, w = x[:, maps], layer.weight.value[rows][None]
        np.testing.assert_allclose(y[:, [o]], naive.conv2d(seen, w, layer.bias.value[[o]]),
                                   rtol=1e-12, atol=1e-12)
        part, dw, db = naive.conv2d_backward(dy[:, [o]], seen, w)
        expected_dx[:, maps] += part
        np.testing.assert_allclose(layer.weight.grad[rows], dw[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(layer.bias.grad[[o]], db, rtol=1e-12)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-12, atol=1e-12)


def test_with_every_pair_connected_it_is_a_convolution():
    full, conv = PartialConv2d(3, ((0, 1, 2),) * 2, 3), Conv2d(3, 2, 3, rng=0)
    full.weight.value = conv.weight.value.reshape(6, 3, 3)
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6), np.float32)
    np.testing.assert_allclose(full(x), conv(x), rtol=1e-6, atol=1e-6)


def test_the_order_in_which_maps_are_named_is_the_order_of_the_filters():
    one, other = PartialConv2d(2, ((0, 1),), 1), PartialConv2d(2, ((1, 0),), 1)
    one.weight.value[...] = np.array([1, 10]).reshape(2, 1, 1)
    other.weight.value[...] = np.array([10, 1]).reshape(2, 1, 1)
    x = np.array([2, 3], np.float32).reshape(1, 2, 1, 1)
    assert one(x).item() == other(x).item() == 32


@pytest.mark.parametrize("connections", [((0, 3),), ((0,), (-1,)), ((0, 1), ()), ((1, 0, 1),)])
def test_connections_that_are_refused(connections):
    with pytest.raises(ValueError, match=r"PartialConv2d: map \d looks at one or more of the maps "
                                         r"0 to 2, at each once; got \("):
        PartialConv2d(3, connections, 5)


@pytest.mark.parametrize("shape, message", [
    ((2, 3, 4, 9), r"connections, kernel 5\) looks through a window of 5×5; got images of 4×9"),
    ((2, 3, 9, 4), "window of 5×5; got images of 9×4"),
    ((2, 2, 9, 9), r"PartialConv2d\(3→2, 3 connections, kernel 5\) expects \(N, 3, H, W\)"),
])
def test_images_that_partial_convolution_refuses(shape, message):
    with pytest.raises(ValueError, match=message):
        PartialConv2d(3, ((0, 1), (2,)), 5).forward(np.ones(shape, np.float32))


# ── CodeDistance ─────────────────────────────────────────────────────────────────────


def test_code_distance_on_paper():
    """x = (1, 3) lies 0 + 4 from the code (1, 1) and 4 + 16 from (−1, −1)."""
    layer = CodeDistance(np.array([[1.0, 1], [-1, -1]]))
    np.testing.assert_array_equal(layer.forward(np.array([[1.0, 3]])), [[-4, -20]])
    # −2·(x − code): (0, −4) for the first class, (−4, −8) for the second
    np.testing.assert_array_equal(layer.backward(np.array([[10.0, 1]])), [[-4, -48]])


def test_the_nearest_code_has_the_largest_output():
    layer, bits = CodeDistance(codes(10)), codes(10)
    y = layer.forward(0.9 * bits)
    np.testing.assert_array_equal(y.argmax(axis=1), np.arange(10))
    np.testing.assert_allclose(y.diagonal(), -84 * 0.1 ** 2, rtol=1e-4)


def test_codes_are_no_parameters_but_travel_with_the_state():
    layer = CodeDistance(codes(10))
    assert layer.parameters() == [] and list(layer.state_dict()) == ["codes"]


@pytest.mark.parametrize("bad, got", [
    (np.ones(4), r"\(4,\) float64"), (np.ones((2, 4), int), r"\(2, 4\) int64"),
    (np.ones((0, 4)), r"\(0, 4\) float64"), ([[1.0, -1.0]], "list")])
def test_codes_that_are_refused(bad, got):
    with pytest.raises(ValueError, match=rf"CodeDistance expects a floating-point array of shape "
                                         rf"\(classes, F\); got {got}"):
        CodeDistance(bad)


def test_a_wrong_number_of_features_is_refused():
    with pytest.raises(ValueError, match=r"CodeDistance\(84→10\) expects \(N, 84\); got \(2, 80\)"):
        CodeDistance(codes(10)).forward(np.ones((2, 80), np.float32))


# ── the network ──────────────────────────────────────────────────────────────────────


def test_the_table_of_the_paper():
    """Parameters row by row, and connections: multiply-accumulates and one for each bias."""
    table = summary(models.lenet5(rng=0), (1, 32, 32))
    rows = {row.name: row for row in table.rows}
    assert [(name, rows[name].output_shape, rows[name].params) for name in
            ("C1", "S2", "C3", "S4", "C5", "F6")] == [
        ("C1", (6, 28, 28), 156), ("S2", (6, 14, 14), 12), ("C3", (16, 10, 10), 1516),
        ("S4", (16, 5, 5), 32), ("C5", (120, 1, 1), 48_120), ("F6", (84,), 10_164)]
    assert table.params == 60_000
    for name, connections in (("C1", 122_304), ("C3", 151_600), ("C5", 48_120), ("F6", 10_164)):
        assert rows[name].macs + math.prod(rows[name].output_shape) == connections


def test_the_connections_of_table_1():
    """60 of 96 pairs: six maps look at 3 neighbours, nine at 4, one at all; each map of S2 is
    looked at by ten."""
    assert sorted(map(len, CONNECTIONS)) == [3] * 6 + [4] * 9 + [6]
    assert all(sum(c in maps for maps in CONNECTIONS) == 10 for c in range(6))
    assert len({frozenset(maps) for maps in CONNECTIONS}) == 16


def test_codes_are_pictures_that_differ():
    bits = codes(10)
    assert bits.shape == (10, 84) and bits.dtype == np.float32 and set(np.unique(bits)) == {-1, 1}
    apart = (bits[:, None] != bits).sum(axis=2) + 84 * np.eye(10)
    assert apart.min() >= 4
    one = bits[1].reshape(12, 7)                        # a 1: its foot is the widest row
    assert (one == 1).sum(axis=1).argmax() == 10 and (one[11] == -1).all()
    np.testing.assert_array_equal(codes(7, rng=3), codes(7, rng=3))
    assert codes(7, rng=3).shape == (7, 84) and (codes(7, rng=3) != codes(7, rng=4)).any()


def test_weights_are_uniform_within_the_bounds_of_the_paper():
    """±2.4 / fan_in; in C3 fan_in depends on how many maps a filter's map looks at."""
    net = models.lenet5(rng=0)
    for name, fan_in in (("C1", 25), ("C5", 400), ("F6", 120)):
        bound = 2.4 / fan_in
        w = net[name].weight.value
        assert 0.9 * bound < abs(w).max() <= bound * (1 + 1e-6)
        assert w.std() == pytest.approx(bound / math.sqrt(3), rel=0.15)
    fan_in = np.repeat([25 * len(maps) for maps in CONNECTIONS], list(map(len, CONNECTIONS)))
    largest = abs(net.C3.weight.value).max(axis=(1, 2))
    assert (largest <= 2.4 / fan_in * (1 + 1e-6)).all() and (largest > 1.6 / fan_in).all()
    assert all((net[name].bias.value == 0).all() for name in ("C1", "S2", "C3", "S4", "C5", "F6"))


def test_the_whole_network_passes_the_check():
    x = np.random.default_rng(0).standard_normal((2, 1, 32, 32))
    gradcheck.assert_correct(models.lenet5(rng=0), x, probes=2)


def test_the_whole_network_equals_torch():
    from torch_twin import assert_equals_torch
    net, x = models.lenet5(rng=0), np.random.default_rng(0).standard_normal((2, 1, 32, 32))
    assert_equals_torch(net.astype(np.float64), [x], 1e-9, 1e-12)


def test_other_classes_and_channels():
    net = models.lenet5(num_classes=7, in_channels=3, rng=0)
    with no_grad():
        assert net.forward(np.zeros((2, 3, 32, 32), np.float32)).shape == (2, 7)
