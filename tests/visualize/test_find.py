"""Finding layers, and leaving everything as it was."""
import numpy as np
import pytest

from scratchnet import models
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
)
from scratchnet.visualize import find

X = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)


def network():
    """With everything that could be disturbed: running averages, a mask, a branch."""
    rng = np.random.default_rng(1)
    return Sequential(
        conv=Conv2d(3, 4, 3, padding=1, rng=rng), bn=BatchNorm2d(4), relu=ReLU(),
        block=Residual(Conv2d(4, 4, 3, padding=1, rng=rng), ReLU()), pool=MaxPool2d(2),
        flatten=Flatten(), drop=Dropout(0.5, rng=rng), fc=Linear(64, 5, rng=rng))


def state(model):
    """All that an outsider can see of the model, as comparable values."""
    seen = {}
    for name, layer in model.named_layers():
        for key, value in vars(layer).items():
            if isinstance(value, np.ndarray):
                seen[name, key] = value.tobytes()
            elif isinstance(value, np.random.Generator):
                seen[name, key] = str(value.bit_generator.state)
            elif key == "_memory":
                seen[name, key] = id(value)
            elif not isinstance(value, Layer):
                seen[name, key] = repr(value)
    seen |= {(name, "parameter"): (p.value.tobytes(), p.grad.tobytes(), id(p.grad))
             for name, p in model.named_parameters()}
    return seen


def test_a_layer_is_found_by_its_dotted_name():
    net = models.alexnet_small(rng=0)
    for name, layer in net.named_layers():
        if name:
            assert find.layer(net, name) is layer
    assert find.layer(network(), "block.0").in_channels == 4


def test_a_name_that_is_not_there_gets_the_nearest_and_how_to_list_them():
    with pytest.raises(ValueError, match=r"no layer 'con' in Sequential; the nearest are conv.*"
                                         r"model.named_layers\(\)\] lists all 11"):
        find.layer(network(), "con")
    with pytest.raises(ValueError, match="no layer ''"):
        find.layer(network(), "")
    with pytest.raises(ValueError, match="no layer 'conv1' in ReLU: it holds no layers"):
        find.layer(ReLU(), "conv1")


@pytest.mark.parametrize("fails", [False, True])
def test_undisturbed_leaves_everything_as_it_was(fails):
    net, loss = network(), SoftmaxCrossEntropy()
    loss.forward(net.forward(X), np.array([0, 1]))
    net.backward(loss.backward())                   # gradients that must not be lost
    net.forward(X)                                  # and a memory that its owner still needs
    net.bn.training = False                         # modes that differ
    before = state(net)
    try:
        with find.undisturbed(net):
            assert not any(layer.training for _, layer in net.named_layers())
            assert not any(p.grad.any() for p in net.parameters())
            net.train()
            net.backward(np.ones_like(net.forward(X)))
            net.bn.running_mean[...] = 7
            net.conv.forward = None
            net.conv.weight.value = net.conv.weight.value * 2
            net.extra = ReLU()
            assert state(net) != before
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    assert state(net) == before
    net.backward(np.ones((2, 5), np.float32))       # of the forward before


def test_undisturbed_remembers_within_no_grad():
    net = network()
    with no_grad(), find.undisturbed(net):
        y = net.forward(X)
        assert net.backward(np.ones_like(y)).shape == X.shape


def test_back_from_the_middle_is_the_gradient_of_what_the_layer_returned():
    """⟨dx, v⟩ against the change of ⟨dy, a⟩ along v, in float64, through the branch."""
    net, x = network().astype(np.float64), X.astype(np.float64)
    rng = np.random.default_rng(3)
    for name in ("conv", "block.0", "block", "pool", "fc"):
        found = find.layer(net, name)
        v = rng.standard_normal(x.shape)
        with find.undisturbed(net):
            a = find.output_of(net, name, x)
            dy = rng.standard_normal(a.shape)
            dx = find.back(net, find.run(net, x), found, dy)
            ends = [find.output_of(net, name, x + e * v) for e in (1e-6, -1e-6)]
        change = ((ends[0] - ends[1]) * dy).sum() / 2e-6
        assert (dx * v).sum() == pytest.approx(change, rel=1e-6), name


