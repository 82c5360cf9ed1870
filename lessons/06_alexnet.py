# %% [markdown]
# # AlexNet: the network of 2012, layer by layer
#
# In 2012 convolutional networks won the ImageNet contest with 15.3 % top-5 error (the answers of
# seven networks, averaged); the next entry had 26.2 %. Nothing in them was magic. Here we build
# that network one layer at a time, count what each layer costs, prove each gradient, look at
# what each trick does, and then train a small copy on real handwritten digits.
#
# Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural
# Networks", NIPS 2012.

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from threadpoolctl import threadpool_limits

from scratchnet import (
    Layer,
    data,
    gradcheck,
    layers,
    models,
    no_grad,
    optim,
    training,
    visualize,
)
from scratchnet.cost import macs, params_sum
from scratchnet.lesson import Lesson

lesson = Lesson("alexnet")

# %% [markdown]
# ## 1. The network, one layer at a time
#
# The input is an image of 3 × 227 × 227 numbers. For each layer the table shows
#
# - the shape of its output;
# - its parameters, as kernel · kernel · inputs · outputs + biases. conv2, conv4 and conv5 are
#   cut into two groups, because the network was trained on two GPUs: half of the filters see
#   only the half of the maps that lies on their own card. So conv2 has 5·5·48·256 weights,
#   not 5·5·96·256;
# - its multiply-accumulates (MACs): each output number of a convolution is a sum of
#   kernel · kernel · inputs products;
# - the gradient check: the worst relative error between the backward pass and an
#   independent measurement of the derivative. Only "correct" is a pass.
#
# The check needs few pixels, so it sees each layer with all its filters on a smaller image,
# and the fully connected layers with all their inputs and 64 of their outputs.


# %%
def check_of(layer: Layer, channels: tuple[int, ...]) -> gradcheck.Report:
    """Check a layer's gradients on a small input with the right number of channels."""
    rng = np.random.default_rng(0)
    if isinstance(layer, layers.Linear):
        small = layers.Linear(layer.in_features, 64)
        small.weight.value, small.bias.value = layer.weight.value[:64], layer.bias.value[:64]
        return gradcheck.check(small, rng.standard_normal((2, layer.in_features)), probes=2)
    if len(channels) == 1:
        return gradcheck.check(layer, rng.standard_normal((2, 12)), probes=2)
    size = (15, 19) if getattr(layer, "kernel_size", (0, 0))[0] == 11 else (6, 7)
    return gradcheck.check(layer, rng.standard_normal((1, channels[0], *size)), probes=2)


alexnet = models.alexnet(rng=0)
x = np.zeros((1, 3, 227, 227), dtype=np.float32)
total_params = total_macs = 0
reports = []

print(f"{'layer':8s} {'output':>12s}   {'parameters':>26s} {'':>12s} {'MACs':>12s}   gradient")
with no_grad():
    for name, layer in alexnet.children():
        y = layer.eval().forward(x)
        params, cost = sum(p.value.size for p in layer.parameters()), macs(layer, y.shape)
        report = check_of(layer.train(), x.shape[1:])

        total_params, total_macs = total_params + params, total_macs + cost
        reports.append(report)
        print(f"{name:8s} {'×'.join(map(str, y.shape[1:])):>12s}   "
              f"{params_sum(layer) if params else '':>26s} "
              f"{f'= {params:,}' if params else '':>12s} {f'{cost:,}' if cost else '':>12s}   "
              f"{report.verdict}, {report.worst:.0e}")
        x = y
print(f"{'total':8s} {'':>12s}   {'':>26s} {f'= {total_params:,}':>12s} {total_macs:>12,}")

# %% [markdown]
# The abstract says "60 million parameters". Counted exactly, and by an independent count of the
# paper's figure, it is 60,965,224, with 724,406,816 MACs for one image. Do we agree?

# %%
print(f"parameters: {total_params:,}, expected 60,965,224: "
      f"{'equal' if total_params == 60_965_224 else 'DIFFERENT'}")
print(f"MACs:       {total_macs:,}, expected 724,406,816: "
      f"{'equal' if total_macs == 724_406_816 else 'DIFFERENT'}")
