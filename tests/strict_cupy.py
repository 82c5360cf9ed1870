"""A strict stand-in for CuPy, so that the GPU path can be tested where there is no GPU.

scratchnet writes each layer once: ``xp = xp_of(x)`` picks NumPy or CuPy and the same body runs on
both. This module plays CuPy's part. Its ``ndarray`` is a wrapper around a private NumPy array and
its functions are NumPy's own behind CuPy's rules, so a body that only works on NumPy fails here:

* no array crosses on its own: ``asarray(host)`` (or ``array``, ``a.set(host)``) takes one to the
  "device", ``asnumpy(a)`` or ``a.get()`` brings one back, every other mixture is a TypeError;
* a reduction, and an index that names one element, gives a 0-d array: never a NumPy scalar;
* a 0-d array is not an integer: it cannot be an axis, a length or a slice bound (``int(a)`` can);
* only names that CuPy has are here, and keywords that CuPy lacks (``where=``, ``initial=``) fail;
* views share memory as in CuPy, and no arithmetic ever warns (a GPU just returns inf or nan);
* a kernel of a ``RawModule`` is launched with a grid and a block, and takes arrays, NumPy scalars
  and Python numbers, which become a ``long long``, a ``double`` or a ``bool``. It is compiled and
  run on the CPU (``cuda_on_cpu``).

Read off the sources and signatures of CuPy 14. Where the stand-in is *stricter* than CuPy, a body
that passes here still passes there. It refuses:

* host arrays as an index, as an assigned value, in ``full`` or ``einsum`` (CuPy copies them over);
* ordering complex numbers (``>``, ``maximum``, ``argmax``, ``sort`` ...): CuPy has kernels for it,
  but nobody has compared their order, and their nan, with NumPy's (see ``_NO_COMPLEX``);
* index arrays out of bounds (CuPy wraps them around) or, when assigning, with duplicates (CuPy's
  result is then undefined); copies between overlapping parts of one array; ``matmul(out=)`` into
  its own operand; lists where an array is meant; ``bool`` of an empty array;
* in a kernel's arguments all that CuPy would pass on unseen, for the kernel to misread: scalars and
  arrays of another type than its parameter's, arrays that are not contiguous, empty, or overlap
  with one that it writes; and grids and blocks of more than one dimension;
* reading ``empty`` memory: it is filled with nan (or 1), as a GPU's holds whatever was there;
* the rarer methods and setters (``a.shape = ...``, ``get(out=)``, ``ufunc.reduce``).

Where it is *laxer*: memory order, rounding, the order of sums and speed are NumPy's, and so are
the values that an option may take (``sort(kind=)``: CuPy knows "stable" alone); streams and
devices do nothing. ``random`` is not here at all,
for scratchnet draws its random numbers on the host.
"""

import contextlib as _contextlib
import functools as _functools
import sys as _sys
import types as _types
from builtins import any as _any  # this module defines its own any and bool, as CuPy does
from builtins import bool as _bool

import cuda_on_cpu as _cuda_on_cpu
import numpy as _numpy
from numpy.lib import stride_tricks as _tricks

__version__ = "14.0.0+strict"

_SCALARS = (_bool, int, float, complex, _numpy.number, _numpy.bool_)

# What CuPy 14 offers of NumPy, as far as layers, losses, optimisers and metrics may want it.
_UFUNCS = """abs absolute add arccos arcsin arctan arctan2 arctanh bitwise_and bitwise_not
    bitwise_or bitwise_xor cbrt ceil conj conjugate copysign cos cosh divide equal exp exp2 expm1
    fabs float_power floor floor_divide fmax fmin fmod greater greater_equal hypot invert isfinite
    isinf isnan left_shift less less_equal log log10 log1p log2 logaddexp logical_and logical_not
    logical_or logical_xor maximum minimum mod multiply negative not_equal positive pow power
    reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh
    true_divide trunc"""

