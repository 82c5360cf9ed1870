"""Kernels — CUDA for what NumPy's functions would do in dozens of launches.

A GPU is asked for each function anew, and each passes over its arrays in memory: the bodies that
are fast on a CPU, a few images at a time in its cache, are slow there. So what takes several
passes has a kernel, one concept a file, `NAME.cu`, explained there. `prelude.cuh` stands before
each of them and says what they share.

    if kernels.serve(x):
        y, winner = kernels.max_pool(x, …)

The kernels are for float32 and float64. Other dtypes go through the body written for NumPy, on
both devices: it is the definition that the kernels are tested against.

Arrays are made contiguous here, results are new arrays, and nothing is checked: the layers have
done that. Below the rest of backend/, which may call it; of backend/ it needs arrays.py only.
"""
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from scratchnet.backend.arrays import is_array, xp_of

THREADS = 256               # in a block
BLOCKS = 1 << 16            # at most; each thread then has several elements
MOST_PARTS = 4096           # into which a sum is cut, each added up by a thread
LARGE = 1 << 30             # elements of an array from which places in it need 64 bits: long
#                             before 2³¹, for a thread looks one stride further than the end. (A
#                             GPU takes several times as long to divide numbers of 64 bits.)

REALS = {"f": "float", "d": "double"}
TAPS = {"char": np.int8, "int": np.int32}


def serve(*arrays: Any) -> bool:
    """True if kernels compute with these arrays: on the GPU, all float32 or all float64."""
    if xp_of(arrays[0]) is np:
        return False
    return arrays[0].dtype.char in REALS and len({a.dtype for a in arrays}) == 1


# ── pooling ──────────────────────────────────────────────────────────────────────────


def max_pool(x: Any, kernel: tuple, stride: tuple, padding: tuple, out: tuple) -> tuple:
    """x (N, C, H, W) → y and winner (N, C, *out): the maxima, and their taps u·KW + v."""
    xp, kind = xp_of(x), _tap(kernel)
    y = xp.empty(x.shape[:2] + out, dtype=x.dtype)
    winner = xp.empty(y.shape, dtype=TAPS[kind])
    _launch("pool", "max_pool", y.size, x, y.size, *x.shape[2:], *out, *kernel, *stride, *padding,
            y, winner, tap=kind)
    return y, winner


def max_pool_backward(dy: Any, winner: Any, kernel: tuple, stride: tuple, padding: tuple,
                      x_shape: tuple) -> Any:
    """dy and winner (N, C, OH, OW) → dx of x_shape."""
    dx = xp_of(dy).empty(x_shape, dtype=dy.dtype)
    _launch("pool", "max_pool_backward", dx.size, dy, winner, dx.size, *x_shape[2:],
            *dy.shape[2:], *kernel, *stride, *padding, dx, tap=_tap(kernel))
    return dx


def mean_pool(x: Any, share: Any, kernel: tuple, stride: tuple, padding: tuple) -> Any:
    """x (N, C, H, W), share (OH, OW) → y (N, C, OH, OW)."""
    y = xp_of(x).empty(x.shape[:2] + share.shape, dtype=x.dtype)
    _launch("pool", "mean_pool", y.size, x, share, y.size, *x.shape[2:], *share.shape, *kernel,
            *stride, *padding, y)
    return y


def mean_pool_backward(dy: Any, share: Any, kernel: tuple, stride: tuple, padding: tuple,
                       x_shape: tuple) -> Any:
    """dy (N, C, OH, OW), share (OH, OW) → dx of x_shape."""
    dx = xp_of(dy).empty(x_shape, dtype=dy.dtype)
    _launch("pool", "mean_pool_backward", dx.size, dy, share, dx.size, *x_shape[2:],
            *share.shape, *kernel, *stride, *padding, dx)
    return dx


def _tap(kernel: tuple) -> str:
    return "char" if kernel[0] * kernel[1] <= 128 else "int"


# ── convolution: windows are (kernel, stride, padding, dilation), pairs each ─────────


