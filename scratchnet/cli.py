"""The command line: `scratchnet lesson`, `summary`, `verify`, `compare`, `check`, `exercise`,
`grade`, `train`, `evaluate`, `predict`, `recipe`, `augment`, `look`, `explore`, `export` and
`book`."""
import argparse
import os
import sys
from pathlib import Path

from scratchnet import __version__, book, compare, cost, golden, lesson, onnx, profile
from scratchnet.backend import threads
from scratchnet.data import augment_command as augment
from scratchnet.exercises import commands as exercises
from scratchnet.exercises.grading import commands as grading
from scratchnet.gradcheck import command as gradcheck
from scratchnet.training import command as training
from scratchnet.training import recipe_command as recipe
from scratchnet.visualize import command as look
from scratchnet.visualize import explore


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status (2 for wrong usage)."""
    lesson.printable()
    parser = argparse.ArgumentParser(
        prog="scratchnet", description="Convolutional networks from scratch, layer by layer.")
    parser.add_argument("--version", action="version", version=f"scratchnet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    command = commands.add_parser("lesson", help="run a lesson; without a name, list them")
    command.add_argument("name", nargs="?", metavar="NAME", help="its name or number")
    lesson.add_options(command)
    command.set_defaults(run=run_lesson)
    cost.add_command(commands)
    profile.add_command(commands)
    golden.add_command(commands)
    compare.add_command(commands)
    gradcheck.add_command(commands)
    exercises.add_commands(commands)
    grading.add_command(commands)
    training.add_commands(commands)
    recipe.add_command(commands)
    augment.add_command(commands)
    look.add_command(commands)
    explore.add_command(commands)
    onnx.add_command(commands)
    book.add_command(commands)

    options = parser.parse_args(arguments)
    try:
        threads()                   # a wrong SCRATCHNET_NUM_THREADS is told before all work
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\nscratchnet: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:         # whoever was reading, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def run_lesson(options: argparse.Namespace) -> int:
    """List the lessons, or run one."""
    if options.name is None:
        for name, path in lesson.lessons().items():
            done = "✓" if (Path("runs") / f"lesson-{name}" / lesson.FINISHED).exists() else " "
            print(f"{done} {path.stem.split('_', 1)[0]}  {name:16s} {lesson.title(path)}")
        print("\nRun one with: scratchnet lesson NAME (✓: run to its end, in runs/)")
        return 0
    try:
        path = lesson.find(options.name)
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    given = {key: getattr(options, key) for key in ("device", "out", "data")}
    passed_on = [word for key, value in given.items() if value is not None
                 for word in (f"--{key}", value)]
    passed_on += ["--full"] if options.full else []
    passed_on += [word for path in options.own or () for word in ("--with", path)]
    lesson.run(path, passed_on)
    return 0


if __name__ == "__main__":
    sys.exit(main())