# Functions by the number of leading arguments that are arrays (the first is never a scalar).
_FUNCTIONS = {
    0: "arange eye identity indices linspace ones tri tril_indices triu_indices zeros",
    1: """all amax amin any argmax argmin argpartition argsort argwhere around array_split
        ascontiguousarray asfortranarray astype average broadcast_to copy count_nonzero cumprod
        cumsum diag diagflat diagonal diff expand_dims flatnonzero flip fliplr flipud histogram
        hsplit imag iscomplex isreal matrix_transpose max mean median min moveaxis nan_to_num
        nanargmax nanargmin nanmax nanmean nanmin nanstd nansum nanvar nonzero ones_like pad
        partition percentile permute_dims prod ptp quantile ravel real repeat reshape roll
        rollaxis rot90 round sort split squeeze std sum swapaxes tile trace transpose tril triu
        unique unravel_index var vsplit zeros_like""",
    2: """allclose append array_equal array_equiv bincount convolve copyto correlate cross digitize
        dot full_like inner isclose isin kron outer searchsorted take take_along_axis
        tensordot trapezoid vdot""",
    3: "clip interp put_along_axis putmask where",
    "every": "atleast_1d atleast_2d atleast_3d broadcast_arrays ix_ meshgrid",
    "sequence": "column_stack concat concatenate dstack hstack stack vstack",
    "answer": "can_cast iscomplexobj isrealobj may_share_memory ndim result_type shape size",
}
_FFT = "fft fft2 fftn fftshift ifft ifft2 ifftn ifftshift irfft irfft2 irfftn rfft rfft2 rfftn"
_CONSTANTS = """bool bool_ complex128 complex64 complexfloating dtype e euler_gamma finfo float16
    float32 float64 floating generic iinfo inexact inf int16 int32 int64 int8 int_ integer intp
    isdtype issubdtype nan newaxis number pi promote_types uint16 uint32 uint64 uint8
    broadcast_shapes ndindex s_ signedinteger unsignedinteger"""

# Keywords of NumPy that no function of CuPy knows, then those that a single function does not.
_NO_KEYWORDS = {"correction", "device", "initial", "like", "mean", "stable", "subok", "where"}
_LACKS = {
    "argpartition": "kind order", "argsort": "order", "clip": "min max",
    "count_nonzero": "keepdims", "einsum": "out order casting", "partition": "kind order",
    "percentile": "weights", "quantile": "weights", "reshape": "shape", "sort": "order",
    "take": "mode", "unique": "sorted", "unravel_index": "shape",
}  # fmt: skip

# CuPy has kernels that order complex numbers; they are unverified, so no layer may rely on them.
# The logical functions have none.
_NO_COMPLEX = """amax amin argmax argmin argpartition argsort clip digitize fmax fmin greater
    greater_equal less less_equal logical_and logical_not logical_or logical_xor max maximum
    median min minimum nanargmax nanargmin nanmax nanmin partition percentile ptp quantile
    searchsorted sort unique"""

# The methods of cupy.ndarray and their parameters: fewer than numpy.ndarray's.
_METHODS = {
    "all": "axis out keepdims", "any": "axis out keepdims", "argmax": "axis out keepdims",
    "argmin": "axis out keepdims", "argsort": "axis kind", "astype": "dtype order copy",
    "clip": "min max out", "conj": "", "conjugate": "", "copy": "order",
    "cumprod": "axis dtype out", "cumsum": "axis dtype out",
    "diagonal": "offset axis1 axis2", "dot": "b out",
    "flatten": "order", "max": "axis out keepdims", "mean": "axis dtype out keepdims",
    "min": "axis out keepdims", "nonzero": "", "prod": "axis dtype out keepdims",
    "ravel": "order", "repeat": "repeats axis", "round": "decimals out", "sort": "axis kind",
    "squeeze": "axis", "std": "axis dtype out ddof keepdims", "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2", "take": "indices axis out",
    "trace": "offset axis1 axis2 dtype out", "var": "axis dtype out ddof keepdims",
    "view": "dtype",
}  # fmt: skip
_ARRAY_PARAMETERS = {"b", "indices", "max", "min", "out"}

