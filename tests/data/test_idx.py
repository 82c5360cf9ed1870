"""IDX files hold exactly what their headers say, or are refused by name."""
import gzip
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from scratchnet.data import idx, load_mnist, read_idx

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 28, 28), dtype=np.uint8)
LABELS = (np.arange(24) % 10).astype(np.uint8)


def idx_bytes(array, code=0x08):
    """An IDX file by hand."""
    big_endian = array.astype(array.dtype.newbyteorder(">"))
    return (bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            + big_endian.tobytes())


def written(folder, contents, name="file"):
    path = folder / name
    path.write_bytes(contents)
    return path


def refused(path, message):
    with pytest.raises(ValueError, match=message) as told:
        read_idx(path)
    assert str(path) in str(told.value) and type(told.value) is ValueError


def mnist(folder, packed=(), **changed):
    """A small data set in MNIST's layout."""
    arrays = {"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS,
              "t10k-images-idx3-ubyte": IMAGES[:7] // 2, "t10k-labels-idx1-ubyte": LABELS[3:10]}
    for name, array in (arrays | {n.replace("_", "-"): a for n, a in changed.items()}).items():
        contents = idx_bytes(array, {"u": 0x08, "f": 0x0D}[array.dtype.kind])
        if name in packed:
            name, contents = f"{name}.gz", gzip.compress(contents)
        written(folder, contents, name)
    return folder


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("code, dtype", [(8, "u1"), (9, "i1"), (0xB, "i2"), (0xC, "i4"),
                                         (0xD, "f4"), (0xE, "f8")])
def test_every_type_of_number_is_read(tmp_path, code, dtype, pack):
    array = (RNG.standard_normal((3, 1, 5)) * 100).astype(dtype)
    read = read_idx(written(tmp_path, pack(idx_bytes(array, code))))
    assert read.dtype == np.dtype(dtype) and read.dtype.isnative and np.array_equal(read, array)
    assert read.flags.writeable and read.flags.c_contiguous


def test_the_header_of_mnist_by_hand(tmp_path):
    path = written(tmp_path, bytes.fromhex("00000802 00000002 00000003 010203 FF0506"))
    assert read_idx(str(path)).tolist() == [[1, 2, 3], [255, 5, 6]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_file_cut_anywhere_or_too_long_is_refused(tmp_path, pack):
    whole = idx_bytes(IMAGES[:1, :5, :5])
    for length in range(len(whole)):
        refused(written(tmp_path, pack(whole[:length])), "damaged")
    refused(written(tmp_path, pack(whole + b"\0")), "more than that are there")


def test_a_gz_cut_anywhere_or_changed_is_refused(tmp_path):
    whole = gzip.compress(idx_bytes(IMAGES[:2]))
    for length in (*range(60), *range(60, len(whole), 37), len(whole) - 1):
        refused(written(tmp_path, whole[:length]), "damaged")
    for at in range(20, len(whole), 41):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        refused(written(tmp_path, bytes(changed)), "damaged")
    refused(written(tmp_path, whole + b"more"), "damaged")


@pytest.mark.parametrize("header, message", [
    ("00010802", "it is no IDX file: expected 00 00.*the first 4 bytes are 00 01 08 02"),
    ("00000A01 00000001 00", "the first 4 bytes are 00 00 0A 01"),
    ("00000800", "1 to 8 dimensions"), ("00000809", "1 to 8 dimensions"),
    ("00000801 00000000", "says 0 of uint8, 0 bytes; expected 1 to 2,000,000,000"),
    ("00000803 FFFFFFFF FFFFFFFF FFFFFFFF", "bytes; expected 1 to 2,000,000,000"),
    ("00000E01 77359401 00", "expected 1 to 2,000,000,000"),
    ("00000801 00100000 00", "1,048,576 bytes; this file has room for 1"),
    ("00000802 00000001", "ends before 2 sizes"), ("", "ends before the first 4 bytes")])
def test_wrong_headers(tmp_path, header, message):
    refused(written(tmp_path, bytes.fromhex(header)), message)


def test_a_bomb_is_left_where_the_header_says(tmp_path):
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(idx_bytes(np.zeros(1000, np.uint8)))
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    promising = gzip.compress(idx_bytes(np.zeros(5, np.uint8))[:4] + struct.pack(">I", 10**9))
    tracemalloc.start()
    refused(written(tmp_path, bomb), "1,000 bytes; more than that are there")
    refused(written(tmp_path, promising), "1,000,000,000 bytes; this file has room for")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_idx(tmp_path)


# ── the data sets ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("packed", [(), idx.FILES, idx.FILES[:1]])
def test_mnist_from_a_folder(tmp_path, packed):
    data = load_mnist(mnist(tmp_path, packed))
    assert [part.images.shape for part in data[:3]] == [(22, 1, 28, 28), (2, 1, 28, 28),
                                                        (7, 1, 28, 28)]
    assert np.array_equal(np.concatenate([data.train.images, data.validation.images])[:, 0], IMAGES)
    assert np.array_equal(np.concatenate([data.train.labels, data.validation.labels]), LABELS)
    assert np.array_equal(data.test.images[:, 0], IMAGES[:7] // 2)
    assert all(p.images.dtype == np.uint8 and p.labels.dtype == np.int64 for p in data[:3])
    assert data.classes == tuple("0123456789") and data.source == str(tmp_path)


def test_fashion_has_names_for_its_classes(tmp_path):
    classes = load_mnist(mnist(tmp_path), fashion=True).classes
    assert len(classes) == 10 and classes[0] == "T-shirt/top" and classes[9] == "ankle boot"


@pytest.mark.parametrize("changed, file, message", [
    ({"train_images-idx3-ubyte": IMAGES[:, :27]}, "train-images", "N × 28 × 28; got uint8, 24 × 2"),
    ({"train_images-idx3-ubyte": IMAGES[:, 0]}, "train-images", "got uint8, 24 × 28"),
    ({"t10k_images-idx3-ubyte": IMAGES[:7] / np.float32(2)}, "t10k-images", "got float32"),
    ({"train_labels-idx1-ubyte": LABELS[:-1]}, "train-labels", "24 uint8 labels.*uint8, 23"),
    ({"t10k_labels-idx1-ubyte": LABELS[:7] + np.uint8(5)}, "t10k-labels",
     "from 0 to 9; got 11 at position 6"),
    ({"train_labels-idx1-ubyte": LABELS[:4], "train_images-idx3-ubyte": IMAGES[:4]}, "4 training",
     "too few to hold some out")])
def test_files_that_do_not_fit_together(tmp_path, changed, file, message):
    with pytest.raises(ValueError, match=message) as told:
        load_mnist(mnist(tmp_path, **changed))
    assert file in str(told.value)


def test_a_missing_file_is_named(tmp_path):
    mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="expects t10k-labels-idx1-ubyte or .*gz in"):
        load_mnist(tmp_path)
