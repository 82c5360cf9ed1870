"""Listen — run a network, and note what goes into each layer's methods and what comes out.

Three runs, for three questions. They change the network (its mode, running averages, gradients,
generators): the page hands in a copy.

    look        what does each layer make of this one image, and what is sent back to it?
                Evaluation, one image; the gradient is that of this image's loss.
    batch       how large are the gradients while it learns?
                Training, a batch; L is the mean cross-entropy over it, as in an update.
    times       how long does each layer take, forwards and backwards?
                Training, the same batch, the faster of two runs; nothing else is done meanwhile.

RMS, the root of the mean square, is the size of an array whatever its shape: √(1/m · Σ g_i²).
The histogram counts the numbers by the logarithm of their size, half a power of ten a bin, from
10^−10 to 10^2; what is smaller or larger is in the first or last bin, zeros are counted apart.
"""
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratchnet.layer import Layer, Parameter, remembering
from scratchnet.layers import SoftmaxCrossEntropy

LOWEST, HIGHEST, BINS = -10, 2, 24
AUXILIARY = 0.3                 # how much the loss of a head that is for training only counts


@dataclass
class Seen:
    """One layer, one image: its inputs and its output; what came back to it, and what it sent
    on, where it was run backwards."""

    xs: tuple[np.ndarray, ...]
    y: np.ndarray
    dy: np.ndarray | None = None
    dx: np.ndarray | None = None


@dataclass
class Look:
    """All layers that ran, by name. `target` is the class whose loss was run backwards;
    `problem`, if it is not "", says why there are no gradients."""

    layers: dict[str, Seen]
    probabilities: np.ndarray | None = None
    target: int | None = None
    problem: str = ""


@dataclass
class Batch:
    """Gradient statistics by layer: {"dy": …, "parameters": {name: …}}."""

    layers: dict[str, dict] = field(default_factory=dict)
    loss: float | None = None
    problem: str = ""


def look(model: Layer, x: np.ndarray, label: int | None) -> Look:
    """Run one image forwards and, if it can be, backwards, for its label or else the answer."""
    seen: dict[str, Seen] = {}

    def forward(name: str, method: Callable, *xs: Any) -> Any:
        y = method(*xs)
        one = y[0] if isinstance(y, tuple) else y
        if name not in seen:                        # a layer that runs twice: the first time
            seen[name] = Seen(xs, one)
        return y

    def backward(name: str, method: Callable, *dys: Any) -> Any:
        dxs = method(*dys)
        if name in seen:
            seen[name].dy, seen[name].dx = dys[0], dxs[0] if isinstance(dxs, tuple) else dxs
        return dxs

    model.eval().zero_grad()
    with remembering(), _heard(model, forward, backward):
        y = model.forward(x)
        logits = y[0] if isinstance(y, tuple) else y
        found = Look(seen)
        if logits.ndim != 2:
            found.problem = f"the network returns {logits.shape}, not (N, classes): it has no loss"
            return found
        loss = SoftmaxCrossEntropy()
        found.target = int(logits[0].argmax()) if label is None else label
        loss.forward(logits, np.array([found.target]))
        e = np.exp(logits[0] - logits[0].max())
        found.probabilities = e / e.sum()
        found.problem = _tried(lambda: model.backward(loss.backward()))
    return found


def batch(model: Layer, images: np.ndarray, labels: np.ndarray | None) -> Batch:
    """Run the batch as in one step of training; return the sizes of the gradients."""
    found = Batch()
    if labels is None:
        return Batch(problem="the pictures have no labels")

    def backward(name: str, method: Callable, *dys: Any) -> Any:
        if isinstance(dys[0], np.ndarray):
            found.layers.setdefault(name, {"dy": sizes(dys[0])})
        return method(*dys)

    with _heard(model, None, backward):
        found.problem, found.loss = _step(model, images, labels)
    if found.problem:
        return Batch(problem=found.problem)
    for name, layer in model.named_layers():
        if name in found.layers:
            found.layers[name]["parameters"] = {
                which: sizes(p.grad) | {"value": _rms(p.value)}
                for which, p in layer._attributes(Parameter)}
    return found


