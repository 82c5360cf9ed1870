"""A running lesson: options, data, verdicts, and what it leaves behind."""
import json
import sys

import pytest
from matplotlib.figure import Figure

from scratchnet import cli, lesson
from scratchnet.lesson import Lesson


@pytest.fixture
def begun(tmp_path, monkeypatch):
    def begin(name, *options):
        monkeypatch.setattr(sys, "argv", ["lesson", "--out", str(tmp_path / name), *options])
        return Lesson(name)
    return begin


def test_a_lesson_that_ended_says_so_with_its_answers(begun, capsys):
    running = begun("alexnet", "--full")
    assert running.full
    running.claim("sixty-million", "right", "It has 60,965,224.")
    running.save(Figure(), "nothing", alt="an empty figure")
    assert not (running.folder / lesson.FINISHED).exists()
    running.end()
    written = json.loads((running.folder / lesson.FINISHED).read_text(encoding="utf-8"))
    assert written["claims"] == {"sixty-million": ["right", "It has 60,965,224."]}
    assert written["lesson"] == "alexnet" and written["full"] and written["seconds"] >= 0
    told = capsys.readouterr().out
    assert "Verdict: right. It has 60,965,224." in told and "nothing.png" in told


def test_a_claim_of_another_lesson_is_refused(begun):
    with pytest.raises(ValueError, match="answered by the lesson 'alexnet'"):
        begun("vgg").claim("sixty-million", "right", "")


def test_the_list_marks_what_was_run_to_its_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "lesson-alexnet").mkdir(parents=True)
    assert cli.main(["lesson"]) == 0
    assert "✓ 06" not in capsys.readouterr().out
    (tmp_path / "runs" / "lesson-alexnet" / lesson.FINISHED).write_text("{}")
    assert cli.main(["lesson"]) == 0
    assert "✓ 06  alexnet" in capsys.readouterr().out


def test_data_are_the_lesson_s_own_or_the_reader_s(begun):
    shapes = begun("a").load("shapes", 16, train=20, validation=10, test=10)
    assert shapes.train.images.shape == (20, 3, 16, 16)
    assert begun("b", "--data", "digits").load("shapes", 16).train.images.shape[1:] == (1, 16, 16)
    with pytest.raises(ValueError, match="nowhere"):
        begun("c", "--data", "nowhere").load("shapes", 16)
