"""nas_cell — backward over a graph: every value has a bin in which its gradients add up."""
from typing import Any

import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layer import Layer
from scratchnet.layers import Add, AvgPool2d, Concatenate, Conv2d, Graph, Identity, MaxPool2d

Genotype = tuple[tuple[str, str, str, str], ...]


class Cell(Layer):
    """The cell as a Graph, with the parameter names of the exercise."""

    def __init__(self, genotype: Genotype, channels: int,
                 rng: int | np.random.Generator | None = None):
        rng = np.random.default_rng(rng)
        self.left = [operation(op, channels, rng) for op, _, _, _ in genotype]
        self.right = [operation(op, channels, rng) for _, _, op, _ in genotype]
        rows = []
        for i, (_, a, _, b) in enumerate(genotype):
            rows += [(f"left{i}", self.left[i], a), (f"right{i}", self.right[i], b),
                     (str(i), Add(), f"left{i}", f"right{i}")]
        read = {name for _, a, _, b in genotype for name in (a, b)}
        self.outputs = [str(i) for i in range(len(genotype)) if str(i) not in read]
        self._graph = Graph(*rows, ("y", Concatenate(), *self.outputs), inputs=("h", "p"))

    def forward(self, h: Any, p: Any) -> Any:
        return self._graph.forward(h, p)

    def backward(self, dy: Any) -> tuple:
        return self._graph.backward(dy)


def operation(name: str, channels: int, rng: np.random.Generator) -> Layer:
    """One operation of the search space: (N, channels, H, W) → the same shape."""
    if name == "conv3":
        return Conv2d(channels, channels, 3, padding=1, rng=rng)
    return {"mean3": AvgPool2d(3, stride=1, padding=1), "same": Identity(),
            "max3": MaxPool2d(3, stride=1, padding=1)}[name]


class SwappedInputs(Cell):
    def forward(self, h: Any, p: Any) -> Any:
        return super().forward(p, h)


class ReversedOutputs(Cell):
    def forward(self, h: Any, p: Any) -> Any:
        y = np.split(super().forward(h, p), len(self.outputs), axis=1)
        return np.concatenate(y[::-1], axis=1)


EXERCISE = Exercise(
    name="nas_cell",
    title="A cell found by search: backward over a graph",
    reference={"Cell": Cell},
    cases=(
        Case("one row", "Cell", randn((2, 3, 2, 4), (2, 3, 2, 4)),
             ((("conv3", "h", "mean3", "p"),), 3), {"rng": 0}),
        Case("two outputs", "Cell", randn((2, 3, 2, 4), (2, 3, 2, 4)),
             ((("conv3", "h", "mean3", "p"), ("max3", "p", "conv3", "h")), 3), {"rng": 1}),
        Case("a value that is read by two rows", "Cell", randn((2, 3, 2, 4), (2, 3, 2, 4)),
             ((("conv3", "h", "mean3", "p"), ("max3", "0", "mean3", "p"),
               ("conv3", "0", "mean3", "1")), 3), {"rng": 2}),
        Case("a value that is read twice in one row", "Cell", randn((2, 3, 2, 4), (2, 3, 2, 4)),
             ((("conv3", "h", "mean3", "h"), ("mean3", "p", "conv3", "0")), 3), {"rng": 3}),
        Case("values passed on as they are", "Cell", randn((2, 3, 2, 4), (2, 3, 2, 4)),
             ((("same", "h", "same", "p"), ("same", "0", "conv3", "h"),
               ("same", "0", "same", "p")), 3), {"rng": 4}),
        Case("a batch of one", "Cell", randn((1, 3, 2, 4), (1, 3, 2, 4)),
             ((("conv3", "h", "mean3", "p"), ("max3", "0", "same", "h")), 3), {"rng": 5}),
        Case("everything at once", "Cell", randn((3, 2, 5, 4), (3, 2, 5, 4)),
             ((("conv3", "h", "same", "p"), ("same", "p", "mean3", "0"),
               ("max3", "0", "same", "0"), ("same", "1", "conv3", "h")), 2), {"rng": 6}),
    ),
    classics=(
        Classic("Cell", SwappedInputs, "h and p are swapped: h is forward's first argument"),
        Classic("Cell", ReversedOutputs, "the outputs are right, but lie in the wrong order: the "
                "one of the first row comes first"),
    ),
    hints=(
        "Forward is easy: when a row's turn comes, the values it reads are there. What is the "
        "same statement about backward? A value has a gradient as soon as everybody who read it "
        "has said how much they want it to change. Which rows can have read value i, the ones "
        "above row i or the ones below it? So in which order must you walk, in order that a "
        "value's gradient is complete when you need it? What do you do when a second reader "
        "reports the gradient of the same value: does it replace the first one's, or what else? "
        "And whose report is it, if a value is an output of the cell and no row reads it?",

        "Three rows on single numbers: row 0 = h + p, row 1 = 2·(row 0) + p, row 2 = "
        "3·(row 0) + (row 1). Only row 2 is not read, so y is row 2; let dy = 10. Row 2 tells "
        "row 0: 30, and row 1: 10. Row 1's turn: it has its 10, and tells row 0: 20, and p: 10. "
        "Now row 0 has heard from both of its readers, 30 + 20 = 50, and tells h: 50, and p: 50. "
        "So dh = 50 and dp = 60. Check it with h: written out, y = 3(h + p) + 2(h + p) + p = "
        "5h + 6p, and ten times that has the slopes 50 and 60. Had row 0 gone first, with 30 "
        "alone, h would have missed 20.",

        "Forward: keep a dictionary from names to values, with h and p in it. Walk over the rows "
        "and enter each sum under the row's number as text. Join the outputs along the channels. "
        "Backward: keep a second dictionary, from names to gradients. Begin with the outputs: "
        "cut dy into as many equal pieces as there are outputs, and enter each under its name. "
        "Write a small function that takes a name and a gradient: it enters the gradient if the "
        "name is new, and otherwise puts a new array there, the sum of old and new. Adding in "
        "place is not safe: an identity hands on the same array, and the pieces are views of dy. "
        "Walk over the rows from the last to the first; each passes its gradient back through "
        "both of its operations, and you collect the two answers.",
    ),
)
