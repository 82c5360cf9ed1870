# %% [markdown]
# # One by one: a small network at each pixel
#
# Two things about AlexNet are odd. A convolution is a weighted sum of its patch, and a ReLU bends
# it once: that is little to tell, say, whether the patch shows an eye. And nearly all of the
# parameters are in three fully connected layers at the end, which need dropout so as not to learn
# the training images by heart.
#
# In 2013 Lin, Chen and Yan answered both in one paper, "Network in Network" (NiN). After each
# convolution comes a small network at each pixel, made of 1×1 convolutions. And at the end there is
# no fully connected layer: each class has a map, and the mean of the map is its score. Both ideas
# outlived the network. GoogLeNet, ResNet and MobileNet are built with them.
#
# Lin, Chen & Yan, "Network In Network", ICLR 2014.

# %%
import time
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, models
from scratchnet.cost import params_sum, summary
from scratchnet.lesson import Lesson, experiment, steps, verdict, what_changed

lesson = Lesson("one_by_one")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A 1×1 convolution is a linear layer at each pixel
#
# A kernel of 1×1 sees one pixel. That would be little if there were one channel. With C channels,
# a pixel is a list of C numbers, and the sum of a convolution goes over channels, too:
#
# $$y_{o,i,j} = b_o + \sum_c W_{o,c} \cdot x_{c,i,j}$$
#
# Here $o$ is the output channel, $c$ the input channel, $i, j$ the pixel. At a fixed pixel this is
# the linear layer of lesson 2, and at all pixels it has the same weights. So: make each pixel a
# row, send the rows through a linear layer, and put them back. It must be the same.

# %%
conv = layers.Conv2d(3, 5, 1, rng=0)
linear = layers.Linear(3, 5)
linear.weight.value = conv.weight.value.reshape(5, 3)
linear.bias.value = conv.bias.value


def as_rows(maps: np.ndarray) -> np.ndarray:
    """(N, C, H, W) → (N·H·W, C): each pixel a row."""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


x = rng.standard_normal((2, 3, 4, 6), dtype=np.float32)
y = conv.forward(x)
forward_same = bool(np.allclose(as_rows(y), linear.forward(as_rows(x)), atol=1e-5))
print(f"x {x.shape} → {len(as_rows(x))} pixels of {x.shape[1]} numbers; y {y.shape}")
print(f"parameters {params_sum(conv)} = {summary(conv, x.shape[1:]).params}, as the linear layer")
print("forward, convolution = linear layer at each pixel:", forward_same)

# %% [markdown]
# Backward follows. Let $L$ be the loss, $dy$ short for $\partial L / \partial y$. An input
# $x_{c,i,j}$ reaches the outputs of its own pixel only, channel $o$ with the factor $W_{o,c}$. A
# weight is used at every pixel of every image $n$, and the chain rule adds over its uses:
#
# $$dx_{c,i,j} = \sum_o W_{o,c} \cdot dy_{o,i,j}, \qquad
# dW_{o,c} = \sum_n \sum_{i,j} dy_{n,o,i,j} \cdot x_{n,c,i,j}, \qquad
# db_o = \sum_n \sum_{i,j} dy_{n,o,i,j}$$
#
# With pixels as rows these are the formulas of the linear layer, $dx = dy \cdot W$ and
# $dW = dy^T \cdot x$.

# %%
dy = rng.standard_normal(y.shape, dtype=np.float32)
dx = conv.backward(dy)
by_hand = as_rows(dy) @ linear.weight.value, as_rows(dy).T @ as_rows(x), as_rows(dy).sum(axis=0)
backward_same = [bool(np.allclose(mine, theirs, atol=1e-4)) for mine, theirs in zip(
    by_hand, (as_rows(dx), conv.weight.grad.reshape(5, 3), conv.bias.grad), strict=True)]
report = gradcheck.check(conv, x.astype(np.float64))
print("dx, dW, db by hand = the layer's:", *backward_same)
print(f"gradient check: {report.verdict}, {report.worst:.0e}")

# %% [markdown]
# ## 2. Fewer channels, before something expensive
#
# The cost of a convolution is kernel · kernel · inputs · outputs at each pixel. So a large
# kernel on many channels is expensive. A 1×1 convolution can first mix the channels into fewer. The
# example is of GoogLeNet (lesson 10): 192 channels of 28×28, a 5×5 convolution to 32. With a 1×1
# to 16 before it:

