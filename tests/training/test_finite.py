"""Planted infinities, named where they begin; and all left as it was, bit by bit."""
import copy

import numpy as np
import pytest
import strict_cupy

from scratchnet import models
from scratchnet.backend import to_device
from scratchnet.layer import Layer, Parameter, no_grad
from scratchnet.layers import (
    Add,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Graph,
    Linear,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    StochasticDepth,
    Tanh,
)
from scratchnet.training import first_not_finite
from scratchnet.training.finite import generators


class Plant(Layer):
    """y = x, but `value` at one place of what forward or backward returns."""

    def __init__(self, way, value=np.inf, when=lambda x: True):
        self.way, self.value, self.when, self.calls = way, value, when, 0

    def forward(self, x):
        self.calls += 1
        y = self._spoil(x, "forward")
        self.remember(y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        return self._spoil(dy, "backward")

    def _spoil(self, x, way):
        x = x.copy()
        if way == self.way and self.when(x):
            x.reshape(-1)[0] = self.value
        return x


class Times(Layer):
    """y = factor · x, and dx = back · dy, which need not be the same."""

    def __init__(self, factor, back=1.0):
        self.factor, self.back = np.float32(factor), np.float32(back)

    def forward(self, x):
        self.remember(y=x)
        return x * self.factor

    def backward(self, dy):
        self.recall(dy)
        return dy * self.back


class Mean(Layer):
    """(N, C, H, W) → (N, C)."""

    def forward(self, x):
        self.remember(x.shape)
        return x.mean(axis=(2, 3))

    def backward(self, dy):
        (_, _, H, W), = self.recall()
        return np.repeat(np.repeat(dy[:, :, None, None] / (H * W), H, 2), W, 3).astype(dy.dtype)


class Counts(Layer):
    """Changes all it has in forward: a number, a buffer in place, a buffer anew, a new name."""

    def __init__(self):
        self.count, self.inside, self.anew = 0, np.zeros(2), np.zeros(2)
        self.fixed = np.broadcast_to(np.ones(1), (3,))      # cannot be written, and need not be
        self.scale = Parameter(np.ones(1, np.float32))

    def forward(self, x):
        self.count += 1
        self.inside += 1
        self.anew = self.anew + 1
        self.extra = "new"
        self.remember(y=x)
        return x

    def backward(self, dy):
        self.recall(dy)
        self.count += 1
        self.scale.grad += 1
        return dy


X = np.random.default_rng(0).standard_normal((4, 3), dtype=np.float32)
LABELS = np.array([0, 1, 1, 0])
ALL_FINITE = "In a second run of this batch the loss and every output and gradient of a layer were"


def find(net, x=X, labels=LABELS, **options):
    return first_not_finite(net, SoftmaxCrossEntropy(), x, labels, **options)


def mlp(*middle):
    return Sequential(fc1=Linear(3, 5, rng=0), relu=ReLU(), **dict(middle), fc2=Linear(5, 2, rng=1))


def everything(net):
    """All that a layer has, to the bit: parameters, buffers, modes, counters and generators."""
    state = {name: array.tobytes() for name, array in net.state_dict().items()}
    for name, layer in net.named_layers():
        state |= {f"{name}: {k}": (repr(v) if isinstance(v, bool | int | float | str) else id(v))
                  for k, v in vars(layer).items() if k != "_memory"}
        state[f"{name}: order"] = [k for k in vars(layer) if k != "_memory"]
    state |= {name: repr(g.bit_generator.state) for name, g in generators(net).items()}
    return state


# ── where it began ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value, kind", [(np.inf, "inf"), (-np.inf, "inf"), (np.nan, "nan")])
def test_a_forward_in_the_middle(value, kind):
    net = mlp(("plant", Plant("forward", value)))
    largest = np.abs(net.relu(net.fc1(X))).max()
    where = find(net)
    assert where.startswith(f"forward: plant, Plant(), is the first layer whose output is not "
                            f"finite: 1 {kind} of 20 numbers")
    assert f"what went in was finite, at most {largest:.3g}; float32 ends at 3.4e+38" in where


def test_two_kinds_are_counted():
    class Both(Plant):
        def _spoil(self, x, way):
            x = super()._spoil(x, way)
            x[1, :2] = np.nan
            return x

    assert "2 nan and 1 inf of 20 numbers" in find(mlp(("plant", Both("forward"))))


def test_a_backward_only():
    where = find(mlp(("plant", Plant("backward"))))
    assert where.startswith("backward: plant, Plant(), is the first layer whose dx is not finite: "
                            "1 inf of 20 numbers (what went in was finite, at most ")


def test_an_overflow_by_too_large_weights():
    """1e30 · 1e10 has no float32; the layer before it still gives 1e10."""
    net = mlp()
    net.fc1.weight.value[...], net.fc2.weight.value[...] = 1e10, 1e30
    where = find(net, x=np.ones((4, 3), np.float32))
    assert where == ("forward: fc2, Linear(5→2), is the first layer whose output is not finite: "
                     "8 inf of 8 numbers (what went in was finite, at most 3e+10; its weight at "
                     "most 1e+30; its bias at most 0; float32 ends at 3.4e+38)")


def test_the_gradient_of_a_parameter_where_dx_is_finite():
    """dw = dyᵀ·x: 1e20 · 1e20. The product in forward is small: the weights are."""
    net = Sequential(fc=Linear(3, 3, rng=0), steep=Times(1, back=1e20))
    net.fc.weight.value *= 1e-25
    where = find(net, x=1e20 * X)
    assert where.startswith("backward: fc, Linear(3→3), is the first layer whose gradient of "
                            "weight is not finite: ")


def test_a_parameter_that_is_not_finite_before():
    net = mlp()
    net.fc2.weight.value[0, 1:3] = np.nan
    assert find(net) == ("The parameter fc2.weight is not finite before the batch: 2 nan of 10 "
                         "numbers. An earlier update, or the file it was loaded from, made it so")


def test_images_that_are_not_finite():
    x = X.copy()
    x[2, 0] = np.inf
    assert find(mlp(), x=x) == "The images themselves are not finite: 1 inf of 12 numbers"


def test_running_averages_matter_in_evaluation_only():
    net = Sequential(conv=Conv2d(1, 2, 1, rng=0), bn=BatchNorm2d(2), mean=Mean())
    net.bn.running_var[1] = np.inf
    x = np.random.default_rng(0).random((4, 1, 3, 3), dtype=np.float32)
    assert find(net.train(), x=x).startswith(ALL_FINITE)
    assert find(net.eval(), x=x) == (
        "running_var of bn, BatchNorm2d(2), which it computes with in evaluation mode, is not "
        "finite before the batch: 1 inf of 2 numbers")


def test_the_loss_itself():
    """Logits ±3e38 are finite; their difference is not."""
    net = Sequential(fc=Linear(1, 2))
    net.fc.weight.value[...] = np.float32([[3e38], [-3e38]])
    where = find(net, x=np.ones((4, 1), np.float32), labels=np.ones(4, int))
    assert where.startswith("forward: the loss, SoftmaxCrossEntropy(), is the first layer whose "
                            "output is not finite: 1 inf of 1 number (what went in was finite, "
                            "at most 3e+38")


def test_a_loss_that_is_a_plain_number():
    class Loss(Layer):
        def forward(self, logits, labels):
            self.remember(y=logits)
            return float("nan")

        def backward(self, dloss=1.0):
            raise AssertionError("not reached")

    assert first_not_finite(mlp(), Loss(), X, LABELS).startswith("forward: the loss, Loss(), is")


def test_a_network_that_is_one_layer():
    net = Linear(3, 2)
    net.weight.value[...] = 3e38
    assert find(net, x=np.full((4, 3), 10, np.float32)).startswith(
        "forward: the network, Linear(3→2), is the first layer")


# ── in containers ────────────────────────────────────────────────────────────────────


def test_an_addition_that_overflows_belongs_to_the_container():
    """Both summands are 2e38."""
    inner = Residual(fc=Linear(2, 2, bias=False))
    inner.fc.weight.value[...] = np.eye(2, dtype=np.float32)
    net = Sequential(first=Tanh(), scale=Times(2e38), block=inner, tanh=Tanh())
    where = find(net, x=np.full((4, 2), 9, np.float32))
    assert where.startswith("forward: block, Residual(fc, downsample), is the first layer whose "
                            "output is not finite: 8 inf of 8 numbers")


def test_what_a_container_computes_between_its_layers():
    class Net(Layer):
        def __init__(self):
            self.fc, self.tanh = Linear(3, 2, rng=0), Tanh()

        def forward(self, x):
            return self.tanh.forward(x=1e30 * (1e30 * self.fc(x)))      # infinite, then ±1 again

        def backward(self, dy):
            return self.fc.backward(self.tanh.backward(dy))

    where = find(Sequential(relu=ReLU(), mine=Net()))
    assert where.startswith("forward: mine, Net(fc, tanh), is the first that computes what is not "
                            "finite: its layers returned finite numbers, but what it hands to "
                            "mine.tanh is not: 8 inf of 8 numbers (what went in was finite, at ")


def test_gradients_that_overflow_where_they_add():
    """Each branch brings 2e38 · dy, dy = ±½·½ (two classes, two images): the Graph adds them."""
    graph = Graph(("left", Times(0, 1e38), "x"), ("right", Times(0, 1e38), "x"),
                  ("sum", Add(), "left", "right"))
    net = Sequential(graph=graph, times=Times(1, 8))
    where = find(net, x=np.ones((2, 2), np.float32), labels=np.array([0, 1]))
    assert where.startswith("backward: graph, Graph(left, right, sum), is the first layer whose dx "
                            "is not finite: 4 inf of 4 numbers (what went in was finite, at most 2")


def test_a_graph_and_a_list_of_layers_have_names_inside():
    graph = Graph(("a", Sequential(Linear(3, 2, rng=0), Plant("forward")), "x"),
                  ("b", Linear(3, 2, rng=0), "x"), ("sum", Add(), "a", "b"))
    assert find(graph).startswith("forward: a.1, Plant(), is")


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("head", ["aux1", "aux2"])
def test_an_auxiliary_head(way, head):
    net = models.googlenet_small(rng=0).train()
    getattr(net, head).relu = Plant(way)
    x = np.random.default_rng(0).random((4, 1, 32, 32), dtype=np.float32)
    assert find(net, x=x).startswith(f"{way}: {head}.relu, Plant(), is the first layer whose")
    assert find(net.eval(), x=x).startswith(ALL_FINITE)      # it does not run in evaluation


def test_the_weight_of_the_auxiliary_losses():
    """Times 1e38 their gradient overflows in the head; times 0.3 it does not."""
    net = models.googlenet_small(rng=0).train()
    net.aux1.fc2.weight.value *= 100
    x = np.random.default_rng(0).random((4, 1, 32, 32), dtype=np.float32)
    assert find(net, x=x).startswith(ALL_FINITE)
    assert find(net, x=x, auxiliary=3e38).startswith("backward: aux")


@pytest.mark.parametrize("name", ["alexnet_small", "densenet_small", "efficientnet_small",
                                  "inception_resnet_v2_small", "nasnet_small", "se_resnet_small"])
def test_the_first_of_two_in_a_network_of_many(name):
    """Planted in the last convolution, and then in the first as well."""
    net = models.get_model(name, rng=0).train()
    x = np.random.default_rng(0).random((4, 1, 32, 32), dtype=np.float32)
    assert find(net, x=x).startswith(ALL_FINITE)
    convs = [(name, layer) for name, layer in net.named_layers() if type(layer) is Conv2d]
    for place, layer in (convs[-1], convs[0]):
        spoil(layer)
        where = find(net, x=x)
        assert where.startswith(f"forward: {place}, {layer}, is the first layer whose output")


def spoil(layer):
    """Make an object of it whose forward returns an infinity."""
    def forward(self, x):
        y = type(self).__base__.forward(self, x)
        y.reshape(-1)[-1] = np.inf
        return y
    layer.__class__ = type("Spoilt", (type(layer),), {"forward": forward})


def test_no_layer_can_stop_the_search():
    class Stubborn(Sequential):
        def forward(self, x):
            try:
                return super().forward(x)
            except Exception:
                return x

    assert find(Stubborn(Plant("forward"))).startswith("forward: 0, Plant()")


# ── chance ───────────────────────────────────────────────────────────────────────────


def test_the_second_run_draws_the_masks_of_the_first():
    """Infinite only if the mask is the one that the failing run drew: with another it is not.

    Dropout's mask and stochastic depth's come from one generator, as in models; `before` is its
    state before the failing run, which has moved it on.
    """
    rng = np.random.default_rng(7)
    net = Sequential(drop=Dropout(0.5, rng=rng), depth=StochasticDepth(0.5, rng=rng),
                     plant=Plant("forward"), fc=Linear(3, 2, rng=0))
    before = {name: g.bit_generator.state for name, g in generators(net).items()}
    assert list(before) == ["drop.rng"]
    net.plant.when = lambda x: False
    with no_grad():
        net.forward(X)
    failing = net.depth.forward(net.drop.forward(X))        # another draw: not the first's
    rng.bit_generator.state = before["drop.rng"]
    first = net.depth.forward(net.drop.forward(X))          # what the failing run saw
    assert not np.array_equal(first, failing)
    net.plant.when = lambda x: np.array_equal(x, first)
    assert find(net, before={**before, "the run": {}}).startswith("forward: plant, Plant(), is")
    assert find(net).startswith(ALL_FINITE)


def test_generators_are_found_once_wherever_they_are_held():
    class Holds(Layer):
        def __init__(self, shared):
            self._own, self.many = np.random.default_rng(0), [shared, np.random.default_rng(1)]
            self.by_name = {"a": np.random.default_rng(2)}

    rng = np.random.default_rng(3)
    net = Sequential(drop=Dropout(0.5, rng=rng), holds=Holds(rng))
    assert list(generators(net)) == ["drop.rng", "holds._own", "holds.many.1", "holds.by_name.a"]
    assert generators(net)["drop.rng"] is rng
    assert list(generators(Dropout(0.5, rng=rng))) == ["rng"]
    assert generators(Linear(2, 2)) == {}


def test_a_generator_without_a_state():
    with pytest.raises(ValueError, match="the state of every generator.*0.rng, 1.rng is missing"):
        find(Sequential(Dropout(rng=0), Dropout(rng=1), Linear(3, 2)), before={})


# ── all as it was ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["forward", "backward", "nowhere"])
@pytest.mark.parametrize("training", [True, False])
def test_all_is_as_it_was_to_the_bit(way, training):
    net = Sequential(conv=Conv2d(1, 3, 3, padding=1, rng=0), bn=BatchNorm2d(3), counts=Counts(),
                     drop=Dropout(0.5, rng=5), depth=StochasticDepth(0.2, rng=6),
                     plant=Plant(way), mean=Mean()).train(training)
    x = np.random.default_rng(0).random((4, 1, 5, 5), dtype=np.float32)
    before = {name: g.bit_generator.state for name, g in generators(net).items()}
    net.forward(x)
    was, twin, x_was = everything(net), copy.deepcopy(net), x.tobytes()
    where = find(net, x=x, before=before)
    assert where.startswith(ALL_FINITE if way == "nowhere" else f"{way}: plant")
    assert everything(net) == was and x.tobytes() == x_was
    assert all(not p.grad.any() for p in net.parameters())
    assert not any("_memory" in vars(layer) for _, layer in net.named_layers())
    np.testing.assert_array_equal(net.forward(x), twin.forward(x))      # and goes on as before


def test_also_after_an_error():
    net = mlp(("drop", Dropout(0.5, rng=0)))
    net.train()
    was = everything(net)
    with pytest.raises(ValueError, match="integers from 0 to 1"):
        find(net, labels=LABELS + 5)
    assert everything(net) == was


def test_it_finds_under_no_grad_too():
    with no_grad():
        assert find(mlp(("plant", Plant("backward")))).startswith("backward: plant")


def test_on_the_gpu_as_on_the_cpu():
    found = {}
    for device in ("cpu", "gpu"):
        with strict_cupy.installed():
            net = mlp(("drop", Dropout(0.5, rng=0)))
            net.fc1.weight.value[...], net.fc2.weight.value[...] = 1e10, 1e30
            net.to(device)
            found[device] = find(net, x=to_device(np.ones((4, 3), np.float32), device),
                                 labels=to_device(LABELS, device))
    assert found["gpu"] == found["cpu"] and found["cpu"].startswith("forward: fc2, Linear(5→2)")
