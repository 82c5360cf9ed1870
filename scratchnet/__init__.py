"""scratchnet — convolutional networks from scratch, every gradient written by hand and proven.

    from scratchnet import layers, models, gradcheck

    conv = layers.Conv2d(3, 8, kernel_size=3, padding=1)
    y  = conv.forward(x)                 # x: (N, 3, H, W)
    dx = conv.backward(dy)               # and conv.weight.grad, conv.bias.grad
    print(gradcheck.check(conv, x))      # is backward() the derivative of forward()?
"""
from scratchnet import (
    data,
    gradcheck,
    initialization,
    layers,
    models,
    naive,
    optim,
    training,
    visualize,
    weights,
)
from scratchnet.cost import summary
from scratchnet.golden import verify
from scratchnet.layer import Layer, Parameter, no_grad, parameters_only

__version__ = "0.1.0"

__all__ = ["Layer", "Parameter", "data", "gradcheck", "initialization", "layers", "models", "naive",
           "no_grad", "optim", "parameters_only", "summary", "training", "verify", "visualize",
           "weights"]
