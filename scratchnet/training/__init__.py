"""Training: the loop, its recipes and schedules, checkpoints, transfer, and what to measure."""
from scratchnet.training.communicator import Alone, Communicator, communicator
from scratchnet.training.ensemble import Ensemble
from scratchnet.training.finite import first_not_finite
from scratchnet.training.interrupt import Interrupted
from scratchnet.training.loop import Epoch, fit
from scratchnet.training.metrics import (
    Scores,
    confusion_matrix,
    evaluate,
    measure,
    predict,
    top_k,
)
from scratchnet.training.parallel import DataParallel, Shard, shard
from scratchnet.training.recipe import Plan, Recipe, recipe, recipes
from scratchnet.training.recorder import Recorder
from scratchnet.training.run import Run, train
from scratchnet.training.schedule import (
    Constant,
    Cosine,
    Exponential,
    Plateau,
    Polynomial,
    Steps,
    WarmUp,
)
from scratchnet.training.transfer import features, freeze, replace_head, train_head, unfreeze

__all__ = [
    "Alone", "Communicator", "Constant", "Cosine", "DataParallel", "Ensemble", "Epoch",
    "Exponential", "Interrupted", "Plan", "Plateau", "Polynomial", "Recipe", "Recorder", "Run",
    "Scores", "Shard", "Steps", "WarmUp", "communicator", "confusion_matrix", "evaluate",
    "features", "first_not_finite", "fit", "freeze", "measure", "predict", "recipe", "recipes",
    "replace_head", "shard", "top_k", "train", "train_head", "unfreeze",
]
