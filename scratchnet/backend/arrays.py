"""Arrays — which library owns this array, and how it moves between the two devices.

    cpu   numpy.ndarray
    gpu   cupy.ndarray     needs an NVIDIA card and CuPy: pip install "scratchnet[cuda12]"

Every layer begins with `xp = xp_of(x)` and then computes with xp: the same body runs on
both. This is the only file that imports cupy, and it does so only when a GPU is asked for;
an array can be CuPy's only if somebody has imported cupy already, which `sys.modules` knows.
"""
import platform
import sys
from types import ModuleType
from typing import Any

import numpy as np

DEVICES = ("cpu", "gpu")


def xp_of(array: Any) -> ModuleType:
    """Return the module (`numpy` or `cupy`) whose functions work on `array`."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        return cupy
    raise TypeError(f"expected a NumPy or CuPy array; got {type(array).__name__}: "
                    f"convert it with numpy.asarray(…)")


def is_array(value: Any) -> bool:
    """True for a NumPy or CuPy array (not for lists or numbers)."""
    cupy = sys.modules.get("cupy")
    return isinstance(value, np.ndarray) or (
        cupy is not None and isinstance(value, cupy.ndarray))


def device_of(array: Any) -> str:
    """Return "cpu" or "gpu"."""
    return "cpu" if xp_of(array) is np else "gpu"


def to_host(array: Any) -> np.ndarray:
    """Return `array` as a NumPy array (itself if it is one already)."""
    xp = xp_of(array)
    return array if xp is np else xp.asnumpy(array)


def to_device(array: Any, device: str) -> Any:
    """Return `array` on "cpu" or "gpu" (itself if it is there already).

    Raises ValueError for another name, or where there is no GPU to go to.
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}: expected 'cpu' or 'gpu'")
    if device_of(array) == device:
        return array
    if device == "cpu":
        return to_host(array)
    if reason := why_no_gpu():
        raise ValueError(f"device 'gpu' is not there: {reason}. Use 'cpu'.")
    import cupy
    return cupy.asarray(array)


def asarray_like(host: np.ndarray, like: Any) -> Any:
    """Return `host` on the device where `like` lives (random draws are made on the host,
    so that both devices see the same numbers)."""
    return to_device(host, device_of(like))


def why_no_gpu() -> str:
    """Return why "gpu" cannot be used, in words that say what to do; "" if it can."""
    try:
        import cupy
    except ImportError:
        return 'CuPy is not installed (pip install "scratchnet[cuda12]" or "[cuda13]")'
    except Exception as error:      # a broken CUDA installation raises many kinds of error
        return f"CuPy does not start ({type(error).__name__}: {error})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return f"CuPy finds no card ({error})"
    return "" if count else "CuPy finds no card"


def best_device(wanted: str | None = None) -> str:
    """Return `wanted` if it is there; with None, "gpu" where there is one, else "cpu".

    Raises ValueError if `wanted` is not a device or is not there.
    """
    if wanted is None:
        return "cpu" if why_no_gpu() else "gpu"
    if wanted not in DEVICES:
        raise ValueError(f"unknown device {wanted!r}: expected 'cpu' or 'gpu'")
    if wanted == "gpu" and (reason := why_no_gpu()):
        raise ValueError(f"device 'gpu' is not there: {reason}. Use 'cpu'.")
    return wanted


def describe_device(device: str) -> str:
    """One line for the user: where the work will be done, and why not on a GPU."""
    if device == "gpu":
        import cupy
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return f"Device: GPU, {name} (CuPy {cupy.__version__})"
    reason = why_no_gpu()
    note = f"no GPU: {reason}" if reason else "a GPU is there: --device gpu"
    return f"Device: CPU, {platform.machine()} (NumPy {np.__version__}; {note})"