def times(model: Layer, images: np.ndarray, labels: np.ndarray | None) -> dict[str, list]:
    """Return {name: [seconds forwards, seconds backwards or None]} for the whole batch."""
    found: dict[str, list] = {}

    def timed(way: int) -> Callable:
        def call(name: str, method: Callable, *arrays: Any) -> Any:
            begun = time.perf_counter()
            out = method(*arrays)
            spent[name] = spent.get(name, [0.0, 0.0])
            spent[name][way] += time.perf_counter() - begun
            return out
        return call

    for _ in range(2):
        spent: dict[str, list] = {}
        with _heard(model, timed(0), timed(1)):
            problem, _ = _step(model, images, labels)
        for name, (there, back) in spent.items():
            old = found.get(name, [there, back])
            found[name] = [min(there, old[0]), min(back, old[1])]
    return {name: [there, back if not problem else None] for name, (there, back) in found.items()}


def sizes(gradient: np.ndarray) -> dict[str, Any]:
    """Return RMS, share of zeros, share that is not finite, and the counts of the histogram."""
    g = np.abs(gradient.ravel()).astype(np.float64)
    finite = np.isfinite(g)
    some = g[finite & (g > 0)]
    at = np.floor((np.log10(some) - LOWEST) / (HIGHEST - LOWEST) * BINS).astype(int)
    counts = np.bincount(np.clip(at, 0, BINS - 1), minlength=BINS)
    return {"rms": _rms(gradient), "zeros": float((g == 0).mean()), "count": g.size,
            "bad": float((~finite).mean()), "bins": counts.tolist()}


def _rms(values: np.ndarray) -> float | None:
    rms = float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))
    return rms if np.isfinite(rms) else None


def _step(model: Layer, images: np.ndarray, labels: np.ndarray | None,
          ) -> tuple[str, float | None]:
    """Forwards and backwards in training; (what went wrong or "", the loss)."""
    loss, total = SoftmaxCrossEntropy(), None

    def step() -> None:
        nonlocal total
        outputs = model.forward(images)
        logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        if labels is None or logits.ndim != 2:
            raise ValueError("there is no loss: it needs labels, and an output (N, classes)")
        dys = []
        for scores, weight in ((logits, 1.0), *((head, AUXILIARY) for head in heads)):
            value = float(loss.forward(scores, labels))
            total = value if total is None else total
            dys.append(loss.backward(weight))
        model.backward(*dys)

    model.train().zero_grad()
    with remembering(), np.errstate(all="ignore"):
        problem = _tried(step)
    return problem, total if total is not None and np.isfinite(total) else None


def _tried(step: Callable) -> str:
    """Do it; return "" or, in words, why it could not be done."""
    try:
        step()
    except (ValueError, RuntimeError, NotImplementedError, TypeError) as error:
        return str(error) or type(error).__name__
    return ""


@contextmanager
def _heard(model: Layer, forward: Callable | None, backward: Callable | None) -> Iterator[None]:
    """Until the end of the `with`, layers run as forward(name, their own forward, *inputs), and
    backward likewise."""
    def put(layer: Layer, name: str, which: str, call: Callable) -> None:
        own = getattr(layer, which)
        setattr(layer, which, lambda *arrays: call(name, own, *arrays))

    layers = list(model.named_layers())
    chosen = [(which, call) for which, call in (("forward", forward), ("backward", backward))
              if call is not None]
    for name, layer in layers:
        for which, call in chosen:
            put(layer, name, which, call)
    try:
        yield
    finally:
        for _, layer in layers:
            layer.__dict__.pop("_memory", None)
            for which, _ in chosen:
                vars(layer).pop(which, None)
