# %% [markdown]
# # The family: all of them on one chart
#
# The lessons before this one each looked at one network. Which should one take? One number does
# not tell. A network has an accuracy, it costs operations, it has parameters to be stored, and it
# needs memory to run. This lesson puts the networks of 2012 to 2019 side by side,
# checks the gradients of their blocks once more, and looks into a sentence that many texts
# repeat about them.
#
# The form of the chart: Canziani, Paszke & Culurciello, "An Analysis of Deep Neural Network
# Models for Practical Applications", 2016.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, models
from scratchnet.compare import Entry, chart, networks
from scratchnet.cost import summary
from scratchnet.lesson import Lesson, what_changed
from scratchnet.models import inception_resnet, nasnet, preact_resnet

lesson = Lesson("family")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The numbers
#
# For one image:
#
# - top-1: the share of ImageNet's validation images whose first guess is right, in %, as published;
#   "–" where none was found. `scratchnet compare` lists the source of each;
# - MACs: the multiply-accumulates of convolutions and linear layers, counted here;
# - parameters, counted here;
# - memory: the parameters, and the outputs of the convolutions and linear layers (the
#   activations), at four bytes a number; 1 MiB is 2²⁰ bytes. Training keeps such outputs for
#   backward.
#
# Some names stand for relatives: `plain` is ResNet without its skips, `_bn` is with batch
# normalisation, `alexnet_owt` is AlexNet on one GPU, without groups, and `resnet50_paper` has its
# stride in the first 1×1 of a block, as in the paper, not in the 3×3.

# %%
family = {entry.name: entry for entry in networks()}
MIB = 2 ** 20


def line(entry: Entry) -> str:
    """A network as a row."""
    top1 = "–" if entry.top1 is None else f"{entry.top1:.1f}" + ("†" if entry.crops == 10 else " ")
    return (f"{entry.name:22s} {entry.year} {top1:>6s} {entry.macs / 1e9:7.2f} G "
            f"{entry.params / 1e6:8.1f} M {entry.activations / MIB:7.1f} MiB "
            f"{entry.memory / MIB:7.1f} MiB")


print(f"{'network':22s} {'year':4s} {'top-1':>6s} {'MACs':>9s} {'parameters':>10s} "
      f"{'activations':>11s} {'memory':>11s}")
for entry in family.values():
    print(line(entry))
print("† ten views of each image, averaged: about two points more than with one")

# %% [markdown]
# These numbers are stored. Do the networks that the library builds have them? Count some again:

# %%
recounted = {}
for name in ("alexnet", "googlenet", "resnet50", "densenet121", "mobilenet_v1", "nasnet_a_mobile"):
    table = summary(models.get_model(name, rng=0), models.input_shape(name))
    recounted[name] = table.params - table.params_unused, table.macs
    same = recounted[name] == (family[name].params, family[name].macs)
    print(f"{name:16s} {recounted[name][0]:11,} parameters, {table.macs:13,} MACs: "
          f"{'as in the table' if same else 'DIFFERENT'}")

# %% [markdown]
# ## 2. The chart
#
# Height is accuracy, the way to the right is operations, the area is parameters. Note the scale
# below: equal steps to the right multiply by equal factors. Hollow circles are the networks with
# ten views; a * marks what was quoted from memory.

# %%
lesson.save(chart(), "chart", alt="Top-1 accuracy against operations, one dot a network, its area "
            "the parameters: VGG far right with large dots, mobile networks far left with small "
            "ones, ResNet and its kin above both")

# %% [markdown]
# A network is beaten if another one is more accurate and needs no more MACs. Those that no other
# beats form the upper left edge of the chart. Networks with ten views are left out, since they had
# an advantage.

# %%
fair = [entry for entry in family.values() if entry.top1 is not None and entry.crops != 10]
edge = [a for a in fair if not any(b.top1 > a.top1 and b.macs <= a.macs for b in fair)]
print("not beaten in accuracy for MACs: "
      + ", ".join(entry.name for entry in sorted(edge, key=lambda entry: entry.macs)))
