"""Class images: a step on paper, the climb, and its errors."""
import io

import numpy as np
import pytest
from test_find import state

from scratchnet import models
from scratchnet.layers import Flatten, Linear, Sequential
from scratchnet.visualize.class_image import _blurred, class_image, class_images_figure


def pixels(weights):
    """A network whose logit 1 is Σ w·x, so that the gradient is w."""
    w = np.array(weights, dtype=float)
    net = Sequential(flatten=Flatten(), fc=Linear(w.size, 2)).astype(np.float64)
    net.fc.weight.value[...] = [np.zeros(w.size), w.ravel()]
    return net


def test_one_step_on_paper():
    """g = (3, −4, 0), √(mean of g²) = √(25/3); from x₀: x₀ + 0.1·g/√(25/3), half way to ½."""
    w = np.array([[3.0, -4, 0]])
    x0 = 0.5 + 0.02 * np.random.default_rng(7).standard_normal((1, 1, 3))
    x = class_image(pixels(w), 1, (1, 1, 3), steps=1, rate=0.1, decay=0.5, shift=0, rng=7)
    np.testing.assert_allclose(x, 0.5 + 0.5 * (x0 + 0.1 * w / (25 / 3) ** 0.5 - 0.5), rtol=1e-12)


def test_the_gradient_is_moved_back():
    """With steps that move the image by one column either way, a logit that hangs on one column
    lights that column and those beside it, about as often left as right."""
    w = np.zeros((1, 9))
    w[0, 4] = 1
    x = class_image(pixels(w), 1, (1, 1, 9), steps=300, rate=0.001, decay=0, shift=1,
                    blur_every=0, rng=0)[0, 0] - 0.5
    assert (abs(x[[0, 1, 2, 6, 7, 8]]) < 0.1).all()
    assert (x[3:6] > 0.2).all()


def test_blurring_on_paper():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 0, 1] = 16
    np.testing.assert_array_equal(_blurred(x)[0, 0], [[3, 6, 3], [1, 2, 1], [0, 0, 0]])
    np.testing.assert_array_equal(_blurred(np.full((1, 2, 3, 4), 5.0)), np.full((1, 2, 3, 4), 5))


def test_the_image_stays_in_its_range():
    x = class_image(pixels(np.ones((4, 4))), 1, (1, 4, 4), steps=20, rate=5, low=-2, high=1, rng=0)
    assert x.max() == 1 and x.min() >= -2


def test_the_climb_raises_the_class_and_leaves_the_model_as_it_was():
    net = models.zfnet_small(rng=0)
    before = state(net)
    image = class_image(net, 6, (1, 32, 32), steps=15, rng=1)
    assert state(net) == before
    assert image.shape == (1, 32, 32) and image.dtype == np.float32
    noise = 0.5 + 0.02 * np.random.default_rng(1).standard_normal((1, 1, 32, 32))
    start, end = (net.eval()(x.astype(np.float32))[0] for x in (noise, image[None]))
    assert end[6] - start[6] > 3 * np.abs(np.delete(end - start, 6)).mean()


def test_the_same_generator_gives_the_same_image():
    net = pixels(np.random.default_rng(0).standard_normal((6, 6)))
    one, same, other = (class_image(net, 1, (1, 6, 6), steps=5, rng=rng) for rng in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("change, message", [
    ({"target": 2}, "there are 2 classes, 0 to 1; got the number 2"),
    ({"shape": (4, 4)}, r"shape of one image, \(C, H, W\).*got \(4, 4\)"),
    ({"shape": (1, 4, 5)}, "does not take images of 1×4×5"),
    ({"steps": 0}, "steps must be an integer ≥ 1; got 0"),
    ({"shift": -1}, "shift must be an integer ≥ 0"),
    ({"blur_every": 1.5}, "blur_every must be an integer ≥ 0; got 1.5"),
    ({"rate": 0}, "expected rate > 0"),
    ({"decay": 1}, "0 ≤ decay < 1"),
    ({"low": 1.0}, "low < high; got .*low=1.0, high=1.0"),
])
def test_what_it_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        class_image(pixels(np.ones((4, 4))), **({"target": 1, "shape": (1, 4, 4)} | change))


def test_the_figure_names_each_class_and_its_probability():
    figure = class_images_figure(pixels(np.eye(4)), [0, 1], (1, 4, 4), ["off", "on"], steps=40,
                                 rate=0.05, blur_every=0, rng=0, note="untrained")
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split("\n")[0] for title in titles] == ["off", "on"]
    assert all(title.endswith("%") for title in titles)
    assert int(titles[1].split("\n")[1][:-1]) > 85              # Σ of the diagonal goes to about 4
    figure.savefig(io.BytesIO(), dpi=50)
