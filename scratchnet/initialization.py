"""Initialisation — how large should random weights be, for a signal to get through?

One output of a convolution or a fully connected layer is a sum over its n inputs (n = fan_in),
y = Σ_i w_i·x_i. With weights independent of each other and of x, of mean 0, the terms are
uncorrelated and their variances add up:

    Var(y) = n · Var(w) · E[x²]

xavier  If x has mean 0 too (as behind tanh, nearly linear at 0), E[x²] = Var(x), and the signal
        keeps its variance with Var(w) = 1/n. Backwards dx is a sum over the fan_out outputs that
        saw x, which wants 1/fan_out. In between:           Var(w) = 2/(fan_in + fan_out)
he      Behind a ReLU x is half of the time 0. If y was symmetric about 0, E[x²] = ½·Var(y): each
        layer loses half, and over L layers 2⁻ᴸ. So         Var(w) = 2/n
gaussian, truncated     a fixed deviation, N(0, std²): older, or with batch normalisation, which
        sets the variance right after every layer anyway
uniform ±2.4/fan_in, LeNet's: Var(w) = (2·2.4/n)²/12 = 1.92/n², so that the sum of many inputs of
        size 1 stays where tanh is not yet flat

(A uniform number from −a … a has variance (2a)²/12 = a²/3: xavier draws with a = √(6/(in + out)).)

    fans of     weight                  fan_in              fan_out
    Conv2d      (O, C/g, KH, KW)        C/g · KH · KW       O/g · KH · KW
    Linear      (O, I)                  I                   O

With g groups every output sees C/g of the inputs, every input O/g of the outputs. (PyTorch counts
all O outputs; that differs for grouped convolutions and fan_out.)

Every function sets, in place, each layer's `weight` of two or more dimensions, and the `bias`
beside it; batch normalisation and other scales keep what they have (1 and 0 in a new network). It
returns the network; a single layer may be given for one. `rng` is an int, a numpy Generator or
None (a fresh one). ValueError for what is no network or has no such weight.

uniform: LeCun, Bottou, Bengio & Haffner, "Gradient-Based Learning Applied to Document
Recognition", 1998. xavier: Glorot & Bengio, "Understanding the difficulty of training deep
feedforward neural networks", AISTATS 2010. he: He, Zhang, Ren & Sun, "Delving Deep into
Rectifiers", ICCV 2015. staged: Simonyan & Zisserman, ICLR 2015.
"""
import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from scratchnet.backend import asarray_like, to_host
from scratchnet.layer import Layer, Parameter
from scratchnet.layers import Conv2d, Linear

Rng = int | np.random.Generator | None


def gaussian(model: Layer, std: float | Mapping[str, float] = 0.01,
             biases: float | Mapping[str, float] = 0.0, *, rng: Rng = None) -> Layer:
    """Weights N(0, std²). std and biases: a number, or {layer: number} for some of the layers by
    their dotted names, the others having 0.01 and 0.

    AlexNet's is gaussian(net, 0.01, {"conv2": 1, "conv4": 1, "conv5": 1, "fc6": 1, "fc7": 1});
    Caffe's of AlexNet has 0.1 for those 1s and {"fc6": 0.005, "fc7": 0.005} for std.
    """
    rng, layers = np.random.default_rng(rng), _layers("gaussian", model)
    stds, constants = (_per_layer("gaussian", model, layers, table, default)
                       for table, default in ((std, 0.01), (biases, 0.0)))
    if bad := [s for s in stds.values() if not 0 < s < float("inf")]:
        raise ValueError(f"gaussian expects std > 0; got {bad[0]}")
    for name, layer in layers.items():
        _set(layer, _normal(layer, rng, stds[name]), constants[name])
    return model


def xavier(model: Layer, *, rng: Rng = None) -> Layer:
    """Weights uniform in ±√(6/(fan_in + fan_out)), variance 2/(fan_in + fan_out); biases 0."""
    return _every("xavier", model, rng, lambda layer, rng: _between(
        layer, rng, (6 / sum(_fans(layer))) ** 0.5))


def he(model: Layer, fan: str = "in", *, rng: Rng = None) -> Layer:
    """Weights N(0, 2/fan_in), or with fan="out" N(0, 2/fan_out), which keeps the size of the
    gradients instead; biases 0."""
    if fan not in ("in", "out"):
        raise ValueError(f"he expects fan 'in' or 'out'; got {fan!r}")
    which = ("in", "out").index(fan)
    return _every("he", model, rng, lambda layer, rng: _normal(
        layer, rng, (2 / _fans(layer)[which]) ** 0.5))


def truncated(model: Layer, std: float = 0.01, *, rng: Rng = None) -> Layer:
    """Weights N(0, std²) without the tails: beyond ±2·std one draws again; biases 0.

    As TensorFlow's truncated_normal: what is left has a deviation of 0.88·std.
    """
    if not 0 < std < float("inf"):
        raise ValueError(f"truncated expects std > 0; got {std}")

    def draw(layer: Layer, rng: np.random.Generator) -> np.ndarray:
        w = _normal(layer, rng, 1.0)
        while (out := abs(w) > 2).any():
            w[out] = rng.standard_normal(int(out.sum()), dtype=np.float32)
        w *= std
        return w
    return _every("truncated", model, rng, draw)


