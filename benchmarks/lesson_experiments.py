"""The training runs that are too long for a lesson, and that the lessons quote.

    python benchmarks/lesson_experiments.py [NAME …]

Each trains small networks that differ in one thing, from three seeds each, all with the recipe of
scratchnet.lesson.experiment, on pictures drawn for it (data.load_shapes):

    poolings    three convolutions, each followed by a way to halve the side: max 2×2, average
                2×2, a convolution with stride 2, max 3×3 with stride 2 (overlapping)
    relu_tanh   four convolutions with ReLU or tanh; also how many updates each needs until 25 %
                of the training set are wrong, at the best of four constant rates
    batch_norm  nine convolutions with nothing, LRN behind each ReLU or batch norm before
                it, at two rates
    depth       plain and residual networks of 8, 20 and 32 layers, built as CIFAR's are
    towers      how much colour there is in the two halves of a first layer, with two groups and
                with one, nine seeds: what `scratchnet lesson resnext --full` trains

Without names, all. Writes lessons/experiments.json after each and keeps the others in it; about
a quarter of an hour on one core.
"""
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from scratchnet import data, initialization, optim, training
from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from scratchnet.lesson.experiment import experiment
from scratchnet.models.cifar_resnet import PadShortcut
from scratchnet.models.resnet import BasicBlock, PlainBlock

RESULTS = Path(__file__).parents[1] / "lessons" / "experiments.json"
SEEDS = (0, 1, 2)


# ── what is compared ─────────────────────────────────────────────────────────────────


def poolings() -> dict:
    """Four ways to halve the side."""
    smaller: dict[str, Callable[[int, int], Layer]] = {
        "max 2×2": lambda C, seed: MaxPool2d(2),
        "average 2×2": lambda C, seed: AvgPool2d(2),
        "convolution 3×3, stride 2": lambda C, seed: Sequential(
            Conv2d(C, C, 3, stride=2, padding=1, rng=seed), ReLU()),
        "max 3×3, stride 2": lambda C, seed: MaxPool2d(3, 2, ceil_mode=True)}

    def net(seed: int, how: Callable) -> Layer:
        body = [layer for C, O in ((3, 8), (8, 16), (16, 32))
                for layer in (Conv2d(C, O, 3, padding=1), ReLU(), how(O, seed))]
        return initialization.he(Sequential(*body, Flatten(), Linear(32 * 9, 10)), rng=seed)

    return compared("four ways to halve the side", Drawn(24, 1500, 0.2),
                    {name: lambda seed, how=how: net(seed, how) for name, how in smaller.items()},
                    epochs=10, lr=0.05)


def relu_tanh() -> dict:
    """Four convolutions with ReLU or tanh."""
    drawn, rates, most = Drawn(16, 1500, 0.1), (0.01, 0.02, 0.05, 0.1), 480
    sets = drawn.sets()
    nets = {"ReLU": lambda seed: initialization.he(four(ReLU), rng=seed),
            "tanh": lambda seed: initialization.xavier(four(Tanh), rng=seed)}
    needed = {name: {str(lr): [updates_to(0.25, make(seed), sets, lr, seed, most)
                               for seed in SEEDS] for lr in rates} for name, make in nets.items()}
    best = {name: min(table, key=lambda lr: median(table[lr])) for name, table in needed.items()}
    for name, table in needed.items():
        print(name, table, "best:", best[name], flush=True)
    found = compared("a network of four convolutions with ReLU or tanh", drawn, nets,
                     epochs=12, lr=0.05)
    return {**found, "updates_to_25": {name: needed[name][best[name]] for name in nets},
            "updates_to_25_rates": {name: float(lr) for name, lr in best.items()},
            "updates_to_25_all": needed, "updates_at_most": most}


def four(activation: type[Layer]) -> Sequential:
    """Four convolutions and a linear layer, for images of 16×16."""
    return Sequential(
        Conv2d(3, 12, 3, padding=1), activation(), Conv2d(12, 16, 3, padding=1), activation(),
        MaxPool2d(2), Conv2d(16, 24, 3, padding=1), activation(), MaxPool2d(2),
        Conv2d(24, 32, 3, padding=1), activation(), MaxPool2d(2), Flatten(), Linear(32 * 4, 10))


def updates_to(share: float, net: Layer, sets: Any, lr: float, seed: int, most: int) -> int:
    """How many updates until at most this share of 500 training images is wrong, in tens; `most`
    if it takes longer."""
    middle = sets.train.images.mean(axis=0)
    images, labels = sets.train.images - middle, sets.train.labels
    rng, loss = np.random.default_rng(seed), SoftmaxCrossEntropy()
    optimizer = optim.SGD(net.parameters(), lr, 0.9, 5e-4)
    for update in range(most):
        if update % 10 == 0 and training.evaluate(net, images[:500], labels[:500])[1] <= share:
            return update
        batch = rng.choice(len(labels), 64, replace=False)
        loss.forward(net.train().forward(images[batch]), labels[batch])
        net.zero_grad().backward(loss.backward())
        optim.clip_by_norm(net.parameters(), 5.0)
        optimizer.step()
    return most


