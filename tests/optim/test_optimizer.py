"""What all optimizers share: groups' rates, frozen parameters, state, dtype, device, and checks."""
import numpy as np
import pytest
import strict_cupy

from scratchnet import Parameter, optim
from scratchnet.backend import device_of, to_host, xp_of
from scratchnet.layers import Linear, ReLU, Sequential

KINDS = {
    "SGD": lambda p: optim.SGD(p, 0.1, 0.9, 0.01),
    "SGD, no momentum": lambda p: optim.SGD(p, 0.1),
    "SGD, PyTorch's, Nesterov": lambda p: optim.SGD(p, 0.1, 0.9, nesterov=True, form="pytorch"),
    "Adam": lambda p: optim.Adam(p, 0.1, weight_decay=0.01),
    "AdamW": lambda p: optim.Adam(p, 0.1, weight_decay=0.01, decoupled=True),
    "RMSProp": lambda p: optim.RMSProp(p, 0.1, momentum=0.9, weight_decay=0.01),
    "RMSProp, PyTorch's": lambda p: optim.RMSProp(p, 0.1, momentum=0.9, eps_inside=False),
}
of_every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def network():
    return Sequential(a=Linear(3, 4, rng=0), relu=ReLU(), b=Linear(4, 2, rng=1))


def steps(net, optimizer, n, rng=0):
    rng = np.random.default_rng(rng)
    for _ in range(n):
        for p in net.parameters():
            host = rng.standard_normal(p.value.shape).astype(p.value.dtype)
            p.grad[...] = host if xp_of(p.value) is np else xp_of(p.value).asarray(host)
        optimizer.step()


def values(net):
    return {name: to_host(p.value).copy() for name, p in net.named_parameters()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert np.array_equal(array, other[name]), name


# ── in place, and on either device ───────────────────────────────────────────────────


@of_every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_in_place_and_keep_dtype_layout_and_gradient(make, dtype):
    net = network().astype(dtype)
    net["a"].weight.value = np.asfortranarray(net["a"].weight.value)
    arrays = [p.value for p in net.parameters()]
    optimizer = make(net.parameters())
    before = values(net)
    steps(net, optimizer, 2)
    gradients = [p.grad.copy() for p in net.parameters()]
    optimizer.step()
    for p, array, g in zip(net.parameters(), arrays, gradients, strict=True):
        assert p.value is array and array.dtype == dtype
        assert np.array_equal(p.grad, g)
    assert net["a"].weight.value.flags.f_contiguous
    assert all((array != before[name]).all() for name, array in values(net).items())
    assert {array.dtype for name, array in optimizer.state_dict().items()
            if name != "steps"} == {np.dtype(dtype)}


@of_every_kind
def test_numpys_float64_for_a_rate_changes_nothing(make):
    """A schedule may leave one; float32 weights would be computed in float64 with it."""
    one, other = network(), network()
    first, second = make(one.parameters()), make(other.parameters())
    second.lr = np.float64(second.lr)
    steps(one, first, 5)
    steps(other, second, 5)
    assert_equal(values(one), values(other))


@of_every_kind
def test_the_same_on_the_gpu_even_if_the_network_moves_between_steps(make):
    cpu, gpu = network(), network()
    on_cpu, on_gpu = make(cpu.parameters()), make(gpu.parameters())
    steps(cpu, on_cpu, 4)
    with strict_cupy.installed():
        rng = np.random.default_rng(0)
        steps(gpu, on_gpu, 1, rng)
        gpu.to("gpu")
        steps(gpu, on_gpu, 3, rng)
        assert {device_of(p.value) for p in gpu.parameters()} == {"gpu"}
        for name, array in values(gpu).items():
            np.testing.assert_allclose(array, values(cpu)[name], rtol=1e-6, err_msg=name)
        state = on_gpu.state_dict()
    assert_equal({k: v.shape for k, v in state.items()},
                 {k: v.shape for k, v in on_cpu.state_dict().items()})


# ── groups ───────────────────────────────────────────────────────────────────────────


@of_every_kind
def test_a_group_has_its_own_rate_and_decay(make):
    """As two optimizers, one with a tenth of lr, the other without decay."""
    together, apart = network(), network()
    groups = [optim.Group(together["a"].parameters(), lr_scale=0.1),
              optim.Group(together["b"].parameters(), decay_scale=0.0)]
    optimizer = make(groups)
    assert optimizer.parameters == together.parameters()
    slow, plain = make(apart["a"].parameters()), make(apart["b"].parameters())
    slow.lr, plain.weight_decay = 0.1 * slow.lr, 0
    rng = np.random.default_rng(0)
    for _ in range(5):
        for p, q in zip(together.parameters(), apart.parameters(), strict=True):
            p.grad[...] = q.grad[...] = rng.standard_normal(p.value.shape)
        optimizer.step()
        slow.step()
        plain.step()
    for name, array in values(apart).items():
        np.testing.assert_allclose(values(together)[name], array, rtol=1e-5, err_msg=name)


# ── frozen ───────────────────────────────────────────────────────────────────────────


@of_every_kind
def test_a_frozen_parameter_and_its_memory_stay_as_they_are(make):
    net = network()
    optimizer = make(net.parameters())
    steps(net, optimizer, 2)
    before, state = values(net), optimizer.state_dict()
    net["a"].weight.frozen = True
    steps(net, optimizer, 3, rng=1)
    after, new = values(net), optimizer.state_dict()
    assert [name for name in before if np.array_equal(before[name], after[name])] == ["a.weight"]
    assert [name for name in state if name != "steps" and np.array_equal(state[name], new[name])
            ] == [name for name in state if name.endswith(".0")]
    assert new["steps"].tolist() == [2, 5, 5, 5]


@of_every_kind
def test_a_parameter_that_thaws_is_at_its_first_step(make):
    thawed, new = network(), network()
    thawed["a"].weight.frozen = True
    optimizer = make(thawed.parameters())
    steps(thawed, optimizer, 10)
    thawed["a"].weight.frozen = False
    steps(thawed, optimizer, 1, rng=1)
    steps(new, make(new.parameters()), 1, rng=1)
    assert np.array_equal(thawed["a"].weight.value, new["a"].weight.value)


# ── state ────────────────────────────────────────────────────────────────────────────


@of_every_kind
def test_goes_on_from_its_state_as_if_nothing_had_happened(make):
    whole, half = network(), network()
    first, second = make(whole.parameters()), make(half.parameters())
    for net, optimizer in ((whole, first), (half, second)):
        net["b"].bias.frozen = True
        steps(net, optimizer, 3)
    other = network()
    other.load_state_dict(half.state_dict())
    third = make(other.parameters())
    state = second.state_dict()
    third.load_state_dict(state)
    other["b"].bias.frozen = True
    steps(whole, first, 3, rng=1)
    steps(other, third, 3, rng=1)
    assert_equal(values(whole), values(other))
    assert_equal(first.state_dict(), third.state_dict())
    assert_equal(state, second.state_dict())        # a copy: third's steps are not in it


def test_names_of_the_state():
    net = network()
    adam = optim.Adam(net["b"].parameters())
    assert adam.state_dict().keys() == {"steps"}
    steps(net, adam, 1)
    state = adam.state_dict()
    assert list(state) == ["steps", "mean.0", "square.0", "mean.1", "square.1"]
    assert state["square.0"].shape == (2, 4) and state["steps"].tolist() == [1, 1]


@pytest.mark.parametrize("spoil, message", [
    (lambda s: s.pop("velocity.1"), "missing: velocity.1"),
    (lambda s: s.update(extra=np.zeros(1)), "unexpected: extra"),
    (lambda s: s.update({"velocity.0": np.zeros((4, 2), np.float32)}),
     r"velocity.0: expected \(2, 4\) float32, got \(4, 2\) float32"),
    (lambda s: s.update({"velocity.0": np.zeros((2, 4))}),
     r"velocity.0: expected \(2, 4\) float32, got \(2, 4\) float64"),
    (lambda s: s.pop("steps"), "steps: expected 2 integers ≥ 0"),
    (lambda s: s.update(steps=np.array([1, 1, 1])), r"steps: expected 2 .*shape \(3,\)"),
    (lambda s: s.update(steps=np.array([1, -1])), "steps: expected 2 integers ≥ 0"),
    (lambda s: s.update(steps=np.array([1, 0])), "unexpected: velocity.1"),
])
def test_a_state_that_does_not_fit_changes_nothing(spoil, message):
    net = network()
    sgd = optim.SGD(net["b"].parameters(), 0.1, 0.9)
    steps(net, sgd, 2)
    before, bad = sgd.state_dict(), sgd.state_dict()
    spoil(bad)
    with pytest.raises(ValueError, match=f"does not fit SGD; nothing was loaded.*\n.*{message}"):
        sgd.load_state_dict(bad)
    assert_equal(before, sgd.state_dict())


def test_a_state_of_another_optimizer():
    net = network()
    adam = optim.Adam(net.parameters())
    steps(net, adam, 1)
    with pytest.raises(ValueError, match=r"(?s)missing: velocity.0.*unexpected: mean.0"):
        optim.SGD(net.parameters(), 0.1).load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match="expects a dict, as state_dict.* got list"):
        adam.load_state_dict([1])


