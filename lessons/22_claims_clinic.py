# %% [markdown]
# # The claims clinic: sentences that everybody repeats, examined
#
# Texts about these networks copy from each other, and with the facts they copy the slips. The
# other lessons have looked into sentences about their own network. Here are those that are
# left: about data, about figures, about training, and one about overfitting.
#
# There are three ways to examine a sentence. Some can be *counted*, some follow from a *formula*,
# and some need an *experiment*, with several seeds and the spread shown. Where none of these is
# possible, because the sentence is about what somebody did or measured, we say what the paper
# reports and name it: Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep
# Convolutional Neural Networks", NIPS 2012, called "the paper" below.

# %%
import math

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import data, layers, models, optim, training, visualize
from scratchnet.convolution import output_size
from scratchnet.lesson import FINISHED, Lesson, claims, verdict
from scratchnet.lesson.experiment import line

lesson = Lesson("claims_clinic")
_ = threadpool_limits(1, user_api="blas")
SEEDS = range(8 if lesson.full else 4)

# %% [markdown]
# ## 1. Does padding prevent overfitting? Does a larger stride?
#
# A network *overfits* when it gets its training images right and new ones wrong. The distance
# between the two errors is the *gap*:
#
# $$\mathrm{gap} = \mathrm{test\ error} - \mathrm{training\ error}$$
#
# The reason that is given for padding is that zeros enter the features, as with dropout (lesson
# "alexnet"). But dropout silences numbers at random, anew for each image; the zeros of padding are
# the same in every image, so there is no chance in them. And neither padding nor stride changes the
# number of a convolution's parameters; they can only change what comes after it. Count that
# first: a convolution on 16×16 pixels, and a fully connected layer with 10 outputs right behind it.

# %%
behind = {}
for name, stride, padding in (("padding 1, stride 1", 1, 1), ("no padding, stride 1", 1, 0),
                              ("padding 1, stride 2", 2, 1)):
    side = output_size(16, 3, stride, padding)
    behind[name] = 24 * side * side * 10 + 10
    print(f"{name:22s} convolution 3·3·12·24 + 24 = {3 * 3 * 12 * 24 + 24:,}, output "
          f"24×{side}×{side}, then 24·{side}·{side}·10 + 10 = {behind[name]:>6,}")

# %% [markdown]
# So a stride of 2 makes the layer behind it four times smaller, and padding makes it *larger*.
# Fewer parameters may mean less overfitting, but then it is their number that does it. To see what
# stride and padding do themselves, all networks of the experiment have equally many: before the
# fully connected layer the maps are averaged to 4×4, however large they are.
#
# Each seed draws new weights and takes 150 other training images; the test images are always the
# same. So few images can be learned by heart, and then the gap is the test error itself.
#
# The images, epochs, rate and difficulty of the shapes are those of one set-up. Others may give
# another verdict on so small a difference as that of padding; only this one is shown.


# %%
def network(padding: int, stride: int, channels: int, classes: int, seed: int
            ) -> layers.Sequential:
    """For images of 16×16; `padding` of both convolutions, `stride` of the first."""
    rng = np.random.default_rng(seed)
    return layers.Sequential(
        conv1=layers.Conv2d(channels, 12, 3, stride=stride, padding=padding, rng=rng),
        relu1=layers.ReLU(),
        pool1=layers.MaxPool2d(2),
        conv2=layers.Conv2d(12, 24, 3, padding=padding, rng=rng),
        relu2=layers.ReLU(),
        pool2=layers.AdaptiveAvgPool2d(4),
        flatten=layers.Flatten(),
        fc3=layers.Linear(24 * 4 * 4, classes, rng=rng),
    )


FEW = 150
sets = lesson.load("shapes", size=16, train=FEW * len(SEEDS), validation=10, test=800,
                   difficulty=0.1)
ours = not isinstance(sets, data.Data)              # not the reader's own


def floats(images: np.ndarray) -> np.ndarray:
    """Bytes, as a reader's own pictures may be, from 0 to 1."""
    images = np.asarray(images)
    return images / np.float32(255) if images.dtype == np.uint8 else images


many, test = sets.train, (sets.test.images[:800], sets.test.labels[:800])
images, labels = floats(many.images[:FEW * len(SEEDS)]), many.labels[:FEW * len(SEEDS)]
middle = images.mean(axis=(0, 2, 3), keepdims=True)
images, test = images - middle, (floats(test[0]) - middle, test[1])
channels, classes = images.shape[1], int(max(labels.max(), test[1].max())) + 1

