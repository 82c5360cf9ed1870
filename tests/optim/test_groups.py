"""groups: rates by name, and what is spared from weight decay."""
import pytest

from scratchnet import models, optim
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, Sequential


def network():
    return Sequential(
        stem=Conv2d(1, 2, 3, rng=0),
        features=Sequential(Conv2d(2, 2, 3, rng=0), BatchNorm2d(2), Conv2d(2, 2, 3, rng=0)),
        features2=Conv2d(2, 2, 3, rng=0),
        head=Linear(2, 3, rng=0))


def scales(net, groups):
    of = {id(p): group[1:] for group in groups for p in group.parameters}
    assert sum(len(group.parameters) for group in groups) == len(of)
    return {name: of[id(p)] for name, p in net.named_parameters()}


def test_longest_name_wins_and_names_end_at_a_dot():
    net = network()
    table = scales(net, optim.groups(net, {"features": 0.1, "features.2": 0.5,
                                           "head.bias": 2}, spare=False))
    assert {name: lr for name, (lr, decay) in table.items() if lr != 1} == {
        "features.0.weight": 0.1, "features.0.bias": 0.1, "features.1.weight": 0.1,
        "features.1.bias": 0.1, "features.2.weight": 0.5, "features.2.bias": 0.5, "head.bias": 2}
    assert {decay for lr, decay in table.values()} == {1}


def test_spares_biases_and_batch_norm():
    net = network()
    table = scales(net, optim.groups(net))
    assert {name for name, (lr, decay) in table.items() if decay == 1} == {
        "stem.weight", "features.0.weight", "features.2.weight", "features2.weight", "head.weight"}
    assert {decay for lr, decay in table.values()} == {0, 1}
    assert {lr for lr, decay in table.values()} == {1}


def test_without_scales_and_sparing_nothing_it_is_one_group():
    net = models.alexnet_small(rng=0)
    group, = optim.groups(net, spare=False)
    assert group == optim.Group(net.parameters(), 1.0, 1.0)


@pytest.mark.parametrize("name, nearest", [
    ("feature", "features"), ("features.3", "features"), ("heads", "head"),
    ("stem.wieght", "stem.weight")])
def test_unknown_names_are_told_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"no parameters under '{name}'; the nearest .*{nearest}"):
        optim.groups(network(), {name: 0.1})


def test_bad_input():
    with pytest.raises(ValueError, match="groups expects a network; got list"):
        optim.groups(network().parameters())
    with pytest.raises(ValueError, match="lr_scale=-0.1"):
        optim.SGD(optim.groups(network(), {"head": -0.1}), lr=0.1)
