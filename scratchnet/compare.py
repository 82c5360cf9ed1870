"""Compare — what accuracy costs: the published networks side by side, and your own among them.

    print(compare.table())
    mine = compare.point("mine", model, (3, 224, 224), top1=71.3)
    compare.chart([mine]).savefig("compare.png")

Three numbers place a network: how often its first guess is right (top-1), the operations that
one image costs (MACs), and its parameters. The chart has them as height, way to the right and area.
Up and to the left is better.

MACs and parameters are those of `scratchnet.cost`; the heads that GoogLeNet has for training only
are left out. Memory is what one image needs at least, in float32: the parameters, and the
outputs of the convolutions and linear layers, which backward will ask for.

The accuracies are quoted, never measured here: accuracies.json, beside this file, has each with its
source. They are first-generation weights, close to the papers. The same networks trained
longer, by a later recipe, gain up to five points (column V2 of the table): a dot's height is the
recipe's doing as well as the architecture's.

The form of the chart: Canziani, Paszke & Culurciello, "An Analysis of Deep Neural Network Models
for Practical Applications", 2016.
"""
import argparse
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.cost import summary
from scratchnet.layer import Layer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What the four networks of every textbook stand for; the chart and the table both say it.
READING = {
    "alexnet": "few operations, many parameters",
    "vgg19": "most operations, most memory",
    "googlenet": "efficient: little of everything",
    "resnet50": "in between, and more accurate",
}
# Further networks with a label in the chart: enough to find one's way. The table has them all.
LABELLED = ("vgg11", "vgg16", "vgg19_bn", "resnet18", "resnet34", "resnet152", "plain18", "plain34",
            "inception_v4", "inception_resnet_v2", "zfnet", "nin", "densenet121", "densenet201",
            "mobilenet_v1", "mobilenet_v2", "nasnet_a_mobile", "efficientnet_b0",
            "resnext101_32x8d", "se_resnet50")
# Okabe and Ito's colours, which the colour-blind tell apart; in grey, neighbours differ.
COLOURS = {"AlexNet, NiN": "#4d4d4d", "VGG": "#d55e00", "Inception": "#56b4e9",
           "ResNet": "#0072b2", "ResNeXt, SE": "#cc79a7", "DenseNet": "#009e73",
           "mobile": "#f0c400"}
COLUMNS = (
    "top-1, top-5  accuracy in % on the ImageNet validation images, as published (–: none found)",
    "V2            top-1 of the same network trained longer, by a later recipe (IMAGENET1K_V2)",
    "activations   outputs of the convolutions and linear layers; one image, float32",
    "memory        parameters and activations; one image, float32",
)
YOURS = "your model"
SUFFIXES = (".png", ".svg", ".pdf")
BEADS = 31                  # circles that stand for a line where labels look for a place


@dataclass(frozen=True)
class Entry:
    """One network: `top1` and `top5` in % (None: not published), `params`, `macs`, and
    `activations`, the bytes that the outputs of its convolutions and linear layers take.

    `crops` is how many views of an image were averaged (None: not stated); `status` is "read" or
    "recalled" (from the source), "metadata" (of released weights) or "measured" (yours);
    `retrained` is the top-1 of a later recipe.
    """

    name: str
    label: str
    year: int | None
    family: str
    top1: float | None
    top5: float | None
    params: int
    macs: int
    activations: int
    source: str | None = None
    crops: int | None = None
    status: str | None = None
    retrained: float | None = None

    @property
    def memory(self) -> int:
        """Bytes of the parameters and the activations, in float32, for one image."""
        return 4 * self.params + self.activations


def networks() -> list[Entry]:
    """Return the published networks: by year, within a year by family, then by MACs."""
    text = files("scratchnet").joinpath("accuracies.json").read_text(encoding="utf-8")
    data = json.loads(text)
    entries = []
    for row in data["networks"]:
        quoted = data["sources"].get(row.pop("source"), {})
        entries.append(Entry(**row, **quoted))
    return entries


def point(label: str, model: Layer, input_shape: tuple[int, ...], top1: float) -> Entry:
    """Return the entry of your own model, for `table` and `chart`.

    Parameters of layers that run in training only are not counted, as for the others.
    `input_shape` is that of one image, (C, H, W); `top1` is the accuracy that you measured, in %,
    on the ImageNet validation images if it is to be compared with the others. Raises ValueError
    for a top1 that is no number from 0 to 100, and for a model without MACs.
    """
    if not isinstance(top1, Real) or isinstance(top1, bool) or not 0 <= top1 <= 100:
        raise ValueError(f"point: top1 is an accuracy in %, a number from 0 to 100; got {top1!r}")
    cost = summary(model, input_shape)
    if not cost.macs:
        raise ValueError(f"point: {model} has no convolution and no linear layer, so no MACs to "
                         f"place it by: compare a whole network")
    outputs = sum(math.prod(row.output_shape) for row in cost.rows if row.macs)
    return Entry(label, label, None, YOURS, float(top1), None, cost.params - cost.params_unused,
                 cost.macs, 4 * outputs, "measured by you", None, "measured")


