"""Work spread over threads: every part once, in order, and safe wherever it is called from."""
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from scratchnet.backend import in_tiles, parallel, product, spread, threads
from scratchnet.backend.parallel import SMALL, TILE, limited


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_every_part_once_and_in_order(count, n):
    with limited(count):
        parts = spread(lambda start, stop: (start, stop), n)
    assert len(parts) == min(count, n)
    assert parts[0][0] == 0 and parts[-1][1] == n
    assert all(a[1] == b[0] for a, b in zip(parts, parts[1:], strict=False))


def test_parts_run_on_threads_of_their_own():
    barrier = threading.Barrier(3, timeout=10)
    with limited(3):
        names = spread(lambda start, stop: barrier.wait() >= 0 and threading.get_ident(), 3)
    assert len(set(names)) == 3 and threading.get_ident() in names


def test_what_is_not_worth_it_runs_here():
    with limited(4):
        assert spread(lambda *part: (threading.get_ident(), part), 9, worth=False) == [
            (threading.get_ident(), (0, 9))]


def test_spreading_inside_a_part_runs_there():
    barrier = threading.Barrier(3, timeout=10)
    with limited(3):
        inner = spread(lambda start, stop: barrier.wait() >= 0 and (threading.get_ident(), spread(
            lambda *part: (threading.get_ident(), part), 5)), 3)
    assert all(nested == [(thread, (0, 5))] for thread, nested in inner)
    assert len({thread for thread, _ in inner}) == 3


def test_who_is_done_takes_the_next_part():
    """The first of four parts waits until the other three have been done by the other thread."""
    others = threading.Semaphore(0)

    def work(start, stop):
        if start:
            others.release()
        else:
            for _ in range(3):
                assert others.acquire(timeout=10)
        return threading.get_ident(), (start, stop)

    with limited(2):
        done = spread(work, 4, each=2)
    assert [part for _, part in done] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert len({thread for thread, _ in done[1:]}) == 1 and done[0][0] != done[1][0]


def test_an_error_is_raised_after_all_parts_have_ended():
    ended = []

    def work(start, stop):
        if start == 2:
            raise KeyError("third")
        ended.append(start)

    with limited(4), pytest.raises(KeyError, match="third"):
        spread(work, 4)
    assert sorted(ended) == [0, 1, 3]
    with limited(4):                                    # and all goes on
        assert len(spread(lambda *part: part, 4)) == 4


def test_blas_has_one_thread_inside_and_as_many_as_before_outside():
    before = [library.num_threads for library in parallel._blas()]
    with limited(2):
        inside = spread(lambda *_: [library.num_threads for library in parallel._blas()], 2)
    assert all(count == 1 for part in inside for count in part)
    assert [library.num_threads for library in parallel._blas()] == before


def test_pythons_lock_is_handed_on_quickly_inside_and_as_before_outside():
    before = sys.getswitchinterval()
    with limited(2):
        inside = spread(lambda *_: spread(lambda *_: sys.getswitchinterval(), 2), 2)
    assert np.allclose(inside, parallel.PATIENCE) and before > parallel.PATIENCE
    assert sys.getswitchinterval() == before
    with pytest.raises(ZeroDivisionError):
        spread(lambda *_: 1 / 0, 1)
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((700, 130), (130, 90)),
                                    ((9, 700), (700, 900)), ((0, 4), (4, 3)), ((2, 0), (0, 3))])
@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float32, np.float64)])
def test_product(shapes, dtypes):
    a, b = (np.random.default_rng(0).standard_normal(shape).astype(dtype)
            for shape, dtype in zip(shapes, dtypes, strict=True))
    for x, y in ((a, b), (np.asfortranarray(a), b), (b.T, a.T)):
        for count in (1, 2, 3):
            with limited(count):
                ours = product(x, y)
            assert ours.dtype == np.result_type(*dtypes)
            np.testing.assert_allclose(ours, x @ y, rtol=1e-4, atol=1e-4)


def test_product_of_watched_arrays_is_one_operation():
    class Watched(np.ndarray):
        pass

    a = np.ones((300, 300)).view(Watched)
    assert type(product(a, np.ones((300, 300)))) is Watched


def test_numpys_error_settings_hold_in_every_part():
    x = np.zeros(8)
    with limited(4), np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        spread(lambda start, stop: 1 / x[start:stop], 8)
    with limited(4), np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        spread(lambda start, stop: 1 / x[start:stop], 8)


def test_callers_in_several_threads_share_the_helpers():
    sums = {}

    def caller(number):
        with limited(3):
            for _ in range(50):
                sums[number] = sum(spread(lambda a, b: sum(range(a, b)), 100 + number))

    callers = [threading.Thread(target=caller, args=(i,)) for i in range(6)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(timeout=60)
    assert sums == {i: sum(range(100 + i)) for i in range(6)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_helpers_of_its_own():
    program = """
import os, sys, warnings
warnings.simplefilter("ignore")
from scratchnet.backend import spread
assert len(spread(lambda *part: part, 4)) == 2
child = os.fork()
if child == 0:
    os._exit(7 if len(spread(lambda *part: part, 4)) == 2 else 1)
_, status = os.waitpid(child, 0)
assert len(spread(lambda *part: part, 4)) == 2
sys.exit(os.waitstatus_to_exitcode(status))
"""
    run = subprocess.run([sys.executable, "-c", program], timeout=60,
                         env=os.environ | {"SCRATCHNET_NUM_THREADS": "2"})
    assert run.returncode == 7


def test_a_child_forked_meanwhile_has_its_blas_threads_back():
    program = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy
from threadpoolctl import threadpool_info
from scratchnet.backend import spread
def count():
    return [library["num_threads"] for library in threadpool_info()]
before = count()
def work(first, last):
    child = os.fork()
    if child == 0:
        os._exit(7 if count() == before else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
codes = spread(work, 1)
sys.exit(codes[0])
"""
    run = subprocess.run([sys.executable, "-c", program], timeout=60,
                         env=os.environ | {"OPENBLAS_NUM_THREADS": "2"})
    assert run.returncode == 7


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("SCRATCHNET_NUM_THREADS", "3")
    assert threads() == 3
    with limited(1):
        assert threads() == 1
    monkeypatch.delenv("SCRATCHNET_NUM_THREADS")
    assert threads() == len(os.sched_getaffinity(0))
    for wrong in ("0", "two", "-1", "1.5", "²", "1025"):
        monkeypatch.setenv("SCRATCHNET_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="1 to 1024; got"):
            threads()


@pytest.mark.parametrize("shape", [(), (3,), (SMALL,), (5, SMALL // 4), (1000, 64, 65)])
@pytest.mark.parametrize("count", [1, 2])
def test_tiles_cover_every_number_once(shape, count):
    x, seen = np.zeros(shape, dtype=np.float32), []

    def work(part):
        x[part] += 1
        seen.append(x[part].nbytes)

    with limited(count):
        in_tiles(work, x)
    assert (x == 1).all()
    if x.nbytes >= SMALL and len(x) > 10:
        assert max(seen) <= TILE
