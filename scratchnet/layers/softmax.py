"""SoftmaxCrossEntropy — from scores to probabilities to one number: how surprised are we?

With scores z (logits), C classes and the true class t of each image:

    forward     p_c = e^{z_c} / Σ_k e^{z_k}                     softmax
                L   = −1/N · Σ_n log p_{n, t_n}                 cross-entropy, averaged

    backward    log p_t = z_t − log Σ_k e^{z_k}, and ∂/∂z_c log Σ_k e^{z_k} = p_c, hence

                dz_{n,c} = (p_{n,c} − [c = t_n]) / N

The gradient is the difference between what was said and what is true. It sums to zero over
the classes: raising all scores together changes nothing. For the same reason we may
subtract the largest score first, so that no e^z overflows.

Label smoothing s. Only an infinite score makes L zero, and a network that is never sure enough
keeps driving its scores apart. So the target is not "t, surely" but a distribution q:

                q_c = (1−s)·[c = t] + s/C                   Σ_c q_c = 1
    forward     L   = −1/N · Σ_n Σ_c q_{n,c} · log p_{n,c}
                    = −1/N · Σ_n ( (1−s)·log p_{n, t_n} + s/C · Σ_c log p_{n,c} )

    backward    ∂/∂z_c log p_k = [k = c] − p_c, and Σ_k q_k = 1, hence Σ_k q_k · ([k = c] − p_c)
                is q_c − p_c, and

                dz_{n,c} = (p_{n,c} − q_{n,c}) / N

It is zero where p = q: for finite scores, and the true class ahead by log(1 + C·(1−s)/s).

Shapes:  logits (N, C), labels (N,) of integers 0 … C−1 → L, one number
Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.
Label smoothing: Szegedy et al., "Rethinking the Inception Architecture", 2015, section 7.
"""
from typing import Any

import numpy as np

from scratchnet.backend import device_of, is_array, to_host, xp_of
from scratchnet.layer import Layer, expect


class SoftmaxCrossEntropy(Layer):
    """The mean cross-entropy of softmax(logits); `backward()` starts the backward pass.

    Raises ValueError for labels that are not integers, not N of them or not 0 … C−1, and for
    a label_smoothing that is not from 0 to below 1.
    """

    def __init__(self, label_smoothing: float = 0.0):
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxCrossEntropy expects 0 ≤ label_smoothing < 1; got "
                             f"{label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def forward(self, logits: Any, labels: Any) -> Any:
        expect(self, logits, "N", "C")
        N, C = logits.shape
        self._check(labels, N, C, device_of(logits))
        xp = xp_of(logits)

        z = logits - logits.real.max(axis=1, keepdims=True)         # (N, C)
        log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
        loss = -log_p[xp.arange(N), labels].mean()
        if s := self.label_smoothing:
            loss = (1 - s) * loss - s * log_p.mean()                # the mean over N and C
        self.remember(xp.exp(log_p), labels.copy())
        return loss

    def backward(self, dloss: float = 1.0) -> Any:
        if getattr(dloss, "shape", ()) != () or dloss is None:
            raise ValueError(f"{self}.backward expects one number, the gradient of what follows "
                             f"with respect to the loss; got {dloss!r}")
        p, labels = self.recall()
        dlogits = p                                                 # ours since recall
        dlogits -= self._targets(labels, p)
        dlogits *= dloss / len(p)                                   # in place: keeps the dtype
        return dlogits

    def terms(self, logits: Any, labels: Any, dloss: Any) -> dict[str, Any]:
        """dlogits is their sum."""
        xp = xp_of(logits)
        p = xp.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        hot = (xp.arange(p.shape[1]) == labels[:, None]).astype(p.dtype)
        (N, C), s = p.shape, self.label_smoothing
        parts = {"probability": p * (dloss / N), "one-hot label": hot * (-(1 - s) * dloss / N)}
        if s:
            parts["smoothing of the label"] = xp.full_like(p, -s / C) * (dloss / N)
        return parts

    def _targets(self, labels: Any, p: Any) -> Any:
        """q, (N, C) like p: s/C for every class, and 1 − s more for the true one."""
        (N, C), s, xp = p.shape, self.label_smoothing, xp_of(p)
        q = xp.full_like(p, s / C)
        q[xp.arange(N), labels] += 1 - s
        return q

    def _check(self, labels: Any, N: int, C: int, device: str) -> None:
        wanted = f"SoftmaxCrossEntropy expects {N} labels, integers from 0 to {C - 1}"
        if not is_array(labels) or labels.dtype.kind not in "iu":
            came = labels.dtype if is_array(labels) else type(labels).__name__
            raise ValueError(f"{wanted}, in an integer array; got {came}")
        if labels.shape != (N,):
            raise ValueError(f"{wanted}, in an array of shape ({N},); got {labels.shape}")
        if device_of(labels) != device:
            raise ValueError(f"{wanted}, on the {device} like the logits; got them on the "
                             f"{device_of(labels)}")
        wrong = to_host((labels < 0) | (labels >= C))
        if wrong.any():
            n = int(np.argmax(wrong))
            raise ValueError(f"{wanted} (logits have {C} columns); got {int(labels[n])} at "
                             f"position {n}")

    def __repr__(self) -> str:
        s = self.label_smoothing
        return f"SoftmaxCrossEntropy({f'label_smoothing={s}' if s else ''})"


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) on the host → probabilities (N, C), float64: far fewer of them underflow to a tie."""
    e = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
