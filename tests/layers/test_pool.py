"""Pooling: on paper, against the plain loops, and its errors."""
import numpy as np
import pytest
from layer_cases import cases_of, gradient_like

from scratchnet import naive
from scratchnet.layer import no_grad
from scratchnet.layers import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)],
                                     ids=["float64", "float32"])


def image(*rows):
    return np.array([[rows]], dtype=float)


# ── the maximum ──────────────────────────────────────────────────────────────────────


def test_max_on_paper():
    layer = MaxPool2d(2)
    y = layer.forward(image([1, 2, 8, 3],
                            [4, 3, 5, 7]))
    np.testing.assert_array_equal(y, image([4, 8]))
    np.testing.assert_array_equal(layer.backward(image([10, 20])), image([0, 0, 20, 0],
                                                                         [10, 0, 0, 0]))


def test_a_pixel_that_wins_twice_adds_up():
    """Kernel 3, stride 2, as in AlexNet: columns 0–2 and 2–4 share column 2."""
    layer = MaxPool2d((1, 3), (1, 2))
    np.testing.assert_array_equal(layer.forward(image([1, 2, 9, 4, 5])), image([9, 9]))
    np.testing.assert_array_equal(layer.backward(image([10, 20])), image([0, 0, 30, 0, 0]))


def test_where_numbers_tie_the_first_in_reading_order_wins():
    layer = MaxPool2d(2)
    layer.forward(image([1, 7],
                        [7, 7]))
    np.testing.assert_array_equal(layer.backward(image([5])), image([0, 5], [0, 0]))


def test_padding_never_wins():
    layer = MaxPool2d(2, 2, 1)
    y = layer.forward(image([-1, -2],
                            [-3, -4]))
    np.testing.assert_array_equal(y, image([-1, -2], [-3, -4]))
    np.testing.assert_array_equal(layer.backward(image([1, 2], [3, 4])), image([1, 2], [3, 4]))


def test_where_every_tap_is_padding_for_some_window():
    x = image([1, -2], [-3, -4])
    for y in (MaxPool2d(2, 2, 1).forward(x), naive.max_pool2d(x, (2, 2), (2, 2), (1, 1), False)):
        np.testing.assert_array_equal(y, x)
    with no_grad():
        np.testing.assert_array_equal(MaxPool2d(2, 2, 1).forward(x), x)


def test_max_remembers_one_byte_for_each_place_of_the_dealt_out_image():
    layer = MaxPool2d(3, 2)
    layer.forward(np.ones((2, 3, 9, 7)))
    (row_winner, winner, shape), _ = layer._memory
    assert row_winner.dtype == winner.dtype == np.uint8 and shape == (2, 3, 9, 7)
    assert winner.shape == (2, 3, 5, 4) and row_winner.shape == (2, 2, 3, 5, 4)    # ⌈9/2⌉, ⌈7/2⌉


def test_a_window_of_more_than_256_pixels_knows_which_of_them_won():
    x = np.zeros((1, 1, 1, 300))
    x[..., 290] = 1
    layer = MaxPool2d((1, 300))
    layer.forward(x)
    np.testing.assert_array_equal(layer.backward(image([7])), 7 * x)


@pytest.mark.parametrize("pixel", [-np.inf, np.nan, 3])
def test_the_only_pixel_of_a_window_wins_whatever_it_is(pixel):
    """A window of rows −1 … 3 on an image of one row: no other tap is a pixel."""
    layer = MaxPool2d((5, 1), 5, (1, 0), ceil_mode=True)
    np.testing.assert_array_equal(layer.forward(image([pixel])), image([pixel]))
    np.testing.assert_array_equal(layer.backward(image([7])), image([7]))


@pytest.mark.parametrize("case", cases_of(MaxPool2d), ids=str)
@PRECISIONS
@pytest.mark.parametrize("change", [lambda x: x, np.round, lambda x: np.where(x < 1, -np.inf, x)],
                         ids=["", "ties", "windows full of −∞"])
def test_max_equals_the_plain_loops(case, dtype, tolerance, change):
    layer, (x,) = case.layer(), case.inputs(dtype)
    x = change(x).astype(dtype)
    window = layer.kernel_size, layer.stride, layer.padding
    y = layer.forward(x)
    np.testing.assert_array_equal(y, naive.max_pool2d(x, *window, layer.ceil_mode))
    with no_grad():
        np.testing.assert_array_equal(case.layer().forward(x), y)
    dy = gradient_like(y)
    expected = naive.max_pool2d_backward(dy, x, *window)
    np.testing.assert_allclose(layer.backward(dy), expected, rtol=tolerance, atol=tolerance)


# ── the mean ─────────────────────────────────────────────────────────────────────────


def test_mean_on_paper():
    layer = AvgPool2d(2)
    y = layer.forward(image([1, 2, 8, 3],
                            [4, 5, 5, 8]))
    np.testing.assert_array_equal(y, image([12 / 4, 24 / 4]))
    np.testing.assert_array_equal(layer.backward(image([4, 8])), image([1, 1, 2, 2],
                                                                       [1, 1, 2, 2]))


def test_means_that_overlap_add_up():
    layer = AvgPool2d((1, 3), (1, 2))
    np.testing.assert_array_equal(layer.forward(image([1, 2, 6, 4, 2])), image([3, 4]))
    np.testing.assert_array_equal(layer.backward(image([3, 6])), image([1, 1, 1 + 2, 2, 2]))


