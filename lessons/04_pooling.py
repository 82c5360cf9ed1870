# %% [markdown]
# # Pooling: four ways to make an image smaller
#
# A convolution keeps the side of an image, or nearly. But a class is one word, not an image: on
# the way from 224 × 224 pixels to one answer, something must throw numbers away. Halve the side,
# and the next convolution has a quarter of the work, and its window covers twice as much of the
# picture. Which numbers should go?
#
# LeNet (1998) took means, AlexNet (2012) maxima of windows that overlap, ResNet (2015) mostly
# convolutions that skip every second pixel. Here we do all of them by hand, derive their backward
# passes, and train the same network with each.
#
# LeCun, Bottou, Bengio & Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.

# %%
import json

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import data, gradcheck, initialization, layers, models
from scratchnet.cost import summary
from scratchnet.lesson import Lesson, files
from scratchnet.lesson.experiment import experiment, quoted, verdict

lesson = Lesson("pooling")
_ = threadpool_limits(1, user_api="blas")   # matrices this small: a second thread only waits

# %% [markdown]
# ## 1. Where it stands in the papers
#
# A window of k × k pixels moves by s pixels, the stride, and leaves one number at each place. The
# formula of lesson 3 holds: from a side of H pixels, without padding, it makes
#
# $$\frac{H - k}{s} + 1,$$
#
# rounded down. Each channel is pooled on its own, so their number stays. Here are the pooling
# layers of three networks, with the shape of their outputs:

# %%
for name, shape in (("lenet5", (1, 32, 32)), ("alexnet", (3, 227, 227)),
                    ("resnet18", (3, 224, 224))):
    for row in summary(models.get_model(name, rng=0), shape).rows:
        if "Pool" in row.layer or "Subsampling" in row.layer:
            print(f"{name:9s} {row.name:8s} {row.layer:44s} → "
                  f"{'×'.join(map(str, row.output_shape)):>9s}   {row.params} parameters")

# %% [markdown]
# LeNet's layers have parameters, since it multiplies each channel's means by a learned number and
# adds another: 6 · 2 = 12. The others have none: there is nothing to learn in a maximum. ResNet's
# last one takes the mean of the whole map.
#
# ## 2. By hand
#
# One channel of 5 × 5 pixels. The windows of 2 × 2 lie side by side and leave out the last row
# and column. Those of 3 × 3 move by 2 as well, and share a row or a column with their neighbours.

# %%
x = np.array([[1, 5, 2, 0, 3],
              [4, 2, 1, 6, 2],
              [0, 1, 9, 2, 4],
              [3, 7, 2, 8, 1],
              [2, 0, 5, 1, 6]], dtype=float).reshape(1, 1, 5, 5)
pools = {"max 2×2": layers.MaxPool2d(2), "average 2×2": layers.AvgPool2d(2),
         "max 3×3, stride 2": layers.MaxPool2d(3, 2)}
outputs = {name: pool.forward(x) for name, pool in pools.items()}
for name, y in outputs.items():
    print(f"{name:18s} {y[0, 0].tolist()}")

# %% [markdown]
# The first window holds 1, 5, 4, 2: its maximum is 5, its mean (1 + 5 + 4 + 2) / 4 = 3. The 9 in
# the middle lies in all four windows of 3 × 3, and wins in each of them.
#
# ## 3. The maximum, backwards
#
# As in lesson 1, dy is the gradient of the loss with respect to what the layer returned, and we
# want dx, the same for its input. Let the window of output $y$ hold $x_1, \ldots, x_m$, and let
# $x_w$, the winner, be the largest. Then $y = x_w$. Move $x_w$ a little, and $y$ moves as much.
# Move another one a little, and nothing happens:
#
# $$\frac{\partial y}{\partial x_i} = 1 \mathrm{\ if\ } i = w, \mathrm{\ otherwise\ } 0.$$
#
# So dy goes to the winner and nobody else gets any. If several tie, the first in reading order
# counts as the winner (lesson 1). Backward must know who won, not what the numbers were; forward
# writes that down, a few bytes a window. In overlapping windows a pixel can win more than once. The
# loss then depends on it in several ways, and parallel ways add.
#
# ## 4. The mean, backwards
#
# $$y = \frac{1}{m} \sum_{i=1}^{m} x_i, \qquad \frac{\partial y}{\partial x_i} = \frac{1}{m}.$$
#
# Every pixel of the window gets dy / m. With dy = 1 everywhere:

# %%
received = {}
for name, pool in pools.items():
    received[name] = pool.backward(np.ones_like(outputs[name]))[0, 0]
    print(name)
    for row in received[name]:
        print("    " + " ".join(f"{v:5.2f}" for v in row))

