"""nas_cell — run a network that is written down as a list, forwards and backwards.

Write forward and backward of the cell. A cell is drawn from its genotype: each row names two
operations and the values they are applied to, and computes a new value, their sum.

    row i = (op_a, a, op_b, b)      value i = op_a(value a) + op_b(value b)

The values "h" and "p" are the inputs (the cell before, and the one before that); row i computes
the value str(i), from "h", "p" and the rows above it. Rows that no other row reads are laid side
by side along the channels, in their order: they are the output.

    forward     y = [value i for i in self.outputs]

The operations ("conv3", "mean3", "max3", "same") keep the shape. Each is a layer of its own:
self.left[i] is op_a of row i, self.right[i] its op_b. op.forward(x) and, once for each forward,
op.backward(dy): that adds into the gradients of its parameters, too.

Shapes      h, p, every value, and their gradients  (N, C, H, W)
            y, dy  (N, C·len(self.outputs), H, W)
Rules       any value may be read many times, also twice in one row. backward returns (dh, dp).
            "same" returns the very array that it was given, in both directions.
            What backward needs, forward keeps with self.remember(…, y=y); self.recall(dy)
            hands it back, as a tuple.

Worked example: one pixel, one channel, two rows

    0 = same(h) + same(p)      h = 3, p = 5:     0 = 8, 1 = 11      y  = [11]
    1 = same(0) + same(h)                                           dy = [10]      dh = 20, dp = 10

Zoph, Vasudevan, Shlens & Le, "Learning Transferable Architectures for Scalable Image
Recognition", CVPR 2018.
"""
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
        """Compute the rows from the first to the last, and lay the outputs side by side."""
        raise NotImplementedError("nas_cell: write Cell.forward")

    def backward(self, dy):
        """(dh, dp); the operations collect the gradients of their parameters."""
        raise NotImplementedError("nas_cell: write Cell.backward")
