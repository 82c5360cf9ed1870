"""relu — let positive numbers through, stop the rest.

Write forward and backward.

    forward     y = max(x, 0), elementwise
    backward    dx = dy where x > 0, and 0 elsewhere

`dy` is the gradient of the loss with respect to y: it comes from the layer above. What forward
knows and backward needs, forward keeps with self.remember(…, y=y); backward gets it back, as
a tuple, from self.recall(dy).

Shapes      x, y, dy and dx all have the same shape, whatever it is.
Rules       never write into x or dy: another branch of the network may hold the same array.

Worked example

    x  = [ 1.5  -2.0   0.5]        y  = [ 1.5   0.0   0.5]
    dy = [10.0  20.0  30.0]        dx = [10.0   0.0  30.0]
"""
from scratchnet import Layer


class ReLU(Layer):
    """y = max(x, 0), elementwise; x of any shape."""

    def forward(self, x):
        raise NotImplementedError("relu: write ReLU.forward")

    def backward(self, dy):
        raise NotImplementedError("relu: write ReLU.backward")
