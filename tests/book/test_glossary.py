"""The glossary and the tree: well-formed, and of lessons that are known."""
import re

from scratchnet import lesson
from scratchnet.book import glossary, tree
from scratchnet.lesson import claims


def test_every_term_has_a_korean_word_and_one_sentence():
    terms = glossary.terms()
    assert len(terms) >= 50 and len({term.name.lower() for term in terms}) == len(terms)
    for term in terms:
        assert re.search("[가-힣]", term.korean) or term.korean.isascii(), term
        assert term.says.endswith(".") and len(term.says) > 20, term
        assert f"\n{term.name}\n" in glossary.page()


def test_every_lesson_has_a_place_in_the_tree_and_in_a_group():
    assert set(lesson.lessons()) <= set(tree.tree())
    assert tree.REST not in tree.grouped(lesson.lessons())
    assert {claim.lesson for claim in claims.claims().values()} <= set(tree.tree())
    places = [tuple(row["at"]) for row in tree.tree().values()]
    assert len(set(places)) == len(places)


def test_the_tree_draws_the_lessons_that_there_are():
    some = {name: path for name, path in lesson.lessons().items() if name in ("alexnet", "zfnet")}
    drawn = tree.drawn(some, {name: name for name in some})
    assert drawn.count("<rect") == 2 and drawn.count("<path") == 1
    assert 'href="06_alexnet.html"' in drawn
