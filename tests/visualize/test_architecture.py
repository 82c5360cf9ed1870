"""Drawings of networks: what is on them, and that nothing overlaps, measured on the SVG itself."""
import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from test_structure import LARGE, Container

from scratchnet import models
from scratchnet.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    ReLU,
    Residual,
    Sequential,
)
from scratchnet.structure import structure
from scratchnet.visualize import architecture
from scratchnet.visualize.architecture import draw

SVG = "{http://www.w3.org/2000/svg}"


class Drawing:
    """What a reader of the SVG sees: boxes, frames, texts and lines, with absolute places."""

    def __init__(self, svg):
        self.root = ElementTree.fromstring(svg)
        self.w, self.h = float(self.root.get("width")), float(self.root.get("height"))
        self.boxes, self.texts, self.lines = [], [], []     # boxes: (element, x, y, w, h, around)
        self.walk(self.root, 0, 0, ())

    def walk(self, element, x, y, around):
        if move := re.match(r"translate\((\S+) (\S+)\)", element.get("transform", "")):
            x, y = x + float(move[1]), y + float(move[2])
        tag = element.tag.removeprefix(SVG)
        if element.get("data-kind"):
            size = element.find(f"{SVG}rect")
            self.boxes.append((element, x, y, float(size.get("width")), float(size.get("height")),
                               around))
            around = (*around, len(self.boxes) - 1)
        if tag == "text":
            size, bold = float(element.get("font-size", 11)), element.get("font-weight") == "bold"
            w = architecture._text_width(element.text, size, bold)
            left = x + float(element.get("x")) - w * (element.get("text-anchor") == "middle") / 2
            self.texts.append((element.text, size, left, y + float(element.get("y")) - size * 0.8,
                               w, size, around))
        if tag == "path" and element.get("marker-end") is not None:
            self.lines.append((element, x, y))
        for child in element if tag not in ("defs", "marker") else ():
            self.walk(child, x, y, around)

    def named(self):
        return [element.get("data-name") for element, *_ in self.boxes]

    def words(self):
        return [text for text, *_ in self.texts]


def overlap(a, b, slack=0.2):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    return (ax + slack < bx + bw and bx + slack < ax + aw
            and ay + slack < by + bh and by + slack < ay + ah)


def inside(a, b, slack=0.2):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    return (ax >= bx - slack and ay >= by - slack and ax + aw <= bx + bw + slack
            and ay + ah <= by + bh + slack)


def assert_readable(svg):
    """Page width, letters large enough, nothing on top of anything else."""
    drawing = Drawing(svg)
    page = (0, 0, drawing.w, drawing.h)
    assert drawing.w <= architecture.WIDTH
    places = [box[1:5] for box in drawing.boxes]
    by_parent = {}
    for i, box in enumerate(drawing.boxes):
        by_parent.setdefault(box[5], []).append(places[i])
        assert inside(places[i], places[box[5][-1]] if box[5] else page)
    for siblings in by_parent.values():
        for a, b in combinations(siblings, 2):
            assert not overlap(a, b)
    texts = {}
    for text, size, x, y, w, h, around in drawing.texts:
        assert size >= 11
        assert inside((x, y, w, h), places[around[-1]] if around else page), text
        texts.setdefault(around, []).append((x, y, w, h))
    for around, mine in texts.items():
        for a, b in combinations(mine, 2):
            assert not overlap(a, b)
        for child in by_parent.get(around, []) if around else []:
            assert not any(overlap(text, child) for text in mine)
    return drawing


MANY_BOXES = ("nasnet_small", "inception_v4_small", "inception_resnet_v2_small")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE or name in MANY_BOXES else name
    for name in models.list_models()])
def test_all_networks_are_readable_at_page_width(name):
    net = structure(models.get_model(name, rng=0), models.input_shape(name))
    for open in range(5):
        drawing = assert_readable(draw(net, open=open))
        assert drawing.lines


def test_the_cells_of_nasnet_alone():
    net = structure(models.nasnet_small(rng=0), (1, 32, 32))
    for cell, inputs in (("reduction_cell_0", {"cell_0", "cell_stem_0"}),
                         ("cell_1", {"reduction_cell_0", "cell_0"})):
        drawing = assert_readable(draw(net, open=1, block=cell))
        assert sum(word == "+" for word in drawing.words()) == 5 and "concat" in drawing.words()
        assert inputs <= set(drawing.words())


