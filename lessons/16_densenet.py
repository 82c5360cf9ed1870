# %% [markdown]
# # DenseNet: keep everything, add a little
#
# ResNet adds: after the sum, nobody can tell any more what was old and what is new. In 2016
# Huang, Liu, van der Maaten and Weinberger laid the new maps beside the old ones instead. Every
# layer then reads the outputs of all layers before it, so nothing has to be computed twice, and
# each layer may be narrow. DenseNet-121 has a third of ResNet-50's parameters. The price is
# memory, and this lesson measures it.
#
# Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks", CVPR 2017.

# %%
import time
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import Layer, data, gradcheck, layers, models, no_grad
from scratchnet.cost import params_sum, summary
from scratchnet.lesson import Lesson, experiment, steps, verdict, what_changed

lesson = Lesson("densenet")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. One dense layer, counted
#
# A dense layer is given $C$ maps, computes $k$ new ones, and returns all $C + k$:
#
# $$y = [x, f(x)]$$
#
# The brackets mean: side by side along the channels. $k$ is the growth rate, 32 in the ImageNet
# networks and 12 in the small ones. $f$ is batch normalisation, ReLU, a 1×1 convolution to
# $4k$ maps, batch normalisation, ReLU, a 3×3 convolution to $k$ maps. The 1×1 is there because
# $C$ gets large: the 3×3 then reads $4k$ maps, however many there are.

# %%
k, C = 12, 24
dense = models.DenseLayer(C, k, rng=0)
for name, layer in dense.children():
    if params := sum(p.value.size for p in layer.parameters()):
        print(f"  {name:6s} {params_sum(layer):>13s} = {params:5,}")
first = summary(dense, (C, 16, 16))
print(f"  {'sum':6s} {first.params:21,}   MACs at 16×16: {first.macs:,}")
wide = summary(models.DenseLayer(C + 16 * k, k, rng=0), (C + 16 * k, 16, 16))
print(f"With {C + 16 * k} maps at its input, {(C + 16 * k) / C:.0f} times as many, it has "
      f"{wide.params:,} parameters, {wide.params / first.params:.1f} times as many: only norm1 and "
      f"the 1×1 grow")

# %% [markdown]
# ## 2. Keeping the books
#
# A dense block is several such layers, one after another. It begins with $C_0$ maps, so layer
# number $l$ (counted from 0) is given $C_0 + l \cdot k$, and after $L$ layers there are
# $C_0 + L \cdot k$. Between two blocks stands a transition: after batch normalisation and ReLU, a
# 1×1 convolution halves the number of maps, and the mean of 2×2 pixels halves the side. The paper's
# table for DenseNet-121, as sums:

# %%
channels, carried, new = 64, [], []
for block, depth in enumerate((6, 12, 24, 16), start=1):
    end = channels + 32 * depth
    halved = f", halved: {end // 2}" if block < 4 else ""
    print(f"block {block}: {channels:4d} + {depth:2d}·32 = {end:5d}{halved}")
    carried += [channels + 32 * i for i in range(depth)]
    new += [32] * depth
    channels = end // 2 if block < 4 else end

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
axes.bar(range(len(carried)), carried, color="tab:blue", width=1.0, label="given")
axes.bar(range(len(carried)), new, bottom=carried, color="tab:red", width=1.0, label="new: 32")
axes.set(xlabel="dense layer", ylabel="maps", title="DenseNet-121: the maps of its 58 dense layers")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "channels", alt="Maps given to each of the 58 dense layers: four ramps that "
            "climb by 32 a layer, cut in half between the blocks")

# %% [markdown]
# ## 3. A network, one step at a time
#
# `cifar_densenet_bc100`, the paper's for images of 32×32: $k = 12$, three blocks of 16 layers. A
# block is one row, and its gradient check goes through all of its 16 layers. The first block begins
# with 24 maps and returns 24 + 16·12 = 216. Its parameters: by section 1, a layer with $C$ maps at
# its input has $2C + 48 \cdot C$ in norm1 and conv1, and 96 + 5,184 = 5,280 in norm2 and conv2. The
# 16 layers are given 24, 36, …, 204 maps, together 1,824. So 50·1,824 + 16·5,280 = 175,680.

# %%
net = models.cifar_densenet_bc100(rng=0)
rows = steps(net, (3, 32, 32))

