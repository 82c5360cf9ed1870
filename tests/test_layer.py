"""Layer, the base class: memory, names, state, and what `expect` says."""
import pickle
import threading

import numpy as np
import pytest

from scratchnet.layer import (
    Layer,
    Parameter,
    expect,
    no_grad,
    parameters_only,
    remembering,
)
from scratchnet.layers import Concat, Conv2d, Linear, ReLU, Residual, Sequential


class Weight(Layer):
    """y = w·x, elementwise: the smallest layer with a parameter, a buffer and a child."""

    def __init__(self, n=3, child=None):
        self.weight = Parameter(np.arange(1.0, n + 1))
        self.count = np.zeros(2)
        self.child = child

    def forward(self, x):
        y = self.weight.value * x
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        self.weight.grad += dy * x
        return dy * self.weight.value


class Holder(Layer):
    """Holds layers and parameters in every way there is."""

    def __init__(self):
        self.one = Weight()
        self.many = [Weight(), Weight(child=Weight())]
        self.fixed = (Weight(),)
        self.by_name = {"left": Weight(), "right": Parameter(np.ones(2))}
        self.scale = Parameter(np.ones(1))
        self._private = Weight()
        self._hidden = np.ones(5)
        self.number, self.word, self.numbers = 3, "word", [1, 2]


LAYERS = ["", "one", "many.0", "many.1", "many.1.child", "fixed.0", "by_name.left"]
PARAMETERS = ["by_name.right", "scale", *(f"{name}.weight" for name in LAYERS[1:])]


# ── forward and backward ─────────────────────────────────────────────────────────────


def test_a_layer_is_its_forward():
    layer, x = Weight(), np.array([1.0, 1, 2])
    np.testing.assert_array_equal(layer(x), [1, 2, 6])
    np.testing.assert_array_equal(layer.backward(np.array([1.0, 10, 100])), [1, 20, 300])
    np.testing.assert_array_equal(layer.weight.grad, [1, 10, 200])


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_what_a_subclass_did_not_write(method):
    class Half(Layer):
        pass
    with pytest.raises(NotImplementedError, match=rf"Half has no {method}\(\w+\) yet: write it"):
        getattr(Half(), method)(np.ones(1))


def test_parameter():
    p = Parameter(np.ones((2, 3), np.float32))
    assert p.grad.shape == (2, 3) and p.grad.dtype == np.float32 and not p.grad.any()
    assert repr(p) == "Parameter(2×3, float32)"


# ── memory ───────────────────────────────────────────────────────────────────────────


def test_no_grad_nests_and_remembering_undoes_it():
    layer, x = Weight(), np.ones(3)

    def remembers():
        layer.forward(x)
        return layer.__dict__.pop("_memory", None) is not None

    assert remembers()
    with no_grad():
        assert not remembers()
        with remembering():
            assert remembers()
            with no_grad():
                assert not remembers()
        with no_grad():
            assert not remembers()
        assert not remembers()
    assert remembers()


def test_parameters_only_leaves_out_the_dx_of_the_images_and_nothing_else():
    def network():
        return Sequential(Sequential(Conv2d(3, 4, 3, rng=0), ReLU()), Conv2d(4, 2, 3, rng=1))

    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5))
    plain, net = network().astype("float64"), network().astype("float64")
    dy = np.cos(plain(x))
    net(x)
    plain.backward(dy)
    with parameters_only(net):
        assert net.backward(dy) is None
    for a, b in zip(plain.parameters(), net.parameters(), strict=True):
        assert np.array_equal(a.grad, b.grad) and b.grad.any()
    net(x)
    assert net.backward(dy).shape == x.shape        # outside, as ever


@pytest.mark.parametrize("block", [
    lambda: Residual(Conv2d(3, 3, 1, rng=0)), lambda: Concat(Conv2d(3, 3, 1, rng=0)),
    lambda: Sequential(ReLU(), Conv2d(3, 3, 1, rng=0))], ids=["residual", "concat", "relu first"])
def test_parameters_only_changes_nothing_where_others_use_the_first_dx(block):
    net, x = block(), np.ones((2, 3, 4, 4), dtype=np.float32)
    y = net(x)
    with parameters_only(net):
        assert net.backward(y).shape == x.shape


def test_parameters_only_ends_with_an_error():
    net = Sequential(Conv2d(3, 3, 1))
    with pytest.raises(RuntimeError, match="forward"), parameters_only(net):
        net.backward(np.ones((2, 3, 4, 4), dtype=np.float32))
    assert net[0].wants_dx


def test_no_grad_ends_when_an_error_passes():
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    layer = Weight()
    layer.backward(layer.forward(np.ones(3)))


def test_no_grad_is_for_one_thread():
    layer, done = Weight(), []
    with no_grad():
        thread = threading.Thread(
            target=lambda: done.append(layer.backward(layer.forward(np.ones(3)))))
        thread.start()
        thread.join()
    assert len(done) == 1