fc = sum(p.value.size for name in ("fc6", "fc7", "fc8") for p in alexnet[name].parameters())
print(f"The three fully connected layers hold {fc / total_params:.0%} of the parameters;")
fc_macs = sum(alexnet[name].weight.value.size for name in ("fc6", "fc7", "fc8"))
print(f"the five convolutions do {1 - fc_macs / total_macs:.0%} of the work.")
del alexnet, x, y

# %% [markdown]
# ## 2. ReLU: a slope that does not fade
#
# Units used to be squashed by tanh. Where tanh saturates, its slope is next to nothing, and the
# gradient that passes back through it is multiplied by that slope, layer after layer. ReLU's
# slope is 1 for every positive number, however large.

# %%
z = np.linspace(-4, 4, 401)
curves = {}
for unit in (layers.Tanh(), layers.ReLU()):
    value = unit.forward(z)
    curves[type(unit).__name__] = value, unit.backward(np.ones_like(z))    # dy = 1: the slope

for at in (0.5, 1.0, 2.0, 4.0):
    i = int(np.argmin(abs(z - at)))
    tanh, relu = (curves[name][1][i] for name in ("Tanh", "ReLU"))
    print(f"at {at:3.1f} the slope of tanh is {tanh:.4f}, of ReLU {relu:.0f}; "
          f"after five layers: {tanh ** 5:.1e} and {relu ** 5:.0f}")

figure = Figure(figsize=(8, 2.8), layout="constrained")
for axes, what, title in zip(figure.subplots(1, 2), (0, 1), ("y", "slope ∂y/∂x"), strict=True):
    for name, color in (("Tanh", "tab:orange"), ("ReLU", "tab:blue")):
        axes.plot(z, curves[name][what], color=color, label=name)
    axes.set(title=title, xlabel="x", ylim=(-1.2, 2.5))
    axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "relu_and_tanh",
            alt="Tanh and ReLU, and their slopes: tanh's fades on both sides, ReLU's is 1")

# %% [markdown]
# ## 3. Local response normalisation: neighbours inhibit each other
#
# At each pixel, channel i is divided by (k + α · the sum of squares of the five channels around
# it)^β. A channel that shouts turns its neighbours down, as neurons of the eye do. Here is
# one pixel with eleven channels, all at 20 but for one at 200.

# %%
a = np.full((1, 11, 1, 1), 20.0)
a[0, 5] = 200.0
b = layers.LocalResponseNorm().forward(a)
print("channel  ", " ".join(f"{i:6d}" for i in range(11)))
print("before   ", " ".join(f"{v:6.1f}" for v in a.ravel()))
print("after    ", " ".join(f"{v:6.2f}" for v in b.ravel()))
print(f"Far from the loud channel, 20 becomes {b[0, 0, 0, 0]:.2f}; two channels beside it, "
      f"{b[0, 3, 0, 0]:.2f}. The loud one itself keeps {b[0, 5, 0, 0] / 200:.0%} of its value,")
print(f"the quiet ones far away {b[0, 0, 0, 0] / 20:.0%}.")

figure = Figure(figsize=(8, 2.6), layout="constrained")
for axes, values, title in zip(figure.subplots(1, 2), (a, b), ("before", "after"), strict=True):
    colors = ["tab:red" if i == 5 else "tab:orange" if abs(i - 5) <= 2 else "tab:blue"
              for i in range(11)]
    axes.bar(range(11), values.ravel(), color=colors)
    axes.set(title=f"{title} normalisation", xlabel="channel", xticks=range(11))
    axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "lateral_inhibition",
            alt="Eleven channels before and after: beside the loud one the quiet ones shrink")

# %% [markdown]
# ## 4. Overlapping pooling
#
# A window of 3×3 that moves by 2 overlaps its neighbour by one row; a window of 2×2 that moves
# by 2 does not. In how many windows does each pixel lie? Backward knows: with an average
# pooling scaled to a sum and dy = 1, each pixel receives exactly one for each window it is in.

