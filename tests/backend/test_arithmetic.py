"""Sums, products and joins of arrays: NumPy's, in parts; whole for arrays of a class of its own."""
import numpy as np
import pytest

from scratchnet.backend import add, arithmetic, multiply, parallel


@pytest.fixture(params=[False, True], ids=["whole", "in parts"])
def parts(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(parallel, "SMALL", 1)
        monkeypatch.setattr(parallel, "TILE", 1)


def randn(*shape, dtype=np.float64):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("threads", [1, 3])
def test_they_are_numpys(parts, threads):
    x, y, s, z = randn(4, 2, 3, 5), randn(4, 2, 3, 5), randn(4, 2, 1, 1), randn(4, 3, 3, 5)
    with parallel.limited(threads):
        np.testing.assert_array_equal(add(x, y), x + y)
        np.testing.assert_array_equal(multiply(x, s), x * s)
        np.testing.assert_array_equal(arithmetic.concatenate([x, z, y]),
                                      np.concatenate([x, z, y], axis=1))
        np.testing.assert_array_equal(arithmetic.concatenate((x[:, :, 0, 0], s[:, :, 0, 0])),
                                      np.concatenate([x[:, :, 0, 0], s[:, :, 0, 0]], axis=1))


def test_the_result_is_a_new_array_of_both_dtypes(parts):
    x = randn(3, 2, 1, 1, dtype=np.float32)
    for result in (add(x, x), multiply(x, x), arithmetic.concatenate([x])):
        assert result.dtype == np.float32 and not np.may_share_memory(result, x)
    assert add(x, x.astype(np.float64)).dtype == np.float64


def test_one_row_is_added_to_all(parts):
    np.testing.assert_array_equal(add(np.ones((3, 2)), np.array([[1.0, 2.0]])),
                                  [[2, 3], [2, 3], [2, 3]])


def test_a_class_of_its_own_sees_the_operation():
    seen = []

    class Watched(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            seen.append((ufunc.__name__, sorted(options)))
            return getattr(ufunc, method)(*(np.asarray(x) for x in inputs), **options)

        def __array_function__(self, function, types, args, options):
            seen.append((function.__name__, sorted(options)))
            return function([np.asarray(x) for x in args[0]], **options)

    x, y = randn(2, 3, 4, 4), randn(2, 3, 4, 4).view(Watched)
    add(x, y), multiply(y, x), arithmetic.concatenate([x, y])
    assert seen == [("add", []), ("multiply", []), ("concatenate", ["axis"])]
