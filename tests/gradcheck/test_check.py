"""What `check` says, what it leaves alone, and what it does when the usual way is closed."""
import random
import re

import numpy as np
import pytest
from planted_bugs import (
    DictNet,
    ListLinear,
    Skip,
    SoftmaxWithLoss,
    TensorLinear,
    WdW,
    patch,
    randn,
)

from scratchnet.gradcheck import Finding, Report, Row, assert_correct, check
from scratchnet.layer import Layer, Parameter, no_grad
from scratchnet.layers.batchnorm import BatchNorm2d
from scratchnet.layers.branch import Add, Concatenate, Identity, Sequential
from scratchnet.layers.conv import Conv2d
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.linear import Linear
from scratchnet.layers.pool import MaxPool2d
from scratchnet.layers.relu import ReLU
from scratchnet.layers.sigmoid import Sigmoid
from scratchnet.layers.softmax import SoftmaxCrossEntropy
from scratchnet.layers.tanh import Tanh

LABELS = np.array([2, 0, 4, 1])


def elementwise(forward, slope):
    """A layer y = forward(x) with dx = dy · slope(x)."""
    class Elementwise(Layer):
        def forward(self, x):
            y = forward(x)
            self.remember(x, y=y)
            return y

        def backward(self, dy):
            x, = self.recall(dy)
            return dy * slope(x)
    return Elementwise()


def in_float64(x):
    """x in a buffer that cannot hold complex numbers."""
    buffer = np.empty(x.shape, x.real.dtype)
    buffer[...] = x
    return buffer


# ── the report ───────────────────────────────────────────────────────────────────────

def test_report_of_a_correct_layer():
    report = check(Linear(5, 3, rng=0), randn(4, 5))
    assert report.passed and report and report.verdict == "correct"
    assert [row.name for row in report.rows] == ["x", "weight", "bias"]
    assert [row.shape for row in report.rows] == [(4, 5), (3, 5), (3,)]
    assert report.worst < 1e-13 and report.seconds > 0
    text = str(report)
    assert text.splitlines()[0] == "Linear(5→3): correct"
    assert "4×5" in text and "complex step, differences" in text
    assert "also correct: leaves its arrays alone, repeatable" in text
    assert "not applicable" not in text


def test_report_of_a_wrong_layer_names_the_argument_and_both_numbers():
    wrong = patch(Linear, backward=lambda s, dy: 1.5 * Linear.backward(s, dy))(5, 3, rng=0)
    report = check(wrong, randn(4, 5))
    assert not report.passed and not report and report.verdict == "wrong"
    assert {row.name: row.verdict for row in report.rows} == {
        "x": "wrong", "weight": "correct", "bias": "correct"}
    assert "x: along one direction, backward says " in str(report)
    assert report.worst == pytest.approx(1 / 3, abs=0.2)


@pytest.mark.parametrize("verdicts, expected", [
    (["correct", "correct"], "correct"), (["correct", "inconclusive"], "inconclusive"),
    (["inconclusive", "wrong"], "wrong"), ([], "inconclusive")])
def test_verdict_of_the_rows(verdicts, expected):
    rows = [Row("x", (1,), verdict, 0.0, 4, "") for verdict in verdicts]
    assert Report("layer", rows).verdict == expected
    assert Report("layer", rows).passed is (expected == "correct")
    assert Report("layer", rows, [Finding("ties", "wrong", "no")]).verdict == "wrong"
    assert Report("layer", rows, [Finding("ties", "not applicable")]).verdict == expected


def test_assert_correct_carries_the_report():
    assert_correct(ReLU(), randn(2, 3))
    wrong = patch(ReLU, backward=lambda s, dy: -ReLU.backward(s, dy))()
    with pytest.raises(AssertionError, match=r"(?s)gradient check failed\nReLU\(\): wrong.*says"):
        assert_correct(wrong, randn(2, 3))


def test_the_same_rng_gives_the_same_report():
    a, b = (check(Linear(3, 2, rng=0), randn(4, 3), rng=7).worst for _ in range(2))
    assert a == b


def test_a_foreign_object_is_called_by_its_class():
    assert str(check(WdW(), randn(4, 5))).splitlines()[0] == "WdW: correct"


