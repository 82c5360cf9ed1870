"""A lesson as a notebook."""
import json

import pytest

from scratchnet import lesson
from scratchnet.book import notebooks

LESSON = '''# %% [markdown]
# # Sums: adding up
#
# What is $1 + 1$?

# %%
import sys
from scratchnet.lesson import Lesson
lesson = Lesson("sums")

# %%
print(1 + 1)
lesson.end()
'''


@pytest.fixture
def path(tmp_path):
    (tmp_path / "01_sums.py").write_text(LESSON, encoding="utf-8")
    return tmp_path / "01_sums.py"


def test_cells_are_the_lesson_s(path):
    book = notebooks.notebook(path)
    assert [cell["cell_type"] for cell in book["cells"]] == ["markdown", "code", "code"]
    assert book["cells"][0]["source"] == "# Sums: adding up\n\nWhat is $1 + 1$?"
    assert book["cells"][2]["source"] == "print(1 + 1)\nlesson.end()"


@pytest.mark.parametrize("name", lesson.lessons())
def test_every_lesson_is_a_valid_notebook(name):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.from_dict(notebooks.notebook(lesson.lessons()[name])))


def test_it_is_run_once_and_then_kept_until_something_changes(path, tmp_path):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    (book, answers), now = notebooks.ran(path, tmp_path / "kept")
    assert now and answers == {}
    said = "".join(output["text"] for output in book["cells"][2]["outputs"])
    assert said.startswith("2\n") and str(tmp_path) not in json.dumps(book)
    assert notebooks.ran(path, tmp_path / "kept")[1] is False
    path.write_text(LESSON.replace("1 + 1)", "1 + 2)"), encoding="utf-8")
    assert notebooks.ran(path, tmp_path / "kept")[1] is True
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_lesson_that_fails_says_where(path, tmp_path):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    path.write_text(LESSON.replace("1 + 1)", "1 / 0)"), encoding="utf-8")
    with pytest.raises(notebooks.Failed, match="(?s)01_sums.py did not run.*ZeroDivisionError"):
        notebooks.ran(path, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