figure = Figure(figsize=(8, 3.0), layout="constrained")
for axes, (name, dx) in zip(figure.subplots(1, 3), received.items(), strict=True):
    axes.imshow(np.sqrt(dx), cmap="Blues", vmin=0, vmax=2.2)
    for (i, j), v in np.ndenumerate(x[0, 0]):
        axes.text(j, i, f"{v:.0f}", ha="center", va="center",
                  color="white" if dx[i, j] > 2.5 else "black")
    axes.set(title=name, xticks=[], yticks=[])
figure.suptitle("the numbers are the pixels; the darker, the more gradient", fontsize=10)
lesson.save(figure, "who_gets_the_gradient", alt="The 5×5 pixels three times, shaded by the "
            "gradient they receive: four winners, sixteen equal shares, and one pixel with four.")

# %% [markdown]
# The maximum gives all to one pixel in four, the mean a quarter to each. In the windows of 3 × 3
# the 9 gets 4: one from each. The last row and column get nothing from the 2 × 2 windows, because
# none of them looks there.
#
# ## 5. A convolution with stride 2
#
# A convolution can leave pixels out, too: it computes its sum at every second place only. With
# weights $w_{uv}$ and one channel,
#
# $$y_{ij} = \sum_{u,v} w_{uv} \cdot x_{2i+u, 2j+v}.$$
#
# The derivative with respect to pixel $x_{2i+u, 2j+v}$ is $w_{uv}$, so backward sends
# $w_{uv} \cdot dy_{ij}$ there and adds what comes from several windows. The derivative with
# respect to $w_{uv}$ is the pixel under it, summed over all places: $\sum_{ij} dy_{ij} \cdot
# x_{2i+u, 2j+v}$. Nothing else is new; the stride only says which places exist.
#
# If all four weights of a 2 × 2 window are 1/4, this is the mean. Average pooling is one
# particular convolution with stride 2, and a network that has the convolution could learn it:

# %%
conv = layers.Conv2d(1, 1, 2, stride=2, bias=False, rng=0)
conv.weight.value = np.full((1, 1, 2, 2), 0.25)
as_mean = conv.forward(x)
sent_back = conv.backward(np.ones_like(as_mean))[0, 0]
print(f"equal forwards: {np.allclose(as_mean, outputs['average 2×2'])}, "
      f"equal backwards: {np.allclose(sent_back, received['average 2×2'])}")

# %% [markdown]
# No weights make it the maximum: a sum is linear, and the maximum of a sum is not the sum of the
# maxima. That is the real difference between the two.
#
# Are all four gradients right, and what does each cost for 16 channels of 24 × 24 pixels? The 3 × 3
# windows fit in (24 − 3) / 2 + 1 = 11.5 places; here this is rounded up (`ceil_mode`), so that all
# make 12 × 12: the last window hangs over the edge.

# %%
ways = {"max 2×2": layers.MaxPool2d(2), "average 2×2": layers.AvgPool2d(2),
        "max 3×3, stride 2": layers.MaxPool2d(3, 2, ceil_mode=True),
        "convolution 3×3, stride 2": layers.Conv2d(16, 16, 3, stride=2, padding=1, rng=0)}
reports, costs = {}, {}
print(f"{'':27s}{'output':>10s}{'parameters':>26s}{'MACs':>9s}   gradient")
for name, layer in ways.items():
    table = summary(layer, (16, 24, 24))
    costs[name] = table.params, table.macs
    reports[name] = gradcheck.check(
        layer, np.random.default_rng(0).standard_normal((2, 16, 7, 7)), probes=2)
    y = layer.forward(np.zeros((1, 16, 24, 24), dtype=np.float32))
    params = "3·3·16·16 + 16 = 2,320" if table.params else "·"
    print(f"{name:27s}{'×'.join(map(str, y.shape[1:])):>10s}{params:>26s}"
          f"{f'{table.macs:,}' if table.macs else '·':>9s}   {reports[name].verdict}, "
          f"{reports[name].worst:.0e}")

# %% [markdown]
# The convolution has 3·3·16 products for each of 16·12·12 outputs, 331,776. Pooling multiplies
# next to nothing.
#
# ## 6. What is lost?
#
# Every one of them leaves one number where four were. Two images that differ can have the same
# output. Here are five windows. Average pooling takes four of them for the same, max pooling three:

# %%
windows = {"flat": [2, 2, 2, 2], "checkerboard": [4, 0, 0, 4], "one bright pixel": [8, 0, 0, 0],
           "edge": [4, 4, 0, 0], "all bright": [4, 4, 4, 4]}
