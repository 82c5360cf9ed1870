"""Data parallelism — one network on several ranks, each with its own rows of every batch.

A loss that is a mean over n images is a weighted mean of the means over the ranks' n_r images:

    L = 1/n · Σ_n ℓ = Σ_r w_r · L_r         w_r = n_r/n         L_r = 1/n_r · Σ_{n∈r} ℓ

so each rank starts its backward pass with w_r, and the gradients of the parameters only need to be
added up: ∂L/∂θ = Σ_r ∂(w_r·L_r)/∂θ. Every rank holds the whole network and takes the same step
with the same sum, so the networks stay equal, and the run is the one of a single process with the
whole batch, up to rounding. That holds if nothing in the network looks at more than its own image,
and two things do:

    batch norm      its statistics are those of the batch       training/sync_batchnorm.py
    random masks    one process draws them for the whole batch, so each rank does too, and
                    takes its rows (ShardedGenerator): the generators stay equal as well

A batch of fewer images than ranks cannot be shared out: then each rank takes all of it, with
w_r = 1/size.

What is not done here: to send the gradients of the last layers while those of the first are
still being computed, which hides the messages behind the work.

The ranks begin as equals: rank 0's parameters, buffers and generators are sent to the others.
Checkpoints are written by rank 0 and read by all.

Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
"""
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import device_of, xp_of
from scratchnet.layer import Layer, Parameter, _held, _join
from scratchnet.layers import BatchNorm2d
from scratchnet.training.communicator import Communicator
from scratchnet.training.sync_batchnorm import SyncBatchNorm2d, synchronise_batchnorm


class Shard(NamedTuple):
    """One rank's part of a batch: `rows` of its `n` images, which `copies` ranks hold."""

    rows: slice
    n: int
    copies: int = 1

    @property
    def weight(self) -> float:
        """The share of these rows' mean in the mean over the batch, as the ranks add it up."""
        return (self.rows.stop - self.rows.start) / (self.n * self.copies)


