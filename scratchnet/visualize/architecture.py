"""Architecture — a network drawn, from the graph of its own forward, as SVG.

    svg = draw(models.resnet50(), (3, 224, 224))            containers opened one level deep
    svg = draw(net, (1, 32, 32), open=0)                    all folded: one box each
    svg = draw(net, (3, 224, 224), open=2, block="layer2.0")    one block alone

Time runs downwards. A container is a frame around what is in it, and is laid out on its own; in
the layout around it, it is one box. So one picture of a few boxes is solved at a time:

    rows        a box stands one row below the lowest box it computes from, or further down where
                its row is full
    lanes       a line that passes a row gets a narrow place there, as if it were a box: a
                shortcut runs beside what it passes, and never across it
    order       in each row by the mean place of the neighbours in the row above, then below,
                again and again; the order with the fewest crossings is kept
    places      each box as near to straight above and below its neighbours as its row allows:
                least squares with the order kept (isotonic regression)

Layers without a size of their own (normalisation, activation, dropout) are attached to the box
above. Equal containers in a row, each computed from the last, are drawn once: ×6. An Identity
is nothing but a line.

Rows and order: Sugiyama, Tagawa & Toda, "Methods for Visual Understanding of Hierarchical System
Structures", IEEE SMC 1981. Places: Barlow et al., 1972 (pool adjacent violators). Colours: after
Okabe & Ito, "Color Universal Design", 2008; they differ in lightness too, and every box says in
words what it is.
"""
import argparse
import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from scratchnet.archive import replace_file
from scratchnet.convolution import short
from scratchnet.layer import Layer
from scratchnet.structure import Block, Node, Structure, structure
from scratchnet.visualize.target import target

WIDTH = 900                         # of a page, in pixels
GAP, LANE, PAD = 14, 12, 10         # between boxes; for a passing line; inside a frame
LINE = 15                           # from one line of text to the next
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"

#: kind: (what the legend says, fill, stripe, the layers)
KINDS = {
    "convolution": ("#d6e8f7", "#0072b2", ("Conv2d", "PartialConv2d", "ConvTranspose2d")),
    "linear": ("#f9dcc0", "#d55e00", ("Linear", "CodeDistance")),
    "pooling": ("#c9ebdd", "#009e73", ("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d",
                                       "Subsampling", "MaxUnpool2d")),
    "normalisation": ("#f1dfea", "#b0608f", ("BatchNorm2d", "LocalResponseNorm")),
    "activation": ("#fdf6c3", "#c9a400", ("ReLU", "ReLU6", "SiLU", "Sigmoid", "Tanh",
                                          "ScaledTanh")),
    "other": ("#eeeeee", "#8c8c8c", ()),
    "block": ("#dfe4ea", "#44505c", ()),
    "join": ("#ffffff", "#222222", ("Add", "Concatenate")),
    "data": ("#ffffff", "#222222", ()),
}
SYMBOLS = {"add": "+", "Add": "+", "multiply": "×", "subtract": "−", "concatenate": "concat",
           "Concatenate": "concat"}
ATTACHED = ("BatchNorm2d", "LocalResponseNorm", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Tanh",
            "ScaledTanh", "Dropout", "StochasticDepth", "Flatten")


def draw(model: Layer | Structure, input_shape: tuple[int, ...] | None = None, open: int = 1, *,
         block: str = "", title: str = "", repeats: bool = False) -> str:
    """Return the drawing of a model as the text of an SVG file.

    `open` is how many levels of containers are opened; deeper ones are one box each. `block`, a
    dotted name, draws that container alone; with `repeats`, equal containers in a row are all
    drawn. For a Structure that you have already, the shape is not needed.

    Elements carry data-name (the layer's dotted name), data-kind and, for nodes, data-node (its
    place in Structure.nodes); each has a <title>.

    Raises ValueError for a block that is not there, or `open` that is no whole number ≥ 0.
    """
    if not isinstance(open, Integral) or isinstance(open, bool) or open < 0:
        raise ValueError(f"draw: open is how many levels are opened, a whole number ≥ 0; got "
                         f"{open!r}")
    net = model if isinstance(model, Structure) else structure(model, input_shape)
    picture = _Picture(net, int(open), _find(net, block), repeats)
    return picture.svg(title or block or type(net.blocks[0].layer).__name__)


def _find(net: Structure, name: str) -> Block:
    for block in net.blocks:
        if block.name == name:
            return block
    names = [block.name for block in net.blocks if block.name]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4) or names[:3]
    raise ValueError(f"draw: there is no container {name!r} in this network" + (
        f"; the nearest are {', '.join(near)}" if near else ": it holds none"))


def add_command(subparsers: Any) -> None:
    """Add `network MODEL|RUN` to the subcommands of `scratchnet look`."""
    command = subparsers.add_parser("network", help="the network drawn, as SVG")
    command.add_argument("model", metavar="MODEL", help="a network's name, or the folder of a run")
    command.add_argument("--open", metavar="N", default="1", help="how many levels of containers "
                         "are opened (default: 1)")
    command.add_argument("--block", metavar="NAME", default="", help="one container alone, by its "
                         "dotted name")
    command.add_argument("--out", metavar="FILE", default="network.svg")
    command.set_defaults(run=run_network)


