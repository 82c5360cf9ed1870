# %% [markdown]
# # Batch normalisation: set the size of every channel, and learn it
#
# Lesson 5 ended with a worry: the weights must be drawn at the right size, or the signal fades on
# its way up and the gradient on its way down. And once training moves the weights, nothing keeps
# that size. In 2015 Ioffe and Szegedy put a layer behind each convolution that sets mean and
# variance of every channel anew, at each update. Their Inception network then needed 14 times
# fewer updates for the same accuracy, as they report: with batch norm, a higher learning rate that
# it made possible, and some smaller changes.
#
# Ioffe & Szegedy, "Batch Normalization", ICML 2015. They explain it by the inputs of a layer, which
# shift while the layers below learn. Others have disputed that explanation, not the effect. So what
# does the layer compute, and what does it do to the gradient?

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, initialization, layers, visualize
from scratchnet.lesson import Lesson, experiment, quoted, steps, verdict, what_changed

lesson = Lesson("batch_norm")
_ = threadpool_limits(1, user_api="blas")   # matrices this small: a second thread only waits

# %% [markdown]
# ## 1. What it computes
#
# Take one channel. Over a batch of N images of H × W pixels it has $m = N \cdot H \cdot W$ numbers,
# $x_1, \ldots, x_m$. Their mean and variance:
#
# $$\mu = \frac{1}{m} \sum_i x_i, \qquad \sigma^2 = \frac{1}{m} \sum_i (x_i - \mu)^2.$$
#
# Subtract the mean, divide by the standard deviation (ε, a hundred-thousandth, keeps us from
# dividing by 0), and let the channel choose a size γ and a place β of its own:
#
# $$\hat{x}_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad
# y_i = \gamma \cdot \hat{x}_i + \beta.$$
#
# γ begins at 1, β at 0, and both are learned: two parameters a channel. By hand, with four
# numbers:

# %%
x = np.array([1.0, 3.0, 5.0, 11.0])
mu, variance = x.mean(), x.var()
x_hat = (x - mu) / np.sqrt(variance + 1e-5)
print(f"x = {x}, mean {mu:.0f}, variance (16 + 4 + 0 + 36) / 4 = {variance:.0f}")
print("x̂ =", np.round(x_hat, 3))
norm = layers.BatchNorm2d(1).astype("float64")
print("the layer gives the same:",
      bool(np.allclose(norm.forward(x.reshape(4, 1, 1, 1)).ravel(), x_hat)))

# %% [markdown]
# If the weights of the convolution before it are all multiplied by the same positive number, x̂
# stays as it was (but for ε), since mean and deviation are multiplied as well. So the output no
# longer depends on the initial size of the weights. (Their gradient does: for weights a hundred
# times smaller it is about a hundred times larger.) And a bias would be subtracted with the mean: a
# convolution before batch norm needs none.

# %%
for factor, bias in ((0.01, 0.0), (100.0, 0.0), (100.0, 7.0)):
    y = norm.forward((factor * x + bias).reshape(4, 1, 1, 1)).ravel()
    print(f"x̂ of {factor:g} · x + {bias:g}: {np.round(y, 4)}")

# %% [markdown]
# With 0.01 it falls a little short of the others, as there σ² is so small that ε counts.
#
# ## 2. Backwards
#
# Given are the gradients $dy_i$ of the loss with respect to $y_i$. From $y_i = \gamma \hat{x}_i +
# \beta$, and since γ and β stand in all m of them:
#
# $$d\beta = \sum_i dy_i, \qquad d\gamma = \sum_i dy_i \hat{x}_i, \qquad
# d\hat{x}_i = \gamma \cdot dy_i.$$
#
# Now $x_j$. It reaches the loss in three ways: directly through $\hat{x}_j$, and through μ and σ²,
# which it shares with all the others. Write $r = \frac{1}{\sqrt{\sigma^2 + \epsilon}}$.
#
# 1. Directly: $\frac{\partial \hat{x}_j}{\partial x_j} = r$, which gives $r \cdot d\hat{x}_j$.
# 2. Through μ: $\frac{\partial \mu}{\partial x_j} = \frac{1}{m}$ and
#    $\frac{\partial \hat{x}_i}{\partial \mu} = -r$ for every i. The ways through all the
#    $\hat{x}_i$ add up to $-\frac{r}{m} \sum_i d\hat{x}_i$.
# 3. Through σ²: $\frac{\partial \sigma^2}{\partial x_j} = \frac{2}{m} (x_j - \mu)$. And
#    $\hat{x}_i = (x_i - \mu) (\sigma^2 + \epsilon)^{-1/2}$ has the derivative
#    $-\frac{1}{2} (x_i - \mu) r^3 = -\frac{1}{2} \hat{x}_i r^2$ with respect to σ². The product of
#    the two, times $d\hat{x}_i$ and added over i, with $(x_j - \mu) r = \hat{x}_j$, gives
#    $-\frac{r}{m} \hat{x}_j \sum_i d\hat{x}_i \hat{x}_i$.
#
# (μ stands in σ², too. That path is empty: moving μ changes σ² by
# $-\frac{2}{m} \sum_i (x_i - \mu)$, and deviations from the mean add up to 0.)
#
# The three together, with $\sum d\hat{x}_i = \gamma \, d\beta$ and
# $\sum d\hat{x}_i \hat{x}_i = \gamma \, d\gamma$:
#
# $$dx_j = \gamma r \cdot ( dy_j - \frac{d\beta}{m} - \hat{x}_j \frac{d\gamma}{m} ).$$