# ── checks ───────────────────────────────────────────────────────────────────────────


P, Q = (Parameter(np.zeros(1)) for _ in "pq")


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.RMSProp])
@pytest.mark.parametrize("parameters, message", [
    ([], "got no parameters: this network has nothing to learn"),
    ([optim.Group([])], "got no parameters"),
    (Linear(2, 2), r"not a network: {}\(net.parameters\(\), …\)"),
    ([np.zeros(3)], "expects Parameters; got ndarray: pass net.parameters"),
    ([P, P], "got a parameter twice; it would take two steps at once"),
    ([optim.Group([P]), optim.Group([P])], "got a parameter twice"),
    ([optim.Group([P]), Q], "expects Parameters or Groups, not both; got Parameter"),
    (optim.Group([P]), r"expects a list; got one Group: {}\(\[…\], …\)"),
    (P, "expects a list; got one Parameter"),
    ([optim.Group([P], lr_scale=-1)], "lr_scale ≥ 0 and decay_scale ≥ 0; got lr_scale=-1"),
    ([optim.Group([P], decay_scale=float("nan"))], "decay_scale=nan"),
])
def test_parameters_that_are_none(kind, parameters, message):
    with pytest.raises(ValueError, match=kind.__name__ + ".*" + message.format(kind.__name__)):
        kind(parameters, lr=0.1)


def test_parameters_may_be_a_generator():
    net = network()
    sgd = optim.SGD((p for p in net.parameters()), 0.1)
    assert sgd.parameters == net.parameters()


def test_an_optimizer_that_is_not_written_yet():
    with pytest.raises(NotImplementedError, match="Optimizer has no move"):
        optim.Optimizer([P], 0.1).step()