# ── the table ────────────────────────────────────────────────────────────────────────


def table(extra: Sequence[Entry] = ()) -> str:
    """Return the numbers behind the chart as text, `extra` last, and how to read them."""
    entries = [*networks(), *extra]
    sources = list(dict.fromkeys(entry.source for entry in entries if entry.source))
    lines = [("network", "year", "top-1", "top-5", "V2", "MACs", "parameters", "activations",
              "memory", "source")]
    for entry in entries:
        cited = f"[{sources.index(entry.source) + 1}]" if entry.source else "–"
        lines.append((entry.name, str(entry.year or "–"), _percent(entry.top1),
                      _percent(entry.top5), _percent(entry.retrained), _macs(entry), _params(entry),
                      _mebibytes(entry.activations), _mebibytes(entry.memory),
                      cited + "*" * (entry.status == "recalled")))
    reading = [(f"  {entry.label}:", _note(entry), _macs(entry) + " MACs",
                _params(entry) + " parameters", _mebibytes(entry.memory),
                f"{entry.macs / entry.params:.0f} MACs a parameter")
               for entry in entries if _note(entry)]
    notes = [f"[{i}] {source}" for i, source in enumerate(sources, start=1)]
    if any(entry.status == "recalled" for entry in entries):
        notes.append("*   quoted from memory of the source, not checked")
    return "\n".join([*_aligned(lines, "<>>>>>>>><"), "",
                      "Read off it:", *_aligned(reading, "<<>>>>"), "",
                      *COLUMNS, "", *notes])


def _aligned(lines: Iterable[Sequence[str]], sides: str) -> list[str]:
    """Lay cells in columns; a side is "<" (left) or ">" (right) for each."""
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:{side}{width}}" for cell, side, width in
                      zip(line, sides, widths, strict=True)).rstrip() for line in lines]


def _note(entry: Entry) -> str:
    """What a network of READING stands for; nothing for others, and for yours of the same name."""
    return READING.get(entry.name, "") if entry.family != YOURS else ""


def _percent(accuracy: float | None) -> str:
    return "–" if accuracy is None else f"{accuracy:.1f}"


def _macs(entry: Entry) -> str:
    return f"{entry.macs / 1e9:.2f} G" if entry.macs >= 1e7 else f"{entry.macs / 1e6:.2f} M"


def _params(entry: Entry) -> str:
    return f"{entry.params / 1e6:.1f} M" if entry.params >= 1e5 else f"{entry.params / 1e3:.1f} K"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


# ── the chart ────────────────────────────────────────────────────────────────────────


def chart(extra: Sequence[Entry] = ()) -> "Figure":
    """Draw top-1 against MACs with parameters as area; each entry of `extra` has a star."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 7))
    FigureCanvasAgg(figure)                     # it knows how wide the labels will be
    axes = figure.add_axes((0.06, 0.13, 0.72, 0.81))
    shown = [entry for entry in [*networks(), *extra] if entry.top1 is not None]

    for line in _series(shown):
        axes.plot([e.macs for e in line], [e.top1 for e in line], linewidth=1, zorder=1,
                  color=COLOURS.get(line[0].family, "#000000"))
    for entry in sorted(shown, key=lambda entry: -entry.params):        # small ones on top
        colour = COLOURS.get(entry.family, "#000000")
        hollow = entry.crops == 10 or entry.family == YOURS
        axes.scatter(entry.macs, entry.top1, s=_area(entry.params), linewidth=1.2, zorder=2,
                     clip_on=False, edgecolor=colour,
                     facecolor="none" if hollow else colour + "b0")
    for entry in extra:
        axes.scatter(entry.macs, entry.top1, s=170, marker="*", color="black", zorder=3)

    _frame(axes, shown)
    _legends(axes, shown)
    _label(axes, shown)
    return figure


def _area(params: int) -> float:
    """A dot's area in square points: 15 for each million parameters."""
    return 15e-6 * params