def test_memory_is_freed_by_backward_and_kept_by_a_wrong_dy():
    layer = Weight()
    layer.forward(np.ones(3))
    for wrong, came in [(np.ones(2), r"\(2,\) float64 on the cpu"),
                        (np.ones(3, np.float32), r"\(3,\) float32 on the cpu"),
                        (np.ones((1, 3)), r"\(1, 3\) float64"), ([1, 1, 1], "list"),
                        (1.0, "float")]:
        with pytest.raises(ValueError, match=r"Weight\(\).backward expects dy to be like y, "
                                             rf"\(3,\) float64 on the cpu; got {came}"):
            layer.backward(wrong)
        assert "_memory" in vars(layer)
    layer.backward(np.ones(3))
    assert "_memory" not in vars(layer)


def test_backward_without_forward_says_why():
    with pytest.raises(RuntimeError, match=r"Weight\(\).backward\(\) needs a forward\(\) of its "
                                           r"own before it, .* make one object for each"):
        Weight().backward(np.ones(3))


# ── names ────────────────────────────────────────────────────────────────────────────


def test_layers_and_parameters_are_found_wherever_they_are_held():
    layer = Holder()
    assert [name for name, _ in layer.named_layers()] == LAYERS
    assert [name for name, _ in layer.named_parameters()] == PARAMETERS
    assert [name for name, _ in layer.children()] == [n for n in LAYERS if n and "child" not in n]
    assert len(layer.parameters()) == len(PARAMETERS)
    assert repr(layer) == "Holder(one, many.0, many.1, fixed.0, by_name.left)"


def test_what_is_shared_is_named_once():
    layer = Holder()
    layer.fixed = (layer.one,)
    layer.many[0].weight = layer.one.weight
    assert "fixed.0" not in dict(layer.named_layers())
    assert [n for n in PARAMETERS if n not in dict(layer.named_parameters())] == \
        ["many.0.weight", "fixed.0.weight"]
    assert "many.0.weight" not in layer.state_dict()
    layer.one.weight.grad += 1
    layer.zero_grad()
    assert not layer.many[0].weight.grad.any()
    layer.astype(np.float32)
    assert layer.many[0].weight is layer.one.weight and layer.one.weight.value.dtype == np.float32


# ── mode and dtype ───────────────────────────────────────────────────────────────────


def test_train_and_eval_reach_every_layer():
    layer = Holder()
    assert layer.training and layer.one.training
    assert not any(inner.training for _, inner in layer.eval().named_layers())
    assert all(inner.training for _, inner in layer.train().named_layers())
    assert not layer.train(False).many[1].child.training


def test_frozen_layers_stay_in_evaluation_mode():
    layer = Holder()
    assert not layer.frozen and not layer.one.frozen and not layer.one.weight.frozen
    layer.many[1].frozen = True                     # it alone, not what is inside it
    layer.train()
    assert [name for name, inner in layer.named_layers() if not inner.training] == ["many.1"]
    assert not any(inner.training for _, inner in layer.eval().named_layers())
    layer.many[1].frozen = False
    assert all(inner.training for _, inner in layer.train().named_layers())


def test_frozen_is_a_mode_and_no_part_of_the_state():
    layer = Weight()
    layer.frozen = layer.weight.frozen = True
    assert list(layer.state_dict()) == ["weight", "count"]
    copy = pickle.loads(pickle.dumps(layer)).astype(np.float32).load_state_dict(layer.state_dict())
    assert copy.frozen and copy.weight.frozen and not Weight().weight.frozen


def test_astype_converts_what_is_floating_point():
    layer = Weight()
    layer.steps = np.array([1, 2])
    layer.astype(np.float32)
    assert layer.weight.value.dtype == layer.weight.grad.dtype == layer.count.dtype == np.float32
    assert layer.steps.dtype == np.int64


# ── saving ───────────────────────────────────────────────────────────────────────────


def test_state_dict_is_a_copy_of_parameters_and_buffers():
    layer = Weight(child=Weight(2))
    state = layer.state_dict()
    assert list(state) == ["weight", "count", "child.weight", "child.count"]
    state["weight"][:] = 7
    assert layer.weight.value[0] == 1
    layer.load_state_dict(state)
    state["weight"][:] = 8
    np.testing.assert_array_equal(layer.weight.value, [7, 7, 7])


def test_what_is_loaded_takes_the_dtype_that_the_layer_has():
    layer = Weight().astype(np.float32)
    layer.load_state_dict({"weight": np.array([1, 2, 3]), "count": np.zeros(2)})
    assert layer.weight.value.dtype == layer.count.dtype == np.float32


def test_every_misfit_is_listed_and_nothing_is_loaded():
    layer = Weight(child=Weight(2))
    before = {name: array.tobytes() for name, array in layer.state_dict().items()}
    state = {"weight": np.full(3, 9.0), "child.weight": np.zeros(5), "extra": np.zeros(1),
             "child.count": np.array(["a", "b"])}
    with pytest.raises(ValueError, match="this state does not fit Weight; nothing was loaded") as e:
        layer.load_state_dict(state)
    assert str(e.value).splitlines()[1:] == [
        "  missing: count", "  unexpected: extra",
        "  child.weight: expected shape (2,), got (5,)",
        "  child.count: expected numbers, got dtype <U1"]
    assert {name: array.tobytes() for name, array in layer.state_dict().items()} == before


