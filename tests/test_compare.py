"""The chart of accuracy against operations: its numbers, what one reads off it, its labels."""
import argparse
import functools
import itertools
import json
import math

import numpy as np
import pytest

from scratchnet import compare, models
from scratchnet.layer import Layer
from scratchnet.layers import Conv2d, Flatten, Linear, ReLU, Sequential

NETWORKS = {entry.name: entry for entry in compare.networks()}
QUICK = sorted(name for name in set(NETWORKS) & set(models.list_models())
               if NETWORKS[name].macs < 1e9 and NETWORKS[name].params < 1e7)


def small():
    return Sequential(Conv2d(3, 4, 3, rng=0), ReLU(), Flatten(), Linear(4 * 6 * 6, 10, rng=0))


def run(*arguments):
    parser = argparse.ArgumentParser()
    compare.add_command(parser.add_subparsers())
    options = parser.parse_args(["compare", *arguments])
    return options.run(options)


# ── the numbers ──────────────────────────────────────────────────────────────────────


def test_every_accuracy_is_a_percentage_with_a_source():
    assert len(NETWORKS) == len(compare.networks()) > 30
    for entry in NETWORKS.values():
        if entry.top1 is None:
            assert entry.source is None and entry.status is None
            continue
        assert 50 < entry.top1 < (entry.top5 or 100) <= 100
        assert entry.source and entry.status in ("read", "recalled", "metadata")
        assert entry.crops in (1, 10, None)
        assert entry.retrained is None or entry.top1 < entry.retrained < 100
        assert entry.family in compare.COLOURS
        assert 1998 < entry.year < 2020


def test_known_numbers():
    """AlexNet's parameters as its file adds them up; VGG-16's and ResNet-50's as everywhere."""
    assert NETWORKS["alexnet"].params == 60_965_224 and NETWORKS["alexnet"].macs == 724_406_816
    assert NETWORKS["vgg16"].params == 138_357_544
    assert NETWORKS["resnet50"].params == 25_557_032
    assert (NETWORKS["resnet50"].top1, NETWORKS["resnet50"].retrained) == (76.13, 80.858)
    assert NETWORKS["vgg16"].memory == 4 * 138_357_544 + NETWORKS["vgg16"].activations


def test_activations_of_vgg16_by_hand():
    """The 13 maps of VGG-16 and its three linear outputs, as its table lists them."""
    maps = [(64, 224)] * 2 + [(128, 112)] * 2 + [(256, 56)] * 3 + [(512, 28)] * 3 + [(512, 14)] * 3
    values = sum(c * size * size for c, size in maps) + 4096 + 4096 + 1000
    assert NETWORKS["vgg16"].activations == 4 * values


@pytest.mark.parametrize("name", QUICK)
def test_our_networks_cost_what_the_table_says(name):
    mine = compare.point(name, models.get_model(name), models.input_shape(name), 50)
    table = NETWORKS[name]
    assert (mine.params, mine.macs, mine.activations) == (
        table.params, table.macs, table.activations)


def test_networks_of_the_same_design_are_in_order():
    assert [entry.year for entry in compare.networks()] == sorted(
        entry.year for entry in compare.networks())
    for line in compare._series(compare.networks()):
        assert [entry.macs for entry in line] == sorted(entry.macs for entry in line)
    names = {tuple(entry.name for entry in line) for line in compare._series(compare.networks())}
    assert ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152") in names
    assert not any("mobilenet_v1" in line for line in names)


# ── the sentence that must be readable ───────────────────────────────────────────────


def test_vgg_has_the_most_operations_and_the_most_memory():
    vgg = [e for e in NETWORKS.values() if e.family == "VGG"]
    others = [e for e in NETWORKS.values() if e.family != "VGG"]
    assert NETWORKS["vgg19"].macs > max(e.macs for e in others)
    assert min(e.memory for e in vgg) > max(e.memory for e in others)


def test_alexnet_has_few_operations_and_many_parameters():
    four = [NETWORKS[name] for name in compare.READING]
    alexnet = NETWORKS["alexnet"]
    assert alexnet.macs == min(e.macs for e in four)
    assert alexnet.params > 2 * NETWORKS["resnet50"].params
    published = [e for e in NETWORKS.values() if e.top1 and e.year < 2016]
    few = sorted(published, key=lambda e: e.macs / e.params)[:3]
    assert "alexnet" in [e.name for e in few]


def test_googlenet_is_efficient():
    googlenet, alexnet = NETWORKS["googlenet"], NETWORKS["alexnet"]
    four = [NETWORKS[name] for name in compare.READING]
    assert googlenet.params == min(e.params for e in four)
    assert googlenet.memory == min(e.memory for e in four)
    assert googlenet.top1 > alexnet.top1 + 10 and googlenet.macs < NETWORKS["vgg11"].macs / 4


