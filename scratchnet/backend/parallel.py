"""Parallel — parts of a batch for the cores to take, one thread of BLAS inside.

    spread(work, n)         work(0, n/2) and work(n/2, n), each by the core that is free first
    in_tiles, in_planes     the same with parts of an array that fit into a core's cache
    product(a, b)           a · b, so spread

NumPy lets go of Python's lock while it computes, so threads are enough. Each part is a contiguous
range, cut the same way at every call: sums over parts, added in the order of the parts, come out
the same bit for bit for a given number of threads. While parts are running, BLAS is held to
one thread: two cores that both start two threads get in each other's way, and BLAS's own threads
go on asking for work, with all of a core's time, for a while after each product. So nothing large
is multiplied outside: `product` is a matrix product in parts.

The number of threads is that of the cores this process may use, or SCRATCHNET_NUM_THREADS.

Between two calls of NumPy a thread needs Python's lock, and a thread that waits for it while the
other one makes many short calls gets it only when it asks for it: after 5 ms, as Python is set.
While parts are running it asks after 0.05 ms.

The helpers start with the first call that needs them, wait on a queue, and end with the process. A
part that spreads again runs its parts itself; callers in several threads of the user's own
share the helpers; a forked child starts its own.
"""
import contextvars
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from queue import SimpleQueue
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from scratchnet.backend.memory import empty

TILE = 512 << 10        # bytes of an array at once; with what is computed, within a core's cache
PLANES = 2 << 20        # the same, where each part is worked on in many short calls
SMALL = 1 << 20         # bytes to pass over from which a second thread is worth its start
WORTH = 4 << 20         # multiply-adds from which it is
PATIENCE = 5e-5         # seconds
SHORT = 256             # numbers
LONG_SUM = 128          # numbers in each sum, from which a product is worth a copy of its result
MOST = 1024             # threads: more would be a slip of the pen
EACH = 4                # parts for each thread, where nothing is lost by cutting: cores are not
                        # equally fast, least of all where others use them, too

_local = threading.local()
_lock = threading.Lock()
_calls: SimpleQueue = SimpleQueue()     # of what waits: a deque of jobs
_helpers: list[threading.Thread] = []
_running = 0                    # calls of spread that hold BLAS to one thread
_before: list[tuple[Any, int]] = []     # BLAS libraries, and how many threads each had
_interval = 0.005                       # seconds after which a thread asks for Python's lock


def threads() -> int:
    """Return how many threads work is spread over.

    Raises ValueError if SCRATCHNET_NUM_THREADS is set to anything but a number from 1 to MOST.
    """
    chosen = getattr(_local, "threads", None)
    if chosen is not None:
        return chosen
    text = os.environ.get("SCRATCHNET_NUM_THREADS", "").strip()
    if not text:
        return _cores()
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(f"SCRATCHNET_NUM_THREADS is the number of threads to compute with, 1 to "
                         f"{MOST}; got {text!r}")
    return int(text)


@contextmanager
def limited(count: int) -> Iterator[None]:
    """`with limited(1):` this thread's work is spread over `count` threads."""
    outer = getattr(_local, "threads", None)
    _local.threads = count
    try:
        yield
    finally:
        _local.threads = outer


