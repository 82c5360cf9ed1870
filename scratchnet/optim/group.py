"""Groups — which parameters learn at which rate, and which of them decay.

    optimizer = optim.SGD(optim.groups(net, {"features": 0.1}), lr=0.01, weight_decay=0.0005)

Two customs need more than one rate. Fine-tuning moves the layers that were learned elsewhere
more slowly than the new head. And weight decay is meant for weights: a bias shifts and a batch
norm's γ and β scale and shift, there are few of them, and pulling them to zero is no help against
overfitting (Goyal et al., "Accurate, Large Minibatch SGD", 2017, spare γ and β; He et al., "Bag
of Tricks", 2019, the biases too).
"""
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from scratchnet.layer import Layer, Parameter


class Group(NamedTuple):
    """Parameters whose learning rate is lr · lr_scale, weight decay weight_decay · decay_scale."""

    parameters: list[Parameter]
    lr_scale: float = 1.0
    decay_scale: float = 1.0


def groups(model: Layer, lr_scale: Mapping[str, float] | None = None,
           spare: bool = True) -> list[Group]:
    """Return the parameters of `model` in groups, for an optimizer.

    lr_scale: {name: scale} for the layers and parameters under these dotted names, such as
    "features" or "layer4.0"; of two that fit, the longer holds; what is not named has 1.
    spare: no weight decay for parameters of fewer than two dimensions: biases, batch norm's γ
    and β.
    Raises ValueError for a name under which there is no parameter.
    """
    if not isinstance(model, Layer):
        raise ValueError(f"groups expects a network; got {type(model).__name__}")
    lr_scale = {} if lr_scale is None else lr_scale
    known = {prefix for name, _ in model.named_parameters() for prefix in _prefixes(name)}
    for name in lr_scale:
        if name not in known:
            near = get_close_matches(str(name), known, n=3, cutoff=0.4) or sorted(known)[:3]
            raise ValueError(f"groups: {model} has no parameters under {name!r}; the nearest "
                             f"names are {', '.join(near)}")
    table: dict[tuple[float, float], list[Parameter]] = {}
    for name, p in model.named_parameters():
        named = [prefix for prefix in _prefixes(name) if prefix in lr_scale]
        scale = lr_scale[named[-1]] if named else 1.0
        decay = 0.0 if spare and len(p.value.shape) < 2 else 1.0
        table.setdefault((float(scale), decay), []).append(p)
    return [Group(parameters, *scales) for scales, parameters in table.items()]


def in_groups(who: str, parameters: Iterable[Parameter] | Iterable[Group]) -> list[Group]:
    """Return `parameters` as groups; raise ValueError, in the name of `who`, for anything else."""
    if isinstance(parameters, Layer):
        raise ValueError(f"{who} expects parameters, not a network: {who}(net.parameters(), …)")
    if isinstance(parameters, Parameter | Group):
        raise ValueError(f"{who} expects a list; got one {type(parameters).__name__}: "
                         f"{who}([…], …)")
    given = list(parameters)
    if not any(isinstance(item, Group) for item in given):
        given = [Group(given)]
    for group in given:
        if not isinstance(group, Group):
            raise ValueError(f"{who} expects Parameters or Groups, not both; got "
                             f"{type(group).__name__} among groups")
        if not (0 <= group.lr_scale < float("inf") and 0 <= group.decay_scale < float("inf")):
            raise ValueError(f"{who} expects groups with lr_scale ≥ 0 and decay_scale ≥ 0; got "
                             f"lr_scale={group.lr_scale}, decay_scale={group.decay_scale}")
    given = [group._replace(parameters=list(group.parameters)) for group in given]
    every = [p for group in given for p in group.parameters]
    if not every:
        raise ValueError(f"{who} got no parameters: this network has nothing to learn")
    for p in every:
        if not isinstance(p, Parameter):
            raise ValueError(f"{who} expects Parameters; got {type(p).__name__}: "
                             f"pass net.parameters()")
    if len({id(p) for p in every}) < len(every):
        raise ValueError(f"{who} got a parameter twice; it would take two steps at once")
    return given


def _prefixes(name: str) -> list[str]:
    """"a.b.c" → "a", "a.b", "a.b.c"."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