# %%
direct = layers.Sequential(layers.Conv2d(192, 32, 5, padding=2, rng=0))
reduced = layers.Sequential(layers.Conv2d(192, 16, 1, rng=0), layers.ReLU(),
                            layers.Conv2d(16, 32, 5, padding=2, rng=0))
#: Not every 1×1 convolution saves: this one has as many outputs as inputs, as those of NiN.
added = layers.Sequential(layers.Conv2d(96, 96, 5, padding=2, rng=0), layers.ReLU(),
                          layers.Conv2d(96, 96, 1, rng=0))
tables, seconds = {}, {}
for name, net, C in (("5×5", direct, 192), ("1×1, then 5×5", reduced, 192),
                     ("5×5, then 1×1", added, 96)):
    tables[name], image, took = summary(net, (C, 28, 28)), np.zeros((4, C, 28, 28), np.float32), []
    for _ in range(3):
        start = time.perf_counter()
        net.eval().forward(image)
        took.append(time.perf_counter() - start)
    seconds[name] = min(took)
    print(f"{name}, {C} channels in")
    for layer in net:
        if isinstance(layer, layers.Conv2d):
            params = sum(p.value.size for p in layer.parameters())
            print(f"    {params_sum(layer):>20s} = {params:8,} parameters")
    print(f"    {'sum':>20s} = {tables[name].params:8,} parameters, {tables[name].macs:12,} MACs, "
          f"{seconds[name] * 1e3 / 4:.1f} ms an image")
saved = tables["5×5"].macs / tables["1×1, then 5×5"].macs
extra = 96 * 96 / (25 * 96 * 96)
print(f"reducing first: MACs ÷ {saved:.1f}; a 1×1 from 96 to 96 after a 5×5: {extra:+.0%}")

# %%
lesson.claim("one-by-one", "right, but incomplete",
             "It holds where a 1×1 has fewer outputs than inputs and something more expensive "
             f"follows: 192 → 16 → 5×5 → 32 needs {saved:.1f} times fewer MACs than 192 → 5×5 → "
             "32. The 1×1 alone adds a layer. Those of NiN mostly reduce nothing; they add "
             f"{extra:.0%} to a 5×5 of as many channels, and a ReLU. The reduced layers are not "
             "the same function.")

# %% [markdown]
# ## 3. Network in Network, layer by layer
#
# A convolution and two 1×1 convolutions, each with a ReLU: the paper calls this an mlpconv, as a
# network of linear layers and ReLUs is also called a multilayer perceptron (MLP). Four of them,
# three poolings (maxima over 3×3, stride 2), and dropout before the fourth. The paper has networks
# for small images only; this is the layout for ImageNet that its authors published later. "cccp" is
# their name for a 1×1 convolution, "gap" is the mean of section 4. The gradient check is as in
# lesson 6; "as" names a layer of the same make further up.

# %%
rows = {row.name: row for row in steps(models.nin(rng=0), (3, 224, 224))}
total = sum(row.params for row in rows.values())
in_small = sum(row.params for name, row in rows.items() if name.startswith("cccp")) / total
work = sum(row.macs for name, row in rows.items() if name.startswith("cccp")) / sum(
    row.macs for row in rows.values())
print(f"the eight 1×1 convolutions: {in_small:.0%} of the parameters, {work:.0%} of the MACs")

# %% [markdown]
# ## 4. Global average pooling
#
# The last 1×1 convolution has as many outputs as there are classes. The score of class c is the
# mean of its map of H·W pixels:
#
# $$y_c = \frac{1}{H \cdot W} \sum_{i,j} x_{c,i,j}, \qquad dx_{c,i,j} = \frac{dy_c}{H \cdot W}$$
#
# Each pixel counts by the same factor, so backward gives each the same share. There is nothing to
# learn in it: 0 parameters. Three things follow.

# %%
gap = layers.AdaptiveAvgPool2d(1)
maps = np.array([[[[1, 2], [3, 6]]]], dtype=np.float64)
print("the mean of 1, 2, 3, 6:", gap.forward(maps).item(), "  dy = 1 comes back as",
      *gap.backward(np.ones((1, 1, 1, 1))).ravel())
gap_report = gradcheck.check(gap, rng.standard_normal((2, 3, 4, 5)))
print(f"gradient check: {gap_report.verdict}, {gap_report.worst:.0e}")

