"""SiLU: on paper, its dip below zero, and far out where e^{−x} would overflow."""
import math

import numpy as np
import pytest

from scratchnet.layers import Sigmoid, SiLU


def test_on_paper():
    """σ(ln 3) = ¾, so y = ¾·ln 3 and the slope is ¾·(1 + ¼·ln 3); at −ln 3, ¼·(1 − ¾·ln 3)."""
    layer, ln3 = SiLU(), math.log(3)
    y = layer.forward(np.array([0.0, ln3, -ln3]))
    np.testing.assert_allclose(y, [0, 3 / 4 * ln3, -1 / 4 * ln3], rtol=1e-15)
    dx = layer.backward(np.array([10.0, 16, 16]))
    np.testing.assert_allclose(dx, [5, 12 + 3 * ln3, 4 - 3 * ln3], rtol=1e-14)


def test_its_least_value_and_the_slope_there():
    """As the docstring says: −0.278, at x = −1.278."""
    layer, x = SiLU(), np.linspace(-3, 0, 300_001)
    y = layer.forward(x)
    lowest = y.argmin()
    assert x[lowest] == pytest.approx(-1.278, abs=5e-4)
    assert y[lowest] == pytest.approx(-0.278, abs=5e-4)
    assert layer.backward(np.ones_like(x))[lowest] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_it_is_x_or_nothing_without_overflow(dtype):
    layer = SiLU()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = layer.forward(np.array([-1e4, 1e4, -30], dtype))
        dx = layer.backward(np.ones(3, dtype))
    np.testing.assert_allclose(y, [0, 1e4, -30 * math.exp(-30)], rtol=1e-6)
    np.testing.assert_allclose(dx, [0, 1, -29 * math.exp(-30)], rtol=1e-6)


def test_is_x_times_its_sigmoid():
    x = np.linspace(-20, 20, 101)
    np.testing.assert_array_equal(SiLU()(x), x * Sigmoid()(x))
    np.testing.assert_allclose(SiLU()(x) - SiLU()(-x), x, rtol=1e-14)   # x·(σ(x) + σ(−x))
