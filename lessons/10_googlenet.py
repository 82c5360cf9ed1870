# %% [markdown]
# # GoogLeNet: side by side, and cheap
#
# In 2014 the way to a better network was a larger one: more layers, more channels. VGG-16
# (lesson 8) has 138 million parameters and needs 15.5 billion multiply-accumulates (MACs)
# for an image. GoogLeNet won the contest of that year with 22 layers, 7 million parameters and
# 1.6 billion MACs. Two questions led to it. Which filter size is right for a layer, when an object
# may be small or large in the image? Its answer: several sizes side by side. And how can that
# be paid for? With the 1×1 convolutions of lesson 9.
#
# Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, models, optim, training, visualize
from scratchnet.cost import params_sum, summary
from scratchnet.lesson import Lesson, steps, verdict, what_changed
from scratchnet.lesson.steps import check_small
from scratchnet.models.googlenet import INCEPTION, conv_relu, inception_module

lesson = Lesson("googlenet")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The naive module
#
# Take the image as it is at one place in the network: 192 channels of 28×28. Look at it with
# filters of 1×1, 3×3 and 5×5, and take the maximum of each 3×3 window too (stride 1, so that the
# side stays). Each of the four is a *branch*. Padding keeps all outputs at 28×28, so that they
# can be *concatenated*: laid on top of one another, as more channels of one image. The layer
# `Concat` does that with the branches it is given.
#
# The paper calls this the naive version. Its price, with the numbers of filters of the network's
# first module, called 3a:


# %%
def naive_module(channels: int, ch1: int, ch3: int, ch5: int, seed: int = 0) -> layers.Concat:
    """1×1, 3×3, 5×5 and a 3×3 maximum side by side, nothing before and nothing after them."""
    rng = np.random.default_rng(seed)
    return layers.Concat(
        b1=conv_relu(channels, ch1, 1, rng=rng),
        b2=conv_relu(channels, ch3, 3, padding=1, rng=rng),
        b3=conv_relu(channels, ch5, 5, padding=2, rng=rng),
        b4=layers.MaxPool2d(3, stride=1, padding=1))


