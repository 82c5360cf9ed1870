"""What do augmentation, dropout, transfer and ensembles bring, where images are few?

    python benchmarks/training_experiments.py --folder runs/experiments
    python benchmarks/training_experiments.py --folder runs/experiments --parts 2

1  alexnet_small on a thousand drawn shapes: with and without augmentation (moved and mirrored),
   with and without dropout. The same number of updates for all four.
2  the networks of part 1 with the lowest validation error read digits, of which ten a class are
   labelled (others for each seed): by a new head on their features, and fine-tuned; against
   the same network trained from nothing on the same digits, just as long, of the same rates.
3  five networks of that kind as an ensemble.

The sizes, the rates, and the kind of network that parts 2 and 3 go on with, are chosen by the
validation error; test images are looked at once, by the weights of a run's last epoch. A training
error is measured after the run, as the others are: images not varied, dropout off. Between the
seeds lie other weights, another order, other augmentation; ± is the standard deviation over them.

Every run is a folder of --folder. If the command is cut off, the same command goes on: what is
there is not computed again. Writes benchmarks/results/training_experiments.json, a part at a time.
"""
import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from scratchnet import data, models, optim, training, weights
from scratchnet.layer import Layer

RESULTS = Path(__file__).parent / "results" / "training_experiments.json"
KINDS = ((False, False), (False, True), (True, False), (True, True))    # augmentation, dropout


class Sizes(NamedTuple):
    """How much of everything; a folder of runs belongs to one of these."""

    train: int = 1000               # shapes
    validation: int = 500
    test: int = 2000
    difficulty: float = 0.3
    epochs: int = 30
    batch: int = 32
    rate: float = 0.02              # for all four kinds of part 1
    seeds: int = 3
    members: int = 5                # of the ensemble
    digits: int = 10                # labelled, of each class
    digits_batch: int = 25
    digits_epochs: int = 100        # fine-tuned and from nothing alike
    digits_rates: tuple[float, ...] = (0.01, 0.02, 0.04)
    head_epochs: int = 200
    head_rates: tuple[float, ...] = (0.003, 0.01, 0.03)


class Trained(NamedTuple):
    """A run that is done: the network, its errors by the part's name, and how long it took."""

    net: Layer
    errors: dict[str, float]
    seconds: float                  # of the processor


# ── a run ────────────────────────────────────────────────────────────────────────────


def alexnet(dropout: bool, seed: int) -> Layer:
    """alexnet_small for colour images, initialised by He's rule."""
    net = models.alexnet_small(in_channels=3, rng=seed)
    if not dropout:
        net.drop6.p = net.drop7.p = 0.0
    return net


def train(folder: Path, net: Layer, sets: Any, vary: Callable | None, rate: float, epochs: int,
          batch: int, seed: int) -> Trained:
    """Train in `folder`, or find there what was trained; `sets` are normalised already.

    SGD with momentum 0.9 and weight decay 0.0005, gradients no longer than 5; the rate grows for
    two epochs and falls to 0 along a cosine.
    """
    done = folder / "done.json"
    if not done.exists():
        with timed(folder):
            sgd = optim.SGD(net.parameters(), rate, 0.9, 5e-4)
            rates = training.WarmUp(training.Cosine(epochs), epochs=2)
            training.fit(net, sets.train, sets.validation, sgd, epochs, batch, rates, vary,
                         rng=seed, progress=False, clip=5.0, out=folder, resume=True)
            errors = errors_of(net, sets)
        weights.save(net, folder / "last.npz")
        done.write_text(json.dumps({"errors": errors, "seconds": seconds(folder)}))
        print(f"  {folder.name}: training {errors['train']:.1%}, validation "
              f"{errors['validation']:.1%}, {seconds(folder):.0f} s", flush=True)
    weights.load(net, folder / "last.npz")
    return Trained(net, **json.loads(done.read_text()))


def errors_of(net: Layer, sets: Any) -> dict[str, float]:
    return {part: training.evaluate(net, *getattr(sets, part))[1] for part in sets._fields}


@contextmanager
def timed(folder: Path) -> Iterator[None]:
    """Keep the account of a run's processor time, in as many pieces as it may have come to be."""
    before, began = seconds(folder), time.process_time()
    try:
        yield
    finally:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "seconds").write_text(str(before + time.process_time() - began))