# First, the parameters it saves.
head = {"AlexNet: 9216 → 4096 → 4096 → 1000": 9216 * 4096 + 4096 + 4096 * 4096 + 4096
        + 4096 * 1000 + 1000,
        "NiN's last maps, 1000·5·5 → 1000": 25_000 * 1000 + 1000,
        "NiN's last maps, the mean of each": 0}
for name, params in head.items():
    print(f"{name:38s} {params:12,} parameters")

# Second, images of any size. Third, where a thing is in the map does not matter to the mean.
small = models.nin_small(rng=0).eval()
outputs = {side: small.forward(np.zeros((1, 1, side, side), np.float32)).shape
           for side in (32, 48, 65)}
print("nin_small, images of side → output:", outputs)
maps = rng.standard_normal((1, 10, 6, 6))
still = bool(np.allclose(gap.forward(maps), gap.forward(np.roll(maps, (2, 3), axis=(2, 3)))))
print("the maps moved around by 2 rows and 3 columns, same scores:", still)

# %% [markdown]
# A linear layer has another weight for each pixel of each map. It needs its images in one size,
# and what it learnt about a heart on the left says nothing about a heart on the right.
#
# ## 5. An experiment: mean or linear layer, with 1×1 or without
#
# Small networks for drawn shapes of ten kinds: three 3×3 convolutions, with pooling after the first
# and the second. The head is two linear layers with dropout between them, or the mean over ten
# maps. In the third network a 1×1 convolution and a ReLU follow each 3×3, too. The recipe is that
# of lesson 4, with batches of 16.

# %%
sets = lesson.load("shapes", size=16, train=500, validation=1, test=250, difficulty=0.0)
channels, classes = sets.train.images.shape[1], int(sets.train.labels.max()) + 1


def network(pixelwise: bool, mean: bool, seed: int) -> layers.Sequential:
    """Three 3×3 convolutions of 16, 24 and 32 channels on 16×16 pixels, and a head."""
    rng, found, C = np.random.default_rng(seed), {}, channels
    for i, out in ((1, 16), (2, 24), (3, 32)):
        found[f"conv{i}"] = layers.Conv2d(C, out, 3, padding=1, rng=rng)
        found[f"relu{i}"] = layers.ReLU()
        if pixelwise:
            found[f"cccp{i}"] = layers.Conv2d(out, out, 1, rng=rng)
            found[f"relu{i}a"] = layers.ReLU()
        if i < 3:
            found[f"pool{i}"] = layers.MaxPool2d(2)
        C = out
    if mean:
        found |= {"scores": layers.Conv2d(C, classes, 1, rng=rng),
                  "gap": layers.AdaptiveAvgPool2d(1), "flatten": layers.Flatten()}
    else:
        found |= {"flatten": layers.Flatten(), "fc": layers.Linear(C * 16, 128, rng=rng),
                  "relu": layers.ReLU(), "drop": layers.Dropout(0.5, rng=rng),
                  "scores": layers.Linear(128, classes, rng=rng)}
    return layers.Sequential(**found)


kinds = {"linear": (False, False), "mean": (False, True), "1×1, mean": (True, True)}
costs, made = {}, {}


def make(kind: str, seed: int) -> layers.Sequential:
    """A network of this kind; the last one made is kept, to be looked at in section 6."""
    made[kind] = network(*kinds[kind], seed)
    return made[kind]


for name, kind in kinds.items():
    costs[name] = summary(network(*kind, 0), sets.train.images.shape[1:])
    print(f"{name:12s} {costs[name].params:8,} parameters {costs[name].macs:10,} MACs")
errors = experiment({name: partial(make, name) for name in kinds}, sets, batch_size=16,
                    seeds=range(5) if lesson.full else range(3),
                    epochs=24 if lesson.full else 10, device=lesson.device)
print("the mean has fewer errors than linear layers:", verdict(errors["mean"], errors["linear"]))
print("1×1 has fewer errors, before the mean:", verdict(errors["1×1, mean"], errors["mean"]))

figure = Figure(figsize=(8, 2.4), layout="constrained")
axes = figure.subplots()
for i, values in enumerate(errors.values()):
    axes.scatter(np.array(values) * 100, [i] * len(values), s=45, alpha=0.7)
    axes.plot([np.mean(values) * 100] * 2, [i - 0.25, i + 0.25], color="0.3")
