"""Each network computes what PyTorch's computes, as recorded where there was one: outputs, the
gradients of the input and of every parameter, running averages. No PyTorch is needed here; what
the records hold, and of which weights and images, is in tests/golden/torch/recipe.py.
"""
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from golden.torch import recipe

from scratchnet import models, no_grad
from scratchnet.layer import Layer
from scratchnet.layers import BatchNorm2d, Linear

GOLDEN = Path(__file__).parents[1] / "golden" / "torch"
NAMES = """alexnet_owt vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn googlenet_bn
inception_v4 inception_resnet_v2 resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d
resnext101_32x8d se_resnet50 se_resnext50_32x4d densenet121 densenet169 densenet201 mobilenet_v1
mobilenet_v2 nasnet_a_mobile efficientnet_b0""".split()                             # noqa: SIM905

#: The siblings of networks that are compared in any case, run with -m slow.
SLOW = {"vgg11", "vgg13", "vgg19", "vgg11_bn", "vgg13_bn", "vgg19_bn", "resnet101", "resnet152",
        "resnext101_32x8d", "densenet169", "densenet201"}


class Blank(np.random.Generator):
    """Draws zeros, which is quick: all weights will be the recipe's."""

    def standard_normal(self, size, dtype):
        return np.zeros(size, dtype)


def network(name: str) -> Layer:
    """Our network of this name with the recipe's weights, float32."""
    net = models.get_model(name, num_classes=recipe.CLASSES, rng=Blank(np.random.PCG64()))
    recipe.narrow(name, net, Linear)
    for key, parameter in net.named_parameters():
        parameter.value = recipe.weights(key, parameter.value.shape)
    for key, layer in net.named_layers():
        if isinstance(layer, BatchNorm2d):
            for average in ("running_mean", "running_var"):
                setattr(layer, average, recipe.weights(f"{key}.{average}", (layer.num_features,)))
        if hasattr(layer, "p"):
            layer.p = 0.0                           # the draws of two libraries are not alike
    return net


def record(name: str, net: Layer) -> dict:
    """What our network puts in the place of each number of the golden record, in float64."""
    net.astype(np.float64)
    training = run(name, net.train()) if recipe.has_batch_norm(name) else None
    averages = {f"{key}.{average}": getattr(layer, average)
                for key, layer in net.named_layers() if isinstance(layer, BatchNorm2d)
                for average in ("running_mean", "running_var")}
    return recipe.record(run(name, net.eval()), training, averages)


def run(name: str, net: Layer) -> dict:
    """Forwards and backwards."""
    outputs = recipe.heads(net.zero_grad().forward(recipe.image(name).astype(np.float64)))
    dx = net.backward(*[recipe.uniform(f"d{head}", y.shape).astype(np.float64)
                        for head, y in outputs.items()])
    return recipe.run(outputs, dx, {key: p.grad for key, p in net.named_parameters()})


def disagreements(ours: dict, golden: dict) -> list[str]:
    """The places where two records differ by more than 1e-9.

    An output is held against its own norm, a layer's gradients against the norm of all of them:
    a bias before a batch normalisation has the gradient 0, up to rounding.
    """
    found = []
    modes = [mode for mode in ("eval", "train") if mode in golden]
    for mode in modes:
        a, b = ours[mode], golden[mode]
        assert a["outputs"].keys() == b["outputs"].keys()
        found += [f"{mode} {head}" for head in a["outputs"]
                  if not close(a["outputs"][head], b["outputs"][head],
                               np.linalg.norm(b["outputs"][head]))]
        found += [f"{mode} dx"] if not close(a["dx"], b["dx"], b["dx"][0]) else []
    assert list(ours["layers"]) == list(golden["layers"])
    for layer, sketches in golden["layers"].items():
        assert len(ours["layers"][layer]) == len(sketches)      # has it running averages?
        for what, a, b in zip([*modes, "averages"], ours["layers"][layer], sketches, strict=False):
            found += [f"{what} {layer}"] if not close(a, b, b[0]) else []
    return found


