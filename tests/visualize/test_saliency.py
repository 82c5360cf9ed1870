"""Saliency: the three rules on paper, equal to PyTorch's, for any network, and their errors."""
import io

import numpy as np
import pytest
import strict_cupy
from test_find import state

from scratchnet import models
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sequential,
    SiLU,
    Tanh,
)
from scratchnet.visualize.class_image import class_image
from scratchnet.visualize.deconvnet import descend, strongest
from scratchnet.visualize.gradcam import cam, gradcam
from scratchnet.visualize.occlusion import occlusion
from scratchnet.visualize.saliency import (
    RULES,
    ruled,
    saliency,
    saliency_figure,
    saliency_map,
    signed,
)

ALL_RULES = pytest.mark.parametrize("rule", RULES)


def images(n, name):
    return np.random.default_rng(0).standard_normal((n, *models.input_shape(name)), np.float32)


@pytest.mark.parametrize("rule, expected", [
    ("gradient", [5, 0, -2, 0]), ("deconvnet", [5, 4, 0, 0]), ("guided", [5, 0, 0, 0])])
@pytest.mark.parametrize("kind", [ReLU, ReLU6])
def test_on_paper(kind, rule, expected):
    layer = kind()
    net = Sequential(layer)
    net.forward(np.array([1.0, -1, 2, -3]))
    with ruled(net, rule):
        np.testing.assert_array_equal(net.backward(np.array([5.0, 4, -2, -1])), expected)


def test_the_slope_of_silu_stays_in_guided_and_goes_in_deconvnet():
    x, dy = np.array([1.0, -2.0, 3.0]), np.array([1.0, 1.0, -1.0])
    net = Sequential(SiLU())
    net.forward(x)
    slopes = net.backward(np.ones(3))
    for rule, expected in (("guided", [slopes[0], slopes[1], 0]), ("deconvnet", [1, 1, 0])):
        net.forward(x)
        with ruled(net, rule):
            np.testing.assert_allclose(net.backward(dy), expected)


def test_the_deconvnet_passes_over_normalisation_and_the_others_do_not():
    net = Sequential(norm=LocalResponseNorm(alpha=0.5), relu=ReLU())
    x = np.random.default_rng(0).random((1, 4, 2, 2))
    for rule in RULES:
        y = net.forward(x)
        with ruled(net, rule):
            dx = net.backward(np.ones_like(y))
        assert (dx == 1).all() == (rule == "deconvnet")


@ALL_RULES
def test_afterwards_backward_is_the_layers_own(rule):
    net = Sequential(relu=ReLU(), norm=LocalResponseNorm())
    with ruled(net, rule):
        pass
    assert "backward" not in vars(net.relu) and "backward" not in vars(net.norm)
    own = net.relu.backward = lambda dy: dy
    with ruled(net, rule):
        assert (net.relu.backward is own) == (rule == "gradient")
    assert net.relu.backward is own


