# %% [markdown]
# # MobileNet: split a convolution in two
#
# The networks of 2015 do billions of multiply-accumulates (MACs) for one image. A telephone has
# neither the time nor the battery. In 2017 Howard and others asked what a convolution does: it
# looks around, and it mixes channels, both in one product of many terms. MobileNet does the
# two one after the other, and needs about a ninth of the MACs. Whether it needs a ninth of the
# *time* is another question, and this lesson asks your machine.
#
# Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
# Applications", 2017. Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: Inverted Residuals and
# Linear Bottlenecks", CVPR 2018.

# %%
import time
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import Layer, data, gradcheck, layers, models, no_grad
from scratchnet.cost import macs, params_sum, summary
from scratchnet.lesson import Lesson, experiment, steps, verdict, what_changed
from scratchnet.models.mobilenet_v1 import separable

lesson = Lesson("mobilenet")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Where, then what
#
# A 3×3 convolution from $C$ to $O$ channels computes each output number as a sum of
# $9 \cdot C$ products, and has $9 \cdot C \cdot O$ weights. In its place come two layers:
#
# - depthwise: each channel has a 3×3 filter of its own and sees no other channel: $9 \cdot C$
#   weights. It is the grouped convolution of lesson 14 with as many groups as channels;
# - pointwise: a 1×1 convolution, which mixes the channels at each pixel: $C \cdot O$ weights.
#
# Every weight is used once at every pixel, so the MACs have the same ratio as the weights:
#
# $$\frac{9 \cdot C + C \cdot O}{9 \cdot C \cdot O} = \frac{1}{O} + \frac{1}{9}$$

# %%
print(f"{'C = O':>6s} {'3×3':>18s} {'depthwise':>14s} {'pointwise':>18s}   share   1/O + 1/9")
shares = {}
for C in (32, 128, 512):
    trio = (layers.Conv2d(C, C, 3, padding=1, bias=False, rng=0),
            layers.Conv2d(C, C, 3, padding=1, groups=C, bias=False, rng=0),
            layers.Conv2d(C, C, 1, bias=False, rng=0))
    counts = [layer.weight.value.size for layer in trio]
    shares[C] = (counts[1] + counts[2]) / counts[0]
    print(f"{C:6d} {params_sum(trio[0]):>18s} {params_sum(trio[1]):>14s} "
          f"{params_sum(trio[2]):>18s}   {shares[C]:.4f}  {1 / C + 1 / 9:.4f}")
    assert macs(trio[1], (1, C, 7, 7)) == 9 * C * 49

# %% [markdown]
# ## 2. What is lost
#
# Leave out what stands between the two. Then the pair is one 3×3 convolution after all, whose
# weight from channel $c$ to channel $o$ at place $u, v$ is a product:
#
# $$w_{o,c,u,v} = p_{o,c} \cdot d_{c,u,v}$$
#
# So all outputs look at channel $c$ with the same pattern $d_c$ and differ only in a factor. A
# full convolution may have another pattern for each pair of channels. In MobileNet, batch
# normalisation and ReLU stand between the two.

# %%
depthwise = layers.Conv2d(8, 8, 3, padding=1, groups=8, bias=False, rng=1)
pointwise = layers.Conv2d(8, 12, 1, bias=False, rng=2)
full = layers.Conv2d(8, 12, 3, padding=1, bias=False)
full.weight.value = pointwise.weight.value * depthwise.weight.value[:, 0]       # (12, 8, 3, 3)
x = rng.standard_normal((2, 8, 6, 7)).astype(np.float32)
pair = pointwise.forward(depthwise.forward(x))
one_layer = bool(np.allclose(pair, full.forward(x), atol=1e-4))
print(f"the pair = one convolution with the product as its weights: {one_layer}")
print(f"weights to choose freely: {8 * 9 + 8 * 12} in the pair, {full.weight.value.size} in the "
      f"convolution")

