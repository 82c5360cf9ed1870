# %% [markdown]
# # VGG: one kind of layer, and depth
#
# AlexNet's kernels are 11×11, 5×5 and 3×3, ZFNet's 7×7, 5×5 and 3×3. Whoever designs a network has
# to choose again, and cannot tell afterwards whether the kernels made it better, or the number of
# layers, or the channels. What does depth do on its own?
#
# In 2014 Simonyan and Zisserman fixed all but one thing. Every convolution is 3×3 with
# stride 1 and padding 1, every pooling is 2×2, the channels double where the side halves, up to
# 512. What they changed was the depth: 11, 13, 16 and 19 layers. (One variant has some 1×1
# convolutions.) Seven of their networks together came second in the contest of that year, with
# 7.3 % top-5 error.
#
# Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
# ICLR 2015.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import layers, models
from scratchnet.cost import summary
from scratchnet.lesson import Lesson, experiment, quoted, steps, verdict, what_changed

lesson = Lesson("vgg")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Three layers of 3×3 see as far as one of 7×7
#
# The receptive field of an output pixel is the part of the image that it depends on. After one
# 3×3 layer it is 3 pixels wide. Each further 3×3 layer with stride 1 adds one pixel on each side:
#
# $$3, \quad 3 + 2 = 5, \quad 5 + 2 = 7$$
#
# The backward pass shows it. Let all weights be 1, and send back $dy = 1$ from one pixel in
# the middle. A pixel of the image gets a gradient exactly if it was seen. Its size is the number of
# ways to the output: by the chain rule, each way through the layers adds the product of the weights
# on it, and here each product is 1.


# %%
def ways(*kernels: int) -> np.ndarray:
    """The gradient in an image of 9×9 from the middle pixel, through layers with weights 1."""
    convs = [layers.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for kernel in kernels]
    x = np.zeros((1, 1, 9, 9))
    for conv in convs:
        conv.weight.value = np.ones_like(conv.weight.value, dtype=np.float64)
        x = conv.forward(x)
    dy = np.zeros_like(x)
    dy[0, 0, 4, 4] = 1
    for conv in reversed(convs):
        dy = conv.backward(dy)
    return dy[0, 0]


fields = {"one 7×7": ways(7), "two 3×3": ways(3, 3), "three 3×3": ways(3, 3, 3)}
sides = {name: int((field.sum(axis=0) > 0).sum()) for name, field in fields.items()}
for name, field in fields.items():
    print(f"{name:10s} sees {sides[name]}×{sides[name]}; the middle row counts "
          + " ".join(f"{n:.0f}" for n in field[4]))

figure = Figure(figsize=(8, 3), layout="constrained")
for axes, (name, field) in zip(figure.subplots(1, 3), fields.items(), strict=True):
    axes.imshow(field / field.max(), cmap="Blues", vmin=0, vmax=1.4)
    for (i, j), n in np.ndenumerate(field):
        axes.text(j, i, f"{n:.0f}", ha="center", va="center", fontsize=8,
                  color="0.1" if n else "0.7")
    axes.set(title=f"{name}: {sides[name]}×{sides[name]}", xticks=[], yticks=[])
lesson.save(figure, "ways", alt="Ways from each pixel to one output: through one 7×7 layer a "
            "square of ones, through three 3×3 layers a square as large, high in the middle and "
            "1 in the corners")

# %% [markdown]
# The side is the same, 7. But the middle is reached by 49 paths and a corner by one. Three small
# layers look at the middle of their field more than at its rim, at least with equal weights.
#
# ## 2. What it costs, with all channels
#
# A 7×7 kernel has 49 numbers, three 3×3 kernels have 27. But that is one kernel, from one
# channel to one channel. A layer from C channels to C channels has a kernel for each pair, C·C of
# them:
#
# $$7 \cdot 7 \cdot C^2 = 49\,C^2, \qquad 3 \cdot (3 \cdot 3 \cdot C^2) = 27\,C^2$$
#
# To this come the biases: C in one layer, 3·C in three. The multiply-accumulates (MACs) are the
# weights times the number of output pixels, so they have the same ratio. Here for 14×14 pixels.