# ── what is on it ────────────────────────────────────────────────────────────────────


def test_worked_example():
    net = Sequential(conv1=Conv2d(1, 4, 5, stride=2, padding=2, rng=0), relu1=ReLU(),
                     flatten=Flatten(), fc=Linear(4 * 4 * 4, 10, rng=0))
    drawing = assert_readable(draw(net, (1, 8, 8), title="tiny"))
    assert drawing.named() == ["input", "conv1", "relu1", "flatten", "fc"]
    words = drawing.words()
    for word in ("tiny", "1 × 8 × 8", "5×5 convolution, stride 2", "→ 4 × 4 × 4", "104 params",
                 "ReLU", "→ 64", "fully connected", "→ 10", "650 params", "convolution", "linear"):
        assert word in words
    assert "754 parameters · 2,240 multiply-accumulates for one image" in words
    assert len(drawing.lines) == 2              # ReLU and Flatten are attached to the convolution


def test_folded_and_open():
    net = structure(models.googlenet_small(rng=0), (1, 32, 32))
    folded, one, all_open = (Drawing(draw(net, open=open)).named() for open in (0, 1, 9))
    assert "inception_3a" in folded and "inception_3a.b1.conv" not in folded
    assert {"inception_3a", "inception_3a.b2"} <= set(one)
    assert "inception_3a.b2.conv.conv" not in one and "inception_3a.b2.conv.conv" in all_open
    named = [node.name for node in net.nodes]
    assert [name for name in all_open if name in named] != [] and set(named) <= set(all_open)


def test_a_shortcut_passes_beside_what_it_skips():
    """The identity is a line: it ends at the sum, and crosses no box on its way."""
    net = Residual(conv1=Conv2d(3, 3, 3, padding=1, rng=0), conv2=Conv2d(3, 3, 3, padding=1, rng=0))
    drawing = assert_readable(draw(net, (3, 8, 8)))
    assert drawing.named() == ["input", "conv1", "conv2", "add"]
    assert "downsample" not in drawing.named()
    boxes = {element.get("data-name"): place for element, *place, _ in drawing.boxes}
    right = boxes["conv1"][0] + boxes["conv1"][2]
    xs = [float(match) for path in drawing.root.iter(f"{SVG}path")
          for match in re.findall(r"M(\S+) \S+V", path.get("d")) if path.get("fill") is None]
    assert max(xs) > right                      # a vertical stretch of line to the right of both


def lines_cross_boxes(svg):
    """(line, box) for each vertical stretch of a line that runs through a box."""
    drawing = Drawing(svg)
    found = []
    parents = {child: parent for parent in drawing.root.iter() for child in parent}
    for path in drawing.root.iter(f"{SVG}path"):
        group = parents.get(path)
        if group is None or group.get("class") != "edges":
            continue
        x0 = y0 = 0.0
        above = group
        while above is not None:
            if move := re.match(r"translate\((\S+) (\S+)\)", above.get("transform", "")):
                x0, y0 = x0 + float(move[1]), y0 + float(move[2])
            above = parents.get(above)
        frame = parents[group].get("data-name") if parents[group].get("data-kind") else None
        x, y, stretches = None, None, []
        for command, numbers in re.findall(r"([MVC])([^MVC]*)", path.get("d")):
            values = [float(n) for n in numbers.split()]
            if command == "V":
                stretches.append((x, min(y, values[0]), max(y, values[0])))
                y = values[0]
            else:
                x, y = values[-2:]
        for element, bx, by, bw, bh, _ in drawing.boxes:
            for sx, low, high in stretches:
                if (element.get("data-name") != frame and bx + 1 < sx + x0 < bx + bw - 1
                        and low + y0 < by + bh - 1 and high + y0 > by + 1
                        and element.get("data-kind") != "frame"):
                    found.append((path.get("d"), element.get("data-name")))
    return found


@pytest.mark.parametrize("name", ["resnet_small", "densenet_small", "nasnet_small",
                                  "googlenet_small", "efficientnet_small"])
def test_no_line_runs_through_a_box(name):
    net = structure(models.get_model(name, rng=0), models.input_shape(name))
    for open in (0, 1, 2) if name != "nasnet_small" else (0, 1):
        assert lines_cross_boxes(draw(net, open=open)) == []


