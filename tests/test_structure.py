"""The graph read off a forward: what is in it, what it computes, what cannot be watched."""
import numpy as np
import pytest

from scratchnet import Layer, Parameter, models, structure, summary
from scratchnet.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    ReLU,
    Sequential,
)
from scratchnet.structure import Batch, Ref

DEEP = ("cifar_densenet_bc100", "cifar_plain56", "cifar_preact_resnet110", "cifar_resnet32",
        "cifar_resnet44", "cifar_resnet56", "cifar_resnet110")      # shallower siblings are tested
LARGE = [name for name in models.list_models() if models.input_shape(name)[1] > 32 or name in DEEP]
SMALL = [name for name in models.list_models() if name not in LARGE]


def randomized(net, rng=0):
    """The network with random biases and running averages, for none may go unnoticed."""
    rng = np.random.default_rng(rng)
    for _, layer in net.named_layers():
        if isinstance(layer, BatchNorm2d):
            layer.running_mean = rng.normal(0, 0.1, layer.num_features).astype("f4")
            layer.running_var = rng.uniform(0.5, 2, layer.num_features).astype("f4")
        if getattr(layer, "bias", None) is not None:
            layer.bias.value += rng.normal(0, 0.1, layer.bias.value.shape).astype("f4")
    return net


def images(*shape, N=2, rng=5):
    return np.random.default_rng(rng).standard_normal((N, *shape)).astype("f4")


def assert_computes_the_same(net, graph, *xs):
    y = net.eval().forward(*xs)         # (in no_grad norms go into the filters before them)
    np.testing.assert_array_equal(graph.run(*xs), y)


class Container(Layer):
    """A container whose forward is the function given: f(layer, x)."""

    def __init__(self, f, **layers):
        self._f = f
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *xs):
        return self._f(self, *xs)


def traced(f, shape=(3, 4, 5), **layers):
    """A container's graph, tested on a batch of another size."""
    net = Container(f, **(layers or {"conv": Conv2d(3, 3, 3, padding=1, rng=0)}))
    graph = structure.structure(net, shape)
    assert_computes_the_same(net, graph, images(*shape, N=3))
    return graph


# ── what is in it ────────────────────────────────────────────────────────────────────


def test_worked_example():
    """y = conv(x) + x: the input, the convolution, the addition; 3·3·3·3 + 3 = 84 parameters,
    and 4·5·3 · 3·3·3 = 1,620 MACs, all in the convolution."""
    graph = traced(lambda net, x: net.conv(x) + x)
    assert [(n.id, n.name, n.op, n.inputs) for n in graph.nodes] == [
        (0, "input", "input", ()), (1, "conv", "Conv2d", (0,)), (2, "add", "add", (1, 0))]
    assert [(n.shape, n.params, n.macs) for n in graph.nodes] == [
        ((3, 4, 5), 0, 0), ((3, 4, 5), 84, 1620), ((3, 4, 5), 0, 0)]
    assert graph.edges == [(0, 1), (1, 2), (0, 2)] and graph.output == Ref(2)
    assert (graph.params, graph.macs, graph.params_unused) == (84, 1620, 0)


def test_blocks_are_a_tree_with_what_each_returned():
    graph = structure.structure(models.resnet_small(rng=0), (1, 32, 32))
    names = [block.name for block in graph.blocks]
    assert names[:3] == ["", "layer1", "layer1.0"]
    block = graph.blocks[names.index("layer1.0")]
    assert [graph.blocks[i].name for i in graph.path(block.id)] == ["", "layer1", "layer1.0"]
    assert block.shape == (64, 16, 16) and graph.nodes[block.outputs[0]].name == "layer1.0.relu"
    inside = [n.name for n in graph.nodes if n.block == block.id]
    assert inside[-2:] == ["layer1.0.add", "layer1.0.relu"]


