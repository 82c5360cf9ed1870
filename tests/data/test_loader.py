"""The loader: every image once, in order, the same for any number of workers and any machine."""
import threading

import numpy as np
import pytest

from scratchnet.data.loader import AHEAD, CHUNK, Loader, fetch

N, BATCH = 75, 20
IMAGES = np.random.default_rng(0).random((N, 1, 3, 3), dtype=np.float32)
LABELS = np.arange(N)
ORDER = np.random.default_rng(1).permutation(N)


def noisy(images, rng):
    return images + rng.standard_normal(images.shape, dtype=np.float32)


def batches(workers=0, transform=noisy, first=0, seed=5, images=IMAGES, **options):
    return list(Loader(images, LABELS, BATCH, transform, workers).epoch(ORDER, seed, first,
                                                                        **options))


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        np.array_equal(a, b) for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one, other, strict=True))


def test_every_image_once_in_the_order_that_was_asked_for():
    found = batches(transform=None)
    assert [len(x) for x, _, _ in found] == [20, 20, 20, 15]
    assert np.array_equal(np.concatenate([y for _, y, _ in found]), ORDER)
    assert np.array_equal(np.concatenate([x for x, _, _ in found]), IMAGES[ORDER])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same(workers):
    assert same(batches(workers), batches())


def test_another_seed_gives_other_numbers():
    assert not same(batches(seed=6), batches())


def test_every_batch_and_chunk_has_numbers_of_its_own():
    flat = [x for x, _, _ in batches(transform=lambda x, rng: np.full_like(x, rng.random()))]
    drawn = [x[start, 0, 0, 0] for x in flat for start in range(0, len(x), CHUNK)]
    assert len(set(map(float, drawn))) == len(drawn) == 7


def test_begins_in_the_middle_of_an_epoch_as_if_it_had_come_there():
    assert same(batches(first=2), batches()[2:])
    assert same(batches(workers=3, first=1), batches()[1:])


def test_parts_of_a_batch_are_the_rows_of_the_whole():
    whole = batches()
    for rows in (slice(0, 7), slice(7, 15)):
        parts = batches(rows_of=lambda n, rows=rows: rows)
        for (x, y, n), (x_part, y_part, n_part) in zip(whole, parts, strict=True):
            assert n == n_part
            assert np.array_equal(x[rows], x_part)
            assert np.array_equal(y[rows], y_part)
    across = batches(rows_of=lambda n: slice(CHUNK - 3, min(n, CHUNK + 2)))     # of two chunks
    assert np.array_equal(across[0][0], whole[0][0][CHUNK - 3:CHUNK + 2])


def test_never_more_than_two_batches_a_worker_lie_ready():
    class Slow:
        shape, dtype = IMAGES.shape, IMAGES.dtype
        asked = 0
        lock = threading.Lock()

        def __len__(self):
            return N

        def __getitem__(self, rows):
            with self.lock:
                type(self).asked += 1
            return IMAGES[rows]

    loader = Loader(Slow(), LABELS, 1, None, workers=2)
    running = loader.epoch(ORDER, seed=0)
    for given in range(1, 11):
        next(running)
        assert Slow.asked <= given + AHEAD * 2 + 1
    running.close()


def test_an_error_in_a_worker_comes_when_its_batch_is_due_and_threads_end():
    def broken(images, rng):
        if any(np.array_equal(image, IMAGES[ORDER[40]]) for image in images):     # the third batch
            raise OSError("no such picture")
        return images

    before = threading.active_count()
    seen = []
    with pytest.raises(OSError, match="no such picture"):
        for _, labels, _ in Loader(IMAGES, LABELS, BATCH, broken, workers=2).epoch(ORDER, 0):
            seen.append(labels)
    assert len(seen) == 2
    assert threading.active_count() == before


def test_bytes_become_shares():
    assert np.array_equal(fetch(np.array([[0, 51, 255]], dtype=np.uint8), slice(0, 1)),
                          np.array([[0, 0.2, 1]], dtype=np.float32))


@pytest.mark.parametrize("workers", [-1, 1.5, "2"])
def test_wrong_workers(workers):
    with pytest.raises(ValueError, match="workers must be an integer ≥ 0"):
        Loader(IMAGES, LABELS, BATCH, None, workers)


@pytest.mark.parametrize("transform, message", [
    (lambda x, rng: x[:1], r"transform must return 16 images; got \(1, 1, 3, 3\)"),
    (lambda x, rng: None, "transform must return 16 images; got NoneType"),
    (lambda x, rng: x * np.nan, "transform must return images of finite numbers"),
])
def test_a_transform_that_returns_something_else(transform, message):
    with pytest.raises(ValueError, match=message):
        batches(transform=transform)