def test_equal_containers_in_a_row_are_drawn_once():
    net = structure(models.cifar_resnet20(rng=0), (3, 32, 32))
    drawing = Drawing(draw(net, open=1))
    assert "0 … 2" in drawing.words() and "×3" in drawing.words()   # layer1: three equal blocks
    assert "1 … 2" in drawing.words() and "×2" in drawing.words()   # layer2: the first differs
    assert "layer1.1" not in drawing.named()
    every = Drawing(draw(net, open=1, repeats=True))
    assert {"layer1.0", "layer1.1", "layer1.2"} <= set(every.named())


def test_dense_layers_are_equal_though_their_inputs_grow_and_inceptions_are_not():
    dense = Drawing(draw(models.densenet_small(rng=0), (1, 32, 32)))
    assert dense.words().count("×4") == 3 and "→ 36 … 72 × 16 × 16" in dense.words()
    inception = Drawing(draw(models.googlenet_small(rng=0), (1, 32, 32)))
    assert {"inception_3a", "inception_4a", "inception_4b"} <= set(inception.named())


def test_groups_are_marked():
    assert "5×5 convolution, 2 groups" in Drawing(
        draw(models.alexnet_small(rng=0), (1, 32, 32))).words()


def test_folded_chains_say_what_they_compute():
    net = Concat(a=Sequential(Sequential(Conv2d(3, 2, 1, rng=0), ReLU()),
                              Sequential(Conv2d(2, 2, 3, padding=1, rng=0), ReLU())),
                 b=Identity())
    assert "1×1 → 3×3" in Drawing(draw(net, (3, 5, 5), open=0)).words()


def test_a_container_that_cannot_be_watched_is_one_box():
    odd = Container(lambda net, x: net.conv(x) * float(x.max()), conv=Conv2d(1, 1, 1, rng=0))
    drawing = assert_readable(draw(Sequential(BatchNorm2d(1), odd), (1, 4, 4), open=3))
    assert drawing.named() == ["input", "0", "1"]


# ── the file ─────────────────────────────────────────────────────────────────────────


def test_names_tooltips_and_labels():
    net = structure(models.lenet5(rng=0), (1, 32, 32))
    drawing = Drawing(draw(net))
    for element, *_ in drawing.boxes:
        assert element.get("role") and element.get("aria-label")
        assert element.find(f"{SVG}title").text == element.get("aria-label")
    nodes = {e.get("data-name"): net.nodes[int(e.get("data-node"))].name for e, *_ in drawing.boxes}
    assert nodes == {name: name for name in nodes} and "C3" in nodes
    assert "60,000" in drawing.root.get("aria-label")


def test_hostile_names_are_text():
    net = Sequential(**{'<script>"&': ReLU(), "a" * 90: ReLU()})
    drawing = assert_readable(draw(net, (1, 2, 2), title="<b>"))
    assert '<script>"&' in drawing.named() and "<b>" in drawing.words()


@pytest.mark.parametrize("open", [-1, 1.5, True, "2"])
def test_open_is_a_whole_number(open):
    with pytest.raises(ValueError, match="how many levels"):
        draw(ReLU(), (1, 2, 2), open=open)


def test_a_block_that_is_not_there():
    with pytest.raises(ValueError, match="no container 'layer9'.*nearest are layer"):
        draw(models.resnet_small(rng=0), (1, 32, 32), block="layer9")


def test_command(tmp_path, capsys):
    import argparse
    parser = argparse.ArgumentParser()
    architecture.add_command(parser.add_subparsers())

    def look(*arguments):
        options = parser.parse_args(["network", *arguments])
        return options.run(options)

    path = tmp_path / "net.svg"
    assert look("resnet_small", "--open", "0", "--out", str(path)) == 0
    assert "resnet_small" in Drawing(path.read_text(encoding="utf-8")).words()
    assert look("resnet_small", "--block", "layer1.0", "--out", str(path)) == 0
    assert "resnet_small, layer1.0" in Drawing(path.read_text(encoding="utf-8")).words()
    for wrong, words in ((("resnet_smal",), "did you mean"), (("lenet5", "--open", "x"), "--open"),
                         (("lenet5", "--out", str(tmp_path / "no" / "a.svg")), "no folder")):
        assert look(*wrong) == 2
        assert words in capsys.readouterr().err
