"""The layers, one concept a file: each opens with its definition and the derivation of backward."""
from scratchnet.layers.batchnorm import BatchNorm2d
from scratchnet.layers.branch import (
    Add,
    Concat,
    Concatenate,
    Identity,
    Residual,
    Scale,
    Sequential,
)
from scratchnet.layers.conv import Conv2d
from scratchnet.layers.conv_transpose import ConvTranspose2d
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.flatten import Flatten
from scratchnet.layers.graph import Graph
from scratchnet.layers.linear import Linear
from scratchnet.layers.lrn import LocalResponseNorm
from scratchnet.layers.max_unpool import MaxUnpool2d
from scratchnet.layers.pad import ZeroPad2d
from scratchnet.layers.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from scratchnet.layers.relu import ReLU
from scratchnet.layers.relu6 import ReLU6
from scratchnet.layers.sigmoid import Sigmoid
from scratchnet.layers.silu import SiLU
from scratchnet.layers.softmax import SoftmaxCrossEntropy
from scratchnet.layers.stochastic_depth import StochasticDepth
from scratchnet.layers.tanh import Tanh

__all__ = [
    "AdaptiveAvgPool2d", "Add", "AvgPool2d", "BatchNorm2d", "Concat", "Concatenate", "Conv2d",
    "ConvTranspose2d", "Dropout", "Flatten", "Graph", "Identity", "Linear", "LocalResponseNorm",
    "MaxPool2d", "MaxUnpool2d", "ReLU", "ReLU6", "Residual", "Scale", "Sequential", "SiLU",
    "Sigmoid", "SoftmaxCrossEntropy", "StochasticDepth", "Tanh", "ZeroPad2d",
]
