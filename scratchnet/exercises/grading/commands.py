"""The command `scratchnet grade SUBMISSIONS/ --out grades.csv`."""
import argparse
import sys
from collections import Counter
from typing import Any

from tqdm import tqdm

from scratchnet.exercises.grading import formats
from scratchnet.exercises.grading.grade import grade, new_seed
from scratchnet.exercises.grading.submission import MEMORY, SECONDS

_OPEN = {"files": "read other files of yours", "calls": "start processes and reach the network"}


def add_command(subparsers: Any) -> None:
    """Add `scratchnet grade` to the command line."""
    command = subparsers.add_parser(
        "grade", help="grade a folder of students' folders, each file in a process of its own",
        description="Grade SUBMISSIONS/STUDENT/EXERCISE.py, each in a process of its own, with "
                    "fresh inputs. What that stops, and what it does not: docs/grading.md.")
    command.add_argument("submissions", metavar="SUBMISSIONS",
                         help="the folder that holds a folder for each student, or one student's")
    command.add_argument("--out", required=True, metavar="FILE",
                         help="where the grades go (for Gradescope and several students: a folder)")
    command.add_argument("--format", choices=formats.FORMATS, default="csv", dest="form")
    command.add_argument("--feedback", choices=formats.FEEDBACK, default="full",
                         help="how much to tell: the verdict, also what is wrong, also the cause")
    command.add_argument("--exercise", nargs="+", default=(), metavar="NAME",
                         help="which to grade (default: those that somebody handed in)")
    command.add_argument("--seed", type=_whole, metavar="N",
                         help="of the inputs (default: a fresh one, which is printed)")
    command.add_argument("--time", type=_positive, default=SECONDS, metavar="SECONDS",
                         help=f"for each file (default: {SECONDS:g})")
    command.add_argument("--memory", type=_whole, default=MEMORY, metavar="MB",
                         help=f"for each file (default: {MEMORY})")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Grade, write, and say in a few lines what came of it."""
    seed = new_seed() if options.seed is None else options.seed
    bar = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:                     # shown on a terminal only
            bar = tqdm(total=total, desc="graded", unit="file", disable=None, leave=False)
        bar.update(done - bar.n)

    try:
        formats.try_to_write(options.out)           # before the work, not after it
        outcomes = grade(options.submissions, options.exercise, seed, options.time,
                         options.memory, progress)
        written = formats.write(outcomes, options.out, options.form, options.feedback)
    except (ValueError, OSError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    finally:
        if bar is not None:
            bar.close()
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    print(f"{len(outcomes)} files of {len({o.student for o in outcomes})} students: "
          + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    left_open = sorted({what for outcome in outcomes for what in outcome.open})
    if left_open:
        print(f"On this system a submission could {' and '.join(_OPEN[w] for w in left_open)}: "
              f"docs/grading.md has a container for that.")
    place = written[0] if len(written) == 1 else options.out
    print(f"Seed {seed}. Written: {place}")
    return 0


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more; got {number}")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a time in seconds above 0; got {text}")
    return number
