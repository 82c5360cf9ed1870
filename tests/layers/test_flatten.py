"""Flatten: where each number goes, and that it comes back."""
import numpy as np
import pytest

from scratchnet.layers import Flatten


def test_on_paper():
    """Channel by channel, row by row: y[n, (c·H + h)·W + w] = x[n,c,h,w]."""
    x = np.array([[[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]]])              # (1, 2, 2, 2)
    layer = Flatten()
    np.testing.assert_array_equal(layer.forward(x), [[1, 2, 3, 4, 5, 6, 7, 8]])
    dx = layer.backward(np.array([[10.0, 20, 30, 40, 50, 60, 70, 80]]))
    np.testing.assert_array_equal(dx, 10 * x)


def test_every_number_is_where_the_formula_says():
    N, C, H, W = shape = (2, 3, 4, 5)
    x = np.random.default_rng(0).standard_normal(shape)
    y = Flatten()(np.asfortranarray(x))
    assert all(y[n, (c * H + h) * W + w] == x[n, c, h, w] for n, c, h, w in np.ndindex(shape))
    assert y.shape == (N, C * H * W)


def test_one_dimension_is_too_few():
    with pytest.raises(ValueError, match=r"at least two dims; got \(3,\)"):
        Flatten().forward(np.ones(3))
