"""The training loop — epochs of updates; after each, a look at new images; and nothing lost."""
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scratchnet.data.loader import fetch
from scratchnet.layer import Layer
from scratchnet.optim import Optimizer
from scratchnet.training import checkpoint
from scratchnet.training.communicator import Communicator
from scratchnet.training.interrupt import Interrupted, Interrupts
from scratchnet.training.lock import locked
from scratchnet.training.log import Log
from scratchnet.training.metrics import check_data, predict
from scratchnet.training.recorder import Recorder
from scratchnet.training.trainer import AUXILIARY, Epoch, Trainer
from scratchnet.weights import save as save_weights

SAVE_EVERY = 600.0      # seconds between checkpoints, beside those after each epoch


def fit(model: Layer, train: tuple, validation: tuple, optimizer: Optimizer, epochs: int,
        batch_size: int = 128, schedule: Any = None,
        transform: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        rng: int | np.random.Generator | None = None, progress: bool = True,
        loss: Layer | None = None, *, test_transform: Callable | None = None,
        auxiliary: float = AUXILIARY, clip: float | None = None, average: Any = None,
        workers: int = 0, out: str | Path | None = None, resume: bool = False,
        save_every: float = SAVE_EVERY,
        communicator: Communicator | None = None,
        record: Recorder | None = None) -> list[Epoch]:
    """Train `model` on (images, labels), in an order drawn anew from `rng` each epoch.

    train, validation: images (N, C, H, W), floating point or bytes (divided by 255), an array or an
    object that reads when asked (data.ImageFolder); labels (N,) integers. They are moved to the
    model's device a batch at a time, prepared ahead by `workers` threads.

    schedule        the learning rate over time (training.Steps, Plateau, …); constant without
    transform       (images, rng) → images, varies the training images (augmentation); it is
                    given up to 16 images at a time
    test_transform  likewise for the validation images, the same each time (a centre crop)
    loss            takes the place of SoftmaxCrossEntropy() in training, not in the validation
    auxiliary       what the losses of auxiliary classifiers (GoogLeNet's) count
    clip            the longest the gradient may be, over all parameters
    average         an optim.MovingAverage of the model: validated, and saved as the best
    out             a folder for checkpoints, best.npz, log.csv, updates.jsonl, curves.png.
                    Then Ctrl-C, SIGTERM and SIGUSR1 save at the next update, and raise
                    Interrupted
    resume          go on from the newest checkpoint in `out`, if there is one: the rest of the
                    run is bit for bit what it would have been
    save_every      seconds between checkpoints, beside those after each epoch
    communicator    the processes that train together (training.communicator()): each takes its rows
                    of every batch, and the run is that of one process, to rounding
    record          a training.Recorder of the model: sizes of activations and gradients, of every
                    k-th update; saved with the checkpoints

    Stops after `epochs`, or when the schedule says that it is done. The model is left in evaluation
    mode. Returns one Epoch for each pass.
    Raises ValueError for data that do not fit, hold NaN or infinity, and for a folder that holds
    another run; RuntimeError when the loss or a gradient stops being a number, before the update,
    with the name of the layer where it began.
    """
    _check(model, train, validation, optimizer, epochs, batch_size, test_transform)
    trainer = Trainer(model, train, optimizer, batch_size=batch_size, schedule=schedule,
                      transform=transform, rng=rng, loss=loss, auxiliary=auxiliary, clip=clip,
                      average=average, workers=workers, communicator=communicator, record=record)
    progress = progress and trainer.communicator.rank == 0
    try:
        if out is None:
            for _ in _epochs(trainer, validation, test_transform, epochs, progress, None):
                pass
        else:
            _fit_in_folder(trainer, validation, test_transform, epochs, progress, Path(out),
                           resume, save_every)
    finally:
        optimizer.lr = trainer.base_lr
    model.eval()
    return trainer.history


def _epochs(trainer: Trainer, validation: tuple, test_transform: Callable | None, epochs: int,
            progress: bool, log: Log | None) -> Iterator[bool]:
    """Train to the end; yields after every update (False) and every epoch (True)."""
    if _complete(trainer, epochs):
        return
    images = len(trainer.loader.labels)
    pause = 0.1 if sys.stderr.isatty() else 10.0        # seconds; a log is no place for a film
    begun = trainer.epoch * images + (trainer.sums.images if trainer.batch else 0)
    with tqdm(total=epochs * images, initial=begun, unit=" images", unit_scale=True,
              disable=not progress, mininterval=pause, maxinterval=max(10.0, pause)) as bar:
        while not _complete(trainer, epochs):
            for update in trainer.updates():
                bar.update(update.images)
                sums = trainer.sums
                bar.set_description(f"epoch {trainer.epoch + 1}/{epochs}", refresh=False)
                bar.set_postfix_str(f"loss {sums.loss / sums.images:.3f}, "
                                    f"top-1 {1 - sums.wrong / sums.images:.1%}, "
                                    f"top-5 {1 - sums.wrong5 / sums.images:.1%}", refresh=False)
                if log is not None:
                    log.update(update, trainer.epoch + 1)
                yield False
            with contextlib.nullcontext() if trainer.average is None else \
                    trainer.average.in_place():
                scores = trainer.look(*validation, test_transform)
                better = scores.error < trainer.best
                trainer.finish_epoch(scores)
                if log is not None:
                    if better:
                        save_weights(trainer.model, log.folder / "best.npz")
                    log.epoch(trainer.history)
            bar.set_description(f"epoch {trainer.epoch}/{epochs}")
            bar.set_postfix_str(f"validation top-1 {1 - scores.error:.1%}")
            if progress and log is not None:
                bar.write(_line(trainer.history), file=bar.fp)
            yield True


