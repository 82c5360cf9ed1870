"""A share of benchmarks/malformed.py: broken files are refused by name, or give the right data."""
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import malformed  # noqa: E402

from scratchnet.data import cifar, folder, images  # noqa: E402


@pytest.mark.parametrize("kind", [*malformed.KINDS, "folder"])
def test_broken_files_are_refused_by_name_or_read_right(tmp_path, kind):
    if kind == "safetensors":
        pytest.importorskip("safetensors")
    result = malformed.run(kind, 1, 60, 0, tmp_path)
    assert result["violations"] == [] and result["files"] == 60
    assert result["refused"] >= 30


@pytest.mark.parametrize("kind", malformed.KINDS)
def test_the_same_seed_breaks_files_in_the_same_way(kind):
    if kind == "safetensors":
        pytest.importorskip("safetensors")
    spec = malformed.KINDS[kind]
    whole = spec.valid(np.random.default_rng(3))
    first, second = (list(malformed.mutants(kind, whole, np.random.default_rng(5), 40))
                     for _ in range(2))
    assert first == second and len(first) == 40
    assert sum(contents != whole for _, contents in first) >= 38


@pytest.mark.parametrize("module, name, weaker, kind", [
    (images, "_check_png", lambda file: None, "png"),
    (cifar, "_check_size", lambda *where: None, "cifar.bin"),
    (folder, "_same_classes", lambda *classes: None, "folder"),
])
def test_a_reader_that_is_less_careful_is_found_out(tmp_path, monkeypatch, module, name, weaker,
                                                    kind):
    monkeypatch.setattr(module, name, weaker)
    assert malformed.run(kind, 1, 30 if kind == "folder" else 150, 0, tmp_path)["violations"]


@pytest.mark.parametrize("raised", [KeyError("x"), OSError("x"), UnicodeDecodeError(
    "ascii", b"\xff", 0, 1, "x"), ValueError("which file?"), MemoryError(), SystemExit(1)])
def test_any_other_error_is_a_violation(raised):
    def read():
        raise raised

    assert malformed.outcome(read, None, None, ["the file"])[0] == "violation"


def test_other_data_and_warnings_are_violations():
    ones, twos = np.ones(3), np.full(3, 2.0)

    def warns():
        import warnings
        warnings.warn("hm", stacklevel=1)
        return ones

    def judged(read, reference):
        return malformed.outcome(read, ones, reference, ["f"])[0]

    assert judged(lambda: ones, None) == "accepted: the same data"
    assert judged(lambda: twos, lambda: twos) == "accepted: what it says now"
    assert judged(lambda: twos, lambda: ones) == "violation"
    assert judged(lambda: twos, lambda: 1 / 0) == "violation"
    assert judged(warns, None) == "violation"