# %% [markdown]
# ## 3. Backward: no sum over channels
#
# Let $L$ be the loss, $dy$ its derivative by the output $y$ (lesson 1). In the
# depthwise layer, with stride 1, $x$ padded by one zero on each side, and $u, v$ from 0 to 2,
#
# $$y_{c,i,j} = \sum_u \sum_v d_{c,u,v} \cdot x_{c,i+u,j+v}$$
#
# The weight $d_{c,u,v}$ is used at every pixel $i, j$ of channel $c$, times $x_{c,i+u,j+v}$. The
# chain rule adds up its uses. And $x_{c,r,q}$ is used by each weight $d_{c,u,v}$ for the output at
# $r - u, q - v$ ($dy$ counts as 0 where there is no output):
#
# $$\frac{\partial L}{\partial d_{c,u,v}} = \sum_i \sum_j dy_{c,i,j} \cdot x_{c,i+u,j+v}
# \qquad
# \frac{\partial L}{\partial x_{c,r,q}} = \sum_u \sum_v d_{c,u,v} \cdot dy_{c,r-u,q-v}$$
#
# Compare the ordinary convolution (lesson 3): its second formula also sums over all
# output channels, and that sum is what a matrix product is good at. Here there is none.

# %%
dy = rng.standard_normal((2, 8, 6, 7)).astype(np.float32)
depthwise.zero_grad().forward(x)
dx = depthwise.backward(dy)
padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))    # one zero on each side of each map
dpadded, dw = np.zeros_like(padded), np.zeros_like(depthwise.weight.value)
for u in range(3):
    for v in range(3):
        dw[:, 0, u, v] = (dy * padded[:, :, u:u + 6, v:v + 7]).sum(axis=(0, 2, 3))
        dpadded[:, :, u:u + 6, v:v + 7] += depthwise.weight.value[:, 0, u, v, None, None] * dy
print("by hand = the layer:", bool(np.allclose(dw, depthwise.weight.grad, atol=1e-4)),
      bool(np.allclose(dpadded[:, :, 1:-1, 1:-1], dx, atol=1e-4)))
report = gradcheck.check(depthwise, x.astype(np.float64))
print(f"gradient check: {report.verdict}, {report.worst:.0e}")

# %% [markdown]
# ## 4. The network, one step at a time
#
# The small one, for images of 32×32: a convolution, six pairs, a mean, a linear layer. Rows `dw`
# look around, rows `pw` mix. Most of the weights and of the MACs are in rows `pw`.

# %%
rows = steps(models.mobilenet_v1_small(rng=0), (1, 32, 32))

# %% [markdown]
# The network of the paper has thirteen pairs for images of 3×224×224. `width` multiplies all its
# channels, for those who can afford less. The weights of the 1×1 layers fall with its square. The
# accuracies are the paper's.

# %%
print(f"{'width':>6s} {'parameters':>12s} {'MACs':>14s}   published top-1, ImageNet")
for width, top1 in ((1.0, "70.6 %"), (0.5, "63.7 %"), (0.25, "50.6 %")):
    table = summary(models.mobilenet_v1(width=width, rng=0), (3, 224, 224))
    print(f"{width:6.2f} {table.params:12,} {table.macs:14,}   {top1}")
    if width == 1.0:
        paper = table
kinds = {kind: sum(row.macs for row in paper.rows if row.name.startswith(kind)) / paper.macs
         for kind in ("dw", "pw")}
print(f"of the MACs, {kinds['pw']:.0%} are in the 1×1 layers, {kinds['dw']:.1%} in the depthwise "
      f"ones")

# %% [markdown]
# ## 5. MACs are not seconds
#
# Time one layer of each kind on this machine: one image, one thread, the shortest of some runs.
# The rate says how many MACs are done in a nanosecond.


# %%
def milliseconds(layer: Layer, x: np.ndarray, runs: int = 7) -> float:
    """The shortest time of a forward pass, in thousandths of a second."""
    times = []
    with no_grad():
        for _ in range(runs):
            start = time.perf_counter()
            layer.eval().forward(x)
            times.append(time.perf_counter() - start)
    return 1e3 * min(times)


saved = {}
print(f"{'maps':>14s} {'':10s} {'MACs':>12s} {'ms':>7s} {'MACs/ns':>8s}")
for C, side in ((32, 56), (128, 28), (256, 14)):
    x = rng.standard_normal((1, C, side, side)).astype(np.float32)
    trio = {"3×3": layers.Conv2d(C, C, 3, padding=1, bias=False, rng=0),
            "depthwise": layers.Conv2d(C, C, 3, padding=1, groups=C, bias=False, rng=0),
            "1×1": layers.Conv2d(C, C, 1, bias=False, rng=0)}
    work = {name: macs(layer, x.shape) for name, layer in trio.items()}
    took = {name: milliseconds(layer, x) for name, layer in trio.items()}
    for name in trio:
        print(f"{f'{C}×{side}×{side}' if name == '3×3' else '':>14s} {name:10s} {work[name]:12,} "
              f"{took[name]:7.2f} {work[name] / took[name] / 1e6:8.2f}")
    saved[f"{C}×{side}×{side}"] = tuple(
        values["3×3"] / (values["depthwise"] + values["1×1"]) for values in (work, took))
