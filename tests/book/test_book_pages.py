"""Lessons as notebooks, the tree and the pages in Markdown, before anything is built of them."""
import json

import pytest

from scratchnet import lesson
from scratchnet.book import notebooks, pages, tree
from scratchnet.lesson import claims

SOURCE = '''# %% [markdown]
# # Small: a lesson of two cells
#
# Text with $x^2$.

# %%
import sys
y = 2

# %% [markdown]
# ## End
'''


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "03_small.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_every_cell_of_every_lesson_is_in_its_notebook():
    for path in lesson.lessons().values():
        book = notebooks.notebook(path)
        cells = [(kind, content.strip("\n"))
                 for kind, _, content in lesson.cells(path.read_text(encoding="utf-8"))]
        assert [({"markdown": "text"}.get(cell["cell_type"], "code"), cell["source"])
                for cell in book["cells"]] == cells


def test_what_is_kept_is_kept_while_nothing_changes(small, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(notebooks, "execute", lambda path: runs.append(path) or notebooks.Ran(
        notebooks.notebook(path), {"some-claim": ["right", "counted"]}))
    first, now = notebooks.ran(small, tmp_path / "kept")
    assert now
    again, now = notebooks.ran(small, tmp_path / "kept")
    assert not now and again == first
    small.write_text(SOURCE + "\n# %%\ny = 3\n", encoding="utf-8")
    assert notebooks.ran(small, tmp_path / "kept")[1]
    (tmp_path / "experiments.json").write_text("{}", encoding="utf-8")
    assert notebooks.ran(small, tmp_path / "kept")[1]
    assert len(runs) == 3 and len(list((tmp_path / "kept").iterdir())) == 1


def test_the_link_stands_below_the_title(small, tmp_path):
    pages.write(tmp_path, {"small": small}, run=False, tell=lambda said: None)
    book = json.loads((tmp_path / "03_small.ipynb").read_text(encoding="utf-8"))
    lines = book["cells"][0]["source"].splitlines()
    assert lines[0] == "# Small: a lesson of two cells"
    assert "notebooks/03_small.ipynb" in lines[2] and "scratchnet lesson small" in lines[2]
    plain = json.loads((tmp_path / "notebooks/03_small.ipynb").read_text(encoding="utf-8"))
    assert plain == notebooks.notebook(small)


def test_groups_are_in_the_books_order_and_none_is_left_out(tmp_path):
    names = [name for those in tree.GROUPS.values() for name in those]
    assert len(set(names)) == len(names) == 22 and set(tree.tree()) == set(names)
    assert tree.grouped(["small", *names]) == {
        **{group: list(those) for group, those in tree.GROUPS.items()}, tree.REST: ["small"]}
    known = [name for name in lesson.lessons() if name in names]
    assert known == [name for name in names if name in known]


def test_no_two_boxes_are_in_one_place_and_lines_lead_down():
    rows = tree.tree()
    places = [tuple(row["at"]) for row in rows.values()]
    assert len(set(places)) == len(places)
    for row in rows.values():
        for before in row.get("from", ()):
            assert rows[before]["at"][1] <= row["at"][1]


def test_claims_lead_to_their_lessons(tmp_path):
    listed = [*claims.claims().values()]
    if not any(claim.lesson == "alexnet" for claim in listed):
        pytest.skip("no claim of this lesson")
    one = next(claim for claim in listed if claim.lesson == "alexnet")
    page = pages.claims_page({"alexnet": tmp_path / "06_alexnet.py"},
                             {one.id: ("alexnet", "right", "as counted")}, run=True)
    assert f"| {one.says} | [alexnet](06_alexnet) | right | as counted |" in page
