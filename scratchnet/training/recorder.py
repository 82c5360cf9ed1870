"""Recorder — how large activations and gradients are in each layer, while the network learns.

Of every k-th update, for each layer that it listens to, three quantities:

    y       what the layer returned
    dy      the gradient of the loss with respect to that
    grad    the gradient of its parameters, as the optimizer gets it

and of each of them two things, numbers that stay small however large the network is:

    rms         √(mean of the squares)
    histogram   how many are of which size: bin b counts 4ᵇ⁻²⁴ ≤ |value| < 4ᵇ⁻²³, b from 1 to 31;
                bin 0 is what is smaller, zeros too, and bin 31 what is larger, NaN too. (At most
                16,384 numbers of each are counted, evenly picked.)

Sizes are logarithmic because that is how gradients vanish: by a factor a layer.

    recorder = Recorder(net, every=10)
    training.fit(net, …, record=recorder)
    recorder.rms("grad")                            (records, layers)

In a loop of one's own, each update (or just its forward and backward) stands in a
`with recorder.during(step):`. Only in an update that is recorded are the layers' methods replaced
by ones that listen, so that the others cost nothing at all. `state_dict` and `load_state_dict`
carry the numbers through a checkpoint.
"""
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np

from scratchnet.backend import is_array, to_host, xp_of
from scratchnet.layer import Layer, Parameter

QUANTITIES = ("y", "dy", "grad")
BINS = 32
LOWEST = -46            # bin b ≥ 1 begins at 2^(LOWEST + 2·(b − 1))
EDGES = 2.0 ** (LOWEST + 2 * np.arange(BINS - 1))
PICKED = 16384


