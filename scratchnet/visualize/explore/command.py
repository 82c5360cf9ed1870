"""`scratchnet explore RUN_OR_MODEL` — write the page."""
import argparse
import sys
from pathlib import Path
from typing import Any

from scratchnet.archive import replace_file
from scratchnet.visualize.explore.page import BATCH, explore
from scratchnet.visualize.target import Target, target


def add_command(commands: Any) -> None:
    """Add `explore` to the command line."""
    command = commands.add_parser(
        "explore", help="one page to explore a network with: a file for the browser")
    command.add_argument("target", metavar="RUN_OR_MODEL", help="the folder of a run, or a network "
                         "by name (with weights as drawn)")
    command.add_argument("--image", metavar="FILE", help="a PNG or JPEG to look at, too")
    command.add_argument("--out", default="explore.html", metavar="FILE",
                         help="where to write the page (default: explore.html)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page; 0, or 2 where there is no such network, picture or folder."""
    try:
        found = target(options.target)
        text = explore(**_given(found, options.image)).encode()
        replace_file(Path(options.out), lambda file: file.write(text))
    except (ValueError, OSError, ImportError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {options.target}, {len(text) / 2**20:.1f} MB; open it in a browser")
    return 0


def _given(found: Target, image: str | None) -> dict[str, Any]:
    """What explore is given: of a run, with a batch of what it learnt from."""
    images, labels = (None, None) if found.run is None else found.images(BATCH, "train")
    return {"model": found.model, "input_shape": found.shape, "images": images, "labels": labels,
            "picture": None if image is None else found.read(image), "classes": found.classes,
            "title": found.title, "note": found.note}