# %%
figure = Figure(figsize=(8, 2.9), layout="constrained")
for axes, kernel in zip(figure.subplots(1, 2), (2, 3), strict=True):
    pool = layers.AvgPool2d(kernel, stride=2)
    image = np.zeros((1, 1, 7, 7))
    windows = pool.forward(image)
    count = pool.backward(np.ones_like(windows))[0, 0] * kernel * kernel
    name = "overlapping" if kernel > 2 else "side by side"
    print(f"kernel {kernel}, stride 2 ({name}): pixels of one row lie in "
          f"{' '.join(str(round(c)) for c in count[2])} windows")
    axes.imshow(count, cmap="Blues", vmin=0, vmax=6)
    for r, q in np.ndindex(count.shape):
        axes.text(q, r, f"{count[r, q]:.0f}", ha="center", va="center")
    for n, (i, j) in enumerate(((0, 0), (0, 2), (2, 0))):
        axes.add_patch(Rectangle(
            (j - 0.45 + 0.04 * n, i - 0.45 + 0.04 * n), kernel - 0.1, kernel - 0.1, fill=False,
            edgecolor=("tab:red", "tab:orange", "tab:green")[n], linewidth=2))
    axes.set(title=f"{kernel}×{kernel}, stride 2: {name}", xticks=[], yticks=[])
lesson.save(figure, "pooling_windows",
            alt="Two grids of pixels, with the number of windows over each: 1, or 1, 2 and 4")

# %% [markdown]
# ## 5. Dropout: half of the units, drawn anew each time
#
# While training, each of the 4096 numbers after fc6 and fc7 is set to zero with probability
# one half, so no unit can rely on another one being there. At test time all are there, twice
# as many as in training, and something must make up for it. There are two ways:
#
# - the paper's: training y = mask · x, testing y = 0.5 · x;
# - today's, and ours: training y = mask · x / 0.5, testing y = x.
#
# They differ by a constant factor of 2 in both modes, so they are the same network with
# differently scaled weights behind it.

# %%
units = np.full((1, 4096), 3.0)
dropout = layers.Dropout(0.5, rng=0)
ours_training, ours_testing = dropout.train().forward(units), dropout.eval().forward(units)
paper_training, paper_testing = (ours_training != 0) * units, 0.5 * units
print("the first twelve units:", *(f"{v:.0f}" for v in ours_training[0, :12]))
print(f"kept: {np.mean(ours_training != 0):.1%}")
print(f"mean, ours:      training {ours_training.mean():.3f}, testing {ours_testing.mean():.3f}")
print(f"mean, the paper: training {paper_training.mean():.3f}, testing {paper_testing.mean():.3f}")
print("ours = 2 · the paper's in both modes:",
      bool(np.allclose(ours_training, 2 * paper_training)
           and np.allclose(ours_testing, 2 * paper_testing)))
lesson.save(visualize.image_sheet((ours_training[:, :256] != 0).reshape(1, 1, 8, 32).astype(float),
                                  columns=1, title="256 units: white ones are kept this time"),
            "dropout_mask", alt="A grid of 256 cells, half of them white, at random")

# %% [markdown]
# ## 6. Real digits, and a small AlexNet
#
# 1,797 handwritten digits ship with scratchnet. We enlarge them from 8×8 to 32×32 and keep 360
# of them aside: nothing below looks at these until the end. As in the paper, the mean
# image of the training set is subtracted.

# %%
threadpool_limits(1, user_api="blas")   # matrices this small: a second thread only waits
digits = data.load_digits(size=32)
mean = digits.train.images.mean(axis=0)
train, validation, test = ((images - mean, labels) for images, labels in digits)
print(f"{len(train[1])} to train on, {len(validation[1])} to validate, {len(test[1])} held out")
lesson.save(visualize.image_sheet(digits.train.images[:20],
                                  [str(c) for c in digits.train.labels[:20]]), "digits",
                                              alt="Twenty handwritten digits")

net = models.alexnet_small(rng=0)
small = sum(p.value.size for p in net.parameters())
print(f"The small AlexNet has the same {len(net)} layers in the same order and {small:,} "
      f"parameters, {total_params / small:.0f} times fewer.")

# %% [markdown]
# ### Where we depart from the paper, and why
#
# The paper draws every weight from a Gaussian with standard deviation 0.01. In its layers
# a sum has up to 9,216 terms; in our narrow ones it has 25 to 576, and 0.01 makes every layer's
# output smaller than its input. Nothing arrives at the end. He's rule, √(2 / number of terms),
# keeps the size. Watch the signal on its way up, and the validation loss over the first 120
# steps:


# %%
def signal(network: layers.Sequential, images: np.ndarray) -> dict[str, float]:
    """How much the outputs of each convolution and linear layer vary from image to image."""
    sizes = {}
    with no_grad():
        for name, layer in network.eval().children():
            images = layer.forward(images)
            if name.startswith(("conv", "fc")):
                sizes[name] = float(images.std(axis=0).mean())
    return sizes


