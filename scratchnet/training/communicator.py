"""Communicator — several processes that train one network, and how they add up their numbers.

    mpiexec -n 4 scratchnet train …         four processes, "ranks" 0, 1, 2, 3

start one program four times over. Each rank computes on its own rows of every batch, and they
speak at a few points only, with two messages that everything else is made of:

    sum         every rank gives an array, every rank gets the sum of all of them
    broadcast   every rank gets the array of one rank

Such a call is *collective*: it returns on no rank before all have made it, so all ranks must make
the same calls in the same order. From that follow the two rules of a parallel program:

1. What one rank decides alone (a file's name, a time limit, a stop), it must tell the others
   before they act on it: share, any. Writing is rank 0's work; reading is everybody's.
2. A rank that fails must not leave the others waiting for ever. MPI ends all of them if a process
   dies, but a Python program that ends with a traceback or an exit status waits for the others
   first. So there is a block that ends all ranks with the one that fails in it,

       with communicator() as ranks:
           …

   and an uncaught exception outside such a block does the same.

`Alone` is the communicator of one process. `Mpi` speaks MPI and sums in host memory; it needs
mpi4py, pip install "scratchnet[mpi]", and mpi4py an MPI such as Open MPI. `Nccl` sums
on the cards, where arrays on the host still go through MPI. It is tested with a stand-in for
NCCL only: nobody has measured it on cards yet.

MPI: A Message-Passing Interface Standard, https://www.mpi-forum.org/docs.
"""
import os
import pickle
import sys
import time
import traceback
from typing import Any, Self

import numpy as np

from scratchnet.backend import best_device, device_of

# What tells a process how many were started: Open MPI, MPICH and its kin, MVAPICH.
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


class Communicator:
    """`size` processes, of which this is number `rank`. A subclass writes sum_in_place and
    broadcast."""

    rank: int
    size: int

    def sum_in_place(self, array: Any) -> None:
        """Replace `array` by the sum of all ranks' arrays, all of one shape and dtype.

        Raises ValueError for an array that is not contiguous, or on the wrong device.
        """
        raise NotImplementedError

    def broadcast(self, array: Any, root: int = 0) -> None:
        """Replace `array` by rank `root`'s, of the same shape and dtype; errors as above."""
        raise NotImplementedError

    def sum(self, array: Any) -> Any:
        """Return the sum of all ranks' arrays, a new array where `array` lives."""
        total = array.copy()
        self.sum_in_place(total)
        return total

    def any(self, flag: bool) -> bool:
        """True on every rank if `flag` is true on one: all stop at the same batch."""
        votes = np.array([bool(flag)], dtype=np.int64)
        self.sum_in_place(votes)
        return bool(votes[0])

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.any(False)                         # no sum is known before all have given theirs

    def share(self, value: Any, root: int = 0) -> Any:
        """Return rank `root`'s value, any that can be pickled: a seed, a name, a state."""
        message = np.frombuffer(pickle.dumps(value), dtype=np.uint8).copy()
        length = np.array([len(message)], dtype=np.int64)
        self.broadcast(length, root)
        if self.rank != root:
            message = np.empty(length[0], dtype=np.uint8)
        self.broadcast(message, root)
        return value if self.rank == root else pickle.loads(message.tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        pass

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank {self.rank} of {self.size})"


class Alone(Communicator):
    """One process: a sum of one array is that array."""

    rank, size = 0, 1

    def sum_in_place(self, array: Any) -> None:
        pass

    def broadcast(self, array: Any, root: int = 0) -> None:
        pass


class Mpi(Communicator):
    """The ranks of an MPI communicator of mpi4py; arrays on the host."""

    def __init__(self, world: Any):
        self.world = world
        self.rank, self.size = world.Get_rank(), world.Get_size()
        sys.excepthook = self._end_all

    def sum_in_place(self, array: Any) -> None:
        _fits(array, "cpu")
        from mpi4py import MPI
        self.world.Allreduce(MPI.IN_PLACE, array)

    def broadcast(self, array: Any, root: int = 0) -> None:
        _fits(array, "cpu")
        self.world.Bcast(array, root)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None and not (isinstance(error, SystemExit) and not error.code):
            self._end_all(kind, error, trace)

    def _end_all(self, kind: Any, error: Any, trace: Any) -> None:
        """Say what happened, as Python would, and end every rank."""
        status = 1
        if not isinstance(error, SystemExit):
            # In one piece: mpiexec passes on what it reads, and says of the abort in between.
            sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))
        elif isinstance(error.code, int):
            status = error.code
        else:
            print(error.code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.2)                         # for mpiexec to read it before it ends us
        self.world.Abort(status)


