# %% [markdown]
# # Convolution: one small filter, everywhere
#
# The linear layer of lesson 2 had a weight for every pixel, and when the digits moved by one pixel
# it was lost. It is also large: a linear layer from an image of 3 × 224 × 224 numbers to one of the
# same size has 150,528 · 150,528 weights, over 22 billion. A convolution mends both. Each output
# looks at a few neighbouring pixels only, and all outputs use the same few weights, wherever they
# look. How is it computed, how does the gradient go back through it, and does it mend the moving?
#
# LeCun et al., "Backpropagation Applied to Handwritten Zip Code Recognition", 1989. As matrices:
# Chellapilla, Puri & Simard, "High Performance Convolutional Neural Networks for Document
# Processing", 2006.

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import Layer, data, gradcheck, layers, naive, optim, training
from scratchnet.convolution import output_size
from scratchnet.lesson import Lesson
from scratchnet.lesson.experiment import verdict
from scratchnet.lesson.steps import steps

lesson = Lesson("convolution")
_ = threadpool_limits(1, user_api="blas")       # matrices this small: a second thread only waits

# %% [markdown]
# ## 1. In one dimension, by hand
#
# Take a row of seven numbers x and a filter w of three. Lay the filter on the first three
# numbers, multiply each pair, add up: that is the first output. Move the filter by one:
#
# $$y_i = b + \sum_u w_u \cdot x_{i+u}$$
#
# with u = 0, 1, 2 and one bias b. (Mathematicians turn the filter round first and call this one
# correlation. For weights that are learnt it makes no difference.) The filter −1, 0, 1
# answers above 0 where x rises, below 0 where it falls.

# %%
x = np.array([0.0, 0.0, 5.0, 5.0, 5.0, 1.0, 1.0])
w = np.array([-1.0, 0.0, 1.0])
y = np.array([sum(w[u] * x[i + u] for u in range(3)) for i in range(5)])
print(f"x: {x}\ny[0] = −1·0 + 0·0 + 1·5 = {y[0]:.0f}, and the others {y[1:]}")
A = np.array([[w[k - i] if 0 <= k - i < 3 else 0 for k in range(7)] for i in range(5)])
print(f"as a linear layer, y = A·x with\n{A.astype(int)}")
print("the same y:", bool(np.array_equal(A @ x, y)))

# %% [markdown]
# So a convolution *is* a linear layer, with a special matrix: most entries are 0, and every row
# has the same three numbers, moved by one. Its backward pass is that of lesson 2, with this A (x
# and y are columns here, not rows, so the matrix stands on the left). Given dy, the slope of the
# loss for each y:
#
# - **x**: dx = Aᵀ dy. A pixel gets dy · w from every output that saw it;
# - **w**: the weight u stands in every row, beside another x. Slopes of parallel ways add:
#   $\partial L / \partial w_u = \sum_i dy_i \cdot x_{i+u}$. That is a convolution too, of x with
#   dy in the place of the filter;
# - **b**: it was added to every output, so it gets the sum of dy.

# %%
dy = np.array([1.0, 0.0, 2.0, 0.0, 0.0])
dx = A.T @ dy
dw = np.array([sum(dy[i] * x[i + u] for i in range(5)) for u in range(3)])
print("dy:", dy, "  dx:", dx, "  dw:", dw, "  db:", dy.sum())
loops = naive.conv2d_backward(*(a.reshape(1, 1, 1, -1) for a in (dy, x, w)))
same_1d = all(np.allclose(a, c.ravel()) for a, c in zip((dx, dw, dy.sum()), loops, strict=True))
print("as the library's plain loops have them:", same_1d)

# %% [markdown]
# ## 2. Images: height, width, and channels
#
# An image has C channels (a colour image three: red, green, blue) of H rows and W columns. A
# filter covers KH × KW pixels *in all channels*, and adds everything up to one number. One filter
# so makes one map of numbers; a layer has O filters and makes O maps, the channels of its
# output. For output channel o, row i, column j of image n:
#
# $$y_{noij} = b_o + \sum_c \sum_u \sum_v w_{ocuv} \cdot x_{n,c,i+u,j+v}$$
#
# In Python, one number at a time:


# %%
def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The definition; x (N, C, H, W), w (O, C, KH, KW), b (O,)."""
    N, C, H, W = x.shape
    O, _, KH, KW = w.shape
    y = np.zeros((N, O, H - KH + 1, W - KW + 1))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o]
        for c, u, v in np.ndindex(C, KH, KW):
            y[n, o, i, j] += w[o, c, u, v] * x[n, c, i + u, j + v]
    return y


rng = np.random.default_rng(0)
x = rng.standard_normal((2, 3, 5, 6))
w, b = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)
y = conv2d(x, w, b)
print(f"x {x.shape}, w {w.shape} → y {y.shape}; as the library's loops:",
      bool(np.allclose(y, naive.conv2d(x, w, b))))

# %% [markdown]
# What does a filter see? Three of 3 × 3, made by hand, on a digit: one that answers where it
# gets brighter from left to right (an upright edge), one where it gets brighter from top to bottom
# (a level edge), one that takes the mean.

# %%
digit = data.load_digits(size=32).test.images[:1].astype(np.float64)
edge = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]) / 3
bank = np.stack([edge, edge.T, np.full((3, 3), 1 / 9)])[:, None]        # (O, C, KH, KW)
pictures = (digit[0, 0], *naive.conv2d(digit, bank)[0])
figure = Figure(figsize=(8, 2.4), layout="constrained")
for axes, picture, title in zip(figure.subplots(1, 4), pictures, (
        "the digit", "left to right", "top to bottom", "mean"), strict=True):
    edges = title in ("left to right", "top to bottom")
    axes.imshow(picture, cmap="RdBu" if edges else "gray", vmin=-1 if edges else 0, vmax=1)
    axes.set(title=title, xticks=[], yticks=[])
lesson.save(figure, "three_filters",
            alt="A digit and its maps under three filters: two show edges, blue where it gets "
                "brighter and red where it gets darker; one is a blurred digit.")

# %% [markdown]
# ## 3. How many parameters, and where is the bias?
#
# Take an image of 4 × 4 pixels with 3 channels, often drawn as a block of 4 × 4 × 3, and seven
# filters of 3 × 3. Each filter has a weight for each pixel of its window in each channel, 3·3·3 =
# 27, and one bias: one number for the whole map, not one for each pixel. Seven filters:
# 3·3·3·7 + 7. The batch of N images is one axis more, and has no part in the number of parameters.
#
# Without anything around the image, the filter fits in only 2 × 2 places, and the maps shrink.
# Padding puts p rows and columns of zeros on each side. With p = 1 they stay 4 × 4.

# %%
x = rng.standard_normal((5, 3, 4, 4)).astype(np.float32)
seven = layers.Sequential(conv=layers.Conv2d(3, 7, 3, padding=1, rng=0))
table = steps(seven, (3, 4, 4))
shapes = {p: layers.Conv2d(3, 7, 3, padding=p).forward(x).shape for p in (0, 1)}
for p, shape in shapes.items():
    print(f"a batch of 5, padding {p}: {x.shape} → {shape}")
weights, biases = (seven.conv.weight.value.size, seven.conv.bias.value.size)
lesson.claim("batch-is-channels", "wrong",
             "4×4 are the pixels and 3 the channels of one image; a batch is a further axis: "
             f"{x.shape} is five such images, and the layer has as many parameters for five as "
             "for one.")
lesson.claim("filter-count-189", "right, but incomplete",
             f"189 = 3·3·3·7 are the weights; with a bias for each filter the layer has "
             f"{weights + biases}. And 4×4×7 needs padding 1; without it the output is "
             f"{shapes[0][2]}×{shapes[0][3]}×7.")

# %% [markdown]
# ## 4. Padding, stride, and the size of the output
#
# The filter may also move by more than one pixel at a time; that is the stride s. How many places
# are there along one axis? With padding p the axis has H + 2p pixels. The first window covers K of
# them. So H + 2p − K pixels are left to move over, in steps of s, and an incomplete step is not
# taken. With the first window itself:
#
# $$OH = \mathrm{floor} \left( \frac{H + 2p - K}{s} \right) + 1$$
#
# where floor means: round down.

# %%
rows = []
for size, kernel, stride, padding in ((7, 3, 1, 0), (7, 3, 1, 1), (7, 3, 2, 1), (8, 3, 2, 0)):
    formula = (size + 2 * padding - kernel) // stride + 1           # // rounds down
    starts = [i for i in range(-padding, size + padding, stride) if i + kernel <= size + padding]
    rows.append(formula == len(starts) == output_size(size, kernel, stride, padding))
    print(f"size {size}, kernel {kernel}, stride {stride}, padding {padding}: "
          f"floor(({size} + 2·{padding} − {kernel}) / {stride}) + 1 = {formula}\n"
          f"    windows begin at {' '.join(map(str, starts))}")

# %% [markdown]
# A window that begins at −1 covers one zero of the padding. In the last line the windows end with
# pixel 6: pixel 7 is in none of them. It takes no part, and its gradient is 0.
#
# Now a whole network can be counted. A small one that is often taught with: images of 28 × 28 in
# one channel; a convolution to 64 maps; ReLU; the largest of every 2 × 2 pixels (max pooling,
# which has a lesson of its own); and a linear layer to ten classes.

# %%
taught = layers.Sequential(
    conv=layers.Conv2d(1, 64, 3, padding=1, rng=0), relu=layers.ReLU(),
    pool=layers.MaxPool2d(2), flatten=layers.Flatten(),
    linear=layers.Linear(14 * 14 * 64, 10, rng=0))
taught_table = steps(taught, (1, 28, 28))
conv_step, linear_step = taught_table[0], taught_table[-1]
lesson.claim("first-convolution-576", "right, but incomplete",
             f"The convolution: {conv_step.sum} = {conv_step.params}. The linear layer has 14·14·64"
             f"·10 = 125,440 weights, and 10 biases: {linear_step.params:,}; in all "
             f"{conv_step.params + linear_step.params:,}.")

# %% [markdown]
# The convolution has 640 parameters, half a percent of the linear layer's, and with 3·3·1 products
# for each of 64·28·28 outputs it does 3.6 times its work. Shared weights are few, and used often.
#
# ## 5. im2col: a convolution as one matrix product
#
# Loops over single numbers are slow. But every output is a sum of products of a window with a
# filter. So copy each window into a column of a matrix, and flatten each filter to a row:
#
# $$y = W \cdot \mathrm{columns} + b$$
#
# W is O × (C·KH·KW); columns is (C·KH·KW) × (number of windows). The copying is called im2col.
# From here on the windows are square, K × K.


# %%
def places(shape: tuple[int, ...], K: int):
    """The number of each column, and its window: x[window] is K×K pixels in all channels."""
    N, _, H, W = shape
    for m, (n, i, j) in enumerate(np.ndindex(N, H - K + 1, W - K + 1)):
        yield m, (n, slice(None), slice(i, i + K), slice(j, j + K))


def im2col(x: np.ndarray, K: int) -> np.ndarray:
    """Copy every window into a column."""
    N, C, H, W = x.shape
    columns = np.empty((C * K * K, N * (H - K + 1) * (W - K + 1)), dtype=x.dtype)
    for m, window in places(x.shape, K):
        columns[:, m] = x[window].ravel()
    return columns


tiny = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
print(f"x:\n{tiny[0, 0].astype(int)}\nim2col, windows of 2×2:\n{im2col(tiny, 2).astype(int)}")

# %% [markdown]
# ## 6. Backward: col2im, the transpose of a copy
#
# y = W · columns is a linear layer, and lesson 2 has its backward: dW = dy · columnsᵀ, and
# dcolumns = Wᵀ · dy. There remains the way back through the copying. With all pixels and all places
# in the columns written as two long lists, copying is a matrix A of zeros and ones: columns = A x.
# As in section 1, backward is dx = Aᵀ dcolumns.
#
# Nobody writes A down. What does Aᵀ do? A 1 in A at (place, pixel) says: this pixel was copied to
# that place. Aᵀ has the same 1 the other way: what is at that place is *added* to that pixel. A
# pixel that was copied to four places gets the sum of all four. That is col2im.


# %%
def col2im(columns: np.ndarray, shape: tuple[int, ...], K: int) -> np.ndarray:
    """Add every column to the window that it was copied from."""
    x = np.zeros(shape, dtype=columns.dtype)
    for m, window in places(shape, K):
        x[window] += columns[:, m].reshape(shape[1], K, K)      # +=: windows overlap
    return x


# %% [markdown]
# How can one know that it is the transpose, without writing down A? With ⟨a, b⟩ from lesson 1, the
# sum of all products of a and b, number by number, for every x and y
#
# $$\langle A x, y \rangle = \sum_m \sum_k y_m A_{mk} x_k = \langle x, A^T y \rangle$$
#
# because both are the same sum. So take random x and y, and compare.

# %%
some_x, some_y = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((27, 2 * 4 * 5))
left = float((im2col(some_x, 3) * some_y).sum())
right = float((some_x * col2im(some_y, some_x.shape, 3)).sum())
print(f"⟨im2col(x), y⟩ = {left:.12f}\n⟨x, col2im(y)⟩ = {right:.12f}")
counts = (col2im(im2col(tiny, 2), tiny.shape, 2) / tiny)[0, 0].astype(int)
print(f"It is not the inverse. It gives x times the number of windows:\n{counts}")

# %% [markdown]
# Now the whole layer in a few lines, and the check of lesson 1. Forward remembers x, not the
# columns, which are K · K times larger; copying them again is cheap.


# %%
class MyConv:
    """A convolution with a K×K kernel, from im2col and col2im."""

    def __init__(self, w: np.ndarray, b: np.ndarray):
        self.W, self.b = w, b
        self.dW, self.db = np.zeros_like(w), np.zeros_like(b)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x, (O, _, K, _), (N, _, H, W) = x, self.W.shape, x.shape
        y = self.W.reshape(O, -1) @ im2col(x, K)
        return y.reshape(O, N, H - K + 1, W - K + 1).swapaxes(0, 1) + self.b[:, None, None]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        O, _, K, _ = self.W.shape
        flat = dy.swapaxes(0, 1).reshape(O, -1)
        self.dW += (flat @ im2col(self.x, K).T).reshape(self.W.shape)
        self.db += flat.sum(axis=1)
        return col2im(self.W.reshape(O, -1).T @ flat, self.x.shape, K)


x, mine = rng.standard_normal((2, 3, 12, 12)), MyConv(w, b)
start = time.perf_counter()
by_loops = conv2d(x, w, b)
middle = time.perf_counter()
by_columns = mine.forward(x)
end = time.perf_counter()
print(f"the same as the loops: {np.allclose(by_loops, by_columns)}; time: loops "
      f"{1000 * (middle - start):.0f} ms, columns {1000 * (end - middle):.1f} ms")
report = gradcheck.check(mine, rng.standard_normal((2, 3, 5, 6)))
print(report)

# %% [markdown]
# ## 7. Equivariant, not invariant
#
# Move the image, and each window sees what another one saw before. So the output is the same, but
# moved as well: conv(moved x) = moved conv(x). That is called equivariant. Invariant would be:
# conv(moved x) = conv(x). Both can be measured. The image has a wide margin of zeros, and nothing
# leaves it. A difference of 1 in the table is one as large as the map itself; 0, or 10⁻¹⁶, is none.


# %%
def moved(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The images, moved down and to the right; what leaves on one side enters on the other."""
    return np.roll(x, (rows, columns), axis=(2, 3))


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """How far a is from b, relative to the size of b."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


small_digit = data.load_digits(size=8).test.images[:1].astype(np.float64)
image = np.pad(small_digit, ((0, 0), (0, 0), (8, 8), (8, 8)))
conv = layers.Conv2d(1, 8, 3, padding=1, rng=0).astype(np.float64)
still, found = conv.forward(image), {}
followers = {"then 2×2 max": layers.MaxPool2d(2), "then largest of the map": layers.MaxPool2d(24),
             "then mean of the map": layers.AdaptiveAvgPool2d(1)}
for k in (1, 2, 4):
    shifted = conv.forward(moved(image, 0, k))
    found[k] = {"conv: moved along?": apart(shifted, moved(still, 0, k)),
                "conv: unchanged?": apart(shifted, still)}
    for name, layer in followers.items():
        found[k][f"{name}: unchanged?"] = apart(layer.forward(shifted), layer.forward(still))
print(f"{'relative difference, image moved by':38s} 1 pixel  2 pixels  4 pixels")
for what in found[1]:
    print(f"{what:38s}" + "".join(f"{row[what]:9.1g}" for row in found.values()))
strided = layers.Conv2d(1, 8, 3, stride=2, padding=1, rng=0).astype(np.float64)
by_half = {k: apart(strided.forward(moved(image, 0, k)), moved(strided.forward(image), 0, k // 2))
           for k in (1, 2)}
print("stride 2, moved along by half:" + "".join(f"{v:17.1g}" for v in by_half.values()))

lesson.claim("local-invariance", "wrong",
             f"Convolution is equivariant: with the image moved by 1, the output moves along "
             f"(difference {found[1]['conv: moved along?']:.1g}), and so is not unchanged "
             f"(difference {found[1]['conv: unchanged?']:.1f}). Invariant is what comes after it, "
             f"where it forgets places: the mean or the largest of a whole map entirely, 2×2 "
             f"windows a little ({found[1]['then 2×2 max: unchanged?']:.1f}).")

# %% [markdown]
# A stride of 2 keeps equivariance only for moves by an even number of pixels. And near the border,
# where windows see the padding, none of this is exact.
#
# ## 8. An experiment: digits that move
#
# The digits get a margin of two pixels, so that they can move without being cut. Two machines
# learn them where they stand. One is the linear layer of lesson 2. The other has 32 filters of
# 5 × 5, ReLU (lesson 1), the largest number of each map, and a linear layer on these 32: "is there
# something like this filter, anywhere?" Both are then tested on digits that have moved.
#
# Both learn by the same recipe. It adds three things to that of lesson 2: momentum 0.9 (each step
# goes on with nine tenths of the one before), a rate that rises in the first epoch and then falls
# to 0, and a limit for the length of the gradient.

# %%
plain_digits = lesson.load("digits", size=8)
sets = [data.Split(np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), labels)
        for images, labels in plain_digits]
channels, classes = sets[0].images.shape[1], int(sets[0].labels.max()) + 1


def machine(kind: str, seed: int) -> Layer:
    """A weight for every pixel; or 32 filters, and whether each finds something anywhere."""
    if kind == "linear":
        return layers.Sequential(flatten=layers.Flatten(),
                                 linear=layers.Linear(144 * channels, classes, rng=seed))
    return layers.Sequential(
        conv=layers.Conv2d(channels, 32, 5, padding=2, rng=seed), relu=layers.ReLU(),
        largest=layers.MaxPool2d(12), flatten=layers.Flatten(),
        linear=layers.Linear(32, classes, rng=seed))


kinds = ("linear", "convolutional")
tables = {kind: steps(machine(kind, 0), (channels, 12, 12)) for kind in kinds}
sizes = {kind: sum(step.params for step in table) for kind, table in tables.items()}
moves, errors, epochs = ((0, 0), (0, 1), (1, 1), (2, 2)), {}, 8
for kind in kinds:
    errors[kind] = runs = []
    for seed in range(6 if lesson.full else 3):
        net = machine(kind, seed)
        if kind == "convolutional":         # with your own Conv2d, if you gave one: --with
            lesson.replace(net, sets[0].images[:32])
        training.fit(net, sets[0], sets[1], optim.SGD(net.parameters(), 0.1, 0.9), epochs, 32,
                     training.WarmUp(training.Cosine(epochs), epochs=1), rng=seed,
                     progress=False, clip=5.0, loss=lesson.loss)
        runs.append([training.evaluate(net, moved(sets[2].images, *move), sets[2].labels)[1]
                     for move in moves])

print(f"\n{'test error, moved by':22s}" + "".join(f"{str(move):>15s}" for move in moves))
for name, runs in errors.items():
    print(f"{name:22s}" + "".join(f"{f'{m:.1%} ± {s:.1%}':>15s}" for m, s in zip(
        np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1), strict=True)))
answers = [verdict([run[k] for run in errors["convolutional"]],
                   [run[k] for run in errors["linear"]]) for k in range(len(moves))]
print(f"{'fewer with convolution':22s}" + "".join(f"{a.split()[0]:>15s}" for a in answers))

figure = Figure(figsize=(8, 3), layout="constrained")
axes = figure.subplots()
for side, (name, color) in zip((-0.2, 0.2), (("linear", "tab:orange"),
                                             ("convolutional", "tab:blue")), strict=True):
    place = np.arange(len(moves)) + side
    axes.bar(place, 100 * np.mean(errors[name], axis=0), 0.38, color=color, label=name)
    for run in errors[name]:
        axes.plot(place, 100 * np.array(run), "k.", markersize=4)
axes.set(xticks=range(len(moves)), xticklabels=[f"{r} down, {c} right" for r, c in moves],
         ylabel="test error, %")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left")
lesson.save(figure, "moved_digits",
            alt="Test errors of digits moved by up to two pixels: the linear layer's rise to about "
                "nine in ten, the convolutional network's stay where they were.")

# %% [markdown]
# The ± is the standard deviation over the seeds: how far chance alone moves a result. Of two means
# over n seeds, with standard deviations s and t, chance moves the difference by about
# √(s²/n + t²/n). Here and in all lessons a difference counts as confirmed if it is more than twice
# that; with three seeds this is a weak test.
#
# Neither machine has ever seen a moved digit. The linear layer falls apart; the other hardly
# notices. As section 7 says, the convolution does this only together with the largest number, which
# forgets the place. It has fewer parameters, but does eighty times the work. It is better on digits
# that stand still, too; perhaps because a hand does not put every stroke on the same pixel either.
#
# ## What we have seen
#
# - A convolution is a linear layer whose rows are one small filter, moved; so is its backward.
# - A filter covers all channels. Kernel · kernel · inputs · outputs weights, and one bias for each
#   output map: 3·3·3·7 + 7 = 196.
# - The output has floor((H + 2p − K) / s) + 1 rows.
# - im2col copies windows into columns, so that a matrix product does the work; its transpose
#   col2im adds them back. ⟨Ax, y⟩ = ⟨x, Aᵀy⟩ tests a transpose without writing down A.
# - Convolution is equivariant: move the image, and the map moves along. Invariance comes from what
#   forgets places.
#
# ## Exercises
#
# - `scratchnet exercise start convolution`: the definition, forward only, as plain loops;
# - `scratchnet exercise start im2col` and `scratchnet exercise start col2im`;
# - `scratchnet exercise start conv2d`: the layer as a matrix product, with its three gradients;
# - `scratchnet exercise start counting`: parameters and multiply-accumulates (groups cut the
#   channels into parts that do not see each other; lesson 6 has them);
# - `scratchnet exercise start hunt_col2im`: a bug where windows overlap.

# %%
assert same_1d and report.passed and all(rows)
assert (weights, biases) == (189, 7) and table[0].params == 196
assert shapes == {0: (5, 7, 2, 2), 1: (5, 7, 4, 4)}
assert (conv_step.params, linear_step.params) == (640, 125_450)
assert round(conv_step.macs / linear_step.macs, 1) == 3.6
assert np.allclose(by_loops, by_columns) and abs(left - right) < 1e-9
assert counts.tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
for row in found.values():
    assert row["conv: moved along?"] < 1e-12 and row["conv: unchanged?"] > 0.1
    assert row["then mean of the map: unchanged?"] < 1e-10
    assert row["then largest of the map: unchanged?"] < 1e-10
assert by_half[2] < 1e-12 < 0.1 < by_half[1]
if plain_digits.train.images.shape[1:] == (1, 8, 8) and classes == 10:
    conv_errors, linear_errors = (np.mean(errors[kind], axis=0) for kind in reversed(kinds))
    work = {kind: sum(step.macs or 0 for step in table) for kind, table in tables.items()}
    assert sizes == {"linear": 1450, "convolutional": 1162}
    assert 75 < work["convolutional"] / work["linear"] < 85
    assert set(answers) == {"confirmed here"}
    assert conv_errors[0] < 0.05 and conv_errors[-1] < 0.1
    assert linear_errors[0] < 0.1 < 0.6 < linear_errors[-1]
lesson.end()