def im2col(x: Any, rows: slice, OW: int, window: tuple, side_by_side: bool = False) -> Any:
    """x (N, C, H, W) → the columns of the output rows `rows` of OW each: (N, C·KH·KW, P) with
    P = len(rows)·OW, a matrix for each image; or (C·KH·KW, N·P), one matrix."""
    (N, C, *_), (KH, KW) = x.shape, window[0]
    P = (rows.stop - rows.start) * OW
    K = C * KH * KW
    columns = xp_of(x).empty((K, N * P) if side_by_side else (N, K, P), dtype=x.dtype)
    image, step = (P, N * P) if side_by_side else (K * P, P)
    _launch("columns", "im2col", N * C * P, x, N * C * P, *x.shape[1:], rows.stop - rows.start, OW,
            rows.start, *_flat(window), image, step, columns)
    return columns


def col2im(columns: Any, rows: slice, OW: int, window: tuple, dx: Any) -> None:
    """columns (N, C·KH·KW, P) of the output rows `rows` → dx (N, C, H, W), contiguous, in place:
    set by the rows from 0 on, added to by later ones."""
    _launch("columns", "col2im", dx.size, columns, dx.size, *dx.shape[1:], rows.stop - rows.start,
            OW, rows.start, *_flat(window), columns[0].size, columns.shape[2], dx)


def depthwise(x: Any, w: Any, out: tuple, window: tuple) -> Any:
    """x (N, C, H, W), w (C, 1, KH, KW) → y (N, C, *out)."""
    y = xp_of(x).empty(x.shape[:2] + out, dtype=x.dtype)
    _launch("depthwise", "depthwise", y.size, x, w, y.size, *x.shape[1:], *out, *_flat(window), y)
    return y


def depthwise_backward_x(dy: Any, w: Any, x_shape: tuple, window: tuple) -> Any:
    """dy (N, C, OH, OW), w (C, 1, KH, KW) → dx of x_shape."""
    dx = xp_of(dy).empty(x_shape, dtype=dy.dtype)
    _launch("depthwise", "depthwise_backward_x", dx.size, dy, w, dx.size, *x_shape[1:],
            *dy.shape[2:], *_flat(window), dx)
    return dx