def count(module: layers.Concat, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Print a module's convolutions as sums one can follow; return channels, parameters, MACs."""
    table = summary(module, shape)
    for name, layer in module.named_layers():
        if isinstance(layer, layers.Conv2d):
            print(f"  {name:15s} {params_sum(layer):>21s} = {params(layer):8,} parameters   "
                  f"{summary(layer, (layer.in_channels, *shape[1:])).macs:12,} MACs")
    channels = module.forward(np.zeros((1, *shape), dtype=np.float32)).shape[1]
    print(f"  {'sum':15s} {table.params:32,} parameters   {table.macs:12,} MACs, "
          f"{channels} channels")
    return channels, table.params, table.macs


def params(layer: layers.Conv2d) -> int:
    """The number of its parameters."""
    return sum(p.value.size for p in layer.parameters())


print("3a, naive")
naive = count(naive_module(192, 64, 128, 32), (192, 28, 28))

# %% [markdown]
# Two fifths of the MACs go to a seventh of the new channels: those of the 5×5. And the maximum
# hands on all 192 channels, so the output has more channels than the input, in every module. The
# next module must read them all:

# %%
channels, grown = 192, []
for name in ("3a", "3b", "4a", "4b"):
    ch1, _, ch3, _, ch5, _ = INCEPTION[name]    # filters 1×1, before 3×3, 3×3, before 5×5, 5×5, …
    grown.append(ch1 + ch3 + ch5 + channels)
    print(f"naive {name}: {ch1} + {ch3} + {ch5} + {channels} = {grown[-1]} channels")
    channels = grown[-1]

# %% [markdown]
# ## 2. Reductions
#
# A 1×1 convolution with fewer filters than channels condenses each pixel's channels into fewer.
# GoogLeNet puts one *before* the 3×3 and before the 5×5 (the reduction), and one *after* the
# maximum (the projection):
#
# - 1×1, 64 filters
# - 1×1, 96 filters, then 3×3, 128 filters
# - 1×1, 16 filters, then 5×5, 32 filters
# - 3×3 maximum, then 1×1, 32 filters
#
# A ReLU follows each of the six convolutions, so a reduction is also one more layer.

# %%
print("3a, with reductions")
reduced = count(inception_module(192, *INCEPTION["3a"], rng=rng), (192, 28, 28))
before5, after5 = 5 * 5 * 192 * 32 + 32, (192 * 16 + 16) + (5 * 5 * 16 * 32 + 32)
print(f"The 5×5 branch: {before5:,} parameters before, {after5:,} after, "
      f"{before5 / after5:.1f} times fewer")

# %% [markdown]
# What would each of the nine modules cost without reductions, if it were given as many channels as
# in the paper? With C channels in and a side of S, a k×k convolution with F filters has
# $k \cdot k \cdot C \cdot F \cdot S \cdot S$ MACs.

# %%
inputs = dict(zip(INCEPTION, (192, 256, 480, 512, 512, 512, 528, 832, 832), strict=True))
sides = {name: {"3": 28, "4": 14, "5": 7}[name[0]] for name in INCEPTION}
cost = {}
for name, (ch1, r3, ch3, r5, ch5, pool) in INCEPTION.items():
    C, pixels = inputs[name], sides[name] ** 2
    without = C * (ch1 + 9 * ch3 + 25 * ch5) * pixels
    with_ = (C * (ch1 + r3 + r5 + pool) + 9 * r3 * ch3 + 25 * r5 * ch5) * pixels
    cost[name] = without / 1e6, with_ / 1e6
total_without, total_with = (sum(column) for column in zip(*cost.values(), strict=True))
print(f"nine modules: {total_without:,.0f} million MACs without reductions, "
      f"{total_with:,.0f} with, {total_without / total_with:.1f} times fewer")

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
places = np.arange(len(cost))
for shift, column, colour, label in ((-0.2, 0, "tab:red", "naive"),
                                     (0.2, 1, "tab:blue", "with reductions and projection")):
    axes.bar(places + shift, [row[column] for row in cost.values()], 0.4, color=colour, label=label)
axes.set_xticks(places, cost)
axes.set(xlabel="module", ylabel="million MACs", title="What the 1×1 convolutions save")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "reductions", alt="Million MACs of the nine Inception modules, naive and with "
            "reductions: naive is two to five times higher in every module")

# %% [markdown]
# So the module does more than to concatenate (stack) the outputs of three filters and a maximum:

# %%
lesson.claim("inception-stacked", "right, but incomplete",
             "That is the naive module. The real one has 1×1 reductions before the 3×3 and the 5×5 "
             "and a 1×1 projection after the maximum. In 3a that makes "
             f"{naive[2] / reduced[2]:.1f} times fewer MACs ({naive[2] / 1e6:.0f} and "
             f"{reduced[2] / 1e6:.0f} million) and {reduced[0]} channels instead of {naive[0]}.")

# %% [markdown]
# ## 3. Backward: split, and add
#
# Let $L$ be the loss and $dy$ its slope $\partial L / \partial y$. Forward, the outputs are
# concatenated: $y = [f_1(x), f_2(x), f_3(x), f_4(x)]$. Each number of $y$ came from one branch, so
# backward $dy$ is cut into the channels of each branch: $dy = [dy_1, dy_2, dy_3, dy_4]$.
#
# The input $x$ was used four times. A small change of $x_i$ reaches the loss along four paths, and
# the chain rule adds them:
#
# $$dx = \sum_k J_k^T \cdot dy_k$$
#
# $J_k$ is the matrix of the slopes of branch $k$: row $j$, column $i$ is the slope of its output
# $j$ in its input $i$. Number $i$ of $J_k^T \cdot dy_k$ is the sum over $j$ of that slope times
# $dy_j$, and that is what the branch's own backward returns. An example small enough to do by hand:
# one pixel, one channel, two branches that multiply by 2 and by −3.

# %%
two = layers.Concat(a=layers.Conv2d(1, 1, 1, bias=False, rng=0),
                    b=layers.Conv2d(1, 1, 1, bias=False, rng=0))
