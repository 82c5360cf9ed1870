"""RMSProp: TensorFlow's and PyTorch's, worked by hand, in plain loops, and against PyTorch."""
import math

import numpy as np
import pytest

from scratchnet import Parameter, optim


def parameter(value, grad):
    p = Parameter(np.array(value, dtype=np.float64))
    p.grad[...] = grad
    return p


def test_worked_example_inside():
    """TensorFlow: s from 1. α = 0.75, eps = 2, m = 0.5, ε = 0.3; g = 3, then ε = 0.6.

    s = 0.75 + 0.25·9 = 3,    v = 0.3·3/√(3+2)                   w = −v
    s = 2.25 + 2.25 = 4.5,    v = 0.5·v + 0.6·3/√(4.5+2)         w = w − v
    """
    p = parameter([0.0], 3.0)
    rms = optim.RMSProp([p], 0.3, alpha=0.75, eps=2, momentum=0.5)
    rms.step()
    v = 0.9 / math.sqrt(5)
    assert p.value == pytest.approx([-v], abs=1e-15)
    rms.lr = 0.6
    rms.step()
    assert p.value == pytest.approx([-v - (0.5 * v + 1.8 / math.sqrt(6.5))], abs=1e-15)


def test_worked_example_outside():
    """PyTorch: s from 0. α = 0.75, eps = 0.5, m = 0.5, ε = 0.1; g = 3, then ε = 0.2.

    s = 0.25·9 = 2.25,   √s = 1.5,   v = 3/2 = 1.5                 w = −0.15
    s = 0.75·2.25 + 2.25 = 3.9375,   v = 0.75 + 3/(√s + 0.5)       w = −0.15 − 0.2·v
    """
    p = parameter([0.0], 3.0)
    rms = optim.RMSProp([p], 0.1, alpha=0.75, eps=0.5, momentum=0.5, eps_inside=False)
    rms.step()
    assert p.value == pytest.approx([-0.15], abs=1e-15)
    rms.lr = 0.2
    rms.step()
    v = 0.75 + 3 / (math.sqrt(3.9375) + 0.5)
    assert p.value == pytest.approx([-0.15 - 0.2 * v], abs=1e-15)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_inside_equals_plain_loops_while_the_rate_changes(momentum):
    rng = np.random.default_rng(1)
    p = parameter(rng.standard_normal(3), 0.0)
    w, s, v = p.value.tolist(), [1.0] * 3, [0.0] * 3
    rms = optim.RMSProp([p], 1.0, momentum=momentum, eps=1.0, weight_decay=0.01)
    for step in range(50):
        rms.lr = e = 0.1 / (1 + step % 7)
        p.grad[...] = g = rng.standard_normal(3)
        rms.step()
        for i in range(3):
            d = g[i] + 0.01 * w[i]
            s[i] = 0.9 * s[i] + 0.1 * d * d
            v[i] = momentum * v[i] + e * d / math.sqrt(s[i] + 1.0)
            w[i] -= v[i]
    np.testing.assert_allclose(p.value, w, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_outside_equals_pytorch_for_fifty_steps_while_the_rate_changes(momentum):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    p = parameter(rng.standard_normal((3, 4)), 0.0)
    t = torch.nn.Parameter(torch.from_numpy(p.value.copy()))
    ours = optim.RMSProp([p], 0.05, 0.95, 1e-3, momentum, 0.01, eps_inside=False)
    theirs = torch.optim.RMSprop([t], 0.05, 0.95, 1e-3, 0.01, momentum)
    for step in range(50):
        ours.lr = theirs.param_groups[0]["lr"] = 0.05 / (1 + step % 7)
        g = rng.standard_normal((3, 4))
        p.grad[...] = g
        t.grad = torch.from_numpy(g.copy())
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("options, message", [
    ({"lr": -1}, "RMSProp expects lr > 0, 0 ≤ alpha < 1, eps > 0.*got lr=-1"),
    ({"alpha": 1}, "alpha=1"),
    ({"eps": 0}, "eps=0"),
    ({"momentum": 1}, "momentum=1"),
    ({"weight_decay": -1}, "weight_decay=-1"),
])
def test_bad_constants(options, message):
    with pytest.raises(ValueError, match=message):
        optim.RMSProp([parameter([1.0], 0)], **{"lr": 0.1, **options})
