"""The contract of layer.py, asked of every layer in the table."""
import copy
import pickle

import numpy as np
import pytest
from layer_cases import CASES, gradient_like, run

from scratchnet.backend import parallel
from scratchnet.layer import no_grad, remembering

ALL = pytest.mark.parametrize("case", CASES, ids=str)
WITH_DY = pytest.mark.parametrize("case", [c for c in CASES if c.takes_dy], ids=str)
BOTH_MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def flat(result):
    """Everything that a pass returned, as one list of arrays."""
    y, dxs, grads = result
    return [y, *dxs, *grads.values()]


def assert_same(some, others, rtol=0.0):
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def backward(case, layer, y):
    dx = layer.backward(gradient_like(y)) if case.takes_dy else layer.backward()
    return list(dx) if isinstance(dx, tuple) else [dx]


@ALL
@BOTH_MODES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_and_shapes_are_kept(case, training, dtype):
    layer, inputs = case.layer(dtype).train(training), case.inputs(dtype)
    y, dxs, grads = run(case, layer, inputs)
    assert y.dtype == dtype
    assert [(d.shape, d.dtype) for d in dxs] == [(x.shape, dtype) for x in inputs[:len(dxs)]]
    assert [(g.shape, g.dtype) for g in grads.values()] == \
        [(p.value.shape, dtype) for p in layer.parameters()]
    assert all(a.dtype == dtype for a in layer.state_dict().values())


@ALL
@BOTH_MODES
def test_complex_numbers_pass_through(case, training):
    real = case.layer().train(training).forward(*case.inputs())
    y = case.layer(np.complex128).train(training).forward(
        *[x.astype(complex) if x.dtype.kind == "f" else x for x in case.inputs()])
    assert y.dtype == np.complex128
    np.testing.assert_allclose(y, real, rtol=1e-12, atol=1e-12)


@ALL
@BOTH_MODES
def test_an_image_at_a_time_and_threads_change_rounding_only(case, training, monkeypatch):
    """Arrays of this size are one part, unless parts are made smaller."""
    expected = flat(run(case, case.layer().train(training), case.inputs()))
    monkeypatch.setattr(parallel, "SMALL", 1)
    monkeypatch.setattr(parallel, "TILE", 1)
    for threads in (1, 2):
        with parallel.limited(threads):
            layer = case.layer().train(training)
            assert_same(flat(run(case, layer, case.inputs())), expected, 1e-12)


@ALL
@BOTH_MODES
def test_nothing_that_was_given_is_written_to(case, training):
    layer, inputs = case.layer().train(training), case.inputs()
    given = [*inputs, *(p.value for p in layer.parameters())]
    y = layer.forward(*inputs)
    dy = gradient_like(y)
    before = [a.tobytes() for a in (*given, dy)]
    for array in (*given, dy):
        array.flags.writeable = False           # to write is an error on the spot
    layer.forward(*inputs)
    layer.backward(dy) if case.takes_dy else layer.backward()
    assert [a.tobytes() for a in (*given, dy)] == before


@ALL
@BOTH_MODES
def test_parameter_gradients_add_up(case, training):
    one, other, both = (case.layer().train(training) for _ in range(3))
    first, second = case.inputs(seed=1), case.inputs(seed=3)
    _, _, grads_one = run(case, one, first)
    _, _, grads_other = run(case, other, second)
    run(case, both, first)
    _, _, grads = run(case, both, second)
    assert_same(list(grads.values()), [grads_one[n] + grads_other[n] for n in grads], 1e-12)
    assert all((p.grad == 0).all() for p in both.zero_grad().parameters())


@ALL
@BOTH_MODES
def test_a_second_forward_replaces_the_first(case, training):
    layer, expected = case.layer().train(training), None
    layer.forward(*case.inputs(seed=3))
    if case.id.startswith(("dropout", "stochastic")):       # the second mask of the generator
        twin = case.layer().train(training)
        twin.forward(*case.inputs(seed=3))
        expected = run(case, twin, case.inputs())
    expected = expected or run(case, case.layer().train(training), case.inputs())
    assert_same(flat(run(case, layer, case.inputs())), flat(expected))


@ALL
@BOTH_MODES
def test_each_forward_can_be_run_backwards_once(case, training):
    layer = case.layer().train(training)
    with pytest.raises(RuntimeError, match="needs a forward"):
        backward(case, layer, case.layer().forward(*case.inputs()))
    y = layer.forward(*case.inputs())
    backward(case, layer, y)
    assert not any("_memory" in vars(inner) for _, inner in layer.named_layers())
    with pytest.raises(RuntimeError, match="each forward can be run backwards once"):
        backward(case, layer, y)


@ALL
@BOTH_MODES
def test_no_grad_remembers_nothing(case, training):
    layer = case.layer().train(training)
    with no_grad():
        y = layer.forward(*case.inputs())
    with pytest.raises(RuntimeError, match="not after no_grad"):
        backward(case, layer, y)
    with no_grad(), remembering():
        y = layer.forward(*case.inputs())
    backward(case, layer, y)