# ── what it refuses ──────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("x, message", [
    ([1.0, 2.0], "input 0 is a list: expected a NumPy or CuPy array"),
    (3.0, "input 0 is a float"),
    (np.array([1.0, np.nan]), "input 0 holds NaN or infinity"),
    (np.array([1.0, np.inf]), "input 0 holds NaN or infinity")])
def test_inputs_must_be_finite_arrays(x, message):
    with pytest.raises(ValueError, match=message):
        check(ReLU(), x)


def test_probes_must_be_positive():
    with pytest.raises(ValueError, match="probes must be an integer ≥ 1"):
        check(ReLU(), randn(3), probes=0)


def test_what_forward_raises_is_passed_on():
    with pytest.raises(ValueError, match=r"Linear\(5→3\) expects"):
        check(Linear(5, 3, rng=0), randn(4, 6))


def test_a_layer_that_cannot_be_copied_says_so():
    layer = ReLU()
    layer.generator = (i for i in range(3))
    with pytest.raises(TypeError, match="ReLU cannot be copied"):
        check(layer, randn(3))


# ── findings about backward ──────────────────────────────────────────────────────────

def test_an_exception_in_backward_is_a_finding():
    def backward(self, dy):
        raise IndexError("index 7 is out of bounds")
    report = check(patch(ReLU, backward=backward)(), randn(2, 3))
    assert report.verdict == "wrong" and not report.rows
    assert "backward raised IndexError: index 7 is out of bounds (" in str(report)
    assert "test_check.py:" in str(report)


def test_a_missing_backward_is_a_finding():
    report = check(patch(Layer, forward=lambda s, x: x)(), randn(2, 3))
    assert "has no backward(dy) yet: write it" in str(report)


@pytest.mark.parametrize("change, message", [
    (lambda dx: dx[:1], r"the gradient of x has shape \(1, 3\); expected \(2, 3\), like x"),
    (lambda dx: None, "the gradient of x is NoneType, not an array"),
    (lambda dx: (dx, dx), "backward returned 2 gradients for 1 input"),
    (lambda dx: dx * np.nan, "the gradient of x holds NaN or infinity")])
def test_shapes_are_reported(change, message):
    layer = patch(ReLU, backward=lambda s, dy: change(ReLU.backward(s, dy)))()
    report = check(layer, randn(2, 3))
    assert report.verdict == "wrong"
    assert re.search(message, str(report)), str(report)


def test_findings_name_what_is_wrong():
    def backward(self, dy):
        dy *= 2
        return ReLU.backward(self, dy) / 2
    report = check(patch(ReLU, backward=backward)(), randn(2, 3))
    assert all(row.verdict == "correct" for row in report.rows)
    assert "Cause (exact): backward wrote into dy" in str(report)


# ── inconclusive is not a pass ───────────────────────────────────────────────────────

def test_a_function_without_derivatives_is_inconclusive():
    """Waves too short for any step size, and a buffer that stops complex numbers."""
    rough = elementwise(lambda x: in_float64(x.real + 1e-4 * np.sin(1e12 * x.real)), np.ones_like)
    report = check(rough, randn(2, 3))
    assert report.rows[0].verdict == "inconclusive" and not report.passed
    zero = elementwise(lambda x: x.real + 1e-4 * np.sin(1e12 * x.real), np.zeros_like)
    report = check(zero, randn(2, 3))               # the complex step would say 0 too
    assert report.rows[0].verdict == "inconclusive"


def test_a_kink_right_at_the_input_is_inconclusive():
    """|x − ½| at ½: `abs` stops complex numbers, and no two step sizes agree."""
    kink = elementwise(lambda x: np.abs(x - 0.5), lambda x: np.sign(x - 0.5))
    report = check(kink, np.array([0.5, 0.7]))
    assert report.verdict == "inconclusive" and "near a kink?" in str(report)
    assert check(kink, np.array([0.6, 0.7])).passed


def test_a_saturated_layer_is_inconclusive_not_wrong():
    """Flat but for rounding: backward says 0, the complex step 1e-60; nobody can tell."""
    for layer in (Tanh(), Sigmoid()):
        report = check(layer, np.array([200.0, 300.0, 450.0]))
        assert report.verdict == "inconclusive"
        assert "the gradient vanishes here" in str(report)


