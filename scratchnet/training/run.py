"""Run — a training run as a folder: which network, which data, which recipe, and what came of it.

    RUN/run.json            the settings, and the recipe as it was used
    RUN/statistics.npz      what was measured on the training images: their mean, …
    RUN/best.npz            the weights with the lowest validation error (weights.load reads it)
    RUN/checkpoint-…npz     to go on from; see checkpoint.py
    RUN/log.csv, updates.jsonl, curves.png      see log.py

    run = training.train("resnet_small", "shapes", "quick", out="runs/a", epochs=5)
    run = training.Run("runs/a")            later, elsewhere: only the folder is needed
    run.network()                           with its best weights
    run.probabilities(images)               of images (N, C, stored, stored)
"""
import json
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import weights
from scratchnet.archive import read_npz, replace_file, write_npz
from scratchnet.backend import best_device
from scratchnet.data.crops import ten_crop_probabilities
from scratchnet.data.sets import NAMES, Data, load
from scratchnet.layer import Layer
from scratchnet.layers.softmax import softmax
from scratchnet.models import get_model, input_shape
from scratchnet.training import checkpoint
from scratchnet.training.communicator import Alone, Communicator
from scratchnet.training.lock import NAME as LOCK
from scratchnet.training.lock import locked
from scratchnet.training.loop import SAVE_EVERY, fit
from scratchnet.training.metrics import predict
from scratchnet.training.recipe import Plan, Recipe, recipe
from scratchnet.training.recipe_format import whole
from scratchnet.training.recorder import Recorder
from scratchnet.training.transfer import freeze

FORMAT = 1
UPRIGHT = ("digits", "mnist")           # their mirror images are other digits, or none
LARGEST = 4 * 2**20                     # bytes of run.json, at most
MOST_NUMBERS = 64 * 2**20               # in statistics.npz
MOST_CLASSES = 100_000


# What a setting may be: (names, in words, a function that says so)
ALLOWED: tuple[tuple[tuple[str, ...], str, Callable[[Any], bool]], ...] = (
    (("model", "data", "recipe"), "a name", lambda v: isinstance(v, str)),
    (("size", "epochs", "batch_size", "record"), "a whole number, 1 or more",
     lambda v: v is None or whole(v)),
    (("lr",), "a number above 0, and finite",
     lambda v: v is None or (type(v) in (int, float) and 0 < v < math.inf)),
    (("seed",), "a whole number, 0 or more", lambda v: v == 0 and type(v) is int or whole(v)),
    (("mirror",), "True or False", lambda v: v is None or isinstance(v, bool)),
    (("pretrained",), "the path of a file", lambda v: v is None or isinstance(v, str)),
    (("freeze",), "names of parts",
     lambda v: isinstance(v, tuple) and all(isinstance(name, str) for name in v)),
)


@dataclass(frozen=True)
class Settings:
    """What a run was asked for; None is the recipe's own. ValueError for what it cannot be."""

    model: str
    data: str
    recipe: str = "quick"
    size: int | None = None             # side of the network's input; None: what it was made for
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    mirror: bool | None = None          # None: unless the data are digits
    pretrained: str | None = None       # a file of weights: all but the head is taken
    freeze: tuple[str, ...] = ()        # names of parts that are not trained
    record: int | None = None           # gradient sizes of every so many updates; None: of none

    @property
    def mirrored(self) -> bool:
        """Whether mirror images have the same label."""
        return self.data not in UPRIGHT if self.mirror is None else self.mirror

    def __post_init__(self) -> None:
        for names, expected, fits in ALLOWED:
            for name in names:
                if not fits(value := getattr(self, name)):
                    raise ValueError(f"{name} must be {expected}; got {value!r}")


