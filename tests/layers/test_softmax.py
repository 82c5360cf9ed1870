"""SoftmaxCrossEntropy: on paper, against the plain loops, and its errors."""
import math

import numpy as np
import pytest
import strict_cupy
from layer_cases import cases_of

from scratchnet import gradcheck, naive
from scratchnet.layers import SoftmaxCrossEntropy


def test_on_paper():
    """e^z = 1, 2, 5 gives p = 1/8, 2/8, 5/8; e^z = 1, 1, 1 gives thirds."""
    layer = SoftmaxCrossEntropy()
    loss = layer.forward(np.log([[1.0, 2, 5], [1, 1, 1]]), np.array([2, 0]))
    assert loss == pytest.approx((math.log(8 / 5) + math.log(3)) / 2, rel=1e-15)
    np.testing.assert_allclose(layer.backward(), [
        [1 / 8 / 2, 2 / 8 / 2, (5 / 8 - 1) / 2],
        [(1 / 3 - 1) / 2, 1 / 3 / 2, 1 / 3 / 2]], rtol=1e-14)


@pytest.mark.parametrize("case", cases_of(SoftmaxCrossEntropy), ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_equals_the_plain_loops(case, dtype, tolerance):
    z, labels = case.inputs(dtype)
    assert SoftmaxCrossEntropy()(z, labels) == pytest.approx(
        naive.softmax_cross_entropy(z, labels), rel=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores_do_not_overflow(dtype):
    layer = SoftmaxCrossEntropy()
    with np.errstate(all="raise", under="ignore"):
        loss = layer.forward(np.array([[1e4, 0, -1e4], [1e4, 0, -1e4]], dtype), np.array([0, 1]))
        dz = layer.backward()
    assert loss == 1e4 / 2                              # sure and right: 0; sure and wrong: 10⁴
    np.testing.assert_array_equal(dz, [[0, 0, 0], [0.5, -0.5, 0]])


def test_raising_all_scores_changes_nothing():
    z, labels = np.random.default_rng(0).standard_normal((4, 5)), np.array([4, 0, 2, 2])
    one, other = SoftmaxCrossEntropy(), SoftmaxCrossEntropy()
    shift = np.array([[100.0], [-3], [0], [7]])
    assert one.forward(z, labels) == pytest.approx(other.forward(z + shift, labels), rel=1e-12)
    dz = one.backward()
    np.testing.assert_allclose(dz, other.backward(), rtol=1e-10)
    np.testing.assert_allclose(dz.sum(axis=1), 0, atol=1e-16)


@pytest.mark.parametrize("dloss", [3.0, 3, np.float64(3), np.float32(3)], ids=type)
def test_backward_scales_with_the_gradient_of_the_loss(dloss):
    z, labels = np.zeros((2, 2), np.float32), np.array([0, 1])
    layer = SoftmaxCrossEntropy()
    layer.forward(z, labels)
    dz = layer.backward(dloss)
    assert dz.dtype == np.float32
    np.testing.assert_array_equal(dz, [[-0.75, 0.75], [0.75, -0.75]])   # 3 · (1/2 − [c = t]) / 2


def test_labels_changed_after_forward_do_no_harm():
    layer, labels = SoftmaxCrossEntropy(), np.array([0, 1])
    layer.forward(np.zeros((2, 2)), labels)
    labels[:] = 0
    np.testing.assert_array_equal(layer.backward(), [[-0.25, 0.25], [0.25, -0.25]])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_any_integers_are_labels(dtype):
    assert SoftmaxCrossEntropy()(np.zeros((2, 4)), np.array([3, 0], dtype)) == math.log(4)


@pytest.mark.parametrize("labels, message", [
    (np.array([0, 1, 3]), r"logits have 3 columns\); got 3 at position 2"),
    (np.array([0, -1, 2]), "got -1 at position 1"),
    (np.array([0, 1]), r"in an array of shape \(3,\); got \(2,\)"),
    (np.array([[0], [1], [2]]), r"in an array of shape \(3,\); got \(3, 1\)"),
    (np.eye(3, dtype=int), r"in an array of shape \(3,\); got \(3, 3\)"),
    (np.array([0.0, 1, 2]), "in an integer array; got float64"),
    (np.array([True, False, True]), "in an integer array; got bool"),
    ([0, 1, 2], "in an integer array; got list"),
    (None, "in an integer array; got NoneType"),
])
def test_labels_that_do_not_fit(labels, message):
    with pytest.raises(ValueError, match="SoftmaxCrossEntropy expects 3 labels, integers from 0 "
                                         f"to 2.*{message}"):
        SoftmaxCrossEntropy().forward(np.zeros((3, 3)), labels)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 1), (3, 4, 1, 1)])
