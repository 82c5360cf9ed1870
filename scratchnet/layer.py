"""Layer — a function that remembers enough of its input to run backwards.

    y  = layer.forward(x)        compute, and remember what backward will need
    dx = layer.backward(dy)      recall it; ADD into every parameter's .grad; return ∂L/∂x

The contract, in four sentences:

1. `dy` is the gradient of the loss L with respect to y, so it has y's shape; dx has x's
   shape; dtypes are kept (float32 in, float32 out; float64 and complex128 likewise, which
   is what makes the gradients checkable).
2. Never write into an array you were given: two branches may be holding the same one.
3. Parameter gradients are added, never assigned; `zero_grad()` clears them.
4. What forward chose (dropout's mask, max's winner, train or eval) is remembered, never
   chosen again in backward.

There is no tape and no autograd: backward is written by hand, next to forward.
"""
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np

from scratchnet.backend import best_device, device_of, in_tiles, is_array, to_device, to_host, xp_of

_mode = threading.local()
_NO_DY = object()          # so that backward(None) is an error like any other wrong dy


def zero(array: Any) -> None:
    """Set every number to zero, in place."""
    in_tiles(lambda part: array.__setitem__(part, 0), array)


class no_grad:
    """`with no_grad():` forward remembers nothing, so it needs no memory for backward.

    What an earlier forward remembered stays as it was: an evaluation between a forward and
    its backward does no harm.
    """

    forgetful = True

    def __enter__(self) -> None:
        self.__dict__.setdefault("_outer", []).append(getattr(_mode, "forgetful", False))
        _mode.forgetful = self.forgetful

    def __exit__(self, *exception: object) -> None:
        _mode.forgetful = self._outer.pop()


class remembering(no_grad):
    """`with remembering():` undoes an outer no_grad (the gradient check needs a backward)."""

    forgetful = False


def will_remember() -> bool:
    """False inside no_grad: what only backward needs is then not worth computing."""
    return not getattr(_mode, "forgetful", False)


@contextmanager
def parameters_only(model: "Layer") -> Iterator[None]:
    """`with parameters_only(model):` backward fills the parameters' .grad, as ever, but need not
    compute ∂L/∂x for the model's own x, and may return None for it: no training asks how the images
    should change, and their gradient costs as much as a third of the first layer.
    """
    first = model.entrance()
    outer, first.wants_dx = first.wants_dx, False
    try:
        yield
    finally:
        first.wants_dx = outer


class Parameter:
    """A learned array `value`, and the gradient of the loss with respect to it, `grad`."""

    frozen = False          # True: it is not to learn, and optimizers pass it over

    def __init__(self, value: Any):
        self.value = value
        self.grad = xp_of(value).zeros(value.shape, dtype=value.dtype)

    def __repr__(self) -> str:
        return f"Parameter({'×'.join(map(str, self.value.shape))}, {self.value.dtype})"