for maps, (fewer, faster) in saved.items():
    print(f"{maps:>12s}: the pair has {fewer:.1f} times fewer MACs and is {faster:.1f} times "
          f"as fast")

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
at = np.arange(len(saved))
for shift, what, colour, name in ((-0.2, 0, "tab:blue", "MACs: 3×3 / pair"),
                                  (0.2, 1, "tab:red", "time: 3×3 / pair, measured here")):
    values = [both[what] for both in saved.values()]
    axes.bar(at + shift, values, 0.38, color=colour, label=name)
    for i, value in zip(at, values, strict=True):
        axes.text(i + shift, value + 0.1, f"{value:.1f}", ha="center")
axes.axhline(1, color="0.5", linewidth=0.8)
axes.set(xticks=at, xticklabels=saved, xlabel="maps", ylabel="times",
         ylim=(0, 1.3 * max(map(max, saved.values()))),
         title="What the pair saves")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left", ncols=2)
lesson.save(figure, "macs_and_seconds", alt="Two bars for each of three sizes: the pair saves "
            "seven to nine times the MACs, and the time by the factor measured on this machine")

# %% [markdown]
# Look at the last column: the depthwise layer does far fewer MACs in a nanosecond than the other
# two. A number that it has fetched from memory takes part in 9 MACs. In the 3×3 convolution it
# takes part in $9 \cdot O$, and in the 1×1 in $O$. Those two are matrix products here, which use
# what they have fetched many times; the depthwise layer passes over all numbers once for each of
# its nine weights. So the time saved need not be the MACs saved. These times are of this library
# and your machine, and noisy where other programs run; nothing below depends on them.
#
# ## 6. Version 2: thin ends, and no ReLU in them
#
# The 1×1 layers do nearly all of the work. So MobileNetV2 passes *thin* maps from block to block
# and widens only inside: an inverted residual. (The bottleneck of lesson 12 is wide
# outside and thin inside.) Widened six times, from 24 channels to 144 and back; `conv.0` widens,
# `conv.1` is depthwise, `conv.2` makes thin again:

# %%
block = models.InvertedResidual(24, 24, 1, 6, rng=0)
for name, layer in block.named_layers():
    if not list(layer.children()) and (params := sum(p.value.size for p in layer.parameters())):
        print(f"  {name:10s} {str(layer).split('(')[0]:12s} {params_sum(layer):>14s} = {params:5,}")
inverted = summary(block, (24, 56, 56))
block_report = gradcheck.check(block.train(), rng.standard_normal((2, 24, 5, 6)), probes=2)
print(f"  {'sum':10s} {inverted.params:35,}   MACs at 56×56: {inverted.macs:,}")
print(f"  gradient check, shortcut included: {block_report.verdict}, {block_report.worst:.0e}")

# %% [markdown]
# The shortcut joins the thin ends. Backward is that of lesson 12: $dx = dy + J^T \cdot dy$.
#
# The first two convolutions are followed by ReLU6, which is $\min(\max(x, 0), 6)$. The last 1×1 has
# no activation after it. Why? ReLU sets what is negative to zero: that is gone.
# Suppose that the information lies in a plane. Put the plane into $n$ channels by a random matrix
# $T$, apply ReLU, and try to find the way back by the best linear map (least squares). With
# many channels, what one has lost another one still has. With few, it is gone. The paper shows this
# with a spiral; so do we.

# %%
angle = np.linspace(0.5, 4 * np.pi, 400)
spiral = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / angle[-1]
lost: dict[int, list[float]] = {}
figure = Figure(figsize=(8, 1.9), layout="constrained")
for axes, n in zip(figure.subplots(1, 5), (2, 3, 5, 15, 40), strict=True):
    lost[n] = []
    for seed in range(20):
        T = np.random.default_rng(seed).standard_normal((2, n))
        channels = np.maximum(spiral @ T, 0)
        back = channels @ np.linalg.lstsq(channels, spiral, rcond=None)[0]     # the best way back
        lost[n].append(float(((back - spiral) ** 2).sum() / (spiral ** 2).sum()))
        if seed == 0:
            axes.scatter(*back.T, c=angle, cmap="viridis", s=3)
    axes.set(title=f"{n} channels", xticks=[], yticks=[], aspect="equal", xlim=(-1.1, 1.1),
             ylim=(-1.1, 1.1))
    print(f"{n:2d} channels: lost by ReLU {np.mean(lost[n]):6.1%} ± {np.std(lost[n], ddof=1):.1%} "
          f"(20 matrices)")