def spread(work: Callable[[int, int], Any], n: int, worth: bool = True, each: int = 1) -> list:
    """Call work(start, stop) on contiguous parts of range(n), `each` of them for each thread, and
    return what they returned, in order. Whoever is done takes the next part that is not begun.

    With `worth` false, or one thread, it is one call of work(0, n). An error of a part is raised
    here, after all parts have ended.
    """
    if getattr(_local, "part", False):
        return [work(0, n)]
    count = min(threads(), n) if worth else 1
    if count <= 1:
        _hold()
        try:
            return [work(0, n)]
        finally:
            _let()
    parts = min(count * each, n)
    bounds = [n * k // parts for k in range(parts + 1)]
    jobs = [_Job(work, start, stop) for start, stop in zip(bounds, bounds[1:], strict=False)]
    waiting = deque(jobs)
    _start_helpers(count - 1)
    _hold()
    try:
        for _ in range(count - 1):
            _calls.put(waiting)
        _work_off(waiting)
        for job in jobs:
            job.ended.acquire()
    finally:
        _let()
    for job in jobs:
        if job.error is not None:
            raise job.error
    return [job.result for job in jobs]


def in_tiles(work: Callable[[Any], Any], x: Any, cost: int = 1, least: int = 1) -> None:
    """Call work(part) for parts of x's first axis that fit into a core's cache, spread over the
    threads: x[part] is a few images, or rows of weights. Work on it several times, with `out=`, and
    only the first time comes from memory.

    `cost` is how many passes over its part the work makes, about; `least` is how many rows a part
    has at least. Arrays that are small, have no axis, or are on the GPU are one part.
    """
    if not isinstance(x, np.ndarray) or not x.ndim or x.nbytes * cost < SMALL:
        work(...)
        return
    step = max(least, TILE * len(x) // x.nbytes)

    def part(first: int, last: int) -> None:
        for start in range(first, last, step):
            work(slice(start, min(start + step, last)))

    spread(part, len(x), each=EACH)


def in_planes(work: Callable[[slice, slice], Any], x: Any, cost: int = 1) -> None:
    """Call work(n, c) for parts x[n, c] of x (N, C, H, W), a few images or a few channels of one,
    that fit into a core's cache, spread over the threads; as in_tiles, but cut along both axes.
    """
    if not isinstance(x, np.ndarray) or x.nbytes * cost < SMALL:
        with _short_buffers():
            work(slice(None), slice(None))
        return
    cut = planes(x, PLANES)

    def part(first: int, last: int) -> None:
        with _short_buffers():
            for n, c in cut[first:last]:
                work(n, c)

    spread(part, len(cut), each=EACH)


def planes(x: Any, tile: int) -> list[tuple[slice, slice]]:
    """Cut x (N, C, H, W) into parts x[n, c] of about `tile` bytes: return (n, c), …"""
    (N, C), room = x.shape[:2], max(1, tile * x.shape[0] * x.shape[1] // max(1, x.nbytes))
    c = min(C, room)
    n = max(1, room // C)
    return [(slice(i, min(i + n, N)), slice(k, min(k + c, C)))
            for i in range(0, N, n) for k in range(0, C, c)]


@contextmanager
def _short_buffers() -> Iterator[None]:
    """A number for each channel beside a row of its pixels: where the row is shorter than NumPy's
    buffer (8192 numbers), NumPy fills the buffer with copies of that number, which takes twice as
    long as the arithmetic. So the buffer is made shorter than the rows."""
    before = np.setbufsize(SHORT)
    try:
        yield
    finally:
        np.setbufsize(before)


def product(a: Any, b: Any) -> Any:
    """Return the matrix product a · b, its rows or columns spread over the threads."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray:      # on the GPU, or watched
        return a @ b
    (M, K), N = a.shape, b.shape[1]
    y = empty(np, (M, N), np.result_type(a, b))
    aT = np.ascontiguousarray(a.T) if M < N and K >= LONG_SUM else None

    def part(first: int, last: int) -> None:
        some = slice(first, last)
        if M >= N:
            np.matmul(a[some], b, out=y[some])
        elif aT is None:
            np.matmul(a, b[:, some], out=y[:, some])
        else:           # (bᵀ · aᵀ)ᵀ: BLAS copies the second matrix, so let it be the small one
            y[:, some] = np.matmul(b[:, some].T, aT).T

    spread(part, max(M, N), M * K * N > WORTH)
    return y


class _Job:
    """work(start, stop), to be run once, in the caller's context (NumPy's error settings)."""

    def __init__(self, work: Callable, start: int, stop: int):
        self.work, self.start, self.stop = work, start, stop
        self.result = self.error = None
        self.context = contextvars.copy_context()
        self.ended = threading.Lock()
        self.ended.acquire()

    def run(self) -> None:
        _local.part = True
        try:
            self.result = self.context.run(self.work, self.start, self.stop)
        except BaseException as error:      # raised again where spread was called
            self.error = error
        finally:
            _local.part = False
            self.work = None                # holds arrays
            self.ended.release()


def _work_off(waiting: deque) -> None:
    """Run jobs until none is left that nobody has begun."""
    while True:
        try:
            job = waiting.popleft()         # atomic
        except IndexError:
            return
        job.run()
        del job


def _help() -> None:
    while True:
        _work_off(_calls.get())


def _start_helpers(count: int) -> None:
    if len(_helpers) >= count:
        return
    with _lock:
        while len(_helpers) < count:
            helper = threading.Thread(target=_help, daemon=True, name="scratchnet")
            helper.start()
            _helpers.append(helper)


@cache
def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _blas() -> list:
    """The BLAS libraries of this process."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _hold() -> None:
    """BLAS on one thread, and Python's lock handed on quickly."""
    global _running, _interval
    with _lock:
        _running += 1
        if _running == 1:
            _interval = sys.getswitchinterval()
            sys.setswitchinterval(min(_interval, PATIENCE))
            _before[:] = [(library, library.num_threads) for library in _blas()]
            for library, had in _before:
                if had != 1:
                    library.set_num_threads(1)


def _let() -> None:
    global _running
    with _lock:
        _running -= 1
        if _running == 0:
            sys.setswitchinterval(_interval)
            for library, had in _before:
                if had != 1:
                    library.set_num_threads(had)


def _after_fork() -> None:
    """A child has one thread: the others, and what they held, are the parent's."""
    global _lock, _calls, _running
    if _running:
        sys.setswitchinterval(_interval)
        for library, had in _before:
            library.set_num_threads(had)
    _lock, _calls, _running = threading.Lock(), SimpleQueue(), 0
    _helpers.clear()
    _cores.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