latest = max(entry.year for entry in fair)

# %% [markdown]
# ## 3. What the claim says, and what the table says
#
# "VGG needs the most memory and operations, GoogLeNet is very efficient, AlexNet has few operations
# and many parameters, ResNet is in between." Each part is a question to the table.

# %%
def most(what: str) -> list[Entry]:
    """The networks, from the one with the most of it down."""
    return sorted(family.values(), key=lambda entry: -getattr(entry, what))


for what in ("macs", "memory", "activations", "params"):
    print(f"most {what:12s}" + ", ".join(entry.name for entry in most(what)[:4]))
four = {name: family[name] for name in ("alexnet", "googlenet", "resnet50", "vgg19")}
for name, entry in four.items():
    print(f"{name:10s} {entry.macs / entry.params:4.0f} MACs a parameter, "
          f"{entry.top1 / (entry.macs / 1e9):5.1f} points of top-1 for each G MACs")

# %% [markdown]
# "Efficient" depends on what is divided by what. For each MAC AlexNet has more points than
# GoogLeNet, and such a ratio favours whatever is small. GoogLeNet's gain is in parameters: a tenth
# of AlexNet's, and more accuracy.
#
# VGG-19 has the most memory because of its parameters. Of activations others have more. And the
# parameters are there once, the activations once for each image of a batch. For a batch of $N$
# images, with $P$ parameters of 4 bytes and activations of $A$ bytes an image,
#
# $$\mathrm{memory} = 4 P + N A$$
#
# which is a straight line for each network. Two lines cross where
# $4 P_1 + N A_1 = 4 P_2 + N A_2$, so at $N = 4 (P_1 - P_2) / (A_2 - A_1)$; there the order turns
# round. In training a gradient and a momentum are stored for each parameter, too: 12 bytes.

# %%
vgg, wide = family["vgg19"], family["resnext101_32x8d"]
crossing = 4 * (vgg.params - wide.params) / (wide.activations - vgg.activations)
print(f"from {int(np.ceil(crossing))} images on, {wide.label} needs more memory than {vgg.label}; "
      f"with gradients and momentum, from {int(np.ceil(3 * crossing))}")

batch = np.arange(0, 33)
figure = Figure(figsize=(8, 3.4), layout="constrained")
axes = figure.subplots()
shown = (("alexnet", "#4d4d4d"), ("googlenet", "#56b4e9"), ("resnet50", "#0072b2"),
         ("densenet121", "#009e73"), ("vgg19", "#d55e00"), ("resnext101_32x8d", "#cc79a7"))
for name, colour in shown:
    entry = family[name]
    axes.plot(batch, (4 * entry.params + batch * entry.activations) / MIB, color=colour,
              label=entry.label, linewidth=1.8)
axes.set(xlabel="images in the batch", ylabel="MiB", xlim=(0, 32), ylim=(0, None),
         title="Parameters and activations, by the formula")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=9)
lesson.save(figure, "memory", alt="Memory against batch size, one line a network: VGG-19 begins "
            "highest, ResNeXt-101 is steeper and crosses it after a few images")

# %%
parts = {
    "VGG has the most operations": most("macs")[0].name.startswith("vgg"),
    "VGG has the most memory, one image": most("memory")[0].name.startswith("vgg"),
    "VGG has the most activations": most("activations")[0].name.startswith("vgg"),
    "GoogLeNet has more MACs than AlexNet, but a tenth of its parameters and more accuracy":
        four["googlenet"].macs > four["alexnet"].macs
        and four["googlenet"].params < 0.12 * four["alexnet"].params
        and four["googlenet"].top1 > four["alexnet"].top1,
    "AlexNet: fewest MACs of the four, and fewest MACs for each parameter":
        min(four.values(), key=lambda e: e.macs).name == "alexnet"
        and min(four.values(), key=lambda e: e.macs / e.params).name == "alexnet",
    "ResNet-50: MACs and parameters between GoogLeNet's and VGG-19's":
        four["googlenet"].macs < four["resnet50"].macs < four["vgg19"].macs
        and four["googlenet"].params < four["resnet50"].params < four["vgg19"].params,
    "ResNet-50: accuracy in between, too":
        four["resnet50"].top1 < max(e.top1 for e in four.values()),
}
for part, holds in parts.items():
    print(f"{'yes' if holds else 'no ':3s}  {part}")
