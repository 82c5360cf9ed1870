"""Experiment — variants trained alike from several seeds, and what may be said of them.

    runs = experiment({"max": net, "average": other}, sets, seeds=(0, 1, 2), epochs=4, lr=0.05)

A difference is seen if it is larger than chance would make it: with means a, b over n seeds and
standard deviations s, t (n − 1 in the denominator), Welch's

    d = (a − b) / √(s²/n + t²/n)

and `verdict` asks for |d| > 2. With three seeds that is a weak test, and so the words are weak:
"confirmed here", "contradicted here", "not visible at this scale".

The tables that lessons quote are of longer runs; benchmarks/lesson_experiments.py makes them and
writes lessons/experiments.json, and `quoted` prints one.
"""
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scratchnet import optim, training
from scratchnet.layer import Layer
from scratchnet.lesson import files

SEEN = 2.0              # standard errors


def experiment(variants: Mapping[str, Callable[[int], Layer]], sets: Any, *,
               seeds: Iterable[int] = (0, 1, 2), epochs: int = 4, lr: float = 0.05,
               batch_size: int = 64, weight_decay: float = 5e-4, device: str = "cpu",
               transform: Callable | None = None, say: Callable[[str], Any] = print
               ) -> dict[str, list[float]]:
    """Train every variant from every seed, all with the same recipe; return their test errors,
    {name: [a seed's, …]}, and print a line for each.

    A variant is a function of the seed that returns a network. `sets` has train, validation, test,
    each (images, labels); the mean image of the training set is taken off. SGD with momentum 0.9,
    gradients clipped to norm 5, the rate warmed up over an epoch, then a cosine down to 0.
    """
    middle = sets.train.images.mean(axis=0)
    train, test = ((images - middle, labels) for images, labels in (sets.train, sets.test))
    errors: dict[str, list[float]] = {}
    for name, make in variants.items():
        errors[name] = []
        for seed in seeds:
            net = make(seed).to(device)
            training.fit(net, train, test, optim.SGD(net.parameters(), lr, 0.9, weight_decay),
                         epochs, batch_size, training.WarmUp(training.Cosine(epochs), epochs=1),
                         transform, rng=seed, progress=False, clip=5.0)
            errors[name].append(training.evaluate(net, *test)[1])
        say(line(name, errors[name]))
    return errors


def line(name: str, errors: Sequence[float]) -> str:
    """A variant's errors as one line: mean, standard deviation, and each."""
    spread = f" ± {np.std(errors, ddof=1):5.1%}" if len(errors) > 1 else ""
    each = "  ".join(f"{error:.1%}" for error in errors)
    return f"{name:28s} {np.mean(errors):6.1%}{spread}   ({each})"


def verdict(claimed: Sequence[float], other: Sequence[float]) -> str:
    """What errors say to "the claimed one has fewer": one of claims.VERDICTS.

    Raises ValueError for less than two seeds each: one run tells nothing of chance.
    """
    if min(len(claimed), len(other)) < 2:
        raise ValueError(f"a verdict expects two seeds or more of each; got {len(claimed)} and "
                         f"{len(other)}")
    d = difference(claimed, other)
    return ("confirmed here" if d < -SEEN else "contradicted here" if d > SEEN else
            "not visible at this scale")


def difference(a: Sequence[float], b: Sequence[float]) -> float:
    """Welch's d, how many standard errors the mean of a lies above that of b."""
    chance = (np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)) ** 0.5
    apart = float(np.mean(a) - np.mean(b))
    return apart / chance if chance > 0 else float(np.sign(apart)) * np.inf if apart else 0.0


def quoted(name: str) -> dict[str, list[float]]:
    """Print the table of this name from lessons/experiments.json, with the command that made it;
    return {variant: [a seed's test error, …]}. Raises ValueError if it is not there."""
    table = recorded(name)
    print(f"{table['what']}, test errors ({table['settings']}):")
    for variant, errors in table["errors"].items():
        print("  " + line(variant, errors))
    print(f"  made by: python benchmarks/lesson_experiments.py {name}")
    return table["errors"]


def recorded(name: str) -> dict[str, Any]:
    """Return the table of this name from lessons/experiments.json. Raises ValueError if it is not
    there."""
    folder = files.folder()
    path = folder / "experiments.json" if folder else None
    tables = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    if name not in tables:
        raise ValueError(f"there is no experiment {name!r} in lessons/experiments.json; there are "
                         f"{', '.join(tables) or 'none'}")
    return tables[name]
