"""SGD — go downhill, with momentum and weight decay, as in the AlexNet paper.

With gradient g, learning rate ε (lr), momentum m and weight decay λ:

    v ← m·v − λ·ε·w − ε·g
    w ← w + v

The velocity v is a fading sum of past steps: where gradients agree it grows (up to 1/(1−m) times
one step, ten times for m = 0.9), where they alternate it cancels. −λ·ε·w pulls every weight
towards zero. ε stands inside v: when it is divided by 10, the steps already in v keep their
size. (PyTorch keeps v ← m·v + g + λ·w and takes w ← w − ε·v: the same while ε is constant.)

Krizhevsky, Sutskever & Hinton, NIPS 2012, section 5: m = 0.9, λ = 0.0005, ε = 0.01.
"""
from collections.abc import Iterable

from scratchnet.backend import xp_of
from scratchnet.layer import Layer, Parameter


class SGD:
    """Stochastic gradient descent on `parameters`; `lr` may be changed between steps.

    Raises ValueError for no parameters, something that is no Parameter, or constants that
    make no sense.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float, momentum: float = 0,
                 weight_decay: float = 0):
        if isinstance(parameters, Layer):
            raise ValueError("SGD expects parameters, not a network: SGD(net.parameters(), …)")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("SGD got no parameters: this network has nothing to learn")
        for p in self.parameters:
            if not isinstance(p, Parameter):
                raise ValueError(f"SGD expects Parameters; got {type(p).__name__}: "
                                 f"pass net.parameters()")
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ValueError("SGD got a parameter twice; it would take two steps at once")
        if not (0 < lr < float("inf") and 0 <= momentum < 1
                and 0 <= weight_decay < float("inf")):
            raise ValueError(f"SGD expects lr > 0, 0 ≤ momentum < 1 and weight_decay ≥ 0; got "
                             f"lr={lr}, momentum={momentum}, weight_decay={weight_decay}")
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocity: list = []                # begins at the first step, where w is by then

    def step(self) -> None:
        """Move every parameter by one step along its gradient."""
        if not self.velocity:
            self.velocity = [xp_of(p.value).zeros(p.value.shape, dtype=p.value.dtype)
                             for p in self.parameters]
        for p, v in zip(self.parameters, self.velocity, strict=True):
            v *= self.momentum
            v -= self.lr * (p.grad + self.weight_decay * p.value)
            p.value += v

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters:
            p.grad[...] = 0
