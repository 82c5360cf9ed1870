"""What may stand in a recipe's file: the keys, the names, and what the constants must be.

Read from the tables below; `check` says where a file departs from them. Whether a number is
sensible (a momentum of 1.5) is for the class to say that takes it.
"""
import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from scratchnet.models import list_models

NOTE = re.compile(r"(departure|not given|recalled|remark)(?: \((\w+)\))?: \S")


class Kind(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    fits: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _list(value: Any, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and all(map(of, value))


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _one_of(*values: Any) -> Kind:
    return Kind(" or ".join(map(repr, values)), lambda value: any(
        value == v and type(value) is type(v) for v in values))


TEXT = Kind("text", lambda v: isinstance(v, str) and bool(v.strip()))
TEXTS = Kind("a list of texts", lambda v: _list(v, TEXT.fits))
NUMBER = Kind("a number", _number)
WHOLE = Kind("a whole number, 1 or more", whole)
TRUTH = Kind("true or false", lambda v: isinstance(v, bool))
NUMBERS = Kind("a list of numbers", lambda v: _list(v, _number))
PAIR = Kind("a list of two numbers", lambda v: _list(v, _number) and len(v) == 2)
SIDES = Kind("a list of two whole numbers, the larger first",
             lambda v: _list(v, whole) and len(v) == 2 and v[0] >= v[1])
PER_LAYER = Kind("a number, or a table of numbers by layer", lambda v: _number(v) or (
    isinstance(v, Mapping) and all(map(_number, v.values()))))
TABLE = Kind("a table", lambda v: isinstance(v, Mapping))
TABLES = Kind("a list of tables", lambda v: _list(v, TABLE.fits))

OPTIMIZERS = {
    "SGD": {"lr": NUMBER, "momentum": NUMBER, "weight_decay": NUMBER, "nesterov": TRUTH,
            "form": _one_of("paper", "pytorch")},
    "Adam": {"lr": NUMBER, "betas": PAIR, "eps": NUMBER, "weight_decay": NUMBER,
             "decoupled": TRUTH},
    "RMSProp": {"lr": NUMBER, "alpha": NUMBER, "eps": NUMBER, "momentum": NUMBER,
                "weight_decay": NUMBER, "eps_inside": TRUTH},
}
SCHEDULES = {
    "Constant": {},
    "Steps": {"at": NUMBERS, "factor": NUMBER, "unit": _one_of("epochs", "steps")},
    "Exponential": {"factor": NUMBER, "every": NUMBER},
    "Polynomial": {"power": NUMBER, "end": NUMBER},
    "Cosine": {"end": NUMBER},
    "Plateau": {"patience": WHOLE, "factor": NUMBER, "drops": WHOLE},
    "WarmUp": {"then": TABLE, "steps": WHOLE, "epochs": NUMBER, "start": NUMBER,
               "kind": _one_of("linear", "constant")},
}
INITIALIZATIONS = {name: constants | {"staged": TRUTH} for name, constants in {
    "gaussian": {"std": PER_LAYER, "biases": PER_LAYER},
    "he": {"fan": _one_of("in", "out")},
    "truncated": {"std": NUMBER},
    "uniform": {"scale": NUMBER},
    "xavier": {},
}.items()}
TRANSFORMS = {
    "CentreCrop": {},
    "ColourJitter": {"brightness": NUMBER, "contrast": PAIR, "saturation": PAIR},
    "Cutout": {"side": NUMBER},
    "Normalise": {"per": _one_of("pixel", "channel"), "std": TRUTH},
    "PCAColour": {"std": NUMBER},
    "RandomCrop": {"padding": NUMBER},
    "RandomReflection": {"p": NUMBER},
    "RandomResizedCrop": {"area": PAIR, "aspect": PAIR},
    "RandomShift": {"pixels": NUMBER},
    "ScaleJitter": {"smallest": NUMBER, "largest": NUMBER},
}
TAKE_SIZE = ("CentreCrop", "RandomCrop", "RandomResizedCrop", "ScaleJitter")
IN_PIXELS = ("padding", "pixels", "side", "smallest", "largest")
COLOURS = ("ColourJitter", "PCAColour")             # make sense of three channels only
FIXED = ("CentreCrop", "Normalise")                 # nothing random: may be done in a test

LOSS = {"label_smoothing": NUMBER, "auxiliary": NUMBER}
KEYS = {
    "title": TEXT, "source": TEXT, "models": TEXTS, "epochs": WHOLE, "batch_size": WHOLE,
    "stored": SIDES, "optimizer": TABLE, "schedule": TABLE, "initialization": TABLE,
    "train": TABLES, "test": TABLES,                                # up to here, all are needed
    "name": TEXT, "notes": TEXTS, "steps": WHOLE, "pixels": NUMBER, "spare": TRUTH, "loss": TABLE,
    "clip": NUMBER, "average": NUMBER, "test_crops": _one_of(1, 10), "for": TABLE,
}
NEEDED = list(KEYS)[:list(KEYS).index("test") + 1]


# ── checking ─────────────────────────────────────────────────────────────────────────


def check(table: Any, where: str) -> None:
    """Raise ValueError unless `table` is a recipe; the constants' sizes are their classes' to
    judge."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: expected a table with {', '.join(KEYS)}; got "
                         f"{type(table).__name__}")
    _check_keys(table, KEYS, where, "a recipe")
    if missing := [key for key in NEEDED if key not in table]:
        raise ValueError(f"{where}: {', '.join(missing)} missing; a recipe needs "
                         f"{', '.join(NEEDED)}")
    _check_named(table["optimizer"], OPTIMIZERS, f"{where}: optimizer")
    if "lr" not in table["optimizer"]:
        raise ValueError(f"{where}: optimizer.lr missing: the learning rate")
    _check_schedule(table["schedule"], f"{where}: schedule", "steps" in table)
    _check_named(table["initialization"], INITIALIZATIONS, f"{where}: initialization")
    _check_keys(table.get("loss", {}), LOSS, f"{where}: loss", "the loss")
    for part in ("train", "test"):
        for i, transform in enumerate(table[part], start=1):
            _check_named(transform, TRANSFORMS, f"{where}: {part}, number {i}")
            if part == "test" and transform["name"] not in FIXED:
                raise ValueError(f"{where}: test, number {i}: in a test only {' and '.join(FIXED)} "
                                 f"are allowed, which draw nothing; got {transform['name']}")
    train, test = ([t for t in table[part] if t["name"] == "Normalise"]
                   for part in ("train", "test"))
    if train != test or len(train) > 1:
        raise ValueError(f"{where}: train and test need the same Normalise, once each or not at "
                         f"all; got {train} and {test}")
    for part in ("train", "test"):
        _check_sizes(table[part], f"{where}: {part}")
    for i, note in enumerate(table.get("notes", []), start=1):
        match = NOTE.match(note)
        if not match or match[2] not in (None, *KEYS):
            raise ValueError(f"{where}: notes, number {i} must begin with departure, not given, "
                             f"recalled or remark, perhaps a key, and a colon, as in "
                             f"'recalled (optimizer): …'; got {note[:40]!r}")
    for model in [*table["models"], *table.get("for", {})]:
        if model not in list_models():
            near = get_close_matches(model, list_models(), n=1, cutoff=0)
            raise ValueError(f"{where}: there is no model {model!r}: did you mean {near[0]!r}?")
    for model, own in table.get("for", {}).items():
        if not isinstance(own, Mapping):
            raise ValueError(f"{where}: for.{model} must be a table; got {own!r}")
        plain = {key: value for key, value in table.items() if key != "for"}
        check(changed(plain, own), f"{where}, for.{model}")


def _check_keys(table: Any, allowed: Mapping[str, Kind], where: str, what: str) -> None:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table; got {table!r}")
    for key, value in table.items():
        if key not in allowed:
            raise ValueError(f"{where}: unknown key {key!r}; {what} takes "
                             f"{', '.join(allowed) or 'no constants'}")
        if not allowed[key].fits(value):
            raise ValueError(f"{where}: {key} must be {allowed[key].words}; got {value!r}")


def _check_named(table: Any, allowed: Mapping[str, Mapping[str, Kind]], where: str) -> None:
    """A table with a name and constants that go with it."""
    name = table.get("name") if isinstance(table, Mapping) else None
    if not isinstance(name, str) or name not in allowed:
        raise ValueError(f"{where}: name must be one of {', '.join(allowed)}; got {name!r}")
    constants = {key: value for key, value in table.items() if key != "name"}
    _check_keys(constants, allowed[name], where, name)


def _check_schedule(table: Any, where: str, counted: bool) -> None:
    _check_named(table, SCHEDULES, where)
    if not counted and ("steps" in table or table.get("unit") == "steps"):
        raise ValueError(f"{where} counts in steps: then the recipe needs `steps`, how many "
                         f"there are in all")
    if table["name"] == "WarmUp":
        if ("steps" in table) == ("epochs" in table) or "then" not in table:
            raise ValueError(f"{where}: WarmUp needs either steps or epochs, and then = {{…}}, "
                             f"the schedule that follows")
        _check_schedule(table["then"], f"{where}.then", counted)


def _check_sizes(tables: list, where: str) -> None:
    """Images leave with the network's size; the mean of each pixel belongs to the stored ones."""
    names = [t["name"] for t in tables]
    if not set(names) & set(TAKE_SIZE):
        raise ValueError(f"{where}: nothing makes the images as large as the network's input; add "
                         f"CentreCrop" + f", or one of {', '.join(TAKE_SIZE[1:])}" *
                         where.endswith("train"))
    for i, table in enumerate(tables):
        cut = [name for name in names[:i] if name in TAKE_SIZE]
        if table.get("per") == "pixel" and cut:
            raise ValueError(f"{where}: Normalise per pixel must stand before {cut[0]}: the mean "
                             f"has the size of the stored images")


def changed(table: Mapping, changes: Mapping) -> dict:
    """`table` with `changes`; in a table without a name only the constants given are changed."""
    result = dict(table)
    for key, value in changes.items():
        inside = isinstance(value, Mapping) and "name" not in value
        result[key] = {**result.get(key, {}), **value} if inside else value
    return result
