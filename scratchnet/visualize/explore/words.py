"""Words — what a layer's own file says of it: the formula, and the source of its two methods."""
import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from scratchnet.layer import Layer


def about(kind: type[Layer]) -> dict[str, Any]:
    """Return what is to be said of a class of layers: its file, its formula, its methods' source.

    What cannot be found (a class typed into a session has no file) is "".
    """
    try:
        path = inspect.getsourcefile(kind) or ""
    except TypeError:
        path = ""
    return {"name": kind.__name__, "file": _place(path), "formula": formula(kind),
            "forward": _source(kind, "forward"), "backward": _source(kind, "backward")}


def formula(kind: type[Layer]) -> str:
    """The mathematics at the head of the class's module: the indented paragraphs, each with the
    sentence that leads to it, the shapes, and the source.

    Where the module derives no backward, the docstring of the class.
    """
    module = sys.modules.get(kind.__module__)
    head = inspect.cleandoc(getattr(module, "__doc__", None) or "")
    paragraphs = re.split(r"\n\s*\n", head)[1:]
    derived = "backward" in head.lower() or "∂" in head
    if derived and any(_indented(p) and "=" in p for p in paragraphs):
        kept = [p for p, after in zip(paragraphs, [*paragraphs[1:], ""], strict=True)
                if _indented(p) or _indented(after) or p.startswith("Shapes") or not after]
        return "\n\n".join(kept)
    return inspect.cleandoc(kind.__doc__ or "") if "__doc__" in vars(kind) else ""


def _indented(paragraph: str) -> bool:
    return paragraph.startswith("    ")


def _place(path: str) -> str:
    """The file as it is called inside the package; of files elsewhere, the name alone."""
    parts = Path(path).parts
    if "scratchnet" in parts:
        last = len(parts) - 1 - parts[::-1].index("scratchnet")
        return "/".join(parts[last:])
    return Path(path).name


def _source(kind: type[Layer], method: str) -> str:
    try:
        return textwrap.dedent(inspect.getsource(getattr(kind, method)))
    except (OSError, TypeError, AttributeError):
        return ""
