"""Submissions that try to pass without being right, or to do harm: attack_table.py, run."""
import re
import shutil
import sys
from pathlib import Path

import pytest
from attack_table import ATTACKS

import scratchnet
from scratchnet.exercises.grading.grade import grade

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fences are Linux's")
SECONDS = 2                 # for those that never end


def test_what_comes_of_each_attack(tmp_path):
    """One test for all, graded two at a time as in life; what differs is told of each."""
    mark, other = tmp_path / "mark", tmp_path / "ending" / "other" / "relu.py"
    other.parent.mkdir(parents=True)
    shutil.copy(HERE / "solutions" / "relu.py", other)
    if grade(tmp_path / "ending")[0].open:
        pytest.skip("this kernel has no fences; without them, some attacks would do harm")
    for attack in ATTACKS:
        text = (HERE / "attacks" / f"{attack.name}.py").read_text(encoding="utf-8")
        for word, path in (("@MARK@", mark), ("@OTHER@", other),
                           ("@ROOT@", Path(scratchnet.__file__).parents[1])):
            text = text.replace(word, str(path))
        folder = tmp_path / ("endless" if "longer" in attack.cause else "ending") / attack.name
        folder.mkdir(parents=True)
        (folder / "relu.py").write_text(text, encoding="utf-8")
    outcomes = {outcome.student: outcome for outcome in [
        *grade(tmp_path / "ending", seed=5), *grade(tmp_path / "endless", seed=5, seconds=SECONDS)]}

    assert not [(attack, outcomes[attack.name]) for attack in ATTACKS
                if outcomes[attack.name].verdict != attack.verdict
                or not re.search(attack.cause, outcomes[attack.name].cause)]
    assert outcomes["other"].verdict == "passed"
    assert other.read_text() == (HERE / "solutions" / "relu.py").read_text()
    assert not mark.exists()


def test_every_attack_is_in_the_table_and_in_the_guide():
    assert sorted(a.name for a in ATTACKS) == sorted(
        path.stem for path in (HERE / "attacks").glob("*.py"))
    guide = (HERE.parents[1] / "docs" / "grading.md").read_text(encoding="utf-8")
    for a in ATTACKS:
        tries = (HERE / "attacks" / f"{a.name}.py").read_text(encoding="utf-8").split('"""')[1]
        assert f"| {tries} | {a.linux} | {a.elsewhere} | {a.by} |" in guide
