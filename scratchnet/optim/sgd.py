"""SGD — go downhill, with momentum and weight decay, as in the AlexNet paper.

With gradient g, learning rate ε (lr), momentum m and weight decay λ:

    form="paper"        v ← m·v − λ·ε·w − ε·g           w ← w + v
    form="pytorch"      v ← m·v + g + λ·w               w ← w − ε·v

The velocity v is a fading sum of past steps: where gradients agree it grows (up to 1/(1−m) times
one step, ten times for m = 0.9), where they alternate it cancels. −λ·ε·w pulls every weight
towards zero.

While ε is constant the two forms are one (the paper's v is −ε times PyTorch's). They part at each
drop of ε: in the paper's form ε stands inside v, and the steps already in v keep their size; in
PyTorch's they shrink with ε at once.

Nesterov's momentum measures g where the velocity is about to carry w. Sutskever's form,

    v ← m·v − ε·g(w + m·v)                  w ← w + v

wants a gradient elsewhere than at w. Keep Φ = w + m·v instead, the point at which g is measured:

    Φ_new = w + v_new + m·v_new = Φ − m·v + v_new + m·v_new,    and v_new − m·v = −ε·g, so

    form="paper"        v ← m·v − ε·(g + λ·w)           w ← w + m·v − ε·(g + λ·w)
    form="pytorch"      v ← m·v + (g + λ·w)             w ← w − ε·(g + λ·w + m·v)

where w is now Φ, the only weights there are.

Krizhevsky, Sutskever & Hinton, NIPS 2012, section 5: m = 0.9, λ = 0.0005, ε = 0.01.
Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum in deep
learning", ICML 2013.
"""
from collections.abc import Iterable
from typing import Any

from scratchnet import kernels
from scratchnet.layer import Parameter
from scratchnet.optim.group import Group
from scratchnet.optim.optimizer import Optimizer, decayed

INFINITY = float("inf")


class SGD(Optimizer):
    """Stochastic gradient descent on `parameters`; `lr` may be changed between steps.

    form: "paper" or "pytorch"; they differ after each change of lr (see above).
    Raises ValueError for no parameters, something that is no Parameter, or constants that
    make no sense.
    """

    memory = {"velocity": 0.0}

    def __init__(self, parameters: Iterable[Parameter] | Iterable[Group], lr: float,
                 momentum: float = 0, weight_decay: float = 0, *, nesterov: bool = False,
                 form: str = "paper"):
        super().__init__(parameters, lr, weight_decay)
        self._expect(0 < lr < INFINITY and 0 <= momentum < 1 and 0 <= weight_decay < INFINITY,
                     "lr > 0, 0 ≤ momentum < 1 and weight_decay ≥ 0",
                     lr=lr, momentum=momentum, weight_decay=weight_decay)
        self._expect(form in ("paper", "pytorch"), "form 'paper' or 'pytorch'", form=repr(form))
        self._expect(not nesterov or momentum > 0, "a momentum above 0 with nesterov",
                     momentum=momentum)
        self.momentum, self.nesterov, self.form = momentum, nesterov, form

    def move(self, w: Any, g: Any, *, lr: float, decay: float, t: int, velocity: Any) -> None:
        v, m = velocity, self.momentum
        if kernels.serve(w, g, v) and w.flags.c_contiguous and v.flags.c_contiguous:
            kernels.sgd(w, g, v, lr, decay, m, self.form == "paper", self.nesterov)
            return
        g = decayed(g, w, decay)
        v *= m
        if self.form == "paper":
            v -= lr * g
            w += m * v - lr * g if self.nesterov else v
        else:
            v += g
            w -= lr * (g + m * v if self.nesterov else v)
