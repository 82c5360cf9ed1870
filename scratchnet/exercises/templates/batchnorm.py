"""batchnorm — give every channel mean 0 and variance 1 over the batch, then let it choose.

Write forward and backward. For each channel on its own, over its m = N·H·W numbers x_1 … x_m:

    training    μ = 1/m · Σ x_i                 σ² = 1/m · Σ (x_i − μ)²
                x̂_i = (x_i − μ) / √(σ² + ε)     y_i = γ · x̂_i + β

                running_mean ← (1 − momentum) · running_mean + momentum · μ
                running_var  ← (1 − momentum) · running_var  + momentum · m/(m−1) · σ²

    evaluation  the same y, with running_mean for μ and running_var for σ²;
                they are constants then, and forward does not change them

The derivation of backward is yours. In training, μ and σ² depend on every x_i.

Shapes      x, y, dy and dx (N, C, H, W)
            γ = self.weight.value, β = self.bias.value, μ, σ², running_mean, running_var: (C,)
Rules       add into self.weight.grad and self.bias.grad with +=, in both modes.
            The mode may change between forward and backward: what counts is forward's.
            Replace the running averages by new arrays. Never write into x or dy.

Worked example, one channel, m = 4, γ = 2, β = 10, momentum 0.1, ε left out:

    x  = [1 5 1 5]      training:   μ = 3, σ² = 4, x̂ = [-1 1 -1 1], y = [8 12 8 12]
    dy = [1 2 3 6]                  dγ = 4, dβ = 12, dx = [-1 -2 1 2]
                                    running_mean 0 becomes 0.3; running_var 1 becomes 1.4333…
                        evaluation with running_mean = 1, running_var = 16:
                                    x̂ = [0 1 0 1], y = [10 12 10 12]
                                    dγ = 8, dβ = 12, dx = [0.5 1 1.5 3]
"""
import numpy as np

from scratchnet import Layer, Parameter


class BatchNorm2d(Layer):
    """Normalises each channel over the batch; (N, C, H, W), same shape out."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(np.ones(num_features, dtype=np.float32))        # γ
        self.bias = Parameter(np.zeros(num_features, dtype=np.float32))         # β
        self.running_mean = np.zeros(num_features, dtype=np.float32)
        self.running_var = np.ones(num_features, dtype=np.float32)

    def forward(self, x):
        raise NotImplementedError("batchnorm: write BatchNorm2d.forward")

    def backward(self, dy):
        raise NotImplementedError("batchnorm: write BatchNorm2d.backward")
