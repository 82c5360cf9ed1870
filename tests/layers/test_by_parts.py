"""Inside no_grad a chain works on one part after the other, and computes the same."""
import numpy as np
import pytest

from scratchnet.layer import no_grad
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sequential,
    branch,
)


def images(dtype=np.float64):
    return np.random.default_rng(1).standard_normal((3, 2, 6, 5)).astype(dtype)


def chain(dtype=np.float64):
    net = Sequential(conv1=Conv2d(2, 4, 3, rng=0), bn1=BatchNorm2d(4), relu1=ReLU(),
                     conv2=Conv2d(4, 3, 1, rng=1), relu2=ReLU6(), bn2=BatchNorm2d(3),
                     flat=Flatten(), fc=Linear(36, 5, rng=2), last=ReLU()).astype(dtype)
    net(images(dtype))                          # running averages that are not 0 and 1
    return net.eval()


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_the_same_numbers(dtype, tolerance):
    net, x = chain(dtype), images(dtype)
    y, before = net(x), x.copy()
    with no_grad():
        np.testing.assert_allclose(net(x), y, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(x, before)


def test_it_happens(monkeypatch):
    """The forwards of layers that worked by parts are not called."""
    net = chain()
    for layer in (BatchNorm2d, ReLU, ReLU6):
        monkeypatch.setattr(layer, "forward", lambda *_: pytest.fail("forward was called"))
    with no_grad():
        net(images())


@pytest.mark.parametrize("first", [Identity(), ReLU(), Flatten()], ids=str)
def test_what_is_not_new_is_left_alone(first):
    """An Identity returns the very array that came; a ReLU after it must not write there."""
    x = images()
    before = x.copy()
    with no_grad():
        Sequential(first, ReLU(), ReLU6())(x)
        Sequential(ReLU())(x)
    np.testing.assert_array_equal(x, before)


def test_a_chain_that_begins_with_batch_norm():
    """As DenseNet's layers do: the first result is a new array, the next ones are in it."""
    net = Sequential(bn=BatchNorm2d(2), relu=ReLU(), conv=Conv2d(2, 3, 3, rng=0)).astype(np.float64)
    x = images()
    net(x)
    y, before = net.eval()(x), x.copy()
    with no_grad():
        np.testing.assert_allclose(net(x), y, rtol=1e-13, atol=1e-13)
        same = Sequential(net.bn, net.relu)(x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(same, np.maximum(net.bn(x), 0), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("x", [[[1.0, -1.0]], np.array(["a"]), np.zeros((0, 2, 3, 3))], ids=str)
def test_what_is_no_image_is_refused_in_the_same_words(x):
    for net in (Sequential(relu=ReLU()), Sequential(relu=ReLU6()), Sequential(bn=BatchNorm2d(2))):
        with pytest.raises(ValueError) as usual:
            net.eval()(x)
        with no_grad(), pytest.raises(ValueError) as by_parts:
            net(x)
        assert str(by_parts.value) == str(usual.value)


def test_training_statistics_are_taken_and_left_as_ever():
    """A no_grad in training mode: batch norm normalises with the batch."""
    net, x = chain().train(), images()
    with no_grad():
        y = net(x)
    np.testing.assert_allclose(y, chain().train()(x), rtol=1e-13, atol=1e-13)


def test_a_layer_with_a_forward_of_its_own_runs_it():
    class Leaky(ReLU):
        def forward(self, x):
            return np.where(x > 0, x, 0.1 * x)

    net = Sequential(Conv2d(2, 3, 1, rng=0).astype(np.float64), Leaky())
    with no_grad():
        assert (net(images()) < 0).any()


@pytest.mark.parametrize("name", ["conv1", "bn1", "relu1"])
def test_a_watched_layer_is_seen_and_what_it_returned_stays(name):
    net, kept = chain(), []
    forward = net[name].forward
    net[name].forward = lambda x: kept.append(forward(x)) or kept[0]
    with no_grad():
        y = net(images())
    np.testing.assert_allclose(y, chain()(images()), rtol=1e-13, atol=1e-13)
    expected = images()
    for other in ("conv1", "bn1", "relu1"):
        expected = chain()[other](expected)
        if other == name:
            break
    np.testing.assert_allclose(kept[0], expected, rtol=1e-13, atol=1e-13)


def test_a_pooling_goes_before_the_relu_which_then_has_less_to_do(monkeypatch):
    net, x = Sequential(conv=Conv2d(2, 4, 3, padding=1, rng=0), relu=ReLU(),
                        pool=MaxPool2d(2)).astype(np.float64), images()
    y, seen, before = net(x), [], x.copy()
    by_parts = ReLU.by_parts
    monkeypatch.setattr(ReLU, "by_parts", lambda relu, a, into: (
        seen.append(a.shape), by_parts(relu, a, into))[1])
    with no_grad():
        np.testing.assert_array_equal(net(x), y)
        assert seen == [y.shape] and (y == 0).any()
        np.testing.assert_array_equal(Sequential(net.relu, net.pool)(x),
                                      net.pool(np.maximum(x, 0)))
        assert seen[-1] == x.shape              # an input that may be anything keeps the order
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", ["relu", "pool"])
def test_not_where_one_of_them_is_watched(name):
    net, kept = Sequential(conv=Conv2d(2, 4, 3, rng=0), relu=ReLU(), pool=MaxPool2d(2)), []
    forward = net[name].forward
    net[name].forward = lambda x: kept.append((x, forward(x))) or kept[0][1]
    x = images(np.float32)
    with no_grad():
        y = net(x)
    expected = {"relu": net.conv(x), "pool": np.maximum(net.conv(x), 0)}[name]
    np.testing.assert_allclose(kept[0][0], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(y, net.pool(np.maximum(net.conv(x), 0)))


def test_errors_say_where():
    net = Sequential(conv=Conv2d(2, 4, 3, rng=0), bn=BatchNorm2d(5)).eval()
    for _ in range(2):
        with no_grad(), pytest.raises(ValueError, match=r"^in bn: BatchNorm2d\(5\) expects"):
            net(images(np.float32))


# ── a batch norm in the filters before it ────────────────────────────────────────────────


def conv_and_norm(**options):
    net = Sequential(conv=Conv2d(2, 4, 3, rng=0, **options), bn=BatchNorm2d(4)).astype(np.float64)
    if net.conv.bias is not None:
        net.conv.bias.value[...] = [1, -2, 3, 0]
    net.bn.weight.value[...], net.bn.bias.value[...] = [2, -1, 0, 0.5], [1, 2, -3, 4]
    net(images())                               # running averages that are not 0 and 1
    return net.eval()


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"groups": 2, "stride": 2, "padding": 1}],
                         ids=str)
def test_a_norm_after_a_convolution_goes_into_its_filters(options, monkeypatch):
    net, x = conv_and_norm(**options), images()
    y, state = net(x), net.state_dict()
    monkeypatch.setattr(BatchNorm2d, "by_parts", lambda *_: pytest.fail("a pass of its own"))
    monkeypatch.setattr(BatchNorm2d, "forward", lambda *_: pytest.fail("a pass of its own"))
    with no_grad():
        np.testing.assert_allclose(net(x), y, rtol=1e-13, atol=1e-13)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])       # the filters stay what they were