def test_rounding_in_backward_is_told_from_a_mistake():
    """1 − y loses digits where y ≈ 1; in float32 it loses them all. An ε of 1e-8 does not grow."""
    x = np.array([15.0, 16.0, 14.0])
    report = check(Sigmoid(), x)
    assert report.passed and report.worst > 1e-10 and "rounding" in str(report)
    mistake = patch(Tanh, backward=lambda s, dy: Tanh.backward(s, dy) * (1 + 1e-8))()
    assert check(mistake, randn(2, 3)).verdict == "wrong"


# ── complex step and differences ─────────────────────────────────────────────────────

@pytest.mark.parametrize("forward, slope", [
    (lambda x: np.abs(x) * x, lambda x: 2 * np.abs(x)),
    (lambda x: x.real ** 3, lambda x: 3 * x ** 2),
    (lambda x: in_float64(x * x), lambda x: 2 * x),
    (lambda x: np.hypot(x, 1), lambda x: x / np.hypot(x, 1))],
    ids=["abs", "real", "buffer", "no complex version"])
def test_falls_back_to_differences(forward, slope):
    right, wrong = elementwise(forward, slope), elementwise(forward, lambda x: 1.001 * slope(x))
    report = check(right, randn(2, 5))
    assert report.passed and report.rows[0].method == "differences"
    assert "not measured by the complex step: " in str(report)
    report = check(wrong, randn(2, 5))
    assert report.verdict == "wrong" and report.rows[0].method == "differences"


def test_second_opinion_catches_a_forward_that_drops_imaginary_parts():
    """forward: x · real(x); the complex step sees only x, and backward has the same omission."""
    report = check(elementwise(lambda x: x * x.real, lambda x: x), randn(2, 5))
    assert report.verdict == "wrong" and report.rows[0].method == "differences"
    report = check(elementwise(lambda x: x * x.real, lambda x: 2 * x), randn(2, 5))
    assert report.passed and "does forward drop imaginary parts?" in str(report)


def test_the_complex_step_sees_what_differences_cannot():
    def backward(self, dy):
        return Linear.backward(self, dy) * (1 + 1e-9)
    report = check(patch(Linear, backward=backward)(5, 3, rng=0), randn(4, 5))
    assert report.verdict == "wrong"
    assert check(patch(Linear, backward=backward)(5, 3, rng=0), randn(4, 5), tolerance=1e-8).passed


def test_one_wrong_element_among_many():
    def backward(self, dy):
        dx = ReLU.backward(self, dy).copy()
        dx[37, 201] *= 1 + 1e-5
        return dx
    assert not check(patch(ReLU, backward=backward)(), np.abs(randn(256, 512))).passed


def test_a_kink_next_to_the_input_is_no_false_alarm():
    x = randn(3, 4, 5, 5)
    x[0, 0, 0, :4] = 1e-7, -1e-7, 3e-5, 2e-4
    for layer in (ReLU(), MaxPool2d(3, stride=1), Sequential(Conv2d(4, 3, 3, rng=0), ReLU())):
        assert check(layer, x).passed


# ── ties ─────────────────────────────────────────────────────────────────────────────

