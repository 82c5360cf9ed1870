"""`scratchnet recipe [NAME]` — how the papers trained, to read."""
import argparse
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from scratchnet.training.recipe import Recipe, recipe, recipes
from scratchnet.training.recipe_format import NOTE


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
            print(text(recipe(options.name, options.model)))
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


def text(recipe: Recipe) -> str:
    """The recipe to read: a line for each part, marked where the paper is left or silent."""
    marks: dict[str, list[str]] = {}
    for note in recipe.notes:
        kind, key = NOTE.match(note).groups()
        if kind != "remark" and kind not in marks.setdefault(key, []):
            marks[key].append(kind)
    rows = [(key, line) for key, lines in _lines(recipe).items() for line in lines]
    out, last = [f"{recipe.name}: {recipe.title}", *_wrapped(recipe.source, "  "), ""], None
    for key, line in rows:
        mark = f"   [{', '.join(marks[key])}]" if key != last and key in marks else ""
        out += _wrapped(line + mark, f"  {key if key != last else '':15s} ", " " * 20)
        last = key
    for model, own in recipe.exceptions.items():
        changes = "; ".join(f"{key} {_spelled(value)}" for key, value in own.items())
        out += _wrapped(changes, f"  for {model}: ", " " * 20)
    if recipe.notes:
        out.append("")
    for note in recipe.notes:
        out += _wrapped(note, "  ", "      ")
    return "\n".join(out)


def _lines(recipe: Recipe) -> dict[str, list[str]]:
    """{key: lines to print}, for everything that is there."""
    stored, side = recipe.stored
    optional = {"steps": recipe.steps and f"{recipe.steps:,}", "clip": recipe.clip,
                "average": recipe.average}
    return {
        "models": [", ".join(recipe.models) or "any"],
        "epochs": [str(recipe.epochs)],
        "batch_size": [str(recipe.batch_size)],
        **{key: [str(value)] for key, value in optional.items() if value is not None},
        "stored": [f"{stored}×{stored} pixels for an input of {side}×{side}"
                   + f", from 0 to {recipe.pixels:g}" * (recipe.pixels != 1)],
        "optimizer": [_spelled(recipe.optimizer)],
        "spare": ["no weight decay for biases and batch norm" if recipe.spare else
                  "nothing: biases and batch norm decay, too"],
        "schedule": [_spelled(recipe.schedule)],
        "initialization": [_spelled(recipe.initialization)],
        "loss": [_spelled({"name": "SoftmaxCrossEntropy"} | recipe.loss)],
        "train": [_spelled(t) for t in recipe.train],
        "test": [_spelled(t) for t in recipe.test] + ["ten crops"] * (recipe.test_crops == 10),
    }


def _spelled(value: Any) -> str:
    """A table as a call, a list in brackets, for reading."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}={_spelled(v)}" for key, v in value.items() if key != "name")
        return f"{value.get('name', '')}({inside})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wrapped(text: str, first: str, rest: str | None = None) -> list[str]:
    return textwrap.wrap(text, 96, initial_indent=first, break_on_hyphens=False,
                         subsequent_indent=first if rest is None else rest)
