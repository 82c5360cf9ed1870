"""First not finite — in which layer did the NaN begin?

NaN spreads. The loss is NaN because the logits are, they are because conv3's output was infinite,
and one update later every weight is NaN and nothing is left to see. So before that update the same
batch is run once more, and every layer is listened to. Up to some moment all arrays are finite;
the first one that is not says where it happened:

    it comes out of a layer     what went in was finite: this layer made it
    it goes into a layer        what came out of the others was finite: so it was made between
                                them, by the container that holds them (Residual's addition)

first forward, then the loss, then backward, where gradients of parameters come out, too.

The second run must be the first one over again. Images and weights are the same, and batch norm
looks at the batch in training. What is left is chance. Dropout and stochastic depth draw their
masks from NumPy Generators that they hold (often one for all of them); a generator in the same
state draws the same numbers. So note the states before each forward, and the second run begins
from them:

    before = {name: g.bit_generator.state for name, g in generators(model).items()}
"""
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from scratchnet.backend import device_of, is_array, xp_of
from scratchnet.layer import Layer, Parameter, _held, remembering
from scratchnet.training.parallel import ShardedGenerator

NOT_FOUND = "In a second run of this batch"


def first_not_finite(model: Layer, loss_function: Layer, x: Any, labels: Any,
                     auxiliary: float = 0.3, before: Mapping[str, dict] | None = None) -> str:
    """Run a batch forwards and backwards again; return where the first NaN or infinity was made.

    x and labels are the batch as it went into the network, in its mode; the losses of auxiliary
    classifiers count `auxiliary` each. `before` has, by the names of `generators(model)`, the
    states that the failed run began with (other names are passed over); without it the states
    are those of now. Wrong images, and parameters (in evaluation running averages, too) that
    are not finite to begin with, are named without a run. If all is finite, the sentence says so.

    Afterwards parameters, buffers, modes, generators and all else that a layer keeps in its
    attributes are as they were, bit by bit; gradients are zero, and forward's memory is forgotten.
    Raises ValueError for a generator of which `before` has no state.
    """
    if where := _not_finite_before(model, x):
        return where
    own = generators(model)
    if before is not None and (missing := own.keys() - before.keys()):
        raise ValueError(f"first_not_finite: before must hold the state of every generator in "
                         f"the network; {', '.join(sorted(missing))} is missing")
    layers = [*model.named_layers(), *loss_function.named_layers("the loss")]
    states = {name: generator.bit_generator.state for name, generator in own.items()}
    kept = [(layer, *_keep(layer)) for _, layer in layers]
    listener = _Listener()
    try:
        for name, generator in own.items():
            generator.bit_generator.state = (states if before is None else before)[name]
        for name, layer in layers:
            listener.listen(name or "the network", layer)
        model.zero_grad()
        with remembering(), np.errstate(all="ignore"):
            _run(model, loss_function, x, labels, auxiliary)
    except _Found as found:
        return str(found)
    finally:
        for layer, attributes, copies in kept:
            _put_back(layer, attributes, copies)
        for name, generator in own.items():
            generator.bit_generator.state = states[name]
        model.zero_grad()
    return (f"{NOT_FOUND} the loss and every output and gradient of a layer were finite: what "
            f"failed was something else, or chance (other dropout masks)")


def generators(model: Layer) -> dict[str, np.random.Generator]:
    """Return the random generators that the layers hold, by dotted name, each object once."""
    found: dict[str, np.random.Generator] = {}
    for prefix, layer in model.named_layers():
        for attribute, value in vars(layer).items():
            for name, generator in _held(attribute, value, np.random.Generator | ShardedGenerator):
                if not any(generator is other for other in found.values()):
                    found[f"{prefix}.{name}" if prefix else name] = generator
    return found


def _run(model: Layer, loss_function: Layer, x: Any, labels: Any, auxiliary: float) -> None:
    """Forward, loss and backward, as in training."""
    outputs = model.forward(x)
    logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
    loss_function.forward(logits, labels)
    dys = [loss_function.backward()]
    for head in heads:
        loss_function.forward(head, labels)
        dys.append(loss_function.backward(auxiliary))
    model.backward(*dys)


# ── listening ────────────────────────────────────────────────────────────────────────


class _Found(BaseException):
    """Ends the run at the first array that is not finite. (A layer's own `except Exception` must
    not stop it.)"""


