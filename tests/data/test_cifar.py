"""CIFAR from its folder and from its archive: the same, or one error that names the file."""
import gzip
import io
import tarfile
import tracemalloc

import numpy as np
import pytest

from scratchnet.data import cifar, load_cifar10, load_cifar100

COUNT = 20                      # images a batch, for 10,000
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(cifar, "BATCH", COUNT)


def records(count, *classes):
    """Random (bytes, images, labels), a column of labels for each number of `classes`."""
    labels = np.stack([RNG.integers(0, n, count, dtype=np.uint8) for n in classes], axis=1)
    images = RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return np.hstack([labels, images.reshape(count, -1)]).tobytes(), images, labels


TEN = {f"data_batch_{i}.bin": records(COUNT, 10) for i in range(1, 6)}
TEN["test_batch.bin"] = records(COUNT, 10)
HUNDRED = {"train.bin": records(5 * COUNT, 20, 100), "test.bin": records(COUNT, 20, 100)}
FINE = "".join(f"fine {i}\n" for i in range(100)).encode()
COARSE = "".join(f"coarse {i}\n" for i in range(20)).encode()


def contents(batches, **more):
    return {name: data for name, (data, *_) in batches.items()} | more


def folder(root, files):
    root.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (root / name).write_bytes(data)
    return root


def archive(path, inside, files):
    """A .tar.gz; a value may be a TarInfo instead of bytes, or a list of several."""
    with tarfile.open(path, "w:gz") as tar:
        for name, values in files.items():
            for data in values if isinstance(values, list) else [values]:
                info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo()
                info.name = f"{inside}/{name}"
                if isinstance(data, bytes):
                    info.size = len(data)
                tar.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def ten(tmp_path, files=None, where="archive"):
    files = contents(TEN) if files is None else files
    if where == "archive":
        return archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
    return folder(tmp_path / "cifar-10-batches-bin", files)


def refused(path, message):
    with pytest.raises(ValueError, match=message) as told:
        load_cifar10(path)
    assert str(path) in str(told.value) and type(told.value) is ValueError


@pytest.mark.parametrize("where", ["archive", "folder"])
@pytest.mark.parametrize("give", ["itself", "what holds it"])
def test_cifar10(tmp_path, where, give):
    path = ten(tmp_path, where=where)
    data = load_cifar10(path if give == "itself" else tmp_path)
    assert [part.images.shape for part in data[:3]] == [(90, 3, 32, 32), (10, 3, 32, 32),
                                                        (20, 3, 32, 32)]
    images = np.concatenate([TEN[f"data_batch_{i}.bin"][1] for i in range(1, 6)])
    labels = np.concatenate([TEN[f"data_batch_{i}.bin"][2][:, 0] for i in range(1, 6)])
    assert np.array_equal(np.concatenate([data.train.images, data.validation.images]), images)
    assert np.array_equal(np.concatenate([data.train.labels, data.validation.labels]), labels)
    assert np.array_equal(data.test.images, TEN["test_batch.bin"][1])
    assert np.array_equal(data.test.labels, TEN["test_batch.bin"][2][:, 0])
    assert all(p.images.dtype == np.uint8 and p.labels.dtype == np.int64 for p in data[:3])
    assert data.classes[0] == "airplane" and data.classes[9] == "truck"


@pytest.mark.parametrize("where", ["archive", "folder"])
@pytest.mark.parametrize("coarse", [False, True])
def test_cifar100(tmp_path, where, coarse):
    files = contents(HUNDRED, **{"fine_label_names.txt": FINE, "coarse_label_names.txt": COARSE})
    if where == "archive":
        archive(tmp_path / "cifar-100-binary.tar.gz", "cifar-100-binary", files)
    else:
        folder(tmp_path / "cifar-100-binary", files)
    data = load_cifar100(tmp_path, coarse=coarse)
    for part, (_, images, labels) in ((data.test, HUNDRED["test.bin"]),
                                      (data.train, HUNDRED["train.bin"])):
        assert np.array_equal(part.images, images[:len(part.labels)])
        assert np.array_equal(part.labels, labels[:len(part.labels), 0 if coarse else 1])
    assert [len(part.labels) for part in data[:3]] == [90, 10, 20]
    assert data.classes == tuple((COARSE if coarse else FINE).decode().splitlines())