kept = {}
for name, values in windows.items():
    window = np.array(values, dtype=float).reshape(1, 1, 2, 2)
    kept[name] = (layers.MaxPool2d(2).forward(window).item(),
                  layers.AvgPool2d(2).forward(window).item())
    print(f"{name:17s} {values}   maximum {kept[name][0]:.0f}   mean {kept[name][1]:.0f}")

# %% [markdown]
# The mean cannot tell a checkerboard from a flat grey, nor from a bright pixel. The maximum
# cannot tell an edge from an area that is all bright. Where a filter has found something in one
# place and nothing beside it, as after a ReLU, the maximum says "it was here" and the mean divides
# that by four.
#
# Does pooling make the answer independent of small shifts? We move drawn shapes one pixel to the
# right and measure how much of the output changes, relative to its size. Two fixed 3 × 3 filters
# that find edges (Sobel's) stand before each pooling, and only the size of what they find counts.
# The last line keeps every second pixel of that, as a stride of 2 does.

# %%
pictures = data.load_shapes(size=24, train=64, validation=1, test=1, difficulty=0.0)
images = pictures.train.images.mean(axis=1, keepdims=True).astype(float)
edges = layers.Conv2d(1, 2, 3, padding=1, bias=False, rng=0)
sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=float)
edges.weight.value = np.stack([sobel, sobel.T])[:, None]
every_second = layers.MaxPool2d(1, 2)       # windows of one pixel
changes = {}
for name, layer in (("no pooling", None), ("max 2×2", ways["max 2×2"]),
                    ("average 2×2", ways["average 2×2"]),
                    ("max 3×3, stride 2", ways["max 3×3, stride 2"]),
                    ("every second pixel", every_second)):
    before, after = (abs(edges.forward(np.roll(images, shift, axis=3))) for shift in (0, 1))
    if layer:
        before, after = layer.forward(before), layer.forward(after)
    changes[name] = float(np.sqrt(np.sum((after - before) ** 2) / np.sum(before**2)))
    print(f"{name:20s} {changes[name]:.0%} of the output changes")

figure = Figure(figsize=(8, 2.4), layout="constrained")
axes = figure.subplots()
axes.barh(list(changes), [100 * v for v in changes.values()], color="tab:blue")
axes.invert_yaxis()
axes.set(xlabel="change of the output when the image moves by one pixel, %")
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "shifted_by_one", alt="Bars: how much the output changes when the image moves "
            "by one pixel, without pooling, for three poolings, and for every second pixel.")

# %% [markdown]
# The maximum softens a shift, and over wider windows more so. The mean does no more on these thin
# edges than leaving pixels out. None removes it: each window is fixed in its place, and what
# crosses its border changes the output.
#
# ## 7. Which of them learns best?
#
# A small network, in which each convolution is followed by one of the four. The initial weights
# come from the same rule (He's, lesson 5), and each is trained from three seeds with the recipe of
# lesson 3, but with the rate 0.05, batches of 64, the mean image subtracted, and weight decay: each
# step also makes the weights a little smaller. First a tiny run, with two convolutions.


# %%
def network(how: str, seed: int) -> layers.Sequential:
    """Two convolutions of 8 and 16 filters, each followed by `how`, for images of 16×16."""
    smaller = {"max 2×2": lambda C: [layers.MaxPool2d(2)],
               "average 2×2": lambda C: [layers.AvgPool2d(2)],
               "max 3×3, stride 2": lambda C: [layers.MaxPool2d(3, 2, ceil_mode=True)],
               "convolution 3×3, stride 2": lambda C: [
                   layers.Conv2d(C, C, 3, stride=2, padding=1), layers.ReLU()]}[how]
    net = layers.Sequential(
        layers.Conv2d(3, 8, 3, padding=1), layers.ReLU(), *smaller(8),
        layers.Conv2d(8, 16, 3, padding=1), layers.ReLU(), *smaller(16),
        layers.Flatten(), layers.Linear(16 * 4 * 4, 10))
    return initialization.he(net, rng=seed)


sets = lesson.load("shapes", size=16, train=600, validation=1, test=400, difficulty=0.0)
tiny = experiment({how: lambda seed, how=how: network(how, seed) for how in ways}, sets,
                  seeds=range(6 if lesson.full else 3), epochs=16 if lesson.full else 6, lr=0.05,
                  device=lesson.device)

# %% [markdown]
# (The ± is the standard deviation over the seeds, as in lesson 3.) Now the longer run: three
# convolutions, on larger and more varied pictures.