def test_resnet_lies_between_googlenet_and_vgg_and_above_both():
    low, resnet, high = (NETWORKS[name] for name in ("googlenet", "resnet50", "vgg19"))
    for cost in ("macs", "params", "memory"):
        assert getattr(low, cost) < getattr(resnet, cost) < getattr(high, cost)
    assert resnet.top1 > max(low.top1, high.top1)


# ── the table ────────────────────────────────────────────────────────────────────────


def test_the_table_has_every_network_and_its_source():
    text = compare.table()
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    for name in NETWORKS:
        assert name in rows
    assert rows["vgg16"].split() == ["vgg16", "2014", "71.6", "90.4", "–", "15.47", "G", "138.4",
                                     "M", "51.7", "MiB", "579.5", "MiB", "[4]"]
    assert rows["[4]"].startswith("[4] torchvision")
    assert rows["preact_resnet50"].split()[2:4] == ["–", "–"]
    assert max(map(len, text.splitlines())) < 150


def test_recalled_numbers_are_marked_and_no_others():
    text = compare.table()
    marked = {line.split()[0] for line in text.splitlines() if line.endswith("]*")}
    assert marked == {e.name for e in NETWORKS.values() if e.status == "recalled"} != set()
    assert "* " in text and "not checked" in text


def test_the_four_lines_of_the_sentence_stand_under_the_table():
    text = compare.table()
    for name, note in compare.READING.items():
        line, = (line for line in text.splitlines() if note in line)
        assert NETWORKS[name].label in line
        assert f"{NETWORKS[name].memory / 2**20:.1f} MiB" in line


def test_my_model_is_the_last_row():
    mine = compare.point("mine", small(), (3, 8, 8), 12.5)
    rows = compare.table([mine]).split("\n\n")[0].splitlines()
    assert rows[-1].split()[:3] == ["mine", "–", "12.5"]


# ── my own model ─────────────────────────────────────────────────────────────────────


def test_my_model_by_hand():
    """3 → 4 channels, 3×3, of 8×8: 3·3·3·4 + 4 = 112 parameters; 4·6·6 = 144 outputs of 27 MACs
    each. Then 144·10 + 10 parameters, 10 outputs of 144 MACs."""
    mine = compare.point("mine", small(), (3, 8, 8), 12.5)
    assert mine.params == 112 + 1450
    assert mine.macs == 144 * 27 + 10 * 144
    assert mine.activations == 4 * (144 + 10)
    assert mine.memory == 4 * (1562 + 154)
    assert (mine.label, mine.top1, mine.family) == ("mine", 12.5, compare.YOURS)


def test_layers_that_only_train_do_not_count():
    class WithHead(Layer):
        def __init__(self):
            self.body, self.head = Linear(3, 4, rng=0), Linear(4, 5, rng=0)

        def forward(self, x):
            y = self.body(x)
            return (y, self.head(y)) if self.training else y

    assert compare.point("mine", WithHead(), (3,), 50).params == 3 * 4 + 4


@pytest.mark.parametrize("top1", [-0.1, 100.5, math.nan, "73", None, True])
def test_a_top1_that_is_no_percentage(top1):
    with pytest.raises(ValueError, match="top1 is an accuracy in %, a number from 0 to 100; got"):
        compare.point("mine", small(), (3, 8, 8), top1)


def test_a_model_without_macs_has_no_place():
    with pytest.raises(ValueError, match="no convolution and no linear layer"):
        compare.point("mine", ReLU(), (3, 8, 8), 50)


# ── the chart ────────────────────────────────────────────────────────────────────────


def mine(name, params, macs, top1):
    return compare.Entry(name, name, None, compare.YOURS, top1, None, params, macs, 1000)


EXTRAS = [[], [mine("mine", 12 * 10**6, 2 * 10**9, 73.1)],
          [mine("tiny", 60_000, 4 * 10**6, 31.5), mine("huge", 2 * 10**8, 6 * 10**10, 66.0)]]


@functools.cache
def figure_with(number):
    """The chart with EXTRAS[number], drawn once for all tests that only look at it."""
    figure = compare.chart(EXTRAS[number])
    figure.canvas.draw()
    return figure


def labels(figure):
    return [text for text in figure.axes[0].texts if text.get_text()]


