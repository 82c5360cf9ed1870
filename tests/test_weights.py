"""Weights: what is saved comes back, what does not fit is told, and nothing is half done."""
import importlib.util
import json
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import strict_cupy

from scratchnet import archive, models, weights
from scratchnet.layer import Layer
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential

ROOT = Path(__file__).parents[1]
SUFFIXES = [".npz", pytest.param(".safetensors", marks=pytest.mark.skipif(
    importlib.util.find_spec("safetensors") is None, reason="safetensors is not installed"))]
both = pytest.mark.parametrize("suffix", SUFFIXES)


def network(classes=3, seed=0):
    """Everything that has a state: weights of four and two dims, biases, running averages."""
    return Sequential(conv=Conv2d(1, 2, 3, rng=seed), norm=BatchNorm2d(2), relu=ReLU(),
                      flatten=Flatten(), hidden=Linear(8, 4, rng=seed),
                      fc=Linear(4, classes, rng=seed))


class WithAuxiliaryHeads(Layer):
    """A trunk and, as in GoogLeNet, a classifier before its end and one that is declared last."""

    def __init__(self, classes, seed=0):
        self.trunk = Conv2d(1, 6, 3, rng=seed)
        self.aux1 = Sequential(fc1=Linear(6, 5, rng=seed), fc2=Linear(5, classes, rng=seed))
        self.fc = Linear(6, classes, rng=seed)
        self.aux2 = Sequential(fc1=Linear(6, 5, rng=seed), fc2=Linear(5, classes, rng=seed))


class Buffers(Layer):
    """Buffers of no dims, of integers, and in names that NumPy's own savez cannot hold."""

    def __init__(self, start=0):
        self.scale = np.array(start + 0.5, np.float32)
        self.count = np.array([start, 7], np.int64)
        self.file = np.full(3, start, np.float64)
        self.allow_pickle = np.full((2, 0), start, np.float16)


def same(a, b):
    """Whether two networks, or states, have equal numbers of one dtype under equal names."""
    a, b = (x.state_dict() if isinstance(x, Layer) else x for x in (a, b))
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)


def refused(model, path, message, error=ValueError, **options):
    """Assert that loading fails with `message` and leaves the network as it was."""
    before = model.state_dict()
    with pytest.raises(error, match=message) as told:
        weights.load(model, path, **options)
    assert same(model, before)
    return str(told.value)


def write_npz(path, arrays):
    """A .npz by NumPy's own hand."""
    np.savez(path, **arrays)
    return path


def write_safetensors(path, table, data):
    """A .safetensors by hand, right or wrong."""
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def npy(header, data=b""):
    """A .npy by hand, right or wrong."""
    text = header.encode() if isinstance(header, str) else str(header).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def hostile_npz(path, *members, **options):
    """A .npz whose members are the given (name, bytes)."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


# ── a round trip ─────────────────────────────────────────────────────────────────────


@both
@pytest.mark.parametrize("make", [network, lambda seed=0: WithAuxiliaryHeads(3, seed),
                                  lambda seed=0: Buffers(seed)],
                         ids=["network", "heads", "buffers"])
def test_what_was_saved_comes_back(tmp_path, suffix, make):
    path = tmp_path / f"w{suffix}"
    ours, other = make(seed=1), make(seed=2)
    assert not same(ours, other)
    weights.save(ours, path)
    assert weights.load(other, path) is other
    assert same(ours, other)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@both
def test_the_names_are_those_of_state_dict_in_any_reader(tmp_path, suffix):
    path, net = tmp_path / f"w{suffix}", network()
    weights.save(net, str(path))
    if suffix == ".npz":
        theirs = dict(np.load(path, allow_pickle=False))
    else:
        from safetensors.numpy import load_file
        theirs = load_file(path)
    assert same(theirs, net)
    assert "conv.weight" in theirs and "norm.running_var" in theirs


@both
def test_arrays_in_any_order_of_memory_are_saved_as_they_read(tmp_path, suffix):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    state = {"transposed": a.T, "stepped": a[:, ::2, ::-1], "fortran": np.asfortranarray(a),
             "spread": np.broadcast_to(a[0, 0], (5, 4)), "big_endian": a.astype(">f4"),
             "number": np.array(3.0)}
    path = tmp_path / f"w{suffix}"
    weights.save(state, path)
    holder = Layer()
    for name, array in state.items():
        setattr(holder, name, np.zeros(array.shape))
    weights.load(holder, path)
    for name, array in state.items():
        np.testing.assert_array_equal(getattr(holder, name), array)
        assert getattr(holder, name).flags.c_contiguous


def test_a_transposed_array_written_by_numpy_is_loaded(tmp_path):
    """np.savez keeps the Fortran order; a network's arrays are in C order."""
    net, state = network(1), network(1, seed=5).state_dict()
    state["hidden.weight"] = np.asfortranarray(state["hidden.weight"])
    weights.load(net, write_npz(tmp_path / "w.npz", state))
    assert same(net, state) and net.hidden.weight.value.flags.c_contiguous


