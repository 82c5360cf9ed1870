"""Tanh: on paper."""
import math

import numpy as np

from scratchnet.layers import Sigmoid, Tanh


def test_on_paper():
    """At ln 2: (2 − 1/2) / (2 + 1/2) = 3/5, and the slope is 1 − 9/25 = 16/25."""
    layer = Tanh()
    y = layer.forward(np.array([0.0, math.log(2), -math.log(2)]))
    np.testing.assert_allclose(y, [0, 3 / 5, -3 / 5], rtol=1e-15)
    dx = layer.backward(np.array([7.0, 25, -50]))
    np.testing.assert_allclose(dx, [7, 16, -32], rtol=1e-14)


def test_is_a_sigmoid_stretched():
    x = np.linspace(-5, 5, 41)
    np.testing.assert_allclose(Tanh()(x), 2 * Sigmoid()(2 * x) - 1, rtol=1e-12, atol=1e-15)


def test_saturates():
    layer = Tanh()
    np.testing.assert_array_equal(layer.forward(np.array([-1e4, 1e4])), [-1, 1])
    np.testing.assert_array_equal(layer.backward(np.ones(2)), [0, 0])