def test_listening_hears_layers_in_the_order_in_which_they_end():
    net = network()
    with find.undisturbed(net), find.listening(net.fc, net.conv, net.block) as heard:
        y = find.run(net, X)
    assert list(heard) == [net.conv, net.block, net.fc]
    assert heard[net.fc][1] is y and heard[net.conv][0][0] is X


@pytest.mark.parametrize("x, message", [
    (X[0], r"expected images \(N, C, H, W\).*got shape \(3, 8, 8\): one alone is image\[None\]"),
    ([[1]], "expected images.*got list"),
    (X[:0], r"got shape \(0, 3, 8, 8\)"),
    ((255 * X).astype(np.uint8), r"got uint8: convert .* x.astype\('float32'\) / 255"),
    (X[:, :1], r"does not take images of 1×8×8 .*: in conv: Conv2d.* expects \(N, 3, H, W\)"),
    (X[:, :, :6], r"does not take images of 3×6×8 .*: in fc: Linear.*expects \(N, 64\)"),
    (X.astype(np.float64), r"in conv: .*has float32 parameters; got float64: convert"),
    (X * np.nan, "NaN or infinity"),
])
def test_images_that_do_not_fit(x, message):
    net = network()
    with pytest.raises(ValueError, match=message), find.undisturbed(net):
        find.run(net, x)


def test_one_image_where_one_is_wanted():
    with pytest.raises(ValueError, match=r"expected one image \(1, C, H, W\).*: take x\[:1\]"):
        find.run(network(), X, single=True)


@pytest.mark.parametrize("target, message", [
    (5, "there are 5 classes, 0 to 4; got the number 5 for a class"),
    (-1, "0 to 4; got the number -1"),
    ([0, 9], "got the number 9"),
    (1.0, "expected the number of a class, or one for each of the 2 images; got 1.0"),
    ([1, 2, 3], r"one for each of the 2 images; got \[1, 2, 3\]"),
    ("cat", "got 'cat'"),
    (None, "got None"),
    (True, "got True"),
])
def test_classes_that_do_not_fit(target, message):
    with pytest.raises(ValueError, match=message):
        find.classes_of(np.zeros((2, 5)), target)


def test_classes_for_all_or_for_each():
    y = np.zeros((3, 5))
    assert find.classes_of(y, 4).tolist() == [4, 4, 4]
    assert find.classes_of(y, np.array([0, 2, 1])).tolist() == [0, 2, 1]
    assert find.one_hot(np.array([0, 2, 1]), y).tolist() == np.eye(5)[[0, 2, 1]].tolist()
    with pytest.raises(ValueError, match=r"returns logits \(N, classes\); this one returns"):
        find.classes_of(np.zeros((3, 5, 2, 2)), 0)


def test_the_strongest_place_of_each_image():
    a = np.zeros((2, 3, 2, 4))
    a[0, 1, 1, 2], a[1, 0, 0, 3], a[0, 2] = 5, 4, 9
    places = find.strongest_places(a, np.array([1, 0]))
    assert places == [(0, 1, 1, 2), (1, 0, 0, 3)]
    seed = find.at(places, a, [7, 8])
    assert seed[0, 1, 1, 2] == 7 and seed[1, 0, 0, 3] == 8 and np.count_nonzero(seed) == 2
    assert find.strongest_places(a[:, :, 0, 0], np.array([2, 1])) == [(0, 2), (1, 1)]


def test_a_layer_that_does_not_run_is_named():
    net = network()
    net.unused = ReLU()
    with pytest.raises(ValueError, match=r"unused, .*ReLU.*, does not run in evaluation mode"), \
            find.undisturbed(net):
        find.output_of(net, "unused", X)


def test_pictures_are_stretched_only_if_they_must_be():
    assert find.picture(X[0]).shape == (8, 8, 3)
    np.testing.assert_allclose(find.picture(X[0]), X[0].transpose(1, 2, 0), rtol=1e-6)
    stretched = find.picture(4 * X[0] - 2)
    assert stretched.min() == 0 and stretched.max() == 1
    assert find.picture(X[0, :1]).shape == (8, 8)
