"""Training: the loop, the plateau schedule, and what to measure."""
from scratchnet.training.loop import Epoch, fit
from scratchnet.training.metrics import confusion_matrix, evaluate, predict, top_k
from scratchnet.training.schedule import Plateau

__all__ = ["Epoch", "Plateau", "confusion_matrix", "evaluate", "fit", "predict", "top_k"]