two.a.weight.value[:], two.b.weight.value[:] = 2, -3
y = two.forward(np.full((1, 1, 1, 1), 5, dtype=np.float32))
dx = two.backward(np.array([1, 10], dtype=np.float32).reshape(1, 2, 1, 1))
print(f"x = 5, y = {y.ravel().tolist()};  dy = [1, 10], dx = 2·1 + (−3)·10 = {dx.item():.0f}")

# Six channels in; 3, 4, 3 and 2 out of the branches, so dy is cut at 3, 7 and 10.
module = inception_module(6, 3, 2, 4, 2, 3, 2, rng=rng).astype("float64")
x, dy = rng.standard_normal((2, 6, 5, 5)), rng.standard_normal((2, 12, 5, 5))
module.forward(x)
whole = module.backward(dy)
parts = []
for branch, part in zip(module, np.split(dy, [3, 7, 10], axis=1), strict=True):
    branch.forward(x)
    parts.append(branch.backward(part))
apart = float(abs(whole - sum(parts)).max())
report = gradcheck.check(module, x)
print(f"a module: its dx and the sum of its branches' differ by {apart:.0e} at most; "
      f"gradient check: {report.verdict}, {report.worst:.0e}")

# %% [markdown]
# ## 4. The network, one step at a time
#
# First comes the *stem*: plain layers that bring 224×224 pixels down to 28×28 before the first
# module. A module is one row of the table; so is a convolution of the stem with its ReLU. Pooling
# rounds the halved side up (112 → 56 → 28 → 14 → 7), as in Caffe, a library of that time.
# Local response normalisation is that of lesson 6. The check of all nine modules would take most of
# this lesson's time. They run the same code with other numbers of channels, so the table leaves the
# checks out (a dot). After it come those of the stem, of the first module, of the last and of fc.

# %%
net = models.googlenet(rng=0)
trunk = layers.Sequential(**{name: layer for name, layer in net.children()
                             if not name.startswith("aux")})
rows = {row.name: row for row in steps(trunk, (3, 224, 224), check=False)}
checks = {name: check_small(rows[name].layer.train(), shape) for name, shape in (
    ("conv1", (3, 224, 224)), ("norm1", (64, 56, 56)), ("conv2", (64, 56, 56)),
    ("inception_3a", (192, 28, 28)), ("inception_5b", (832, 7, 7)), ("fc", (1024,)))}
print("gradients:")
for name, check in checks.items():
    print(f"  {name:12s} {check.verdict}, {check.worst:.0e}")
stem = [rows[name] for name in ("conv1", "conv2_reduce", "conv2")]
all_params, all_macs = (sum(getattr(row, what) for row in rows.values())
                        for what in ("params", "macs"))
for row in stem:
    print(f"{row.name:12s} {params_sum(row.layer.conv)} = {row.params:,}")
print(f"The stem: {sum(row.params for row in stem) / all_params:.1%} of the parameters, "
      f"{sum(row.macs for row in stem) / all_macs:.0%} of the MACs")
dense = 7 * 7 * 1024 * 1000 + 1000
print(f"A linear layer on all 7×7×1024 numbers would have {dense:,} parameters; behind the mean "
      f"of each map it has {rows['fc'].params:,}")

# %% [markdown]
# The stem has hardly any weights but many places to use them: a weight at 112×112 is used 12,544
# times, one at 7×7 only 49 times. At the end stands the mean of each map, as in lesson 9, instead
# of VGG's large linear layers. The 22 layers are those with weights on the longest way: 3 in the
# stem, 2 in each of 9 modules, and fc.
#
# ## 5. Auxiliary heads
#
# 22 layers were many in 2014; the remedies of lessons 11 and 12 were not known yet. The authors
# feared that too little of the gradient would reach the first layers. So they put two more
# classifiers halfway up, on the outputs of 4a and 4d: the *auxiliary heads*. Mean pooling 5×5 with
# stride 3 leaves 4×4, a 1×1 convolution leaves 128 channels (so 4·4·128 = 2048 numbers), two linear
# layers follow. In training their losses count 0.3 each; afterwards they are thrown away:
#
# $$L = L_0 + 0.3 \cdot L_1 + 0.3 \cdot L_2$$
#
# The output of 4a now feeds two things, 4b and a head. It is a fork, so the gradients add, as in
# section 3.