def shard(n: int, rank: int, size: int) -> Shard:
    """Return rank `rank`'s part of n images: contiguous rows, as equal in number as can be.

    With fewer images than ranks, each has all of them. Raises ValueError for no images, or a
    rank that is not one of `size`.
    """
    if n < 1 or not 0 <= rank < size:
        raise ValueError(f"shard expects n ≥ 1 images and a rank from 0 to size − 1; got n={n}, "
                         f"rank={rank}, size={size}")
    if n < size:
        return Shard(slice(0, n), n, copies=size)
    return Shard(slice(n * rank // size, n * (rank + 1) // size), n)


class ShardedGenerator:
    """Draws for the whole batch and returns this rank's rows; in place of a numpy Generator.

    `shard` must be set before each batch. `bit_generator` is the inner one's, to save and
    restore its state.
    """

    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self.shard: Shard | None = None

    @property
    def bit_generator(self) -> np.random.BitGenerator:
        return self._generator.bit_generator

    def random(self, size: int | tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """Return this rank's rows of Generator.random((n, …), dtype); `size` is their shape.

        Raises ValueError if its first number is not how many rows this rank has.
        """
        rows, *rest = size if isinstance(size, tuple) else (size,)
        own = None if self.shard is None else self.shard.rows
        if own is None or rows != own.stop - own.start:
            raise ValueError(f"a ShardedGenerator must be told which rows of the batch come, "
                             f"{own} at last; got {rows} images: call DataParallel.take(n) "
                             f"before each batch")
        return self._generator.random((self.shard.n, *rest), dtype=dtype)[own]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a ShardedGenerator has no {name!r}: on several ranks, a layer "
                             f"draws with .random((images, …)) only, whose rows can be shared out")


def share_generators(model: Layer) -> list[ShardedGenerator]:
    """Put a ShardedGenerator in the place of every layer's numpy Generator; returns them.

    Layers that shared one Generator share its ShardedGenerator. Raises ValueError for one that a
    layer keeps in a list, tuple or dict, before anything changes.
    """
    for prefix, layer in model.named_layers():
        for name, value in vars(layer).items():
            for place, _ in _held(name, value, np.random.Generator):
                if place != name:
                    raise ValueError(f"{_join(prefix, place)} is a Generator inside a "
                                     f"{type(value).__name__}, where it cannot be replaced: give "
                                     f"it an attribute of its own")
    sharded: dict[int, ShardedGenerator] = {}
    for _, layer in model.named_layers():
        for name, value in list(vars(layer).items()):
            if isinstance(value, np.random.Generator):
                sharded.setdefault(id(value), ShardedGenerator(value))
                setattr(layer, name, sharded[id(value)])
            elif isinstance(value, ShardedGenerator):           # from an earlier training
                sharded[id(value)] = value
    return list(sharded.values())


class DataParallel:
    """Trains `model` on the ranks of `communicator` as if on one. On one rank it does nothing.

        ranks = DataParallel(model, communicator)           # model stays the one to call
        rows, weight = ranks.take(len(x))                   # before each batch
        loss = loss_function.forward(model.forward(x[rows]), labels[rows])
        model.backward(loss_function.backward(weight))
        ranks.sum_gradients(optimizer.parameters)
        optimizer.step()

    The model's batch norms and generators work over the ranks from now on, in training mode;
    in evaluation nothing is different. mean and sum_gradients are collective, and so are making a
    DataParallel and the model's forward and backward. Raises ValueError for a batch norm or a
    generator that cannot be spread over the ranks.
    """

    def __init__(self, model: Layer, communicator: Communicator):
        self.communicator = communicator
        self._parts: list = []                              # what must know the shard
        self._buffers: dict = {}                            # by dtype and device, of sum_gradients
        self._shard = shard(1, communicator.rank, communicator.size)
        if communicator.size == 1:
            return
        generators = share_generators(model)
        self._parts = [*synchronise_batchnorm(model, communicator), *generators]
        state = model.state_dict()
        for array in state.values():
            communicator.broadcast(array)
        model.load_state_dict(state)
        for generator in generators:
            generator.bit_generator.state = communicator.share(generator.bit_generator.state)

    def rows(self, n: int) -> slice:
        """Return which rows of a batch of n images are this rank's: for preparing it ahead."""
        return shard(n, self.communicator.rank, self.communicator.size).rows

    def take(self, n: int) -> tuple[slice, float]:
        """Begin a batch of n images: return this rank's rows, and the weight of their mean loss
        in the batch's."""
        self._shard = shard(n, self.communicator.rank, self.communicator.size)
        for part in self._parts:
            part.shard = self._shard
        return self._shard.rows, self._shard.weight

    def mean(self, *values: float) -> list[float]:
        """Return means over the whole batch from this rank's means over its rows."""
        totals = np.array(values, dtype=np.float64) * self._shard.weight
        self.communicator.sum_in_place(totals)
        return totals.tolist()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """For a while, batch norm looks at this rank's rows only, and no message is sent."""
        layers = [part for part in self._parts if isinstance(part, SyncBatchNorm2d)]
        for layer in layers:
            layer.__class__ = BatchNorm2d
        try:
            yield
        finally:
            for layer in layers:
                layer.__class__ = SyncBatchNorm2d

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replace the gradient of each parameter that is not frozen by its sum over the ranks.

        They travel as one long array (one a dtype): a message has a cost of its own, however
        short it is, and a network has hundreds of small parameters.
        """
        if self.communicator.size == 1:
            return
        kinds: dict = {}
        for p in parameters:
            if not p.frozen:
                kinds.setdefault((p.grad.dtype, device_of(p.grad)), []).append(p)
        for kind, group in kinds.items():
            total = sum(p.grad.size for p in group)
            if kind not in self._buffers or self._buffers[kind].size != total:
                self._buffers[kind] = xp_of(group[0].grad).empty(total, dtype=kind[0])
            buffer, end = self._buffers[kind], 0
            places = []
            for p in group:
                start, end = end, end + p.grad.size
                places.append(buffer[start:end].reshape(p.grad.shape))      # a view
                places[-1][...] = p.grad
            self.communicator.sum_in_place(buffer)
            for p, place in zip(group, places, strict=True):
                p.grad[...] = place