def _complete(trainer: Trainer, epochs: int) -> bool:
    return trainer.epoch >= epochs or trainer.done


def _line(history: list[Epoch]) -> str:
    epoch = history[-1]
    return (f"epoch {len(history)}: rate {epoch.lr:.3g}   training: loss {epoch.train_loss:.3f}, "
            f"top-1 {1 - epoch.train_error:.1%}, top-5 {1 - epoch.train_error5:.1%}   validation: "
            f"loss {epoch.validation_loss:.3f}, top-1 {1 - epoch.validation_error:.1%}, "
            f"top-5 {1 - epoch.validation_error5:.1%}")


def _fit_in_folder(trainer: Trainer, validation: tuple, test_transform: Callable | None,
                   epochs: int, progress: bool, folder: Path, resume: bool,
                   save_every: float) -> None:
    ranks = trainer.communicator
    say = tqdm.write if progress else _silent
    with locked(folder) if ranks.rank == 0 else contextlib.nullcontext(), Interrupts() as asked:
        found = ranks.share(_found(folder, resume, say) if ranks.rank == 0 else None)
        if found is not None:
            for note in trainer.restore(*found):
                say(note)
            say(f"the run is complete: {trainer.epoch} epochs" if _complete(trainer, epochs) else
                f"going on after update {trainer.step}, epoch {trainer.epoch + 1}")
        log = Log(folder, trainer.step) if ranks.rank == 0 else None

        def save() -> None:
            if log is not None:             # one process writes, of all that are equal
                log.flush()
                checkpoint.write(folder, trainer.step, *trainer.state())

        def stopped() -> Interrupted:
            return Interrupted(f"stopped after update {trainer.step}; saved in {folder}",
                               asked.number or signal.SIGTERM)

        def unless_asked(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            if asked.number and ranks.size == 1:            # in the middle of a long validation
                raise _Asked
            return images if test_transform is None else test_transform(images, rng)

        try:
            saved = time.monotonic()
            for whole_epoch in _epochs(trainer, validation, unless_asked, epochs, progress, log):
                stop = ranks.any(asked.number)
                if ranks.any(whole_epoch or stop or time.monotonic() - saved > save_every):
                    save()
                    saved = time.monotonic()
                if stop:
                    ranks.barrier()                         # it is saved: now all may end
                    raise stopped()
                if whole_epoch and log is not None:
                    log.draw(trainer.history, last=_complete(trainer, epochs))
        except _Asked:
            save()
            raise stopped() from None
        finally:
            if log is not None:
                log.close()


class _Asked(Exception):
    """A signal came while the validation images were looked at."""


def _found(folder: Path, resume: bool, say: Callable[[str], Any]) -> tuple[dict, dict] | None:
    """The newest checkpoint in the folder, if there is one and it is wanted."""
    for unfinished in folder.glob(".*.tmp"):                # what a kill left behind
        unfinished.unlink(missing_ok=True)
    if checkpoint.newest_first(folder) and not resume:
        raise ValueError(f"{folder} holds a run already: resume it (resume=True, --resume) or "
                         f"name another folder")
    found = checkpoint.read_newest(folder, say)
    if found is None and _epochs_told(folder) > 1:          # one may be told before it is saved
        raise ValueError(f"{folder} has the log of a run, but no checkpoint to go on from: nothing "
                         f"was changed. Begin anew in another folder")
    return found


def _epochs_told(folder: Path) -> int:
    path = folder / "log.csv"
    return len(path.read_bytes().splitlines()) - 1 if path.exists() else 0


def _silent(message: str) -> None:
    pass


def _check(model: Layer, train: tuple, validation: tuple, optimizer: Optimizer, epochs: int,
           batch_size: int, test_transform: Callable | None) -> None:
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
    logits = predict(model, fetch(validation[0], slice(0, 1)), transform=test_transform)
    for what, (_, labels) in (("training", train), ("validation", validation)):
        wrong = (labels < 0) | (labels >= logits.shape[1])      # now, not after an epoch
        if wrong.any():
            n = int(wrong.argmax())
            raise ValueError(f"fit: the {what} labels must be integers from 0 to "
                             f"{logits.shape[1] - 1}, for the network has {logits.shape[1]} "
                             f"outputs; got {labels[n]} at position {n}")
