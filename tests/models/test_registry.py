"""The networks by name: what the registry promises, and what it refuses."""
import re

import numpy as np
import pytest

from scratchnet import models, no_grad, summary
from scratchnet.golden import list_golden

SMALL = [name for name in models.list_models() if name.endswith("_small")]
QUICK = [*SMALL, "lenet5", "cifar_resnet20", "cifar_plain20", "mobilenet_v2", "googlenet"]

NAMES = """lenet5 alexnet alexnet_owt zfnet nin vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn
vgg19_bn vgg11_lrn googlenet googlenet_bn inception_v4 inception_resnet_v2 resnet18 resnet34
resnet50 resnet101 resnet152 resnet50_paper plain18 plain34 cifar_resnet20 cifar_resnet32
cifar_resnet44 cifar_resnet56 cifar_resnet110 cifar_plain20 cifar_plain56 preact_resnet50
cifar_preact_resnet110 resnext50_32x4d resnext101_32x8d se_resnet50 se_resnext50_32x4d densenet121
densenet169 densenet201 cifar_densenet_bc100 mobilenet_v1 mobilenet_v2 nasnet_a_mobile
efficientnet_b0""".split()                                                          # noqa: SIM905

BLOCKS = """BasicBlock Bottleneck PlainBlock PreActBlock SEBottleneck SqueezeExcitation DenseLayer
InvertedResidual MBConv InceptionResidual PadShortcut GoogLeNet inception_module inception_a
inception_b inception_c reduction_a reduction_b nasnet_cell mlpconv""".split()                 # noqa: SIM905


def test_every_network_is_there_and_each_family_has_a_small_one():
    assert set(models.list_models()) == set(NAMES) | set(SMALL)
    families = {getattr(models, name).__module__ for name in NAMES}
    small = {getattr(models, name).__module__ for name in SMALL}
    # LeNet-5 is small itself, and for 32×32 images; CIFAR's ResNets go with resnet_small.
    assert families - small == {"scratchnet.models.lenet", "scratchnet.models.cifar_resnet"}


def test_every_network_but_the_small_ones_has_a_golden_table():
    assert set(list_golden()) == set(NAMES)


def test_blocks_are_importable_by_name():
    for name in [*BLOCKS, *NAMES, *SMALL]:
        assert callable(getattr(models, name)), name
        assert name in models.__all__


@pytest.mark.parametrize("name", QUICK)
def test_by_name_is_the_same_as_by_function(name):
    a, b = models.get_model(name, rng=0).state_dict(), getattr(models, name)(rng=0).state_dict()
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", QUICK)
def test_another_seed_gives_other_weights(name):
    a, b = (models.get_model(name, rng=seed).parameters()[0].value for seed in (0, 1))
    assert a.shape == b.shape and not np.array_equal(a, b)


@pytest.mark.parametrize("name", QUICK)
def test_classes_and_channels_are_as_asked(name):
    net = models.get_model(name, num_classes=7, in_channels=2, rng=0).eval()
    _, H, W = models.input_shape(name)
    with no_grad():
        assert net.forward(np.ones((2, 2, H, W), dtype=np.float32)).shape == (2, 7)


def test_input_shapes():
    assert models.input_shape("resnet50") == (3, 224, 224)
    assert models.input_shape("alexnet") == (3, 227, 227)
    assert models.input_shape("inception_v4") == (3, 299, 299)
    assert models.input_shape("lenet5") == (1, 32, 32)
    assert models.input_shape("cifar_resnet20") == (3, 32, 32)
    assert {models.input_shape(name) for name in SMALL} == {(1, 32, 32)}


@pytest.mark.parametrize("call", [models.get_model, models.input_shape])
@pytest.mark.parametrize("name, near", [("resnet5", "resnet50"), ("alexnett", "alexnet"),
                                        ("densenet-121", "densenet121"), ("", ""), (None, ""),
                                        (["a"], "")])
