"""Recycled memory: a block comes back when its last view is gone, and never before."""
import gc
import threading

import numpy as np
import pytest

from scratchnet.backend import memory
from scratchnet.backend.memory import (
    KEEP,
    SMALL,
    Workspace,
    block_size,
    empty,
    empty_like,
    fresh,
    held,
    release,
)


@pytest.fixture(autouse=True)
def _start_with_nothing_free():
    gc.collect()
    release()
    yield
    release()


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape, dtype", [
    ((64, 1024, 8), np.float32), ((300, 1000), np.complex128), ((SMALL,), np.uint8),
    ((3,), np.float64), ((0, 4), np.int32), ((), np.float32)])
def test_is_like_numpys(shape, dtype):
    array = empty(np, shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 1
    assert (array == 1).all()


def test_a_block_is_used_again():
    x = empty(np, (SMALL,), np.float32)
    first = address(x)
    del x
    assert address(empty(np, (SMALL,), np.float32)) == first


def test_a_block_with_a_view_is_not():
    x = empty(np, (SMALL,), np.float32)
    x[...] = 7
    view = x.reshape(16, -1)[3:5, ::2]
    del x
    y = empty(np, (SMALL,), np.float32)
    y[...] = 1
    assert (view == 7).all() and not np.may_share_memory(view, y)
    first = address(y)
    del view
    assert held()[1] == block_size(4 * SMALL) and address(empty(np, (SMALL,), np.float32)) != first


def test_other_shapes_and_dtypes_of_about_the_size_share_a_block():
    x = empty(np, (100, 1000), np.float64)
    first = address(x)
    del x
    assert address(empty(np, (99, 2000), np.float32)) == first


def test_sizes_waste_a_quarter_at_most():
    for size in range(SMALL, 20 * SMALL, 7919):
        assert size <= block_size(size) <= 1.25 * size


def test_small_arrays_are_numpys_own():
    assert empty(np, (10,), np.float32).base is None


def test_what_lies_free_has_a_bound():
    arrays = [empty(np, (KEEP // 4,), np.float32) for _ in range(4)]
    del arrays
    assert held() == (0, 4 * KEEP)
    empty(np, (KEEP // 3,), np.float32)             # another size: a new block is needed
    assert held()[1] <= KEEP + block_size(4 * (KEEP // 3))


def test_release_gives_back_everything():
    empty(np, (SMALL,), np.float32)
    assert held()[1]
    release()
    assert held() == (0, 0)


def test_fresh_arrays_are_new_and_for_this_thread():
    with fresh():
        assert empty(np, (SMALL,), np.float32).base is None
        others = []
        thread = threading.Thread(target=lambda: others.append(empty(np, (SMALL,), np.float32)))
        thread.start(), thread.join()
        assert others[0].base is not None
    assert empty(np, (SMALL,), np.float32).base is not None


def test_many_threads_never_share_a_block():
    errors = []

    def work(number):
        for _ in range(200):
            x = empty(np, (SMALL // 4,), np.float32)
            x[::1000] = number
            y = empty_like(x)
            y[::1000] = -number
            if (x[::1000] != number).any() or (y[::1000] != -number).any():
                errors.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert memory.held()[0] == 0


def test_a_workspace_gives_the_same_memory_for_the_same_name():
    space = Workspace()
    a = space("a", (3, 4))
    assert a.shape == (3, 4) and a.dtype == np.float32 and a.flags.c_contiguous
    assert np.shares_memory(a, space("a", (2, 5))) and np.shares_memory(a, space("a", (12,)))
    assert not np.shares_memory(a, space("b", (3, 4)))
    larger = space("a", (5, 5))                         # a new block: a keeps its own
    a[...], larger[...] = 1, 2
    assert (a == 1).all() and not np.shares_memory(a, larger)