@both
def test_a_round_trip_from_the_gpu_and_back_to_it(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    with strict_cupy.installed() as cupy:
        ours, other = network(seed=1).to("gpu"), network(seed=2).to("gpu")
        weights.save(ours, path)
        weights.load(other, path)
        assert type(other.fc.weight.value) is type(other.norm.running_var) is cupy.ndarray
        assert same(ours, other)
        a = cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
        weights.save({"weight": a.T, "bias": a[0, :3][:3]}, path)
        linear = Linear(2, 3)
        weights.load(linear, path)
    np.testing.assert_array_equal(linear.weight.value, [[0, 3], [1, 4], [2, 5]])


@both
def test_shared_parameters_are_saved_once(tmp_path, suffix):
    def pair(seed):
        a, b = Linear(3, 3, rng=seed), Linear(3, 3, rng=seed)
        b.weight = a.weight
        return Sequential(a, b)
    ours, other = pair(1), pair(2)
    weights.save(ours, tmp_path / f"w{suffix}")
    weights.load(other, tmp_path / f"w{suffix}")
    assert same(ours, other) and other[1].weight is other[0].weight


@both
@pytest.mark.parametrize("there, here", [("float16", "float32"), ("float64", "float32"),
                                         ("float32", "float64")])
def test_floating_point_numbers_become_those_of_the_network(tmp_path, suffix, there, here):
    path = tmp_path / f"w{suffix}"
    weights.save(network(seed=1).astype(there), path)
    net = weights.load(network(seed=2).astype(here), path)
    assert same(net, network(seed=1).astype(there).astype(here))


@both
def test_num_batches_tracked_is_passed_over(tmp_path, suffix):
    path, net = tmp_path / f"w{suffix}", network(seed=1)
    weights.save({**net.state_dict(), "norm.num_batches_tracked": np.array(9)}, path)
    assert same(weights.load(network(seed=2), path), net)
    weights.save({**net.state_dict(), "norm.num_batches": np.array(9)}, path)
    refused(network(), path, "unexpected: norm.num_batches$")


@both
def test_the_same_weights_are_the_same_bytes(tmp_path, suffix):
    one, two = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
    weights.save(network(), one)
    weights.save(network(), two)
    assert one.read_bytes() == two.read_bytes()


@both
def test_the_suffix_may_be_in_capitals(tmp_path, suffix):
    path = tmp_path / f"W{suffix.upper()}"
    weights.save(network(seed=1), path)
    assert same(weights.load(network(seed=2), path), network(seed=1))


# ── what does not fit ────────────────────────────────────────────────────────────────


@both
def test_missing_unexpected_and_misshapen_names_are_all_listed(tmp_path, suffix):
    state = network().state_dict()
    state["conv.wieght"] = state.pop("conv.weight")
    state["hidden.bias"] = np.zeros((4, 1), np.float32)
    state["hidden.weight"] = state["hidden.weight"].T
    state["norm.bias"] = np.array([1, 2])
    path = tmp_path / f"w{suffix}"
    weights.save(state, path)
    text = refused(network(), path, r"does not fit Sequential; nothing was loaded\.\n")
    assert text.splitlines()[1:] == [
        "  missing: conv.weight",
        "  unexpected: conv.wieght",
        "  norm.bias: expected floating-point numbers, got int64",
        "  hidden.weight: expected shape (4, 8), got (8, 4)",
        "  hidden.bias: expected shape (4,), got (4, 1)"]


@both
def test_integers_must_be_of_the_same_dtype(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save({**Buffers().state_dict(), "count": np.array([0.5, 1])}, path)
    refused(Buffers(), path, "count: expected int64, got float64$")
    weights.save({**Buffers().state_dict(), "count": np.array([1, 2], np.int8)}, path)
    refused(Buffers(), path, "count: expected int64, got int8$")


@both
def test_long_lists_are_cut_and_strange_names_are_escaped(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save({"\x1b[31m": np.ones(1), "n" * 5000: np.ones(1),
                  **{f"array{i}": np.ones(1) for i in range(1998)}}, path)
    text = refused(network(), path, r"unexpected: '\\x1b\[31m'|unexpected: … and 1,990 more")
    assert len(text) < 3000 and "\x1b" not in text and "unexpected: … and 1,990 more" in text


@both
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_name(tmp_path, suffix, bad):
    path, state = tmp_path / f"w{suffix}", network().state_dict()
    state["norm.running_var"][1] = bad
    if suffix == ".npz":
        write_npz(path, state)
    else:
        from safetensors.numpy import save_file
        save_file(state, path)
    refused(network(), path, r"has NaN or infinity .*; nothing was loaded.\n  norm.running_var$")


@both
def test_numbers_too_large_for_the_network_are_refused(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save({"weight": np.full((3, 2), 1e300), "bias": np.zeros(3)}, path)
    refused(Linear(2, 3), path, r"too large for the network's dtype\).*\n  weight$")


# ── another number of classes ────────────────────────────────────────────────────────


def loaded_but_for(tmp_path, suffix, ours, theirs, fresh):
    """Assert that load(skip_head=True) takes every array from the file but those named."""
    path = tmp_path / f"w{suffix}"
    weights.save(theirs, path)
    before = ours.state_dict()
    weights.load(ours, path, skip_head=True)
    after, theirs = ours.state_dict(), theirs.state_dict()
    for name, array in after.items():
        source = before if name in fresh else theirs
        assert np.array_equal(array, source[name]), name
    assert set(fresh) < set(after)


@both
def test_skip_head_loads_everything_else(tmp_path, suffix):
    fresh = ["fc.weight", "fc.bias"]
    loaded_but_for(tmp_path, suffix, network(5, seed=1), network(3, seed=2), fresh)
    loaded_but_for(tmp_path, suffix, network(4, seed=1), network(3, seed=2), fresh)
    loaded_but_for(tmp_path, suffix, network(3, seed=1), network(3, seed=2), fresh)


def test_skip_head_finds_the_head_of_alexnet(tmp_path):
    loaded_but_for(tmp_path, ".npz", models.alexnet_small(num_classes=5, rng=1),
                   models.alexnet_small(rng=2), ["fc8.weight", "fc8.bias"])
    # As many classes as fc6 and fc7 have outputs: they fit, so they are loaded.
    for classes in (10, 256):
        loaded_but_for(tmp_path, ".npz", models.alexnet_small(num_classes=256, rng=1),
                       models.alexnet_small(classes, rng=2), ["fc8.weight", "fc8.bias"])


def test_skip_head_finds_a_head_that_is_a_convolution(tmp_path):
    """As in NiN and SqueezeNet; batch normalisation after it has a number for each class too."""
    def fully_convolutional(classes, seed):
        return Sequential(trunk=Conv2d(1, 6, 3, rng=seed), head=Conv2d(6, classes, 1, rng=seed),
                          norm=BatchNorm2d(classes), relu=ReLU())
    loaded_but_for(tmp_path, ".npz", fully_convolutional(5, 1), fully_convolutional(3, 2),
                   ["head.weight", "head.bias", "norm.weight", "norm.bias", "norm.running_mean",
                    "norm.running_var"])
    ours, theirs = fully_convolutional(3, 1), fully_convolutional(3, 2)
    theirs["norm"].bias.value += 1
    loaded_but_for(tmp_path, ".npz", ours, theirs, ["head.weight", "head.bias"])


def test_skip_head_finds_the_auxiliary_heads(tmp_path):
    heads = [f"{layer}.{name}" for layer in ("fc", "aux1.fc2", "aux2.fc2")
             for name in ("weight", "bias")]
    for classes in (2, 5):                          # 5: as many as fc1 has outputs
        loaded_but_for(tmp_path, ".npz", WithAuxiliaryHeads(classes, 1),
                       WithAuxiliaryHeads(3, 2), heads)


def test_skip_head_still_wants_the_rest_to_fit(tmp_path):
    path = tmp_path / "w.npz"
    state = network(3).state_dict()
    del state["conv.bias"]
    weights.save({**state, "extra.weight": np.ones((3, 4)), "norm.weight": np.ones(3)}, path)
    text = refused(network(5), path, "does not fit", skip_head=True)
    assert text.splitlines()[1:] == ["  missing: conv.bias", "  unexpected: extra.weight",
                                     "  norm.weight: expected shape (2,), got (3,)"]


def test_skip_head_does_without_the_head_in_the_file(tmp_path):
    path, state = tmp_path / "w.npz", network(3, seed=2).state_dict()
    trunk = {name: array for name, array in state.items() if not name.startswith("fc.")}
    weights.save(trunk, path)
    net = weights.load(network(5, seed=1), path, skip_head=True)
    assert all(np.array_equal(net.state_dict()[name], trunk[name]) for name in trunk)
    weights.save({**trunk, "fc.scale": np.ones(3)}, path)       # another kind of head
    weights.load(network(5), path, skip_head=True)


def test_another_number_of_classes_is_told_what_to_do(tmp_path):
    path = tmp_path / "w.npz"
    weights.save(network(3), path)
    text = refused(network(5), path, "does not fit Sequential")
    assert text.splitlines()[1:] == [
        "  fc.weight: expected shape (5, 4), got (3, 4)",
        "  fc.bias: expected shape (5,), got (3,)",
        "All but the head fits: skip_head=True loads the rest"]
    net = network(5)
    net.conv = Conv2d(3, 2, 3)
    assert "skip_head" not in refused(net, path, "does not fit Sequential")


def test_a_head_alone_cannot_be_skipped(tmp_path):
    weights.save(Linear(4, 3), tmp_path / "w.npz")
    refused(Linear(4, 5), tmp_path / "w.npz", "leaves nothing to load: .* is all head",
            skip_head=True)
    assert "skip_head" not in refused(Linear(4, 5), tmp_path / "w.npz", "expected shape")


# ── broken files ─────────────────────────────────────────────────────────────────────


@both
def test_a_file_cut_off_anywhere_is_refused(tmp_path, suffix):
    path, net = tmp_path / f"w{suffix}", network()
    weights.save(network(seed=1), path)
    whole = path.read_bytes()
    for length in {1, 7, 8, 9, 20, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1}:
        path.write_bytes(whole[:length])
        refused(net, path, "is truncated or damaged; nothing was loaded. Save or download it again")
    path.write_bytes(b"")
    refused(net, path, "is empty: save or download it again")


@both
def test_any_changed_byte_gives_one_clear_error_or_numbers_that_fit(tmp_path, suffix):
    """Nothing but ValueError ever, and never a network that is half the one and half the other."""
    path, net, rng = tmp_path / f"w{suffix}", network(), random.Random(0)
    weights.save(network(seed=1), path)
    whole = path.read_bytes()
    told = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        before = net.state_dict()
        try:
            weights.load(net, path)
        except ValueError:
            told += 1
            assert same(net, before)
        net.load_state_dict(before)
    assert told > 100


def test_a_changed_number_in_an_npz_is_noticed(tmp_path):
    """A zip has a checksum; a .safetensors has none."""
    path = tmp_path / "w.npz"
    weights.save({"weight": np.full((3, 2), 2.0), "bias": np.zeros(3)}, path)
    whole = path.read_bytes()
    place = whole.index(struct.pack("<d", 2.0))
    path.write_bytes(whole[:place] + struct.pack("<d", 3.0) + whole[place + 8:])
    refused(Linear(2, 3), path, "truncated or damaged.*\n  Bad CRC-32")


@both
def test_a_file_that_is_not_there(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    refused(network(), path, rf"expects a file; .*w{suffix} is not there", FileNotFoundError)
    path.mkdir()
    refused(network(), path, "expects a file; .* is a folder", FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="is a folder"):
        weights.save(network(), path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere$"):
        weights.save(network(), tmp_path / "nowhere" / f"w{suffix}")


@both
def test_files_under_a_wrong_name(tmp_path, suffix):
    path, net = tmp_path / f"w{suffix}", network()
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(path)
    refused(net, path, "holds what belongs in a .npy file: one array is no network")
    path.write_bytes(pickle.dumps({"fc.weight": np.ones(3)}, protocol=2))
    refused(net, path, "belongs in a .pth file: convert it with tools/convert_pth.py")
    hostile_npz(path, ("archive/data.pkl", b"\x80\x02."), ("archive/data/0", b"1234"))
    refused(net, path, "belongs in a .pth file: convert it with tools/convert_pth.py")
    path.write_text("<!DOCTYPE html><title>404</title>")
    refused(net, path, "truncated or damaged")
    other = write_safetensors(tmp_path / "x", {}, b"") if suffix == ".npz" else \
        write_npz(tmp_path / "x.npz", {"a": np.ones(1)})
    other.rename(path)
    belongs = ".safetensors" if suffix == ".npz" else ".npz"
    refused(net, path, f"holds what belongs in a {belongs} file: rename it")


@pytest.mark.skipif(importlib.util.find_spec("safetensors") is None, reason="needs safetensors")
@pytest.mark.parametrize("length, start", [(640, b"\x80\x02"), (0x4b50, b"PK")])
def test_a_table_of_unlucky_length_is_not_taken_for_another_format(tmp_path, length, start):
    """The first bytes of a .safetensors are a number, and may look like a pickle's or a zip's."""
    data = b"\0" * 36
    table = {"weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
             "bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
             "__metadata__": {"pad": ""}}
    table["__metadata__"]["pad"] = "x" * (length - len(json.dumps(table)))
    path = write_safetensors(tmp_path / "w.safetensors", table, data)
    assert path.read_bytes()[:2] == start
    assert not weights.load(Linear(2, 3, rng=0), path).weight.value.any()


@pytest.mark.parametrize("name", ["w", "w.pth", "w.h5", "w.npz.gz"])
def test_other_suffixes_are_refused(tmp_path, name):
    message = f"ends in .npz or .safetensors; got '{name}'" + (
        ": convert it with tools/convert_pth.py of" if name == "w.pth" else "$")
    refused(network(), tmp_path / name, message)
    with pytest.raises(ValueError, match=message):
        weights.save(network(), tmp_path / name)


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    message = r'need the safetensors package: pip install "scratchnet\[weights\]", or use .npz'
    refused(network(), tmp_path / "w.safetensors", message, ImportError)
    with pytest.raises(ImportError, match=message):
        weights.save(network(), tmp_path / "w.safetensors")


def test_only_networks_can_be_loaded_into(tmp_path):
    with pytest.raises(ValueError, match="expects a network to load into; got dict"):
        weights.load({}, tmp_path / "w.npz")


# ── hostile files ────────────────────────────────────────────────────────────────────

FITS = {"descr": "<f4", "fortran_order": False, "shape": (3, 2)}


@pytest.fixture
def no_numbers(monkeypatch):
    """Reading an array's numbers fails the test: a table must be enough to refuse the file."""
    def read(*_, **__):
        pytest.fail("numbers were read from a file that does not fit")
    monkeypatch.setattr(archive.npy, "read_array", read)
    monkeypatch.setattr(np, "load", read)


@pytest.mark.parametrize("header, data, message", [
    ({**FITS, "shape": (10**6, 10**6)}, b"", r"says shape \(1000000, 1000000\), float32, but has"),
    ({**FITS, "shape": (2**63, 2**63)}, b"", "says shape"),
    ({**FITS, "shape": (-3, -2)}, b"1" * 24, r"expected shape \(3, 2\), got \(-3, -2\)"),
    ({**FITS, "shape": (3, 1)}, b"1" * 24, r"says shape \(3, 1\), float32, but has"),
    (FITS, b"1" * 23, r"says shape \(3, 2\), float32, but has"),
    (FITS, b"1" * 25, r"says shape \(3, 2\), float32, but has"),
    ({**FITS, "descr": "|O"}, b"1" * 48, "holds Python objects, not numbers"),
    ({**FITS, "descr": [("a", "|O")]}, b"1" * 48, "holds Python objects, not numbers"),
    ({**FITS, "descr": "<U1"}, b"1" * 24, "expected floating-point numbers, got str32"),
    ({**FITS, "descr": "|V4"}, b"1" * 24, "expected floating-point numbers, got void32"),
    ({**FITS, "descr": "<m8[s]"}, b"1" * 48, "expected floating-point numbers, got timedelta64"),
    ({**FITS, "descr": "<c8"}, b"1" * 48, "expected floating-point numbers, got complex64"),
    ({**FITS, "descr": "|b1"}, b"1" * 6, "expected floating-point numbers, got bool"),
    ({**FITS, "descr": "nonsense"}, b"", "truncated or damaged"),
    ({"descr": "<f4"}, b"", "truncated or damaged"),
    ("__import__('os').abort()", b"", "truncated or damaged"),
    ("-" * 3000 + "1", b"", "truncated or damaged"),
    ("(" * 3000, b"", "truncated or damaged"),
    (" " * 60_000 + str(FITS), b"1" * 24, "truncated or damaged"),
])
def test_a_hostile_header_is_refused_before_numbers_are_read(tmp_path, no_numbers, header, data,
                                                             message):
    path = hostile_npz(tmp_path / "w.npz", ("weight.npy", npy(header, data)),
                       ("bias.npy", npy({**FITS, "shape": (3,)}, b"1" * 12)))
    refused(Linear(2, 3), path, message)


def test_a_bomb_is_not_unpacked(tmp_path, no_numbers):
    """100 MB of zeros in a file of 100 kB, and a header of 50 MB: neither is held in memory."""
    import tracemalloc
    big = npy({**FITS, "shape": (5000, 5000)}) + b"\0" * 100_000_000
    bomb = hostile_npz(tmp_path / "w.npz", ("weight.npy", big), compression=zipfile.ZIP_DEFLATED)
    del big
    header = b"\x93NUMPY\x02\x00" + struct.pack("<I", 50_000_000) + b" " * 50_000_000
    long = hostile_npz(tmp_path / "x.npz", ("weight.npy", header),
                       compression=zipfile.ZIP_DEFLATED)
    del header
    assert bomb.stat().st_size < 200_000
    tracemalloc.start()
    try:
        refused(Linear(2, 3), bomb, r"weight: expected shape \(3, 2\), got \(5000, 5000\)")
        refused(Linear(2, 3), long, "truncated or damaged")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("members, message", [
    ([("weight.npy", npy(FITS, b"1" * 24))] * 2, "has two arrays called 'weight'"),
    ([("weight.txt", b"1" * 24)], "holds 'weight.txt', which is not a .npy"),
    ([("weight.npy", b"")], "truncated or damaged"),
    ([("weight.npy", b"\x93NUMPY\x03\x00" + b"1" * 90)], "is not a plain array"),
])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_numpy_does_not_write_are_refused(tmp_path, no_numbers, members, message):
    refused(Linear(2, 3), hostile_npz(tmp_path / "w.npz", *members), message)


def test_other_compressions_are_refused(tmp_path, no_numbers):
    """Python unpacks them whole, however little of them is asked for."""
    path = hostile_npz(tmp_path / "w.npz", ("weight.npy", npy(FITS, b"1" * 24)),
                       compression=zipfile.ZIP_BZIP2)
    refused(Linear(2, 3), path, "is compressed in a way that NumPy does not write")


def test_a_compressed_archive_of_numpy_is_loaded(tmp_path):
    net = network(seed=1)
    np.savez_compressed(tmp_path / "w.npz", **net.state_dict())
    assert same(weights.load(network(seed=2), tmp_path / "w.npz"), net)


@pytest.mark.skipif(importlib.util.find_spec("safetensors") is None, reason="needs safetensors")
@pytest.mark.parametrize("entry, size, message", [
    ({"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}, 24, "damaged"),
    ({"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}, 20, "damaged"),
    ({"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}, 28, "damaged"),
    ({"dtype": "F32", "shape": [3, 3], "data_offsets": [0, 24]}, 24, "damaged"),
    ({"dtype": "F32", "shape": [-3, -2], "data_offsets": [0, 24]}, 24, "damaged"),
    ({"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 24]}, 24, "damaged"),
    ({"dtype": "O", "shape": [3, 2], "data_offsets": [0, 48]}, 48, "damaged"),
    ({"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, 24,
     r"weight: expected shape \(3, 2\), got \(2, 3\)"),
    ({"dtype": "BF16", "shape": [3, 2], "data_offsets": [0, 12]}, 12,
     r"weight: bfloat16, which NumPy does not have: convert it to float32 first"),
    ({"dtype": "F8_E4M3", "shape": [3, 2], "data_offsets": [0, 6]}, 6,
     "weight: expected floating-point numbers, got F8_E4M3"),
    ({"dtype": "I32", "shape": [3, 2], "data_offsets": [0, 24]}, 24,
     "weight: expected floating-point numbers, got int32"),
])
def test_a_hostile_table_is_refused(tmp_path, entry, size, message):
    path = write_safetensors(tmp_path / "w.safetensors", {"weight": entry}, b"\0" * size)
    refused(Linear(2, 3, bias=False), path, message)


# ── saving ───────────────────────────────────────────────────────────────────────────


@both
@pytest.mark.parametrize("state, message", [
    ({"a": [1.0]}, r"a must be an array; got list: convert it with numpy.asarray\(…\)"),
    ({"a": np.array(["x"])}, "a has dtype <U1; a file can hold float16, float32, float64 and"),
    ({"a": np.array([None])}, "a has dtype object"),
    ({"a": np.ones(2, complex)}, r"a has dtype complex128.*convert it with .astype\('float32'\)"),
    ({"a": np.ones(2, bool)}, "a has dtype bool"),
    ({1: np.ones(2)}, "1 cannot be the name of an array"),
    ({"": np.ones(2)}, "'' cannot be the name of an array"),
    ({"__metadata__": np.ones(2)}, "'__metadata__' cannot be the name of an array"),
    ({"ok": np.ones(2), "a": np.array([1, np.nan])}, r"NaN or infinity; nothing was written.\n  a"),
    ([np.ones(2)], "expects a network, or a dict of name: array; got list"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_could_not_be_loaded_is_not_saved(tmp_path, suffix, state, message):
    path = tmp_path / f"w{suffix}"
    weights.save(network(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        weights.save(state, path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@both
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()],
                         ids=["disk full", "Ctrl-C"])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, suffix,
                                                                step, error):
    path = tmp_path / f"w{suffix}"
    weights.save(network(seed=1), path)

    def fail(*_):
        raise error
    if step == "write":
        def half(arrays, file):
            file.write(b"half of it")
            fail()
        monkeypatch.setitem(weights.FORMATS, suffix, weights.FORMATS[suffix]._replace(write=half))
    else:
        monkeypatch.setattr(archive.os, step, fail)
    with pytest.raises(type(error)):
        weights.save(network(seed=2), path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert same(weights.load(network(seed=3), path), network(seed=1))


def test_the_numbers_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Renamed first, a power cut could leave the new name on an empty file; the last fsync is the
    folder's, without which it could take the new name away again."""
    steps = []
    for name in ("fsync", "replace"):
        real = getattr(archive.os, name)
        monkeypatch.setattr(archive.os, name,
                            lambda *a, name=name, real=real: (steps.append(name), real(*a)))
    weights.save(network(), tmp_path / "w.npz")
    assert steps == ["fsync", "replace"] + ["fsync"] * (os.name == "posix")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.npz").touch()
    link = tmp_path / "link.npz"
    try:
        link.symlink_to("real.npz")
    except OSError:
        pytest.skip("no links here")
    weights.save(network(seed=1), link)
    assert link.is_symlink()
    assert same(weights.load(network(seed=2), tmp_path / "real.npz"), network(seed=1))


@both
def test_a_killed_save_never_leaves_a_broken_file(tmp_path, suffix):
    """A process saves without pause and is killed at moments of chance; each time the file is
    there, whole, and all of one save. A .tmp left behind shows a kill that came within a save:
    without one the test would prove nothing, so it goes on until there is."""
    path, rng = tmp_path / f"w{suffix}", random.Random(1)
    program = (
        "import itertools, sys, numpy as np\n"
        "from scratchnet import weights\n"
        "for i in itertools.count(1):\n"
        "    weights.save({'weight': np.full((400, 300), i / 1), 'bias': np.full(400, i / 1)},\n"
        "                 sys.argv[1])\n"
        "    print(i, flush=True)\n")
    linear = Linear(300, 400).astype("float64")
    for kills in range(1, 21):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT,
                                   stdout=subprocess.PIPE)
        process.stdout.readline()                               # the first save is done
        time.sleep(rng.uniform(0.01, 0.2))
        process.kill()
        process.communicate()
        if sys.platform != "win32":
            assert process.returncode == -signal.SIGKILL
        weights.load(linear, path)
        assert np.ptp(linear.weight.value) == 0
        assert linear.weight.value[0, 0] == linear.bias.value[0] >= 1
        killed_within = any(p.suffix == ".tmp" for p in tmp_path.iterdir())
        if kills >= 3 and killed_within:
            break
    assert killed_within


def test_importing_costs_neither_safetensors_nor_matplotlib():
    heavy = subprocess.run(
        [sys.executable, "-c", "import sys; from scratchnet import weights; "
         "print({'safetensors', 'matplotlib', 'torch'} & set(sys.modules))"],
        cwd=ROOT, capture_output=True, text=True, check=True)
    assert heavy.stdout.strip() == "set()"


# ── from PyTorch ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def convert():
    spec = importlib.util.spec_from_file_location("convert_pth", ROOT / "tools" / "convert_pth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@both
@pytest.mark.parametrize("wrap", [
    dict, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s},
    lambda s: {"state_dict": {f"module.{name}": t for name, t in s.items()}}],
    ids=["bare", "state_dict", "model", "DataParallel"])
def test_a_pth_becomes_a_file_that_loads(tmp_path, torch, convert, capsys, suffix, wrap):
    theirs = torch.nn.Sequential()
    theirs.add_module("conv", torch.nn.Conv2d(1, 2, 3))
    theirs.add_module("norm", torch.nn.BatchNorm2d(2))
    theirs.add_module("hidden", torch.nn.Linear(8, 4))
    theirs.add_module("fc", torch.nn.Linear(4, 3))
    theirs.norm.running_mean += 1
    source, target = tmp_path / "in.pth", tmp_path / f"out{suffix}"
    torch.save(wrap(theirs.state_dict()), source)
    assert convert.main([str(source), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: 10 arrays, 79 values\n"
    ours = weights.load(network(), target).state_dict()
    for name, tensor in theirs.state_dict().items():
        if name != "norm.num_batches_tracked":
            np.testing.assert_array_equal(ours[name], tensor.numpy())


def test_tensors_of_any_layout_are_converted(tmp_path, torch, convert):
    a = torch.arange(6.0).reshape(2, 3)
    torch.save({"weight": torch.nn.Parameter(a.t()), "bias": a[0].to(torch.bfloat16),
                "half": a[:, 1].half(), "channels_last": torch.arange(24.0).reshape(1, 2, 3, 4)
                .to(memory_format=torch.channels_last)}, tmp_path / "in.pth")
    arrays = convert.read_pth(tmp_path / "in.pth")
    assert [arrays[name].dtype.name for name in ("weight", "bias", "half")] == \
        ["float32", "float32", "float16"]
    np.testing.assert_array_equal(arrays["weight"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(arrays["bias"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["half"], [1, 4])
    np.testing.assert_array_equal(arrays["channels_last"], np.arange(24).reshape(1, 2, 3, 4))


def test_the_old_names_of_densenet_become_the_new(tmp_path, torch, convert):
    old = ["features.conv0.weight", "features.denseblock1.denselayer1.norm.1.weight",
           "features.denseblock1.denselayer1.norm.1.running_var",
           "features.denseblock1.denselayer1.norm.1.num_batches_tracked",
           "features.denseblock4.denselayer16.conv.2.weight", "features.transition1.norm.weight",
           "features.norm5.bias", "classifier.weight"]
    torch.save({name: torch.ones(1) for name in old}, tmp_path / "in.pth")
    assert list(convert.read_pth(tmp_path / "in.pth")) == [
        "features.conv0.weight", "features.denseblock1.denselayer1.norm1.weight",
        "features.denseblock1.denselayer1.norm1.running_var",
        "features.denseblock4.denselayer16.conv2.weight", "features.transition1.norm.weight",
        "features.norm5.bias", "classifier.weight"]


def test_files_that_cannot_be_converted_say_why(tmp_path, torch, convert, capsys):
    source, target = tmp_path / "in.pth", tmp_path / "out.npz"

    def told(content, to=target):
        torch.save(content, source)
        assert convert.main([str(source), str(to)]) == 1
        assert not target.exists()
        return capsys.readouterr().err

    layer = "features.denseblock1.denselayer1"
    assert "holds no state dict" in told(torch.ones(3))
    assert "holds no state dict" in told({})
    assert "'epoch' is a int" in told({"a": torch.ones(1), "epoch": 3})
    assert "holds more than tensors (UnpicklingError)" in told(torch.nn.Linear(2, 3))
    assert "is no plain tensor" in told({"a": torch.eye(3).to_sparse()})
    assert "NaN or infinity; nothing was written.\n  a\n" in told({"a": torch.tensor([np.nan])})
    assert "a has dtype bool" in told({"a": torch.ones(2).bool()})
    assert "two tensors that would be called" in told(
        {f"{layer}.norm.1.weight": torch.ones(1), f"{layer}.norm1.weight": torch.ones(1)})
    assert "ends in .npz or .safetensors" in told({"a": torch.ones(1)}, tmp_path / "out.h5")
    source.write_bytes(source.read_bytes()[:200])
    assert convert.main([str(source), str(target)]) == 1
    assert "is damaged, or no .pth" in capsys.readouterr().err
    assert convert.main([str(tmp_path / "none.pth"), str(target)]) == 1
    assert "none.pth" in capsys.readouterr().err


def test_the_converter_without_pytorch_says_what_to_install(tmp_path, convert, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert convert.main([str(tmp_path / "in.pth"), str(tmp_path / "out.npz")]) == 1
    assert "needs PyTorch: python -m pip install torch" in capsys.readouterr().err


def test_the_head_of_lenet_is_its_table_of_codes(tmp_path):
    three = models.lenet5(num_classes=3, rng=0)
    weights.save(three, tmp_path / "w.npz")
    four = models.lenet5(num_classes=4, rng=1)
    codes = four.OUT.codes.copy()
    weights.load(four, tmp_path / "w.npz", skip_head=True)
    assert np.array_equal(four.F6.weight.value, three.F6.weight.value)
    assert np.array_equal(four.OUT.codes, codes)


@pytest.mark.parametrize("name", [n for n in models.list_models() if n.endswith("_small")])
def test_every_small_network_loads_all_but_its_head(name, tmp_path):
    three = models.get_model(name, num_classes=3, rng=0)
    weights.save(three, tmp_path / "w.npz")
    four = models.get_model(name, num_classes=4, rng=1)
    before, expected = four.state_dict(), three.state_dict()
    after = weights.load(four, tmp_path / "w.npz", skip_head=True).state_dict()
    fresh = {key for key in after if not np.array_equal(after[key], expected.get(key))}
    assert {key for key in before if before[key].shape != expected[key].shape} <= fresh
    assert all(np.array_equal(after[key], before[key]) for key in fresh)
    assert len(fresh) <= 6                              # weight and bias of the head, or of three
