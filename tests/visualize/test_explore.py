"""The page to explore: what is written into it is what the network computes."""
import argparse
import base64
import copy
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from scratchnet import cost, layers, models, naive, training
from scratchnet.layer import Layer
from scratchnet.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
)
from scratchnet.training.finite import generators
from scratchnet.visualize.drawn import drawn
from scratchnet.visualize.explore import add_command, explore, listen, pictures, window, words


def read(page):
    """The data in a page."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]
    return json.loads(text)


def layer_of(data, name):
    return next(layer for layer in data["layers"] if layer["name"] == name)


def small(rng=0):
    return Sequential(conv=Conv2d(1, 4, 3, stride=2, padding=1, rng=rng), bn=BatchNorm2d(4),
                      relu=ReLU(), drop=Dropout(0.5, rng=1), pool=MaxPool2d(2),
                      flatten=Flatten(), fc=Linear(4 * 4 * 4, 10, rng=rng))


def floats(text, *shape):
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(shape)


class Elements(HTMLParser):
    """What a browser would make of a page: its tags, and the attributes that fetch."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.fetched = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes
                         if name in ("src", "href", "xlink:href", "srcset", "action")]


@pytest.fixture(scope="module")
def zfnet():
    model = models.zfnet_small(rng=0)
    return model, explore(model, (1, 32, 32), title="zfnet_small", note="untrained")


def test_costs_are_those_of_the_summary(zfnet):
    model, page = zfnet
    data, table = read(page), cost.summary(model, (1, 32, 32))
    assert (data["params"], data["macs"]) == (table.params, table.macs)
    for row in table.rows:
        layer = layer_of(data, row.name)
        assert (layer["params"], layer["macs"]) == (row.params, row.macs)
        assert tuple(layer["out"]) == row.output_shape
    assert layer_of(data, "conv1")["sum"] == "5·5·1·32 + 32"
    assert layer_of(data, "")["params"] == table.params
    assert [layer["name"] for layer in data["layers"]] == [n for n, _ in model.named_layers()]


def test_the_page_is_small_and_asks_for_nothing(zfnet):
    _, page = zfnet
    assert len(page.encode()) < 5e6
    elements = Elements(page)
    assert elements.tags.count("script") == 2
    assert not elements.fetched             # its pictures are put in by the script, as data:
    assert all(image["png"].startswith("data:image/png;") for image in read(page)["images"])


def test_the_security_policy_allows_this_script_alone(zfnet):
    _, page = zfnet
    script = re.findall(r"<script>(.*?)</script>", page, re.S)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_a_page_of_many_layers_holds_less_of_each():
    data = read(explore(models.nasnet_small(rng=0), (1, 32, 32)))
    assert len(data["images"]) == 1
    wide = [layer["maps"]["said"] for layer in data["layers"]
            if layer["maps"] and "maps of" in layer["maps"]["said"]]
    assert any(said.startswith("the first 8 of ") for said in wide)


def test_nothing_in_the_model_changes():
    model = small().train()
    model.forward(np.ones((2, 1, 16, 16), dtype=np.float32))
    for parameter in model.parameters():
        parameter.grad += 1
    memory = model.fc._memory
    state, states = model.state_dict(), {n: g.bit_generator.state
                                         for n, g in generators(model).items()}
    explore(model, (1, 16, 16))
    assert model.fc._memory is memory and all(layer.training for _, layer in model.named_layers())
    assert all((p.grad == 1).all() for p in model.parameters())
    assert {n: g.bit_generator.state for n, g in generators(model).items()} == states
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert not any("forward" in vars(layer) for _, layer in model.named_layers())


# ── the runs ─────────────────────────────────────────────────────────────────────────


def test_a_look_is_the_networks_own_forward_and_backward():
    model = small().eval()
    x = np.random.default_rng(0).random((1, 1, 16, 16), dtype=np.float32)
    looked = listen.look(copy.deepcopy(model), x, 3)
    y = model.conv.forward(x)
    np.testing.assert_array_equal(looked.layers["conv"].y, y)
    p = looked.probabilities
    np.testing.assert_allclose(looked.layers["fc"].dy[0], p - np.eye(10)[3], atol=1e-6)
    for name in ("bn", "relu", "drop", "pool", "flatten", "fc"):
        y = model[name].forward(y)
    d = np.float32(p - np.eye(10)[3])[None]
    for name in ("fc", "flatten", "pool", "drop", "relu", "bn"):
        d = model[name].backward(d)
    np.testing.assert_allclose(looked.layers["conv"].dy, d, rtol=1e-4, atol=1e-7)
    assert looked.target == 3 and not looked.problem


