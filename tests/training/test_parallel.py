"""Several ranks, as threads or under mpiexec, against one process with the whole batch."""
import ctypes
import os
import shutil
import subprocess
import sys
import threading
import types
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import strict_cupy

from scratchnet import models, optim
from scratchnet.backend import to_device, to_host
from scratchnet.layer import Parameter
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    StochasticDepth,
)
from scratchnet.training.communicator import Alone, Communicator, Mpi, Nccl, communicator
from scratchnet.training.parallel import (
    DataParallel,
    Shard,
    ShardedGenerator,
    shard,
    share_generators,
)
from scratchnet.training.sync_batchnorm import SyncBatchNorm2d, synchronise_batchnorm


class ThreadCommunicator(Communicator):
    """A rank that is a thread: all lay their arrays on one table, and wait for each other."""

    def __init__(self, rank, size, table, barrier):
        self.rank, self.size, self.table, self.waiting = rank, size, table, barrier
        self.sent = []

    def sum_in_place(self, array):
        self.sent.append(array)
        arrays = self.exchange(array.copy())
        total = arrays[0]
        for other in arrays[1:]:
            total = total + other
        array[...] = total

    def broadcast(self, array, root=0):
        array[...] = self.exchange(array.copy())[root]

    def exchange(self, array):
        self.table[self.rank] = array
        self.waiting.wait(timeout=30)
        arrays = list(self.table)
        self.waiting.wait(timeout=30)           # nobody puts the next down before all have looked
        assert len({(a.shape, a.dtype) for a in arrays}) == 1, "ranks sent different messages"
        return arrays


def on_ranks(size, program):
    """Return [program(communicator) of each rank]; an error of one is raised."""
    table, barrier = [None] * size, threading.Barrier(size)
    results, errors = [None] * size, []

    def run(rank):
        try:
            results[rank] = program(ThreadCommunicator(rank, size, table, barrier))
        except BaseException as error:
            if not isinstance(error, threading.BrokenBarrierError):
                errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert not barrier.broken
    return results


def close(a, b, tolerance, name=""):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


# ── shards ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n, size", [(1, 1), (8, 2), (7, 2), (7, 3), (10, 4), (3, 3), (129, 8)])
def test_shards_are_all_rows_in_order_and_equal_but_for_one(n, size):
    shards = [shard(n, rank, size) for rank in range(size)]
    assert np.concatenate([np.arange(n)[s.rows] for s in shards]).tolist() == list(range(n))
    lengths = [len(range(n)[s.rows]) for s in shards]
    assert max(lengths) - min(lengths) <= 1
    assert [s.weight for s in shards] == [length / n for length in lengths]


def test_with_fewer_images_than_ranks_each_has_all_of_them():
    assert [shard(2, rank, 3) for rank in range(3)] == 3 * [Shard(slice(0, 2), 2, copies=3)]
    assert shard(2, 1, 3).weight == 1 / 3


@pytest.mark.parametrize("n, rank, size", [(0, 0, 1), (4, 2, 2), (4, -1, 2), (4, 0, 0)])
def test_shards_that_are_none(n, rank, size):
    with pytest.raises(ValueError, match=f"n ≥ 1 images and a rank.*got n={n}, rank={rank}, size="):
        shard(n, rank, size)


# ── batch norm ───────────────────────────────────────────────────────────────────────


def batchnorm(seed=0):
    rng, layer = np.random.default_rng(seed), BatchNorm2d(3).astype(np.float64)
    layer.weight.value[...], layer.bias.value[...] = rng.standard_normal((2, 3))
    return layer.train()


@pytest.mark.parametrize("n, pixels, size", [(7, (3, 2), 2), (7, (3, 2), 3), (3, (1, 1), 3),
                                             (2, (3, 2), 3), (1, (3, 2), 2), (2, (1, 1), 3)])
