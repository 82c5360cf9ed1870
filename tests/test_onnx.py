"""ONNX files: the checker accepts them, and other programs compute our logits from them."""
import numpy as np
import pytest
from test_structure import LARGE, SMALL, Container, images, randomized

from scratchnet import Layer, Parameter, models, no_grad, weights
from scratchnet import onnx as ours
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sequential,
    SiLU,
    Tanh,
    ZeroPad2d,
)


@pytest.fixture(scope="module")
def onnx():
    return pytest.importorskip("onnx")


def computed(path, *xs):
    """What onnxruntime makes of these inputs, on one core."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), xs, strict=True)})


def assert_same(onnx, tmp_path, net, shape, N=2, tolerance=1e-4):
    """Write, check, compute with onnxruntime for a batch; returns the file's contents."""
    path = tmp_path / "net.onnx"
    ours.save(net, path, shape)
    contents = onnx.load(path)
    onnx.checker.check_model(contents, full_check=True)
    x = images(*shape, N=N)
    with no_grad():
        y = net.eval().forward(x)
    z, = computed(path, x)
    assert z.shape == y.shape
    assert np.abs(z - y).max() <= tolerance * np.abs(y).max()
    return contents


# ── the published networks ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [
    *SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_published_networks(onnx, tmp_path, name):
    net = randomized(models.get_model(name, rng=0))
    assert_same(onnx, tmp_path, net, models.input_shape(name), N=2 if name in SMALL else 1)


@pytest.mark.parametrize("name", [
    "alexnet_small", "googlenet_small", "lenet5", "densenet_small", "nasnet_small",
    "efficientnet_small", "cifar_resnet20"])
def test_float64_to_ten_digits(onnx, tmp_path, name):
    """In double precision rounding cannot hide a small error: LRN's attributes would be one."""
    from onnx.reference import ReferenceEvaluator
    net = randomized(models.get_model(name, rng=0)).astype("float64").eval()
    shape = models.input_shape(name)
    ours.save(net, tmp_path / "net.onnx", shape)
    contents = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(contents, full_check=True)
    x = images(*shape, N=1).astype("float64")
    with no_grad():
        y = net.forward(x)
    z, = ReferenceEvaluator(contents).run(None, {"input": x})
    assert z.dtype == np.float64
    assert np.abs(z - y).max() <= 1e-10 * np.abs(y).max()


# ── layers, where the two worlds differ ──────────────────────────────────────────────


@pytest.mark.parametrize("layer,shape", [
    (LocalResponseNorm(5, 0.3, 0.75, 2.0), (7, 3, 4)),          # α is divided by n there
    (LocalResponseNorm(4, 0.3, 0.75, 2.0), (7, 3, 4)),          # the even window lies otherwise
    (MaxPool2d(3, 2, ceil_mode=True), (2, 6, 8)),
    (MaxPool2d(2, 2, 1, ceil_mode=True), (2, 5, 4)),            # a last window we do not take
    (AvgPool2d(3, 2, 1), (2, 6, 7)),
    (AvgPool2d(3, 2, 1, count_include_pad=False), (2, 6, 7)),
    (AvgPool2d(3, 2, 1, ceil_mode=True), (2, 6, 8)),
    (AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False), (2, 6, 8)),
    (AvgPool2d((2, 3), (3, 2)), (2, 8, 8)),                     # pixels that no window sees
    (AdaptiveAvgPool2d(1), (2, 5, 4)),
    (AdaptiveAvgPool2d((2, 3)), (2, 4, 9)),
    (AdaptiveAvgPool2d((2, 3)), (2, 5, 7)),                     # windows of different size
    (Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (2, 1), 2, bias=False, rng=0), (4, 9, 7)),
    (Conv2d(4, 6, 3, groups=np.int64(2), rng=0), (4, 5, 5)),    # NumPy's numbers
    (ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), groups=2, rng=0), (4, 5, 4)),
    (ConvTranspose2d(4, 3, 3, dilation=2, bias=False, rng=0), (4, 5, 4)),
    (ZeroPad2d((-1, 2, 0, -2)), (2, 5, 4)),
    (ZeroPad2d((-1, 0, -1, 0)), (2, 5, 4)),
    (SiLU(), (3, 2, 2)), (ReLU6(), (40, 5, 5)), (Tanh(), (3, 2, 2)), (Dropout(0.5), (3, 2, 2)),
], ids=str)
def test_layers(onnx, tmp_path, layer, shape):
    net = Sequential(layer) if not isinstance(layer, ReLU6) else Sequential(
        Conv2d(40, 4, 1, rng=0), layer)
    assert_same(onnx, tmp_path, net, shape, N=3, tolerance=2e-6)


