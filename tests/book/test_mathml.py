"""Formulas of the lessons as MathML."""
import re

import pytest

from scratchnet import lesson
from scratchnet.book.mathml import mathml

pytest.importorskip("latex2mathml")


def test_a_formula_keeps_its_text_for_those_who_cannot_see_it():
    shown = mathml(r"\frac{\partial L}{\partial x} < 1")
    assert 'alttext="\\frac{\\partial L}{\\partial x} &lt; 1"' in shown
    assert shown.count("<mfrac>") == 1 and 'display="inline"' in shown
    assert 'display="block"' in mathml("x", block=True)


def test_a_word_is_one_identifier():
    assert "<mi>ReLU</mi>" in mathml(r"\mathrm{ReLU}(x)")


@pytest.mark.parametrize("latex", [r"\frac{a", r"\nosuch x"])
def test_what_is_not_understood_is_an_error(latex):
    with pytest.raises(ValueError, match="nosuch|brace"):
        mathml(latex)


@pytest.mark.parametrize("name", lesson.lessons())
def test_every_formula_of_every_lesson_can_be_converted(name):
    source = lesson.lessons()[name].read_text(encoding="utf-8")
    for kind, _, text in lesson.cells(source):
        if kind == "text":
            text = re.sub(r"(?s)```.*?```|`[^`]*`", "", text)
            for block, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$([^$]+)\$", text):
                assert "<math" in mathml(block or inline)
