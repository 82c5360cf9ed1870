"""The diagnosis: each kind of mistake, in a layer small enough to see it, is told by its cause.

How often it is right on mistakes that nobody chose is measured by benchmarks/diagnosis.py; here
stands what it must not lose.
"""
import numpy as np
import pytest
from layer_cases import CASES

from scratchnet import Layer, layers
from scratchnet.gradcheck import Configuration, check
from scratchnet.layer import Parameter


def rand(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


class Affine(Layer):
    """y = x·wᵀ + b, its gradients as functions of (x, dy, w)."""

    def __init__(self, i, o, **steps):
        self.weight, self.bias = Parameter(rand(o, i)), Parameter(rand(o))
        self._steps = {"dx": lambda x, dy, w: dy @ w, "dw": lambda x, dy, w: dy.T @ x,
                       "db": lambda x, dy, w: dy.sum(axis=0)} | steps

    def forward(self, x):
        y = x @ self.weight.value.T + self.bias.value
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        dx, dw, db = (self._steps[n](x, dy, self.weight.value) for n in ("dx", "dw", "db"))
        self.weight.grad += dw
        self.bias.grad += db
        return dx

    def __deepcopy__(self, memo):
        import copy
        new = object.__new__(type(self))
        memo[id(self)] = new
        vars(new).update({n: v if n == "_steps" else copy.deepcopy(v, memo)
                          for n, v in vars(self).items() if n != "_memory"})
        return new


class Elementwise:
    """y = f(x), dx = dy · slope(x, y): nobody's base class, as in a stranger's project."""

    def __init__(self, f, slope):
        self.functions = f, slope

    def forward(self, x):
        self.x, self.y = x, self.functions[0](x)
        return self.y

    def backward(self, dy):
        return dy * self.functions[1](self.x, self.y)


def sigma(x):
    return 1 / (1 + np.exp(-x))


FLAT, SQUARE, IMAGES = rand(4, 5), rand(3, 4), rand(2, 3, 6, 5)
TOLD = [        # what, layer, inputs, confidence, what the first cause says
    ("sign", Affine(5, 3, dw=lambda x, dy, w: -dy.T @ x), FLAT, "exact",
     "the gradient of weight is exactly the negative of the true gradient"),
    ("zero", Affine(5, 3, db=lambda x, dy, w: 0 * dy[0]), FLAT, "exact",
     "the gradient of bias is all zeros"),
    ("1/N", Affine(5, 3, dw=lambda x, dy, w: dy.T @ x / len(x)), FLAT, "exact",
     "times 1/N: divided by the batch size"),
    ("twice", Affine(5, 3, dx=lambda x, dy, w: 2 * dy @ w), FLAT, "exact", "times 2"),
    ("w for its transpose", Affine(4, 4, dx=lambda x, dy, w: dy @ w.T), SQUARE, "exact",
     "dx is right for weight transposed"),
    ("dw transposed", Affine(4, 4, dw=lambda x, dy, w: x.T @ dy), SQUARE, "exact",
     "right but transposed"),
    ("dw reshaped", Affine(5, 3, dw=lambda x, dy, w: (x.T @ dy).reshape(w.shape)), FLAT, "exact",
     "reshaped in the wrong order"),
    ("one sample", Affine(5, 3, db=lambda x, dy, w: dy[0]), FLAT, "exact",
     "only sample 0 counts in the gradient of bias"),
    ("all axes", Affine(5, 3, db=lambda x, dy, w: dy.sum()), FLAT, "exact",
     "summed over too many axes"),
    ("|x|", Affine(5, 3, dw=lambda x, dy, w: dy.T @ np.abs(x)), FLAT, "exact",
     "right for x without its sign"),
    ("a mask too many", Affine(5, 3, dx=lambda x, dy, w: dy @ w * (x > 0)), FLAT, "exact",
     "[x > 0] (a mask that forward does not have)"),
    ("float16", Affine(5, 3, dx=lambda x, dy, w: (dy @ w).astype("f2").astype(dy.dtype)), FLAT,
     "exact", "only the digits of float16"),
    ("decay", Affine(5, 3, dw=lambda x, dy, w: dy.T @ x + 0.01 * w), FLAT, "exact",
     "contains 0.01·weight, which does not come from dy"),
    ("dy ignored", Affine(5, 3, db=lambda x, dy, w: 0 * dy[0] + len(x)), FLAT, "exact",
     "the gradient of bias ignores dy"),
    ("mask of dy", Affine(5, 3, dx=lambda x, dy, w: dy * (dy > 0) @ w), FLAT, "exact",
     "a mask is made from dy"),
    ("clipped", Affine(5, 3, dx=lambda x, dy, w: (dy @ w).clip(-3, 3)), FLAT, "exact",
     "large numbers are clipped"),
    ("keepdims", Affine(5, 3, dx=lambda x, dy, w: (dy @ w)[None]), FLAT, "exact",
     "an axis of length 1 too many"),
    ("None", Affine(5, 3, dx=lambda x, dy, w: None), FLAT, "exact",
     "backward ends without return"),
    ("not written", Affine(5, 3, dx=lambda x, dy, w: Layer().backward(dy)), FLAT, "exact",
     "backward is not written yet"),
    ("slope at x", Elementwise(np.tanh, lambda x, y: 1 - x * x), IMAGES, "exact",
     "1 − x² is used where 1 − y² is meant: y and x confused"),
    ("product rule", Elementwise(lambda x: x * sigma(x), lambda x, y: sigma(x)), FLAT, "exact",
     "the local derivative is wrong: σ(x) is used"),
    ("mask missing", Elementwise(lambda x: np.maximum(x, 0), lambda x, y: 1.0), IMAGES, "exact",
     "a mask is not applied"),
    ("mask inverted", Elementwise(lambda x: np.maximum(x, 0), lambda x, y: x < 0), IMAGES,
     "exact", "the mask is the wrong way round"),
    ("mask too narrow", Elementwise(lambda x: np.maximum(x, 0), lambda x, y: x > 0.5), IMAGES,
     "exact", "a mask stops gradient that should pass"),
]


@pytest.mark.parametrize(("layer", "x", "confidence", "says"),
                         [pytest.param(*told[1:], id=told[0]) for told in TOLD])
def test_a_mistake_is_named(layer, x, confidence, says):
    report = check(layer, x)
    assert not report.passed
    assert says in report.causes[0].says and report.causes[0].confidence == confidence, str(report)
    assert says in str(report) and "\n    Evidence: " in str(report)


class StrangersNorm:
    """x.var() and a buffer of zeros: no imaginary part comes through, differences must do."""

    def __init__(self):
        self.gamma = 1 + rand(5)

    def forward(self, x):
        self.std = np.sqrt(x.var(axis=0) + 1e-5)
        self.hat = (x - x.mean(axis=0)) / self.std
        y = np.zeros(x.shape)
        y[:] = self.gamma * self.hat
        return y

    def backward(self, dy):
        self.dgamma = (dy * self.hat).sum(axis=0)
        g = dy * self.gamma
        return (g - g.mean(axis=0)) / self.std


def test_layers_that_drop_imaginary_parts_are_told_no_less():
    report = check(StrangersNorm(), rand(6, 5))
    assert "the variance term is missing (coefficient 0.00)" in report.causes[0].says, str(report)
    assert report.rows[0].method == "differences"


def test_zeros_and_infinities_explain_nothing():
    layer = Elementwise(lambda x: np.maximum(x, 0) * x, lambda x, y: 1.0)
    says = check(layer, IMAGES).causes[0].says
    assert "1/y" not in says and "1/x" not in says, says


def test_a_failing_diagnosis_does_not_cost_the_report(monkeypatch):
    from scratchnet import gradcheck

    def fail(*what):
        raise RuntimeError("a hole in the diagnosis")
    monkeypatch.setattr(gradcheck, "diagnose", fail)
    monkeypatch.delenv("SCRATCHNET_DEBUG", raising=False)
    layer = Affine(5, 3, dw=lambda x, dy, w: -dy.T @ x)
    assert "weight" in str(check(layer, FLAT)) and not check(layer, FLAT).causes
    monkeypatch.setenv("SCRATCHNET_DEBUG", "1")
    with pytest.raises(RuntimeError, match="a hole"):
        check(layer, FLAT)


def written(backward):
    """An Affine whose backward is this text, as a student writes it."""
    import linecache
    name = f"<written {hash(backward)}>"
    text = "def backward(self, dy):\n" + backward
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    scope = {}
    exec(compile(text, name, "exec"), scope)
    return type("Written", (Affine,), scope)(5, 3)


@pytest.mark.parametrize(("backward", "says"), [
    ("    x = self.recall(dy)\n    self.weight.grad += dy.T @ x\n    return dy\n",
     "write `x, = self.recall(dy)`, with a comma"),
    ("    x, = self.recall(dy)\n    return dy @ self.weight.T\n",
     "a Parameter holds its array in .value"),
    ("    x, = self.recall(dy)\n    self.dw = dy.T @ x\n    self.bias.grad += dy.sum(axis=0)\n"
     "    return dy @ self.weight.value\n",
     "all zeros: it is never computed, or never added into .grad (self.dw has its shape: add that "
     "to self.weight.grad)"),
    ("    x, = self.recall(dy)\n    return x > 0\n",
     "holds truth values, a mask: multiply it by dy"),
    ("    x, = self.recall(dy)\n    return (dy @ self.weight.value,)\n",
     "backward returned a tuple of one"),
], ids=["comma", "Parameter", "self.dw", "bool", "tuple"])
def test_slips_of_the_pen_are_named(backward, says):
    report = check(written(backward), FLAT)
    assert says in report.causes[0].says and report.causes[0].confidence == "exact", str(report)


class Block(Layer):
    """y = relu(conv(x) + x); the steps of backward are a subclass's."""

    def __init__(self):
        self.conv, self.relu = layers.Conv2d(3, 3, 3, padding=1, rng=0), layers.ReLU()

    def forward(self, x):
        y = self.relu.forward(self.conv.forward(x) + x)
        self.remember(y=y)
        return y


BLOCKS = {
    "never called": (lambda s, dy: dy + s.conv.backward(dy), "likely|exact",
                     "relu is skipped in backward|relu.backward is never called"),
    "the shortcut forgotten": (lambda s, dy: s.conv.backward(s.relu.backward(dy)), "exact",
                               "the shortcut's term is missing|direct .shortcut. term is missing"),
    "the branch forgotten": (lambda s, dy: s.relu.backward(dy), "exact",
                             "conv .Conv2d. term is missing"),
    "the shortcut past the ReLU": (lambda s, dy: s.conv.backward(s.relu.backward(dy)) + dy,
                                   "exact", "the way past conv .the shortcut. gets dy"),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_a_mistake_in_a_block_is_named(what):
    import re
    step, confidence, says = BLOCKS[what]

    def backward(self, dy):
        self.recall(dy)
        return step(self, dy)
    report = check(type("Block", (Block,), {"backward": backward})(), IMAGES)
    first = report.causes[0]
    assert re.search(says, first.says) and re.fullmatch(confidence, first.confidence), str(report)


def test_the_wrong_part_of_a_network_is_named():
    class Half(layers.ReLU):
        def backward(self, dy):
            return super().backward(dy) / 2

    net = layers.Sequential(a=layers.Conv2d(3, 4, 3, rng=0), b=layers.Sequential(
        relu=Half(), pool=layers.MaxPool2d(2)), c=layers.Flatten())
    report = check(net, IMAGES)
    assert report.causes[0].says.startswith(
        "in b (Sequential), in relu (Half), dx is the true gradient times 1/2"), str(report)


def test_parts_in_the_wrong_order_are_named():
    class Chain(Layer):
        def __init__(self):
            self.first, self.second = layers.Conv2d(3, 3, 3, padding=1, rng=0), layers.Tanh()

        def forward(self, x):
            return self.second.forward(self.first.forward(x))

        def backward(self, dy):
            return self.second.backward(self.first.backward(dy))

    report = check(Chain(), IMAGES)
    assert "first runs backwards before second, in forward's order" in report.causes[0].says


def test_what_is_right_has_no_cause_and_nothing_is_left_behind():
    maximum, where, tanh = np.maximum, np.where, np.tanh
    report = check(layers.ReLU(), IMAGES)
    assert report.passed and not report.causes and "ause" not in str(report)
    check(Elementwise(lambda x: np.maximum(x, 0), lambda x, y: np.cos(x)), IMAGES)
    assert (np.maximum, np.where, np.tanh) == (maximum, where, tanh)


def test_the_same_seed_gives_the_same_causes():
    layer = Affine(4, 4, dx=lambda x, dy, w: dy @ w.T)
    first, again = (check(layer, SQUARE, rng=5) for _ in range(2))
    assert first.causes == again.causes


def test_a_pattern_that_nothing_explains_is_told_as_a_guess():
    layer = Affine(5, 3, dx=lambda x, dy, w: dy @ np.sort(w, axis=None).reshape(w.shape))
    report = check(layer, FLAT)
    assert report.causes[0].confidence == "guess"
    assert "A guess: perhaps dx is wrong in" in str(report)


LARGE = {"dw": (lambda x, dy, w: dy.T @ x / len(x), "times 1/N"),
         "dx": (lambda x, dy, w: dy @ w * (x > 0), "a mask that forward does not have"),
         "db": (lambda x, dy, w: dy.sum(), "summed over too many axes")}


@pytest.mark.parametrize("step", LARGE)
def test_a_layer_too_large_to_be_seen_whole_is_seen_through_a_window(step):
    wrong, says = LARGE[step]
    report = check(Affine(784, 100, **{step: wrong}), rand(16, 784))
    assert says in report.causes[0].says and report.causes[0].confidence == "exact", str(report)


def test_a_large_convolution_and_a_large_relu_too():
    class Flipped(layers.Conv2d):
        def backward(self, dy):
            x, = self.recall(dy)
            flipped = layers.Conv2d(32, 64, 3, padding=1, bias=False).astype(dy.dtype)
            flipped.weight.value = np.ascontiguousarray(self.weight.value[:, :, ::-1, ::-1])
            flipped.forward(x)
            self.remember(x)
            super().backward(dy)
            return flipped.backward(dy)

    class Twice(layers.ReLU):
        def backward(self, dy):
            return 2 * super().backward(dy)

    x = rand(4, 32, 20, 20)
    report = check(Flipped(32, 64, 3, padding=1, rng=0), x, probes=1)
    assert "dx is right for weight flipped by 180°" in report.causes[0].says, str(report)
    assert "dx is the true gradient times 2" in check(Twice(), x).causes[0].says


# ── with a reference, and other settings ─────────────────────────────────────────────


def test_a_wrong_forward_is_told_before_anything_else():
    class Shifted(Affine):
        def forward(self, x):
            return super().forward(x) + 0.5

    report = check(Shifted(5, 3, dx=lambda x, dy, w: -dy @ w), FLAT, reference=Affine(5, 3))
    assert not report.rows and report.verdict == "wrong"
    assert report.causes[0].code == "forward" and "(100% of its numbers are wrong)" in str(report)


def test_the_derivative_is_taken_of_the_reference():
    class Rounded(Affine):
        """Right to 1e-11 forwards: differences of its own would be noise."""
        def forward(self, x):
            return np.round(super().forward(x), 11) if x.dtype == np.float64 else \
                super().forward(x)

    assert check(Rounded(5, 3), FLAT, reference=Affine(5, 3)).passed


def test_a_reference_has_the_same_parameters():
    with pytest.raises(ValueError, match="parameters and buffers, of the same names and shapes"):
        check(Affine(5, 3), FLAT, reference=Affine(5, 4))


def test_other_settings_say_where_it_is_wrong():
    class NoStride(layers.MaxPool2d):
        """As if windows were side by side."""
        def backward(self, dy):
            row_winner, winner, x_shape = self.recall(dy)
            (n, c, i, j), s = np.indices(dy.shape), self.stride[0]
            u = winner[n, c, i, j]
            tap = u * self.kernel_size[1] + row_winner[u % s, n, c, i + u // s, j]
            dx = np.zeros(x_shape, dy.dtype)
            for here, (outputs, pixels) in enumerate(self._taps(x_shape[2:], dy.shape[2:])):
                dx[pixels] = np.where(tap[outputs] == here, dy[outputs], dx[pixels])
            return dx

    others = [Configuration(label, NoStride(*sizes), (IMAGES,), layers.MaxPool2d(*sizes))
              for label, sizes in (("windows apart", (2, 2)), ("overlap", (3, 2)))]
    report = check(NoStride(3, 2), rand(2, 3, 9, 9), reference=layers.MaxPool2d(3, 2),
                   others=others)
    assert "wrong only with overlap" in report.causes[0].evidence, str(report)
    assert "`=` where `+=` is needed" in report.causes[0].says


# ── what the library's layers declare ────────────────────────────────────────────────

DECLARED = [pytest.param(cls, label, id=f"{cls.__name__}: {label}")
            for cls in vars(layers).values() if isinstance(cls, type) and issubclass(cls, Layer)
            for label in cls.settings]


@pytest.mark.parametrize(("cls", "label"), DECLARED)
def test_every_declared_setting_runs_and_is_right(cls, label):
    args, options, *shapes = cls.settings[label]
    layer = cls(*args, **options)
    xs = [rand(*shape) for shape in shapes]
    layer.astype(np.float64)
    for parameter in layer.parameters():
        parameter.value = rand(*parameter.value.shape)
    assert check(layer, *xs, probes=1).passed


def test_the_layers_one_writes_most_declare_settings():
    for name in ("Conv2d", "Linear", "MaxPool2d", "AvgPool2d", "BatchNorm2d", "Dropout",
                 "LocalResponseNorm"):
        assert len(getattr(layers, name).settings) >= 3


@pytest.mark.parametrize("case", [c for c in CASES if hasattr(c.make(), "terms")], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_the_terms_add_up_to_the_gradient(case, training):
    layer, xs = case.layer().train(training), case.inputs()
    y = layer.forward(*xs)
    dy = rand(*y.shape) if case.takes_dy else 1.7
    dx = layer.backward(dy)
    terms = layer.terms(*xs, dy)
    assert np.abs(sum(terms.values()) - dx).max() <= 1e-12 * np.abs(dx).max()
