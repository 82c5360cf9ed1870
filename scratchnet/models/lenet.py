"""LeNet-5 — the network that read the cheques, with its own kinds of layer.

One image of 1×32×32: a 28×28 digit in a field of 32×32. The paper's layers, and its counts:

    layer                      output        parameters                         connections
    ─────────────────────────  ───────────   ────────────────────────────────   ───────────
    C1  convolution 5×5         6 × 28 × 28   5·5·1·6 + 6           =    156       122,304
    S2  subsampling 2×2         6 × 14 × 14   (1 + 1)·6             =     12         5,880
    C3  convolution 5×5, table 16 × 10 × 10   5·5·60 + 16           =  1,516       151,600
    S4  subsampling 2×2        16 ×  5 ×  5   (1 + 1)·16            =     32         2,000
    C5  convolution 5×5       120 ×  1 ×  1   5·5·16·120 + 120      = 48,120        48,120
    F6  fully connected              84       120·84 + 84           = 10,164        10,164
    OUT distance to a code           10       84·10 fixed, not learned
                                                                      ──────
                                                                      60,000

The squashing function f(a) = 1.7159 · tanh(⅔·a) follows C1, S2, C3, S4, C5 and F6. C3 does not
look at all six maps of S2 each time: 60 of the 96 pairs are connected (table I of the paper,
CONNECTIONS below), which breaks symmetry and saves work. (The paper's 340,908 connections are
the column's sum, 340,068, and the 840 of the output.)

The output of the paper is the squared distance to a code: here its negative, so that the
largest is the best, as for every network of this library, and SoftmaxCrossEntropy can follow
(it is the paper's second criterion, equation 9, without its constant for "rubbish"). With ten
classes the codes are 7×12 pictures of the digits, in the manner of the paper's figure 3 but
drawn anew; with another number of classes they are random ±1, as the paper suggests.

Weights are drawn uniformly from ±2.4/fan_in, as in the paper.

LeCun, Bottou, Bengio & Haffner, "Gradient-Based Learning Applied to Document Recognition",
Proceedings of the IEEE, 1998.
"""
import math
from typing import Any

import numpy as np

from scratchnet import convolution
from scratchnet.backend import is_array, xp_of
from scratchnet.convolution import whole
from scratchnet.layer import Layer, Parameter, expect
from scratchnet.layers import Conv2d, Flatten, Linear, Sequential

#: Table I of the paper: the maps of S2 that each map of C3 looks at.
CONNECTIONS = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
               (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
               (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5))

#: Each digit in 7 columns and 12 rows; a row is a number whose bits are its pixels.
DIGITS = (
    (28, 54, 99, 99, 99, 99, 99, 99, 99, 54, 28, 0),
    (12, 28, 60, 12, 12, 12, 12, 12, 12, 12, 63, 0),
    (62, 99, 67, 3, 6, 12, 24, 48, 96, 96, 127, 0),
    (127, 3, 6, 12, 28, 6, 3, 3, 3, 102, 60, 0),
    (6, 14, 30, 54, 102, 102, 127, 6, 6, 6, 6, 0),
    (127, 96, 96, 96, 124, 6, 3, 3, 3, 102, 60, 0),
    (30, 48, 96, 96, 124, 102, 99, 99, 99, 54, 28, 0),
    (127, 3, 3, 6, 6, 12, 12, 24, 24, 48, 48, 0),
    (62, 99, 99, 99, 62, 62, 99, 99, 99, 99, 62, 0),
    (28, 54, 99, 99, 99, 51, 31, 3, 3, 6, 60, 0),
)