def test_without_a_label_the_networks_answer_is_run_backwards():
    model, x = small().eval(), np.ones((1, 1, 16, 16), dtype=np.float32)
    assert listen.look(model, x, None).target == model.forward(x)[0].argmax()


def test_gradient_statistics_are_those_of_one_step_of_training():
    model = Sequential(conv=Conv2d(1, 5, 3, rng=0), bn=BatchNorm2d(5), relu=ReLU(),
                       flatten=Flatten(), fc=Linear(20, 3, rng=1))
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 8)
    used = copy.deepcopy(model).eval()
    used.fc.weight.grad += 1                    # gradients of before do not count
    found = listen.batch(used, x, labels)
    loss = SoftmaxCrossEntropy()
    value = loss.forward(model.forward(x), labels)
    model.backward(loss.backward())
    assert found.loss == pytest.approx(float(value))
    for name in ("conv", "bn", "fc"):
        ours = found.layers[name]["parameters"]["weight"]
        assert ours["rms"] == pytest.approx(np.sqrt((model[name].weight.grad**2).mean()), rel=1e-5)
        assert ours["value"] == pytest.approx(np.sqrt((model[name].weight.value**2).mean()),
                                              rel=1e-5)


def test_sizes_by_hand():
    one = listen.sizes(np.array([3.0, -4.0, 0.0, 1e-4, 1e-15, 1e5]))
    assert one["rms"] == pytest.approx(np.sqrt((9 + 16 + 1e10) / 6))
    assert one["zeros"] == pytest.approx(1 / 6) and one["bad"] == 0
    bins = {i: n for i, n in enumerate(one["bins"]) if n}
    assert bins == {0: 1, 12: 1, 20: 1, 21: 1, 23: 1}       # 10^−4 begins bin 12, √10 bin 21
    broken = listen.sizes(np.array([1.0, np.nan]))
    assert broken["rms"] is None and broken["bad"] == 0.5


def test_times_are_measured_for_every_layer_and_blocks_take_as_long_as_their_layers():
    model = copy.deepcopy(small())
    images = np.ones((16, 1, 16, 16), dtype=np.float32)
    found = listen.times(model, images, np.arange(16) % 10)
    assert found.keys() == {name for name, _ in model.named_layers()}
    assert all(there > 0 and back > 0 for there, back in found.values())
    assert found[""][0] > found["conv"][0]
    assert listen.times(model, images, None)["conv"][1] is None


# ── the window ───────────────────────────────────────────────────────────────────────


def windowed(layer, x, side=48):
    """The window's numbers, checked for their shapes: ({name: array}, all of it)."""
    rng = np.random.default_rng(1)
    y = layer.forward(x)
    dy = rng.standard_normal(y.shape).astype(y.dtype)
    found = window.numbers(layer, [listen.Seen((x,), y, dy, layer.backward(dy))], side)
    inside = [b - a for a, b in (found["rows"], found["columns"])]
    outside = [b - a for a, b in (found["outRows"], found["outColumns"])]
    arrays = {name: floats(found[name][0], *(inside if "x" in name else outside))
              for name in ("x", "y", "dy", "dx")}
    return arrays, found


@pytest.mark.parametrize("side", [48, 7])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": (2, 1)},
                                     {"stride": (1, 3), "padding": (2, 0), "dilation": 2}])