def uniform(model: Layer, scale: float = 2.4, *, rng: Rng = None) -> Layer:
    """Weights uniform in ±scale/fan_in, as LeNet's; biases 0.

    In LeNet's C3 a map that looks at fewer maps has a smaller fan_in than the others.
    """
    if not 0 < scale < float("inf"):
        raise ValueError(f"uniform expects scale > 0; got {scale}")
    return _every("uniform", model, rng,
                  lambda layer, rng: _between(layer, rng, scale / _fans(layer)[0]))


def staged(model: Layer, donor: Layer) -> Layer:
    """Copy from a trained `donor` as VGG did from its net A: its first four convolutions and its
    last three Linear layers, weights and biases; returns the model.

    Each of the donor's four goes to the first convolution of its shape behind the one before it
    (from VGG-11 to VGG-16: conv1_1, conv2_1, conv3_1, conv3_2); the Linear layers are counted
    from the end. All others are left as they are, random: those in between, those for which
    there is none of the same shape (the head, where the numbers of classes differ), and batch
    normalisation.
    Raises ValueError where nothing at all fits.
    """
    for what, net in (("model", model), ("donor", donor)):
        if not isinstance(net, Layer):
            raise ValueError(f"staged: the {what} must be a network; got {type(net).__name__}")
    pairs = []
    places = _of(model, Conv2d)
    for old in _of(donor, Conv2d)[:4]:
        fitting = [i for i, new in enumerate(places) if _shapes(new) == _shapes(old)]
        if fitting:
            pairs.append((places[fitting[0]], old))
            places = places[fitting[0] + 1:]
    pairs += [(new, old) for new, old in zip(_of(model, Linear)[::-1],
                                             _of(donor, Linear)[:-4:-1], strict=False)
              if _shapes(new) == _shapes(old)]
    if not pairs:
        raise ValueError(f"staged: {donor} has no convolution among its first four and no Linear "
                         f"among its last three of a shape that {model} has")
    for new, old in pairs:
        for own, its in zip(_parameters(new), _parameters(old), strict=True):
            own.value[...] = asarray_like(to_host(its.value), own.value)
    return model


# ── which layers, and with which fans ────────────────────────────────────────────────


def _layers(who: str, model: Layer) -> dict[str, Layer]:
    """The layers to set, by dotted name."""
    if not isinstance(model, Layer):
        raise ValueError(f"{who} expects a network; got {type(model).__name__}")
    layers = {name: layer for name, layer in model.named_layers()
              if isinstance(getattr(layer, "weight", None), Parameter)
              and len(layer.weight.value.shape) > 1}
    if not layers:
        raise ValueError(f"{who}: {model} has no weights of two or more dimensions to set")
    return layers


def _per_layer(who: str, model: Layer, layers: Iterable[str], table: float | Mapping[str, float],
               default: float) -> dict[str, float]:
    """{layer: number} for all of `layers`, from one number or a table of some."""
    if not isinstance(table, Mapping):
        return dict.fromkeys(layers, table)
    for name in table:
        if name not in layers:
            near = get_close_matches(str(name), layers, n=3, cutoff=0.4) or list(layers)[:3]
            raise ValueError(f"{who}: {model} has no layer {name!r} with weights; the nearest "
                             f"names are {', '.join(near)}")
    return dict.fromkeys(layers, default) | dict(table)


def _fans(layer: Layer) -> tuple[Any, Any]:
    """How many inputs an output sums, and in how many outputs an input is summed.

    For LeNet's C3, arrays: one number for each of its filters.
    """
    from scratchnet.models.lenet import PartialConv2d  # here: the models import this file
    shape = layer.weight.value.shape
    if isinstance(layer, PartialConv2d):
        fans = (np.bincount(ends)[ends] * math.prod(shape[1:])
                for ends in (layer._outputs, layer._inputs))
        return tuple(fan.astype(np.float32)[:, None, None] for fan in fans)
    groups = layer.geometry.groups if isinstance(layer, Conv2d) else 1
    return math.prod(shape[1:]), shape[0] // groups * math.prod(shape[2:])


def _of(net: Layer, kind: type) -> list[Layer]:
    return [layer for _, layer in net.named_layers() if isinstance(layer, kind)]


def _parameters(layer: Layer) -> list[Parameter]:
    return [p for p in (layer.weight, layer.bias) if p is not None]


def _shapes(layer: Layer) -> list[tuple]:
    return [p.value.shape for p in _parameters(layer)]


# ── drawing, on the host, and setting ────────────────────────────────────────────────


def _every(who: str, model: Layer, rng: Rng, draw: Callable) -> Layer:
    rng = np.random.default_rng(rng)
    for layer in _layers(who, model).values():
        _set(layer, draw(layer, rng), 0.0)
    return model


def _normal(layer: Layer, rng: np.random.Generator, std: Any) -> np.ndarray:
    w = rng.standard_normal(layer.weight.value.shape, dtype=np.float32)
    w *= std
    return w


def _between(layer: Layer, rng: np.random.Generator, limit: Any) -> np.ndarray:
    w = rng.random(layer.weight.value.shape, dtype=np.float32)
    w -= 0.5
    w *= 2 * limit
    return w


def _set(layer: Layer, w: np.ndarray, bias: float) -> None:
    """In place: whoever holds the arrays sees the new numbers."""
    value = layer.weight.value
    value[...] = asarray_like(w.astype(value.dtype, copy=False), value)
    if isinstance(getattr(layer, "bias", None), Parameter):
        layer.bias.value[...] = bias
