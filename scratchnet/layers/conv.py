"""Conv2d — every output pixel is a dot product between a filter and a patch.

Definition (s: stride, p: padding with zeros, d: dilation; x is 0 outside the image):

    y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v  w[o,c,u,v] · x[n, c, i·s + u·d − p, j·s + v·d − p]

Backward. Each y[n,o,i,j] is linear in w, in x and in b, so each derivative is the factor
that stands beside it; the chain rule sums over every y in which it occurs:

    dw[o,c,u,v] = Σ_n Σ_i Σ_j dy[n,o,i,j] · x[n, c, i·s + u·d − p, j·s + v·d − p]
    dx[n,c,r,q] = Σ_o Σ dy[n,o,i,j] · w[o,c,u,v]     over all (i,j,u,v) with
                                                     i·s + u·d − p = r,  j·s + v·d − p = q
    db[o]       = Σ_n Σ_i Σ_j dy[n,o,i,j]            b was added to every pixel

As matrices: copy the patches into columns, and y = W·columns. Then dW = dy·columnsᵀ, and dx
adds the columns of Wᵀ·dy back to where they were copied from (col2im). A 1×1 kernel needs
no copying. scratchnet/convolution/ has these algorithms, a file each, the three formulas in
the same words; `choose` picks the fastest that fits. The three sums written out as loops are
conv2d_backward in scratchnet/naive.py.

With g groups the channels are cut into g slabs that never meet: output slab k sees input
slab k only (AlexNet's two towers: g = 2; MobileNet's depthwise convolution: g = C).

Shapes:  x (N, C, H, W) → y (N, O, OH, OW),  OH = ⌊(H + 2p − d·(KH−1) − 1)/s⌋ + 1
         w (O, C/g, KH, KW)   b (O,)

LeCun et al., "Backpropagation Applied to Handwritten Zip Code Recognition", 1989.
Groups: Krizhevsky, Sutskever & Hinton, NIPS 2012, figure 2.
"""
import math
from typing import Any

import numpy as np

from scratchnet import convolution
from scratchnet.convolution import Geometry, output_size, pair, short, whole
from scratchnet.layer import Layer, Parameter, expect


class Conv2d(Layer):
    """(N, C, H, W) → (N, O, OH, OW), floating point; weights He-initialised, biases 0.

    kernel_size, stride, padding and dilation are numbers or (vertical, horizontal) pairs;
    `rng` is an int, a numpy Generator or None (a fresh one). `algorithm` is a name of
    convolution.ALGORITHMS, or None: the one that is fastest for the shapes that come.
    Raises ValueError for sizes that do not fit together.
    Source: LeCun et al., 1989; the initialisation: He et al., ICCV 2015, w ~ N(0, 2/fan_in).
    """

    def __init__(self, in_channels: int, out_channels: int,
                 kernel_size: int | tuple[int, int], stride: int | tuple[int, int] = 1,
                 padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1,
                 groups: int = 1, bias: bool = True, *,
                 rng: int | np.random.Generator | None = None, algorithm: str | None = None):
        for name, n in (("in_channels", in_channels), ("out_channels", out_channels),
                        ("groups", groups)):
            whole(n, f"Conv2d: {name}")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide in_channels={in_channels} "
                             f"and out_channels={out_channels}")
        if algorithm is not None and algorithm not in convolution.ALGORITHMS:
            raise ValueError(f"Conv2d: algorithm must be None or one of "
                             f"{', '.join(convolution.ALGORITHMS)}; got {algorithm!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.algorithm = algorithm
        self.kernel_size = pair(kernel_size, "Conv2d: kernel_size")
        self.geometry = Geometry(pair(stride, "Conv2d: stride"),
                                 pair(padding, "Conv2d: padding", least=0),
                                 pair(dilation, "Conv2d: dilation"), groups)

        KH, KW = self.kernel_size
        w = np.random.default_rng(rng).standard_normal(
            (out_channels, in_channels // groups, KH, KW), dtype=np.float32)
        w *= math.sqrt(2 / (in_channels // groups * KH * KW))
        self.weight = Parameter(w)
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32)) if bias else None

    def forward(self, x: Any) -> Any:
        w = self.weight.value
        self._check(x)

        b = None if self.bias is None else self.bias.value
        y = convolution.forward(x, w, self.geometry, b, self.algorithm)     # (N, O, OH, OW)
        self.remember(x, y=y)           # not the columns: they are cheap to copy again
        return y

    def forward_scaled(self, x: Any, scale: Any, shift: Any) -> Any:
        """scale · y + shift for each channel, (O,) both, at the price of y: (scale · w) ∗ x. Only
        inside no_grad."""
        self._check(x)
        w = self.weight.value * scale[:, None, None, None]
        b = shift if self.bias is None else self.bias.value * scale + shift
        return convolution.forward(x, w, self.geometry, b, self.algorithm)

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        w = self.weight.value

        self.weight.grad += convolution.backward_w(x, dy, w.shape, self.geometry, self.algorithm)
        if self.bias is not None:
            self.bias.grad += dy.sum(axis=(0, 2, 3))
        if not self.wants_dx:                   # x are the images, and only they
            return None
        return convolution.backward_x(dy, w, x.shape, self.geometry, self.algorithm)

    settings = {
        "the plain setting": ((3, 4, 3), {}, (2, 3, 5, 6)),
        "stride 2": ((3, 4, 3), {"stride": 2}, (2, 3, 7, 5)),
        "padding": ((3, 4, 3), {"padding": (1, 2)}, (2, 3, 5, 4)),
        "dilation 2": ((3, 4, 3), {"dilation": 2}, (2, 3, 6, 7)),
        "groups": ((4, 6, 3), {"groups": 2}, (2, 4, 5, 4)),
        "windows that do not overlap": ((3, 4, (2, 3)), {"stride": (2, 3)}, (2, 3, 4, 6)),
        "pixels that no window sees": ((3, 4, 2), {"stride": 3}, (2, 3, 7, 6)),
    }

    def _check(self, x: Any) -> None:
        expect(self, x, "N", self.in_channels, "H", "W", weight=self.weight.value)
        stride, padding, dilation, _ = self.geometry
        if min(map(output_size, x.shape[2:], self.kernel_size, stride, padding, dilation)) < 1:
            (H, W), (ph, pw) = x.shape[2:], padding
            KH, KW = (d * (k - 1) + 1 for d, k in zip(dilation, self.kernel_size, strict=True))
            raise ValueError(
                f"{self} looks through a window of {KH}×{KW}; got images of {H}×{W}"
                + (f", with padding {H + 2 * ph}×{W + 2 * pw}" if ph or pw else "")
                + ": too small. Use larger images, more padding, or less shrinking before this "
                  "layer")

    def __repr__(self) -> str:
        stride, padding, dilation, groups = self.geometry
        text = f"kernel {short(self.kernel_size)}, stride {short(stride)}"
        for name, value, usual in (("padding", padding, (0, 0)), ("dilation", dilation, (1, 1))):
            text += f", {name} {short(value)}" if value != usual else ""
        text += f", groups {groups}" if groups > 1 else ""
        text += ", no bias" if self.bias is None else ""
        text += f", by {self.algorithm}" if self.algorithm else ""
        return f"Conv2d({self.in_channels}→{self.out_channels}, {text})"
