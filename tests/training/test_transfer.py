"""Freezing, the head, cached features, and that training on them is training the network."""
import numpy as np
import pytest
import strict_cupy

from scratchnet import data, models, optim, training
from scratchnet.backend import device_of
from scratchnet.layer import Layer, Parameter
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
)
from scratchnet.training.transfer import _after, _heads

SMALL = [name for name in models.list_models() if name.endswith("_small")]


def images(n=6, seed=0, side=32):
    return np.random.default_rng(seed).random((n, 1, side, side), dtype=np.float32)


def small_net(rng=0):
    rng = np.random.default_rng(rng)
    return Sequential(
        features=Sequential(Conv2d(1, 4, 3, rng=rng), BatchNorm2d(4), ReLU(), Dropout(0.5, rng=rng),
                            AdaptiveAvgPool2d(1)),
        flatten=Flatten(), fc=Linear(4, 3, rng=rng))


def frozen_names(net):
    return [name for name, p in net.named_parameters() if p.frozen]


def same_bits(a, b):
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


# ── freezing ─────────────────────────────────────────────────────────────────────────


def test_freeze_takes_names_of_layers_and_of_parameters():
    net = small_net()
    assert training.freeze(net, "features.0", "fc.bias") is net
    assert frozen_names(net) == ["features.0.weight", "features.0.bias", "fc.bias"]
    assert net.features[0].frozen and not net.features.frozen and not net.fc.frozen
    training.freeze(net, "features")
    assert all(layer.frozen for _, layer in net.features.named_layers())
    training.unfreeze(net, "fc.bias")
    assert "fc.bias" not in frozen_names(net) and "features.1.weight" in frozen_names(net)


def test_without_names_it_is_everything():
    net = training.freeze(small_net())
    assert len(frozen_names(net)) == len(net.parameters()) == 6 and net.frozen
    training.unfreeze(net)
    assert not frozen_names(net) and not any(layer.frozen for _, layer in net.named_layers())


def test_names_are_cut_at_dots():
    net = Sequential(conv1=Conv2d(1, 2, 1), conv10=Conv2d(2, 2, 1))
    training.freeze(net, "conv1")
    assert frozen_names(net) == ["conv1.weight", "conv1.bias"]


def test_a_list_of_layers_has_a_name_too():
    class Net(Layer):
        def __init__(self):
            self.blocks, self.scale = [Linear(2, 2), Linear(2, 2)], Parameter(np.ones(1))

    net = training.freeze(Net(), "blocks")
    assert len(frozen_names(net)) == 4 and not net.scale.frozen


@pytest.mark.parametrize("change", [training.freeze, training.unfreeze])
@pytest.mark.parametrize("name, near", [("featrues", "'features'"), ("fc.weigth", "'fc.weight'"),
                                        ("features.1.wait", "'features.1.weight'"),
                                        ("", "features"), (["fc"], "fc")])
def test_an_unknown_name_changes_nothing_and_shows_the_nearest(change, name, near):
    net = training.freeze(small_net(), "features.1")
    before = frozen_names(net)
    with pytest.raises(ValueError, match=f"has no part .*; the nearest names are .*{near}"):
        change(net, "fc", name)
    assert frozen_names(net) == before and not net.fc.frozen


def test_freeze_of_no_network():
    with pytest.raises(ValueError, match="freeze expects a network.*got str"):
        training.freeze("features")


def test_a_frozen_part_is_a_fixed_function_in_training():
    net = small_net()
    net.features[1].running_mean += 0.3
    training.freeze(net, "features")
    assert not net.features[1].training                     # at once, before any train()
    net.train()
    assert net.training and net.fc.training
    assert not any(layer.training for _, layer in net.features.named_layers())
    state = net.state_dict()
    a = net.features.forward(images(4))
    b = net.features.forward(np.concatenate([images(4), 9 * images(4, seed=1)]))[:4]
    np.testing.assert_allclose(a, b, rtol=1e-6)             # no batch statistics, no dropout
    assert same_bits(state, net.state_dict())               # and the averages stay
    training.unfreeze(net, "features").train()
    net.features.forward(images(4))
    assert not same_bits(state, net.state_dict())