_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "lshift": "left_shift",
    "rshift": "right_shift", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


# ---- between the wrapper and the NumPy array inside it -----------------------------------------


def _unsupported(value):
    return TypeError(f"Unsupported type {type(value)}")


def _operand(value):
    """The host side of one operand: a strict array's content, or a scalar as it is."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, _SCALARS):
        return value
    raise _unsupported(value)


def _plain(value):
    """The host side of an argument that need not be an array (an axis, a shape, an ``out``)."""
    if not isinstance(value, ndarray):
        return value
    if value.ndim == 0 and value.dtype.kind in "iu":
        raise TypeError("'cupy.ndarray' object cannot be interpreted as an integer")
    return value._host


def _refuse_host_arrays(value):
    if isinstance(value, _numpy.ndarray):
        raise _unsupported(value)
    if isinstance(value, (list, tuple)):
        for item in value:
            _refuse_host_arrays(item)


def _refuse_complex(name, values):
    if name in _NO_COMPLEX.split() and _any(_numpy.iscomplexobj(value) for value in values):
        raise TypeError(f"{name} of complex arrays is unverified on CuPy: take .real or abs first")


def _wrap(value, parents=()):
    """``value`` as CuPy would return it: arrays and scalars wrapped, containers item by item."""
    if isinstance(value, (tuple, list)):
        items = [_wrap(item, parents) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if not isinstance(value, (_numpy.ndarray, *_SCALARS)):
        return value
    host = _numpy.asarray(value)
    for parent in parents:
        if host is parent._host:
            return parent
    array = object.__new__(ndarray)
    array._host = host
    roots = [parent._root() for parent in parents]
    views = (root for root in roots if _numpy.may_share_memory(host, root._host))
    array._base = next(views, None)
    return array


def _quietly(compute, *args, **kwargs):
    with _numpy.errstate(all="ignore"):
        return compute(*args, **kwargs)


# ---- the array ---------------------------------------------------------------------------------


class ndarray:
    """An array "on the device": ``_host`` is its content, out of everybody else's reach."""

    __module__ = "cupy"
    __slots__ = ("_base", "_host", "__weakref__")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, order="C"):
        self._host = _garbage(_numpy.empty(shape, dtype, order))
        self._base = None

    base = property(lambda self: self._base)
    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    device = property(lambda self: cuda.Device(0))
    T = property(lambda self: self if self.ndim < 2 else self.transpose())
    mT = property(lambda self: _wrap(self._host.mT, (self,)))
    real = property(lambda self: _wrap(self._host.real, (self,)))
    imag = property(lambda self: _wrap(self._host.imag, (self,)))

    @property
    def flags(self):
        c, f = self._host.flags.c_contiguous, self._host.flags.f_contiguous
        return _types.SimpleNamespace(
            c_contiguous=c, f_contiguous=f, owndata=self.base is None, fnc=f and not c, forc=f or c
        )

    def _root(self):
        return self if self._base is None else self._base

    def reshape(self, *shape, order="C"):
        return _wrap(self._host.reshape(*shape, order=order), (self,))

    def transpose(self, *axes):
        return _wrap(self._host.transpose(*axes), (self,))

    def fill(self, value):
        self._host.fill(_assigned(value))

    # to the host and back

    def get(self, stream=None, order="C"):
        return _numpy.array(self._host, order=order)

    def set(self, arr, stream=None):
        if not isinstance(arr, _numpy.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        self._host[...] = arr

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._host.item()

    def tolist(self):
        return self._host.tolist()

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                "The truth value of an array with more than one element is "
                "ambiguous. Use a.any() or a.all()"
            )
        return _bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __complex__(self):
        return complex(self.item())

    def __repr__(self):
        return repr(self._host)

    def __str__(self):
        return str(self._host)

    def __format__(self, spec):
        return format(self._host, spec)

    def __reduce__(self):
        return array, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return memo.setdefault(id(self), self.copy())

    # indexing

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of unsized object")
        return len(self._host)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return _wrap(self._host[_index(key)[0]], (self,))

    def __setitem__(self, key, value):
        key, fancy = _index(key)
        value = _assigned(value)
        if isinstance(value, _numpy.ndarray):
            if fancy and value.size > 1:
                _refuse_duplicates(self.shape, key)
            _refuse_overlap(self._host if fancy else self._host[key], value)
        self._host[key] = value

    # NumPy's functions, when they meet this array

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        function = globals().get(ufunc.__name__)
        if method != "__call__":
            function = getattr(function, method, None)
        return NotImplemented if function is None else function(*inputs, **kwargs)

    def __array_function__(self, func, types, args, kwargs):
        path = [*func.__module__.split(".")[1:], func.__name__]
        try:
            function = _functools.reduce(getattr, path, _sys.modules[__name__])
        except AttributeError:
            return NotImplemented
        return function(*args, **kwargs)