def test_the_windows_numbers_make_the_output_and_the_gradient(options, side):
    layer = Conv2d(3, 3, (3, 2), groups=3, rng=0, **options)     # each output sees one map only
    layer.bias.value += np.arange(3, dtype=np.float32)
    x = np.random.default_rng(0).standard_normal((1, 3, 13, 11)).astype(np.float32)
    a, found = windowed(layer, x, side)
    assert found["c"] == found["o"] and found["others"] == [1, 1]
    (i0, i1), (j0, j1) = found["outRows"], found["outColumns"]
    (r0, r1), (q0, q1) = found["rows"], found["columns"]
    if side == 7:
        assert (r1 - r0, q1 - q0) < (13, 11)
    w = floats(found["w"], 3, 2)
    (sv, sh), (pv, ph), (dv, dh) = found["stride"], found["padding"], found["dilation"]
    dx, complete = np.zeros_like(a["dx"]), (i0, j0, i1, j1) == (0, 0, *found["out"])
    for i in range(i0, i1):
        for j in range(j0, j1):
            total = found["bias"]
            for u in range(3):
                for v in range(2):
                    r, q = i * sv + u * dv - pv, j * sh + v * dh - ph
                    if 0 <= r < 13 and 0 <= q < 11:     # then it is in the block
                        assert r0 <= r < r1 and q0 <= q < q1
                        total += w[u, v] * a["x"][r - r0, q - q0]
                        dx[r - r0, q - q0] += w[u, v] * a["dy"][i - i0, j - j0]
            assert total == pytest.approx(a["y"][i - i0, j - j0], abs=1e-5)
    if complete:
        np.testing.assert_allclose(dx, a["dx"], atol=1e-5)


def test_of_a_convolution_it_shows_the_maps_in_which_there_is_most_to_see():
    layer = Conv2d(4, 2, 1, groups=2, rng=0)
    layer.weight.value[...] = 0
    layer.weight.value[1, 1] = 1                # output 1 looks at input 3 = 2 + 1 alone
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 5)).astype(np.float32)
    _, found = windowed(layer, x)
    assert (found["o"], found["c"], found["others"]) == (1, 3, [2, 1])


@pytest.mark.parametrize("layer", [MaxPool2d(3, stride=2, padding=1), AvgPool2d(2),
                                   AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)])
def test_pooling_has_a_window_too(layer):
    x = np.random.default_rng(0).standard_normal((1, 2, 8, 7)).astype(np.float32)
    a, found = windowed(layer, x)
    loops = naive.max_pool2d if found["kind"] == "max" else naive.avg_pool2d
    options = {} if found["kind"] == "max" else {"count_include_pad": found["countPad"]}
    expected = loops(x, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, **options)
    np.testing.assert_allclose(a["y"], expected[0, found["o"]], rtol=1e-5)


def test_other_layers_have_no_window(zfnet):
    data = read(zfnet[1])
    with_window = {layer["kind"] for layer in data["layers"] if layer["window"]}
    assert with_window == {"Conv2d", "MaxPool2d"}


# ── pictures ─────────────────────────────────────────────────────────────────────────


def decoded(uri, mode):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert(mode))


def test_a_sheet_is_blue_below_zero_white_at_zero_and_red_above():
    one = pictures.sheet(np.array([[[-2.0, 0.0]], [[2.0, np.nan]]]), columns=2)
    pixels = decoded(one["png"], "RGBA")
    assert pixels.shape == (1, 5, 4) and (one["width"], one["height"]) == (5, 1)
    assert tuple(pixels[0, 0]) == (*pictures.LOW, 255) and one["scale"] == 2
    assert tuple(pixels[0, 1]) == (255, 255, 255, 255)
    assert tuple(pixels[0, 3]) == (*pictures.HIGH, 255)
    assert pixels[0, 2, 3] == 0 and pixels[0, 4, 3] == 0        # the gap, and no number


def test_pictures_are_stretched_from_black_to_white():
    image = np.stack([np.full((2, 2), level) for level in (-1.0, 0.0, 1.0)])
    assert decoded(pictures.colour(image), "RGB")[0, 0].tolist() == [0, 128, 255]


def test_filters_show_the_strongest_inputs_and_say_so():
    layer = Conv2d(20, 10, 3, rng=0)
    found = pictures.filters(layer)
    assert found["said"] == ("the first 8 of 10 filters of 3×3, a row each: its 12 strongest "
                             "inputs of 20, from the left")
    assert (found["width"], found["height"]) == (12 * 4 - 1, 8 * 4 - 1)
    weight = layer.weight.value[0]
    strongest = weight[np.abs(weight).sum(axis=(1, 2)).argmax(), 0, 0]
    level = 128 + round(127 * float(strongest) / found["scale"])
    assert decoded(found["png"], "RGB")[0, 0].tolist() == pictures.palette()[level].tolist()
    assert pictures.filters(ReLU()) is None
    assert "in colour" in pictures.filters(Conv2d(3, 4, 5, rng=0))["said"]


