"""SGD: both forms worked by hand, where they part, and equality with PyTorch."""
import numpy as np
import pytest

from scratchnet import Parameter, optim
from scratchnet.layers import Linear


def parameter(value, grad):
    p = Parameter(np.array(value, dtype=np.float64))
    p.grad[...] = grad
    return p


def test_worked_example():
    """w = 1, g = 0.5, ε = 0.1, m = 0.9, λ = 0.2.

    v = 0.9·0    − 0.2·0.1·1    − 0.1·0.5 = −0.07        w = 0.93
    v = 0.9·−0.07 − 0.2·0.1·0.93 − 0.1·0.5 = −0.1316     w = 0.7984
    """
    p = parameter([1.0], 0.5)
    sgd = optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.2)
    sgd.step()
    assert p.value == pytest.approx([0.93], abs=1e-15)
    sgd.step()
    assert p.value == pytest.approx([0.7984], abs=1e-15)


def test_the_forms_part_at_a_drop_of_the_learning_rate():
    """ε = 0.1 then 0.01, g = 1, m = 0.9.

    paper      v = −0.1, then 0.9·−0.1 − 0.01 = −0.1       w = −0.1, −0.2
    pytorch    v = 1, then 0.9·1 + 1 = 1.9                 w = −0.1, −0.1 − 0.01·1.9 = −0.119
    """
    ends = {}
    for form in ("paper", "pytorch"):
        p = parameter([0.0], 1.0)
        sgd = optim.SGD([p], lr=0.1, momentum=0.9, form=form)
        sgd.step()
        assert p.value == pytest.approx([-0.1], abs=1e-15)
        sgd.lr = 0.01
        sgd.step()
        ends[form] = p.value[0]
    assert ends == pytest.approx({"paper": -0.2, "pytorch": -0.119}, abs=1e-15)


def test_nesterov_by_hand():
    """g = 1, m = 0.5, ε = 0.1 then 0.01.

    paper      v = −0.1:  w = −0.05 − 0.1 = −0.15;   v = −0.06:  w = −0.15 − 0.03 − 0.01 = −0.19
    pytorch    v = 1:     w = −0.1·1.5    = −0.15;   v = 1.5:    w = −0.15 − 0.01·1.75 = −0.1675
    """
    for form, end in (("paper", -0.19), ("pytorch", -0.1675)):
        p = parameter([0.0], 1.0)
        sgd = optim.SGD([p], lr=0.1, momentum=0.5, nesterov=True, form=form)
        sgd.step()
        assert p.value == pytest.approx([-0.15], abs=1e-15)
        sgd.lr = 0.01
        sgd.step()
        assert p.value == pytest.approx([end], abs=1e-15), form


@pytest.mark.parametrize("form", ["paper", "pytorch"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_equals_pytorch_for_fifty_steps(form, nesterov):
    """PyTorch's form while lr changes, too; the paper's while it does not."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    p = parameter(rng.standard_normal((3, 4)), 0.0)
    t = torch.nn.Parameter(torch.from_numpy(p.value.copy()))
    ours = optim.SGD([p], 0.05, 0.9, 0.01, nesterov=nesterov, form=form)
    theirs = torch.optim.SGD([t], 0.05, 0.9, weight_decay=0.01, nesterov=nesterov)
    for step in range(50):
        if form == "pytorch":
            ours.lr = theirs.param_groups[0]["lr"] = 0.05 / (1 + step)
        g = rng.standard_normal((3, 4))
        p.grad[...] = g
        t.grad = torch.from_numpy(g.copy())
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_paper_form_equals_plain_loops_while_the_rate_changes(momentum):
    rng = np.random.default_rng(1)
    p = parameter(rng.standard_normal(3), 0.0)
    w, v = p.value.tolist(), [0.0] * 3
    sgd = optim.SGD([p], 1.0, momentum, weight_decay=0.01)
    for step in range(50):
        sgd.lr = e = 0.1 / (1 + step % 7)
        p.grad[...] = g = rng.standard_normal(3)
        sgd.step()
        for i in range(3):
            v[i] = momentum * v[i] - 0.01 * e * w[i] - e * g[i]
            w[i] += v[i]
    np.testing.assert_allclose(p.value, w, rtol=1e-12)


def test_nesterov_of_the_paper_form_is_sutskevers():
    """L = ½·a·w²: Sutskever's w and its gradient at w + m·v, against ours, which is w + m·v."""
    a, m, w, v = 0.7, 0.9, 2.0, 0.0
    p = parameter([2.0], 0.0)
    sgd = optim.SGD([p], 1.0, m, weight_decay=0.1, nesterov=True)
    for step in range(50):
        sgd.lr = e = 0.1 / (1 + step % 7)
        ahead = w + m * v
        v = m * v - e * (a * ahead + 0.1 * ahead)
        w += v
        p.grad[...] = a * p.value
        sgd.step()
        assert p.value[0] == pytest.approx(w + m * v, rel=1e-12)


def test_keeps_float32_and_clears_gradients():
    layer = Linear(3, 2, rng=0)
    sgd = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    layer.weight.grad[...] = 1
    before = layer.weight.value.copy()
    sgd.step()
    assert layer.weight.value.dtype == np.float32
    assert (layer.weight.value != before).all()
    sgd.zero_grad()
    assert not layer.weight.grad.any()


@pytest.mark.parametrize("options, message", [
    ({"lr": 0}, "SGD expects lr > 0.*got lr=0"),
    ({"lr": float("nan")}, "expects lr > 0.*lr=nan"),
    ({"lr": float("inf")}, "expects lr > 0.*lr=inf"),
    ({"momentum": 1}, "momentum < 1.*momentum=1"),
    ({"weight_decay": -1}, "weight_decay=-1"),
    ({"form": "torch"}, "SGD expects form 'paper' or 'pytorch'; got form='torch'"),
    ({"nesterov": True}, "SGD expects a momentum above 0 with nesterov; got momentum=0"),
])
def test_bad_constants(options, message):
    with pytest.raises(ValueError, match=message):
        optim.SGD([parameter([1.0], 0)], **{"lr": 1, **options})