def test_batchnorm_over_ranks_is_batchnorm_over_the_batch(n, pixels, size):
    rng = np.random.default_rng(1)
    batches = [(5 + 2 * rng.standard_normal((n, 3, *pixels)), rng.standard_normal((n, 3, *pixels)))
               for _ in range(2)]
    whole = batchnorm()
    expected = [(whole.forward(x), whole.backward(dy)) for x, dy in batches]

    def program(ranks):
        layer = batchnorm()
        synchronise_batchnorm(layer, ranks)
        outputs = []
        for x, dy in batches:
            layer.shard = own = shard(n, ranks.rank, size)
            y = layer.forward(x[own.rows])
            outputs.append((own, y, layer.backward(dy[own.rows] / own.copies)))
        return layer, outputs

    results = on_ranks(size, program)
    for layer, outputs in results:
        for (own, y, dx), (y_whole, dx_whole) in zip(outputs, expected, strict=True):
            close(y, y_whole[own.rows], 1e-12)
            close(dx * own.copies, dx_whole[own.rows], 1e-12)
        close(layer.running_mean, whole.running_mean, 1e-12)
        close(layer.running_var, whole.running_var, 1e-12)
        assert np.array_equal(layer.running_var, results[0][0].running_var)
    for name in ("weight", "bias"):
        total = sum(getattr(layer, name).grad for layer, _ in results)
        close(total, getattr(whole, name).grad, 1e-12, name)


def test_far_from_zero_float32_keeps_its_digits():
    x = (1000 + np.random.default_rng(0).standard_normal((8, 3, 5, 7))).astype(np.float32)
    expected = BatchNorm2d(3).astype(np.float64).forward(x.astype(np.float64))

    def program(ranks):
        layer, = synchronise_batchnorm(BatchNorm2d(3), ranks)
        layer.shard = shard(8, ranks.rank, 2)
        return layer.forward(x[layer.shard.rows])

    y = np.concatenate(on_ranks(2, program))
    assert y.dtype == np.float32
    close(y, expected, 1e-3)


def test_a_synchronised_layer_is_the_same_object_with_the_same_state():
    net = Sequential(conv=Conv2d(1, 3, 1), bn=BatchNorm2d(3))
    before, names, weight = net.bn, list(net.state_dict()), net.bn.weight
    ranks = ThreadCommunicator(0, 2, [], None)
    assert synchronise_batchnorm(net, ranks) == [before] == synchronise_batchnorm(net, ranks)
    assert net.bn is before and net.bn.weight is weight and type(before) is SyncBatchNorm2d
    assert list(net.state_dict()) == names
    assert repr(before) == "SyncBatchNorm2d(3)"


def test_evaluation_asks_nobody():
    layer, plain = batchnorm().eval(), batchnorm().eval()
    synchronise_batchnorm(layer, ThreadCommunicator(0, 2, None, None))
    x, dy = np.random.default_rng(0).standard_normal((2, 4, 3, 2, 2))
    assert np.array_equal(layer.forward(x), plain.forward(x))
    assert np.array_equal(layer.backward(dy), plain.backward(dy))
    assert np.array_equal(layer.weight.grad, plain.weight.grad)
    assert np.array_equal(layer.bias.grad, plain.bias.grad)


def test_batchnorm_that_was_told_nothing_or_something_else():
    layer, = synchronise_batchnorm(batchnorm(), ThreadCommunicator(0, 2, None, None))
    with pytest.raises(ValueError, match=r"must be told which rows.*None at last; got 4 images: "
                                         r"call DataParallel.take\(n\)"):
        layer.forward(np.ones((4, 3, 2, 2)))
    layer.shard = shard(6, 0, 2)
    with pytest.raises(ValueError, match=r"slice\(0, 3, None\) at last; got 4 images"):
        layer.forward(np.ones((4, 3, 2, 2)))
    layer.shard = shard(1, 0, 2)
    with pytest.raises(ValueError, match="more than one number a channel"):
        layer.forward(np.ones((1, 3, 1, 1)))


