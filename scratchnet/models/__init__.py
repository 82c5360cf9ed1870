"""The networks, one family a file; each opens with the table of its paper.

    models.alexnet(num_classes=1000, in_channels=3, rng=None)
    models.get_model("alexnet", …)      the same by name
    models.list_models()                the names
"""
import difflib
from collections.abc import Callable

import numpy as np

from scratchnet.layer import Layer
from scratchnet.models.alexnet import alexnet, alexnet_small, paper_init

__all__ = ["alexnet", "alexnet_small", "get_model", "list_models", "paper_init"]

_MODELS: dict[str, Callable[..., Layer]] = {f.__name__: f for f in (alexnet, alexnet_small)}


def list_models() -> list[str]:
    """Return the names that get_model knows."""
    return sorted(_MODELS)


def get_model(name: str, num_classes: int = 1000, in_channels: int = 3,
              rng: int | np.random.Generator | None = None) -> Layer:
    """Build a network by name. Raises ValueError for an unknown one, naming the nearest."""
    if name not in _MODELS:
        near = difflib.get_close_matches(name, _MODELS, n=1, cutoff=0)
        raise ValueError(f"unknown model {name!r}: did you mean {near[0]!r}? "
                         f"The models are {', '.join(list_models())}")
    return _MODELS[name](num_classes=num_classes, in_channels=in_channels, rng=rng)