lesson.save(figure, "spiral", alt="A spiral after a ReLU in 2, 3, 5, 15 and 40 channels and back: "
            "with 2 and 3 it is crushed, with 15 and 40 it is a spiral again")

# %% [markdown]
# So: ReLU where it is wide, none where it is thin.
#
# ## 7. Trained: pairs against full convolutions
#
# The same small network for digits of 8×8, once with pairs and once with a 3×3 convolution in
# the place of each.

# %%
digits = lesson.load("digits", size=8)
if not lesson.full:
    digits = digits._replace(train=data.Split(digits.train.images[:600],
                                              digits.train.labels[:600]))
colours, classes = digits.train.images.shape[1], int(digits.train.labels.max()) + 1


def network(split: bool, seed: int) -> layers.Sequential:
    """A convolution, three pairs or three convolutions, the mean, a linear layer."""
    rng, inside, C = np.random.default_rng(seed), {}, 16
    for i, (out, stride) in enumerate(((32, 1), (32, 2), (48, 1)), start=1):
        inside |= separable(i, C, out, stride, rng) if split else {
            f"conv{i}": layers.Conv2d(C, out, 3, stride, 1, bias=False, rng=rng),
            f"bn{i}": layers.BatchNorm2d(out), f"relu{i}": layers.ReLU()}
        C = out
    return layers.Sequential(
        conv0=layers.Conv2d(colours, 16, 3, padding=1, bias=False, rng=rng),
        bn0=layers.BatchNorm2d(16), relu0=layers.ReLU(), **inside,
        avgpool=layers.AdaptiveAvgPool2d(1), flatten=layers.Flatten(),
        fc=layers.Linear(C, classes, rng=rng))


small = {"pairs": partial(network, True), "full": partial(network, False)}
for name, make in small.items():
    table = summary(make(0), (colours, 8, 8))
    print(f"{name:6s} {table.params:7,} parameters, {table.macs:9,} MACs")
errors = experiment(small, digits, batch_size=32, seeds=range(5) if lesson.full else range(3),
                    epochs=10 if lesson.full else 5, device=lesson.device)
answer = verdict(errors["full"], errors["pairs"])
print(f"full convolutions have fewer errors than pairs: {answer}")

# %% [markdown]
# Both were trained briefly on a few hundred images, so the gap says how fast each learns as much as
# what it can learn. The paper reports the same comparison on ImageNet: 71.7 % right with full
# convolutions, 70.6 % with pairs (the first number as recalled). There the pairs lose one point.
#
# ## 8. What changed

# %%
before, after = what_changed("resnet50", "mobilenet_v1")
print()
_ = what_changed("mobilenet_v1", "mobilenet_v2")

# %% [markdown]
# ## What we have seen
#
# - A depthwise and a pointwise convolution cost $1/O + 1/9$ of the convolution they stand for.
# - The pair is a convolution whose filters are products; that is what it gives up.
# - The depthwise backward has no sum over channels, and so no matrix product.
# - MACs are a count. Seconds also depend on how often a fetched number is used. Measure.
# - An inverted residual is thin outside; ReLU in a thin layer destroys, so there is none.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start depthwise_conv
# scratchnet exercise start conv1x1
# scratchnet exercise start grouped_conv
# ```
#
# To try: time a batch of 16 images instead of one. Does the depthwise layer catch up?

# %%
assert all(abs(share - (1 / C + 1 / 9)) < 1e-12 for C, share in shares.items())
assert one_layer and report.passed and block_report.passed
assert np.allclose(dw, depthwise.weight.grad, atol=1e-3)
assert np.allclose(dpadded[:, :, 1:-1, 1:-1], dx, atol=1e-3)
assert (paper.params, paper.macs) == (4_231_976, 568_740_352) and kinds["pw"] > 0.9
assert inverted.params == 24 * 144 + 9 * 144 + 144 * 24 + 2 * (144 + 144 + 24)
assert np.mean(lost[2]) > 0.2 > 0.02 > np.mean(lost[40])
assert np.mean(errors["full"]) < 0.5
assert after.macs < before.macs / 7
lesson.end()
