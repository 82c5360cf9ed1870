"""BatchNorm2d — give every channel mean 0 and variance 1 over the batch, then let it choose.

For each channel, over its m = N·H·W numbers x_1 … x_m:

    forward     μ = 1/m · Σ x_i                 σ² = 1/m · Σ (x_i − μ)²
    (training)  x̂_i = (x_i − μ) / √(σ² + ε)     y_i = γ · x̂_i + β

    backward    dβ = Σ dy_i                     dγ = Σ dy_i · x̂_i          dx̂_i = γ · dy_i

                x_j reaches the loss three ways: directly through x̂_j, and through μ and σ²,
                which it shares with all the others:

                dx_j = 1/√(σ²+ε) · ( dx̂_j  −  1/m · Σ dx̂_i  −  x̂_j · 1/m · Σ dx̂_i · x̂_i )
                                     └ direct ┘  └ through μ ─┘   └ through σ² ─────────────┘

                (through σ²: ∂σ²/∂x_j = 2/m·(x_j − μ) and ∂x̂_i/∂σ² = −½·x̂_i/(σ²+ε). The path
                from μ into σ² is empty: ∂σ²/∂μ = −2/m · Σ(x_i − μ) = 0.)

                With Σ dx̂_i = γ·dβ and Σ dx̂_i·x̂_i = γ·dγ this is

                dx_j = γ/√(σ²+ε) · ( dy_j − dβ/m − x̂_j · dγ/m )

    evaluation  μ and σ² are the running averages, constants: dx = dy · γ/√(σ²+ε)

Running averages, as in PyTorch: r ← (1−momentum)·r + momentum·batch, σ² with 1/(m−1) there.

Shapes:  x (N, C, H, W); y and dx have x's.  γ = weight (C,)   β = bias (C,)
Ioffe & Szegedy, "Batch Normalization", ICML 2015.
"""
from typing import Any

import numpy as np

from scratchnet.backend import xp_of
from scratchnet.convolution import whole
from scratchnet.layer import Layer, Parameter, expect


class BatchNorm2d(Layer):
    """(N, C, H, W) → the same shape, floating point. Buffers: running_mean, running_var (C,).

    Training needs N·H·W > 1 (one number has no variance): ValueError otherwise.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        whole(num_features, "BatchNorm2d: num_features")
        if not eps > 0:
            raise ValueError(f"BatchNorm2d: eps must be above 0, or a constant channel divides "
                             f"by zero; got {eps}")
        if not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm2d: momentum is the share of the new batch in the running "
                             f"averages, 0 to 1; got {momentum}")
        self.num_features, self.eps, self.momentum = num_features, float(eps), float(momentum)
        self.weight = Parameter(np.ones(num_features, dtype=np.float32))
        self.bias = Parameter(np.zeros(num_features, dtype=np.float32))
        self.running_mean = np.zeros(num_features, dtype=np.float32)
        self.running_var = np.ones(num_features, dtype=np.float32)

    def forward(self, x: Any) -> Any:
        gamma, beta = self.weight.value, self.bias.value
        expect(self, x, "N", self.num_features, "H", "W", weight=gamma)
        if self.training:
            m = x.size // self.num_features
            if m == 1:
                raise ValueError(f"{self} needs more than one number a channel to train on; "
                                 f"got {x.shape}: use a larger batch, or .eval()")
            mean = x.mean(axis=(0, 2, 3))                           # (C,)
            centred = x - mean[:, None, None]
            var = _sum_of_products(centred, centred) / m            # (C,)
            a = self.momentum
            self.running_mean = (1 - a) * self.running_mean + a * mean
            self.running_var = (1 - a) * self.running_var + a * (m / (m - 1)) * var
        else:
            centred = x - self.running_mean[:, None, None]
            var = self.running_var

        inv_std = 1 / xp_of(x).sqrt(var + self.eps)
        x_hat = centred
        x_hat *= inv_std[:, None, None]                             # in place: centred is ours
        y = gamma[:, None, None] * x_hat
        y += beta[:, None, None]
        self.remember(x_hat, inv_std, self.training, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x_hat, inv_std, trained_on_batch = self.recall(dy)
        gamma = self.weight.value

        dbeta = dy.sum(axis=(0, 2, 3))                              # (C,)
        dgamma = _sum_of_products(dy, x_hat)                        # (C,)
        self.bias.grad += dbeta
        self.weight.grad += dgamma

        scale = (gamma * inv_std)[:, None, None]
        if not trained_on_batch:
            return scale * dy
        m = dy.size // self.num_features
        dx = x_hat                          # ours since recall; in four steps, in place:
        dx *= -(dgamma / m)[:, None, None]
        dx += dy
        dx -= (dbeta / m)[:, None, None]
        dx *= scale                         # scale · (dy − dβ/m − x̂ · dγ/m)
        return dx

    settings = {"the plain setting": ((3,), {}, (4, 3, 2, 5)),
                "one pixel": ((3,), {}, (4, 3, 1, 1)),
                "one channel": ((1,), {}, (3, 1, 2, 4))}

    def terms(self, x: Any, dy: Any) -> dict[str, Any]:
        """dx is their sum (in evaluation there is the direct one only)."""
        var, mean = ((x.var(axis=(0, 2, 3)), x.mean(axis=(0, 2, 3))) if self.training else
                     (self.running_var, self.running_mean))
        inv_std = (1 / xp_of(x).sqrt(var + self.eps))[:, None, None]
        x_hat, dx_hat = (x - mean[:, None, None]) * inv_std, dy * self.weight.value[:, None, None]
        if not self.training:
            return {"direct": dx_hat * inv_std}
        return {"direct": dx_hat * inv_std,
                "mean": -dx_hat.mean(axis=(0, 2, 3), keepdims=True) * inv_std,
                "variance": -x_hat * (dx_hat * x_hat).mean(axis=(0, 2, 3), keepdims=True) * inv_std}

    def __repr__(self) -> str:
        return f"BatchNorm2d({self.num_features})"


def _sum_of_products(a: Any, b: Any) -> Any:
    """Σ a_i · b_i over each channel, (C,): read once, no array of the products."""
    return xp_of(a).einsum("nchw,nchw->c", a, b)
