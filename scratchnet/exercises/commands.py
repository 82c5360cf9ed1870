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

from scratchnet.exercises import catalogue, limit
from scratchnet.exercises.checker import Result
from scratchnet.exercises.workspace import Workspace

POLL = 0.3              # seconds between two looks at the file


def add_commands(subparsers: Any) -> None:
    """Add `scratchnet exercise` to the command line."""
    exercise = subparsers.add_parser(
        "exercise", help="write the layers yourself, and be told what went wrong")
    commands = exercise.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(run: Callable, what: str) -> argparse.ArgumentParser:
        command = commands.add_parser(run.__name__.removesuffix("_"), help=what)
        command.add_argument("--folder", help="where your files are (default: exercises)")
        command.set_defaults(run=lambda options: _run(run, options))
        return command

    def add_named(run: Callable, what: str, nargs: str | None = "?") -> argparse.ArgumentParser:
        command = add(run, what)
        command.add_argument("name", nargs=nargs, metavar="NAME",
                             help="the exercise, or its number")
        return command

    def add_timed(run: Callable, what: str) -> None:
        add_named(run, what).add_argument(
            "--time", type=seconds, default=limit.SECONDS, metavar="SECONDS",
            help="end a check that takes longer (default: %(default)g); 0: never, and in this "
                 "process, so that breakpoint() works")

    add(list_, "all exercises, from easy to hard")
    add_named(start, "begin an exercise, or go on with it; without a name, the next one")
    add_timed(check_, "is it right? If not: where, and why; without a name, the current one")
    add_timed(watch, "check it again whenever you save it, until Ctrl-C")
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
        if options.folder is not None and run not in (start, hint) and not Path(
                options.folder).exists():
            raise ValueError(f"there is no folder {options.folder}: `scratchnet exercise start "
                             f"--folder {options.folder}` makes it")
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
    current = workspace.progress().current
    for number, name in enumerate(catalogue.names(), start=1):
        state = workspace.state(name) + (", current" if name == current else "")
        print(f"{number:2d}  {name:18s}  {catalogue.load(name).title}"
              + (f"  [{state.removeprefix(', ')}]" if state else ""))
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
    return 0 if _check(workspace, name, options.time).passed else 1


def watch(workspace: Workspace, options: argparse.Namespace) -> int:
    """Check the student's file whenever it is saved, also in the middle of a check, until Ctrl-C;
    then as `check`."""
    name = _chosen(workspace, options)
    path = workspace.path(name)
    if not workspace.started(name):
        raise ValueError(f"{path} is not there: `scratchnet exercise start {name}` makes it")
    print(f"Watching {path}; Ctrl-C ends it.")
    seen, passed, missing = None, False, 0
    try:
        while True:
            now = _version(path)
            missing = missing + 1 if now is None else 0
            if missing == 2:                        # the first time, an editor is just replacing it
                print(f"\n{path} is no longer there; waiting for it.", flush=True)
                seen = None
            if now not in (seen, None):
                seen = now
                print(f"\n{time.strftime('%H:%M:%S')}", flush=True)
                result = _check(workspace, name, options.time,
                                stale=lambda now=now: _version(path) not in (now, None))
                passed = result is not None and result.passed
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
    print(f"{'':4s}{'exercise':18s}  {'state':19s}  hints seen")
    for number, name in enumerate(names, start=1):
        seen = f"{progress.hints[name]} of 3" if progress.hints.get(name) else ""
        print(f"{number:2d}  {name:18s}  {workspace.state(name):19s}  {seen:10s}"
              f"{'  ← current' if name == progress.current else ''}".rstrip())
    solved = sum(name in progress.solved for name in names)
    failing = sum(name in progress.failing for name in names)
    print(f"\n{solved} of {len(names)} solved"
          + (f", {failing} of them now failing" if failing else ""))
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


def _check(workspace: Workspace, name: str, seconds: float,
           stale: Callable[[], bool] = lambda: False) -> Result | None:
    """Check a file, print what came of it, and remember if it is solved. None if `stale()` became
    true before the end."""
    result = limit.check_within(seconds, name, workspace.path(name), stale=stale)
    if result is None:
        return None
    print(_wrapped(str(result)), flush=True)
    if result.passed:
        workspace.solve(name)
        following = workspace.next_unsolved()
        print("That was the last one: all exercises are solved." if following is None else
              f"Next: {following} ({catalogue.load(following).title}): "
              f"scratchnet exercise start", flush=True)
    elif workspace.fail(name):
        print(f"You had solved {name}; as it is now, it fails.", flush=True)
    return result


def seconds(text: str) -> float:
    """The argument of --time."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more; got {text}")
    return value


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
