"""Adam — every weight at its own rate: steps of about the same length, whatever the gradient's.

With gradient g, learning rate ε (lr), and t the number of this step, 1 at first:

    m ← β₁·m + (1−β₁)·g             the average gradient
    s ← β₂·s + (1−β₂)·g²            the average of its square
    w ← w − ε · m̂ / (√ŝ + eps)      m̂ = m/(1−β₁ᵗ),  ŝ = s/(1−β₂ᵗ)

m and s begin at 0 and so are too small at first: after t steps with the same g, m = (1−β₁ᵗ)·g.
The hats divide that out. The quotient is at most about 1: ε is the length of a step, where the
gradients agree; where they alternate, m̂ is small and √ŝ is not.

Weight decay λ in two ways. The old one adds λ·w to g; but then it is divided by √ŝ too, and
weights with large gradients decay less than others. Decoupled from the gradient (AdamW),

    w ← w − ε·λ·w                   before the step with g alone

With decoupled=True this is PyTorch's AdamW, whose rate of decay is ε·λ. (The paper has λ times
the schedule's factor alone, without the base rate.)

Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015: ε = 0.001, β₁ = 0.9,
β₂ = 0.999, eps = 1e-8.
Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
"""
import math
from collections.abc import Iterable
from typing import Any

from scratchnet.backend import xp_of
from scratchnet.layer import Parameter
from scratchnet.optim.group import Group
from scratchnet.optim.optimizer import Optimizer, decayed

INFINITY = float("inf")


class Adam(Optimizer):
    """Adam on `parameters`, or AdamW (decoupled=True); `lr` may be changed between steps.

    Raises ValueError for no parameters, something that is no Parameter, or constants that
    make no sense.
    """

    memory = {"mean": 0.0, "square": 0.0}

    def __init__(self, parameters: Iterable[Parameter] | Iterable[Group], lr: float = 0.001,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, *, decoupled: bool = False):
        super().__init__(parameters, lr, weight_decay)
        self._expect(isinstance(betas, tuple | list) and len(betas) == 2
                     and all(0 <= beta < 1 for beta in betas),
                     "betas to be two numbers, 0 ≤ β < 1", betas=betas)
        self._expect(0 < lr < INFINITY and 0 < eps < INFINITY and 0 <= weight_decay < INFINITY,
                     "lr > 0, eps > 0 and weight_decay ≥ 0",
                     lr=lr, eps=eps, weight_decay=weight_decay)
        self.betas, self.eps, self.decoupled = tuple(betas), eps, decoupled

    def move(self, w: Any, g: Any, *, lr: float, decay: float, t: int, mean: Any,
             square: Any) -> None:
        beta1, beta2 = self.betas
        if self.decoupled:
            w *= 1 - lr * decay
        else:
            g = decayed(g, w, decay)
        mean *= beta1
        mean += (1 - beta1) * g
        square *= beta2
        square += (1 - beta2) * (g * g)
        root = xp_of(w).sqrt(square)
        root /= math.sqrt(1 - beta2 ** t)                           # √ŝ
        root += self.eps
        w -= lr / (1 - beta1 ** t) * mean / root