def lenet5(num_classes: int = 10, in_channels: int = 1,
           rng: int | np.random.Generator | None = None) -> Sequential:
    """(N, in_channels, 32, 32) → (N, num_classes): minus the squared distances to the codes."""
    rng = np.random.default_rng(rng)
    net = Sequential(
        C1=Conv2d(in_channels, 6, 5, rng=rng),
        act1=ScaledTanh(),
        S2=Subsampling(6),
        act2=ScaledTanh(),
        C3=PartialConv2d(6, CONNECTIONS, 5),
        act3=ScaledTanh(),
        S4=Subsampling(16),
        act4=ScaledTanh(),
        C5=Conv2d(16, 120, 5, rng=rng),
        act5=ScaledTanh(),
        flatten=Flatten(),
        F6=Linear(120, 84, rng=rng),
        act6=ScaledTanh(),
        OUT=CodeDistance(codes(num_classes, rng)),
    )
    for name, fan_in in (("C1", 25 * in_channels), ("C5", 25 * 16), ("F6", 120)):
        net[name].weight.value = _uniform(net[name].weight.value.shape, fan_in, rng)
    C3 = net["C3"]
    C3.weight.value = np.concatenate(       # a map that looks at more maps gets smaller weights
        [_uniform((len(maps), 5, 5), 25 * len(maps), rng) for maps in CONNECTIONS])
    return net


def codes(num_classes: int, rng: int | np.random.Generator | None = None) -> np.ndarray:
    """The ±1 codes of the output, (num_classes, 84): the digits' pictures for ten classes."""
    whole(num_classes, "lenet5: num_classes")
    if num_classes != 10:
        bits = np.random.default_rng(rng).integers(0, 2, (num_classes, 84))
    else:
        bits = (np.array(DIGITS)[:, :, None] >> np.arange(6, -1, -1) & 1).reshape(10, 84)
    return (2 * bits - 1).astype(np.float32)