def test_maps_count_the_dead_ones_and_large_ones_are_shrunk():
    y = np.zeros((20, 90, 90))
    y[:15] = 1
    found = pictures.maps([y], most=16)
    assert found["said"] == "the first 16 of 20 maps of 90×90, shrunk"
    assert found["sheets"][0]["dead"] == 5
    assert found["sheets"][0]["width"] == 8 * 30 + 7 * 2


# ── words ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", layers.__all__)
def test_every_layer_has_a_formula_a_file_and_two_methods(name):
    about = words.about(getattr(layers, name))
    assert about["formula"].strip() and about["file"].startswith("scratchnet/layers/")
    assert about["forward"].startswith("def forward(") and "def backward(" in about["backward"]


def test_the_formula_is_the_mathematics_of_the_file():
    formula = words.formula(MaxPool2d)
    assert "max_{u,v}" in formula and "Shapes:" in formula and "Ranzato" in formula
    assert "What the maximum remembers" not in formula
    assert "dx = dy · [x > 0]" in words.formula(ReLU)


# ── models of one's own ──────────────────────────────────────────────────────────────


class Twice(Layer):
    """y = 2x."""

    def forward(self, x):
        return 2 * x


def test_a_name_is_never_html():
    wicked = "<script>alert(1)</script>"
    kind = type(wicked, (ReLU,), {"__repr__": lambda self: f"</script>{wicked}"})
    model = Sequential(**{wicked: kind(), "flatten": Flatten(), "fc": Linear(64, 3, rng=0)})
    page = explore(model, (1, 8, 8), classes=(wicked, "b", "c"), title=wicked, note=wicked)
    assert Elements(page).tags.count("script") == 2 and wicked not in page
    data = read(page)
    assert data["title"] == data["note"] == data["layers"][1]["name"] == wicked
    assert data["images"][0]["label"] == wicked


def test_a_layer_without_backward_is_shown_without_gradients():
    data = read(explore(Sequential(twice=Twice(), flatten=Flatten(), fc=Linear(64, 10, rng=0)),
                        (1, 8, 8)))
    assert "Twice has no backward" in data["batch"]["problem"]
    assert layer_of(data, "twice")["maps"] and layer_of(data, "twice")["times"][1] is None
    assert data["classes"][1]["formula"] == "y = 2x."


def test_a_network_that_ends_in_maps_has_no_loss_and_the_page_says_so():
    data = read(explore(Sequential(conv=Conv2d(1, 2, 3, rng=0)), (1, 8, 8)))
    assert "(N, classes)" in data["batch"]["problem"]
    assert layer_of(data, "conv")["window"]["dy"] == [None, None, None]


def test_heads_for_training_have_gradients_but_nothing_to_see():
    model = models.googlenet_small(rng=0)
    data = read(explore(model, (1, 32, 32)))
    unused = [row.name for row in cost.summary(model, (1, 32, 32)).rows if row.note]
    for name in unused:
        layer = layer_of(data, name)
        assert layer["out"] is None and layer["maps"] is None and layer["gradients"]


def test_a_picture_comes_first_and_has_no_label():
    picture = np.zeros((1, 1, 16, 16), dtype=np.float32)
    data = read(explore(small(), (1, 16, 16), picture=picture))
    assert [bool(image["label"]) for image in data["images"]] == [False, True, True]


def test_a_single_layer_has_a_page_and_few_classes_are_enough():
    assert [layer["kind"] for layer in read(explore(Conv2d(1, 2, 3), (1, 9, 9)))["layers"]] == [
        "Conv2d"]
    two = Sequential(flatten=Flatten(), fc=Linear(64, 2, rng=0))
    assert read(explore(two, (1, 8, 8)))["batch"]["loss"] > 0


def test_a_network_that_cannot_be_drawn_is_a_list(monkeypatch):
    def refuse(*arguments, **options):
        raise ValueError("cannot be traced")

    monkeypatch.setattr("scratchnet.visualize.explore.page.draw", refuse)
    page = explore(small(), (1, 16, 16))
    assert re.findall(r'<button type="button" data-name="(.*?)">', page) == [
        name for name, _ in small().named_layers()]


def test_the_boxes_of_the_drawing_are_called_like_the_layers(zfnet):
    model, page = zfnet
    drawing = re.search(r"<svg.*?</svg>", page, re.S)[0]
    assert set(re.findall(r'data-name="(.+?)"', drawing)) - {"input"} == {
        name for name, _ in model.named_layers() if name}


