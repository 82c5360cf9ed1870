"""dropout — while training, silence each number with probability p.

Write forward and backward of two layers that differ only in where they put the factor 1 − p.
In training, each forward draws a new mask by one call of the layer's own generator:

    r = self.rng.random(x.shape)            a number of x is kept where r ≥ p

                    training                            evaluation
    Dropout         y = x/(1−p) where kept, else 0      y = x
    AlexNetDropout  y = x       where kept, else 0      y = (1−p) · x

AlexNetDropout is the one of the 2012 paper; Dropout is the one in use today. `self.training`
says which mode the layer is in; `p` is the probability to be silenced, 0 ≤ p < 1.

Shapes      x, y, dy and dx all have the same shape, whatever it is.
Rules       in evaluation nothing is drawn. Never write into x or dy.
            The mode may change between forward and backward: what counts is forward's.

Worked example, p = 0.75

    x  = [  1   2   3   4]      r = [0.8 0.1 0.7 0.9], so the first and the last are kept
    dy = [ 10  20  30  40]
                        training                                evaluation
    Dropout             y = [4 0 0 16]   dx = [40 0 0 160]      y = x,  dx = dy
    AlexNetDropout      y = [1 0 0  4]   dx = [10 0 0  40]      y = [0.25 0.5 0.75 1]
                                                                dx = [2.5 5 7.5 10]
"""
import numpy as np

from scratchnet import Layer


class Dropout(Layer):
    """Scales while training, so that evaluation has nothing to do; x of any shape."""

    def __init__(self, p=0.5, *, rng=None):
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x):
        raise NotImplementedError("dropout: write Dropout.forward")

    def backward(self, dy):
        raise NotImplementedError("dropout: write Dropout.backward")


class AlexNetDropout(Layer):
    """Scales in evaluation, as in the AlexNet paper; x of any shape."""

    def __init__(self, p=0.5, *, rng=None):
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x):
        raise NotImplementedError("dropout: write AlexNetDropout.forward")

    def backward(self, dy):
        raise NotImplementedError("dropout: write AlexNetDropout.backward")
