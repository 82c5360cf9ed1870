"""Branches and joins: on paper, names, and what they refuse."""
import numpy as np
import pytest

from scratchnet.layers import (
    Add,
    Concat,
    Concatenate,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Sigmoid,
)


def times(*factors):
    """A 1×1 convolution that multiplies channel i by factors[i]."""
    n = len(factors)
    layer = Conv2d(n, n, 1, bias=False).astype(np.float64)
    layer.weight.value[...] = np.diag(factors)[:, :, None, None]
    return layer


def pixels(*channels):
    """One image; each channel a row of pixels."""
    return np.array(channels, dtype=float)[None, :, None, :]


# ── on paper ─────────────────────────────────────────────────────────────────────────


def test_identity():
    layer, x = Identity(), pixels([1, 2])
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(3 * x), 3 * x)


def test_a_chain_multiplies_slopes():
    layer = Sequential(times(2), ReLU(), times(5))
    np.testing.assert_array_equal(layer.forward(pixels([3, -3])), pixels([30, 0]))
    np.testing.assert_array_equal(layer.backward(pixels([1, 1])), pixels([10, 0]))
    assert layer[0].weight.grad == 3 * 5 and layer[2].weight.grad == 6


def test_a_shortcut_adds():
    """y = 2x + x, so dy comes back 3 times."""
    layer = Residual(times(2))
    np.testing.assert_array_equal(layer.forward(pixels([1, -4])), pixels([3, -12]))
    np.testing.assert_array_equal(layer.backward(pixels([10, 1])), pixels([30, 3]))
    assert layer[0].weight.grad == 10 * 1 + 1 * -4


def test_a_shortcut_may_be_a_layer():
    """y = 2x + 7x."""
    layer = Residual(times(2), downsample=times(7))
    np.testing.assert_array_equal(layer.forward(pixels([1, -4])), pixels([9, -36]))
    np.testing.assert_array_equal(layer.backward(pixels([10, 1])), pixels([90, 9]))
    assert layer.downsample.weight.grad == 10 * 1 + 1 * -4


def test_branches_side_by_side():
    """y = [2x, x, 5x]: each branch gets its own channels of dy, and the results add."""
    layer = Concat(times(2, 2), Identity(), times(5, 5))
    x = pixels([1], [2])
    np.testing.assert_array_equal(layer.forward(x).ravel(), [2, 4, 1, 2, 5, 10])
    dx = layer.backward(pixels([1], [2], [3], [4], [5], [6]))
    np.testing.assert_array_equal(dx, pixels([2 * 1 + 3 + 5 * 5], [2 * 2 + 4 + 5 * 6]))


def test_branches_may_differ_in_width():
    layer = Concat(Identity(), Conv2d(2, 1, 1).astype(np.float64))
    layer[1].weight.value[...] = [[[[10]], [[100]]]]
    np.testing.assert_array_equal(layer.forward(pixels([1], [2])).ravel(), [1, 2, 210])
    np.testing.assert_array_equal(layer.backward(pixels([1], [2], [3])).ravel(), [31, 302])


def test_a_gate_multiplies():
    """s = 2·x: y = x · 2x = 2x², so dy comes back 4x times."""
    layer = Scale(times(2))
    np.testing.assert_array_equal(layer.forward(pixels([3])), pixels([18]))
    np.testing.assert_array_equal(layer.backward(pixels([10])), pixels([10 * 6 + 10 * 3 * 2]))


def test_a_gate_is_one_number_for_all_pixels_of_a_channel():
    """s = 5 whatever x is (weight 0, bias 5): dx = 5·dy, ds = Σ dy·x."""
    gate = Conv2d(1, 1, (1, 3)).astype(np.float64)
    gate.weight.value[...], gate.bias.value[...] = 0, 5
    layer = Scale(gate)
    np.testing.assert_array_equal(layer.forward(pixels([1, 2, 3])), pixels([5, 10, 15]))
    np.testing.assert_array_equal(layer.backward(pixels([1, 0, -1])), pixels([5, 0, -5]))
    assert gate.bias.grad == 1 * 1 + 0 * 2 - 1 * 3


