"""Metrics — how often is the answer right, and what is taken for what?"""
from typing import Any

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import SoftmaxCrossEntropy


def predict(model: Layer, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """Return the logits (N, classes) of `model`, on the host; leaves it in evaluation mode."""
    if not len(images) or batch_size < 1:
        raise ValueError(f"predict expects at least one image and batch_size ≥ 1; got "
                         f"{len(images)} images, batch_size={batch_size}")
    parameters = model.parameters()
    device = device_of(parameters[0].value) if parameters else device_of(images)
    model.eval()
    with no_grad():
        return np.concatenate([
            to_host(model.forward(to_device(images[start:start + batch_size], device)))
            for start in range(0, len(images), batch_size)])


def evaluate(model: Layer, images: np.ndarray, labels: np.ndarray,
             batch_size: int = 128) -> tuple[float, float]:
    """Return (mean cross-entropy, share of wrong answers); leaves `model` in evaluation mode."""
    logits = predict(model, images, batch_size)
    with no_grad():
        loss = float(SoftmaxCrossEntropy().forward(logits, labels))
    return loss, 1 - top_k(logits, labels, 1)


def top_k(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of images whose true class is among the k with the largest logits.

    Classes that tie with the true one count against it.
    """
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"top_k: k must be from 1 to {logits.shape[1]}, the number of "
                         f"classes; got {k}")
    true = logits[np.arange(len(labels)), labels][:, None]
    at_least_as_good = (~(logits < true)).sum(axis=1)   # the true class itself is one; so is NaN
    return float((at_least_as_good <= k).mean())


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes): row = true class, column = answer."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def check_data(images: Any, labels: Any, what: str = "") -> None:
    """Raise ValueError unless images and labels can be trained on."""
    for name, array in (("images", images), ("labels", labels)):
        if not isinstance(array, np.ndarray):
            raise ValueError(f"the {what} {name} must be a NumPy array; got "
                             f"{type(array).__name__}")
    if images.dtype.kind != "f" or images.ndim < 2 or not len(images):
        raise ValueError(f"the {what} images must be floating-point numbers, (N, C, H, W); got "
                         f"{images.dtype}, shape {images.shape}")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(f"the {what} labels must be {len(images)} integers, one an image; got "
                         f"{labels.dtype}, shape {labels.shape}")
    bad = ~np.isfinite(images.reshape(len(images), -1)).all(axis=1)
    if bad.any():
        raise ValueError(f"{bad.sum()} of the {what} images hold NaN or infinity, the first at "
                         f"position {int(bad.argmax())}: remove or repair them before training")
