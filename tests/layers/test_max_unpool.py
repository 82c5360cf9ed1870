"""MaxUnpool2d and switches: on paper, against the plain loops and PyTorch, and their errors."""
import numpy as np
import pytest
from layer_cases import POOL, cases_of, gradient_like

from scratchnet import naive
from scratchnet.layers import AvgPool2d, MaxPool2d, MaxUnpool2d
from scratchnet.layers.max_unpool import switches

POOLS = pytest.mark.parametrize("case", [c for c in POOL if c.id.startswith("max")], ids=str)


def image(*rows):
    return np.array([[rows]], dtype=float)


def test_on_paper():
    """k = 2, s = 1: both windows have the same winner, and their numbers add up there."""
    y, t = switches(MaxPool2d(2, 1), image([1, 5, 2],
                                           [4, 3, 0]))
    np.testing.assert_array_equal(y, image([5, 5]))
    np.testing.assert_array_equal(t, image([1, 1]))
    layer = MaxUnpool2d((2, 3))
    np.testing.assert_array_equal(layer.forward(image([20, 30]), t), image([0, 50, 0], [0, 0, 0]))
    dy = layer.backward(image([1, 2, 3],
                              [4, 5, 6]))
    np.testing.assert_array_equal(dy, image([2, 2]))


def test_switches_count_along_the_rows_of_the_whole_map():
    _, t = switches(MaxPool2d(2), image([0, 1, 0, 0],
                                        [0, 0, 0, 0],
                                        [0, 0, 0, 3],
                                        [2, 0, 0, 0]))
    np.testing.assert_array_equal(t, image([1, 2], [12, 11]))
    assert t.dtype == np.int64


@POOLS
@pytest.mark.parametrize("whole_numbers", [False, True], ids=["", "ties"])
def test_switches_equal_the_plain_loops(case, whole_numbers):
    pool, (x,) = case.layer(), case.inputs()
    x = np.round(x) if whole_numbers else x
    window = pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode
    y, t = switches(pool, x)
    np.testing.assert_array_equal(y, naive.max_pool2d(x, *window))
    np.testing.assert_array_equal(t, naive.max_pool2d_switches(x, *window))


@POOLS
def test_switches_equal_torchs(case):
    torch = pytest.importorskip("torch")
    pool, (x,) = case.layer(), case.inputs()
    _, theirs = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), pool.kernel_size, pool.stride, pool.padding,
        ceil_mode=pool.ceil_mode, return_indices=True)
    np.testing.assert_array_equal(switches(pool, x)[1], theirs)


@pytest.mark.parametrize("kernel, stride, shape", [(2, 2, (2, 3, 4, 6)), ((2, 3), (3, 4),
                                                                         (2, 3, 7, 10))])
def test_unpooling_equals_torchs_where_windows_do_not_overlap(kernel, stride, shape):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal(shape)
    y, t = switches(MaxPool2d(kernel, stride), x)
    theirs = torch.nn.functional.max_unpool2d(torch.from_numpy(y), torch.from_numpy(t), kernel,
                                              stride, output_size=shape[2:])
    np.testing.assert_array_equal(MaxUnpool2d(shape[2:]).forward(y, t), theirs)


@POOLS
def test_unpooling_is_the_backward_of_pooling(case):
    pool, (x,) = case.layer(), case.inputs()
    y, t = switches(pool, x)
    dy = gradient_like(y)
    pool.forward(x)
    np.testing.assert_allclose(MaxUnpool2d(x.shape[2:]).forward(dy, t), pool.backward(dy),
                               rtol=1e-15)


@pytest.mark.parametrize("case", cases_of(MaxUnpool2d), ids=str)
def test_equals_the_plain_loops(case):
    layer, (y, t) = case.layer(), case.inputs()
    x_hat = layer.forward(y, t)
    np.testing.assert_allclose(x_hat, naive.max_unpool2d(y, t, layer.size), rtol=1e-14)
    d = gradient_like(x_hat)
    np.testing.assert_array_equal(layer.backward(d), naive.max_unpool2d_backward(d, t))


Y = np.ones((1, 1, 2, 2))


@pytest.mark.parametrize("t, message", [
    (np.full((1, 1, 2, 2), 6), r"switches from 0 to 5, places in a map of 2×3; got 6"),
    (np.full((1, 1, 2, 2), -1), "got -1"),
    (np.zeros((1, 1, 2, 1), int), r"integer switches of shape \(1, 1, 2, 2\) .* got int64 of"),
    (np.zeros((1, 1, 2, 2)), "got float64 of shape"),
    ([[0]], "got list"),
])
def test_switches_that_do_not_fit(t, message):
    with pytest.raises(ValueError, match=message):
        MaxUnpool2d((2, 3)).forward(Y, t)


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"expects \(N, C, OH, OW\); got \(2, 2\)"):
        MaxUnpool2d(3).forward(Y[0, 0], np.zeros((2, 2), int))
    with pytest.raises(ValueError, match="MaxUnpool2d: size must be an integer ≥ 1"):
        MaxUnpool2d(0)
    with pytest.raises(ValueError, match="expected a MaxPool2d; got AvgPool2d"):
        switches(AvgPool2d(2), Y)


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_where_no_pixel_is_larger_the_first_has_won(number):
    _, places = switches(MaxPool2d(3, 2, 1), np.full((1, 1, 4, 4), number))
    np.testing.assert_array_equal(places, [[[[0, 1], [4, 5]]]])     # padding never


def test_its_name():
    assert repr(MaxUnpool2d((4, 6))) == "MaxUnpool2d(4×6)"
