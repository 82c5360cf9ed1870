"""Planted bugs — wrong layers that a gradient check must not pass, as data.

Each entry of BUGS names the kind of mistake (1–49: the numbered list in KINDS; a word: a clause
of the contract in scratchnet/layer.py), what is wrong, and how to build the broken layer and
its inputs. Most break one step of a right layer. Each is wrong for the inputs listed with it,
which are covering on purpose: sizes differ, H ≠ W, windows overlap, padding ≥ 1, stride > 1.
VALID holds the opposite: unusual layers that are right, and must pass.
"""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratchnet import convolution
from scratchnet.convolution import inside
from scratchnet.layer import Layer
from scratchnet.layers.batchnorm import BatchNorm2d
from scratchnet.layers.branch import (
    Add,
    Concat,
    Concatenate,
    Identity,
    Residual,
    Scale,
    Sequential,
    split,
)
from scratchnet.layers.conv import Conv2d
from scratchnet.layers.conv_transpose import ConvTranspose2d
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.flatten import Flatten
from scratchnet.layers.graph import Graph
from scratchnet.layers.linear import Linear
from scratchnet.layers.lrn import LocalResponseNorm, _window_sum
from scratchnet.layers.max_unpool import MaxUnpool2d
from scratchnet.layers.pad import ZeroPad2d
from scratchnet.layers.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from scratchnet.layers.relu import ReLU
from scratchnet.layers.relu6 import ReLU6
from scratchnet.layers.sigmoid import Sigmoid, sigmoid
from scratchnet.layers.silu import SiLU
from scratchnet.layers.softmax import SoftmaxCrossEntropy
from scratchnet.layers.stochastic_depth import StochasticDepth
from scratchnet.layers.tanh import Tanh
from scratchnet.models.cifar_resnet import PadShortcut
from scratchnet.models.densenet import DenseLayer
from scratchnet.models.efficientnet import MBConv
from scratchnet.models.googlenet import GoogLeNet
from scratchnet.models.inception_resnet import InceptionResidual
from scratchnet.models.lenet import CodeDistance, PartialConv2d, ScaledTanh, Subsampling
from scratchnet.models.mobilenet_v2 import InvertedResidual
from scratchnet.models.preact_resnet import PreActBlock
from scratchnet.models.resnet import BasicBlock
from scratchnet.models.senet import SqueezeExcitation

KINDS = {
    1: "divided by the batch size, or not", 2: "loss not averaged, or over too much",
    3: "sign flipped", 4: "gradient never computed", 5: "summed over the wrong axes",
    6: "mean instead of sum", 7: "only one sample counts", 8: "W instead of its transpose",
    9: "kernel flipped", 10: "axes of the kernel swapped", 11: "overlap overwritten",
    12: "padding cropped wrongly", 13: "last window skipped, or return inside the loop",
    14: "stride ignored", 15: "unseen pixels given gradient", 16: "dilation ignored",
    17: "groups mixed", 18: "reshape without transpose", 19: "dW from the unpadded input",
    20: "ties counted twice", 21: "maximum misrouted", 22: "divisor counts padding wrongly",
    23: "mean not divided", 24: "LRN cross term wrong", 25: "LRN window or exponent wrong",
    26: "dropout scaled wrongly", 27: "randomness drawn anew", 28: "mask or mode forgotten",
    29: "local derivative at x where y is meant", 30: "not linear in dy",
    31: "slope at the kink (a convention: see VALID)", 32: "batch-norm term wrong",
    33: "γ forgotten", 34: "dγ wrong", 35: "ε forgotten", 36: "one-hot wrong",
    37: "shortcut or branch wrong", 38: "concat split wrong", 39: "weight decay in the gradient",
    40: "reshape in the wrong order", 41: "dy overwritten", 42: "input overwritten",
    43: "stale memory", 44: "float32 leak", 45: "dy ignored", 46: "wrong shape or order",
    47: "running statistics", 48: "dx from the updated W",
    49: "a factor or a term of the slope missing",
}


@dataclass(frozen=True)
class Case:
    """One layer and its inputs; `make()` builds the layer anew."""

    id: str
    kind: int | str
    says: str
    make: Callable[[], Any] = field(repr=False)
    inputs: tuple = field(repr=False)
    verdict: str = "wrong"
    missed_because: str = ""


BUGS: list[Case] = []
VALID: list[Case] = []


class At:
    """A setting: the constructor's arguments, the mode and the inputs."""

    def __init__(self, *args: Any, x: Any, training: bool = True, **options: Any):
        self.args, self.options, self.training = args, options, training
        self.inputs = x if isinstance(x, tuple) else (x,)


def bug(id: str, kind: int | str, says: str, cls: Any, at: At, **fields: str) -> None:
    def make() -> Any:
        layer = cls(*at.args, **at.options)
        return layer if at.training or not isinstance(layer, Layer) else layer.eval()
    BUGS.append(Case(id, kind, says, make, at.inputs, **fields))


def valid(id: str, says: str, cls: Any, at: At) -> None:
    VALID.append(Case(id, "valid", says, lambda: cls(*at.args, **at.options), at.inputs))


def patch(base: type, **methods: Callable) -> type:
    """A subclass of `base` with these methods replaced."""
    return type(base.__name__, (base,), methods)


def randn(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


# ── Conv2d ───────────────────────────────────────────────────────────────────────────

class Conv(Conv2d):
    """Conv2d with its three gradients as steps, so that a bug replaces just one."""

    def backward(self, dy):
        x, = self.recall(dy)
        w = self.weight.value
        self.weight.grad += self.dw(x, dy, w)
        self.bias.grad += self.db(x, dy, w)
        return self.dx(x, dy, w)

    def dw(self, x, dy, w):
        return convolution.backward_w(x, dy, w.shape, self.geometry)

    def db(self, x, dy, w):
        return dy.sum(axis=(0, 2, 3))

    def dx(self, x, dy, w):
        return convolution.backward_x(dy, w, x.shape, self.geometry)


def taps(s, x, dy, **other_geometry):
    """For each tap u, v of the kernel: the outputs that use it, and the pixels they see."""
    (sh, sw), (ph, pw), (dh, dw), _ = s.geometry._replace(**other_geometry)
    for u in range(s.kernel_size[0]):
        oi, ii = inside(u, 0, dy.shape[2], x.shape[2], sh, ph, dh)
        for v in range(s.kernel_size[1]):
            oj, ij = inside(v, 0, dy.shape[3], x.shape[3], sw, pw, dw)
            yield u, v, (..., oi, oj), (..., ii, ij)


def shares(s, x, dy, w):
    """For each tap: the pixels, and what they receive through it (one group)."""
    for u, v, outputs, pixels in taps(s, x, dy):
        yield pixels, np.einsum("nohw,oc->nchw", dy[outputs], w[:, :, u, v])


def other_geometry(**change):
    return lambda s, x, dy, w: convolution.backward_x(
        dy, w, x.shape, s.geometry._replace(**change))


def other_w(change):
    return lambda s, x, dy, w: Conv.dx(s, x, dy, np.ascontiguousarray(change(w)))


def other_dy(step, change):
    return lambda s, x, dy, w: step(s, x, change(dy), w)


def without_last(axis):
    """dy with its last row (or column) of windows never visited."""
    def change(dy):
        dy = dy.copy()
        dy[(slice(None),) * axis + (-1,)] = 0
        return dy
    return change


def only_sample(n):
    def change(dy):
        kept = np.zeros_like(dy)
        kept[n] = dy[n]
        return kept
    return change


def overwrite(backwards):
    def dx(s, x, dy, w):
        dx = np.zeros_like(x)
        parts = list(shares(s, x, dy, w))
        for pixels, part in reversed(parts) if backwards else parts:
            dx[pixels] = part
        return dx
    return dx


def fancy_add(s, x, dy, w):
    """col2im by `dx[rows, columns] += …`: NumPy adds repeated indices only once."""
    (sh, sw), (ph, pw), _, _ = s.geometry
    KH, KW = s.kernel_size
    OH, OW = dy.shape[2:]
    dx = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw), x.dtype)
    rows = np.arange(OH)[:, None, None, None] * sh + np.arange(KH)[:, None]
    columns = np.arange(OW)[:, None, None] * sw + np.arange(KW)
    dx[:, :, rows, columns] += np.einsum("nohw,ocuv->nchwuv", dy, w)
    return dx[:, :, ph:ph + x.shape[2], pw:pw + x.shape[3]]


