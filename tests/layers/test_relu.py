"""ReLU: on paper, and what it remembers."""
import numpy as np

from scratchnet.layers import ReLU


def test_on_paper():
    layer = ReLU()
    y = layer.forward(np.array([-2.0, -0.5, 0.0, 0.5, 3.0]))
    np.testing.assert_array_equal(y, [0, 0, 0, 0.5, 3])
    dx = layer.backward(np.array([1.0, 2, 3, 4, 5]))
    np.testing.assert_array_equal(dx, [0, 0, 0, 4, 5])          # at 0 the slope is 0


def test_minus_zero_nan_and_infinity():
    layer = ReLU()
    y = layer.forward(np.array([-0.0, -np.inf, np.inf, np.nan]))
    np.testing.assert_array_equal(y, [0, 0, np.inf, np.nan])    # a NaN must not hide
    np.testing.assert_array_equal(layer.backward(np.ones(4)), [0, 0, 1, 0])


def test_remembers_its_output_and_nothing_else():
    layer = ReLU()
    y = layer.forward(np.ones((3, 4)))
    (kept,), _ = layer._memory
    assert kept is y


def test_both_results_are_new_arrays():
    layer, x, dy = ReLU(), np.ones(3), np.ones(3)
    assert not np.shares_memory(layer.forward(x), x)
    assert not np.shares_memory(layer.backward(dy), dy)
