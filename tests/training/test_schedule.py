"""The schedules: factors worked by hand, equality with PyTorch's, and their errors."""
import pytest

from scratchnet.training.schedule import (
    Constant,
    Cosine,
    Exponential,
    Plateau,
    Polynomial,
    Schedule,
    Steps,
    WarmUp,
)


def factors(schedule, *steps, steps_per_epoch=10):
    return [schedule.factor(step, steps_per_epoch) for step in steps]


def test_constant():
    assert factors(Constant(), 0, 10**6) == [1, 1]


def test_steps_by_hand():
    by_epoch = Steps([3, 6], factor=10)
    assert factors(by_epoch, 0, 29, 30, 59, 60, 999) == [1, 1, 0.1, 0.1, 0.01, 0.01]
    by_step = Steps([32_000, 48_000], factor=2, unit="steps")
    assert factors(by_step, 31_999, 32_000, 48_000, steps_per_epoch=391) == [1, 0.5, 0.25]


def test_exponential_by_hand():
    """0.5 every 2.5 epochs of 10 steps: at 25, 50, …"""
    assert factors(Exponential(0.5, every=2.5), 0, 24, 25, 49, 50) == [1, 1, 0.5, 0.5, 0.25]


def test_polynomial_by_hand():
    """8 epochs of 10 steps; at half of them √½, at three quarters √¼."""
    assert factors(Polynomial(8), 0, 40, 60, 80, 999) == pytest.approx([1, 0.5**0.5, 0.5, 0, 0])
    assert factors(Polynomial(8, power=1, end=0.2), 0, 40, 80, 81) == pytest.approx(
        [1, 0.6, 0.2, 0.2])


def test_cosine_by_hand():
    """cos 0, 60°, 90°, 180°."""
    assert factors(Cosine(6), 0, 20, 30, 60, 999) == pytest.approx([1, 0.75, 0.5, 0, 0])
    assert factors(Cosine(6, end=0.2), 0, 30, 60, 61) == pytest.approx([1, 0.6, 0.2, 0.2])


def test_plateau_by_hand():
    """Patience 2: 0.5 is best, 0.5 and 0.6 do not improve: drop; 0.4 improves; 0.4, 0.4: drop."""
    plateau = Plateau(patience=2, factor=10, drops=2)
    rates = []
    for error in (0.5, 0.5, 0.6, 0.4, 0.4, 0.4, 0.4):
        assert not plateau.see(error)
        rates.append(plateau.factor(0, 10))
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])
    assert plateau.see(0.4)


def test_warm_up_by_hand():
    """Ten steps from 0.2 to 1 by 0.08 each; then as the schedule, whose steps count from 0."""
    warm = WarmUp(Steps([15], unit="steps"), steps=10, start=0.2)
    assert factors(warm, 0, 1, 5, 9, 10, 14, 15) == pytest.approx(
        [0.2, 0.28, 0.6, 0.92, 1, 1, 0.1])
    resnet110 = WarmUp(Steps([32_000, 48_000], unit="steps"), steps=400, kind="constant")
    assert factors(resnet110, 0, 399, 400, 32_000) == pytest.approx([0.1, 0.1, 1, 0.1])
    assert factors(WarmUp(Constant(), epochs=2, start=0), 0, 5, 20) == [0, 0.25, 1]


def test_warm_up_multiplies_what_falls_already():
    warm = WarmUp(Polynomial(10, power=1), epochs=2, start=0.5)
    assert warm.factor(10, 10) == pytest.approx(0.75 * 0.9)


def test_only_plateau_ends_the_training():
    for schedule in (Constant(), Steps([1]), Exponential(), Polynomial(1), Cosine(1),
                     WarmUp(Constant(), steps=1)):
        assert [schedule.see(0.5) for _ in range(50)] == 50 * [False], schedule
    ends = WarmUp(Plateau(patience=1, drops=0), steps=1)
    assert [ends.see(0.5) for _ in range(2)] == [False, True]


# ── state ────────────────────────────────────────────────────────────────────────────


ERRORS = (0.5, 0.6, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3)


@pytest.mark.parametrize("make", [
    lambda: Plateau(patience=2, drops=2), lambda: WarmUp(Plateau(patience=2, drops=2), steps=3),
    lambda: Steps([3, 6])])
@pytest.mark.parametrize("at", range(len(ERRORS)))
def test_goes_on_from_its_state(make, at):
    whole, first, second = make(), make(), make()
    told = [(whole.see(error), whole.factor(100, 10)) for error in ERRORS]
    for error in ERRORS[:at]:
        first.see(error)
    second.load_state_dict(first.state_dict())
    assert [(second.see(error), second.factor(100, 10)) for error in ERRORS[at:]] == told[at:]