def off_by_one_crop(s, x, dy, w):
    dx = np.pad(Conv.dx(s, x, dy, w), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return dx[:, :, 2:, 2:]


def early_return(s, x, dy, w):
    dx = np.zeros_like(x)
    for pixels, part in shares(s, x, dy, w):
        dx[pixels] += part
        return dx


def smeared_edge(s, x, dy, w):
    dx = Conv.dx(s, x, dy, w)
    dx[..., -1, :] = dx[..., -2, :]             # no window sees the last row
    return dx


def dw_by_taps(**other_geometry):
    """dW tap by tap (one group), with a geometry that is not forward's."""
    def dw(s, x, dy, w):
        dw = np.zeros_like(w)
        for u, v, outputs, pixels in taps(s, x, dy, **other_geometry):
            dw[:, :, u, v] = np.einsum("nohw,nchw->oc", dy[outputs], x[pixels])
        return dw
    return dw


def group_zero(s, x, dy, w):
    g = s.geometry.groups
    return Conv.dw(s, np.tile(x[:, :x.shape[1] // g], (1, g, 1, 1)), dy, w)


def conv_stale(s, x):
    if not hasattr(s, "_first"):
        s._first = x                            # "the columns are still there from last time"
    y = Conv2d.forward(s, x)
    s.remember(s._first, y=y)
    return y


def conv_updates_first(s, dy):
    x, = s.recall(dy)
    w = s.weight.value
    s.weight.grad += Conv.dw(s, x, dy, w)
    w -= 0.01 * s.weight.grad
    s.bias.grad += Conv.db(s, x, dy, w)
    return Conv.dx(s, x, dy, w)


def conv_scales_dy(s, dy):
    dx = Conv.backward(s, dy)
    dy /= len(dy)
    return dx


COVER = At(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, rng=0,
           x=randn(3, 4, 8, 9))
DENSE = At(5, 4, (3, 4), stride=(2, 3), padding=1, rng=0, x=randn(2, 5, 7, 8))
SPREAD = At(3, 4, (2, 3), stride=1, padding=1, dilation=(2, 1), rng=0, x=randn(2, 3, 6, 5))
SQUARE = At(4, 4, 3, stride=1, padding=1, rng=0, x=randn(2, 4, 6, 7))
UNSEEN = At(2, 3, 3, stride=2, rng=0, x=randn(4, 2, 8, 7))
N_IS_O = At(5, 3, 2, padding=1, rng=0, x=randn(3, 5, 6, 7))
ONE = At(3, 4, (3, 2), stride=2, padding=1, rng=0, x=randn(1, 3, 5, 6))

for id, kind, says, steps, at in [
    ("dw-over-n", 1, "dW divided by N", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w) / len(x)}, COVER),
    ("db-over-n", 1, "db divided by N", {"db": lambda s, x, dy, w:
        Conv.db(s, x, dy, w) / len(x)}, COVER),
    ("dx-negative", 3, "dx is −dx", {"dx": lambda s, x, dy, w: -Conv.dx(s, x, dy, w)}, ONE),
    ("dx-zeros", 4, "dx never filled", {"dx": lambda s, x, dy, w: np.zeros_like(x)}, COVER),
    ("dw-never", 4, "dW never added", {"dw": lambda s, x, dy, w: 0}, COVER),
    ("db-never", 4, "db never added", {"db": lambda s, x, dy, w: 0}, ONE),
    ("db-axes", 5, "db keeps N instead of O", {"db": lambda s, x, dy, w:
        dy.sum(axis=(1, 2, 3))}, N_IS_O),
    ("db-row", 5, "db sums over the columns of the last row only", {"db": lambda s, x, dy, w:
        dy.sum(axis=(0, 3))[:, -1]}, COVER),
    ("db-mean", 6, "db averaged over samples and pixels", {"db": lambda s, x, dy, w:
        dy.mean(axis=(0, 2, 3))}, COVER),
    ("dw-first-sample", 7, "dW from sample 0", {"dw": other_dy(Conv.dw, only_sample(0))}, COVER),
    ("dw-last-sample", 7, "`dW =` in the loop over samples: the last remains",
     {"dw": other_dy(Conv.dw, only_sample(-1))}, DENSE),
    ("dx-first-sample", 7, "dx of sample 0 only", {"dx": other_dy(Conv.dx, only_sample(0))},
     DENSE),
    ("w-transposed", 8, "dx from W with in and out confused", {"dx": other_w(
        lambda w: w.transpose(1, 0, 2, 3))}, SQUARE),
    ("dx-flipped", 9, "kernel flipped once too often in dx", {"dx": other_w(
        lambda w: w[:, :, ::-1, ::-1])}, COVER),
    ("dx-flipped-up", 9, "kernel flipped vertically in dx", {"dx": other_w(
        lambda w: w[:, :, ::-1])}, ONE),
    ("dw-flipped", 9, "dW rotated by 180°", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w)[:, :, ::-1, ::-1]}, COVER),
    ("dx-uv", 10, "u and v swapped in dx", {"dx": other_w(lambda w: w.swapaxes(2, 3))}, SQUARE),
    ("dw-uv", 10, "u and v swapped in dW", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w).swapaxes(2, 3)}, SQUARE),
    ("dw-io", 10, "in and out channels swapped in dW", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w).swapaxes(0, 1)}, SQUARE),
    ("col2im-assigns", 11, "col2im writes `=`, taps in order", {"dx": overwrite(False)}, DENSE),
    ("col2im-assigns-back", 11, "col2im writes `=`, taps in reverse", {"dx": overwrite(True)},
     ONE),
    ("col2im-fancy", 11, "`dx[index] += …` adds repeated indices once", {"dx": fancy_add}, DENSE),
    ("not-cropped", 12, "dx still has its padding", {"dx": lambda s, x, dy, w: np.pad(
        Conv.dx(s, x, dy, w), ((0, 0), (0, 0), (1, 1), (2, 2)))}, COVER),
    ("cropped-at-2p", 12, "dx cropped one pixel too far", {"dx": off_by_one_crop}, SQUARE),
    ("cropped-0-0", 12, "dx[:, :, p:-p] with p = 0 is empty", {"dx": lambda s, x, dy, w:
        Conv.dx(s, x, dy, w)[:, :, 0:-0, 0:-0]}, UNSEEN),
    ("last-row", 13, "last row of windows skipped in dx", {"dx": other_dy(
        Conv.dx, without_last(2))}, COVER),
    ("last-column", 13, "last column of windows skipped in dW", {"dw": other_dy(
        Conv.dw, without_last(3))}, COVER),
    ("last-sample", 13, "last sample skipped in dx", {"dx": other_dy(
        Conv.dx, without_last(0))}, COVER),
    ("early-return", 13, "return inside the loop over taps", {"dx": early_return}, DENSE),
    ("dx-stride", 14, "stride ignored in dx", {"dx": other_geometry(stride=(1, 1))}, COVER),
    ("dx-stride-swapped", 14, "vertical and horizontal stride swapped in dx",
     {"dx": other_geometry(stride=(3, 2))}, DENSE),
    ("dw-stride", 14, "stride ignored in dW", {"dw": dw_by_taps(stride=(1, 1))}, DENSE),
    ("unseen-pixels", 15, "pixels that no window sees get a gradient", {"dx": smeared_edge},
     UNSEEN),
    ("dx-dilation", 16, "dilation ignored in dx", {"dx": other_geometry(dilation=(1, 1))}, COVER),
    ("dw-dilation", 16, "dilation ignored in dW", {"dw": dw_by_taps(dilation=(1, 1))}, SPREAD),
    ("groups-rolled", 17, "dx of one group from the weights of the other", {"dx": other_w(
        lambda w: np.roll(w, len(w) // 2, axis=0))}, COVER),
    ("groups-first", 17, "first group's weights reused in dx", {"dx": other_w(
        lambda w: np.tile(w[:len(w) // 2], (2, 1, 1, 1)))}, COVER),
    ("groups-input", 17, "first group's input reused in dW", {"dw": group_zero}, COVER),
    ("dw-reshape", 18, "dy.reshape(O, …) without moving N away first, in dW",
     {"dw": other_dy(Conv.dw, lambda dy: dy.reshape(dy.swapaxes(0, 1).shape).swapaxes(0, 1))},
     COVER),
    ("dx-reshape", 18, "the same in dx", {"dx": other_dy(
        Conv.dx, lambda dy: dy.reshape(dy.swapaxes(0, 1).shape).swapaxes(0, 1))}, DENSE),
    ("dw-unpadded", 19, "dW from the input without its padding",
     {"dw": dw_by_taps(padding=(0, 0))}, DENSE),
    ("dw-unpadded-one", 19, "the same, N = 1", {"dw": dw_by_taps(padding=(0, 0))}, ONE),
    ("dw-decay", 39, "0.01·W added to dW", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w) + np.float32(0.01) * w}, COVER),
    ("columns-order", 40, "columns laid out (u, v, c), weights (c, u, v)", {"dx": other_w(
        lambda w: w.transpose(0, 2, 3, 1).reshape(w.shape))}, COVER),
    ("dy-scaled", 41, "dy divided by N in place", {"backward": conv_scales_dy}, COVER),
    ("stale-x", 43, "backward uses the first input ever seen", {"forward": conv_stale}, COVER),
    ("dw-float32", 44, "columns stored as float32", {"dw": lambda s, x, dy, w: Conv.dw(
        s, x.astype(np.float32).astype(x.dtype), dy, w)}, COVER),
    ("dx-float32", 44, "dx stored in a float32 buffer", {"dx": lambda s, x, dy, w:
        Conv.dx(s, x, dy, w).astype(np.float32)}, COVER),
    ("dx-always-float64", 44, "float32 in, float64 out", {"dx": lambda s, x, dy, w:
        Conv.dx(s, x, dy, w).astype(np.float64)}, COVER),
    ("db-counts", 45, "db counts pixels instead of summing dy", {"db": lambda s, x, dy, w:
        np.ones_like(dy).sum(axis=(0, 2, 3))}, COVER),
    ("db-keepdims", 46, "db assigned with shape (1, O, 1, 1)", {"backward": lambda s, dy: (
        Conv2d.backward(s, dy), setattr(s.bias, "grad", dy.sum(axis=(0, 2, 3), keepdims=True))
        )[0]}, COVER),
    ("returns-all", 46, "backward returns (dx, dW, db)", {"backward": lambda s, dy: (
        Conv2d.backward(s, dy), s.weight.grad, s.bias.grad)}, COVER),
    ("channels-last", 46, "dx as (N, H, W, C)", {"dx": lambda s, x, dy, w:
        Conv.dx(s, x, dy, w).transpose(0, 2, 3, 1)}, COVER),
    ("returns-none", 46, "backward forgets to return dx", {"backward": lambda s, dy: (
        Conv2d.backward(s, dy), None)[1]}, COVER),
    ("updated-w", 48, "dx computed after W was updated", {"backward": conv_updates_first}, COVER),
]:
    bug(f"conv-{id}", kind, says, patch(Conv, **steps), at)


def only_one_image_written(s, x, dy, w):
    """`dw =` where the tiles of images must be added up."""
    return Conv.dw(s, x[-1:], dy[-1:], w)


def depthwise_assigns(s, x, dy, w):
    dx = np.zeros_like(x)
    for u, v, outputs, pixels in taps(s, x, dy):
        dx[pixels] = dy[outputs] * w[:, :, u, v, None]
    return dx


def depthwise_dw_stride(s, x, dy, w):
    return convolution.backward_w(x, dy, w.shape, s.geometry._replace(stride=(1, 1)))


APIECE = At(4, 4, (3, 2), stride=(2, 1), padding=(1, 2), groups=4, rng=0, x=randn(3, 4, 7, 6))
APIECE_SQUARE = At(3, 3, 3, padding=1, groups=3, rng=0, x=randn(2, 3, 5, 6))
for id, kind, says, steps, at in [
    ("dw-axes", 5, "dw summed over the channels, too", {"dw": lambda s, x, dy, w:
        np.zeros_like(w) + Conv.dw(s, x, dy, w).sum(axis=0)}, APIECE),
    ("dw-mean", 6, "dw averaged over samples", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w) / len(x)}, APIECE),
    ("dw-last-image", 7, "`dw =` in the loop over images: the last remains",
     {"dw": only_one_image_written}, APIECE),
    ("dx-flipped", 9, "kernel flipped in dx", {"dx": other_w(lambda w: w[:, :, ::-1, ::-1])},
     APIECE),
    ("dw-flipped", 9, "dw rotated by 180°", {"dw": lambda s, x, dy, w:
        Conv.dw(s, x, dy, w)[:, :, ::-1, ::-1]}, APIECE),
    ("dx-uv", 10, "u and v swapped in dx", {"dx": other_w(lambda w: w.swapaxes(2, 3))},
     APIECE_SQUARE),
    ("assigns", 11, "`dx[pixels] =`: the last tap remains", {"dx": depthwise_assigns}, APIECE),
    ("dx-stride", 14, "stride ignored in dx", {"dx": other_geometry(stride=(1, 1))}, APIECE),
    ("dw-stride", 14, "stride ignored in dw", {"dw": depthwise_dw_stride}, APIECE),
    ("dx-next-channel", 17, "dx of a channel from its neighbour's filter", {"dx": other_w(
        lambda w: np.roll(w, 1, axis=0))}, APIECE),
    ("dw-next-channel", 17, "dw of a channel from its neighbour's pixels", {"dw":
        lambda s, x, dy, w: Conv.dw(s, np.roll(x, 1, axis=1), dy, w)}, APIECE_SQUARE),
    ("dx-all-channels", 17, "every channel gets what all of them get", {"dx": lambda s, x, dy, w:
        np.zeros_like(x) + Conv.dx(s, x, dy, w).sum(axis=1, keepdims=True)}, APIECE),
    ("dw-unpadded", 19, "dw from the input without its padding", {"dw": lambda s, x, dy, w:
        convolution.backward_w(x, dy, w.shape, s.geometry._replace(padding=(0, 0)))}, APIECE),
]:
    bug(f"depthwise-{id}", kind, says, patch(Conv, **steps), at)


# ── ConvTranspose2d, MaxUnpool2d ─────────────────────────────────────────────────────

class Transposed(ConvTranspose2d):
    """ConvTranspose2d with its three gradients as steps."""

    def backward(self, dy):
        x, = self.recall(dy)
        w = self.weight.value
        self.weight.grad += self.dw(x, dy, w)
        self.bias.grad += self.db(x, dy, w)
        return self.dx(x, dy, w)

    def dw(self, x, dy, w):
        return convolution.backward_w(dy, x, w.shape, self.geometry)

    def db(self, x, dy, w):
        return dy.sum(axis=(0, 2, 3))

    def dx(self, x, dy, w):
        return convolution.forward(dy, w, self.geometry)


def transposed_w(change):
    return lambda s, x, dy, w: Transposed.dx(s, x, dy, np.ascontiguousarray(change(w)))


def transposed_dy(step, change):
    return lambda s, x, dy, w: step(s, x, change(dy), w)


def transposed_as_forward(s, x, dy, w):
    """dx by another transposed convolution, as if it were its own backward, then cut to size."""
    big = convolution.backward_x(dy, w, (len(dy), w.shape[1], dy.shape[2] + 2, dy.shape[3] + 2),
                                 s.geometry._replace(stride=(1, 1), padding=(0, 0)))
    return np.ascontiguousarray(big[:, :, 1:1 + x.shape[2], 1:1 + x.shape[3]])


def without_edge(dy):
    """The rows that output_padding put on, forgotten."""
    dy = dy.copy()
    dy[:, :, -1] = 0
    return dy


UP = At(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2, rng=0,
        x=randn(2, 4, 4, 5))
UP_SQUARE = At(4, 4, 3, padding=1, rng=0, x=randn(2, 4, 5, 6))
UP_DENSE = At(3, 5, (2, 3), stride=(2, 3), dilation=(1, 2), rng=0, x=randn(3, 3, 4, 5))
for id, kind, says, steps, at in [
    ("dw-over-n", 1, "dW divided by N", {"dw": lambda s, x, dy, w:
        Transposed.dw(s, x, dy, w) / len(x)}, UP),
    ("dx-negative", 3, "dx is −dx", {"dx": lambda s, x, dy, w: -Transposed.dx(s, x, dy, w)}, UP),
    ("db-of-x", 5, "db counts pixels of x", {"db": lambda s, x, dy, w:
        dy.sum(axis=(0, 2, 3)) * x[0, 0].size / dy[0, 0].size}, UP),
    ("db-mean", 6, "db averaged over the batch", {"db": lambda s, x, dy, w:
        dy.sum(axis=(2, 3)).mean(axis=0)}, UP),
    ("w-not-transposed", 8, "dx from W with in and out confused", {"dx": transposed_w(
        lambda w: w.swapaxes(0, 1))}, UP_SQUARE),
    ("dx-flipped", 9, "kernel flipped: 'the transpose needs it'", {"dx": transposed_w(
        lambda w: w[:, :, ::-1, ::-1])}, UP),
    ("dw-flipped", 9, "dW rotated by 180°", {"dw": lambda s, x, dy, w:
        Transposed.dw(s, x, dy, w)[:, :, ::-1, ::-1]}, UP_DENSE),
    ("dw-uv", 10, "u and v swapped in dW", {"dw": lambda s, x, dy, w:
        Transposed.dw(s, x, dy, w).swapaxes(2, 3)}, UP_SQUARE),
    ("again", 8, "dx by a transposed convolution again", {"dx": transposed_as_forward},
     UP_SQUARE),
    ("output-padding", 13, "what output_padding put on gets no gradient to W", {
        "dw": transposed_dy(Transposed.dw, without_edge)}, UP),
    ("dx-output-padding", 13, "nor to x", {"dx": transposed_dy(Transposed.dx, without_edge)}, UP),
    ("groups-rolled", 17, "dx of one group from the weights of the other", {"dx": transposed_w(
        lambda w: np.roll(w, len(w) // 2, axis=0))}, UP),
    ("dw-upside-down", 40, "the rows of x from the last to the first in dW", {
        "dw": lambda s, x, dy, w: Transposed.dw(s, np.ascontiguousarray(x[:, :, ::-1]), dy, w)},
     UP_DENSE),
    ("dw-decay", 39, "0.01·W added to dW", {"dw": lambda s, x, dy, w:
        Transposed.dw(s, x, dy, w) + np.float32(0.01) * w}, UP),
    ("db-never", 4, "db never added", {"db": lambda s, x, dy, w: 0}, UP),
]:
    bug(f"transpose-{id}", kind, says, patch(Transposed, **steps), at)


def unpool_back(change):
    return lambda s, dx_hat: change(s, dx_hat, *s.recall(dx_hat))


def gathered(dx_hat, t):
    return np.take_along_axis(dx_hat.reshape(*t.shape[:2], -1), t.reshape(*t.shape[:2], -1),
                              axis=2).reshape(t.shape)


def crowd(dx_hat, t):
    """How many numbers went to each one's place."""
    count = np.zeros(dx_hat.shape)
    maps = np.arange(t.shape[0] * t.shape[1]).reshape(*t.shape[:2], 1, 1)
    np.add.at(count.reshape(-1), maps * dx_hat[0, 0].size + t, 1)
    return gathered(count, t).astype(dx_hat.dtype)


def last_of(dx_hat, t):
    """1 for the last number at each place, 0 for those before it."""
    flat = t.reshape(*t.shape[:2], -1)
    last = np.ones(flat.shape, dx_hat.dtype)
    for k in range(flat.shape[2]):
        last[..., k] = ~(flat[..., k + 1:] == flat[..., k:k + 1]).any(axis=2)
    return last.reshape(t.shape)


def unpool_adds_to_dy(s, dx_hat):
    t, = s.recall(dx_hat)
    dy = gathered(dx_hat, t)
    dx_hat *= 0
    return dy


SPREAD_OUT = At((4, 5), x=(randn(2, 3, 2, 3), np.random.default_rng(1).integers(
    0, 20, (2, 3, 2, 3))))
CROWDED = At((2, 3), x=(randn(2, 3, 4, 5), np.random.default_rng(1).integers(
    0, 6, (2, 3, 4, 5))))
for id, kind, says, backward, at in [
    ("shared", 6, "divided among the numbers at a place", unpool_back(
        lambda s, d, t: gathered(d, t) / crowd(d, t)), CROWDED),
    ("last-only", 11, "only the last number at a place gets the gradient", unpool_back(
        lambda s, d, t: gathered(d, t) * last_of(d, t)), CROWDED),
    ("columns", 40, "switches read down the columns", unpool_back(
        lambda s, d, t: gathered(np.ascontiguousarray(d.swapaxes(2, 3)), t)), SPREAD_OUT),
    ("first-map", 21, "switches of channel 0 for all channels", unpool_back(
        lambda s, d, t: gathered(d, np.broadcast_to(t[:, :1], t.shape).copy())), SPREAD_OUT),
    ("first-image", 21, "switches of image 0 for all images", unpool_back(
        lambda s, d, t: gathered(d, np.broadcast_to(t[:1], t.shape).copy())), SPREAD_OUT),
    ("all-of-it", 4, "every number gets the sum over its map", unpool_back(
        lambda s, d, t: gathered(d, t) * 0 + d.sum(axis=(2, 3), keepdims=True)), SPREAD_OUT),
    ("zero-left-out", 13, "place 0 taken for 'none'", unpool_back(
        lambda s, d, t: gathered(d, t) * (t > 0)), CROWDED),
    ("cleared", 41, "dx̂ cleared after use", unpool_adds_to_dy, SPREAD_OUT),
]:
    bug(f"unpool-{id}", kind, says, patch(MaxUnpool2d, backward=backward), at)


# ── Linear ───────────────────────────────────────────────────────────────────────────

class Dense(Linear):
    """Linear with its three gradients as steps."""

    def backward(self, dy):
        x, = self.recall(dy)
        w = self.weight.value
        self.weight.grad += self.dw(x, dy, w)
        self.bias.grad += self.db(x, dy, w)
        return self.dx(x, dy, w)

    def dw(self, x, dy, w):
        return dy.T @ x

    def db(self, x, dy, w):
        return dy.sum(axis=0)

    def dx(self, x, dy, w):
        return dy @ w


def linear_updates_first(s, dy):
    x, = s.recall(dy)
    s.weight.grad += dy.T @ x
    s.bias.grad += dy.sum(axis=0)
    s.weight.value = s.weight.value - 0.1 * s.weight.grad
    return dy @ s.weight.value


def linear_running_total(s, x, dy, w):
    s._total = getattr(s, "_total", 0) + dy.T @ x       # a second sum that zero_grad never clears
    return s._total


def linear_assigns(s, dy):
    x, = s.recall(dy)
    s.weight.grad, s.bias.grad = dy.T @ x, dy.sum(axis=0)
    return dy @ s.weight.value


def linear_batch_memory(s, x):
    """Keeps a work space made for the first batch; another batch size sees old rows."""
    if getattr(s, "_space", None) is None or len(s._space) < len(x):
        s._space = np.zeros(x.shape, x.dtype)
    s._space[:len(x)] = x
    y = Linear.forward(s, x)
    s.remember(s._space.copy(), y=y)
    return y


def linear_batch_backward(s, dy):
    space, = s.recall(dy)
    s.bias.grad += dy.sum(axis=0)
    s.weight.grad += np.resize(dy, (len(space), dy.shape[1])).T @ space
    return dy @ s.weight.value


FLAT = At(5, 3, rng=0, x=randn(4, 5))
EVEN = At(4, 4, rng=0, x=randn(3, 4))
ALL_EQUAL = At(4, 4, rng=0, x=randn(4, 4))

for id, kind, says, steps, at in [
    ("dw-over-n", 1, "dW divided by N", {"dw": lambda s, x, dy, w: dy.T @ x / len(x)}, FLAT),
    ("dw-negative", 3, "dW is −dW", {"dw": lambda s, x, dy, w: -dy.T @ x}, FLAT),
    ("db-axis", 5, "db summed over outputs", {"db": lambda s, x, dy, w: dy.sum(axis=1)},
     ALL_EQUAL),
    ("db-mean", 6, "db averaged over the batch", {"db": lambda s, x, dy, w: dy.mean(axis=0)},
     FLAT),
    ("db-first", 7, "db is dy[0]", {"db": lambda s, x, dy, w: dy[0]}, FLAT),
    ("dw-outer", 7, "dW from sample 0", {"dw": lambda s, x, dy, w: np.outer(dy[0], x[0])}, FLAT),
    ("w-not-transposed", 8, "dx = dy·Wᵀ, W square", {"dx": lambda s, x, dy, w: dy @ w.T}, EVEN),
    ("dw-transposed", 10, "dW = xᵀ·dy, W square", {"dw": lambda s, x, dy, w: x.T @ dy}, EVEN),
    ("dw-decay", 39, "λ·W added to dW", {"dw": lambda s, x, dy, w:
        dy.T @ x + np.float32(5e-4) * w}, FLAT),
    ("dw-reshaped", 40, "dW = (xᵀ·dy).reshape(O, I)", {"dw": lambda s, x, dy, w:
        (x.T @ dy).reshape(w.shape)}, FLAT),
    ("x-overwritten", 42, "forward standardises x in place", {"forward": lambda s, x:
        Linear.forward(s, np.subtract(x, 0.5, out=x))}, FLAT),
    ("running-total", 43, "adds into a sum that is never cleared", {"dw": linear_running_total},
     FLAT),
    ("batch-memory", 43, "old samples count when a smaller batch follows", {
        "forward": linear_batch_memory, "backward": linear_batch_backward}, FLAT),
    ("dx-float16", 44, "dx goes through float16", {"dx": lambda s, x, dy, w:
        (dy @ w).astype(np.float16).astype(dy.dtype)}, FLAT),
    ("dw-ignores-dy", 45, "dW without dy", {"dw": lambda s, x, dy, w:
        np.ones_like(dy).T @ x}, FLAT),
    ("db-keepdims", 46, "db has shape (1, O)", {"db": lambda s, x, dy, w:
        dy.sum(axis=0, keepdims=True)}, FLAT),
    ("dx-flat", 46, "dx loses its shape", {"dx": lambda s, x, dy, w: (dy @ w).ravel()}, FLAT),
    ("updated-w", 48, "dx from the updated W", {"backward": linear_updates_first}, FLAT),
    ("assigns", "adds", "gradients assigned, not added", {"backward": linear_assigns}, FLAT),
    ("keeps-memory", "memory", "forward under no_grad remembers", {"forward": lambda s, x: (
        Linear.forward(s, x), setattr(s, "_memory", ((x,), None)))[0]}, FLAT),
]:
    bug(f"linear-{id}", kind, says, patch(Dense, **steps), at)


# ── ReLU, Sigmoid, Tanh ──────────────────────────────────────────────────────────────

def relu_in_dy(s, dy):
    y, = s.recall(dy)
    dy[~(y > 0)] = 0
    return dy


def relu_in_x(s, x):
    y = np.maximum(x.real, 0, out=x) if x.dtype.kind == "f" else np.where(x > 0, x, 0)
    s.remember(y, y=y)
    return y


def relu_first_mask(s, x):
    s._mask = getattr(s, "_mask", x > 0)
    y = np.maximum(x, 0)
    s.remember(s._mask, y=y)
    return y


def relu_by_quotient(s, dy):
    x, = s.recall(dy)
    with np.errstate(all="ignore"):
        return dy * (np.maximum(x, 0) / x)


def relu_cleans_y(s, dy):
    y, = s.recall(dy)
    dx = dy * (y > 0)
    y[...] = 0                                  # "not needed any more": y is the next layer's x
    return dx


def remembers(what):
    """forward that remembers another array than it should."""
    def forward(s, x):
        y = np.maximum(x, 0)
        s.remember(what(x, y), y=y)
        return y
    return forward


def recalled(change):
    """backward by the one array that forward remembers."""
    return lambda s, dy: change(dy, *s.recall(dy))


def masked(change):
    """backward by ReLU's mask: forward remembers y."""
    return recalled(lambda dy, y: change(dy, y > 0))


def masked6(change):
    """The same for ReLU6."""
    return recalled(lambda dy, y: change(dy, (y > 0) & (y < 6)))


def any_dims(at_y, f):
    """dx = dy · f(x or y) for Sigmoid and Tanh."""
    def forward(s, x):
        y = type(s).__mro__[1].forward(s, x)
        s.remember(y if at_y else x, y=y)
        return y
    return {"forward": forward, "backward": lambda s, dy: f(dy, *s.recall(dy))}


MAPS = At(x=randn(2, 3, 4, 5))
for id, kind, says, methods in [
    ("identity", 28, "mask forgotten", {"backward": masked(lambda dy, m: dy.copy())}),
    ("inverted", 3, "mask inverted", {"backward": masked(lambda dy, m: dy * ~m)}),
    ("mask-of-dy", 30, "mask made from dy", {"backward": masked(lambda dy, m: dy * (dy > 0))}),
    ("guided", 30, "mask of x and of dy", {"backward": masked(lambda dy, m: dy * m * (dy > 0))}),
    ("absolute", 30, "|dy|", {"backward": masked(lambda dy, m: np.abs(dy) * m)}),
    ("clips", 30, "dy clipped to ±5", {"backward": masked(lambda dy, m: dy.clip(-5, 5) * m)}),
    ("vanishing", 30, "dy below 1e-3 flushed to 0", {"backward": masked(
        lambda dy, m: np.where(np.abs(dy).max(initial=0) < 1e-3, 0, dy * m))}),
    ("times-y", 29, "dx = dy·y", {"forward": remembers(lambda x, y: y),
                                  "backward": recalled(lambda dy, y: dy * y)}),
    ("in-dy", 41, "zeroes dy in place", {"backward": relu_in_dy}),
    ("in-x", 42, "works in place", {"forward": relu_in_x}),
    ("first-mask", 43, "mask of the first batch is kept", {"forward": relu_first_mask}),
    ("quotient", 20, "slope y/x is NaN at x = 0", {"forward": remembers(lambda x, y: x),
                                                  "backward": relu_by_quotient}),
    ("slope-2", 20, "slope 2 at x = 0: two masks, ≥ and ≤, both counted", {
        "forward": remembers(lambda x, y: x), "backward": recalled(
            lambda dy, x: dy * (x >= 0) + dy * (x == 0))}),
    ("cleans-y", "writes y", "backward clears the y it returned", {
        "forward": remembers(lambda x, y: y), "backward": relu_cleans_y}),
    ("ignores-dy", 45, "returns the mask", {"backward": masked(
        lambda dy, m: m.astype(dy.dtype))}),
    ("memory-order", "layout", "reads dy in the order of memory", {"backward": masked(
        lambda dy, m: dy.ravel(order="K").reshape(dy.shape) * m)}),
    ("no-recall", "memory", "a second backward returns a stale number", {"backward": masked(
        lambda dy, m: dy * m), "recall": lambda s, dy=None: s._memory[0]}),
]:
    bug(f"relu-{id}", kind, says, patch(ReLU, **methods), MAPS)

for id, kind, says, cls, methods in [
    ("sigmoid-x", 29, "x·(1 − x)", Sigmoid, any_dims(False, lambda dy, x: dy * x * (1 - x))),
    ("sigmoid-y", 29, "slope y", Sigmoid, any_dims(True, lambda dy, y: dy * y)),
    ("sigmoid-square", 29, "y·(1 − y²)", Sigmoid, any_dims(
        True, lambda dy, y: dy * y * (1 - y * y))),
    ("sigmoid-ignores-dy", 45, "y·(1 − y) without dy", Sigmoid, any_dims(
        True, lambda dy, y: y * (1 - y))),
    ("tanh-x", 29, "1 − x²", Tanh, any_dims(False, lambda dy, x: dy * (1 - x * x))),
    ("tanh-sigmoid", 29, "y·(1 − y)", Tanh, any_dims(True, lambda dy, y: dy * y * (1 - y))),
    ("tanh-linear", 29, "1 − y", Tanh, any_dims(True, lambda dy, y: dy * (1 - y))),
    ("tanh-float32", 44, "y kept as float32", Tanh, any_dims(True, lambda dy, y: dy * (
        1 - (y * y).astype(np.float32).astype(dy.dtype)))),
]:
    bug(id, kind, says, patch(patch(cls), **methods), MAPS)


WIDE = At(x=6 * randn(2, 3, 4, 5))              # below 0, between, and above 6
for id, kind, says, cls, methods, at in [
    ("relu6-no-ceiling", 28, "gradient passes above 6", ReLU6, any_dims(
        False, lambda dy, x: dy * (x > 0)), WIDE),
    ("relu6-no-floor", 28, "gradient passes below 0", ReLU6, any_dims(
        False, lambda dy, x: dy * (x < 6)), WIDE),
    ("relu6-ceiling-of-y", 29, "asks y ≤ 6, which is always true", ReLU6, any_dims(
        True, lambda dy, y: dy * ((y > 0) & (y <= 6))), WIDE),
    ("relu6-inverted", 3, "mask inverted", ReLU6, {"backward": masked6(
        lambda dy, between: dy * ~between)}, WIDE),
    ("relu6-clips-dy", 30, "dy put through the ceiling", ReLU6, {"backward": masked6(
        lambda dy, between: np.minimum(dy, 6) * between)}, WIDE),
    ("relu6-sixth", 49, "divided by 6", ReLU6, {"backward": masked6(
        lambda dy, between: dy * between / 6)}, WIDE),
    ("silu-second-half", 49, "σ·(1 − σ), the sigmoid's slope alone", SiLU, any_dims(
        False, lambda dy, x: dy * sigmoid(x) * (1 - sigmoid(x))), MAPS),
    ("silu-first-half", 49, "σ alone: x taken as a constant factor", SiLU, any_dims(
        False, lambda dy, x: dy * sigmoid(x)), MAPS),
    ("silu-no-x", 49, "σ + σ·(1 − σ): x missing in the second half", SiLU, any_dims(
        False, lambda dy, x: dy * sigmoid(x) * (2 - sigmoid(x))), MAPS),
    ("silu-second-x", 49, "x·σ·(1 − σ) alone", SiLU, any_dims(
        False, lambda dy, x: dy * x * sigmoid(x) * (1 - sigmoid(x))), MAPS),
    ("silu-no-one-minus", 49, "σ·(1 + x·σ)", SiLU, any_dims(
        False, lambda dy, x: dy * sigmoid(x) * (1 + x * sigmoid(x))), MAPS),
    ("silu-at-y", 29, "the slope at y", SiLU, any_dims(
        True, lambda dy, y: dy * sigmoid(y) * (1 + y * (1 - sigmoid(y)))), MAPS),
]:
    bug(id, kind, says, patch(patch(cls), **methods), at)


# ── LocalResponseNorm ────────────────────────────────────────────────────────────────

def lrn(own=1.0, cross=1.0, turned=True, power=0.0):
    """LRN's backward with other factors, another window or another exponent."""
    def backward(s, db):
        a, z = s.recall(db)
        window = (s.size - 1) // 2, s.size // 2
        first = db * z ** -s.beta
        sums = _window_sum(first * z ** power * a / z, *(window if turned else window[::-1]),
                           np.empty_like(a))
        n = s.size if cross == "n" else cross
        return own * first - n * 2 * s.alpha * s.beta * a * sums
    return patch(LocalResponseNorm, backward=backward)


def lrn_elementwise(s, db):
    a, z = s.recall(db)
    return db * z ** -s.beta - 2 * s.alpha * s.beta * a * a * db * z ** (-s.beta - 1)


LRN = At(3, alpha=0.5, beta=0.75, k=2.0, x=randn(2, 6, 3, 4))
for id, kind, says, cls, at in [
    ("no-cross", 24, "cross term missing", lrn(cross=0), LRN),
    ("cross-sign", 24, "cross term added", lrn(cross=-1), LRN),
    ("cross-half", 24, "the 2 of 2αβ missing", lrn(cross=0.5), LRN),
    ("cross-n", 24, "α times n", lrn(cross="n"), LRN),
    ("no-own", 24, "own term missing", lrn(own=0), LRN),
    ("alone", 24, "cross term only from the channel itself",
     patch(LocalResponseNorm, backward=lrn_elementwise), LRN),
    ("window", 25, "window not turned round, n even", lrn(turned=False),
     At(4, alpha=0.5, k=2.0, x=randn(2, 7, 3, 4))),
    ("exponent", 25, "s^−β where s^(−β−1) is meant", lrn(power=1.0), LRN),
    ("paper-alpha", 24, "cross term missing, at the paper's α = 1e-4", lrn(cross=0),
     At(x=randn(2, 7, 3, 4))),
]:
    bug(f"lrn-{id}", kind, says, cls, at)


# ── Dropout ──────────────────────────────────────────────────────────────────────────

def drop_unseeded(s, x):
    kept = np.random.default_rng().random(x.shape) >= s.p
    y = x * kept / (1 - s.p)
    s.remember(kept, y=y)
    return y


def drop_masked(change):
    return patch(Dropout, backward=lambda s, dy: change(s, dy, *s.recall(dy)))


DROP = At(0.3, rng=0, x=randn(2, 3, 4, 5))
DROP_EVAL = At(0.3, rng=0, x=randn(2, 3, 4, 5), training=False)
for id, kind, says, cls, at in [
    ("not-scaled", 26, "1/(1−p) forgotten", drop_masked(lambda s, dy, m: dy * m), DROP),
    ("scaled-twice", 26, "1/(1−p)²", drop_masked(lambda s, dy, m: dy * m / (1 - s.p) ** 2), DROP),
    ("one-over-p", 26, "1/p", drop_masked(lambda s, dy, m: dy * m / s.p), DROP),
    ("new-mask", 27, "backward draws another mask", drop_masked(
        lambda s, dy, m: dy * (s.rng.random(dy.shape) >= s.p) / (1 - s.p)), DROP),
    ("global-mask", 27, "backward draws from np.random", drop_masked(
        lambda s, dy, m: dy * (np.random.rand(*dy.shape) >= s.p) / (1 - s.p)),  # noqa: NPY002
     DROP),
    ("unseeded", 27, "forward makes a new generator each time",
     patch(Dropout, forward=drop_unseeded, backward=lambda s, dy: dy * s.recall(dy)[0] / (
         1 - s.p)), DROP),
    ("inverted", 28, "gradient to the silenced ones", drop_masked(
        lambda s, dy, m: dy * (1 - m) / (1 - s.p)), DROP),
    ("no-mask", 28, "mask forgotten", drop_masked(lambda s, dy, m: dy / (1 - s.p)), DROP),
    ("eval-scaled", 28, "evaluation forward, training backward", drop_masked(
        lambda s, dy, m: dy / (1 - s.p)), DROP_EVAL),
    ("train-passes", 28, "training forward, evaluation backward", drop_masked(
        lambda s, dy, m: dy.copy()), DROP),
]:
    bug(f"dropout-{id}", kind, says, cls, at)


# ── StochasticDepth ──────────────────────────────────────────────────────────────────

def depth(change):
    return patch(StochasticDepth, backward=lambda s, dy: change(s, dy, *s.recall(dy)))


def depth_unseeded(s, x):
    fresh = StochasticDepth(s.p, rng=None)
    y = fresh.forward(x)
    if hasattr(fresh, "_memory"):
        s.remember(*fresh.recall(), y=y)
    return y


DEPTH = At(0.4, rng=1, x=randn(5, 3, 2, 4))
DEPTH_SQUARE = At(0.4, rng=1, x=randn(4, 4, 2, 3))      # as many channels as images
DEPTH_EVAL = At(0.4, rng=1, x=randn(5, 3, 2, 4), training=False)
for id, kind, says, cls, at in [
    ("not-scaled", 26, "1/(1−p) forgotten", depth(lambda s, dy, m: dy * (m != 0)), DEPTH),
    ("scaled-twice", 26, "1/(1−p)²", depth(lambda s, dy, m: dy * m / (1 - s.p)), DEPTH),
    ("new-mask", 27, "backward draws anew", depth(lambda s, dy, m: dy * (
        s.rng.random((len(dy), 1, 1, 1)) >= s.p) / (1 - s.p)), DEPTH),
    ("per-element", 27, "backward draws for each number", depth(lambda s, dy, m: dy * (
        s.rng.random(dy.shape) >= s.p) / (1 - s.p)), DEPTH),
    ("unseeded", 27, "forward makes a new generator each time",
     patch(StochasticDepth, forward=depth_unseeded), DEPTH),
    ("no-mask", 28, "mask forgotten", depth(lambda s, dy, m: dy / (1 - s.p)), DEPTH),
    ("inverted", 28, "gradient to the branches left out", depth(
        lambda s, dy, m: dy * (m == 0) / (1 - s.p)), DEPTH),
    ("train-passes", 28, "training forward, evaluation backward", depth(
        lambda s, dy, m: dy.copy()), DEPTH),
    ("eval-scaled", 28, "evaluation forward, training backward", depth(
        lambda s, dy, m: dy / (1 - s.p)), DEPTH_EVAL),
    ("first-image", 7, "the first image's mask for all", depth(
        lambda s, dy, m: dy * m[:1]), DEPTH),
    ("channels", 5, "the mask laid along the channels", depth(
        lambda s, dy, m: dy * m.reshape(1, -1, 1, 1)), DEPTH_SQUARE),
]:
    bug(f"depth-{id}", kind, says, cls, at)


# ── ZeroPad2d, PadShortcut ───────────────────────────────────────────────────────────

def pad_by(sides):
    """ZeroPad2d that takes dy's frame off as if its padding were sides(l, r, t, b)."""
    def backward(s, dy):
        s.recall(dy)
        return ZeroPad2d([-side for side in sides(*s.padding)]).forward(dy)
    return patch(ZeroPad2d, backward=backward)


def pad_sliced(s, dy):
    """dy[t:-b, l:-r], which is empty where a side is 0."""
    s.recall(dy)
    left, right, top, bottom = s.padding
    return dy[:, :, top:-bottom, left:-right]


def pad_frame_kept(s, dy):
    """The frame's gradient given to the border, as if the border had been repeated."""
    dx = ZeroPad2d.backward(s, dy)
    top = s.padding[2]
    dx[:, :, 0] += dy[:, :, :top, s.padding[0]:s.padding[0] + dx.shape[3]].sum(axis=2)
    return dx


def pad_front(s, dy):
    """dy laid at the front of dx, whatever was cut off there."""
    x_shape, = s.recall(dy)
    dx = np.zeros(x_shape, dy.dtype)
    h, w = (min(a, b) for a, b in zip(x_shape[2:], dy.shape[2:], strict=True))
    dx[:, :, :h, :w] = dy[:, :, :h, :w]
    return dx


def pad_smeared(s, dy):
    dx = ZeroPad2d.backward(s, dy)
    dx[:, :, 0] = dx[:, :, 1]                   # row 0 was cut off
    return dx


PADDED = At((1, 2, 3, 0), x=randn(2, 3, 4, 5))
CUT = At((-1, 1, -1, 0), x=randn(2, 3, 4, 5))
for id, kind, says, cls, at in [
    ("right", 12, "cropped one pixel too far right", pad_by(
        lambda l, r, t, b: (l + 1, r - 1, t, b)), PADDED),
    ("down", 12, "cropped one pixel too high", pad_by(
        lambda l, r, t, b: (l, r, t - 1, b + 1)), PADDED),
    ("mirrored", 12, "left and right swapped", pad_by(lambda l, r, t, b: (r, l, t, b)), PADDED),
    ("order", 12, "(top, bottom, left, right) in backward", pad_by(
        lambda l, r, t, b: (t, b, l, r)), PADDED),
    ("not-cropped", 12, "dx still has its frame", patch(
        ZeroPad2d, backward=lambda s, dy: (s.recall(dy), dy)[1]), PADDED),
    ("sliced", 12, "dy[:, :, t:-b] with b = 0 is empty", patch(
        ZeroPad2d, backward=pad_sliced), PADDED),
    ("frame", 15, "the frame's gradient goes to the border", patch(
        ZeroPad2d, backward=pad_frame_kept), PADDED),
    ("cut-front", 12, "what remains laid where the rest was cut off", patch(
        ZeroPad2d, backward=pad_front), CUT),
    ("cut-mirrored", 12, "cut on the other side", pad_by(lambda l, r, t, b: (r, l, t, b)), CUT),
    ("cut-smeared", 15, "what was cut off gets its neighbour's gradient", patch(
        ZeroPad2d, backward=pad_smeared), CUT),
]:
    bug(f"pad-{id}", kind, says, cls, at)


def shortcut(change):
    def backward(s, dy):
        x_shape, = s.recall(dy)
        dx = np.zeros(x_shape, dy.dtype)
        change(dx, dy, s._old())
        return dx
    return patch(PadShortcut, backward=backward)


SHORTCUT = At(2, 5, x=randn(2, 2, 4, 6))
for id, kind, says, cls in [
    ("front", 38, "old channels looked for at the front", shortcut(
        lambda dx, dy, old: dx[:, :, ::2, ::2].__iadd__(dy[:, :2]))),
    ("odd", 14, "gradient to the pixels passed over", shortcut(
        lambda dx, dy, old: dx[:, :, 1::2, 1::2].__iadd__(dy[:, old]))),
    ("smeared", 15, "gradient to all four pixels", shortcut(
        lambda dx, dy, old: dx.__iadd__(dy[:, old].repeat(2, axis=2).repeat(2, axis=3)))),
    ("corner", 14, "stride ignored: gradient to a corner", shortcut(
        lambda dx, dy, old: dx[:, :, :2, :3].__iadd__(dy[:, old]))),
]:
    bug(f"padshortcut-{id}", kind, says, cls, SHORTCUT)


# ── pooling ──────────────────────────────────────────────────────────────────────────

class Max(MaxPool2d):
    """MaxPool2d, window by window: who wins, how its share is stored, how dx is cropped."""

    def forward(self, x):
        y = super().forward(x)
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        (KH, KW), (sh, sw), (ph, pw) = self.kernel_size, self.stride, self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (ph, ph + sh), (pw, pw + sw)),
                        constant_values=-np.inf)
        dx = np.zeros_like(padded)
        for i, j in self.windows(*dy.shape[2:]):
            here = (slice(None), slice(None), slice(i * sh, i * sh + KH),
                    slice(j * sw, j * sw + KW))
            self.put(dx, here, self.winner(padded[here]) * dy[:, :, i, j][..., None, None])
        return dx[:, :, ph:ph + x.shape[2], pw:pw + x.shape[3]]

    def windows(self, OH, OW):
        return np.ndindex(OH, OW)

    def winner(self, window):
        flat = window.reshape(*window.shape[:2], -1)
        first = np.arange(flat.shape[2]) == flat.argmax(axis=2)[..., None]
        return first.reshape(window.shape)

    def put(self, dx, here, share):
        dx[here] += share


def put_assign(s, dx, here, share):
    dx[here] = np.where(share != 0, share, dx[here])


def all_winners(s, w):
    return w == w.max(axis=(2, 3), keepdims=True)


def shared_winners(s, w):
    won = all_winners(s, w)
    return won / won.sum(axis=(2, 3), keepdims=True).astype(w.dtype)


def argmin(s, w):
    return Max.winner(s, np.where(np.isfinite(w), -w, -np.inf))


def max_in_unpadded(s, dy):
    """Looks for the maximum at the window's place in the input without its padding."""
    x, = s.recall(dy)
    dx = np.zeros_like(x)
    for i, j in np.ndindex(*dy.shape[2:]):
        here = (slice(None), slice(None), slice(i * s.stride[0], i * s.stride[0] + 3),
                slice(j * s.stride[1], j * s.stride[1] + 3))
        if x[here].size:
            dx[here] += Max.winner(s, x[here]) * dy[:, :, i, j][..., None, None]
    return dx


def zero_padded_forward(s, x):
    """Pads with 0: a window of −1 at the edge gives 0."""
    (ph, pw) = s.padding
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    y = MaxPool2d.forward(MaxPool2d(s.kernel_size, s.stride), padded)
    s.remember(padded, y=y)
    return y


def zero_padded_backward(s, dy):
    padded, = s.recall(dy)
    inner = Max(s.kernel_size, s.stride)
    inner.forward(padded)
    (ph, pw) = s.padding
    return inner.backward(dy)[:, :, ph:padded.shape[2] - ph, pw:padded.shape[3] - pw]


POOL = At(3, stride=2, padding=1, x=randn(2, 3, 7, 8))
APART = At((2, 3), stride=(3, 4), x=randn(2, 3, 8, 11))
for id, kind, says, steps, at in [
    ("ties-twice", 20, "equal maxima each get all of dy", {"winner": all_winners}, POOL),
    ("ties-twice-apart", 20, "the same, windows apart", {"winner": all_winners}, APART),
    ("argmin", 21, "gradient to the smallest", {"winner": argmin}, POOL),
    ("transposed", 21, "row and column of the winner swapped", {"winner": lambda s, w:
        Max.winner(s, w).swapaxes(2, 3)}, POOL),
    ("sample-0", 21, "winners of sample 0 used for all", {"winner": lambda s, w:
        Max.winner(s, np.broadcast_to(w[:1], w.shape))}, POOL),
    ("channel-0", 21, "winners of channel 0 used for all", {"winner": lambda s, w:
        Max.winner(s, np.broadcast_to(w[:, :1], w.shape))}, APART),
    ("centre", 21, "gradient to the centre of the window", {"winner": lambda s, w:
        np.pad(np.ones((*w.shape[:2], 1, 1), w.dtype), ((0, 0), (0, 0), (1, 1), (1, 1)))}, POOL),
    ("everyone", 28, "gradient to every pixel", {"winner": lambda s, w:
        np.isfinite(w).astype(w.dtype)}, POOL),
    ("assigns", 11, "a pixel that wins twice keeps one", {"put": put_assign}, POOL),
    ("last-row", 13, "last row of windows skipped", {"windows": lambda s, OH, OW:
        np.ndindex(OH - 1, OW)}, POOL),
    ("early-return", 13, "return inside the loop", {"windows": lambda s, OH, OW: [(0, 0)]}, POOL),
    ("unpadded", 12, "looks for the maximum in the unpadded input",
     {"backward": max_in_unpadded}, POOL),
    ("shifted", 12, "padding cropped one pixel off", {"backward": lambda s, dy: np.roll(
        Max.backward(s, dy), 1, axis=2)}, POOL),
    ("dy-cleared", 41, "dy cleared after use", {"backward": lambda s, dy: (
        Max.backward(s, dy), np.multiply(dy, 0, out=dy))[0]}, POOL),
    ("unseen", 15, "unseen pixels receive the mean gradient", {"backward": lambda s, dy: (
        lambda dx: np.where(dx == 0, dx.mean(), dx))(Max.backward(s, dy))}, APART),
]:
    bug(f"max-{id}", kind, says, patch(Max, **steps), at)
bug("max-pads-zeros", 21, "padding counts as 0, forward and backward alike",
    patch(MaxPool2d, forward=zero_padded_forward, backward=zero_padded_backward), POOL,
    missed_because="forward computes another function than it should, and backward is its true "
                   "derivative: a gradient check cannot know what forward is meant to be; the "
                   "comparison with scratchnet.naive does")


def avg(change):
    """AvgPool2d's gradient times `change(layer)`."""
    return lambda s, dy: AvgPool2d.backward(s, dy) * change(s)


def avg_shared(share):
    """AvgPool2d that divides by another number in backward."""
    def backward(s, dy):
        right, x_shape = s.recall(dy)
        s.remember(np.broadcast_to(np.asarray(share(s, x_shape, dy.shape), dy.dtype),
                                   right.shape), x_shape, y=dy)
        return AvgPool2d.backward(s, dy)
    return backward


def avg_assigns(s, dy):
    share, x_shape = s.recall(dy)
    dx = np.zeros(x_shape, dy.dtype)
    for outputs, pixels in s._taps(x_shape[2:], dy.shape[2:]):
        dx[pixels] = (dy * share)[outputs]
    return dx


def real_pixels(s, x_shape, y_shape):
    return AvgPool2d(s.kernel_size, s.stride, s.padding, count_include_pad=False)._share(
        x_shape[2:], y_shape[2:])


AVERAGE = At((3, 2), stride=(2, 1), padding=1, x=randn(2, 3, 7, 8))
for id, kind, says, backward, at in [
    ("counts-padding", 22, "divides by KH·KW where only real pixels count", avg_shared(
        lambda s, x, y: 1 / 6), At((3, 2), stride=(2, 1), padding=1, count_include_pad=False,
                                   x=randn(2, 3, 7, 8))),
    ("skips-padding", 22, "divides by the real pixels where padding counts",
     avg_shared(real_pixels), AVERAGE),
    ("ceil", 22, "last, incomplete windows divided by KH·KW", avg_shared(
        lambda s, x, y: 1 / 9), At(3, stride=2, ceil_mode=True, x=randn(2, 3, 8, 7))),
    ("not-divided", 23, "1/m forgotten", avg(lambda s: 6), AVERAGE),
    ("over-k", 23, "divided by KH, not KH·KW", avg(lambda s: 2), AVERAGE),
    ("divided-twice", 23, "1/m²", avg(lambda s: np.float32(1 / 6)), AVERAGE),
    ("assigns", 11, "overlap overwritten", avg_assigns, AVERAGE),
    ("last-window", 13, "last column of windows skipped", lambda s, dy: AvgPool2d.backward(
        s, without_last(3)(dy)), AVERAGE),
    ("stride", 14, "strides swapped in backward", lambda s, dy: (
        setattr(s, "stride", s.stride[::-1]), AvgPool2d.backward(s, dy),
        setattr(s, "stride", s.stride[::-1]))[1],
     At(3, stride=(1, 2), padding=1, x=randn(2, 3, 6, 13))),
]:
    bug(f"avg-{id}", kind, says, patch(AvgPool2d, backward=backward), at)


def adaptive(divisor, add=True):
    def backward(s, dy):
        x_shape, = s.recall(dy)
        dx = np.zeros(x_shape, dy.dtype)
        for i, j, window in s._windows(x_shape):
            share = (dy[:, :, i, j] / divisor(s, dx, window))[:, :, None, None]
            dx[window] = dx[window] + share if add else share
        return dx
    return patch(AdaptiveAvgPool2d, backward=backward)


def window_size(s, dx, window):
    return dx[window][0, 0].size


ADAPT = At((3, 2), x=randn(2, 4, 7, 5))
GLOBAL = At(1, x=randn(2, 4, 7, 5))
for id, kind, says, cls, at in [
    ("not-divided", 23, "1/(H·W) forgotten", adaptive(lambda s, dx, w: 1), GLOBAL),
    ("over-h", 23, "divided by H only", adaptive(lambda s, dx, w: dx.shape[2]), GLOBAL),
    ("over-nhw", 1, "divided by N·H·W", adaptive(lambda s, dx, w: dx[:, 0].size), GLOBAL),
    ("equal-windows", 23, "every window taken to have H·W/(OH·OW) pixels",
     adaptive(lambda s, dx, w: dx[0, 0].size // 6), ADAPT),
    ("assigns", 11, "overlapping windows overwrite", adaptive(window_size, add=False), ADAPT),
]:
    bug(f"adaptive-{id}", kind, says, cls, at)


# ── BatchNorm2d ──────────────────────────────────────────────────────────────────────

def mean(a):
    return a.mean(axis=(0, 2, 3), keepdims=True)


def total(a):
    return a.sum(axis=(0, 2, 3))


class Norm(BatchNorm2d):
    """BatchNorm2d with its three gradients as steps; g is γ, r is 1/√(σ²+ε), both (C, 1, 1)."""

    def forward(self, x):
        y = super().forward(x)
        if hasattr(self, "_memory"):            # not under no_grad
            x, mu, inv_std, trained = self.recall()
            r = inv_std[:, None, None]
            self.remember(x, (x - mu[:, None, None]) * r, r, trained, y=y)
        return y

    def backward(self, dy):
        x, x_hat, r, trained = self.recall(dy)
        self.bias.grad += self.dbeta(dy)
        self.weight.grad += self.dgamma(dy, x_hat, x)
        g = self.weight.value[:, None, None]
        return self.dx(dy, x_hat, r, g) if trained else self.dx_eval(dy, x_hat, r, g)

    def dbeta(self, dy):
        return total(dy)

    def dgamma(self, dy, x_hat, x):
        return total(dy * x_hat)

    def dx(self, dy, h, r, g):
        return g * r * (dy - mean(dy) - h * mean(dy * h))

    def dx_eval(self, dy, h, r, g):
        return g * r * dy


def without_eps(s, dy, h, r, g):
    var = 1 / r ** 2
    return Norm.dx(s, dy, h, 1 / np.sqrt(var - s.eps), g)


def with_running(s, dy, h, r, g):
    r = 1 / np.sqrt(s.running_var + s.eps)[:, None, None].astype(dy.dtype)
    return Norm.dx(s, dy, h, r, g)


def norm_by_running(s, x):
    """Training normalises by the running averages after the update."""
    y = Norm.forward(s, x)
    r = 1 / np.sqrt(s.running_var + s.eps)[:, None, None].astype(y.dtype)
    h = (x - s.running_mean[:, None, None].astype(y.dtype)) * r
    s.remember(x, h, r, True, y=y)
    return s.weight.value[:, None, None] * h + s.bias.value[:, None, None]


def eval_updates(s, x):
    s.running_mean = 0.9 * s.running_mean + 0.1 * x.mean(axis=(0, 2, 3))
    return BatchNorm2d.forward(s, x)


def eval_updates_after(s, x):
    y = BatchNorm2d.forward(s, x)
    s.running_var *= 0.9
    return y


def backward_updates(s, dy):
    s.running_mean = s.running_mean * 0.9
    return BatchNorm2d.backward(s, dy)


def norm_in_dy(s, dy):
    dx = Norm.backward(s, dy)
    dy *= s.weight.value[:, None, None]
    return dx


NORM = At(4, x=randn(3, 4, 5, 2))
NORM_EVAL = At(4, x=randn(3, 4, 5, 2), training=False)
for id, kind, says, steps, at in [
    ("no-mean", 32, "mean term missing", {"dx": lambda s, dy, h, r, g:
        g * r * (dy - h * mean(dy * h))}, NORM),
    ("no-variance", 32, "variance term missing", {"dx": lambda s, dy, h, r, g:
        g * r * (dy - mean(dy))}, NORM),
    ("constants", 32, "μ and σ² taken as constants", {"dx": lambda s, dy, h, r, g:
        g * r * dy}, NORM),
    ("half-variance", 32, "variance term halved", {"dx": lambda s, dy, h, r, g:
        g * r * (dy - mean(dy) - h * mean(dy * h) / 2)}, NORM),
    ("m-minus-1", 32, "variance term over m − 1", {"dx": lambda s, dy, h, r, g:
        g * r * (dy - mean(dy) - h * mean(dy * h) * 30 / 29)}, NORM),
    ("over-n", 32, "sums divided by N, not N·H·W", {"dx": lambda s, dy, h, r, g:
        g * r * (dy - 10 * mean(dy) - 10 * h * mean(dy * h))}, NORM),
    ("mean-sign", 32, "mean term added", {"dx": lambda s, dy, h, r, g:
        g * r * (dy + mean(dy) - h * mean(dy * h))}, NORM),
    ("no-gamma", 33, "γ forgotten in dx", {"dx": lambda s, dy, h, r, g:
        r * (dy - mean(dy) - h * mean(dy * h))}, NORM),
    ("no-gamma-eval", 33, "γ forgotten in evaluation", {"dx_eval": lambda s, dy, h, r, g:
        r * dy}, NORM_EVAL),
    ("gamma-twice", 33, "γ² in dx", {"dx": lambda s, dy, h, r, g:
        g * Norm.dx(s, dy, h, r, g)}, NORM),
    ("dgamma-x", 34, "dγ = Σ dy·x", {"dgamma": lambda s, dy, h, x: total(dy * x)}, NORM),
    ("dgamma-plain", 34, "dγ = Σ dy", {"dgamma": lambda s, dy, h, x: total(dy)}, NORM),
    ("dgamma-y", 34, "dγ = Σ dy·y", {"dgamma": lambda s, dy, h, x: total(dy * (
        s.weight.value[:, None, None] * h + s.bias.value[:, None, None]))}, NORM),
    ("dgamma-eval-mean", 34, "dγ = Σ dy·x/σ in evaluation: μ forgotten", {"dgamma":
        lambda s, dy, h, x: total(dy * x / np.sqrt(s.running_var + s.eps)[:, None, None].astype(
            x.dtype))}, NORM_EVAL),
    ("dgamma-eval", 34, "dγ = Σ dy·x in evaluation", {"dgamma": lambda s, dy, h, x:
        total(dy * x)}, NORM_EVAL),
    ("no-eps", 35, "ε forgotten in dx", {"dx": without_eps}, NORM),
    ("eps-outside", 35, "1/(σ + ε) in backward", {"dx": lambda s, dy, h, r, g: Norm.dx(
        s, dy, h, 1 / (np.sqrt(1 / r ** 2 - s.eps) + s.eps), g)}, NORM),
    ("dbeta-mean", 6, "dβ averaged", {"dbeta": lambda s, dy: dy.mean(axis=(0, 2, 3))}, NORM),
    ("dbeta-row", 5, "dβ leaves out the columns", {"dbeta": lambda s, dy:
        dy.sum(axis=(0, 2))[:, 0]}, NORM),
    ("dbeta-never", 4, "dβ never computed", {"dbeta": lambda s, dy: 0}, NORM),
    ("in-dy", 41, "dy multiplied by γ in place", {"backward": norm_in_dy}, NORM),
    ("eval-as-train", 28, "evaluation forward, training backward", {"dx_eval": Norm.dx},
     NORM_EVAL),
    ("train-as-eval", 28, "training forward, evaluation backward", {"dx": Norm.dx_eval}, NORM),
    ("running-backward", 47, "backward uses the running variance", {"dx": with_running}, NORM),
    ("running-forward", 47, "forward uses the running averages", {"forward": norm_by_running},
     NORM),
    ("ones", 4, "dx zero: true for dy = 1, so such a check passes it", {"dx":
        lambda s, dy, h, r, g: np.zeros_like(dy)}, NORM),
]:
    bug(f"bn-{id}", kind, says, patch(Norm, **steps), at)
for id, says, methods, at in [
    ("eval-updates", "evaluation updates the running mean", {"forward": eval_updates}, NORM_EVAL),
    ("eval-updates-after", "evaluation decays the running variance",
     {"forward": eval_updates_after}, NORM_EVAL),
    ("backward-updates", "backward decays the running mean", {"backward": backward_updates}, NORM),
]:
    bug(f"bn-{id}", 47, says, patch(BatchNorm2d, **methods), at)


# ── Flatten, SoftmaxCrossEntropy ─────────────────────────────────────────────────────

def flatten(back):
    return patch(Flatten, backward=lambda s, dy: back(dy, *s.recall(dy)))


def flatten_swapped(dy, shape):
    N, C, H, W = shape
    return dy.reshape(N, C, W, H).swapaxes(2, 3)


for id, kind, says, back in [
    ("fortran", 40, "laid back in Fortran's order", lambda dy, s: dy.reshape(s, order="F")),
    ("swapped", 40, "H and W swapped", flatten_swapped),
    ("channels-last", 40, "channels laid last", lambda dy, s:
        dy.reshape(s[0], *s[2:], s[1]).transpose(0, 3, 1, 2)),
    ("batch", 40, "batch and features transposed", lambda dy, s: dy.T.reshape(s)),
    ("flat", 46, "dx stays flat", lambda dy, s: dy),
]:
    bug(f"flatten-{id}", kind, says, flatten(back), MAPS)


def softmax(change):
    """dlogits = change(p, labels, dloss)."""
    def backward(s, dloss=1.0):
        p, labels = s.recall()
        return change(p, np.eye(p.shape[1], dtype=p.dtype)[labels], dloss)
    return patch(SoftmaxCrossEntropy, backward=backward)


def softmax_stale_labels(s, logits, labels):
    s._labels = getattr(s, "_labels", labels)
    loss = SoftmaxCrossEntropy.forward(s, logits, labels)
    if hasattr(s, "_memory"):
        p, _ = s.recall()
        s.remember(p, s._labels)
    return loss


LABELS = np.array([2, 0, 4, 1])
LOSS = At(x=(randn(4, 5), LABELS))
for id, kind, says, cls, at in [
    ("not-averaged", 2, "1/N forgotten", softmax(lambda p, t, d: (p - t) * d), LOSS),
    ("over-nc", 2, "divided by N·C", softmax(lambda p, t, d: (p - t) * (d / p.size)), LOSS),
    ("averaged-twice", 1, "divided by N²", softmax(
        lambda p, t, d: (p - t) * (d / len(p) ** 2)), LOSS),
    ("negative", 3, "t − p", softmax(lambda p, t, d: (t - p) * (d / len(p))), LOSS),
    ("no-one-hot", 36, "one-hot not subtracted", softmax(lambda p, t, d: p * (d / len(p))), LOSS),
    ("next-class", 36, "one-hot one class too far", softmax(
        lambda p, t, d: (p - np.roll(t, 1, axis=1)) * (d / len(p))), LOSS),
    ("sigmoid", 29, "p·(1 − p) as well: derivative of another loss", softmax(
        lambda p, t, d: (p - t) * p * (1 - p) * (d / len(p))), LOSS),
    ("ignores-dloss", 45, "dloss ignored", softmax(lambda p, t, d: (p - t) / len(p)), LOSS),
    ("first-sample", 7, "only sample 0", softmax(
        lambda p, t, d: only_sample(0)(p - t) * (d / len(p))), LOSS),
    ("stale-labels", 43, "labels of the first batch are kept",
     patch(SoftmaxCrossEntropy, forward=softmax_stale_labels), LOSS),
    ("one-image", 36, "one-hot not subtracted, N = 1", softmax(lambda p, t, d: p * d),
     At(x=(randn(1, 5), LABELS[:1]))),
]:
    bug(f"softmax-{id}", kind, says, cls, at)


# ── branches ─────────────────────────────────────────────────────────────────────────

def body(**extra):
    return Conv2d(3, 3, 3, padding=1, rng=0), Tanh()


def blocks(base, make, **methods):
    return lambda: patch(base, **methods)(*make())


def inner(base):
    return lambda s, dy: base.backward(s, dy)


def concat_backward(pieces):
    def backward(s, dy):
        widths, = s.recall(dy)
        return pieces(s, dy, widths)
    return backward


def concat_accumulates(s, dy):
    """`dx += …` into the first branch's gradient, which is dy's own memory."""
    widths, = s.recall(dy)
    parts = split(dy, widths)
    dx = s[0].backward(parts[0])
    for branch, part in zip(s[1:], parts[1:], strict=True):
        dx += branch.backward(part)
    return dx


def scale_backward(direct=True, through=lambda a: a.sum(axis=(2, 3), keepdims=True)):
    def backward(s, dy):
        x, gate = s.recall(dy)
        dx = Sequential.backward(s, through(dy * x))
        return dx + dy * gate if direct else dx
    return backward


def graph_backward(join):
    def backward(s, dy):
        d = {s._rows[-1][0]: dy}
        for name, inputs in reversed(s._rows):
            dxs = getattr(s, name).backward(d.pop(name))
            for i, dx in zip(inputs, dxs if isinstance(dxs, tuple) else (dxs,), strict=True):
                d[i] = join(d[i], dx) if i in d else dx
        return d["x"]
    return backward


def fork():
    return (("a", Conv2d(3, 3, 3, padding=1, rng=0), "x"), ("b", Tanh(), "x"),
            ("sum", Add(), "a", "b", "x"))


def straight():
    return ("b", Tanh(), "x"), ("a", Identity(), "x"), ("sum", Add(), "a", "b")


def gate():
    return AdaptiveAvgPool2d(1), Conv2d(3, 3, 1, rng=0), Sigmoid()


def two_branches():
    return Conv2d(3, 2, 3, padding=1, rng=0), Conv2d(3, 2, 1, rng=1)


def uneven_branches():
    return Identity(), Conv2d(3, 2, 3, padding=1, rng=0), Tanh()


def only_last(s, dy, widths):
    return [f.backward(d) for f, d in zip(s, split(dy, widths), strict=True)][-1]


def swapped(s, dy, widths):
    a, b = split(dy, widths)
    return s[0].backward(b) + s[1].backward(a)


def reversed_widths(s, dy, widths):
    parts = [np.roll(dy, 1, axis=1)[:, :w] for w in widths]
    return sum(f.backward(part) for f, part in zip(s, parts, strict=True))


def relu_block():
    return (patch(ReLU, backward=relu_in_dy)(),)


MAP3 = At(x=randn(2, 3, 4, 5))
for id, kind, says, make in [
    ("residual-no-shortcut", 37, "shortcut forgotten", blocks(
        Residual, body, backward=lambda s, dy: Sequential.backward(s, dy))),
    ("residual-no-body", 37, "body forgotten", blocks(
        Residual, body, backward=lambda s, dy: (Sequential.backward(s, dy), dy)[1])),
    ("residual-doubled", 37, "shortcut counted twice", blocks(
        Residual, body, backward=lambda s, dy: Residual.backward(s, dy) + dy)),
    ("residual-sign", 37, "shortcut subtracted", blocks(
        Residual, body, backward=lambda s, dy: Sequential.backward(s, dy) - dy)),
    ("residual-relu-in-dy", 41, "a ReLU in the body zeroes the dy that the shortcut needs",
     blocks(Residual, relu_block)),
    ("sequential-skips", 4, "first layer's backward never called", blocks(
        Sequential, body, backward=lambda s, dy: s[1].backward(dy))),
    ("sequential-order", 40, "backward in forward's order", lambda: patch(
        Sequential, backward=lambda s, dy: s[1].backward(s[0].backward(dy)))(
            Tanh(), Conv2d(3, 3, 3, padding=1, rng=0))),
    ("concat-swapped", 38, "pieces go to the wrong branches", blocks(
        Concat, two_branches, backward=concat_backward(swapped))),
    ("concat-last", 38, "only the last branch's gradient", blocks(
        Concat, two_branches, backward=concat_backward(only_last))),
    ("concat-order", 38, "pieces cut one channel off", blocks(
        Concat, two_branches, backward=concat_backward(reversed_widths))),
    ("concat-in-dy", 41, "branches summed into dy's own memory", lambda: patch(
        Concat, backward=concat_accumulates)(Identity(), Conv2d(3, 3, 1, rng=0), Tanh())),
    ("scale-no-gate", 37, "gradient through s forgotten", blocks(
        Scale, gate, backward=lambda s, dy: dy * s.recall(dy)[1])),
    ("scale-no-direct", 37, "gradient through x forgotten", blocks(
        Scale, gate, backward=scale_backward(direct=False))),
    ("scale-mean", 6, "ds averaged over pixels", blocks(Scale, gate, backward=scale_backward(
        through=lambda a: a.mean(axis=(2, 3), keepdims=True)))),
    ("graph-overwrites", 37, "a fork keeps only one gradient", blocks(
        Graph, fork, backward=graph_backward(lambda old, new: new))),
    ("graph-in-place", 41, "bins filled with +=: Add handed out dy itself", blocks(
        Graph, straight, backward=graph_backward(lambda old, new: np.add(old, new, out=old)))),
    ("graph-mean", 6, "uses averaged instead of added", blocks(
        Graph, fork, backward=graph_backward(lambda old, new: (old + new) / 2))),
    ("network-one-wrong", 26, "dropout not scaled, deep inside a network", lambda: Sequential(
        Conv2d(3, 4, 3, rng=0), Residual(patch(Dropout, backward=lambda s, dy: dy * s.recall(
            dy)[0])(0.4, rng=1)), Flatten(), Linear(24, 5, rng=2))),
    ("network-silent-bn", 33, "γ forgotten, deep inside a network", lambda: Sequential(
        Conv2d(3, 4, 3, rng=0), patch(Norm, dx=lambda s, dy, h, r, g: Norm.dx(
            s, dy, h, r, 1))(4), ReLU())),
]:
    bug(id, kind, says, make, MAP3)

PAIR = At(x=(randn(2, 3, 4, 5), randn(2, 3, 4, 5, seed=2)))
for id, kind, says, cls in [
    ("add-halves", 1, "dy divided among the inputs", patch(
        Add, backward=lambda s, dy: (dy / 2,) * s.recall(dy)[0])),
    ("add-one", 46, "one gradient for two inputs", patch(
        Add, backward=lambda s, dy: (s.recall(dy), dy)[1])),
    ("concatenate-swapped", 38, "pieces swapped", patch(
        Concatenate, backward=lambda s, dy: tuple(split(dy, s.recall(dy)[0])[::-1]))),
]:
    bug(id, kind, says, cls, PAIR)


def graph_of_two(change):
    """A graph of h and p, whose two gradients are changed; h is used twice."""
    rows = (("a", Conv2d(3, 3, 3, padding=1, rng=0), "h"), ("b", Tanh(), "p"),
            ("sum", Add(), "a", "b", "h"))
    return lambda: patch(Graph, backward=change)(*rows, inputs=("h", "p"))


def graph_keeps_one(s, dy):
    """`d[i] = dx`: of h's two gradients one remains."""
    da, db, _ = s.sum.backward(dy)
    return s.a.backward(da), s.b.backward(db)


for id, kind, says, backward in [
    ("two-swapped", 46, "the gradients of two inputs swapped", lambda s, dy:
        Graph.backward(s, dy)[::-1]),
    ("two-first", 46, "only the first input's gradient returned", lambda s, dy:
        Graph.backward(s, dy)[0]),
    ("two-overwrites", 37, "an input used twice keeps one gradient", graph_keeps_one),
    ("two-summed", 37, "every input gets what all of them get", lambda s, dy:
        (sum(Graph.backward(s, dy)),) * 2),
]:
    bug(f"graph-{id}", kind, says, graph_of_two(backward), PAIR)


# ── blocks of the models ─────────────────────────────────────────────────────────────

def block_relu_on_body(s, dy):
    return Sequential.backward(s, s.relu.backward(dy)) + s.downsample.backward(dy)


def block_past_downsample(s, dy):
    dsum = s.relu.backward(dy)
    s.downsample.backward(dsum)
    return Sequential.backward(s, dsum) + dsum


def basic(**methods):
    return lambda: patch(BasicBlock, **methods)(3, 3, rng=np.random.default_rng(0),
                                                downsample=Conv2d(3, 3, 1, rng=1))


def preact(shared, backward):
    return lambda: patch(PreActBlock, backward=backward)(
        Sequential(BatchNorm2d(3), ReLU()), Conv2d(3, 3, 3, padding=1, rng=0),
        Conv2d(3, 3, 1, rng=1), shared)


def preact_apart(s, dy):
    """What is right where the shortcut takes x."""
    return s.preact.backward(s.body.backward(dy)) + s.shortcut.backward(dy)


def preact_shared(s, dy):
    """What is right where the shortcut takes the normalised x."""
    return s.preact.backward(s.body.backward(dy) + s.shortcut.backward(dy))


def excitation(**methods):
    return lambda: patch(SqueezeExcitation, **methods)(3, 3, np.random.default_rng(5))


def dense(change):
    """A dense layer of 3 channels and 2 new ones; f(dy) runs its chain backwards."""
    def backward(s, dy):
        C, = s.recall(dy)
        return change(dy, C, lambda dnew: Sequential.backward(s, dnew))
    return lambda: patch(DenseLayer, backward=backward)(3, 2, np.random.default_rng(0))


def inverted(backward):
    return lambda: patch(InvertedResidual, backward=backward)(3, 3, 1, 2, np.random.default_rng(0))


def mbconv(backward):
    return lambda: patch(MBConv, backward=backward)(3, 3, 3, 1, 2, 0.5, np.random.default_rng(4))


def inception_residual(change):
    """change(s, dsum, f): f runs the branches backwards."""
    def backward(s, dy):
        return change(s, dy, lambda d: Concat.backward(s, s.conv2d.backward(d)))
    return lambda: patch(InceptionResidual, backward=backward)(
        Conv2d(5, 3, 1, rng=0), 0.3, a=Conv2d(3, 2, 1, rng=1), b=Sequential(
            Conv2d(3, 3, 3, padding=1, rng=2), Tanh()))


def passed_over(layer, dy):
    """Run a layer backwards, and use nothing of it."""
    layer.backward(dy)
    return dy


def mbconv_depth_twice(s, dy):
    dbranch = s.stochastic_depth.backward(dy)
    return dbranch + s.block.backward(dbranch)


def inception_scales_all(s, dy, f):
    dsum = s.scale * s.act.backward(dy)
    return dsum + f(dsum)


def inception_unscaled(s, dy, f):
    dsum = s.act.backward(dy)
    return dsum + f(dsum)


for id, kind, says, make in [
    ("block-no-relu", 28, "the ReLU after the sum forgotten", basic(
        backward=lambda s, dy: Residual.backward(s, passed_over(s.relu, dy)))),
    ("block-relu-on-body", 28, "the ReLU after the sum taken for the body's alone", basic(
        backward=block_relu_on_body)),
    ("block-no-shortcut", 37, "the shortcut forgotten", basic(
        backward=lambda s, dy: Sequential.backward(s, s.relu.backward(dy)))),
    ("block-past-downsample", 4, "the downsample passed over", basic(
        backward=block_past_downsample)),
    ("preact-shared-apart", 37, "a shared pre-activation taken for the body's alone", preact(
        True, preact_apart)),
    ("preact-apart-shared", 37, "the body's pre-activation taken for a shared one", preact(
        False, preact_shared)),
    ("preact-no-shortcut", 37, "the shortcut forgotten", preact(
        False, lambda s, dy: s.preact.backward(s.body.backward(dy)))),
    ("preact-skipped", 4, "the pre-activation passed over", preact(
        False, lambda s, dy: s.body.backward(dy) + s.shortcut.backward(dy))),
    ("se-no-gate", 37, "the product's second path forgotten", excitation(
        backward=lambda s, dy: dy * s.recall(dy)[1])),
    ("se-no-direct", 37, "the product's first path forgotten", excitation(
        backward=scale_backward(direct=False))),
    ("se-first-pixel", 5, "ds from one pixel, not their sum", excitation(
        backward=scale_backward(through=lambda a: a[:, :, :1, :1]))),
    ("dense-no-carry", 37, "the carried channels' gradient dropped", dense(
        lambda dy, C, f: f(dy[:, C:]))),
    ("dense-carry-only", 37, "the new channels' gradient dropped", dense(
        lambda dy, C, f: (f(dy[:, C:]), dy[:, :C])[1])),
    ("dense-swapped", 38, "new channels taken from the front", dense(
        lambda dy, C, f: dy[:, -C:] + f(dy[:, :-C]))),
    ("dense-in-dy", 41, "the carried channels summed in dy's own memory", dense(
        lambda dy, C, f: np.add(dy[:, :C], f(dy[:, C:]), out=dy[:, :C]))),
    ("inverted-no-shortcut", 37, "the shortcut forgotten", inverted(
        lambda s, dy: s.conv.backward(dy))),
    ("inverted-doubled", 37, "the shortcut counted twice", inverted(
        lambda s, dy: 2 * dy + s.conv.backward(dy))),
    ("mbconv-depth-skipped", 28, "stochastic depth passed over", mbconv(
        lambda s, dy: dy + s.block.backward(passed_over(s.stochastic_depth, dy)))),
    ("mbconv-depth-twice", 28, "stochastic depth on the shortcut, too", mbconv(
        mbconv_depth_twice)),
    ("inception-residual-unscaled", 49, "the scale forgotten", inception_residual(
        inception_unscaled)),
    ("inception-residual-scaled-all", 49, "the shortcut scaled, too", inception_residual(
        inception_scales_all)),
    ("inception-residual-no-relu", 28, "the ReLU after the sum forgotten", inception_residual(
        lambda s, dy, f: passed_over(s.act, dy) + f(s.scale * dy))),
]:
    bug(id, kind, says, make, MAP3)


def two_heads(backward):
    """Three convolutions of one width; a classifier each on the first and on the second."""
    return lambda: patch(GoogLeNet, backward=backward)(
        Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(3, 4, rng=0)),
        Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(3, 4, rng=1)), ("a", "b"),
        a=Conv2d(3, 3, 3, padding=1, rng=2), b=Sequential(Conv2d(3, 3, 1, rng=3), Tanh()),
        c=Conv2d(3, 3, 3, rng=4), flatten=Flatten(), fc=Linear(18, 4, rng=5))


def heads_joined(join, late=False):
    """The chain backwards; join(dx, dhead) is what goes on below a classifier."""
    def backward(s, dlogits, daux1, daux2):
        s.recall()
        dx, heads = dlogits, {"a": (s.aux1, daux1), "b": (s.aux2, daux2)}
        for name in reversed(s._names):
            dx = s[name].backward(dx) if late else dx
            if name in heads:
                head, daux = heads[name]
                dx = join(dx, head.backward(daux))
            dx = dx if late else s[name].backward(dx)
        return dx
    return backward


for id, kind, says, backward in [
    ("no-heads", 4, "the auxiliary gradients never used", heads_joined(lambda dx, dhead: dx)),
    ("heads-only", 37, "a classifier's gradient in place of the chain's", heads_joined(
        lambda dx, dhead: dhead)),
    ("late", 37, "a classifier's gradient added below its layer, not above", heads_joined(
        lambda dx, dhead: dx + dhead, late=True)),
    ("weighted", 49, "the loss's factor 0.3 in backward as well", lambda s, d, one, two:
        GoogLeNet.backward(s, d, 0.3 * one, 0.3 * two)),
    ("swapped", 38, "daux1 and daux2 swapped", lambda s, d, one, two:
        GoogLeNet.backward(s, d, two, one)),
    ("logits", 45, "dlogits to every classifier", lambda s, d, one, two:
        GoogLeNet.backward(s, d, d, d)),
]:
    bug(f"googlenet-{id}", kind, says, two_heads(backward), MAP3)


# ── LeNet's own layers ───────────────────────────────────────────────────────────────

class Sub(Subsampling):
    """Subsampling with its gradients as steps; s is the sum over each window."""

    def backward(self, dy):
        s, x_shape = self.recall(dy)
        w = self.weight.value[:, None, None]
        self.weight.grad += self.dw(dy, s, w)
        self.bias.grad += self.db(dy)
        dx = np.zeros(x_shape, dy.dtype)
        h, width = 2 * dy.shape[2], 2 * dy.shape[3]
        dx[..., :h, :width] = self.window(self.ds(dy, w).repeat(2, axis=2).repeat(2, axis=3))
        return self.finish(dx)

    def dw(self, dy, s, w):
        return total(dy * s)

    def db(self, dy):
        return total(dy)

    def ds(self, dy, w):
        return w * dy

    def window(self, dx):
        return dx

    def finish(self, dx):
        return dx


def first_pixel(s, dx):
    dx[..., 1::2, :] = 0
    dx[..., 1::2] = 0
    return dx


def smeared_row(s, dx):
    dx[..., -1, :] = dx[..., -2, :]
    return dx


SUB = At(3, x=randn(2, 3, 5, 6))
for id, kind, says, steps in [
    ("no-coefficient", 49, "the coefficient forgotten in dx", {"ds": lambda s, dy, w: dy}),
    ("mean", 49, "dx divided by 4, as if it were a mean", {"ds": lambda s, dy, w: w * dy / 4}),
    ("dw-mean", 49, "dw from the mean of the window", {"dw": lambda s, dy, a, w:
        total(dy * a) / 4}),
    ("dw-y", 49, "dw = Σ dy·y", {"dw": lambda s, dy, a, w: total(
        dy * (w * a + s.bias.value[:, None, None]))}),
    ("dw-averaged", 6, "dw averaged", {"dw": lambda s, dy, a, w: mean(dy * a).ravel()}),
    ("db-weighted", 49, "db multiplied by the coefficient", {"db": lambda s, dy:
        s.weight.value * total(dy)}),
    ("db-never", 4, "db never computed", {"db": lambda s, dy: 0}),
    ("first-pixel", 13, "return inside the loop: one pixel a window", {"window": first_pixel}),
    ("smeared", 15, "the last row, which no window sees, gets a gradient", {
        "finish": smeared_row}),
]:
    bug(f"subsampling-{id}", kind, says, patch(Sub, **steps), SUB)


class Partial(PartialConv2d):
    """PartialConv2d with two steps: which dw are picked, and the filters that dx is made with."""

    def backward(self, dy):
        x, = self.recall(dy)
        full = self._full()
        self.weight.grad += self.pick(convolution.backward_w(
            x, dy, full.shape, convolution.Geometry()))
        self.bias.grad += total(dy)
        return convolution.backward_x(dy, self.filters(full), x.shape, convolution.Geometry())

    def pick(self, dw):
        return dw[self._outputs, self._inputs]

    def filters(self, full):
        return full


def unconnected_too(s, full):
    """Pairs that are not connected take the filter of the pair before."""
    full = full.copy()
    for o, c in np.ndindex(full.shape[:2]):
        full[o, c] = full[o, c] if full[o, c].any() else full[o, c - 1]
    return full


TABLE = At(3, ((0, 1), (1, 2), (2, 0)), 2, x=randn(2, 3, 4, 5))
for id, kind, says, steps in [
    ("transposed", 10, "(input, output) for (output, input) when dw is picked", {
        "pick": lambda s, dw: dw[s._inputs, s._outputs]}),
    ("order", 46, "the connected pairs picked in another order", {
        "pick": lambda s, dw: dw[s._outputs, s._inputs][::-1]}),
    ("first-maps", 17, "the first maps picked, whatever the table says", {
        "pick": lambda s, dw: dw[:, :2].reshape(6, 2, 2)}),
    ("unconnected", 17, "maps that are not connected get a gradient", {
        "filters": unconnected_too}),
    ("one-map", 17, "only the first map of each row gets its gradient", {
        "filters": lambda s, full: full * (np.arange(3) == np.arange(3)[:, None])[
            ..., None, None].astype(full.dtype)}),
]:
    bug(f"partial-{id}", kind, says, patch(Partial, **steps), TABLE)


def distance(change):
    return patch(CodeDistance, backward=lambda s, dy: change(dy, *s.recall(dy), s.codes))


CODES = At(randn(3, 5, seed=3), x=randn(4, 5))
for id, kind, says, change in [
    ("half", 49, "the 2 of the square forgotten", lambda dy, x, codes:
        dy @ codes - x * dy.sum(axis=1, keepdims=True)),
    ("sign", 3, "the distance, not minus the distance", lambda dy, x, codes:
        2 * (x * dy.sum(axis=1, keepdims=True) - dy @ codes)),
    ("plus", 3, "x + code", lambda dy, x, codes:
        -2 * (x * dy.sum(axis=1, keepdims=True) + dy @ codes)),
    ("no-sum", 30, "x counted once, not for each class", lambda dy, x, codes:
        -2 * (x - dy @ codes)),
    ("no-x", 49, "the term with x forgotten", lambda dy, x, codes: 2 * (dy @ codes)),
    ("no-code", 49, "the term with the codes forgotten", lambda dy, x, codes:
        -2 * x * dy.sum(axis=1, keepdims=True)),
    ("mean", 6, "averaged over the classes", lambda dy, x, codes:
        -2 * (x * dy.mean(axis=1, keepdims=True) - dy @ codes / 3)),
]:
    bug(f"codes-{id}", kind, says, distance(change), CODES)

A, S = ScaledTanh.A, ScaledTanh.S
for id, kind, says, change in [
    ("no-s", 49, "⅔ forgotten", lambda dy, t: dy * (A * (1 - t * t))),
    ("no-a", 49, "1.7159 forgotten", lambda dy, t: dy * (S * (1 - t * t))),
    ("at-y", 29, "1 − y², where y is scaled", lambda dy, t: dy * (A * S * (1 - (A * t) ** 2))),
    ("linear", 29, "1 − t", lambda dy, t: dy * (A * S * (1 - t))),
]:
    bug(f"scaledtanh-{id}", kind, says, patch(ScaledTanh, backward=recalled(change)), MAPS)


# ── objects that are no scratchnet layers ────────────────────────────────────────────

class WdW:
    """W, b and dW, db as attributes, assigned."""

    def __init__(self, I=5, O=3):
        rng = np.random.default_rng(0)
        self.W, self.b = rng.standard_normal((I, O)), rng.standard_normal(O)
        self.dW = self.db = None

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class DictNet:
    """Two affine layers and a ReLU; dicts `params` and `grads`."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.params = {"W1": rng.standard_normal((5, 4)), "b1": rng.standard_normal(4),
                       "W2": rng.standard_normal((4, 3)), "b2": rng.standard_normal(3)}
        self.grads = {}

    def forward(self, x):
        p = self.params
        hidden = np.maximum(x @ p["W1"] + p["b1"], 0)
        self.cache = x, hidden
        return hidden @ p["W2"] + p["b2"]

    def backward(self, dscores):
        x, hidden = self.cache
        p, g = self.params, self.grads
        g["W2"], g["b2"] = hidden.T @ dscores, dscores.sum(axis=0)
        dhidden = self.gate(dscores @ p["W2"].T, hidden)
        g["W1"], g["b1"] = x.T @ dhidden, dhidden.sum(axis=0)
        self.regularize(g, p)
        return dhidden @ p["W1"].T

    def gate(self, dhidden, hidden):
        return dhidden * (hidden > 0)

    def regularize(self, g, p):
        pass


class ListLinear:
    """Lists `params` and `grads`; gradients written into the arrays of the list."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.params = [rng.standard_normal((5, 3)), rng.standard_normal(3)]
        self.grads = [np.zeros((5, 3)), np.zeros(3)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        self.grads[0][...] = self.x.T @ dout
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T


class Tensor:
    def __init__(self, data):
        self.data, self.grad = data, None


class TensorLinear:
    """Parameters that are objects with .data and .grad."""

    def __init__(self):
        self.weight = Tensor(np.random.default_rng(0).standard_normal((4, 4)))

    def forward(self, x):
        self.saved = x
        return x @ self.weight.data

    def backward(self, dout):
        self.weight.grad = self.saved.T @ dout
        return dout @ self.weight.data.T


class ForeignRelu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dx = dout.copy()
        dx[self.mask] = 0
        return dx


class Skip:
    """y = x + f(x): what a branch does to dy shows."""

    def __init__(self, f):
        self.f = f

    def forward(self, x):
        return x + self.f.forward(x)

    def backward(self, dout):
        dbranch = self.f.backward(dout)
        return dout + dbranch


class ForeignIm2col:
    """Convolution by im2col with stride 1 in float64 buffers: complex numbers cannot pass."""

    def __init__(self):
        self.W = np.random.default_rng(0).standard_normal((4, 3, 3, 2))
        self.dW = None

    def forward(self, x):
        N, _, H, W_ = x.shape
        self.x_shape, out = x.shape, np.zeros((N, 4, H - 2, W_ - 1))
        self.columns = np.zeros((N, 3, 3, 2, H - 2, W_ - 1))
        for u, v in np.ndindex(3, 2):
            self.columns[:, :, u, v] = x[:, :, u:u + H - 2, v:v + W_ - 1]
        out[...] = np.einsum("ocuv,ncuvhw->nohw", self.W, self.columns)
        return out

    def backward(self, dout):
        self.dW = np.einsum("nohw,ncuvhw->ocuv", dout, self.columns)
        dcolumns = np.einsum("nohw,ocuv->ncuvhw", dout, self.W)
        dx = np.zeros(self.x_shape)
        h, w = dout.shape[2:]
        for u, v in np.ndindex(3, 2):
            self.put(dx, (..., slice(u, u + h), slice(v, v + w)), dcolumns[:, :, u, v])
        return dx

    def put(self, dx, here, part):
        dx[here] += part


class ForeignMax:
    """3×3/2 maxima in float64 buffers, the mask found again in backward."""

    def forward(self, x):
        self.x = x
        N, C, H, W = x.shape
        out = np.zeros((N, C, (H - 3) // 2 + 1, (W - 3) // 2 + 1))
        for i, j in np.ndindex(*out.shape[2:]):
            out[:, :, i, j] = x[:, :, 2 * i:2 * i + 3, 2 * j:2 * j + 3].max(axis=(2, 3))
        return out

    def backward(self, dout):
        dx = np.zeros(self.x.shape)
        for n, c, i, j in np.ndindex(*dout.shape):
            window = self.x[n, c, 2 * i:2 * i + 3, 2 * j:2 * j + 3]
            u, v = np.unravel_index(window.argmax(), (3, 3))
            self.put(dx, (n, c, 2 * i + u, 2 * j + v), dout[n, c, i, j])
        return dx

    def put(self, dx, here, part):
        dx[here] += part


class SoftmaxWithLoss:
    """Loss and softmax in one, labels as integers, `eps` inside the logarithm."""

    eps = 0.0

    def forward(self, x, t):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.p, self.t = e / e.sum(axis=1, keepdims=True), t
        return -np.log(self.p[np.arange(len(t)), t] + self.eps).mean()

    def backward(self, dout=1):
        dx = self.p.copy()
        dx[np.arange(len(dx)), self.t] -= 1
        return dx * (dout / len(dx))


class Inputs:
    """Keeps a list of all inputs for backward, as if backward were called for each in turn."""

    def __init__(self):
        self.W, self.dW, self.X = np.random.default_rng(0).standard_normal((5, 3)), None, []

    def forward(self, x):
        self.X.append(x)
        return x @ self.W

    def backward(self, dout):
        self.dW = self.X[self.which].T @ dout
        return dout @ self.W.T

    which = 0


class GlobalDropout:
    """Dropout that draws from NumPy's global generator."""

    def forward(self, x):
        self.mask = (np.random.rand(*x.shape) >= 0.3) / 0.7             # noqa: NPY002
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class OwnDropout(GlobalDropout):
    """Dropout that keeps a generator of the old kind."""

    def __init__(self):
        self.state = np.random.RandomState(0)                           # noqa: NPY002

    def forward(self, x):
        self.mask = (self.state.rand(*x.shape) >= 0.3) / 0.7
        return x * self.mask


def accumulate(s, dout):
    """Gradients added to what is there, and cleared by somebody else."""
    s.dW = (0 if s.dW is None else s.dW) + s.x.T @ dout
    s.db = (0 if s.db is None else s.db) + dout.sum(axis=0)
    return dout @ s.W.T


def accumulate_in_place(s, dout):
    s.dW, s.db = (np.zeros((5, 3)), np.zeros(3)) if s.dW is None else (s.dW, s.db)
    s.dW += s.x.T @ dout
    s.db += dout.sum(axis=0)
    return dout @ s.W.T


def half_decay(s, g, p):
    for name in ("W1", "W2"):
        g[name] = g[name] + 0.05 * p[name]


def relu_in_dout(s, dout):
    dout[s.mask] = 0
    return dout


def dict_stale(s, x):
    out = DictNet.forward(s, x)
    s.first = getattr(s, "first", s.cache)
    s.cache = s.first
    return out


ROWS, IMAGES = At(x=randn(4, 5)), At(x=randn(2, 3, 5, 6))
POOLED, SCORES = At(x=randn(2, 3, 7, 9)), At(x=(randn(4, 5), LABELS))
for id, kind, says, make, at in [
    ("attributes-mean", 1, "W and dW: dW divided by N", patch(WdW, backward=lambda s, d: (
        WdW.backward(s, d), setattr(s, "dW", s.dW / 4))[0]), ROWS),
    ("attributes-never", 4, "W and dW: db stays at zero", patch(WdW, backward=lambda s, d: (
        WdW.backward(s, d), setattr(s, "db", np.zeros(3)))[0]), ROWS),
    ("attributes-w", 48, "W and dW: trains inside backward", patch(WdW, backward=lambda s, d: (
        WdW.backward(s, d), np.subtract(s.W, 0.1 * s.dW, out=s.W))[0]), ROWS),
    ("dict-mask", 28, "params and grads: mask of the ReLU forgotten", patch(
        DictNet, gate=lambda s, d, h: d), ROWS),
    ("dict-decay", 39, "params and grads: weight decay that the output does not have", patch(
        DictNet, regularize=half_decay), ROWS),
    ("dict-bias", 5, "params and grads: db1 copied from db2's axis", patch(
        DictNet, backward=lambda s, d: (DictNet.backward(s, d), s.grads.update(
            b1=s.grads["W1"].sum(axis=0)))[0]), ROWS),
    ("dict-stale", 43, "params and grads: the first batch's cache is kept", patch(
        DictNet, forward=dict_stale), ROWS),
    ("list-transposed", 8, "lists: x and dout multiplied in the wrong order", patch(
        ListLinear, backward=lambda s, d: (ListLinear.backward(s, d), s.grads.__setitem__(
            0, (d.T @ s.x).reshape(5, 3)))[0]), ROWS),
    ("tensor-w", 8, ".data and .grad: W instead of Wᵀ", patch(
        TensorLinear, backward=lambda s, d: (TensorLinear.backward(s, d), d @ s.weight.data)[1]),
     At(x=randn(3, 4))),
    ("relu-in-dout", 41, "ReLU zeroes the caller's gradient", patch(
        ForeignRelu, backward=relu_in_dout), MAPS),
    ("skip-relu-in-dout", 41, "the same inside y = x + relu(x): the skip loses its gradient",
     lambda: Skip(patch(ForeignRelu, backward=relu_in_dout)()), MAPS),
    ("im2col-assigns", 11, "col2im overwrites, for years", patch(
        ForeignIm2col, put=lambda s, dx, here, part: dx.__setitem__(here, part)), IMAGES),
    ("max-assigns", 11, "overlapping maxima overwrite each other", patch(
        ForeignMax, put=lambda s, dx, here, part: dx.__setitem__(here, part)), POOLED),
    ("loss-ignores-dout", 45, "the loss layer's own gradient is taken to be 1", patch(
        SoftmaxWithLoss, backward=lambda s, dout=1: SoftmaxWithLoss.backward(s, 1)), SCORES),
    ("loss-eps", 35, "log(p + 1e-7) forwards, log(p) backwards", patch(
        SoftmaxWithLoss, eps=1e-7), SCORES),
    ("loss-in-place", 43, "backward subtracts the one-hot from the cached p", patch(
        SoftmaxWithLoss, backward=lambda s, dout=1: (np.subtract.at(
            s.p, (np.arange(len(s.t)), s.t), 1), s.p * dout / len(s.t))[1]), SCORES),
    ("first-input", 43, "two forwards, one backward: the first input is used", Inputs, ROWS),
    ("dropout-new-mask", 27, "backward draws its mask again", patch(
        GlobalDropout, backward=lambda s, dout: dout * (
            np.random.rand(*dout.shape) >= 0.3) / 0.7), MAPS),          # noqa: NPY002
    ("float16", 44, "x saved in half precision", patch(WdW, backward=lambda s, d: (
        setattr(s, "x", s.x.astype(np.float16)), WdW.backward(s, d))[1]), ROWS),
]:
    bug(f"foreign-{id}", kind, says, make, at)


# ── valid, if unusual ────────────────────────────────────────────────────────────────

for id, says, cls, at in [
    ("relu-at-least", "slope 1 at x = 0", patch(ReLU, forward=remembers(lambda x, y: x >= 0)),
     MAPS),
    ("relu-half", "slope ½ at x = 0", patch(ReLU, forward=remembers(
        lambda x, y: 0.5 * (x > 0) + 0.5 * (x >= 0)), backward=recalled(
            lambda dy, m: (dy * m).astype(dy.dtype))), MAPS),
    ("max-shared", "equal maxima share dy", patch(Max, winner=shared_winners), POOL),
    ("max-last", "the last of equal maxima wins", patch(Max, winner=lambda s, w: Max.winner(
        s, w[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]), POOL),
    ("identity", "dx is dy itself", Identity, MAPS),
    ("steps-conv", "Conv2d in steps", Conv, COVER),
    ("steps-linear", "Linear in steps", Dense, FLAT),
    ("steps-bn", "BatchNorm2d in steps", Norm, NORM), ("steps-max", "maxima in steps", Max, POOL),
    ("steps-depthwise", "a depthwise Conv2d in steps", Conv, APIECE),
    ("steps-subsampling", "Subsampling in steps", Sub, SUB),
    ("steps-partial", "PartialConv2d in steps", Partial, TABLE),
    ("steps-dense", "a dense layer in steps", dense(lambda dy, C, f: dy[:, :C] + f(dy[:, C:])),
     MAP3),
    ("steps-googlenet", "GoogLeNet's chain and heads in steps", two_heads(heads_joined(
        lambda dx, dhead: dx + dhead)), MAP3),
    ("steps-inception-residual", "InceptionResidual in steps", inception_residual(
        lambda s, dy, f: (lambda dsum: dsum + f(s.scale * dsum))(s.act.backward(dy))), MAP3),
    ("relu6-at-least", "slope 1 at x = 0 and x = 6", patch(patch(ReLU6), **any_dims(
        False, lambda dy, x: dy * ((x >= 0) & (x <= 6)))), WIDE),
    ("foreign-assigns", "dW assigned", WdW, ROWS),
    ("foreign-adds", "dW added, cleared by somebody else", patch(WdW, backward=accumulate), ROWS),
    ("foreign-adds-in-place", "the same by +=", patch(WdW, backward=accumulate_in_place), ROWS),
    ("foreign-dict", "dicts params and grads", DictNet, ROWS),
    ("foreign-list", "lists params and grads", ListLinear, ROWS),
    ("foreign-tensor", "parameters with .data and .grad", TensorLinear, At(x=randn(3, 4))),
    ("foreign-relu", "a ReLU by mask", ForeignRelu, MAPS),
    ("foreign-im2col", "float64 buffers: differences decide", ForeignIm2col, IMAGES),
    ("foreign-max", "maxima in float64 buffers", ForeignMax, POOLED),
    ("foreign-loss", "a loss with labels", SoftmaxWithLoss, SCORES),
    ("foreign-loss-none", "None for the labels' gradient", patch(
        SoftmaxWithLoss, backward=lambda s, dout=1: (SoftmaxWithLoss.backward(s, dout), None)),
     SCORES),
    ("foreign-loss-zeros", "zeros for the labels' gradient", patch(
        SoftmaxWithLoss, backward=lambda s, dout=1: (
            SoftmaxWithLoss.backward(s, dout), np.zeros(4))), SCORES),
    ("foreign-global-dropout", "draws from np.random", GlobalDropout, MAPS),
    ("foreign-own-dropout", "keeps a RandomState", OwnDropout, MAPS),
    ("foreign-last-input", "keeps all inputs, uses the last", patch(Inputs, which=-1), ROWS),
]:
    valid(id, says, cls, at)