def _series(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Return the sizes of each design, from small to large: networks named alike but for a number
    (the v1 and v2 of a name are two designs)."""
    lines: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.macs):
        if entry.family != YOURS:
            lines.setdefault(re.sub(r"(?<!_v)\d+", "", entry.name), []).append(entry)
    return [line for line in lines.values() if len(line) > 1]


def _frame(axes: "Axes", shown: Sequence[Entry]) -> None:
    """Scale and name the axes, with room around the outermost dots."""
    macs, top1 = [e.macs for e in shown], [e.top1 for e in shown]
    axes.set_xscale("log")
    axes.set(xlim=(min(macs) / 1.35, max(macs) * 2.4), ylim=(min(top1) - 3, max(top1) + 3))
    axes.set_xlabel("operations: multiply-accumulates (MACs) for one image, in G = 10⁹ (log scale)")
    axes.set_ylabel("top-1 accuracy on ImageNet validation, %")
    ticks = [m * 10.0**d for d in range(3, 13) for m in (1, 2, 5)]
    axes.set_xticks([t for t in ticks if axes.get_xlim()[0] < t < axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter(lambda macs, _: f"{macs / 1e9:g}")
    axes.minorticks_off()
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("What accuracy costs: up and to the left is better", loc="left", fontsize=12)


def _legends(axes: "Axes", shown: Sequence[Entry]) -> None:
    """To the right of the chart: families, kinds of dot, areas; below it: the footnotes."""
    families = [family for family in COLOURS if any(e.family == family for e in shown)]
    handles = [axes.scatter([], [], s=60, facecolor=COLOURS[family] + "b0",
                            edgecolor=COLOURS[family], label=family) for family in families]
    handles.append(axes.scatter([], [], s=60, facecolor="none", edgecolor="0.3",
                                label="10 crops: about 2 points\nmore than with one"))
    if any(e.family == YOURS for e in shown):
        handles.append(axes.scatter([], [], s=120, marker="*", color="black", label=YOURS))
    beside = {"loc": "upper left", "frameon": False, "alignment": "left", "fontsize": 9}
    axes.add_artist(axes.legend(handles=handles, bbox_to_anchor=(1.01, 1.0), **beside))
    areas = [axes.scatter([], [], s=_area(million * 10**6), facecolor="0.85", edgecolor="0.4",
                          label=f"{million} million") for million in (5, 25, 60, 140)]
    axes.add_artist(axes.legend(handles=areas, bbox_to_anchor=(1.01, 0.60), labelspacing=3.4,
                                handlelength=5, borderpad=0.8, title="area: parameters\n",
                                title_fontsize=9, **beside))
    notes = ("Lines join the sizes of one design. Accuracies are quoted; `scratchnet compare` "
             "lists their sources.")
    if any(e.status == "recalled" for e in shown):
        notes += "   * from memory of the source, not checked"
    axes.figure.text(0.06, 0.02, notes, fontsize=8, color="0.35")


def _label(axes: "Axes", shown: Sequence[Entry]) -> None:
    """Write the names of the networks that matter beside their dots, covering no dot and no name.

    Yours come first, then the four of READING. Each takes the nearest free place, found by trying
    16 directions at growing distances, whose leader (the line to the dot) crosses no other dot.
    Where there is none, these first ones may cross dots; the others go without.
    """
    pixel = axes.figure.dpi / 72                                # pixels in a point
    at = {e: axes.transData.transform((e.macs, e.top1)) for e in shown}
    dots = {e: (*at[e], pixel * _radius(e)) for e in shown}     # circles: x, y, radius
    taken = np.concatenate([list(dots.values()), *(
        _beads(at[start], at[end], 2 * pixel)
        for line in _series(shown) for start, end in pairwise(line))])
    boxes = []                                                  # left, bottom, right, top
    for entry in _labelled(shown):
        text = entry.label + "*" * (entry.status == "recalled")
        if _note(entry):
            text += "\n" + _note(entry)
        important = entry.family == YOURS or _note(entry)
        label = axes.annotate(text, (entry.macs, entry.top1), (0, 0), ha="center", va="center",
                              textcoords="offset points", fontsize=9, zorder=4, parse_math=False,
                              fontweight="bold" if important else "normal",
                              arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.7,
                                          "shrinkA": 0, "shrinkB": _radius(entry)})
        size = label.get_window_extent()
        others = [dot for e, dot in dots.items() if e is not entry]
        second_best = None
        for box, leader in _places(dots[entry], size, pixel):
            if not (_inside(box, axes.bbox) and _apart(box, taken) and not any(
                    _overlap(box, b) or not _apart(b, leader) for b in boxes)):
                continue
            if not any(_touch(dot, leader) for dot in others):
                break
            second_best = second_best or (box, leader)
        else:
            if not (important and second_best):
                label.remove()
                continue
            box, leader = second_best
        label.set_position((np.add(box[:2], box[2:]) / 2 - at[entry]) / pixel)
        label.arrow_patch.set_visible(len(leader) > 0)
        boxes.append(box)
        taken = np.concatenate([taken, leader])


def _labelled(shown: Sequence[Entry]) -> list[Entry]:
    """Return the networks that get a label, the most important first."""
    rank = {name: i for i, name in enumerate([*READING, *LABELLED])}
    named = [e for e in shown if e.family == YOURS or e.name in rank]
    return sorted(named, key=lambda e: -1 if e.family == YOURS else rank[e.name])


def _radius(entry: Entry) -> float:
    """A dot's radius in points; a star's where that is larger."""
    return max(math.sqrt(_area(entry.params) / math.pi), 7.0 * (entry.family == YOURS))


def _places(dot: tuple, size: Any, pixel: float) -> Iterator[tuple[tuple, np.ndarray]]:
    """Yield (box, leader) for a text of this size beside a dot: the nearest first, to the right
    first. A box is (left, bottom, right, top), in pixels, with a margin; the leader is the line to
    it from the dot's edge, as beads; none where the box is so near that it needs no line.
    """
    x, y, radius = dot
    width, height = size.width / 2 + 2 * pixel, size.height / 2 + pixel
    for distance in (1, 3, 5, 9, 14, 20, 28, 38, 50, 65, 80, 100, 125):
        for sixteenth in (0, 8, 1, -1, 7, 9, 2, -2, 6, 10, 3, -3, 5, 11, 4, -4):
            angle = 2 * math.pi * sixteenth / 16
            away = (math.cos(angle) * (radius + distance * pixel + width),
                    math.sin(angle) * (radius + distance * pixel + height))
            cx, cy = np.add((x, y), away)
            edge = np.add((x, y), np.multiply(away, radius / math.hypot(*away)))
            yield ((cx - width, cy - height, cx + width, cy + height),
                   _beads(edge, (cx, cy), pixel)[:BEADS * (distance > 5)])


def _inside(box: tuple, frame: Any) -> bool:
    """True if `box` lies in the frame of the chart."""
    return frame.x0 <= box[0] and frame.y0 <= box[1] and box[2] <= frame.x1 and box[3] <= frame.y1


def _overlap(a: tuple, b: tuple) -> bool:
    """True if two boxes overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _apart(box: tuple, circles: np.ndarray) -> bool:
    """True if no circle, a row (x, y, radius) each, touches `box`."""
    left, bottom, right, top = box
    x, y, radius = circles.T
    gap = np.hypot(np.maximum(0, np.maximum(left - x, x - right)),
                   np.maximum(0, np.maximum(bottom - y, y - top)))
    return bool((gap >= radius).all())


def _touch(circle: tuple, circles: np.ndarray) -> bool:
    """True if a circle (x, y, radius) touches one of `circles`, a row each."""
    (x, y, radius), (xs, ys, radii) = circle, circles.T
    return bool((np.hypot(xs - x, ys - y) < radius + radii).any())


def _beads(start: Sequence[float], end: Sequence[float], radius: float) -> np.ndarray:
    """Return small circles along a line, a row (x, y, radius) each: what keeps clear of them keeps
    clear of the line."""
    return np.linspace([*start, radius], [*end, radius], num=BEADS)


# ── the command ──────────────────────────────────────────────────────────────────────


def add_command(subparsers: Any) -> None:
    """Add `scratchnet compare` to the command line."""
    command = subparsers.add_parser(
        "compare", help="accuracy against operations and parameters: a table and a chart")
    command.add_argument("--out", default="compare.png", metavar="FILE",
                         help="the chart: .png, .svg or .pdf (default: compare.png)")
    command.add_argument("--model", metavar="NAME",
                         help="add a network that you trained: its name in scratchnet.models,")
    command.add_argument("--top1", type=float, metavar="PERCENT",
                         help="and the accuracy you measured on the ImageNet validation images")
    command.set_defaults(run=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """Write the chart and print the table."""
    try:
        path = Path(options.out)
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"compare: --out expects a file name that ends in .png, .svg or .pdf; "
                             f"got {options.out!r}")
        if (options.model is None) != (options.top1 is None):
            raise ValueError("compare: --model and --top1 belong together: the network's name, "
                             "and the accuracy in % that you measured")
        extra = []
        if options.model is not None:
            from scratchnet import models
            extra.append(point(options.model, models.get_model(options.model),
                               models.input_shape(options.model), options.top1))
        try:
            chart(extra).savefig(path, dpi=130)
        except OSError as error:
            raise ValueError(f"compare: cannot write {path}: {error.strerror}; choose another "
                             f"file with --out") from None
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(table(extra))
    print(f"\nThe chart is in {path.resolve()}")
    return 0
