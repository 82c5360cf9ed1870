"""Figures: each can be drawn and shows what it was given."""
import io

import numpy as np
import pytest

from scratchnet import models, visualize
from scratchnet.training import Epoch


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=60)
    return len(file.getvalue())


def test_learning_curves_mark_the_drop_of_the_rate():
    history = [Epoch(0.01, 2, 0.9, 2.1, 0.8), Epoch(0.01, 1, 0.5, 1.2, 0.4),
               Epoch(0.001, 0.5, 0.2, 0.6, 0.2)]
    figure = visualize.learning_curves(history)
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [2, 1, 0.5]
    assert right.lines[1].get_ydata() == pytest.approx([80, 40, 20])
    assert [t.get_text() for t in left.texts] == ["rate 1e-03"]
    assert drawn(figure)


def test_confusion_writes_every_count():
    figure = visualize.confusion(np.array([[5, 1], [0, 7]]), ["cat", "dog"])
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["1", "5", "7"]
    assert figure.axes[0].get_title() == "12 of 13 right"
    assert drawn(figure)


@pytest.mark.parametrize("channels", [1, 3])
def test_filters(channels):
    weight = np.random.default_rng(0).standard_normal((6, channels, 5, 4))
    figure = visualize.filters(weight)
    assert sum(len(axes.images) for axes in figure.axes) == 6
    assert drawn(figure)
    with pytest.raises(ValueError, match="1 or 3 channels; got"):
        visualize.filters(np.zeros((6, 2, 5, 5)))


def test_feature_maps_have_a_row_a_layer_and_dead_maps_are_black():
    figure = visualize.feature_maps([("x", np.ones((1, 8, 8))), ("relu", np.zeros((20, 4, 4)))],
                                    most=5)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 1 + 5
    assert images[-1].norm(0.0) == 0
    assert drawn(figure)


def test_image_sheet():
    figure = visualize.image_sheet(np.zeros((7, 3, 4, 4)), list("abcdefg"), columns=4)
    assert [axes.get_title() for axes in figure.axes][:7] == list("abcdefg")
    assert drawn(figure)
    with pytest.raises(ValueError, match=r"expects \(N, 1 or 3, H, W\).*got \(7, 4, 4\)"):
        visualize.image_sheet(np.zeros((7, 4, 4)))
    with pytest.raises(ValueError, match="got 7 images but 2 captions"):
        visualize.image_sheet(np.zeros((7, 1, 4, 4)), ["a", "b"])


@pytest.mark.parametrize("figure, message", [
    (lambda net, x: visualize.filter_sheet(net, "conv1", most=0), "1 or more; got 0, 8"),
    (lambda net, x: visualize.map_sheet(net, "conv1", x, most=0), "1 or more; got 0"),
    (lambda net, x: visualize.class_images_figure(net, [], (1, 32, 32)), "got 0 and 0"),
    (lambda net, x: visualize.gradcam_figure(net, x, []), "got 0 and 0"),
    (lambda net, x: visualize.gradcam_figure(net, x, [1, 2], names=["one"]), "got 2 and 1"),
    (lambda net, x: visualize.image_rows([]), "one row at least"),
    (lambda net, x: visualize.occlusion.occlusion(net, x, 1, grey=float("nan")), "finite"),
])
def test_nothing_to_draw_is_told(figure, message):
    net, x = models.zfnet_small(rng=0), np.zeros((1, 1, 32, 32), np.float32)
    with pytest.raises(ValueError, match=message):
        figure(net, x)
