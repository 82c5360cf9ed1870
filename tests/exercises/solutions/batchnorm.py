"""The solution of batchnorm, as a good student writes it."""
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
        N, C, H, W = x.shape
        m = N * H * W
        if self.training:
            mean = x.mean(axis=(0, 2, 3))
            var = ((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))
            r = self.momentum
            self.running_mean = (1 - r) * self.running_mean + r * mean
            self.running_var = (1 - r) * self.running_var + r * var * m / (m - 1)
        else:
            mean, var = self.running_mean, self.running_var
        std = np.sqrt(var + self.eps)
        x_hat = (x - mean[:, None, None]) / std[:, None, None]
        y = self.weight.value[:, None, None] * x_hat + self.bias.value[:, None, None]
        self.remember(x_hat, std, self.training, y=y)
        return y

    def backward(self, dy):
        x_hat, std, training = self.recall(dy)
        self.weight.grad += (dy * x_hat).sum(axis=(0, 2, 3))
        self.bias.grad += dy.sum(axis=(0, 2, 3))

        direct = dy * self.weight.value[:, None, None]
        if not training:
            return direct / std[:, None, None]
        through_mean = direct.mean(axis=(0, 2, 3), keepdims=True)
        through_var = x_hat * (direct * x_hat).mean(axis=(0, 2, 3), keepdims=True)
        return (direct - through_mean - through_var) / std[:, None, None]