def test_another_kind_of_batchnorm_is_refused_before_anything_changes():
    class Own(BatchNorm2d):
        pass

    net = Sequential(a=BatchNorm2d(1), b=Own(1))
    with pytest.raises(ValueError, match="b is a Own, which does not know how"):
        synchronise_batchnorm(net, ThreadCommunicator(0, 2, None, None))
    assert type(net.a) is BatchNorm2d


# ── random masks ─────────────────────────────────────────────────────────────────────


def test_each_rank_draws_its_rows_of_what_one_process_draws():
    whole = np.random.default_rng(5)
    ranks = [ShardedGenerator(np.random.default_rng(5)) for _ in range(3)]
    for n, rest, dtype in ((7, (3, 5), np.float32), (3, (), np.float64), (2, (4,), np.float32)):
        drawn = whole.random((n, *rest), dtype=dtype)
        for rank, generator in enumerate(ranks):
            generator.shard = shard(n, rank, 3)
            rows = drawn[generator.shard.rows]
            own = generator.random(rows.shape if rest else len(rows), dtype=dtype)
            assert own.dtype == dtype and np.array_equal(own, rows)
    assert all(r.bit_generator.state == whole.bit_generator.state for r in ranks)


def test_shared_generators_stay_shared_and_others_apart():
    rng = np.random.default_rng(0)
    net = Sequential(Dropout(0.5, rng=rng), StochasticDepth(0.5, rng=rng), Dropout(0.5, rng=1))
    first, second = share_generators(net)
    assert net[0].rng is net[1].rng is first and net[2].rng is second
    assert first.bit_generator is rng.bit_generator
    assert share_generators(net) == [first, second]             # a second training


def test_a_generator_out_of_reach_is_refused_before_anything_changes():
    net = Sequential(Dropout(0.5, rng=0), Dropout(0.5, rng=1))
    net[1].more = {"rows": [np.random.default_rng(2)]}
    with pytest.raises(ValueError, match="^1.more.rows.0 is a Generator inside a dict"):
        share_generators(net)
    assert isinstance(net[0].rng, np.random.Generator)


def test_a_sharded_generator_draws_nothing_else():
    generator = ShardedGenerator(np.random.default_rng(0))
    with pytest.raises(AttributeError, match=r"has no 'integers'.*draws with .random"):
        generator.integers(3)
    with pytest.raises(ValueError, match="None at last; got 4 images"):
        generator.random((4, 2))
    generator.shard = shard(6, 1, 2)
    with pytest.raises(ValueError, match=r"slice\(3, 6, None\) at last; got 4 images"):
        generator.random((4, 2))


# ── gradients ────────────────────────────────────────────────────────────────────────


def test_gradients_travel_in_one_message_a_dtype_and_one_buffer():
    def program(ranks):
        parameters = [Parameter(np.ones(shape, dtype)) for shape, dtype in
                      (((2, 3), np.float32), (4, np.float64), (5, np.float32), (2, np.float32))]
        parameters[3].frozen = True
        grads = [p.grad for p in parameters]
        parallel = DataParallel(Linear(1, 1), ranks)
        ranks.sent.clear()
        for _ in range(2):
            for i, p in enumerate(parameters):
                p.grad[...] = (i + 1) * (ranks.rank + 1) + np.arange(p.grad.size).reshape(
                    p.grad.shape)
            parallel.sum_gradients(parameters)
        assert all(p.grad is grad for p, grad in zip(parameters, grads, strict=True))
        assert [(m.size, m.dtype) for m in ranks.sent] == 2 * [(11, np.float32), (4, np.float64)]
        assert ranks.sent[0] is ranks.sent[2]
        return ranks.rank, parameters

    for rank, parameters in on_ranks(3, program):
        for i, p in enumerate(parameters[:3]):
            expected = 6 * (i + 1) + 3 * np.arange(p.grad.size).reshape(p.grad.shape)
            assert np.array_equal(p.grad, expected)
        assert parameters[3].grad.tolist() == [4 * (rank + 1), 4 * (rank + 1) + 1]


# ── training ─────────────────────────────────────────────────────────────────────────


