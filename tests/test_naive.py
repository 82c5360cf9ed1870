"""The plain loops are the oracle of the other tests, so they are tested on paper alone."""
import math

import numpy as np
import pytest

from scratchnet import naive


def image(*rows):
    return np.array([[rows]], dtype=float)


X = image([1, 2, 3], [4, 5, 6], [7, 8, 9])


@pytest.mark.parametrize("w, options, y", [
    ([[1, 0], [0, -1]], {}, [[1 - 5, 2 - 6], [4 - 8, 5 - 9]]),
    ([[1, 10]], {}, [[21, 32], [54, 65], [87, 98]]),
    ([[1], [10]], {}, [[41, 52, 63], [74, 85, 96]]),
    ([[1, 10]], {"stride": (2, 1)}, [[21, 32], [87, 98]]),
    ([[1, 10]], {"stride": (1, 2)}, [[21], [54], [87]]),
    ([[1, 10]], {"padding": (0, 1)}, [[10, 21, 32, 3], [40, 54, 65, 6], [70, 87, 98, 9]]),
    ([[1], [10]], {"padding": (1, 0), "stride": (3, 1)}, [[10, 20, 30], [7, 8, 9]]),
    ([[1, 10]], {"dilation": (1, 2)}, [[31], [64], [97]]),
    ([[1], [10]], {"dilation": (2, 1)}, [[71, 82, 93]]),
    ([[2]], {"b": np.array([5.0])}, 2 * X[0, 0] + 5),
])
def test_conv2d(w, options, y):
    np.testing.assert_array_equal(naive.conv2d(X, image(*w), **options)[0, 0], y)


def test_conv2d_sums_over_channels_and_groups_keep_apart():
    x = np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1)
    full = np.array([[1.0, 10, 100, 1000], [0, 0, 0, 1]]).reshape(2, 4, 1, 1)
    half = np.array([[1.0, 10], [100, 1000]]).reshape(2, 2, 1, 1)
    np.testing.assert_array_equal(naive.conv2d(x, full).ravel(), [4321, 4])
    np.testing.assert_array_equal(naive.conv2d(x, half, groups=2).ravel(), [21, 4300])
    each = np.array([1.0, 10, 100, 1000]).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(naive.conv2d(x, each, groups=4).ravel(), [1, 20, 300, 4000])


def test_conv2d_backward():
    dx, dw, db = naive.conv2d_backward(image([1, 2], [3, 4]), X, image([1, 0], [0, -1]))
    np.testing.assert_array_equal(dx, image([1, 2, 0], [3, 4 - 1, -2], [0, -3, -4]))
    np.testing.assert_array_equal(dw, image([1 + 4 + 12 + 20, 2 + 6 + 15 + 24],
                                            [4 + 10 + 21 + 32, 5 + 12 + 24 + 36]))
    np.testing.assert_array_equal(db, [10])


@pytest.mark.parametrize("options", [
    {}, {"stride": (2, 1)}, {"padding": (1, 2)}, {"dilation": (1, 2)}, {"groups": 2},
    {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1), "groups": 2}], ids=str)