def train(model: str, data: str, recipe: str = "quick", *, out: str | Path, resume: bool = False,
          device: str | None = None, workers: int = 0, save_every: float = SAVE_EVERY,
          progress: bool = True, say: Callable[[str], Any] = print,
          communicator: Communicator | None = None, **settings: Any) -> "Run":
    """Train a network by name on data by name, after a recipe, into the folder `out`.

    model       one of models.list_models()         data    as for data.load
    recipe      "quick", "paper" (the one of the model's family), another name, or a file
    settings    size, epochs, batch_size, lr, seed, mirror, pretrained, freeze, record: see
                Settings
    resume      go on with the run in `out`, which must have the same settings
    device      "cpu" or "gpu"; None: the GPU where there is one
    The other arguments are those of `fit`. Raises what `fit` raises, and ValueError for settings
    that make no sense together; nothing is written before they are looked at.
    """
    if isinstance(settings.get("pretrained"), Path):
        settings["pretrained"] = str(settings["pretrained"])
    if isinstance(settings.get("freeze"), list):
        settings["freeze"] = tuple(settings["freeze"])
    asked = Settings(model, _place(data), _place(recipe, ".toml"), **settings)
    if not isinstance(workers, int) or workers < 0 or not save_every >= 0:
        raise ValueError(f"workers must be an integer ≥ 0, save_every seconds ≥ 0; got "
                         f"{workers!r} and {save_every!r}")
    ranks = communicator or Alone()
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for the run")
    if ranks.rank == 0 and folder.is_dir() and not (folder / "run.json").exists():
        _refuse_other_files(folder)
    with locked(folder) if ranks.rank == 0 else nullcontext():
        begun = ranks.share((folder / "run.json").exists())
        if begun and not resume:
            raise ValueError(f"{folder} holds a run already: resume it (resume=True, --resume) or "
                             f"name another folder")
        run = _take_up(folder, asked) if begun else None
        net, sets, used, plan = _prepare(asked, run)
        net.to(best_device(device))
        if ranks.rank == 0:
            if not begun:
                _write(folder, asked, used, sets, plan.statistics, plan.notes)
            say("\n  ".join([_headline(asked, net, sets), *plan.notes]))
        with np.errstate(over="ignore", invalid="ignore"):      # fit itself says what diverges
            fit(net, tuple(sets.train), tuple(sets.validation), plan.optimizer, plan.epochs,
                plan.batch_size, plan.schedule, plan.train_transform,
                rng=np.random.default_rng([asked.seed, 2]), progress=progress, loss=plan.loss,
                test_transform=plan.test_transform, auxiliary=plan.auxiliary, clip=plan.clip,
                average=plan.average, workers=workers, out=folder, resume=resume,
                save_every=save_every, communicator=communicator,
                record=Recorder(net, every=asked.record) if asked.record else None)
        ranks.barrier()                         # rank 0 has written the last file
    return Run(folder)


def _prepare(asked: Settings, run: "Run | None") -> tuple[Layer, Data, Recipe, Plan]:
    """The network, its data and its plan: new ones, or again those of a run that was begun."""
    used = run.recipe if run else recipe(asked.recipe, asked.model)
    size = asked.size or input_shape(asked.model)[1]
    sets = run.data() if run else load(asked.data, size=used.stored_side(size))
    net = _network(asked, len(sets.classes), sets.train.images.shape[1])
    _try_one(net, sets, size, asked.model)
    if asked.pretrained and not (run and checkpoint.newest_first(run.folder)):
        weights.load(net, asked.pretrained, skip_head=True)
    if asked.freeze:
        freeze(net, *asked.freeze)
        if all(parameter.frozen for parameter in net.parameters()):
            raise ValueError(f"freeze: {', '.join(asked.freeze)} are all of {asked.model}: nothing "
                             f"is left to train")
    plan = used.build(net, sets.train.images, size=size, epochs=asked.epochs,
                      batch_size=asked.batch_size, lr=asked.lr, mirror=asked.mirrored,
                      initialise=not asked.pretrained, statistics=run.statistics if run else None,
                      rng=np.random.default_rng([asked.seed, 1]))
    return net, sets, used, plan


