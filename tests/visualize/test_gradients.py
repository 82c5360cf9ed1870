"""The gradient's way: the numbers, and figures that show them."""
import io

import numpy as np
import pytest
from matplotlib.text import Text

from scratchnet import initialization, models
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
)
from scratchnet.training.recorder import Recorder
from scratchnet.visualize import gradients

RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 1, 4, 4)).astype(np.float32)
T = RNG.integers(0, 4, 16)


def deep(kind, depth=20):
    rng = np.random.default_rng(1)
    layers = {"flatten": Flatten(), "first": Linear(16, 32, rng=rng)}
    for i in range(2, depth):
        if kind == "residual":
            layers[f"block{i}"] = Residual(Sequential(ReLU(), Linear(32, 32, rng=rng)))
        else:
            layers[f"act{i}"] = Sigmoid() if kind == "sigmoid" else ReLU()
            layers[f"fc{i}"] = Linear(32, 32, rng=rng)
    net = Sequential(**layers, last=Linear(32, 4, rng=rng))
    return initialization.xavier(net, rng=2) if kind == "sigmoid" else initialization.he(net, rng=2)


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return len(file.getvalue())


def test_sigmoid_dies_by_orders_of_magnitude_and_relu_and_shortcuts_hold():
    """What is left of the weights' gradient in the first of 20 layers."""
    left = {}
    for kind in ("sigmoid", "ReLU", "residual"):
        sizes = gradients.gradient_flow(deep(kind), X, T).rms("grad")[0]
        assert len(sizes) == 20
        left[kind] = sizes[0] / sizes[-1]
    assert left["sigmoid"] < 1e-8
    assert 1e-2 < left["ReLU"] < 1e2
    assert 1e-2 < left["residual"] < 1e2


def test_the_numbers_are_those_of_one_update_and_the_model_is_as_it_was():
    rng = np.random.default_rng(1)
    net = Sequential(conv=Conv2d(1, 3, 3, rng=rng), bn=BatchNorm2d(3), flatten=Flatten(),
                     fc=Linear(12, 4, rng=rng)).eval()
    net.fc.weight.grad[...] = 7
    before = net.state_dict()
    flow = gradients.gradient_flow(net, X, T)
    assert not net.training and (net.fc.weight.grad == 7).all()
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    loss = SoftmaxCrossEntropy()
    loss.forward(net.train().forward(X), T)
    net.zero_grad().backward(loss.backward())
    g = net.conv.weight.grad.astype(float).ravel(), net.conv.bias.grad.astype(float)
    assert flow.rms()[0, 0] == pytest.approx(np.sqrt(np.mean(np.concatenate(g) ** 2)), rel=1e-5)


def test_auxiliary_classifiers_can_be_left_out():
    net = models.googlenet_small(rng=0)
    x = RNG.random((4, 1, 32, 32), dtype=np.float32)
    layers = ["aux1.fc1"] if "aux1.fc1" in dict(net.named_layers()) else None
    with_heads = gradients.gradient_flow(net, x, T[:4], layers)
    without = gradients.gradient_flow(net, x, T[:4], layers, auxiliary=0.0)
    heads = [i for i, name in enumerate(with_heads.names) if name.startswith("aux")]
    assert heads and with_heads.names == without.names
    assert (with_heads.rms()[0, heads] > 0).all()
    assert (without.rms()[0, heads] == 0).all()


def test_flow_figure_draws_what_was_measured_and_names_each_line():
    flows = {kind: gradients.gradient_flow(deep(kind), X, T) for kind in ("sigmoid", "ReLU")}
    figure = gradients.flow_figure(flows, note="untrained: weights as drawn")
    axes, = figure.axes
    for line, flow in zip(axes.lines, flows.values(), strict=True):
        sizes = flow.rms()[0]
        np.testing.assert_allclose(line.get_ydata(), sizes[::-1] / sizes[-1])
    assert {t.get_text() for t in axes.texts} == {"sigmoid", "ReLU"}
    assert figure.get_supxlabel() == "untrained: weights as drawn"
    assert axes.get_yscale() == "log" and drawn(figure)
    absolute = gradients.flow_figure(flows, relative=False).axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(absolute, flows["sigmoid"].rms()[0, ::-1])


def test_a_gradient_of_zero_ends_the_line_and_says_so():
    net = deep("ReLU", 5)
    net.fc3.weight.value[...] = 0
    net.fc3.bias.value[...] = -1                            # dead: nothing passes
    flow = gradients.gradient_flow(net, X, T)
    axes, = gradients.flow_figure({"dead": flow}).axes
    assert [t.get_text() for t in axes.texts] == ["dead (then 0)"]


