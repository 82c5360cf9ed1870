"""Glossary — the words of convolutional networks in English and Korean, from glossary.toml."""
import html
import tomllib
from importlib.resources import files
from typing import NamedTuple


class Term(NamedTuple):
    """An English word, the Korean one, and a sentence that says what is meant."""

    name: str
    korean: str
    says: str


def terms() -> list[Term]:
    """Return all terms in the order of the English alphabet."""
    listed = tomllib.loads((files("scratchnet.book") / "glossary.toml").read_text("utf-8"))
    rows = [Term(name, row["ko"], row["says"]) for name, row in listed.items()]
    return sorted(rows, key=lambda term: term.name.lower())


def page() -> str:
    """The page of the glossary, in Markdown: by the English word, then by the Korean one."""
    found = terms()
    lines = ["# Glossary: the words in English and Korean", "",
             f"{len(found)} words, by their English name. [The same by their Korean name]"
             "(#by-the-korean-word) stands below.", "", ":::{glossary}"]
    for name, korean, says in found:
        lines += [name, f"  {_korean(korean)}. {says}", ""]
    lines += [":::", "", "(by-the-korean-word)=", "", "## By the Korean word", ""]
    lines += [f"- {_korean(korean)}: {{term}}`{name}`"
              for name, korean, _ in sorted(found, key=lambda term: term.korean)]
    return "\n".join(lines) + "\n"


def _korean(word: str) -> str:
    return f'<span lang="ko">{html.escape(word)}</span>'
