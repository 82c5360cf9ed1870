"""MathML — formulas as browsers set them themselves, with no script and no font to fetch.

An extension of Sphinx. What is between dollars in the text comes here as LaTeX and leaves as
MathML, converted when the book is built. A formula that cannot be converted is a warning, and so
ends the build.
"""
import html
import re
from typing import Any

_LETTERS = re.compile(r'(?:<mi mathvariant="normal">\w</mi>){2,}')


def mathml(latex: str, block: bool = False) -> str:
    """Return a formula as a <math> element; ValueError says what in it is not understood."""
    from latex2mathml.converter import convert
    latex = re.sub(r"(begin|end)\{aligned\}", r"\1{align*}", " ".join(latex.split()))
    bare = re.sub(r"\\.", "", latex)
    if bare.count("{") != bare.count("}"):
        raise ValueError(f"a brace is missing in {latex!r}")
    try:
        found = convert(latex, display="block" if block else "inline")
    except Exception as error:          # it has a dozen kinds, few of them with words
        raise ValueError(f"{latex!r}: {type(error).__name__} {error}".rstrip()) from None
    if unknown := re.search(r"<mi>(\\.*?|&)</mi>", found):
        raise ValueError(f"{unknown[1]} is not understood in {latex!r}")
    # \mathrm{max}: one word, not three letters
    found = _LETTERS.sub(lambda match: f"<mi>{re.sub('<.*?>', '', match[0])}</mi>", found)
    return found.replace("<math ", f'<math alttext="{html.escape(latex)}" ', 1)


def setup(app: Any) -> dict[str, Any]:
    """Make MathML one of Sphinx's ways to show formulas: html_math_renderer = "mathml"."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: Any) -> None:
    _write(writer, node, '<span class="math">', "</span>", block=False)


def _block(writer: Any, node: Any) -> None:
    _write(writer, node, '<div class="math">', "</div>\n", block=True)


def _write(writer: Any, node: Any, before: str, after: str, block: bool) -> None:
    from docutils.nodes import SkipNode
    from sphinx.util import logging
    try:
        writer.body.append(before + mathml(node.astext(), block) + after)
    except ValueError as error:
        logging.getLogger(__name__).warning("formula: %s", error, location=node)
    raise SkipNode