@pytest.mark.parametrize("name", [
    *SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_published_networks(name):
    """The nodes add up to the summary, and compute the logits bit for bit."""
    net, shape = randomized(models.get_model(name, rng=0)), models.input_shape(name)
    graph, table = structure.structure(net, shape), summary(net, shape)
    assert graph.params == table.params and graph.params_unused == table.params_unused
    assert sum(n.params for n in graph.nodes) == table.params - table.params_unused
    assert sum(n.macs for n in graph.nodes) == graph.macs == table.macs
    assert not any(n.opaque for n in graph.nodes)
    assert_computes_the_same(net, graph, images(*shape, N=2 if shape[1] == 32 else 1))


def test_auxiliary_heads_run_in_training_only():
    net = models.googlenet_small(rng=0)
    assert not any(n.name.startswith("aux") for n in structure.structure(net, (1, 32, 32)).nodes)
    graph = structure.structure(net, (1, 32, 32), training=True)
    assert len(graph.outputs) == 3 and graph.params_unused == 0
    assert {n.name.split(".")[0] for n in graph.nodes} >= {"aux1", "aux2"}


def test_a_layer_used_twice_has_two_nodes_and_its_parameters_once():
    graph = traced(lambda net, x: net.conv(net.conv(x)))
    assert [(n.name, n.params, n.macs) for n in graph.nodes[1:]] == [
        ("conv", 84, 1620), ("conv", 0, 1620)]
    assert graph.params == 84


def test_several_inputs():
    net = Container(lambda net, a, b: net.conv(a) * b, conv=Conv2d(3, 2, 1, rng=0))
    graph = structure.structure(net, [(3, 4, 4), (2, 4, 4)])
    assert [graph.nodes[i].name for i in graph.inputs] == ["input1", "input2"]
    assert_computes_the_same(net, graph, images(3, 4, 4), images(2, 4, 4))
    with pytest.raises(ValueError, match="run expects 2 arrays"):
        graph.run(images(3, 4, 4))


def test_a_single_layer_is_a_graph_of_one():
    conv = Conv2d(3, 2, 3, rng=0)
    graph = structure.structure(conv, (3, 5, 5))
    assert [n.op for n in graph.nodes] == ["input", "Conv2d"] and graph.blocks[0].outputs == (1,)
    assert_computes_the_same(conv, graph, images(3, 5, 5))


def test_float64_and_views_of_the_input():
    """Identity, Flatten and Dropout return their input's memory: each is a node all the same."""
    net = Sequential(Identity(), Dropout(0.5), Flatten(), Linear(12, 3, rng=0)).astype("float64")
    graph = structure.structure(net, (3, 2, 2))
    assert [n.op for n in graph.nodes] == ["input", "Identity", "Dropout", "Flatten", "Linear"]
    assert graph.dtype == np.float64
    assert_computes_the_same(net, graph, images(3, 2, 2).astype("float64"))


# ── what containers do between layers ────────────────────────────────────────────────


def shifted(net, x):
    y = net.conv(x)
    y += 2 * x
    y[:, 1:] = x[:, :2]
    return y


@pytest.mark.parametrize("f,ops", [
    (lambda net, x: net.conv(x) / len(x), ["divide"]),
    (lambda net, x: 0.5 * net.conv(x) - x, ["multiply", "subtract"]),
    (lambda net, x: np.concatenate([x, net.conv(x)], axis=1), ["concatenate"]),
    (lambda net, x: net.conv(x)[:, 1:, ::2], ["slice"]),
    (lambda net, x: net.conv(x).mean(axis=(2, 3)), ["mean"]),
    (lambda net, x: np.maximum(net.conv(x), 0).T.T, ["maximum", "transpose", "transpose"]),
    (lambda net, x: np.pad(net.conv(x), ((0, 0), (0, 0), (1, 1), (1, 1))), ["pad"]),
    (lambda net, x: net.conv(x).reshape(len(x), -1), ["reshape"]),
    (lambda net, x: np.add.reduce(net.conv(x), axis=1), ["add_reduce"]),
    (shifted, ["multiply", "add", "slice", "write"]),
])
def test_operations_are_nodes(f, ops):
    graph = traced(f)
    assert [n.op for n in graph.nodes[2:]] == ops
    assert not any(n.opaque for n in graph.nodes)


def test_a_number_that_grew_with_the_batch():
    graph = traced(lambda net, x: net.conv(x).reshape(2 * len(x), 30))
    assert graph.nodes[-1].args[1:] == (Batch(2), 30)


def test_parameters_of_a_container_are_nodes():
    net = Container(lambda net, x: net.conv(x) * net.gamma.value, conv=Conv2d(3, 3, 1, rng=0))
    net.gamma = Parameter(images(3, 1, 1, N=1)[0])
    graph = structure.structure(net, (3, 4, 4))
    assert [(n.name, n.op, n.params) for n in graph.nodes[:2]] == [
        ("input", "input", 0), ("gamma", "parameter", 3)]
    assert sum(n.params for n in graph.nodes) == graph.params == 15
    assert_computes_the_same(net, graph, images(3, 4, 4))


# ── what cannot be watched ───────────────────────────────────────────────────────────


def filled(net, x):
    y = np.zeros((len(x), 6, *x.shape[2:]), x.dtype)
    y[:, :3] = x
    y[:, 3:] = net.conv(x)
    return y


def seen_through_another(net, x):
    y = net.conv(x)
    part = y[:, :1]
    part += x[:, :1]                # y changes, too
    return y


@pytest.mark.parametrize("f,why", [
    (filled, "an array that no layer computed"),
    (seen_through_another, "others hold too"),
    (lambda net, x: net.conv(x) if x.sum() > 0 else x, "depends on the numbers"),
    (lambda net, x: net.conv(x) * float(x.max()), "depends on the numbers"),
    (lambda net, x: net.conv(x) * np.asarray(x), "computed from the image"),
    (lambda net, x: np.concatenate([net.conv(x[n:n + 1]) for n in range(len(x))]),
     "depends on the image"),
    (lambda net, x: net.conv(x) * (1 / len(x)), "computed from the image"),
])
def test_a_container_that_cannot_be_watched_is_one_opaque_node(f, why):
    """… and its neighbours are not: parameters and MACs are those of its layers."""
    odd = Container(f, conv=Conv2d(3, 3, 1, rng=0))
    net = Sequential(first=Conv2d(3, 3, 1, rng=1), odd=odd, last=ReLU())
    graph = structure.structure(net, (3, 4, 4))
    assert [(n.name, n.opaque) for n in graph.nodes] == [
        ("input", False), ("first", False), ("odd", True), ("last", False)]
    node = graph.nodes[2]
    assert node.params == 12
    assert why in node.why
    assert_computes_the_same(net, graph, images(3, 4, 4, N=1))


def test_a_model_that_cannot_be_watched_is_one_node():
    net = Container(filled, conv=Conv2d(3, 3, 1, rng=0))
    graph = structure.structure(net, (3, 4, 4))
    assert [(n.op, n.opaque) for n in graph.nodes] == [("input", False), ("Container", True)]
    assert_computes_the_same(net, graph, images(3, 4, 4))


def test_an_error_that_is_caught_does_not_hide_it():
    def careless(net, x):
        try:
            return x * float(x.sum())
        except Exception:
            return x
    graph = structure.structure(Sequential(Container(careless, unused=ReLU())), (3, 4, 4))
    assert graph.nodes[1].opaque


# ── manners ──────────────────────────────────────────────────────────────────────────


def test_the_model_is_left_as_it_was():
    """Of two equal networks between forward and backward, one is traced: nobody can tell which."""
    net, twin = (Concat(Conv2d(1, 2, 3, padding=1, rng=0),
                        Sequential(BatchNorm2d(1), Dropout(0.5, rng=0))) for _ in range(2))
    x = images(1, 4, 4)
    y, same = net(x), twin(x)
    structure.structure(net, (1, 4, 4), training=True)
    np.testing.assert_array_equal(net.backward(y), twin.backward(same))
    np.testing.assert_array_equal(net(x), twin(x))          # dropout goes on where it was
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)
    for (name, array), other in zip(net.state_dict().items(), twin.state_dict().values(),
                                    strict=True):
        np.testing.assert_array_equal(array, other, err_msg=name)
    assert all(layer.training and "forward" not in vars(layer) for _, layer in net.named_layers())


@pytest.mark.parametrize("model,shape,words", [
    (np.zeros(3), (1, 2, 2), "expects a layer or a network"),
    (ReLU(), 32, "the shape of one image"),
    (ReLU(), (1, 0, 2), "the shape of one image"),
    (ReLU(), [], "the shape of one image"),
    (Conv2d(3, 2, 3), (1, 8, 8), "expects"),
])
def test_errors(model, shape, words):
    with pytest.raises(ValueError, match=words):
        structure.structure(model, shape)