VARIANTS = {"padding 1": (1, 1), "no padding": (0, 1), "stride 2": (1, 2)}
errors: dict[str, dict[str, list[float]]] = {}
for name, (padding, stride) in VARIANTS.items():
    errors[name] = {"training": [], "test": []}
    for seed in SEEDS:
        part = slice(FEW * seed, FEW * (seed + 1))
        x, t = images[part], labels[part]
        net = network(padding, stride, channels, classes, seed)
        sgd = optim.SGD(net.parameters(), lr=0.03, momentum=0.9, weight_decay=5e-4)
        training.fit(net, (x, t), (x[:8], t[:8]), sgd, 30, 15,
                     training.WarmUp(training.Cosine(30), epochs=1), rng=seed, progress=False,
                     clip=5.0)
        errors[name]["training"].append(training.evaluate(net, x, t)[1])
        errors[name]["test"].append(training.evaluate(net, *test)[1])
    errors[name]["gap"] = [b - a for a, b in zip(errors[name]["training"],
                                                 errors[name]["test"], strict=True)]
for what in ("training", "test", "gap"):
    print(f"{what}{'' if what == 'gap' else ' error'}:")
    for name in VARIANTS:
        print("  " + line(name, errors[name][what]))

figure = Figure(figsize=(8, 2.9), layout="constrained")
axes = figure.subplots()
for row, name in enumerate(VARIANTS):
    for what, color, shift in (("training", "tab:blue", 0.14), ("test", "tab:orange", -0.14)):
        values = errors[name][what]
        axes.plot(values, [row + shift] * len(values), "o", color=color, alpha=0.6,
                  label=f"{what} error" if row == 0 else None)
        axes.plot([np.mean(values)] * 2, [row + shift - 0.12, row + shift + 0.12], color=color)
axes.set(yticks=range(len(VARIANTS)), yticklabels=list(VARIANTS),
         xlabel="error; a dot is a seed, a line the mean",
         xlim=(-0.02, None), ylim=(2.6, -0.6))
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "overfitting", alt="Training and test errors of three networks, with padding, "
            "without, and with stride 2; each dot is a seed.")

# %% [markdown]
# "Padding prevents overfitting" compares padding 1 with no padding; "a larger stride does"
# compares stride 2 with padding 1, which has stride 1. We ask both about the test error, because a
# small gap alone is no merit: a network that learns nothing has none.

# %%
asked = {"padding": ("padding 1", "no padding"), "stride": ("stride 2", "padding 1")}
says = {}
for name, (claimed, other) in asked.items():
    says[name] = {what: verdict(errors[claimed][what], errors[other][what])
                  for what in ("test", "gap")}
    print(f"{claimed} against {other}: fewer test errors: {says[name]['test']}; "
          f"smaller gap: {says[name]['gap']}")
found = [says[name]["test"] for name in asked]
overall = found[0] if found[0] == found[1] else \
    "misleading" if "contradicted here" in found else "not visible at this scale"
lesson.claim(
    "padding-overfitting", overall,
    f"Equal parameters, {FEW} images, {len(SEEDS)} seeds, test errors: " + ", ".join(
        f"{name} {np.mean(errors[name]['test']):.1%}" for name in VARIANTS) +
    f". That padding has fewer: {found[0]}; that stride 2 has fewer: {found[1]}. One set-up was "
    f"tried; another may say otherwise of padding. Padding's zeros are not random, and a stride "
    f"removes parameters only from a fully connected layer right behind it.")

# %% [markdown]
# ## 2. How many images are made of one?
#
# A crop of size $s$ from an image of size $S$ can begin at $S - s + 1$ rows and as many columns,
# and each may be mirrored. That is $2 \cdot (S - s + 1)^2$ different images. Here is a small case,
# drawn 2,000 times; then the size of the paper, which counts $256 - 224 = 32$ positions along an
# axis, one fewer than there are. The library's `TenCrop` has ten views: four corners and the
# centre, and their reflections.

# %%
# every pixel another number, so different crops are different arrays
picture = np.arange(3 * 12 * 12, dtype=np.float32).reshape(1, 3, 12, 12)
crop, mirror, rng = data.RandomCrop(8), data.RandomReflection(), np.random.default_rng(0)
drawn = {mirror(crop(picture, rng), rng).tobytes() for _ in range(2000)}
views = {view.tobytes() for view in data.TenCrop(8)(picture)}
print(f"crops of 8 from 12: 2·{12 - 8 + 1}² = {2 * (12 - 8 + 1) ** 2}; different ones in 2,000 "
      f"draws: {len(drawn)}; in TenCrop, for testing: {len(views)}")
print(f"crops of 224 from 256: 2·33² = {2 * 33 ** 2:,}; the paper says 2·32² = {2 * 32 ** 2:,}")
lesson.claim("ten-images", "wrong",
             f"Random crops and reflections make {2 * 32 ** 2:,} images of one, by the paper's "
             f"count. The ten (four corners and the centre, and their reflections) belong to "
             f"testing: the answers for them are averaged.")