# %%
errors = quoted("poolings")
record = json.loads((files.folder() / "experiments.json").read_text(encoding="utf-8"))["poolings"]
learnt = {how: float(np.mean(each)) for how, each in record["train_errors"].items()}
print("errors on the images that they learnt from, mean:\n  "
      + ", ".join(f"{how} {error:.1%}" for how, error in learnt.items()))

# %%
figure = Figure(figsize=(8, 2.8), layout="constrained")
for axes, (title, table) in zip(figure.subplots(1, 2, sharey=True),
                                (("the tiny run", tiny), ("the longer run", errors)), strict=True):
    for row, how in enumerate(ways):
        axes.plot([100 * e for e in table[how]], [row] * len(table[how]), "o", alpha=0.6)
        axes.plot([100 * np.mean(table[how])], [row], "k|", markersize=16)
    axes.set(title=title, xlabel="test error, % (one dot a seed; mark: mean)",
             yticks=range(len(ways)), yticklabels=list(ways), ylim=(3.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "four_poolings", alt="Test errors of the four ways to halve the side, a dot "
            "for each seed, in a tiny run and a longer one.")

# %% [markdown]
# The mean does worst in both runs. But it also fails on images that it learnt from: it has not
# finished learning. One reading: a mean of four numbers varies less than they do, which He's rule
# does not count in. Another rule, rate or more epochs may bring it nearer. And the network with
# strided convolutions has more layers, more ReLUs and more parameters than the others. If it wins,
# that may be why, and not because of how it skips pixels.
#
# ## 8. Claims

# %%
overlap = verdict(errors["max 3×3, stride 2"], errors["max 2×2"])
means = {how: float(np.mean(table)) for how, table in errors.items()}
lesson.claim("overlapping-pooling", overlap,
             f"With windows of 3×3 the longer run has {means['max 3×3, stride 2']:.1%} test error, "
             f"with 2×2 {means['max 2×2']:.1%}, three seeds each. AlexNet's authors report 0.4 "
             f"points less top-1 and 0.3 less top-5 error on ImageNet, with a million images: a "
             f"difference that small would be lost in the spread of these runs.")
learned = "convolution 3×3, stride 2"
lead = verdict(errors[learned], errors["max 2×2"])
lesson.claim("max-or-average", "misleading",
             f"None keeps all: each makes one number of four. The maximum passes the gradient to "
             f"one pixel in four; the mean takes a checkerboard for grey; a filter with stride 2 "
             f"has weights that are learned, and can be the mean exactly. In the longer run it has "
             f"{means[learned]:.1%} errors, max 2×2 {means['max 2×2']:.1%}; that it has fewer is "
             f"{lead}.")

# %% [markdown]
# ## What we have seen
#
# - Pooling makes one number of a window, channel by channel, without parameters.
# - Backwards the maximum gives dy to the winner, the mean gives dy / m to all, a convolution gives
#   weight · dy; where windows overlap, what a pixel gets adds up.
# - Average pooling is a convolution with stride, each channel on its own, whose weights are
#   fixed at 1/m. The maximum is not.
# - All of them lose something, and each loses something else. Max pooling softens a shift by a
#   pixel, and does not remove it.
#
# ## Exercises
#
# - `scratchnet exercise start max_pool`
# - `scratchnet exercise start overlapping_pool`
# - `scratchnet exercise start avg_pool`
# - `scratchnet exercise start hunt_max_pool`

# %%
assert all(report.passed for report in reports.values()), "a gradient is wrong"
assert outputs["max 2×2"][0, 0, 0, 0] == 5 and outputs["average 2×2"][0, 0, 0, 0] == 3
assert received["max 3×3, stride 2"][2, 2] == 4 and (received["max 2×2"] > 0).sum() == 4
assert costs["convolution 3×3, stride 2"] == (2320, 331776)
assert kept["flat"][1] == kept["checkerboard"][1] == kept["one bright pixel"][1]
assert kept["checkerboard"][0] == kept["edge"][0] == kept["all bright"][0]
assert np.allclose(as_mean, outputs["average 2×2"])
assert np.allclose(sent_back, received["average 2×2"])
assert 0 < changes["max 3×3, stride 2"] < changes["max 2×2"] < changes["every second pixel"]
assert changes["max 2×2"] < changes["average 2×2"]
assert verdict(errors["max 2×2"], errors["average 2×2"]) == "confirmed here"
assert max(learnt, key=learnt.get) == "average 2×2" and learnt["average 2×2"] > 0.2
assert abs(changes["average 2×2"] - changes["every second pixel"]) < 0.03
assert max(tiny, key=lambda how: np.mean(tiny[how])) == "average 2×2"
lesson.end()
