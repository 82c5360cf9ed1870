"""Clipping: worked by hand, and equality with PyTorch."""
import numpy as np
import pytest
import strict_cupy

from scratchnet import Parameter, optim
from scratchnet.backend import to_host


def parameters(*grads, dtype=np.float64):
    made = []
    for grad in grads:
        p = Parameter(np.zeros(np.shape(grad), dtype))
        p.grad[...] = grad
        made.append(p)
    return made


def test_norm_by_hand():
    """√(3² + 4² + 12²) = 13, scaled to 6.5: by ½."""
    a, b = parameters([3.0, 4.0], [[12.0]])
    assert optim.clip_by_norm([a, b], 6.5) == 13
    assert a.grad.tolist() == [1.5, 2] and b.grad.tolist() == [[6]]
    assert optim.clip_by_norm([a, b], 6.5) == 6.5           # not above: nothing changes
    assert a.grad.tolist() == [1.5, 2]


def test_frozen_neither_count_nor_change():
    a, b = parameters([3.0, 4.0], [12.0])
    b.frozen = True
    assert optim.clip_by_norm([a, b], 1) == 5
    optim.clip_by_value([a, b], 0.1)
    assert b.grad.tolist() == [12] and a.grad.tolist() == [0.1, 0.1]


def test_equals_pytorch_but_for_its_millionth():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    grads = rng.standard_normal((3, 4)), rng.standard_normal(7)
    for limit in (0.5, 100.0):
        ours = parameters(*grads)
        theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads]
        for t, g in zip(theirs, grads, strict=True):
            t.grad = torch.from_numpy(g.copy())
        norm = optim.clip_by_norm(ours, limit)
        their_norm = float(torch.nn.utils.clip_grad_norm_(theirs, limit))
        assert norm == pytest.approx(their_norm, rel=1e-14)
        shorter = norm / (norm + 1e-6) if limit < norm else 1
        for p, t in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad * shorter, t.grad.numpy(), rtol=1e-12)


def test_in_place_in_float32_even_where_squares_overflow():
    p, = parameters([3e30, -4e30], dtype=np.float32)
    grad = p.grad
    assert optim.clip_by_norm([p], 5) == pytest.approx(5e30)
    assert p.grad is grad and grad.dtype == np.float32
    np.testing.assert_allclose(grad, [3, -4], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_told_and_left(bad):
    p, = parameters([bad, 1.0])
    assert not np.isfinite(optim.clip_by_norm([p], 0.5))
    assert p.grad[1] == 1


def test_value_by_hand():
    p, = parameters([-3.0, -0.5, 0.0, 0.5, 3.0, np.nan])
    grad = p.grad
    optim.clip_by_value([p], 1)
    assert p.grad is grad
    np.testing.assert_array_equal(grad, [-1, -0.5, 0, 0.5, 1, np.nan])


def test_on_the_gpu():
    with strict_cupy.installed() as cupy:
        p = Parameter(cupy.zeros(2, dtype=np.float32))
        p.grad[...] = cupy.asarray(np.array([3, 4], np.float32))
        norm = optim.clip_by_norm([p], 1)
        assert norm == 5 and type(norm) is float
        optim.clip_by_value([p], 0.7)
        np.testing.assert_allclose(to_host(p.grad), [0.6, 0.7], rtol=1e-6)


@pytest.mark.parametrize("clip", [optim.clip_by_norm, optim.clip_by_value])
def test_bad_input(clip):
    for limit in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{clip.__name__} expects a limit above 0; got"):
            clip(parameters([1.0]), limit)
    with pytest.raises(ValueError, match=f"{clip.__name__} expects Parameters; got ndarray"):
        clip([np.zeros(3)], 1)
