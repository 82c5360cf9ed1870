"""Workspace — the folder in which a student works, and what is remembered there.

    exercises/relu.py           the student's; nothing here ever overwrites it
    exercises/relu.py.1         an earlier one, put aside by reset
    exercises/progress.json     the current exercise, the solved ones (and those of them that
                                have failed since), the hints seen
    exercises/progress.json.bak the same before the last change

progress.json is replaced in one step, so that a kill leaves the old one or the new one.
"""
import json
import os
import secrets
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scratchnet.exercises import catalogue

TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class Progress:
    """What is remembered: names, and for each name the number of hints seen."""

    current: str | None = None
    solved: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)            # of the solved ones
    hints: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Progress":
        """Read what `dump` wrote; ValueError for anything else."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("expected a JSON object")
        progress = cls(**{name: data[name] for name in ("current", "solved", "failing", "hints")
                          if name in data})
        if not isinstance(progress.current, str | None):
            raise ValueError('"current" must be a name or null')
        for what, names in (("solved", progress.solved), ("failing", progress.failing)):
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f'"{what}" must be a list of names')
        if not isinstance(progress.hints, dict) or not all(
                type(count) is int and 0 <= count <= 3 for count in progress.hints.values()):
            raise ValueError('"hints" must give 0 to 3 for each name')
        return progress

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


class Workspace:
    """A student's folder: the one given, or ./exercises, or, inside it, this one. Methods raise
    ValueError for what cannot be done, OSError where the folder cannot be read or written."""

    def __init__(self, folder: str | os.PathLike | None = None):
        inside = Path("progress.json").is_file() and not Path("exercises").exists()
        self.folder = Path(folder if folder is not None else "." if inside else "exercises")

    # ── files ────────────────────────────────────────────────────────────────────────

    def path(self, name: str) -> Path:
        """The student's file."""
        return self.folder / f"{name}.py"

    def started(self, name: str) -> bool:
        """True if the student's file is there."""
        return self.path(name).exists()

    def start(self, name: str) -> bool:
        """Make `name` the current exercise; returns True if its file is new, False if the student
        goes on with one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        new = not self.started(name)
        if new:
            with self.path(name).open("xb") as file:            # "x": never over another file
                file.write((TEMPLATES / f"{name}.py").read_bytes())
        progress = self.progress()
        if progress.current != name:
            progress.current = name
            self.save(progress)
        return new

    def reset(self, name: str) -> Path:
        """Put the student's file aside and begin again; returns where the old one is."""
        if not self.started(name):
            raise ValueError(f"there is nothing to reset: {self.path(name)} is not there; "
                             f"`scratchnet exercise start {name}` makes it")
        old = put_aside(self.path(name))
        progress = self.progress()
        if name in progress.solved:
            progress.solved.remove(name)
            progress.failing = [other for other in progress.failing if other != name]
            self.save(progress)
        self.start(name)
        return old

    # ── what is remembered ───────────────────────────────────────────────────────────

    def progress(self) -> Progress:
        """What is remembered. A damaged file is put aside, and the one before it read instead."""
        path = self.folder / "progress.json"
        try:
            return Progress.parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Progress()
        except ValueError as error:                             # UnicodeDecodeError is one, too
            problem = str(error)
        backup = path.with_name("progress.json.bak")
        try:
            progress, instead = Progress.parse(backup.read_text(encoding="utf-8")), (
                f"going on with {backup.name}, the state before the last change")
        except (OSError, ValueError):
            progress, instead = Progress(), ("beginning with an empty one: `scratchnet exercise "
                                             "check NAME` marks what you have solved")
        kept = put_aside(path)
        print(f"scratchnet: {path} is damaged ({problem}). It is kept as {kept.name}; {instead}",
              file=sys.stderr)
        self.save(progress)
        return progress

    def save(self, progress: Progress) -> None:
        """Write progress.json in one step; what it was before becomes the backup."""
        path = self.folder / "progress.json"
        if path.exists():
            shutil.copyfile(path, path.with_name("progress.json.bak"))
        temporary = path.with_name(f".progress.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(progress.dump())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:                                   # Ctrl-C, too
            temporary.unlink(missing_ok=True)
            raise

    def solve(self, name: str) -> None:
        """Remember that `name` is solved."""
        progress = self.progress()
        if name not in progress.solved or name in progress.failing:
            progress.solved = [*dict.fromkeys([*progress.solved, name])]
            progress.failing = [other for other in progress.failing if other != name]
            self.save(progress)

    def fail(self, name: str) -> bool:
        """Remember that a check of `name` failed; returns True if it had been solved."""
        progress = self.progress()
        if name in progress.solved and name not in progress.failing:
            progress.failing.append(name)
            self.save(progress)
        return name in progress.solved

    def state(self, name: str) -> str:
        """How far `name` is, in words; "" if it was never begun."""
        progress = self.progress()
        if name in progress.solved:
            return "solved, now failing" if name in progress.failing else "solved"
        return "started" if self.started(name) else ""

    def next_unsolved(self) -> str | None:
        """The current exercise, or, if that is solved, the next in order that is not; None if all
        are."""
        progress, names = self.progress(), catalogue.names()
        begin = names.index(progress.current) if progress.current in names else 0
        return next((name for name in names[begin:] + names[:begin]
                     if name not in progress.solved), None)


def put_aside(path: Path) -> Path:
    """Rename a file to the first of NAME.1, NAME.2, … that is free; returns the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return path.rename(aside)
