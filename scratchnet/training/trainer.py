"""Trainer — a training run: the update, and all that decides what the next one will be.

One update:

    lr  = base rate · schedule            x, t = the next batch, varied
    ŷ   = model.forward(x)                L = loss(ŷ, t)            (+ 0.3 · the auxiliary losses)
    model.backward(∂L/∂ŷ)                 the gradients, summed over the machines, clipped
    optimizer.step()                      average.update()

An epoch takes every image once, in an order drawn anew. What an update gives depends on these
things and on nothing else, and `state` holds them all:

    model       parameters, and buffers such as running averages
    optimizer   velocities and the like
    average     the moving average of the parameters, if there is one
    schedule    what it has seen (Plateau: the best error, how long it has waited)
    epoch       how many are complete
    batch       how many updates of this one are done
    order       this epoch's order of the images
    seed        this epoch's seed of augmentation (data/loader.py)
    generators  the state of every random generator: the run's own, and those in layers (dropout)

and four that change no update, but what is said of the run, and when it ends:

    sums        loss and wrong answers of this epoch so far
    history     one Epoch for each that is complete
    best        the lowest validation error so far, which decides what best.npz is
    done        whether the schedule has said that it is enough

and one that a run may have: `record`, a Recorder's numbers so far.
"""
import contextlib
import copy
import platform
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.data.loader import Loader
from scratchnet.layer import Layer, parameters_only
from scratchnet.layers import SoftmaxCrossEntropy
from scratchnet.optim import Optimizer, clip_by_norm, gradient_norm
from scratchnet.training.communicator import Alone, Communicator
from scratchnet.training.finite import NOT_FOUND, first_not_finite, generators
from scratchnet.training.metrics import Scores, errors, measure
from scratchnet.training.parallel import DataParallel
from scratchnet.training.recorder import Recorder
from scratchnet.training.schedule import Constant

AUXILIARY = 0.3         # what an auxiliary classifier's loss counts; GoogLeNet, section 5
FORMAT = 1              # of what `state` returns


class Epoch(NamedTuple):
    """What one pass over the training images gave; errors are shares of wrong answers.

    train_error5 and validation_error5: the true class is not among the five best answers.
    """

    lr: float
    train_loss: float           # mean over the epoch, dropout on
    train_error: float          # likewise
    validation_loss: float      # after the epoch, dropout off
    validation_error: float
    train_error5: float = float("nan")
    validation_error5: float = float("nan")


class Update(NamedTuple):
    """What one update gave; loss and gradient are the whole batch's, before the update."""

    step: int                   # updates done, with this one
    lr: float
    loss: float
    error: float
    error5: float
    gradient_norm: float
    images: int


