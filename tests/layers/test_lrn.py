"""LocalResponseNorm: on paper, against the plain loops, and its errors."""
import numpy as np
import pytest
from layer_cases import cases_of

from scratchnet import naive
from scratchnet.layers import LocalResponseNorm


def pixel(*channels):
    return np.array(channels, dtype=float).reshape(1, -1, 1, 1)


def test_on_paper():
    """k = α = β = 1, n = 3: b_i = a_i / (1 + the squares of a_i and of both neighbours)."""
    layer = LocalResponseNorm(3, alpha=1, beta=1, k=1)
    b = layer.forward(pixel(1, 2, 0))                           # s = 6, 6, 5
    np.testing.assert_allclose(b, pixel(1 / 6, 2 / 6, 0 / 5), rtol=1e-15)
    # ∂b_0/∂a = (6 − 2·1·1, −2·1·2, 0) / 36         own − cross; a_2 is not near b_0
    # ∂b_1/∂a = (−2·2·1, 6 − 2·2·2, −2·2·0) / 36
    # ∂b_2/∂a = (0, −2·0·2, 5 − 2·0·0) / 25
    da = layer.backward(pixel(36, 36, 25))
    np.testing.assert_allclose(da, pixel(4 - 4, -4 - 2, 5), rtol=1e-14, atol=1e-14)


def test_an_even_window_leans_to_the_channels_before():
    """n = 2: b_i sees a_{i−1} and a_i, so s = 2, 6 for a = 1, 2."""
    layer = LocalResponseNorm(2, alpha=1, beta=1, k=1)
    np.testing.assert_allclose(layer.forward(pixel(1, 2)), pixel(1 / 2, 2 / 6), rtol=1e-15)
    # ∂b_0/∂a = (2 − 2·1·1, 0) / 4       ∂b_1/∂a = (−2·2·1, 6 − 2·2·2) / 36
    np.testing.assert_allclose(layer.backward(pixel(4, 36)), pixel(0 - 4, -2), rtol=1e-14)


def test_the_papers_constants_are_the_defaults():
    layer = LocalResponseNorm()
    assert (layer.size, layer.k, layer.alpha, layer.beta) == (5, 2.0, 1e-4, 0.75)
    a = pixel(*range(100, 700, 100))
    s = 2 + 1e-4 * (100**2 + 200**2 + 300**2)                   # channel 0 sees 0, 1, 2
    assert layer.forward(a)[0, 0, 0, 0] == pytest.approx(100 / s**0.75, rel=1e-14)


@pytest.mark.parametrize("case", cases_of(LocalResponseNorm), ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_equals_the_plain_loops(case, dtype, tolerance):
    layer, (a,) = case.layer(dtype), case.inputs(dtype)
    expected = naive.local_response_norm(a, layer.size, layer.alpha, layer.beta, layer.k)
    np.testing.assert_allclose(layer.forward(a), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("options, message", [
    ({"size": 0}, "size must be an integer ≥ 1; got 0"),
    ({"size": 2.5}, "size must be an integer ≥ 1; got 2.5"),
    ({"size": True}, "size must be an integer ≥ 1; got True"),
    ({"size": (3, 3)}, "size must be an integer ≥ 1"),
    ({"k": 0}, "k must be above 0, .* got k=0"),
    ({"alpha": -1e-4}, "alpha at least 0 .* got k=2.0, alpha=-0.0001"),
    ({"alpha": float("nan")}, "alpha=nan"),
    ({"beta": float("inf")}, "beta=inf"),
])
def test_numbers_that_make_no_layer(options, message):
    with pytest.raises(ValueError, match=f"LocalResponseNorm.*{message}"):
        LocalResponseNorm(**options)


@pytest.mark.parametrize("shape", [(7,), (2, 7), (7, 3, 3)])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"expects \(N, C, H, W\), channels first; got \("):
        LocalResponseNorm().forward(np.ones(shape))