# %%
head_params = 0
for name, head in (("aux1", net.aux1), ("aux2", net.aux2)):
    own = [layer for _, layer in head.named_layers()
           if isinstance(layer, layers.Conv2d | layers.Linear)]
    here = sum(params(layer) for layer in own)
    print(f"{name}: {'; '.join(params_sum(layer) for layer in own)}; sum {here:,}")
    head_params += here
print(f"both heads: {head_params:,} parameters, the network without them {all_params:,}")

# %% [markdown]
# What do they do to the gradient of the early layers? `gradient_flow` runs one batch forward
# and backward. We do it twice for the same weights: with the heads at 0.3, and at 0, which leaves
# them out. For each layer we divide the size (root mean square) of its weights' gradient
# with heads by that without; for each part of the network we take the mean over its layers.
# Five small networks of five modules (heads on 4a and 4b) on digits, and the large one on two
# images of noise, all with weights as drawn.


# %%
def gain(net: models.GoogLeNet, images: np.ndarray, labels: np.ndarray
         ) -> tuple[dict[str, float], dict[str, float]]:
    """Size of the gradient with heads / without, for each part of the trunk; and the size without,
    for each layer."""
    flows = [visualize.gradient_flow(net, images, labels, auxiliary=a) for a in (0.3, 0.0)]
    with_heads, without = (dict(zip(f.names, f.rms("grad")[0], strict=True)) for f in flows)
    parts: dict[str, list[float]] = {}
    for name in without:
        if not name.startswith("aux"):
            parts.setdefault(name.split(".")[0], []).append(with_heads[name] / without[name])
    return {name: float(np.mean(ratios)) for name, ratios in parts.items()}, without


digits = lesson.load("digits", size=32)
colours, classes = digits.train.images.shape[1], int(digits.train.labels.max()) + 1
batch = digits.train.images[:48] - digits.train.images.mean(axis=0), digits.train.labels[:48]
seeds = range(10) if lesson.full else range(5)
small = [gain(models.googlenet_small(classes, colours, rng=seed), *batch)[0] for seed in seeds]
noise = rng.standard_normal((2, 3, 224, 224), dtype=np.float32)
large, sizes = gain(net, noise, np.array([1, 7]))
for name in small[0]:
    values = [table[name] for table in small]
    print(f"{name:14s} small networks: {np.mean(values):4.2f}  ("
          + "  ".join(f"{value:.2f}" for value in values) + f")   large: {large[name]:4.2f}")

