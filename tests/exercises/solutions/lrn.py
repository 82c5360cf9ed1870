"""The solution of lrn, as a good student writes it."""
import numpy as np

from scratchnet import Layer


class LocalResponseNorm(Layer):
    """a_i divided by (k + α · the squares of its neighbours)^β; (N, C, H, W), same shape out."""

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, a):
        C = a.shape[1]
        s = np.full_like(a, self.k)
        for i in range(C):
            for j in self._window(i, C):
                s[:, i] += self.alpha * a[:, j] ** 2
        b = a * s ** -self.beta
        self.remember(a, s, y=b)
        return b

    def backward(self, db):
        a, s = self.recall(db)
        C = a.shape[1]
        ds = db * a * -self.beta * s ** (-self.beta - 1)
        da = db * s ** -self.beta
        for i in range(C):
            for j in self._window(i, C):
                da[:, j] += ds[:, i] * self.alpha * 2 * a[:, j]
        return da

    def _window(self, i, C):
        """The channels that s_i looks at."""
        return range(max(0, i - self.size // 2), min(C, i + (self.size - 1) // 2 + 1))
