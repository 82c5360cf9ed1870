"""The same networks as others define them, in PyTorch: torchvision, timm, and Cadene's port.

`build(name)` returns the torch module, and a function that translates our names into its.
torchvision's wheel does not match this PyTorch's binary interface: the operators that it misses
are declared, unused, before it is imported.
"""
import contextlib
import importlib.util
import re
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

TORCHVISION = {
    "alexnet_owt": "alexnet", "googlenet_bn": "googlenet",
    **{name: name for name in (
        "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
        "resnext101_32x8d", "densenet121", "densenet169", "densenet201", "mobilenet_v2",
        "efficientnet_b0")},
}
TIMM = {"inception_v4": "inception_v4", "inception_resnet_v2": "inception_resnet_v2",
        "se_resnet50": "legacy_seresnet50", "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
        "mobilenet_v1": "mobilenetv1_100"}
CADENE = {"nasnet_a_mobile"}
NAMES = sorted([*TORCHVISION, *TIMM, *CADENE])

_library = None


def build(name: str, num_classes: int) -> tuple[Any, Callable[[str], str]]:
    """The torch module (without dropout and stochastic depth, whose draws cannot be shared), and
    the translation of names; skips where the package is not installed."""
    if name in TORCHVISION:
        models = _torchvision().models
        options = {"init_weights": False, "aux_logits": True} if name == "googlenet_bn" else {}
        net = getattr(models, TORCHVISION[name])(weights=None, num_classes=num_classes, **options)
        rename = str
    elif name in TIMM:
        _torchvision()
        net = pytest.importorskip("timm").create_model(TIMM[name], num_classes=num_classes)
        rename = {"inception_v4": _inception_v4, "mobilenet_v1": _mobilenet_v1}.get(name, str)
    else:
        net, rename = _nasnet(num_classes), str
    for module in list(net.modules()):
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
        if hasattr(module, "drop_rate"):
            module.drop_rate = 0.0
        if name == "mobilenet_v1" and hasattr(module, "act"):
            module.act = torch.nn.ReLU()        # timm, like TensorFlow, has ReLU6; the paper ReLU
    return net, rename


def _torchvision() -> Any:
    global _library
    if _library is None and importlib.util.find_spec("torchvision"):
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            with contextlib.suppress(RuntimeError):         # a wheel that fits has its own
                _library.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")
    return pytest.importorskip("torchvision")


def _nasnet(num_classes: int) -> Any:
    """Load the one file of pretrainedmodels: the package itself imports half of the world."""
    spec = importlib.util.find_spec("pretrainedmodels")
    if spec is None:
        pytest.skip("pretrainedmodels is not installed")
    path = f"{spec.submodule_search_locations[0]}/models/nasnet_mobile.py"
    file = importlib.util.spec_from_file_location("nasnet_mobile", path)
    module = importlib.util.module_from_spec(file)
    file.loader.exec_module(module)
    return module.NASNetAMobile(num_classes=num_classes)


def _inception_v4(name: str) -> str:
    """Inception-C's forks are nested in ours: branch1.1.a is timm's branch1_1a."""
    name = re.sub(r"\.branch1\.1\.([ab])\.", r".branch1_1\1.", name)
    name = re.sub(r"\.branch2\.3\.([ab])\.", r".branch2_3\1.", name)
    if re.match(r"features\.(19|20|21)\.branch[12]\.", name):
        name = re.sub(r"\.branch([12])\.(\d)\.", r".branch\1_\2.", name)
    return name


def _mobilenet_v1(name: str) -> str:
    """dw3 is timm's blocks.STAGE.BLOCK.conv_dw."""
    head = {"conv0": "conv_stem", "bn0": "bn1", "fc": "classifier"}
    layer, _, rest = name.partition(".")
    if layer in head:
        return f"{head[layer]}.{rest}"
    kind, number = re.fullmatch(r"(dwbn|pwbn|dw|pw)(\d+)", layer).groups()
    stage, i = [(s, b) for s, count in enumerate((1, 2, 2, 6, 2)) for b in range(count)][
        int(number) - 1]
    part = {"dw": "conv_dw", "dwbn": "bn1", "pw": "conv_pw", "pwbn": "bn2"}[kind]
    return f"blocks.{stage}.{i}.{part}.{rest}"
