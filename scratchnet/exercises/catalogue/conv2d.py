"""conv2d — the products around im2col: where batch and channels change places."""
from scratchnet.exercises.spec import Case, Classic, Exercise, randn
from scratchnet.layers import Conv2d


class NoBias(Conv2d):
    def forward(self, x):
        return super().forward(x) - self.bias.value[:, None, None]


class MixedBatch(Conv2d):
    """The product's rows (o; n,i,j) cut up as if they were (n; o,i,j)."""

    def forward(self, x):
        y = super().forward(x)
        return y.swapaxes(0, 1).reshape(y.shape)


class Sideways(Conv2d):
    """The output's rows and columns swapped by the last reshape."""

    def forward(self, x):
        y = super().forward(x)
        return y.reshape(*y.shape[:2], *y.shape[:1:-1]).swapaxes(2, 3)


class Flipped(Conv2d):
    def forward(self, x):
        self.weight.value = self.weight.value[:, :, ::-1, ::-1].copy()
        y = super().forward(x)
        self.weight.value = self.weight.value[:, :, ::-1, ::-1].copy()
        return y


def case(label, shape, *args, **options):
    return Case(label, "Conv2d", randn(shape), args, options)


class NotPadded(Conv2d):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__(in_channels, out_channels, kernel_size, stride)


EXERCISE = Exercise(
    name="conv2d",
    title="Conv2d: convolution as a matrix product",
    reference={"Conv2d": Conv2d},
    cases=(
        case("a 3×3 kernel", (3, 2, 5, 7), 2, 4, 3),
        case("a batch of one", (1, 2, 5, 7), 2, 4, 3),
        case("a kernel that is not square", (3, 2, 5, 6), 2, 4, (3, 1)),
        case("stride 2", (3, 2, 5, 7), 2, 4, 3, stride=2),
        case("padding 1", (3, 2, 4, 5), 2, 4, 3, padding=1),
        case("windows that do not overlap", (3, 2, 6, 9), 2, 4, 3, stride=3),
        case("pixels that no window sees", (3, 2, 6, 8), 2, 4, 3, stride=2),
        case("everything at once", (2, 3, 10, 7), 3, 5, (4, 5), stride=(3, 2), padding=(1, 2)),
    ),
    classics=(
        Classic("Conv2d", NoBias, "the bias is missing: one number for each filter, added to all "
                                  "of its pixels"),
        Classic("Conv2d", MixedBatch, "images and filters are mixed: the product has the order "
                                      "(o, n,i,j), y wants (n, o,i,j), and a reshape does not "
                                      "move numbers"),
        Classic("Conv2d", Sideways, "height and width of y are mixed: the columns go along the "
                                    "rows of the output"),
        Classic("Conv2d", Flipped, "the filter is turned by 180°: w[o] flattened as it lies in "
                                   "memory meets the columns in the right order"),
        Classic("Conv2d", NotPadded, "the padding is ignored: im2col pads the image if it is told "
                                     "to, and OH and OW count the padding too"),
    ),
    hints=(
        "Once the patches are columns, what is left of the convolution? Compare its sum over c, "
        "u and v with the definition of a matrix product: which matrix has a row for each "
        "filter? Then look at the three things you hold: the flattened filters, the columns and "
        "their product. This is a linear layer, with pixels in the place of images. Which "
        "product gave the gradient of the weights there, and which one the gradient of the "
        "input? Here, the gradient of the input is a gradient of the columns, and they are not "
        "what the layer was given. Who takes them back to x? And the question that costs most "
        "people an hour: in which order does the product have its axes, and in which order does "
        "the next layer want them?",

        "Let there be 2 images, 3 filters and an output of 2×2 pixels. The product has 3 rows "
        "and 8 columns. In its first row, four numbers belong to the first image and four to the "
        "second, all of filter 0. The result must be a 2×3×2×2 array, and its first four numbers "
        "are filter 0 on image 0, the next four are filter 1 on image 0. Those stand in the "
        "second row of the product. So a mere reshape puts the second image's pixels in the "
        "place of filter 1, and nothing complains, since the number of entries is right; with a "
        "batch of one it even is right. First give the product its four axes in the order that "
        "it has, then exchange two of them. In backward, the same happens to dy, the other way: "
        "exchange first, flatten last.",

        "Forward: compute OH and OW. Call im2col. Flatten each filter, so that the weights "
        "become a matrix with a row for each; multiply it with the columns; add the bias as a "
        "column. Give the result the axes O, N, OH, OW, then move N to the front. Remember the "
        "columns and the shape of x. Backward: move the axes of dy so that O is in front, and "
        "flatten the rest; now it looks like forward's product. The gradient of the weights is "
        "dy times the columns turned over, in the shape of the weights. The gradient of the bias "
        "is the sum of each row. The gradient of the columns is the matrix of weights turned "
        "over, times dy; col2im turns it into the gradient of x, with the geometry of forward. "
        "Add the first two into .grad, return the last.",
    ),
)