figure = Figure(figsize=(8, 3.6), layout="constrained")
for axes, tables, title in zip(figure.subplots(1, 2, sharey=True), (small, [large]),
                               ("small, a line a seed", "GoogLeNet, one batch"), strict=True):
    names = list(tables[0])
    for table in tables:
        axes.plot(range(len(names)), list(table.values()), color="tab:blue", marker="o",
                  markersize=3, linewidth=1)
    for head in ("4a", "4b" if tables is small else "4d"):
        axes.axvline(names.index(f"inception_{head}"), color="tab:orange", linestyle=":")
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set_xticks(range(len(names)), [name.removeprefix("inception_") for name in names],
                    rotation=60, ha="right", fontsize=8)
    axes.set_title(f"{title} (dotted: heads)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    if tables is small:
        axes.set_ylabel("gradient with heads / without")
lesson.save(figure, "heads", alt="Size of the gradient with auxiliary heads divided by that "
            "without, from the first layer to the last: above 1 below the heads, 1 above them")

left = sizes["conv1.conv"] / sizes["inception_5b.b2.conv.conv"]
print(f"GoogLeNet without heads: the gradient of conv1 is {sizes['conv1.conv']:.2g}, that of the "
      f"3×3 in 5b {sizes['inception_5b.b2.conv.conv']:.2g}, a factor of {left:.2g}")


# %% [markdown]
# Above the second head nothing changes: the ratio is 1. Below it the gradient is larger, but by
# less than a factor of two on average. Is that a rescue? It would be, if without heads nothing
# arrived. But the last line says that it arrives: weights drawn to fit the ReLU (He's rule,
# lesson 5) keep its size over 22 layers.
#
# This is about fresh networks. What the heads do to learning, the flow does not say. Here the small
# network is trained from three seeds, with the heads' losses and without, on 200 digits for a few
# epochs: how learning begins, not where it ends. `--full` trains longer.

# %%
middle, epochs = digits.train.images.mean(axis=0), 20 if lesson.full else 3
few = digits.train.images[:200] - middle, digits.train.labels[:200]
held_out = digits.test.images[:100] - middle, digits.test.labels[:100]
losses: dict[str, list[list[float]]] = {}
ends: dict[str, list[float]] = {}
for how, weight in (("with heads", 0.3), ("without", 0.0)):
    for seed in range(3):
        net = models.googlenet_small(classes, colours, rng=seed).to(lesson.device)
        history = training.fit(
            net, few, held_out, optim.SGD(net.parameters(), 0.02, 0.9, 5e-4), epochs, 16,
            training.WarmUp(training.Cosine(epochs), epochs=1), rng=seed, progress=False, clip=5.0,
            auxiliary=weight)
        losses.setdefault(how, []).append([epoch.validation_loss for epoch in history])
        ends.setdefault(how, []).append(history[-1].validation_error)
    print(f"{how:10s} test errors after {epochs} epochs: "
          + "  ".join(f"{error:.0%}" for error in ends[how]))
print("with heads fewer errors:", verdict(ends["with heads"], ends["without"]))

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
for (how, runs), colour in zip(losses.items(), ("tab:orange", "tab:blue"), strict=True):
    for i, run in enumerate(runs):
        axes.plot(range(1, epochs + 1), run, color=colour, marker="o", markersize=3,
                  label=None if i else how)
axes.set(xlabel="epoch", ylabel="test loss of the last output", xticks=range(1, epochs + 1))
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "training", alt="Test loss by epoch of the small network, three seeds with the "
            "heads' losses and three without")

# %% [markdown]
# Three short runs, with about three of four digits still wrong, cannot tell the two apart. The
# paper reports that the heads' effect on the final error was minor.
#
# ## 6. What changed
#
# Against the network in network of lesson 9. Parameters and MACs are those of the network without
# heads; in the numbers of layers the heads are included. The accuracies are those of single centre
# crops, as published for models trained with Caffe.

# %%
_, after = what_changed("nin", "googlenet")
vgg = 138_357_544, 15_470_264_320                   # lesson 8
print(f"VGG-16 / GoogLeNet: parameters {vgg[0] / all_params:.0f}×, "
      f"MACs {vgg[1] / all_macs:.1f}×")

# %% [markdown]
# The entry that won had seven such networks and 144 crops of each image: 6.67 % top-5 error. One
# network with one crop had 10.07 % (table 3 of the paper).
#
# ## What we have seen
#
# - An Inception module looks with several filter sizes at once and concatenates the results.
# - 1×1 reductions before the 3×3 and 5×5, and a projection after the maximum, make it several
#   times cheaper and keep the channels from growing.
# - Backward, a concatenation is split, and the gradients of the branches add.
# - The auxiliary heads give the layers below them a larger gradient, by less than a factor of two
#   on average, in fresh networks. It arrives without them, too.
#
# ## Exercises
#
# - `scratchnet exercise start inception`
# - `scratchnet exercise start conv1x1`
# - `scratchnet exercise start global_avg_pool`
#
# To try: draw all weights of the small network four times smaller (`p.value *= 0.25` for the
# parameters of each convolution) and measure the heads' gain again. What is it now, and why?

# %%
assert naive[:2] == (416, 387_296) and reduced == (256, 163_696, 128_049_152)
assert grown == [416, 832, 1280, 1728]
assert dx.item() == -28 and apart < 1e-12 and report.passed
assert all(check.passed for check in checks.values()), "a gradient is wrong"
assert (all_params, all_macs) == (6_998_552, 1_582_671_872) and head_params == 6_379_728
assert abs(total_with * 1e6 - sum(row.macs for row in rows.values()
                                  if row.name.startswith("inception"))) < 1
assert after.params == all_params + head_params
assert all(abs(table["inception_5a"] - 1) < 1e-6 for table in (*small, large))
assert 1.05 < np.mean([table["conv1"] for table in small]) < 2.5
assert 0.1 < left < 100
lesson.end()