# %%
print(f"{'C':>4s} {'7·7·C·C + C':>14s} {'3·(3·3·C·C + C)':>18s}   {'ratio':>5s} "
      f"{'MACs, 7×7':>14s} {'MACs, three':>14s}")
ratio = {}
for C in (1, 64, 512):
    one = layers.Sequential(layers.Conv2d(C, C, 7, padding=3))
    three = layers.Sequential(*(layers.Conv2d(C, C, 3, padding=1) for _ in range(3)))
    tables = [summary(net, (C, 14, 14)) for net in (one, three)]
    assert tables[0].params == 49 * C * C + C and tables[1].params == 27 * C * C + 3 * C
    ratio[C] = tables[0].params / tables[1].params
    print(f"{C:4d} {tables[0].params:14,} {tables[1].params:18,}   {ratio[C]:5.2f} "
          f"{tables[0].macs:14,} {tables[1].macs:14,}")
print(f"49/27 = {49 / 27:.2f}: the 7×7 layer has {49 / 27 - 1:.0%} more")

# %% [markdown]
# The paper says it so, too: 81 % more. Three layers also bend three times, because a ReLU follows
# each (its curve, lesson 5). Is that a gain? Leave the ReLUs out. Then three 3×3 layers are one
# 7×7 layer whose weights can be read off: send in an image that is 1 at one pixel and 0 elsewhere.
# Each output then is the weight that joins it to that pixel. (In reverse order: the output to the
# left sees the pixel with its right weight.)

# %%
C = 4
stack = [layers.Conv2d(C, C, 3, bias=False, rng=i) for i in range(3)]       # no padding


def through(x: np.ndarray, relu: bool) -> np.ndarray:
    """Three layers of 3×3, with a ReLU after each or without."""
    for conv in stack:
        x = conv.forward(x)
        x = np.maximum(x, 0) if relu else x
    return x


point = np.zeros((C, C, 13, 13), dtype=np.float32)      # image c: a point in channel c
point[range(C), range(C), 6, 6] = 1
merged = layers.Conv2d(C, C, 7, bias=False)
read = through(point, relu=False)[:, :, ::-1, ::-1]     # [channel in, channel out, 7, 7], turned
merged.weight.value = np.ascontiguousarray(read.transpose(1, 0, 2, 3))      # [out, in, 7, 7]
x = rng.standard_normal((2, C, 12, 12), dtype=np.float32)
y = merged.forward(x)
same = bool(np.allclose(y, through(x, relu=False), atol=1e-4))
bent = bool(np.allclose(y, through(x, relu=True), atol=1e-4))
print(f"three 3×3 without ReLU equal one 7×7: {same}; with ReLU: {bent}")

# %% [markdown]
# So without ReLU the stack can do nothing that a 7×7 layer cannot, and less: 27 numbers cannot
# make every set of 49. With ReLU it is another function. The paper calls the stack a regularisation
# of the 7×7 filters: a limit on what they can be.

# %%
lesson.claim("vgg-three-3x3", "right, but incomplete",
             "27 and 49 are the weights for one channel in and one out. With C channels they are "
             f"27·C² and 49·C² (and biases); the ratio {ratio[512]:.2f} stays, and so does the "
             f"field, {sides['three 3×3']}×{sides['three 3×3']}.")

# %% [markdown]
# ## 3. The configurations
#
# The paper's table 1: six columns, and in each five stages. "64" is a 3×3 convolution to 64
# channels, with a ReLU. After each stage comes a maximum over 2×2. In column C, "1·256" is a 1×1
# convolution (lesson 9). A-LRN is A with local response normalisation (lesson 6) after its first
# layer. Three fully connected layers follow in all of them: 4096, 4096 and 1000 outputs, the first
# with 512·7·7 = 25,088 inputs. The errors are the paper's (its table 3), of one network trained on
# images of one scale, in per cent.

