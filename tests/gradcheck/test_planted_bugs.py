"""Every planted bug is caught, and every valid variant passes."""
import pytest
from planted_bugs import BUGS, KINDS, VALID

from scratchnet import gradcheck
from scratchnet.gradcheck import check

MISSED = [bug for bug in BUGS if bug.missed_because]
CONVENTIONS = {31}          # x > 0 or x ≥ 0: no mistake, so it stands among the valid variants


@pytest.fixture(autouse=True)
def _without_diagnosis(monkeypatch):
    monkeypatch.setattr(gradcheck, "diagnose", lambda *_: [])       # only whether, not why


@pytest.mark.parametrize("bug", [b for b in BUGS if not b.missed_because], ids=lambda b: b.id)
def test_bug_is_caught(bug):
    report = check(bug.make(), *bug.inputs)
    assert not report.passed, f"{bug.says}\n{report}"
    assert report.verdict == bug.verdict, f"{bug.says}\n{report}"


@pytest.mark.parametrize("bug", MISSED, ids=lambda b: b.id)
def test_bug_listed_as_missed_is_missed(bug):
    """So that the list stays honest: a bug caught by now must leave it."""
    report = check(bug.make(), *bug.inputs)
    assert report.passed, f"no longer missed\n{report}"


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_valid_variant_passes(case):
    report = check(case.make(), *case.inputs)
    assert report.passed, f"{case.says}\n{report}"


def test_the_catalogue_is_complete():
    kinds = {bug.kind for bug in BUGS}
    assert len(BUGS) >= 200
    assert len(MISSED) <= len(BUGS) / 100
    assert set(KINDS) - kinds == CONVENTIONS
    assert len({case.id for case in BUGS + VALID}) == len(BUGS + VALID)
    assert all(len(bug.missed_because) > 50 for bug in MISSED)
    assert sum(bug.id.startswith("foreign-") for bug in BUGS) >= 12


def test_the_catalogue_has_bugs_in_every_layer():
    layers = {bug.id.split("-")[0] for bug in BUGS}
    assert layers >= {"conv", "linear", "relu", "sigmoid", "tanh", "lrn", "dropout", "max", "avg",
                      "adaptive", "bn", "flatten", "softmax", "residual", "sequential", "concat",
                      "scale", "graph", "add", "concatenate", "network", "foreign", "depthwise",
                      "relu6", "silu", "depth", "pad", "padshortcut", "block", "preact", "se",
                      "dense", "inverted", "mbconv", "googlenet", "subsampling", "partial",
                      "codes", "scaledtanh"}
