"""Loader — batches of images, prepared ahead by worker threads, always in the same order.

Where the images come from a folder, reading and varying a batch takes as long as learning from it,
so threads prepare the next batches meanwhile (Pillow and NumPy let other threads run while they
work). Never more than two batches a worker lie ready: a folder larger than memory is no matter.

The numbers drawn for a batch depend on the epoch's seed and on the batch's number, not on which
thread came first: for each CHUNK of a batch, a generator is made from (seed, batch, chunk). So
the pictures are the same for any number of workers, for a run that was stopped in the
middle of the epoch, and for several machines that each prepare a part of the batch.
"""
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

CHUNK = 16              # images that are varied by one generator
AHEAD = 2               # batches that lie ready, for each worker


class Loader:
    """Cuts (images, labels) into batches; `transform(images, rng)` may vary each.

    images: an array (N, C, H, W), or an object that reads when asked: len(), .shape and
    images[rows] → (n, C, H, W). Bytes (uint8) are divided by 255. labels (N,) integers.
    workers: threads beside the one that asks; 0 prepares each batch when it is asked for.
    """

    def __init__(self, images: Any, labels: np.ndarray, batch_size: int,
                 transform: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
                 workers: int = 0):
        if not isinstance(workers, int) or workers < 0:
            raise ValueError(f"workers must be an integer ≥ 0; got {workers!r}")
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.transform, self.workers = transform, workers

    def __len__(self) -> int:
        """The number of batches in an epoch; the last may be smaller."""
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, order: np.ndarray, seed: int, first: int = 0,
              rows_of: Callable[[int], slice] = lambda n: slice(0, n)
              ) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Yield (images, labels, n) for batch number `first` and those after it.

        n is the size of the whole batch, of which `rows_of(n)` are yielded. An error in a worker
        is raised here, when its batch is due.
        """
        jobs = iter(range(first, len(self)))
        if not self.workers:
            for batch in jobs:
                yield self._prepare(order, seed, batch, rows_of)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        waiting: deque[Future] = deque()
        try:
            for batch in jobs:
                waiting.append(pool.submit(self._prepare, order, seed, batch, rows_of))
                if len(waiting) > AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:                            # also when whoever asked has seen enough
            pool.shutdown(cancel_futures=True)

    def _prepare(self, order: np.ndarray, seed: int, batch: int,
                 rows_of: Callable[[int], slice]) -> tuple[np.ndarray, np.ndarray, int]:
        indices = order[batch * self.batch_size:(batch + 1) * self.batch_size]
        rows = rows_of(len(indices))
        if self.transform is None:
            x = fetch(self.images, indices[rows])
        else:
            begin = rows.start // CHUNK * CHUNK         # of the first chunk that has rows of ours
            x = np.concatenate([
                self._vary(fetch(self.images, indices[start:start + CHUNK]),
                           np.random.default_rng([seed, batch, start // CHUNK]))
                for start in range(begin, rows.stop, CHUNK)])[rows.start - begin:rows.stop - begin]
        if not np.isfinite(x).all():
            raise ValueError("fit: transform must return images of finite numbers; got NaN or "
                             "infinity" if self.transform is not None else
                             f"{(~np.isfinite(x)).any(axis=tuple(range(1, x.ndim))).sum()} of the "
                             f"training images hold NaN or infinity: remove or repair them")
        return x, self.labels[indices[rows]], len(indices)

    def _vary(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        varied = self.transform(images, rng)
        if not isinstance(varied, np.ndarray) or varied.shape[:1] != images.shape[:1]:
            raise ValueError(f"fit: transform must return {len(images)} images; got "
                             f"{getattr(varied, 'shape', type(varied).__name__)}")
        return varied


def fetch(images: Any, rows: np.ndarray | slice) -> np.ndarray:
    """Return images[rows] as floating-point numbers, bytes divided by 255."""
    if isinstance(rows, slice) and not isinstance(images, np.ndarray):
        rows = np.arange(len(images))[rows]
    taken = images[rows]
    return taken.astype(np.float32) / np.float32(255) if taken.dtype == np.uint8 else taken
