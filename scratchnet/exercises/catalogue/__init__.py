"""The catalogue — every exercise from easy to hard; none needs another one solved."""
import difflib
import importlib
from pathlib import PurePath

from scratchnet.exercises.spec import Exercise, Hunt

ORDER = (
    "linear", "relu", "sigmoid_tanh", "softmax", "sgd", "counting", "convolution", "im2col",
    "col2im", "conv2d", "max_pool", "overlapping_pool", "avg_pool", "lrn", "dropout", "batchnorm",
    "conv1x1", "global_avg_pool", "grouped_conv", "depthwise_conv", "inception", "residual",
    "bottleneck", "dense_layer", "squeeze_excitation", "max_unpool", "nas_cell",
    "hunt_relu", "hunt_col2im", "hunt_lrn", "hunt_max_pool", "hunt_stale", "hunt_batchnorm",
)


def names() -> list[str]:
    """Return the names of all exercises, from easy to hard."""
    return list(ORDER)


def find(word: str) -> str:
    """Return the name of the exercise that `word` means: a name, its number, or its file's name.

    ValueError names the nearest, or says how many there are.
    """
    name = PurePath(word).name.removesuffix(".py")
    if name.isdecimal():
        if 1 <= int(name) <= len(ORDER):
            return ORDER[int(name) - 1]
        raise ValueError(f"there is no exercise {int(name)}: there are {len(ORDER)}; "
                         f"`scratchnet exercise list` lists them")
    if name in ORDER:
        return name
    near = [f"did you mean {other!r}? " for other in difflib.get_close_matches(name, ORDER, n=1)]
    raise ValueError(f"unknown exercise {word!r}: {''.join(near)}`scratchnet exercise list` lists "
                     f"them")


def load(name: str) -> Exercise | Hunt:
    """Return the exercise of this name; ValueError for another."""
    return importlib.import_module(f"{__name__}.{find(name)}").EXERCISE
