"""The stand-in for CuPy is itself tested: what it must refuse, and what it must not."""

import copy
import pickle
import sys

import numpy as np
import pytest
import strict_cupy as cp


@pytest.fixture
def a():
    return cp.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


HOST = np.ones((2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a: a + HOST,
        lambda a: HOST + a,
        lambda a: a == HOST,
        lambda a: HOST @ a.T,
        lambda a: a.__iadd__(HOST),
        lambda a: np.add(a, HOST),
        lambda a: np.add(HOST, HOST, out=a),
        lambda a: cp.maximum(a, HOST),
        lambda a: cp.maximum(a, 0, out=HOST.copy()),
        lambda a: cp.where(a > 0, a, HOST),
        lambda a: cp.concatenate([a, HOST]),
        lambda a: cp.einsum("ij,ij->i", a, HOST),
        lambda a: cp.array([a, HOST]),
        lambda a: cp.sum(HOST),
        lambda a: cp.sum([1.0, 2.0]),
        lambda a: cp.where(True, a, a),
        lambda a: cp.reshape(a, np.array([3, 2])),
        lambda a: cp.exp([1.0, 2.0]),
        lambda a: np.concatenate([a, HOST]),
        lambda a: a[np.array([0, 1])],
        lambda a: a.take(np.array([0, 1])),
        lambda a: a.__setitem__((0, 0), np.array(1.0)),
        lambda a: np.asarray(a),
        lambda a: np.array([a, a]),
        lambda a: a + None,
    ],
)
def test_nothing_crosses_on_its_own(a, mix):
    with pytest.raises(TypeError):
        mix(a)


def test_assigning_a_host_array_fails(a):
    with pytest.raises(ValueError, match="non-scalar numpy.ndarray"):
        a[...] = HOST
    with pytest.raises(ValueError, match="non-scalar numpy.ndarray"):
        a[a > 1] = np.zeros(4)


def test_explicit_ways_across_copy(a):
    host = HOST.copy()
    b = cp.asarray(host)
    host[...] = 7
    assert float(b.sum()) == 6
    assert type(b.get()) is type(cp.asnumpy(b)) is np.ndarray
    b.get()[...] = 7
    b.set(2 * HOST)
    assert b.tolist() == [[2.0] * 3] * 2
    assert cp.asarray(b) is b and cp.array(b) is not b
    assert cp.array([a, b]).shape == (2, 2, 3)