class _Listener:
    """Looks at all that goes into the layers' methods and comes out of them."""

    def __init__(self) -> None:
        self.open: list[tuple] = []             # the calls under way, the outermost first

    def listen(self, name: str, layer: Layer) -> None:
        """Put a method that listens before the layer's own, in its attributes."""
        layer.forward = self._listening(name, layer, "forward", layer.forward)
        layer.backward = self._listening(name, layer, "backward", layer.backward)

    def _listening(self, name: str, layer: Layer, way: str, method: Any) -> Any:
        def listening(*positional: Any, **named: Any) -> Any:
            inputs = (*positional, *named.values())
            if self.open and (bad := _bad(inputs)):
                raise _Found(_between(way, *self.open[-1], name, bad))
            self.open.append((name, layer, inputs))
            try:
                outputs = method(*positional, **named)
            finally:
                self.open.pop()
            made = {"output" if way == "forward" else "dx": outputs}
            if way == "backward":
                made |= {f"gradient of {name}": p.grad for name, p in layer._attributes(Parameter)}
            for what, arrays in made.items():
                if bad := _bad(arrays):
                    raise _Found(_came_out(way, name, layer, what, inputs, bad))
            return outputs

        return listening


def _came_out(way: str, name: str, layer: Layer, what: str, inputs: tuple, bad: str) -> str:
    return (f"{way}: {name}, {layer}, is the first layer whose {what} is not finite: {bad}"
            f"{_went_in(layer, inputs)}")


def _between(way: str, name: str, layer: Layer, inputs: tuple, inner: str, bad: str) -> str:
    return (f"{way}: {name}, {layer}, is the first that computes what is not finite: its layers "
            f"returned finite numbers, but what it hands to {inner} is not: {bad}"
            f"{_went_in(layer, inputs)}")


def _went_in(layer: Layer, inputs: tuple) -> str:
    """How large the finite numbers are from which the layer computed."""
    arrays = list(_arrays(inputs))
    sizes = [f"what went in was finite, at most {_largest(arrays):.3g}"] if arrays else []
    sizes += [f"its {name} at most {_largest([p.value]):.3g}"
              for name, p in layer._attributes(Parameter)]
    sizes += [f"{a.dtype} ends at {np.finfo(a.dtype).max:.1e}" for a in arrays[:1]]
    return f" ({'; '.join(sizes)})" if sizes else ""


# ── what is finite ───────────────────────────────────────────────────────────────────


def _arrays(value: Any) -> Iterator[Any]:
    """The floating-point arrays in what a layer is given or returns."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _arrays(item)
    elif (is_array(value) or isinstance(value, np.generic)) and value.dtype.kind in "fc":
        yield value
    elif isinstance(value, float):              # a loss may be a plain number
        yield np.asarray(value)


def _bad(value: Any) -> str:
    """What is not finite in it, in words; "" if all is."""
    for array in _arrays(value):
        xp = xp_of(array)
        if not bool(xp.isfinite(array).all()):
            nan, inf = int(xp.isnan(array).sum()), int(xp.isinf(array).sum())
            kinds = [f"{n:,} {kind}" for n, kind in ((nan, "nan"), (inf, "inf")) if n]
            return f"{' and '.join(kinds)} of {array.size:,} number{'s' * (array.size > 1)}"
    return ""


def _largest(arrays: list) -> float:
    return max(float(abs(array).max()) for array in arrays)


def _not_finite_before(model: Layer, x: Any) -> str:
    """What was not finite before the run; "" if all was."""
    if bad := _bad(x):
        return f"The images themselves are not finite: {bad}"
    for name, parameter in model.named_parameters():
        if bad := _bad(parameter.value):
            return (f"The parameter {name} is not finite before the batch: {bad}. An earlier "
                    f"update, or the file it was loaded from, made it so")
    for prefix, layer in model.named_layers():
        if not layer.training:                  # in training batch norm looks at the batch instead
            for name, array in layer._buffers():
                if bad := _bad(array):
                    return (f"{name} of {prefix or 'the network'}, {layer}, which it computes with "
                            f"in evaluation mode, is not finite before the batch: {bad}")
    return ""


# ── leaving all as it was ────────────────────────────────────────────────────────────


def _keep(layer: Layer) -> tuple[dict[str, Any], list[tuple]]:
    """The layer's attributes, and its arrays with a copy of each, without forward's memory."""
    vars(layer).pop("_memory", None)
    return dict(vars(layer)), [(a, a.copy()) for a in vars(layer).values() if is_array(a)]


def _put_back(layer: Layer, attributes: dict[str, Any], copies: list[tuple]) -> None:
    """Undo what happened to the attributes: new ones, among them the listening methods, go."""
    vars(layer).clear()
    vars(layer).update(attributes)
    for array, copy in copies:
        if device_of(array) == "gpu" or array.flags.writeable:
            array[...] = copy