# %% [markdown]
# ## 3. What size is the input?
#
# The paper scales each picture until its shorter side is 256 and cuts the middle 256×256 out of it;
# so a small picture is enlarged, not surrounded by anything. Training then takes crops of 224 from
# that. And the arithmetic of the first layer (kernel 11, stride 4, no padding, output 55) asks for
# $(s - 11)/4 + 1 = 55$, hence $s = 227$.

# %%
for height, width in ((300, 500), (100, 150)):
    photo = np.zeros((3, height, width), dtype=np.uint8)
    scaled = data.resize_shorter(photo, 256)
    square = data.centre_square(photo, 256)
    print(f"{height}×{width} is scaled to {scaled.shape[1]}×{scaled.shape[2]}, then cut to "
          f"{square.shape[1]}×{square.shape[2]}")
for size in (224, 227, 256):
    print(f"input {size}: ({size} − 11)/4 + 1 = {(size - 11) / 4 + 1:.2f}, output of conv1 "
          f"{output_size(size, 11, 4, 0)}")
lesson.claim("input-256", "wrong",
             "256×256 is what is stored: the shorter side is scaled to 256, up or down, and the "
             "middle is cut out. The network sees crops of it, 224 in the text, 227 by the "
             "arithmetic of conv1.")

# %% [markdown]
# ## 4. Colours
#
# The paper changes the colour of each training image by *one* shift for all its pixels, along the
# directions in which colours of the training set vary (the eigenvectors of their
# covariance), with random lengths of the size of that variation: PCA colour. TensorFlow's random
# brightness, contrast and saturation also spread or squeeze the colours within an image. How much
# does the change differ from pixel to pixel?

# %%
if channels == 3:
    sample = floats(many.images[:64])
    pca, jitter = data.PCAColour.of(floats(many.images[:FEW])), data.ColourJitter()
    changes = {name: change(sample, np.random.default_rng(1)) - sample for name, change in
               (("PCA colour", pca), ("brightness, contrast, saturation", jitter))}
    within = {name: float(change.std(axis=(2, 3)).mean()) for name, change in changes.items()}
    for name, change in changes.items():
        print(f"{name:34s} mean size of the change {abs(change).mean():.3f}, "
              f"spread within an image {within[name]:.3f}")
    three = np.repeat(sample[:1], 3, axis=0)
    shown = np.concatenate([sample[:1], pca(three, np.random.default_rng(3)), sample[:1],
                            jitter(three, np.random.default_rng(3))])
    lesson.save(visualize.image_sheet(np.clip(shown, 0, 1),
                                      ["as it is"] + ["PCA"] * 3 + ["as it is"] + ["jitter"] * 3,
                                      columns=4), "colours",
                alt="One picture as it is and three times with PCA colour, then as it is and three "
                    "times with other brightness, contrast and saturation.")
lesson.claim("colour-by-brightness", "wrong",
             "The paper shifts all pixels of an image by the same amount along the principal "
             "directions of colour. Brightness, contrast and saturation are another augmentation, "
             "which often stands in for it. Both are here: PCAColour and ColourJitter.")

# %% [markdown]
# ## 5. How AlexNet began, and how it was trained
#
# `models.alexnet` is initialised as the paper says, and the paper's recipe is a file
# (`scratchnet recipe alexnet`). The next cell reads both.

# %%
alexnet = models.alexnet(rng=0)
ones, spread = [], []
for name, layer in alexnet.children():
    if list(layer.parameters()):
        spread.append(float(layer.weight.value.std()))
        if (layer.bias.value == 1).all():
            ones.append(name)
        print(f"{name}: weights with standard deviation {spread[-1]:.4f}, biases "
              f"{layer.bias.value.min():.0f} to {layer.bias.value.max():.0f}")
del alexnet
lesson.claim("biases-one", "right, but incomplete",
             f"They are {', '.join(ones)}: of the fully connected layers the hidden ones only; "
             f"fc8, conv1 and conv3 begin at 0. The authors of Caffe are reported to have taken "
             f"0.1, because with 1 it did not train.")

recipe = training.recipe("alexnet")
print(f"\nbatches of {recipe.batch_size}; {recipe.optimizer}; {recipe.initialization}")
print(f"at most {recipe.epochs} epochs; {recipe.schedule}")
rates = [recipe.optimizer["lr"] / recipe.schedule["factor"] ** n
         for n in range(recipe.schedule["drops"] + 1)]
