"""BatchNorm2d: on paper, against the plain loops, its running averages and its errors."""
import numpy as np
import pytest
from layer_cases import cases_of

from scratchnet import naive
from scratchnet.layer import no_grad
from scratchnet.layers import BatchNorm2d, Sequential


def one_channel(gamma=3.0, beta=5.0):
    """ε so small that it does not disturb the arithmetic."""
    layer = BatchNorm2d(1, eps=1e-300).astype(np.float64)
    layer.weight.value[0], layer.bias.value[0] = gamma, beta
    return layer


def batch(*numbers):
    return np.array(numbers, dtype=float).reshape(len(numbers), 1, 1, 1)


def test_training_on_paper():
    """1, 1, 3, 3 have mean 2 and variance 1, so x̂ = −1, −1, 1, 1 and y = 3·x̂ + 5."""
    layer = one_channel()
    np.testing.assert_array_equal(layer.forward(batch(1, 1, 3, 3)), batch(2, 2, 8, 8))
    dx = layer.backward(batch(1, 2, 3, 6))
    assert layer.bias.grad == [1 + 2 + 3 + 6]                   # dβ = 12, its mean is 3
    assert layer.weight.grad == [-1 - 2 + 3 + 6]                # dγ = 6, its mean is 3/2
    np.testing.assert_array_equal(dx, 3 * batch(1 - 3 + 1.5,    # γ · (dy − 3 − x̂ · 3/2)
                                                2 - 3 + 1.5,
                                                3 - 3 - 1.5,
                                                6 - 3 - 1.5))
    np.testing.assert_allclose(layer.running_mean, [0.9 * 0 + 0.1 * 2], rtol=1e-15)
    np.testing.assert_allclose(layer.running_var, [0.9 * 1 + 0.1 * 1 * 4 / 3], rtol=1e-15)


def test_evaluation_on_paper():
    """With running mean 1 and variance 4: x̂ = (x − 1)/2, a straight line of slope γ/2."""
    layer = one_channel().eval()
    layer.running_mean[0], layer.running_var[0] = 1, 4
    np.testing.assert_array_equal(layer.forward(batch(1, 3)), batch(5 + 0, 5 + 3 * 1))
    np.testing.assert_array_equal(layer.backward(batch(2, 8)), batch(2 * 3 / 2, 8 * 3 / 2))
    assert layer.bias.grad == [2 + 8] and layer.weight.grad == [2 * 0 + 8 * 1]
    assert layer.running_mean == [1] and layer.running_var == [4]


def test_epsilon_stands_inside_the_root():
    layer = BatchNorm2d(1, eps=3).astype(np.float64)
    np.testing.assert_array_equal(layer.forward(batch(1, 1, 3, 3)), batch(-1, -1, 1, 1) / 2)


@pytest.mark.parametrize("case", cases_of(BatchNorm2d), ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_equals_the_plain_loops(case, dtype, tolerance):
    layer, (x,) = case.layer(dtype), case.inputs(dtype)
    expected = naive.batch_norm2d(x, layer.weight.value, layer.bias.value, layer.eps)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=tolerance, atol=tolerance)


def test_every_channel_comes_out_with_mean_0_and_variance_1():
    x = 100 + 7 * np.random.default_rng(0).standard_normal((5, 4, 6, 3))
    y = BatchNorm2d(4).astype(np.float64).forward(x)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_float32_keeps_its_digits_far_from_zero():
    """E[x²] − E[x]² would lose them all at a mean of 1000."""
    x = 1000 + np.random.default_rng(0).standard_normal((8, 2, 5, 7))
    single = BatchNorm2d(2).forward(x.astype(np.float32))
    np.testing.assert_allclose(single, BatchNorm2d(2).astype(np.float64).forward(x), atol=1e-3)


