"""Branches — the ways a network forks and joins.

Everything in this file is one rule of calculus: if x is used in several places, the
gradients that come back from those places ADD.

    forward                         backward
    ──────────────────────────────  ───────────────────────────────────────────────────
    chain   y = f_k(… f_1(x))       chain backwards   dx = f_1'(… f_k'(dy))
    fork    x is used twice         sum               dx = dx₁ + dx₂
    add     y = a + b               copy              da = dy,   db = dy
    concat  y = [a, b]              split             da = dy[a's channels],  db = dy[b's]
    scale   y = a · s               cross             da = dy · s,  ds = Σ dy · a

Sequential, Residual, Concat and Scale hold layers by name: `Residual(conv1=…, bn1=…)`, or
numbered "0", "1", … when given without names; the names are those of state_dict.

Residual: He, Zhang, Ren & Sun, CVPR 2016.  Concat: Szegedy et al., "Going Deeper with
Convolutions", CVPR 2015.  Scale: Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018.
"""
from collections import deque
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np

from scratchnet.backend import (
    add,
    arithmetic,
    device_of,
    empty_like,
    in_planes,
    in_tiles,
    multiply,
    xp_of,
)
from scratchnet.layer import Layer, expect, in_layer, will_remember
from scratchnet.layers.batchnorm import BatchNorm2d
from scratchnet.layers.conv import Conv2d
from scratchnet.layers.linear import Linear
from scratchnet.layers.pool import MaxPool2d
from scratchnet.layers.relu import ReLU


class Identity(Layer):
    """y = x: the shortcut of a residual block, the carry of a dense one."""

    def forward(self, x: Any) -> Any:
        expect(self, x, "…")
        self.remember(y=x)
        return x

    def backward(self, dy: Any) -> Any:
        self.recall(dy)
        return dy


class _Named(Layer):
    """Holds layers by name, in order: `net[0]`, `net["conv1"]`, `net.conv1`; it iterates.

    Raises ValueError if the same layer object stands at two places: it could remember only
    one of its two inputs.
    """

    def __init__(self, *layers: Layer, **named: Layer):
        self._names: list[str] = []
        for i, layer in enumerate(layers):
            self._add(str(i), layer)
        for name, layer in named.items():
            self._add(name, layer)
        if not self._names:
            raise ValueError(f"{type(self).__name__} needs at least one layer")
        refuse_twins(self)

    def _add(self, name: str, layer: Layer) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(f"{type(self).__name__} expects layers; got {layer!r} as {name!r}")
        if hasattr(self, name) or name.startswith("_") or "." in name:
            raise ValueError(f"{type(self).__name__}: a layer cannot be called {name!r}: that "
                             f"name is taken, begins with '_' or holds a '.'")
        setattr(self, name, layer)
        self._names.append(name)

    def __iter__(self) -> Iterator[Layer]:
        return (getattr(self, name) for name in self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, key: int | str | slice) -> Any:
        if not isinstance(key, str):
            return list(self)[key]
        if key not in self._names:
            raise KeyError(f"no layer {key!r} in {type(self).__name__}: "
                           f"its layers are {', '.join(self._names)}")
        return getattr(self, key)


