"""Arrays: which library owns them, how they move, and what is said where there is no GPU."""
import sys
import types

import numpy as np
import pytest
import strict_cupy

from scratchnet import backend
from scratchnet.layers import Conv2d, ReLU, Sequential


@pytest.fixture
def cupy():
    with strict_cupy.installed() as cupy:
        yield cupy


@pytest.fixture
def no_cupy(monkeypatch):
    """`import cupy` fails."""
    monkeypatch.setitem(sys.modules, "cupy", None)


def broken_cupy(monkeypatch, count):
    """A CuPy that imports; asked for cards, it answers `count()`."""
    cupy = types.ModuleType("cupy")
    cupy.ndarray = type("ndarray", (), {})
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=count))
    monkeypatch.setitem(sys.modules, "cupy", cupy)


def no_driver():
    raise RuntimeError("cudaErrorInsufficientDriver")


# ── without a GPU ────────────────────────────────────────────────────────────────────


def test_numpy_arrays_are_on_the_cpu(no_cupy):
    a = np.ones(3)
    assert backend.xp_of(a) is backend.xp_of(a[0]) is np and backend.device_of(a) == "cpu"
    assert backend.to_host(a) is a and backend.to_device(a, "cpu") is a
    assert backend.asarray_like(a, np.zeros(1)) is a


@pytest.mark.parametrize("value, answer", [
    (np.ones(3), True), (np.array(1.0), True), (np.float64(1), False), ([1.0], False),
    (1.0, False), (None, False), ("array", False)], ids=repr)
def test_is_array(no_cupy, value, answer):
    assert backend.is_array(value) is answer


@pytest.mark.parametrize("value", [[1.0], 1.0, None, "array"], ids=repr)
def test_what_is_no_array_has_no_library(no_cupy, value):
    with pytest.raises(TypeError, match=f"expected a NumPy or CuPy array; got "
                                        f"{type(value).__name__}: convert it with numpy.asarray"):
        backend.xp_of(value)


def test_no_cupy_says_what_to_install(no_cupy):
    assert backend.why_no_gpu() == \
        'CuPy is not installed (pip install "scratchnet[cuda12]" or "[cuda13]")'
    assert backend.best_device() == "cpu" == backend.best_device("cpu")
    with pytest.raises(ValueError, match=r"device 'gpu' is not there: CuPy is not installed "
                                         r"\(pip install .*\). Use 'cpu'."):
        backend.best_device("gpu")
    line = backend.describe_device("cpu")
    assert line.startswith("Device: CPU, ") and "no GPU: CuPy is not installed" in line
    assert np.__version__ in line and "\n" not in line


@pytest.mark.parametrize("count, reason", [
    (lambda: 0, "CuPy finds no card"),
    (no_driver, r"CuPy finds no card \(cudaErrorInsufficientDriver\)")])
def test_no_card(monkeypatch, count, reason):
    broken_cupy(monkeypatch, count)
    assert backend.best_device() == "cpu"
    with pytest.raises(ValueError, match=f"device 'gpu' is not there: {reason}. Use 'cpu'."):
        backend.to_device(np.ones(3), "gpu")


def test_cupy_that_does_not_start(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise OSError("libcuda.so.1: no such file")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert backend.why_no_gpu() == "CuPy does not start (OSError: libcuda.so.1: no such file)"


@pytest.mark.parametrize("device", ["cuda", "GPU", "", None, 0])
def test_other_names_are_no_devices(no_cupy, device):
    message = f"unknown device {device!r}: expected 'cpu' or 'gpu'"
    with pytest.raises(ValueError, match=message):
        backend.to_device(np.ones(3), device)
    if device is not None:                          # best_device(None) means: choose
        with pytest.raises(ValueError, match=message):
            backend.best_device(device)


@pytest.mark.parametrize("make", [ReLU, lambda: Conv2d(1, 1, 1), lambda: Sequential(ReLU())],
                         ids=["relu", "conv", "sequential"])
def test_layers_refuse_a_device_that_is_not_there(no_cupy, make):
    """Also those without parameters: an answer at once, not an error far from here."""
    with pytest.raises(ValueError, match="device 'gpu' is not there: CuPy is not installed"):
        make().to("gpu")
    with pytest.raises(ValueError, match="unknown device 'cuda'"):
        make().to("cuda")


# ── with one ─────────────────────────────────────────────────────────────────────────


def test_arrays_move_both_ways(cupy):
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    gpu = backend.to_device(host, "gpu")
    assert type(gpu) is cupy.ndarray and gpu.dtype == np.float32 and backend.is_array(gpu)
    assert backend.xp_of(gpu) is cupy and backend.device_of(gpu) == "gpu"
    assert backend.to_device(gpu, "gpu") is gpu
    for back in (backend.to_host(gpu), backend.to_device(gpu, "cpu")):
        assert type(back) is np.ndarray
        np.testing.assert_array_equal(back, host)
    assert type(backend.asarray_like(host, gpu)) is cupy.ndarray
    assert backend.asarray_like(host, host) is host


def test_the_gpu_is_preferred_and_described(cupy):
    assert backend.why_no_gpu() == ""
    assert backend.best_device() == backend.best_device("gpu") == "gpu"
    assert backend.best_device("cpu") == "cpu"
    assert backend.describe_device("gpu") == \
        f"Device: GPU, strict stand-in (CuPy {cupy.__version__})"
    assert "a GPU is there: --device gpu" in backend.describe_device("cpu")
