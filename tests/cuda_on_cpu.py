"""CUDA on the CPU: g++ compiles a kernel file, and loops stand for blocks and threads.

A kernel without shared memory, atomics and warps is plain C++ once a few words of CUDA mean
something else. So the tests run the very source that a GPU runs. Every launch happens five times,
on copies of its arrays:

    all threads, in ascending, in descending and in shuffled order: a GPU promises none, so the
    results must be the same bit for bit;

    one half of the threads alone, and the other half: they must change different numbers, and
    together what all threads change; so no thread needs what another one has done.

The copies have canaries around them: a number written outside an array is found, and one that is
read there is NaN. What this cannot see: speed, and rounding that differs (a GPU contracts a·b + c
into one operation, and has a pow of its own).
"""
import atexit
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

RUNS = ("ascending", "descending", "shuffled", "one half", "the other half")
CANARIES = 64                       # bytes of 0xff on each side: NaN, −1
KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')
C_TYPES = {"float": ctypes.c_float, "double": ctypes.c_double, "int": ctypes.c_int,
           "long long": ctypes.c_longlong, "char": ctypes.c_byte}
DTYPES = {"float": "f4", "double": "f8", "int": "i4", "long long": "i8", "char": "i1"}

BEFORE = """
#include <cmath>
#define __global__
#define __device__ static inline
struct Three { unsigned x, y, z; };
static thread_local Three blockIdx, threadIdx, gridDim, blockDim;
"""

# The shuffled order visits i·PRIME mod (all threads): a prime that divides no number of threads.
# Which half a thread is in, a bit of its product with a large number says. (Names end in "_", for a
# kernel's parameters are in this scope, too.)
RUN = """
extern "C" void run_{name}(unsigned blocks_, unsigned threads_, int order_{parameters}) {{
    gridDim = {{blocks_, 1, 1}};
    blockDim = {{threads_, 1, 1}};
    const unsigned long long all_ = (unsigned long long)blocks_ * threads_, prime_ = 1000003;
    for (unsigned long long i_ = 0; i_ < all_; ++i_) {{
        unsigned long long t_ = order_ == 0 ? i_ : order_ == 1 ? all_ - 1 - i_ : i_ * prime_ % all_;
        if (order_ >= 3 && (int)(t_ * 2654435761u >> 16 & 1) != order_ - 3) continue;
        blockIdx = {{(unsigned)(t_ / threads_), 0, 0}};
        threadIdx = {{(unsigned)(t_ % threads_), 0, 0}};
        {name}({names});
    }}
}}
"""


def compiler():
    """The path of g++; the test that asks is skipped where there is none."""
    found = shutil.which("g++")
    if found is None:
        pytest.skip("g++, which compiles the CUDA kernels for the CPU, is not installed")
    return found


class Library:
    """The kernels of one source: `signatures` is {name: [(type, is a pointer, is const)]}."""

    def __init__(self, code):
        types = {new: old for old, new in re.findall(r"typedef ([\w ]+) (\w+);", code)}
        self.signatures, after = {}, ""
        for name, text in KERNEL.findall(code):
            parameters = [" ".join(p.split()) for p in text.split(",")]
            signature = []
            for parameter in parameters:
                const, kind, pointer = re.fullmatch(r"(const )?(.+?)(\*?) \w+", parameter).groups()
                signature.append((types.get(kind, kind), bool(pointer), bool(const)))
            self.signatures[name] = signature
            after += RUN.format(name=name, parameters="".join(f", {p}" for p in parameters),
                                names=", ".join(p.split()[-1] for p in parameters))
        file = _folder() / f"kernels_{len(list(_folder().iterdir()))}.cpp"
        file.write_text(BEFORE + code + after, encoding="utf-8")
        library = file.with_suffix(".so")
        subprocess.run([compiler(), "-std=c++17", "-O1", "-fsanitize=signed-integer-overflow",
                        "-fsanitize-undefined-trap-on-error", "-ffp-contract=off", "-shared",
                        "-fPIC", "-o", library, file], check=True)
        self._library = ctypes.CDLL(library)

    def launch(self, name, grid, block, arguments):
        """Run the kernel: `arguments` are contiguous NumPy arrays and NumPy numbers, of the types
        in its signature. Raises AssertionError for what no kernel may do."""
        signature, runs = self.signatures[name], []
        for order in range(len(RUNS)):
            padded = [_with_canaries(a) if isinstance(a, np.ndarray) else None for a in arguments]
            passed = [C_TYPES[kind](a.item()) if p is None else
                      ctypes.c_void_p(p.ctypes.data + CANARIES)
                      for (kind, _, _), a, p in zip(signature, arguments, padded, strict=True)]
            getattr(self._library, f"run_{name}")(
                ctypes.c_uint(grid), ctypes.c_uint(block), ctypes.c_int(order), *passed)
            runs.append(padded)
        for (_, pointer, const), array, copies in zip(signature, arguments,
                                                      zip(*runs, strict=True), strict=True):
            if pointer:
                result = _agreed(name, _with_canaries(array), copies, const)
                array[...] = result[CANARIES:-CANARIES].view(array.dtype).reshape(array.shape)


def _agreed(name, before, copies, const):
    """What all RUNS made of the bytes `before`. Raises AssertionError where they do not agree."""
    for copy in copies:
        assert (copy[:CANARIES] == 255).all() and (copy[-CANARIES:] == 255).all(), \
            f"{name} writes outside an array"
        assert not const or (copy == before).all(), f"{name} writes into an array that is const"
    first, *others, half, other_half = copies
    for order, copy in zip(RUNS[1:3], others, strict=True):
        assert (copy == first).all(), f"{name} depends on the order of its threads ({order})"
    changed = half != before
    assert not (changed & (other_half != before)).any() and (
        np.where(changed, half, other_half) == first).all(), f"{name} has threads that meet"
    return first


@functools.cache
def library(code):
    """The Library of this source, compiled once."""
    return Library(code)


@functools.cache
def _folder():
    folder = Path(tempfile.mkdtemp(prefix="cuda_on_cpu_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _with_canaries(array):
    """The array's bytes, with CANARIES bytes of 0xff on both sides."""
    edge = b"\xff" * CANARIES
    return np.frombuffer(bytearray(edge + array.tobytes() + edge), dtype=np.uint8)