def train(net, ranks, batches, device="cpu"):
    """SGD steps as the training loop takes them; returns the loss and the share of errors."""
    net.train()
    sgd = optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    loss, curve = SoftmaxCrossEntropy(), []
    parallel = DataParallel(net, ranks)
    for x, labels in batches:
        rows, weight = parallel.take(len(x))
        x, y = to_device(x[rows], device), to_device(labels[rows], device)
        outputs = net.forward(x)
        logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        curve.append(parallel.mean(float(loss.forward(logits, y)),
                                   float((logits.argmax(axis=1) != y).mean())))
        dys = [loss.backward(weight)]
        for head in heads:
            loss.forward(head, y)
            dys.append(loss.backward(0.3 * weight))
        sgd.zero_grad()
        net.backward(*dys)
        parallel.sum_gradients(sgd.parameters)
        sgd.step()
    return curve, net.eval().state_dict()


def batches_of(*sizes, shape=(1, 32, 32), dtype=np.float64):
    rng = np.random.default_rng(7)
    return [(rng.standard_normal((n, *shape)).astype(dtype), rng.integers(0, 4, n))
            for n in sizes]


def network(name, seed=0):
    return models.get_model(name, num_classes=4, in_channels=1, rng=seed).astype(np.float64)


LONG = {"densenet_small", "inception_resnet_v2_small", "inception_v4_small", "nasnet_small"}
SMALL = [pytest.param(name, marks=pytest.mark.slow if name in LONG else ())
         for name in models.list_models() if name.endswith("_small")]
STEPS = {"alexnet_small": (7, 8, 2), "resnet_small": (7, 8, 2), "efficientnet_small": (7, 8, 2)}


@pytest.mark.parametrize("name", SMALL)
def test_three_ranks_train_as_one_process(name):
    """Seven and four images do not divide by three; two are fewer than the ranks."""
    batches = batches_of(*STEPS.get(name, (4,)))
    curve, state = train(network(name), Alone(), batches)
    results = on_ranks(3, lambda ranks: train(network(name, seed=ranks.rank), ranks, batches))
    for own_curve, own_state in results:
        close(own_curve, curve, 1e-10)
        for key, array in own_state.items():
            close(array, state[key], 1e-10, key)
            assert np.array_equal(array, results[0][1][key]), key


@pytest.mark.parametrize("name", ["alexnet_small", "mobilenet_v1_small"])
def test_two_ranks_train_as_one_process(name):
    batches = batches_of(5, 4, 1) if name == "alexnet_small" else batches_of(5, 4)
    curve, state = train(network(name), Alone(), batches)
    for own_curve, own_state in on_ranks(2, lambda ranks: train(network(name), ranks, batches)):
        close(own_curve, curve, 1e-10)
        for key, array in own_state.items():
            close(array, state[key], 1e-10, key)


def test_rows_may_be_asked_ahead_of_the_batch():
    def program(ranks):
        parallel = DataParallel(Sequential(Dropout(0.5, rng=0)), ranks)
        taken, _ = parallel.take(4)
        ahead = parallel.rows(7)                            # as a loader does for the next one
        return taken, ahead, parallel.mean(ranks.rank)

    assert on_ranks(2, program) == [(slice(0, 2), slice(0, 3), [0.5]),
                                    (slice(2, 4), slice(3, 7), [0.5])]


def test_ranks_begin_with_rank_0s_network_and_generators():
    def program(ranks):
        net = Sequential(Linear(2, 3, rng=ranks.rank), Dropout(0.5, rng=10 + ranks.rank))
        DataParallel(net, ranks)
        return net.state_dict(), net[1].rng.bit_generator.state

    expected = Linear(2, 3, rng=0).state_dict()
    for state, drawn in on_ranks(2, program):
        assert np.array_equal(state["0.weight"], expected["weight"])
        assert drawn == np.random.default_rng(10).bit_generator.state


