"""Every planted bug has a cause that would be accepted, and the two halves are halves."""
import re

from planted_bugs import BUGS
from planted_causes import BY_ID, BY_KIND, FOUND, accepted, half


def test_every_bug_has_expressions_and_no_expression_is_for_nothing():
    assert all(accepted(bug) for bug in FOUND)
    assert set(BY_ID) <= {bug.id for bug in BUGS}
    assert set(BY_KIND) == {bug.kind for bug in BUGS}


def test_the_expressions_are_expressions_that_do_not_accept_anything():
    beside = "backward raised KeyError: 'b3'"
    for bug in FOUND:
        assert not any(re.search(pattern, beside, re.IGNORECASE) for pattern in accepted(bug))


def test_some_kinds_do_not_accept_each_other():
    """The sentences that one would write for some mistakes, each right for its own bug only."""
    says = {"conv-dx-negative": "dx is exactly the negative of the true gradient",
            "conv-dx-zeros": "dx is all zeros: it is never filled",
            "linear-dw-over-n": "dw is the true one times 1/N, the batch size",
            "conv-dx-flipped": "dx is right for a kernel that is flipped by 180°",
            "conv-col2im-assigns": "windows overlap, and the last one overwrites the others",
            "relu-clips": "backward is not linear in dy",
            "conv-dw-float32": "the gradient went through float32",
            "bn-no-gamma": "the factor γ is missing"}
    bugs = {bug.id: bug for bug in BUGS}
    for id in says:
        for other, sentence in says.items():
            right = any(re.search(p, sentence, re.IGNORECASE) for p in accepted(bugs[id]))
            assert right == (id == other), (id, sentence)


def test_the_halves_are_halves():
    seen = sum(half(bug) == "seen" for bug in FOUND)
    assert 0.4 < seen / len(FOUND) < 0.6
    assert half(BUGS[0]) == half(BUGS[0]) == "seen"
