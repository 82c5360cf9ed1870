"""StochasticDepth: whole images or nothing, its mean, its generator, and its errors."""
import numpy as np
import pytest

from scratchnet.layer import no_grad
from scratchnet.layers import Residual, StochasticDepth, Tanh


def test_on_paper():
    """p = 1/2: an image that is kept is doubled, and so is its gradient; the others are silent."""
    layer = StochasticDepth(0.5, rng=0)
    kept = np.random.default_rng(0).random(4) >= 0.5
    assert kept.tolist() == [True, False, False, False]
    x = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    np.testing.assert_array_equal(layer.forward(x), [[2, 4], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(layer.backward(10 * x), [[20, 40], [0, 0], [0, 0], [0, 0]])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_images_are_left_out_and_the_mean_stays(p, dtype):
    layer, x = StochasticDepth(p, rng=1), np.ones((20_000, 2, 1, 3), dtype)
    y = layer.forward(x)
    m = y[:, 0, 0, 0]
    assert (y == m[:, None, None, None]).all()                      # one factor an image
    np.testing.assert_allclose(np.unique(m), [0, 1 / (1 - p)], rtol=1e-6)
    assert (m == 0).mean() == pytest.approx(p, abs=0.015)
    assert m.mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(layer.backward(x), y)             # the same factors


def test_each_forward_draws_anew_from_its_own_generator():
    x = np.ones((1000, 2))
    first, twin, other = (StochasticDepth(0.5, rng=seed) for seed in (3, 3, 4))
    one, two = first(x), first(x)
    assert (one != two).any() and (one != other(x)).any()
    np.testing.assert_array_equal(one, twin(x))
    np.testing.assert_array_equal(two, twin(x))
    np.testing.assert_array_equal(StochasticDepth(0.5, rng=np.random.default_rng(3))(x), one)
    assert (StochasticDepth(0.5)(x) != StochasticDepth(0.5)(x)).any()


def test_one_draw_an_image_whatever_its_size():
    """So that a network draws the same for images of any size and on both devices."""
    small, large = StochasticDepth(0.5, rng=3), StochasticDepth(0.5, rng=3)
    m = small(np.ones((50, 1)))
    np.testing.assert_array_equal(large(np.ones((50, 4, 3, 2)))[:, 1, 2, 1], m[:, 0])
    assert small.rng.bit_generator.state == large.rng.bit_generator.state


def test_backward_uses_the_mask_of_its_forward():
    layer, x = StochasticDepth(0.5, rng=5), np.ones((100, 1))
    y = layer.forward(x)
    with no_grad():
        layer.forward(x)                                            # another mask, not kept
    np.testing.assert_array_equal(layer.backward(x), y)


def test_in_a_residual_block_an_image_passes_through_the_shortcut_alone():
    """y = x + m·f(x): where m = 0 the block is the identity, and so is its gradient."""
    block, x = Residual(Tanh(), StochasticDepth(0.5, rng=0)), np.full((4, 3), 0.3)
    y, dx = block.forward(x), block.backward(np.ones((4, 3)))
    np.testing.assert_array_equal(y[1:], x[1:])
    np.testing.assert_array_equal(dx[1:], 1)
    t = np.tanh(0.3)
    np.testing.assert_allclose(y[0], 0.3 + 2 * t, rtol=1e-15)
    np.testing.assert_allclose(dx[0], 1 + 2 * (1 - t * t), rtol=1e-15)


@pytest.mark.parametrize("layer", [StochasticDepth(0.5).eval(), StochasticDepth(0)],
                         ids=["eval", "p = 0"])
def test_nothing_happens_in_evaluation_or_with_p_0(layer):
    x = np.array([[1.0], [-2], [3]])
    state = layer.rng.bit_generator.state
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(5 * x), 5 * x)
    assert layer.rng.bit_generator.state == state                   # nothing was drawn


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, True, float("nan")])
def test_p_that_is_no_probability(p):
    with pytest.raises(ValueError, match=f"StochasticDepth: p is the probability of leaving a "
                                         f"branch out, 0 ≤ p < 1; got {p}"):
        StochasticDepth(p)


def test_a_single_number_is_no_batch():
    with pytest.raises(ValueError, match=r"images of a batch \(N, …\); got a single number"):
        StochasticDepth(0.5).forward(np.array(1.0))