def test_pictures_are_drawn_to_fit():
    images, labels, names = drawn((3, 24, 32), 16)
    assert images.shape == (16, 3, 24, 32) and len(labels) == 16 and "heart" in names
    assert drawn((1, 8, 8), 16)[0].shape == (16, 1, 8, 8)


@pytest.mark.parametrize("shape, options, message", [
    ((4, 16, 16), {}, "1 or 3 channels"),
    ((16, 16), {}, "shape of one image"),
    ((1, 16, 16), {"images": np.zeros((2, 1, 16, 15), dtype=np.float32)},
     r"expects images \(N, 1, 16, 16\), floating point.*got float32 \(2, 1, 16, 15\)"),
    ((1, 16, 16), {"images": np.zeros((2, 1, 16, 16), dtype=np.uint8)}, "floating point.*uint8"),
    ((1, 16, 16), {"images": [[1]]}, "got list"),
    ((1, 16, 16), {"picture": np.zeros((2, 1, 16, 16))}, r"picture \(1, 1, 16, 16\)"),
    ((1, 16, 16), {"images": np.full((2, 1, 16, 16), np.nan)}, "must be finite"),
    ((1, 16, 16), {"images": np.zeros((2, 1, 16, 16)), "labels": [1]}, r"labels \(2,\)"),
    ((1, 16, 16), {"images": np.zeros((2, 1, 16, 16)), "labels": [1, -1]}, "integers from 0"),
    ((1, 16, 16), {"images": np.zeros((2, 1, 16, 16)), "labels": [1, 10]}, "from 0 to 9.*got 10"),
])
def test_what_does_not_fit_is_said(shape, options, message):
    model = small() if shape == (1, 16, 16) else Sequential(ReLU())
    with pytest.raises(ValueError, match=message):
        explore(model, shape, **options)


# ── the command ──────────────────────────────────────────────────────────────────────


def command(capsys, *arguments):
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    options = parser.parse_args(["explore", *map(str, arguments)])
    capsys.readouterr()
    status = options.run(options)
    return status, capsys.readouterr()


def test_the_command_writes_a_page_of_a_network_by_name(capsys, tmp_path):
    out = tmp_path / "page.html"
    picture = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 50, 4), np.uint8)).save(picture)
    status, said = command(capsys, "alexnet_small", "--image", picture, "--out", out)
    assert status == 0 and str(out) in said.out
    data = read(out.read_text(encoding="utf-8"))
    assert data["note"] == "untrained: weights as drawn" and data["title"] == "alexnet_small"
    assert data["images"][0]["label"] == "" and data["images"][1]["label"] == "0"
    assert data["images"][1]["answers"][0].startswith("class ")     # no digits, for all we know


def test_the_command_writes_a_page_of_a_run(capsys, tmp_path):
    run = training.train("lenet5", "digits", out=tmp_path / "run", epochs=1, progress=False,
                         say=lambda line: None)
    out = tmp_path / "page.html"
    status, said = command(capsys, run.folder, "--out", out)
    assert status == 0, said.err
    data = read(out.read_text(encoding="utf-8"))
    assert data["note"] == "" and data["title"] == "lenet5, trained on digits"
    net = run.network()
    images, labels = run.data().train
    prepare = run.recipe.test_transform(run.size, run.statistics)
    p = run.probabilities(net, images[:1])[0]
    assert data["images"][0]["answers"][0] == f"{p.argmax()} ({p.max():.0%})"
    assert data["images"][0]["label"] == str(labels[0])
    assert prepare(images[:1], np.random.default_rng(0)).shape[1:] == tuple(data["shape"])


@pytest.mark.parametrize("arguments, message", [
    (("alexnet_smal",), "unknown model 'alexnet_smal': did you mean 'alexnet_small'?"),
    (("runs/none",), "holds no run"),
    ((".",), "holds no run"),
    (("lenet5", "--image", "nothing.png"), "nothing.png is not there"),
    (("lenet5", "--image", __file__), "is no picture that can be read"),
    (("lenet5", "--out", "no/folder/page.html"), "there is no folder"),
])
def test_what_cannot_be_done_is_one_line_and_status_2(capsys, tmp_path, monkeypatch, arguments,
                                                      message):
    monkeypatch.chdir(tmp_path)
    status, said = command(capsys, *arguments)
    assert status == 2 and message in said.err and said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
