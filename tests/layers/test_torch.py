"""Equality with PyTorch: outputs, gradients of every input and of every parameter.

`RULES` says in one line a layer what PyTorch calls it; networks are wired by the same rules,
so that every case of the table is compared.
"""
from functools import reduce

import numpy as np
import pytest
from layer_cases import CASES, POOL, gradient_like

from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Concatenate,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(1)


class Twin:
    """PyTorch's version of `layer`, after its forward: `Twin(layer)(*tensors)`."""

    def __init__(self, layer, before):
        self.before = before                        # state before our forward: running averages
        self.names = {id(p): name for name, p in layer.named_parameters()}
        self.prefix = {id(inner): name for name, inner in layer.named_layers()}
        self.tensors = {name: torch.from_numpy(p.value.copy()).requires_grad_()
                        for name, p in layer.named_parameters()}
        self.running = {}

    def __call__(self, layer, *xs):
        return RULES[type(layer)](self, layer, *xs)

    def __getitem__(self, parameter):
        return None if parameter is None else self.tensors[self.names[id(parameter)]]

    def batch_norm(self, l, x):
        prefix = self.prefix[id(l)] + "." if self.prefix[id(l)] else ""
        mean, var = (torch.from_numpy(self.before[f"{prefix}running_{what}"].copy())
                     for what in ("mean", "var"))
        self.running |= {f"{prefix}running_mean": mean, f"{prefix}running_var": var}
        return F.batch_norm(x, mean, var, self[l.weight], self[l.bias], l.training, l.momentum,
                            l.eps)

    def dropout(self, l, x):
        kept = l._memory[0][0]                      # our mask
        return x if kept is None else x * torch.from_numpy(kept) / (1 - l.p)

    def chain(self, l, x):
        return reduce(lambda x, f: self(f, x), l, x)

    def graph(self, l, x):
        values = {"x": x}
        for name, inputs in l._rows:
            values[name] = self(getattr(l, name), *(values[i] for i in inputs))
        return values[name]


RULES = {
    AdaptiveAvgPool2d: lambda t, l, x: F.adaptive_avg_pool2d(x, l.output_size),
    Add: lambda t, l, *xs: sum(xs[1:], xs[0]),
    AvgPool2d: lambda t, l, x: F.avg_pool2d(x, l.kernel_size, l.stride, l.padding, l.ceil_mode,
                                            l.count_include_pad),
    BatchNorm2d: lambda t, l, x: t.batch_norm(l, x),
    Concat: lambda t, l, x: torch.cat([t(f, x) for f in l], 1),
    Concatenate: lambda t, l, *xs: torch.cat(xs, 1),
    Conv2d: lambda t, l, x: F.conv2d(x, t[l.weight], t[l.bias], *l.geometry),
    Dropout: lambda t, l, x: t.dropout(l, x),
    Flatten: lambda t, l, x: torch.flatten(x, 1),
    Graph: lambda t, l, x: t.graph(l, x),
    Identity: lambda t, l, x: x,
    Linear: lambda t, l, x: F.linear(x, t[l.weight], t[l.bias]),
    LocalResponseNorm: lambda t, l, x: F.local_response_norm(    # PyTorch divides alpha by n
        x, l.size, l.alpha * l.size, l.beta, l.k),
    MaxPool2d: lambda t, l, x: F.max_pool2d(x, l.kernel_size, l.stride, l.padding,
                                            ceil_mode=l.ceil_mode),
    ReLU: lambda t, l, x: F.relu(x),
    Residual: lambda t, l, x: t.chain(l, x) + t(l.downsample, x),
    Scale: lambda t, l, x: x * t.chain(l, x),
    Sequential: lambda t, l, x: t.chain(l, x),
    Sigmoid: lambda t, l, x: torch.sigmoid(x),
    SoftmaxCrossEntropy: lambda t, l, x, labels: F.cross_entropy(x, labels),
    Tanh: lambda t, l, x: torch.tanh(x),
}


def assert_equals_torch(layer, inputs, rtol, atol):
    before = layer.zero_grad().state_dict()
    y = layer.forward(*inputs)
    twin = Twin(layer, before)
    xs = [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs]
    leaves = [x.requires_grad_() for x in xs if x.is_floating_point()]
    theirs = twin(layer, *xs)
    dy = gradient_like(y)
    theirs.backward(torch.from_numpy(np.asarray(dy)))
    dx = layer.backward(dy if y.ndim else dy.item())
    dxs = dx if isinstance(dx, tuple) else (dx,)

    pairs = [(y, theirs.detach()), *((dx, x.grad) for dx, x in zip(dxs, leaves, strict=True)),
             *((p.grad, twin.tensors[n].grad) for n, p in layer.named_parameters()),
             *((layer.state_dict()[name], running) for name, running in twin.running.items())]
    for ours, expected in pairs:
        assert ours.dtype == expected.numpy().dtype
        np.testing.assert_allclose(ours, expected.numpy(), rtol=rtol, atol=atol)


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
