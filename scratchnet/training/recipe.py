"""Recipe — how a network was trained: everything but the network and the images, as data.

A paper's training is a page of text and a dozen constants, some of them missing. Here each is one
file in training/recipes, to read or to copy:

    recipe("alexnet")                       as the paper, or what is known of it
    recipe("alexnet", "alexnet_small")      with what this network needs instead ([for.…])
    recipe("paper", "resnet50")             the recipe of the network's own family
    recipe("mine.toml")                     yours

    plan = recipe("quick", "resnet_small").build(net, train.images, size=32, epochs=5, rng=0)
    training.fit(net, train, validation, plan.optimizer, plan.epochs, plan.batch_size,
                 plan.schedule, plan.train_transform, loss=plan.loss,
                 test_transform=plan.test_transform, auxiliary=plan.auxiliary, clip=plan.clip,
                 average=plan.average)

The keys of a file:

    title, source       what it is, and who says so
    models              the networks it was written for
    epochs, batch_size  and steps: how many updates that was, where the paper counts in updates
    stored              [side of the stored images, side of the network's input]; whatever is
                        counted in pixels below belongs to this input, and grows with another
    pixels              what a white pixel is to the network (1; 255 in the papers before batch
                        norm, whose weights and rates were made for it)
    spare               no weight decay for biases and batch norm
    clip, average       the gradient's largest norm; the decay of a moving average of the weights
    test_crops          1, or AlexNet's 10
    notes               "kind (key): …"; the kinds are

        departure       we do it in another way than the paper
        not given       the paper does not say, and we had to choose
        recalled        the paper does say, but we did not look it up again
        remark          worth knowing

    [optimizer]         name, and constants: those of the class in scratchnet.optim
    [schedule]          likewise, training.schedule; WarmUp holds another: then = { name = … }.
                        Cosine and Polynomial last as long as the training
    [initialization]    likewise, scratchnet.initialization. staged = true: build(donor=…) may
                        hand over layers of a trained network
    [loss]              label_smoothing, and what auxiliary classifiers count (0.3)
    [[train]], [[test]] likewise, data.augment, in their order; sizes are the network's. Normalise:
                        per = "channel" or "pixel", std = true to divide by the deviation, too
    [for.MODEL]         what is different for this network. A table without a name changes
                        constants, one with a name, or a list, takes the other's place
"""
import copy
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import initialization, optim
from scratchnet.data import augment, crops
from scratchnet.layer import Layer
from scratchnet.layers import SoftmaxCrossEntropy
from scratchnet.models import list_models
from scratchnet.training import schedule as schedules
from scratchnet.training.recipe_format import (
    COLOURS,
    IN_PIXELS,
    TAKE_SIZE,
    changed,
    check,
    whole,
)

# ── the recipe, and what becomes of it ───────────────────────────────────────────────