@pytest.mark.parametrize("count_include_pad, m", [(True, [3, 2]), (False, [2, 1])])
def test_padding_counts_unless_told_otherwise(count_include_pad, m):
    """Columns −1 … 1 and 2 … 4 of an image with columns 0 … 2, padded to −1 … 3: ceil_mode
    reaches column 4, which is not even padding and never counts."""
    layer = AvgPool2d((1, 3), 3, (0, 1), ceil_mode=True, count_include_pad=count_include_pad)
    y = layer.forward(image([6, 12, 18]))
    np.testing.assert_allclose(y, image([18 / m[0], 18 / m[1]]), rtol=1e-15)
    dx = layer.backward(image([6, 12]))
    np.testing.assert_allclose(dx, image([6 / m[0], 6 / m[0], 12 / m[1]]), rtol=1e-15)


@pytest.mark.parametrize("case", cases_of(AvgPool2d), ids=str)
@PRECISIONS
def test_mean_equals_the_plain_loops(case, dtype, tolerance):
    layer, (x,) = case.layer(), case.inputs(dtype)
    window, count = (layer.kernel_size, layer.stride, layer.padding), layer.count_include_pad
    y = layer.forward(x)
    np.testing.assert_allclose(y, naive.avg_pool2d(x, *window, layer.ceil_mode, count),
                               rtol=tolerance, atol=tolerance)
    dy = gradient_like(y)
    np.testing.assert_allclose(layer.backward(dy), naive.avg_pool2d_backward(dy, x, *window, count),
                               rtol=tolerance, atol=tolerance)


# ── the mean of the whole image, or of a few parts ───────────────────────────────────


def test_whole_image_on_paper():
    layer = AdaptiveAvgPool2d(1)
    np.testing.assert_array_equal(layer.forward(image([1, 2], [3, 6], [0, 0])), image([2]))
    np.testing.assert_array_equal(layer.backward(image([12])), image([2, 2], [2, 2], [2, 2]))


def test_adaptive_windows_on_paper():
    """3 means of 5 columns: columns 0–1, 1–3 and 3–4, for ⌊i·5/3⌋ = 0, 1, 3."""
    layer = AdaptiveAvgPool2d((1, 3))
    y = layer.forward(image([1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(y, image([(1 + 2) / 2, (2 + 3 + 4) / 3, (4 + 5) / 2]))
    dx = layer.backward(image([2, 3, 4]))
    np.testing.assert_array_equal(dx, image([1, 1 + 1, 1, 1 + 2, 2]))


@pytest.mark.parametrize("case", cases_of(AdaptiveAvgPool2d), ids=str)
@PRECISIONS
def test_adaptive_equals_the_plain_loops(case, dtype, tolerance):
    layer, (x,) = case.layer(), case.inputs(dtype)
    expected = naive.adaptive_avg_pool2d(x, layer.output_size)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=tolerance, atol=tolerance)


# ── what they refuse ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("Pool", [MaxPool2d, AvgPool2d])
@pytest.mark.parametrize("arguments, message", [
    ((0,), "kernel_size must be an integer ≥ 1 or a pair of them; got 0"),
    ((2.0,), "kernel_size must be an integer ≥ 1 or a pair of them; got 2.0"),
    ((True,), "kernel_size must be .*; got True"),
    (((2, 3, 4),), r"kernel_size must be .*; got \(2, 3, 4\)"),
    ((2, 0), "stride must be an integer ≥ 1 or a pair of them; got 0"),
    ((2, 2, -1), "padding must be an integer ≥ 0 or a pair of them; got -1"),
    ((3, 2, 2), "padding may be at most half the kernel, or a window would see nothing but "
                "padding; got padding=2, kernel_size=3"),
    (((4, 1), 1, (2, 1)), r"padding may be at most half the kernel, .*; got padding=\(2, 1\)"),
])
def test_numbers_that_make_no_pooling(Pool, arguments, message):
    with pytest.raises(ValueError, match=f"{Pool.__name__}: {message}"):
        Pool(*arguments)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, (1, 0), None])
def test_numbers_that_make_no_adaptive_pooling(size):
    with pytest.raises(ValueError, match="AdaptiveAvgPool2d: output_size must be an integer ≥ 1"):
        AdaptiveAvgPool2d(size)


@pytest.mark.parametrize("layer", [MaxPool2d(2), AvgPool2d(2), AdaptiveAvgPool2d(1)], ids=repr)
@pytest.mark.parametrize("shape", [(5, 6), (3, 5, 6), (1, 2, 3, 5, 6)])
def test_inputs_that_are_no_images(layer, shape):
    with pytest.raises(ValueError, match=r"expects \(N, C, H, W\), channels first; got \("):
        layer.forward(np.ones(shape))


@pytest.mark.parametrize("Pool", [MaxPool2d, AvgPool2d])
def test_images_too_small_for_a_window(Pool):
    with pytest.raises(ValueError, match=r"Pool2d\(kernel 3×2, stride 2\) looks through a window "
                                         r"of 3×2; got images of 2×5: too small. Use larger"):
        Pool((3, 2), 2).forward(np.ones((1, 1, 2, 5)))


def test_repr():
    assert repr(MaxPool2d(3, 2, (0, 1), ceil_mode=True)) == \
        "MaxPool2d(kernel 3, stride 2, padding 0×1, ceil_mode)"
    assert repr(AvgPool2d((2, 3))) == "AvgPool2d(kernel 2×3, stride 2×3)"
    assert repr(AdaptiveAvgPool2d((2, 3))) == "AdaptiveAvgPool2d(2×3)"
    assert repr(AdaptiveAvgPool2d()) == "AdaptiveAvgPool2d(1)"


def test_a_fifth_positional_number_is_no_dilation():
    with pytest.raises(ValueError, match="ceil_mode must be True or False; got 1"):
        MaxPool2d(3, 2, 1, 1)
    with pytest.raises(ValueError, match="count_include_pad must be True or False; got 0"):
        AvgPool2d(3, 2, 1, False, 0)
