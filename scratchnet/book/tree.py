"""Tree — the lessons as a family tree, an SVG with links, and in groups, from tree.toml.

A box is a lesson, a line leads from a lesson to those that build on it. The drawing takes its
colours from the page, so it is dark where the page is.
"""
import html
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, ACROSS, DOWN = 168, 46, 190, 84          # of a box, and from one to the next
# Of lessons that follow one another, in the book's order.
GROUPS = {
    "Foundations": ("gradients", "linear", "convolution", "pooling", "activations"),
    "The first deep networks": ("alexnet", "zfnet", "vgg"),
    "Wide instead of deep": ("one_by_one", "googlenet"),
    "A hundred layers": ("batch_norm", "resnet", "inception_v4", "resnext", "senet", "densenet"),
    "Less work": ("mobilenet", "nas"),
    "All of them together": ("family", "transfer", "fast_convolution", "claims_clinic"),
}
REST = "Further lessons"


def tree() -> dict[str, dict[str, Any]]:
    """Return {lesson: {"at": [column, row], "year": …, "from": […]}}."""
    return tomllib.loads((files("scratchnet.book") / "tree.toml").read_text("utf-8"))


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Return {group: lessons} of these lessons; those in no group come last."""
    names = list(names)
    found = {group: [n for n in names if n in those] for group, those in GROUPS.items()}
    found[REST] = [n for n in names if not any(n in those for those in GROUPS.values())]
    return {group: those for group, those in found.items() if those}


def drawn(lessons: Mapping[str, Path], titles: Mapping[str, str]) -> str:
    """Return the tree of these lessons as an SVG; "" if none of them has a place in it."""
    places = {name: row for name, row in tree().items() if name in lessons}
    if not places:
        return ""
    wide = (max(row["at"][0] for row in places.values()) + 1) * ACROSS - ACROSS + WIDTH
    rows = sorted({row["at"][1] for row in places.values()})
    tall = (len(rows) - 1) * DOWN + HEIGHT
    corner = {name: (row["at"][0] * ACROSS, rows.index(row["at"][1]) * DOWN)
              for name, row in places.items()}
    lines = [f'<svg class="tree" viewBox="-2 -2 {wide + 4} {tall + 4}" role="img" '
             f'aria-label="The lessons as a family tree; the list below has the same links.">']
    for name, row in places.items():
        lines += [_line(corner[before], corner[name])
                  for before in row.get("from", ()) if before in corner]
    for name, row in places.items():
        x, y = corner[name]
        number = lessons[name].stem.split("_", 1)[0].lstrip("0")
        said = titles[name].split(":")[0]
        second = f"lesson {number}" + (f", {row['year']}" if "year" in row else "")
        squeeze = f' textLength="{WIDTH - 16}" lengthAdjust="spacingAndGlyphs"' \
            if len(said) > 21 else ""
        lines.append(
            f'<a href="{lessons[name].stem}.html"><title>{html.escape(titles[name])}</title>'
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{x + WIDTH / 2}" y="{y + 20}"{squeeze}>{html.escape(said)}</text>'
            f'<text class="small" x="{x + WIDTH / 2}" y="{y + 37}">{second}</text></a>')
    return "\n".join([*lines, "</svg>"])


def _line(a: tuple[int, int], b: tuple[int, int]) -> str:
    """From the box at a to the one at b: sideways in a row, else from its foot to the other's
    head."""
    if a[1] == b[1]:
        (x, y), (u, v) = (a[0] + WIDTH, a[1] + HEIGHT / 2), (b[0], b[1] + HEIGHT / 2)
        return f'<path d="M{x} {y} L{u} {v}"/>'
    x, y, u, v = a[0] + WIDTH / 2, a[1] + HEIGHT, b[0] + WIDTH / 2, b[1]
    bend = v - (DOWN - HEIGHT)          # straight down, then to the side in the last gap
    return f'<path d="M{x} {y} L{x} {bend} C{x} {v - 8} {u} {bend + 8} {u} {v}"/>'
