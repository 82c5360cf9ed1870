"""Initialisations: the variances, the fans, PyTorch's, and what is left alone."""
import numpy as np
import pytest
import strict_cupy

from scratchnet import initialization as init
from scratchnet import models
from scratchnet.backend import device_of, to_host
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, ReLU, Sequential, Tanh


def network():
    return Sequential(conv=Conv2d(16, 64, 3, groups=4, rng=0), bn=BatchNorm2d(64), relu=ReLU(),
                      inner=Sequential(fc=Linear(300, 200, rng=0)),
                      plain=Conv2d(20, 50, (3, 5), bias=False, rng=0))


FANS = {"conv": (4 * 9, 16 * 9), "inner.fc": (300, 200), "plain": (20 * 15, 50 * 15)}


def weights(net):
    return {name: to_host(dict(net.named_layers())[name].weight.value) for name in FANS}


EVERY = {"gaussian": init.gaussian, "xavier": init.xavier, "he": init.he,
         "truncated": init.truncated, "uniform": init.uniform}
of_every_kind = pytest.mark.parametrize("initialise", EVERY.values(), ids=EVERY)


# ── the variances ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("initialise, variance, largest", [
    (lambda net: init.gaussian(net, 0.02, rng=1), lambda i, o: 0.02**2, None),
    (lambda net: init.xavier(net, rng=1), lambda i, o: 2 / (i + o), lambda i, o: 6 / (i + o)),
    (lambda net: init.he(net, rng=1), lambda i, o: 2 / i, None),
    (lambda net: init.he(net, fan="out", rng=1), lambda i, o: 2 / o, None),
    (lambda net: init.truncated(net, 0.1, rng=1), lambda i, o: (0.8796 * 0.1)**2,
     lambda i, o: 0.2**2),
    (lambda net: init.uniform(net, rng=1), lambda i, o: (2.4 / i)**2 / 3,
     lambda i, o: (2.4 / i)**2),
])
def test_variance_and_limit(initialise, variance, largest):
    for name, w in weights(initialise(network())).items():
        assert w.var() == pytest.approx(variance(*FANS[name]), rel=0.1), name
        assert abs(w.mean()) < 0.1 * w.std(), name
        if largest:
            limit = largest(*FANS[name])**0.5
            assert 0.98 * limit < abs(w).max() <= limit * (1 + 1e-6), name
        else:
            assert abs(w).max() > 3 * w.std(), name


@pytest.mark.parametrize("act, initialise, keeps", [
    (Tanh, init.xavier, True), (ReLU, init.he, True), (ReLU, init.xavier, False)])
def test_the_signal_gets_through_ten_layers(act, initialise, keeps):
    """By He's rule half of the signal is not lost at each ReLU, 2⁻¹⁰ in all; by xavier's it is.
    (tanh is fed with small numbers, where it is linear.)"""
    net = Sequential(*(layer for _ in range(10) for layer in (Linear(400, 400), act())))
    x = 0.01 * np.random.default_rng(0).standard_normal((50, 400), dtype=np.float32)
    y = initialise(net, rng=0).forward(x)
    kept = (y**2).mean() / (x**2).mean()
    assert (0.3 < kept < 3) if keeps else (kept < 2**-8)


def test_biases_are_0_and_batch_norm_is_left():
    for initialise in EVERY.values():
        net = network()
        for p in net.parameters():
            p.value[...] = 7
        initialise(net, rng=0)
        assert not net["conv"].bias.value.any() and not net["inner"]["fc"].bias.value.any()
        assert (net["bn"].weight.value == 7).all() and (net["bn"].bias.value == 7).all()
        assert all((w != 7).all() for w in weights(net).values())


