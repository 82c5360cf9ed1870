"""Window — a layer too large to be seen whole, seen through a window.

A Linear(784, 100) has a Jacobian of seven million numbers. A window fixes most of them: its
forward takes a small block of x, with the rest of x as constants around it, and returns a block
of y; its parameters are blocks of the layer's. That is a small layer with a Jacobian that is a
block of the large one, and nearly every mistake shows in it.
"""
from typing import Any

import numpy as np

from scratchnet.gradcheck.subject import Subject, arrays_in, copy_with

LARGEST = 400           # numbers in a block


class Window:
    """`subject`'s layer at `subject`'s inputs, as a function of its leading blocks.

    To the check it is an object like any other: forward, backward, W beside dW.
    """

    def __init__(self, subject: Subject):
        layer = subject.truth.layer
        for name, value in vars(layer).items():         # p, alpha, kernel_size, … by name
            if not name.startswith("_") and isinstance(value, bool | int | float | tuple):
                setattr(self, name, value)
        self._layer, self._slots = _Box(subject.layer), subject.slots
        self._xs, self._floats = [x.copy() for x in subject.inputs], subject.floats
        self.input_names = [subject.input_name(i) for i in range(len(subject.inputs))]
        self._y_shape = subject.forward()[0].shape
        self._names = list(subject.values())
        for name, value in subject.values().items():
            setattr(self, name, value[block(value.shape)].copy())
        self._live = _Box(None)

    def inputs(self) -> tuple:
        """The blocks of the inputs, for forward."""
        return tuple(x[block(x.shape)].copy() if i in self._floats else x
                     for i, x in enumerate(self._xs))

    def forward(self, *blocks: Any) -> Any:
        xs = []
        for i, (x, b) in enumerate(zip(self._xs, blocks, strict=True)):
            if i in self._floats:
                x = x.astype(np.result_type(x, b))
                x[block(x.shape)] = b
            xs.append(x)
        # The complex step: as in Subject.fresh_complex, every number of the layer is complex.
        memo = {id(a): a.astype(np.complex128) for a in arrays_in(self._layer.held)
                if a.dtype.kind == "f"} if any(np.iscomplexobj(x) for x in xs) or any(
                    np.iscomplexobj(getattr(self, name)) for name in self._names) else {}
        for name, (value, grad) in self._slots(self._layer.held).items():
            part = getattr(self, name)
            full = value.astype(np.result_type(value, part))
            full[block(full.shape)] = part
            memo[id(value)] = full
            if isinstance(grad, np.ndarray):
                memo[id(grad)] = np.zeros(grad.shape, grad.dtype)
        self._live = _Box(copy_with(self._layer.held, memo))
        y = self._live.held.forward(*xs)
        return y[block(y.shape)]

    def backward(self, dy: Any) -> Any:
        full = np.zeros(self._y_shape)
        full[block(full.shape)] = dy
        dx = self._live.held.backward(full)
        for name, (_, grad) in self._slots(self._live.held).items():
            setattr(self, f"d{name}", np.asarray(grad)[block(np.shape(grad))].copy())
        dxs = dx if isinstance(dx, tuple | list) else (dx,)
        if len(dxs) == len(self._xs):
            dxs = [dxs[i] for i in self._floats]
        blocks = tuple(d[block(d.shape)].copy() for d in dxs)
        return blocks if len(blocks) > 1 else blocks[0]


class _Box:
    """Holds a layer so that nobody takes it for a part of the window, or looks inside."""

    __slots__ = ("held",)

    def __init__(self, held: Any):
        self.held = held


def block(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The leading numbers along each axis, at most LARGEST in all; the first axis (the batch, the
    outputs) is cut last."""
    sides = list(shape)
    while np.prod(sides) > LARGEST:
        longest = max(range(len(sides)), key=lambda j: (sides[j] > (6 if j else 12), sides[j]))
        sides[longest] = max(1, sides[longest] * 2 // 3)
    return tuple(slice(0, n) for n in sides)