# %%
CONFIGURATIONS = {
    "A": ("64", "128", "256 256", "512 512", "512 512"),
    "B": ("64 64", "128 128", "256 256", "512 512", "512 512"),
    "C": ("64 64", "128 128", "256 256 1·256", "512 512 1·512", "512 512 1·512"),
    "D": ("64 64", "128 128", "256 256 256", "512 512 512", "512 512 512"),
    "E": ("64 64", "128 128", "256 256 256 256", "512 512 512 512", "512 512 512 512"),
}
PUBLISHED = {"A": (29.6, 10.4), "A-LRN": (29.7, 10.5), "B": (28.7, 9.9), "C": (28.1, 9.4),
             "D": (27.0, 8.8), "E": (27.3, 9.0)}      # top-1, top-5; smaller side 256 in training
FULL = 25088 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 1000 + 1000


def count(stages: tuple[str, ...]) -> tuple[int, int, int]:
    """Layers with weights, parameters and MACs of a configuration, from its text alone."""
    depth, params, macs = 3, sum(FULL), 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    channels, side = 3, 224
    for stage in stages:
        for layer in stage.split():
            kernel, out = (1, int(layer[2:])) if layer.startswith("1·") else (3, int(layer))
            weights = kernel * kernel * channels * out
            depth, params, macs = depth + 1, params + weights + out, macs + weights * side * side
            channels = out
        side //= 2
    return depth, params, macs


print(f"{'':2s}{'layers':>6s} {'parameters':>12s} {'MACs':>15s}  top-1  top-5")
counted = {name: count(stages) for name, stages in CONFIGURATIONS.items()}
for name, (depth, params, cost) in counted.items():
    error = "{:5.1f}  {:5.1f}".format(*PUBLISHED[name]) if name in PUBLISHED else "    ·      ·"
    print(f"{name:2s}{depth:6d} {params:12,} {cost:15,}  {error}")
print("A-LRN: top-1 {}, top-5 {}: LRN does not help".format(*PUBLISHED["A-LRN"]))
print("\nthe stages of each:")
for name, stages in CONFIGURATIONS.items():
    print(f"{name:2s}" + " | ".join(stages))

# %% [markdown]
# From A to B to C to D the error falls. From D to E it does not: 27.3 against 27.0. With images of
# several scales in training the paper has 27.3 for C, 25.6 for D and 25.5 for E. C and D have
# equally many layers, but three of C's do not look around. The parameters hardly grow, from 133 to
# 144 million: most are in the first fully connected layer, which all six share.
#
# ## 4. VGG-16, layer by layer
#
# Configuration D. The rows are the layers of `models.vgg16`, named by stage: conv3_2 is the second
# convolution of the third. Of equal convolutions the gradient check looks at the first.

# %%
vgg16, named, stage, number = models.vgg16(rng=0), {}, 1, 1
for layer in vgg16.features:
    kind = {"Conv2d": "conv", "ReLU": "relu", "MaxPool2d": "pool"}[type(layer).__name__]
    named[f"pool{stage}" if kind == "pool" else f"{kind}{stage}_{number}"] = layer
    if kind == "pool":
        stage, number = stage + 1, 1
    number += kind == "relu"            # a convolution and its ReLU have the same number
named["flatten"] = vgg16.flatten
for name, layer in zip(("fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"),
                       vgg16.classifier, strict=True):
    named[name] = layer
flat = layers.Sequential(**named)
rows = steps(flat, (3, 224, 224))
del flat, vgg16, named, layer           # more than half a gigabyte of weights

# %% [markdown]
# There is no new layer, so there is no new backward pass (lessons 2 to 6 have them all). Where are
# the parameters, and where is the work?

# %%
groups = {f"stage {i}": [row for row in rows if row.name.startswith(f"conv{i}")]
          for i in range(1, 6)} | {row.name: [row] for row in rows if row.name.startswith("fc")}
params = [sum(row.params for row in group) for group in groups.values()]
cost = [sum(row.macs for row in group) for group in groups.values()]
in_full, in_convs = sum(params[5:]) / sum(params), sum(cost[:5]) / sum(cost)
for group, some_params, some_macs in zip(groups, params, cost, strict=True):
    print(f"{group:8s} {some_params / 1e6:7.2f} million parameters, {some_macs / 1e9:5.2f} billion "
          "MACs")
