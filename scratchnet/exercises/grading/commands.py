"""The command `scratchnet grade SUBMISSIONS/ --out grades.csv`."""
import argparse
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scratchnet.exercises.grading import folders, formats
from scratchnet.exercises.grading.grade import (
    LEAST_MEMORY,
    Interrupted,
    Outcome,
    grade,
    new_seed,
)
from scratchnet.exercises.grading.submission import MEMORY, SECONDS

LISTED = 20             # of what was not graded
_OPEN = {"files": "read other files of yours", "calls": "start processes and reach the network"}


def add_command(subparsers: Any) -> None:
    """Add `scratchnet grade` to the command line."""
    command = subparsers.add_parser(
        "grade", help="grade a folder of students' folders, each file in a process of its own",
        description="Grade SUBMISSIONS/STUDENT/EXERCISE.py, each in a process of its own, with "
                    "fresh inputs. What that stops, and what it does not: docs/grading.md.",
        epilog="The exit status is 0 when the grades are written, whatever they are; 2 when "
               "nothing was graded; 130 when it was stopped.")
    command.add_argument("submissions", metavar="SUBMISSIONS", nargs="?",
                         help="the folder that holds a folder for each student, or one student's")
    command.add_argument("--out", required=True, metavar="FILE",
                         help="where the grades go (for Gradescope: results.json of one student, "
                              "or a folder for those of several)")
    command.add_argument("--format", choices=formats.FORMATS, default="csv", dest="form")
    command.add_argument("--feedback", choices=formats.FEEDBACK, default="full",
                         help="how much to tell: the verdict, also what is wrong, also the cause")
    command.add_argument("--exercise", nargs="+", default=(), metavar="NAME",
                         help="which to grade (default: those that somebody handed in)")
    command.add_argument("--seed", type=_whole, metavar="N",
                         help="of the inputs (default: a fresh one, which is printed)")
    command.add_argument("--time", type=_positive, default=SECONDS, metavar="SECONDS",
                         help=f"of the processor, for each file (default: {SECONDS:g})")
    command.add_argument("--memory", type=_whole, default=MEMORY, metavar="MB",
                         help=f"for each file (default: {MEMORY}, at least {LEAST_MEMORY})")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Grade, write, and say in a few lines what came of it."""
    try:
        with _stopped_once():
            return _run(options)
    except (ValueError, OSError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.submissions is None:
        raise ValueError("which folder? It comes first, because --exercise takes all words that "
                         "follow it: scratchnet grade submissions --exercise relu --out "
                         "grades.csv")
    formats.try_to_write(options.out, options.form)         # before the work, not after it
    seed = new_seed() if options.seed is None else options.seed
    alone = formats.is_one_result(options.out, options.form)
    missing = 0
    with tqdm(desc="grading", unit="file", disable=None, leave=False) as bar:   # on a terminal

        def progress(done: int, count: int, last: Outcome | None) -> None:
            bar.total = count
            if last is not None:
                bar.set_description(f"{last.student}/{last.exercise}", refresh=False)
            bar.update(done - bar.n)
            bar.refresh()

        try:
            outcomes = grade(options.submissions, options.exercise, seed, options.time,
                             options.memory, alone, progress)
        except Interrupted as interrupted:
            outcomes, missing = interrupted.outcomes, interrupted.count - len(interrupted.outcomes)
            if not outcomes:
                raise
    written = formats.write(outcomes, options.out, options.form, options.feedback)
    _say(outcomes)
    if not missing:
        _say_what_is_not_there(outcomes, Path(options.submissions), alone)
    print(f"Seed {seed}. Written: {written[0] if len(written) == 1 else options.out}")
    if missing:
        print(f"scratchnet: stopped: not graded, and missing there: {_many(missing, 'file')}",
              file=sys.stderr)
    return 130 if missing else 0


def _say(outcomes: list[Outcome]) -> None:
    """How many there were of each verdict."""
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    students = len({outcome.student for outcome in outcomes})
    print(f"{_many(len(outcomes), 'file')} of {_many(students, 'student')}: "
          + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    left_open = sorted({what for outcome in outcomes for what in outcome.open})
    if left_open:
        print(f"On this system a submission could {' and '.join(_OPEN[w] for w in left_open)}: "
              f"docs/grading.md has a container for that.")


def _say_what_is_not_there(outcomes: list[Outcome], top: Path, alone: bool) -> None:
    """Which exercises nobody handed in, and what was handed in under no exercise's name."""
    exercises = list(dict.fromkeys(outcome.exercise for outcome in outcomes))
    nobody = [name for name in exercises if all(
        o.verdict == "missing" for o in outcomes if o.exercise == name)]
    if nobody:
        print(f"Nobody handed in {', '.join(nobody)}.")
    beside = folders.not_graded(top, folders.students_in(top, alone), exercises)
    if beside:
        more = [f"… and {len(beside) - LISTED} more"] * (len(beside) > LISTED)
        print("Not graded, because not named like an exercise:",
              *beside[:LISTED], *more, sep="\n    ")


@contextmanager
def _stopped_once() -> Iterator[None]:
    """Ctrl-C, or a kill, is heard once: nothing disturbs what is done then."""
    def stop(*signal_and_frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)
              if signal.getsignal(each) is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) is stop:
                signal.signal(each, handler)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more; got {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        if 0 < float(text) < 1e6:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected a number of seconds above 0; got {text!r}")
