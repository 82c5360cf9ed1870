"""Claims — sentences that texts about these networks repeat, and what the lessons found out.

lessons/claims.toml lists them: an id, the sentence, and the lesson that looks into it. A lesson
answers with one of VERDICTS and its evidence (Lesson.claim); `answers` gathers what lessons that
were run have written down, and `table` shows it.
"""
import difflib
import json
import textwrap
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from scratchnet.lesson import files

#: Of what can be counted or derived, and of what an experiment says.
VERDICTS = ("right", "right, but incomplete", "wrong", "misleading",
            "confirmed here", "not visible at this scale", "contradicted here",
            "reported, not tested here")


class Claim(NamedTuple):
    """A sentence, and the name of the lesson that looks into it."""

    id: str
    says: str
    lesson: str


@cache
def claims() -> dict[str, Claim]:
    """Return {id: Claim} in the order of the list."""
    folder = files.folder()
    if folder is None:
        return {}
    listed = tomllib.loads((folder / "claims.toml").read_text(encoding="utf-8"))
    return {name: Claim(name, row["says"], row["lesson"]) for name, row in listed.items()}


def checked(claim: str, verdict: str, lesson: str) -> str:
    """Return the sentence; ValueError if this lesson cannot give this verdict on it."""
    known = claims()
    if claim not in known:
        near = difflib.get_close_matches(claim, known, n=1, cutoff=0)
        raise ValueError(f"there is no claim {claim!r} in claims.toml: did you mean {near[0]!r}?"
                         if near else "no claims are installed")
    if known[claim].lesson != lesson:
        raise ValueError(f"claim {claim!r} is answered by the lesson {known[claim].lesson!r}, not "
                         f"by {lesson!r}")
    if verdict not in VERDICTS:
        raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}; got {verdict!r}")
    return known[claim].says


def told(statement: str, verdict: str, evidence: str) -> str:
    """A claim and its verdict as a paragraph for the terminal."""
    lines = textwrap.wrap(f"Claim: \u201c{statement}\u201d", 96, subsequent_indent="    ")
    lines += textwrap.wrap(f"Verdict: {verdict}. {evidence}", 96, initial_indent="    ",
                           subsequent_indent="    ")
    return "\n".join(lines)


def answers(folders: Iterable[Path]) -> dict[str, tuple[str, str, str]]:
    """Return {claim: (lesson, verdict, evidence)} from the lesson.json of these folders."""
    found = {}
    for folder in folders:
        table = json.loads((Path(folder) / "lesson.json").read_text(encoding="utf-8"))
        for claim, (verdict, evidence) in table["claims"].items():
            found[claim] = table["lesson"], verdict, evidence
    return found


def table(found: dict[str, tuple[str, str, str]]) -> str:
    """All claims with their verdicts as a table in Markdown; those without are \u201copen\u201d."""
    lines = ["| claim | lesson | verdict | evidence |", "|---|---|---|---|"]
    for claim in claims().values():
        _, verdict, evidence = found.get(claim.id, ("", "open", ""))
        cells = [cell.replace("|", "\\|") for cell in (claim.says, claim.lesson, verdict, evidence)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
