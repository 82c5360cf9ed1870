"""Is anything lost when a run is killed? Runs are ended by SIGKILL at random moments and resumed.

    python benchmarks/killed_runs.py                200 runs, each killed once or more
    python benchmarks/killed_runs.py --runs 20

Each run trains a small network (dropout, batch norm, momentum, a moving average, augmentation,
two loader threads) and saves after every update, so that many kills come in the middle of a save.
After every kill the newest checkpoint must be whole; at the end all that the folder holds
must be that of the run that nobody killed, bit for bit: parameters, running averages, velocities,
moving averages, generators, history, the best weights, and each line of the log (but for its
seconds). Exits with 1 if something is not, and writes benchmarks/results/killed_runs.json.
"""
import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from scratchnet import data, optim, training
from scratchnet.archive import read_npz
from scratchnet.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from scratchnet.training import checkpoint

RESULTS = Path(__file__).parent / "results" / "killed_runs.json"


def train(folder: Path) -> None:
    """One run, gone on with if it was begun; at its end, a file with the digest of all it is."""
    with threadpool_limits(limits=1):
        digits = data.load_digits()
        part = slice(0, 160)
        rng = np.random.default_rng(0)
        net = Sequential(conv=Conv2d(1, 6, 3, padding=1, rng=rng), norm=BatchNorm2d(6),
                         relu=ReLU(), flat=Flatten(), drop=Dropout(0.3, rng=rng),
                         fc=Linear(384, 10, rng=rng))
        sgd = optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
        training.fit(
            net, (digits.train.images[part], digits.train.labels[part]), digits.validation, sgd,
            epochs=6, batch_size=16, schedule=training.Plateau(patience=1), rng=1, progress=False,
            transform=data.random_shift, average=optim.MovingAverage(net, 0.9), workers=2,
            out=folder, resume=True, save_every=0)
    (folder / "digest").write_text(digest(folder))


def digest(folder: Path) -> str:
    """One number for all that a finished run has left, but for its seconds."""
    arrays, facts = checkpoint.read(checkpoint.newest_first(folder)[0])
    arrays |= {f"best.{name}": array for name, array in read_npz(folder / "best.npz").items()}
    lines = [json.loads(line) for line in (folder / "updates.jsonl").read_text().splitlines()]
    told = [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
    found = hashlib.sha256(json.dumps([facts, told]).encode())
    found.update((folder / "log.csv").read_bytes())
    for name, array in sorted(arrays.items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


def killed_and_resumed(folder: Path, seconds: float, rng: np.random.Generator) -> dict[str, int]:
    """Kill the run at random moments until it has once been let through; count what was seen."""
    seen = {"kills": 0, "in a save": 0, "broken newest": 0}
    while not (folder / "digest").exists():
        child = multiprocessing.get_context("fork").Process(target=train, args=(folder,))
        child.start()
        if seen["kills"] and rng.random() < 0.5:            # a run ends sometime
            child.join()
        else:
            child.join(timeout=rng.uniform(0, seconds))
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            seen["kills"] += 1
            seen["in a save"] += any(folder.glob(".*.tmp"))
            if newest := checkpoint.newest_first(folder)[:1]:
                try:
                    checkpoint.read(newest[0])
                except ValueError:
                    seen["broken newest"] += 1
        elif child.exitcode:
            raise RuntimeError(f"a run ended with {child.exitcode}")
        elif not seen["kills"]:                             # it was faster: once more
            for path in folder.iterdir():
                path.unlink()
    return seen


def measure(runs: int, seed: int, progress: bool = True) -> dict:
    """Kill and resume `runs` runs; returns what is written to the results."""
    rng = np.random.default_rng(seed)
    totals = {"kills": 0, "in a save": 0, "broken newest": 0}
    identical = 0
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        whole.mkdir()
        began = time.monotonic()
        child = multiprocessing.get_context("fork").Process(target=train, args=(whole,))
        child.start()
        child.join()
        seconds = time.monotonic() - began
        expected = (whole / "digest").read_text()
        for run in tqdm(range(runs), unit="run", disable=not progress):
            folder = Path(name) / str(run)
            folder.mkdir()
            for key, count in killed_and_resumed(folder, seconds, rng).items():
                totals[key] += count
            identical += (folder / "digest").read_text() == expected
    return {"runs": runs, "ended bit-identical": identical, **totals,
            "updates a run": 60, "seconds of an uninterrupted run": round(seconds, 2)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = measure(options.runs, options.seed)
    print(json.dumps(result, indent=2))
    good = result["ended bit-identical"] == result["runs"] and not result["broken newest"]
    if good:
        RESULTS.write_text(json.dumps(
            {**result, "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
                                  f"NumPy {np.__version__}, Python {platform.python_version()}"},
            indent=2) + "\n")
    sys.exit(not good)
