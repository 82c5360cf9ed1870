"""Folders — which file is whose, and what lies about beside those that are graded.

    submissions/alice/relu.py               a folder for each student
    submissions/bob/exercises/relu.py       as `scratchnet exercise start` makes it
    relu.py, or exercises/relu.py           or the folder of one student

What is called ReLU.py, relu (1).py or relu.py.txt is not graded, but it is told of.
"""
import difflib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from scratchnet.exercises import catalogue

LARGEST = 1 << 20           # bytes of a file
WORKSPACE = "exercises"     # the folder in which `scratchnet exercise start` puts files
LOOKED_AT = 1000            # entries of a student's folder
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# What a student's work leaves behind: progress.json, and what `reset` has put aside.
_BY_THE_WAY = re.compile(r"progress\.json.*|.*\.py\.\d+|.*\.pyc")


def students_in(top: Path, alone: bool = False) -> list[Path]:
    """The students' folders in `top`; or `top`, if it is one student's: if `alone` says so, or if
    the exercises' files are in it, or in its folder `exercises` and nowhere else."""
    folders = sorted(Path(entry.path) for entry in _entries(top) if entry.is_dir()
                     and entry.name != WORKSPACE and not entry.name.startswith("__"))
    if alone or _holds(top) or (_holds(top / WORKSPACE) and not any(
            _holds(folder, folder / WORKSPACE) for folder in folders)):
        return [Path(os.path.abspath(top))]
    return folders


def file_of(student: Path, exercise: str) -> Path:
    """Where a student's file is, or ought to be."""
    file = student / f"{exercise}.py"
    inner = student / WORKSPACE / file.name
    return inner if os.path.lexists(inner) and not os.path.lexists(file) else file


def unfit(student: Path, exercise: str) -> tuple[str, str] | None:
    """(verdict, why) of a file that cannot be graded; None of one that can."""
    file = file_of(student, exercise)
    try:
        if not os.path.lexists(file):
            return "missing", f"there is no {file.name}{_but_there_is(student, exercise)}"
        real = Path(os.path.realpath(file, strict=True))
        if not real.is_relative_to(student.parent.resolve() / student.name):
            return "refused", f"{file.name} is a link that leads out of the student's folder"
        status = os.stat(real)
        if not stat.S_ISREG(status.st_mode):
            return "refused", f"{file.name} is no file"
        if status.st_size > LARGEST:
            return "refused", (f"{file.name} has {status.st_size} bytes; no solution is longer "
                               f"than {LARGEST}")
        text = real.read_bytes()
    except OSError as error:
        return "refused", f"cannot read {file.name}: {error.strerror}"
    if not text.strip():
        return "refused", f"{file.name} is empty"
    if not _is_text(text):
        return "refused", f"{file.name} is not written in UTF-8: save it as UTF-8 in the editor"
    return None


def not_graded(top: Path, students: Sequence[Path], exercises: Sequence[str]) -> list[str]:
    """What lies about in `top` besides the files of these exercises and of others."""
    found = []
    if students != [Path(os.path.abspath(top))]:
        found = [entry.name + "/" * entry.is_dir() for entry in _entries(top)
                 if Path(entry.path) not in students and not entry.name.startswith("__")]
    for student in students:
        known = {file_of(student, name) for name in {*exercises, *catalogue.names()}}
        found += [os.path.relpath(path, student.parent) for path in _files(student)
                  if path not in known and not _BY_THE_WAY.fullmatch(path.name)]
    return sorted(printable(path) for path in found)


def printable(name: str) -> str:
    """A file's name, whatever its bytes are, as text that can be shown."""
    name = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _but_there_is(student: Path, exercise: str) -> str:
    """What may have been meant for this exercise."""
    files = [path for path in _files(student)
             if path not in {file_of(student, name) for name in catalogue.names()}]
    near = [path for path in files if _alike(path.name, exercise)]
    archives = [path for path in files if path.suffix.lower() in _ARCHIVES]
    names = ", ".join(printable(os.path.relpath(path, student)) for path in (near or archives)[:3])
    if near:
        return (f", but there is {names}: the file must be called {exercise}.py, and lie in the "
                f"student's folder or in {WORKSPACE}/ there")
    return f", but there is {names}: unpack it" if archives else ""


def _alike(name: str, exercise: str) -> bool:
    """True for ReLU.py, relu (1).py, relu.py.txt, rellu.py; not for another exercise's file."""
    stem = name.partition(".")[0].lower()
    if stem in catalogue.names() and stem != exercise:
        return False
    plain, wanted = (re.sub(r"[\W_]", "", text) for text in (stem, exercise))
    return plain.startswith(wanted) or bool(difflib.get_close_matches(plain, [wanted], cutoff=0.8))


def _is_text(data: bytes) -> bool:
    """True for what Python reads as text: UTF-8, or what its first lines say it is."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return b"coding" in b"".join(data.splitlines()[:2])
    return b"\0" not in data


def _holds(*folders: Path) -> bool:
    """True if there is an exercise's file in one of these folders."""
    return any((folder / f"{name}.py").is_file() for folder in folders
               for name in catalogue.names())


def _files(student: str | os.PathLike, deeper: bool = True) -> Iterator[Path]:
    """The files in a student's folder and in the folders there, as far as they can be listed."""
    with suppress(OSError):
        for entry in _entries(student, LOOKED_AT):
            if not entry.is_dir():
                yield Path(entry.path)
            elif deeper and not entry.is_symlink() and not entry.name.startswith("__"):
                yield from _files(entry.path, deeper=False)


def _entries(folder: str | os.PathLike, most: int | None = None) -> list[os.DirEntry]:
    """What is in a folder, by name, without what is hidden."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in islice(entries, most)
                       if not entry.name.startswith(".")), key=lambda entry: entry.name)
