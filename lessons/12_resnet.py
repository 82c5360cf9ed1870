# %% [markdown]
# # ResNet: learn what to add
#
# VGG had 19 layers, GoogLeNet 22. Why not 50? A deeper network can do all that a shallower one
# can: let the layers that are too many copy their input. So more depth should never give a
# worse fit. It did, and on the training images too, so it was no overfitting. In 2015 He, Zhang,
# Ren and Sun called this degradation, and answered it by adding the input of every two or
# three layers to their output. Their networks had up to 152 layers and won the contest of
# that year.
#
# He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

# %%
import re

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, models, optim, training, visualize
from scratchnet.cost import params_sum, summary
from scratchnet.lesson import Lesson, quoted, steps, verdict, what_changed
from scratchnet.models.resnet import stage

lesson = Lesson("resnet")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Two blocks, counted
#
# A block computes a correction $F(x)$ and adds it to what it was given:
#
# $$y = \mathrm{ReLU}(x + F(x))$$
#
# The way around $F$ is the shortcut, or skip connection. To do nothing, a block needs only
# $F = 0$, all weights near zero: $x$ comes from a ReLU, so $\mathrm{ReLU}(x) = x$. A plain block
# would have to find the weights of a copy.
#
# - The basic block (ResNet-18 and 34): $F$ is two 3×3 convolutions.
# - The bottleneck (ResNet-50 and deeper): a 1×1 convolution cuts 256 channels to 64, a 3×3 looks
#   around at 64, a 1×1 widens to 256 again.
#
# Batch norm (lesson 11) follows each convolution, so the convolutions have no bias; its own two
# numbers a channel, γ and β, are counted as C + C.


# %%
def count(block: layers.Sequential, channels: int) -> int:
    """Print a block layer by layer as sums one can follow; return its parameters."""
    table = summary(block, (channels, 56, 56))
    for name, layer in block.named_layers():
        if not list(layer.children()) and (params := sum(p.value.size for p in layer.parameters())):
            print(f"  {name:8s} {params_sum(layer):>14s} = {params:7,}")
    print(f"  {'sum':8s} {table.params:24,}   MACs at 56×56: {table.macs:,}")
    return table.params


print("basic block, 64 channels")
basic = count(models.BasicBlock(64, 64, rng=0), 64)
print("bottleneck, 256 channels, 64 inside")
bottleneck = count(models.Bottleneck(256, 64, rng=0), 256)
print(f"Two 3×3 convolutions at 256 channels: 2·3·3·256·256 = {2 * 9 * 256 * 256:,}, "
      f"{2 * 9 * 256 * 256 / bottleneck:.0f} times as many as the bottleneck")

# %% [markdown]
# ## 2. A network of 20 layers, one step at a time
#
# The paper's smallest network for images of 32×32: three stages of three basic blocks. Each
# stage halves the side and doubles the channels. Where the shape changes, the shortcut
# takes every second pixel and fills the new channels with zeros: no parameters.
# In the table a stage is one row, layer1 to layer3. The gradient check runs through everything in
# it, additions too.

# %%
net = models.cifar_resnet20(rng=0)
rows = steps(net, (3, 32, 32))

# %% [markdown]
# It has 1 + 3·3·2 + 1 = 20 layers with weights. layer1 is 3 · (2·3·3·16·16 + 2·(16 + 16)) = 14,016
# parameters. The first convolution of layer2 has 16 channels in and 32 out, and the other five have
# 32 in and out: 3·3·16·32 + 5·3·3·32·32 + 6·(32 + 32) = 51,072.
#
# The ImageNet networks have four stages. Where the shape changes, their shortcut is a 1×1
# convolution of stride 2. Of the paper's table (its table 1), counted here:

# %%
print(f"{'':12s} {'blocks':>14s} {'parameters':>12s} {'MACs':>15s}")
counted = {}
for name, blocks in (("resnet18", "2, 2, 2, 2"), ("resnet34", "3, 4, 6, 3"),
                     ("resnet50", "3, 4, 6, 3")):
    table = summary(models.get_model(name, rng=0), (3, 224, 224))
    counted[name] = table.params, table.macs
    print(f"{name:12s} {blocks:>14s} {table.params:12,} {table.macs:15,}")

