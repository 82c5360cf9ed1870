"""The commands `scratchnet exercise …`: one exercise at a time, as far as it takes."""
import argparse
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scratchnet.exercises import catalogue
from scratchnet.exercises.checker import Result, check
from scratchnet.exercises.solution import LocalSolution
from scratchnet.exercises.workspace import Workspace

POLL = 0.3              # seconds between two looks at the file


def add_commands(subparsers: Any) -> None:
    """Add `scratchnet exercise` to the command line."""
    exercise = subparsers.add_parser(
        "exercise", help="write the layers yourself, and be told what went wrong")
    commands = exercise.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(run: Callable, what: str) -> argparse.ArgumentParser:
        command = commands.add_parser(run.__name__.removesuffix("_"), help=what)
        command.add_argument("--folder", default="exercises",
                             help="where your files are (default: exercises)")
        command.set_defaults(run=lambda options: _run(run, options))
        return command

    def add_named(run: Callable, what: str, nargs: str | None = "?") -> argparse.ArgumentParser:
        command = add(run, what)
        command.add_argument("name", nargs=nargs, metavar="NAME",
                             help="the exercise, or its number")
        return command

    add(list_, "all exercises, from easy to hard")
    add_named(start, "begin an exercise, or go on with it; without a name, the next one")
    add_named(check_, "is it right? If not: where, and why; without a name, the current one")
    add_named(watch, "check it again whenever you save it, until Ctrl-C")
    add_named(hint, "the next of three hints").add_argument(
        "--again", action="store_true", help="repeat the hints you have seen")
    add(status, "what is solved, what is started, and the hints you have seen")
    add_named(reset, "begin again from the template; your file is kept", nargs=None).add_argument(
        "--yes", action="store_true", help="do not ask")


def _run(run: Callable, options: argparse.Namespace) -> int:
    """Run a command; what cannot be done is one line, and exit status 2."""
    workspace = Workspace(options.folder)
    try:
        if getattr(options, "name", None) is not None:
            options.name = catalogue.find(options.name)
        return run(workspace, options)
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
    except BrokenPipeError:                         # whoever was reading has seen enough
        raise
    except OSError as error:
        print(f"scratchnet: cannot work in {workspace.folder}: {error.strerror or error} "
              f"({error.filename}); choose another folder with --folder", file=sys.stderr)
    return 2


def list_(workspace: Workspace, options: argparse.Namespace) -> int:
    """List all exercises."""
    for number, name in enumerate(catalogue.names(), start=1):
        print(f"{number:2d}  {name:18s}  {catalogue.load(name).title}")
    print("\nBegin one with: scratchnet exercise start NAME")
    return 0


def start(workspace: Workspace, options: argparse.Namespace) -> int:
    """Make the student's file, or go on with it."""
    name = options.name or workspace.next_unsolved()
    if name is None:
        print("All exercises are solved. `scratchnet exercise reset NAME` begins one again.")
        return 0
    new = workspace.start(name)
    print(f"{name}: {catalogue.load(name).title}")
    if new:
        print(f"{workspace.path(name)} says what to write; open it in your editor, then run:")
    else:
        print(f"{workspace.path(name)} is there already, and stays as it is; go on with it, "
              f"then run:")
    print("    scratchnet exercise check       (stuck? scratchnet exercise hint)")
    return 0


def check_(workspace: Workspace, options: argparse.Namespace) -> int:
    """Check the student's file; 0 if it is right, 1 if not."""
    name = _chosen(workspace, options)
    if not workspace.started(name):
        raise ValueError(f"{workspace.path(name)} is not there: `scratchnet exercise start "
                         f"{name}` makes it")
    return 0 if _check(workspace, name).passed else 1