def seconds(folder: Path) -> float:
    """Processor seconds that the run has taken so far."""
    file = folder / "seconds"
    return float(file.read_text()) if file.exists() else 0.0


def normalised(sets: Any) -> Any:
    """The three parts with each channel of mean 0 and deviation 1, by the training images."""
    normalise = data.Normalise.of(sets.train.images)
    return sets._replace(**{part: data.Split(normalise(split.images), split.labels)
                            for part, split in sets._asdict().items()})


def table(rows: list[dict], label: str) -> str:
    """The rows' errors as lines of text."""
    width = max(len(row[label]) for row in rows) + 2
    lines = [f"{label:{width}s}" + "".join(f"{name:>16s}" for name in ("training", "validation",
                                                                       "test"))]
    for row in rows:
        lines.append(f"{row[label]:{width}s}" + "".join(
            f"{spread(row[name]):>16s}" for name in ("training", "validation", "test")))
    return "\n".join(lines)


def spread(errors: list[float]) -> str:
    return f"{mean(errors):.1%} ± {stdev(errors) if len(errors) > 1 else 0:.1%}"


def row(label: str, name: str, runs: list[Trained], **more: Any) -> dict:
    """What is written of some runs that differ in their seed: errors, one a seed."""
    return {label: name, **more,
            "training": [run.errors["train"] for run in runs],
            "validation": [run.errors["validation"] for run in runs],
            "test": [run.errors["test"] for run in runs],
            "seconds": [round(run.seconds, 1) for run in runs]}


# ── part 1: augmentation and dropout ─────────────────────────────────────────────────


AUGMENTATION = data.Compose([data.RandomShift(3), data.RandomReflection()])


@cache
def shapes(sizes: Sizes) -> Any:
    """The shapes, normalised."""
    drawn = data.load_shapes(32, sizes.train, sizes.validation, sizes.test, sizes.difficulty)
    return normalised(drawn)


def kind_name(augmentation: bool, dropout: bool) -> str:
    return {(False, False): "neither", (False, True): "dropout", (True, False): "augmentation",
            (True, True): "both"}[augmentation, dropout]


def shapes_run(sizes: Sizes, folder: Path, kind: tuple[bool, bool], seed: int) -> Trained:
    """One network of part 1."""
    augmentation, dropout = kind
    return train(folder / f"shapes-{kind_name(*kind)}-{seed}", alexnet(dropout, seed),
                 shapes(sizes), AUGMENTATION if augmentation else None, sizes.rate, sizes.epochs,
                 sizes.batch, seed)


def shapes_runs(sizes: Sizes, folder: Path) -> dict[tuple[bool, bool], list[Trained]]:
    """All of them: the four kinds with one seed, then with the next."""
    runs: dict[tuple[bool, bool], list[Trained]] = {kind: [] for kind in KINDS}
    for seed in range(sizes.seeds):
        for kind in KINDS:
            runs[kind].append(shapes_run(sizes, folder, kind, seed))
    return runs


def best_kind(sizes: Sizes, folder: Path) -> tuple[bool, bool]:
    """The kind of network with the lowest mean validation error in part 1."""
    runs = shapes_runs(sizes, folder)
    return min(KINDS, key=lambda kind: mean(run.errors["validation"] for run in runs[kind]))


def regularisation(sizes: Sizes, folder: Path) -> dict:
    """Part 1."""
    rows = [row("regularisation", kind_name(*kind), runs)
            for kind, runs in shapes_runs(sizes, folder).items()]
    print(table(rows, "regularisation"))
    return {"updates": sizes.epochs * -(-sizes.train // sizes.batch), "rows": rows}


# ── part 2: transfer ─────────────────────────────────────────────────────────────────


def few_digits(sizes: Sizes, seed: int) -> data.Digits:
    """`sizes.digits` of each class to train on, the other parts whole; three equal channels."""
    whole = data.load_digits(32)
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.choice(np.flatnonzero(whole.train.labels == c), sizes.digits,
                                        replace=False) for c in range(10)])
    few = whole._replace(train=data.Split(*(array[chosen] for array in whole.train)))
    return normalised(few._replace(**{
        part: data.Split(split.images.repeat(3, axis=1), split.labels)
        for part, split in few._asdict().items()}))