class Layer:
    """Base class of every layer and every network.

    A subclass writes `forward` and `backward` and nothing else. Parameters, inner layers
    (also inside lists, tuples and dicts, at any depth) and buffers (plain arrays, such as running
    averages) are found in its attributes; names that begin with "_" are private.
    """

    training = True
    frozen = False          # True: a fixed function, which train() leaves in evaluation mode
    wants_dx = True         # False: see parameters_only

    # For the diagnosis of a wrong backward: {label: (constructor's arguments, its options,
    # shapes of the inputs)}, a plain setting and others that change one thing of it each. A
    # layer may also have terms(*inputs, dy) -> {name: array}, the terms of which dx is the sum.
    settings: ClassVar[dict[str, tuple]] = {}

    def __call__(self, *xs: Any) -> Any:
        return self.forward(*xs)

    def forward(self, *xs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(x) yet: write it")

    def backward(self, dy: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no backward(dy) yet: write it")

    def by_parts(self, x: Any, y: Any) -> Callable | None:
        """For layers that treat each number by itself: return work(n, c), which puts this layer's
        output for x[n, c] into y[n, c]; else None. y may be x. Only inside no_grad: a chain of such
        layers then passes over memory once (Sequential), and their forward is not called. So a
        subclass that changes forward must not inherit it: ask `type(self) is …` first."""
        return None

    def entrance(self) -> "Layer":
        """Return the innermost layer whose dx is this layer's dx, unchanged: the first of a chain,
        and of any other block the block itself."""
        return self

    # ── memory between forward and backward ──────────────────────────────────────────

    def remember(self, *values: Any, y: Any = None) -> None:
        """Keep `values` until backward asks for them; of `y`, only what dy must look like."""
        if will_remember():
            self._memory = values, None if y is None else (y.shape, y.dtype, device_of(y))

    def recall(self, dy: Any = _NO_DY) -> tuple:
        """Hand back what forward remembered, and forget it, so that its memory is freed.

        With `dy` given (and y given to `remember`), dy's shape, dtype and device must be
        those of y. Raises RuntimeError without a forward, ValueError for a dy that does
        not fit.
        """
        memory = self.__dict__.pop("_memory", None)
        if memory is None:
            raise RuntimeError(
                f"{self}.backward() needs a forward() of its own before it, one that ends with "
                f"self.remember(…): each forward can be run backwards once (and not after "
                f"no_grad). If this layer object stands at two places in the network, or two "
                f"threads train it at once, make one object for each")
        values, like_y = memory
        if dy is not _NO_DY and like_y is not None:
            came = (dy.shape, dy.dtype, device_of(dy)) if is_array(dy) else type(dy).__name__
            if came != like_y:
                self._memory = memory           # a wrong call loses nothing
                raise ValueError(
                    f"{self}.backward expects dy to be like y, {_describe(*like_y)}; got "
                    f"{came if isinstance(came, str) else _describe(*came)}")
        return values

    def __getstate__(self) -> dict:
        """Copies and pickles start without memory."""
        return {name: value for name, value in vars(self).items() if name != "_memory"}

    # ── what is inside ───────────────────────────────────────────────────────────────

    def children(self) -> Iterator[tuple[str, "Layer"]]:
        """Yield (name, layer) for each layer held in an attribute, list, tuple or dict."""
        return self._attributes(Layer)

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """Yield (dotted name, layer) for this layer and everything inside it, each once."""
        seen = set()
        for name, layer in self._walk(prefix):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield name, layer

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, Parameter), each once, in the order of state_dict."""
        seen = set()
        for prefix, layer in self.named_layers():
            for name, parameter in layer._attributes(Parameter):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _join(prefix, name), parameter

    def parameters(self) -> list[Parameter]:
        """Return every Parameter, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> Self:
        """Set every gradient to zero."""
        for parameter in self.parameters():
            zero(parameter.grad)
        return self

    def _walk(self, prefix: str) -> Iterator[tuple[str, "Layer"]]:
        yield prefix, self
        for name, child in self.children():
            yield from child._walk(_join(prefix, name))

    def _attributes(self, kind: type) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            yield from _held(name, value, kind)

    def _buffers(self) -> Iterator[tuple[str, Any]]:
        return ((name, value) for name, value in vars(self).items()
                if is_array(value) and not name.startswith("_"))

    # ── mode, device, dtype ──────────────────────────────────────────────────────────

    def train(self, mode: bool = True) -> Self:
        """Switch to training (dropout drops, batch norm uses the batch); returns self.

        Layers that are frozen stay in evaluation mode.
        """
        for _, layer in self.named_layers():
            layer.training = mode and not layer.frozen
        return self

    def eval(self) -> Self:
        """Switch to evaluation; returns self."""
        return self.train(False)

    def to(self, device: str) -> Self:
        """Move parameters and buffers to "cpu" or "gpu"; returns self.

        Raises ValueError for another name, or where there is no GPU, before anything moves.
        """
        best_device(device)
        return self._convert(lambda array: to_device(array, device))

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and floating-point buffers to `dtype`; returns self.

        Raises ValueError for a dtype that is not floating point or complex.
        """
        if np.dtype(dtype).kind not in "fc":
            raise ValueError(f"astype: a network computes with floating-point numbers; got "
                             f"{np.dtype(dtype)}: use float32 or float64")
        return self._convert(
            lambda array: array.astype(dtype) if array.dtype.kind in "fc" else array)

    def _convert(self, change: Any) -> Self:
        for parameter in self.parameters():
            parameter.value, parameter.grad = change(parameter.value), change(parameter.grad)
        for _, layer in self.named_layers():
            layer.__dict__.pop("_memory", None)
            for name, array in list(layer._buffers()):
                setattr(layer, name, change(array))
        return self

    # ── saving ───────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy, on the host, of every parameter and buffer by dotted name."""
        return {name: np.array(to_host(array), order="C")
                for name, array, _ in self._state()}

    def load_state_dict(self, state: dict[str, np.ndarray], strict: bool = True) -> Self:
        """Copy the arrays of `state` into this layer; returns self.

        Everything is checked before anything is changed. With strict=False, missing and
        unexpected names are passed over; wrong shapes and non-numbers never are.
        Raises ValueError that lists what does not fit.
        """
        if not isinstance(state, Mapping):
            raise ValueError(f"load_state_dict expects a dict of name: array, as state_dict() "
                             f"returns it; got {type(state).__name__}")
        own = {name: (array, put) for name, array, put in self._state()}
        problems = []
        if strict:
            problems += [f"missing: {name}" for name in own if name not in state]
            problems += [f"unexpected: {name}" for name in state if name not in own]
        arrays = {name: np.asarray(to_host(value) if is_array(value) else value)
                  for name, value in state.items() if name in own}
        for name, array in arrays.items():
            shape = own[name][0].shape
            if array.shape != shape:
                problems.append(f"{name}: expected shape {shape}, got {array.shape}")
            elif array.dtype.kind not in "fiu":
                problems.append(f"{name}: expected numbers, got dtype {array.dtype}")
        if problems:
            raise ValueError(f"this state does not fit {type(self).__name__}; nothing was "
                             f"loaded.\n  " + "\n  ".join(problems))
        for name, array in arrays.items():
            old, put = own[name]
            put(to_device(array.astype(old.dtype), device_of(old)))
        return self

    def _state(self) -> Iterator[tuple[str, Any, Any]]:
        """Yield (dotted name, array, function that replaces it) in torch's order."""
        seen = set()
        for prefix, layer in self.named_layers():
            for name, parameter in layer._attributes(Parameter):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield (_join(prefix, name), parameter.value,
                           lambda new, parameter=parameter: setattr(parameter, "value", new))
            for name, array in list(layer._buffers()):
                yield (_join(prefix, name), array,
                       lambda new, layer=layer, name=name: setattr(layer, name, new))

    def __repr__(self) -> str:
        names = [name for name, _ in self.children()]
        inside = ", ".join(names if len(names) < 8 else [*names[:3], "…", names[-1]])
        return f"{type(self).__name__}({inside})"


class in_layer:
    """`with in_layer("conv1"):` a ValueError from inside begins with the place: "in conv1: …".

    The containers run their layers in it; nested ones join their names: "in layer1.0.conv1: …".
    """

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ValueError):
            error.path = (self.name, *getattr(error, "path", ()))
            error.what = getattr(error, "what", str(error))
            error.args = (f"in {'.'.join(error.path)}: {error.what}",)


