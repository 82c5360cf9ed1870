"""Conv2d: on paper, against the plain loops, and its errors."""
import numpy as np
import pytest
from layer_cases import cases_of, gradient_like

from scratchnet import convolution, naive
from scratchnet.layers import Conv2d

CONVS = pytest.mark.parametrize("case", cases_of(Conv2d), ids=str)
PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)],
                                     ids=["float64", "float32"])


def conv(w, b=0.0, **options):
    """A Conv2d with one filter, w (KH, KW)."""
    w = np.array(w, dtype=float)
    layer = Conv2d(1, 1, w.shape, **options).astype(np.float64)
    layer.weight.value[0, 0], layer.bias.value[0] = w, b
    return layer


def image(*rows):
    return np.array([[rows]], dtype=float)


def test_on_paper():
    """The filter takes each pixel minus the one below right of it; the bias is 10."""
    layer = conv([[1, 0],
                  [0, -1]], b=10)
    y = layer.forward(image([1, 2, 3],
                            [4, 5, 6],
                            [7, 8, 9]))
    np.testing.assert_array_equal(y, image([10 + 1 - 5, 10 + 2 - 6],
                                           [10 + 4 - 8, 10 + 5 - 9]))
    dx = layer.backward(image([1, 2],
                              [3, 4]))
    np.testing.assert_array_equal(dx, image([1, 2, 0],              # dy · 1, and
                                            [3, 4 - 1, -2],         # dy · (−1), one further
                                            [0, -3, -4]))
    np.testing.assert_array_equal(layer.weight.grad, image(
        [1 * 1 + 2 * 2 + 3 * 4 + 4 * 5, 1 * 2 + 2 * 3 + 3 * 5 + 4 * 6],
        [1 * 4 + 2 * 5 + 3 * 7 + 4 * 8, 1 * 5 + 2 * 6 + 3 * 8 + 4 * 9]))
    np.testing.assert_array_equal(layer.bias.grad, [1 + 2 + 3 + 4])


def test_stride_and_padding_on_paper():
    layer = conv([[1, 10, 100]], stride=(1, 2), padding=(0, 1))
    y = layer.forward(image([1, 2, 3]))                             # 0 1 2 3 0: two windows
    np.testing.assert_array_equal(y, image([0 + 10 + 200, 2 + 30 + 0]))
    dx = layer.backward(image([1, 2]))
    np.testing.assert_array_equal(dx, image([10, 100 + 2 * 1, 2 * 10]))     # the middle: twice
    np.testing.assert_array_equal(layer.weight.grad, image([0 + 2 * 2, 1 + 2 * 3, 2 + 0]))