# %%
dy = np.array([1.0, 0.0, -1.0, 2.0])
r, gamma = 1 / np.sqrt(variance + 1e-5), 1.0
by_hand = gamma * r * (dy - dy.sum() / 4 - x_hat * (dy * x_hat).sum() / 4)
norm.forward(x.reshape(4, 1, 1, 1))
by_layer = norm.backward(dy.reshape(4, 1, 1, 1)).ravel()
print("by hand:  ", np.round(by_hand, 4))
print("the layer:", np.round(by_layer, 4))
print(f"sum of dx: {by_layer.sum():.0e}; sum of dx · x̂: {(by_layer * x_hat).sum():.0e}")
report = gradcheck.check(layers.BatchNorm2d(3), np.random.default_rng(0).standard_normal(
    (4, 3, 2, 5)))
print(report)

# %% [markdown]
# The two sums say what batch norm does to a gradient: it takes out the part that would move all
# numbers alike and the part that would stretch them all, for neither could change the output.
# (The second sum is not quite 0 because of ε.)
#
# A trap: with dy = 1 everywhere dx is 0, whatever x is, for then dβ = m and dγ, the sum of the x̂,
# is 0. A test whose loss is the plain sum of the outputs passes even if backward returns zeros.
#
# ## 3. Training and evaluation
#
# In training, what an image gets depends on which other images are in its batch. When the network
# is used, that must not be: the answer for one picture should not depend on its neighbours. So
# training keeps **running averages**, and evaluation takes these for μ and σ²:
#
# running ← 0.9 · running + 0.1 · batch.
#
# (For the variance the layer takes the batch's times m / (m − 1), the usual estimate from a
# sample.) In evaluation they are constants, so backward is only dx = dy · γ r, the first of the
# three ways.

# %%
rng = np.random.default_rng(0)
norm = layers.BatchNorm2d(1).astype("float64")
track, batches = [], []
for _ in range(60):
    batch = 3.0 + 2.0 * rng.standard_normal((8, 1, 2, 2))
    norm.train().forward(batch)
    batches.append(batch.mean())
    track.append((float(norm.running_mean[0]), float(norm.running_var[0])))
print(f"after 60 batches of mean 3, variance 4: running mean {track[-1][0]:.2f}, "
      f"running variance {track[-1][1]:.2f}")
image = np.full((1, 1, 2, 2), 5.0)
answers = {}
for mode in ("train", "eval"):
    answers[mode] = []
    for others in (0.0, 6.0):
        batch = np.concatenate([image, others + rng.standard_normal((7, 1, 2, 2))])
        getattr(norm, mode)()           # norm.train() or norm.eval()
        answers[mode].append(float(norm.forward(batch)[0, 0, 0, 0]))
    print(f"{mode:5s}: the same image among others of mean 0 and of mean 6: "
          f"{answers[mode][0]:.2f} and {answers[mode][1]:.2f}")

figure = Figure(figsize=(8, 2.6), layout="constrained")
axes = figure.subplots()
axes.plot(batches, ".", color="0.6", label="mean of each batch")
axes.plot([mean for mean, _ in track], color="tab:blue", label="running mean")
axes.plot([var for _, var in track], color="tab:orange", label="running variance")
axes.set(xlabel="batches seen", ylim=(0, 6))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, ncols=3, loc="upper right")
lesson.save(figure, "running_averages", alt="The running mean rises to 3 and the running variance "
            "to 4 while batches pass; the means of single batches scatter around 3.")

