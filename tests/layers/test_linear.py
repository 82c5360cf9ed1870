"""Linear: on paper, against the plain loops, and its errors."""
import tracemalloc

import numpy as np
import pytest
from layer_cases import cases_of

from scratchnet import naive
from scratchnet.backend import parallel
from scratchnet.layers import Linear


def test_on_paper():
    layer = Linear(3, 2).astype(np.float64)
    layer.weight.value[...] = [[1, 2, 3], [4, 5, 6]]
    layer.bias.value[...] = [10, 20]
    y = layer.forward(np.array([[1.0, 0, -1], [2, 1, 0]]))
    np.testing.assert_array_equal(y, [[10 + 1 - 3, 20 + 4 - 6], [10 + 2 + 2, 20 + 8 + 5]])
    dx = layer.backward(np.array([[1.0, 2], [0, 3]]))
    np.testing.assert_array_equal(dx, [[1 + 2 * 4, 2 + 2 * 5, 3 + 2 * 6], [3 * 4, 3 * 5, 3 * 6]])
    np.testing.assert_array_equal(layer.weight.grad, [     # Σ_n dy[n,o] · x[n,i]
        [1 * 1 + 0 * 2, 1 * 0 + 0 * 1, 1 * -1 + 0 * 0],
        [2 * 1 + 3 * 2, 2 * 0 + 3 * 1, 2 * -1 + 3 * 0]])
    np.testing.assert_array_equal(layer.bias.grad, [1 + 0, 2 + 3])


@pytest.mark.parametrize("case", cases_of(Linear), ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_equals_the_plain_loops(case, dtype, tolerance):
    layer, (x,) = case.layer(dtype), case.inputs(dtype)
    expected = naive.linear(x, layer.weight.value, layer.bias and layer.bias.value)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=tolerance, atol=tolerance)


def test_weights_are_he_initialised_and_biases_zero():
    layer = Linear(200, 300, rng=1)
    assert layer.weight.value.shape == (300, 200) and layer.weight.value.dtype == np.float32
    assert layer.weight.value.var() == pytest.approx(2 / 200, rel=0.03)
    assert layer.bias.value.tolist() == [0] * 300 and Linear(2, 3, bias=False).bias is None
    np.testing.assert_array_equal(layer.weight.value, Linear(200, 300, rng=1).weight.value)


@pytest.mark.parametrize("arguments, message", [
    ((0, 3), "in_features must be an integer ≥ 1; got 0"),
    ((3, -2), "out_features must be an integer ≥ 1; got -2"),
    ((3, 2.0), "out_features must be an integer ≥ 1; got 2.0"),
    ((True, 3), "in_features must be an integer ≥ 1; got True"),
    (((3, 4), 5), r"in_features must be an integer ≥ 1; got \(3, 4\)"),
])
def test_numbers_that_make_no_layer(arguments, message):
    with pytest.raises(ValueError, match=f"Linear: {message}"):
        Linear(*arguments)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (2, 4, 1), (1, 2, 2, 1)])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"Linear\(4→3\) expects \(N, 4\); got \("):
        Linear(4, 3).forward(np.ones(shape, np.float32))


def test_dw_is_added_in_slabs_of_bounded_size(monkeypatch):
    monkeypatch.setattr(parallel, "SMALL", 0)
    monkeypatch.setattr(parallel, "TILE", 1 << 14)
    monkeypatch.setenv("SCRATCHNET_NUM_THREADS", "2")
    slab = 32 * 256 * 4                                 # bytes of ROWS rows, for each thread
    rng = np.random.default_rng(0)
    layer = Linear(256, 300, rng=0)
    x, dy = rng.standard_normal((3, 256), np.float32), rng.standard_normal((3, 300), np.float32)
    layer.forward(x)
    layer.weight.grad[...] = 1
    tracemalloc.start()
    layer.backward(dy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(layer.weight.grad, 1 + dy.T @ x, rtol=1e-5, atol=1e-5)
    assert peak < 3 * slab                              # all of dw is 9 of them


def test_dw_in_slabs_of_one_row_is_the_same(monkeypatch):
    monkeypatch.setattr(parallel, "SMALL", 0)
    monkeypatch.setattr(parallel, "TILE", 1)
    rng = np.random.default_rng(0)
    layer = Linear(4, 3, rng=0).astype(np.float64)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    layer.forward(x)
    layer.backward(dy)
    np.testing.assert_allclose(layer.weight.grad, dy.T @ x, rtol=1e-13)
