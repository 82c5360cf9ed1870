"""Lesson files — finding them, and running them cell by cell.

A lesson is a Python file in percent format: `# %%` begins a cell of code, `# %% [markdown]` one
of text (comments). The same file is a script, a notebook in editors that know the format, a page
of the book, and, run by `scratchnet lesson NAME`, a text that unfolds in the terminal: each text
cell is printed, then the code below it runs.
"""
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_BESIDE = Path(__file__).parents[1]


def folder() -> Path | None:
    """Where the lessons are: in the installed package, or in a checkout."""
    return next((f for f in (_BESIDE / "lessons", _BESIDE.parent / "lessons") if f.is_dir()), None)


def lessons() -> dict[str, Path]:
    """Return {name: file} in order."""
    found = folder()
    if found is None:
        return {}
    return {path.stem.split("_", 1)[1]: path for path in sorted(found.glob("[0-9][0-9]_*.py"))}


def find(name: str) -> Path:
    """Return a lesson's file; its number will do for a name. ValueError names the nearest."""
    known = lessons()
    for short, path in known.items():
        number = path.stem.split("_", 1)[0]
        if name in (short, path.stem, number, number.lstrip("0")):
            return path
    near = difflib.get_close_matches(name, known, n=1, cutoff=0)
    raise ValueError(f"unknown lesson {name!r}" +
                     (f": did you mean {near[0]!r}? `scratchnet lesson` lists them" if near else
                      ": no lessons are installed"))


def title(path: Path) -> str:
    """Return the lesson's first heading."""
    match = re.search(r"^# # (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else path.stem


def cells(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield ("text" or "code", line number, content) for each cell of a percent-format file."""
    kind, start, lines = "code", 1, []
    for number, line in enumerate([*source.splitlines(), "# %%"], start=1):
        if line.startswith("# %%"):
            content = "\n".join(lines).strip("\n")
            if kind == "text":
                content = "\n".join(re.sub(r"^# ?", "", l) for l in lines).strip("\n")
            if content.strip():
                yield kind, start, content if kind == "text" else "\n".join(lines)
            kind = "text" if "[markdown]" in line else "code"
            start, lines = number + 1, []
        else:
            lines.append(line)


def run(path: Path, arguments: list[str]) -> None:
    """Run a lesson as in a terminal: print each text cell, run each code cell."""
    sys.argv = [str(path), *arguments]
    # A lesson asserts what it says of its own data; with others, asserts are left out.
    optimize = 1 if any(word.split("=")[0] == "--data" for word in arguments) else -1
    namespace = {"__name__": "__main__", "__file__": str(path)}
    for kind, line, content in cells(path.read_text(encoding="utf-8")):
        if kind == "text":
            print(f"\n{content}\n", flush=True)
        else:
            code = compile("\n" * (line - 1) + content, str(path), "exec", optimize=optimize)
            exec(code, namespace)