def test_alone_changes_nothing():
    net = Sequential(BatchNorm2d(2), Dropout(0.5, rng=0))
    parallel = DataParallel(net, Alone())
    assert type(net[0]) is BatchNorm2d and isinstance(net[1].rng, np.random.Generator)
    assert parallel.take(5) == (parallel.rows(5), 1) == (slice(0, 5), 1)
    assert parallel.mean(0.25, 3) == [0.25, 3]
    net[0].weight.grad[...] = 2
    parallel.sum_gradients(net.parameters())
    assert net[0].weight.grad.tolist() == [2, 2]
    with Alone() as ranks:
        assert ranks.any(True) and not ranks.any(False) and ranks.share("x") == "x"
        assert ranks.sum(np.ones(2)).tolist() == [1, 1]


def small_network():
    return Sequential(Conv2d(1, 3, 3, rng=0), BatchNorm2d(3), StochasticDepth(0.3, rng=1),
                      Flatten(), Dropout(0.3, rng=2), Linear(48, 4, rng=3))


def test_ranks_train_on_the_gpu_as_one_process_on_the_cpu():
    batches = batches_of(7, 2, shape=(1, 6, 6), dtype=np.float32)
    curve, state = train(small_network(), Alone(), batches)
    with strict_cupy.installed():
        results = on_ranks(3, lambda ranks: train(small_network().to("gpu"), GpuThread(ranks),
                                                  batches, "gpu"))
    for own_curve, own_state in results:
        close(own_curve, curve, 1e-5)
        for key, array in own_state.items():
            close(array, state[key], 1e-4, key)


class GpuThread(Communicator):
    """Sums device arrays, after a look that they are what NCCL can sum."""

    def __init__(self, ranks):
        self.ranks, self.rank, self.size = ranks, ranks.rank, ranks.size

    def sum_in_place(self, array):
        assert array.flags.c_contiguous
        self.ranks.sum_in_place(array)

    def broadcast(self, array, root=0):
        self.ranks.broadcast(array, root)


# ── which communicator ───────────────────────────────────────────────────────────────


@pytest.fixture
def no_mpiexec(monkeypatch):
    """As if not started by mpiexec, and with the excepthook put back afterwards."""
    for name in list(os.environ):
        if name.startswith(("OMPI_", "PMI", "MV2_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    return monkeypatch


class World:
    """The part of an mpi4py communicator that needs no messages."""

    def __init__(self, size, rank=0):
        self.Get_size, self.Get_rank = lambda: size, lambda: rank
        self.Split_type = lambda kind: World(size, rank)
        self.aborted = []
        self.Abort = self.aborted.append


def offer_mpi(monkeypatch, world):
    mpi = types.SimpleNamespace(COMM_WORLD=world, COMM_TYPE_SHARED=1,
                                Get_library_version=lambda: "Some MPI 1.2\nmore")
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=mpi))


def test_alone_unless_mpiexec_started_several(no_mpiexec):
    no_mpiexec.setitem(sys.modules, "mpi4py", None)
    assert isinstance(communicator(), Alone)
    no_mpiexec.setenv("PMI_SIZE", "1")
    assert isinstance(communicator(), Alone)
    assert repr(communicator()) == "Alone(rank 0 of 1)"


@pytest.mark.parametrize("name, value", [("OMPI_COMM_WORLD_SIZE", "2"), ("PMI_SIZE", "2"),
                                         ("MV2_COMM_WORLD_SIZE", "2"), ("PMIX_RANK", "0")])
def test_mpi_if_mpiexec_started_several(no_mpiexec, name, value):
    offer_mpi(no_mpiexec, World(2, rank=1))
    no_mpiexec.setenv(name, value)
    ranks = communicator()
    assert isinstance(ranks, Mpi) and (ranks.rank, ranks.size) == (1, 2)


def test_several_processes_without_mpi4py(no_mpiexec):
    no_mpiexec.setitem(sys.modules, "mpi4py", None)
    no_mpiexec.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(ImportError, match=r'need mpi4py.*pip install "scratchnet\[mpi\]"'):
        communicator()