def watch(workspace: Workspace, options: argparse.Namespace) -> int:
    """Check the student's file whenever it changes, until Ctrl-C; then as `check`."""
    name = _chosen(workspace, options)
    path = workspace.path(name)
    if not workspace.started(name):
        raise ValueError(f"{path} is not there: `scratchnet exercise start {name}` makes it")
    print(f"Watching {path}; Ctrl-C ends it.")
    seen, passed = None, False
    try:
        while True:
            now = _version(path)
            if now not in (seen, None):             # None: an editor is just replacing it
                seen = now
                print(f"\n{time.strftime('%H:%M:%S')}", flush=True)
                passed = _check(workspace, name).passed
            time.sleep(POLL)
    except KeyboardInterrupt:
        print("\nWatching ended.")
    return 0 if passed else 1


def hint(workspace: Workspace, options: argparse.Namespace) -> int:
    """Print the next hint, or with --again those already seen."""
    name = _chosen(workspace, options)
    hints = catalogue.load(name).hints
    progress = workspace.progress()
    seen = progress.hints.get(name, 0)
    if options.again and not seen:
        raise ValueError(f"no hint of {name} seen yet: leave out --again")
    if options.again:
        first, last = 0, seen
    elif seen == len(hints):
        print(f"You have seen all {seen} hints of {name}; --again repeats them.")
        return 0
    else:
        first, last = seen, seen + 1
        workspace.folder.mkdir(parents=True, exist_ok=True)
        progress.hints[name] = last
        workspace.save(progress)
    for number in range(first, last):
        print(f"{name}, hint {number + 1} of {len(hints)}\n\n{_wrapped(hints[number].strip())}\n")
    return 0


def status(workspace: Workspace, options: argparse.Namespace) -> int:
    """Print a table of all exercises: solved, started, hints seen."""
    progress, names = workspace.progress(), catalogue.names()
    print(f"{'':4s}{'exercise':18s}  {'state':8s}  hints seen")
    for number, name in enumerate(names, start=1):
        state = ("solved" if name in progress.solved else
                 "started" if workspace.started(name) else "")
        seen = f"{progress.hints[name]} of 3" if progress.hints.get(name) else ""
        print(f"{number:2d}  {name:18s}  {state:8s}  {seen:10s}"
              f"{'  ← current' if name == progress.current else ''}".rstrip())
    solved = sum(name in progress.solved for name in names)
    print(f"\n{solved} of {len(names)} solved")
    return 0


def reset(workspace: Workspace, options: argparse.Namespace) -> int:
    """Put the student's file aside and begin again, after asking."""
    name = options.name
    if workspace.started(name) and not options.yes:
        if not sys.stdin.isatty():
            raise ValueError(f"reset asks before it puts {workspace.path(name)} aside, and there "
                             f"is no terminal to ask on: say --yes")
        answer = input(f"Begin {name} again? Your file is kept beside it. [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("Nothing was changed.")
            return 1
    old = workspace.reset(name)
    print(f"{workspace.path(name)} is the template again; your file is now {old}")
    return 0


def _chosen(workspace: Workspace, options: argparse.Namespace) -> str:
    """The exercise named, or the current one."""
    if options.name is not None:
        return options.name
    current = workspace.progress().current
    if current is None:
        raise ValueError("no exercise is started yet: `scratchnet exercise start` begins the "
                         "first one")
    return catalogue.find(current)


def _check(workspace: Workspace, name: str) -> Result:
    """Check a file, print what came of it, and remember if it is solved."""
    result = check(catalogue.load(name), LocalSolution(workspace.path(name)))
    print(_wrapped(str(result)), flush=True)
    if result.passed:
        workspace.solve(name)
        following = workspace.next_unsolved()
        print("That was the last one: all exercises are solved." if following is None else
              f"Next: {following} ({catalogue.load(following).title}): "
              f"scratchnet exercise start", flush=True)
    return result


def _wrapped(text: str) -> str:
    """`text` with its long lines broken for this terminal; what follows stands as far in."""
    width = min(100, shutil.get_terminal_size().columns)
    return "\n".join(textwrap.fill(line, width, subsequent_indent=re.match(" *", line)[0],
                                   break_long_words=False, break_on_hyphens=False)
                     for line in text.splitlines())


def _version(path: Path) -> tuple | None:
    """What changes when the file is saved, or None while there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