def _index(key):
    """An index for the host array, and whether it is a "fancy" one, whose result is a copy.

    A plain index gets an Ellipsis, so that ``a[0]`` of a vector is a 0-d view as in CuPy.
    """
    parts = key if isinstance(key, tuple) else (key,)
    _refuse_host_arrays(parts)
    parts = tuple(asarray(part) if isinstance(part, list) and part else part for part in parts)
    fancy = _any(isinstance(part, (ndarray, list, _bool, _numpy.bool_)) for part in parts)
    parts = tuple(part._host if isinstance(part, ndarray) else part for part in parts)
    if fancy or _any(part is Ellipsis for part in parts):
        return parts, fancy
    return (*parts, Ellipsis), False


def _assigned(value):
    if isinstance(value, _numpy.ndarray) and value.ndim > 0:
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    return _operand(value)


def _refuse_duplicates(shape, key):
    positions = _numpy.arange(_numpy.prod(shape, dtype=int)).reshape(shape)[key]
    if _numpy.unique(positions).size < positions.size:
        raise ValueError("assignment through duplicate indices is undefined in CuPy: use add.at")


def _refuse_overlap(target, value):
    same = target.__array_interface__ == value.__array_interface__
    if not same and _numpy.shares_memory(target, value):
        raise ValueError("assignment between overlapping parts of one array: copy the source first")


def _method(name, parameters):
    known = parameters.split()

    def method(self, *args, **kwargs):
        if len(args) > len(known):
            raise TypeError(f"{name}() takes at most {len(known)} arguments ({len(args)} given)")
        given = dict(zip(known, args, strict=False)) | kwargs
        for key, value in given.items():
            if key not in known:
                raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
            _refuse_host_arrays(value)
        _refuse_complex(name, [self._host])
        hosts = {k: v._host if _is_array(k, v) else v for k, v in given.items()}
        args = [hosts.pop(key) for key in known[: len(args)]]
        result = _quietly(getattr(self._host, name), *args, **hosts)
        out = given.get("out")
        return _wrap(result, (self,)) if out is None else out

    return method


def _is_array(parameter, value):
    return parameter in _ARRAY_PARAMETERS and isinstance(value, ndarray)


# ---- element-wise functions --------------------------------------------------------------------


class ufunc:
    """One of NumPy's ufuncs with the arguments that CuPy's have; of the methods only ``at``."""

    _AT = {
        "add": "int32 float16 float32 float64 uint32 uint64", "subtract": "int32 uint32",
        "maximum": "int32 float32 float64 uint32 uint64",
        "minimum": "int32 float32 float64 uint32 uint64",
    }  # fmt: skip

    def __init__(self, host):
        self._host = host
        self.name = self.__name__ = host.__name__
        self.nin, self.nout, self.nargs = host.nin, host.nout, host.nargs

    def __repr__(self):
        return f"<ufunc 'cupy_{self.name}'>"

    def __call__(self, *args, out=None, dtype=None, casting="same_kind", **kwargs):
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if len(args) > self.nin:
            out, args = args[self.nin], args[: self.nin]
        (out,) = out if isinstance(out, tuple) else (out,)
        operands = [_operand(arg) for arg in args]
        _refuse_complex(self.name, operands)
        if out is None:
            result = _quietly(self._host, *operands, dtype=dtype, casting=casting)
            return _wrap(_numpy.asarray(result))
        if not isinstance(out, ndarray):
            raise _unsupported(out)
        _quietly(self._host, *operands, out=out._host, dtype=dtype, casting=casting)
        return out

    def at(self, a, indices, b):
        allowed = self._AT.get(self.name)
        if allowed is None:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        if a.dtype.name not in allowed.split():
            listed = ", ".join(allowed.split())
            raise TypeError(f"cupy.{self.name}.at only supports {listed}, as data type")
        _quietly(self._host.at, a._host, _index(indices)[0], _assigned(b))