def test_ties_in_the_input_do_not_matter():
    images = (np.random.default_rng(0).integers(0, 17, (2, 3, 6, 7)) // 8).astype(float)
    for layer in (ReLU(), MaxPool2d(3, stride=2, padding=1)):
        report = check(layer, images)
        assert report.passed
        assert Finding("ties", "correct") in report.findings


def test_ties_are_not_asked_where_kinks_bend_both_ways():
    """y = Σ ±max: the first winner is no valid slope of the sum, though right in each part."""
    for seed in range(12):
        network = Sequential(MaxPool2d(2), Conv2d(2, 1, (2, 3), rng=seed))
        assert check(network, randn(1, 2, 4, 6), rng=seed).passed


def test_ties_are_not_applicable_to_smooth_layers():
    assert Finding("ties", "not applicable") in check(Tanh(), randn(2, 3)).findings


# ── nothing of the user's is changed ─────────────────────────────────────────────────

def test_layer_and_inputs_are_left_alone():
    layer = Sequential(Conv2d(3, 4, 3, rng=0), BatchNorm2d(4), Dropout(0.5, rng=3))
    x = randn(2, 3, 5, 6)
    layer.backward(layer.forward(x))                    # gradients and averages not at their start
    layer.forward(x)                                    # and a memory in use
    before = layer.state_dict()
    grads = [p.grad.copy() for p in layer.parameters()]
    generator = layer[2].rng.bit_generator.state
    kept = x.copy()
    check(layer, x)
    assert (x == kept).all()
    after = layer.state_dict()
    assert all((before[name] == after[name]).all() and before[name].dtype == after[name].dtype
               for name in before)
    assert all((p.grad == g).all() for p, g in zip(layer.parameters(), grads, strict=True))
    assert layer[2].rng.bit_generator.state == generator
    assert layer.training
    layer.backward(np.ones((2, 4, 3, 4), np.float32))   # the memory is still there


def test_a_destructive_layer_harms_only_copies():
    def forward(self, x):
        x *= 0
        self.weight.value *= 0
        return Linear.forward(self, x)
    layer, x, labels = patch(Linear, forward=forward)(5, 3, rng=0), randn(4, 5), LABELS.copy()
    w, kept = layer.weight.value.copy(), x.copy()
    assert not check(layer, x).passed
    assert (layer.weight.value == w).all() and (x == kept).all()

    def forward_labels(self, logits, labels):
        labels[:] = 0
        return SoftmaxCrossEntropy.forward(self, logits, labels)
    report = check(patch(SoftmaxCrossEntropy, forward=forward_labels)(), x, labels)
    assert (labels == LABELS).all()
    assert "forward wrote into its input" in str(report)


def test_global_random_state_is_left_alone():
    np.random.seed(5)                                                   # noqa: NPY002
    random.seed(5)
    expected = np.random.rand(), random.random()                        # noqa: NPY002
    np.random.seed(5)                                                   # noqa: NPY002
    random.seed(5)
    check(Dropout(0.5), randn(2, 3))
    check(patch(ReLU, forward=lambda s, x: (np.random.rand(), random.random(),  # noqa: NPY002
                                            ReLU.forward(s, x))[2])(), randn(2, 3))
    assert (np.random.rand(), random.random()) == expected              # noqa: NPY002


def test_check_works_under_no_grad():
    with no_grad():
        assert check(Linear(5, 3, rng=0), randn(4, 5)).passed


# ── what is checked ──────────────────────────────────────────────────────────────────

def test_mode_is_the_layers_own():
    bn = BatchNorm2d(3)
    x = randn(2, 3, 4, 5)
    assert check(bn, x).passed and check(bn.eval(), x).passed and not bn.training


def test_constant_parameters_are_varied():
    """γ = 1, β = 0, μ = 0, σ² = 1: at these, none of the three bugs would show."""
    def backward(self, dy):
        x, mean, inv_std, _ = self.recall(dy)
        x_hat = (x - mean[:, None, None]) * inv_std[:, None, None]
        self.weight.grad += (dy * x_hat).sum(axis=(0, 2, 3))
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        return dy * inv_std[:, None, None]
    report = check(patch(BatchNorm2d, backward=backward)(3).eval(), randn(2, 3, 4, 5))
    assert [row.verdict for row in report.rows] == ["wrong", "correct", "correct"]


def test_layers_inside_lists_and_dicts():
    class Bag(Layer):
        def __init__(self):
            self.list = [Linear(5, 4, rng=0)]
            self.by_name = {"last": Linear(4, 3, rng=1)}
            self.loose = [Parameter(randn(3))]

        def forward(self, x):
            y = self.by_name["last"](self.list[0](x)) + self.loose[0].value
            self.remember(y=y)
            return y

        def backward(self, dy):
            self.recall(dy)
            self.loose[0].grad += dy.sum(axis=0)
            return self.list[0].backward(self.by_name["last"].backward(dy))
    report = check(Bag(), randn(4, 5))
    assert report.passed
    assert {row.name for row in report.rows} == {
        "x", "loose.0", "list.0.weight", "list.0.bias", "by_name.last.weight",
        "by_name.last.bias"}


def test_several_inputs():
    a, b = randn(2, 3, 4, 5), randn(2, 3, 4, 5, seed=2)
    report = check(Add(), a, b)
    assert report.passed and len(report.rows) == 2
    report = check(patch(Concatenate, backward=lambda s, dy: tuple(
        2 * d for d in Concatenate.backward(s, dy)))(), a, b[:, :2])
    assert [row.verdict for row in report.rows] == ["wrong", "wrong"]


class SumAndProduct(Layer):
    factor = 1.0

    def forward(self, a, b):
        self.remember(a, b)
        return a + b, a * b

    def backward(self, dsum, dproduct):
        a, b = self.recall()
        return dsum + self.factor * dproduct * b, dsum + dproduct * a


def test_several_outputs():
    a, b = randn(3, 4), randn(3, 4, seed=2)
    report = check(SumAndProduct(), a, b)
    assert report.passed and [row.name for row in report.rows] == ["a", "b"]
    report = check(patch(SumAndProduct, factor=0.9)(), a, b)
    assert [row.verdict for row in report.rows] == ["wrong", "correct"]


def test_losses_and_labels():
    report = check(SoftmaxCrossEntropy(), randn(4, 5), LABELS)
    assert report.passed and [row.name for row in report.rows] == ["logits"]

    class NoUpstream(SoftmaxWithLoss):
        """backward() without dy: the derivative of the loss itself."""

        def backward(self):
            return SoftmaxWithLoss.backward(self)
    assert check(NoUpstream(), randn(4, 5), LABELS).passed
    wrong = patch(NoUpstream, backward=lambda s: 2 * NoUpstream.backward(s))()
    assert check(wrong, randn(4, 5), LABELS).verdict == "wrong"


def test_one_number():
    assert check(Identity(), np.array([3.0])).passed
    assert check(Tanh(), np.array([[0.0]])).passed


# ── objects that are no scratchnet layers ────────────────────────────────────────────

@pytest.mark.parametrize("make, names", [
    (WdW, {"W", "b"}), (DictNet, {"W1", "b1", "W2", "b2"}),
    (ListLinear, {"params[0]", "params[1]"}), (patch(TensorLinear), {"weight"}),
    (lambda: Skip(TensorLinear()), {"f.weight"})],
    ids=["attributes", "dicts", "lists", "objects", "inside another"])
def test_foreign_parameters_are_found(make, names):
    x = randn(3, 4) if "weight" in str(names) else randn(4, 5)
    report = check(make(), x)
    assert report.passed, str(report)
    assert {row.name for row in report.rows} == {"x"} | names


@pytest.mark.parametrize("mate", ["dW", "d_W", "grad_W", "W_grad", "gradW"])
def test_foreign_names_of_gradients(mate):
    class Named:
        def __init__(self, factor):
            self.W, self.factor = np.random.default_rng(0).standard_normal((5, 3)), factor

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dout):
            setattr(self, mate, self.factor * (self.x.T @ dout))
            return dout @ self.W.T
    assert [row.name for row in check(Named(1), randn(4, 5)).rows] == ["x", "W"]
    assert check(Named(1), randn(4, 5)).passed and not check(Named(2), randn(4, 5)).passed