axes.set(yticks=range(3), yticklabels=[f"{name}\n{costs[name].params:,}" for name in errors],
         xlabel="test error in %, one dot a seed; below each name its parameters", xlim=(0, None),
         ylim=(2.6, -0.6))
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "heads", alt="Test errors of three small networks, one dot a seed: linear "
            "head, mean, and mean with 1×1 convolutions")

# %% [markdown]
# The mean saves six out of every seven parameters, and here it costs errors. Two possible reasons,
# which we have not tested. Each pixel of a map gets only $1/(H \cdot W)$ of the gradient of its
# score; unless the pixels agree, their sum is small too, and the layers below learn more slowly: in
# a first trial with 6 epochs the networks with a mean had 60 to 90 % errors, and with more they
# went on improving. Ten epochs were chosen after that, and for their time. And the pictures that
# are tested are drawn like those that are trained on: there is little that the linear layers could
# learn by heart to their harm. AlexNet's case is another one, 60 million parameters for 1.2 million
# photographs. (The NiN paper itself compared the two heads on CIFAR-10, and there the mean had
# fewer errors.)
#
# Nor do the 1×1 convolutions help. They make the network deeper, it learns more slowly still, and
# its seeds lie far apart. With so few epochs that does not say where it would end.
# (With two epochs and a hundred images more, three seeds did not tell the two apart.)
#
# ## 6. The maps can be looked at
#
# Where a score is the mean of a map, the map says where the score comes from. No extra tool is
# needed. Here are images that the last network of the kind "mean" has not seen, each with the map
# of the class that it names. Red cells raise the score of that class, blue ones lower it.

# %%
middle = sets.train.images.mean(axis=0)
net = made["mean"].to("cpu")
shown = sets.test.images[:8]
a = shown - middle
net.eval()
for name, layer in net.children():
    a = layer.forward(a)
    if name == "scores":
        maps = a
named = a.argmax(axis=1)
means = bool(np.allclose(maps.mean(axis=(2, 3)), a, atol=1e-4))
print("scores are the means of the maps:", means)
print("right:", int((named == sets.test.labels[:8]).sum()), "of 8")

figure = Figure(figsize=(8, 2.5), layout="constrained")
for column, axes in enumerate(figure.subplots(2, 8).T):
    axes[0].imshow(np.clip(shown[column].transpose(1, 2, 0), 0, 1), cmap="gray")
    axes[0].set_title("right" if named[column] == sets.test.labels[column] else "wrong", fontsize=8)
    axes[1].imshow(maps[column, named[column]], cmap="RdBu_r", vmin=-abs(maps).max(),
                   vmax=abs(maps).max())
    for one in axes:
        one.set(xticks=[], yticks=[])
lesson.save(figure, "maps", alt="Eight images of shapes, and below each a map of 4×4 cells of the "
            "class the network names: red where it raises the score")

# %% [markdown]
# ## 7. What changed
#
# Against AlexNet, of which NiN keeps the kernels and channels of the first three convolutions, but
# not the groups. (VGG, lesson 8, came a year later.) The accuracies are as published, each with its
# own recipe.

# %%
before, after = what_changed("alexnet", "nin")

# %% [markdown]
# ## What we have seen
#
# - A 1×1 convolution is a linear layer at each pixel, forward and backward.
# - With fewer outputs than inputs it makes the next layer cheaper. With as many it makes the
#   network deeper, for little.
# - Global average pooling has no parameters, takes images of any size, and shares the gradient
#   evenly. Its maps show where a score comes from.
# - NiN has an eighth of AlexNet's parameters, and a third more MACs.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start conv1x1
# scratchnet exercise start global_avg_pool
# scratchnet exercise start counting
# ```
#
# To try: replace the mean by the maximum of each map. What does backward do then, and which
# learns faster?

# %%
assert forward_same and all(backward_same) and report.passed and gap_report.passed
assert tables["5×5"].params == 153_632 and tables["1×1, then 5×5"].params == 15_920
assert 9 < saved < 10
assert total == 7_595_176 and sum(row.macs for row in rows.values()) == 969_460_864
assert head["AlexNet: 9216 → 4096 → 4096 → 1000"] == 58_631_144
assert set(outputs.values()) == {(1, 10)} and still and means
assert costs["mean"].params < costs["linear"].params / 6
assert 7.9 < before.params / after.params < 8.1 and 1.3 < after.macs / before.macs < 1.4
lesson.end()