# ---- the other functions -----------------------------------------------------------------------


def _hosts(kind, args):
    """The arguments for NumPy, after checking that arrays stand where ``kind`` wants them."""
    if kind == "sequence":
        return [[_strict(item)._host for item in args[0]], *map(_plain, args[1:])]
    if kind == "every":
        return [_strict(arg)._host for arg in args]
    if kind == "answer":
        return [arg._host if isinstance(arg, ndarray) else arg for arg in args]
    hosts = [None if arg is None else _operand(arg) for arg in args[:kind]]
    if kind and args:
        _strict(args[0])
    return hosts + [_plain(arg) for arg in args[kind:]]


def _strict(value):
    if not isinstance(value, ndarray):
        raise _unsupported(value)
    return value


def _function(name, kind, compute):
    """NumPy's function ``name`` behind the checks that its ``kind`` of arguments asks for."""
    lacking = _NO_KEYWORDS | set(_LACKS.get(name, "").split())
    if name == "copyto":
        lacking = lacking - {"where"}

    def function(*args, **kwargs):
        for key in kwargs:
            if key in lacking:
                raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        _refuse_host_arrays([args, list(kwargs.values())])
        hosts = _hosts(kind, args)
        options = {key: _plain(value) for key, value in kwargs.items() if key != "out"}
        out = kwargs.get("out")
        if out is not None:
            options["out"] = _strict(out)._host
        _refuse_complex(name, [host for host in hosts if isinstance(host, _numpy.ndarray)])
        result = _quietly(compute, *hosts, **options)
        if kind == "answer":
            return result
        return _wrap(result, [a for a in args if isinstance(a, ndarray)]) if out is None else out

    function.__name__ = function.__qualname__ = name
    return function


def einsum(subscripts, *operands, **kwargs):
    compute = _functools.partial(_numpy.einsum, subscripts)
    return _function("einsum", "every", compute)(*operands, **kwargs)


def matmul(a, b, out=None, **kwargs):
    """NumPy's, but never into one of its own operands: CuPy may write while it still reads."""
    (out,) = out if isinstance(out, tuple) else (out,)
    if out is not None:
        for operand in (a, b):
            if _numpy.shares_memory(_strict(out)._host, _strict(operand)._host):
                raise ValueError("matmul into one of its own operands")
    return _function("matmul", 2, _numpy.matmul)(a, b, out=out, **kwargs)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0):
    if isinstance(obj, ndarray):
        host = _numpy.array(obj._host, dtype, copy=copy or None, order=order, ndmin=ndmin)
        return _wrap(host, (obj,))
    if isinstance(obj, (list, tuple)):
        _refuse_host_arrays(obj)
        obj = _nested(obj)
    host = _numpy.array(obj, dtype, order=order, ndmin=ndmin)
    if host.dtype.char not in "?bBhHiIlLqQefdFD":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    return _wrap(host)


def _nested(sequence):
    """Host content of a nested list: all strict arrays of one shape, or all Python scalars."""
    items = [_nested(item) if isinstance(item, (list, tuple)) else item for item in sequence]
    if not _any(isinstance(item, ndarray) for item in items):
        return items
    hosts = [_strict(item)._host for item in items]
    if len({host.shape for host in hosts}) > 1:
        raise ValueError("arrays of different shapes cannot be joined")
    return _numpy.stack(hosts)


