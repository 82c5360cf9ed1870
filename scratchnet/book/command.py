"""`scratchnet book` — the lessons as a site."""
import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scratchnet import lesson

NEEDS = ("sphinx", "myst_nb", "furo", "latex2mathml", "ipykernel", "nbclient")


def add_command(commands: Any) -> None:
    """Add `book` to the command line."""
    command = commands.add_parser("book", help="the lessons as a site, to read without a network")
    command.add_argument("--out", default="site", metavar="FOLDER",
                         help="where to write it (default: site)")
    command.add_argument("--no-run", dest="run_lessons", action="store_false",
                         help="the text and the code alone, without what comes out")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build the site; 0, 1 where a lesson or a page has a mistake, or 2 where it cannot be."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        print(f"scratchnet: the book needs {', '.join(missing)}: "
              f'pip install "scratchnet[book]"', file=sys.stderr)
        return 2
    from scratchnet.book.notebooks import Failed
    from scratchnet.book.site import Warned, build
    try:
        build(lesson.lessons(), options.out, options.run_lessons,
              tell=lambda said: print(said, flush=True))
    except (Failed, Warned) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(f"open {(Path(options.out) / 'index.html').resolve()} in a browser")
    return 0
