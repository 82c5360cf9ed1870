"""Golden — is this network the published one? Every layer's shape, parameters and MACs compared.

    print(verify("resnet50"))           a table; the last line says whether all of it agrees
    verify("resnet50").ok               True or False

Beside this file lies a table for each network, NAME.txt: a head of "# key value" lines, then a
line a layer in the order in which it runs: name, kind, output shape, parameters, MACs. Where
the numbers come from is its first line: torchvision's, timm's or Cadene's definition, or, where
there is none, the paper's table written out in PyTorch, apart from this library; both traced
layer by layer. Only the names are ours. What the tables leave out are steps that have neither
numbers nor a choice: flattening, adding, laying side by side, padding.

`notes.py` says where a network departs from its paper on purpose, and where a paper's own
table is wrong. The `*_small` networks are scratchnet's own: nothing is published about them.
"""
import argparse
import difflib
import sys
import textwrap
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from scratchnet import models
from scratchnet.cost import Row, summary
from scratchnet.golden.notes import NOTES
from scratchnet.layer import Layer

#: What the tables call each layer; layers that are not here are not in the tables.
KINDS = {"Conv2d": "conv", "PartialConv2d": "conv", "Linear": "linear", "BatchNorm2d": "batch_norm",
         "LocalResponseNorm": "lrn", "ReLU": "relu", "ReLU6": "relu6", "SiLU": "silu",
         "Sigmoid": "sigmoid", "ScaledTanh": "tanh", "MaxPool2d": "max_pool",
         "AvgPool2d": "avg_pool", "AdaptiveAvgPool2d": "avg_pool", "Subsampling": "subsampling",
         "Dropout": "dropout", "CodeDistance": "distance", "PadShortcut": "shortcut"}


@dataclass(frozen=True)
class Line:
    """One layer of a table: what it is called, and what it costs."""

    name: str
    kind: str
    shape: str
    params: int
    macs: int


@dataclass(frozen=True)
class Golden:
    """A published network's table: `lines`, the totals without auxiliary heads (`params`,
    `macs`), the parameters of the `heads`, and the shape of each head's input."""

    source: str
    input_shape: tuple[int, ...]
    params: int
    macs: int
    heads: int
    head_inputs: dict[str, tuple[int, ...]]
    lines: list[Line]


@dataclass(frozen=True)
class Verification:
    """A network beside its golden table: `pairs` of (golden line, our line), either None where
    there is no such layer; `problems`, one line of text each; `ok` if there are none."""

    name: str
    golden: Golden
    pairs: list[tuple[Line | None, Line | None]]
    params: int
    macs: int
    heads: int
    problems: list[str]

    @property
    def ok(self) -> bool:
        """True if every layer and every total agrees."""
        return not self.problems

    def __str__(self) -> str:
        table = [("layer", "kind", "output", "parameters", "MACs", "")]
        for golden, ours in self.pairs:
            line = ours or golden
            table.append((line.name, line.kind, line.shape.replace("x", "×"),
                          f"{line.params:,}" if line.params else "",
                          f"{line.macs:,}" if line.macs else "",
                          "" if golden == ours else "≠"))
        table.append(("total", "", "", f"{self.params:,}", f"{self.macs:,}", ""))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        just = (str.ljust,) * 3 + (str.rjust,) * 2 + (str.ljust,)
        text = ["  ".join(j(cell, w) for j, cell, w in
                          zip(just, line, widths, strict=True)).rstrip() for line in table]
        if self.heads:
            text.append(f"auxiliary heads, in training only and not in the total: {self.heads:,} "
                        f"parameters")
        text += ["", f"Compared with: {self.golden.source}."]
        text += [textwrap.fill(f"· {note}", 96, subsequent_indent="  ")
                 for note in NOTES.get(self.name, ())]
        text += ["", *self.problems]
        text.append(f"{self.name}: all {len(self.pairs)} layers agree in shape, parameters and "
                    f"MACs" if self.ok else
                    f"{self.name}: {len(self.problems)} differences")
        return "\n".join(text)


def verify(name: str) -> Verification:
    """Build the network `name` and compare it with its golden table.

    Raises ValueError for a name that has no table, suggesting the nearest.
    """
    golden = load_golden(name)
    net = models.get_model(name, rng=0)
    return verify_network(name, golden, net)