@ALL
@BOTH_MODES
def test_an_evaluation_between_forward_and_backward_does_no_harm(case, training):
    expected = run(case, case.layer().train(training), case.inputs())
    layer = case.layer().train(training)
    y = layer.forward(*case.inputs())
    with no_grad():
        layer.eval().forward(*case.inputs(seed=3))
    dxs = backward(case, layer.train(training), y)
    assert_same([y, *dxs, *(p.grad for p in layer.parameters())], flat(expected))


@ALL
def test_backward_belongs_to_the_mode_of_its_forward(case):
    expected = run(case, case.layer(), case.inputs())
    layer = case.layer()
    y = layer.forward(*case.inputs())
    assert_same([y, *backward(case, layer.eval(), y)], [y, *expected[1]])


@WITH_DY
@BOTH_MODES
def test_a_wrong_dy_is_refused_and_loses_nothing(case, training):
    expected = run(case, case.layer().train(training), case.inputs())
    layer = case.layer().train(training)
    y = layer.forward(*case.inputs())
    dy = gradient_like(y)
    wrong = [dy[..., None], dy[:-1], dy.astype(np.float32), dy.astype(complex), dy.tolist(), 1.0]
    for bad in wrong:
        with pytest.raises(ValueError, match=r"backward expects dy to be like y, \(.*; got "):
            layer.backward(bad)
    assert all((p.grad == 0).all() for p in layer.parameters())
    dxs = backward(case, layer, y)
    assert_same([y, *dxs, *(p.grad for p in layer.parameters())], flat(expected))


@ALL
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a)),
                                       copy.copy], ids=["deepcopy", "pickle", "copy"])
def test_copies_compute_the_same_and_start_without_memory(case, duplicate):
    layer = case.layer().eval()
    y = layer.forward(*case.inputs())
    twin = duplicate(layer)
    if duplicate is not copy.copy:                  # a shallow copy shares its inner layers
        with pytest.raises(RuntimeError, match="needs a forward"):
            backward(case, twin, y)
        for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
            assert not np.shares_memory(ours.value, theirs.value)
    dxs = backward(case, layer, y)                  # the original still has its own
    assert_same([y, *dxs], flat(run(case, twin, case.inputs()))[:1 + len(dxs)])


@ALL
def test_state_dict_goes_round(case):
    layer, other = case.layer(seed=0).eval(), case.layer(seed=9).eval()
    state = layer.state_dict()
    assert list(state) == list(other.state_dict())
    y, y_other = layer.forward(*case.inputs()), other.forward(*case.inputs())
    assert not state or not np.allclose(y, y_other)
    assert other.load_state_dict(state) is other
    for array in state.values():
        array += 1                                  # copies, both ways
    assert_same([other.forward(*case.inputs()), layer.forward(*case.inputs())], [y, y])


@ALL
def test_changes_of_state_return_the_layer_and_forget(case):
    layer = case.layer()
    assert layer.train() is layer and all(inner.training for _, inner in layer.named_layers())
    assert layer.eval() is layer and not any(i.training for _, i in layer.named_layers())
    assert layer.zero_grad() is layer.to("cpu") is layer.astype(np.float64) is layer
    y = layer.forward(*case.inputs())
    layer.astype(np.float32)
    with pytest.raises(RuntimeError, match="needs a forward"):
        backward(case, layer, y)


def fortran(a):
    return np.asfortranarray(a)


def strided(a):
    """Every second number of a larger array, read backwards."""
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan if a.dtype.kind == "f" else -1, a.dtype)
    wide[..., ::-2] = a
    return wide[..., ::-2]


@ALL
@BOTH_MODES
@pytest.mark.parametrize("layout", [fortran, strided])
def test_any_memory_layout_will_do(case, training, layout):
    y, dxs, grads = run(case, case.layer().train(training), case.inputs())
    dy = layout(gradient_like(y)) if case.takes_dy else None
    result = run(case, case.layer().train(training), list(map(layout, case.inputs())), dy)
    assert_same(flat(result), [y, *dxs, *grads.values()], 1e-12)


@ALL
def test_what_is_no_floating_point_array_is_refused(case):
    layer, (x, *rest) = case.layer(), case.inputs()
    with pytest.raises(ValueError, match="expects an array of shape .*; got list: convert it"):
        layer.forward(x.tolist(), *rest)
    with pytest.raises(ValueError, match=r"floating-point numbers; got int64: .*astype"):
        layer.forward(x.astype(np.int64), *rest)
    with pytest.raises(ValueError, match=r"every size at least 1; got \(0.*which is empty"):
        layer.forward(x[:0], *rest)


@pytest.mark.parametrize("case", [c for c in CASES if c.make().parameters()], ids=str)
def test_another_dtype_than_the_parameters_is_refused(case):
    with pytest.raises(ValueError, match=r"float32 parameters; got float64: convert the input "
                                         r"with x.astype\('float32'\), or the network with "
                                         r".astype\('float64'\)"):
        case.layer(np.float32).forward(*case.inputs())


@ALL
def test_repr_is_short_and_names_the_layer(case):
    text = repr(case.make())
    assert text.startswith(type(case.make()).__name__) and "object at" not in text
    assert len(text) < 100