def test_a_foreign_cache_is_no_parameter():
    """x and dx are attributes with a mate too, but x comes and goes with forward."""
    class Keeps(WdW):
        def backward(self, dout):
            self.dx = WdW.backward(self, dout)
            return self.dx
    layer = Keeps()
    layer.backward(layer.forward(randn(4, 5)))          # used before: x and dx are there
    report = check(layer, randn(4, 5))
    assert report.passed and [row.name for row in report.rows] == ["x", "W", "b"]


def test_a_foreign_layer_with_gradients_from_before():
    class Accumulates(WdW):
        def __init__(self):
            super().__init__()
            self.dW, self.db = np.zeros((5, 3)), np.zeros(3)

        def backward(self, dout):
            self.dW += self.x.T @ dout
            self.db += dout.sum(axis=0)
            return dout @ self.W.T
    layer = Accumulates()
    for _ in range(3):
        layer.backward(layer.forward(randn(4, 5)))
    kept = layer.dW.copy()
    assert check(layer, randn(4, 5)).passed
    assert (layer.dW == kept).all()


def test_a_foreign_layer_holding_one_of_ours():
    report = check(Skip(Linear(5, 5, rng=0)), randn(4, 5))
    assert report.passed and [row.name for row in report.rows] == ["x", "f.weight", "f.bias"]


class Affine:
    """y = x·W + b, with db forgotten unless asked for."""

    def __init__(self, db=False):
        rng = np.random.default_rng(0)
        self.W, self.b, self.db_too = rng.standard_normal((3, 2)), rng.standard_normal(2), db

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW = self.x.T @ dy
        if self.db_too:
            self.db = dy.sum(axis=0)
        return dy @ self.W.T


