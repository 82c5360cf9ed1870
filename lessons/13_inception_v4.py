# %% [markdown]
# # Inception-v4: thin filters, and a residual cousin
#
# GoogLeNet's modules (lesson 10) grew by trial, and each was a little different. By
# 2016 there were two questions. Can the modules be made uniform, and their wide filters
# cheaper? And now that ResNet had shortcuts (lesson 12): does Inception need them?
# One paper answered both with different networks. Inception-v4 is modules only.
# Inception-ResNet has the same kind of modules as the correction of a residual block.
#
# Szegedy, Ioffe, Vanhoucke & Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual
# Connections on Learning", AAAI 2017.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, models, no_grad, optim, training
from scratchnet.cost import macs, params_sum, summary
from scratchnet.lesson import Lesson, steps, what_changed
from scratchnet.models.inception_resnet import block17, block35

lesson = Lesson("inception_v4")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A wide filter in two thin ones
#
# A filter of 7×7 has 49 weights for each pair of an input and an output channel. Take instead one
# row of 1×7, and a column of 7×1 behind it. The column sees seven rows of results, and each
# of those has seen seven pixels: together a window of 7×7, with 7 + 7 weights.
#
# What is lost? Write $a_v$ for the weights of the row, $b_u$ for those of the column; $u$ and $v$
# run from −3 to 3, and the image is padded with three zeros. One channel in, one between, one out,
# no ReLU between:
#
# $$y_{i,j} = \sum_u b_u \sum_v a_v \cdot x_{i+u, j+v} = \sum_u \sum_v (b_u \cdot a_v) \cdot
# x_{i+u, j+v}$$
#
# So the pair is a 7×7 filter with weights $w_{u,v} = b_u \cdot a_v$: a matrix of rank 1, every
# row a multiple of one row. More channels between make sums of such matrices, and a ReLU
# between makes what no single filter can.

# %%
row = layers.Conv2d(1, 1, (1, 7), padding=(0, 3), bias=False, rng=1)
column = layers.Conv2d(1, 1, (7, 1), padding=(3, 0), bias=False, rng=2)
wide = layers.Conv2d(1, 1, 7, padding=3, bias=False, rng=3)
b, a = column.weight.value.reshape(7, 1), row.weight.value.reshape(1, 7)
wide.weight.value = (b * a).reshape(1, 1, 7, 7)         # the outer product
x = rng.standard_normal((1, 1, 17, 17), dtype=np.float32)
pair, one = column.forward(row.forward(x)), wide.forward(x)
print(f"1×7 and 7×1 against the 7×7 of their products: largest difference "
      f"{abs(pair - one).max():.0e}")

thin = layers.Sequential(layers.Conv2d(64, 64, (1, 7), padding=(0, 3), bias=False, rng=1),
                         layers.Conv2d(64, 64, (7, 1), padding=(3, 0), bias=False, rng=2))
full = layers.Conv2d(64, 64, 7, padding=3, bias=False, rng=3)
for layer in (full, *thin):
    print(f"  {params_sum(layer):>10s} = {layer.weight.value.size:7,} weights, "
          f"{macs(layer, (1, 64, 17, 17)):11,} MACs on a map of 17×17")
saved = full.weight.value.size / sum(p.value.size for p in thin.parameters())
print(f"  the pair has {saved:.1f} times fewer: 7·7 / (7 + 7) = {49 / 14}")
factored = gradcheck.check(thin, rng.standard_normal((1, 64, 8, 8)), probes=2)
print(f"  gradient check of the pair: {factored.verdict}, {factored.worst:.0e}")

