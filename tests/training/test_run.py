"""Runs as folders: what is in one, what it gives back, and which are refused."""
import dataclasses
import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scratchnet import data, models, training, weights
from scratchnet.data.sets import Data, Split
from scratchnet.training import checkpoint
from scratchnet.training import run as runs
from scratchnet.training.ensemble import softmax
from scratchnet.training.interrupt import Interrupted
from scratchnet.training.run import Run, Settings

TINY = "mobilenet_v2_small"             # with batch norm; small images will do
FILES = ["best.npz", "checkpoint-000000004.npz", "checkpoint-000000008.npz", "curves.png", "lock",
         "log.csv", "run.json", "statistics.npz", "updates.jsonl"]


def few(spec="digits", size=None, classes=10):
    """A few of the images of a data set, those of the first `classes` classes."""
    names = data.SHAPES if spec == "shapes" else tuple("0123456789")
    whole = data.load_shapes(size or 32, 60, 24, 24) if spec == "shapes" else \
        data.load_digits(size or 8)
    parts = []
    for (images, labels), n in zip(whole[:3], (60, 24, 24), strict=True):
        rows = np.flatnonzero(labels < classes)[:n]
        parts.append(Split(images[rows], labels[rows]))
    return Data(*parts, names[:classes], spec)


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(runs, "load", few)