@dataclass(frozen=True)
class Plan:
    """A recipe for one network and one data set: what `training.fit` takes.

    average is a MovingAverage or None. notes say what is not as in the recipe. statistics are
    what was measured on the training images ("mean", "eigenvalues", …): with them,
    Recipe.test_transform makes test_transform again, without the images.
    """

    optimizer: optim.Optimizer
    schedule: schedules.Schedule
    loss: SoftmaxCrossEntropy
    train_transform: Callable
    test_transform: Callable
    epochs: int
    batch_size: int
    auxiliary: float
    clip: float | None
    average: optim.MovingAverage | None
    notes: list[str]
    statistics: dict[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """A recipe as in its file (see the top of this one); tables are dicts.

    Made by `recipe(…)`, or by Recipe.from_dict from what to_dict returned.
    """

    name: str
    title: str
    source: str
    models: list[str]
    epochs: int
    batch_size: int
    stored: list[int]
    optimizer: dict
    schedule: dict
    initialization: dict
    train: list[dict]
    test: list[dict]
    notes: list[str] = field(default_factory=list)
    steps: int | None = None
    pixels: float = 1
    spare: bool = False
    loss: dict = field(default_factory=dict)
    clip: float | None = None
    average: float | None = None
    test_crops: int = 1
    exceptions: dict = field(default_factory=dict)          # [for.…] in the file

    @classmethod
    def from_dict(cls, table: Mapping, where: str = "recipe") -> "Recipe":
        """Make a recipe from what to_dict returned, or from a file's content.

        Raises ValueError that names `where`, the key and what is allowed.
        """
        check(table, where)
        table = copy.deepcopy(dict(table))
        return cls(**{"name": where, "exceptions": table.pop("for", {})} | table)

    def to_dict(self) -> dict:
        """Return the recipe as plain dicts, lists, numbers and texts."""
        table = {f.name: copy.deepcopy(getattr(self, f.name)) for f in fields(self)}
        table["for"] = table.pop("exceptions")
        return {key: value for key, value in table.items() if value not in (None, {})}

    def with_exceptions(self, model: str) -> "Recipe":
        """Return the recipe for this network: what stands in [for.MODEL] in its place."""
        table = self.to_dict()
        own = table.pop("for", {}).get(model, {})
        return Recipe.from_dict(changed(table, own), self.name)

    def stored_side(self, size: int) -> int:
        """How large to store images for a network whose input is size×size."""
        return math.ceil(size * self.stored[0] / self.stored[1])

    def test_transform(self, size: int, statistics: Mapping[str, np.ndarray],
                       test_crops: int = 1) -> Callable:
        """Return what to do to images before testing; with test_crops = 10 all but the crop,
        which is then crops.ten_crop_probabilities'.

        statistics: as a Plan has them. Raises ValueError where some are missing.
        """
        chosen = [t for t in self.test if test_crops == 1 or t["name"] != "CentreCrop"]
        return self._compose(chosen, size, statistics)

    def build(self, model: Layer, train_images: Any, *, size: int, epochs: int | None = None,
              batch_size: int | None = None, lr: float | None = None, mirror: bool = True,
              lr_scale: Mapping[str, float] | None = None, initialise: bool = True,
              statistics: Mapping[str, np.ndarray] | None = None,
              donor: Layer | None = None, rng: int | np.random.Generator | None = None) -> Plan:
        """Initialise `model`, measure the images, and make everything that training needs.

        train_images: (N, C, side, side), an array or an object that reads when asked.
        size        the side of the network's input
        epochs      another number of them: the schedule is stretched in proportion
        batch_size, lr      others than the recipe's; neither changes the other
        mirror      False where a mirror image has another label, or none (digits, letters)
        lr_scale    {layer: factor} for rates of their own, see optim.groups
        initialise  False keeps the weights that the model has
        statistics  those of an earlier plan, in place of measuring the images
        donor       a trained network that hands over layers, if initialization is staged

        Raises ValueError for images that do not fit and constants that make no sense.
        """
        notes: list[str] = []
        side = self._check_images(train_images, size)
        for name, given in (("epochs", epochs), ("batch_size", batch_size)):
            if given is not None and not whole(given):
                raise ValueError(f"Recipe.build: {name} must be a whole number, 1 or more; got "
                                 f"{given!r}")
        if donor is not None and not (initialise and self.initialization.get("staged")):
            raise ValueError(f"recipe {self.name}: a donor hands over layers while the network is "
                             f"initialised (not with initialise=False), and only where the recipe "
                             f"says staged = true under [initialization], as vgg does")
        train = self._usable(train_images.shape[1], side, size, mirror, notes)
        if statistics is None:
            statistics = _measure([*train, *self.test], train_images)
        if initialise:
            self._initialise(model, donor, rng, notes)

        constants = {k: v for k, v in self.optimizer.items() if k != "name"}
        if lr is not None and lr != constants["lr"]:
            notes.append(f"learning rate {lr:g} in place of {constants['lr']:g}")
            constants["lr"] = lr
        epochs, batch_size = epochs or self.epochs, batch_size or self.batch_size
        if batch_size != self.batch_size:
            notes.append(f"batches of {batch_size} in place of {self.batch_size}; the learning "
                         f"rate stays at {constants['lr']:g}")
        optimizer = getattr(optim, self.optimizer["name"])(
            optim.groups(model, lr_scale, spare=self.spare), **constants)
        return Plan(
            optimizer, self._schedule(len(train_images), epochs, batch_size, notes),
            SoftmaxCrossEntropy(label_smoothing=self.loss.get("label_smoothing", 0.0)),
            self._compose(train, size, statistics), self.test_transform(size, statistics),
            epochs, batch_size, self.loss.get("auxiliary", 0.3), self.clip,
            self.average and optim.MovingAverage(model, self.average, warm_up=True),
            notes, dict(statistics))

    # ── parts of build ───────────────────────────────────────────────────────────────

    def _check_images(self, images: Any, size: int) -> int:
        shape = getattr(images, "shape", ())
        if not whole(size) or len(shape) != 4 or shape[2] != shape[3] or 0 in shape:
            raise ValueError(f"Recipe.build expects images (N, C, side, side) and size, the side "
                             f"of the network's input; got images of shape {shape}, size={size!r}")
        if shape[3] < size:
            raise ValueError(f"Recipe.build: the network looks at {size}×{size} pixels, the images "
                             f"have {shape[2]}×{shape[3]}: load them with a side of "
                             f"{self.stored_side(size)}")
        return shape[3]

    def _usable(self, C: int, side: int, size: int, mirror: bool, notes: list[str]) -> list[dict]:
        """self.train without what these images cannot bear."""
        chosen = []
        for table in self.train:
            name = table["name"]
            if name in COLOURS and C != 3:
                notes.append(f"without {name}: it needs three channels, the images have {C}")
            elif name == "RandomReflection" and not mirror:
                notes.append("without RandomReflection: mirrored images would have other labels")
            elif name == "RandomCrop" and side == size and "padding" not in table:
                padding = size // 8 * self.stored[1] / size         # _compose scales it back
                notes.append(f"RandomCrop after padding by {size // 8}: the images are no larger "
                             f"than the network's input")
                chosen.append(table | {"padding": padding})
            else:
                chosen.append(table)
        return chosen

    def _compose(self, tables: list[dict], size: int, statistics: Mapping) -> Callable:
        return augment.Compose([self._transform(table, size, statistics) for table in tables])

    def _transform(self, table: dict, size: int, statistics: Mapping) -> Callable:
        name, constants = table["name"], {k: v for k, v in table.items() if k != "name"}
        needed = {"Normalise": ["mean", "std"] if constants.get("std") else ["mean"],
                  "PCAColour": ["eigenvalues", "eigenvectors"]}.get(name, [])
        if missing := [key for key in needed if key not in statistics]:
            raise ValueError(f"recipe {self.name}: {name} needs the statistics "
                             f"{' and '.join(needed)}; {' and '.join(missing)} missing: pass those "
                             f"of the plan that the network was trained with")
        if name == "Normalise":
            std = statistics["std"] if constants.get("std") else 1 / self.pixels
            return augment.Normalise(statistics["mean"], std)
        if name == "PCAColour":
            return augment.PCAColour(statistics["eigenvalues"], statistics["eigenvectors"],
                                     **constants)
        for key in constants.keys() & set(IN_PIXELS):
            constants[key] = round(constants[key] * size / self.stored[1])
        where = crops if name == "CentreCrop" else augment
        return getattr(where, name)(*[size] * (name in TAKE_SIZE), **constants)

    def _initialise(self, model: Layer, donor: Layer | None, rng: Any, notes: list[str]) -> None:
        constants = {k: v for k, v in self.initialization.items() if k not in ("name", "staged")}
        there = {name for name, _ in model.named_layers()}
        for key, table in constants.items():
            if isinstance(table, Mapping) and (absent := [n for n in table if n not in there]):
                notes.append(f"initialization: no layers {', '.join(absent)} in this network to "
                             f"have their own {key}")
                constants[key] = {n: v for n, v in table.items() if n in there}
        getattr(initialization, self.initialization["name"])(model, **constants, rng=rng)
        if donor is not None:
            initialization.staged(model, donor)

    def _schedule(self, images: int, epochs: int, batch_size: int,
                  notes: list[str]) -> schedules.Schedule:
        """The schedule, stretched to this many epochs, and to as many steps as they have."""
        steps = epochs * -(-images // batch_size)
        by_epochs, by_steps = epochs / self.epochs, steps / (self.steps or steps)
        if abs(by_steps - 1) < 0.01:                        # 182 epochs are 64,064 steps
            by_steps = 1
        made = _make_schedule(self.schedule, epochs, by_epochs, by_steps)
        if epochs != self.epochs:
            notes.append(f"{epochs} epoch{'s' * (epochs > 1)} in place of {self.epochs}: the "
                         f"schedule is {made}")
        elif by_steps != 1:
            notes.append(f"{steps:,} steps in place of {self.steps:,}: the schedule is {made}")
        return made


# ── by name ──────────────────────────────────────────────────────────────────────────


def recipes() -> list[str]:
    """Return the names of the recipes."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir()
                  if file.name.endswith(".toml"))


def recipe(name: str, model: str | None = None) -> Recipe:
    """Return a recipe by name, or from your own file (a path that ends with .toml).

    model: the network's name; what the recipe says for it alone is then in its place. The name
    "paper" finds the recipe that was written for the model.
    Raises ValueError for an unknown name, and for what is wrong in a file.
    """
    if model is not None and model not in list_models():
        near = get_close_matches(str(model), list_models(), n=1, cutoff=0)
        raise ValueError(f"unknown model {model!r}: did you mean {near[0]!r}?")
    if name == "paper":
        if model is None:
            raise ValueError("the recipe 'paper' is that of a network: say which, "
                             "recipe('paper', 'resnet50')")
        found = next(r for r in map(recipe, recipes()) if model in r.models)
    elif str(name).endswith(".toml"):
        found = _read(Path(name), str(name))
    elif name in recipes():
        found = _read(_folder() / f"{name}.toml", f"recipes/{name}.toml")
    else:
        raise ValueError(f"unknown recipe {name!r}; there are: {', '.join(recipes())}, and "
                         f"'paper' for the network's own")
    return found if model is None else found.with_exceptions(model)


def _folder() -> Any:
    return files("scratchnet.training") / "recipes"


def _read(file: Any, where: str) -> Recipe:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where} is no TOML file: {error}") from None
    except OSError as error:
        raise ValueError(f"cannot read {where}: {error.strerror or error}") from None
    return Recipe.from_dict({"name": file.name.removesuffix(".toml")} | table, where)


# ── helpers ──────────────────────────────────────────────────────────────────────────


def _make_schedule(table: Mapping, epochs: int, by_epochs: float,
                   by_steps: float) -> schedules.Schedule:
    """What the table says; epochs are stretched by one factor, steps by the other."""
    constants = {key: value for key, value in table.items() if key != "name"}

    def stretch(key: str, by: float) -> None:
        value = constants.get(key)
        if value is not None and by != 1:
            constants[key] = ([round(v * by, 4) for v in value] if isinstance(value, list) else
                              round(value * by, 4))

    if table["name"] in ("Cosine", "Polynomial"):
        constants["epochs"] = epochs
    elif table["name"] == "WarmUp":
        constants["then"] = _make_schedule(table["then"], epochs, by_epochs, by_steps)
        stretch("epochs", by_epochs)
        stretch("steps", by_steps)
    elif table["name"] == "Plateau":
        constants["patience"] = max(1, round(constants.get("patience", 5) * by_epochs))
    else:
        stretch("every", by_epochs)
        stretch("at", by_steps if constants.get("unit") == "steps" else by_epochs)
    return getattr(schedules, table["name"])(**constants)


def _measure(tables: list[dict], images: Any) -> dict[str, np.ndarray]:
    """What the transforms need to know of the training images."""
    statistics = {}
    for table in tables:
        if table["name"] == "Normalise" and "mean" not in statistics:
            measured = augment.Normalise.of(images, per=table.get("per", "channel"))
            statistics["mean"] = measured.mean
            if table.get("std"):
                statistics["std"] = measured.std
        elif table["name"] == "PCAColour":
            measured = augment.PCAColour.of(images)
            statistics |= {"eigenvalues": measured.eigenvalues,
                           "eigenvectors": measured.eigenvectors}
    return statistics