def test_conv2d_backward_is_the_transpose(options):
    """Convolution is linear in x and in w, so ⟨dy, y⟩ = ⟨dx, x⟩ = ⟨dw, w⟩ for any x, w, dy."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 5, 6))
    w = rng.standard_normal((2, 4 // options.get("groups", 1), 2, 3))
    y = naive.conv2d(x, w, **options)
    dy = rng.standard_normal(y.shape)
    dx, dw, db = naive.conv2d_backward(dy, x, w, **options)
    assert (dx * x).sum() == pytest.approx((dy * y).sum(), rel=1e-12)
    assert (dw * w).sum() == pytest.approx((dy * y).sum(), rel=1e-12)
    np.testing.assert_allclose(db, dy.sum(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("w, options, y", [
    ([[1, 10]], {}, [[1, 12, 20], [3, 34, 40]]),
    ([[1, 10]], {"stride": (1, 2)}, [[1, 10, 2, 20], [3, 30, 4, 40]]),
    ([[1], [10]], {"stride": (2, 1)}, [[1, 2], [10, 20], [3, 4], [30, 40]]),
    ([[1, 10]], {"padding": (0, 1)}, [[12], [34]]),
    ([[1, 10]], {"stride": (1, 3), "output_padding": (0, 1)}, [[1, 10, 0, 2, 20, 0],
                                                              [3, 30, 0, 4, 40, 0]]),
    ([[1, 10]], {"dilation": (1, 2)}, [[1, 2, 10, 20], [3, 4, 30, 40]]),
    ([[2]], {"b": np.array([5.0])}, [[7, 9], [11, 13]]),
])
def test_conv_transpose2d(w, options, y):
    x = image([1, 2], [3, 4])
    np.testing.assert_array_equal(naive.conv_transpose2d(x, image(*w), **options)[0, 0], y)


@pytest.mark.parametrize("options", [
    {}, {"stride": (2, 3)}, {"padding": (1, 2)}, {"dilation": (1, 2)}, {"groups": 2},
    {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1), "groups": 2}], ids=str)
def test_conv_transpose2d_is_the_transpose_of_conv2d(options):
    """⟨y, A·x⟩ = ⟨Aᵀ·y, x⟩, and ⟨dy, y⟩ = ⟨dx, x⟩ = ⟨dw, w⟩, as it is linear in x and in w."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 2 // options.get("groups", 1), 2, 3))
    y = rng.standard_normal((2, 4, 4, 5))
    back = naive.conv_transpose2d(y, w, **options)
    x = rng.standard_normal(back.shape)
    assert (naive.conv2d(x, w, **options) * y).sum() == pytest.approx((back * x).sum(), rel=1e-12)
    dx, dw, db = naive.conv_transpose2d_backward(x, y, w, **options)
    assert (dx * y).sum() == pytest.approx((back * x).sum(), rel=1e-12)
    assert (dw * w).sum() == pytest.approx((back * x).sum(), rel=1e-12)
    np.testing.assert_allclose(db, x.sum(axis=(0, 2, 3)), rtol=1e-12)


def test_max_unpool2d():
    x = image([1, 5, 2], [4, 3, 0])
    t = naive.max_pool2d_switches(x, (2, 2), (1, 1))
    np.testing.assert_array_equal(t, image([1, 1]))
    np.testing.assert_array_equal(naive.max_pool2d_switches(X, (2, 2), (2, 2), (1, 1)),
                                  image([0, 2], [6, 8]))
    x_hat = naive.max_unpool2d(image([20, 30]), t, (2, 3))
    np.testing.assert_array_equal(x_hat, image([0, 50, 0], [0, 0, 0]))
    dy = naive.max_unpool2d_backward(image([1, 2, 3], [4, 5, 6]), np.array([[[[1, 5]]]]))
    np.testing.assert_array_equal(dy, image([2, 6]))


@pytest.mark.parametrize("options, largest, mean", [
    ({"kernel": (2, 2), "stride": (1, 1)}, [[5, 6], [8, 9]], [[3, 4], [6, 7]]),
    ({"kernel": (1, 3), "stride": (2, 1)}, [[3], [9]], [[2], [8]]),
    ({"kernel": (3, 1), "stride": (1, 2)}, [[7, 9]], [[4, 6]]),
    ({"kernel": (2, 2), "stride": (2, 2), "padding": (1, 1)}, [[1, 3], [7, 9]],
     [[1 / 4, (2 + 3) / 4], [(4 + 7) / 4, (5 + 6 + 8 + 9) / 4]]),
    ({"kernel": (2, 2), "stride": (2, 2), "ceil_mode": True}, [[5, 6], [8, 9]],
     [[3, (3 + 6) / 2], [(7 + 8) / 2, 9]]),
])
def test_pooling(options, largest, mean):
    np.testing.assert_array_equal(naive.max_pool2d(X, **options)[0, 0], largest)
    np.testing.assert_allclose(naive.avg_pool2d(X, **options)[0, 0], mean, rtol=1e-15)