def test_training_the_rest_leaves_a_frozen_part_as_it_was_to_the_bit():
    net = training.freeze(small_net(), "features")
    before = net.state_dict()
    x, labels = images(12), np.arange(12) % 3
    training.fit(net, (x, labels), (x, labels), optim.SGD(net.fc.parameters(), lr=0.1), epochs=2,
                 batch_size=4, rng=0, progress=False)
    after = net.state_dict()
    assert [name for name in before if before[name].tobytes() != after[name].tobytes()] == [
        "fc.weight", "fc.bias"]


def test_what_holds_a_thawed_part_thaws_but_not_its_other_parts():
    net = training.freeze(models.googlenet_small(rng=0))
    assert not net.train().training
    training.unfreeze(net, "fc").train()
    assert frozen_names(net)[-1].startswith("inception_5a") and not net.fc.weight.frozen
    assert net.training and net.fc.training and not net.drop.training and not net.aux1.training
    assert len(net.forward(images(2))) == 3                 # so the auxiliary heads run


def test_frozen_is_no_part_of_state_dict():
    net = small_net()
    state = net.state_dict()
    assert same_bits(state, training.freeze(net).state_dict())
    net.load_state_dict(state)
    assert len(frozen_names(net)) == 6


# ── the head ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SMALL)
def test_replace_head_is_building_the_network_for_other_classes(name):
    net = models.get_model(name, rng=0)
    before = net.state_dict()
    assert training.replace_head(net, 5, rng=1) is net
    after, built = net.state_dict(), models.get_model(name, num_classes=5).state_dict()
    assert {k: v.shape for k, v in after.items()} == {k: v.shape for k, v in built.items()}
    heads = {layer for layer, _, _ in _heads(net)}
    for key, array in after.items():
        if key.rpartition(".")[0] not in heads:
            assert array.tobytes() == before[key].tobytes(), key
    outputs = net.train().forward(images(2))
    for logits in outputs if isinstance(outputs, tuple) else (outputs,):
        assert logits.shape == (2, 5)
    assert len(heads) == (3 if name == "googlenet_small" else 1)


def test_a_fresh_head_is_of_the_same_kind_and_learns():
    net = Sequential(Conv2d(2, 6, 3, stride=2, padding=1, groups=2, bias=False, rng=0).astype("f8"),
                     AdaptiveAvgPool2d(1), Flatten())
    head = training.freeze(net)[0]
    training.replace_head(net, 4, rng=5)
    fresh = Conv2d(2, 4, 3, stride=2, padding=1, groups=2, bias=False, rng=np.random.default_rng(5))
    assert net[0] is head and repr(head) == repr(fresh)
    assert head.weight.value.dtype == head.weight.grad.dtype == np.float64 and head.bias is None
    np.testing.assert_array_equal(head.weight.value, fresh.weight.value)
    assert not head.weight.frozen and not head.frozen and not net.frozen and net[1].frozen
    assert head.train().training


def test_a_head_may_be_the_whole_network():
    assert training.replace_head(training.freeze(Linear(3, 2)), 7).weight.value.shape == (7, 3)


@pytest.mark.parametrize("net, options, message", [
    (models.lenet5(), (5,), "after F6, Linear.*, comes OUT, CodeDistance.*arrays of its own"),
    (Sequential(Linear(3, 4), BatchNorm2d(4)), (5,), "comes 1, BatchNorm2d"),
    (Sequential(ReLU()), (5,), "has no head: no layer of it holds a table of weights"),
    (Sequential(Linear(3, 4)), (0,), "num_classes must be an integer ≥ 1; got 0"),
    (Sequential(Conv2d(2, 4, 1, groups=2)), (5,), "2 groups, which must divide num_classes; got 5"),
    (Sequential(models.lenet.PartialConv2d(1, ((0,),), 3)), (5,), "only a Linear or a Conv2d"),
    ([Linear(2, 2)], (5,), "expected a network; got list"),
])
def test_heads_that_cannot_be_replaced(net, options, message):
    with pytest.raises(ValueError, match=message):
        training.replace_head(net, *options)