def asarray(a, dtype=None, order=None, *, copy=None):
    return array(a, dtype, _bool(copy), order or "K")


def asnumpy(a, stream=None, order="C"):
    return a.get(stream, order) if isinstance(a, ndarray) else _numpy.asarray(a, order=order)


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order)


def empty_like(prototype, dtype=None, order="K", shape=None):
    host = _strict(prototype)._host
    return _wrap(_garbage(_numpy.empty_like(host, dtype, order, shape=shape)))


def _garbage(host):
    host.fill(_numpy.nan if host.dtype.kind in "fc" else 1)
    return host


def full(shape, fill_value, dtype=None, order="C"):
    return _wrap(_numpy.full(shape, _assigned(fill_value), dtype, order))


def get_array_module(*args):
    ours = _any(isinstance(arg, ndarray) for arg in args)
    return _sys.modules[__name__] if ours else _numpy


def is_available():
    return True


def as_strided(x, shape=None, strides=None):
    return _wrap(_tricks.as_strided(_strict(x)._host, shape, strides), (x,))


def sliding_window_view(x, window_shape, axis=None):
    return _wrap(_tricks.sliding_window_view(_strict(x)._host, window_shape, axis), (x,))


# ---- kernels in CUDA ---------------------------------------------------------------------------


class RawModule:
    """The kernels of a source. Keywords that no kernel of scratchnet wants are not here."""

    def __init__(self, *, code=None, options=(), backend="nvrtc"):
        if not isinstance(code, str) or not isinstance(options, tuple) or backend != "nvrtc":
            raise TypeError("RawModule(code=str, options=tuple)")
        self.code, self.options, self.backend = code, options, backend

    def get_function(self, name):
        return RawKernel(self.code, name, self.options, self.backend)


class RawKernel:
    """One kernel: ``kernel(grid, block, args)``."""

    def __init__(self, code, name, options=(), backend="nvrtc"):
        self._library = _cuda_on_cpu.library(code)
        if name not in self._library.signatures:
            raise cuda.runtime.CUDARuntimeError(f"named symbol not found: {name}")
        self.name = name

    def __call__(self, grid, block, args, *, shared_mem=0):
        for size, most in ((grid, 2**31 - 1), (block, 1024)):
            if not isinstance(size, tuple) or len(size) != 1 or type(size[0]) is not int:
                raise TypeError(f"grid and block are tuples of one int here; got {size!r}")
            if not 1 <= size[0] <= most:
                raise cuda.runtime.CUDARuntimeError(f"invalid configuration: {grid}, {block}")
        signature = self._library.signatures[self.name]
        if not isinstance(args, tuple) or len(args) != len(signature):
            raise TypeError(f"{self.name} takes a tuple of {len(signature)} arguments")
        hosts = [_argument(arg, kind, pointer)
                 for arg, (kind, pointer, _) in zip(args, signature, strict=True)]
        for i, (_, pointer, const) in enumerate(signature):
            for j, other in enumerate(hosts):
                if pointer and not const and i != j and _numpy.shares_memory(hosts[i], other):
                    raise ValueError(f"{self.name} writes into an array that it is given twice")
        self._library.launch(self.name, grid[0], block[0], hosts)


def _argument(value, kind, pointer):
    """The host side of a kernel's argument, if it is what a parameter of this kind takes."""
    if isinstance(value, _numpy.ndarray):
        raise _unsupported(value)
    if type(value) in (_bool, int, float):
        value = {_bool: _numpy.bool_, int: _numpy.int64, float: _numpy.float64}[type(value)](value)
    host = value._host if isinstance(value, ndarray) else value
    if not isinstance(host, (_numpy.ndarray, _numpy.generic)):
        raise _unsupported(value)
    if isinstance(value, ndarray) != pointer or host.dtype != _cuda_on_cpu.DTYPES[kind]:
        raise TypeError(f"a kernel takes {kind}{'*' * pointer}; got {host.dtype} "
                        f"{type(value).__name__}")
    if pointer and (not host.flags.c_contiguous or not host.size):
        raise ValueError("a kernel takes contiguous arrays that are not empty")
    return host