def train(out, model="lenet5", spec="digits", **options):
    options = {"epochs": 2, "batch_size": 16, "progress": False, "say": lambda text: None} | options
    return runs.train(model, spec, out=out, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two epochs, four updates each, that nobody interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load", few)
        train(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of that run, to be damaged."""
    return shutil.copytree(whole, tmp_path / "copy")


def nothing_but_a_lock(folder):
    return not folder.exists() or [p.name for p in folder.iterdir()] in ([], ["lock"])


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def same_run(folder, other):
    """Whether two folders hold the same run, to the last bit."""
    a, b = (checkpoint.read(checkpoint.newest_first(f)[0]) for f in (folder, other))
    assert json.dumps(a[1], default=str) == json.dumps(b[1], default=str)
    assert a[0].keys() == b[0].keys()
    for name in a[0]:
        assert a[0][name].tobytes() == b[0][name].tobytes(), name
    for name in ("log.csv", "run.json"):
        assert (folder / name).read_text() == (other / name).read_text()
    for ours, theirs in zip(*((f / "updates.jsonl").read_text().splitlines()
                              for f in (folder, other)), strict=True):
        assert json.loads(ours) | {"seconds": 0} == json.loads(theirs) | {"seconds": 0}
    ours, theirs = (np.load(f / "best.npz") for f in (folder, other))
    return ours.files == theirs.files and all(
        ours[name].tobytes() == theirs[name].tobytes() for name in ours.files)


def stop_after(monkeypatch, step, number=signal.SIGTERM):
    """Send this process a signal when the checkpoint of `step` has been written."""
    write = checkpoint.write

    def then_signal(folder, at, *state):
        write(folder, at, *state)
        if at == step:
            os.kill(os.getpid(), number)
    monkeypatch.setattr(checkpoint, "write", then_signal)


# ── the folder ───────────────────────────────────────────────────────────────────────


def test_what_is_in_the_folder_of_a_run(whole):
    assert sorted(p.name for p in whole.iterdir()) == FILES
    table = json.loads((whole / "run.json").read_text())
    assert table["settings"]["model"] == "lenet5" and table["settings"]["epochs"] == 2
    assert table["classes"] == list("0123456789")
    assert (table["channels"], table["stored"]) == (1, 32)
    assert any("RandomReflection" in note for note in table["notes"])
    assert table["recipe"]["optimizer"]["lr"] == 0.01           # lenet5's own, not 0.05


def test_only_the_folder_is_needed_later_and_elsewhere(copy, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = Run("../copy")
    assert run.settings == Settings("lenet5", "digits", epochs=2, batch_size=16)
    assert run.classes == tuple("0123456789") and run.size == run.stored == 32
    assert repr(run) == "Run(../copy: lenet5 on digits)"


def test_the_network_has_the_best_weights_and_is_ready_to_answer(whole):
    run = Run(whole)
    net = run.network("cpu")
    assert not net.training
    best = np.load(whole / "best.npz")
    for name, array in net.state_dict().items():
        assert array.tobytes() == best[name].tobytes(), name
    images, labels = run.data().validation
    p = run.probabilities(net, images)
    assert p.shape == (24, 10) and p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1)
    rows = (whole / "log.csv").read_text().splitlines()
    at = rows[0].split(",").index("validation_error")
    assert 1 - training.top_k(p, labels, 1) == pytest.approx(
        min(float(row.split(",")[at]) for row in rows[1:]), abs=1e-8)


def test_probabilities_are_of_images_prepared_with_the_runs_own_statistics(whole):
    run = Run(whole)
    net, images = run.network("cpu"), run.data().test.images
    training_images = run.data().train.images
    by_hand = (images - training_images.mean()) / training_images.std()
    expected = softmax(training.predict(net, by_hand.astype(np.float32)))
    np.testing.assert_allclose(run.probabilities(net, images), expected, atol=1e-5)
    bytes_of = np.round(images * 255).astype(np.uint8)
    np.testing.assert_allclose(run.probabilities(net, bytes_of),
                               run.probabilities(net, bytes_of.astype(np.float32) / 255), atol=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
def test_ten_crops_by_hand(whole, mirror):
    """Five, where a mirrored digit is no digit."""
    run = Run(whole)
    run.settings = dataclasses.replace(run.settings, mirror=mirror)
    net = run.network("cpu")
    images = run.data(border=True).test.images
    assert images.shape[3] == 37                                # 32 · 8/7, rounded up
    mean, std = (float(run.statistics[name].ravel()[0]) for name in ("mean", "std"))
    x = ((images - np.float32(mean)) / np.float32(std)).astype(np.float32)
    views = [x[:, :, top:top + 32, left:left + 32]
             for top, left in ((0, 0), (0, 5), (5, 0), (5, 5), (2, 2))]
    views += [view[..., ::-1] for view in views] if mirror else []
    expected = np.mean([softmax(training.predict(net, view.copy())) for view in views], axis=0)
    np.testing.assert_allclose(run.probabilities(net, images, ten_crop=True), expected, atol=1e-5)


def test_before_the_first_epoch_there_is_no_network(copy):
    (copy / "best.npz").unlink()
    with pytest.raises(ValueError, match="no best.npz yet: it is written after the first epoch"):
        Run(copy).network()


def test_damaged_best_weights_are_told(copy):
    (copy / "best.npz").write_bytes((copy / "best.npz").read_bytes()[:-300])
    with pytest.raises(ValueError, match="best.npz is truncated or damaged"):
        Run(copy).network()


def test_the_best_weights_of_another_network_are_told(copy):
    weights.save(models.lenet5(num_classes=3), copy / "best.npz")
    with pytest.raises(ValueError, match="does not fit"):
        Run(copy).network()


# ── going on ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_a_run_that_was_stopped_ends_as_the_one_that_was_not(whole, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(Interrupted) as stopped:
            train(tmp_path / "run", save_every=0, workers=2)
    assert stopped.value.number == signal.SIGTERM
    newest = checkpoint.newest_first(tmp_path / "run")[0]
    assert int(newest.stem.rpartition("-")[2]) in (step, step + 1)
    train(tmp_path / "run", resume=True)
    assert same_run(tmp_path / "run", whole)


def test_a_run_with_batch_norm_augmentation_and_a_small_size_goes_on_too(tmp_path, monkeypatch):
    options = {"model": TINY, "spec": "shapes", "size": 16, "epochs": 1}
    train(tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Interrupted):
            train(tmp_path / "run", save_every=0, **options)
    train(tmp_path / "run", resume=True, **options)
    assert same_run(tmp_path / "run", tmp_path / "whole")


def test_resuming_without_a_run_begins_one(whole, tmp_path):
    train(tmp_path / "new", resume=True)
    assert same_run(tmp_path / "new", whole)


def test_resuming_before_the_first_checkpoint_begins_with_the_same_numbers(whole, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run.json", "statistics.npz"):
        shutil.copy(whole / name, tmp_path / "run")
    train(tmp_path / "run", resume=True)
    assert same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("options, told", [
    ({"model": "alexnet_small"}, "model: begun with 'lenet5', now 'alexnet_small'"),
    ({"epochs": 3}, "epochs: begun with 2, now 3"), ({"lr": 0.1}, "lr: begun with None, now 0.1"),
    ({"seed": 1}, "seed: begun with 0, now 1"), ({"recipe": "lenet"}, "recipe: begun with 'quick'"),
    ({"spec": "shapes"}, "data: begun with 'digits', now 'shapes'"),
    ({"batch_size": 8}, "batch_size: begun with 16, now 8"), ({"size": 32}, "size: begun"),
    ({"mirror": True}, "mirror: begun"), ({"freeze": ["C1"]}, "freeze: begun with"),
])
def test_other_settings_are_refused_and_nothing_is_changed(copy, options, told):
    before = content(copy)
    with pytest.raises(ValueError, match="holds another run; nothing was changed") as error:
        train(copy, resume=True, **options)
    assert told in str(error.value)
    assert content(copy) == before


def test_a_run_is_not_written_over(copy):
    before = content(copy)
    with pytest.raises(ValueError, match="holds a run already: resume it"):
        train(copy)
    assert content(copy) == before


def test_checkpoints_without_a_run_are_not_taken_for_it(copy):
    (copy / "run.json").unlink()
    before = content(copy)
    with pytest.raises(ValueError, match="checkpoints that training.fit wrote.*name a new folder"):
        train(copy, resume=True)
    assert content(copy) == before


def test_a_folder_with_other_things_is_not_used(tmp_path):
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match=r"holds other things \(cat, …\): name a new folder"):
        train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]


def test_a_start_that_fails_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="unknown model"):
        train(tmp_path / "new", model="lenet6")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_its_checkpoints_does_not_begin_again_over_its_results(copy):
    for path in checkpoint.newest_first(copy):
        path.unlink()
    before = content(copy)
    with pytest.raises(ValueError, match="has the log of a run, but no checkpoint to go on from"):
        train(copy, resume=True)
    assert content(copy) == before


def test_a_run_taken_up_uses_the_statistics_it_was_begun_with(copy, monkeypatch):
    """Images that have changed since do not change their mean in the middle of a run."""
    real = runs._prepare
    seen = {}

    def look(*arguments):
        seen["plan"] = (found := real(*arguments))[3]
        return found
    monkeypatch.setattr(runs, "_prepare", look)
    monkeypatch.setattr(runs, "load", lambda *a, **k: (d := few(*a, **k))._replace(
        train=Split(d.train.images * 0.5, d.train.labels)))
    train(copy, resume=True)
    for name, array in Run(copy).statistics.items():
        assert np.array_equal(seen["plan"].statistics[name], array)


def test_two_starts_in_one_folder_at_once(tmp_path, monkeypatch):
    """The second finds the first at work, before it writes anything."""
    def load(*arguments, **options):
        with pytest.raises(ValueError, match="another process is training in"):
            on_a_thread(lambda: train(tmp_path / "run", model=TINY))
        return few(*arguments, **options)
    monkeypatch.setattr(runs, "load", load)
    train(tmp_path / "run", epochs=1)
    assert Run(tmp_path / "run").settings.model == "lenet5"


def on_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.mark.parametrize("name", ["alexnet", "cifar_resnet20"])
def test_paper_recipes_are_tested_on_ten_crops_or_say_why_not(name, tmp_path, monkeypatch):
    """Their mean is of every pixel of the stored images, so these cannot be made larger."""
    used = training.recipe("paper", name)
    stored = used.stored_side(size := 32)
    side = {"alexnet": 37, "cifar_resnet20": 32}[name]
    assert stored == side
    run = Run.__new__(Run)
    run.folder, run.size, run.stored, run.channels = tmp_path, size, stored, 3
    run.statistics = {"mean": np.zeros((3, stored, stored), dtype=np.float32)}
    if stored > size:
        assert run.side(border=True) == stored
    else:
        with pytest.raises(ValueError, match="without a border.*cannot be tested on ten crops"):
            run.side(border=True)


# ── damaged folders ──────────────────────────────────────────────────────────────────


def nested(depth):
    return '{"format": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize("text", [
    "", "{", "null", "3", "[]", '"text"', "{}", nested(100), nested(200_000), '{"format": 1}',
    '{"format": 1, "settings": [1]}', b"\xff\xfe\x00", b"\0" * 1000, "9" * 10_000,
], ids=lambda text: repr(text[:20]))
def test_what_is_no_run_json(copy, text):
    (copy / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match="run.json is damaged, or no run's: "):
        Run(copy)


def test_a_truncated_run_json(copy):
    text = (copy / "run.json").read_bytes()
    for length in range(0, len(text) - 2, 97):
        (copy / "run.json").write_bytes(text[:length])
        with pytest.raises(ValueError, match="run.json is damaged, or no run's"):
            Run(copy)


def test_a_huge_run_json_is_not_read(copy):
    with (copy / "run.json").open("wb") as file:
        file.truncate(2**40)                                    # a hole: no disk is needed
    with pytest.raises(ValueError, match="damaged, or no run's: it is too large"):
        Run(copy)


@pytest.mark.parametrize("changes, told", [
    ({"format": 2}, "it has format 2; this version of scratchnet reads 1"),
    ({"format": None}, "it has format None"),
    ({"classes": 5}, "not iterable"), ({"classes": []}, "names of classes"),
    ({"classes": [1, 2]}, "names of classes"), ({"classes": ["x"] * 100_001}, "names of classes"),
    ({"channels": 2}, "1 or 3 channels"), ({"channels": 10**9}, "1 or 3 channels"),
    ({"channels": [1]}, "1 or 3 channels"), ({"stored": 1e300}, "side of the stored images"),
    ({"stored": "32"}, "side of the stored images"), ({"stored": 0}, "side of the stored images"),
    ({"stored": float("inf")}, "side of the stored images"),
    ({"recipe": []}, "list"), ({"recipe": {"name": "x"}}, "x"), ({"recipe": None}, "None"),
    ({"settings": {}}, "lacks 'freeze'"), ({"settings": None}, "None"),
    ({"settings.model": 5}, "model must be a name; got 5"),
    ({"settings.model": "lenet6"}, "did you mean 'lenet5'"),
    ({"settings.size": "32"}, "size must be a whole number"),
    ({"settings.size": -1}, "size must be a whole number"),
    ({"settings.epochs": 2.5}, "epochs must be"), ({"settings.lr": float("nan")}, "lr must be"),
    ({"settings.lr": "0.1"}, "lr must be"), ({"settings.seed": None}, "seed must be"),
    ({"settings.mirror": "no"}, "mirror must be"), ({"settings.freeze": 5}, "not iterable"),
    ({"settings.freeze": [1]}, "freeze must be"), ({"settings.more": 1}, "more"),
], ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "")
def test_run_json_with_other_things_in_it(copy, changes, told):
    table = json.loads((copy / "run.json").read_text())
    for key, value in changes.items():
        where, _, inner = key.partition(".")
        if inner:
            table[where][inner] = value
        else:
            table[where] = value
    (copy / "run.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="run.json is damaged, or no run's: ") as error:
        Run(copy)
    assert told in str(error.value)


def test_no_statistics(copy):
    (copy / "statistics.npz").unlink()
    with pytest.raises(ValueError, match="statistics.npz is not there: the run's folder is not"):
        Run(copy)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "rubbish"])
def test_damaged_statistics(copy, damage):
    path = copy / "statistics.npz"
    old = path.read_bytes()
    flipped = bytearray(old)
    flipped[old.index(b"\n") + 2] ^= 1                          # a bit of the numbers
    path.write_bytes({"cut": old[:-40], "flip": bytes(flipped), "empty": b"",
                      "rubbish": b"PK" + bytes(99)}[damage])
    with pytest.raises(ValueError, match="statistics.npz is truncated or damaged"):
        Run(copy)


def test_statistics_of_another_recipe_are_told_when_they_are_needed(copy):
    np.savez(copy / "statistics.npz", other=np.ones(3))
    run = Run(copy)
    with pytest.raises(ValueError, match="Normalise needs the statistics mean and std"):
        run.probabilities(run.network("cpu"), np.zeros((1, 1, 32, 32), np.float32))


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(),
                                  lambda p: p.write_text("a file")])
def test_a_folder_without_a_run(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(ValueError, match="x holds no run of scratchnet train: .*run.json"):
        Run(tmp_path / "x")


# ── what cannot begin ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options, told", [
    ({"epochs": 0}, "epochs must be a whole number, 1 or more; got 0"),
    ({"epochs": 2.0}, "epochs must be"), ({"epochs": True}, "epochs must be"),
    ({"size": 0}, "size must be"), ({"size": 7}, "lenet5 cannot look at 1×7×7 images"),
    ({"batch_size": -3}, "batch_size must be"), ({"lr": float("nan")}, "lr must be a number above"),
    ({"lr": float("inf")}, "lr must be"), ({"lr": 0}, "lr must be"), ({"lr": "1"}, "lr must be"),
    ({"seed": -1}, "seed must be a whole number, 0 or more; got -1"),
    ({"seed": 1.5}, "seed must be"), ({"mirror": 1}, "mirror must be True or False; got 1"),
    ({"freeze": "C1"}, "freeze must be names of parts; got 'C1'"),
    ({"freeze": ["nonsense"]}, "has no part 'nonsense'"),
    ({"freeze": ["C1", "S2", "C3", "S4", "C5", "F6"]}, "nothing is left to train"),
    ({"pretrained": "nowhere.npz"}, "nowhere.npz"), ({"pretrained": 5}, "pretrained must be"),
    ({"workers": -1}, "workers must be an integer ≥ 0"), ({"workers": 1.5}, "workers must be"),
    ({"save_every": float("nan")}, "save_every seconds ≥ 0"),
    ({"model": "lenet6"}, "did you mean 'lenet5'"), ({"recipe": "paer"}, "unknown recipe 'paer'"),
    ({"device": "tpu"}, "unknown device 'tpu'"),
])
def test_settings_that_make_no_sense_leave_nothing_behind(tmp_path, options, told):
    with pytest.raises((ValueError, OSError)) as error:
        train(tmp_path / "run", **options)
    assert told in str(error.value)
    assert nothing_but_a_lock(tmp_path / "run")


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match="run is a file: name a folder for the run"):
        train(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"
    with pytest.raises(OSError, match="Not a directory"):
        train(tmp_path / "run" / "inside")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        train(tmp_path / "run")


def test_a_loss_that_is_not_finite_leaves_a_run_that_can_be_taken_up(copy, tmp_path, recwarn):
    with pytest.raises(RuntimeError, match="the update was not made.*\n.*a smaller learning rate"):
        train(tmp_path / "run", lr=1e9)
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
    with pytest.raises(RuntimeError, match="the update was not made"):
        train(tmp_path / "run", lr=1e9, resume=True)


@pytest.mark.parametrize("name", ["run.json", "statistics.npz"])
def test_a_full_disk_at_the_beginning_leaves_no_run(whole, tmp_path, monkeypatch, name):
    replace = runs.replace_file

    def full(path, write, **options):
        if path.name == name:
            def write(file):
                raise OSError(28, "No space left on device")
        replace(path, write, **options)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "replace_file", full)
        with pytest.raises(OSError, match=f"{name} was not written .No space left"):
            train(tmp_path / "run")
    assert not (tmp_path / "run" / name).exists() and not list((tmp_path / "run").glob(".*"))
    train(tmp_path / "run")                                     # when there is room again
    assert same_run(tmp_path / "run", whole)


def test_a_full_disk_in_the_middle_loses_nothing_that_was_saved(whole, tmp_path, monkeypatch):
    real = checkpoint.write_npz

    def full(table, file):
        if json.loads(table[checkpoint.FACTS].tobytes())["epoch"] == 2:
            raise OSError(28, "No space left on device")
        real(table, file)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_npz", full)
        with pytest.raises(OSError, match="checkpoint-000000008.npz was not written"):
            train(tmp_path / "run")
    train(tmp_path / "run", resume=True)
    assert same_run(tmp_path / "run", whole)


# ── other data ───────────────────────────────────────────────────────────────────────


def test_data_of_other_classes_are_refused(whole):
    with pytest.raises(ValueError, match=r"shapes has other classes than the run: .*not 0, 1, 2"):
        Run(whole).data("shapes")


def test_data_of_other_channels_are_refused(whole, monkeypatch):
    def coloured(spec, size=None):
        sets = few("digits", size)
        return sets._replace(test=Split(sets.test.images.repeat(3, axis=1), sets.test.labels))
    monkeypatch.setattr(runs, "load", coloured)
    with pytest.raises(ValueError, match="images of 3 channels; the run was trained on 1"):
        Run(whole).data()


def test_a_folder_of_pictures_is_trained_on_and_asked_about(tmp_path, monkeypatch):
    from PIL import Image
    monkeypatch.setattr(runs, "load", data.load)
    rng = np.random.default_rng(0)
    for name, colour in (("red", 0), ("blue", 2)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 100, (20, 24, 3), dtype=np.uint8)
            pixels[..., colour] += 150
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    run = train(tmp_path / "run", TINY, str(tmp_path / "pictures"), size=16, epochs=3,
                batch_size=8, workers=2)
    assert run.classes == ("blue", "red") and run.channels == 3 and run.stored == 16
    images, labels = run.data().test
    assert (run.probabilities(run.network("cpu"), images).argmax(axis=1) == labels).all()
    bordered = run.data(border=True).test.images
    assert bordered.shape == (4, 3, 19, 19)
    assert run.probabilities(run.network("cpu"), bordered, ten_crop=True).shape == (4, 2)


# ── transfer ─────────────────────────────────────────────────────────────────────────

HEAD = ("classifier.1.weight", "classifier.1.bias")
TRANSFER = {"model": TINY, "size": 16, "epochs": 1}


@pytest.fixture
def teacher(tmp_path):
    """A file of weights of the tiny network for ten classes."""
    net = models.get_model(TINY, num_classes=10, in_channels=1, rng=7)
    for _, layer in net.named_layers():
        if hasattr(layer, "running_mean"):
            layer.running_mean += 0.1
    weights.save(net, tmp_path / "teacher.npz")
    return tmp_path / "teacher.npz"


def test_what_is_recorded_goes_on_with_the_run(tmp_path):
    """The record of a run resumed after its first epoch is that of one that was not."""
    train(tmp_path / "a", record=3)
    record = runs.Run(tmp_path / "a").record()
    assert record.steps.tolist() == [0, 3, 6]               # of eight updates
    assert (record.rms("grad") > 0).all() and record.names[0] == "C1"

    train(tmp_path / "b", record=3, epochs=2)
    newest, _ = checkpoint.newest_first(tmp_path / "b")
    newest.unlink()                                         # back to the end of the first epoch
    train(tmp_path / "b", record=3, epochs=2, resume=True)
    np.testing.assert_array_equal(runs.Run(tmp_path / "b").record().rms("dy"), record.rms("dy"))
    newest = checkpoint.newest_first(tmp_path / "b")[0]
    newest.write_bytes(newest.read_bytes()[:1000])          # looking damages nothing further
    assert runs.Run(tmp_path / "b").record().steps.tolist() == [0, 3]
    assert newest.exists()


def test_what_was_not_recorded_cannot_be_read(whole, tmp_path):
    with pytest.raises(ValueError, match="recorded no gradients: train with record=10"):
        runs.Run(whole).record()
    with pytest.raises(ValueError, match="record must be a whole number, 1 or more; got 0"):
        train(tmp_path / "a", record=0)


def test_pretrained_is_all_but_the_head(tmp_path, teacher, monkeypatch):
    monkeypatch.setattr(runs, "load", lambda spec, size: few(spec, size, classes=4))
    began = {}
    fit = runs.fit
    monkeypatch.setattr(runs, "fit", lambda net, *args, **options: (
        began.update(net.state_dict()), fit(net, *args, **options)))
    run = train(tmp_path / "run", pretrained=teacher, **TRANSFER)
    taught = np.load(teacher)
    assert set(taught.files) == set(began)
    for name, array in began.items():
        if name in HEAD:
            assert array.shape[0] == 4
        else:
            assert array.tobytes() == taught[name].tobytes(), name
    assert run.settings.pretrained == str(teacher)
    assert any(np.load(run.folder / "best.npz")[name].tobytes() != taught[name].tobytes()
               for name in began if name not in HEAD)           # they were trained


def test_frozen_parts_stay_as_they_were_to_the_bit(tmp_path, teacher):
    run = train(tmp_path / "run", pretrained=teacher, freeze=["features"], **TRANSFER)
    taught, best = np.load(teacher), np.load(run.folder / "best.npz")
    saved, _ = checkpoint.read(checkpoint.newest_first(run.folder)[0])
    for name in taught.files:
        for after in (best[name], saved[f"model.{name}"]):
            if name.startswith("features."):                    # running averages, too
                assert after.tobytes() == taught[name].tobytes(), name
            else:
                assert after.tobytes() != taught[name].tobytes(), name


def test_resuming_does_not_need_the_pretrained_file(tmp_path, teacher, monkeypatch):
    options = {"pretrained": teacher, "freeze": ("features",)} | TRANSFER
    train(tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Interrupted):
            train(tmp_path / "run", save_every=0, **options)
    teacher.unlink()
    train(tmp_path / "run", resume=True, **options)
    assert same_run(tmp_path / "run", tmp_path / "whole")


def test_weights_that_do_not_fit_are_told_before_anything_is_written(tmp_path):
    weights.save(models.lenet5(), tmp_path / "other.npz")
    with pytest.raises(ValueError, match="other.npz does not fit"):
        train(tmp_path / "run", pretrained=tmp_path / "other.npz", **TRANSFER)
    assert nothing_but_a_lock(tmp_path / "run")
