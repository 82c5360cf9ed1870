"""The solution of nas_cell, as a good student writes it."""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import AvgPool2d, Conv2d, Identity, MaxPool2d


class Cell(Layer):
    """forward(h, p): (N, channels, H, W) twice → (N, channels·len(outputs), H, W).

    genotype is a tuple of rows (op_a, a, op_b, b), all four of them strings.
    """

    def __init__(self, genotype, channels, *, rng=None):
        rng = np.random.default_rng(rng)
        self.genotype = genotype
        operations = {
            "conv3": lambda: Conv2d(channels, channels, 3, padding=1, rng=rng),
            "mean3": lambda: AvgPool2d(3, stride=1, padding=1),
            "max3": lambda: MaxPool2d(3, stride=1, padding=1),
            "same": lambda: Identity(),
        }
        self.left = [operations[row[0]]() for row in genotype]
        self.right = [operations[row[2]]() for row in genotype]
        read = {name for row in genotype for name in (row[1], row[3])}
        self.outputs = [str(i) for i in range(len(genotype)) if str(i) not in read]

    def forward(self, h, p):
        value = {"h": h, "p": p}
        for i, (_, a, _, b) in enumerate(self.genotype):
            value[str(i)] = self.left[i].forward(value[a]) + self.right[i].forward(value[b])
        y = np.concatenate([value[name] for name in self.outputs], axis=1)
        self.remember(y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        parts = np.split(dy, len(self.outputs), axis=1)
        d = dict(zip(self.outputs, parts, strict=True))

        def collect(name, gradient):
            d[name] = d[name] + gradient if name in d else gradient

        for i in reversed(range(len(self.genotype))):
            _, a, _, b = self.genotype[i]
            collect(a, self.left[i].backward(d[str(i)]))
            collect(b, self.right[i].backward(d[str(i)]))
        return d["h"], d["p"]
