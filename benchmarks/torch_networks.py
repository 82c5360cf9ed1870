"""The networks of versus.py in PyTorch, with our weights: torchvision's where it has them, the
two others written out.

    net = torch_networks.make("resnet18", ours)         a torch.nn.Module in training mode
"""
import contextlib
from typing import Any

import numpy as np
import torch
from torch import nn

from scratchnet.layer import Layer

TORCHVISION = {"vgg16": "vgg16", "alexnet_owt": "alexnet", "googlenet_bn": "googlenet",
               "resnet18": "resnet18", "resnet50": "resnet50", "densenet121": "densenet121",
               "mobilenet_v2": "mobilenet_v2"}


def make(name: str, ours: Layer) -> nn.Module:
    """Return `name` with a copy of the parameters and running averages of `ours`."""
    if name in TORCHVISION:
        options = {"init_weights": False, "aux_logits": True} if name == "googlenet_bn" else {}
        net = getattr(_torchvision().models, TORCHVISION[name])(weights=None, **options)
    else:
        net = {"alexnet": alexnet, "cifar_resnet20": CifarResNet20}[name]()
    state = {key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()}
    own = net.state_dict()
    keys = [key for key in own if not key.endswith("num_batches_tracked")]
    if set(keys) != set(state):         # ours in the same order, under other names
        state = dict(zip(keys, state.values(), strict=True))
    state |= {key: own[key] for key in own if key.endswith("num_batches_tracked")}
    net.load_state_dict(state)
    return net.train()


def _torchvision() -> Any:
    """torchvision, whose compiled operators may be missing: the models need none of them."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")
    import torchvision
    torchvision.declared = library      # the declaration lives as long as this object
    return torchvision


def alexnet() -> nn.Module:
    """The network of 2012: two groups, LRN (PyTorch divides its alpha by n), maxima 3/2."""
    def lrn() -> nn.Module:
        return nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

    return nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Dropout(), nn.Linear(4096, 1000))


class _Block(nn.Module):
    """Two 3×3 convolutions and a skip; where channels double, the skip takes every second pixel
    and fills up with zeros (the paper's option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu, self.stride, self.more = nn.ReLU(), stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.more:
            before = self.more // 2
            x = nn.functional.pad(x[:, :, ::self.stride, ::self.stride],
                                  (0, 0, 0, 0, before, self.more - before))
        return self.relu(y + x)


class CifarResNet20(nn.Module):
    """He et al., 2016, section 4.2: 16, 32, 64 channels, three blocks each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        blocks = [_Block(16 * 2 ** max(0, stage - (i == 0)), 16 * 2 ** stage,
                         2 if stage and i == 0 else 1) for stage in range(3) for i in range(3)]
        self.layers, self.fc = nn.Sequential(*blocks), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layers(x).mean((2, 3)))
