"""SGD in the paper's form: worked by hand, and where it differs from PyTorch's."""
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


def test_velocity_survives_a_drop_of_the_learning_rate():
    """ε = 0.1 then 0.01, g = 1, m = 0.9: v = −0.1, then 0.9·−0.1 − 0.01 = −0.1."""
    p = parameter([0.0], 1.0)
    sgd = optim.SGD([p], lr=0.1, momentum=0.9)
    sgd.step()
    sgd.lr = 0.01
    sgd.step()
    assert p.value == pytest.approx([-0.2], abs=1e-15)


def test_equals_pytorch_while_the_rate_is_constant():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    p = parameter(rng.standard_normal((3, 4)), 0.0)
    t = torch.nn.Parameter(torch.from_numpy(p.value.copy()))
    ours = optim.SGD([p], lr=0.05, momentum=0.9, weight_decay=0.01)
    theirs = torch.optim.SGD([t], lr=0.05, momentum=0.9, weight_decay=0.01)
    for _ in range(20):
        g = rng.standard_normal((3, 4))
        p.grad[...] = g
        t.grad = torch.from_numpy(g.copy())
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=1e-12)


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


@pytest.mark.parametrize("make, message", [
    (lambda: optim.SGD([], lr=0.1), "got no parameters"),
    (lambda: optim.SGD(Linear(2, 2), lr=0.1), r"not a network: SGD\(net.parameters\(\), …\)"),
    (lambda: optim.SGD([np.zeros(3)], lr=0.1), "expects Parameters; got ndarray"),
    (lambda: optim.SGD([parameter([1.0], 0)], lr=0), "expects lr > 0.*got lr=0"),
    (lambda: optim.SGD([parameter([1.0], 0)], lr=1, momentum=1), "momentum < 1.*momentum=1"),
    (lambda: optim.SGD([parameter([1.0], 0)], lr=1, weight_decay=-1), "weight_decay=-1"),
])
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_more_errors():
    p = parameter([1.0], 0)
    with pytest.raises(ValueError, match="got a parameter twice"):
        optim.SGD([p, p], lr=0.1)
    for lr in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"expects lr > 0.*lr={lr}"):
            optim.SGD([p], lr=lr)
