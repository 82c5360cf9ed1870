"""SyncBatchNorm2d — batch norm whose batch lies on several ranks.

In the symbols of layers/batchnorm.py. A channel has M numbers on all ranks together; rank r holds
those with i ∈ r, and can only sum over them. What one process sums over all i is then a sum of
sums, which the communicator adds up (Σ_r):

    forward     μ = 1/M · Σ_r Σ_{i∈r} x_i                       one message of C numbers
    (training)  σ² = 1/M · Σ_r Σ_{i∈r} (x_i − μ)²               and another: μ must come first

    backward    dβ_r = Σ_{i∈r} dy_i         dγ_r = Σ_{i∈r} dy_i · x̂_i

                dx_j = γ/√(σ²+ε) · ( dy_j − 1/M · Σ_r dβ_r − x̂_j · 1/M · Σ_r dγ_r )
                                          └ through μ ──┘         └ through σ² ─┘

                because x_j moves μ and σ², and with them the y of every rank. One message of 2C.

The gradients of the parameters stay dβ_r and dγ_r: like all parameter gradients, they are
added up over the ranks after the backward pass (training/parallel.py), once.

σ² is not taken as E[x²] − μ², which would need one message only: it loses its digits where the
mean is large.

If a batch has fewer images than there are ranks, each holds all of it, and weighs 1/copies in the
loss. Then M counts every number `copies` times: so do the sums, and μ and σ² are what they were. dy
has 1/copies in it, so dβ and dγ come out whole, and divided by M give dx its 1/copies too. Only
the running average of σ², with 1/(m−1), must know the true m = M/copies.

Running averages are the same on all ranks, since μ and σ² are.

Shapes:  x (N, C, H, W), this rank's images; y and dx have x's.
"Cross-GPU batch normalization": Peng et al., "MegDet", CVPR 2018.
"""
from typing import Any

from scratchnet.backend import sums, xp_of
from scratchnet.layer import Layer, expect
from scratchnet.layers import BatchNorm2d
from scratchnet.training.communicator import Communicator


class SyncBatchNorm2d(BatchNorm2d):
    """A BatchNorm2d that takes its statistics over the ranks; made by synchronise_batchnorm.

    `shard` must be set before each forward in training: which rows of the batch come (a
    training.Shard). Training forwards and backwards are collective. Raises ValueError if x has
    another number of images than the shard.
    """

    shard: Any = None

    def forward(self, x: Any) -> Any:
        if not self.training:
            return super().forward(x)
        gamma, beta = self.weight.value, self.bias.value
        expect(self, x, "N", self.num_features, "H", "W", weight=gamma)
        m, M = self._count(x)
        if m == 1:
            raise ValueError(f"{self} needs more than one number a channel to train on; got a "
                             f"batch of one image of one pixel: use a larger batch, or .eval()")
        mean = self._communicator.sum(x.sum(axis=(0, 2, 3))) / M            # (C,)
        x_hat = x - mean[:, None, None]
        var = self._communicator.sum(_sum_of_squares(x_hat)) / M            # (C,)
        a = self.momentum
        self.running_mean = (1 - a) * self.running_mean + a * mean
        self.running_var = (1 - a) * self.running_var + a * (m / (m - 1)) * var

        inv_std = 1 / xp_of(x).sqrt(var + self.eps)
        x_hat *= inv_std[:, None, None]                             # in place: it is ours
        y = gamma[:, None, None] * x_hat
        y += beta[:, None, None]
        self.remember(x, mean, inv_std, M, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        x, mean, inv_std, M = self.recall(dy)                       # M is False after .eval()
        dbeta, dgamma = sums(dy, x, mean, inv_std)                  # (C,), of this rank
        self.bias.grad += dbeta
        self.weight.grad += dgamma

        scale = (self.weight.value * inv_std)[:, None, None]
        if not M:
            return scale * dy
        both = xp_of(dy).stack([dbeta, dgamma])                     # (2, C), of all ranks
        self._communicator.sum_in_place(both)
        dx = x - mean[:, None, None]        # x̂ · √(σ²+ε); in four steps, in place:
        dx *= -(both[1] * inv_std / M)[:, None, None]
        dx += dy
        dx -= (both[0] / M)[:, None, None]
        dx *= scale                         # scale · (dy − dβ/M − x̂ · dγ/M)
        return dx

    def _count(self, x: Any) -> tuple[int, int]:
        """Return m and M: the numbers a channel has in the batch, and on all ranks."""
        rows = None if self.shard is None else self.shard.rows
        if rows is None or len(x) != rows.stop - rows.start:
            raise ValueError(f"{self} must be told which rows of the batch come, {rows} at last; "
                             f"got {len(x)} images: call DataParallel.take(n) before each batch")
        pixels = x.shape[2] * x.shape[3]
        return self.shard.n * pixels, self.shard.n * pixels * self.shard.copies

    def __repr__(self) -> str:
        return f"SyncBatchNorm2d({self.num_features})"


def synchronise_batchnorm(model: Layer, communicator: Communicator) -> list[SyncBatchNorm2d]:
    """Make every BatchNorm2d in `model` a SyncBatchNorm2d, in place; returns them.

    The objects, their parameters, buffers and names stay what they were. Raises ValueError for a
    layer that is a BatchNorm2d of another kind, before anything changes.
    """
    found = [(name, layer) for name, layer in model.named_layers()
             if isinstance(layer, BatchNorm2d)]
    for name, layer in found:
        if type(layer) not in (BatchNorm2d, SyncBatchNorm2d):
            raise ValueError(f"{name} is a {type(layer).__name__}, which does not know how to take "
                             f"its statistics over several ranks: only BatchNorm2d does")
    for _, layer in found:
        layer.__class__ = SyncBatchNorm2d       # whoever holds the layer, holds the new one
        layer._communicator = communicator
    return [layer for _, layer in found]


def _sum_of_squares(a: Any) -> Any:
    """Σ a_i² over each channel, (C,): read once, no array of the squares."""
    return xp_of(a).einsum("nchw,nchw->c", a, a)