print(f"{in_full:.0%} of the parameters in the fully connected layers, {in_convs:.0%} of the "
      "MACs in the convolutions")

# %% [markdown]
# ## 5. What changed, and what it costs
#
# Against AlexNet. (ZFNet, lesson 7, lies near AlexNet.) The accuracies are as published, of
# released weights, each with its own recipe. (The AdaptiveAvgPool2d is no part of the paper. It
# brings images of other sizes to 7×7 and leaves those of 224×224 as they are.)

# %%
alex, vgg = what_changed("alexnet", "vgg16")
more_params, more_macs = vgg.params / alex.params, vgg.macs / alex.macs

# %%
lesson.claim("vgg-faster", "misleading",
             "True of three 3×3 layers against one 7×7: 27 to 49, in weights and MACs. Not true "
             f"of the network: VGG-16 has {more_params:.1f} times the parameters of AlexNet and "
             f"{more_macs:.0f} times its MACs. Its small kernels were spent on depth and on "
             "channels. The paper reports two to three weeks of training for one network, on "
             "four GPUs.")

# %% [markdown]
# ## 6. An experiment: the kernel, and the depth
#
# Three small networks for drawn shapes, alike but for the convolutions of their two stages: one
# 7×7, one 3×3, or three 3×3. The first and the last see equally far, the second and the last have
# equal kernels. All are trained by the recipe of lesson 4, with batches of 16, from several seeds.
# The ratio 27 to 49 is not to be seen in their parameters: a stage's first layer has fewer channels
# in than out, and the two after it have as many in as out.

# %%
sets = lesson.load("shapes", size=16, train=500, validation=100, test=400, difficulty=0.0)
channels, classes = sets.train.images.shape[1], int(sets.train.labels.max()) + 1


def small(kernel: int, depth: int, seed: int) -> layers.Sequential:
    """Two stages of `depth` convolutions, 8 and 16 channels, then a linear layer."""
    rng, found, C = np.random.default_rng(seed), {}, channels
    for stage, out in ((1, 8), (2, 16)):
        for i in range(1, depth + 1):
            found[f"conv{stage}_{i}"] = layers.Conv2d(C, out, kernel, padding=kernel // 2, rng=rng)
            found[f"relu{stage}_{i}"] = layers.ReLU()
            C = out
        found[f"pool{stage}"] = layers.MaxPool2d(2)
    return layers.Sequential(**found, flatten=layers.Flatten(),
                             fc=layers.Linear(16 * 4 * 4, classes, rng=rng))


variants = {f"{word} {kernel}×{kernel} a stage": (kernel, depth)
            for word, kernel, depth in (("one", 7, 1), ("one", 3, 1), ("three", 3, 3))}
for name, (kernel, depth) in variants.items():
    table = summary(small(kernel, depth, 0), sets.train.images.shape[1:])
    print(f"{name:20s} {table.params:7,} parameters, {table.macs:10,} MACs")
errors = experiment({name: lambda seed, made=made: small(*made, seed)
                     for name, made in variants.items()}, sets,
                    batch_size=16, seeds=range(5) if lesson.full else range(3),
                    epochs=12 if lesson.full else 5, device=lesson.device)
deep, wide, shallow = (errors[name] for name in ("three 3×3 a stage", "one 7×7 a stage",
                                                 "one 3×3 a stage"))
by_kernel, by_depth = verdict(deep, wide), verdict(deep, shallow)
print(f"three 3×3 have fewer errors than one 7×7: {by_kernel}")
print(f"three 3×3 have fewer errors than one 3×3: {by_depth}")

figure = Figure(figsize=(8, 2.2), layout="constrained")
axes = figure.subplots()
for i, values in enumerate(errors.values()):
    axes.scatter(np.array(values) * 100, [i] * len(values), s=45, alpha=0.7, clip_on=False)
    axes.plot([np.mean(values) * 100] * 2, [i - 0.25, i + 0.25], color="0.3")
axes.set(yticks=range(3), yticklabels=list(errors), xlabel="test error in %, one dot a seed",
         xlim=(0, None), ylim=(2.6, -0.6))
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "kernel_and_depth", alt="Test errors of three small networks, a dot for each "
            "seed and a bar at the mean: one 7×7, one 3×3 and three 3×3 layers a stage")

