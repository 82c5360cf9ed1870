"""Occlusion: on paper, equal to covering by hand, and its errors."""
import io

import numpy as np
import pytest
from test_find import state

from scratchnet import models
from scratchnet.layers import Flatten, Linear, Sequential
from scratchnet.visualize.occlusion import Occlusion, _edges, occlusion, occlusion_figure


def pixels(weights):
    """A network of two classes; the logit of class 1 is Σ w·x, that of class 0 is 0."""
    w = np.array(weights, dtype=float)
    net = Sequential(flatten=Flatten(), fc=Linear(w.size, 2)).astype(np.float64)
    net.fc.weight.value[...] = [np.zeros(w.size), w.ravel()]
    return net


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_on_paper():
    found = Occlusion(np.array([[0.9, 0.3, 1.0]]), 0.9, np.array([0]), np.array([0, 1, 2]), (1, 1),
                      (1, 3))
    np.testing.assert_allclose(found.drop(), [[0, 0.6, -0.1]], atol=1e-15)


def test_squares_that_overlap_are_averaged():
    found = Occlusion(np.array([[0.5, 0.1]]), 0.9, np.array([0]), np.array([0, 1]), (1, 2), (1, 3))
    np.testing.assert_allclose(found.drop(), [[0.4, 0.6, 0.8]], rtol=1e-12)


def test_a_covered_pixel_takes_its_part_of_the_logit():
    net, x = pixels([[1, 2, 0], [0, 0, -3]]), np.ones((1, 1, 2, 3))
    found = occlusion(net, x, 1, size=1, stride=1, grey=0.0)
    assert found.whole == pytest.approx(sigmoid(0))
    np.testing.assert_allclose(found.p, sigmoid(0 - np.array([[1, 2, 0], [0, 0, -3]])))
    other = occlusion(net, x, 0, size=1, stride=1, grey=0.0)
    np.testing.assert_allclose(found.p + other.p, 1)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_equals_covering_by_hand(batch_size):
    net = models.zfnet_small(rng=0)
    x = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    before, image = state(net), x.copy()
    found = occlusion(net, x, 3, size=(12, 9), stride=7, batch_size=batch_size)
    assert state(net) == before
    np.testing.assert_array_equal(x, image)
    assert found.tops.tolist() == [0, 7, 14, 20] and found.lefts.tolist() == [0, 7, 14, 21, 23]
    for (r, q), p in np.ndenumerate(found.p):
        covered = x.copy()
        top, left = found.tops[r], found.lefts[q]
        covered[:, :, top:top + 12, left:left + 9] = x.mean()
        z = net.eval()(covered)[0].astype(float)
        assert p == pytest.approx(np.exp(z[3]) / np.exp(z).sum(), rel=1e-4)


def test_every_pixel_is_covered():
    net, x = pixels(np.ones((10, 7))), np.ones((1, 1, 10, 7))
    found = occlusion(net, x, 1, size=4, stride=3)
    assert np.isfinite(found.drop()).all() and found.drop().shape == (10, 7)
    assert found.tops[-1] + 4 == 10 and found.lefts[-1] + 4 == 7


def test_what_is_taken_without_being_told():
    found = occlusion(pixels(np.ones((16, 12))), np.ones((1, 1, 16, 12)), 0)
    assert found.size == (4, 3) and found.tops.tolist() == list(range(13))


X = np.ones((1, 1, 4, 4))


@pytest.mark.parametrize("arguments, message", [
    ((X, 2), "there are 2 classes, 0 to 1; got the number 2"),
    ((X, 1, 5), "must fit into the image of 4×4; got a size of 5×5"),
    ((X, 1, (0, 2)), "got a size of 0×2"),
    ((X, 1, 1.5), r"size must be an integer or \(height, width\); got 1.5"),
    ((X, 1, 2, 0), "stride must be an integer ≥ 1; got 0"),
    ((X, 1, 2, 1, None, 0), "batch_size must be an integer ≥ 1; got 0"),
    ((np.ones((2, 1, 4, 4)), 1), r"expected one image \(1, C, H, W\).*take x\[:1\]"),
    ((np.ones((1, 1, 4, 5)), 1), "does not take images of 1×4×5"),
])
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        occlusion(pixels(np.ones((4, 4))), *arguments)


def test_the_figure():
    net, x = pixels(np.eye(8)), np.random.default_rng(0).random((1, 1, 8, 8))
    figure = occlusion_figure(net, x, 1, size=3, stride=2, name="disc", note="untrained")
    titles = " ".join(axes.get_title() for axes in figure.axes)
    assert "square of 3×3" in titles and "probability of disc" in titles
    assert f"nothing covered: {sigmoid(np.trace(x[0, 0])):.2f}" in titles
    assert figure._suptitle.get_text() == "untrained"
    figure.savefig(io.BytesIO(), dpi=50)
    occlusion_figure(net, x, 1, size=8).savefig(io.BytesIO(), dpi=50)         # a single place
    np.testing.assert_array_equal(_edges(np.array([0, 2, 5]), 3), [0, 2, 4.5, 7.5])
