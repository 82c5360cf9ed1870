"""Book — a site made of the lessons: each run, then shown with its pictures and its numbers.

    scratchnet book             # every lesson is run, a quarter of an hour; then only what changed
    scratchnet book --no-run    # the text and the code alone: half a minute

The site asks nothing of any other host, and can be read from a folder. Each step is a file:

    notebooks.py    a lesson as a notebook, run if asked for, in a folder of its own
    pages.py        the pages in Markdown: the lessons, the claims, where one enters
    tree.py         the family tree, drawn from tree.toml
    glossary.py     the words, in English and Korean, from glossary.toml
    mathml.py       formulas, which browsers set themselves: MathML
    site.py         from the pages to the site
    command.py      scratchnet book

It needs what `pip install "scratchnet[book]"` installs.
"""
from scratchnet.book.command import add_command

__all__ = ["add_command"]
