"""Grad-CAM and CAM: on paper, against each other and PyTorch, and their errors."""
import io

import numpy as np
import pytest
from test_find import state

from scratchnet import models
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    ReLU,
    Sequential,
)
from scratchnet.visualize.gradcam import cam, gradcam, gradcam_figure, resize


def averaging():
    """The worked example: the image's two channels are the maps, s = 4·mean − 2·mean."""
    net = Sequential(maps=Identity(), pool=AdaptiveAvgPool2d(1), flatten=Flatten(),
                     fc=Linear(2, 2)).astype(np.float64)
    net.fc.weight.value[...] = [[4, -2], [0, 1]]
    return net


MAPS = np.array([[[[3.0, 1]], [[1, 5]]]])


def test_on_paper():
    np.testing.assert_array_equal(gradcam(averaging(), MAPS, 0, "maps"), [[[5, 0]]])
    np.testing.assert_array_equal(gradcam(averaging(), MAPS, 0), [[[5, 0]]])    # finds the layer
    np.testing.assert_array_equal(cam(averaging(), MAPS, 0), [[[10, -6]]])
    np.testing.assert_array_equal(cam(averaging(), MAPS, 1), [[[1, 5]]])


@pytest.mark.parametrize("name", ["resnet_small", "densenet_small", "mobilenet_v2_small",
                                  "efficientnet_small", "nin_small", "googlenet_small",
                                  "inception_v4_small"])
def test_where_a_mean_and_a_linear_layer_end_the_network_both_are_one_map(name):
    net = models.get_model(name, rng=0).astype(np.float64)
    for layer in net.parameters():
        layer.grad[...] = 2
    x = np.random.default_rng(1).standard_normal((3, *models.input_shape(name)))
    before = state(net)
    targets = [0, 4, 2]
    M, L = cam(net, x, targets), gradcam(net, x, targets)
    assert state(net) == before
    assert M.shape == L.shape and M.shape[1] * M.shape[2] > 1 and M.any()
    np.testing.assert_allclose(L, np.maximum(M, 0) / M[0].size, rtol=1e-9,
                               atol=1e-12 * abs(M).max())
    logits = net.eval()(x)[np.arange(3), targets]
    last = [layer for _, layer in net.named_layers()][-1]
    bias = last.bias.value[targets] if isinstance(last, Linear) else 0
    np.testing.assert_allclose(M.mean(axis=(1, 2)) + bias, logits, rtol=1e-9)


def test_the_gradient_is_that_of_the_layer_named():
    """Against α from differences of the logit, in the middle of a network with more behind."""
    net, seen = models.zfnet_small(rng=0).astype(np.float64).eval(), []
    x = np.random.default_rng(0).standard_normal((1, 1, 32, 32))
    above = Sequential(*net[net._names.index("relu4") + 1:])
    a = Sequential(*net[:net._names.index("relu4") + 1])(x)
    alpha = np.empty((a.shape[1], 10))                          # for every class
    for k in range(len(alpha)):
        step = np.zeros_like(a)
        step[:, k] = 1e-6
        alpha[k] = (above(a + step)[0] - above(a - step)[0]) / 2e-6 / a[0, 0].size
    for target in range(10):
        expected = np.maximum((alpha[:, target, None, None] * a[0]).sum(axis=0), 0)
        np.testing.assert_allclose(gradcam(net, x, target, "relu4")[0], expected, rtol=1e-5,
                                   atol=1e-9)
        seen.append(expected.max())
    assert max(seen) > 1e-3
    assert gradcam(net, x, 2).shape == (1, 4, 4)                # relu5: pool5 has one pixel left


def test_dropout_and_identity_between_mean_and_linear_layer_do_not_matter():
    net = Sequential(pool=AdaptiveAvgPool2d(1), same=Identity(), flatten=Flatten(),
                     drop=Dropout(0.5, rng=0), fc=Linear(2, 2)).astype(np.float64)
    net.fc.weight.value[...] = [[4, -2], [0, 1]]
    np.testing.assert_array_equal(cam(net, MAPS, 0), [[[10, -6]]])


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3), (9, 3)])
def test_enlarging_equals_torchs(size):
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).standard_normal((2, 2, 3))
    theirs = torch.nn.functional.interpolate(torch.from_numpy(maps[None]), size, mode="bilinear",
                                             align_corners=False)[0]
    np.testing.assert_allclose(resize(maps, size), theirs, rtol=1e-12)


def test_enlarging_on_paper():
    """Middles at ¼ and ¾ become ⅛, ⅜, ⅝, ⅞: the outer two lie beyond the middles."""
    np.testing.assert_array_equal(resize(np.array([[[0.0, 4.0]]]), (1, 4)), [[[0, 1, 3, 4]]])


def test_a_network_that_does_not_end_in_a_mean_has_no_cam():
    for name in ("zfnet_small", "vgg_small"):
        net = models.get_model(name, rng=0)
        with pytest.raises(ValueError, match=r"ends in a mean over each map.*use gradcam\(…\)"):
            cam(net, np.ones((1, *models.input_shape(name)), np.float32), 0)


@pytest.mark.parametrize("arguments, message", [
    ((MAPS, 2), "there are 2 classes, 0 to 1"),
    ((MAPS, 0, "fc"), r"Grad-CAM needs maps \(N, C, H, W\); fc returns \(1, 2\): name an earlier"),
    ((MAPS, 0, "map"), "no layer 'map' in Sequential; the nearest are maps"),
    ((MAPS[:, :1], 0), "does not take images of 1×1×2"),
    ((MAPS[:, :, :, :1], 0), "returns maps .* of more than one pixel, so there is nowhere to look"),
])
def test_what_it_refuses(arguments, message):
    net = averaging()
    before = state(net)
    with pytest.raises(ValueError, match=message):
        gradcam(net, *arguments)
    assert state(net) == before


def test_a_network_without_logits_is_refused():
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), relu=ReLU())
    with pytest.raises(ValueError, match=r"logits \(N, classes\)"):
        gradcam(net, np.ones((1, 1, 5, 5), np.float32), 0)


def test_the_figure_has_a_column_a_class():
    net = models.get_model("resnet_small", rng=0)
    x = np.random.default_rng(0).random((2, *models.input_shape("resnet_small")), np.float32)
    figure = gradcam_figure(net, x, [1, 5, 7], names=["disc", "ring", "star"], note="untrained")
    assert [axes.get_title() for axes in figure.axes[:4]] == ["image", "disc", "ring", "star"]
    assert figure._suptitle.get_text() == "untrained"
    figure.savefig(io.BytesIO(), dpi=50)
