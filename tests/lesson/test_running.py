"""A running lesson: options, data, verdicts, and what it leaves behind."""
import json
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

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
    digits = begun("b", "--data", "digits").load("shapes", 16, train=30, validation=1, test=1)
    images, labels = digits.train
    assert images.shape == (30, 3, 16, 16) and images.dtype == np.float32 and len(labels) == 30
    assert (images[:, 0] == images[:, 2]).all() and 0 <= images.min() < images.max() <= 1
    with pytest.raises(SystemExit, match="--data nowhere: .*no data set"):
        begun("c", "--data", "nowhere").load("shapes", 16)


def test_a_folder_of_pictures_is_made_like_the_lesson_s_own_data(begun, tmp_path):
    folder = tmp_path / "pictures"
    for label in range(12):
        (folder / f"class{label:02d}").mkdir(parents=True)
        for i in range(10):
            picture = np.full((20, 24, 3), 20 * label, dtype=np.uint8)
            Image.fromarray(picture).save(folder / f"class{label:02d}" / f"{i}.png")
    images, labels = begun("d", "--data", str(folder)).load("digits", 8).train
    assert images.shape[1:] == (1, 8, 8) and images.dtype == np.float32
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 20 * labels / 255, atol=1e-3)
    assert set(labels) == set(range(10))


def test_with_other_data_a_lesson_asserts_nothing(tmp_path, monkeypatch, capsys):
    lesson_file = tmp_path / "01_own.py"
    lesson_file.write_text("# %%\nassert False, 'of its own data'\nprint('at its end')\n")
    lesson.run(lesson_file, ["--data", "digits"])
    assert "at its end" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="of its own data"):
        lesson.run(lesson_file, [])