def test_local_response_norm_writes_alpha_times_n(onnx, tmp_path):
    contents = assert_same(onnx, tmp_path, LocalResponseNorm(), (7, 3, 3))
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute)
                  for attribute in contents.graph.node[0].attribute}
    assert attributes["alpha"] == np.float32(5e-4) and attributes["size"] == 5


# ── containers ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("f", [
    lambda net, x: 0.5 * net.conv(x) - x / 3,
    lambda net, x: np.concatenate([x, net.conv(x)], axis=1)[:, 1:-1, ::2, 1],
    lambda net, x: net.conv(x).mean(axis=(2, 3)) + x.sum(axis=(2, 3)) * x.max(axis=(2, 3)),
    lambda net, x: np.maximum(net.conv(x), 0).transpose(0, 2, 1, 3),
    lambda net, x: np.pad(net.conv(x), ((0, 0), (0, 0), (1, 2), (0, 1))),
    lambda net, x: net.conv(x).reshape(2 * len(x), -1),
    lambda net, x: net.conv(x).reshape(len(x), 3, 20) @ x.reshape(len(x), 20, 3),
    lambda net, x: net.conv(x)[:, ::-1, None, 1:2, -1],
    lambda net, x: -np.sqrt(np.exp(net.conv(x)))[:, 0],
    lambda net, x: net.conv(x) * net.gamma.value[:, None, None],
    lambda net, x: net.gamma.value[None, :, None, None] + net.conv(x),
])
def test_operations_between_layers(onnx, tmp_path, f):
    net = Container(f, conv=Conv2d(3, 3, 3, padding=1, rng=0))
    net.gamma = Parameter(images(3, N=1)[0])
    assert_same(onnx, tmp_path, net, (3, 4, 5), N=3, tolerance=1e-5)


def test_several_inputs_and_outputs(onnx, tmp_path):
    net = Container(lambda net, a, b: (net.conv(a) * b, a), conv=Conv2d(3, 2, 1, rng=0))
    ours.save(net, tmp_path / "net.onnx", [(3, 4, 4), (2, 4, 4)])
    contents = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(contents, full_check=True)
    assert [v.name for v in contents.graph.input] == ["input1", "input2"]
    assert [v.name for v in contents.graph.output] == ["output1", "output2"]
    a, b = images(3, 4, 4), images(2, 4, 4)
    for z, y in zip(computed(tmp_path / "net.onnx", a, b), net(a, b), strict=True):
        np.testing.assert_allclose(z, y, rtol=1e-5, atol=1e-6)


# ── the file ─────────────────────────────────────────────────────────────────────────


def test_the_format_by_hand():
    """Field 1 with 300, as in Google's documentation: key 08, then 300 = 10·128 + 44."""
    assert b"".join(ours._message((1, 300))) == bytes([0x08, 0b10101100, 0b00000010])
    assert b"".join(ours._message((2, "testing"))) == b"\x12\x07testing"
    assert b"".join(ours._message((1, -1))) == b"\x08" + b"\xff" * 9 + b"\x01"
    assert b"".join(ours._message((3, ours._message((1, 300))))) == b"\x1a\x03\x08\xac\x02"
    assert b"".join(ours._message((2, 1.0))) == b"\x15\x00\x00\x80\x3f"