def test_two_mpis_that_do_not_know_each_other(no_mpiexec):
    """Else four processes would train four networks, one over the other."""
    offer_mpi(no_mpiexec, World(1))
    no_mpiexec.setenv("PMI_SIZE", "4")
    with pytest.raises(RuntimeError, match="started 4 processes, but mpi4py sees 1.*Some MPI 1.2$"):
        communicator()


def test_a_device_that_is_not_there(no_mpiexec):
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        communicator("tpu")


def test_mpi_refuses_device_arrays(no_mpiexec):
    with strict_cupy.installed() as cupy, pytest.raises(ValueError, match="communicator.'gpu'"):
        Mpi(World(2)).sum_in_place(cupy.ones(3))


@pytest.mark.parametrize("error, status, text", [
    (OSError("disk full"), 1, "OSError: disk full"), (SystemExit(3), 3, ""),
    (SystemExit("no such file"), 1, "no such file"), (KeyboardInterrupt(), 1, "KeyboardInterrupt"),
])
def test_a_block_that_fails_ends_all_ranks(no_mpiexec, capsys, error, status, text):
    world = World(2)
    with pytest.raises(type(error)), Mpi(world):
        raise error
    assert world.aborted == [status]
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, None])
def test_a_block_that_ends_well_ends_nobody(no_mpiexec, code):
    world = World(2)
    with Mpi(world):
        pass
    with pytest.raises(SystemExit), Mpi(world):
        sys.exit(code)
    assert world.aborted == []


def test_importing_the_parts_imports_neither_mpi_nor_cupy():
    code = ("import sys, scratchnet.training.parallel\n"
            "assert not {'mpi4py', 'cupy'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


# ── NCCL ─────────────────────────────────────────────────────────────────────────────


class StrictNccl(types.ModuleType):
    """cupy.cuda.nccl as CuPy documents it, between threads: pointers, counts and types."""

    available = True
    NCCL_FLOAT32, NCCL_FLOAT64, NCCL_SUM = 7, 8, 0
    UNIQUE_ID = b"x" * 128

    def __init__(self, size):
        super().__init__("cupy.cuda.nccl")
        self.size, self.table, self.barrier = size, [None] * size, threading.Barrier(size)
        self.asked = 0

    def get_unique_id(self):
        self.asked += 1
        return self.UNIQUE_ID

    def NcclCommunicator(self, ndev, commId, rank):
        assert ndev == self.size and commId == self.UNIQUE_ID and 0 <= rank < ndev
        return StrictNcclCommunicator(self, rank)


class StrictNcclCommunicator:
    def __init__(self, nccl, rank):
        self.ranks = ThreadCommunicator(rank, nccl.size, nccl.table, nccl.barrier)

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        assert op == StrictNccl.NCCL_SUM and stream == 42
        self.memory(recvbuf, count, datatype)[...] = self.ranks.sum(
            self.memory(sendbuf, count, datatype))

    def bcast(self, buff, count, datatype, root, stream):
        assert stream == 42
        self.ranks.broadcast(self.memory(buff, count, datatype), root)

    def memory(self, pointer, count, datatype):
        kind = {7: ctypes.c_float, 8: ctypes.c_double}[datatype]
        return np.ctypeslib.as_array((kind * count).from_address(pointer))


@pytest.fixture
def nccl(no_mpiexec):
    """Two cards, NCCL between them, and CuPy's pointers, for threads."""
    module = StrictNccl(2)
    no_mpiexec.setattr(strict_cupy.ndarray, "data", raising=False, value=property(
        lambda array: types.SimpleNamespace(ptr=array._host.ctypes.data)))
    no_mpiexec.setattr(strict_cupy._Stream, "ptr", 42, raising=False)
    no_mpiexec.setattr(strict_cupy.cuda, "nccl", module, raising=False)
    offer_mpi(no_mpiexec, None)
    with strict_cupy.installed():
        yield module


def host_ranks(ranks):
    ranks.world = World(ranks.size, ranks.rank)
    return ranks


def test_nccl_sums_on_the_cards_and_mpi_on_the_host(nccl):
    import cupy

    def program(ranks):
        cards = Nccl(host_ranks(ranks))
        for dtype in (np.float32, np.float64):
            array = cupy.asarray(np.arange(6, dtype=dtype).reshape(2, 3) + 10 * cards.rank)
            total = cards.sum(array)
            assert to_host(total).tolist() == [[10, 12, 14], [16, 18, 20]]
            cards.broadcast(array, root=1)
            assert to_host(array).tolist() == [[10, 11, 12], [13, 14, 15]]
        ranks.sent.clear()
        assert cards.any(cards.rank == 1) and cards.share(cards.rank, root=1) == 1
        assert len(ranks.sent) == 1
        for array, message in ((cupy.ones((2, 3)).T, "contiguous"),
                               (cupy.ones(2, dtype=np.int64), "float32 and float64; got int64")):
            with pytest.raises(ValueError, match=message):
                cards.sum_in_place(array)
        return cards

    assert [cards.rank for cards in on_ranks(2, program)] == [0, 1]
    assert nccl.asked == 1                                  # one id for all


def test_nccl_trains_as_one_process(nccl):
    batches = batches_of(7, 4, shape=(1, 6, 6))
    curve, state = train(small_network().astype(np.float64), Alone(), batches)

    def program(ranks):
        net = small_network().astype(np.float64).to("gpu")
        return train(net, Nccl(host_ranks(ranks)), batches, "gpu")

    for own_curve, own_state in on_ranks(2, program):
        close(own_curve, curve, 1e-10)
        for key, array in own_state.items():
            close(array, state[key], 1e-10, key)


def test_nccl_that_is_missing_or_refuses(nccl):
    nccl.NcclCommunicator = lambda *arguments: 1 / 0
    with pytest.raises(RuntimeError, match="cannot join 2 ranks.*each needs a card of its own"):
        on_ranks(2, lambda ranks: Nccl(host_ranks(ranks)))
    nccl.available = False
    with pytest.raises(RuntimeError, match="needs NCCL, which this CuPy does not find"):
        on_ranks(2, lambda ranks: Nccl(host_ranks(ranks)))


# ── under mpiexec ────────────────────────────────────────────────────────────────────

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None,
                               reason="needs mpiexec and mpi4py")
