"""Lessons — finding them, running them cell by cell, and the little they need from a terminal.

A lesson is a Python file in percent format: `# %%` begins a cell of code, `# %% [markdown]` one
of text (comments). The same file is a script, a notebook in editors that know the format, and,
run by `scratchnet lesson NAME`, a text that unfolds in the terminal: each text cell is
printed, then the code below it runs.
"""
import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scratchnet.backend import best_device, describe_device

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from scratchnet.exercises.own_layers import OwnLayers
    from scratchnet.layer import Layer

_BESIDE = Path(__file__).parent


class Lesson:
    """What a running lesson knows: the device, and the folder for its figures.

    Begin with `lesson = Lesson("alexnet")`: reads --device, --out and --with from the command
    line (ignored in a notebook) and says in one line where the work is done.
    """

    def __init__(self, name: str):
        printable()
        parser = argparse.ArgumentParser(prog=f"scratchnet lesson {name}")
        add_options(parser)
        options = parser.parse_args([] if _in_notebook() else sys.argv[1:])
        try:
            self.own = _own_layers(options.own)
            # the student's layers need know of no GPU
            self.device = best_device(options.device or ("cpu" if self.own else None))
        except ValueError as error:
            parser.error(str(error))
        self.folder = Path(options.out or Path("runs") / f"lesson-{name}")
        self.figures: list[Path] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"cannot write to {self.folder}: {error.strerror}; choose another "
                         f"folder with --out")
        print(describe_device(self.device))

    def replace(self, network: "Layer", images: "np.ndarray") -> None:
        """Put the layers given by --with in place of the library's, and say so; without --with, do
        nothing. `images`: a batch to train on. A wrong layer ends the lesson with its report, and
        so does it if there is no place for any (exit status 2)."""
        if self.own is not None:
            from scratchnet.exercises.own_layers import NoPlace, Refused
            try:
                self.own.replace(network, images)
            except Refused as refused:
                _refuse(refused)
            except NoPlace as error:
                print(f"scratchnet: {error}", file=sys.stderr)
                raise SystemExit(2) from None

    @property
    def loss(self) -> "Layer | None":
        """The SoftmaxCrossEntropy given by --with, for training.fit(…, loss=lesson.loss)."""
        return None if self.own is None else self.own.loss()

    def save(self, figure: "Figure", name: str) -> None:
        """Write the figure to the lesson's folder, and show it if this is a notebook."""
        path = self.folder / f"{name}.png"
        figure.savefig(path, dpi=130)
        self.figures.append(path)
        if _in_notebook():
            from IPython.display import Image, display
            display(Image(str(path)))

    def end(self) -> None:
        """Name the folder and the figures in it."""
        print(f"Figures are in {self.folder.resolve()}:")
        for path in self.figures:
            print(f"  {path.name}")


def printable() -> None:
    """On a terminal or in a file that cannot hold → or ×, print ? instead of stopping."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every lesson has."""
    parser.add_argument("--device", help="cpu or gpu (default: gpu where there is one)")
    parser.add_argument("--out", help="folder for the figures (default: runs/lesson-NAME)")
    parser.add_argument("--with", dest="own", action="append", metavar="FILE",
                        help="train with your own layers: a file with a class named like one of "
                             "the library's (ReLU, Conv2d, …), after checking it; repeat for more")


def lessons() -> dict[str, Path]:
    """Return {name: file} in order: from the installed package, or from a checkout."""
    folder = next((f for f in (_BESIDE / "lessons", _BESIDE.parent / "lessons") if f.is_dir()),
                  None)
    if folder is None:
        return {}
    return {path.stem.split("_", 1)[1]: path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}


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
    namespace = {"__name__": "__main__", "__file__": str(path)}
    for kind, line, content in cells(path.read_text(encoding="utf-8")):
        if kind == "text":
            print(f"\n{content}\n", flush=True)
        else:
            exec(compile("\n" * (line - 1) + content, str(path), "exec"), namespace)


def _own_layers(paths: list[str] | None) -> "OwnLayers | None":
    """The layers of these files; a wrong one ends the program with its report."""
    if not paths:
        return None
    from scratchnet.exercises.own_layers import OwnLayers, Refused
    try:
        return OwnLayers(paths)
    except Refused as refused:
        _refuse(refused)


def _refuse(report: Exception) -> NoReturn:
    print(report)
    raise SystemExit(1)


def _in_notebook() -> bool:
    """True inside IPython (Jupyter, VS Code's cells)."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
