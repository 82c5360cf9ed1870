"""Optimizers — from gradients to steps — and what goes with them: groups, clipping, averaging."""
from scratchnet.optim.adam import Adam
from scratchnet.optim.average import MovingAverage
from scratchnet.optim.clipping import clip_by_norm, clip_by_value, gradient_norm
from scratchnet.optim.group import Group, groups
from scratchnet.optim.optimizer import Optimizer
from scratchnet.optim.rmsprop import RMSProp
from scratchnet.optim.sgd import SGD

__all__ = ["Adam", "Group", "MovingAverage", "Optimizer", "RMSProp", "SGD", "clip_by_norm",
           "clip_by_value", "gradient_norm", "groups"]