# %% [markdown]
# ResNet-50 has bottlenecks where ResNet-34 has basic blocks: sixteen layers more, and 12 % more
# MACs. (The stride sits on the 3×3 convolution here, as in most code today. The paper has it on
# the first 1×1, which gives 3.858 instead of 4.089 billion MACs.)
#
# ## 3. Backward: a copy, and a sum
#
# Let $L$ be the loss, and write $dy$ for $\partial L / \partial y$. Leave the ReLU away for a
# moment: $y = x + F(x)$. Change one number $x_i$ by a little. It reaches $y$ on two ways:
# straight, and through each $F_j$. The chain rule adds them:
#
# $$dx_i = dy_i + \sum_j \frac{\partial F_j}{\partial x_i} \cdot dy_j$$
#
# The sum is what the backward pass of $F$ computes. As a matrix, with $J_{ji} =
# \partial F_j / \partial x_i$, it is $dx = dy + J^T \cdot dy$. Here is that for a linear $F$ with
# three numbers, where $J$ is the weight matrix itself.

# %%
F = layers.Linear(3, 3, rng=1)
residual = layers.Residual(F)
x = np.array([[0.5, -1.0, 2.0]], dtype=np.float32)
dy = np.array([[1.0, 10.0, 100.0]], dtype=np.float32)
residual.forward(x)
dx = residual.backward(dy)
by_hand = dy + dy @ F.weight.value
print("dy            ", dy[0])
print("dx, the layer ", dx[0])
print("dy + Jᵀ·dy    ", by_hand[0])
report = gradcheck.check(residual, x.astype(np.float64))
print(f"gradient check: {report.verdict}, {report.worst:.0e}")

# %% [markdown]
# Now stack K such blocks without a ReLU after the sum: $x_1 = x_0 + F_0(x_0)$ and so on up to
# $x_K$. Then $x_K = x_0 + F_0(x_0) + \cdots + F_{K-1}(x_{K-1})$, and the gradient at $x_K$ arrives
# at every depth as one term of a sum. In a plain stack there is only the product of the K factors
# $J^T$.
#
# ## 4. Who opens the gate
#
# The block of 2015 has a ReLU after the addition. With $s = x + F(x)$ and $y = \mathrm{ReLU}(s)$,
# the gradient is stopped where $s$ is negative:
#
# $$ds = dy \cdot [s > 0], \qquad dx = ds + J^T \cdot ds$$
#
# ($[s > 0]$ is 1 where it is true, else 0.) So what comes from above is not passed on whole. In
# 2016 the same authors moved batch norm and ReLU before each convolution, inside $F$,
# and left nothing after the sum: pre-activation. Then the first equation holds as it stands.
#
# How much does the gate take? Send images through 16 blocks of each kind, and follow the
# gradient on the shortcuts alone. A number gets through if no ReLU on its way stops it. With
# pre-activation no ReLU is on that way, so all must pass.

# %%
images = abs(rng.standard_normal((4, 16, 12, 12), dtype=np.float32))
DEPTH = 16


def left_over(blocks: list[layers.Sequential], gated: bool) -> list[float]:
    """The share of numbers that no ReLU on the shortcuts has stopped, after each block."""
    a, ways = images, []
    for block in blocks:
        a = block.train().forward(a)
        ways.append(a > 0 if gated else np.ones_like(a, dtype=bool))    # a > 0 just where s > 0
    open_, share = np.ones_like(ways[0]), [1.0]
    for way in reversed(ways):              # as backward goes: from the last block down
        open_ = open_ & way
        share.append(float(open_.mean()))
    return share


v1 = [models.BasicBlock(16, 16, rng=np.random.default_rng(i)) for i in range(DEPTH)]
v2 = [models.preact_resnet.preact_basic(16, 16, rng=np.random.default_rng(i))
      for i in range(DEPTH)]
share = {"ReLU after the addition": left_over(v1, True), "pre-activation": left_over(v2, False)}
for name, values in share.items():
    print(f"{name:24s} after 1, 2, 4, 8, 16 blocks: "
          + "  ".join(f"{values[i]:.0%}" for i in (1, 2, 4, 8, 16)))

# The same in one block with F = 0: what F ends with, a batch norm's γ or a weight, is set to 0.
x = rng.standard_normal((1, 16, 5, 5), dtype=np.float32)
dy = rng.standard_normal(x.shape, dtype=np.float32)
v1[0].bn2.weight.value[:] = 0
v1[0].forward(x)
gated = v1[0].backward(dy)
v2[0].body.conv2.weight.value[:] = 0
v2[0].forward(x)
free = v2[0].backward(dy)
print("F = 0, ReLU after the sum: dx = dy where x > 0, else 0:",
      bool(np.allclose(gated, dy * (x > 0))))
print("F = 0, pre-activation:     dx = dy:", bool(np.array_equal(free, dy)))

# %% [markdown]
# A number that is stopped on the shortcut of one block is not lost for good: the part
# through the $F$ of the blocks above has already been added to it, and all paths together make
# the gradient. But "unchanged" it is only with pre-activation.