def verify_network(name: str, golden: Golden, net: Layer) -> Verification:
    """Compare a network, `net`, with a table."""
    table = summary(net, golden.input_shape)
    ours = _lines("", table.rows)
    for head, shape in golden.head_inputs.items():          # they run in training only
        ours += _lines(f"{head}.", summary(getattr(net, head), shape).rows)

    mine = {line.name: line for line in ours}
    pairs: list[tuple[Line | None, Line | None]] = [
        (line, mine.pop(line.name, None)) for line in golden.lines]
    pairs += [(None, line) for line in mine.values()]
    problems = [f"≠ {(line or own).name}: the table has {_text(line)}; the network has {_text(own)}"
                for line, own in pairs if line != own]
    params = table.params - table.params_unused
    for what, expected, got in (("parameters", golden.params, params),
                                ("MACs", golden.macs, table.macs),
                                ("parameters in heads", golden.heads, table.params_unused)):
        if expected != got:
            problems.append(f"≠ total {what}: expected {expected:,}, got {got:,}")
    return Verification(name, golden, pairs, params, table.macs, table.params_unused, problems)


def list_golden() -> list[str]:
    """Return the names of the networks that have a table."""
    return sorted(path.name.removesuffix(".txt") for path in files(__package__).iterdir()
                  if path.name.endswith(".txt"))


def load_golden(name: str) -> Golden:
    """Read the table of a network; ValueError for a name that has none."""
    names = list_golden()
    if name not in names:
        if name in models.list_models():
            raise ValueError(f"{name} is scratchnet's own: nothing is published to compare it "
                             f"with (scratchnet summary {name} prints its table)")
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0)
        raise ValueError(f"no table for {name!r}: did you mean {near[0]!r}?")
    head: dict[str, str] = {}
    inputs, lines = {}, []
    for row in files(__package__).joinpath(f"{name}.txt").read_text("utf-8").splitlines():
        words = row.split()
        if words[:2] == ["#", "head"]:
            inputs[words[2]] = _shape(words[3])
        elif words[0] == "#":
            head[words[1]] = row.split(maxsplit=2)[2]
        else:
            lines.append(Line(*words[:3], int(words[3]), int(words[4])))
    return Golden(head["source"], _shape(head["input"]), int(head["params"]), int(head["macs"]),
                  int(head.get("heads", 0)), inputs, lines)


def _lines(prefix: str, rows: list[Row]) -> list[Line]:
    """The rows of a summary that a table has, in its words."""
    return [Line(prefix + row.name, KINDS[kind], "x".join(map(str, row.output_shape)),
                 row.params, row.macs)
            for row in rows
            if (kind := row.layer.split("(")[0]) in KINDS and row.output_shape is not None]


def _shape(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def _text(line: Line | None) -> str:
    return "no such layer" if line is None else (
        f"{line.kind} {line.shape}, {line.params:,} parameters, {line.macs:,} MACs")


# ── the command ──────────────────────────────────────────────────────────────────────


def add_command(subparsers: Any) -> None:
    """Add `scratchnet verify [NAME]` to the command line."""
    command = subparsers.add_parser(
        "verify", help="compare the networks with their published tables, layer by layer")
    command.add_argument("name", nargs="?", metavar="NAME", help="one network, in full; without "
                         "a name all of them, a line each")
    command.set_defaults(run=run_verify)


def run_verify(options: argparse.Namespace) -> int:
    """Print one comparison in full, or a line for each network; 1 if anything differs."""
    if options.name is not None:
        try:
            result = verify(options.name)
        except ValueError as error:
            print(f"scratchnet: {error}", file=sys.stderr)
            return 2
        print(result)
        return 0 if result.ok else 1
    print(f"{'network':24s}{'layers':>7s}{'parameters':>14s}{'MACs':>17s}")
    different = []
    for name in list_golden():
        result = verify(name)
        heads = f"  and {result.heads:,} in auxiliary heads" if result.heads else ""
        print(f"{name:24s}{len(result.pairs):7d}{result.params:14,d}{result.macs:17,d}  "
              f"{'as published' if result.ok else f'{len(result.problems)} DIFFERENCES'}{heads}",
              flush=True)
        if not result.ok:
            different.append(name)
    print("\nscratchnet verify NAME: its layers, and where it departs from its paper on purpose.")
    if different:
        print(f"different from their tables: {', '.join(different)}", file=sys.stderr)
    return 1 if different else 0
