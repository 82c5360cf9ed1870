"""Ensembles — several networks answer, and the mean of their probabilities counts.

    p(c | image) = 1/M · Σ_m softmax(logits of network m)_c

Networks that began with other weights err on other images. Where one is wrong and sure, the
others outvote it; what they agree on stays. It costs M times the operations.

AlexNet's winning 15.3 % (top-5 error, ILSVRC-2012) is such a mean, of seven networks; one alone
had 18.2 %, five 16.4 %. Two of the seven had been trained on more images.
Krizhevsky, Sutskever & Hinton, NIPS 2012, section 6 and table 2 (recalled, not looked up again).
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers.softmax import softmax
from scratchnet.training.metrics import errors, predict


class Errors(NamedTuple):
    """Shares of wrong answers: the first guess, and the first five (None: under five classes)."""

    top1: float
    top5: float | None


class EnsembleErrors(NamedTuple):
    """What `Ensemble.evaluate` found; str() is a table."""

    members: tuple[Errors, ...]
    mean: Errors                    # of the members' errors
    ensemble: Errors                # of the mean of their probabilities

    def __str__(self) -> str:
        return self.table([f"member {i}" for i in range(1, len(self.members) + 1)])

    def table(self, names: Sequence[str]) -> str:
        """The errors as lines of text, the members by these names."""
        rows = list(zip(names, self.members, strict=True))
        if len(rows) > 1:
            rows += [("their mean", self.mean), ("ensemble", self.ensemble)]
        width = max(len(name) for name, _ in rows) + 2
        lines = [f"{'errors':<{width}}{'top-1':>8}{'top-5':>9}"]
        for name, row in rows:
            shown = ["–" if error is None else f"{error:.2%}" for error in row]
            lines.append(f"{name:<{width}}{shown[0]:>8}{shown[1]:>9}")
        return "\n".join(lines)


class Ensemble:
    """Networks that answer together. They may differ in kind, but not in their classes, nor in the
    images that they expect (put a layer that prepares them before a network that differs).

    Raises ValueError for none, something that is no network, or the same one twice.
    """

    def __init__(self, models: Sequence[Layer]):
        if isinstance(models, Layer):
            raise ValueError("Ensemble expects a list of networks, not one: Ensemble([net, …])")
        self.models = list(models)
        if not self.models:
            raise ValueError("Ensemble got no networks: Ensemble([net, …])")
        for i, model in enumerate(self.models, start=1):
            if not isinstance(model, Layer):
                raise ValueError(f"Ensemble expects networks; member {i} is a "
                                 f"{type(model).__name__}")
            if any(model is other for other in self.models[:i - 1]):
                raise ValueError(f"Ensemble: member {i}, {model}, is there already: its answer "
                                 f"would count twice")

    def predict(self, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Return the mean probabilities (N, classes), float64; leaves all in evaluation mode.

        Raises ValueError if the members do not answer in the same number of classes.
        """
        self._check(images)
        return sum(softmax(predict(model, images, batch_size))
                   for model in self.models) / len(self.models)

    def evaluate(self, images: np.ndarray, labels: np.ndarray,
                 batch_size: int = 128) -> EnsembleErrors:
        """Return the errors of each member, their mean, and the ensemble's error."""
        self._check(images)
        return errors_of([softmax(predict(model, images, batch_size)) for model in self.models],
                         labels)

    def _check(self, images: np.ndarray) -> None:
        """One image is enough to tell; better than after hours."""
        first = images[np.arange(min(1, len(images)))]
        members: dict[int, list[int]] = {}
        for i, model in enumerate(self.models, start=1):
            members.setdefault(predict(model, first).shape[1], []).append(i)
        if len(members) > 1:
            found = "; ".join(f"{classes} in member{'s' * (len(which) > 1)} "
                              f"{', '.join(map(str, which))}" for classes, which in members.items())
            raise ValueError(f"Ensemble expects networks for the same classes; got {found}")

    def __repr__(self) -> str:
        return f"Ensemble({', '.join(map(repr, self.models))})"


def errors_of(members: Sequence[np.ndarray], labels: np.ndarray) -> EnsembleErrors:
    """Return the errors of probabilities (N, classes), one array a member, and of their mean."""
    found = [_errors(p, labels) for p in members]
    mean = Errors(*(None if None in column else float(np.mean(column))
                    for column in zip(*found, strict=True)))
    return EnsembleErrors(tuple(found), mean, _errors(sum(members), labels))


def _errors(scores: np.ndarray, labels: np.ndarray) -> Errors:
    top1, top5 = errors(scores, labels)
    return Errors(top1, top5 if scores.shape[1] >= 5 else None)