def run_network(options: argparse.Namespace) -> int:
    """Write the drawing of a network by name, or of a run's."""
    try:
        if not options.open.isdecimal():
            raise ValueError(f"--open expects how many levels are opened, a whole number ≥ 0; got "
                             f"{options.open!r}")
        if not options.out.lower().endswith(".svg"):
            raise ValueError(f"the drawing is SVG: name a file that ends in .svg; got "
                             f"{options.out}")
        found = target(options.model)
        title = f"{found.title}, {options.block}" if options.block else found.title
        svg = draw(found.model, found.shape, int(options.open), block=options.block, title=title)
        replace_file(Path(options.out), lambda file: file.write(svg.encode()))
    except (ValueError, OSError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: open it in a browser; --open opens more levels, --block shows one part")
    return 0


# ── what is drawn ────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class Box:
    """A rectangle with text: a node, a folded container, or (with `inner`) an open one's frame.

    `lines` are (x, y of the baseline, anchor, size, bold, text), relative to the box.
    """

    kind: str
    w: float
    h: float
    lines: list[tuple]
    name: str = ""
    node: int | None = None
    tip: str = ""
    times: int = 1
    inner: list["Box"] = field(default_factory=list)
    paths: list["Line"] = field(default_factory=list)
    head: float = 0                                     # height of a frame's heading
    enters: dict[int, float] = field(default_factory=dict)      # value: x of its port on top
    leaves: dict[int, float] = field(default_factory=dict)      # … at the bottom
    attached: bool = False
    x: float = 0
    y: float = 0

    def enter(self, value: int) -> float:
        return self.enters.get(value, self.w / 2)

    def leave(self, value: int) -> float:
        return self.leaves.get(value, self.w / 2)


@dataclass(eq=False)
class Line:
    """A line from box to box, through points; straight within rows, curved between them."""

    points: list[tuple[float, float]]
    arrow: bool = True


@dataclass(eq=False)
class _Unit:
    """What takes one place in a layout: boxes one below the other, without a gap."""

    boxes: list[Box]
    members: list[int]                  # ids of the nodes
    x: float = 0
    row: int = 0

    @property
    def w(self) -> float:
        return max(box.w for box in self.boxes)

    @property
    def h(self) -> float:
        return sum(box.h for box in self.boxes)

    def enter(self, value: int) -> float:
        return (self.w - self.boxes[0].w) / 2 + self.boxes[0].enter(value)

    def leave(self, value: int) -> float:
        return (self.w - self.boxes[-1].w) / 2 + self.boxes[-1].leave(value)


@dataclass(eq=False)
class _Port:
    """A lane of a row, or the place at the top or bottom where a value comes in or goes out."""

    value: int
    row: int
    w: float = LANE
    h: float = 0
    x: float = 0

    def enter(self, value: int) -> float:
        return self.w / 2

    leave = enter


class _Picture:
    """The layout of a network, or of one block of it."""

    def __init__(self, net: Structure, open: int, root: Block, all_repeats: bool = False):
        self.net, self.open, self.root, self.all_repeats = net, open, root, all_repeats
        self.depth = len(net.path(root.id)) - 1
        self.alias = {node.id: node.inputs[0] for node in net.nodes if node.op == "Identity"}
        self.inside: dict[int, list[Node]] = {block.id: [] for block in net.blocks}
        for node in net.nodes:
            for block in net.path(node.block):
                self.inside[block].append(node)
        self._sources: dict[int, list[int]] = {}
        self.users: dict[int, list[int]] = {}
        for node in net.nodes:
            if node.id not in self.alias:
                for source in self.sources(node):
                    self.users.setdefault(source, []).append(node.id)
        self.returned = {self.real(i) for i in net.outputs}
        boxes, paths, self.w, self.h, _, _ = self.fitting(root, WIDTH - 2 * PAD)
        self.boxes, self.paths = boxes, paths

    def real(self, value: int) -> int:
        """The node that computed this value; Identities only pass it on."""
        while value in self.alias:
            value = self.alias[value]
        return value

    def sources(self, node: Node) -> list[int]:
        if node.id not in self._sources:
            self._sources[node.id] = list(dict.fromkeys(self.real(i) for i in node.inputs))
        return self._sources[node.id]

    # ── one block ────────────────────────────────────────────────────────────────────

    def fitting(self, block: Block, limit: float, narrow: bool = False) -> tuple:
        """Lay out the block's inside: wide boxes if they fit side by side, else narrow ones."""
        for style in (False, True) if not narrow else (True,):
            units = self.units(block, limit, style)
            rows, links = self.rows(block, units, None)
            if max(map(_row_width, rows)) <= limit or style:
                break
        inner = limit
        for _ in range(4):                      # lanes beside a frame may need room of their own
            units, rows, links = self.broken(block, units, rows, links, limit)
            if (excess := max(map(_row_width, rows)) - limit) <= 0:
                break
            inner -= excess + 1
            units = self.units(block, inner, True)
            rows, links = self.rows(block, units, None)
        return self.placed(rows, links, limit)

    def broken(self, block: Block, units: list[_Unit], rows: list, links: list,
               limit: float) -> tuple:
        """Break rows that are too wide; fewer boxes a row may mean more lanes, so: the best try."""
        room, tried = limit, []
        while max(map(_row_width, rows)) > limit and len(tried) < 12:
            rows, links = self.rows(block, units, room)
            tried.append((max(map(_row_width, rows)), room))
            room = max(room - max(tried[-1][0] - limit, 20), 1)
        if tried:
            rows, links = self.rows(block, units, min(tried)[1])
        return units, rows, links

    def units(self, block: Block, limit: float, narrow: bool) -> list[_Unit]:
        """What stands in a block, in running order; repeats and attached ones merged."""
        net, parts = self.net, []
        for node in self.inside[block.id]:
            path = net.path(node.block)
            below = path[path.index(block.id) + 1:]
            part = net.blocks[below[0]] if below else node
            if node.id not in self.alias and not (parts and parts[-1] is part):
                parts.append(part)
        units: list[_Unit] = []
        if block is self.root:
            units += [_Unit([self.data(self.outside(value), net.nodes[value],
                                       f"input: {net.nodes[value].name}")], [value])
                      for value in self.entering(block)]
        i = 0
        while i < len(parts):
            part, times = parts[i], 1
            if isinstance(part, Block) and (stack := self.stack(block, part, narrow)):
                units.append(stack)
            elif isinstance(part, Block):
                while i + times < len(parts) and self.repeats(parts[i + times - 1],
                                                             parts[i + times]):
                    times += 1
                run = parts[i:i + times]
                units.append(_Unit([self.container(block, run, limit, narrow)],
                                   [n.id for one in run for n in self.inside[one.id]]))
            else:
                box = self.leaf(block, part, narrow)
                before = units[-1] if units else None
                if box.attached and before and before.boxes[-1].kind not in (
                        "join", "data", "block", "frame") and self.follows(before, part):
                    before.boxes.append(box)
                    before.members.append(part.id)
                else:
                    box.attached = False
                    units.append(_Unit([box], [part.id]))
            i += times
        for unit in units:
            widest = unit.w
            for box in unit.boxes:              # a stack has one width
                if len(unit.boxes) > 1:
                    box.w = widest
        return units

    def entering(self, block: Block) -> list[int]:
        """The values from outside that the block computes from."""
        ids = {node.id for node in self.inside[block.id]}
        return list(dict.fromkeys(s for node in self.inside[block.id] if node.id not in self.alias
                                  for s in self.sources(node) if s not in ids))

    def outside(self, value: int) -> str:
        """Where a value from outside the root comes from: its container, as seen from there."""
        node, parent = self.net.nodes[value], self.root.parent
        below = [b for b in self.net.path(node.block) if b not in self.net.path(parent or 0)]
        return self.net.blocks[below[0]].name if below else node.name

    def follows(self, before: _Unit, node: Node) -> bool:
        """Does nothing but this node use the unit before it, and it nothing else?"""
        last = before.members[-1]
        return (self.sources(node) == [last] and self.users.get(last) == [node.id]
                and last not in self.returned)

    def repeats(self, one: Any, other: Any) -> bool:
        """Is `other` a container of the same make, computed from `one` alone, and of its size?"""
        if not (isinstance(one, Block) and isinstance(other, Block) and not self.all_repeats
                and type(one.layer) is type(other.layer) and one.shape[1:] == other.shape[1:]
                and len(one.outputs) == 1):
            return False
        a, b = self.inside[one.id], self.inside[other.id]
        if [n.op for n in a] != [n.op for n in b] or _wiring(a) != _wiring(b) or not a:
            return False
        if any(n.shape != m.shape for n, m in zip(a, b, strict=True) if n.macs):
            return False                # a dense layer's input may be wider: not what it computes
        out, ids = self.real(one.outputs[0]), {n.id for n in b}
        return (all(user in ids or user in {n.id for n in a} for user in self.users.get(out, []))
                and all(s in ids or s == out for n in b for s in self.sources(n))
                and out not in self.returned)

    def stack(self, around: Block, block: Block, narrow: bool) -> _Unit | None:
        """A container of one to three layers in a row, without a frame: convolution and ReLU."""
        nodes = [node for node in self.inside[block.id] if node.id not in self.alias]
        if not 0 < len(nodes) <= 3 or any(node.layer is None for node in nodes) or not all(
                node.op in ATTACHED for node in nodes[1:]) or len(block.outputs) > 1:
            return None
        unit = _Unit([self.leaf(around, nodes[0], narrow)], [nodes[0].id])
        for node in nodes[1:]:
            if not self.follows(unit, node):
                return None
            unit.boxes.append(self.leaf(around, node, narrow))
            unit.members.append(node.id)
        return unit

    def container(self, around: Block, run: list[Block], limit: float, narrow: bool) -> Box:
        """A container, or several of the same make: folded, or a frame around its inside."""
        block, times = run[0], len(run)
        nodes = [node for one in run for node in self.inside[one.id]]
        each = {sum(node.params for node in self.inside[one.id]) for one in run}
        params = sum(node.params for node in nodes)
        name = _relative(block.name, around.name)
        if times > 1:
            name += f" … {_relative(run[-1].name, around.name)}"
        kind = type(block.layer).__name__
        shape = _output(run[-1].shape)
        if times > 1 and run[0].shape != run[-1].shape:
            shape = f"→ {run[0].shape[0]} … {_shape(run[-1].shape)}"
        weights = (f"{times} × {params // times:,} params" if times > 1 and len(each) == 1 else
                   f"{params:,} params") if params else ""
        count = f"×{times}" if times > 1 else ""
        tip = (f"{block.name or 'the network'}: {kind}{' ' + count if count else ''}, "
               f"{len(self.inside[block.id])} nodes{' each' if count else ''}; output "
               f"{shape.removeprefix('→ ')}; {params:,} parameters; "
               f"{sum(n.macs for n in nodes):,} MACs")
        pieces = [(name, True), (count, True), (kind, False), (shape, False), (weights, False)]
        if len(self.net.path(block.id)) - 1 - self.depth > self.open:
            if summary := self.summary(block):
                pieces[2] = (summary if kind == "Sequential" else f"{kind}: {summary}", False)
            lines, w, h = _flow(pieces, 128 if narrow else 236)
            return Box("block", w, h, lines, block.name, tip=tip, times=times)
        room = limit - 2 * PAD
        boxes, paths, w, h, enters, leaves = self.fitting(block, room, narrow)
        lines, text_w, head = _flow(pieces, max(w + 2 * PAD, 128))
        below = 0 if leaves else PAD            # a line that leaves goes down to the border
        frame = Box("frame", max(w + 2 * PAD, text_w), head + h + below, lines, block.name,
                    tip=tip, times=times, inner=boxes, paths=paths, head=head)
        shift = (frame.w - w) / 2
        _move(boxes, paths, shift, head)
        frame.enters = {value: x + shift for value, x in enters.items()}
        if times > 1:                       # what leaves is the last one's output
            last, first = self.real(run[-1].outputs[0]), self.real(block.outputs[0])
            frame.leaves = {last: leaves[first] + shift}
        else:
            frame.leaves = {value: x + shift for value, x in leaves.items()}
        return frame

    def summary(self, block: Block) -> str:
        """What a folded chain computes, "1×1 → 3×3"; "" for what is no short chain."""
        nodes = [n for n in self.inside[block.id] if n.id not in self.alias]
        chain = all(self.sources(b) == [a.id] for a, b in zip(nodes, nodes[1:], strict=False))
        words = [("" if _kind(n) == "convolution" else "max " if n.op == "MaxPool2d" else "mean ")
                 + "×".join(map(str, n.layer.kernel_size))
                 if hasattr(n.layer, "kernel_size") else _what(n)
                 for n in nodes if _kind(n) in ("convolution", "pooling", "linear")]
        return " → ".join(words) if chain and 0 < len(words) <= 4 else ""

    def data(self, name: str, node: Node, tip: str) -> Box:
        """A rounded box for what comes in."""
        lines, w, h = _flow([(name, True), (_shape(node.shape), False)], 236, plain=True)
        return Box("data", w, h, lines, node.name, node.id, tip)

    def leaf(self, around: Block, node: Node, narrow: bool) -> Box:
        """A box for one node."""
        kind = _kind(node)
        tip = f"{node.name}: {node.layer if node.layer is not None else node.op}; output " \
              f"{_shape(node.shape)}"
        tip += f"; {node.params:,} parameters" if node.params else ""
        tip += f"; {node.macs:,} MACs" if node.macs else ""
        shape = _output(node.shape)
        if kind == "join":
            text = SYMBOLS.get(node.op, node.op)
            w = 22 if len(text) == 1 else max(_text_width(text, 11) + 18,
                                              16 * len(self.sources(node)))
            size = 15 if len(text) == 1 else 11
            lines = [(w / 2, 11 + size * 0.36, "middle", size, False, text)]
            return Box(kind, w, 22, lines, node.name, node.id, tip)
        if kind == "data":
            return self.data(node.name, node, tip)
        name = _relative(node.name, around.name) if node.layer is not None else ""
        what = "" if name == _what(node) else _what(node)
        if node.op in ATTACHED or node.layer is None:
            pieces = [(name, True), (what, False)]
            if len(node.shape) == 1 and node.op == "Flatten":
                pieces.append((shape, False))
            lines, w, h = _flow(pieces, 128 if narrow else 236, small=True)
            return Box(kind, w, h, lines, node.name, node.id, tip, attached=True)
        pieces = [(name, True), (what, False), (shape, False),
                  (f"{node.params:,} params" if node.params else "", False)]
        lines, w, h = _flow(pieces, 128 if narrow else 236)
        return Box(kind, w, h, lines, node.name, node.id, tip)

    # ── rows, lanes, order ───────────────────────────────────────────────────────────

    def rows(self, block: Block, units: list[_Unit],
             room: float | None) -> tuple[list[list], list[list[tuple]]]:
        """The units and ports of a block in rows, at most `room` wide but for the lanes; and what
        links each row to the next: (upper, lower, value)."""
        home = {i: unit for unit in units for i in unit.members}
        ids = {node.id for node in self.inside[block.id]}
        rows: list[list] = []
        uses: dict[int, list[_Unit]] = {}       # value: the units that compute from it
        for unit in units:
            mine = set(unit.members)
            values = dict.fromkeys(source for i in unit.members
                                   for source in self.sources(self.net.nodes[i])
                                   if i in ids and source not in mine)
            for value in values:
                uses.setdefault(value, []).append(unit)
            row = max((home[v].row + 1 for v in values if v in home), default=0)
            while room is not None and row < len(rows) and rows[row] and _row_width(
                    [*rows[row], unit]) > room:
                row += 1
            unit.row = row
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row].append(unit)
        leaving = [] if block is self.root else [value for value in dict.fromkeys(
            [*(self.real(v) for v in block.outputs),
             *(i for i in home if any(user not in ids for user in self.users.get(i, ())))])
            if value in home]
        links: list[list[tuple]] = [[] for _ in range(len(rows) + 1)]
        rows = [[], *rows, []]
        entering = [value for value in uses if value not in home]
        starts = {value: _Port(value, -1) for value in entering}
        rows[0] = list(starts.values())
        for value in leaving:
            uses.setdefault(value, [])
        for value, targets in uses.items():
            at = home.get(value) or starts[value]
            first = at.row + 1
            ends: list[Any] = list(targets)
            if value in leaving:
                port = _Port(value, len(rows) - 2)
                rows[-1].append(port)
                ends.append(port)
            for row in range(first, max(end.row for end in ends) + 1):
                for end in ends:
                    if end.row == row:
                        links[row].append((at, end, value))
                if any(end.row > row for end in ends):
                    lane = _Port(value, row)
                    rows[row + 1].append(lane)
                    links[row].append((at, lane, value))
                    at = lane
        if not entering:
            rows, links = rows[1:], links[1:]
        if not leaving:
            rows = rows[:-1]
        return rows, links[:len(rows) - 1]

    def placed(self, rows: list[list], links: list[list[tuple]], limit: float) -> tuple:
        """Give all a place; returns boxes, paths, width, height and the ports."""
        rows = _ordered(rows, links)
        _place(rows, links, max(limit, max(map(_row_width, rows))))
        left = min(item.x for row in rows for item in row)
        w = max(item.x + item.w for row in rows for item in row) - left
        tops, y = [], 0.0
        for i, row in enumerate(rows):
            tops.append(y)
            y += max(item.h for item in row)
            if i < len(links):
                bent = [abs(a.x + a.leave(v) - b.x - b.enter(v)) > 1 for a, b, v in links[i]]
                y += 18 if not any(bent) else 22 + min(20, 3 * sum(bent))
        boxes, paths = [], []
        for top, row in zip(tops, rows, strict=True):
            for item in row:
                item.x -= left
                at = top
                for box in item.boxes if isinstance(item, _Unit) else ():
                    box.x, box.y = item.x + (item.w - box.w) / 2, at
                    at += box.h
                    boxes.append(box)
        for i, group in enumerate(links):
            bottom = tops[i] + max(item.h for item in rows[i])
            ends = _spread(group)
            for link, x2 in zip(group, ends, strict=True):
                a, b, value = link
                x1 = a.x + a.leave(value)
                x2 = x1 if abs(x2 - x1) < 3 and isinstance(b, _Unit) else x2
                paths.append(Line([(x1, tops[i] + a.h), (x1, bottom), (x2, tops[i + 1])],
                                  arrow=isinstance(b, _Unit)))
        enters = {p.value: p.x + p.w / 2 for p in rows[0] if isinstance(p, _Port)}
        leaves = {p.value: p.x + p.w / 2 for p in rows[-1] if isinstance(p, _Port)}
        return boxes, paths, w, y, enters, leaves

    # ── the text of the file ─────────────────────────────────────────────────────────

    def svg(self, title: str) -> str:
        """The drawing, a title above it and a legend below."""
        nodes = self.inside[self.root.id]
        params, macs = sum(n.params for n in nodes), sum(n.macs for n in nodes)
        sum_line = f"{params:,} parameters · {macs:,} multiply-accumulates for one image"
        widest = max(self.w, _text_width(sum_line, 12), _text_width(title, 16, bold=True))
        top, width = 62, max(widest + 2 * PAD, 460)
        legend, legend_h = _legend({_kind(n) for n in nodes if n.id not in self.alias} | {
            box.kind for box in _all(self.boxes)}, width)
        height = top + self.h + 26 + legend_h
        _move(self.boxes, self.paths, (width - self.w) / 2, top)
        summary = f"{title}: {len(nodes)} nodes, {sum_line}, drawn from top to bottom"
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
               f'width="{_n(width)}" height="{_n(height)}" role="graphics-document document" '
               f'aria-label={quoteattr(summary)} font-family="{FONT}" font-size="11" '
               f'style="max-width:100%;height:auto">',
               f"<title>{escape(summary)}</title>",
               '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
               'markerHeight="7" orient="auto"><path d="M0 0.5 8 4 0 7.5z" fill="#3b4650"/>'
               '</marker></defs>',
               f'<rect class="page" width="{_n(width)}" height="{_n(height)}" fill="#ffffff"/>',
               '<g fill="#111111">',
               _text((width / 2, 24, "middle", 16, True, title)),
               _text((width / 2, 43, "middle", 12, False, sum_line)),
               "</g>"]
        self.write(out, self.boxes, self.paths)
        out.append(f'<g class="legend" transform="translate(0 {_n(height - legend_h)})" '
                   f'fill="#111111">{legend}</g>')
        return "\n".join([*out, "</svg>\n"])

    def write(self, out: list[str], boxes: list[Box], paths: list[Line]) -> None:
        for box in boxes:
            _write_box(out, box, lambda box=box: self.write(out, box.inner, box.paths))
        if paths:
            out.append('<g class="edges" fill="none" stroke="#3b4650" stroke-width="1.4" '
                       'aria-hidden="true">')
            out += [_path(path) for path in paths]
            out.append("</g>")


