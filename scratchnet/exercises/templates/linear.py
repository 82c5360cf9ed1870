"""linear — every output is a weighted sum of all inputs.

Write forward and backward. The weights are there already (see __init__).

    forward     y[n,o]  = b[o] + Σ_i w[o,i] · x[n,i]

    backward    dx[n,i] = Σ_o dy[n,o] · w[o,i]
                dw[o,i] = Σ_n dy[n,o] · x[n,i]
                db[o]   = Σ_n dy[n,o]

`dy` is the gradient of the loss with respect to y: it comes from the layer above. What forward
knows and backward needs, forward keeps with self.remember(…, y=y); backward gets it back, as
a tuple, from self.recall(dy).

Shapes      x, dx (N, I)    y, dy (N, O)    w, dw (O, I)    b, db (O,)
Rules       w is self.weight.value and b is self.bias.value. Add dw to self.weight.grad and db
            to self.bias.grad (two uses of the layer must add up); return dx.
            Never write into x or dy. No loop is needed: each sum is a matrix product or a sum
            along one axis.

Worked example: N = 2, I = 3, O = 2

    w  = [[ 1   0  -1]      b = [10  20]
          [ 2   1   0]]

    x  = [[ 1   2   3]      y  = [[  8   24]
          [ 0   1   0]]           [ 10   21]]

    dy = [[  1  10]         dx = [[ 21  10   -1]        dw = [[  1  102    3]
          [100   0]]              [100   0 -100]]             [ 10   20   30]]    db = [101  10]
"""
import math

import numpy as np

from scratchnet import Layer, Parameter


class Linear(Layer):
    """Every output is a weighted sum of all inputs: (N, I) → (N, O)."""

    def __init__(self, in_features, out_features, *, rng=None):
        self.in_features, self.out_features = in_features, out_features
        rng = np.random.default_rng(rng)
        w = rng.standard_normal((out_features, in_features), dtype=np.float32)
        self.weight = Parameter(w * math.sqrt(2 / in_features))
        self.bias = Parameter(np.zeros(out_features, dtype=np.float32))

    def forward(self, x):
        raise NotImplementedError("linear: write Linear.forward")

    def backward(self, dy):
        raise NotImplementedError("linear: write Linear.backward")
