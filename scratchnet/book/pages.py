"""Pages — the book's pages in Markdown and as notebooks, in a folder for Sphinx to read."""
import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from scratchnet import lesson
from scratchnet.book import glossary, notebooks, tree
from scratchnet.lesson import claims

Tell = Callable[[str], None]


def write(folder: Path, lessons: Mapping[str, Path], run: bool, tell: Tell = print) -> None:
    """Write all pages of these lessons; with `run`, with what came out when they were run.
    Raises notebooks.Failed."""
    answers: dict[str, tuple[str, str, str]] = {}
    (folder / "notebooks").mkdir()
    for name, path in lessons.items():
        plain = notebooks.notebook(path)
        shown = plain
        if run:
            tell(f"{path.stem} …")
            (shown, answered), now = notebooks.ran(path)
            answers |= {claim: (name, *answer) for claim, answer in answered.items()}
            tell(f"{path.stem}: run" if now else f"{path.stem}: as it was run before")
        _json(folder / "notebooks" / f"{path.stem}.ipynb", plain)
        _json(folder / f"{path.stem}.ipynb", _with_links(shown, name, path))
    for name, text in (("index", index(lessons, run)), ("glossary", glossary.page()),
                       ("claims", claims_page(lessons, answers, run))):
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def index(lessons: Mapping[str, Path], run: bool) -> str:
    """The page where one enters: what this is, the family tree, the lessons in groups."""
    titles = {name: lesson.title(path) for name, path in lessons.items()}
    lines = ["# Convolutional networks from scratch", "",
             "The networks of computer vision, built layer by layer. Every step of them, forwards "
             "and backwards, is written by hand in NumPy; every gradient is checked, and every "
             "number on these pages was computed by the code beside it." if run else
             "The networks of computer vision, built layer by layer: the text and the code of the "
             "lessons. The code was not run when these pages were made.", ""]
    if picture := tree.drawn(lessons, titles):
        lines += ["## The family tree", "", "```{raw} html", picture, "```", ""]
    lines += ["## The lessons", ""]
    groups = tree.grouped(lessons)
    for group, names in groups.items():
        lines += [f"### {group}", ""]
        for name in names:
            number = lessons[name].stem.split("_", 1)[0].lstrip("0")
            lines.append(f"- {number}\\. [{titles[name]}]({lessons[name].stem})")
        lines.append("")
    lines += ["### To look things up", "",
              "- [Glossary: the words in English and Korean](glossary)",
              "- [Claims: what is said of these networks, and what came of it](claims)", ""]
    for group, names in groups.items():
        lines += [*_toctree(group, [lessons[name].stem for name in names]), ""]
    return "\n".join([*lines, *_toctree("To look things up", ["glossary", "claims"])]) + "\n"


def claims_page(lessons: Mapping[str, Path], answers: dict[str, tuple[str, str, str]],
                run: bool) -> str:
    """The page with all claims and the lessons' verdicts."""
    text = claims.table(answers)
    for name, path in lessons.items():
        text = text.replace(f" | {name} | ", f" | [{name}]({path.stem}) | ")
    said = ("Sentences that texts about these networks repeat. A lesson looks into each, counts, "
            "derives or measures, and gives a verdict.")
    if not run:
        said += " The lessons were not run when this page was made, so all of them are open."
    return "\n".join(["# Claims: what is said of these networks, and what came of it", "", said, "",
                      ":::{container} claims", text.rstrip(), ":::", ""])


def _with_links(book: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """The notebook, with a line below its title on where to get it and how to run it."""
    book = deepcopy(dict(book))
    links = (f"{{download}}`Download this page as a notebook <notebooks/{path.stem}.ipynb>`, or "
             f"run it in a terminal: `scratchnet lesson {name}`")
    first = book["cells"][0]
    first["source"] = re.sub(r"\A(# .*)$", lambda match: f"{match[1]}\n\n{links}\n",
                             first["source"], count=1, flags=re.MULTILINE)
    return book


def _toctree(caption: str, names: list[str]) -> list[str]:
    return ["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"]


def _json(path: Path, book: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(book, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
