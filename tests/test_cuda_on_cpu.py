"""CUDA on the CPU is itself tested: every thread runs, and what no kernel may do is found."""
import shutil

import cuda_on_cpu
import numpy as np
import pytest


def run(body, before="", threads=8):
    """The array y after a kernel with this body, for each thread t: x is 0 … 7, y is all 10."""
    code = f"""typedef float real;
        {before}
        extern "C" __global__ void kernel(const real* x, int n, real* y) {{
            int t = blockIdx.x * blockDim.x + threadIdx.x;
            {body}
        }}"""
    x, y = np.arange(8, dtype="f4"), np.full(8, 10, "f4")
    cuda_on_cpu.library(code).launch("kernel", threads // 4, 4, [x, np.int32(8), y])
    return y


def test_every_thread_of_every_block_runs_once():
    np.testing.assert_array_equal(run("y[t] += x[t];"), 10 + np.arange(8))
    np.testing.assert_array_equal(run("for (; t < n; t += gridDim.x * blockDim.x) y[t] += 1;",
                                      threads=4), np.full(8, 11))


def test_functions_of_the_device():
    before = "__device__ real twice(real a) { return 2 * a; }"
    np.testing.assert_array_equal(run("y[t] = twice(x[t]);", before), 2 * np.arange(8))


@pytest.mark.parametrize("body, message", [
    ("y[t + 1] = 0;", "writes outside an array"), ("y[t - 1] = 0;", "writes outside an array"),
    ("y[0] = t;", "depends on the order of its threads"),
    ("y[t] = t ? y[t - 1] + 1 : 0;", "depends on the order of its threads"),
    ("y[0] += x[t];", "threads that meet"), ("y[0] = 7;", "threads that meet"),
    ("y[t] = t == 5 && y[1] == 10 ? 0 : x[t];", "depends on the order of its threads"),
    ("((real*)x)[t] = 7;", "writes into an array that is const")])
def test_what_no_kernel_may_do(body, message):
    with pytest.raises(AssertionError, match=message):
        run(body)


def test_what_is_read_outside_is_no_number():
    assert np.isnan(run("y[t] = x[t - 1];")[0]) and np.isnan(run("y[t] = x[t + 1];")[-1])


def test_without_a_compiler_tests_are_skipped(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match=r"g\+\+.* is not installed"):
        run("y[t] = 12345;")
