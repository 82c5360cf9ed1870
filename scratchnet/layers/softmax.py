"""SoftmaxCrossEntropy — from scores to probabilities to one number: how surprised are we?

With scores z (logits), C classes and the true class t of each image:

    forward     p_c = e^{z_c} / Σ_k e^{z_k}                     softmax
                L   = −1/N · Σ_n log p_{n, t_n}                 cross-entropy, averaged

    backward    log p_t = z_t − log Σ_k e^{z_k}, and ∂/∂z_c log Σ_k e^{z_k} = p_c, hence

                dz_{n,c} = (p_{n,c} − [c = t_n]) / N

The gradient is the difference between what was said and what is true. It sums to zero over
the classes: raising all scores together changes nothing. For the same reason we may
subtract the largest score first, so that no e^z overflows.

Shapes:  logits (N, C), labels (N,) of integers 0 … C−1 → L, one number
Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.
"""
from typing import Any

import numpy as np

from scratchnet.backend import device_of, is_array, to_host, xp_of
from scratchnet.layer import Layer, expect


class SoftmaxCrossEntropy(Layer):
    """The mean cross-entropy of softmax(logits); `backward()` starts the backward pass.

    Raises ValueError for labels that are not integers, not N of them or not 0 … C−1.
    """

    def forward(self, logits: Any, labels: Any) -> Any:
        expect(self, logits, "N", "C")
        N, C = logits.shape
        self._check(labels, N, C, device_of(logits))
        xp = xp_of(logits)

        z = logits - logits.real.max(axis=1, keepdims=True)         # (N, C)
        log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
        loss = -log_p[xp.arange(N), labels].mean()
        self.remember(xp.exp(log_p), labels.copy())
        return loss

    def backward(self, dloss: float = 1.0) -> Any:
        if getattr(dloss, "shape", ()) != () or dloss is None:
            raise ValueError(f"{self}.backward expects one number, the gradient of what follows "
                             f"with respect to the loss; got {dloss!r}")
        p, labels = self.recall()
        N = len(p)
        dlogits = p                                                 # ours since recall
        dlogits[xp_of(p).arange(N), labels] -= 1
        dlogits *= dloss / N                                        # in place: keeps the dtype
        return dlogits

    def terms(self, logits: Any, labels: Any, dloss: Any) -> dict[str, Any]:
        """dlogits is their sum."""
        xp = xp_of(logits)
        p = xp.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        hot = (xp.arange(p.shape[1]) == labels[:, None]).astype(p.dtype)
        return {"probability": p * (dloss / len(p)), "one-hot label": -hot * (dloss / len(p))}

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
        return "SoftmaxCrossEntropy()"
