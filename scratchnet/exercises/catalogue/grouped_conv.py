"""grouped_conv — the two towers of AlexNet: bookkeeping with slabs of channels."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Conv2d


class GroupedConv2d(Conv2d):
    """The library's convolution, which has groups already."""

    def __init__(self, in_channels, out_channels, kernel_size, groups, padding=0, *, rng=None):
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, groups=groups,
                         rng=rng)


class FirstSlabForAll(GroupedConv2d):
    def forward(self, x):
        slab = x.shape[1] // self.geometry.groups
        return super().forward(np.tile(x[:, :slab], (1, self.geometry.groups, 1, 1)))


class Interleaved(GroupedConv2d):
    """Channel c belongs to slab c mod g."""

    def forward(self, x):
        g = self.geometry.groups
        return super().forward(np.concatenate([x[:, k::g] for k in range(g)], axis=1))


class FirstBiasForAll(GroupedConv2d):
    def forward(self, x):
        b, g = self.bias.value, self.geometry.groups
        first = np.tile(b[:len(b) // g], g)
        return super().forward(x) + (first - b)[:, None, None]


class NoBias(GroupedConv2d):
    def forward(self, x):
        return super().forward(x) - self.bias.value[:, None, None]


EXERCISE = Exercise(
    name="grouped_conv",
    title="Grouped convolution: AlexNet's two towers",
    reference={"GroupedConv2d": GroupedConv2d},
    cases=(
        Case("two groups", "GroupedConv2d", randn((2, 4, 3, 5)), (4, 6, 3, 2)),
        Case("one group", "GroupedConv2d", randn((2, 3, 4, 5)), (3, 4, 3, 1)),
        Case("three groups", "GroupedConv2d", randn((2, 6, 3, 5)), (6, 9, 3, 3)),
        Case("fewer channels out than in", "GroupedConv2d", randn((2, 6, 3, 5)), (6, 4, 3, 2)),
        Case("padding", "GroupedConv2d", randn((2, 4, 3, 5)), (4, 6, 3, 2), {"padding": 1}),
        Case("a batch of one", "GroupedConv2d", randn((1, 4, 3, 5)), (4, 6, 3, 2)),
        Case("everything at once", "GroupedConv2d", randn((3, 8, 2, 4)), (8, 12, 3, 4),
             {"padding": 1}),
    ),
    classics=(
        Classic("GroupedConv2d", FirstSlabForAll, "every output slab sees the first input slab: "
                                                  "look at where the others begin"),
        Classic("GroupedConv2d", Interleaved, "the input channels are dealt out in turn: a slab "
                                              "consists of neighbouring channels"),
        Classic("GroupedConv2d", FirstBiasForAll, "every output slab has the biases of the first"),
        Classic("GroupedConv2d", NoBias, "the bias is missing"),
    ),
    hints=(
        "Take six input channels, four output channels and two groups. Which input channels does "
        "output channel 0 see, and which does output channel 3 see? How many numbers has one "
        "filter, and so what is the shape of w? Note that the second axis of w counts channels "
        "within a slab: its entry 0 means channel 0 for the filters of the first slab, but channel "
        "3 for those of the second. Now turn to backward. The gradient of input channel 5 comes "
        "from those outputs that have seen it: which are they? And filter 3 receives its gradient "
        "from which channels of dy and of x? If you can say for slab k where it begins and ends in "
        "x, in w, in b and in y, all the rest is an ordinary convolution.",

        "Two cooks work in one kitchen. The first has the vegetables of shelf one, recipes 1 to 5 "
        "and tables 1 to 5; the second has shelf two, recipes 6 to 10 and tables 6 to 10. They "
        "never reach for each other's shelf. Seen from outside there is one kitchen with two "
        "shelves, ten recipes and ten tables, numbered throughout; seen from inside, each cook "
        "does the whole work, on half of everything. When the guests' opinions come back, those "
        "from tables 6 to 10 concern recipes 6 to 10 and shelf two, and nothing else. So the layer "
        "is a loop over cooks. Each time round, four slices are needed: of the shelf, the recipes, "
        "the tables, and whatever lies on the tables; only the shelf is numbered differently.",

        "Compute the length of a slab in x, which is C divided by g, and in y, which is O divided "
        "by g. For group k both slices begin at k times that length. It is worth a small method "
        "that gives the two slices for all groups, as forward and backward both need them. "
        "Forward: for each group, call the given convolution on x's slab and w's slab (w is cut "
        "along its first axis, like y); join the results along the channel axis; add the whole "
        "bias. Remember x. Backward: db needs no groups. For each group, call the two given "
        "functions with the slabs of x, dy and w. The result for w is added to the slab of the "
        "weight's gradient; the result for x goes into its slab of dx, an array of x's shape. No "
        "two groups write into the same place.",
    ),
)
