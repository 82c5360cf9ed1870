"""Ensembles: the mean of probabilities, the table, and who does not fit."""
import numpy as np
import pytest

from scratchnet import data, models, optim, training
from scratchnet.layer import Layer
from scratchnet.layers import Dropout, Flatten, Linear, ReLU, Sequential
from scratchnet.training.ensemble import EnsembleErrors, Errors, softmax


class Says(Layer):
    """Answers the same logits for every image, or a row an image."""

    def __init__(self, *logits):
        self.logits = np.array(logits, dtype=np.float32)

    def forward(self, x):
        return np.broadcast_to(self.logits, (len(x), self.logits.shape[-1]))


X = np.zeros((2, 1, 4, 4), np.float32)


def test_probabilities_are_averaged_not_logits():
    """½·(1/(1+e), e/(1+e)) + ½·(e³/(e³+1), 1/(e³+1)); not softmax(1.5, 0.5)."""
    e = np.e
    p = training.Ensemble([Says(0, 1), Says(3, 0)]).predict(X)
    expected = [(1 / (1 + e) + e**3 / (e**3 + 1)) / 2, (e / (1 + e) + 1 / (e**3 + 1)) / 2]
    np.testing.assert_allclose(p, [expected, expected], rtol=1e-6)


def test_probabilities_sum_to_one_and_large_logits_do_not_overflow():
    p = softmax(np.array([[1000.0, 999, -1000], [0, 0, 0]], np.float32))
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(p[0, 0] / p[0, 1], np.e, rtol=1e-6)
    np.testing.assert_allclose(p[1], 1 / 3)


def test_an_ensemble_of_one_answers_as_the_network():
    net = models.lenet5(rng=0)
    x = np.random.default_rng(0).random((5, 1, 32, 32), dtype=np.float32)
    p = training.Ensemble([net]).predict(x, batch_size=2)
    np.testing.assert_allclose(p, softmax(training.predict(net, x)), rtol=1e-5)


def test_members_answer_in_evaluation_mode():
    nets = [Sequential(Dropout(0.5, rng=0), Linear(3, 2, rng=i)).train() for i in (0, 1)]
    ensemble, x = training.Ensemble(nets), np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(ensemble.predict(x), ensemble.predict(x))
    assert not any(net.training for net in nets)


def test_errors_by_hand():
    """Six classes; image 0 is of class 0, image 1 of class 5.

    Member 1 puts class 0 first and class 5 last; member 2 puts 5 first, 1 second, 0 third.
    """
    first, second = Says(6, 5, 4, 3, 2, 1), Says(1, 2, 0.5, 0, -1, 3)
    result = training.Ensemble([first, second]).evaluate(X, np.array([0, 5]))
    assert result.members == (Errors(0.5, 0.5), Errors(0.5, 0.0))
    assert result.mean == Errors(0.5, 0.25)
    assert result.ensemble == Errors(0.5, 0.0)
    assert str(result).splitlines() == [
        "errors         top-1    top-5",
        "member 1      50.00%   50.00%",
        "member 2      50.00%    0.00%",
        "their mean    50.00%   25.00%",
        "ensemble      50.00%    0.00%"]


def test_under_five_classes_there_is_no_top_5():
    result = training.Ensemble([Says(0, 1), Says(2, 0)]).evaluate(X, np.array([0, 0]))
    assert isinstance(result, EnsembleErrors)
    assert result.members == (Errors(1.0, None), Errors(0.0, None))
    assert result.mean == Errors(0.5, None) and result.ensemble == Errors(0.0, None)
    assert str(result).splitlines()[1] == "member 1     100.00%        –"


def test_far_apart_logits_are_no_tie():
    """In float32 e^−150 is 0, and so is e^−200: class 5 would tie with class 4."""
    net = Says(0, -1, -2, -150, -200, -250)
    result = training.Ensemble([net]).evaluate(X, np.array([3, 4]))
    assert result.members[0].top5 == result.ensemble.top5 == 0


def test_networks_that_err_on_other_images_are_better_together():
    digits = data.load_digits()
    nets = []
    for seed in range(5):
        nets.append(Sequential(Flatten(), Linear(64, 32, rng=seed), ReLU(),
                               Linear(32, 10, rng=seed)))
        few = tuple(part[seed::40] for part in digits.train)            # 31 or 32 digits each
        training.fit(nets[-1], few, few, optim.SGD(nets[-1].parameters(), lr=0.1), epochs=40,
                     batch_size=8, rng=seed, progress=False)
    result = training.Ensemble(nets).evaluate(*digits.validation)
    for net, row in zip(nets, result.members, strict=True):
        assert row.top1 == pytest.approx(training.evaluate(net, *digits.validation)[1])
    assert result.mean.top1 == pytest.approx(np.mean([row.top1 for row in result.members]))
    assert result.ensemble.top1 < 0.8 * result.mean.top1
    assert result.ensemble.top5 < result.mean.top5


@pytest.mark.parametrize("members, message", [
    ([], r"got no networks: Ensemble\(\[net, …\]\)"),
    (Linear(2, 2), "a list of networks, not one"),
    ([Linear(2, 2), "net"], "member 2 is a str"),
    (2 * [Linear(2, 2)], "member 2, Linear.*, is there already: its answer would count twice"),
])
def test_what_is_no_ensemble(members, message):
    with pytest.raises(ValueError, match=message):
        training.Ensemble(members)


@pytest.mark.parametrize("ask", [lambda e: e.predict(X),
                                 lambda e: e.evaluate(X, np.zeros(2, int))])
def test_the_members_that_differ_are_named(ask):
    ensemble = training.Ensemble([Says(1, 2), Says(1, 2, 3), Says(0, 1)])
    with pytest.raises(ValueError, match="the same classes; got 2 in members 1, 3; 3 in member 2"):
        ask(ensemble)


def test_no_images():
    with pytest.raises(ValueError, match="at least one image"):
        training.Ensemble([Says(1, 2)]).predict(X[:0])
