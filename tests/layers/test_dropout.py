"""Dropout: its mask, its mean, and its errors."""
import numpy as np
import pytest

from scratchnet.layer import no_grad
from scratchnet.layers import Dropout


def test_on_paper():
    """p = 1/2: what is kept is doubled, and so is its gradient; the rest is silent."""
    layer = Dropout(0.5, rng=0)
    kept = np.random.default_rng(0).random((2, 3), dtype=np.float32) >= 0.5
    assert 0 < kept.sum() < 6
    x = np.array([[1.0, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(layer.forward(x), np.where(kept, 2 * x, 0))
    np.testing.assert_array_equal(layer.backward(10 * x), np.where(kept, 20 * x, 0))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_dropped_is_p_and_the_mean_stays(p):
    layer, x = Dropout(p, rng=1), np.ones((200, 500))
    y = layer.forward(x)
    assert (y == 0).mean() == pytest.approx(p, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - p)], rtol=1e-15)
    np.testing.assert_array_equal(layer.backward(x), y)             # the same mask


def test_each_forward_draws_a_new_mask_from_its_own_generator():
    x = np.ones(1000)
    first, twin, other = Dropout(rng=3), Dropout(rng=3), Dropout(rng=4)
    one, two = first(x), first(x)
    assert (one != two).any() and (one != other(x)).any()
    np.testing.assert_array_equal(one, twin(x))
    np.testing.assert_array_equal(two, twin(x))
    np.testing.assert_array_equal(Dropout(rng=np.random.default_rng(3))(x), one)
    assert (Dropout()(x) != Dropout()(x)).any()


def test_backward_uses_the_mask_of_its_forward():
    layer, x = Dropout(rng=5), np.ones(100)
    y = layer.forward(x)
    with no_grad():
        layer.forward(x)                                            # another mask, not kept
    np.testing.assert_array_equal(layer.backward(x), y)


@pytest.mark.parametrize("layer", [Dropout(0.5).eval(), Dropout(0)], ids=["eval", "p = 0"])
def test_nothing_happens_in_evaluation_or_with_p_0(layer):
    x = np.array([1.0, -2, 3])
    state = layer.rng.bit_generator.state
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(5 * x), 5 * x)
    assert layer.rng.bit_generator.state == state                   # nothing was drawn


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, True, float("nan")])
def test_p_that_is_no_probability(p):
    with pytest.raises(ValueError, match=f"Dropout: p is the probability .* 0 ≤ p < 1; got {p}"):
        Dropout(p)