# ---- cupy.cuda and the other submodules --------------------------------------------------------


class _Device:
    """The one device. Like everything in ``cuda`` it answers, and does nothing."""

    def __init__(self, device=0):
        self.id = device

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None

    def use(self):
        return self

    def synchronize(self):
        return None


class _Stream(_Device):
    """Work here is done at once: there is never anything to wait for."""


_Stream.null = _Stream()


class _Pool:
    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0

    def free_all_blocks(self):
        return None


_pool = _Pool()


def get_default_memory_pool():
    return _pool


def _module(name, **members):
    module = _types.ModuleType(f"cupy.{name}")
    vars(module).update(members)
    return module


def _offer(names, kind, home=_numpy):
    return {name: _function(name, kind, getattr(home, name)) for name in names.split()}


linalg = _module("linalg", **_offer("norm", 1, _numpy.linalg))
fft = _module("fft", **_offer(_FFT, 1, _numpy.fft), **_offer("fftfreq rfftfreq", 0, _numpy.fft))
lib = _module(
    "lib",
    stride_tricks=_module(
        "lib.stride_tricks", as_strided=as_strided, sliding_window_view=sliding_window_view
    ),
)
cuda = _module(
    "cuda",
    Device=_Device,
    Stream=_Stream,
    get_current_stream=lambda: _Stream.null,
    is_available=is_available,
    runtime=_module(
        "cuda.runtime",
        CUDARuntimeError=RuntimeError,
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        getDeviceProperties=lambda device: {"name": b"strict stand-in"},
        deviceSynchronize=lambda: None,
    ),
)
del as_strided, sliding_window_view


# ---- filling the module and the class ----------------------------------------------------------


def _offered():
    """Everything that the lists at the top name, by name."""
    offered = {name: getattr(_numpy, name) for name in _CONSTANTS.split()}
    known = {}  # abs and absolute are one object
    for name in _UFUNCS.split():
        host = getattr(_numpy, name)
        offered[name] = known.setdefault(host.__name__, ufunc(host))
    for kind, names in _FUNCTIONS.items():
        offered |= _offer(names, kind)
    return offered


def _add_methods(functions):
    for name, parameters in _METHODS.items():
        setattr(ndarray, name, _method(name, parameters))
    for symbol, name in _OPERATORS.items():
        setattr(ndarray, f"__{symbol}__", lambda x, y, f=functions[name]: f(x, y))
        setattr(ndarray, f"__r{symbol}__", lambda x, y, f=functions[name]: f(y, x))
        setattr(ndarray, f"__i{symbol}__", lambda x, y, f=functions[name]: f(x, y, out=x))
    for symbol, name in _COMPARISONS.items():
        setattr(ndarray, f"__{symbol}__", lambda x, y, f=functions[name]: f(x, y))
    for symbol, name in _UNARY.items():
        setattr(ndarray, f"__{symbol}__", lambda x, f=functions[name]: f(x))
    ndarray.__matmul__ = matmul


globals().update(_offered())
_add_methods(globals())


@_contextlib.contextmanager
def installed():
    """Be ``cupy`` (and nobody be ``cupyx``) in ``sys.modules``; put back what was there."""
    this = _sys.modules[__name__]
    submodules = [linalg, fft, lib, lib.stride_tricks, cuda, cuda.runtime]
    before = _take_out()
    _sys.modules.update({"cupy": this, "cupyx": None})
    _sys.modules.update({module.__name__: module for module in submodules})
    try:
        yield this
    finally:
        _take_out()
        _sys.modules.update(before)


def _take_out():
    names = [name for name in _sys.modules if name.split(".")[0] in ("cupy", "cupyx")]
    return {name: _sys.modules.pop(name) for name in names}
