"""Variants from several seeds, and what may be said of them."""
import json

import numpy as np
import pytest

from scratchnet.data.sets import Data, Split
from scratchnet.layers import Flatten, Linear, Sequential
from scratchnet.lesson import experiment, files, quoted, verdict
from scratchnet.lesson.experiment import difference


def test_the_difference_on_paper():
    # means 2 and 4, variances 1 and 4 over 3 seeds: d = −2/√(1/3 + 4/3) = −2/1.291
    assert difference([1, 2, 3], [2, 4, 6]) == pytest.approx(-1.549, abs=1e-3)
    assert difference([1, 1], [1, 1]) == 0 and difference([1, 1], [2, 2]) == -np.inf


@pytest.mark.parametrize("claimed, other, expected", [
    ([0.10, 0.11, 0.12], [0.20, 0.21, 0.22], "confirmed here"),
    ([0.20, 0.21, 0.22], [0.10, 0.11, 0.12], "contradicted here"),
    ([0.10, 0.15, 0.20], [0.12, 0.17, 0.22], "not visible at this scale"),
])
def test_a_verdict_needs_more_than_chance(claimed, other, expected):
    assert verdict(claimed, other) == expected


def test_one_run_is_no_evidence():
    with pytest.raises(ValueError, match="two seeds or more of each; got 1 and 3"):
        verdict([0.1], [0.2, 0.2, 0.3])


def test_variants_are_trained_alike_and_repeatably(capsys):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((96, 1, 3, 3)).astype(np.float32)
    labels = (x[:, 0, 1, 1] > 0).astype(np.int64)
    sets = Data(Split(x[:64], labels[:64]), Split(x[64:80], labels[64:80]),
                Split(x[80:], labels[80:]), ("no", "yes"), "made up")
    variants = {
        "sees": lambda seed: Sequential(Flatten(), Linear(9, 2, rng=seed)),
        "blind": lambda seed: Sequential(Flatten(), Linear(9, 2, rng=seed), Linear(2, 2, rng=seed)),
    }
    found = experiment(variants, sets, seeds=(0, 1), epochs=6, lr=0.5, batch_size=16)
    assert list(found) == ["sees", "blind"] and len(found["sees"]) == 2
    assert max(found["sees"]) < 0.3
    assert found == experiment(variants, sets, seeds=(0, 1), epochs=6, lr=0.5, batch_size=16,
                               say=lambda text: None)
    assert capsys.readouterr().out.count("±") == 2


def test_a_quoted_table_says_how_it_was_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="no experiment 'pools'.*there are none"):
        quoted("pools")
    (tmp_path / "experiments.json").write_text(json.dumps({"pools": {
        "what": "Four poolings", "settings": "3 seeds", "errors": {"max": [0.1, 0.2]}}}))
    assert quoted("pools") == {"max": [0.1, 0.2]}
    told = capsys.readouterr().out
    assert "Four poolings, test errors (3 seeds)" in told and "15.0% ±  7.1%" in told
    assert "python benchmarks/lesson_experiments.py pools" in told