# %% [markdown]
# Does the second line contradict the paper? No. It says that depth does not help *here*: the
# shapes are large, upright and in the middle, and one 3×3 layer a stage names about 99 of 100
# rightly. So there is nothing left for depth to gain, and six convolutions are harder to train than
# two, in five epochs and at the same learning rate. (In a trial of twelve epochs it was the same.)
# The paper's networks sort photographs into a thousand classes; there 11 layers err on 29.6 %.
#
# And does it go on for ever? Here are longer runs of networks of 3×3 layers with batch norm
# (lesson 11), of three depths. Lesson 12 explains "residual"; here the rows "plain" count.

# %%
plain = {name: values for name, values in quoted("depth").items() if name.startswith("plain")}
shallowest, *_, deepest = plain
too_deep = verdict(plain[shallowest], plain[deepest])
print(f"{shallowest} have fewer errors than {deepest.removeprefix('plain, ')}: {too_deep}")

# %% [markdown]
# Stacking alone has an end. Lesson 12 looks for the reason.

# %%
lesson.claim("vgg-not-deep", "wrong",
             "Depth is the one thing the paper varies, and what it finds to help: top-1 error "
             f"{PUBLISHED['A'][0]} % with 11 layers, {PUBLISHED['B'][0]} % with 13, "
             f"{PUBLISHED['D'][0]} % with 16. Its title begins “Very Deep”. AlexNet has 8 layers. "
             "Here it is the other way: on easy drawn shapes one 3×3 layer a stage errs on "
             f"{np.mean(shallow):.1%}, three on {np.mean(deep):.1%}. There depth has nothing to "
             "gain, and deeper stacks train more slowly; with photographs of a thousand classes "
             "it has.")

# %% [markdown]
# ## What we have seen
#
# - Three 3×3 layers see 7×7. They have 27·C² weights against 49·C², and bend three times.
# - Without the ReLUs they would be one 7×7 layer, and not every 7×7 layer could be made that way.
# - From 11 to 16 layers the published error falls; from 16 to 19 it does not.
# - VGG-16 has 138,357,544 parameters, nine tenths of them in three fully connected layers, and
#   does 15.5 billion MACs an image, nearly all of them in its convolutions. It is not cheap.
# - Depth does not help where a shallow network does the task, and plain depth has an end.
#
# Lesson 9 gets rid of the fully connected layers; lesson 12 goes deeper.
#
# ## Exercises
#
# - `scratchnet exercise start counting`
# - `scratchnet exercise start im2col`
# - `scratchnet exercise start col2im`
# - `scratchnet exercise start conv2d`
#
# To try: two 3×3 layers against one 5×5. What is the ratio of their weights? And how many 3×3
# layers see as far as one of 11×11, the size of AlexNet's first kernel? With stride 1, and C
# channels in and out, what is the ratio of the weights?

# %%
assert sides == {"one 7×7": 7, "two 3×3": 5, "three 3×3": 7}
assert fields["three 3×3"][4, 4] == 49 and fields["three 3×3"][1, 1] == 1
assert same and not bent
assert counted["A"] == (11, 132_863_336, 7_609_090_048)
assert counted["B"] == (13, 133_047_848, 11_308_466_176)
assert counted["C"][:2] == (16, 133_638_952)
assert counted["D"][1:] == (vgg.params, vgg.macs) == (138_357_544, 15_470_264_320)
assert counted["E"] == (19, 143_667_240, 19_632_062_464)
assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == counted["D"][1:]
assert 0.88 < in_full < 0.91 and in_convs > 0.99
assert 2.2 < more_params < 2.3 and 21 < more_macs < 22
lesson.end()
