"""ConvTranspose2d: on paper, against the plain loops, as the transpose of Conv2d, its errors."""
import numpy as np
import pytest
from layer_cases import cases_of, gradient_like

from scratchnet import cost, naive
from scratchnet.layers import Conv2d, ConvTranspose2d, Sequential

CASES = pytest.mark.parametrize("case", cases_of(ConvTranspose2d), ids=str)
PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)],
                                     ids=["float64", "float32"])


def transpose(w, b=0.0, **options):
    """A ConvTranspose2d with one filter, w (KH, KW)."""
    w = np.array(w, dtype=float)
    layer = ConvTranspose2d(1, 1, w.shape, **options).astype(np.float64)
    layer.weight.value[0, 0], layer.bias.value[0] = w, b
    return layer


def image(*rows):
    return np.array([[rows]], dtype=float)


def test_on_paper():
    """Each of the two pixels paints the filter 1 10 100, two columns apart."""
    layer = transpose([[1, 10, 100]], b=1000, stride=(1, 2))
    y = layer.forward(image([2, 3]))
    np.testing.assert_array_equal(y, 1000 + image([2, 20, 200 + 3, 30, 300]))
    dx = layer.backward(image([1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(dx, image([1 + 20 + 300, 3 + 40 + 500]))
    np.testing.assert_array_equal(layer.weight.grad, image([2 * 1 + 3 * 3, 2 * 2 + 3 * 4,
                                                            2 * 3 + 3 * 5]))
    np.testing.assert_array_equal(layer.bias.grad, [15])


def test_padding_cuts_off_and_output_padding_puts_on():
    cut = transpose([[1, 10, 100]], stride=(1, 2), padding=(0, 1))
    np.testing.assert_array_equal(cut.forward(image([2, 3])), image([20, 203, 30]))
    more = transpose([[1, 10, 100]], stride=(1, 2), padding=(0, 1), output_padding=(0, 1))
    np.testing.assert_array_equal(more.forward(image([2, 3])), image([20, 203, 30, 300]))
    empty = transpose([[1]], stride=(1, 3), output_padding=(0, 2))
    np.testing.assert_array_equal(empty.forward(image([2, 3])), image([2, 0, 0, 3, 0, 0]))


@CASES
@PRECISIONS
def test_equals_the_plain_loops(case, dtype, tolerance):
    layer, (x,) = case.layer(dtype), case.inputs(dtype)
    w, b = layer.weight.value, layer.bias and layer.bias.value
    stride, padding, *rest = layer.geometry
    y = layer.forward(x)
    expected = naive.conv_transpose2d(x, w, b, stride, padding, layer.output_padding, *rest)
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    dy = gradient_like(y)
    dx, dw, db = naive.conv_transpose2d_backward(dy, x, w, stride, padding, *rest)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(layer.weight.grad, dw, rtol=tolerance, atol=10 * tolerance)
    if layer.bias is not None:
        np.testing.assert_allclose(layer.bias.grad, db, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("size", [(7, 9), (8, 9), (8, 10), (9, 8)])
def test_it_is_the_backward_of_a_convolution_of_any_size(size):
    conv = Conv2d(4, 6, (3, 2), (2, 3), 1, groups=2, bias=False, rng=0).astype(np.float64)
    x = np.random.default_rng(1).standard_normal((2, 4, *size))
    y = conv.forward(x)
    back = ConvTranspose2d(6, 4, (3, 2), (2, 3), 1, ((size[0] - 1) % 2, size[1] % 3), groups=2,
                           bias=False)
    back.weight = conv.weight
    dy = gradient_like(y)
    np.testing.assert_array_equal(back.forward(dy), conv.backward(dy))


def test_the_start_keeps_the_size_of_numbers_behind_a_relu():
    """He's rule: y² is on average twice x² where all of y is summed from about as many terms."""
    x = np.random.default_rng(0).standard_normal((4, 16, 20, 20), np.float32)
    y = ConvTranspose2d(16, 32, 4, 2, rng=0).forward(x)[:, :, 4:-4, 4:-4]
    assert (y**2).mean() == pytest.approx(2, rel=0.1)


def test_its_cost_is_counted():
    net = Sequential(up=ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), groups=2, rng=0))
    row, = cost.summary(net, (4, 5, 7)).rows
    assert row.output_shape == (6, 10, 20)
    assert row.macs == 5 * 7 * 4 * 3 * 3 * 2                # pixels of x · C · O/g · KH·KW
    assert row.params == 4 * 3 * 3 * 2 + 6
    assert cost.params_sum(net.up) == "72 + 6"


@pytest.mark.parametrize("arguments, message", [
    ((0, 2, 3), "in_channels must be an integer ≥ 1; got 0"),
    ((4, 6, 3, 1, 0, 0, 1, 4), "groups=4 must divide in_channels=4 and out_channels=6"),
    ((2, 2, 3, 2, 0, 2), "output_padding must be smaller than the stride: .*got 2"),
    ((2, 2, 3, (2, 1), 0, (1, 1)), r"stride 2×1 .*got \(1, 1\)"),
    ((2, 2, 3, 1, 0, -1), "output_padding must be an integer ≥ 0"),
])
def test_what_it_refuses_to_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvTranspose2d(*arguments)


def test_what_it_refuses_to_read():
    with pytest.raises(ValueError, match=r"expects \(N, 2, H, W\), channels first; got \(1, 3"):
        ConvTranspose2d(2, 3, 3).forward(np.ones((1, 3, 4, 4), np.float32))
    with pytest.raises(ValueError, match="cuts off its padding, and of images of 1×2 nothing"):
        ConvTranspose2d(2, 3, 3, padding=2).forward(np.ones((1, 2, 1, 2), np.float32))


def test_its_name():
    assert repr(ConvTranspose2d(4, 6, (3, 2), 2, 1, (1, 0), groups=2, bias=False)) == \
        "ConvTranspose2d(4→6, kernel 3×2, stride 2, padding 1, output +1×0, groups 2, no bias)"
