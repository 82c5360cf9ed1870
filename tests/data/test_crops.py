"""Crops in the test: where they are, and the mean of ten answers by hand."""
import numpy as np
import pytest

from scratchnet.data import CentreCrop, Normalise, TenCrop, ten_crop_probabilities
from scratchnet.layer import Layer
from scratchnet.layers import Dropout, Flatten, Linear, Sequential


def numbered(N=1, H=4, W=4):
    return np.arange(N * H * W, dtype=np.float32).reshape(N, 1, H, W)


def test_the_centre():
    assert CentreCrop(2)(numbered())[0, 0].tolist() == [[5, 6], [9, 10]]
    assert CentreCrop(2)(numbered(H=5), None)[0, 0].tolist() == [[5, 6], [9, 10]]
    assert np.array_equal(CentreCrop(4)(numbered()), numbered())
    assert repr(CentreCrop(224)) == "CentreCrop(size=224)"


def test_ten_views_by_hand():
    """Of 3×3 pixels 0 … 8: corners, centre, and mirror images; of a second image, 9 more."""
    views = TenCrop(2)(numbered(2, 3, 3))
    assert views.shape == (20, 1, 2, 2)
    corners = [[[0, 1], [3, 4]], [[1, 2], [4, 5]], [[3, 4], [6, 7]], [[4, 5], [7, 8]],
               [[0, 1], [3, 4]]]
    mirrored = [[row[::-1] for row in view] for view in corners]
    assert views[:10, 0].tolist() == corners + mirrored
    assert np.array_equal(views[10:], views[:10] + 9)


def test_the_mean_of_ten_softmaxes_by_hand():
    """One row of pixels would have no corners; of 2×2 pixels (0, a; a, 0), crops of one pixel
    are 0, a, a, 0 and, top left of the middle, 0: each twice. Scores (x, 0) with a = ln 3 give
    e^x/(e^x + 1) = ½ or ¾, in the mean (3·½ + 2·¾)/5 = 0.6."""
    a = np.log(3)
    image = np.array([[0, a], [a, 0]], dtype=np.float32)[None, None]
    net = Sequential(Flatten(), Linear(1, 2, rng=0))
    net[1].weight.value[...] = [[1], [0]]
    net[1].bias.value[...] = 0
    np.testing.assert_allclose(ten_crop_probabilities(net, image, 1), [[0.6, 0.4]], rtol=1e-6)


def network(rng=0):
    return Sequential(Flatten(), Dropout(0.5, rng=rng), Linear(3 * 4 * 4, 5, rng=rng))


def test_batches_make_no_difference_and_dropout_is_off():
    images = np.random.default_rng(0).random((7, 3, 6, 6), dtype=np.float32)
    whole = ten_crop_probabilities(network().train(), images, 4)
    assert whole.shape == (7, 5)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)
    for batch_size in (1, 25):
        np.testing.assert_allclose(
            ten_crop_probabilities(network(), images, 4, batch_size=batch_size), whole, rtol=1e-5)


def test_a_transform_comes_before_the_crops():
    images = np.random.default_rng(0).random((7, 3, 6, 6), dtype=np.float32)
    normalise = Normalise.of(images, "pixel")
    np.testing.assert_array_equal(
        ten_crop_probabilities(network(), images, 4, normalise),
        ten_crop_probabilities(network(), normalise(images), 4))


def test_bytes_are_divided_by_255():
    stored = np.random.default_rng(0).integers(0, 256, (3, 3, 6, 6), dtype=np.uint8)
    np.testing.assert_array_equal(
        ten_crop_probabilities(network(), stored, 4),
        ten_crop_probabilities(network(), stored.astype(np.float32) / 255, 4))


def test_a_network_without_parameters():
    class Mean(Layer):
        def forward(self, x):
            return x.mean(axis=(2, 3))

    answer = ten_crop_probabilities(Mean(), np.ones((2, 3, 5, 5), dtype=np.float32), 4)
    np.testing.assert_allclose(answer, 1 / 3, rtol=1e-6)


def test_no_border_is_an_error_that_says_what_to_do():
    square = np.zeros((1, 3, 4, 4), dtype=np.float32)
    with pytest.raises(ValueError, match=r"TenCrop\(size=4, .*\) needs images larger than 4×4.*"
                                         r"store larger images"):
        ten_crop_probabilities(network(), square, 4)
    for crop in (CentreCrop(5), TenCrop(5)):
        with pytest.raises(ValueError, match="of at least 5×5 pixels.*store larger images"):
            crop(square)
    with pytest.raises(ValueError, match="at least one image"):
        ten_crop_probabilities(network(), square[:0], 4)