def test_labels_do_not_cover_each_other():
    flow = gradients.gradient_flow(deep("ReLU", 4), X, T)
    figure = gradients.flow_figure({f"network {i}": flow for i in range(8)})
    drawn(figure)
    boxes = sorted((Text.get_window_extent(t) for t in figure.axes[0].texts),
                   key=lambda box: box.y0)
    assert len(boxes) == 8
    assert all(a.y1 <= b.y0 + 1 for a, b in zip(boxes, boxes[1:], strict=False))
    assert all(b.y1 <= figure.bbox.y1 and b.x1 <= figure.bbox.x1 for b in boxes)


def recorded(kind, updates=6, every=2):
    net = deep(kind, 5)
    recorder, loss = Recorder(net, every=every), SoftmaxCrossEntropy()
    for step in range(updates):
        with recorder.during(step):
            loss.forward(net.forward(X), T)
            net.zero_grad().backward(loss.backward())
        for p in net.parameters():
            p.value -= 0.01 * p.grad
    return recorder


def test_history_figure_has_a_row_a_layer_and_a_column_a_record():
    records = {"ReLU": recorded("ReLU"), "sigmoid": recorded("sigmoid")}
    figure = gradients.history_figure(records)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["ReLU", "sigmoid"]
    for axes, record in zip(figure.axes, records.values(), strict=False):
        mesh, = axes.collections
        np.testing.assert_allclose(mesh.get_array().reshape(5, 3), record.rms().T)
    first, second = (axes.collections[0].norm for axes in figure.axes[:2])
    assert (first.vmin, first.vmax) == (second.vmin, second.vmax)
    assert drawn(figure)
    assert drawn(gradients.history_figure({"one": gradients.gradient_flow(deep("ReLU", 4), X, T)}))


def test_ridge_figure_has_a_ridge_a_layer_and_says_what_is_zero():
    flow = gradients.gradient_flow(deep("ReLU", 6), X, T, [f"act{i}" for i in range(2, 6)])
    figure = gradients.ridge_figure(flow, "y")
    axes, = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == flow.names
    share = flow.histograms("y")[0, :, 0] / flow.histograms("y")[0].sum(axis=1)
    assert [t.get_text() for t in axes.texts] == [f"{s:.0%} zero" for s in share]
    assert 0.2 < share[0] < 0.8 and drawn(figure)
    with pytest.raises(ValueError, match="no layer of this record has a grad"):
        gradients.ridge_figure(flow, "grad")


@pytest.mark.parametrize("flows, what, message", [
    ({}, "grad", r"expected \{name: Recorder\}, one network at least"),
    ([1], "grad", "got list"),
    ({"a": Recorder(deep("ReLU", 3))}, "grad", "a has recorded nothing yet"),
    ({"a": None}, "dx", "what is one of y, dy, grad; got 'dx'"),
])
def test_records_that_cannot_be_drawn(flows, what, message):
    for figure in (gradients.flow_figure, gradients.history_figure):
        with pytest.raises(ValueError, match=message):
            figure(flows, what)


def test_names_and_images_that_do_not_fit():
    net = deep("ReLU", 4)
    with pytest.raises(ValueError, match="no layer 'fc9' in Sequential; the nearest are"):
        gradients.gradient_flow(net, X, T, ["fc9"])
    with pytest.raises(ValueError, match="does not take images of 1×4×3"):
        gradients.gradient_flow(net, X[..., :3], T)


def test_what_is_infinite_is_told_and_not_drawn():
    net = Sequential(a=Conv2d(1, 4, 1, rng=0), flat=Flatten(), b=Linear(16, 4, rng=0),
                     c=Linear(4, 3, rng=0))
    net.b.weight.value *= np.float32(1e30)
    net.c.weight.value *= np.float32(1e30)
    with np.errstate(all="ignore"):
        flow = gradients.gradient_flow(net, np.ones((2, 1, 2, 2), np.float32), np.array([0, 1]))
        assert np.isinf(flow.rms("y")).any()
        panel = gradients.history_figure({"net": flow}, "y").axes[0]
    assert [text.get_text() for text in panel.texts] == ["grey: 0, or no finite number"]
    gradients.flow_figure({"net": flow}, "y")


def test_a_record_that_is_not_there():
    flow = gradients.gradient_flow(Sequential(flat=Flatten(), a=Linear(4, 3, rng=0)),
                                   np.ones((2, 1, 2, 2), np.float32), np.array([0, 1]))
    for figure, given in ((gradients.flow_figure, {"net": flow}), (gradients.ridge_figure, flow)):
        with pytest.raises(ValueError, match="there are 1 records, 0 to 0 .*; got 7"):
            figure(given, record=7)
