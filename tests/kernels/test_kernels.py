"""The CUDA kernels: equal to the bodies written for NumPy and to the plain loops.

They run on the CPU, behind the stand-in for CuPy: each launch in three orders of its threads, in
arrays with canaries around them (cuda_on_cpu). Where there is a GPU, they run there, too.
"""
import re
from pathlib import Path

import numpy as np
import pytest
import strict_cupy
from layer_cases import CASES, CONV, gradient_like, run

from scratchnet import convolution, kernels, naive
from scratchnet.backend import channels, device_of, to_host, why_no_gpu
from scratchnet.convolution import Geometry, depthwise, im2col, pointwise
from scratchnet.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    ReLU6,
)
from scratchnet.layers.max_unpool import switches
from scratchnet.optim import SGD

FOLDER = Path(kernels.__file__).parent
FILES = sorted(file.stem for file in FOLDER.glob("*.cu"))
SERVED = (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, BatchNorm2d, LocalResponseNorm, ReLU,
          ReLU6)
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}


@pytest.fixture(autouse=True, params=["stand-in"] if why_no_gpu() else ["stand-in", "GPU"])
def cupy(request):
    if request.param == "GPU":
        yield pytest.importorskip("cupy")
    else:
        with strict_cupy.installed() as cupy:
            yield cupy


@pytest.fixture(params=["", "64 bits", "few threads"])
def launch(request, monkeypatch):
    """Launches as they are; with integers of 64 bits; with fewer threads than elements."""
    if request.param == "64 bits":
        monkeypatch.setattr(kernels, "LARGE", 1)
    elif request.param == "few threads":
        monkeypatch.setattr(kernels, "THREADS", 7)
        monkeypatch.setattr(kernels, "BLOCKS", 3)


def equal(ours, expected, dtype):
    """Is this array of the GPU the expected one, within what the dtype can hold?"""
    assert device_of(ours) == "gpu" and ours.dtype == dtype
    tolerance = TOLERANCE[np.dtype(dtype).name]
    size = max(1, np.nanmax(np.abs(np.where(np.isinf(expected), 0, expected)), initial=0))
    np.testing.assert_allclose(to_host(ours), expected, rtol=tolerance, atol=tolerance * size)


DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.mark.parametrize("case", [c for c in CASES if type(c.make()) in SERVED], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@DTYPES
def test_a_layer_computes_what_it_computes_on_the_cpu(cupy, launch, case, training, dtype):
    y, dxs, grads = run(case, case.layer(dtype).train(training), case.inputs(dtype))
    layer = case.layer(dtype).train(training).to("gpu")
    inputs = [cupy.asarray(x) for x in case.inputs(dtype)]
    dy = cupy.asarray(gradient_like(y))
    y_gpu, dxs_gpu, grads_gpu = run(case, layer, inputs, dy)
    for gpu, cpu in zip([y_gpu, *dxs_gpu, *grads_gpu.values()], [y, *dxs, *grads.values()],
                        strict=True):
        equal(gpu, cpu, dtype)


# ── convolution ──────────────────────────────────────────────────────────────────────


def random_convolution(seed):
    """x, w, dy (float64) and a geometry that nobody chose."""
    rng = np.random.default_rng(seed)
    stride, dilation, kernel = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3))
    padding, groups = tuple(rng.integers(0, 4, 2).tolist()), int(rng.integers(1, 4))
    least = [d * (k - 1) + 1 - 2 * p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    size = [max(1, n) + int(rng.integers(0, 6)) for n in least]
    C, O = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    x = rng.standard_normal((int(rng.integers(1, 4)), C, *size))
    w = rng.standard_normal((O, C // groups, *kernel))
    geometry = Geometry(stride, padding, dilation, groups)
    y_shape = naive.conv2d(x, w, None, *geometry).shape
    return x, w, rng.standard_normal(y_shape), geometry


def convolutions_agree(cupy, algorithm, x, w, dy, geometry, dtype):
    """y, dx and dw of this algorithm, on the GPU, against the plain loops."""
    x, w, dy = (a.astype(dtype) for a in (x, w, dy))
    b = np.arange(len(w), dtype=dtype)
    dx, dw, _ = naive.conv2d_backward(dy, x, w, *geometry)
    x_, w_, dy_, b_ = (cupy.asarray(a) for a in (x, w, dy, b))
    equal(algorithm.forward(x_, w_, geometry, b_), naive.conv2d(x, w, b, *geometry), dtype)
    equal(algorithm.backward_x(dy_, w_, x.shape, geometry), dx, dtype)
    equal(algorithm.backward_w(x_, dy_, w.shape, geometry), dw, dtype)


@pytest.mark.parametrize("seed", range(30))
@DTYPES
def test_random_convolutions(cupy, seed, dtype):
    convolutions_agree(cupy, im2col, *random_convolution(seed), dtype)


@pytest.mark.parametrize("seed", range(100, 115))
@DTYPES
def test_random_depthwise_convolutions(cupy, launch, seed, dtype):
    x, w, dy, geometry = random_convolution(seed)
    C = x.shape[1]
    convolutions_agree(cupy, depthwise, x, np.resize(w, (C, 1, *w.shape[2:])),
                       np.resize(dy, (len(x), C, *dy.shape[2:])), geometry._replace(groups=C),
                       dtype)


@pytest.mark.parametrize("seed", range(200, 210))
@DTYPES
def test_random_pointwise_convolutions(cupy, seed, dtype):
    x, w, dy, geometry = random_convolution(seed)
    geometry = Geometry(geometry.stride, groups=geometry.groups)
    w = w[:, :, :1, :1]
    dy = np.resize(dy, naive.conv2d(x, w, None, *geometry).shape)
    convolutions_agree(cupy, pointwise, x, w, dy, geometry, dtype)


def test_a_pointwise_convolution_is_one_product_for_all_images(cupy, monkeypatch):
    calls, matmul = [], cupy.matmul
    monkeypatch.setattr(cupy, "matmul", lambda *a, **out: calls.append(1) or matmul(*a, **out))
    x, w = (cupy.asarray(np.ones(shape)) for shape in ((9, 3, 16, 16), (2, 3, 1, 1)))
    pointwise.forward(x, w, Geometry())
    assert len(calls) == 1


@pytest.mark.parametrize("tile", [4000, 700, 1])
@pytest.mark.parametrize("case", CONV, ids=str)
def test_columns_in_tiles(cupy, case, tile, monkeypatch):
    """The whole batch, a few images, a few rows of one, one row: bounded, and the same numbers."""
    monkeypatch.setattr(im2col, "GPU_TILE", tile)
    made, original = [], kernels.im2col

    def spy(x, rows, *rest, **options):
        columns = original(x, rows, *rest, **options)
        made.append((columns.nbytes, len(x), rows.stop - rows.start))
        return columns

    monkeypatch.setattr(kernels, "im2col", spy)
    layer, (x,) = case.layer(), case.inputs()
    w, geometry = layer.weight.value, layer.geometry
    dy = np.random.default_rng(0).standard_normal(naive.conv2d(x, w, None, *geometry).shape)
    convolutions_agree(cupy, im2col, x, w, dy, geometry, "float64")
    assert made and all(size <= tile or images == rows == 1 for size, images, rows in made)


def test_columns_on_paper(cupy):
    """The image 1 2 3 / 4 5 6, kernel 2: one matrix an image, or all images side by side."""
    x = cupy.asarray(np.array([[[[1, 2, 3], [4, 5, 6]]], [[[0, 0, 0], [0, 0, 7]]]], "float32"))
    window = (2, 2), (1, 1), (0, 0), (1, 1)
    apart = to_host(kernels.im2col(x, slice(0, 1), 2, window))
    together = to_host(kernels.im2col(x, slice(0, 1), 2, window, side_by_side=True))
    np.testing.assert_array_equal(apart, [[[1, 2], [2, 3], [4, 5], [5, 6]],
                                          [[0, 0], [0, 0], [0, 0], [0, 7]]])
    np.testing.assert_array_equal(together, np.concatenate(apart, axis=1))


def test_a_convolution_is_the_same_to_the_bit_each_time(cupy):
    x, w, dy, geometry = (cupy.asarray(a) if isinstance(a, np.ndarray) else a
                          for a in random_convolution(7))
    dw, dx = ([to_host(f()).tobytes() for _ in range(3)] for f in (
        lambda: convolution.backward_w(x, dy, w.shape, geometry),
        lambda: convolution.backward_x(dy, w, x.shape, geometry)))
    assert len(set(dw)) == len(set(dx)) == 1


# ── pooling ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(30))
@DTYPES
def test_random_pooling(cupy, seed, dtype):
    rng = np.random.default_rng(seed)
    kernel, stride = (tuple(rng.integers(1, 5, 2).tolist()) for _ in range(2))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    x = rng.integers(-3, 4, (2, 3, *(k + rng.integers(0, 7) for k in kernel))).astype(dtype)
    ceil_mode, pixels_only = bool(seed % 2), bool(seed % 3)
    window = kernel, stride, padding
    for layer, forward, backward in (
            (MaxPool2d(*window, ceil_mode), naive.max_pool2d(x, *window, ceil_mode),
             lambda dy: naive.max_pool2d_backward(dy, x, *window)),
            (AvgPool2d(*window, ceil_mode, pixels_only),
             naive.avg_pool2d(x, *window, ceil_mode, pixels_only),
             lambda dy: naive.avg_pool2d_backward(dy, x, *window, pixels_only))):
        equal(layer.forward(cupy.asarray(x)), forward, dtype)
        dy = gradient_like(forward)
        equal(layer.backward(cupy.asarray(dy)), backward(dy), dtype)


@pytest.mark.parametrize("seed", range(20))
@DTYPES
def test_maxima_of_what_is_no_number(cupy, seed, dtype):
    """NaN, ∞ and −∞, alone or a window full of them: the same y, and the same tap wins."""
    rng = np.random.default_rng(seed)
    x = rng.choice([1, 2, np.nan, np.inf, -np.inf], (2, 3, 7, 8),
                   p=[[.4, .4, .1, .05, .05], [.1, .1, .4, .1, .3]][seed % 2]).astype(dtype)
    kernel = (1 + seed % 3, 1 + seed % 4)
    window = kernel, (1 + seed % 2, 2), tuple(k // 2 for k in kernel)
    cpu, gpu = MaxPool2d(*window), MaxPool2d(*window)
    y = cpu.forward(x)
    np.testing.assert_array_equal(to_host(gpu.forward(cupy.asarray(x))), y)
    dy = gradient_like(y)
    equal(gpu.backward(cupy.asarray(dy)), cpu.backward(dy), dtype)


def test_switches_on_the_gpu(cupy):
    x = np.random.default_rng(0).integers(0, 4, (2, 3, 7, 8)).astype("float32")
    for pool in (MaxPool2d(3, 2, 1), MaxPool2d((2, 3)), MaxPool2d(2, 3, 1, True)):
        y, places = switches(pool, cupy.asarray(x))
        np.testing.assert_array_equal(to_host(places), switches(pool, x)[1])
    for number in (np.nan, -np.inf):
        x[0, 0] = number
        np.testing.assert_array_equal(to_host(switches(MaxPool2d(2, 2, 1), cupy.asarray(x))[1]),
                                      switches(MaxPool2d(2, 2, 1), x)[1])


def test_a_winner_takes_a_byte(cupy):
    for kernel, bytes_ in ((3, 1), ((8, 16), 1), ((8, 17), 4)):
        layer = MaxPool2d(kernel, 1)
        y = layer.forward(cupy.asarray(np.ones((1, 2, 8, 20), "float32")))
        assert layer.recall()[1].nbytes == y.size * bytes_


# ── channels ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (5, 2, 3, 5), (3, 2, 17, 19), (2, 1, 70, 90)])
@DTYPES
def test_moments_and_sums_of_channels(cupy, launch, shape, dtype):
    """From one part of a channel to many, and with a mean a thousand deviations large."""
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal(shape)).astype(dtype)
    dy, mean = rng.standard_normal(shape).astype(dtype), x.mean(axis=(0, 2, 3))
    inv_std = np.linspace(1, 2, shape[1]).astype(dtype)
    exact = x.astype("float64")
    mu, var = (to_host(a) for a in channels.moments(cupy.asarray(x)))
    np.testing.assert_allclose(mu, exact.mean(axis=(0, 2, 3)), rtol=3e-7)
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-4)
    for ours, expected in zip(channels.sums(*map(cupy.asarray, (dy, x, mean, inv_std))),
                              channels.sums(dy, x, mean, inv_std), strict=True):
        equal(ours, expected, dtype)


def test_a_sum_is_cut_into_parts_of_16_numbers_or_more():
    assert [kernels._parts(m) for m in (1, 31, 32, 63, 64, 10**4, 10**9)] == \
        [1, 1, 2, 2, 4, 512, kernels.MOST_PARTS]


# ── all of them ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("layer", [ReLU, ReLU6], ids=lambda layer: layer.__name__)
@DTYPES
def test_what_is_no_number_stays_none(cupy, layer, dtype):
    x = np.array([np.nan, -np.inf, -1, -0.0, 0, 3, 6, 7, np.inf], dtype)
    for dy in (np.arange(9, dtype=dtype), np.full(9, np.inf, dtype), np.full(9, np.nan, dtype)):
        cpu, gpu = layer(), layer()
        np.testing.assert_array_equal(to_host(gpu.forward(cupy.asarray(x))), cpu.forward(x))
        with np.errstate(invalid="ignore"):
            expected = cpu.backward(dy)
        np.testing.assert_array_equal(to_host(gpu.backward(cupy.asarray(dy))), expected)


@pytest.mark.parametrize("make", [
    lambda: Conv2d(4, 6, 3, 2, 1, groups=2, rng=0), lambda: Conv2d(4, 4, 3, groups=4, rng=0),
    lambda: ConvTranspose2d(4, 2, 3, rng=0), lambda: MaxPool2d(3, 2), lambda: AvgPool2d(3, 2),
    lambda: LocalResponseNorm(), lambda: BatchNorm2d(4), ReLU, ReLU6])
def test_arrays_that_are_not_contiguous(cupy, make):
    """Transposed, reversed, every second: made contiguous, and left as they were."""
    wide = np.random.default_rng(0).standard_normal((2, 7, 18, 4)).astype("float32")
    x = wide.transpose(0, 3, 1, 2)[:, ::-1, :, ::2]
    x_gpu = cupy.asarray(wide).transpose(0, 3, 1, 2)[:, ::-1, :, ::2]
    cpu, gpu = make(), make().to("gpu")
    y = cpu.forward(x)
    equal(gpu.forward(x_gpu), y, "float32")
    dy = np.ascontiguousarray(gradient_like(y).T)
    dy_gpu = cupy.asarray(dy).T
    equal(gpu.backward(dy_gpu), cpu.backward(dy.T), "float32")
    np.testing.assert_array_equal(to_host(x_gpu), x)
    np.testing.assert_array_equal(to_host(dy_gpu), dy.T)


@pytest.mark.parametrize("options", [
    {}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    {"momentum": 0.5, "weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("form", ["paper", "pytorch"])
@DTYPES
def test_sgd_takes_the_same_steps(cupy, launch, options, form, dtype):
    layers = [Conv2d(2, 3, 3, rng=0).astype(dtype), Conv2d(2, 3, 3, rng=0).astype(dtype).to("gpu")]
    rng, steps = np.random.default_rng(0), [SGD(layer.parameters(), 0.1, form=form, **options)
                                            for layer in layers]
    for _ in range(3):
        for p, q in zip(*(layer.parameters() for layer in layers), strict=True):
            p.grad = rng.standard_normal(p.value.shape).astype(dtype)
            q.grad = cupy.asarray(p.grad)
        for optimizer in steps:
            optimizer.step()
    for p, q in zip(*(layer.parameters() for layer in layers), strict=True):
        equal(q.value, p.value, dtype)


def test_sgd_moves_weights_that_are_not_contiguous(cupy):
    layer = Conv2d(2, 2, 1, bias=False, rng=0).to("gpu")
    before = to_host(layer.weight.value)
    layer.weight.value = cupy.asarray(before.T.copy()).T
    layer.weight.grad = cupy.asarray(np.ones_like(before))
    SGD(layer.parameters(), 0.5).step()
    equal(layer.weight.value, before - 0.5, "float32")


def test_other_dtypes_and_the_cpu_are_not_served(cupy):
    x = np.ones((2, 2))
    assert kernels.serve(cupy.asarray(x)) and kernels.serve(*[cupy.asarray(x, "float32")] * 3)
    for dtype in ("float16", "complex64", "complex128"):
        assert not kernels.serve(cupy.asarray(x.astype(dtype)))
    assert not kernels.serve(cupy.asarray(x), cupy.asarray(x.astype("float32")))
    assert not kernels.serve(x)


def test_nothing_is_launched_for_no_numbers(cupy):
    assert kernels.relu6(cupy.asarray(np.ones((0, 3), "float32"))).shape == (0, 3)


def test_integers_have_64_bits_before_32_are_too_few(cupy, monkeypatch):
    """A place goes at most one stride past the end of the largest array."""
    assert kernels.LARGE + kernels.THREADS * kernels.BLOCKS < 2**31
    asked, original = [], kernels._module

    def spy(xp, file, real, large, tap):
        asked.append(large)
        return original(xp, file, real, large, tap)

    monkeypatch.setattr(kernels, "_module", spy)
    monkeypatch.setattr(kernels, "LARGE", 100)
    for size in (99, 100):
        kernels.relu6(cupy.asarray(np.ones(size, "float32")))
    assert asked == [False, True]


@pytest.mark.parametrize("file", [*(f"{name}.cu" for name in FILES), "prelude.cuh"])
def test_a_source_is_plain(file):
    """No threads that meet, no sizes of a fixed width, and an opening that explains."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    assert text.startswith("// ") and max(map(len, text.splitlines())) <= 100
    code = re.sub(r"//.*", "", text)
    assert not re.search(r"atomic|__shared__|__sync|__shfl|extern __|#include", code)
    assert not re.search(r"\b(int|long|short|unsigned|size_t|float|double)\b", code)


def test_every_kernel_is_launched_from_python():
    python = (FOLDER / "__init__.py").read_text(encoding="utf-8")
    for file in FILES:
        for name in re.findall(r"__global__ void (\w+)", kernels.source(file)):
            assert f'"{name}"' in python, f"{name} of {file}.cu has no user"
