"""Every layer on the strict stand-in for CuPy: the same numbers, and no array crosses alone."""
import numpy as np
import pytest
import strict_cupy
from layer_cases import CASES, case, gradient_like, run

from scratchnet import gradcheck
from scratchnet.layers import (
    Add,
    BatchNorm2d,
    Concatenate,
    Conv2d,
    Dropout,
    Linear,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
)


@pytest.fixture(autouse=True)
def cupy():
    with strict_cupy.installed() as cupy:
        yield cupy


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_gpu_computes_what_the_cpu_computes(cupy, case, training):
    y, dxs, grads = run(case, case.layer().train(training), case.inputs())
    layer = case.layer().train(training)
    assert layer.to("gpu") is layer
    dy = cupy.asarray(gradient_like(y))
    y_gpu, dxs_gpu, grads_gpu = run(case, layer, [cupy.asarray(x) for x in case.inputs()], dy)
    ours, theirs = [y_gpu, *dxs_gpu, *grads_gpu.values()], [y, *dxs, *grads.values()]
    for gpu, cpu in zip(ours, theirs, strict=True):
        assert type(gpu) is cupy.ndarray and gpu.dtype == cpu.dtype
        np.testing.assert_allclose(gpu.get(), cpu, rtol=1e-12, atol=1e-13)

    state = layer.state_dict()
    assert all(type(array) is np.ndarray for array in state.values())
    back = layer.to("cpu").forward(*case.inputs())
    assert not isinstance(back, cupy.ndarray)


@pytest.mark.parametrize("case", CASES[::4], ids=str)
def test_float32_stays_float32(cupy, case):
    layer = case.layer(np.float32).to("gpu")
    inputs = [cupy.asarray(x) for x in case.inputs(np.float32)]
    y = layer.forward(*inputs)
    dx = layer.backward(cupy.asarray(gradient_like(y))) if case.takes_dy else layer.backward()
    floats = [y, *(dx if isinstance(dx, tuple) else [dx]), *(p.grad for p in layer.parameters())]
    assert {a.dtype.name for a in floats} == {"float32"}


@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_gradients_are_right_on_the_gpu(cupy, case):
    """By differences where the complex step would have to put complex numbers in order."""
    layer = case.layer().to("gpu")
    gradcheck.assert_correct(layer, *[cupy.asarray(x) for x in case.inputs()], probes=1)


def test_the_check_falls_back_to_differences_on_the_gpu(cupy):
    report = gradcheck.check(ReLU(), cupy.asarray(np.linspace(-1, 1, 6)))
    assert report.passed and report.rows[0].method == "differences"


def test_dropout_draws_the_same_mask_on_both_devices(cupy):
    x = np.ones((50, 40), np.float32)
    on_cpu, on_gpu = Dropout(0.4, rng=3), Dropout(0.4, rng=3)
    for _ in range(3):
        np.testing.assert_array_equal(on_gpu(cupy.asarray(x)).get(), on_cpu(x))


def test_a_state_travels_between_devices(cupy):
    network = case("", lambda: Sequential(Conv2d(2, 3, 1), BatchNorm2d(3)), ()).layer
    on_cpu, on_gpu = network(seed=1), network(seed=2).to("gpu")
    on_gpu.load_state_dict(on_cpu.state_dict())
    assert type(on_gpu[1].running_mean) is cupy.ndarray
    on_cpu.load_state_dict({name: cupy.asarray(a) for name, a in on_gpu.state_dict().items()})
    assert type(on_cpu[0].weight.value) is type(on_cpu[1].running_var) is np.ndarray
    for name, array in on_gpu.state_dict().items():
        np.testing.assert_array_equal(array, on_cpu.state_dict()[name])


@pytest.mark.parametrize("make, shape", [
    (lambda: Conv2d(2, 3, 1), (1, 2, 3, 4)), (lambda: Linear(3, 2), (2, 3)),
    (lambda: BatchNorm2d(2), (1, 2, 3, 4))], ids=["conv", "linear", "batchnorm"])
def test_an_array_on_the_wrong_device_is_refused(cupy, make, shape):
    x = np.ones(shape, np.float32)
    with pytest.raises(ValueError, match=r"its parameters on the gpu; got an array on the cpu: "
                                         r"move the input with to_device\(x, 'gpu'\)"):
        make().to("gpu").forward(x)
    with pytest.raises(ValueError, match=r"parameters on the cpu; .* the network with .to\('gpu'"):
        make().forward(cupy.asarray(x))


@pytest.mark.parametrize("case", [c for c in CASES if c.takes_dy][::5], ids=str)
def test_a_dy_on_the_wrong_device_is_refused(cupy, case):
    layer = case.layer().to("gpu")
    y = layer.forward(*[cupy.asarray(x) for x in case.inputs()])
    with pytest.raises(ValueError, match="like y, .* on the gpu; got .* on the cpu"):
        layer.backward(gradient_like(y))
    layer.backward(cupy.asarray(gradient_like(y)))


def test_labels_and_branches_on_different_devices_are_refused(cupy):
    x, labels = np.ones((2, 3)), np.array([0, 2])
    with pytest.raises(ValueError, match="on the gpu like the logits; got them on the cpu"):
        SoftmaxCrossEntropy()(cupy.asarray(x), labels)
    for join in (Add(), Concatenate()):
        with pytest.raises(ValueError, match="one .* device.*'gpu'.*'cpu'"):
            join(cupy.asarray(x), x)


@pytest.mark.parametrize("bad, position", [(3, 1), (-1, 1)])
def test_labels_outside_the_classes_are_found_on_the_gpu(cupy, bad, position):
    with pytest.raises(ValueError, match=f"got {bad} at position {position}"):
        SoftmaxCrossEntropy()(cupy.asarray(np.ones((2, 3))), cupy.asarray(np.array([0, bad])))


def test_memory_on_the_old_device_is_forgotten(cupy):
    layer = ReLU()
    y = layer.forward(np.ones(3))
    layer.to("gpu")
    with pytest.raises(RuntimeError, match="needs a forward"):
        layer.backward(y)
