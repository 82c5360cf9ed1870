"""The shipped digits are the published ones, split once and for all."""
import zipfile
from importlib.resources import files

import numpy as np
import pytest

from scratchnet.data import load_digits, random_shift

ARCHIVE = files("scratchnet.data").joinpath("digits.npz")


def test_equal_scikit_learns_copy():
    sklearn = pytest.importorskip("sklearn.datasets").load_digits()
    with np.load(ARCHIVE, allow_pickle=False) as archive:
        assert np.array_equal(archive["images"], sklearn.images)
        assert np.array_equal(archive["labels"], sklearn.target)


def test_small_and_without_pickle():
    assert ARCHIVE.stat().st_size < 64 * 1024
    with zipfile.ZipFile(ARCHIVE) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                version = np.lib.format.read_magic(file)
                read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                assert not read(file)[2].hasobject


def test_the_split_is_fixed():
    parts = load_digits()
    assert [len(p.labels) for p in parts] == [1257, 180, 360]
    assert np.bincount(parts.test.labels).tolist() == [36, 37, 35, 37, 36, 37, 36, 36, 34, 36]
    assert np.bincount(parts.validation.labels).tolist() == [18] * 10
    assert parts.train.labels[:10].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 0, 2]
    assert [int(round(float(p.images.sum() * 16))) for p in parts] == [392371, 56280, 113067]


@pytest.mark.parametrize("size", [8, 32, 11])
def test_shapes_types_and_range(size):
    for images, labels in load_digits(size):
        assert images.shape == (len(labels), 1, size, size)
        assert images.dtype == np.float32 and labels.dtype == np.int64
        assert images.min() >= 0 and images.max() <= 1
        assert images.flags.c_contiguous


def test_resizing_is_bilinear_interpolation():
    """Pixel i of 32 lies at (i + ½)·8/32 − ½ of 8; between two pixels, mix them linearly."""
    at = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    mix = np.maximum(0, 1 - abs(at[:, None] - np.arange(8)))            # (32, 8)
    small, large = load_digits(8).test.images, load_digits(32).test.images
    np.testing.assert_allclose(large, mix @ small @ mix.T, atol=1e-5)


@pytest.mark.parametrize("size", [0, -1, 8.0, True, "8", 2000])
def test_bad_size(size):
    with pytest.raises(ValueError, match="size must be an integer from 1 to 1024; got"):
        load_digits(size)


def test_random_shift_moves_each_image_within_its_bounds():
    rng = np.random.default_rng(0)
    images = rng.random((50, 2, 9, 7)).astype(np.float32)
    before = images.copy()
    shifted = random_shift(images, rng, pixels=2)
    assert np.array_equal(images, before)
    assert shifted.shape == images.shape and shifted.dtype == images.dtype
    seen = set()
    for a, b in zip(images, shifted, strict=True):
        offsets = [(i, j) for i in range(-2, 3) for j in range(-2, 3)
                   if np.array_equal(a[:, 2 + i:7 + i, 2 + j:5 + j], b[:, 2:7, 2:5])]
        assert len(offsets) == 1
        seen.add(offsets[0])
    assert {i for i, _ in seen} == {j for _, j in seen} == {-2, -1, 0, 1, 2}


def test_random_shift_is_repeatable():
    images = load_digits().test.images
    a, b = (random_shift(images, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(a, b)
