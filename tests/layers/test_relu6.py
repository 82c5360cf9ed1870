"""ReLU6: on paper, at its two kinks, and what it remembers."""
import numpy as np

from scratchnet.layers import ReLU, ReLU6


def test_on_paper():
    layer = ReLU6()
    y = layer.forward(np.array([-2.0, 0, 0.5, 3, 6, 6.5, 100]))
    np.testing.assert_array_equal(y, [0, 0, 0.5, 3, 6, 6, 6])
    dx = layer.backward(np.array([1.0, 2, 3, 4, 5, 6, 7]))
    np.testing.assert_array_equal(dx, [0, 0, 3, 4, 0, 0, 0])    # at 0 and at 6 the slope is 0


def test_is_the_difference_of_two_relus():
    """min(max(x, 0), 6) = max(x, 0) − max(x − 6, 0)."""
    x = np.linspace(-4, 12, 129)
    np.testing.assert_array_equal(ReLU6()(x), ReLU()(x) - ReLU()(x - 6))


def test_infinity_stops_at_6_and_nan_does_not_hide():
    layer = ReLU6()
    y = layer.forward(np.array([-np.inf, np.inf, np.nan, -0.0]))
    np.testing.assert_array_equal(y, [0, 6, np.nan, 0])
    np.testing.assert_array_equal(layer.backward(np.ones(4)), [0, 0, 0, 0])


def test_remembers_its_output_and_nothing_else():
    layer = ReLU6()
    y = layer.forward(np.ones((3, 4)))
    (kept,), _ = layer._memory
    assert kept is y


def test_both_results_are_new_arrays():
    layer, x, dy = ReLU6(), np.ones(3), np.ones(3)
    assert not np.shares_memory(layer.forward(x), x)
    assert not np.shares_memory(layer.backward(dy), dy)
