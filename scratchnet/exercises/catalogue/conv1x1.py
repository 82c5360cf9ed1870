"""conv1x1 — a fully connected layer at every pixel, with the same weights at each."""
import numpy as np

from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layer import Layer, Parameter


class Conv1x1(Layer):
    """(N, in_channels, H, W) → (N, out_channels, H, W); Conv2d with a kernel of 1, w a matrix."""

    def __init__(self, in_channels, out_channels, *, rng=None):
        w = np.random.default_rng(rng).standard_normal((out_channels, in_channels),
                                                       dtype=np.float32)
        self.weight = Parameter(w * (2 / in_channels) ** 0.5)
        self.bias = Parameter(np.zeros(out_channels, dtype=np.float32))

    def forward(self, x):
        y = np.einsum("oc,nchw->nohw", self.weight.value, x) + self.bias.value[:, None, None]
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        self.weight.grad += np.einsum("nohw,nchw->oc", dy, x)
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        return np.einsum("oc,nohw->nchw", self.weight.value, dy)


class NoBias(Conv1x1):
    def forward(self, x):
        return np.einsum("oc,nchw->nohw", self.weight.value, x)


class Transposed(Conv1x1):
    def forward(self, x):
        w = self.weight.value
        w = w.T if len(w) == len(w.T) else w
        return np.einsum("oc,nchw->nohw", w, x) + self.bias.value[:, None, None]


class BatchLast(Conv1x1):
    """Reshaped without transposing: the product has its channels first, y its images."""

    def forward(self, x):
        N, _, H, W = x.shape
        y = np.einsum("oc,nchw->onhw", self.weight.value, x)
        return y.reshape(N, len(y), H, W) + self.bias.value[:, None, None]


EXERCISE = Exercise(
    name="conv1x1",
    title="1×1 convolution: mix the channels, pixel by pixel",
    reference={"Conv1x1": Conv1x1},
    cases=(
        Case("more channels out than in", "Conv1x1", randn((2, 3, 4, 6)), (3, 5)),
        Case("fewer channels out than in", "Conv1x1", randn((2, 5, 4, 6)), (5, 3)),
        Case("as many channels out as in", "Conv1x1", randn((2, 3, 4, 6)), (3, 3)),
        Case("one channel out", "Conv1x1", randn((2, 3, 4, 6)), (3, 1)),
        Case("a batch of one", "Conv1x1", randn((1, 3, 4, 6)), (3, 5)),
        Case("a single pixel", "Conv1x1", randn((4, 3, 1, 1)), (3, 5)),
        Case("everything at once", "Conv1x1", randn((3, 7, 5, 2)), (7, 4)),
    ),
    classics=(
        Classic("Conv1x1", NoBias, "the bias is missing"),
        Classic("Conv1x1", Transposed, "with a square w, rows and columns are exchanged: a row "
                                       "belongs to an output channel"),
        Classic("Conv1x1", BatchLast, "images and channels are mixed up in y: a reshape does not "
                                      "exchange two axes"),
    ),
    hints=(
        "Look at a single pixel of a single image, and forget that there are others. There, x is "
        "a vector with C numbers, y is a vector with O numbers, and the layer is y = w·x + b. You "
        "may know this layer: it is the fully connected one. What are dx, dw and db for it? Which "
        "number of w stands between input channel c and output channel o, and what does it see on "
        "its two sides? Now let the other pixels come back. Each pixel of x is used for one "
        "pixel of y only, so what changes for dx? But the same w and the same b are used "
        "everywhere, at every pixel of every image. What becomes of the gradients that these "
        "N·H·W uses send back to the one w?",

        "A printer mixes inks: from the amounts of cyan, magenta and yellow at a point of the "
        "picture it computes red, green and blue, with one table of nine numbers. The table is "
        "the same at every point. If the red comes out too strong at one point, then the amounts "
        "at this point should change, in the measure in which the table lets them act on red: "
        "one goes through the table backwards, from colours to inks. And the table itself should "
        "change: its entry for magenta and red by the error in red times the amount of magenta at "
        "this point. Every point of every picture has something to say about this entry, and all "
        "of it is added up. An entry for the blue says nothing about the red.",

        "Name the four axes by letters: n, c, h, w for x, and n, o, h, w for y; the matrix has "
        "o, c. Forward: multiply matrix and image and sum over the letter that y does not have. "
        "Add the bias so that it lies along the channel axis, not along the last one. Remember x. "
        "Backward, by the same rule three times: write down the letters that the result must have, "
        "and those of the two things from which it is made; letters that do not occur in the "
        "result are summed over. For dw, made of dy and x, three letters vanish. For dx, made of "
        "the matrix and dy, one vanishes. For db, made of dy alone, three. Check the shapes; with "
        "as many channels out as in, shapes tell nothing, so check the letters. Add the gradients "
        "of parameters to what is there.",
    ),
)
