"""`scratchnet look` and what it looks at: a network by name, or a run."""
import numpy as np
import pytest
from PIL import Image

from scratchnet import cli, data, models, visualize
from scratchnet.data.sets import Data, Split
from scratchnet.training import run as runs
from scratchnet.visualize.command import FIGURES
from scratchnet.visualize.target import UNTRAINED, target


def few(spec="digits", size=None):
    whole = data.load_digits(size or 8)
    return Data(*(Split(images[:40], labels[:40]) for images, labels in whole),
                tuple("0123456789"), "digits")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one epoch, whose images have a border."""
    folder = tmp_path_factory.mktemp("runs") / "zf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load", few)
        runs.train("zfnet_small", "digits", "paper", out=folder, epochs=1, batch_size=20,
                   record=1, progress=False, say=lambda text: None)
    return folder


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(runs, "load", few)


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_network_by_name_is_untrained_and_is_shown_drawn_pictures(picture):
    found = target("zfnet_small")
    assert found.note == UNTRAINED
    assert found.shape == models.input_shape("zfnet_small")
    assert found.read(picture).shape == (1, *found.shape)
    x, labels = found.images(3)
    assert x.shape == (3, *found.shape) and labels.shape == (3,)
    assert 0 <= x.min() < x.max() <= 1


def test_a_run_brings_its_weights_images_and_classes(run, picture):
    found = target(str(run))
    assert found.note == "" and found.classes == tuple("0123456789")
    x, labels = found.images(3)
    assert x.shape == (3, *found.shape) and labels.shape == (3,)
    assert found.read(picture).shape == (1, *found.shape)
    opened = runs.Run(run)
    expected = opened.probabilities(opened.network("cpu"), few(size=opened.stored).test.images[:3])
    from scratchnet.layers.softmax import softmax
    np.testing.assert_allclose(softmax(found.model.forward(x)), expected, atol=1e-6)


def test_a_name_comes_before_a_folder_of_that_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lenet5").mkdir()
    assert target("lenet5").run is None
    with pytest.raises(ValueError, match="holds no run"):
        target("./lenet5")


@pytest.mark.parametrize("kind", sorted(set(FIGURES) - {"towers"}))
def test_each_figure_of_a_run_and_of_a_network_by_name(kind, run, picture, tmp_path, capsys):
    out = tmp_path / "figure.png"
    arguments = ["look", kind, str(run), "--out", str(out)]
    arguments += ["--class", "3"] if kind == "class-images" else []       # ten take half a minute
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert Image.open(out).size[0] > 200
    out.unlink()
    if kind == "history":
        return                                              # a network by name has none
    named = ["look", kind, "zfnet_small", "--out", str(out)]
    options = set(FIGURES[kind].options.split())
    options -= {"class"} if kind == "saliency" else set()
    given = {"image": ["--image", picture], "class": ["--class", "3"], "quantity": ["--of", "dy"],
             "layer": ["--layer", "conv1"], "feature": ["--feature", "2"]}
    for option in options:
        named += given[option]
    assert cli.main(named) == 0, capsys.readouterr().err
    assert out.exists()


def test_the_saliency_of_a_feature_and_of_a_network_without_relu(run, tmp_path, capsys):
    out = tmp_path / "saliency.png"
    arguments = ["look", "saliency", str(run), "--layer", "conv3", "--feature", "5"]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    assert cli.main(["look", "saliency", "lenet5", "--out", str(out)]) == 0
    x = np.zeros((1, 1, 32, 32), np.float32)
    figure = visualize.saliency_figure(models.lenet5(rng=0), x, 3)
    assert "no ReLU in this network" in figure.get_suptitle()
    assert [axes.get_title() for axes in figure.axes[:4]] == ["image", "gradient", "", ""]


def test_the_first_layer_is_one_that_runs_and_no_head_of_training(tmp_path, capsys):
    assert cli.main(["look", "filters", "googlenet_small", "--out", str(tmp_path / "f.png")]) == 0
    from scratchnet.visualize.command import _convolutions
    names = _convolutions(target("googlenet_small"))
    assert not names[0].startswith("aux") and not any("aux" in name for name in names)


def test_the_towers_of_a_network_of_colour_images_by_name(tmp_path, capsys):
    assert cli.main(["look", "towers", "alexnet", "--out", str(tmp_path / "towers.png")]) == 0
    assert Image.open(tmp_path / "towers.png").size[0] > 600


def test_the_gradients_of_several_networks_are_lines_of_one_figure(run, tmp_path):
    out = tmp_path / "lines.png"
    assert cli.main(["look", "gradients", str(run), "lenet5", "--out", str(out)]) == 0
    assert out.exists()


def test_the_network_drawn_exported_and_explored(run, tmp_path, capsys):
    for arguments, name in ((["look", "network"], "--out"), (["explore"], "--out"),
                            (["export"], "--onnx")):
        out = tmp_path / "file.svg"
        assert cli.main([*arguments, str(run), name, str(out)]) == 0, capsys.readouterr().err
        assert out.stat().st_size > 1000
        out.unlink()


@pytest.mark.parametrize("arguments, message", [
    (["filters", "RUN", "--layer", "relu1"], "relu1, ReLU(), has no filters to show"),
    (["maps", "RUN", "--layer", "softmax"], "no layer 'softmax'"),
    (["towers", "RUN"], "a convolution of colour images"),
    (["gradients", "RUN", "RUN"], "is named twice"),
    (["network", "RUN", "--out", "net.png"], "name a file that ends in .svg"),
    (["history", "zfnet_small"], "has no training behind it"),
    (["field", "RUN", "--layer", "fc8"], "receptive fields are those of maps"),
    (["gradcam", "nosuch"], "unknown model 'nosuch'"),
    (["gradcam", "RUN", "--layer", "nope"], "no layer 'nope'"),
    (["gradcam", "RUN", "--class", "cat"], "no class 'cat': the run's are 0, 1, 2"),
    (["occlusion", "RUN", "--class", "1", "--class", "2"], "occlusion shows one class; got"),
    (["saliency", "RUN", "--class", "1", "--class", "2"], "saliency shows one class; got"),
    (["saliency", "RUN", "--layer", "conv3"], "--feature N, and no --class"),
    (["saliency", "RUN", "--layer", "conv3", "--feature", "1", "--class", "2"], "no --class"),
    (["saliency", "RUN", "--feature", "1"], "--feature is one of a layer's"),
    (["occlusion", "RUN", "--class", "12"], "got the number 12 for a class"),
    (["deconvnet", "RUN", "--layer", "conv1", "--feature", "9999"], "9999"),
    (["saliency", "RUN", "--image", "nowhere.png"], "nowhere.png"),
    (["network", "RUN", "--open", "x"], "--open expects"),
    (["saliency", "RUN", "--out", "nowhere/figure.png"], "nowhere"),
])
def test_what_cannot_be_looked_at_is_told_in_one_line(arguments, message, run, tmp_path,
                                                      monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["look", *(str(run) if a == "RUN" else a for a in arguments)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("scratchnet: ") and message in said, said
    assert list(tmp_path.iterdir()) == []