class Nccl(Communicator):
    """The same ranks with a card each: arrays there are summed by NCCL, float32 and float64.

    The ranks of one machine take its cards in turn; a sum waits for the work that is queued on
    CuPy's current stream, and the work queued after it waits for the sum.
    Raises RuntimeError where CuPy has no NCCL, or NCCL cannot join the ranks.
    """

    def __init__(self, mpi: Mpi):
        import cupy
        from cupy.cuda import nccl
        from mpi4py import MPI
        self.rank, self.size, self.mpi = mpi.rank, mpi.size, mpi
        if mpi.any(not nccl.available):         # all ranks raise, or none
            raise RuntimeError("training on several cards needs NCCL, which this CuPy does not "
                               "find: install it as CuPy's installation guide says")
        local_rank = mpi.world.Split_type(MPI.COMM_TYPE_SHARED).Get_rank()
        cupy.cuda.Device(local_rank % cupy.cuda.runtime.getDeviceCount()).use()
        meeting_point = mpi.share(nccl.get_unique_id() if mpi.rank == 0 else None)
        try:
            self._joined = nccl.NcclCommunicator(mpi.size, meeting_point, mpi.rank)
        except Exception as error:
            raise RuntimeError(f"NCCL cannot join {mpi.size} ranks ({error}): each needs a card "
                               f"of its own") from error
        self._add = nccl.NCCL_SUM
        self._types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}

    def sum_in_place(self, array: Any) -> None:
        if device_of(array) == "cpu":
            return self.mpi.sum_in_place(array)
        kind, stream = self._prepare(array)
        at = array.data.ptr
        self._joined.allReduce(at, at, array.size, kind, self._add, stream)

    def broadcast(self, array: Any, root: int = 0) -> None:
        if device_of(array) == "cpu":
            return self.mpi.broadcast(array, root)
        kind, stream = self._prepare(array)
        self._joined.bcast(array.data.ptr, array.size, kind, root, stream)

    def _prepare(self, array: Any) -> tuple[int, int]:
        import cupy
        _fits(array, "gpu")
        if array.dtype.name not in self._types:
            raise ValueError(f"Nccl sends float32 and float64; got {array.dtype}")
        return self._types[array.dtype.name], cupy.cuda.get_current_stream().ptr

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.mpi.__exit__(kind, error, trace)


def communicator(device: str = "cpu") -> Communicator:
    """Return this process's Communicator: Alone(), unless mpiexec started several.

    device "cpu" or "gpu" is where the network trains. Raises ValueError for another name, or
    where there is no GPU; ImportError where mpi4py is missing; RuntimeError where mpi4py belongs
    to another MPI than mpiexec does, and see Nccl.
    """
    best_device(device)
    started = _started()
    if started == 1:
        return Alone()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:        # RuntimeError: it finds no MPI
        raise ImportError(f"mpiexec started several processes, which need mpi4py to train "
                          f"together ({error}): pip install \"scratchnet[mpi]\"") from error
    found = MPI.COMM_WORLD.Get_size()
    if started not in (found, None):
        raise RuntimeError(f"mpiexec started {started} processes, but mpi4py sees {found}: they "
                           f"belong to different MPIs. Use the mpiexec of the MPI that mpi4py "
                           f"loads, {MPI.Get_library_version().splitlines()[0]}")
    if found == 1:
        return Alone()
    mpi = Mpi(MPI.COMM_WORLD)
    return mpi if device == "cpu" else Nccl(mpi)


def _started() -> int | None:
    """How many processes mpiexec started; 1 without it, None if only MPI can tell."""
    for name in SIZES:
        if name in os.environ:
            return int(os.environ[name])
    return None if "PMIX_RANK" in os.environ else 1


def _fits(array: Any, device: str) -> None:
    """Raise ValueError unless `array` lies in one piece on `device`."""
    if device_of(array) != device:
        raise ValueError(f"this communicator sends arrays on the {device}; got one on the "
                         f"{device_of(array)}: make it with communicator({device_of(array)!r})")
    if not array.flags.c_contiguous:
        raise ValueError(f"a communicator sends contiguous arrays; got a view, shape "
                         f"{array.shape}: send a copy()")