def box(text):
    """The words of a label alone, without the line that leads to its dot."""
    from matplotlib.text import Text
    return Text.get_window_extent(text)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_label_covers_a_dot_or_another_label(number):
    figure, extra = figure_with(number), EXTRAS[number]
    axes, pixel = figure.axes[0], figure.dpi / 72
    boxes = [box(text) for text in labels(figure)]
    assert len(boxes) >= 15
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    for entry in [e for e in [*NETWORKS.values(), *extra] if e.top1]:
        x, y = axes.transData.transform((entry.macs, entry.top1))
        radius = pixel * math.sqrt(compare._area(entry.params) / math.pi)
        for b in boxes:
            gap = np.hypot(max(b.x0 - x, 0, x - b.x1), max(b.y0 - y, 0, y - b.y1))
            assert gap > radius, (entry.name, b)
            assert axes.bbox.x0 <= b.x0 and b.x1 <= axes.bbox.x1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_networks_of_the_sentence_and_mine_are_always_labelled(number):
    texts = [text.get_text() for text in labels(figure_with(number))]
    for name, note in compare.READING.items():
        assert f"{NETWORKS[name].label}\n{note}" in texts
    assert {e.label for e in EXTRAS[number]} <= set(texts)
    assert "plain-18*" in texts                     # recalled: marked here too


def test_mine_may_have_the_name_of_a_published_network_and_stays_mine():
    extra = mine("googlenet", 13 * 10**6, 3 * 10**9, 60.0)
    texts = [text.get_text() for text in labels(compare.chart([extra]))]
    assert "googlenet" in texts and f"GoogLeNet\n{compare.READING['googlenet']}" in texts
    assert compare.table([extra]).count(compare.READING["googlenet"]) == 1


def dots(figure):
    """{(MACs, top-1): (area, hollow, star)} of what is drawn."""
    found = {}
    for path in figure.axes[0].collections:
        for place in path.get_offsets():
            corners = len(path.get_paths()[0].vertices)
            found.setdefault(tuple(map(float, place)), []).append(
                (path.get_sizes()[0], not len(path.get_facecolor()), corners < 15))
    return found


def test_a_dot_stands_at_its_numbers_and_its_area_is_its_parameters():
    drawn = dots(figure_with(0))
    assert set(drawn) == {(e.macs, e.top1) for e in NETWORKS.values() if e.top1}
    for entry in NETWORKS.values():
        if entry.top1 is None:
            continue
        (area, hollow, star), = drawn[entry.macs, entry.top1]
        assert area / entry.params == pytest.approx(15e-6)
        assert hollow == (entry.crops == 10) and not star


def test_mine_is_a_star_in_a_ring_of_its_area():
    extra = EXTRAS[1][0]
    ring, star = dots(figure_with(1))[extra.macs, extra.top1]
    assert ring == (pytest.approx(15e-6 * extra.params), True, False)
    assert star[2]


def test_the_chart_is_the_same_each_time():
    again = [text.get_position() for text in labels(compare.chart())]
    assert again == [text.get_position() for text in labels(figure_with(0))]


# ── the command ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix, begins", [
    ("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_command_prints_the_table_and_writes_the_chart(capsys, tmp_path, suffix, begins):
    path = tmp_path / f"chart.{suffix}"
    assert run("--out", str(path)) == 0
    assert path.read_bytes().startswith(begins)
    out = capsys.readouterr().out
    assert compare.table() in out and str(path) in out


def test_the_command_adds_a_model_by_name(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(models, "get_model", lambda name: small())
    monkeypatch.setattr(models, "input_shape", lambda name: (3, 8, 8), raising=False)
    assert run("--out", str(tmp_path / "c.png"), "--model", "mine", "--top1", "12.5") == 0
    assert "mine " in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    (["--out", "chart.bmp"], "a file name that ends in .png, .svg or .pdf; got 'chart.bmp'"),
    (["--out", "chart"], "--out expects a file name that ends in"),
    (["--model", "alexnet"], "--model and --top1 belong together"),
    (["--top1", "60"], "--model and --top1 belong together"),
    (["--model", "alexnt", "--top1", "60"], "unknown model 'alexnt': did you mean 'alexnet'?"),
])
def test_wrong_usage_is_one_line_and_status_2(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert not list(tmp_path.iterdir())


def test_a_top1_out_of_range_is_status_2(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(models, "get_model", lambda name: small())
    monkeypatch.setattr(models, "input_shape", lambda name: (3, 8, 8), raising=False)
    assert run("--out", str(tmp_path / "c.png"), "--model", "mine", "--top1", "732") == 2
    assert "from 0 to 100; got 732.0" in capsys.readouterr().err


def test_a_chart_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert run("--out", str(tmp_path / "file" / "chart.png")) == 2
    captured = capsys.readouterr()
    assert "choose another file with --out" in captured.err and not captured.out


def test_the_data_file_is_what_networks_returns():
    data = json.loads((compare.files("scratchnet") / "accuracies.json").read_text("utf-8"))
    assert [row["name"] for row in data["networks"]] == list(NETWORKS)
    used = {row["source"] for row in data["networks"]} - {None}
    assert used == set(data["sources"])