class Run:
    """The run in `folder`. Raises ValueError for a folder that holds none, or a damaged one."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        path = self.folder / "run.json"
        if not path.is_file():
            fitted = self.folder.is_dir() and checkpoint.newest_first(self.folder)
            raise ValueError(f"{self.folder} holds no run of scratchnet train: there is no {path}"
                             + (". It is training.fit's: load best.npz into your network with "
                                "weights.load" if fitted else ""))
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError("it is too large")
            table = json.loads(path.read_text(encoding="utf-8"))
            if table["format"] != FORMAT:
                raise ValueError(f"it has format {table['format']}; this version of scratchnet "
                                 f"reads {FORMAT}")
            settings = dict(table["settings"])
            self.settings = Settings(**settings | {"freeze": tuple(settings["freeze"])})
            self.size = self.settings.size or input_shape(self.settings.model)[1]
            self.recipe = Recipe.from_dict(table["recipe"], table["recipe"]["name"])
            self.classes = tuple(table["classes"])
            self.channels, self.stored = table["channels"], table["stored"]
            if not (0 < len(self.classes) <= MOST_CLASSES
                    and all(isinstance(name, str) for name in self.classes)
                    and self.channels in (1, 3) and whole(self.stored)):
                raise ValueError("expected names of classes, 1 or 3 channels, and the side of the "
                                 "stored images")
        except KeyError as error:
            raise ValueError(f"{path} is damaged, or no run's: it lacks {error}") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged, or no run's: {error}") from error
        self.statistics = _read_statistics(self.folder / "statistics.npz")

    def network(self, device: str | None = None) -> Layer:
        """Return the network with its best weights, in evaluation mode.

        Before the first epoch is over there are none: ValueError.
        """
        path = self.folder / "best.npz"
        if not path.exists():
            raise ValueError(f"{self.folder} has no best.npz yet: it is written after the first "
                             f"epoch. Go on with --resume")
        net = _network(self.settings, len(self.classes), self.channels)
        return weights.load(net, path).to(best_device(device)).eval()

    def data(self, spec: str | None = None, border: bool = False) -> Data:
        """Return the run's data, or other data with the same classes, as the run stores images.

        border=True: larger than the network's input, for ten crops.
        """
        found = load(spec or self.settings.data, size=self.side(border))
        if found.classes != self.classes:
            raise ValueError(f"{found.source} has other classes than the run: "
                             f"{', '.join(found.classes[:5])} … ({len(found.classes)}), not "
                             f"{', '.join(self.classes[:5])} … ({len(self.classes)})")
        if found.test.images.shape[1] != self.channels:
            raise ValueError(f"{found.source} has images of {found.test.images.shape[1]} channels; "
                             f"the run was trained on {self.channels}")
        return found

    def side(self, border: bool = False) -> int:
        """Return the side of the images to load; with a border, larger than the network's input.

        Raises ValueError if that cannot be: a mean was subtracted pixel by pixel, and there is
        none for the border.
        """
        if not border or self.stored > self.size:
            return self.stored
        if any(array.size > self.channels for name, array in self.statistics.items()
               if name == "mean"):
            raise ValueError(f"{self.folder} was trained on images without a border ({self.size}×"
                             f"{self.size}), and has their mean pixel by pixel: it cannot be "
                             f"tested on ten crops")
        return -(-self.size * 8 // 7)

    def record(self) -> Recorder:
        """Return the sizes of activations and gradients that were recorded, up to the newest
        checkpoint that can be read. ValueError for a run that recorded none, or has none yet."""
        if not self.settings.record:
            raise ValueError(f"{self.folder} recorded no gradients: train with record=10, --record "
                             f"10, and every tenth update is recorded")
        problem = "it has no checkpoint yet"
        for path in checkpoint.newest_first(self.folder):
            try:
                arrays, _ = checkpoint.read(path)
            except ValueError as error:
                problem = str(error)
                continue
            recorder = Recorder(_network(self.settings, len(self.classes), self.channels),
                                every=self.settings.record)
            recorder.load_state_dict({name.removeprefix("record."): array for name, array in
                                      arrays.items() if name.startswith("record.")})
            return recorder
        raise ValueError(f"{self.folder} has no record to read: {problem}")

    def probabilities(self, net: Layer, images: Any, ten_crop: bool = False,
                      batch_size: int = 64) -> np.ndarray:
        """Return what `net` makes of images (N, C, stored, stored), read as in the test of the
        recipe: (N, classes), float64."""
        if ten_crop:
            prepare = self.recipe.test_transform(self.size, self.statistics, test_crops=10)
            return ten_crop_probabilities(net, images, self.size, prepare, batch_size,
                                          mirror=self.settings.mirrored)
        prepare = self.recipe.test_transform(self.size, self.statistics)
        return softmax(predict(net, images, batch_size, prepare))

    def __repr__(self) -> str:
        return f"Run({self.folder}: {self.settings.model} on {self.settings.data})"


# ── parts ────────────────────────────────────────────────────────────────────────────


def _network(asked: Settings, classes: int, channels: int) -> Layer:
    return get_model(asked.model, num_classes=classes, in_channels=channels,
                     rng=np.random.default_rng([asked.seed, 0]))


def _place(name: str | Path, suffix: str = "") -> str:
    """A file or folder by its full path, for the run may be taken up elsewhere; a name as it is."""
    path = Path(name)
    is_path = path.is_dir() if not suffix else str(name).endswith(suffix)
    return str(path.resolve()) if is_path and str(name) not in NAMES else str(name)


def _take_up(folder: Path, asked: Settings) -> "Run":
    """Raise ValueError unless a run that is taken up has the settings it was begun with."""
    run = Run(folder)
    ours, theirs = asdict(asked), asdict(run.settings)
    if different := [f"{name}: begun with {theirs[name]!r}, now {ours[name]!r}"
                     for name in theirs if theirs[name] != ours[name]]:
        raise ValueError(f"{folder} holds another run; nothing was changed.\n  "
                         + "\n  ".join(different) + f"\nA run goes on as it was begun. To train "
                         f"longer or otherwise, begin a new one with --pretrained "
                         f"{folder / 'best.npz'}")
    return run


def _refuse_other_files(folder: Path) -> None:
    """Raise ValueError for a folder in which a run would be lost among other things."""
    own = {LOCK, "statistics.npz"}              # of a run that was killed before it began
    if other := sorted(path.name for path in folder.iterdir()
                       if path.name not in own and not path.name.endswith(".tmp")):
        what = ("checkpoints that training.fit wrote, without a run.json"
                if checkpoint.newest_first(folder) else f"other things ({other[0]}, …)")
        raise ValueError(f"{folder} holds {what}: name a new folder for the run")


def _headline(asked: Settings, net: Layer, sets: Data) -> str:
    return (f"{asked.model}, {sum(p.value.size for p in net.parameters()):,} parameters, on "
            f"{sets.source}: {len(sets.train.labels):,} images to train on, "
            f"{len(sets.validation.labels):,} to validate, {len(sets.classes)} classes, seed "
            f"{asked.seed}"
            + (f"; all but the head from {asked.pretrained}" if asked.pretrained else "")
            + (f"; not trained: {', '.join(asked.freeze)}" if asked.freeze else ""))


def _try_one(net: Layer, sets: Data, size: int, model: str) -> None:
    """Raise ValueError now, and not after the images were measured, if they do not fit."""
    C = sets.train.images.shape[1]
    try:
        predict(net, np.zeros((1, C, size, size), dtype=np.float32))
    except ValueError as error:
        raise ValueError(f"{model} cannot look at {C}×{size}×{size} images: {error}") from error


def _write(folder: Path, asked: Settings, used: Recipe, sets: Data,
           statistics: dict[str, np.ndarray], notes: Sequence[str]) -> None:
    replace_file(folder / "statistics.npz", lambda file: write_npz(statistics, file))
    table = {"format": FORMAT, "settings": asdict(asked), "classes": list(sets.classes),
             "channels": sets.train.images.shape[1], "stored": sets.train.images.shape[3],
             "source": sets.source, "notes": list(notes), "recipe": used.to_dict()}
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    replace_file(folder / "run.json", lambda file: file.write(text.encode()))


def _read_statistics(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise ValueError(f"{path} is not there: the run's folder is not whole")
    statistics = read_npz(path)
    if wrong := [name for name, array in statistics.items()
                 if array.dtype not in (np.float32, np.float64) or not np.isfinite(array).all()]:
        raise ValueError(f"{path} is damaged: {', '.join(wrong)} should be finite numbers")
    return statistics