exceptions = [part for part, holds in parts.items() if not holds]

# %%
lesson.claim("family-cost", "right" if not exceptions else "right, but incomplete",
             f"Of the four, yes: VGG-19 has {four['vgg19'].macs / 1e9:.1f} G MACs and "
             f"{four['vgg19'].memory / MIB:.0f} MiB, GoogLeNet {four['googlenet'].macs / 1e9:.1f} "
             f"G and {four['googlenet'].memory / MIB:.0f} MiB, AlexNet "
             f"{four['alexnet'].macs / 1e9:.2f} G and {four['alexnet'].params / 1e6:.0f} M "
             f"parameters, ResNet-50 {four['resnet50'].macs / 1e9:.1f} G and "
             f"{four['resnet50'].params / 1e6:.0f} M parameters. But ResNet-50 is not in between "
             f"in accuracy, it is the best of the four; and VGG leads in memory by "
             f"its parameters: with {int(np.ceil(crossing))} images or more at once, "
             f"{wide.label} needs more (with gradients and momentum, "
             f"{int(np.ceil(3 * crossing))}).")

# %% [markdown]
# ## 4. The recipe counts as well
#
# Some of these networks were trained again years later: longer, with other augmentation, another
# schedule. Same architecture, same parameters, same MACs. How much of a difference between two
# dots is the architecture's, then?

# %%
again = [entry for entry in family.values() if entry.retrained is not None]
for entry in again:
    print(f"{entry.name:18s} {entry.top1:.3f} → {entry.retrained:.3f}: "
          f"+{entry.retrained - entry.top1:.3f} by the recipe")
by_recipe = family["resnet50"].retrained - family["resnet50"].top1
by_depth = family["resnet152"].top1 - family["resnet50"].top1
print(f"ResNet-50 to ResNet-152, same recipe: +{by_depth:.3f} by 102 more layers")

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
for row, entry in enumerate(again):
    axes.plot([entry.top1, entry.retrained], [row, row], color="0.7", zorder=1)
    axes.plot(entry.top1, row, "o", color="tab:blue", label=None if row else "first recipe")
    axes.plot(entry.retrained, row, "o", color="tab:red", label=None if row else "later recipe")
axes.set(yticks=range(len(again)), yticklabels=[entry.label for entry in again],
         xlabel="top-1, %", title="The same networks, trained twice")
axes.invert_yaxis()
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="center left")
lesson.save(figure, "recipes", alt="Top-1 by the first and by the later recipe for each network "
            "that has both: the later one is ahead everywhere, by up to five points")

# %% [markdown]
# So two dots that are two points apart, from two papers, do not say which architecture is
# the better one.
#
# ## 5. Every block, one gradient check
#
# All these networks are built of a few blocks. Each of them here, with few channels: what it makes
# of its input, its parameters, and its gradient check, inner branches and gates included. One is
# new: MBConv, of EfficientNet (2019), is the inverted residual of lesson 17 with the gate
# of lesson 15, and has $\mathrm{SiLU}(x) = x \cdot \mathrm{sigmoid}(x)$ for ReLU.