class Trainer:
    """Trains `model` on (images, labels); see `training.fit` for what the options mean."""

    def __init__(self, model: Layer, train: tuple, optimizer: Optimizer, *, batch_size: int = 128,
                 schedule: Any = None, transform: Callable | None = None,
                 rng: int | np.random.Generator | None = None, loss: Layer | None = None,
                 auxiliary: float = AUXILIARY, clip: float | None = None, average: Any = None,
                 workers: int = 0, communicator: Communicator | None = None,
                 record: Recorder | None = None):
        self.model, self.optimizer, self.base_lr = model, optimizer, optimizer.lr
        self.loader = Loader(*train, batch_size, transform, workers)
        self.schedule = Constant() if schedule is None else schedule
        self.loss = SoftmaxCrossEntropy() if loss is None else loss
        self.auxiliary, self.clip, self.average = auxiliary, clip, average
        self.record = record
        self.rng = np.random.default_rng(rng)
        self.device = device_of(optimizer.parameters[0].value)
        self.generators = {**generators(model), "the run": self.rng}
        self.communicator = communicator or Alone()
        self.ranks = DataParallel(model, self.communicator)
        self.rng.bit_generator.state = self.communicator.share(self.rng.bit_generator.state)
        if average is not None:
            average.load_state_dict(self.communicator.share(average.state_dict()))
        self._parameters = model.parameters()
        self._buffers = [(layer, name) for _, layer in model.named_layers()
                         for name, _ in layer._buffers()]

        self.epoch, self.batch, self.seed = 0, 0, 0
        self.order = np.zeros(0, dtype=np.int64)
        self.sums = Sums()
        self.history: list[Epoch] = []
        self.best = float("inf")
        self.done = False

    @property
    def step(self) -> int:
        """How many updates are done."""
        return self.epoch * len(self.loader) + self.batch

    def updates(self) -> Iterator[Update]:
        """Go on to the end of the epoch, one update at a time.

        Between two updates the run may be saved, stopped, or thrown away.
        """
        self.model.train()
        if self.batch == 0:
            self.order = self.rng.permutation(len(self.loader.labels))
            self.seed = int(self.rng.integers(2**63))
            self.sums = Sums()
        for x, labels, n in self.loader.epoch(self.order, self.seed, self.batch, self.ranks.rows):
            with contextlib.nullcontext() if self.record is None else self.record.during(self.step):
                update = self._update(to_device(x, self.device), to_device(labels, self.device), n)
            yield update

    def _update(self, x: Any, labels: Any, n: int) -> Update:
        """Make the update with this batch of n images, of which x are ours."""
        before = self._before()
        self.optimizer.lr = self._rate(self.step)
        for parameter in self._parameters:                      # also those of no optimizer
            parameter.grad[...] = 0
        _, weight = self.ranks.take(n)                          # 1, on one machine

        outputs = self.model.forward(x)
        logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss, wrong, wrong5 = self.ranks.mean(float(self.loss.forward(logits, labels)),
                                              *errors(to_host(logits), to_host(labels)))
        if not np.isfinite(loss):
            self._not_finite(f"the loss became {loss}", before, x, labels)
        dys = [self.loss.backward(weight)]
        for head in heads:                                      # auxiliary classifiers
            self.loss.forward(head, labels)
            dys.append(self.loss.backward(weight * self.auxiliary))
        with parameters_only(self.model):
            self.model.backward(*dys)
        self.ranks.sum_gradients(self.optimizer.parameters)
        norm = (clip_by_norm(self.optimizer.parameters, self.clip) if self.clip is not None else
                gradient_norm(self.optimizer.parameters))
        if not np.isfinite(norm):
            self._not_finite("the gradient is not finite", before, x, labels)

        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        self.sums = self.sums.plus(loss * n, round(wrong * n), round(wrong5 * n), n)
        self.batch += 1
        return Update(self.step, self.optimizer.lr, loss, wrong, wrong5, norm, n)

    def _rate(self, step: int) -> float:
        return self.base_lr * self.schedule.factor(step, len(self.loader))

    def look(self, images: Any, labels: np.ndarray, transform: Callable | None = None) -> Scores:
        """Return how the model does on new images; each machine looks at its part of them."""
        N = len(labels)
        rows, _ = self.ranks.take(N)
        part = images if rows == slice(0, N) else Part(images, rows)
        loss, error, error5 = self.ranks.mean(*measure(self.model, part, labels[rows],
                                                       self.loader.batch_size, transform))
        # Counts, so that every number of machines finds the same errors to the last bit.
        return Scores(loss, round(error * N) / N, round(error5 * N) / N)

    def finish_epoch(self, scores: Scores) -> None:
        """Close the epoch with the validation's figures; the schedule sees the error."""
        sums = self.sums
        self.history.append(Epoch(self._rate(self.step - 1), sums.loss / sums.images,
                                  sums.wrong / sums.images, scores.loss, scores.error,
                                  sums.wrong5 / sums.images, scores.error5))
        self.best = min(self.best, scores.error)
        self.epoch, self.batch = self.epoch + 1, 0
        self.done = self.schedule.see(scores.error)

    # ── what is not a number ─────────────────────────────────────────────────────────

    def _before(self) -> tuple:
        """What a forward changes: the generators, and running averages."""
        return ({name: g.bit_generator.state for name, g in self.generators.items()},
                [getattr(layer, name).copy() for layer, name in self._buffers])

    def _not_finite(self, what: str, before: tuple, x: Any, labels: Any) -> None:
        """Go back to before the forward, find out where it began, and say so."""
        states, buffers = before
        for name, state in states.items():
            self.generators[name].bit_generator.state = state
        for (layer, name), buffer in zip(self._buffers, buffers, strict=True):
            setattr(layer, name, buffer)
        with self.ranks.apart():            # each machine may end at another layer
            where = first_not_finite(self.model, self.loss, x, labels, self.auxiliary)
        said = [self.communicator.share(where, root) for root in range(self.communicator.size)]
        where = next((w for w in said if not w.startswith(NOT_FOUND)), where)
        raise RuntimeError(
            f"{what} in epoch {self.epoch + 1}, update {self.step + 1}; the update was not made. "
            f"{where}\nThe steps are too long, or the weights began too large: try a smaller "
            f"learning rate than {self.optimizer.lr:g}")

    # ── saving ───────────────────────────────────────────────────────────────────────

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (arrays, facts): all that the rest of the run depends on."""
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        facts: dict[str, Any] = {
            "format": FORMAT, "versions": versions(), "run": self._run(),
            "epoch": self.epoch, "batch": self.batch, "seed": self.seed,
            "schedule": self.schedule.state_dict(),
            "generators": {name: g.bit_generator.state for name, g in self.generators.items()},
            "sums": list(self.sums), "history": [list(epoch) for epoch in self.history],
            "best": self.best, "done": self.done}
        for part, holder in (("optimizer", self.optimizer), ("average", self.average),
                             ("record", self.record)):
            state = {} if holder is None else holder.state_dict()
            arrays |= {f"{part}.{name}": np.asarray(value) for name, value in state.items()}
        return arrays | {"order": self.order}, facts

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> list[str]:
        """Take up a run where `state` left it; returns what to tell the user.

        Raises ValueError, before anything is changed, for the state of another run: other
        parameters, other data, another batch size.
        """
        self._check(facts, arrays.get("order"))
        if different := [f"{name}: {facts['run'].get(name)} in the checkpoint, {here} here"
                         for name, here in self._run().items() if facts["run"].get(name) != here]:
            raise ValueError("this checkpoint belongs to another run; nothing was loaded.\n  "
                             + "\n  ".join(different))
        parts: dict[str, dict] = {}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = array
        loaded: list[tuple[Any, dict]] = []
        for part in ("model", "optimizer", "average", "record"):
            holder = getattr(self, part)
            if holder is None:
                continue
            before = holder.state_dict()
            try:
                holder.load_state_dict(parts.get(part, {}))
            except ValueError as error:
                for earlier, state in loaded:
                    earlier.load_state_dict(state)
                raise ValueError(f"the {part} of this checkpoint does not fit: {error}") from error
            loaded.append((holder, before))
        self.schedule.load_state_dict(facts["schedule"])
        for name, generator in self.generators.items():
            generator.bit_generator.state = facts["generators"][name]
        self.epoch, self.batch, self.seed = facts["epoch"], facts["batch"], facts["seed"]
        self.order = arrays["order"]
        self.sums = Sums(*facts["sums"])
        self.history = [Epoch(*numbers) for numbers in facts["history"]]
        self.best, self.done = facts["best"], facts["done"]
        return [f"saved with {name} {facts['versions'].get(name)}, now {here}: the run goes on, "
                f"but its last digits may differ"
                for name, here in versions().items() if facts["versions"].get(name) != here]

    def _run(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that takes it up."""
        constants = {f"optimizer's {name}": value for name, value in vars(self.optimizer).items()
                     if isinstance(value, int | float | str) and name != "lr"}
        return {"model": type(self.model).__name__,
                "optimizer": type(self.optimizer).__name__, **constants,
                "learning rate": self.base_lr,
                "schedule": repr(self.schedule),
                "generators": sorted(self.generators),
                "images": len(self.loader.labels),
                "checksum of the labels": zlib.crc32(self.loader.labels.astype("<i8").tobytes()),
                "batch size": self.loader.batch_size,
                "auxiliary": self.auxiliary, "clip": self.clip,
                "moving average": self.average is not None}

    def _check(self, facts: dict[str, Any], order: Any) -> None:
        """Raise ValueError unless the facts are of the kind that `state` writes."""
        N = len(self.loader.labels)

        def numbers(values: Any, count: int) -> bool:
            return (isinstance(values, list) and len(values) == count
                    and all(type(value) in (int, float) for value in values))

        good: dict[str, Callable[[Any], bool]] = {
            "format": lambda v: v == FORMAT,
            "versions": lambda v: isinstance(v, dict), "run": lambda v: isinstance(v, dict),
            "epoch": lambda v: type(v) is int and v >= 0,
            "batch": lambda v: type(v) is int and 0 <= v <= len(self.loader),
            "seed": lambda v: type(v) is int and 0 <= v < 2**63,
            "schedule": self._fits_schedule, "generators": self._fits_generators,
            "sums": lambda v: numbers(v, len(Sums._fields)),
            "history": lambda v: isinstance(v, list) and all(
                numbers(epoch, len(Epoch._fields)) for epoch in v),
            "best": lambda v: numbers([v], 1), "done": lambda v: type(v) is bool}
        spoilt = [name for name, is_good in good.items()
                  if name not in facts or not is_good(facts[name])]
        if not (isinstance(order, np.ndarray) and order.dtype == np.int64 and (
                order.shape == (0,) and not facts.get("batch")
                or order.shape == (N,) and np.array_equal(np.sort(order), np.arange(N)))):
            spoilt.append("order")
        if spoilt:
            raise ValueError(f"this checkpoint is not whole, or not of this version of scratchnet; "
                             f"nothing was loaded. Missing or wrong: {', '.join(spoilt)}")

    def _fits_schedule(self, state: Any) -> bool:
        try:
            copy.deepcopy(self.schedule).load_state_dict(state)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        return True

    def _fits_generators(self, states: Any) -> bool:
        if not isinstance(states, dict):
            return False
        try:
            for name in states.keys() & self.generators.keys():
                type(self.generators[name].bit_generator)().state = states[name]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return False
        return True


class Part:
    """Some rows of images, read when they are asked for."""

    def __init__(self, images: Any, rows: slice):
        self.images, self.start = images, rows.start
        self.shape, self.dtype = (rows.stop - rows.start, *images.shape[1:]), images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.images[rows + self.start]


class Sums(NamedTuple):
    """Over the epoch so far: Σ loss, wrong answers (of one, of five), and images."""

    loss: float = 0.0
    wrong: int = 0
    wrong5: int = 0
    images: int = 0

    def plus(self, *numbers: float) -> "Sums":
        return Sums(*(a + b for a, b in zip(self, numbers, strict=True)))


def versions() -> dict[str, str]:
    """What the last bit of a result depends on, beside the numbers."""
    from threadpoolctl import threadpool_info

    from scratchnet import __version__
    blas = [f"{pool['internal_api']} {pool['version']} on {pool['num_threads']} threads"
            for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {"scratchnet": __version__, "NumPy": np.__version__, "BLAS": ", ".join(blas),
            "Python": platform.python_version(), "machine": platform.machine()}