updates = math.ceil(1_200_000 / recipe.batch_size)
print("the rate, from drop to drop:", " → ".join(f"{rate:g}" for rate in rates))
print(f"with 1.2 million images: {updates:,} updates an epoch, {90 * updates:,} in 90 epochs")
lesson.claim("training-recipe", "right, but incomplete",
             f"All five numbers are the paper's. The rate is divided by 10 three times, when the "
             f"validation error stops improving, and so ends at {rates[-1]:g}; training took "
             f"about 90 epochs.")

# %% [markdown]
# ## 6. Figures that were reported
#
# These cannot be measured on a laptop. What can be done is to look up what a number is about, and
# to see whether a difference between two of them means anything. An error $e$, measured on $n$
# images drawn at random, has by chance a standard deviation of
#
# $$\sqrt{\frac{e \cdot (1 - e)}{n}}$$
#
# because each image is right or wrong like a coin that falls on one side with probability $e$: one
# such answer (0 or 1) has variance $e (1 - e)$, and the mean of $n$ independent ones an $n$-th of
# it. The contest had 50,000 validation images (as recalled).

# %%
chance = math.sqrt(0.154 * (1 - 0.154) / 50_000)
print(f"top-5 error 15.4 % on 50,000 validation images: give or take {chance:.2%}")
print(f"15.4 % − 15.3 % = 0.10 %: {0.001 / chance:.1f} standard deviations")
lesson.claim("error-15-4", "right, but incomplete",
             f"Both are reported, for the same mean of seven networks: 15.4 % on the validation "
             f"images, 15.3 % on those of the test. By chance alone the first may well be off "
             f"by {chance:.2%}.")

lesson.claim("imagenet-2000", "wrong",
             "As the paper reports it, ImageNet has over 15 million images of roughly 22,000 "
             "categories. The contest uses 1,000 of them, with about 1.2 million training images.")
lesson.claim("contest-2010", "misleading",
             "37.5 % and 17.0 % are top-1 and top-5 errors on the test set of the 2010 contest, "
             "measured for the paper of 2012. No such network took part in 2010; the contest it "
             "won is that of 2012.")

# %% [markdown]
# ## 7. All claims
#
# Here is every sentence of `lessons/claims.toml`, and the lesson that looks into it. A lesson
# writes its verdicts into its output folder (`runs/lesson-NAME`, or that of `--out`). Where that
# folder lies beside this lesson's, its verdict stands here too; "not run here" is no verdict.
# All of them together, from a run of all lessons: `docs/claims.md`; in the book the page "Claims".

# %%
told = {}
for path in sorted(lesson.folder.parent.glob(f"*/{FINISHED}")):
    told.update(claims.answers([path.parent]))
told.update({claim: (lesson.name, *answer) for claim, answer in lesson.answers.items()})
print(f"{'claim':22s} {'lesson':16s} verdict")
for claim in claims.claims().values():
    print(f"{claim.id:22s} {claim.lesson:16s} {told.get(claim.id, ('', 'not run here'))[1]}")
    print(f"    {claim.says}")

# %% [markdown]
# ## What we have seen
#
# - A sentence that can be counted needs no opinion: crops, sizes, biases, parameters.
# - A sentence about errors needs several seeds, and a fair comparison: equal parameters here. The
#   gap between training and test says little without the errors themselves.
# - A number belongs to a data set, a year and a number of networks. Without them 15.4 and 15.3
#   look like a contradiction, and 17.0 like the result of a contest.
# - "Not visible at this scale" is a result too, of this set-up.
#
# ## Exercises
#
# - `scratchnet exercise start counting`: parameters and multiply-accumulates
# - `scratchnet exercise start dropout`: zeros that are chance
# - `scratchnet exercise start sgd`: momentum and weight decay of the recipe
#
# To try: take a sentence from a text that you know, write down what would have to be seen if it
# were wrong, and look.

# %%
assert behind["padding 1, stride 1"] > behind["no padding, stride 1"]
assert round(behind["padding 1, stride 1"] / behind["padding 1, stride 2"]) == 4
assert (len(drawn), len(views)) == (50, 10)
assert output_size(227, 11, 4, 0) == 55 and output_size(224, 11, 4, 0) == 54
assert channels != 3 or within["PCA colour"] < 1e-5 < within["brightness, contrast, saturation"]
assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]
assert all(abs(value - 0.01) < 0.0005 for value in spread)
assert abs(rates[-1] - 1e-5) < 1e-12 and 0.001 < chance < 0.002
mine = [claim.id for claim in claims.claims().values() if claim.lesson == lesson.name]
assert sorted(mine) == sorted(lesson.answers)
if ours:
    assert np.mean(errors["padding 1"]["gap"]) > 0.1            # overfitting there is
lesson.end()