def test_joins():
    a, b = pixels([1], [2]), pixels([10], [20])
    add, join = Add(), Concatenate()
    np.testing.assert_array_equal(add.forward(a, b, a), pixels([12], [24]))
    for d in add.backward(pixels([5], [6])):
        np.testing.assert_array_equal(d, pixels([5], [6]))
    np.testing.assert_array_equal(join.forward(a, b[:, :1]), pixels([1], [2], [10]))
    da, db = join.backward(pixels([5], [6], [7]))
    np.testing.assert_array_equal(da, pixels([5], [6]))
    np.testing.assert_array_equal(db, pixels([7]))


def test_branches_do_not_disturb_one_another():
    """ReLU gets the very array that the other branch gets: it must not write into it."""
    layer, x = Concat(ReLU(), Identity(), Residual(ReLU())), pixels([-1, 2])
    np.testing.assert_array_equal(layer.forward(x), pixels([0, 2], [-1, 2], [-1, 4]))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 3, 1, 2))), pixels([0 + 1 + 1, 4]))


# ── names ────────────────────────────────────────────────────────────────────────────


def test_layers_are_found_by_number_name_and_slice():
    conv, relu, fc = Conv2d(2, 3, 1), ReLU(), Linear(3, 2)
    network = Sequential(conv, act=relu, fc=fc)
    assert network[0] is network["0"] is conv and network["act"] is network.act is relu
    assert network[-1] is fc and network[1:] == [relu, fc] and list(network) == [conv, relu, fc]
    assert len(network) == 3 and repr(network) == "Sequential(0, act, fc)"
    assert [name for name, _ in network.named_layers()] == ["", "0", "act", "fc"]
    assert list(network.state_dict()) == ["0.weight", "0.bias", "fc.weight", "fc.bias"]


def test_the_names_of_a_block_are_those_of_state_dict():
    block = Residual(conv1=Conv2d(2, 2, 1, bias=False), downsample=Conv2d(2, 2, 1, bias=False))
    assert list(block.state_dict()) == ["conv1.weight", "downsample.weight"]
    assert len(block) == 1                                  # the shortcut is not in the chain


@pytest.mark.parametrize("Kind", [Sequential, Residual, Concat, Scale])
@pytest.mark.parametrize("build, message", [
    (lambda K: K(), "needs at least one layer"),
    (lambda K: K(ReLU(), "relu"), "expects layers; got 'relu' as '1'"),
    (lambda K: K([ReLU(), ReLU()]), r"expects layers; got \[.* as '0'"),
    (lambda K: K(ReLU), "expects layers; got <class .* as '0'"),
    (lambda K: K(act=None), "expects layers; got None as 'act'"),
    (lambda K: K(forward=ReLU()), "a layer cannot be called 'forward': that name is taken"),
    (lambda K: K(training=ReLU()), "a layer cannot be called 'training'"),
    (lambda K: K(_act=ReLU()), "a layer cannot be called '_act'"),
    (lambda K: K(**{"a.b": ReLU()}), "a layer cannot be called 'a.b'"),
    (lambda K: K(ReLU(), **{"0": ReLU()}), "a layer cannot be called '0'"),
])
def test_layers_that_cannot_be_held(Kind, build, message):
    with pytest.raises(ValueError, match=f"{Kind.__name__}:? {message}"):
        build(Kind)


relu = ReLU()


@pytest.mark.parametrize("build, first, second", [
    (lambda: Sequential(relu, Flatten(), relu), "0", "2"),
    (lambda: Sequential(a=relu, b=Sequential(relu)), "a", "b.0"),
    (lambda: Sequential(Sequential(x=relu), Residual(y=relu)), "0.x", "1.y"),
    (lambda: Residual(relu, downsample=relu), "0", "downsample"),
    (lambda: Residual(Sequential(relu), downsample=Sequential(relu)), "0.0", "downsample.0"),
    (lambda: Concat(relu, relu), "0", "1"),
    (lambda: Concat(relu, Scale(Sigmoid(), relu)), "0", "1.1"),
    (lambda: Scale(gate=relu, more=relu), "gate", "more"),
])
def test_one_object_cannot_stand_at_two_places(build, first, second):
    with pytest.raises(ValueError, match=rf"the same ReLU\(\) object stands at '{first}' and at "
                                         rf"'{second}'; it can remember only one input. Make one"):
        build()