class Sequential(_Named):
    """y = f_k(… f_2(f_1(x))): each layer's output is the next one's input.

    `net[0]` and `net["conv1"]` are its layers; slices give their list; it iterates. The same
    layer object at two places is a ValueError.
    """

    def forward(self, x: Any) -> Any:
        if not will_remember():
            return self._without_memory(x)
        for name in self._names:
            with in_layer(name):
                x = self[name](x)
        return x

    def backward(self, dy: Any) -> Any:
        for layer in reversed(list(self)):
            dy = layer.backward(dy)
        return dy

    def entrance(self) -> Layer:
        return self[0].entrance() if type(self) is Sequential else self

    def _without_memory(self, x: Any) -> Any:
        """The same, where chains of layers that treat each number by itself work by parts."""
        rest = deque(self._names)
        ours = False                        # is x new, and nobody else has it?
        while rest:
            if ours:
                self._pool_first(rest)
            if type(x) is np.ndarray:       # on the CPU, and not of a class that watches
                x = self._by_parts(x, rest, ours)
            if rest:
                name = rest.popleft()
                layer = self[name]
                with in_layer(name):
                    line = self._norm_after(layer, rest) if type(x) is np.ndarray else None
                    if line is None:
                        x = layer(x)
                    else:
                        x = layer.forward_scaled(x, *line)
                        rest.popleft()
                ours = type(layer) in (Conv2d, Linear, MaxPool2d) and not _is_watched(layer)
        return x

    def _pool_first(self, rest: deque[str]) -> None:
        """A ReLU before a max-pooling changes places with it. The maximum of max(x, 0) is max(·, 0)
        of the maximum, and there are fewer of these."""
        if len(rest) > 1:
            relu, pool = self[rest[0]], self[rest[1]]
            if (type(relu) is ReLU and type(pool) is MaxPool2d
                    and not _is_watched(relu) and not _is_watched(pool)):
                rest[0], rest[1] = rest[1], rest[0]

    def _norm_after(self, conv: Layer, rest: deque[str]) -> tuple[Any, Any] | None:
        """Scale and shift of the batch norm after a convolution, in evaluation a straight line for
        each channel: in the filters it costs nothing, and after them a pass over the maps."""
        norm = self[rest[0]] if rest else None
        if (type(conv) is Conv2d and type(norm) is BatchNorm2d
                and norm.num_features == conv.out_channels
                and norm.weight.value.dtype == conv.weight.value.dtype
                and not _is_watched(conv) and not _is_watched(norm)):
            return norm.scale_and_shift()
        return None

    def _by_parts(self, x: Any, rest: deque[str], ours: bool) -> Any:
        """Take those next layers off `rest` that can work by parts, and run them together, on one
        part of x after the other; into x itself if it is ours."""
        y, works = x, []
        while (rest and type(layer := self[rest[0]]).by_parts is not Layer.by_parts
                and not _is_watched(layer)):
            with in_layer(rest[0]):
                into = y if works or ours else empty_like(x)
                work = layer.by_parts(y, into)
            if work is None:
                break
            y = into
            works.append(work)
            rest.popleft()

        def all_of_them(n: slice, c: slice) -> None:
            for work in works:
                work(n, c)

        if works:
            in_planes(all_of_them, y, 2 * len(works))
        return y


def _is_watched(layer: Layer) -> bool:
    """True if somebody has put a function in the place of its forward, to see what goes through."""
    return "forward" in vars(layer)


class Residual(Sequential):
    """y = f(x) + shortcut(x), where f is the chain of layers: fork, then add.

    The shortcut is the identity, or `downsample` where f changes the shape.
    """

    def __init__(self, *layers: Layer, downsample: Layer | None = None, **named: Layer):
        super().__init__(*layers, **named)
        if not isinstance(downsample, Layer | None):
            raise ValueError(f"Residual expects a layer as downsample, or None for the "
                             f"identity; got {downsample!r}")
        self.downsample = Identity() if downsample is None else downsample
        refuse_twins(self)

    def forward(self, x: Any) -> Any:
        f = super().forward(x)
        with in_layer("downsample"):
            shortcut = self.downsample(x)
        if f.shape != shortcut.shape:
            raise ValueError(f"{self} adds its body and its shortcut, so both must have one "
                             f"shape; got {f.shape} and {shortcut.shape}: give it a "
                             f"downsample= that changes the shortcut's shape")
        return add(f, shortcut)

    def backward(self, dy: Any) -> Any:
        return add(super().backward(dy), self.downsample.backward(dy))


class Concat(_Named):
    """y = [f_1(x), f_2(x), …] along the channels: fork, then concat.

    The layers are branches side by side, not a chain. An Inception module is
    Concat(conv1, conv3, conv5, pool); a dense layer is Concat(Identity(), f).
    """

    def forward(self, x: Any) -> Any:
        ys = []
        for name in self._names:
            with in_layer(name):
                ys.append(self[name](x))
        y = concatenate(self, ys)
        self.remember([f.shape[1] for f in ys], y=y)
        return y

    def backward(self, dy: Any) -> Any:
        widths, = self.recall(dy)
        dys = split(dy, widths)
        return reduce(add, [f.backward(dy_f) for f, dy_f in zip(self, dys, strict=True)])