def test_names_shapes_and_a_batch_of_any_size(onnx, tmp_path):
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), relu=ReLU(), flatten=Flatten(),
                     drop=Dropout(0.5), fc=Linear(18, 4, rng=0))
    graph = assert_same(onnx, tmp_path, net, (1, 5, 5), N=7).graph
    assert [node.name for node in graph.node] == ["conv", "relu", "flatten", "fc"]
    assert [t.name for t in graph.initializer] == [
        "conv.weight", "conv.bias", "fc.weight", "fc.bias"]
    dims = graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", 1, 5, 5]
    assert [v.name for v in graph.output] == ["output"]


class Square(Layer):
    def forward(self, x):
        return x * x


class Doubled(ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


def test_a_layer_without_a_rule_and_with_one(onnx, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "_RULES", dict(ours._RULES))
    net = Sequential(conv=Conv2d(1, 2, 3, rng=0), square=Square())
    with pytest.raises(ValueError, match="no rule for square, .*Square") as error:
        ours.save(net, tmp_path / "net.onnx", (1, 5, 5))
    assert "@onnx.rule(Square)" in str(error.value) and not list(tmp_path.iterdir())

    @ours.rule(Square)
    def square(graph, layer, x):
        return graph.node("Mul", x, x)

    assert_same(onnx, tmp_path, net, (1, 5, 5))


def test_a_subclass_that_computes_something_else_does_not_inherit_the_rule(tmp_path):
    with pytest.raises(ValueError, match="no rule for 0, Doubled"):
        ours.save(Sequential(Doubled()), tmp_path / "net.onnx", (1, 5, 5))


def test_errors(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    conv = Conv2d(1, 2, 3, rng=0)
    with pytest.raises(ValueError, match="float32 or float64 networks; got complex64"):
        ours.save(Conv2d(1, 2, 3, rng=0).astype("complex64"), path, (1, 5, 5))
    with pytest.raises(ValueError, match="no rule for the operation 'cumsum' that the network"):
        ours.save(Container(lambda net, x: net.conv(x).cumsum(axis=1), conv=conv), path, (1, 5, 5))
    with pytest.raises(ValueError, match="a constant of float64"):
        ours.save(Container(lambda net, x: net.conv(x) * np.ones(3), conv=conv), path, (1, 5, 5))
    with pytest.raises(FileNotFoundError):
        ours.save(conv, tmp_path / "no" / "net.onnx", (1, 5, 5))
    monkeypatch.setattr(ours, "LARGEST", 100)
    with pytest.raises(ValueError, match="takes .* bytes as ONNX, and one file holds at most 100"):
        ours.save(conv, path, (1, 5, 5))
    assert not list(tmp_path.iterdir())


# ── the command ──────────────────────────────────────────────────────────────────────


def exported(*arguments):
    import argparse
    parser = argparse.ArgumentParser()
    ours.add_command(parser.add_subparsers())
    options = parser.parse_args(["export", *map(str, arguments)])
    return options.run(options)


def test_export_a_model_with_weights(tmp_path, capsys):
    net = models.lenet5(rng=3)
    weights.save(net, tmp_path / "net.npz")
    assert exported("lenet5", "--weights", tmp_path / "net.npz", "--onnx", tmp_path / "a.onnx") == 0
    assert "untrained" not in capsys.readouterr().out
    x = images(1, 32, 32)
    np.testing.assert_allclose(computed(tmp_path / "a.onnx", x)[0], net.eval()(x), rtol=1e-4)
    assert exported("lenet5", "--onnx", tmp_path / "b.onnx") == 0
    assert "untrained" in capsys.readouterr().out


def test_export_what_is_not_there(tmp_path, capsys):
    assert exported("lenet6", "--onnx", tmp_path / "a.onnx") == 2
    assert "did you mean 'lenet5'" in capsys.readouterr().err
