"""MovingAverage: worked by hand, and put in place of the weights and back."""
import numpy as np
import pytest
import strict_cupy

from scratchnet import optim
from scratchnet.backend import device_of, to_host
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, ReLU, Sequential


def line(w):
    net = Linear(1, 1, bias=False).astype(np.float64)
    net.weight.value[...] = w
    return net


def test_by_hand():
    """d = 0.75: a = 4;  w = 8: a = 3 + 2 = 5;  w = 1: a = 3.75 + 0.25 = 4."""
    net = line(4)
    average = optim.MovingAverage(net, 0.75)
    for w, a in ((8, 5), (1, 4)):
        net.weight.value[...] = w
        average.update()
        assert average.averages["weight"] == a
    assert net.weight.value == 1


def test_warm_up_by_hand():
    """d = 1/10, then 2/11, then 0.2, the limit:  a from 10, and w = 0."""
    net = line(10)
    average = optim.MovingAverage(net, 0.2, warm_up=True)
    net.weight.value[...] = 0
    for a in (1, 2 / 11, 0.4 / 11):
        average.update()
        assert average.averages["weight"] == pytest.approx(a, rel=1e-12)


def network():
    return Sequential(conv=Conv2d(1, 2, 3, rng=0), bn=BatchNorm2d(2), relu=ReLU())


def moved(net, seed):
    rng = np.random.default_rng(seed)
    for p in net.parameters():
        p.value += rng.standard_normal(p.value.shape).astype(np.float32)


def test_in_place_and_back_bit_for_bit():
    net = network()
    average = optim.MovingAverage(net, 0.9)
    moved(net, 1)
    average.update()
    arrays, before = [p.value for p in net.parameters()], net.state_dict()
    x = np.random.default_rng(0).standard_normal((2, 1, 5, 5), dtype=np.float32)
    outside = net.eval().forward(x)
    with average.in_place():
        inside = net.state_dict()
        assert not np.array_equal(net.forward(x), outside)
        for name, _ in net.named_parameters():
            assert np.array_equal(inside[name], average.state_dict()[f"average.{name}"])
        net["bn"].running_mean += 1             # the model's own: no part of the average
        with average.in_place():
            assert np.array_equal(net.state_dict()["conv.weight"], inside["conv.weight"])
        assert np.array_equal(net.state_dict()["conv.weight"], inside["conv.weight"])
    assert all(p.value is array for p, array in zip(net.parameters(), arrays, strict=True))
    for name, array in net.state_dict().items():
        assert np.array_equal(array, before[name]) == (name != "bn.running_mean"), name


def test_back_after_an_error_too_and_no_update_inside():
    net = network()
    average = optim.MovingAverage(net, 0.9)
    arrays = [p.value for p in net.parameters()]
    with pytest.raises(RuntimeError, match="the averages are in place of the weights"), \
            average.in_place():
        average.update()
    assert all(p.value is array for p, array in zip(net.parameters(), arrays, strict=True))
    assert average.updates == 0


def test_keeps_float32_and_follows_the_network_to_the_gpu():
    net = network()
    average = optim.MovingAverage(net, 0.9)
    moved(net, 1)
    average.update()
    expected = average.state_dict()["average.conv.weight"] * 0.9 + net["conv"].weight.value * 0.1
    with strict_cupy.installed():
        net.to("gpu")
        average.update()
        state = average.state_dict()
        assert {device_of(a) for a in average.averages.values()} == {"gpu"}
        with average.in_place():
            inside = to_host(net["conv"].weight.value)
        assert np.array_equal(inside, state["average.conv.weight"])
    assert state["average.conv.weight"].dtype == np.float32
    np.testing.assert_allclose(state["average.conv.weight"], expected, rtol=1e-5)


def test_in_place_on_the_gpu_right_after_the_move():
    net = network()
    average = optim.MovingAverage(net, 0.9)
    with strict_cupy.installed():
        net.to("gpu")
        with average.in_place():
            assert {device_of(p.value) for p in net.parameters()} == {"gpu"}
            with pytest.raises(RuntimeError, match="in place of the weights"):
                average.update()


def test_goes_on_from_its_state():
    one, other = network(), network()
    averages = [optim.MovingAverage(net, 0.9, warm_up=True) for net in (one, other)]
    moved(one, 1)
    averages[0].update()
    state = averages[0].state_dict()
    averages[1].load_state_dict(state)
    other.load_state_dict(one.state_dict())
    for net, average in zip((one, other), averages, strict=True):
        moved(net, 2)
        average.update()
    first, second = (average.state_dict() for average in averages)
    assert first["updates"] == second["updates"] == 2
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(state["average.bn.bias"], second["average.bn.bias"])    # a copy


@pytest.mark.parametrize("spoil, message", [
    (lambda s: s.pop("average.bn.bias"), "missing: average.bn.bias"),
    (lambda s: s.pop("updates"), "updates: expected an integer"),
    (lambda s: s.update(updates=-1), "updates: expected an integer ≥ 0, got -1"),
    (lambda s: s.update(other=np.zeros(1)), "unexpected: other"),
    (lambda s: s.update({"average.bn.bias": np.zeros(3, np.float32)}),
     r"average.bn.bias: expected \(2,\) float32, got \(3,\)"),
    (lambda s: s.update({"average.bn.bias": np.zeros(2)}), "expected .* float32, got .* float64"),
])
def test_a_state_that_does_not_fit_changes_nothing(spoil, message):
    average = optim.MovingAverage(network(), 0.9)
    state = average.state_dict()
    bad = {name: value + 1 for name, value in state.items()}
    bad = {name: np.asarray(value, getattr(state[name], "dtype", int))
           for name, value in bad.items()}
    spoil(bad)
    with pytest.raises(ValueError, match=f"nothing was loaded(.|\n)*{message}"):
        average.load_state_dict(bad)
    assert all(np.array_equal(value, state[name]) for name, value in average.state_dict().items())


def test_bad_input():
    with pytest.raises(ValueError, match="expects a network; got list"):
        optim.MovingAverage(network().parameters(), 0.9)
    with pytest.raises(ValueError, match="has no parameters to average"):
        optim.MovingAverage(ReLU(), 0.9)
    for decay in (1, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"expects 0 ≤ decay < 1; got {decay}"):
            optim.MovingAverage(network(), decay)