# ── words ────────────────────────────────────────────────────────────────────────────


def _kind(node: Node) -> str:
    if node.op in ("input", "parameter"):
        return "data"
    if node.op in SYMBOLS:
        return "join"
    if node.layer is None:
        return "join" if len(node.inputs) > 1 else "other"
    return next((kind for kind, (_, _, names) in KINDS.items() if node.op in names), "other")


def _what(node: Node) -> str:
    """What the layer does, in a few words."""
    layer = node.layer
    if layer is None:
        return node.op.replace("_", " ")
    if node.op in ("Conv2d", "PartialConv2d"):
        geometry = getattr(layer, "geometry", None)
        stride, groups = (geometry.stride, geometry.groups) if geometry else ((1, 1), 1)
        depthwise = groups > 1 and groups == layer.in_channels
        kernel = "×".join(map(str, layer.kernel_size))
        text = f"{kernel} depthwise" if depthwise else f"{kernel} convolution"
        text += f", stride {short(stride)}" if stride != (1, 1) else ""
        text += f", dilation {short(geometry.dilation)}" if geometry and geometry.dilation != (
            1, 1) else ""
        return text + (f", {groups} groups" if groups > 1 and not depthwise else "")
    if node.op == "ConvTranspose2d":
        stride = layer.geometry.stride
        return f"{'×'.join(map(str, layer.kernel_size))} transposed convolution" + (
            f", stride {short(stride)}" if stride != (1, 1) else "")
    if node.op in ("MaxPool2d", "AvgPool2d", "Subsampling"):
        word = {"MaxPool2d": "maximum", "AvgPool2d": "mean"}.get(node.op, "subsampling")
        stride = "" if layer.stride == (1, 1) else f", stride {short(layer.stride)}"
        return f"{'×'.join(map(str, layer.kernel_size))} {word}{stride}"
    if node.op == "AdaptiveAvgPool2d":
        return "mean over the map" if layer.output_size == (1, 1) else \
            f"mean, to {'×'.join(map(str, layer.output_size))}"
    return {"Linear": "fully connected", "BatchNorm2d": "batch norm", "Flatten": "flatten",
            "LocalResponseNorm": "local response norm", "Dropout": f"dropout "
            f"{getattr(layer, 'p', '')}", "StochasticDepth": "stochastic depth",
            "ScaledTanh": "scaled tanh", "Tanh": "tanh", "Sigmoid": "sigmoid",
            "ZeroPad2d": _pad_words(layer), "PadShortcut": "every 2nd pixel, pad channels",
            "CodeDistance": "distance to codes", "MaxUnpool2d": "unpooling"}.get(node.op, node.op)