def first_steps(network: layers.Sequential) -> list[float]:
    """The validation loss after every 20 steps of the paper's recipe."""
    optimizer = optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
    loss_function, losses, rng = layers.SoftmaxCrossEntropy(), [], np.random.default_rng(0)
    for step in range(121):
        if step % 20 == 0:
            losses.append(training.evaluate(network, *validation)[0])
        batch = rng.choice(len(train[0]), 32, replace=False)
        loss_function.forward(network.train().forward(train[0][batch]), train[1][batch])
        network.zero_grad().backward(loss_function.backward())
        optimizer.step()
    return losses


inits = {"paper's": models.paper_init(models.alexnet_small(rng=0), rng=0),
         "He's": models.alexnet_small(rng=0)}
sizes = {name: signal(network, validation[0][:64]) for name, network in inits.items()}
print(f"{'':8s}" + "".join(f"{layer:>9s}" for layer in sizes["He's"]))
for name, row in sizes.items():
    print(f"{name:8s}" + "".join(f"{value:9.1e}" for value in row.values()))
first = {name: first_steps(network) for name, network in inits.items()}
for name, losses in first.items():
    print(f"{name:8s} loss: " + " ".join(f"{v:.2f}" for v in losses) +
          f"   (guessing: {np.log(10):.2f})")

# %% [markdown]
# With 0.01 the answers hardly depend on the image, so the loss stays where guessing puts it.
# The other departures: biases begin at 0 (the paper's 1 served to give ReLU positive
# inputs; He's rule does that); a batch is 32, not 128, because 1,257 images would be only ten
# steps an epoch; and of the paper's augmentation we take the translations (by up to 3 pixels),
# not the reflections, since a mirrored 2 is no digit.
#
# All else is the recipe of the paper: SGD with momentum 0.9, weight decay 0.0005, learning
# rate 0.01, divided by 10 when the validation error stops improving.

# %% [markdown]
# ### Is every gradient right?
#
# Before training, the whole network is checked at once: all its parameters and the input. A
# network can learn with a wrong gradient; it only learns worse, and nobody notices.

# %%
whole = gradcheck.check(net.train(), train[0][:3], probes=2)
print(whole)

# %% [markdown]
# ### Training

# %%
lesson.replace(net, train[0][:32])      # by your own layers, if you gave some: --with relu.py
start = time.perf_counter()
net.to(lesson.device)
optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
history = training.fit(net, train, validation, optimizer, epochs=35, batch_size=32,
                       schedule=training.Plateau(patience=5, drops=3), rng=0,
                       transform=lambda images, rng: data.random_shift(images, rng, pixels=3),
                       loss=lesson.loss)
seconds = time.perf_counter() - start
print(f"{len(history)} epochs in {seconds:.0f} seconds")
lesson.save(visualize.learning_curves(history), "learning_curves",
            alt="Loss and error falling over the epochs, with steps where the rate drops")
for epoch in range(0, len(history), 5):
    e = history[epoch]
    print(f"epoch {epoch + 1:2d}: rate {e.lr:.0e}, training loss {e.train_loss:.3f}, "
          f"validation error {e.validation_error:.1%}")

# %% [markdown]
# ## 7. The held-out digits

# %%
logits = training.predict(net, test[0])
top1, top5 = (training.top_k(logits, test[1], k) for k in (1, 5))
answers = logits.argmax(axis=1)
print(f"top-1: {top1:.1%}   top-5: {top5:.1%}   ({len(test[1])} digits the network never saw)")

matrix = training.confusion_matrix(answers, test[1], classes=10)
print("\nconfusion matrix (rows: the digit, columns: the answer)")
print("    " + "".join(f"{c:4d}" for c in range(10)))
for digit, row in enumerate(matrix):
    print(f"{digit:4d}" + "".join(f"{n or '·':>4}" for n in row))
lesson.save(visualize.confusion(matrix), "confusion",
            alt="A table of ten digits against ten answers; nearly all counts are on the diagonal")

wrong = np.flatnonzero(answers != test[1])
p = np.exp(logits - logits.max(axis=1, keepdims=True))
p /= p.sum(axis=1, keepdims=True)
print(f"\nwrong: {len(wrong)}")
for n in wrong:
    print(f"  digit {n}: a {test[1][n]}, taken for a {answers[n]} with {p[n, answers[n]]:.0%} "
          f"({p[n, test[1][n]]:.0%} for the {test[1][n]})")