# %%
lesson.claim("skip-unmodified", "right, but incomplete",
             "Exact for the addition and for pre-activation: dx = dy where F = 0. In the block of "
             "2015 the ReLU after the sum gates it first: with fresh weights "
             f"{share['ReLU after the addition'][1]:.0%} of the numbers pass one block's gate, "
             f"{share['ReLU after the addition'][16]:.0%} the gates of 16. And dx is dy plus a "
             "second term, through F.")

# %% [markdown]
# ## 5. Degradation is not vanishing
#
# A gradient vanishes when it is multiplied by a small factor layer by layer (lesson 5). Do deep
# plain networks suffer from that? Those of the paper had batch norm, which sets the size of each
# layer's output anew. So look: the gradient of each layer's weights in fresh networks of 20 and 56
# layers, for one batch of noise with any labels.

# %%
small = lesson.load("digits", size=8)
channels, classes = small.train.images.shape[1], int(small.train.labels.max()) + 1
pictures = rng.standard_normal((16, 3, 32, 32), dtype=np.float32)
labels = np.arange(16) % 10
flows = {name: visualize.gradient_flow(make(rng=0), pictures, labels) for name, make in (
    ("plain, 20", models.cifar_plain20), ("plain, 56", models.cifar_plain56),
    ("residual, 56", models.cifar_resnet56))}
growth = {}
for name, flow in flows.items():
    size = flow.rms("grad")[0]
    growth[name] = size[0] / size[-1]
    print(f"{name:14s} first layer's gradient / last layer's: {growth[name]:10.3g}")
lesson.save(visualize.flow_figure(flows, title="The gradient on its way down, weights as drawn"),
            "flow", alt="Size of the weights' gradient layer by layer: in the plain network of 56 "
            "layers it grows by powers of ten towards the input, in the residual one far less")

# %% [markdown]
# In the plain network of 56 layers the gradient does not vanish on its way down. It grows, by
# powers of ten; with shortcuts far less. What happens in training comes next.
#
# ## 6. Plain and residual, trained
#
# Now the degradation itself, on half of the digits in their original 8×8 pixels. The
# networks are alike but for the shortcuts: a 3×3 convolution, then 2 or 8 blocks of two 3×3
# convolutions with 12 channels, so 6 or 18 layers with weights. What counts here is the error on
# the *training* images, as degradation is about fitting. The rate falls to 0 along a cosine, and a
# gradient longer than 5 is cut to that length. Four epochs are short: they show which network
# learns more slowly, not where each would end.

# %%
middle = small.train.images.mean(axis=0)
train = small.train.images[::2] - middle, small.train.labels[::2]
validation = small.validation.images - middle, small.validation.labels


def network(block: type, depth: int, seed: int) -> layers.Sequential:
    """A convolution, `depth` blocks of 12 channels, the mean, a linear layer."""
    rng = np.random.default_rng(seed)
    return layers.Sequential(
        conv1=layers.Conv2d(channels, 12, 3, padding=1, bias=False, rng=rng),
        bn1=layers.BatchNorm2d(12), relu=layers.ReLU(),
        blocks=stage(block, 12, 12, depth, 1, rng)[0],      # [1] is its number of channels
        avgpool=layers.AdaptiveAvgPool2d(1), flatten=layers.Flatten(),
        fc=layers.Linear(12, classes, rng=rng))


seeds, epochs = (range(5), 8) if lesson.full else (range(3), 4)
errors: dict[str, list[float]] = {}
curves, trained = {}, {}
for kind, block in (("plain", models.PlainBlock), ("residual", models.BasicBlock)):
    for depth in (2, 8):
        name = f"{kind}, {2 * depth + 2} layers"
        errors[name], curves[name] = [], []
        for seed in seeds:
            net = network(block, depth, seed)
            history = training.fit(net, train, validation,
                                   optim.SGD(net.parameters(), 0.05, 0.9, 1e-4), epochs, 32,
                                   training.Cosine(epochs), rng=seed, progress=False, clip=5.0)
            errors[name].append(training.evaluate(net, *train)[1])
            curves[name].append([epoch.train_loss for epoch in history])
        trained[name] = net
        print(f"{name:20s} training error {np.mean(errors[name]):6.1%}   ("
              + "  ".join(f"{error:.1%}" for error in errors[name]) + ")")

figure = Figure(figsize=(8, 3.2), layout="constrained")
axes = figure.subplots()
for name, runs in curves.items():
    colour = "tab:red" if name.startswith("plain") else "tab:blue"
    for i, run in enumerate(runs):
        axes.plot(range(1, epochs + 1), run, color=colour, linewidth=1.2, alpha=0.8,
                  linestyle="-" if "18" in name else ":", label=None if i else name)
