"""Equality with PyTorch: outputs, gradients of every input and of every parameter.

Every case of the table is compared, by the rules of tests/torch_twin.py.
"""
import numpy as np
import pytest
from layer_cases import CASES, POOL
from torch_twin import assert_equals_torch, torch

from scratchnet.layers import BatchNorm2d, Conv2d, Residual, Sequential

PRECISIONS = pytest.mark.parametrize("dtype, rtol, atol", [
    (np.float64, 1e-10, 1e-13), (np.float32, 1e-4, 1e-5)], ids=["float64", "float32"])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@PRECISIONS
def test_equals_torch(case, training, dtype, rtol, atol):
    layer = case.layer(dtype).train(training)
    assert_equals_torch(layer, case.inputs(dtype), rtol, atol)


@pytest.mark.parametrize("case", [c for c in POOL if c.id.startswith("max")], ids=str)
@pytest.mark.parametrize("values", [1, 2, 3])
def test_where_maxima_tie_the_same_pixel_wins(case, values):
    shape, = case.shapes
    x = np.random.default_rng(values).integers(-1, values - 1, shape).astype(float)
    assert_equals_torch(case.make(), [x], 0, 1e-15)


@PRECISIONS
def test_batch_norm_equals_torch_over_several_steps(dtype, rtol, atol):
    rng = np.random.default_rng(0)
    ours, theirs = BatchNorm2d(3, momentum=0.2).astype(dtype), torch.nn.BatchNorm2d(3, momentum=0.2)
    theirs = theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    for step in range(8):
        if step == 5:
            ours.eval(), theirs.eval()
        x = (3 * rng.standard_normal((4, 3, 2, 5)) + [[[[2]], [[-9]], [[0]]]]).astype(dtype)
        y = theirs(torch.from_numpy(x))
        np.testing.assert_allclose(ours.forward(x), y.detach(), rtol=rtol, atol=atol)
        np.testing.assert_allclose(ours.running_mean, theirs.running_mean, rtol=rtol, atol=atol)
        np.testing.assert_allclose(ours.running_var, theirs.running_var, rtol=rtol, atol=atol)


def test_state_dicts_have_torchs_names_and_order():
    nn = torch.nn
    ours = Sequential(conv1=Conv2d(2, 3, 3), bn1=BatchNorm2d(3), layer1=Sequential(
        Residual(conv1=Conv2d(3, 3, 1, bias=False), downsample=BatchNorm2d(3))))
    block = nn.Sequential()
    block.add_module("conv1", nn.Conv2d(3, 3, 1, bias=False))
    block.add_module("downsample", nn.BatchNorm2d(3))
    theirs = nn.Sequential()
    for name, module in [("conv1", nn.Conv2d(2, 3, 3)), ("bn1", nn.BatchNorm2d(3)),
                         ("layer1", nn.Sequential(block))]:
        theirs.add_module(name, module)
    state = {n: t.numpy() for n, t in theirs.state_dict().items() if "num_batches" not in n}
    assert [(n, a.shape) for n, a in ours.state_dict().items()] == \
        [(n, a.shape) for n, a in state.items()]
    ours.load_state_dict(state)