HERE = Path(__file__).parent


def environment():
    """This process's, with scratchnet found and two processes allowed on one core, by root."""
    path = os.pathsep.join([str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
    return os.environ | {
        "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "MPIEXEC_TIMEOUT": "60",
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_mpi_yield_when_idle": "1"}


def two_processes(*arguments):
    return subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, HERE / "mpi_program.py", *map(str, arguments)],
        env=environment(), capture_output=True, text=True, timeout=90)


@needs_mpi
def test_mpi_sums_broadcasts_and_votes():
    done = two_processes("messages")
    assert done.returncode == 0, done.stderr


@needs_mpi
def test_two_processes_train_as_one(tmp_path):
    from mpi_program import steps
    done = two_processes("train", tmp_path / "net.npz")
    assert done.returncode == 0, done.stderr
    net = models.efficientnet_small(num_classes=4, in_channels=1, rng=0).astype(np.float64).train()
    losses = steps(net, Alone())
    with np.load(tmp_path / "net.npz") as saved:
        close(saved["losses"], losses, 1e-10)
        for name, array in net.state_dict().items():
            close(saved[name], array, 1e-10, name)


@needs_mpi
@pytest.mark.parametrize("part, status, text", [
    ("fails_in_the_block", 1, "OSError: the disk of rank 1 is full"),
    ("fails_anywhere", 1, "OSError: the disk of rank 1 is full"),
    ("leaves_the_block", 7, ""),
])
def test_an_end_of_one_process_ends_the_other(part, status, text):
    done = two_processes(part)
    assert done.returncode == status, done.stderr
    assert text in done.stderr
    assert "timeout" not in done.stderr.lower()             # they were not ended from outside