@ALL_RULES
@pytest.mark.parametrize("layer", [None, "conv3", "relu2"])
def test_equals_torch(rule, layer, monkeypatch):
    """The same weights; the rules as PyTorch's own functions, the way down as its autograd."""
    twin = pytest.importorskip("torch_twin")
    torch = twin.torch

    class Deconvnet(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clamp(min=0)

        @staticmethod
        def backward(context, dy):
            return dy.clamp(min=0)

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(context, dy):
            x, = context.saved_tensors
            return dy * (x > 0) * (dy > 0)

    class PassedOver(torch.autograd.Function):
        @staticmethod
        def forward(context, x, norm):
            return norm(x)

        @staticmethod
        def backward(context, dy):
            return dy, None

    net = models.zfnet_small(rng=0).astype(np.float64).eval()
    x = images(2, "zfnet_small").astype(np.float64)
    target = [3, 7]
    net.forward(x)
    norm = twin.RULES[LocalResponseNorm]
    if rule != "gradient":
        function = {"deconvnet": Deconvnet, "guided": Guided}[rule]
        monkeypatch.setitem(twin.RULES, ReLU, lambda t, l, x: function.apply(x))
    if rule == "deconvnet":
        monkeypatch.setitem(twin.RULES, LocalResponseNorm, lambda t, l, x: PassedOver.apply(
            x, lambda x: norm(t, l, x)))
    theirs, y = twin.Twin(net, net.state_dict()), torch.from_numpy(x).requires_grad_()
    leaf, last = y, layer or "fc8"
    for name in net._names:
        y = theirs(net[name], y)
        if name == last:
            break
    maps = [y[n, t].flatten() for n, t in enumerate(target)]
    sum(one[int(one.detach().numpy().argmax())] for one in maps).backward()
    ours = saliency(net, x, target, rule, layer)
    assert np.abs(ours).max() > 0
    np.testing.assert_allclose(ours, leaf.grad, rtol=1e-9, atol=1e-12 * np.abs(ours).max())


@pytest.mark.parametrize("name", ["alexnet_small", "resnet_small", "googlenet_small",
                                  "densenet_small", "mobilenet_v2_small", "efficientnet_small"])
@ALL_RULES
def test_any_network_is_left_as_it_was(name, rule):
    net = models.get_model(name, rng=0).train()
    x = images(2, name)
    for p in net.parameters():
        p.grad[...] = 3
    before = state(net)
    dx = saliency(net, x, [1, 2], rule)
    assert dx.shape == x.shape and dx.dtype == x.dtype and np.isfinite(dx).all()
    assert dx[0].any() and dx[1].any()
    assert state(net) == before


def test_images_do_not_hang_on_each_other():
    net, x = models.zfnet_small(rng=0), images(3, "zfnet_small")
    together = saliency(net, x, [1, 2, 3], "guided", "conv4")
    for n in range(3):
        alone = saliency(net, x[n:n + 1], n + 1, "guided", "conv4")
        np.testing.assert_allclose(together[n:n + 1], alone, rtol=1e-3, atol=1e-6)


def test_the_map_is_the_largest_size_over_the_channels():
    dx = np.array([[[[1.0, -5]], [[-3, 4]]]])
    np.testing.assert_array_equal(saliency_map(dx), [[[3, 5]]])


def test_signed_is_grey_at_zero():
    shown = signed(np.array([[[0.0, 2]], [[-2, 0]], [[1, 0]]]))
    assert shown.shape == (1, 2, 3)
    np.testing.assert_allclose(shown[0, 0], [0.5, 0, 0.75], atol=0.01)
    assert (signed(np.zeros((3, 2, 2))) == 0.5).all()


def small():
    return Sequential(conv=Conv2d(1, 2, 3, rng=0), relu=ReLU(), flatten=Flatten(),
                      fc=Linear(8, 3, rng=0))


X = np.ones((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize("arguments, message", [
    ((X, 3), "there are 3 classes, 0 to 2; got the number 3"),
    ((X, 0, "guide"), "rules gradient, deconvnet, guided; got 'guide'"),
    ((X, 0, "gradient", "conv1"), "no layer 'conv1' in Sequential; the nearest are conv"),
    ((X, 2, "gradient", "conv"), "there are 2 features, 0 to 1; got the number 2 for a feature "
                                 "of conv"),
    ((X[:, :, :3], 0), "does not take images of 1×3×4"),
    ((X[0], 0), "got shape"),
])
def test_what_it_refuses(arguments, message):
    net = small()
    before = state(net)
    with pytest.raises(ValueError, match=message):
        saliency(net, *arguments)
    assert state(net) == before


def test_rules_for_relu_need_one():
    net = Sequential(conv=Conv2d(1, 2, 4, rng=0), act=Tanh(), flatten=Flatten())
    assert saliency(net, X, 1).any()
    for rule in ("deconvnet", "guided"):
        with pytest.raises(ValueError, match="has no layer ReLU, ReLU6 or SiLU: use the plain"):
            saliency(net, X, 1, rule)


def test_without_logits_a_layer_must_be_named():
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), relu=ReLU())
    with pytest.raises(ValueError, match=r"logits \(N, classes\).* name a layer="):
        saliency(net, X, 0)
    assert saliency(net, X, 0, layer="conv").any()


def test_the_figure_has_two_rows_an_image():
    net, x = models.zfnet_small(rng=0), images(2, "zfnet_small")
    figure = saliency_figure(net, x, 3, note="untrained: weights as drawn")
    assert [axes.get_title() for axes in figure.axes[:4]] == ["image", *RULES]
    assert len([axes for axes in figure.axes if axes.images]) == 2 * (1 + 3 + 3)
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert texts.count("what speaks\nfor class 3") == 2
    assert "untrained" in figure._suptitle.get_text()
    figure.savefig(io.BytesIO(), dpi=50)


def test_everything_works_on_the_gpu():
    """On the stand-in for CuPy, where no array may cross alone: the same numbers."""
    def network():
        rng = np.random.default_rng(0)
        return Sequential(conv=Conv2d(2, 3, 3, padding=1, rng=rng), relu=ReLU(),
                          norm=LocalResponseNorm(), pool=MaxPool2d(2),
                          conv2=Conv2d(3, 4, 2, rng=rng), relu2=ReLU(),
                          mean=AdaptiveAvgPool2d(1), flatten=Flatten(), fc=Linear(4, 3, rng=rng))

    x = np.random.default_rng(1).standard_normal((3, 2, 8, 8), np.float32)
    looks = [lambda net, x: [saliency(net, x, [0, 1, 2], rule) for rule in RULES],
             lambda net, x: [saliency(net, x, 1, "guided", "conv2")],
             lambda net, x: [step for _, step in descend(net, x[:1], "conv2", 2)],
             lambda net, x: [gradcam(net, x, 1), cam(net, x, 2)],
             lambda net, x: [occlusion(net, x[:1], 1, 3, 2).p]]
    with strict_cupy.installed() as cupy:
        for look in looks:
            on_cpu, on_gpu = look(network(), x), look(network().to("gpu"), cupy.asarray(x))
            for ours, theirs in zip(on_gpu, on_cpu, strict=True):
                ours = ours.get() if isinstance(ours, cupy.ndarray) else ours
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        one, other = (strongest(net, x, "relu2", 1) for net in (network(), network().to("gpu")))
        assert [(s.image, s.place, s.window) for s in one] == \
            [(s.image, s.place, s.window) for s in other]
        images = [class_image(net, 1, (2, 8, 8), 3, rng=0) for net in
                  (network(), network().to("gpu"))]
        np.testing.assert_allclose(*images, rtol=1e-4, atol=1e-5)
