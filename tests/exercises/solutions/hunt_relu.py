"""The solution of hunt_relu, as a good student writes it."""
import numpy as np


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    layer = make()
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    x_before, dy_before = x.copy(), dy.copy()

    y = layer.forward(x)
    assert np.array_equal(x, x_before), "forward wrote into x"
    assert np.array_equal(y, np.maximum(x_before, 0)), "y is wrong"

    y_before = y.copy()
    dx = layer.backward(dy)
    assert np.array_equal(dx, np.where(x_before > 0, dy_before, 0)), "dx is wrong"
    assert np.array_equal(dy, dy_before), "backward wrote into dy"
    assert np.array_equal(y, y_before), "backward wrote into y"
    assert np.array_equal(x, x_before), "backward wrote into x"
