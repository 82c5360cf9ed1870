"""What test_parallel.py starts under mpiexec: `mpi_program.py PART [FILE]`."""
import sys
import time

import numpy as np

from scratchnet import models, optim
from scratchnet.layers import SoftmaxCrossEntropy
from scratchnet.training.communicator import Mpi, communicator
from scratchnet.training.parallel import DataParallel


def messages():
    with communicator() as ranks:
        assert isinstance(ranks, Mpi) and ranks.size == 2, ranks
        for dtype in (np.float32, np.float64, np.int64):
            own = np.arange(6, dtype=dtype).reshape(2, 3) + 10 * ranks.rank
            total = ranks.sum(own)
            assert total.dtype == dtype
            assert total.tolist() == [[10, 12, 14], [16, 18, 20]]
            assert own[0, 0] == 10 * ranks.rank                 # sum leaves it alone
            ranks.broadcast(own, root=1)
            assert own.tolist() == [[10, 11, 12], [13, 14, 15]]
        assert ranks.any(ranks.rank == 1) is True
        assert ranks.any(False) is False
        state = np.random.default_rng(ranks.rank).bit_generator.state
        assert ranks.share(state) == np.random.default_rng(0).bit_generator.state
        ranks.barrier()
        refused(ranks, np.zeros((3, 4)).T)


def refused(ranks, array):
    try:
        ranks.sum_in_place(array)
    except ValueError as error:
        assert "contiguous" in str(error)
    else:
        raise AssertionError("a view was summed")


def train(path):
    """Three steps of a network with dropout, stochastic depth and batch norm; rank 0 saves it."""
    with communicator() as ranks:
        net = models.efficientnet_small(num_classes=4, in_channels=1, rng=ranks.rank)
        net.astype(np.float64).train()                  # rank 1's begins otherwise
        losses = steps(net, ranks)
        state = net.state_dict()
        for name, array in state.items():
            first = array.copy()
            ranks.broadcast(first)
            assert np.array_equal(first, array), name   # to the last digit
        if ranks.rank == 0:
            np.savez(path, losses=losses, **state)


def steps(net, ranks):
    """Train `net` for three steps on batches of seven; returns the losses."""
    rng = np.random.default_rng(3)
    sgd, loss = optim.SGD(net.parameters(), lr=0.05, momentum=0.9), SoftmaxCrossEntropy()
    losses = []
    parallel = DataParallel(net, ranks)
    for _ in range(3):
        x, labels = rng.standard_normal((7, 1, 32, 32)), rng.integers(0, 4, 7)
        rows, weight = parallel.take(len(x))
        losses += parallel.mean(loss.forward(net.forward(x[rows]), labels[rows]))
        sgd.zero_grad()
        net.backward(loss.backward(weight))
        parallel.sum_gradients(sgd.parameters)
        sgd.step()
    return losses


def fails_in_the_block():
    with communicator() as ranks:
        if ranks.rank == 1:
            raise OSError("the disk of rank 1 is full")
        ranks.barrier()


def leaves_the_block():
    with communicator() as ranks:
        if ranks.rank == 1:
            sys.exit(7)
        ranks.barrier()


def fails_anywhere():
    ranks = communicator()
    if ranks.rank == 1:
        time.sleep(0.1)
        raise OSError("the disk of rank 1 is full")
    ranks.barrier()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