# %% [markdown]
# Thin filters pay on maps of middle size, says the paper on Inception-v3, the network before; so
# the 7×7 in slices stands where the map is 17×17.
#
# ## 2. The blocks A, B, C
#
# Each block is several branches side by side; their channels are concatenated. Every
# convolution is followed by batch normalisation and ReLU and has no bias. So the first branch of
# A, 1×1 from 384 channels to 96, has 1·1·384·96 weights and 2·96 numbers of the normalisation:
# 37,056 parameters.
#
# - A, on 35×35: 1×1; 3×3; two 3×3 (in place of a 5×5); mean pooling.
# - B, on 17×17: 1×1; a 7×7 in thin slices; two of them; mean pooling.
# - C, on 8×8: 1×1; branches that fork at the end into 1×3 and 3×1; mean pooling.
#
# Between them are reductions: convolutions with stride 2 and a max pooling, side by side, so that
# the map shrinks without a layer that only throws away. "3×3/2" is a kernel of 3×3 and stride 2.
# The table lists the convolutions of a branch in order; the last 1×3 and 3×1 of C's branches
# stand side by side.


# %%
def branches(block: layers.Concat, shape: tuple[int, ...]) -> tuple[int, int]:
    """Print a block branch by branch: its convolutions, channels, weights and MACs."""
    total = total_macs = 0
    with no_grad():
        for name, branch in block.children():
            convs = [layer for _, layer in branch.named_layers()
                     if isinstance(layer, layers.Conv2d)]
            table = summary(branch, shape)
            made = branch.eval().forward(np.zeros((1, *shape), np.float32)).shape[1]
            kernels = ", ".join("×".join(map(str, c.kernel_size))
                                + ("/2" if c.geometry.stride[0] == 2 else "") for c in convs)
            print(f"  {name}  {kernels or 'max 3×3/2':30s} → {made:4d} channels "
                  f"{table.params:10,} parameters {table.macs:13,} MACs")
            total, total_macs = total + table.params, total_macs + table.macs
    print(f"  {'sum':56s}{total:10,}            {total_macs:13,}")
    return total, total_macs


blocks = {
    "A": (models.inception_a(384, 96, 64, np.random.default_rng(0)), (384, 35, 35)),
    "reduction A": (models.reduction_a(384, 384, (192, 224, 256), np.random.default_rng(0)),
                    (384, 35, 35)),
    "B": (models.inception_b(1024, 384, (192, 224, 256), 128, np.random.default_rng(0)),
          (1024, 17, 17)),
    "reduction B": (models.reduction_b(1024, 192, 256, 320, np.random.default_rng(0)),
                    (1024, 17, 17)),
    "C": (models.inception_c(1536, 256, (384, 448, 512), np.random.default_rng(0)), (1536, 8, 8)),
}
counts = {}
for name, (block, shape) in blocks.items():
    print(f"{name}, {'×'.join(map(str, shape))}")
    counts[name] = branches(block, shape)

# %% [markdown]
# The longest branch of B, with the weights of its five convolutions as sums, and what it would
# have with 7×7 in place of each pair:

# %%
longest = [layer for _, layer in blocks["B"][0].branch2.named_layers()
           if isinstance(layer, layers.Conv2d)]
for layer in longest:
    print(f"  {params_sum(layer):>13s} = {layer.weight.value.size:9,}")
thin_sum = sum(layer.weight.value.size for layer in longest)
wide_sum = longest[0].weight.value.size + sum(
    49 * first.in_channels * second.out_channels
    for first, second in (longest[1:3], longest[3:5]))
print(f"  thin: {thin_sum:,}; 1×1, 7×7, 7×7: {wide_sum:,}, {wide_sum / thin_sum:.1f} times as many")

# %% [markdown]
# ## 3. The whole network
#
# Four blocks A, seven B, three C, the reductions between, and a stem before: 299×299 pixels
# become 384 maps of 35×35. Then the mean of each map, dropout, and one linear layer.

# %%
whole = models.inception_v4(rng=0)
big = summary(whole, (3, 299, 299))
print(f"Inception-v4: {big.params:,} parameters, {big.macs:,} MACs")
print(f"  4·A + 7·B + 3·C: {4 * counts['A'][0] + 7 * counts['B'][0] + 3 * counts['C'][0]:,} "
      f"of the parameters")

# %% [markdown]
# A small one for 32×32 pixels has each block once. Its steps, with gradient checks: rows 0 and 1
# are the stem, then come A, reduction A, B, reduction B and C.

# %%
small = models.inception_v4_small(rng=0)
rows = steps(small.features, (1, 32, 32))