@pytest.mark.parametrize("dtype, tolerance", [(np.float16, 0.02), (np.float32, 1e-6)])
@pytest.mark.parametrize("training", [True, False])
def test_y_keeps_its_digits_far_from_zero(dtype, tolerance, training):
    """β − μ·γ/σ has an error of μ/σ times the rounding; x and μ here are exact in either dtype."""
    x = np.array([[[[99, 100, 101], [102, 98, 100]]]], dtype)
    layer = BatchNorm2d(1).astype(dtype)
    layer.running_mean[...], layer.running_var[...] = 100, 5 / 3
    layer.bias.value[...] = 0.5
    layer.train(training)
    exact = 0.5 + (x.astype(np.float64) - 100) / np.sqrt(5 / 3 + 1e-5)
    np.testing.assert_allclose(layer.forward(x), exact, atol=tolerance)
    if not training:
        with no_grad():
            np.testing.assert_allclose(Sequential(layer)(x), exact, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_large_constant_gives_beta(dtype):
    layer, x = BatchNorm2d(1).astype(dtype), np.full((2, 1, 3, 3), 3000, dtype)
    layer.bias.value[...] = 0.125
    assert (layer.forward(x) == 0.125).all()
    layer.running_mean[...], layer.running_var[...] = 3000, 0
    assert (layer.eval().forward(x) == 0.125).all()


def test_running_averages_approach_the_true_ones_and_only_training_moves_them():
    rng, layer = np.random.default_rng(1), BatchNorm2d(2).astype(np.float64)
    for _ in range(200):
        layer.forward(np.array([3.0, -2])[:, None, None] + 2 * rng.standard_normal((64, 2, 3, 3)))
    np.testing.assert_allclose(layer.running_mean, [3, -2], atol=0.05)
    np.testing.assert_allclose(layer.running_var, [4, 4], rtol=0.05)
    before = layer.state_dict()
    with no_grad():
        layer.eval().forward(rng.standard_normal((4, 2, 3, 3)))
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_constant_channel_gives_beta():
    layer = BatchNorm2d(2).astype(np.float64)
    layer.bias.value[...] = [4, -1]
    y = layer.forward(np.full((3, 2, 2, 2), 7.0))
    np.testing.assert_array_equal(y, np.broadcast_to([[[4]], [[-1]]], y.shape))
    assert np.isfinite(layer.backward(np.ones(y.shape))).all()


def test_state_dict_holds_buffers_in_order():
    assert list(BatchNorm2d(3).state_dict()) == ["weight", "bias", "running_mean", "running_var"]


@pytest.mark.parametrize("arguments, message", [
    ((0,), "num_features must be an integer ≥ 1; got 0"),
    ((3.0,), "num_features must be an integer ≥ 1; got 3.0"),
    ((True,), "num_features must be an integer ≥ 1; got True"),
    (((2, 2),), "num_features must be an integer ≥ 1"),
    ((3, 0), "eps must be above 0, or a constant channel divides by zero; got 0"),
    ((3, -1e-5), "eps must be above 0"),
    ((3, float("nan")), "eps must be above 0"),
    ((3, 1e-5, 1.5), "momentum is the share of the new batch .* 0 to 1; got 1.5"),
    ((3, 1e-5, -0.1), "momentum .* got -0.1"),
])
def test_numbers_that_make_no_layer(arguments, message):
    with pytest.raises(ValueError, match=f"BatchNorm2d: {message}"):
        BatchNorm2d(*arguments)


@pytest.mark.parametrize("shape", [(2, 3), (3, 4, 5), (2, 4, 5, 3), (2, 4, 3, 3)])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"BatchNorm2d\(3\) expects \(N, 3, H, W\), channels"):
        BatchNorm2d(3).forward(np.ones(shape, np.float32))


def test_one_number_has_no_variance():
    layer, x = BatchNorm2d(3), np.ones((1, 3, 1, 1), np.float32)
    with pytest.raises(ValueError, match=r"more than one number a channel to train on; got "
                                         r"\(1, 3, 1, 1\): use a larger batch, or .eval\(\)"):
        layer.forward(x)
    assert (layer.running_mean == 0).all()
    layer.eval().forward(x)


def test_numpy_constants_do_not_turn_float32_into_float64():
    bn = BatchNorm2d(2, eps=np.float64(1e-3), momentum=np.float64(0.1))
    y = bn.forward(np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3))
    assert y.dtype == bn.running_mean.dtype == bn.running_var.dtype == np.float32
