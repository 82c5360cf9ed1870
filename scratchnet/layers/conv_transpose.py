"""ConvTranspose2d — every input pixel paints its filter, and what overlaps adds up.

A convolution is a matrix: y = A·x, with A made of the filter. This layer multiplies by Aᵀ. It is
the backward of a convolution, dx = Aᵀ·dy, used as a forward; so it goes from small maps to large
ones where a convolution with stride goes from large to small. (It is often called deconvolution,
but it undoes nothing: Aᵀ is not A⁻¹.)

Definition (s: stride, p: padding, d: dilation):

    y[n,o,r,q] = b[o] + Σ_c Σ x[n,c,i,j] · w[c,o,u,v]    over all (i,j,u,v) with
                                                         i·s + u·d − p = r,  j·s + v·d − p = q

Backward. The same terms again; each y[n,o,r,q] is linear in x, w and b:

    dx[n,c,i,j] = Σ_o Σ_u Σ_v  w[c,o,u,v] · dy[n, o, i·s + u·d − p, j·s + v·d − p]
    dw[c,o,u,v] = Σ_n Σ_i Σ_j  x[n,c,i,j] · dy[n, o, i·s + u·d − p, j·s + v·d − p]
    db[o]       = Σ_n Σ_r Σ_q  dy[n,o,r,q]

Set beside Conv2d's: forward here is dx there, and dx here is y there, of the convolution from O to
C channels with the same w. So the algorithms of scratchnet/convolution/ serve both, with x and y
changing places; padding here cuts off a border.

With stride s a convolution maps s sizes to one; `output_padding` says which of them to return to:
so many rows and columns more, below and to the right.

Shapes:  x (N, C, H, W) → y (N, O, OH, OW),  OH = (H − 1)·s − 2p + d·(KH − 1) + 1 + output_padding
         w (C, O/g, KH, KW)   b (O,)         (w as the convolution back from O to C has it)

Zeiler, Krishnan, Taylor & Fergus, "Deconvolutional Networks", CVPR 2010.
"""
import math
from typing import Any

import numpy as np

from scratchnet import convolution
from scratchnet.convolution import Geometry, output_size, pair, short, whole
from scratchnet.layer import Layer, Parameter, expect


class ConvTranspose2d(Layer):
    """(N, C, H, W) → (N, O, OH, OW), floating point; biases 0.

    kernel_size, stride, padding, output_padding and dilation are numbers or (vertical, horizontal)
    pairs; `rng` is an int, a numpy Generator or None (a fresh one). The weights are He-initialised:
    about C/g·KH·KW/s² of them meet in a pixel of y.
    Raises ValueError for sizes that do not fit together.
    """

    def __init__(self, in_channels: int, out_channels: int,
                 kernel_size: int | tuple[int, int], stride: int | tuple[int, int] = 1,
                 padding: int | tuple[int, int] = 0, output_padding: int | tuple[int, int] = 0,
                 dilation: int | tuple[int, int] = 1, groups: int = 1, bias: bool = True, *,
                 rng: int | np.random.Generator | None = None):
        for name, n in (("in_channels", in_channels), ("out_channels", out_channels),
                        ("groups", groups)):
            whole(n, f"ConvTranspose2d: {name}")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"ConvTranspose2d: groups={groups} must divide in_channels="
                             f"{in_channels} and out_channels={out_channels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair(kernel_size, "ConvTranspose2d: kernel_size")
        self.geometry = Geometry(pair(stride, "ConvTranspose2d: stride"),
                                 pair(padding, "ConvTranspose2d: padding", least=0),
                                 pair(dilation, "ConvTranspose2d: dilation"), groups)
        self.output_padding = pair(output_padding, "ConvTranspose2d: output_padding", least=0)
        if any(more >= s for more, s in zip(self.output_padding, self.geometry.stride,
                                            strict=True)):
            raise ValueError(f"ConvTranspose2d: output_padding must be smaller than the stride: a "
                             f"convolution with stride {short(self.geometry.stride)} comes from "
                             f"no other sizes; got {output_padding}")

        KH, KW = self.kernel_size
        w = np.random.default_rng(rng).standard_normal(
            (in_channels, out_channels // groups, KH, KW), dtype=np.float32)
        w *= math.sqrt(2 * math.prod(self.geometry.stride) / (in_channels // groups * KH * KW))
        self.weight = Parameter(w)
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32)) if bias else None

    def forward(self, x: Any) -> Any:
        w = self.weight.value
        y_shape = self._output_shape(x)

        y = convolution.backward_x(x, w, y_shape, self.geometry)    # (N, O, OH, OW)
        if self.bias is not None:
            y += self.bias.value[:, None, None]                     # y is ours: += is safe
        self.remember(x, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, = self.recall(dy)
        w = self.weight.value

        self.weight.grad += convolution.backward_w(dy, x, w.shape, self.geometry)
        if self.bias is not None:
            self.bias.grad += dy.sum(axis=(0, 2, 3))
        return convolution.forward(dy, w, self.geometry)                    # (N, C, H, W)

    settings = {
        "the plain setting": ((3, 4, 3), {}, (2, 3, 5, 6)),
        "stride 2": ((3, 4, 3), {"stride": 2}, (2, 3, 4, 5)),
        "padding": ((3, 4, 3), {"padding": (1, 2)}, (2, 3, 5, 6)),
        "output_padding": ((3, 4, 2), {"stride": 3, "output_padding": (1, 2)}, (2, 3, 4, 5)),
        "dilation 2": ((3, 4, 3), {"dilation": 2}, (2, 3, 4, 5)),
        "groups": ((4, 6, 3), {"groups": 2}, (2, 4, 5, 4)),
        "filters that do not overlap": ((3, 4, (2, 3)), {"stride": (2, 3)}, (2, 3, 4, 5)),
    }

    def macs(self, y_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates for one image: every pixel of x times every weight that it meets."""
        stride, padding, dilation, _ = self.geometry
        H, W = map(output_size, y_shape[-2:], self.kernel_size, stride, padding, dilation)
        return H * W * self.weight.value.size

    def _output_shape(self, x: Any) -> tuple[int, ...]:
        expect(self, x, "N", self.in_channels, "H", "W", weight=self.weight.value)
        stride, padding, dilation, _ = self.geometry
        size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + more for n, k, s, p, d, more in zip(
            x.shape[2:], self.kernel_size, stride, padding, dilation, self.output_padding,
            strict=True))
        if min(size) < 1:
            raise ValueError(f"{self} cuts off its padding, and of images of {x.shape[2]}×"
                             f"{x.shape[3]} nothing is left: use larger images or less padding")
        return (len(x), self.out_channels, *size)

    def __repr__(self) -> str:
        stride, padding, dilation, groups = self.geometry
        text = f"kernel {short(self.kernel_size)}, stride {short(stride)}"
        for name, value, usual in (("padding ", padding, (0, 0)),
                                   ("output +", self.output_padding, (0, 0)),
                                   ("dilation ", dilation, (1, 1))):
            text += f", {name}{short(value)}" if value != usual else ""
        text += f", groups {groups}" if groups > 1 else ""
        text += ", no bias" if self.bias is None else ""
        return f"ConvTranspose2d({self.in_channels}→{self.out_channels}, {text})"