@pytest.mark.parametrize("schedule, state, message", [
    (Constant(), {"best": 1}, r"Constant\(\) expects a state with \[\]; got \['best'\]"),
    (Plateau(), {}, r"with \['best', 'waited', 'dropped'\]; got \[\]: is it another"),
    (Plateau(), None, "got NoneType"),
    (Plateau(drops=1), {"best": 0.1, "waited": 0, "dropped": 2}, "0 ≤ dropped ≤ 1.*dropped=2"),
    (Plateau(), {"best": 0.1, "waited": -1, "dropped": 0}, "waited ≥ 0.*waited=-1"),
])
def test_a_state_that_does_not_fit_changes_nothing(schedule, state, message):
    before = schedule.state_dict()
    with pytest.raises(ValueError, match=message):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


# ── the same in PyTorch ──────────────────────────────────────────────────────────────


PER_EPOCH = 5


@pytest.mark.parametrize("schedule, theirs, each", [
    (Steps([3, 6]), lambda s, o: s.MultiStepLR(o, [3, 6], 0.1), "epoch"),
    (Steps([7, 9], unit="steps"), lambda s, o: s.MultiStepLR(o, [7, 9], 0.1), "step"),
    (Exponential(0.94, 2), lambda s, o: s.StepLR(o, 2, 0.94), "epoch"),
    (Polynomial(6, 0.5), lambda s, o: s.PolynomialLR(o, 30, 0.5), "step"),
    (Cosine(8, end=0.1), lambda s, o: s.CosineAnnealingLR(o, 40, 0.1), "step"),
    (WarmUp(Constant(), steps=12, start=0.1), lambda s, o: s.LinearLR(o, 0.1, 1, 12), "step"),
    (WarmUp(Steps([20], unit="steps"), steps=12, kind="constant"),
     lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 12), s.MultiStepLR(o, [20], 0.1)]),
     "step"),
], ids=lambda value: "" if callable(value) else repr(value))
def test_equals_pytorch(schedule, theirs, each):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)
    for step in range(8 * PER_EPOCH):
        assert schedule.factor(step, PER_EPOCH) == pytest.approx(
            optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12), step
        optimizer.step()
        if each == "step" or (step + 1) % PER_EPOCH == 0:
            scheduler.step()


def test_plateau_equals_pytorch():
    """PyTorch's patience is one less: how many epochs may pass, not how many it takes."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, threshold=0)
    ours = Plateau(patience=2, drops=9)
    for error in ERRORS:
        ours.see(error)
        theirs.step(error)
        assert ours.factor(0, 10) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.dropped == 3


# ── errors ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make, message", [
    (lambda: Steps([]), r"Steps expects at = .*got \[\]"),
    (lambda: Steps([3, 3]), r"each after the one before; got \[3, 3\]"),
    (lambda: Steps([0, 3]), r"above 0.*got \[0, 3\]"),
    (lambda: Steps([3], factor=1), "factor > 1.*factor=1"),
    (lambda: Steps([3], unit="epoch"), "unit 'epochs' or 'steps'.*unit='epoch'"),
    (lambda: Exponential(1), "0 < factor < 1.*factor=1"),
    (lambda: Exponential(0.9, every=0), "every > 0 epochs.*every=0"),
    (lambda: Polynomial(0), "Polynomial expects epochs > 0.*epochs=0"),
    (lambda: Polynomial(5, power=0), "power > 0; got power=0"),
    (lambda: Polynomial(5, end=1), "0 ≤ end < 1.*end=1"),
    (lambda: Cosine(-1), "Cosine expects epochs > 0.*epochs=-1"),
    (lambda: Cosine(5, end=-1), "end=-1"),
    (lambda: Plateau(patience=0), "patience ≥ 1.*patience=0"),
    (lambda: Plateau(factor=1), "factor > 1.*factor=1"),
    (lambda: Plateau(drops=-1), "drops ≥ 0.*drops=-1"),
    (lambda: WarmUp(5, steps=1), r"the schedule to follow, such as Constant\(\); got int"),
    (lambda: WarmUp(Constant()), "either steps or epochs; got steps=None, epochs=None"),
    (lambda: WarmUp(Constant(), steps=1, epochs=1), "got steps=1, epochs=1"),
    (lambda: WarmUp(Constant(), steps=0), "above 0; got steps=0"),
    (lambda: WarmUp(Constant(), steps=1, start=2), "0 ≤ start ≤ 1.*start=2"),
    (lambda: WarmUp(Constant(), steps=1, kind="cosine"), "'linear' or 'constant'.*'cosine'"),
])
def test_bad_constants(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("schedule", [
    Constant(), Steps([3.0, 6.0]), Steps([7], factor=2, unit="steps"), Exponential(0.9, 2.4),
    Polynomial(5), Cosine(5, end=0.1), Plateau(), WarmUp(Cosine(5), epochs=1, kind="constant"),
    WarmUp(Plateau(), steps=4)], ids=repr)
def test_is_written_as_it_is_made(schedule):
    twin = eval(repr(schedule))
    assert vars(twin).keys() == vars(schedule).keys() and repr(twin) == repr(schedule)
    assert factors(twin, 0, 3, 33) == factors(schedule, 0, 3, 33)


def test_a_schedule_that_is_not_written_yet():
    with pytest.raises(NotImplementedError, match=r"Schedule has no factor"):
        Schedule().factor(0, 1)
