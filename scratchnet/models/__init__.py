"""The networks, one family a file; each opens with the table of its paper.

    models.alexnet(num_classes=1000, in_channels=3, rng=None)
    models.get_model("alexnet", …)      the same, by name
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


def get_model(name: str, num_classes: int | None = None, in_channels: int | None = None,
              rng: int | np.random.Generator | None = None) -> Layer:
    """Build a network by name; what is None is as in the function of that name.

    Raises ValueError for an unknown name, suggesting the nearest.
    """
    if name not in _MODELS:
        near = difflib.get_close_matches(str(name), _MODELS, n=1, cutoff=0)
        raise ValueError(f"unknown model {name!r}: did you mean {near[0]!r}? "
                         f"The models are {', '.join(list_models())}")
    given = {"num_classes": num_classes, "in_channels": in_channels}
    return _MODELS[name](rng=rng, **{k: v for k, v in given.items() if v is not None})
