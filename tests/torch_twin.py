"""Twin — the same computation in PyTorch, for any layer or network of ours.

`RULES` says in one line a layer what PyTorch calls it; blocks and networks are wired by the
same rules, so that whatever is made of known parts can be compared:

    assert_equals_torch(layer, inputs, rtol, atol)

holds if outputs, the gradients of every input and of every parameter, and the running averages
are equal. Random draws (dropout's mask) are ours: PyTorch is handed what our forward drew.

Importing this file skips the test that does it where PyTorch is not installed.
"""
from functools import reduce

import numpy as np
import pytest
from layer_cases import gradient_like

from scratchnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Concatenate,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    MaxUnpool2d,
    ReLU,
    ReLU6,
    Residual,
    Scale,
    Sequential,
    Sigmoid,
    SiLU,
    SoftmaxCrossEntropy,
    StochasticDepth,
    Tanh,
    ZeroPad2d,
)
from scratchnet.models.cifar_resnet import PadShortcut
from scratchnet.models.densenet import DenseLayer
from scratchnet.models.efficientnet import MBConv
from scratchnet.models.googlenet import GoogLeNet
from scratchnet.models.inception_resnet import InceptionResidual
from scratchnet.models.lenet import CodeDistance, PartialConv2d, ScaledTanh, Subsampling
from scratchnet.models.mobilenet_v2 import InvertedResidual
from scratchnet.models.preact_resnet import PreActBlock
from scratchnet.models.resnet import BasicBlock, Bottleneck, PlainBlock
from scratchnet.models.senet import SEBottleneck, SqueezeExcitation

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(1)


class Twin:
    """PyTorch's version of `layer`, after its forward: `Twin(layer, before)(layer, *tensors)`."""

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

    def stochastic_depth(self, l, x):
        m = l._memory[0][0]                         # our factors, 0 or 1/(1−p)
        return x if m is None else x * torch.from_numpy(m != 0) / (1 - l.p)

    def chain(self, l, x):
        return reduce(lambda x, f: self(f, x), l, x)

    def concat(self, l, x):
        return torch.cat([self(f, x) for f in l], 1)

    def graph(self, l, *xs):
        values = dict(zip(l._inputs, xs, strict=True))
        for name, inputs in l._rows:
            values[name] = self(getattr(l, name), *(values[i] for i in inputs))
        return values[name]

    def partial_conv(self, l, x):
        """One convolution for each output map, on the maps that it is connected to."""
        w, ys = self[l.weight], []
        for o in range(l.out_channels):
            rows = [row for row, output in enumerate(l._outputs) if output == o]
            ys.append(F.conv2d(x[:, [l._inputs[row] for row in rows]], w[rows][None],
                               self[l.bias][o:o + 1]))
        return torch.cat(ys, 1)

    def pad_shortcut(self, l, x):
        new = l.out_channels - l.in_channels
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, new // 2, new - new // 2))

    def pre_activation(self, l, x):
        a = self(l.preact, x)
        return self(l.body, a) + self(l.shortcut, a if l.shared else x)

    def googlenet(self, l, x):
        heads = {}
        for name in l._names:
            x = self(l[name], x)
            if l.training and name in l._after:
                heads[name] = self((l.aux1, l.aux2)[l._after.index(name)], x)
        return (x, *(heads[name] for name in l._after)) if l.training else x

    def mbconv(self, l, x):
        y = self(l.block, x)
        return x + self(l.stochastic_depth, y) if l.shortcut else y


def block(t, l, x):
    """ResNet's: ReLU after the sum."""
    return F.relu(t.chain(l, x) + t(l.downsample, x))


