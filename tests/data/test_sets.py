"""Data sets by name: each keeps the promises of Data, and an unknown one is told with its like."""
import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scratchnet import data
from scratchnet.data import download, idx
from scratchnet.data.digits import Split
from scratchnet.data.sets import NAMES, Data, Resized, checked, hold_out

RNG = np.random.default_rng(0)


def few(n=4, **changes):
    parts = [Split(RNG.random((n, 1, 3, 3), dtype=np.float32), np.arange(n) % 2)
             for _ in range(3)]
    return Data(*parts, ("a", "b"), "here")._replace(**changes)


def test_digits():
    found = data.load("digits")
    ours = data.load_digits()
    assert all(np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
               for a, b in zip(found[:3], ours, strict=True))
    assert found.classes == tuple("0123456789") and found.source == "digits"
    assert data.load("digits", size=16).test.images.shape == (360, 1, 16, 16)


def test_shapes():
    found = data.load("shapes", size=16)
    assert found.train.images.shape[1:] == (3, 16, 16) and found.source == "shapes"
    assert found.train.images.dtype == np.float32 and len(found.classes) == 10


@pytest.mark.parametrize("spec", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("size", [None, 28, 14])
def test_mnist_from_the_data_folder(tmp_path, monkeypatch, spec, size):
    """Small files in the place of the published ones, and their sums."""
    images = RNG.integers(0, 256, (24, 28, 28), dtype=np.uint8)
    sums = {}
    for name in idx.FILES:
        array = images if "images" in name else (np.arange(24) % 10).astype(np.uint8)
        packed = gzip.compress(bytes([0, 0, 8, array.ndim])
                               + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())
        path = tmp_path / spec / f"{name}.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(packed)
        sums[f"{spec}/{name}.gz"] = hashlib.sha256(packed).hexdigest()
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path))
    monkeypatch.setenv("SCRATCHNET_OFFLINE", "1")
    monkeypatch.setattr(download, "SHA256", sums)
    found = data.load(spec, size)
    assert found.source == spec and len(found.validation.labels) == 2
    read = found.train.images[np.array([3, 0])]
    if size == 14:
        theirs = [np.asarray(Image.fromarray(images[i]).resize((14, 14), Image.Resampling.BILINEAR))
                  for i in (3, 0)]
        assert found.train.images.shape == (22, 1, 14, 14)
        assert np.array_equal(read[:, 0], theirs)
    else:
        assert isinstance(found.train.images, np.ndarray)
        assert np.array_equal(read[:, 0], images[[3, 0]])


@pytest.mark.parametrize("spec", ["mnist", "cifar10", "cifar100", "fashion-mnist"])
def test_what_is_not_there_is_told(tmp_path, monkeypatch, spec):
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path))
    monkeypatch.setenv("SCRATCHNET_OFFLINE", "1")
    with pytest.raises(ConnectionError, match=f"{spec}.*Put it there yourself"):
        data.load(spec)


def test_a_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (9, 7), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    for spec in (tmp_path, str(tmp_path)):
        found = data.load(spec)
        assert found.train.images.shape == (2, 3, 256, 256) and found.classes == ("a", "b")
    assert data.load(tmp_path, size=5).train.images[:].shape == (2, 3, 5, 5)


@pytest.mark.parametrize("spec, near", [
    ("cifar", "Did you mean cifar"), ("CIFAR10", "Did you mean cifar10"),
    ("mnits", "Did you mean mnist"), ("digit", "Did you mean digits"),
    ("zzzzz", "called 'zzzzz'. The data sets: digits, shapes, mnist")])
def test_an_unknown_name(spec, near):
    with pytest.raises(ValueError, match=near) as told:
        data.load(spec)
    assert all(name in str(told.value) for name in NAMES)


@pytest.mark.parametrize("spec, size, message", [
    (None, None, "name of a data set or the path of a folder; got NoneType"),
    ("digits", 0, "size must be an integer from 1 to 1024; got 0"), ("digits", 2.0, "got 2.0"),
    ("digits", True, "got True"), ("digits", 5000, "got 5000")])
def test_wrong_calls(spec, size, message):
    with pytest.raises(ValueError, match=message):
        data.load(spec, size)


@pytest.mark.parametrize("changes, message", [
    ({"train": Split(np.zeros((2, 1, 3, 3), np.float32), np.array([0, 2]))},
     "here, train: expected labels from 0 to 1; got 2 at position 1"),
    ({"test": Split(np.zeros((1, 1, 3, 3), np.float32), np.array([-1]))},
     "here, test: expected labels from 0 to 1; got -1 at position 0"),
    ({"validation": Split(np.zeros((2, 1, 3, 3), np.float32), np.array([0]))},
     r"here, validation: expected 2 int64 labels.*shape \(1,\)"),
    ({"train": Split(np.zeros((1, 1, 3, 3), np.float32), np.zeros(1, np.int32))}, "got int32"),
    ({"train": Split(np.zeros((1, 1, 3, 3)), np.zeros(1, np.int64))}, "got float64"),
    ({"test": Split(np.zeros((0, 1, 3, 3), np.float32), np.zeros(0, np.int64))}, "at least one"),
    ({"classes": ("a", "a")}, "class names, each once"), ({"classes": ()}, "class names")])
def test_promises_that_are_not_kept(changes, message):
    assert checked(few()) is not None
    with pytest.raises(ValueError, match=message):
        checked(few(**changes))


def test_the_last_images_are_held_out():
    whole = few(10).train
    rest, held = hold_out(whole, 3)
    assert np.array_equal(rest.images, whole.images[:7]) and len(held.labels) == 3
    assert np.array_equal(held.images, whole.images[7:])
    for count in (0, 10, 11):
        with pytest.raises(ValueError, match="10 training images are too few"):
            hold_out(whole, count)


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_images_answer_like_an_array(channels):
    images = RNG.integers(0, 256, (6, channels, 8, 8), dtype=np.uint8)
    resized = Resized(images, 12)
    assert len(resized) == 6 and resized.shape == (6, channels, 12, 12)
    assert resized.dtype == np.uint8
    whole = resized[:]
    assert whole.shape == resized.shape
    assert np.array_equal(resized[np.array([5, 1])], whole[[5, 1]])
    assert np.array_equal(resized[2], whole[2]) and resized[3:3].shape == (0, channels, 12, 12)
    assert np.array_equal(Resized(images, 8)[:], images)


def test_importing_the_readers_imports_nothing_heavy():
    code = ("import sys, scratchnet.data; "
            "print([m for m in ('PIL', 'pooch', 'matplotlib', 'requests') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"