# %% [markdown]
# ## 4. Inception-ResNet: the same, as a correction
#
# Here the branches are laid side by side, and a 1×1 convolution brings them back to the
# channels of $x$, so that they can be added. Before the addition they are made smaller by a
# constant $s$, from 0.1 to 0.3 in the paper; 0.17, 0.10 and 0.20 in the network the authors
# published:
#
# $$z = x + s \cdot F(x), \qquad y = \mathrm{ReLU}(z)$$
#
# Why? The paper reports that with more than 1,000 filters the networks "died" early in
# training: the last layers gave only zeros, and neither a lower rate nor more normalisation
# helped. Scaling did. Backward, as in lesson 12:
#
# $$dz = dy \cdot [z > 0], \qquad dx = dz + s \cdot J^T \cdot dz$$
#
# where $J^T \cdot dz$ is what $F$'s backward makes of $dz$. The smaller $s$ is, the nearer both
# directions are to a copy. How near? Send random numbers through twenty blocks with fresh weights,
# for three values of $s$. "Size" is the root of the mean square. Batch normalisation inside $F$
# keeps $F$ at about a constant size, whatever the size of $x$; only the sum can grow.

# %%
block = block17(32, (8, 10, 12), 0.1, np.random.default_rng(0))
scaled = gradcheck.check(block, rng.standard_normal((2, 32, 6, 6)), probes=2)
print(f"gradient check of a residual block: {scaled.verdict}, {scaled.worst:.0e}")

scales = (0.1, 0.3, 1.0)
sizes: dict[float, list[float]] = {}
backs: dict[float, list[float]] = {}
for s in scales:
    stack = [block35(32, (8, 12, 16), s, np.random.default_rng(i)).train() for i in range(20)]
    a = abs(np.random.default_rng(0).standard_normal((8, 32, 8, 8), dtype=np.float32))
    sizes[s] = [float(np.sqrt(np.mean(a**2)))]
    for one_block in stack:
        a = one_block.forward(a)
        sizes[s].append(float(np.sqrt(np.mean(a**2))))
    g = np.random.default_rng(1).standard_normal(a.shape, dtype=np.float32)
    backs[s] = [float(np.sqrt(np.mean(g**2)))]
    for one_block in reversed(stack):
        g = one_block.backward(g)
        backs[s].append(float(np.sqrt(np.mean(g**2))))
    print(f"scale {s:3.1f}: after 20 blocks the size is {sizes[s][-1] / sizes[s][0]:5.2f} times "
          f"the first; the gradient below is {backs[s][-1] / backs[s][0]:5.2f} times that above")

figure = Figure(figsize=(8, 2.9), layout="constrained")
for axes, table, title in zip(figure.subplots(1, 2), (sizes, backs),
                              ("forward: size of the sum", "backward: size of the gradient"),
                              strict=True):
    for s, colour in zip(scales, ("tab:blue", "tab:green", "tab:red"), strict=True):
        axes.plot(np.array(table[s]) / table[s][0], color=colour, label=f"s = {s}")
    axes.set(title=title, xlabel="blocks passed", yscale="log", xticks=range(0, 21, 5),
                 ylim=(0.8, 100))
    axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "scaling", alt="Size of the signal and of the gradient through twenty residual "
            "blocks: the larger the scale of the residual, the more both grow")

# %% [markdown]
# For $s = 1$ the gradient grows fastest at the right end of the picture, in the first blocks. There
# $x$ is still small, and the backward of a normalisation divides by the size of its input.
#
# ## 5. Both, trained briefly
#
# The two small networks on digits of 24×24 pixels, from two seeds each. This is to see them learn,
# not to rank them: two seeds and a few updates say nothing of which is better.