# %% [markdown]
# From 0 and 1 the averages need some dozens of batches to arrive. A network that has seen few
# batches is worse in evaluation than in training for that reason alone. And with small batches,
# of two images say, mean and variance are mostly chance.
#
# ## 4. In a network
#
# The block of nearly every network since: convolution without bias, batch norm, ReLU. Here for an
# image of 3 × 16 × 16. A batch norm has 2 parameters for each channel.


# %%
def deep(kind: str, seed: int, widths: tuple[int, ...] = (8, 8, 12, 12, 16, 16)
         ) -> layers.Sequential:
    """3×3 convolutions with "nothing", "LRN" or "batch norm", for images of 16×16."""
    parts, channels = {}, 3
    for n, width in enumerate(widths, start=1):
        parts[f"conv{n}"] = layers.Conv2d(channels, width, 3, padding=1,
                                          bias=kind != "batch norm")
        if kind == "batch norm":
            parts[f"norm{n}"] = layers.BatchNorm2d(width)
        parts[f"relu{n}"] = layers.ReLU()
        if kind == "LRN":
            parts[f"norm{n}"] = layers.LocalResponseNorm(5, 0.1, 0.75, 1.0)
        if n in (len(widths) // 3, 2 * len(widths) // 3):       # after a third, and two thirds
            parts[f"pool{n}"] = layers.MaxPool2d(2)
        channels = width
    net = layers.Sequential(**parts, mean=layers.AdaptiveAvgPool2d(1), flatten=layers.Flatten(),
                            fc=layers.Linear(channels, 10))
    return initialization.he(net, rng=seed)


rows = steps(deep("batch norm", 0), (3, 16, 16))

# %% [markdown]
# ## 5. It sets the size anew
#
# Twenty layers, once with weights by He's rule (lesson 5), once with AlexNet's standard deviation
# of 0.01, and each with batch norm and without. How large is the gradient of each layer's weights,
# as a share of the last one's?

# %%
sets = lesson.load("shapes", size=16, train=600, validation=1, test=400, difficulty=0.0)
middle = sets.train.images.mean(axis=0)
flows, left = {}, {}
for kind in ("nothing", "batch norm"):
    for rule in ("He", "0.01"):
        net = deep(kind, 0, (8,) * 19)
        if rule == "0.01":
            initialization.gaussian(net, 0.01, rng=0)
        name = f"{kind}, {rule}"
        flows[name] = visualize.gradient_flow(net, sets.train.images[:32] - middle,
                                              sets.train.labels[:32])
        size = flows[name].rms()[0]
        left[name] = size[0] / size[-1]
        print(f"{name:18s} {left[name]:.1e} is left in the first layer")
lesson.save(visualize.flow_figure(flows, note="before training, 32 images"), "gradient_flow",
            alt="The gradient in each of twenty layers: without normalisation and with weights of "
                "0.01 it falls by many powers of ten, with batch norm it does not.")

# %% [markdown]
# With batch norm the small weights do no harm: nothing vanishes. On the contrary, the gradient is
# larger below than above. In deep plain networks with batch norm it grows on its way down, and over
# many more layers that is a trouble of its own, for which lesson 12 has the remedy.
#
# ## 6. Against LRN, and against nothing
#
# Lesson 6 met another normalisation, LRN, local response normalisation: each number is divided by a
# power of the sum of squares of itself and its neighbours in other channels, at the same pixel. It
# looks at one image, has no parameters, and does not set a mean to 0. AlexNet's constants are for
# numbers of about 100; ours are near 1, so here k = 1 and α = 0.1.
#
# First a tiny run, six convolutions, two rates, by the recipe of lesson 4:

# %%
tiny = {}
for lr in (0.02, 0.1):
    tiny.update(experiment({f"{kind}, rate {lr}": lambda seed, kind=kind: deep(kind, seed)
                            for kind in ("nothing", "LRN", "batch norm")}, sets,
                           seeds=range(5 if lesson.full else 3),
                           epochs=12 if lesson.full else 5, lr=lr, device=lesson.device))

# %% [markdown]
# Ten kinds of shapes: 90 % errors is guessing. After so few epochs hardly anything but batch norm
# has begun to learn. And the longer run, nine convolutions:

# %%
errors = quoted("batch_norm")

# %%
figure = Figure(figsize=(8, 3.0), layout="constrained")
for axes, (title, table) in zip(figure.subplots(1, 2, sharey=True),
                                (("the tiny run", tiny), ("the longer run", errors)), strict=True):
    for row, name in enumerate(errors):
        axes.plot([100 * e for e in table[name]], [row] * len(table[name]), "o", alpha=0.6)
        axes.plot([100 * np.mean(table[name])], [row], "k|", markersize=16)
    axes.set(title=title, xlabel="test error, % (one dot a seed; mark: mean)", xlim=(0, 100),
             yticks=range(len(errors)), yticklabels=list(errors), ylim=(len(errors) - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "nothing_lrn_batch_norm", alt="Test errors with nothing, LRN and batch norm at "
            "two rates, a dot for each seed, in a tiny run and a longer one.")
best = {kind: min((table for name, table in errors.items() if name.startswith(kind)),
                  key=np.mean) for kind in ("nothing", "LRN", "batch norm")}
for kind, table in best.items():
    print(f"{kind:12s} at its better rate: {np.mean(table):.1%}")

# %% [markdown]
# Batch norm is ahead at both rates, and its seeds lie close together. (The better rate is chosen by
# these test errors themselves; the order of the three is the same at both.) LRN does harm here, and
# not only by its nature: AlexNet has it twice, here it stands behind each of nine convolutions, and
# each time it makes the signal a little smaller, for which He's rule does not make up. So the
# verdict on LRN depends on this set-up, and on our k and α.
#
# ## 7. What changed in GoogLeNet
#
# The paper's own network was a larger relative of GoogLeNet, with batch norm and without LRN: each
# 5×5 had become two 3×3, and there were more modules and channels. `googlenet_bn` is another form,
# in use today: GoogLeNet's widths, with batch norm, one 3×3 where GoogLeNet has 5×5, and another
# recipe. So not every difference below is due to batch norm.

# %%
before, after = what_changed("googlenet", "googlenet_bn")

# %% [markdown]
# ## 8. The claim

# %%
lrn, bn = (verdict(best[kind], best["nothing"]) for kind in ("LRN", "batch norm"))
lesson.claim("lrn-needed", "right, but incomplete",
             f"A ReLU cannot saturate above 0, and AlexNet's authors give LRN's gain as 1.4 points "
             f"top-1 error; VGG's found none (29.7 % with, 29.6 % without). Here, LRN fewer errors "
             f"than nothing: {lrn} (in nine places, with "
             f"one k and α; the paper has two); batch norm fewer than nothing: {bn} "
             f"({np.mean(best['batch norm']):.1%}, LRN {np.mean(best['LRN']):.1%}, nothing "
             f"{np.mean(best['nothing']):.1%}, each at its better rate). But batch norm is no "
             f"lateral inhibition: it took LRN's place, not its task. Saturation is not all, "
             f"either: ReLUs with weights of 0.01 keep {left['nothing, 0.01']:.0e} of the gradient "
             f"over 20 layers, with batch norm it does not vanish.")

# %% [markdown]
# ## What we have seen
#
# - Batch norm gives each channel mean 0 and variance 1 over the batch, then a size γ and a place β
#   of its own. The output no longer depends on the size of the weights before it, nor on a bias.
# - Backwards each number gets its own gradient, less a share for the mean and one for the variance.
# - Training uses the batch, evaluation the running averages: they are two different functions.
# - It keeps the gradient alive through twenty layers even from small weights, and the networks with
#   it erred least here.
#
# ## Exercises
#
# - `scratchnet exercise start batchnorm`
# - `scratchnet exercise start lrn`
# - `scratchnet exercise start hunt_batchnorm`
# - `scratchnet exercise start hunt_lrn`

# %%
assert np.mean(best["batch norm"]) < np.mean(best["nothing"])
assert report.passed, "batch norm's gradient is wrong"
assert np.allclose(by_hand, by_layer) and abs(by_layer.sum()) < 1e-9
assert abs(track[-1][0] - 3) < 0.5 and abs(track[-1][1] - 4) < 1.5
assert answers["eval"][0] == answers["eval"][1]
assert abs(answers["train"][0] - answers["train"][1]) > 1
assert left["nothing, 0.01"] < 1e-6 and left["batch norm, 0.01"] > 1e-2
assert left["batch norm, He"] > 1e-2 and after.params != before.params
lesson.end()