def _pad_words(layer: Any) -> str:
    sides = getattr(layer, "padding", ())
    return "cut" if min(sides, default=0) < 0 and max(sides) <= 0 else (
        "shift" if min(sides, default=0) < 0 else "pad with zeros")


def _relative(name: str, around: str) -> str:
    return name[len(around) + 1:] if around and name.startswith(f"{around}.") else name


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"


def _output(shape: tuple[int, ...]) -> str:
    return f"→ {_shape(shape)}"


def _wiring(nodes: list[Node]) -> list[tuple]:
    """From where, counted from the container's first node, each node computes."""
    first = nodes[0].id if nodes else 0
    return [tuple(i - first if i >= first else -1 for i in node.inputs) for node in nodes]


def _text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of Arial is, a little generously."""
    ems = sum(0.3 if c in "iljI.,:;|!'()[] ·-" else 0.9 if c in "mwMW…→" else
              0.7 if c.isupper() else 0.58 for c in text)
    return size * ems * (1.08 if bold else 1.0)


def _parted(pieces: list[tuple[str, bool]], room: float) -> list[tuple[str, bool]]:
    """The pieces without empty ones, and what is too long for a line parted at its commas."""
    return [(part, bold) for text, bold in pieces if text for part in (
        text.replace(", ", ",\n").split("\n") if not bold and _text_width(text, 11) > room
        else [text])]


def _shortened(text: str, size: float, bold: bool, room: float) -> str:
    """The text, its middle left out where it is too long: names differ at their ends."""
    kept = len(text)
    short = text
    while _text_width(short, size, bold) > room and kept > 2:
        kept -= 1
        short = text[:kept // 3] + "…" + text[len(text) - (kept - kept // 3):]
    return short


def _flow(pieces: list[tuple[str, bool]], widest: float, small: bool = False,
          plain: bool = False) -> tuple[list[tuple], float, float]:
    """Lay (text, bold) side by side, in as many lines as it takes; returns lines, width, height."""
    left = 8 if plain else 12                       # right of the stripe
    room = widest - left - 8
    rows: list[list[tuple]] = [[]]
    at = 0.0
    for text, bold in _parted(pieces, room):
        size = 12 if bold and not small else 11
        text = _shortened(text, size, bold, room)
        w = _text_width(text, size, bold)
        if rows[-1] and at + w > room:
            rows.append([])
            at = 0.0
        rows[-1].append((at, size, bold, text, w))
        at += w + 9
    height = (4 if small else 6) * 2 + LINE * len(rows) - (3 if small else 2)
    width = left + 8 + max((row[-1][0] + row[-1][4] for row in rows if row), default=20)
    lines = [(left + x, (4 if small else 6) + LINE * i + 10, "start", size, bold, text)
             for i, row in enumerate(rows) for x, size, bold, text, _ in row]
    return lines, width, height


# ── order and places ─────────────────────────────────────────────────────────────────


def _row_width(row: list) -> float:
    return sum(item.w for item in row) + sum(map(_gap, row, row[1:]))


def _gap(item: Any, following: Any) -> float:
    """Between two neighbours of a row; lanes have some room of their own."""
    lanes = isinstance(item, _Port) + isinstance(following, _Port)
    return (GAP, GAP / 2, 2)[lanes]


def _ordered(rows: list[list], links: list[list[tuple]]) -> list[list]:
    """The rows in the order, of those tried, that has the fewest crossings."""
    best, fewest = [list(row) for row in rows], _crossings(rows, links)
    rows = [list(row) for row in rows]
    for sweep in range(8):
        if not fewest:
            break
        down = sweep % 2 == 0
        for i in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            other = rows[i - 1] if down else rows[i + 1]
            place = {id(item): j for j, item in enumerate(other)}
            group = links[i - 1] if down else links[i]
            near: dict[int, list[int]] = {}
            for a, b, _ in group:
                mine, its = (b, a) if down else (a, b)
                near.setdefault(id(mine), []).append(place[id(its)])
            mean = {key: sum(places) / len(places) for key, places in near.items()}
            rows[i] = sorted(rows[i], key=lambda item, row=rows[i], mean=mean: mean.get(
                id(item), row.index(item)))
        if (count := _crossings(rows, links)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _crossings(rows: list[list], links: list[list[tuple]]) -> int:
    count = 0
    for upper, lower, group in zip(rows, rows[1:], links, strict=False):
        a = {id(item): j for j, item in enumerate(upper)}
        b = {id(item): j for j, item in enumerate(lower)}
        ends = sorted((a[id(x)], b[id(y)]) for x, y, _ in group)
        count += sum(p[0] < q[0] and p[1] > q[1] for j, q in enumerate(ends) for p in ends[:j])
    return count


def _place(rows: list[list], links: list[list[tuple]], limit: float) -> None:
    """Set each item's x, the order kept, near to straight above and below its neighbours."""
    for row in rows:
        x = (limit - _row_width(row)) / 2
        for item, following in zip(row, [*row[1:], None], strict=True):
            item.x = x
            x += item.w + _gap(item, following)
    neighbours: dict[int, list[tuple]] = {}
    main = _main_path(rows, links)
    for i, group in enumerate(links):
        for a, b, value in group:
            lane = isinstance(a, _Port) and isinstance(b, _Port) and 0 < i < len(links) - 1
            weight = (200.0 if (id(a), id(b)) in main else 8.0 if lane else
                      0.5 if isinstance(a, _Port) or isinstance(b, _Port) else 1.0)
            out, into = a.leave(value), b.enter(value)
            neighbours.setdefault(id(a), []).append((b, into - out, weight))
            neighbours.setdefault(id(b), []).append((a, out - into, weight))
    for sweep in range(60):
        before = [item.x for row in rows for item in row]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted, weights = [], []
            for item in row:
                near = neighbours.get(id(item), [])
                weight = sum(w for *_, w in near)
                wanted.append(sum((other.x + d) * w for other, d, w in near) / weight if near
                              else item.x)
                weights.append(max(weight, 0.1))
            for item, x in zip(row, _isotonic(row, wanted, weights, limit), strict=True):
                item.x = x
        after = [item.x for row in rows for item in row]
        if all(abs(a - b) < 0.05 for a, b in zip(before, after, strict=True)):
            break


