"""Mistakes that nobody chose: does the gradient check see them?

This asks about a sample; benchmarks/mutants.py asks about all.
"""
import numpy as np
import pytest
from layer_cases import gradient_like
from mutation import (
    WITH_BACKWARD,
    Laboratory,
    Mutant,
    all_mutants,
    equivalent,
    original_function,
    planted,
    settings_of,
)

from scratchnet.layers import ReLU

SAMPLE = [all_mutants()[i] for i in np.random.default_rng(1).choice(
    len(all_mutants()), 60, replace=False)]


@pytest.fixture(scope="module")
def laboratory():
    laboratory = Laboratory()
    yield laboratory
    laboratory.close()


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.id)
def test_the_mutant_is_caught_or_is_no_mistake(mutant, laboratory):
    assert bool(laboratory.examine(mutant)) != (mutant.id in equivalent()), mutant.source


def test_a_right_version_survives(laboratory):
    """Or nothing would be proven by the others being caught."""
    x_positive = Mutant("same", "scratchnet.layers.relu", "ReLU.backward",
                        "def backward(self, dy):\n    y, = self.recall(dy)\n"
                        "    return (y > 0) * dy")
    assert laboratory.examine(x_positive) == ""


def test_a_mutant_that_never_returns_counts_as_caught():
    endless = Mutant("endless", "scratchnet.layers.relu", "ReLU.backward",
                     "def backward(self, dy):\n    while True:\n        pass")
    laboratory = Laboratory(seconds=1)
    assert laboratory.examine(endless) == "no answer"
    laboratory.close()


def test_a_mutant_is_in_the_place_of_the_original_and_leaves_it():
    mutant = Mutant("twice", "scratchnet.layers.relu", "ReLU.backward",
                    "def backward(self, dy):\n    return 2 * dy * (self.recall(dy)[0] > 0)")

    def dx():
        relu, x = ReLU(), np.array([3.0, -1.0])
        relu.forward(x)
        return relu.backward(np.ones(2)).tolist()

    with planted(mutant):
        assert dx() == [2, 0]
    assert dx() == [1, 0]


def test_there_are_many_mutants_each_once_and_of_every_backward():
    mutants = all_mutants()
    assert len(mutants) > 1000
    assert len({mutant.id for mutant in mutants}) == len(mutants)
    assert {mutant.function.split(".")[-1] for mutant in mutants} == {
        "backward", "backward_x", "backward_w", *WITH_BACKWARD}
    assert len({(mutant.module, mutant.function) for mutant in mutants}) > 40
    for mutant in mutants:
        compile(mutant.source, mutant.id, "exec")


def test_every_function_with_mutants_is_run_by_a_case():
    functions = {original_function(mutant): mutant for mutant in all_mutants()}
    assert all(settings_of(mutant) for mutant in functions.values())


def test_the_list_of_equivalent_mutants_holds_mutants_and_reasons():
    ids = {mutant.id for mutant in all_mutants()}
    assert set(equivalent()) <= ids
    assert len(equivalent()) < 0.03 * len(ids)
    assert all(len(reason) > 10 for reason in equivalent().values())


def test_only_backward_runs_what_is_mutated_with_it():
    """Forward would not show it, then."""
    from layer_cases import cases_of
    from mutation import _codes_run

    from scratchnet.backend import channels
    from scratchnet.convolution import maximum
    from scratchnet.layers import BatchNorm2d, Concat, MaxPool2d, branch
    for cls, function in ((Concat, branch.split), (MaxPool2d, maximum._spread),
                          (BatchNorm2d, channels.sums)):
        for case in cases_of(cls):
            layer, inputs = case.layer(), case.inputs()
            assert function.__code__ not in _codes_run(lambda: layer.forward(*inputs))  # noqa: B023
            y = layer.forward(*inputs)
            assert function.__code__ in _codes_run(
                lambda: layer.backward(gradient_like(y)))                           # noqa: B023