class Recorder:
    """Keeps the sizes of y, dy and grad of some layers of `model`, of every `every`-th update.

    layers      their dotted names; by default all that have a weight of two or more dimensions
    every       the updates recorded are 0, every, 2·every, …

    `names` holds the layers, from input to output once the first update is recorded. Raises
    ValueError for names that are not there, with the nearest, and for an `every` below 1.
    """

    def __init__(self, model: Layer, layers: Sequence[str] | None = None, every: int = 10):
        if not isinstance(every, Integral) or isinstance(every, bool) or every < 1:
            raise ValueError(f"Recorder: every must be an integer ≥ 1; got {every!r}")
        known = {name: layer for name, layer in model.named_layers() if name}
        if isinstance(layers, str):
            raise ValueError(f"Recorder: layers is a list of names; got {layers!r}: "
                             f"use [{layers!r}]")
        chosen = _weighted(known) if layers is None else list(layers)
        if not chosen:
            raise ValueError(f"Recorder: {type(model).__name__} has no layers to listen to: give "
                             f"some of its named_layers() as layers=")
        for name in chosen:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
                raise ValueError(f"Recorder: no layer {name!r} in {type(model).__name__}; the "
                                 f"nearest are {', '.join(near or list(known)[:3])}")
        self.every = every
        self.names = list(dict.fromkeys(chosen))
        self._layers = {name: known[name] for name in self.names}
        self._steps: list[int] = []
        self._rms: list[np.ndarray] = []                # (layers, quantities) each
        self._counts: list[np.ndarray] = []             # (layers, quantities, BINS) each

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def steps(self) -> np.ndarray:
        """How many updates were done before each that is recorded, (records,)."""
        return np.array(self._steps, dtype=np.int64)

    def rms(self, what: str = "grad") -> np.ndarray:
        """(records, layers); NaN where a layer has no such quantity (no parameters, say)."""
        return self._table(self._rms, what, ()).astype(np.float64)

    def histograms(self, what: str = "grad") -> np.ndarray:
        """Counts, (records, layers, BINS)."""
        return self._table(self._counts, what, (BINS,))

    @contextmanager
    def during(self, step: int) -> Iterator[None]:
        """Within, one forward and one backward of update number `step` (from 0), in any mode.

        If it is one to be recorded, it is; an update that fails is not.
        """
        if step % self.every:
            yield
            return
        heard: dict[tuple[str, str], tuple] = {}
        before = {name: {m: vars(layer)[m] for m in ("forward", "backward") if m in vars(layer)}
                  for name, layer in self._layers.items()}
        for name, layer in self._layers.items():
            layer.forward = _measured(layer.forward, heard, name)
            layer.backward = _measuring(layer.backward, heard, name)
        try:
            yield
        finally:
            for name, layer in self._layers.items():
                del layer.forward, layer.backward
                vars(layer).update(before[name])
        for name, layer in self._layers.items():
            grads = [p.grad for _, p in layer._attributes(Parameter)]
            grads = grads or [p.grad for p in layer.parameters()]       # a container's: all inside
            if grads and (name, "dy") in heard:
                heard[name, "grad"] = measure(grads)
        self._append(step, heard)

    def _append(self, step: int, heard: dict[tuple[str, str], tuple]) -> None:
        if not self._steps:                             # in the order in which they ran
            ran = [name for name, what in heard if what == "y"]
            self.names = [*ran, *(name for name in self.names if name not in ran)]
        nothing = np.nan, np.zeros(BINS, dtype=np.uint16)
        found = [[heard.get((name, what), nothing) for what in QUANTITIES] for name in self.names]
        self._steps.append(int(step))
        self._rms.append(np.array([[rms for rms, _ in row] for row in found]))
        self._counts.append(np.array([[counts for _, counts in row] for row in found]))

    def _table(self, rows: list[np.ndarray], what: str, rest: tuple) -> np.ndarray:
        if what not in QUANTITIES:
            raise ValueError(f"a Recorder knows {', '.join(QUANTITIES)}; got {what!r}")
        if not rows:
            return np.zeros((0, len(self.names), *rest))
        return np.stack(rows)[:, :, QUANTITIES.index(what)]

    # ── saving ───────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that has been recorded, as arrays."""
        L = len(self.names)
        names = np.frombuffer("\n".join(self.names).encode(), dtype=np.uint8)
        return {"names": names, "steps": self.steps,
                "rms": np.array(self._rms).reshape(-1, L, len(QUANTITIES)),
                "counts": np.array(self._counts, dtype=np.uint16).reshape(
                    -1, L, len(QUANTITIES), BINS)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Take up a record; an empty state, of a run begun without a recorder, is none.

        Raises ValueError, before anything is changed, for a record of other layers.
        """
        if not state:
            self._steps, self._rms, self._counts = [], [], []
            return
        names = bytes(np.asarray(state.get("names", ()), dtype=np.uint8)).decode().split("\n")
        R, L = len(state.get("steps", ())), len(names)
        shapes = {"rms": (R, L, len(QUANTITIES)), "counts": (R, L, len(QUANTITIES), BINS)}
        if sorted(names) != sorted(self.names):
            raise ValueError(f"this record is of other layers ({', '.join(names[:3])}, …); this "
                             f"Recorder listens to {', '.join(self.names[:3])}, …: give it the "
                             f"same layers=")
        if wrong := [key for key, shape in shapes.items()
                     if key not in state or state[key].shape != shape]:
            raise ValueError(f"this record is not whole: {', '.join(wrong)} missing or of "
                             f"another shape")
        self.names = names
        self._steps = [int(step) for step in state["steps"]]
        self._rms, self._counts = list(state["rms"]), list(state["counts"])


def measure(arrays: Sequence[Any]) -> tuple[float, np.ndarray]:
    """(rms, histogram) over all numbers in these arrays: a float, and (BINS,) counts."""
    total, size = 0.0, sum(a.size for a in arrays)
    counts = np.zeros(BINS, dtype=np.int64)
    for a in arrays:
        xp, flat = xp_of(a), a.reshape(-1)
        wide = flat.astype(xp.float64)                  # 1e-30 squared is 0 in float32
        total += float(xp.dot(wide, wide))
        picked = wide[:: max(1, -(-size // PICKED))]
        _, exponent = xp.frexp(picked)                  # |value| = 0.5 … 1 times 2^exponent
        bins = xp.clip((exponent - 1 - LOWEST) // 2 + 1, 0, BINS - 1)
        bins = xp.where(picked == 0, 0, xp.where(xp.isfinite(picked), bins, BINS - 1))
        counts += to_host(xp.bincount(bins, minlength=BINS))
    return (total / size) ** 0.5, np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)


def _measured(forward: Any, heard: dict, name: str) -> Any:
    """forward, and what it returns is measured."""
    def listening(*xs: Any, **options: Any) -> Any:
        y = forward(*xs, **options)
        if arrays := _arrays(y):
            heard[name, "y"] = measure(arrays)
        return y
    return listening


def _measuring(backward: Any, heard: dict, name: str) -> Any:
    """backward, and what it is given is measured."""
    def listening(*dys: Any, **options: Any) -> Any:
        if arrays := _arrays(dys):
            heard[name, "dy"] = measure(arrays)
        return backward(*dys, **options)
    return listening


def _arrays(value: Any) -> list:
    values = value if isinstance(value, tuple | list) else (value,)
    return [one for one in values if is_array(one) and one.dtype.kind == "f" and one.size]


def _weighted(layers: dict[str, Layer]) -> list[str]:
    return [name for name, layer in layers.items()
            if isinstance(getattr(layer, "weight", None), Parameter)
            and len(layer.weight.value.shape) > 1]