# %%
r = np.random.default_rng(0)
blocks = {
    "inception module": (models.inception_module(8, 4, 3, 6, 2, 4, 4, rng=r), 8),
    "basic block (ResNet)": (models.BasicBlock(8, 8, rng=r), 8),
    "bottleneck (ResNet)": (models.Bottleneck(16, 4, rng=r), 16),
    "pre-activation block": (preact_resnet.preact_basic(8, 8, rng=r), 8),
    "SE bottleneck": (models.SEBottleneck(16, 4, rng=r), 16),
    "inception A (v4)": (models.inception_a(8, 4, 3, rng=r), 8),
    "inception-resnet A": (inception_resnet.block35(8, (3, 4, 5), 0.17, rng=r), 8),
    "dense layer": (models.DenseLayer(8, 4, rng=r), 8),
    "inverted residual": (models.InvertedResidual(8, 8, 1, 4, rng=r), 8),
    "MBConv (EfficientNet)": (models.MBConv(8, 8, 3, 1, 4, rng=r), 8),
}
block_reports = {}
print(f"{'block':24s} {'input':>9s} {'output':>9s} {'parameters':>10s}   gradient")
for name, (block, channels) in blocks.items():
    table = summary(block, (channels, 6, 6))
    output = block.eval().forward(np.zeros((1, channels, 6, 6), np.float32)).shape[1:]
    report = gradcheck.check(block.train(), rng.standard_normal((2, channels, 6, 6)), probes=2)
    block_reports[name] = report
    print(f"{name:24s} {f'{channels}×6×6':>9s} {'×'.join(map(str, output)):>9s} "
          f"{table.params:10,}   {report.verdict}, {report.worst:.0e}")
cell = nasnet.cell(nasnet.NORMAL, 8, 8, 4, "same", r)
h, p = (rng.standard_normal((2, 8, 6, 6)) for _ in range(2))
block_reports["NASNet-A"] = report = gradcheck.check(cell.train(), h, p, probes=1)
print(f"{'NASNet-A normal cell':24s} {'2·8×6×6':>9s} {'24×6×6':>9s} "
      f"{sum(q.value.size for q in cell.parameters()):10,}   {report.verdict}, {report.worst:.0e}")

# %% [markdown]
# ## 6. The small ones
#
# Each family has a network for images of 32×32 that a laptop can train. They are counted here, not
# trained: which of them learns your images best is a question for `scratchnet train`.

# %%
small = {}
for name in models.list_models():
    if name.endswith("_small"):
        small[name] = summary(models.get_model(name, rng=0), models.input_shape(name))
print(f"{'network':28s} {'parameters':>10s} {'MACs':>12s} {'kept for backward':>18s}")
for name, table in sorted(small.items(), key=lambda item: item[1].macs):
    print(f"{name:28s} {table.params - table.params_unused:10,} {table.macs:12,} "
          f"{table.memory_backward / 1024:14,.0f} KiB")

# %% [markdown]
# ## 7. What changed, from the first to the last
#
# StochasticDepth, which has not come up before, leaves out a block's branch at random in training,
# so that the skip alone is left.

# %%
before, after = what_changed("alexnet", "efficientnet_b0")

# %% [markdown]
# ## What we have seen
#
# - Accuracy, operations, parameters and memory are four numbers, and no network is best in all.
# - VGG leads in operations and in parameters, in memory only for a few images at once.
# - AlexNet does few operations with many parameters, GoogLeNet more with a tenth of them.
# - The recipe can be worth more than a hundred layers. Compare networks that were trained alike.
# - Each of the blocks above has passed its gradient check.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start counting
# scratchnet exercise start inception
# scratchnet exercise start residual
# scratchnet exercise start squeeze_excitation
# ```
#
# To try: put your own network on the chart with `compare.point` and `compare.chart([mine])`.

# %%
assert all(counted == (family[name].params, family[name].macs)
           for name, counted in recounted.items())
assert all(report.passed for report in block_reports.values())
assert exceptions == ["VGG has the most activations", "ResNet-50: accuracy in between, too"]
assert 3 < crossing < 4 and by_recipe > by_depth > 0
assert "efficientnet_b0" in {entry.name for entry in edge} and latest == 2019
assert len(small) >= 14
assert after.params < before.params / 10
lesson.end()
