"""Adam and AdamW: worked by hand, and equality with PyTorch."""
import numpy as np
import pytest

from scratchnet import Parameter, optim


def parameter(value, grad):
    p = Parameter(np.array(value, dtype=np.float64))
    p.grad[...] = grad
    return p


def test_worked_example():
    """β₁ = 0.5, β₂ = 0.75, ε = 0.1, eps next to 0, w = 1.

    g = 2:   m = 1,    m̂ = 1/0.5 = 2         s = 1,  ŝ = 1/0.25 = 4           w = 1 − 0.1·2/2 = 0.9
    g = −4:  m = −1.5, m̂ = −1.5/0.75 = −2    s = 0.75 + 0.25·16 = 4.75,  ŝ = 4.75/0.4375
    """
    p = parameter([1.0], 2.0)
    adam = optim.Adam([p], 0.1, betas=(0.5, 0.75), eps=1e-300)
    adam.step()
    assert p.value == pytest.approx([0.9], abs=1e-15)
    p.grad[...] = -4
    adam.step()
    assert p.value == pytest.approx([0.9 + 0.1 * 2 / (4.75 / 0.4375) ** 0.5], abs=1e-15)


def test_the_first_step_has_length_lr_whatever_the_gradient():
    for g in (1e-3, -1.0, 1e3):
        p = parameter([0.0], g)
        optim.Adam([p], 0.01).step()
        assert p.value == pytest.approx([-np.sign(g) * 0.01], rel=1e-4)


def test_decoupled_decay_by_hand():
    """No gradient, w = 1, ε = 0.1, λ = 0.2: AdamW 1 − 0.02; Adam takes 0.2 for a gradient and moves
    by ε in all."""
    for decoupled, end in ((True, 0.98), (False, 0.9)):
        p = parameter([1.0], 0.0)
        optim.Adam([p], 0.1, weight_decay=0.2, decoupled=decoupled).step()
        assert p.value == pytest.approx([end], rel=1e-7), decoupled


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_equals_pytorch_for_fifty_steps_while_the_rate_changes(decoupled, decay):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    p = parameter(rng.standard_normal((3, 4)), 0.0)
    t = torch.nn.Parameter(torch.from_numpy(p.value.copy()))
    ours = optim.Adam([p], 0.05, (0.8, 0.99), 1e-6, decay, decoupled=decoupled)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    theirs = kind([t], 0.05, (0.8, 0.99), 1e-6, decay)
    for step in range(50):
        ours.lr = theirs.param_groups[0]["lr"] = 0.05 / (1 + step % 7)
        g = rng.standard_normal((3, 4))
        p.grad[...] = g
        t.grad = torch.from_numpy(g.copy())
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p.value, t.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("options, message", [
    ({"lr": 0}, "Adam expects lr > 0, eps > 0 and weight_decay ≥ 0; got lr=0"),
    ({"eps": 0}, "eps=0"),
    ({"weight_decay": -1}, "weight_decay=-1"),
    ({"betas": (0.9, 1)}, r"betas to be two numbers, 0 ≤ β < 1; got betas=\(0.9, 1\)"),
    ({"betas": 0.9}, "betas=0.9"),
])
def test_bad_constants(options, message):
    with pytest.raises(ValueError, match=message):
        optim.Adam([parameter([1.0], 0)], **options)