def test_names_in_the_folder_come_first_and_numbers_stand_in(tmp_path):
    names = b"".join(b"thing %d\r\n" % i for i in range(10)) + b"\n"
    path = ten(tmp_path, contents(TEN, **{"batches.meta.txt": names}), "folder")
    assert load_cifar10(path).classes == tuple(f"thing {i}" for i in range(10))
    folder(tmp_path / "cifar-100-binary", contents(HUNDRED))
    assert load_cifar100(tmp_path).classes == tuple(map(str, range(100)))


def test_the_published_sizes():
    files = {**cifar.CIFAR10.train, **cifar.CIFAR100.train}
    assert sum(cifar.CIFAR10.train.values()) * 10_000 == 50_000 == files["train.bin"] * 10_000
    assert 60_000 * (2 + cifar.PIXELS) < cifar.MOST_BYTES


@pytest.mark.parametrize("where", ["archive", "folder"])
@pytest.mark.parametrize("change, message", [
    (lambda b: b[:-1], "data_batch_3.bin.* expected to have 61,460 bytes; it has 61,459"),
    (lambda b: b + b"\0", "61,461"), (lambda b: b[:3073], "it has 3,073"),
    (lambda b: b"\x0a" + b[1:], "data_batch_3.bin.*labels from 0 to 9; got 10 at position 0")])
def test_batches_of_wrong_length_and_wrong_labels(tmp_path, where, change, message):
    files = contents(TEN)
    files["data_batch_3.bin"] = change(files["data_batch_3.bin"])
    refused(ten(tmp_path, files, where), message)


@pytest.mark.parametrize("names", [b"one\ntwo\n", b"a\n" * 10, bytes(range(1, 200)), b"x" * 70_000])
def test_wrong_names(tmp_path, names):
    refused(ten(tmp_path, contents(TEN, **{"batches.meta.txt": names})),
            "batches.meta.txt.*expected to h")


def test_a_missing_file_is_named(tmp_path):
    files = contents(TEN)
    del files["data_batch_2.bin"]
    with pytest.raises(FileNotFoundError, match="data_batch_2.bin in .*beside test_batch.bin"):
        load_cifar10(ten(tmp_path, files, "folder"))
    refused(ten(tmp_path / "..", files), "data_batch_2.bin is not in it")
    with pytest.raises(FileNotFoundError, match="expected cifar-100-binary or .*put it there"):
        load_cifar100(tmp_path)


def test_an_archive_cut_anywhere_or_changed_is_refused(tmp_path):
    path = ten(tmp_path)
    whole = path.read_bytes()
    for length in (0, 1, 5, 18, 300, *range(1000, len(whole), 40_001), len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "truncated or damaged")
    for at in range(100, len(whole), 50_001):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        refused(path, "truncated or damaged")


def link(kind):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, "../../../etc/passwd"
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
                                  tarfile.DIRTYPE])
def test_a_link_in_the_place_of_a_batch_is_refused(tmp_path, kind):
    refused(ten(tmp_path, contents(TEN) | {"test_batch.bin": link(kind)}), "is no plain file")


def test_a_batch_twice_is_refused(tmp_path):
    batch = TEN["test_batch.bin"][0]
    refused(ten(tmp_path, contents(TEN) | {"test_batch.bin": [batch, batch]}),
            "test_batch.bin twice")


def test_nothing_is_written_whatever_the_names_say(tmp_path):
    path = ten(tmp_path, contents(TEN) | {"../../escaped.txt": b"no", "../readme.html": b"yes"})
    assert len(load_cifar10(path).test.labels) == COUNT
    assert [p.name for p in tmp_path.rglob("*")] == [path.name]
    assert not (tmp_path.parent / "escaped.txt").exists()


def test_a_bomb_is_left_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MOST_BYTES", 1_000_000)
    path = ten(tmp_path, {"first.bin": bytes(40_000_000)} | contents(TEN))
    tracemalloc.start()
    refused(path, "it inflates to more than 1,000,000 bytes")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    for data in (b"", b"not an archive at all", gzip.compress(b"nor this"), gzip.compress(b"")):
        path.write_bytes(data)
        refused(path, "truncated or damaged")