def transfer(sizes: Sizes, folder: Path) -> dict:
    """Part 2. Each way has the rate that is best on validation with seed 0."""
    kind = best_kind(sizes, folder)
    sets = [few_digits(sizes, seed) for seed in range(sizes.seeds)]
    shift = data.RandomShift(2)

    def donor(seed: int) -> Layer:
        """A network that knows shapes, with a new head."""
        return training.replace_head(shapes_run(sizes, folder, kind, seed).net, 10, rng=seed)

    def new_head(rate: float, seed: int) -> Trained:
        net, few, began = donor(seed), sets[seed], time.process_time()
        training.train_head(net, training.features(net, few.train.images), few.train.labels,
                            sizes.head_epochs, rate, 0.9, batch_size=sizes.digits_batch, rng=seed)
        return Trained(net, errors_of(net, few), time.process_time() - began)

    def fine_tuned(rate: float, seed: int) -> Trained:
        return train(folder / f"digits-fine-tuned-{rate:g}-{seed}", donor(seed), sets[seed], shift,
                     rate, sizes.digits_epochs, sizes.digits_batch, seed)

    def from_nothing(rate: float, seed: int) -> Trained:
        return train(folder / f"digits-from-nothing-{rate:g}-{seed}", alexnet(kind[1], seed),
                     sets[seed], shift, rate, sizes.digits_epochs, sizes.digits_batch, seed)

    rows = []
    for name, way, rates, epochs in (
            ("new head", new_head, sizes.head_rates, sizes.head_epochs),
            ("fine-tuned", fine_tuned, sizes.digits_rates, sizes.digits_epochs),
            ("from nothing", from_nothing, sizes.digits_rates, sizes.digits_epochs)):
        tried = {rate: way(rate, 0) for rate in rates}
        best = min(rates, key=lambda rate: tried[rate].errors["validation"])
        runs = [tried[best], *(way(best, seed) for seed in range(1, sizes.seeds))]
        rows.append(row("digits read by", name, runs, epochs=epochs, rate=best, validation_by_rate={
            f"{rate:g}": run.errors["validation"] for rate, run in tried.items()}))
    print(table(rows, "digits read by"))
    return {"labelled": 10 * sizes.digits, "donors": kind_name(*kind), "rows": rows}


# ── part 3: an ensemble ──────────────────────────────────────────────────────────────


def ensemble(sizes: Sizes, folder: Path) -> dict:
    """Part 3; the members that part 1 did not have are trained here."""
    kind = best_kind(sizes, folder)
    runs = [shapes_run(sizes, folder, kind, seed) for seed in range(sizes.members)]
    found = training.Ensemble([run.net for run in runs]).evaluate(*shapes(sizes).test)
    print(found)
    return {"kind": kind_name(*kind), "members": [list(errors) for errors in found.members],
            "mean": list(found.mean), "ensemble": list(found.ensemble),
            "seconds": [round(run.seconds, 1) for run in runs]}


# ── all of them ──────────────────────────────────────────────────────────────────────

PARTS = {"1": regularisation, "2": transfer, "3": ensemble}


def check_folder(folder: Path, sizes: Sizes) -> None:
    """Raise ValueError if the runs in `folder` are of other sizes; note these in a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    file, text = folder / "sizes.json", json.dumps(sizes._asdict())
    if file.exists() and file.read_text("utf-8") != text:
        raise ValueError(f"{folder} has the runs of other sizes, {file.read_text('utf-8')}: name "
                         f"another folder")
    file.write_text(text, "utf-8")


def main(arguments: list[str], sizes: Sizes | None = None, results: Path = RESULTS) -> int:
    """Make the parts that are asked for, and write them into the results."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="1,2,3", help="separated by commas (default: 1,2,3)")
    parser.add_argument("--folder", type=Path, default=Path("runs/training_experiments"))
    options = parser.parse_args(arguments)
    parts = options.parts.split(",")
    if unknown := sorted(set(parts) - PARTS.keys()):
        parser.error(f"--parts: there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    sizes = sizes or Sizes()
    check_folder(options.folder, sizes)
    with threadpool_limits(limits=1):
        for part in parts:
            print(f"part {part}", flush=True)
            found = PARTS[part](sizes, options.folder)
            told = json.loads(results.read_text("utf-8")) if results.exists() else {}
            told = {"what": __doc__.splitlines()[0], "date": time.strftime("%Y-%m-%d"),
                    "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used; NumPy "
                               f"{np.__version__}, Python {platform.python_version()}",
                    "sizes": sizes._asdict(), "parts": {**told.get("parts", {}), part: found}}
            results.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