# ── features ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [*SMALL, "lenet5"])
def test_features_and_then_the_head_are_the_network(name):
    net, x = models.get_model(name, rng=0), images(5)
    expected = training.predict(net, x)
    entered = training.features(net, x, batch_size=2)
    _, head, _ = next(_heads(net))
    assert entered.shape[0] == 5 and "forward" not in vars(head) and not net.training
    logits = Sequential(head, *_after(net, head)).forward(entered)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_features_of_a_network_of_ones_own():
    class Mine(Layer):
        def __init__(self):
            self.fc, self.flatten = Linear(4, 2, rng=0), Flatten()

        def forward(self, x):
            return 0.1 * self.fc(self.flatten(x))

    net, x = Mine(), images(3, side=2)
    np.testing.assert_array_equal(training.features(net, x), x.reshape(3, 4))
    with pytest.raises(ValueError, match="what Mine.* does with the output of Linear.*cannot be "
                                         "seen from outside. freeze the rest"):
        training.train_head(net, x.reshape(3, 4), np.zeros(3, int))


@pytest.mark.parametrize("times", [0, 2])
def test_a_head_that_does_not_run_once(times):
    class Odd(Layer):
        def __init__(self):
            self.fc = Linear(4, 4)

        def forward(self, x):
            for _ in range(times):
                x = self.fc(x)
            return x

    net = Odd()
    with pytest.raises(ValueError, match=rf"once for each of the 3 images; it ran for {3 * times}"):
        training.features(net, np.ones((3, 4), np.float32))
    assert "forward" not in vars(net.fc)


def test_nobody_listens_after_an_error():
    net = small_net()
    with pytest.raises(ValueError, match="expects"):
        training.features(net, np.ones((3, 2, 8, 8), np.float32))
    assert "forward" not in vars(net.fc)


# ── training the head ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["nin_small", "densenet_small", "googlenet_small",
                                  "efficientnet_small", "nasnet_small"])
def test_it_takes_the_steps_of_training_with_a_frozen_body(name):
    """Full batches, so that the order does not matter; twice the whole network by hand."""
    x, labels = images(6), np.arange(6) % 10
    quick, slow = models.get_model(name, rng=0), models.get_model(name, rng=0)
    losses = training.train_head(quick, training.features(quick, x), labels, epochs=2, lr=0.1,
                                 momentum=0.9, weight_decay=0.01, rng=0)
    key, head, _ = next(_heads(slow))
    training.unfreeze(training.freeze(slow), key)
    slow.eval()                                             # NiN's dropout is not in the way
    sgd, loss = optim.SGD(head.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01), []
    for _ in range(2):
        cross_entropy = SoftmaxCrossEntropy()
        loss.append(float(cross_entropy.forward(slow.forward(x), labels)))
        sgd.zero_grad()
        slow.backward(cross_entropy.backward())
        sgd.step()
    assert losses == pytest.approx(loss, rel=1e-4)
    for (k, a), b in zip(quick.state_dict().items(), slow.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5, err_msg=k)