class Scale(Sequential):
    """y = x · s(x), where s is the chain of layers and gives one number a channel, (N, C, 1, 1)."""

    def forward(self, x: Any) -> Any:
        s = super().forward(x)
        if s.shape != x.shape[:2] + (1, 1):
            raise ValueError(f"{self} multiplies each channel of x, shape {x.shape}, by one "
                             f"number: its layers must return {x.shape[:2] + (1, 1)}; got "
                             f"{s.shape}")
        y = multiply(x, s)
        self.remember(x, s, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, s = self.recall(dy)
        xp, ds, dx = xp_of(dy), empty_like(s), empty_like(dy)

        def cross(n: Any) -> None:
            xp.sum(dy[n] * x[n], axis=(-2, -1), keepdims=True, out=ds[n])   # s was spread over H·W
            xp.multiply(dy[n], s[n], out=dx[n])

        in_tiles(cross, dy, 3)
        return add(dx, super().backward(ds))


class Add(Layer):
    """y = a + b + …: the join of Graph. backward returns one gradient for each input."""

    def forward(self, *xs: Any) -> Any:
        refuse_none(self, xs)
        for x in xs:
            expect(self, x, "…")
        kinds = [(x.shape, x.dtype.name, device_of(x)) for x in xs]
        if len(set(kinds)) > 1:
            raise ValueError(f"{self} expects arrays of one shape, dtype and device; got {kinds}")
        y = reduce(add, xs)
        self.remember(len(xs), y=y)
        return y

    def backward(self, dy: Any) -> tuple:
        count, = self.recall(dy)
        return (dy,) * count

    def __repr__(self) -> str:
        return "Add()"


class Concatenate(Layer):
    """y = [a, b, …] along the channels: the join of Graph. backward splits dy again."""

    def forward(self, *xs: Any) -> Any:
        y = concatenate(self, xs)
        self.remember([x.shape[1] for x in xs], y=y)
        return y

    def backward(self, dy: Any) -> tuple:
        widths, = self.recall(dy)
        return tuple(split(dy, widths))

    def __repr__(self) -> str:
        return "Concatenate()"


def concatenate(layer: Layer, xs: Any) -> Any:
    """[a, b, …] along axis 1; ValueError if anything but the channels differs."""
    refuse_none(layer, xs)
    for x in xs:
        expect(layer, x, "…")
    kinds = [(x.shape, x.dtype.name, device_of(x)) for x in xs]
    if xs[0].ndim < 2 or len({(s[:1] + s[2:], *rest) for s, *rest in kinds}) > 1:
        raise ValueError(f"{layer} lays maps of one size, dtype and device side by side, only "
                         f"their channels may differ; got {kinds}")
    return arithmetic.concatenate(xs)


def refuse_none(layer: Layer, xs: Any) -> None:
    """Raise ValueError for a join of nothing."""
    if not xs:
        raise ValueError(f"{layer} expects at least one array; got none")


def split(dy: Any, widths: list[int]) -> list:
    """Cut dy along axis 1 into pieces `widths` wide: the transpose of concatenate."""
    ends = [sum(widths[:i + 1]) for i in range(len(widths))]
    return [dy[:, end - width:end] for end, width in zip(ends, widths, strict=True)]


def refuse_twins(network: Layer) -> None:
    """Raise ValueError if one layer object stands at two places in `network`."""
    places: dict[int, str] = {}
    for name, layer in network._walk(""):
        if id(layer) in places:
            raise ValueError(
                f"{type(network).__name__}: the same {layer} object stands at "
                f"{places[id(layer)]!r} and at {name!r}; it can remember only one input. Make "
                f"one object for each place (to share weights, share their Parameter)")
        places[id(layer)] = name