@of_every_kind
def test_in_place_the_same_on_both_devices_and_again_with_the_same_seed(initialise):
    net = network()
    arrays = [p.value for p in net.parameters()]
    assert initialise(net, rng=3) is net
    assert all(p.value is array for p, array in zip(net.parameters(), arrays, strict=True))
    again, other = network().astype(np.float64), network()
    initialise(again, rng=np.random.default_rng(3))
    initialise(other, rng=4)
    with strict_cupy.installed():
        gpu = initialise(network().to("gpu"), rng=3)
        assert {device_of(p.value) for p in gpu.parameters()} == {"gpu"}
        on_gpu = weights(gpu)
    for name, w in weights(net).items():
        assert w.dtype == np.float32 and weights(again)[name].dtype == np.float64
        assert np.array_equal(w, weights(again)[name])
        assert np.array_equal(w, on_gpu[name])
        assert not np.array_equal(w, weights(other)[name])


# ── AlexNet's, LeNet's, PyTorch's ────────────────────────────────────────────────────


def test_biases_and_deviations_by_name():
    net = init.gaussian(models.alexnet_small(rng=0), {"fc6": 0.005, "fc7": 0.005},
                        {"conv2": 0.1, "fc6": 0.1}, rng=0)
    for name, layer in net.children():
        if name.startswith(("conv", "fc")):
            small = name in ("fc6", "fc7")
            assert layer.weight.value.std() == pytest.approx(0.005 if small else 0.01, rel=0.1)
            one = np.float32(0.1 if name in ("conv2", "fc6") else 0)
            assert (layer.bias.value == one).all(), name


def test_one_layer_for_a_network():
    layer = init.gaussian(Linear(300, 200), 0.5, biases=2, rng=0)
    assert layer.weight.value.std() == pytest.approx(0.5, rel=0.02)
    assert (layer.bias.value == 2).all()


def test_lenet_has_smaller_weights_where_a_map_looks_at_more():
    net = init.uniform(models.lenet5(rng=0), rng=1)
    filters = iter(net["C3"].weight.value)
    for maps in models.lenet.CONNECTIONS:
        largest = max(abs(next(filters)).max() for _ in maps)
        assert 0.8 < largest / (2.4 / (25 * len(maps))) <= 1, maps
    assert 0.99 < abs(net["F6"].weight.value).max() / (2.4 / 120) <= 1
    assert (net["S2"].weight.value == 0.25).all()
    deviation = np.array([w.std() for w in init.he(net, "out", rng=0)["C3"].weight.value])
    assert deviation.mean() == pytest.approx((2 / (25 * 10))**0.5, rel=0.1)     # 60/6 maps each