def test_operators_agree_with_numpy_and_keep_dtypes(a):
    h = a.get()
    for ours, numpys in [
        (a + 1, h + 1), (2.0 * a, 2.0 * h), (1 - a, 1 - h), (a**2, h**2), (a / 2, h / 2),
        (np.float32(3) * a, np.float32(3) * h), (-a, -h), (abs(a), abs(h)), (a > 2, h > 2),
        (a @ a.T, h @ h.T), (a // 2, h // 2), (a % 2, h % 2), (~(a > 1), ~(h > 1)),
        (np.exp(a), np.exp(h)), (np.mean(a, axis=0), np.mean(h, axis=0)),
        (cp.where(a > 1, a, 0.0), np.where(h > 1, h, 0.0)), (cp.pad(a, 1), np.pad(h, 1)),
        (a.var(axis=1, keepdims=True), h.var(axis=1, keepdims=True)),
        (cp.einsum("ij,kj->ik", a, a), np.einsum("ij,kj->ik", h, h)),
        (cp.tensordot(a, a, axes=([1], [1])), np.tensordot(h, h, axes=([1], [1]))),
    ]:  # fmt: skip
        assert type(ours) is cp.ndarray and ours.dtype == numpys.dtype
        np.testing.assert_array_equal(ours.get(), numpys)


def test_scalars_are_0d_arrays_and_no_integers(a):
    for zero_d in (
        a.sum(),
        a[0, 1],
        a.argmax(),
        cp.allclose(a, a),
        cp.count_nonzero(a),
        cp.exp(1.0),
    ):
        assert type(zero_d) is cp.ndarray and zero_d.shape == ()
    n = (a > 2).sum()
    assert int(n) == 3 and bool(n) and n.item() == 3 and f"{a.mean():.2f}" == "2.50"
    integral = (
        lambda: range(n), lambda: [0, 1, 2, 3][n], lambda: cp.zeros(n), lambda: cp.zeros((2, n)),
        lambda: a.reshape(n, -1), lambda: cp.reshape(a, n), lambda: a[:n], lambda: a.sum(axis=n),
    )  # fmt: skip
    for use in integral:
        with pytest.raises(TypeError):
            use()
    with pytest.raises(TypeError):
        len(n)
    with pytest.raises(ValueError):
        bool(a)


def test_views_share_memory(a):
    row = a[1:]
    row += 10
    a.reshape(-1)[0] = 5
    a.T[2, 0] = 7
    a[0, 1] += 1
    corner = a[1, 1]
    corner -= 1
    assert a.tolist() == [[5, 2, 7], [13, 13, 15]]
    assert row.base is a and a[1:][:, 1:].base is a and a.base is None
    picked = a[cp.asarray(0)]
    picked += 100
    assert float(a[0, 0]) == 5 and picked.base is None and a.copy().base is None
    windows = cp.lib.stride_tricks.sliding_window_view(a, (2, 2))
    assert windows.shape == (1, 2, 2, 2) and windows[0].base is a
    strided = cp.lib.stride_tricks.as_strided(a, (2, 2), a.strides)
    strided[0, 0] = -1
    assert float(a[0, 0]) == -1 and not a[:, 1:].flags.c_contiguous and a.T.flags.f_contiguous


def test_indices_that_a_gpu_leaves_undefined_are_refused(a):
    i = cp.asarray([0, 0, 1])
    with pytest.raises(ValueError, match="add.at"):
        a[i, i] = cp.ones(3)
    with pytest.raises(ValueError, match="overlapping"):
        a[:, 1:] = a[:, :-1]
    with pytest.raises(IndexError):
        a[cp.asarray([2])]
    cp.add.at(a, (i, i), 1.0)
    a[i] = 9.0
    a[cp.asarray([1, 0])] = a.copy()
    with pytest.raises(TypeError, match="only supports"):
        cp.add.at(cp.zeros(3, dtype=cp.int64), i, 1)


def test_out(a):
    assert cp.maximum(a, 2, out=a) is a and float(a.min()) == 2
    product = cp.empty((2, 2), dtype=np.float32)
    assert cp.isnan(product).all()
    assert cp.matmul(a, a.T, out=product) is product and np.matmul(a, a.T, out=product) is product
    total = cp.empty(3, dtype=np.float32)
    assert a.sum(axis=0, out=total) is total and (total == np.sum(a, axis=0)).all()
    square = cp.ones((2, 2))
    with pytest.raises(ValueError, match="own operands"):
        cp.matmul(square, square, out=square)


def test_what_cupy_lacks_is_not_here(a):
    for name in ("errstate", "insert", "block", "ndenumerate", "longdouble", "random", "vecdot"):
        assert not hasattr(cp, name)
    for call in (
        lambda: cp.add(a, a, where=a > 0), lambda: a.sum(where=a > 0), lambda: cp.max(a, initial=0),
        lambda: cp.einsum("ij->i", a, out=a), lambda: a.astype("f8", casting="safe"),
        lambda: np.add(a, a, where=a > 0), lambda: np.insert(a, 0, 1.0), lambda: a.var(mean=a),
        lambda: cp.clip(a, min=0, max=1),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            call()
    assert not hasattr(a, "resize") and not hasattr(a.flags, "writeable")


def test_complex_numbers_have_no_order(a):
    z = a + 1j
    for call in (lambda: z > 0, lambda: cp.maximum(z, 0), lambda: z.argmax(), lambda: cp.max(z)):
        with pytest.raises(TypeError, match="unverified on CuPy"):
            call()
    z.imag[0] = 3
    assert cp.iscomplexobj(z) and (z.real == a).all() and float(abs(z[0, 0])) == 3


def test_arithmetic_does_not_warn(a, recwarn):
    assert cp.isinf(1 / (a - 5)).any() and cp.isnan(cp.log(-a - 1)).all()
    assert not recwarn.list


def test_copies(a):
    twice = copy.deepcopy({"one": a, "other": a})
    assert twice["one"] is twice["other"] is not a and (twice["one"] == a).all()
    again = pickle.loads(pickle.dumps(a))
    assert type(again) is cp.ndarray and (again == a).all() and copy.copy(a) is not a


KERNEL = """typedef float real;
extern "C" __global__ void scale(const real* x, int n, long long shift, double factor, real* y) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t < n) y[t] = x[t] * factor + shift;
}"""


def scaled(x, *, grid=(2,), block=(4,), n=np.int32(6), shift=1, factor=2.0, y=None):  # noqa: B008
    y = cp.empty((2, 3), "float32") if y is None else y
    cp.RawModule(code=KERNEL).get_function("scale")(grid, block, (x, n, shift, factor, y))
    return y


def test_a_kernel_runs_and_python_numbers_are_long_long_and_double(a):
    np.testing.assert_array_equal(scaled(a).get(), 2 * a.get() + 1)
    np.testing.assert_array_equal(scaled(a, shift=np.int64(1), factor=np.float64(2)).get(),
                                  2 * a.get() + 1)


@pytest.mark.parametrize("wrong", [
    {"n": 6}, {"n": np.int64(6)}, {"shift": 1.0}, {"shift": True}, {"factor": 2},
    {"factor": np.float32(2)}, {"y": cp.empty((2, 3), "float64")}, {"y": np.empty((2, 3), "f4")},
    {"y": 1}, {"n": cp.asarray(np.array(6, "int32"))}, {"n": None}, {"grid": 2}, {"grid": (2, 1)},
    {"block": (np.int64(4),)}])
def test_a_kernel_takes_exactly_its_types(a, wrong):
    with pytest.raises(TypeError):
        scaled(a, **wrong)


def test_what_a_kernel_would_misread_is_refused(a):
    with pytest.raises(ValueError, match="contiguous"):
        scaled(a.T)
    with pytest.raises(ValueError, match="given twice"):
        scaled(a, y=a)
    for wrong in ({"grid": (0,)}, {"block": (1025,)}):
        with pytest.raises(RuntimeError, match="invalid configuration"):
            scaled(a, **wrong)
    with pytest.raises(RuntimeError, match="not found: other"):
        cp.RawModule(code=KERNEL).get_function("other")
    with pytest.raises(TypeError, match="tuple of 5 arguments"):
        cp.RawKernel(KERNEL, "scale")((1,), (1,), (a,))
    with pytest.raises(TypeError):
        cp.RawModule(KERNEL)


def test_installed_is_cupy_and_leaves_no_trace():
    before = {name for name in sys.modules if name.startswith("cupy")}
    with cp.installed() as installed:
        import cupy
        import cupy.cuda.runtime
        from cupy.lib.stride_tricks import as_strided

        assert cupy is installed is cp and as_strided is cp.lib.stride_tricks.as_strided
        assert cupy.cuda.runtime.getDeviceCount() == 1 and cupy.cuda.is_available()
        assert cupy.cuda.runtime.getDeviceProperties(0)["name"] == b"strict stand-in"
        cupy.cuda.Stream.null.synchronize()
        assert cupy.get_array_module(1, cupy.zeros(2)) is cupy
        assert cupy.get_array_module(np.zeros(2)) is np
        assert cupy.get_default_memory_pool().used_bytes() == 0
        with pytest.raises(ImportError):
            import cupyx  # noqa: F401
    assert {name for name in sys.modules if name.startswith("cupy")} == before