# %%
digits = lesson.load("digits", size=24)
mean = digits.train.images.mean(axis=0)
channels, classes = digits.train.images.shape[1], int(digits.train.labels.max()) + 1
some = 1200 if lesson.full else 300
train = digits.train.images[:some] - mean, digits.train.labels[:some]
test = digits.test.images - mean, digits.test.labels
epochs = 8 if lesson.full else 3
curves, errors = {}, {}
for name, make in (("Inception-v4, small", models.inception_v4_small),
                   ("Inception-ResNet, small", models.inception_resnet_v2_small)):
    curves[name], errors[name] = [], []
    for seed in range(2):
        net = make(num_classes=classes, in_channels=channels, rng=seed)
        history = training.fit(net, train, test, optim.SGD(net.parameters(), 0.05, 0.9, 5e-4),
                               epochs, 24, training.Cosine(epochs), rng=seed, progress=False,
                               clip=5.0)
        curves[name].append([epoch.train_loss for epoch in history])
        errors[name].append(history[-1].validation_error)
    print(f"{name:24s} {sum(p.value.size for p in net.parameters()):8,} parameters, test errors "
          + "  ".join(f"{error:.1%}" for error in errors[name]))

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
for (name, runs), colour in zip(curves.items(), ("tab:orange", "tab:blue"), strict=True):
    for i, run in enumerate(runs):
        axes.plot(range(1, epochs + 1), run, color=colour, marker="o", markersize=3,
                  label=None if i else name)
axes.set(xlabel="epoch", ylabel="training loss", xticks=range(1, epochs + 1), ylim=(0, None))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "training", alt="Training loss by epoch of the two small networks, two seeds "
            "each: all fall")

# %% [markdown]
# The residual one's loss falls faster, as the paper reports of its own. But these two differ in
# their stems and widths as well.
#
# ## 6. Which is which
#
# A residual connection is a sum of two ways. So count the blocks that add.

# %%
adding = {}
residual = models.inception_resnet_v2(rng=0)
cousin = summary(residual, (3, 299, 299))
for name, net in (("inception_v4", whole), ("inception_resnet_v2", residual)):
    kinds = [type(layer).__name__ for _, layer in net.named_layers()]
    adding[name] = sum(kind in ("InceptionResidual", "Residual", "Add") for kind in kinds)
    print(f"{name:22s} {kinds.count('Conv2d'):4d} convolutions, {adding[name]:3d} blocks that add")
print(f"Inception-ResNet-v2: {cousin.params:,} parameters, {cousin.macs:,} MACs")
lesson.claim("inception-v4-residual", "wrong",
             f"Inception-v4 has {adding['inception_v4']} blocks that add: branches are only "
             "concatenated; the paper calls it pure Inception without residual connections. The "
             f"mixture is Inception-ResNet-v2, with {adding['inception_resnet_v2']}. The paper's "
             "top-1 errors, one crop: 20.0 % and 19.9 %.")

# %%
del whole, residual                                     # two large networks
before, after = what_changed("googlenet_bn", "inception_v4")

# %% [markdown]
# The layers are counted with the two heads that GoogLeNet has in training, the parameters without.
# 80.2 % is the accuracy of the weights that the authors released; the paper's own is 80.0 %.
#
# ## What we have seen
#
# - 1×7 and 7×1 see what a 7×7 sees, with 14 weights for 49. Without a ReLU between they are a 7×7
#   filter of rank 1.
# - Inception-v4 has blocks A, B, C, each repeated, and reductions between. Nothing is added.
# - Inception-ResNet adds, and makes the correction small first. The larger the scale, the more
#   signal and gradient grow from block to block.
# - By the paper both reach nearly the same error. It reports that the residual ones trained
#   faster.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start inception
# scratchnet exercise start residual
# scratchnet exercise start avg_pool
# ```
#
# To try: give the blocks of the small Inception-ResNet the scale 1 (`block.scale = 1.0`) and train
# again. Does it die with so few filters?

# %%
assert abs(pair - one).max() < 1e-4 and saved == 3.5
assert factored.passed and scaled.passed and len(rows) == 7
assert (big.params, big.macs) == (42_679_816, 12_253_974_624)
assert cousin.params == 55_843_464 and after.params == big.params > before.params
assert adding == {"inception_v4": 0, "inception_resnet_v2": 40}
assert sizes[1.0][-1] > sizes[0.3][-1] > sizes[0.1][-1]
assert backs[1.0][-1] / backs[1.0][0] > backs[0.1][-1] / backs[0.1][0]
assert all(run[-1] < run[0] for runs in curves.values() for run in runs)
lesson.end()
