# %% [markdown]
# # SENet: channels that are turned up and down
#
# A convolution mixes channels with weights that are the same for every image, and it sees only a
# few pixels at a time. But which channels matter depends on the whole picture: whether there is fur
# in it at all, say. In 2017 Hu, Shen and Sun let the network look at the whole map, decide for each
# channel how much of it to pass on, and multiply. The block is small and can stand behind any
# convolution. With it they won the ImageNet contest of that year, the last one. What does such a
# block cost, what is its backward pass, and does a trained network use it?
#
# Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, models, no_grad
from scratchnet.lesson import Lesson, experiment, steps, verdict, what_changed

lesson = Lesson("senet")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The block, in three steps
#
# Let $x$ be the maps of one image: $C$ channels of $H \times W$ pixels, $x_{cij}$ the number in
# channel $c$, row $i$, column $j$.
#
# 1. Squeeze: take the mean of each channel. $C$ numbers are left, and every pixel has a part in
#    them.
# 2. Excitation: a small network of two linear layers makes a factor $s_c$ for each channel.
#    $\sigma(t) = 1/(1 + e^{-t})$ is the sigmoid of lesson 5: it lies between 0 and 1.
# 3. Scale: multiply each channel by its factor.
#
# $$m_c = \frac{1}{H \cdot W} \sum_{i,j} x_{cij}, \qquad
# s = \sigma(W_2 \cdot \mathrm{ReLU}(W_1 \cdot m + b_1) + b_2), \qquad
# y_{cij} = s_c \cdot x_{cij}$$
#
# Such a factor is called a gate: at 1 it lets everything through, at 0 nothing. The first linear
# layer is narrow: it has $C/r$ outputs, with a reduction $r$ of 16. So the two layers have
# $2 \cdot C^2/r$ weights instead of $2 \cdot C^2$.
#
# Here is the gate for $C = 256$. A linear layer is a 1×1 convolution on a map of 1×1, and so the
# library writes it. The table ends with $s$; the multiplication has no parameters.

# %%
gate = models.SqueezeExcitation(256, 16, np.random.default_rng(0))
rows = steps(gate, (256, 56, 56))

# %% [markdown]
# 8,464 parameters, and 8,192 MACs for a map of 56×56. The bottleneck it stands in (lesson
# "resnet") has 70,400 parameters and over 200 million MACs. The multiplications of the scale and
# the additions of the mean are not counted as MACs. They are one each for every number of the map.
#
# ## 2. Where the parameters go
#
# SE-ResNet-50 is ResNet-50 with a gate at the end of each bottleneck, before the shortcut is
# added:
#
# $$y = \mathrm{ReLU}(x + s(F(x)) \cdot F(x))$$
#
# A block with $C$ channels gets $2 \cdot C^2/16$ weights and $C/16 + C$ biases more. Summed up:

# %%
print(f"{'stage':8s} {'C':>5s} {'blocks':>7s} {'for one block':>36s} {'for all':>10s}")
extra = []
for stage, (C, blocks) in enumerate(((256, 3), (512, 4), (1024, 6), (2048, 3)), start=1):
    one = 2 * C * C // 16 + C // 16 + C
    extra.append(one * blocks)
    text = f"2·{C}·{C // 16} + {C // 16} + {C} = {one:,}"
    print(f"layer{stage}   {C:5d} {blocks:7d} {text:>36s} {extra[-1]:10,}")
print(f"{'sum':59s}{sum(extra):10,}   of them in the last stage: {extra[-1] / sum(extra):.0%}")

# %% [markdown]
# The square of $C$ makes the last stage dear, where the map is small and a gate has least to
# summarise. The authors note that leaving the last stage's gates out costs little accuracy (as
# recalled).
#
# ## 3. A small network, step by step
#
# For 8×8 images: a 3×3 convolution that halves the side, two residual blocks of 16 channels, the
# mean, a linear layer. With $r = 4$ the gates have $16/4 = 4$ units inside (with 16 there would be
# one), so a gate has $2 \cdot 16 \cdot 4 + 4 + 16 = 148$ parameters.

# %%
small = lesson.load("digits", size=8)
colours, classes = small.train.images.shape[1], int(small.train.labels.max()) + 1
WIDTH = 16


