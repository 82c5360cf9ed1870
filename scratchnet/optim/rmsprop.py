"""RMSProp — divide each gradient by its usual size; the optimizer of the Inceptions and MobileNets.

With gradient g, learning rate ε (lr), momentum m and weight decay λ (which adds λ·w to g):

    s ← α·s + (1−α)·g²              the average square: √s is the usual size of g

    eps_inside=True     s begins at 1       v ← m·v + ε · g/√(s + eps)      w ← w − v
    eps_inside=False    s begins at 0       v ← m·v + g/(√s + eps)          w ← w − ε·v

The first is TensorFlow's, with which those networks were trained, the second PyTorch's. There are
three differences, and they go together. The place of eps matters most where it is large: with the
eps = 1.0 of Inception it is either added to a square or to its root. Beginning at 1 makes the
first steps short, beginning at 0 long: at the first step √s is √(1−α)·|g|, so every weight moves
by ε/√(1−α), whatever its gradient. And ε inside v lets the steps in v keep their size when ε
drops (as in sgd.py).

Tieleman & Hinton, "Lecture 6.5 — RMSProp", Coursera: Neural Networks for Machine Learning, 2012.
Szegedy et al., "Rethinking the Inception Architecture", 2015, section 8: ε = 0.045, α = 0.9,
eps = 1.0.
"""
from collections.abc import Iterable
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Parameter
from scratchnet.optim.group import Group
from scratchnet.optim.optimizer import Optimizer, decayed

INFINITY = float("inf")


class RMSProp(Optimizer):
    """RMSProp on `parameters`, TensorFlow's or (eps_inside=False) PyTorch's; `lr` may be changed.

    Raises ValueError for no parameters, something that is no Parameter, or constants that
    make no sense.
    """

    def __init__(self, parameters: Iterable[Parameter] | Iterable[Group], lr: float,
                 alpha: float = 0.9, eps: float = 1e-8, momentum: float = 0,
                 weight_decay: float = 0, *, eps_inside: bool = True):
        super().__init__(parameters, lr, weight_decay)
        self._expect(0 < lr < INFINITY and 0 <= alpha < 1 and 0 < eps < INFINITY
                     and 0 <= momentum < 1 and 0 <= weight_decay < INFINITY,
                     "lr > 0, 0 ≤ alpha < 1, eps > 0, 0 ≤ momentum < 1 and weight_decay ≥ 0",
                     lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay)
        self.alpha, self.eps, self.momentum, self.eps_inside = alpha, eps, momentum, eps_inside

    @property
    def memory(self) -> dict[str, float]:
        """The average square, and the velocity."""
        return {"square": 1.0 if self.eps_inside else 0.0, "velocity": 0.0}

    def move(self, w: Any, g: Any, *, lr: float, decay: float, t: int, square: Any,
             velocity: Any) -> None:
        xp = xp_of(w)
        g = decayed(g, w, decay)
        square *= self.alpha
        square += (1 - self.alpha) * (g * g)
        velocity *= self.momentum
        if self.eps_inside:
            velocity += lr * g / xp.sqrt(square + self.eps)
            w -= velocity
        else:
            velocity += g / (xp.sqrt(square) + self.eps)
            w -= lr * velocity
