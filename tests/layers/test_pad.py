"""ZeroPad2d: on paper, against the plain loops, what shifting means, and its errors."""
import numpy as np
import pytest
from layer_cases import cases_of, gradient_like

from scratchnet import naive
from scratchnet.layers import Conv2d, Sequential, ZeroPad2d


def image(*rows):
    return np.array([[rows]], dtype=float)


def test_on_paper():
    """(left, right, top, bottom) = (1, 2, 0, 1): the order is PyTorch's."""
    layer = ZeroPad2d((1, 2, 0, 1))
    y = layer.forward(image([1, 2],
                            [3, 4]))
    np.testing.assert_array_equal(y, image([0, 1, 2, 0, 0],
                                           [0, 3, 4, 0, 0],
                                           [0, 0, 0, 0, 0]))
    np.testing.assert_array_equal(naive.zero_pad2d(image([1, 2], [3, 4]), 1, 2, 0, 1), y)
    dx = layer.backward(image([10, 11, 12, 13, 14],
                              [20, 21, 22, 23, 24],
                              [30, 31, 32, 33, 34]))
    np.testing.assert_array_equal(dx, image([11, 12],
                                            [21, 22]))      # the frame's gradient goes nowhere


def test_negative_sides_cut_off_on_paper():
    """(−1, 1, −1, 0): the first row and column go, a zero column comes on the right."""
    layer = ZeroPad2d((-1, 1, -1, 0))
    y = layer.forward(image([1, 2, 3],
                            [4, 5, 6]))
    np.testing.assert_array_equal(y, image([5, 6, 0]))
    np.testing.assert_array_equal(naive.zero_pad2d(image([1, 2, 3], [4, 5, 6]), -1, 1, -1, 0), y)
    dx = layer.backward(image([50, 60, 70]))
    np.testing.assert_array_equal(dx, image([0, 0, 0],      # what was cut off gets 0
                                            [0, 50, 60]))


@pytest.mark.parametrize("case", cases_of(ZeroPad2d), ids=str)
def test_equals_the_plain_loops(case):
    layer, (x,) = case.layer(), case.inputs()
    y = layer.forward(x)
    np.testing.assert_array_equal(y, naive.zero_pad2d(x, *layer.padding))
    dy = gradient_like(y)
    opposite = [-side for side in layer.padding]            # backward pads by the opposite
    np.testing.assert_array_equal(layer.backward(dy), naive.zero_pad2d(dy, *opposite))


def test_one_number_pads_all_four_sides():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    np.testing.assert_array_equal(ZeroPad2d(2)(x), ZeroPad2d([2, 2, 2, 2])(x))
    np.testing.assert_array_equal(ZeroPad2d(2)(x), np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))))
    assert repr(ZeroPad2d(2)) == "ZeroPad2d(2, 2, 2, 2)"


def test_padding_before_and_cutting_after_moves_a_strided_window_by_one_pixel():
    """A 3×3 window with stride 2 and padding 1 is centred on pixels 0, 2, …; shifted as in
    models/nasnet.py, on 1, 3, …: as if the image were padded below and on the right only."""
    conv = Conv2d(2, 3, 3, stride=2, padding=1, rng=0).astype(np.float64)
    below = Conv2d(2, 3, 3, stride=2, rng=0).astype(np.float64)
    x = np.random.default_rng(0).standard_normal((2, 2, 6, 8))
    shifted = Sequential(ZeroPad2d((1, 0, 1, 0)), conv, ZeroPad2d((-1, 0, -1, 0)))
    np.testing.assert_allclose(shifted(x), below(ZeroPad2d((0, 1, 0, 1))(x)), rtol=1e-13)


def test_the_result_is_a_new_array_even_with_padding_0():
    layer, x = ZeroPad2d(0), np.ones((1, 2, 3, 4))
    y = layer.forward(x)
    assert not np.shares_memory(y, x) and not np.shares_memory(layer.backward(y), y)


@pytest.mark.parametrize("padding", [
    (1, 2), (1, 2, 3), (1, 2, 3, 4, 5), (), 1.0, (1, 2, 3, 0.5), True, (1, 1, 1, True), "1", None])
def test_what_is_no_padding(padding):
    with pytest.raises(ValueError, match=r"ZeroPad2d: padding is \(left, right, top, bottom\), "
                                         r"four integers, or one for all sides; got "):
        ZeroPad2d(padding)


@pytest.mark.parametrize("padding", [
    -2, (0, 0, -3, 0), (0, 0, 0, -3), (0, 0, -1, -2), (-4, 0, 0, 0), (-2, -2, 0, 0),
    (0, 0, -3, 5), (9, -4, 0, 0), (0, 0, 7, -4)], ids=str)
def test_cutting_everything_off(padding):
    """Also where zeros on the other side would give y a size again."""
    with pytest.raises(ValueError, match=r"ZeroPad2d\(.*\) leaves nothing of images of 3×4: cut"):
        ZeroPad2d(padding).forward(np.ones((2, 1, 3, 4)))


def test_one_row_may_be_left():
    np.testing.assert_array_equal(ZeroPad2d((0, 0, -2, 0))(image([1], [2], [3])), image([3]))


def test_what_are_no_images():
    with pytest.raises(ValueError, match=r"expects \(N, C, H, W\), channels first; got \(3, 4\)"):
        ZeroPad2d(1).forward(np.ones((3, 4)))
