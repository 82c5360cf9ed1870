"""The unseen bugs are bugs, and what they were made from is right.

What the diagnosis says of them is measured by benchmarks/diagnosis.py, not asserted here: a test
that one can tune against would make them seen.
"""
import re

import pytest
from unseen_bugs import UNSEEN
from unseen_layers import RIGHT

from scratchnet import Layer, gradcheck
from scratchnet.gradcheck import check


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_layer_passes(name):
    cls, arguments, inputs = RIGHT[name]
    report = check(cls(*arguments), *inputs)
    assert report.passed, str(report)


@pytest.mark.parametrize("bug", UNSEEN, ids=lambda bug: bug.id)
def test_the_wrong_layer_does_not(bug, monkeypatch):
    monkeypatch.setattr(gradcheck, "diagnose", lambda *_: [])       # only whether, not why
    report = check(bug.make(), *bug.inputs, reference=bug.reference())
    assert report.verdict == "wrong", f"{bug.says}\n{report}"


def test_there_are_enough_of_many_kinds():
    assert len(UNSEEN) >= 120
    assert len({bug.id for bug in UNSEEN}) == len(UNSEEN)
    assert {bug.base for bug in UNSEEN} == set(RIGHT)
    foreign = [bug for bug in UNSEEN if not issubclass(RIGHT[bug.base][0], Layer)]
    assert len(foreign) > len(UNSEEN) / 2


@pytest.mark.parametrize("bug", UNSEEN, ids=lambda bug: bug.id)
def test_what_is_accepted_is_neither_nothing_nor_anything(bug):
    """Some sentence fits, and one about something else does not."""
    assert any(re.search(pattern, bug.says, re.IGNORECASE) for pattern in bug.accept)
    for beside in ("a loop in backward runs on", "backward raised KeyError"):
        assert not any(re.search(pattern, beside, re.IGNORECASE) for pattern in bug.accept)


def test_a_text_that_is_not_there_is_an_error():
    from unseen_bugs import Unseen
    with pytest.raises(ValueError, match="stands 0 times in Affine; expected once"):
        Unseen("none", "Affine", {"self.nothing": ""}, "", ()).make()