def test_a_norm_in_training_or_watched_stays_where_it_is():
    net, x = conv_and_norm(), images()
    net.bn.train()
    with no_grad():
        y = net(x)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), net.bn.bias.value, atol=1e-12)
    net.eval()
    for layer in (net.conv, net.bn):
        seen, own = [], layer.forward
        layer.forward = lambda x, own=own, seen=seen: seen.append(1) or own(x)
        with no_grad():
            y = net(x)
        del layer.forward
        np.testing.assert_allclose(y, net(x), rtol=1e-13, atol=1e-13)
        assert seen == [1]


def test_a_norm_whose_mean_is_far_stays_where_it_is():
    """There the filters' shift would have lost digits."""
    conv, bn = Conv2d(1, 1, 1, bias=False), BatchNorm2d(1)
    conv.weight.value[...], bn.running_mean[...], bn.bias.value[...] = 1, 1e5, 0.5
    x = np.full((2, 1, 3, 3), 1e5 + 1, np.float32)
    with no_grad():
        np.testing.assert_allclose(Sequential(conv, bn).eval()(x), 1.5, atol=1e-4)


def test_what_has_no_parts_costs_no_memory(monkeypatch):
    made = []
    monkeypatch.setattr(branch, "empty_like", lambda x: made.append(x) or np.empty_like(x))
    with no_grad():
        Sequential(Flatten(), Linear(60, 5), Identity())(images(np.float32))
    assert not made


def test_a_norm_of_another_width_is_refused_in_the_same_words():
    net = Sequential(conv=Conv2d(2, 4, 3), bn=BatchNorm2d(3)).eval()
    x = images(np.float32)
    with pytest.raises(ValueError) as usual:
        net(x)
    with no_grad(), pytest.raises(ValueError) as folded:
        net(x)
    assert str(folded.value) == str(usual.value) and "in bn" in str(usual.value)