def test_a_network_for_even_and_odd_from_one_for_digits():
    """The features of a network that knows digits tell even from odd, a new head's task."""
    digits = data.load_digits()
    net = Sequential(flatten=Flatten(), fc1=Linear(64, 64, rng=0), relu=ReLU(),
                     fc2=Linear(64, 10, rng=1))
    training.fit(net, digits.train, digits.validation, optim.SGD(net.parameters(), lr=0.1),
                 epochs=20, batch_size=32, rng=0, progress=False)
    body = {k: v for k, v in net.state_dict().items() if not k.startswith("fc2")}
    training.replace_head(net, 2, rng=0)
    losses = training.train_head(net, training.features(net, digits.train.images),
                                 digits.train.labels % 2, rng=0)
    assert losses[-1] < 0.5 * losses[0]
    logits = training.predict(net, digits.validation.images)
    assert training.top_k(logits, digits.validation.labels % 2, 1) > 0.93     # by chance: 0.5
    after = net.state_dict()
    assert all(after[k].tobytes() == v.tobytes() for k, v in body.items())


def test_same_seed_same_head():
    net, entered = small_net(), images(40).reshape(40, -1)[:, :4]
    start, results = net.state_dict(), []
    for seed in (0, 0, 1):
        net.load_state_dict(start)
        training.train_head(net.train(), entered, np.arange(40) % 3, epochs=2, batch_size=8,
                            rng=seed)
        assert not net.training
        results.append(net.fc.weight.value.tobytes())
    assert results[0] == results[1] != results[2]


FEATURES = images(6).reshape(6, -1)[:, :4]
LABELS = np.arange(6) % 3


@pytest.mark.parametrize("entered, labels, options, message", [
    (FEATURES, LABELS + 1, {"batch_size": 2}, "integers from 0 to 2 .*got 3 at"),
    (FEATURES[:, :3], LABELS, {}, r"expects \(N, 4\); got \(6, 3\)"),
    (FEATURES[:4], LABELS, {}, "got 4 features and 6 labels: one an image"),
    (FEATURES, LABELS.tolist(), {}, "the labels must be a NumPy array.*list"),
    (FEATURES[:0], LABELS[:0], {}, r"the features must be a NumPy array.*got \(0, 4\)"),
    (FEATURES, LABELS, {"epochs": 0}, "epochs must be an integer ≥ 1"),
    (FEATURES, LABELS, {"batch_size": 1.5}, "batch_size must be an integer ≥ 1; got 1.5"),
    (FEATURES, LABELS, {"lr": -1}, "lr"),
])
def test_bad_input_leaves_the_head_as_it_was(entered, labels, options, message):
    net = small_net()
    before = net.state_dict()
    with pytest.raises(ValueError, match=message):
        training.train_head(net, entered, labels, **options)
    assert same_bits(before, net.state_dict())


def test_a_frozen_head_is_told():
    net = training.freeze(small_net())
    with pytest.raises(ValueError, match=r"the head is frozen; unfreeze\(model, 'fc'\) first"):
        training.train_head(net, FEATURES, LABELS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_leaves_the_head_as_it_was():
    net = small_net()
    before = net.state_dict()
    with pytest.raises(RuntimeError, match="NaN or infinite in epoch 1.*than 1e\\+38"):
        training.train_head(net, FEATURES, LABELS, batch_size=2, lr=1e38, weight_decay=1, epochs=1)
    assert same_bits(before, net.state_dict())


def test_a_head_inside_what_is_no_chain():
    net = Residual(Linear(4, 4, rng=0))
    with pytest.raises(ValueError, match="what Residual.* cannot be seen from outside"):
        training.train_head(net, FEATURES, LABELS)


def test_on_the_gpu_as_on_the_cpu():
    results = {}
    for device in ("cpu", "gpu"):
        with strict_cupy.installed():
            net = training.replace_head(small_net().to(device), 2, rng=3)
            assert device_of(net.fc.weight.value) == device
            entered = training.features(net, images(8, side=8))
            assert isinstance(entered, np.ndarray)
            losses = training.train_head(net, entered, np.arange(8) % 2, epochs=3, rng=0)
            results[device] = [*losses, *net.state_dict()["fc.weight"].ravel()]
    assert results["gpu"] == pytest.approx(results["cpu"], rel=1e-4)
