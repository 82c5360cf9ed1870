"""The training loop — forward, loss, backward, step; and after each epoch, a look at new images."""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from scratchnet.backend import device_of, to_device
from scratchnet.layer import Layer, no_grad
from scratchnet.layers import SoftmaxCrossEntropy
from scratchnet.optim import SGD
from scratchnet.training.metrics import check_data, evaluate, predict
from scratchnet.training.schedule import Plateau

AUXILIARY = 0.3         # what an auxiliary classifier's loss counts; GoogLeNet, section 5


class Epoch(NamedTuple):
    """What one pass over the training images gave; errors are shares of wrong answers."""

    lr: float
    train_loss: float           # mean over the epoch, dropout on
    train_error: float          # likewise
    validation_loss: float      # after the epoch, dropout off
    validation_error: float


def fit(model: Layer, train: tuple, validation: tuple, optimizer: SGD, epochs: int,
        batch_size: int = 128, schedule: Plateau | None = None,
        transform: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        rng: int | np.random.Generator | None = None, progress: bool = True,
        loss: Layer | None = None) -> list[Epoch]:
    """Train `model` on (images, labels), in an order drawn anew from `rng` each epoch.

    images (N, C, H, W) floating point, labels (N,) integers; moved to the model's device a
    batch at a time. The losses of auxiliary classifiers (GoogLeNet's) count 0.3 each, and are not
    in the history. `transform(images, rng)` may vary each training batch (augmentation); `loss`
    may take the place of SoftmaxCrossEntropy() in training, not in the evaluation after it. Stops
    after `epochs`, or when the schedule says that it is done. The model is left in evaluation
    mode. Returns one Epoch for each pass.
    Raises ValueError for data that do not fit, hold NaN or infinity, and RuntimeError when
    the loss stops being a number.
    """
    for name, n in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"fit: {name} must be an integer ≥ 1; got {n!r}")
    for what, part in (("training", train), ("validation", validation)):
        if not isinstance(part, tuple) or len(part) != 2:
            raise ValueError(f"fit: the {what} data must be a pair (images, labels); got "
                             f"{type(part).__name__}")
        check_data(*part, what=what)
    if not {id(p) for p in model.parameters()} & {id(p) for p in optimizer.parameters}:
        raise ValueError("fit: the optimizer has none of this model's parameters")
    images, labels = train
    loss_function = SoftmaxCrossEntropy() if loss is None else loss
    with no_grad():                     # wrong validation labels show now, not after an epoch
        loss_function.forward(predict(model, validation[0][:1]).repeat(len(validation[1]), axis=0),
                              validation[1])
    rng = np.random.default_rng(rng)
    device = device_of(optimizer.parameters[0].value)
    history: list[Epoch] = []

    steps = -(-len(images) // batch_size)
    with tqdm(total=epochs * steps, unit="batch", disable=not progress) as bar:
        for epoch in range(1, epochs + 1):
            model.train()
            order = rng.permutation(len(images))
            loss_sum, wrong = 0.0, 0
            for start in range(0, len(images), batch_size):
                batch = order[start:start + batch_size]
                varied = images[batch] if transform is None else transform(images[batch], rng)
                if varied.shape[:1] != batch.shape or not np.isfinite(varied).all():
                    raise ValueError(f"fit: transform must return {len(batch)} images of finite "
                                     f"numbers; got shape {varied.shape}")
                x, y = to_device(varied, device), to_device(labels[batch], device)

                outputs = model.forward(x)
                logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
                number = float(loss_function.forward(logits, y))
                if not np.isfinite(number):
                    raise RuntimeError(
                        f"the loss became {number} in epoch {epoch}: the steps are too long or the "
                        f"weights began too large. Try a smaller learning rate than "
                        f"{optimizer.lr:g}")
                optimizer.zero_grad()
                dys = [loss_function.backward()]
                for head in heads:                              # auxiliary classifiers
                    loss_function.forward(head, y)
                    dys.append(loss_function.backward(AUXILIARY))
                model.backward(*dys)
                optimizer.step()

                loss_sum += number * len(batch)
                wrong += int((logits.argmax(axis=1) != y).sum())
                bar.update()

            validation_loss, validation_error = evaluate(model, *validation,
                                                         batch_size=batch_size)
            history.append(Epoch(optimizer.lr, loss_sum / len(images), wrong / len(images),
                                 validation_loss, validation_error))
            bar.set_description(f"epoch {epoch}/{epochs}, loss {history[-1].train_loss:.3f}, "
                                f"validation error {validation_error:.1%}")
            if schedule is not None and schedule.done(optimizer, validation_error):
                break
    return history
