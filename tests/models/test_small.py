"""The small networks: small, right as a whole, equal to PyTorch, and able to learn."""
import numpy as np
import pytest

from scratchnet import data, gradcheck, models, optim, summary
from scratchnet.layers import SoftmaxCrossEntropy

SMALL = [name for name in models.list_models() if name.endswith("_small")]
NETWORKS = pytest.mark.parametrize("name", [*SMALL, "lenet5"])

# Without batch normalisation 0.02 is too much; LeNet's distances are large.
RATES = {"lenet5": 0.003, "alexnet_small": 0.01, "googlenet_small": 0.01, "nin_small": 0.01,
         "vgg_small": 0.01, "zfnet_small": 0.01}


@NETWORKS
def test_has_fewer_than_a_million_parameters(name):
    assert summary(models.get_model(name, rng=0), (1, 32, 32)).params < 1_000_000


@pytest.mark.parametrize("small, large", [
    ("alexnet_small", "alexnet"), ("zfnet_small", "zfnet")])
def test_has_the_same_layers_in_the_same_order(small, large):
    kinds = [[(name, type(layer)) for name, layer in models.get_model(n, rng=0).children()]
             for n in (small, large)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("small, large", [
    ("nin_small", "nin"), ("vgg_small", "vgg11"), ("googlenet_small", "googlenet"),
    ("inception_v4_small", "inception_v4"), ("inception_resnet_v2_small", "inception_resnet_v2"),
    ("resnet_small", "resnet50"), ("preact_resnet_small", "cifar_preact_resnet110"),
    ("resnext_small", "resnext50_32x4d"), ("se_resnet_small", "se_resnet50"),
    ("densenet_small", "densenet121"), ("mobilenet_v1_small", "mobilenet_v1"),
    ("mobilenet_v2_small", "mobilenet_v2"), ("nasnet_small", "nasnet_a_mobile"),
    ("efficientnet_small", "efficientnet_b0")])
def test_has_every_kind_of_layer_and_block_of_the_large_one(small, large):
    kinds = [{type(layer) for _, layer in models.get_model(n, rng=0).named_layers()}
             for n in (small, large)]
    stem = {"MaxPool2d", "AdaptiveAvgPool2d"}       # a 32×32 image needs no pooling in the stem
    assert {kind.__name__ for kind in kinds[1] - kinds[0]} <= stem


@NETWORKS
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_whole_network_passes_the_check(name, training):
    net = models.get_model(name, rng=0).train(training)
    x = np.random.default_rng(0).standard_normal((3, 1, 32, 32))
    gradcheck.assert_correct(net, x, probes=1)


@NETWORKS
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_equals_the_same_network_in_torch(name, training):
    pytest.importorskip("torch")
    from torch_twin import assert_equals_torch
    net = models.get_model(name, rng=0).astype(np.float64).train(training)
    x = np.random.default_rng(1).standard_normal((3, 1, 32, 32))
    assert_equals_torch(net, [x], 1e-7, 1e-9)


QUICK = {"lenet5", "mobilenet_v2_small", "resnext_small"}


@pytest.mark.parametrize("name", [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in [*SMALL, "lenet5"]])
def test_learns_64_digits_within_200_steps(name):
    """The loss on one batch, dropout on; auxiliary losses count 0.3 each, as in GoogLeNet."""
    images, labels = data.load_digits(32).train
    x, labels = images[:64], labels[:64]
    net, loss = models.get_model(name, rng=0).train(), SoftmaxCrossEntropy()
    optimizer = optim.SGD(net.parameters(), lr=RATES.get(name, 0.02), momentum=0.9)
    values = []
    while len(values) < 200:
        outputs = net.forward(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        dys = []
        for i, logits in enumerate(outputs):
            value = loss.forward(logits, labels)
            dys.append(loss.backward(1.0 if i == 0 else 0.3))
            if i == 0:
                values.append(float(value))
        if values[-1] < 0.05:
            break
        net.zero_grad().backward(*dys)
        optimizer.step()
    assert values[-1] < 0.05, values[::20]