class ScaledTanh(Layer):
    """y = A · tanh(S·x), A = 1.7159, S = ⅔, so that y(±1) ≈ ±1; any shape.

    backward    ∂y/∂x = A·S · (1 − tanh²(S·x))
    """

    A, S = 1.7159, 2 / 3

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        t = xp_of(x).tanh(self.S * x)
        y = self.A * t
        self.remember(t, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        t, = self.recall(dy)
        return dy * (self.A * self.S * (1 - t * t))

    def __repr__(self) -> str:
        return "ScaledTanh()"


class Subsampling(Layer):
    """(N, C, 2h, 2w) → (N, C, h, w): the sum of each 2×2 window, times a coefficient, plus a bias.

    forward     y[n,c] = w[c] · s[n,c] + b[c]       s: the four pixels added up
    backward    dw[c] = Σ dy·s     db[c] = Σ dy     each of the four pixels gets w[c]·dy

    Coefficients start at ¼, the mean. An odd last row or column is looked at by no window.
    """

    kernel_size = stride = (2, 2)

    def __init__(self, channels: int):
        self.channels = whole(channels, "Subsampling: channels")
        self.weight = Parameter(np.full(channels, 0.25, dtype=np.float32))
        self.bias = Parameter(np.zeros(channels, dtype=np.float32))

    def forward(self, x: Any) -> Any:
        w, b = self.weight.value, self.bias.value
        expect(self, x, "N", self.channels, "H", "W", weight=w)
        h, width = x.shape[2] // 2, x.shape[3] // 2
        if min(h, width) < 1:
            raise ValueError(f"{self} looks through windows of 2×2; got images of "
                             f"{x.shape[2]}×{x.shape[3]}")
        s = sum(x[..., i:2 * h:2, j:2 * width:2] for i in (0, 1) for j in (0, 1))
        y = w[:, None, None] * s + b[:, None, None]
        self.remember(s, x.shape, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        s, x_shape = self.recall(dy)
        self.weight.grad += (dy * s).sum(axis=(0, 2, 3))
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        dx = xp_of(dy).zeros(x_shape, dtype=dy.dtype)
        ds = self.weight.value[:, None, None] * dy
        for i in (0, 1):
            for j in (0, 1):
                dx[..., i:2 * dy.shape[2]:2, j:2 * dy.shape[3]:2] = ds
        return dx

    def __repr__(self) -> str:
        return f"Subsampling({self.channels}, 2×2)"


class PartialConv2d(Layer):
    """(N, C, H, W) → (N, O, H−K+1, W−K+1): a convolution whose map o looks at maps connections[o].

    Its weights are one K×K filter for each connection, (connections, K, K); they begin as 0. To
    compute, they are laid out as an ordinary convolution's, (O, C, K, K), with 0 where nothing is
    connected; backward picks the connected ones out of dw again.
    Raises ValueError for connections to maps that do not exist, or to the same map twice.
    """

    def __init__(self, in_channels: int, connections: tuple[tuple[int, ...], ...],
                 kernel_size: int):
        whole(in_channels, "PartialConv2d: in_channels")
        whole(kernel_size, "PartialConv2d: kernel_size")
        for o, maps in enumerate(connections):
            if not maps or len(set(maps)) < len(maps) or not set(maps) <= set(range(in_channels)):
                raise ValueError(f"PartialConv2d: map {o} looks at one or more of the maps 0 to "
                                 f"{in_channels - 1}, at each once; got {maps}")
        self.in_channels, self.out_channels = in_channels, len(connections)
        self.kernel_size, self.stride = (kernel_size, kernel_size), (1, 1)
        self._outputs = [o for o, maps in enumerate(connections) for _ in maps]
        self._inputs = [c for maps in connections for c in maps]
        self.weight = Parameter(np.zeros((len(self._inputs), *self.kernel_size), np.float32))
        self.bias = Parameter(np.zeros(self.out_channels, dtype=np.float32))

    def forward(self, x: Any) -> Any:
        b = self.bias.value
        expect(self, x, "N", self.in_channels, "H", "W", weight=b)
        if min(x.shape[2:]) < self.kernel_size[0]:
            raise ValueError(f"{self} looks through a window of {self.kernel_size[0]}×"
                             f"{self.kernel_size[1]}; got images of {x.shape[2]}×{x.shape[3]}")
        y = convolution.forward(x, self._full(), convolution.Geometry())
        y += b[:, None, None]
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        w = self._full()
        dw = convolution.backward_w(x, dy, w.shape, convolution.Geometry())
        self.weight.grad += dw[self._outputs, self._inputs]         # the connected pairs
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        return convolution.backward_x(dy, w, x.shape, convolution.Geometry())

    def _full(self) -> Any:
        """w as (O, C, K, K), zero where nothing is connected."""
        w = self.weight.value
        full = xp_of(w).zeros((self.out_channels, self.in_channels, *self.kernel_size),
                              dtype=w.dtype)
        full[self._outputs, self._inputs] = w           # each pair once: nothing to add up
        return full

    def macs(self, y_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates for one image: only connected pairs count."""
        return math.prod(y_shape[2:]) * self.weight.value.size

    def __repr__(self) -> str:
        return (f"PartialConv2d({self.in_channels}→{self.out_channels}, {len(self._inputs)} "
                f"connections, kernel {self.kernel_size[0]})")


class CodeDistance(Layer):
    """(N, F) → (N, classes): y[n,k] = −Σ_i (x[n,i] − code[k,i])².  Codes are fixed.

    backward    ∂y[n,k]/∂x[n,i] = −2·(x[n,i] − code[k,i])

                dx[n,i] = −2 · ( x[n,i] · Σ_k dy[n,k]  −  Σ_k dy[n,k] · code[k,i] )
    """

    def __init__(self, codes: np.ndarray):
        if not (is_array(codes) and codes.ndim == 2 and codes.size and codes.dtype.kind == "f"):
            got = f"{codes.shape} {codes.dtype}" if is_array(codes) else type(codes).__name__
            raise ValueError(f"CodeDistance expects a floating-point array of shape (classes, F); "
                             f"got {got}")
        self.codes = codes                                              # (classes, F)

    def forward(self, x: Any) -> Any:
        expect(self, x, "N", self.codes.shape[1], weight=self.codes)
        apart = x[:, None, :] - self.codes                              # (N, classes, F)
        y = -(apart * apart).sum(axis=2)
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        return -2 * (x * dy.sum(axis=1, keepdims=True) - dy @ self.codes)

    def macs(self, y_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates for one image."""
        return self.codes.size

    def __repr__(self) -> str:
        return f"CodeDistance({self.codes.shape[1]}→{self.codes.shape[0]})"


def _uniform(shape: tuple, fan_in: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-2.4 / fan_in, 2.4 / fan_in, shape).astype(np.float32)