# %% [markdown]
# ## 4. Backward: split, and add
#
# Write $dy$ for the derivative of the loss by $y$, as in lesson 12. $y$ is $[x, f(x)]$, so
# $dy$ has the same two parts: the first $C$ maps, $dy_x$, and the last $k$, $dy_f$. A number of
# $x$ reaches the loss on two ways: as itself, in the first part, and through $f$, in the second.
# The chain rule adds them. With $J$ for the matrix of the derivatives of $f$:
#
# $$dx = dy_x + J^T \cdot dy_f$$
#
# That is ResNet's formula but for one thing: there the same $dy$ stands in both terms, here
# each has its own. What follows a block sends its gradient straight to the maps of every layer in
# it, with nothing in between. Here is the sum, by hand:

# %%
x = rng.standard_normal((2, C, 5, 6)).astype(np.float32)
dy = rng.standard_normal((2, C + k, 5, 6)).astype(np.float32)
dense.train().forward(x)
dx = dense.backward(dy)
f = layers.Sequential(**dict(dense.children()))     # the same layers, without the concatenation
f.train().forward(x)
by_hand = dy[:, :C] + f.backward(dy[:, C:])
print("dx = dy's old maps + f backward of dy's new maps:", bool(np.allclose(dx, by_hand)))

# %% [markdown]
# ## 5. What it costs: memory
#
# Concatenating copies. Layer $l$ of a block writes a new array of all $C_0 + (l + 1) \cdot k$ maps,
# and then normalises them all, so nothing that backward needs can be shared with the layer before.
# Let one map be the unit (height · width · 4 bytes). A dense layer with $C$ maps at its input keeps
#
# - $C$ maps for norm1 and $4k$ for norm2, their inputs;
# - $C$ maps for conv1 and $4k$ for conv2, their inputs: what came out of the ReLUs;
# - for the two ReLUs, what came out of them: the same arrays, so nothing more.
#
# Together $2 \cdot (C + 4k)$. In layer $l$, $C = C_0 + l \cdot k$. Sum that over $L$ layers,
# with $0 + 1 + \cdots + (L - 1) = L(L - 1)/2$:
#
# $$M(L) = 2 \cdot (L \cdot (C_0 + 4k) + k \cdot \frac{L(L-1)}{2})$$
#
# The last term has $L^2$ in it. `summary` measures what layers keep; does the formula hold?


# %%
def block_of(depth: int) -> layers.Sequential:
    """A dense block of this many layers, 24 maps at its input, growth rate 12."""
    rng = np.random.default_rng(0)
    return layers.Sequential(*(models.DenseLayer(C + k * i, k, rng) for i in range(depth)))


UNIT = 4 * 16 * 16
depths = (1, 2, 4, 8, 16, 24)
measured = [summary(block_of(depth), (C, 16, 16)).memory_backward / UNIT for depth in depths]
formula = [2 * (n * (C + 4 * k) + k * n * (n - 1) / 2) for n in depths]
for depth, kept, expected in zip(depths, measured, formula, strict=True):
    print(f"{depth:2d} layer{'s' * (depth > 1):1s}: kept for backward {kept:8.1f} maps, "
          f"formula {expected:8.1f}; different maps computed: {C} + {depth}·{k} = {C + depth * k}")

# %% [markdown]
# The small rest above the formula is what batch normalisation keeps for each channel.
# From 8 to 16 layers the memory grows 2.8 times; in ever deeper blocks, twice the layers come to
# need four times as much. And most of what is kept are the same maps, copied once more and
# normalised once more.
#
# Can one do without the copies? Keep each map once, forget all else, and let backward compute
# it again, layer by layer, just before it is needed. (Published for DenseNet by Pleiss et al.
# in 2017, as recalled.) This is the whole of it:


# %%
class ThriftyBlock(layers.Sequential):
    """A dense block that keeps each map once and computes the rest again in backward."""

    def forward(self, x: Any) -> Any:
        maps = [x]
        for layer in self:
            with no_grad():                                     # so the layer keeps nothing
                y = layer.forward(np.concatenate(maps, axis=1))
            maps.append(y[:, -k:].copy())                       # its k new maps alone
        self.remember(maps, y=y)
        return y

    def backward(self, dy: Any) -> Any:
        maps, = self.recall(dy)
        for i, layer in reversed(list(enumerate(self))):
            norms = layer.norm1, layer.norm2
            averages = [(norm.running_mean.copy(), norm.running_var.copy()) for norm in norms]
            layer.forward(np.concatenate(maps[:i + 1], axis=1))     # once more, and it keeps
            for norm, (mean, var) in zip(norms, averages, strict=True):
                norm.running_mean, norm.running_var = mean, var     # forward had moved them
            dy = layer.backward(dy)                                 # … and forgets again
        return dy


def seconds(block: Layer, x: np.ndarray, runs: int = 3) -> float:
    """The shortest time of some runs, forward and backward."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        block.backward(np.ones_like(block.train().forward(x)))
        times.append(time.perf_counter() - start)
    return min(times)


thrifty = [summary(ThriftyBlock(*block_of(n)), (C, 16, 16)).memory_backward / UNIT for n in depths]
print("kept, thrifty: " + ", ".join(f"{kept:.0f}" for kept in thrifty) + " maps")
both = block_of(8), ThriftyBlock(*block_of(8))
x = rng.standard_normal((8, C, 16, 16)).astype(np.float32)
dy = rng.standard_normal((8, C + 8 * k, 16, 16)).astype(np.float32)
gradients = []
for block in both:
    block.train().forward(x)
    gradients.append(block.backward(dy))
same = bool(np.allclose(*gradients, rtol=1e-4, atol=1e-4))
thrifty_report = gradcheck.check(ThriftyBlock(*block_of(3)),
                                 rng.standard_normal((2, C, 5, 6)), probes=2)
times = [seconds(block, x) for block in both]
print(f"the same gradient: {same}; gradient check: {thrifty_report.verdict}, "
      f"{thrifty_report.worst:.0e}")
print(f"time, forward and backward, measured here: {times[0] * 1e3:.0f} ms and "
      f"{times[1] * 1e3:.0f} ms: ×{times[1] / times[0]:.2f}")

figure = Figure(figsize=(8, 3), layout="constrained")
axes = figure.subplots()
n = np.linspace(1, depths[-1], 100)
axes.plot(n, 2 * (n * (C + 4 * k) + k * n * (n - 1) / 2), color="tab:red", linewidth=1)
axes.plot(n, C + k * n, color="tab:blue", linewidth=1)
axes.plot(depths, measured, "o", color="tab:red", label="concatenated and kept (line: formula)")
axes.plot(depths, thrifty, "s", color="tab:blue", label="each map once (line: C₀ + L·k)")
axes.set(xlabel="dense layers in the block", ylabel="maps kept", ylim=(0, None),
         title="What a dense block keeps for backward, measured")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "memory", alt="Maps kept for backward against the number of layers: the "
            "concatenating block's curve bends upwards, the thrifty one is a nearly flat line")

# %% [markdown]
# Backward then needs the memory of one layer at a time on top, and the forward pass is paid for
# twice. One trap: in training, forward moves the running averages of batch normalisation, and a
# second forward would move them again. So backward puts them back. No gradient depends on them; but
# the gradient check says "wrong" to any backward that changes them.
#
# The parameters of a block are quadratic in its depth as well, for the same reason: the 1×1
# convolutions read more and more maps. Transitions and several blocks keep both in bounds.
#
# ## 6. Does it matter how one joins?
#
# Three networks for the digits in their original 8×8 pixels, of six layers with the same $f$ and
# nearly the same number of parameters. One lays $f(x)$ beside $x$ (concatenate, growth rate 8), one
# adds it to $x$ (as ResNet does, 11 maps), one replaces $x$ by it (a plain chain, 11 maps).

# %%
digits = lesson.load("digits", size=8)
if not lesson.full:
    digits = digits._replace(
        train=data.Split(digits.train.images[:400], digits.train.labels[:400]),
        test=data.Split(digits.test.images[:180], digits.test.labels[:180]))
colours, classes = digits.train.images.shape[1], int(digits.train.labels.max()) + 1


def joined(how: str, seed: int) -> layers.Sequential:
    """A 3×3 convolution, six layers joined in this way, the mean, a linear layer."""
    rng = np.random.default_rng(seed)
    begin = 16 if how == "concatenate" else 11
    if how == "concatenate":
        body, end = [models.DenseLayer(16 + 8 * i, 8, rng) for i in range(6)], 64
    else:
        join = layers.Residual if how == "add" else layers.Sequential
        body, end = [join(
            norm1=layers.BatchNorm2d(11), relu1=layers.ReLU(),
            conv1=layers.Conv2d(11, 32, 1, bias=False, rng=rng),
            norm2=layers.BatchNorm2d(32), relu2=layers.ReLU(),
            conv2=layers.Conv2d(32, 11, 3, padding=1, bias=False, rng=rng)) for _ in range(6)], 11
    return layers.Sequential(
        conv0=layers.Conv2d(colours, begin, 3, padding=1, bias=False, rng=rng),
        body=layers.Sequential(*body), norm=layers.BatchNorm2d(end), relu=layers.ReLU(),
        avgpool=layers.AdaptiveAvgPool2d(1), flatten=layers.Flatten(),
        fc=layers.Linear(end, classes, rng=rng))


ways = ("concatenate", "add", "replace")
sizes = {how: sum(p.value.size for p in joined(how, 0).parameters()) for how in ways}
print("parameters: " + ", ".join(f"{how} {size:,}" for how, size in sizes.items()))
errors = experiment({how: partial(joined, how) for how in ways}, digits, batch_size=32,
                    seeds=range(5) if lesson.full else range(3), epochs=8 if lesson.full else 4,
                    device=lesson.device)
for other in ("add", "replace"):
    print(f"concatenate has fewer errors than {other}: "
          f"{verdict(errors['concatenate'], errors[other])}")

figure = Figure(figsize=(8, 2.2), layout="constrained")
axes = figure.subplots()
for row, values in enumerate(errors.values()):
    axes.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.6)
    axes.plot(np.mean(values), row, "|", color="tab:red", markersize=22, markeredgewidth=2)
axes.set(yticks=range(3), yticklabels=errors, ylim=(2.5, -0.5), xlim=(0, None),
         xlabel="test error", title="Three ways to join (a dot a seed, a bar the mean)")
axes.xaxis.set_major_formatter(lambda error, _: f"{error:.0%}")
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "joined", alt="Test errors of networks that concatenate, add or replace, one "
            "dot a seed, with the mean of each")

# %% [markdown]
# With about half of the digits wrong, none is trained to its end: three seeds, 400 digits to learn
# from, 180 to test on and four epochs decide no more than who is ahead early. So "confirmed here"
# hangs on this set-up. And the three differ in width too, for at equal width concatenation would
# have more parameters.
#
# ## 7. What changed

# %%
before, after = what_changed("resnet50", "densenet121")
print(f"\nkept for backward, one image: ResNet-50 {before.memory_backward / 2**20:.0f} MiB, "
      f"DenseNet-121 {after.memory_backward / 2**20:.0f} MiB, with "
      f"{after.params / before.params:.0%} of the parameters")

# %% [markdown]
# Fewer parameters and fewer operations are not less memory.
#
# ## What we have seen
#
# - A dense layer returns what it was given and $k$ new maps. Its books are sums: $C_0 + l \cdot k$.
# - Backward splits the gradient: the old maps' part goes past, the new maps' part through $f$.
# - What a block keeps grows with the square of its depth if each concatenation is kept. Kept once
#   and computed again, it grows in a straight line, for about one more forward pass.
# - DenseNet-121 has a third of ResNet-50's parameters. It does not need a third of the memory.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start dense_layer
# scratchnet exercise start conv1x1
# scratchnet exercise start counting
# ```
#
# To try: let the transitions keep all maps instead of half. How many parameters has
# DenseNet-121 then? Count first, then build it.

# %%
assert first.params == 6_480 and carried[-1] + 32 == 1024 and len(carried) == 58
assert sum(row.params for row in rows) == 769_162 and rows[1].params == 175_680
assert np.allclose(dx, by_hand)
assert np.allclose(measured, formula, rtol=0.02) and 2.8 < measured[4] / measured[3] < 2.9
assert same and thrifty_report.passed
assert np.allclose(thrifty, [C + k * n for n in depths], rtol=0.05)
assert max(sizes.values()) < 1.1 * min(sizes.values())
assert np.mean(errors["concatenate"]) < 0.7
assert after.params < before.params / 3
lesson.end()
