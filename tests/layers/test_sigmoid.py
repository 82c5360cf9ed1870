"""Sigmoid: on paper, and far out where e^{−x} would overflow."""
import math

import numpy as np
import pytest

from scratchnet.layers import Sigmoid


def test_on_paper():
    """e^{−ln 3} = 1/3, so y(ln 3) = 1/(1 + 1/3) = 3/4, and the slope is 3/4 · 1/4."""
    layer = Sigmoid()
    y = layer.forward(np.array([0.0, math.log(3), -math.log(3)]))
    np.testing.assert_allclose(y, [1 / 2, 3 / 4, 1 / 4], rtol=1e-15)
    dx = layer.backward(np.array([4.0, 16, -16]))
    np.testing.assert_allclose(dx, [4 / 4, 16 * 3 / 16, -16 * 3 / 16], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturates_without_overflow(dtype):
    layer = Sigmoid()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = layer.forward(np.array([-1e4, 1e4, -30, 30], dtype))
        dx = layer.backward(np.ones(4, dtype))
    np.testing.assert_allclose(y, [0, 1, math.exp(-30), 1], rtol=1e-6)
    np.testing.assert_allclose(dx, [0, 0, math.exp(-30), dx[3]], rtol=1e-6)
    assert 0 <= dx[3] < 1e-12


def test_is_symmetric_around_one_half():
    x = np.linspace(-20, 20, 101)
    np.testing.assert_allclose(Sigmoid()(x) + Sigmoid()(-x), 1, rtol=1e-15)
    np.testing.assert_allclose(Sigmoid()(x), 0.5 * (1 + np.tanh(x / 2)), rtol=1e-12, atol=1e-15)
