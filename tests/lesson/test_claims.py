"""Claims: each has its lesson, and each lesson answers its own."""
import ast
import json

import pytest

from scratchnet import lesson
from scratchnet.lesson import claims


def test_every_claim_is_a_sentence_and_no_two_are_the_same():
    listed = claims.claims()
    assert len(listed) == 36
    assert len({claim.says for claim in listed.values()}) == 36
    assert all(claim.says.endswith((".", "?")) for claim in listed.values())


@pytest.mark.parametrize("name", lesson.lessons())
def test_a_lesson_answers_its_own_claims_and_no_others(name):
    tree = ast.parse(lesson.lessons()[name].read_text(encoding="utf-8"))
    answered = [node.args[0].value for node in ast.walk(tree) if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute) and node.func.attr == "claim"]
    assert sorted(answered) == sorted(c.id for c in claims.claims().values() if c.lesson == name)


@pytest.mark.parametrize("claim, verdict, name, message", [
    ("alexnet-grups", "right", "alexnet", "'alexnet-grups'.*did you mean 'alexnet-groups'"),
    ("alexnet-groups", "right", "vgg", "answered by the lesson 'alexnet', not by 'vgg'"),
    ("alexnet-groups", "true", "alexnet", "a verdict is one of right, .*; got 'true'"),
])
def test_what_is_no_answer(claim, verdict, name, message):
    with pytest.raises(ValueError, match=message):
        claims.checked(claim, verdict, name)


def test_the_table_is_made_of_what_lessons_wrote_down(tmp_path):
    for name, claim in (("vgg", "vgg-not-deep"), ("alexnet", "sixty-million")):
        (tmp_path / name).mkdir()
        table = {"lesson": name, "claims": {claim: ["wrong", f"{name} | says"]}}
        (tmp_path / name / "lesson.json").write_text(json.dumps(table))
    found = claims.answers([tmp_path / "vgg", tmp_path / "alexnet"])
    assert found["vgg-not-deep"] == ("vgg", "wrong", "vgg | says")
    rows = claims.table(found).splitlines()
    assert len(rows) == 2 + 36
    assert sum("| open |" in row for row in rows) == 34
    assert any(row.endswith(r"| vgg | wrong | vgg \| says |") for row in rows)
