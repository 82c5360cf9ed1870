"""Plateau — divide the learning rate by 10 when the validation error stops improving.

"The heuristic which we followed was to divide the learning rate by 10 when the validation
error rate stopped improving with the current learning rate." (Krizhevsky, Sutskever & Hinton,
NIPS 2012, section 5; they did it three times and by eye.) By eye becomes: `patience` epochs
in a row without a new lowest error.
"""
from scratchnet.optim import SGD


class Plateau:
    """Divide lr by `factor` after `patience` epochs without improvement, `drops` times."""

    def __init__(self, patience: int = 5, factor: float = 10, drops: int = 3):
        if patience < 1 or factor <= 1 or drops < 0:
            raise ValueError(f"Plateau expects patience ≥ 1, factor > 1 and drops ≥ 0; got "
                             f"patience={patience}, factor={factor}, drops={drops}")
        self.patience, self.factor, self.drops = patience, factor, drops
        self.best, self.waited = float("inf"), 0

    def done(self, optimizer: SGD, validation_error: float) -> bool:
        """Look at one epoch's error, lower optimizer.lr if it is time; True after the last drop."""
        if validation_error < self.best:
            self.best, self.waited = validation_error, 0
            return False
        self.waited += 1
        if self.waited < self.patience:
            return False
        if self.drops == 0:
            return True
        optimizer.lr /= self.factor
        self.drops, self.waited = self.drops - 1, 0
        return False
