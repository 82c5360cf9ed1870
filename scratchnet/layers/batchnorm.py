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
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet import kernels
from scratchnet.backend import empty_like, in_planes, moments, near_zero, per_pixel, sums, xp_of
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
        xp, m = xp_of(x), x.size // self.num_features
        if self.training:
            if m == 1:
                raise ValueError(f"{self} needs more than one number a channel to train on; "
                                 f"got {x.shape}: use a larger batch, or .eval()")
            mean, var = moments(x)                                  # (C,) each
            a = self.momentum
            self.running_mean = (1 - a) * self.running_mean + a * mean
            self.running_var = (1 - a) * self.running_var + a * (m / (m - 1)) * var
        else:
            mean, var = self.running_mean, self.running_var

        inv_std = 1 / xp.sqrt(var + self.eps)
        y = _normalise(x, mean, inv_std, gamma, beta)
        self.remember(x, mean, inv_std, self.training, y=y)         # x̂ = (x − μ) · inv_std
        return y

    def by_parts(self, x: Any, y: Any) -> Callable | None:
        if self.training or type(self) is not BatchNorm2d:
            return None
        expect(self, x, "N", self.num_features, "H", "W", weight=self.weight.value)
        inv_std = 1 / xp_of(x).sqrt(self.running_var + self.eps)
        return _affine(x, self.running_mean, inv_std, self.weight.value, self.bias.value, y)

    def scale_and_shift(self) -> tuple[Any, Any] | None:
        """In evaluation y = scale · x + shift, (C,) each; None where that would lose digits."""
        inv_std = 1 / xp_of(self.running_var).sqrt(self.running_var + self.eps)
        if self.training or not near_zero(self.running_mean, inv_std):
            return None
        scale = self.weight.value * inv_std
        return scale, self.bias.value - self.running_mean * scale

    def backward(self, dy: Any) -> Any:
        x, mean, inv_std, trained_on_batch = self.recall(dy)
        xp, m, gamma = xp_of(dy), dy.size // self.num_features, self.weight.value

        dbeta, dgamma = sums(dy, x, mean, inv_std)                  # Σ dy, Σ dy·x̂
        self.bias.grad += dbeta
        self.weight.grad += dgamma

        scale = gamma * inv_std
        if not trained_on_batch:
            scale_, dx = per_pixel(scale, dy), empty_like(dy)
            in_planes(lambda n, c: xp.multiply(dy[n, c], scale_[c], out=dx[n, c]), dy)
            return dx
        return _shares(dy, x, mean, scale, dbeta / m, dgamma * inv_std / m)

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


def _normalise(x: Any, mean: Any, inv_std: Any, gamma: Any, beta: Any) -> Any:
    """γ · (x − μ)/√(σ²+ε) + β."""
    scale = gamma * inv_std
    if kernels.serve(x, mean, scale, beta):
        return kernels.normalise(x, mean, scale, beta)
    y = empty_like(x)
    in_planes(_affine(x, mean, inv_std, gamma, beta, y), x, 3)
    return y


def _affine(x: Any, mean: Any, inv_std: Any, gamma: Any, beta: Any, y: Any) -> Callable:
    """work(n, c), which puts γ · (x − μ)/√(σ²+ε) + β into y, for a few images, or channels of one:
    a product and a sum, or where μ is far from 0, first of all x − μ."""
    xp, scale = xp_of(x), gamma * inv_std
    near = near_zero(mean, inv_std)
    mean_, scale_, shift_ = (per_pixel(a, x) for a in (
        mean, scale, beta - mean * scale if near else beta))

    def work(n: slice, c: slice) -> None:
        y_n = xp.multiply(x[n, c], scale_[c], out=y[n, c]) if near else \
            xp.subtract(x[n, c], mean_[c], out=y[n, c])
        if not near:
            y_n *= scale_[c]
        y_n += shift_[c]

    return work


def _shares(dy: Any, x: Any, mean: Any, scale: Any, through_mean: Any, through_var: Any) -> Any:
    """scale · (dy − dβ/m − (x − μ) · dγ/(m·√(σ²+ε)))."""
    if kernels.serve(dy, x, mean, scale, through_mean, through_var):
        return kernels.normalise_backward(dy, x, mean, scale, through_mean, through_var)
    xp, dx = xp_of(dy), empty_like(dy)
    scale_, beside_x, rest = (per_pixel(a, x) for a in (
        scale, -through_var, through_var * mean - through_mean))

    def shares(n: slice, c: slice) -> None:                 # in place
        dx_n = xp.multiply(x[n, c], beside_x[c], out=dx[n, c])
        dx_n += dy[n, c]
        dx_n += rest[c]
        dx_n *= scale_[c]

    in_planes(shares, dy, 4)
    return dx