def test_a_parameter_without_gradient_is_not_passed_over():
    x = np.random.default_rng(1).standard_normal((5, 3))
    assert check(Affine(db=True), x).passed
    report = check(Affine(), x)
    assert report.verdict == "inconclusive" and not report.passed
    assert "b changes the output, but backward left no gradient for it (under db" in str(report)


def test_a_constant_is_named_with_an_underscore():
    class Shifted(Affine):
        def __init__(self):
            super().__init__(db=True)
            self._shift = np.arange(3.0)

        def forward(self, x):
            return super().forward(x + self._shift)

    assert check(Shifted(), np.random.default_rng(1).standard_normal((5, 3))).passed


def test_a_hidden_parameter_of_a_layer_is_wrong():
    class Hidden(Layer):
        def __init__(self):
            self._w = Parameter(np.array([2.0, 3.0]))

        def forward(self, x):
            y = x * self._w.value
            self.remember(x, y=y)
            return y

        def backward(self, dy):
            x, = self.recall(dy)
            self._w.grad += 99
            return dy * self._w.value

    report = check(Hidden(), np.array([[1.0, -2.0], [0.5, 3.0]]))
    assert report.verdict == "wrong"
    assert "1 Parameters are not in named_parameters()" in str(report)


@pytest.mark.parametrize("options, message", [
    ({"tolerance": float("nan")}, "tolerance must lie between 0 and 1; got nan"),
    ({"tolerance": float("inf")}, "tolerance must lie between 0 and 1; got inf"),
    ({"probes": 2.5}, "probes must be an integer ≥ 1; got 2.5"),
])
def test_options_that_would_let_everything_pass(options, message):
    with pytest.raises(ValueError, match=message):
        check(Affine(), np.ones((5, 3)), **options)


def test_things_that_cannot_be_checked():
    x = np.ones((5, 3))
    for thing in (None, object(), Affine):
        with pytest.raises(ValueError, match="an object with forward and backward"):
            check(thing, x)
    with pytest.raises(ValueError, match="input 0 is complex"):
        check(Affine(), x + 0j)
    for inputs in ((), (np.arange(3),)):
        with pytest.raises(ValueError, match="no input is a floating-point array"):
            check(Affine(), *inputs)


def test_buffers_of_our_layers_inside_a_foreign_object_are_no_parameters():
    class Wrapped:
        def __init__(self):
            self.inner = BatchNorm2d(3).eval()

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, dy):
            return self.inner.backward(dy)

    report = check(Wrapped(), np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    assert report.passed, report
    assert [row.name for row in report.rows] == ["x", "inner.weight", "inner.bias"]


# ── networks: all arguments at once, and each alone if that fails ────────────────────


def deep(wrong=None):
    """Eighteen layers, 25 arguments; `wrong` takes the place of one backward."""
    net = Sequential(*[layer for i in range(6) for layer in (
        Conv2d(2, 2, 3, padding=1, rng=i), BatchNorm2d(2), Tanh())])
    if wrong is not None:
        net[9].backward = wrong.__get__(net[9])
    return net


def conv_without_db(self, dy):
    grad = self.bias.grad.copy()
    dx = Conv2d.backward(self, dy)
    self.bias.grad[...] = grad
    return dx


def conv_with_a_little_more_dw(self, dy):
    before = self.weight.grad.copy()
    dx = Conv2d.backward(self, dy)
    self.weight.grad[0, 0, 0, 0] += 1e-5 * abs(self.weight.grad - before).max()
    return dx


def test_many_arguments_are_checked_all_at_once():
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 5))
    report = check(deep(), x)
    assert report.passed, report
    assert len(report.rows) == 25
    assert {row.method for row in report.rows} == {"complex step, all at once"}
    few = check(deep()[0], x)
    assert "at once" not in str(few)


@pytest.mark.parametrize("wrong, name", [(conv_without_db, "9.bias"),
                                         (conv_with_a_little_more_dw, "9.weight")])
def test_one_wrong_among_many_is_found_and_named(wrong, name):
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 5))
    report = check(deep(wrong).eval(), x)
    assert [row.name for row in report.rows if row.verdict == "wrong"] == [name], report
