"""The trainer on several ranks is the trainer on one, to rounding; the ranks stay equal."""
import numpy as np
import pytest
from test_parallel import on_ranks

from scratchnet import optim, training
from scratchnet.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from scratchnet.training.trainer import Trainer

rng = np.random.default_rng(0)
LABELS = rng.integers(0, 3, 37)
IMAGES = rng.standard_normal((37, 1, 6, 6)) + LABELS[:, None, None, None]


def noisy(images, rng):
    return images + 0.1 * rng.standard_normal(images.shape)


def trainer(ranks=None, seed=0, schedule=None):
    rng = np.random.default_rng(seed)
    net = Sequential(conv=Conv2d(1, 4, 3, rng=rng), norm=BatchNorm2d(4), relu=ReLU(),
                     flat=Flatten(), drop=Dropout(0.3, rng=rng), fc=Linear(64, 3, rng=rng))
    net.astype(np.float64)
    sgd = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    return Trainer(net, (IMAGES, LABELS), sgd, batch_size=12, rng=seed, transform=noisy, clip=1.0,
                   schedule=schedule, average=optim.MovingAverage(net, 0.8), communicator=ranks)


def train(run, epochs=2):
    losses = []
    for _ in range(epochs):
        losses += [update.loss for update in run.updates()]
        with run.average.in_place():
            run.finish_epoch(run.look(IMAGES[:7], LABELS[:7]))
    return losses


@pytest.mark.parametrize("size", [2, 3])
def test_the_same_curve_history_and_state(size):
    """The last batch has one image: fewer than ranks."""
    one = trainer()
    losses = train(one)

    def program(ranks):
        run = trainer(ranks, seed=ranks.rank)           # only rank 0 begins like the one process
        return train(run), run
    many = on_ranks(size, program)
    for theirs, run in many:
        np.testing.assert_allclose(theirs, losses, rtol=1e-10)
        for epoch, other in zip(run.history, one.history, strict=True):
            np.testing.assert_allclose(epoch, other, rtol=1e-10)
        (arrays, facts), (expected, other_facts) = run.state(), one.state()
        assert arrays.keys() == expected.keys()
        for name, array in arrays.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
            assert np.array_equal(array, many[0][1].state()[0][name]), name
        assert facts["generators"] == other_facts["generators"]
        assert facts["seed"] == other_facts["seed"]


def test_errors_are_counts_so_that_plateau_sees_the_same_on_any_number_of_ranks():
    labels = np.zeros(180, dtype=np.int64)
    seen = {}
    for size in (1, 2, 4):
        def program(ranks):
            run = trainer(ranks)
            found = []
            for wrong in ([0, 60, 100, 110, 120, 179], range(6), [7, 50, 90, 91, 140, 160]):
                images = np.full((180, 1, 6, 6), 0.0)
                images[list(wrong)] = 1.0
                run.model.forward = lambda x: np.eye(3)[(x[:, 0, 0, 0] > 0).astype(int)]
                found.append(run.look(images, labels).error)
            return found
        seen[size] = on_ranks(size, program)
    assert seen[1] == [3 * [6 / 180]]
    assert all(errors == 3 * [6 / 180] for found in seen.values() for errors in found)


def test_a_second_training_of_the_same_network_saves_the_masks_generator_too():
    def program(ranks):
        first = trainer(ranks)
        train(first, epochs=1)
        again = Trainer(first.model, (IMAGES, LABELS), first.optimizer, batch_size=12, rng=1,
                        communicator=ranks)
        return sorted(first.generators), sorted(again.generators)
    assert on_ranks(2, program) == 2 * [(["drop.rng", "the run"], ["drop.rng", "the run"])]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_is_named_on_all_ranks_and_none_is_left_waiting():
    """Only the last rank's images are too large; the sums of batch norm are collective."""
    images = IMAGES.copy()
    images[-4:] = 1e308

    def program(ranks):
        run = trainer(ranks)
        run.loader.images = images
        run.transform = run.loader.transform = None
        with pytest.raises(RuntimeError) as error:
            train(run)
        return str(error.value)
    said = on_ranks(2, program)
    assert said[0] == said[1]
    assert "the update was not made" in said[0]
    assert "is the first layer whose output is not finite" in said[0]


def test_resumed_on_ranks_as_on_one():
    half = trainer()
    train(half, epochs=1)
    state = half.state()
    losses = train(half, epochs=1)

    def program(ranks):
        run = trainer(ranks, seed=5)
        run.base_lr = half.base_lr
        run.restore({name: array.copy() for name, array in state[0].items()}, state[1])
        return train(run, epochs=1)
    for theirs in on_ranks(2, program):
        np.testing.assert_allclose(theirs, losses, rtol=1e-10)


def test_a_communicator_of_one_is_no_communicator():
    assert train(trainer(training.Alone())) == train(trainer())
