"""Each network computes what its definition by others computes: outputs and every gradient.

The same random weights in both, in evaluation and in training. The networks are the full-size
ones; their images are small where the network allows it, because what is compared is the
network, and this is enough to reach every weight of it.
"""
import numpy as np
import pytest
import reference

from scratchnet import models
from scratchnet.layers import BatchNorm2d

torch = pytest.importorskip("torch")

#: The siblings of networks that are compared in any case, run with -m slow.
SLOW = {"vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg19_bn", "vgg11_lrn", "resnet101",
        "resnet152", "resnext101_32x8d", "densenet169", "densenet201", "cifar_resnet110",
        "cifar_preact_resnet110", "cifar_densenet_bc100"}
SIDES = {"inception_v4": 160, "inception_resnet_v2": 160, "nasnet_a_mobile": 224}
CLASSES = 7


def each(names):
    """These networks as test parameters, the siblings marked slow."""
    return pytest.mark.parametrize("name", [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names])


def randomised(name):
    """Our network; nothing in it is 0 or 1."""
    rng = np.random.default_rng(0)
    net = models.get_model(name, num_classes=CLASSES, rng=rng).astype(np.float64)
    for _, layer in net.named_layers():
        if hasattr(layer, "p"):
            layer.p = 0.0                           # the draws of two libraries are not alike
        if isinstance(layer, BatchNorm2d):
            layer.running_mean = 0.1 * rng.standard_normal(layer.num_features)
            layer.running_var = 1 + 2 * rng.random(layer.num_features)
    for _, parameter in net.named_parameters():
        if parameter.value.ndim == 1:               # biases, γ and β
            parameter.value = parameter.value + 0.2 * rng.standard_normal(len(parameter.value))
    return net


def both(name, training, dtype=np.float64):
    """Our outputs, dx, gradients and state by torch's names; and torch's."""
    theirs, rename = reference.build(name, CLASSES)
    rng = np.random.default_rng(1)
    side = SIDES.get(name, 64)
    x = rng.standard_normal((2, 3, side, side))
    ours = randomised(name).astype(dtype).train(training)
    theirs = theirs.to(torch.float64 if dtype == np.float64 else torch.float32).train(training)
    state = {rename(key): torch.from_numpy(value) for key, value in ours.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all("num_batches_tracked" in key for key in missing)

    x = x.astype(dtype)
    tx = torch.from_numpy(x.copy()).requires_grad_()
    y, ty = ours.forward(x), theirs(tx)
    if name == "googlenet_bn" and training:
        ty = ty.logits, ty.aux_logits1, ty.aux_logits2
    ys, tys = (value if isinstance(value, tuple) else (value,) for value in (y, ty))
    dys = [rng.standard_normal(value.shape).astype(dtype) for value in ys]
    sum((value * torch.from_numpy(dy)).sum() for value, dy in zip(tys, dys, strict=True)).backward()
    dx = ours.backward(*dys)
    gradients = {key: p.grad.numpy() for key, p in theirs.named_parameters() if p.grad is not None}
    return (ys, dx, {rename(key): p.grad for key, p in ours.named_parameters()},
            {rename(key): value for key, value in ours.state_dict().items()},
            [value.detach().numpy() for value in tys], tx.grad.numpy(), gradients,
            {key: value.numpy() for key, value in theirs.state_dict().items()})


def close(ours, theirs, tolerance, scale=None):
    """Is the difference small against theirs, or against `scale` where theirs is zero by right?"""
    return np.linalg.norm(ours - theirs) <= tolerance * (scale or np.linalg.norm(theirs))


@each(reference.NAMES)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_equals_torch_in_outputs_gradients_and_running_averages(name, training):
    norm = "_bn" in name or not name.startswith(("alexnet", "vgg"))
    if training and not norm:
        pytest.skip("without batch normalisation and dropout, training is evaluation")
    ys, dx, grads, state, tys, tdx, tgrads, tstate = both(name, training)
    for y, ty in zip(ys, tys, strict=True):
        assert close(y, ty, 1e-9)
    assert close(dx, tdx, 1e-9)

    heads = {key for key in grads if name == "googlenet_bn" and key.startswith("aux")}
    assert set(grads) - (set() if training else heads) == set(tgrads)
    for key, expected in tgrads.items():
        # A bias before a batch normalisation has the gradient 0, up to rounding: hold it
        # against the weights of its own layer.
        layer = key.rpartition(".")[0]
        scale = max(np.linalg.norm(g) for other, g in tgrads.items()
                    if other.rpartition(".")[0] == layer)
        assert close(grads[key], expected, 1e-9, scale), key
    for key, value in state.items():
        assert close(value, tstate[key], 1e-9), key


@each(reference.NAMES)
def test_outputs_equal_torch_in_float32(name):
    """Gradients are compared in float64 only: in float32, rounding alone decides some maxima and
    ReLUs, in both libraries alike."""
    ys, *_, tys, _, _, _ = both(name, False, np.float32)
    assert ys[0].dtype == np.float32
    assert abs(ys[0] - tys[0]).max() <= 1e-4 * abs(tys[0]).max()


# Networks that nobody else defines, and those of the papers: wired again in PyTorch by the rules
# of torch_twin.py.
OTHERS = {"lenet5": 32, "alexnet": 227, "zfnet": 224, "nin": 128, "vgg11_lrn": 224,
          "googlenet": 224,
          "plain18": 64, "plain34": 64, "resnet50_paper": 64, "preact_resnet50": 64,
          "cifar_resnet20": 32, "cifar_resnet110": 32, "cifar_plain56": 32,
          "cifar_preact_resnet110": 32, "cifar_densenet_bc100": 32}


@each(OTHERS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_others_equal_the_same_network_wired_in_torch(name, training):
    from torch_twin import assert_equals_torch
    if training and name == "vgg11_lrn":
        pytest.skip("130 million parameters; dropout apart, training is evaluation")
    net = randomised(name).train(training)
    C, _, _ = models.input_shape(name)
    x = np.random.default_rng(1).standard_normal((2, C, OTHERS[name], OTHERS[name]))
    assert_equals_torch(net, [x], 1e-7, 1e-9)
