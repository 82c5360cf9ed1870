"""sigmoid_tanh — two curves that squash every number between two limits.

Write forward and backward of both classes.

    Sigmoid     y = 1 / (1 + e^(−x))                        between 0 and 1
    Tanh        y = (e^x − e^(−x)) / (e^x + e^(−x))         between −1 and 1

Both work on each number by itself, so backward is dy times the slope ∂y/∂x, elementwise. Find the
two slopes. Each can be written with y alone, in a few signs: forward need not keep x.

Shapes      x, y, dy and dx all have the same shape, whatever it is.
Rules       never write into x, y or dy: others hold the same arrays. Keep the dtype of x.
            x may be 1000 or −1000: e^1000 is infinite, and infinite / infinite is not a number;
            y must still be right. (NumPy's own tanh, np.tanh, is allowed.)

Worked example, with ln 2 = 0.6931 and ln 3 = 1.0986

    Sigmoid     x  = [0     1.0986]       y  = [0.5   0.75]
                dy = [4    16     ]       dx = [1     3   ]

    Tanh        x  = [0     0.6931]       y  = [0     0.6 ]
                dy = [4   100     ]       dx = [4    64   ]
"""
from scratchnet import Layer


class Sigmoid(Layer):
    """y = 1 / (1 + e^(−x)), elementwise; x of any shape."""

    def forward(self, x):
        raise NotImplementedError("sigmoid_tanh: write Sigmoid.forward")

    def backward(self, dy):
        raise NotImplementedError("sigmoid_tanh: write Sigmoid.backward")


class Tanh(Layer):
    """y = tanh(x), elementwise; x of any shape."""

    def forward(self, x):
        raise NotImplementedError("sigmoid_tanh: write Tanh.forward")

    def backward(self, dy):
        raise NotImplementedError("sigmoid_tanh: write Tanh.backward")