def test_sharing_a_parameter_is_how_weights_are_shared():
    one, other = times(2), times(3)
    other.weight = one.weight
    network = Sequential(one, other)
    np.testing.assert_array_equal(network.forward(pixels([5])), pixels([20]))
    np.testing.assert_array_equal(network.backward(pixels([1])), pixels([4]))
    assert one.weight.grad == 10 + 10 and len(network.parameters()) == 1     # d/dw 5w² = 10w


# ── shapes that do not fit ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("layer, message", [
    (Residual(Conv2d(2, 3, 1)), r"got \(1, 3, 4, 5\) and \(1, 2, 4, 5\): give it a downsample="),
    (Residual(Conv2d(2, 2, 2)), r"Residual\(0, downsample\) adds its body and its shortcut, so "
                                r"both must have one shape; got \(1, 2, 3, 4\) and \(1, 2, 4, 5\)"),
    (Concat(Identity(), Conv2d(2, 2, 2)), r"Concat\(0, 1\) lays maps of one size, .*only their "
                                          r"channels may differ; got .*4, 5.*3, 4"),
    (Concat(Identity(), Flatten()), "maps of one size"),
    (Scale(Conv2d(2, 2, 1)), r"its layers must return \(1, 2, 1, 1\); got \(1, 2, 4, 5\)"),
    (Scale(Conv2d(2, 1, (4, 5))), r"by one number: .* \(1, 2, 1, 1\); got \(1, 1, 1, 1\)"),
    (Scale(Flatten()), r"must return \(1, 2, 1, 1\); got \(1, 40\)"),
])
def test_branches_that_do_not_fit_together(layer, message):
    with pytest.raises(ValueError, match=message):
        layer.forward(np.ones((1, 2, 4, 5), np.float32))


@pytest.mark.parametrize("downsample", ["conv", ReLU, [ReLU()]])
def test_a_downsample_that_is_no_layer(downsample):
    with pytest.raises(ValueError, match="Residual expects a layer as downsample"):
        Residual(ReLU(), downsample=downsample)


@pytest.mark.parametrize("a, b, message", [
    (np.ones((1, 2)), np.ones((1, 3)), r"one shape, .*\(1, 2\).*\(1, 3\)"),
    (np.ones((1, 2)), np.ones((1, 2), np.float32), "dtype and device; got .*float64.*float32"),
    (np.ones((1, 2)), [[1, 2]], "got list"),
])
def test_arrays_that_cannot_be_added(a, b, message):
    with pytest.raises(ValueError, match=rf"Add\(\) expects .*{message}"):
        Add().forward(a, b)


@pytest.mark.parametrize("a, b, message", [
    (np.ones((1, 2, 3)), np.ones((1, 2, 4)), r"may differ; got .*\(1, 2, 3\).*\(1, 2, 4\)"),
    (np.ones((2, 2, 3)), np.ones((1, 2, 3)), "may differ"),
    (np.ones((1, 2)), np.ones((1, 2, 1)), "may differ"),
    (np.ones(3), np.ones(3), "may differ"),
    (np.ones((1, 2)), np.ones((1, 2), np.float32), "one size, dtype and device .*float32"),
])
def test_arrays_that_cannot_be_concatenated(a, b, message):
    with pytest.raises(ValueError, match=rf"Concatenate\(\) lays maps .*{message}"):
        Concatenate().forward(a, b)


def test_concat_is_no_chain():
    assert not isinstance(Concat(Identity()), Sequential)


@pytest.mark.parametrize("join", [Add(), Concatenate()])
def test_a_join_of_nothing(join):
    with pytest.raises(ValueError, match="expects at least one array; got none"):
        join.forward()
