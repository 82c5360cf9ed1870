"""The networks, one family a file; each opens with the table of its paper.

    models.resnet50(num_classes=1000, in_channels=3, rng=None)
    models.get_model("resnet50", …)     the same, by name
    models.list_models()                the names
    models.input_shape("resnet50")      the image it was made for: (3, 224, 224)

Where the paper and torchvision differ, both exist, and the paper has the plain name: `alexnet`
and `alexnet_owt`, `googlenet` and `googlenet_bn`; but `resnet50` is torchvision's, and
`resnet50_paper` the paper's. Each family has a `*_small` network for 32×32 images.
"""
import difflib
import inspect
from collections.abc import Callable

import numpy as np

from scratchnet.layer import Layer
from scratchnet.models.alexnet import alexnet, alexnet_owt, alexnet_small, paper_init
from scratchnet.models.cifar_resnet import (
    PadShortcut,
    cifar_plain20,
    cifar_plain56,
    cifar_resnet20,
    cifar_resnet32,
    cifar_resnet44,
    cifar_resnet56,
    cifar_resnet110,
)
from scratchnet.models.densenet import (
    DenseLayer,
    cifar_densenet_bc100,
    densenet121,
    densenet169,
    densenet201,
    densenet_small,
)
from scratchnet.models.efficientnet import MBConv, efficientnet_b0, efficientnet_small
from scratchnet.models.googlenet import (
    GoogLeNet,
    googlenet,
    googlenet_bn,
    googlenet_small,
    inception_module,
)
from scratchnet.models.inception_resnet import (
    InceptionResidual,
    inception_resnet_v2,
    inception_resnet_v2_small,
)
from scratchnet.models.inception_v4 import (
    inception_a,
    inception_b,
    inception_c,
    inception_v4,
    inception_v4_small,
    reduction_a,
    reduction_b,
)
from scratchnet.models.lenet import lenet5
from scratchnet.models.mobilenet_v1 import mobilenet_v1, mobilenet_v1_small
from scratchnet.models.mobilenet_v2 import InvertedResidual, mobilenet_v2, mobilenet_v2_small
from scratchnet.models.nasnet import cell as nasnet_cell
from scratchnet.models.nasnet import nasnet_a_mobile, nasnet_small
from scratchnet.models.nin import mlpconv, nin, nin_small
from scratchnet.models.preact_resnet import (
    PreActBlock,
    cifar_preact_resnet110,
    preact_resnet50,
    preact_resnet_small,
)
from scratchnet.models.resnet import (
    BasicBlock,
    Bottleneck,
    PlainBlock,
    plain18,
    plain34,
    resnet18,
    resnet34,
    resnet50,
    resnet50_paper,
    resnet101,
    resnet152,
    resnet_small,
)
from scratchnet.models.resnext import resnext50_32x4d, resnext101_32x8d, resnext_small
from scratchnet.models.senet import (
    SEBottleneck,
    SqueezeExcitation,
    se_resnet50,
    se_resnet_small,
    se_resnext50_32x4d,
)
from scratchnet.models.vgg import (
    vgg11,
    vgg11_bn,
    vgg11_lrn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
    vgg_small,
)
from scratchnet.models.zfnet import zfnet, zfnet_small

#: The side of the image that each network was made for.
_SIDES: dict[int, tuple[Callable[..., Layer], ...]] = {
    227: (alexnet,),
    299: (inception_v4, inception_resnet_v2),
    224: (alexnet_owt, zfnet, nin, vgg11, vgg13, vgg16, vgg19, vgg11_bn, vgg13_bn, vgg16_bn,
          vgg19_bn, vgg11_lrn, googlenet, googlenet_bn, resnet18, resnet34, resnet50, resnet101,
          resnet152, resnet50_paper, plain18, plain34, preact_resnet50, resnext50_32x4d,
          resnext101_32x8d, se_resnet50, se_resnext50_32x4d, densenet121, densenet169,
          densenet201, mobilenet_v1, mobilenet_v2, nasnet_a_mobile, efficientnet_b0),
    32: (lenet5, cifar_resnet20, cifar_resnet32, cifar_resnet44, cifar_resnet56, cifar_resnet110,
         cifar_plain20, cifar_plain56, cifar_preact_resnet110, cifar_densenet_bc100,
         alexnet_small, zfnet_small, nin_small, vgg_small, googlenet_small, inception_v4_small,
         inception_resnet_v2_small, resnet_small, preact_resnet_small, resnext_small,
         se_resnet_small, densenet_small, mobilenet_v1_small, mobilenet_v2_small, nasnet_small,
         efficientnet_small),
}
_MODELS = {f.__name__: (f, side) for side, functions in _SIDES.items() for f in functions}

__all__ = [
    "BasicBlock", "Bottleneck", "DenseLayer", "GoogLeNet", "InceptionResidual",
    "InvertedResidual", "MBConv", "PadShortcut", "PlainBlock", "PreActBlock", "SEBottleneck",
    "SqueezeExcitation", "get_model", "inception_a", "inception_b", "inception_c",
    "inception_module", "input_shape", "list_models", "mlpconv", "nasnet_cell", "paper_init",
    "reduction_a", "reduction_b", *_MODELS,
]


def list_models() -> list[str]:
    """Return the names that get_model knows."""
    return sorted(_MODELS)


def get_model(name: str, num_classes: int | None = None, in_channels: int | None = None,
              rng: int | np.random.Generator | None = None) -> Layer:
    """Build a network by name; what is None is as in the function of that name.

    Raises ValueError for an unknown name, suggesting the nearest.
    """
    given = {"num_classes": num_classes, "in_channels": in_channels}
    return _find(name)[0](rng=rng, **{k: v for k, v in given.items() if v is not None})


def input_shape(name: str) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the image that the network was made for.

    Raises ValueError for an unknown name, suggesting the nearest.
    """
    function, side = _find(name)
    return inspect.signature(function).parameters["in_channels"].default, side, side


def _find(name: str) -> tuple[Callable[..., Layer], int]:
    if not isinstance(name, str) or name not in _MODELS:
        near = difflib.get_close_matches(str(name), _MODELS, n=1, cutoff=0)
        raise ValueError(f"unknown model {name!r}: did you mean {near[0]!r}? "
                         f"models.list_models() lists all {len(_MODELS)}")
    return _MODELS[name]