def _main_path(rows: list[list], links: list[list[tuple]]) -> set[tuple[int, int]]:
    """The links that ought to be straight: upwards from the last row, as long as there is only
    one box to come from. What runs beside it, in lanes, is a shortcut."""
    main, ends = set(), {id(item) for item in rows[-1]}
    for i in range(len(links) - 1, -1, -1):
        near: dict[int, list[int]] = {}
        for a, b, _ in links[i]:
            if id(b) in ends and (isinstance(a, _Unit) or i == 0):
                near.setdefault(id(b), []).append(id(a))
        found = {(sources[0], end) for end, sources in near.items() if len(sources) == 1}
        main |= found
        ends = {source for source, _ in found} or {id(item) for item in rows[i]
                                                  if isinstance(item, _Unit)}
    return main


def _isotonic(row: list, wanted: list[float], weights: list[float], limit: float) -> list[float]:
    """The places nearest to `wanted`, by weighted squares, that keep the order and the gaps."""
    offsets = [0.0]
    for item, following in zip(row, row[1:], strict=False):
        offsets.append(offsets[-1] + item.w + _gap(item, following))
    pools: list[list[float]] = []                   # mean, weight, count
    for x, offset, weight in zip(wanted, offsets, weights, strict=True):
        pools.append([x - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, count = pools.pop()
            pools[-1][0] = (pools[-1][0] * pools[-1][1] + mean * weight) / (pools[-1][1] + weight)
            pools[-1][1] += weight
            pools[-1][2] += count
    room = max(0.0, limit - _row_width(row))
    flat = [min(max(mean, 0.0), room) for mean, _, count in pools for _ in range(int(count))]
    return [x + offset for x, offset in zip(flat, offsets, strict=True)]


def _spread(group: list[tuple]) -> list[float]:
    """Where each link of a row arrives: side by side, if several arrive at one box."""
    arriving: dict[int, list[int]] = {}
    for i, (_, b, _) in enumerate(group):
        arriving.setdefault(id(b), []).append(i)
    ends = [b.x + b.enter(value) for _, b, value in group]
    for places in arriving.values():
        b = group[places[0]][1]
        if len(places) > 1 and len({round(ends[i], 3) for i in places}) == 1:
            step = min(16.0, 0.8 * (b.w - 8) / (len(places) - 1))
            places.sort(key=lambda i: group[i][0].x + group[i][0].leave(group[i][2]))
            for j, i in enumerate(places):
                ends[i] += (j - (len(places) - 1) / 2) * step
    return ends


def _move(boxes: list[Box], paths: list[Line], dx: float, dy: float) -> None:
    for box in boxes:
        box.x, box.y = box.x + dx, box.y + dy
    for path in paths:
        path.points = [(x + dx, y + dy) for x, y in path.points]


def _all(boxes: list[Box]) -> list[Box]:
    """The boxes and all that is in them."""
    return [one for box in boxes for one in (box, *_all(box.inner))]


# ── marks ────────────────────────────────────────────────────────────────────────────


def _write_box(out: list[str], box: Box, inside: Callable[[], None]) -> None:
    node = "" if box.node is None else f' data-node="{box.node}"'
    out.append(f'<g class="{"frame" if box.kind == "frame" else "box"}" role="graphics-symbol img" '
               f'data-name={quoteattr(box.name)} data-kind="{box.kind}"{node} '
               f'aria-label={quoteattr(box.tip)} transform="translate({_n(box.x)} {_n(box.y)})">'
               f"<title>{escape(box.tip)}</title>")
    size = f'width="{_n(box.w)}" height="{_n(box.h)}"'
    if box.kind == "frame":
        out.append(f'<rect {size} rx="6" fill="#f7f8fa" stroke="#7d8894"/>'
                   f'<path d="M0.5 {_n(box.head)}H{_n(box.w - 0.5)}V6a5.5 5.5 0 0 0-5.5-5.5H6a5.5 '
                   f'5.5 0 0 0-5.5 5.5z" fill="#dfe4ea"/>')
    elif box.kind in ("join", "data"):
        out.append(f'<rect {size} rx="{11 if box.kind == "join" else 6}" fill="#ffffff" '
                   f'stroke="#222222" stroke-width="1.3"/>')
    else:
        fill, stripe, _ = KINDS[box.kind]
        if box.times > 1:
            out.append(f'<path d="M5 {_n(box.h)}v3H{_n(box.w + 3)}V5h-3" fill="none" '
                       f'stroke="{stripe}"/>')
        out.append(f'<rect {size} fill="{fill}" stroke="{stripe}" stroke-width="0.8"/>'
                   f'<rect width="5" height="{_n(box.h)}" fill="{stripe}"/>')
    out.append('<g fill="#111111">' + "".join(map(_text, box.lines)) + "</g>")
    inside()
    out.append("</g>")


def _text(line: tuple) -> str:
    x, y, anchor, size, bold, text = line
    return (f'<text x="{_n(x)}" y="{_n(y)}"'
            + (f' text-anchor="{anchor}"' if anchor != "start" else "")
            + (f' font-size="{_n(size)}"' if size != 11 else "")
            + (' font-weight="bold"' if bold else "") + f">{escape(text)}</text>")


def _path(path: Line) -> str:
    (x, y), *rest = path.points
    d = f"M{_n(x)} {_n(y)}"
    for x2, y2 in rest:
        middle = (y + y2) / 2
        d += f"V{_n(y2)}" if abs(x2 - x) < 0.5 else (
            f"C{_n(x)} {_n(middle)} {_n(x2)} {_n(middle)} {_n(x2)} {_n(y2)}")
        x, y = x2, y2
    return f'<path d="{d}"' + (' marker-end="url(#arrow)"' if path.arrow else "") + "/>"


def _legend(kinds: set[str], width: float) -> tuple[str, float]:
    """A swatch and a word for each kind in the drawing; and how high that is."""
    parts, x, y = [], float(PAD), 6.0
    for kind, (fill, stripe, _) in KINDS.items():
        if kind not in kinds or kind in ("join", "data"):
            continue
        word = {"block": "container, folded", "other": "other layers"}.get(kind, kind)
        w = 22 + _text_width(word, 11) + 16
        if x + w > width:
            x, y = float(PAD), y + 20
        parts.append(f'<rect x="{_n(x)}" y="{_n(y)}" width="16" height="12" fill="{fill}" '
                     f'stroke="{stripe}" stroke-width="0.8"/><rect x="{_n(x)}" y="{_n(y)}" '
                     f'width="5" height="12" fill="{stripe}"/>'
                     + _text((x + 22, y + 10, "start", 11, False, word)))
        x += w
    return "".join(parts), y + 24


def _n(number: float) -> str:
    """A number with at most one decimal."""
    return f"{number:.1f}".removesuffix(".0")