def test_logits_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"SoftmaxCrossEntropy\(\) expects \(N, C\); got \("):
        SoftmaxCrossEntropy().forward(np.zeros(shape), np.array([0, 1, 2]))


@pytest.mark.parametrize("dloss", [None, np.ones(4), np.ones((5, 1))])
def test_dloss_is_one_number(dloss):
    loss = SoftmaxCrossEntropy()
    loss.forward(np.zeros((5, 4)), np.arange(5) % 4)
    with pytest.raises(ValueError, match="expects one number"):
        loss.backward(dloss)
    assert loss.backward().shape == (5, 4)


# ── label smoothing ──────────────────────────────────────────────────────────────────


def test_label_smoothing_on_paper():
    """p = 1/8, 2/8, 5/8, t = 2, s = 0.3: q = 0.1, 0.1, 0.8."""
    layer = SoftmaxCrossEntropy(label_smoothing=0.3)
    loss = layer.forward(np.log([[1.0, 2, 5]]), np.array([2]))
    assert loss == pytest.approx(-(0.1 * math.log(1 / 8) + 0.1 * math.log(2 / 8)
                                   + 0.8 * math.log(5 / 8)), rel=1e-14)
    np.testing.assert_allclose(layer.backward(), [[1 / 8 - 0.1, 2 / 8 - 0.1, 5 / 8 - 0.8]],
                               rtol=1e-13)


def test_smoothed_loss_is_least_at_a_finite_score():
    """C = 3, s = 0.3: ahead by log(1 + 3·0.7/0.3) = log 8."""
    layer = SoftmaxCrossEntropy(label_smoothing=0.3)
    best = layer.forward(np.array([[0, math.log(8), 0]]), np.array([1]))
    np.testing.assert_allclose(layer.backward(), 0, atol=1e-16)
    for ahead in (math.log(8) - 0.1, math.log(8) + 0.1):
        assert layer.forward(np.array([[0, ahead, 0]]), np.array([1])) > best


def test_no_smoothing_is_the_same_bit_for_bit():
    z, labels = np.random.default_rng(0).standard_normal((4, 5)), np.array([4, 0, 2, 2])
    one, other = SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.0)
    assert one.forward(z, labels) == other.forward(z, labels)
    assert np.array_equal(one.backward(), other.backward())


@pytest.mark.parametrize("s", [0.1, 0.9])
@pytest.mark.parametrize("N", [1, 6])
def test_smoothed_gradient_passes_the_check(s, N):
    z = np.random.default_rng(0).standard_normal((N, 5))
    gradcheck.assert_correct(SoftmaxCrossEntropy(label_smoothing=s), z, np.arange(N) % 5)


def test_terms_add_up_to_the_gradient():
    z, labels = np.random.default_rng(0).standard_normal((4, 5)), np.array([4, 0, 2, 2])
    for s in (0.0, 0.3):
        layer = SoftmaxCrossEntropy(label_smoothing=s)
        layer.forward(z, labels)
        np.testing.assert_allclose(sum(layer.terms(z, labels, 2.0).values()), layer.backward(2.0),
                                   atol=1e-15)
        assert len(layer.terms(z, labels, 2.0)) == (3 if s else 2)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_smoothed_loss_equals_pytorch(dtype, tolerance):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z, labels = rng.standard_normal((6, 5)).astype(dtype), rng.integers(0, 5, 6)
    t = torch.from_numpy(z.copy()).requires_grad_()
    theirs = torch.nn.functional.cross_entropy(t, torch.from_numpy(labels), label_smoothing=0.1)
    theirs.backward()
    layer = SoftmaxCrossEntropy(label_smoothing=0.1)
    assert layer.forward(z, labels) == pytest.approx(theirs.item(), rel=tolerance)
    dz = layer.backward()
    assert dz.dtype == dtype
    np.testing.assert_allclose(dz, t.grad.numpy(), atol=tolerance)


def test_smoothed_on_the_gpu():
    z, labels = np.random.default_rng(0).standard_normal((4, 5)), np.array([4, 0, 2, 2])
    layer = SoftmaxCrossEntropy(label_smoothing=0.1)
    loss, dz = layer.forward(z, labels), layer.backward()
    with strict_cupy.installed() as cupy:
        assert float(layer.forward(cupy.asarray(z), cupy.asarray(labels))) == loss
        assert np.array_equal(cupy.asnumpy(layer.backward()), dz)


def test_bad_smoothing_and_how_it_is_written():
    for s in (-0.1, 1, float("nan")):
        with pytest.raises(ValueError, match=f"expects 0 ≤ label_smoothing < 1; got {s}"):
            SoftmaxCrossEntropy(label_smoothing=s)
    assert repr(SoftmaxCrossEntropy()) == "SoftmaxCrossEntropy()"
    assert repr(SoftmaxCrossEntropy(0.1)) == "SoftmaxCrossEntropy(label_smoothing=0.1)"