def test_dilation_on_paper():
    layer = conv([[1, 10]], dilation=(1, 3))
    y = layer.forward(image([1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(y, image([1 + 10 * 4, 2 + 10 * 5]))
    dx = layer.backward(image([1, 2]))
    np.testing.assert_array_equal(dx, image([1, 2, 0, 10, 20]))             # nobody sees the third
    np.testing.assert_array_equal(layer.weight.grad, image([1 + 2 * 2, 4 + 2 * 5]))


def test_groups_on_paper():
    """Two groups: channels 0, 1 make y_0, channels 2, 3 make y_1."""
    layer = Conv2d(4, 2, 1, groups=2).astype(np.float64)
    layer.weight.value[...] = np.array([[1, 10], [2, 20]])[:, :, None, None]
    y = layer.forward(np.array([3.0, 4, 5, 6]).reshape(1, 4, 1, 1))
    np.testing.assert_array_equal(y.ravel(), [3 + 40, 2 * 5 + 20 * 6])
    dx = layer.backward(np.array([1.0, 2]).reshape(1, 2, 1, 1))
    np.testing.assert_array_equal(dx.ravel(), [1, 10, 2 * 2, 2 * 20])
    np.testing.assert_array_equal(layer.weight.grad[:, :, 0, 0], [[3, 4], [2 * 5, 2 * 6]])
    np.testing.assert_array_equal(layer.bias.grad, [1, 2])


@CONVS
@PRECISIONS
def test_equals_the_plain_loops(case, dtype, tolerance):
    layer, (x,) = case.layer(dtype), case.inputs(dtype)
    w, b = layer.weight.value, layer.bias and layer.bias.value
    y = layer.forward(x)
    dy = gradient_like(y)
    expected = naive.conv2d_backward(dy, x, w, *layer.geometry)
    grads = [layer.backward(dy), layer.weight.grad, *([layer.bias.grad] if layer.bias else [])]
    for ours, loops in zip([y, *grads], [naive.conv2d(x, w, b, *layer.geometry), *expected],
                           strict=False):
        np.testing.assert_allclose(ours, loops, rtol=tolerance, atol=tolerance)
    assert y.shape == naive.conv2d(x, w, b, *layer.geometry).shape


def test_weights_are_he_initialised_and_biases_zero():
    layer = Conv2d(40, 64, (5, 3), groups=2, rng=0)
    fan_in = 20 * 5 * 3
    assert layer.weight.value.shape == (64, 20, 5, 3) and layer.weight.value.dtype == np.float32
    assert layer.weight.value.var() == pytest.approx(2 / fan_in, rel=0.03)
    assert abs(layer.weight.value.mean()) < 0.03 * (2 / fan_in) ** 0.5
    assert layer.bias.value.tolist() == [0] * 64 and Conv2d(2, 3, 1, bias=False).bias is None


def test_rng_is_a_seed_a_generator_or_fresh():
    def weights(rng):
        return Conv2d(2, 3, 3, rng=rng).weight.value.tobytes()
    generator = np.random.default_rng(7)
    assert weights(7) == weights(7) == weights(generator) != weights(generator)
    assert weights(None) != weights(None)


@pytest.mark.parametrize("arguments, message", [
    ((0, 3, 3), "in_channels must be an integer ≥ 1; got 0"),
    ((2, -1, 3), "out_channels must be an integer ≥ 1; got -1"),
    ((2.0, 3, 3), "in_channels must be an integer ≥ 1; got 2.0"),
    ((True, 3, 3), "in_channels must be an integer ≥ 1; got True"),
    (((2, 2), 3, 3), r"in_channels must be an integer ≥ 1; got \(2, 2\)"),
    ((2, 3, 0), "kernel_size must be an integer ≥ 1 or a pair of them; got 0"),
    ((2, 3, 2.5), "kernel_size must be an integer ≥ 1 or a pair of them; got 2.5"),
    ((2, 3, True), "kernel_size must be an integer ≥ 1 or a pair of them; got True"),
    ((2, 3, (3, 3, 3)), r"kernel_size must be .* a pair of them; got \(3, 3, 3\)"),
    ((2, 3, 3, 0), "stride must be an integer ≥ 1 or a pair of them; got 0"),
    ((2, 3, 3, (1, -1)), r"stride must be .*; got \(1, -1\)"),
    ((2, 3, 3, 1, -1), "padding must be an integer ≥ 0 or a pair of them; got -1"),
    ((2, 3, 3, 1, "same"), "padding must be .*; got 'same'"),
    ((2, 3, 3, 1, 0, 0), "dilation must be .*; got 0"),
    ((4, 6, 3, 1, 0, 1, 0), "groups must be an integer ≥ 1; got 0"),
    ((4, 6, 3, 1, 0, 1, 3), "groups=3 must divide in_channels=4 and out_channels=6"),
    ((6, 4, 3, 1, 0, 1, 3), "groups=3 must divide in_channels=6 and out_channels=4"),
])
def test_numbers_that_make_no_convolution(arguments, message):
    with pytest.raises(ValueError, match=f"Conv2d: {message}"):
        Conv2d(*arguments)


@pytest.mark.parametrize("shape, message", [
    ((3, 8, 9), r"expects \(N, 3, H, W\), channels first; got \(3, 8, 9\)"),
    ((2, 8, 9, 3), r"expects \(N, 3, H, W\), channels first; got \(2, 8, 9, 3\)"),
    ((2, 4, 8, 9), r"expects \(N, 3, H, W\), channels first; got \(2, 4, 8, 9\)"),
    ((2, 3, 8, 0), r"every size at least 1; got \(2, 3, 8, 0\), which is empty"),
    ((2, 3, 4, 9), "window of 5×3; got images of 4×9, with padding 4×11: too small. Use larger "
                   "images, more padding, or less shrinking"),
    ((2, 3, 9, 0 + 1), None),
])
def test_images_that_do_not_fit(shape, message):
    layer = Conv2d(3, 4, (3, 2), padding=(0, 1), dilation=2)            # sees 5×3 pixels
    if message is None:
        assert layer.forward(np.ones(shape, np.float32)).shape == (2, 4, 5, 1)
        return
    with pytest.raises(ValueError, match=message) as error:
        layer.forward(np.ones(shape, np.float32))
    assert "Conv2d(3→4, kernel 3×2, stride 1, padding 0×1, dilation 2)" in str(error.value)


def test_numpy_integers_are_integers():
    layer = Conv2d(np.int64(2), 3, np.int32(3), stride=(np.int64(1), 2))
    assert layer.kernel_size == (3, 3) and layer.geometry.stride == (1, 2)
    assert repr(layer) == "Conv2d(2→3, kernel 3, stride 1×2)"


def test_repr():
    assert repr(Conv2d(4, 6, 3, 2, 1, (1, 2), 2, bias=False)) == \
        "Conv2d(4→6, kernel 3, stride 2, padding 1, dilation 1×2, groups 2, no bias)"


def test_an_algorithm_asked_for_is_used(monkeypatch):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6), dtype=np.float32)
    layer, asked = Conv2d(3, 4, 3, rng=0, algorithm="im2col"), Conv2d(3, 4, 3, rng=0,
                                                                      algorithm="winograd_rows")
    assert repr(asked) == "Conv2d(3→4, kernel 3, stride 1, by winograd_rows)"
    used = []
    for what in ("forward", "backward_x", "backward_w"):
        function = getattr(convolution.winograd_rows, what)
        monkeypatch.setattr(convolution.winograd_rows, what, lambda *a, f=function, what=what: (
            used.append(what) or f(*a)))
    y, y_asked = layer(x), asked(x)
    np.testing.assert_allclose(y_asked, y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(asked.backward(y), layer.backward(y), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(asked.weight.grad, layer.weight.grad, rtol=1e-4, atol=1e-3)
    assert sorted(used) == ["backward_w", "backward_x", "forward"]


def test_an_algorithm_that_is_not_there():
    with pytest.raises(ValueError, match="Conv2d: algorithm must be None or one of depthwise, .*; "
                                         "got 'fft'"):
        Conv2d(3, 4, 3, algorithm="fft")
    with pytest.raises(ValueError, match="'winograd' cannot compute this convolution; im2col, "):
        Conv2d(3, 4, 5, algorithm="winograd")(np.zeros((1, 3, 8, 8), np.float32))