if len(wrong):
    lesson.save(visualize.image_sheet(
        digits.test.images[wrong], [f"{test[1][n]}, not {answers[n]}" for n in wrong],
        columns=5, title="the digits it got wrong"), "mistakes",
                    alt="The digits it got wrong, with what they are and what they were taken for")

# %% [markdown]
# ## 8. What it looks at
#
# The filters of conv1, and one digit on its way through the layers: edges first, then parts,
# then a few numbers a channel that no longer look like anything, and from which the digit can
# be told.

# %%
net.to("cpu")
lesson.save(visualize.filters(net.conv1.weight.value, "the filters of conv1"), "conv1_filters",
            alt="The filters of the first convolution: edges and blobs")
steps = [("the digit", digits.test.images[0])]
with no_grad():
    maps = test[0][:1]
    for name, layer in net.eval().children():
        maps = layer.forward(maps)
        if name in ("relu1", "norm1", "pool1", "relu2", "pool2", "relu3", "relu4", "relu5",
                    "pool5"):
            steps.append((name, maps[0]))
lesson.save(visualize.feature_maps(steps), "feature_maps",
            alt="One digit on its way through the layers, a row of small maps each")

# %% [markdown]
# ## 9. Six sentences one reads about AlexNet

# %%
groups = [name for name, layer in models.alexnet(rng=0).children()
          if isinstance(layer, layers.Conv2d) and layer.geometry.groups == 2]
order = [name for name, _ in net.children()][:4]
rectified = [name.removeprefix("relu") for name, layer in net.children()
             if isinstance(layer, layers.ReLU)]
norm = layers.LocalResponseNorm()
lesson.claim("sixty-million", "right", f"Rounded: counted exactly it has {total_params:,}.")
lesson.claim("alexnet-groups", "right", f"{', '.join(groups)} have two groups here, as in the "
             f"paper's table; conv3 has one, and the fully connected layers see all.")
lesson.claim("alexnet-order", "wrong", f"The paper's order is {', '.join(order)}: normalisation "
             f"first. A well-known copy of the network (CaffeNet) swapped the two.")
lesson.claim("dropout-half", "right, but incomplete", "That is the paper's form. Today the factor "
             "stands in training, and testing leaves all as it is; section 5 shows that they "
             "differ by a constant factor in both modes.")
lesson.claim("relu-everywhere", "right, but incomplete", f"After layers {', '.join(rectified)}: "
             f"after all hidden ones. The last, fc8, has none: its numbers may be negative.")
lesson.claim("lrn-constants", "right", f"Ours begins with k = {norm.k:g}, n = {norm.size}, "
             f"α = {norm.alpha:g}, β = {norm.beta:g}, and stands where the paper has it.")

# %% [markdown]
# ## What we have seen
#
# - The network of the paper has 60,965,224 parameters, nearly all of them in three fully
#   connected layers, and does 724,406,816 multiply-accumulates an image, nearly all of them in
#   five convolutions.
# - ReLU's slope does not fade; LRN turns down the neighbours of a loud channel; pooling windows
#   may overlap; dropout may scale in training or in testing.
# - Every backward pass was measured against its forward pass, layer by layer and whole.
# - A small copy, trained by the paper's recipe but for its initialisation, reads digits it has
#   never seen.
#
# To write yourself: `scratchnet exercise start relu`, `conv2d`, `lrn`, `overlapping_pool`,
# `dropout`.
#
# To try: leave out LRN, or make the pooling windows 2×2, or replace ReLU by Tanh, and train
# again. Which of them does this network need?

# %%
assert all(report.passed for report in reports), "a layer's gradient is wrong"
assert whole.passed, "the small network's gradient is wrong"
assert (total_params, total_macs) == (60_965_224, 724_406_816)
assert sizes["paper's"]["fc8"] < 1e-3 * sizes["He's"]["fc8"]
assert first["paper's"][-1] > 2.2 and first["He's"][-1] < 2.0
assert groups == ["conv2", "conv4", "conv5"]
assert order == ["conv1", "relu1", "norm1", "pool1"]
assert top1 >= 0.98, f"expected at least 98 % of the held-out digits right, got {top1:.1%}"
lesson.end()