def block(gated: bool, rng: np.random.Generator) -> layers.Residual:
    """x + F(x), or x + F(x) · s: the gate is the last layer of the chain."""
    chain = {
        "conv1": layers.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False, rng=rng),
        "bn1": layers.BatchNorm2d(WIDTH),
        "relu1": layers.ReLU(),
        "conv2": layers.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False, rng=rng),
        "bn2": layers.BatchNorm2d(WIDTH),
    }
    if gated:
        chain["se"] = models.SqueezeExcitation(WIDTH, WIDTH // 4, rng)
    return layers.Residual(**chain)


def network(gated: bool, seed: int) -> layers.Sequential:
    """Two blocks, with or without gates."""
    rng = np.random.default_rng(seed)
    return layers.Sequential(
        conv1=layers.Conv2d(colours, WIDTH, 3, stride=2, padding=1, bias=False, rng=rng),
        bn1=layers.BatchNorm2d(WIDTH), relu1=layers.ReLU(),
        block1=block(gated, rng), relu2=layers.ReLU(),
        block2=block(gated, rng), relu3=layers.ReLU(),
        avgpool=layers.AdaptiveAvgPool2d(1), flatten=layers.Flatten(),
        fc=layers.Linear(WIDTH, classes, rng=rng))


se_rows = steps(network(True, 0), (colours, 8, 8))
params = sum(p.value.size for p in network(False, 0).parameters())
print(f"without the gates: {params:,} parameters, 2 · 148 fewer")

# %% [markdown]
# ## 4. Backward: a product whose two factors come from the same $x$
#
# Let $L$ be the loss, and write $dy$ for $\partial L / \partial y$, and so for all others. In $y =
# s \cdot x$ both factors depend on $x$. So $x_{cij}$ reaches the loss on two ways, and the chain
# rule adds them.
#
# - The direct way, with $s$ held still: $dy_{cij} \cdot s_c$.
# - The way through the gate. One $s_c$ multiplies all pixels of its channel, so its gradient is a
#   sum over all of them:
#
# $$ds_c = \sum_{i,j} dy_{cij} \cdot x_{cij}$$
#
# From there it goes back through the little network. Let $u = W_1 \cdot m + b_1$, $h =
# \mathrm{ReLU}(u)$ and $t = W_2 \cdot h + b_2$, so $s = \sigma(t)$. The sigmoid's derivative is
# $s \cdot (1 - s)$:
#
# $$dt = ds \cdot s \cdot (1 - s), \qquad dh = W_2^T \cdot dt, \qquad du = dh \cdot [u > 0],
# \qquad dm = W_1^T \cdot du$$
#
# ($[u > 0]$ is 1 where it is true, else 0.) Last the mean: each of the $H \cdot W$ pixels has an
# equal share in $m_c$. Both ways together:
#
# $$dx_{cij} = dy_{cij} \cdot s_c + \frac{dm_c}{H \cdot W}$$
#
# Here it is in NumPy, line by line, beside the layer:

# %%
small_gate = models.SqueezeExcitation(4, 2, np.random.default_rng(3))
W1, W2 = (layer.weight.value[:, :, 0, 0] for layer in (small_gate.fc1, small_gate.fc2))
b1, b2 = small_gate.fc1.bias.value, small_gate.fc2.bias.value
b1[:] = 1.0                                             # so that a unit is awake: u > 0
x = rng.standard_normal((4, 3, 3)).astype(np.float32)
dy = rng.standard_normal(x.shape).astype(np.float32)

m = x.mean(axis=(1, 2))
u = W1 @ m + b1
s = 1 / (1 + np.exp(-(W2 @ np.maximum(u, 0) + b2)))

ds = (dy * x).sum(axis=(1, 2))
dt = ds * s * (1 - s)
du = (W2.T @ dt) * (u > 0)
dm = W1.T @ du
direct = dy * s[:, None, None]
through = dm[:, None, None] / 9                         # 3·3 pixels
y = small_gate.forward(x[None])[0]
dx = small_gate.backward(dy[None])[0]
print("gates s", s.round(3), "  units awake:", int((u > 0).sum()), "of 2")
print("y by hand is the layer's:  ", bool(np.allclose(y, x * s[:, None, None], atol=1e-5)))
print("dx by hand is the layer's: ", bool(np.allclose(dx, direct + through, atol=1e-5)))
report = gradcheck.check(small_gate, rng.standard_normal((2, 4, 3, 3)))
print(f"gradient check: {report.verdict}, {report.worst:.0e}")
share = np.linalg.norm(through) / np.linalg.norm(direct)
print(f"the second term is {share:.0%} as long as the first")

# %% [markdown]
# It is small because $dm_c$ is spread over all pixels, and because $s \cdot (1 - s)$ is at most
# 1/4. It is easy to forget, for the shape is right without it; the gradient check would tell.
#
# ## 5. Does it help, and is it used?
#
# The same network with and without gates, on the digits in their original 8×8 pixels, from
# three seeds.

# %%
trained = []


def with_gates(seed: int) -> layers.Sequential:
    """A network with gates, kept for the next sections."""
    trained.append(network(True, seed))
    return trained[-1]


errors = experiment({"without gates": lambda seed: network(False, seed), "with gates": with_gates},
                    small, seeds=range(5) if lesson.full else range(3),
                    epochs=20 if lesson.full else 8, batch_size=32, device=lesson.device)
for net in trained:
    net.to("cpu")
print(f"with gates fewer errors: {verdict(errors['with gates'], errors['without gates'])}")

# %% [markdown]
# In the paper, with one recipe for both, ResNet-50 has 24.80 % top-1 error on ImageNet, and
# SE-ResNet-50 23.29 % (table 2). Ten digits, 1,257 images to learn from, are a poor place to look
# for so small a difference.
#
# But one can ask another question: does the trained network use the image to set its gates? Give
# it, instead of its own,
#
# - the mean gates of the training images: one constant a channel;
# - the gates of some other test image.
#
# Constant gates add nothing to what a network can compute: the scale and shift of the batch
# normalisation before them could do the same.


# %%
middle = small.train.images.mean(axis=0)                # `experiment` took it off as well
train, test = ((images - middle, labels) for images, labels in (small.train, small.test))


def run(net: layers.Sequential, images: np.ndarray, change=lambda number, s: s
        ) -> tuple[np.ndarray, list[np.ndarray]]:
    """The network's forward pass, block by block; `change` may put other gates in place.

    Returns the scores, and each block's own gates (N, C).
    """
    gates = []
    with no_grad():
        a = layers.Sequential(*net.eval()[:3]).forward(images)
        for number, block in enumerate((net.block1, net.block2)):
            F = layers.Sequential(*block[:5]).forward(a)
            s = layers.Sequential(*block.se).forward(F)             # all but the product
            gates.append(s[:, :, 0, 0])
            a = np.maximum(a + F * change(number, s), 0)
        return layers.Sequential(net.avgpool, net.flatten, net.fc).forward(a), gates


other = np.random.default_rng(1).permutation(len(test[1]))
kinds: dict[str, list[float]] = {"its own": [], "constant": [], "another image's": []}
for net in trained:
    means = [s.mean(axis=0)[None, :, None, None] for s in run(net, train[0])[1]]
    for name, change in (("its own", lambda number, s: s),
                         ("constant", lambda number, s, means=means: means[number]),    # this net's
                         ("another image's", lambda number, s: s[other])):
        scores = run(net, test[0], change)[0]
        kinds[name].append(float((scores.argmax(axis=1) != test[1]).mean()))
for name, values in kinds.items():
    print(f"gates: {name:16s} test error {np.mean(values):6.1%}   ("
          + "  ".join(f"{error:.1%}" for error in values) + ")")

# %% [markdown]
# Another image's gates do harm: the gates depend on the image, and the layers after them have
# learned to count on it. A constant costs little here. So on this small task most of what the
# gates do could be done without looking at the picture.
#
# ## 6. The gates by class
#
# The picture shows, for the last seed, the mean gates of each class of test images. A column whose
# colour changes from row to row is a channel that is turned up for some classes and down for
# others. How much of a gate's change has to do with the class? Its variance over all images is the
# sum of two: that of the class means, and the mean variance within the classes. The share of the
# first is 1 if the class decides all.

# %%
gates = run(trained[-1], test[0])[1]
labels = test[1]
present = np.unique(labels)
by_class = [np.array([s[labels == c].mean(axis=0) for c in present]) for s in gates]


def class_share(s: np.ndarray) -> float:
    """Variance of the class means / variance of all, channels summed (N cancels)."""
    centre = s.mean(axis=0)
    between = sum((labels == c).sum() * (s[labels == c].mean(axis=0) - centre) ** 2
                  for c in present).sum()
    return float(between / ((s - centre) ** 2).sum())


shares = [[class_share(s) for s in run(net, test[0])[1]] for net in trained]
for number, s in enumerate(gates):
    print(f"block {number + 1}: gates from {s.min():.2f} to {s.max():.2f}, mean {s.mean():.2f}; "
          f"share of the classes in their variance, by seed: "
          + "  ".join(f"{row[number]:.0%}" for row in shares))

figure = Figure(figsize=(8, 3.6), layout="constrained")
for number, (axes, table) in enumerate(zip(figure.subplots(1, 2), by_class, strict=True)):
    image = axes.imshow(table, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.set(xlabel="channel", xticks=range(0, WIDTH, 3), yticks=range(len(present)),
             yticklabels=present, title=f"block {number + 1}")
    axes.spines[:].set_visible(False)
    if number == 0:
        axes.set_ylabel("class")
figure.colorbar(image, ax=figure.axes, label="mean gate")
lesson.save(figure, "gates", alt="Two tables of colours, ten classes by sixteen channels: the mean "
            "gates differ from channel to channel and, in many columns, from class to class")

# %% [markdown]
# The authors made this picture for SE-ResNet-50: early gates much alike for all classes, later
# ones more and more the class's own, and those of the last stage nearly the same again (as
# recalled). Two blocks are too few to see such a course. But the class has a larger share
# in the gates of the second block than in those of the first.
#
# An image that wakes none of the four inner units gets $s = \sigma(b_2)$, whatever it shows. A
# row of nearly one colour may be such a class.
#
# ## 7. What changed

# %%
before, after = what_changed("resnet50", "se_resnet50")

# %% [markdown]
# The difference in parameters is the sum of section 2. That the MACs *fall* is not the gates'
# doing: the library's `resnet50` has its stride on the 3×3 convolution, `se_resnet50` on the
# first 1×1 as in the papers, which saves more than the gates cost (lesson 12 counts both).
# And the two accuracies come from two recipes; section 5 quotes a pair that was trained alike.
#
# ## What we have seen
#
# - Squeeze: a mean a channel. Excitation: two narrow linear layers and a sigmoid. Scale: a
#   product. The cost is $2C^2/r + C/r + C$ parameters and almost no MACs.
# - Both factors of the product come from $x$, so $dx$ has two terms: $dy \cdot s$, and what
#   comes back through the gate, spread evenly over the pixels.
# - On small digits no difference in errors can be seen. Whether the gates are used can: put
#   others in their place.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start squeeze_excitation
# scratchnet exercise start sigmoid_tanh
# scratchnet exercise start global_avg_pool
# ```
#
# To try: fresh gates are near ½, so the corrections $F$ begin at half their size. Set the biases of
# each `fc2` to 3 before training, so that the gates begin almost open. Does the training loss fall
# faster in the first epochs?

# %%
assert sum(row.params for row in rows) == 8_464
assert sum(extra) == after.params - before.params == 2_530_992
assert sum(row.params for row in se_rows) - params == 2 * 148
assert np.allclose(dx, direct + through, atol=1e-5) and report.passed
assert all(np.mean(values) < 0.3 for values in errors.values()) or colours != 1
assert np.allclose(kinds["its own"], errors["with gates"], atol=0.01)
assert np.mean(kinds["another image's"]) > np.mean(kinds["its own"]) or colours != 1
assert np.mean(shares, axis=0)[1] > np.mean(shares, axis=0)[0] or colours != 1
assert all(s.min() >= 0 and s.max() <= 1 for s in gates)
lesson.end()