def batch_norm() -> dict:
    """Nine convolutions with nothing, LRN or batch norm, at two rates."""
    def net(seed: int, kind: str) -> Layer:
        body: list[Layer] = []
        for stage, (C, O) in enumerate(((3, 10), (10, 16), (16, 24))):
            body += [MaxPool2d(2)] * (stage > 0)
            for inputs in (C, O, O):
                body += [Conv2d(inputs, O, 3, padding=1, bias=kind != "batch norm")]
                body += [BatchNorm2d(O)] if kind == "batch norm" else []
                body += [ReLU()]
                # k = 1 and a large α: our numbers are near 1, AlexNet's were near 100
                body += [LocalResponseNorm(5, 0.1, 0.75, 1.0)] if kind == "LRN" else []
        body += [AdaptiveAvgPool2d(1), Flatten(), Linear(24, 10)]
        return initialization.he(Sequential(*body), rng=seed)

    found: dict = {}
    for lr in (0.02, 0.1):
        variants = {f"{kind}, rate {lr}": lambda seed, kind=kind: net(seed, kind)
                    for kind in ("nothing", "LRN", "batch norm")}
        part = compared("nine convolutions with nothing, LRN or batch norm",
                        Drawn(16, 1500, 0.1), variants, epochs=10, lr=lr)
        for key, value in part.items():
            found[key] = {**found.get(key, {}), **value} if isinstance(value, dict) else value
    found["settings"] = found["settings"].replace("rate 0.1", "two rates")
    return found


def depth() -> dict:
    """Plain and residual networks of three depths."""
    def net(seed: int, block: type[Layer], n: int) -> Layer:
        def first(C: int) -> Layer:
            return block(C, 2 * C, 2, None if block is PlainBlock else PadShortcut(C, 2 * C))
        return initialization.he(Sequential(
            conv1=Conv2d(3, 6, 3, padding=1, bias=False), bn1=BatchNorm2d(6), relu=ReLU(),
            layer1=Sequential(*[block(6, 6) for _ in range(n)]),
            layer2=Sequential(first(6), *[block(12, 12) for _ in range(n - 1)]),
            layer3=Sequential(first(12), *[block(24, 24) for _ in range(n - 1)]),
            avgpool=AdaptiveAvgPool2d(1), flatten=Flatten(), fc=Linear(24, 10)), rng=seed)

    return compared("plain and residual networks of three depths", Drawn(16, 1000, 0.0),
                    {f"{name}, {6 * n + 2} layers": lambda seed, b=block, n=n: net(seed, b, n)
                     for n in (1, 3, 5) for name, block in (("plain", PlainBlock),
                                                            ("residual", BasicBlock))},
                    epochs=8, lr=0.1)


# ── how ──────────────────────────────────────────────────────────────────────────────


class Drawn(NamedTuple):
    """Which pictures to train and test on."""

    size: int
    train: int
    difficulty: float

    def sets(self) -> Any:
        """Draw them, and 1000 to test on."""
        return data.load_shapes(self.size, train=self.train, validation=1, test=1000,
                                difficulty=self.difficulty)

    def __str__(self) -> str:
        return f"{self.train} drawn shapes of {self.size}×{self.size}, difficulty {self.difficulty}"


def compared(what: str, drawn: Drawn, variants: Mapping[str, Callable[[int], Layer]],
             epochs: int, lr: float) -> dict:
    """Train all, and return what goes into the file: errors on the test and the training set."""
    sets = drawn.sets()
    nets: dict[str, list[Layer]] = {name: [] for name in variants}

    def keeping(name: str) -> Callable[[int], Layer]:
        def make(seed: int) -> Layer:
            nets[name].append(variants[name](seed))
            return nets[name][-1]
        return make

    errors = experiment({name: keeping(name) for name in variants}, sets, seeds=SEEDS,
                        epochs=epochs, lr=lr, say=lambda text: print(text, flush=True))
    images, labels = sets.train.images - sets.train.images.mean(axis=0), sets.train.labels
    train = {name: [training.evaluate(net, images, labels)[1] for net in each]
             for name, each in nets.items()}
    return {"what": what, "settings": f"{drawn}, {epochs} epochs, rate {lr:g}, seeds "
            f"{', '.join(map(str, SEEDS))}", "errors": rounded(errors),
            "train_errors": rounded(train)}


def rounded(errors: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """To four places."""
    return {name: [round(float(e), 4) for e in each] for name, each in errors.items()}


def towers() -> dict:
    """The longer version of the lesson on groups, run by itself."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([sys.executable, "-m", "scratchnet.cli", "lesson", "resnext", "--full",
                        "--out", out], check=True, stdout=subprocess.DEVNULL)
        halves = json.loads((Path(out) / "towers.json").read_text("utf-8"))
    return {"what": "colourfulness of the two halves of the first layer, by number of groups",
            "settings": "as scratchnet lesson resnext --full trains them, seeds 0 to 8",
            "halves": {groups: [[round(share, 4) for share in pair] for pair in pairs]
                       for groups, pairs in halves.items()}}


EXPERIMENTS = {make.__name__: make for make in (poolings, relu_tanh, batch_norm, depth, towers)}


def main(names: list[str], results: Path = RESULTS) -> int:
    """Make those that are named, or all."""
    if unknown := sorted(set(names) - EXPERIMENTS.keys()):
        print(f"there is no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}",
              file=sys.stderr)
        return 2
    with threadpool_limits(limits=1):
        for name in names or EXPERIMENTS:
            print(name, flush=True)
            start = time.process_time()
            found = EXPERIMENTS[name]()
            tables = json.loads(results.read_text("utf-8")) if results.exists() else {}
            tables[name] = {**found, "seconds": round(time.process_time() - start),
                            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used",
                            "numpy": np.__version__, "date": time.strftime("%Y-%m-%d")}
            tables = {key: tables[key] for key in EXPERIMENTS if key in tables}
            results.write_text(json.dumps(tables, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
