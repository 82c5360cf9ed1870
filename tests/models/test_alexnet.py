"""AlexNet: the paper's constants, the gradients of the whole, equality with PyTorch.

(Its layer table is compared in tests/test_golden.py.)
"""
import numpy as np
import pytest
import strict_cupy

from scratchnet import gradcheck, models, no_grad, summary
from scratchnet.backend import device_of
from scratchnet.layers import SoftmaxCrossEntropy


@pytest.fixture(scope="module")
def alexnet():
    return models.alexnet(rng=0)


def test_constants_of_the_paper(alexnet):
    assert [alexnet[n].geometry.groups for n in ("conv1", "conv2", "conv3", "conv4", "conv5")] == \
        [1, 2, 1, 2, 2]
    for name in ("norm1", "norm2"):
        lrn = alexnet[name]
        assert (lrn.size, lrn.k, lrn.alpha, lrn.beta) == (5, 2, 1e-4, 0.75)
    for name in ("pool1", "pool2", "pool5"):
        assert (alexnet[name].kernel_size, alexnet[name].stride) == ((3, 3), (2, 2))
    assert alexnet.drop6.p == alexnet.drop7.p == 0.5


def test_initialisation_of_the_paper(alexnet):
    for name, layer in alexnet.children():
        if name.startswith(("conv", "fc")):
            assert abs(layer.weight.value.std() - 0.01) < 1e-4, name
            assert abs(layer.weight.value.mean()) < 1e-3, name
            one = name in ("conv2", "conv4", "conv5", "fc6", "fc7")
            assert (layer.bias.value == one).all(), name


def test_same_seed_same_network_and_another_seed_another():
    a, b, c = (models.alexnet_small(rng=seed).conv1.weight.value for seed in (3, 3, 4))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_small_has_the_same_layers_in_the_same_order(alexnet):
    small = models.alexnet_small()
    kinds = [(name, type(layer)) for name, layer in alexnet.children()]
    assert kinds == [(name, type(layer)) for name, layer in small.children()]
    assert summary(small, (1, 32, 32)).params < 1_000_000


def test_whole_2012_network_passes_the_check(alexnet):
    """All 61 million parameters and the image, moved at once; dropout on."""
    x = np.random.default_rng(0).standard_normal((1, 3, 227, 227), dtype=np.float32)
    gradcheck.assert_correct(alexnet.train(), x, probes=1)


def test_paper_init_keeps_dtype_and_device():
    with strict_cupy.installed():
        net = models.alexnet_small(rng=0).astype(np.float64).to("gpu")
        models.paper_init(net, rng=0)
        assert {device_of(p.value) for p in net.parameters()} == {"gpu"}
        assert {str(p.value.dtype) for p in net.parameters()} == {"float64"}


def test_image_too_small_names_the_layer(alexnet):
    with no_grad(), pytest.raises(ValueError, match=r"MaxPool2d.*window of 3×3; got images of 2×2"):
        alexnet.eval().forward(np.zeros((1, 3, 64, 64), dtype=np.float32))
    with pytest.raises(ValueError, match=r"Linear\(9216→4096\) expects \(N, 9216\); got"):
        alexnet.forward(np.zeros((1, 3, 199, 199), dtype=np.float32))
    with pytest.raises(ValueError, match=r"kernel 11, stride 4\) expects \(N, 3, H, W\), channels "
                                         r"first; got \(1, 227, 227, 3\)"):
        alexnet.forward(np.zeros((1, 227, 227, 3), dtype=np.float32))


# ── the same network in PyTorch ──────────────────────────────────────────────────────


def in_torch(network):
    """The same layers as torch.nn modules, from the layers' own constants, with our weights."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    modules = []
    for _, layer in network.children():
        kind = type(layer).__name__
        if kind == "Conv2d":
            stride, padding, dilation, groups = layer.geometry
            module = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, stride,
                               padding, dilation, groups)
        elif kind == "Linear":
            module = nn.Linear(layer.in_features, layer.out_features)
        elif kind == "LocalResponseNorm":       # PyTorch divides alpha by n
            module = nn.LocalResponseNorm(layer.size, layer.alpha * layer.size, layer.beta, layer.k)
        elif kind == "MaxPool2d":
            module = nn.MaxPool2d(layer.kernel_size, layer.stride)
        else:
            module = {"ReLU": nn.ReLU, "Flatten": nn.Flatten, "Dropout": nn.Dropout}[kind]()
        if kind in ("Conv2d", "Linear"):
            module.weight.data = torch.from_numpy(layer.weight.value.copy())
            module.bias.data = torch.from_numpy(layer.bias.value.copy())
        modules.append(module)
    return nn.Sequential(*modules).eval()


@pytest.mark.parametrize("build, shape, classes, dtype, tolerance", [
    (models.alexnet_small, (5, 1, 32, 32), 10, np.float64, 1e-10),
    (models.alexnet_small, (5, 1, 32, 32), 10, np.float32, 1e-4),
    (models.alexnet, (2, 3, 227, 227), 1000, np.float64, 1e-9),
])
def test_equals_pytorch_outputs_and_all_gradients(build, shape, classes, dtype, tolerance):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    network = build(rng=0).astype(dtype).eval()
    theirs = in_torch(network)
    x, labels = rng.standard_normal(shape).astype(dtype), rng.integers(0, classes, shape[0])

    loss = SoftmaxCrossEntropy()
    y = network.forward(x)
    value = loss.forward(y, labels)
    dx = network.backward(loss.backward())

    tx = torch.from_numpy(x).requires_grad_()
    ty = theirs(tx)
    t_value = torch.nn.functional.cross_entropy(ty, torch.from_numpy(labels))
    t_value.backward()

    def close(ours, torchs, what):
        torchs = torchs.detach().numpy()
        assert abs(ours - torchs).max() <= tolerance * abs(torchs).max(), what

    close(y, ty, "logits")
    close(value, t_value, "loss")
    close(dx, tx.grad, "dx")
    t_parameters = list(theirs.parameters())
    named = list(network.named_parameters())
    assert len(t_parameters) == len(named) == 16
    for (name, p), tp in zip(named, t_parameters, strict=True):
        assert p.grad.dtype == dtype
        close(p.grad, tp.grad, name)


def test_2012_network_equals_pytorch_in_float32():
    """Outputs only: in float32, rounding alone decides some of the 600,000 maxima and ReLUs, and
    the gradients of both libraries stray from those of float64, by about 1 % in dx."""
    torch = pytest.importorskip("torch")
    network = models.alexnet(rng=0).eval()
    x = np.random.default_rng(1).standard_normal((2, 3, 227, 227), dtype=np.float32)
    with no_grad(), torch.no_grad():
        ours, theirs = network.forward(x), in_torch(network)(torch.from_numpy(x)).numpy()
    assert abs(ours - theirs).max() <= 1e-5 * abs(theirs).max()