@pytest.mark.parametrize("ours, theirs", [
    (lambda net: init.xavier(net, rng=0), lambda i, w: i.xavier_uniform_(w)),
    (lambda net: init.he(net, rng=0), lambda i, w: i.kaiming_normal_(w, nonlinearity="relu")),
    (lambda net: init.he(net, "out", rng=0),
     lambda i, w: i.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")),
    (lambda net: init.truncated(net, 0.1, rng=0),
     lambda i, w: i.trunc_normal_(w, std=0.1, a=-0.2, b=0.2)),
])
def test_deviation_is_pytorchs(ours, theirs):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    w = torch.zeros(80, 40, 5, 5)
    theirs(torch.nn.init, w)
    assert ours(Conv2d(40, 80, 5)).weight.value.std() == pytest.approx(float(w.std()), rel=0.02)


@pytest.mark.parametrize("layer", [
    Conv2d(40, 80, (3, 5)), Conv2d(40, 80, 5, groups=4), Conv2d(8, 16, 3, groups=8),
    Linear(30, 20)], ids=repr)
def test_fans_are_pytorchs_but_for_the_outputs_of_a_group(layer):
    torch = pytest.importorskip("torch")
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(
        torch.zeros(layer.weight.value.shape))
    groups = layer.geometry.groups if isinstance(layer, Conv2d) else 1
    assert init._fans(layer) == (fan_in, fan_out / groups)


# ── staged ───────────────────────────────────────────────────────────────────────────


def tiny_vgg(counts, classes=5, seed=0):
    """VGG's five stages with 2, 3, 4, 5, 5 channels."""
    rng, layers, C = np.random.default_rng(seed), [], 1
    for out, count in zip((2, 3, 4, 5, 5), counts, strict=True):
        for _ in range(count):
            layers += [Conv2d(C, out, 3, padding=1, rng=rng), ReLU()]
            C = out
    net = Sequential(features=Sequential(*layers), classifier=Sequential(
        Linear(5, 8, rng=rng), Linear(8, 8, rng=rng), Linear(8, classes, rng=rng)))
    for p in net.parameters():
        p.value += rng.standard_normal(p.value.shape).astype(np.float32)
    return net


def layers_of(net, kind):
    return [layer for _, layer in net.named_layers() if isinstance(layer, kind)]


def assert_same(new, old):
    assert np.array_equal(new.weight.value, old.weight.value)
    assert np.array_equal(new.bias.value, old.bias.value)


def test_staged_copies_net_a_into_net_d():
    """Into conv1_1, conv2_1, conv3_1, conv3_2 of thirteen, and the three Linear layers."""
    net_a, net_d = tiny_vgg((1, 1, 2, 2, 2)), tiny_vgg((2, 2, 3, 3, 3), seed=1)
    arrays, before = [p.value for p in net_d.parameters()], net_d.state_dict()
    assert init.staged(net_d, net_a) is net_d
    assert all(p.value is array for p, array in zip(net_d.parameters(), arrays, strict=True))
    pairs = {0: 0, 2: 1, 4: 2, 5: 3}                # the place in D: whose it is in A
    for at, layer in enumerate(layers_of(net_d, Conv2d)):
        if at in pairs:
            assert_same(layer, layers_of(net_a, Conv2d)[pairs[at]])
        else:
            assert any(np.array_equal(layer.weight.value, array) for array in before.values())
    for new, old in zip(layers_of(net_d, Linear), layers_of(net_a, Linear), strict=True):
        assert_same(new, old)


def test_staged_leaves_a_head_for_other_classes():
    net_a, net_d = tiny_vgg((1, 1, 2, 2, 2)), tiny_vgg((2, 2, 2, 2, 2), classes=3, seed=1)
    head = net_d["classifier"][2].weight.value.copy()
    init.staged(net_d, net_a)
    assert np.array_equal(net_d["classifier"][2].weight.value, head)
    for at in (0, 1):
        assert_same(net_d["classifier"][at], net_a["classifier"][at])


def test_staged_takes_each_place_once_and_no_more_than_four_and_three():
    net, donor = (Sequential(*(Conv2d(2, 2, 3, rng=rng) for _ in range(5)),
                             *(Linear(3, 3, rng=rng) for _ in range(4)))
                  for rng in map(np.random.default_rng, (0, 1)))
    init.staged(net, donor)
    assert [np.array_equal(new.weight.value, old.weight.value)
            for (_, new), (_, old) in zip(net.children(), donor.children(), strict=True)] == \
        4 * [True] + 2 * [False] + 3 * [True]


# ── errors ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call, message", [
    (lambda net: init.gaussian(net, 0), "gaussian expects std > 0; got 0"),
    (lambda net: init.gaussian(net, {"conv": -1}), "gaussian expects std > 0; got -1"),
    (lambda net: init.gaussian(net, biases={"fc": 1}),
     "no layer 'fc' with weights; the nearest names are inner.fc"),
    (lambda net: init.gaussian(net, {"bn": 1}), "no layer 'bn' with weights"),
    (lambda net: init.he(net, fan="mean"), "he expects fan 'in' or 'out'; got 'mean'"),
    (lambda net: init.truncated(net, 0), "truncated expects std > 0; got 0"),
    (lambda net: init.uniform(net, -1), "uniform expects scale > 0; got -1"),
    (lambda net: init.staged(net, ReLU()), "has no convolution among its first four"),
    (lambda net: init.staged(net, [net]), "the donor must be a network; got list"),
    (lambda net: init.staged(None, net), "the model must be a network; got NoneType"),
])
def test_bad_input_changes_nothing(call, message):
    net = network()
    before = net.state_dict()
    with pytest.raises(ValueError, match=message):
        call(net)
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())


@of_every_kind
def test_nothing_to_set(initialise):
    with pytest.raises(ValueError, match="expects a network; got list"):
        initialise([network()])
    with pytest.raises(ValueError, match=r"ReLU\(\) has no weights of two or more dimensions"):
        initialise(ReLU())