def depthwise_backward_w(x: Any, dy: Any, w_shape: tuple, window: tuple) -> Any:
    """x (N, C, H, W), dy (N, C, OH, OW) → dw of w_shape, (C, 1, KH, KW)."""
    T = _parts(dy.size // dy.shape[1])
    parts = xp_of(x).empty((*w_shape, T), dtype=x.dtype)
    _launch("depthwise", "depthwise_backward_w", parts.size, x, dy, parts.size, *x.shape,
            *dy.shape[2:], *_flat(window), T, parts)
    return parts.sum(axis=-1)


def _flat(window: tuple) -> tuple:
    return tuple(number for both in window for number in both)


# ── channels ─────────────────────────────────────────────────────────────────────────


def moments(x: Any) -> tuple[Any, Any]:
    """x (N, C, H, W) → mean and variance of each channel, (C,) each."""
    m, T, parts, sizes = _by_channel(x)
    _launch("channels", "sums", parts.size, x, parts.size, *sizes, T, parts)
    mean = parts.sum(axis=1) / m
    _launch("channels", "squares", parts.size, x, mean, parts.size, *sizes, T, parts)
    return mean, parts.sum(axis=1) / m


def sums(dy: Any, x: Any, mean: Any) -> tuple[Any, Any]:
    """dy, x (N, C, H, W), mean (C,) → Σ dy and Σ dy·(x − mean) over each channel, (C,) each."""
    _, T, parts, sizes = _by_channel(dy)
    both = xp_of(dy).empty((2, *parts.shape), dtype=dy.dtype)
    _launch("channels", "products", parts.size, dy, x, mean, parts.size, *sizes, T, both)
    plain, products = both.sum(axis=2)
    return plain, products


def normalise(x: Any, mean: Any, scale: Any, beta: Any) -> Any:
    """x (N, C, H, W), the others (C,) → (x − mean)·scale + beta."""
    y = xp_of(x).empty(x.shape, dtype=x.dtype)
    _launch("channels", "normalise", x.size, x, mean, scale, beta, x.size, x.shape[1],
            x[0, 0].size, y)
    return y


def normalise_backward(dy: Any, x: Any, mean: Any, scale: Any, through_mean: Any, through_var: Any
                       ) -> Any:
    """dy, x (N, C, H, W), the others (C,) → scale·(dy − through_mean − (x − mean)·through_var)."""
    dx = xp_of(dy).empty(dy.shape, dtype=dy.dtype)
    _launch("channels", "normalise_backward", dy.size, dy, x, mean, scale, through_mean,
            through_var, dy.size, dy.shape[1], dy[0, 0].size, dx)
    return dx


def _by_channel(x: Any) -> tuple[int, int, Any, tuple]:
    """m, T, an array for T parts of each channel (C, T), and (m, C, P) for the kernels."""
    N, C, H, W = x.shape
    m = N * H * W
    T = _parts(m)
    return m, T, xp_of(x).empty((C, T), dtype=x.dtype), (m, C, H * W)


def _parts(numbers: int) -> int:
    """Into how many parts a sum of so many numbers is cut: of 16 numbers at least, if it is cut,
    and not so many that adding up the parts would take time."""
    return min(1 << max(0, numbers.bit_length() - 5), MOST_PARTS)


# ── local response normalisation ─────────────────────────────────────────────────────


def lrn(a: Any, before: int, after: int, alpha: float, beta: float, k: float) -> tuple[Any, Any]:
    """a (N, C, H, W) → s and b, like a."""
    s, b = (xp_of(a).empty(a.shape, dtype=a.dtype) for _ in range(2))
    _launch("lrn", "lrn", a.size, a, a.size, a.shape[1], a[0, 0].size, before, after, alpha, beta,
            k, s, b)
    return s, b


def lrn_backward(db: Any, a: Any, s: Any, before: int, after: int, alpha: float, beta: float
                 ) -> Any:
    """db, a and s (N, C, H, W) → da, like a; before and after of the window turned round."""
    da = xp_of(db).empty(db.shape, dtype=db.dtype)
    _launch("lrn", "lrn_backward", db.size, db, a, s, db.size, db.shape[1], db[0, 0].size, before,
            after, alpha, beta, da)
    return da


# ── element by element ───────────────────────────────────────────────────────────────


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6), of any shape."""
    return _like(x, "relu6", x)


def relu6_backward(dy: Any, y: Any) -> Any:
    """dy · [0 < y < 6], of any shape."""
    return _like(dy, "relu6_backward", dy, y)


def sgd(w: Any, g: Any, velocity: Any, lr: float, decay: float, momentum: float, paper: bool,
        nesterov: bool) -> None:
    """One step of w and velocity, contiguous, in place."""
    _launch("elementwise", "sgd", w.size, g, w.size, float(lr), float(decay), float(momentum),
            paper, nesterov, w, velocity)


def _like(x: Any, kernel: str, *arrays: Any) -> Any:
    y = xp_of(x).empty(x.shape, dtype=x.dtype)
    _launch("elementwise", kernel, x.size, *arrays, x.size, y)
    return y


# ── launching ────────────────────────────────────────────────────────────────────────


def _launch(file: str, kernel: str, threads: int, *arguments: Any, tap: str = "char") -> None:
    """Run `kernel` of file.cu with so many threads (or as many elements, by fewer). Integers are
    passed as `integer`, floats as `real`, which is the first array's dtype."""
    if not threads:
        return                      # CUDA has no empty launch
    xp, dtype = xp_of(arguments[0]), arguments[0].dtype
    large = max(threads, *(a.size for a in arguments if is_array(a))) >= LARGE
    passed = tuple(xp.ascontiguousarray(a) if is_array(a)
                   else dtype.type(a) if isinstance(a, float)
                   else (np.int64 if large else np.int32)(a) for a in arguments)
    function = _module(xp, file, REALS[dtype.char], large, tap).get_function(kernel)
    function((min(-(-threads // THREADS), BLOCKS),), (THREADS,), passed)


@cache
def _module(xp: ModuleType, file: str, real: str, large: bool, tap: str) -> Any:
    """The kernels of a file for these types; CuPy compiles them when first asked, and keeps that
    on disk."""
    return xp.RawModule(code=source(file, real, "long long" if large else "int", tap))


def source(file: str, real: str = "float", integer: str = "int", tap: str = "char") -> str:
    """The CUDA source of file.cu for these types."""
    types = f"typedef {real} real;\ntypedef {integer} integer;\ntypedef {tap} tap;\n"
    return types + "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8")
                             for name in ("prelude.cuh", f"{file}.cu"))