def close(ours: list, golden: list, scale: float) -> bool:
    """Is every number there, and within 1e-9 of the scale? (NaN is not.)"""
    ours, golden = np.array(ours), np.array(golden)
    return ours.shape == golden.shape and bool((abs(ours - golden) <= 1e-9 * scale).all())


def golden_record(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


# ── every network ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES])
def test_outputs_gradients_and_running_averages_are_those_of_pytorch(name):
    """And in float32 the logits are, to 1e-4."""
    golden, net = golden_record(name), network(name)
    assert golden["input_shape"] == list(recipe.image(name).shape)
    assert ("train" in golden) == recipe.has_batch_norm(name)
    assert disagreements(record(name, net), golden) == []

    expected = np.array(golden["eval"]["outputs"]["logits"])
    with no_grad():
        logits = net.astype(np.float32).forward(recipe.image(name))
    assert logits.dtype == np.float32
    assert abs(logits - expected).max() <= 1e-4 * abs(expected).max()


def test_every_network_has_its_record():
    assert sorted(NAMES) == sorted(path.stem for path in GOLDEN.glob("*.json"))


def test_records_are_of_every_network_that_the_packages_define():
    reference = pytest.importorskip("reference")        # which needs PyTorch
    assert sorted(NAMES) == reference.NAMES


# ── and a wrong one is found ─────────────────────────────────────────────────────────


def swap_two_gradients(net):
    def wrong(a, b):
        a.grad, b.grad = b.grad, a.grad
    after_backward(net, wrong, net.features[8].conv[0][0].weight, net.features[9].conv[0][0].weight)


def swap_two_filters_of_a_gradient(net):
    def wrong(weight):
        weight.grad[[3, 4]] = weight.grad[[4, 3]]
    after_backward(net, wrong, net.features[5].conv[2].weight)


def change_one_entry_of_a_gradient(net):
    def wrong(weight):
        weight.grad[7, 5, 0, 0] *= 1.0001
    after_backward(net, wrong, net.features[18][0].weight)


def forget_the_gradient_of_a_bias(net):
    def wrong(bias):
        bias.grad[...] = 0
    after_backward(net, wrong, net.classifier[1].bias)


def after_backward(net, wrong, *parameters):
    backward = net.backward

    def backward_and_spoil(*dys):
        dx = backward(*dys)
        wrong(*parameters)
        return dx
    net.backward = backward_and_spoil


def drop_a_bias(net):
    net.classifier[1].bias.value[...] = 0


def change_one_filter_by_a_hundredth(net):
    net.features[5].conv[0][0].weight.value[17] *= 1.01


def take_another_eps(net):
    net.features[3].conv[1][1].eps = 1e-3


def take_another_momentum(net):
    net.features[3].conv[1][1].momentum = 0.01


@pytest.mark.parametrize("bug, found", [
    (swap_two_gradients, {"eval features.8.conv.0.0", "train features.8.conv.0.0",
                          "eval features.9.conv.0.0", "train features.9.conv.0.0"}),
    (swap_two_filters_of_a_gradient, {"eval features.5.conv.2", "train features.5.conv.2"}),
    (change_one_entry_of_a_gradient, {"eval features.18.0", "train features.18.0"}),
    (forget_the_gradient_of_a_bias, {"eval classifier.1", "train classifier.1"}),
])
def test_a_wrong_gradient_is_found_where_it_is_and_nowhere_else(bug, found):
    net = network("mobilenet_v2")
    bug(net)
    assert set(disagreements(record("mobilenet_v2", net), golden_record("mobilenet_v2"))) == found


@pytest.mark.parametrize("bug, found", [
    (drop_a_bias, {"eval logits", "train logits"}),
    (change_one_filter_by_a_hundredth, {"eval logits", "eval dx", "train dx"}),
    (take_another_eps, {"eval logits", "eval dx", "train logits", "train dx"}),
    (take_another_momentum, {"averages features.3.conv.1.1"}),
])
def test_a_wrong_number_in_the_network_is_found(bug, found):
    net = network("mobilenet_v2")
    bug(net)
    assert found <= set(disagreements(record("mobilenet_v2", net), golden_record("mobilenet_v2")))


def test_auxiliary_heads_in_the_wrong_order_are_found():
    net = network("googlenet_bn")
    forward = net.forward

    def as_torchvision_returns_them(x):
        logits, *aux = heads if isinstance(heads := forward(x), tuple) else (heads,)
        return (logits, *reversed(aux)) if aux else logits
    net.forward = as_torchvision_returns_them
    assert {"train aux1", "train aux2"} <= set(
        disagreements(record("googlenet_bn", net), golden_record("googlenet_bn")))


def test_what_is_no_number_is_found():
    golden = golden_record("vgg11")
    wrong = json.loads(json.dumps(golden))
    wrong["eval"]["outputs"]["logits"][1][6] = wrong["layers"]["features.0"][0][0] = np.nan
    assert disagreements(wrong, golden) == ["eval logits", "eval features.0"]


# ── the recipe and its tool ──────────────────────────────────────────────────────────


def test_the_numbers_are_those_that_the_records_were_made_of():
    """If this fails, the records are not wrong: the recipe is another, or NumPy's generator is."""
    assert recipe.uniform("x", (2, 2)).tolist() == [
        [0.4031599462032318, -0.19113372266292572], [-0.907353401184082, 0.40211525559425354]]
    assert recipe.uniform("conv1.weight", (3,)).tolist() == [
        0.6731706857681274, 0.1353733241558075, -0.5250299572944641]


def test_an_array_longer_than_the_ring_goes_round():
    numbers = recipe.uniform("fc.weight", (2, recipe.PERIOD))
    assert (numbers[0] == numbers[1]).all()
    assert (numbers[0, :5] == recipe.uniform("fc.weight", (5,))).all()
    assert -1 <= numbers.min() < -0.999 and 0.999 < numbers.max() <= 1


def test_weights_have_the_scale_of_their_kind():
    filters = recipe.weights("conv1.weight", (64, 8, 3, 3))
    assert filters.dtype == np.float32
    assert filters.var() == pytest.approx(2 / (8 * 3 * 3), rel=0.05)        # He
    for kind, mean in (("weight", 1), ("running_var", 1), ("bias", 0), ("running_mean", 0)):
        numbers = recipe.weights(f"bn1.{kind}", (1000,))
        assert numbers.mean() == pytest.approx(mean, abs=0.02)
        assert abs(numbers - mean).max() <= 0.3001
    with pytest.raises(ValueError, match=r"running_var; got 'prelu\.slope': say here how"):
        recipe.weights("prelu.slope", (3,))


@pytest.fixture
def tool():
    path = Path(__file__).parents[2] / "tools" / "make_torch_golden.py"
    spec = importlib.util.spec_from_file_location("make_torch_golden", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def packages(tool):
    for package in tool.PACKAGES:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "googlenet_bn"])
def test_the_tool_makes_the_record_again(tool, packages, name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "TARGET", tmp_path)
    assert tool.main([name]) == 0
    text = (tmp_path / f"{name}.json").read_text("utf-8")
    assert capsys.readouterr().out == f"{name}.json: {len(text):,} bytes\n"
    assert disagreements(json.loads(text), golden_record(name)) == []


def test_the_tool_refuses_a_network_that_pytorch_does_not_have(tool, packages, capsys):
    with pytest.raises(SystemExit):
        tool.main(["resnet18", "lenet5"])
    assert "unknown: lenet5; tests/models/reference.py has alexnet_owt, " in capsys.readouterr().err


def test_the_tool_says_what_it_needs(tool, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name: None if name in ("timm", "torch") else name)
    assert tool.main([]) == 1
    assert capsys.readouterr().err.startswith(
        "make_torch_golden: torch, timm: not installed. python -m pip install torch pytest")