def test_padding_can_be_left_out_of_the_mean():
    y = naive.avg_pool2d(X, (2, 2), (2, 2), (1, 1), count_include_pad=False)
    np.testing.assert_allclose(y[0, 0], [[1, 2.5], [5.5, 7]], rtol=1e-15)
    dx = naive.avg_pool2d_backward(image([1, 2], [2, 4]), X, (2, 2), (2, 2), (1, 1), False)
    np.testing.assert_array_equal(dx, image([1, 1, 1], [1, 1, 1], [1, 1, 1]))


def test_pooling_backward():
    dy = image([1, 10], [100, 1000])
    np.testing.assert_array_equal(naive.max_pool2d_backward(dy, X, (2, 2), (1, 1)),
                                  image([0, 0, 0], [0, 1, 10], [0, 100, 1000]))
    tied = image([0, 7, 7], [0, 7, 0], [0, 0, 0])           # the first in reading order wins
    np.testing.assert_array_equal(naive.max_pool2d_backward(dy, tied, (2, 2), (1, 1)),
                                  image([0, 11, 0], [0, 1100, 0], [0, 0, 0]))
    np.testing.assert_array_equal(naive.avg_pool2d_backward(4 * dy, X, (2, 2), (1, 1)),
                                  image([1, 11, 10], [101, 1111, 1010], [100, 1100, 1000]))


def test_adaptive_avg_pool2d():
    x = image([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
    np.testing.assert_array_equal(naive.adaptive_avg_pool2d(x, (1, 1)), image([16.5]))
    np.testing.assert_array_equal(naive.adaptive_avg_pool2d(x, (2, 3)),
                                  image([1.5, 3, 4.5], [15, 30, 45]))


def test_local_response_norm():
    a = np.array([1.0, 2, 0]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(naive.local_response_norm(a, 3, 1, 1, 1).ravel(),
                               [1 / (1 + 1 + 4), 2 / (1 + 1 + 4 + 0), 0], rtol=1e-15)
    np.testing.assert_allclose(naive.local_response_norm(a, 2, 1, 1, 1).ravel(),
                               [1 / (1 + 1), 2 / (1 + 1 + 4), 0], rtol=1e-15)
    np.testing.assert_allclose(naive.local_response_norm(a, 1, 2, 0.5, 7).ravel(),
                               [1 / math.sqrt(7 + 2), 2 / math.sqrt(7 + 8), 0], rtol=1e-15)


def test_batch_norm2d():
    x = np.array([[1.0, 10], [1, 10], [3, 10], [3, 10]]).reshape(4, 2, 1, 1)
    y = naive.batch_norm2d(x, [3, 5], [5, -1], eps=1e-300)
    np.testing.assert_array_equal(y[:, 0].ravel(), [2, 2, 8, 8])    # x̂ = −1, −1, 1, 1
    np.testing.assert_array_equal(y[:, 1].ravel(), [-1] * 4)        # constant: β


def test_linear():
    w, b = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([10.0, 20])
    x = np.array([[1.0, 0, -1], [2, 1, 0]])
    np.testing.assert_array_equal(naive.linear(x, w), [[-2, -2], [4, 13]])
    np.testing.assert_array_equal(naive.linear(x, w, b), [[8, 18], [14, 33]])


def test_softmax_cross_entropy():
    z = np.log([[1.0, 2, 5], [1, 1, 1]])
    assert naive.softmax_cross_entropy(z, [2, 0]) == pytest.approx(
        (math.log(8 / 5) + math.log(3)) / 2, rel=1e-15)