def test_an_unknown_name_suggests_the_nearest(call, name, near):
    message = re.escape(f"unknown model {name!r}: did you mean '{near}")
    with pytest.raises(ValueError, match=message):
        call(name)


@pytest.mark.parametrize("options, message", [
    ({"num_classes": 0}, r"out_features must be an integer ≥ 1; got 0"),
    ({"num_classes": "ten"}, r"out_features must be an integer ≥ 1; got 'ten'"),
    ({"in_channels": -3}, r"Conv2d: in_channels must be an integer ≥ 1; got -3"),
])
def test_wrong_options_are_named(options, message):
    for name in ("resnet_small", "vgg_small", "nasnet_small", "lenet5"):
        if name == "lenet5" and "num_classes" in options:
            message = "num_classes must be an integer ≥ 1"
        with pytest.raises(ValueError, match=message):
            models.get_model(name, **options)


@pytest.mark.parametrize("width, params", [(1.0, 4_231_976), (0.75, 2_585_560), (0.5, 1_331_592),
                                           (0.25, 470_072)])
def test_mobilenets_of_all_widths_have_the_published_counts(width, params):
    net = models.mobilenet_v1(rng=0, width=width)
    assert sum(p.value.size for p in net.parameters()) == params
    macs = {1.0: 568_740_352, 0.75: 325_400_448, 0.5: 149_497_088, 0.25: 41_030_272}[width]
    assert summary(net, (3, 224, 224)).macs == macs


@pytest.mark.parametrize("width", [0, -1, 5, float("nan"), "a", True])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ValueError, match="width multiplies the channels"):
        models.mobilenet_v1(width=width)


TOO_SMALL = [
    ("zfnet", 64, "in fc6: Linear(9216→4096) expects (N, 9216); got (1, 256)"),
    ("vgg16", 16, "in features.30: MaxPool2d(kernel 2, stride 2) looks through a window of 2×2; "
                  "got images of 1×1"),
    ("vgg11_lrn", 64, "in fc6: Linear(25088→4096) expects (N, 25088); got (1, 2048)"),
    ("nin", 32, "in pool2: MaxPool2d(kernel 3, stride 2) looks through a window of 3×3; got images "
                "of 2×2"),
    ("googlenet", 64, "in pool5: AvgPool2d(kernel 7, stride 1) looks through a window of 7×7; got "
                      "images of 2×2"),
    ("inception_v4", 64, "in features.18.branch0.1.conv: Conv2d(192→192, kernel 3, stride 2, no "
                         "bias) looks through a window of 3×3; got images of 2×2"),
    ("nasnet_a_mobile", 64, "in avg_pool: AvgPool2d(kernel 7, stride 1) looks through a window of "
                            "7×7; got images of 2×2"),
    ("lenet5", 16, "in C5: Conv2d(16→120, kernel 5, stride 1) looks through a window of 5×5; got "
                   "images of 1×1"),
]


@pytest.mark.parametrize("name, side, message", TOO_SMALL, ids=[case[0] for case in TOO_SMALL])
def test_an_image_too_small_names_the_layer(name, side, message):
    net = models.get_model(name, rng=0).eval()
    C, _, _ = models.input_shape(name)
    with no_grad(), pytest.raises(ValueError) as error:
        net.forward(np.zeros((1, C, side, side), dtype=np.float32))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ["preact_resnet50", "mobilenet_v2", "efficientnet_b0", "resnet50",
                                  "inception_resnet_v2", "densenet121", "se_resnet50"])
def test_the_place_in_an_error_is_a_layer_that_exists(name):
    """Two images whose last maps have one pixel train; one image does not: which layer says so?"""
    net = models.get_model(name, num_classes=3, rng=0).train()
    side = 75 if "inception" in name else 32
    with pytest.raises(ValueError) as error:
        net.forward(np.ones((1, 3, side, side), dtype=np.float32))
    place = re.match(r"in ([\w.]+): BatchNorm2d\(\d+\) needs more than one", str(error.value))
    assert place[1] in dict(net.named_layers())