def expect(layer: Layer, x: Any, *dims: int | str, weight: Any = None) -> None:
    """Begin a forward: forget an earlier one, and raise a ValueError that helps unless x is a
    floating-point array of shape `dims`.

    (Forgetting comes first, so that a forward that fails leaves nothing for a backward to use.)

    A dim is a number, a letter that stands for any size ≥ 1, or "…" for any dims at all.
    `weight`, if given, is the array whose dtype and device x must share.
    """
    if will_remember():
        layer.__dict__.pop("_memory", None)
    spelled = "(" + ", ".join(map(str, dims)) + ")"
    if "H" in dims:
        spelled += ", channels first"
    if not is_array(x):
        raise ValueError(f"{layer} expects an array of shape {spelled}; got "
                         f"{type(x).__name__}: convert it with numpy.asarray(…, 'float32')")
    fits = "…" in dims or (len(x.shape) == len(dims) and all(
        isinstance(d, str) or d == n for d, n in zip(dims, x.shape, strict=True)))
    if not fits:
        raise ValueError(f"{layer} expects {spelled}; got {x.shape}")
    if 0 in x.shape:
        raise ValueError(f"{layer} expects {spelled}, every size at least 1; got {x.shape}, "
                         f"which is empty")
    if x.dtype.kind not in "fc":
        raise ValueError(f"{layer} expects floating-point numbers; got {x.dtype}: "
                         f"convert with x.astype('float32')")
    if weight is None:
        return
    here, there = device_of(x), device_of(weight)
    if x.dtype != weight.dtype:
        raise ValueError(f"{layer} has {weight.dtype} parameters; got {x.dtype}: convert the "
                         f"input with x.astype('{weight.dtype}'), or the network with "
                         f".astype('{x.dtype}')")
    if here != there:
        raise ValueError(f"{layer} has its parameters on the {there}; got an array on the "
                         f"{here}: move the input with to_device(x, '{there}'), or the network "
                         f"with .to('{here}')")


def _held(name: str, value: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, object of this kind) in `value`, a list, tuple or dict at any depth."""
    if isinstance(value, kind):
        yield name, value
    elif isinstance(value, list | tuple | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _held(f"{name}.{key}", item, kind)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _describe(shape: tuple, dtype: Any, device: str) -> str:
    return f"{shape} {dtype} on the {device}"
