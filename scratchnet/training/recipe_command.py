"""`scratchnet recipe [NAME]` — how the papers trained, to read."""
import argparse
import sys
from typing import Any

from scratchnet.training.recipe import recipe, recipes


def add_command(commands: Any) -> None:
    """Add `recipe` to the command line."""
    command = commands.add_parser("recipe", help="how a network was trained; without a name, "
                                  "list the recipes")
    command.add_argument("name", nargs="?", metavar="NAME", help="a recipe, such as alexnet, or "
                         "your own: a file NAME.toml; `paper`: the one of --model")
    command.add_argument("--model", metavar="MODEL", help="as it is for this network")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one recipe, or one line for each; 2 if there is none of this name."""
    try:
        if options.name is not None:
            print(recipe(options.name, options.model).text())
            return 0
        if options.model is not None:
            raise ValueError("--model needs the name of a recipe before it, or `paper`")
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    found = [recipe(name) for name in recipes()]
    width = max(len(r.name) for r in found)
    for r in found:
        networks = ", ".join(r.models[:3]) + ", …" * (len(r.models) > 3) or "any network"
        print(f"{r.name:{width}s}  {r.title}\n{'':{width}s}  {networks}\n"
              f"{'':{width}s}  {_short(r.source)}")
    print("\nRead one with: scratchnet recipe NAME")
    return 0


def _short(source: str, length: int = 76) -> str:
    """The beginning of a source, up to a whole word."""
    return source if len(source) <= length else source[:length].rsplit(" ", 1)[0] + " …"