axes.set(xlabel="epoch", ylabel="training loss", xticks=range(1, epochs + 1), ylim=(0, None),
         title="Deeper: worse if plain, not if residual (one line a seed)")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "degradation", alt="Training loss by epoch: the plain network of 18 layers "
            "stays far above the plain one of 6; the residual one of 18 falls below both")

depth_plain = verdict(errors["plain, 6 layers"], errors["plain, 18 layers"])
shortcut = verdict(errors["residual, 18 layers"], errors["plain, 18 layers"])
print(f"plain: 6 layers fit better than 18: {depth_plain}")
print(f"18 layers: residual fits better than plain: {shortcut}")

# %% [markdown]
# Is there a gradient in the plain one of 18 layers, that has learnt so slowly? The same
# measurement, after training:

# %%
flow = visualize.gradient_flow(trained["plain, 18 layers"], train[0][:64], train[1][:64])
size = flow.rms("grad")[0]
print(f"plain, 18 layers, trained: gradient in conv1 {size[0]:.1e}, in fc {size[-1]:.1e}; the "
      f"smallest of all layers {size.min():.1e}")

# %% [markdown]
# There is, in every layer. Longer runs on drawn shapes, at three depths (errors on test images
# here):

# %%
depth_errors = quoted("depth")
by_kind: dict[str, dict[int, float]] = {"plain": {}, "residual": {}}
for name, values in depth_errors.items():
    kind = "plain" if "plain" in name else "residual"
    by_kind[kind][int(re.search(r"\d+", name)[0])] = float(np.mean(values))
deepest = max(by_kind["plain"])
print(f"at {deepest} layers: plain {by_kind['plain'][deepest]:.1%}, residual "
      f"{by_kind['residual'][deepest]:.1%}")

# %%
lesson.claim("resnet-vanishing", "misleading",
             "The plain networks that ResNet was compared with had batch norm (as the paper says, "
             "recalled). In fresh "
             f"ones of 56 layers the first layer's gradient is {growth['plain, 56']:,.0f} times "
             "as large as the last one's: it grows, it does not vanish. What shortcuts cure is "
             "degradation: the deep plain network fits even its training images worse ("
             f"{np.mean(errors['plain, 18 layers']):.0%} wrong, residual "
             f"{np.mean(errors['residual, 18 layers']):.0%}, after {epochs} epochs).")
lesson.claim("deeper-still-better", "reported, not tested here",
             "Published top-1 errors on ImageNet, one crop: 24.7 % with 50 layers, 23.6 % with "
             "101, 23.0 % with 152 (the authors' released networks; section 7 quotes a "
             "later training of the first). But not for ever: on CIFAR-10 "
             "the paper has 6.43 % with 110 layers and 7.93 % with 1202.")

# %% [markdown]
# ## 7. What changed
#
# Against the same network without shortcuts, and against GoogLeNet, where the layers by kind
# include those of its two heads for training. The accuracies are as published, each with its own
# recipe. The plain network's is of ten crops, which raise an accuracy, so the step to ResNet is,
# if anything, larger.

# %%
before, after = what_changed("plain34", "resnet34")
print()
_ = what_changed("googlenet", "resnet50")

# %% [markdown]
# ## What we have seen
#
# - A residual block adds a correction to its input. Backward, $dx = dy + J^T \cdot dy$: a
#   copy, and a sum.
# - The ReLU after the addition stops a part of it at every block; pre-activation stops none.
# - Deep plain networks with batch norm and fresh weights have no vanishing gradient. It grows, and
#   they fit worse: degradation.
# - The shortcuts cost no parameters where the shape stays. The bottleneck makes depth cheap.
#
# ## Exercises
#
# - `scratchnet exercise start residual`
# - `scratchnet exercise start bottleneck`
# - `scratchnet exercise start batchnorm`
#
# To try: set the γ of each block's last batch norm to 0 before training, so that
# all blocks begin as copies. Does the residual network of 18 layers learn faster?

# %%
assert (basic, bottleneck) == (73_984, 70_400)
assert sum(row.params for row in rows) == 269_722
assert counted["resnet18"] == (11_689_512, 1_814_073_344)
assert counted["resnet50"] == (25_557_032, 4_089_184_256)
assert np.allclose(dx, by_hand) and report.passed
assert np.allclose(gated, dy * (x > 0)) and np.array_equal(free, dy)
assert share["ReLU after the addition"][16] < 0.5 and share["pre-activation"][16] == 1
assert growth["plain, 56"] > 30 > 10 > growth["residual, 56"]
assert np.mean(errors["plain, 18 layers"]) > np.mean(errors["residual, 18 layers"]) + 0.1 or \
    lesson.full
assert (after.params - before.params) < 0.01 * before.params
lesson.end()