RULES = {
    AdaptiveAvgPool2d: lambda t, l, x: F.adaptive_avg_pool2d(x, l.output_size),
    Add: lambda t, l, *xs: sum(xs[1:], xs[0]),
    AvgPool2d: lambda t, l, x: F.avg_pool2d(x, l.kernel_size, l.stride, l.padding, l.ceil_mode,
                                            l.count_include_pad),
    BatchNorm2d: lambda t, l, x: t.batch_norm(l, x),
    Concat: lambda t, l, x: t.concat(l, x),
    Concatenate: lambda t, l, *xs: torch.cat(xs, 1),
    Conv2d: lambda t, l, x: F.conv2d(x, t[l.weight], t[l.bias], *l.geometry),
    ConvTranspose2d: lambda t, l, x: F.conv_transpose2d(
        x, t[l.weight], t[l.bias], l.geometry.stride, l.geometry.padding, l.output_padding,
        l.geometry.groups, l.geometry.dilation),
    Dropout: lambda t, l, x: t.dropout(l, x),
    Flatten: lambda t, l, x: torch.flatten(x, 1),
    Graph: lambda t, l, *xs: t.graph(l, *xs),
    Identity: lambda t, l, x: x,
    Linear: lambda t, l, x: F.linear(x, t[l.weight], t[l.bias]),
    LocalResponseNorm: lambda t, l, x: F.local_response_norm(    # PyTorch divides alpha by n
        x, l.size, l.alpha * l.size, l.beta, l.k),
    MaxPool2d: lambda t, l, x: F.max_pool2d(x, l.kernel_size, l.stride, l.padding,
                                            ceil_mode=l.ceil_mode),
    MaxUnpool2d: lambda t, l, y, switches: torch.zeros(     # F.max_unpool2d keeps one of several
        *y.shape[:2], l.size[0] * l.size[1], dtype=y.dtype).scatter_add(
            2, switches.flatten(2), y.flatten(2)).unflatten(2, l.size),
    ReLU: lambda t, l, x: F.relu(x),
    ReLU6: lambda t, l, x: F.relu6(x),
    Residual: lambda t, l, x: t.chain(l, x) + t(l.downsample, x),
    Scale: lambda t, l, x: x * t.chain(l, x),
    Sequential: lambda t, l, x: t.chain(l, x),
    SiLU: lambda t, l, x: F.silu(x),
    Sigmoid: lambda t, l, x: torch.sigmoid(x),
    SoftmaxCrossEntropy: lambda t, l, x, labels: F.cross_entropy(
        x, labels, label_smoothing=l.label_smoothing),
    StochasticDepth: lambda t, l, x: t.stochastic_depth(l, x),
    Tanh: lambda t, l, x: torch.tanh(x),
    ZeroPad2d: lambda t, l, x: F.pad(x, l.padding),

    # ── layers and blocks of the models ──────────────────────────────────────────────
    BasicBlock: block,
    Bottleneck: block,
    CodeDistance: lambda t, l, x: -((x[:, None] - torch.from_numpy(l.codes)) ** 2).sum(2),
    DenseLayer: lambda t, l, x: torch.cat([x, t.chain(l, x)], 1),
    GoogLeNet: lambda t, l, x: t.googlenet(l, x),
    InceptionResidual: lambda t, l, x: t(l.act, x + l.scale * t(l.conv2d, t.concat(l, x))),
    InvertedResidual: lambda t, l, x: x + t(l.conv, x) if l.shortcut else t(l.conv, x),
    MBConv: lambda t, l, x: t.mbconv(l, x),
    PadShortcut: lambda t, l, x: t.pad_shortcut(l, x),
    PartialConv2d: lambda t, l, x: t.partial_conv(l, x),
    PlainBlock: lambda t, l, x: t.chain(l, x),
    PreActBlock: lambda t, l, x: t.pre_activation(l, x),
    SEBottleneck: block,
    ScaledTanh: lambda t, l, x: 1.7159 * torch.tanh(2 * x / 3),
    SqueezeExcitation: lambda t, l, x: x * t.chain(l, x),
    Subsampling: lambda t, l, x: (4 * F.avg_pool2d(x, 2) * t[l.weight][:, None, None]
                                  + t[l.bias][:, None, None]),
}


def grad(tensor):
    """Zeros where nothing came back: a part that this mode does not use."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def assert_equals_torch(layer, inputs, rtol, atol):
    """Raise AssertionError unless one forward and backward equals PyTorch's, in layer's mode.

    `inputs` is a list of arrays. A layer that returns a tuple gets one random dy for each of its
    outputs. Afterwards the layer's gradients are those of this backward alone.
    """
    before = layer.zero_grad().state_dict()
    y = layer.forward(*inputs)
    twin = Twin(layer, before)
    xs = [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs]
    leaves = [x.requires_grad_() for x in xs if x.is_floating_point()]
    theirs = twin(layer, *xs)
    ys, theirs = (v if isinstance(v, tuple) else (v,) for v in (y, theirs))
    dys = [gradient_like(y, seed) for seed, y in enumerate(ys, start=2)]
    torch.autograd.backward(theirs, [torch.from_numpy(np.asarray(dy)) for dy in dys])
    dx = layer.backward(*(dy if dy.ndim else dy.item() for dy in dys))
    dxs = dx if isinstance(dx, tuple) else (dx,)

    state = layer.state_dict()
    triples = [
        *((f"y{i}", y, t.detach()) for i, (y, t) in enumerate(zip(ys, theirs, strict=True))),
        *((f"dx{i}", dx, grad(x)) for i, (dx, x) in enumerate(zip(dxs, leaves, strict=True))),
        *((f"d{n}", p.grad, grad(twin.tensors[n])) for n, p in layer.named_parameters()),
        *((name, state[name], running) for name, running in twin.running.items())]
    for name, ours, expected in triples:
        assert ours.dtype == expected.numpy().dtype, name
        expected = expected.numpy()
        largest = max(1.0, abs(expected).max(initial=0))        # rounding is of its size
        np.testing.assert_allclose(ours, expected, rtol=rtol, atol=atol * largest, err_msg=name)
