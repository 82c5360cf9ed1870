"""Metrics — how often is the answer right, and what is taken for what?"""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.data.loader import fetch
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import SoftmaxCrossEntropy


class Scores(NamedTuple):
    """The mean cross-entropy, and the shares of wrong answers: of one, and of five."""

    loss: float
    error: float
    error5: float


def predict(model: Layer, images: Any, batch_size: int = 128,
            transform: Callable | None = None) -> np.ndarray:
    """Return the logits (N, classes) of `model`, on the host; leaves it in evaluation mode.

    images (N, C, H, W): as for `training.fit`. `transform(images, rng)`, a centre crop perhaps, is
    given a generator that begins the same each time.
    """
    if not len(images) or batch_size < 1:
        raise ValueError(f"predict expects at least one image and batch_size ≥ 1; got "
                         f"{len(images)} images, batch_size={batch_size}")
    parameters = model.parameters()
    device = device_of(parameters[0].value) if parameters else device_of(images)
    model.eval()
    logits = []
    with no_grad():
        for start in range(0, len(images), batch_size):
            x = fetch(images, slice(start, start + batch_size))
            if transform is not None:
                x = transform(x, np.random.default_rng(start))
            logits.append(to_host(model.forward(to_device(x, device))))
    return np.concatenate(logits)


def measure(model: Layer, images: Any, labels: np.ndarray, batch_size: int = 128,
            transform: Callable | None = None) -> Scores:
    """Return loss, top-1 and top-5 error of `model`; leaves it in evaluation mode."""
    return scores_of(predict(model, images, batch_size, transform), labels)


def scores_of(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Return the same of logits (N, classes); with five classes or fewer, error5 is 0."""
    with no_grad():
        loss = float(SoftmaxCrossEntropy().forward(logits, labels))
    return Scores(loss, *errors(logits, labels))


def errors(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the shares of images whose true class is not the best answer, not among five."""
    places = _places(logits, labels)
    return float((places > 1).mean()), float((places > 5).mean())


def evaluate(model: Layer, images: np.ndarray, labels: np.ndarray,
             batch_size: int = 128) -> tuple[float, float]:
    """Return (mean cross-entropy, share of wrong answers); leaves `model` in evaluation mode."""
    return measure(model, images, labels, batch_size)[:2]


def top_k(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of images whose true class is among the k with the largest logits.

    Classes that tie with the true one count against it.
    """
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"top_k: k must be from 1 to {logits.shape[1]}, the number of "
                         f"classes; got {k}")
    return float((_places(logits, labels) <= k).mean())


def _places(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many logits are at least as large as the true class's: itself, those that tie, NaN."""
    true = logits[np.arange(len(labels)), labels][:, None]
    return (~(logits < true)).sum(axis=1)


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes): row = true class, column = answer."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def check_data(images: Any, labels: Any, what: str = "") -> None:
    """Raise ValueError unless images and labels can be trained on.

    Images that are read when asked (data.ImageFolder) are known by len() and .shape only.
    """
    if not isinstance(labels, np.ndarray):
        raise ValueError(f"the {what} labels must be a NumPy array; got {type(labels).__name__}")
    if not (hasattr(images, "shape") and hasattr(images, "dtype") and hasattr(images, "__len__")):
        raise ValueError(f"the {what} images must be a NumPy array; got {type(images).__name__}")
    if not (images.dtype.kind == "f" or images.dtype == np.uint8) or len(images.shape) < 2 \
            or not len(images):
        raise ValueError(f"the {what} images must be floating-point numbers (or bytes, uint8), "
                         f"(N, C, H, W); got {images.dtype}, shape {images.shape}")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(f"the {what} labels must be {len(images)} integers, one an image; got "
                         f"{labels.dtype}, shape {labels.shape}")
    if not isinstance(images, np.ndarray) or images.dtype == np.uint8:
        return
    bad = ~np.isfinite(images.reshape(len(images), -1)).all(axis=1)
    if bad.any():
        raise ValueError(f"{bad.sum()} of the {what} images hold NaN or infinity, the first at "
                         f"position {int(bad.argmax())}: remove or repair them before training")