def test_not_strict_passes_over_names_but_never_over_shapes():
    layer = Weight()
    layer.load_state_dict({"weight": np.zeros(3), "extra": np.zeros(1)}, strict=False)
    assert not layer.weight.value.any()
    with pytest.raises(ValueError, match=r"weight: expected shape \(3,\), got \(4,\)"):
        layer.load_state_dict({"weight": np.zeros(4)}, strict=False)


def test_pickles_hold_no_memory():
    layer = Weight()
    small = len(pickle.dumps(layer))
    layer.forward(np.ones((1000, 3)))
    assert len(pickle.dumps(layer)) == small


# ── expect ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("x, dims", [
    (np.ones((2, 3)), ("N", 3)), (np.ones((2, 3)), ("…",)), (np.array(1.0), ("…",)),
    (np.ones((1, 2, 3, 4), complex), ("N", 2, "H", "W")), (np.ones(1, np.float16), ("N",)),
])
def test_what_fits_passes(x, dims):
    expect(Weight(), x, *dims)


@pytest.mark.parametrize("x, dims, message", [
    ([1.0], ("N",), r"an array of shape \(N\); got list: convert it with numpy.asarray"),
    (1.0, ("…",), r"an array of shape \(…\); got float: convert"),
    (np.float64(1), ("…",), "an array .*; got float64: convert"),
    (np.ones(3), ("N", 3), r"\(N, 3\); got \(3,\)"),
    (np.ones((2, 4)), ("N", 3), r"\(N, 3\); got \(2, 4\)"),
    (np.ones((2, 4, 5, 3)), ("N", 3, "H", "W"), r"\(N, 3, H, W\), channels first; got \(2, 4"),
    (np.ones((0, 3)), ("N", 3), r"\(N, 3\), every size at least 1; got \(0, 3\), which is empty"),
    (np.ones((2, 0)), ("…",), r"\(…\), every size .*; got \(2, 0\), which is empty"),
    (np.ones((2, 3), int), ("N", 3), r"floating-point numbers; got int64: convert with x.astype"),
    (np.ones((2, 3), bool), ("N", 3), "floating-point numbers; got bool"),
])
def test_what_does_not_fit_is_told(x, dims, message):
    with pytest.raises(ValueError, match=rf"^Weight\(\) expects {message}"):
        expect(Weight(), x, *dims)


def test_dtypes_must_agree_with_the_parameters():
    with pytest.raises(ValueError, match=r"^Weight\(\) has float64 parameters; got float32: "
                                         r"convert the input with x.astype\('float64'\), or the "
                                         r"network with .astype\('float32'\)$"):
        expect(Weight(), np.ones(3, np.float32), "N", weight=Weight().weight.value)


def test_backward_of_none_is_a_value_error_and_loses_nothing():
    relu = ReLU()
    relu.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match="expects dy to be like y.*got NoneType"):
        relu.backward(None)
    assert relu.backward(np.ones((2, 3))).all()


def test_load_state_dict_of_no_dict():
    with pytest.raises(ValueError, match="expects a dict of name: array.*got list"):
        Linear(2, 3).load_state_dict([1, 2])


def test_sequential_names_what_it_has():
    with pytest.raises(KeyError, match="no layer .conv2. in Sequential: its layers are conv1"):
        Sequential(conv1=Linear(2, 3), relu1=ReLU())["conv2"]


def test_no_grad_can_be_entered_twice():
    relu, quiet = ReLU(), no_grad()
    with quiet, quiet:
        pass
    relu.forward(np.ones(3))
    assert relu.backward(np.ones(3)).all()


def test_layers_nested_in_lists_and_dicts_are_found():
    class Net(Layer):
        def __init__(self):
            self.blocks = [[Linear(2, 3)], {"b": (Linear(3, 4),)}]

    assert [name for name, _ in Net().named_parameters()] == [
        "blocks.0.0.weight", "blocks.0.0.bias", "blocks.1.b.0.weight", "blocks.1.b.0.bias"]


def test_after_a_forward_that_failed_backward_is_an_error():
    net = Sequential(Linear(3, 4), Linear(4, 2).astype(np.float64), Linear(2, 2))
    net[1].astype(np.float32)
    x = np.ones((5, 3), dtype=np.float32)
    y = net.forward(x)
    net[1].astype(np.float64)           # forgets, too; so remember once more by hand
    net[1].remember(np.ones((5, 4)), y=y)
    with pytest.raises(ValueError, match="has float64 parameters; got float32"):
        net.forward(x)
    with pytest.raises(RuntimeError, match="needs a forward"):
        net.backward(y)


@pytest.mark.parametrize("dtype", [int, "uint8", bool])
def test_astype_refuses_what_cannot_learn(dtype):
    with pytest.raises(ValueError, match="computes with floating-point numbers; got"):
        Linear(2, 3).astype(dtype)
