# %% [markdown]
# # Transfer and ensembles: what one network can give another
#
# The networks of these lessons were published with weights that had seen 1.2 million labelled
# photographs. Few people have so many; they have a hundred, and wish to tell five things apart.
# So the usual advice is not to begin from nothing: take a network that was trained on something
# else, give it a new last layer, and train that, or all of it, a little longer.
#
# Does it help? Here are two experiments: one where it does not help, and one where it does. They
# are two cases, not a sample of all. The second half is about the opposite of sharing: several
# networks that were trained apart, and answer together.
#
# Donahue et al., "DeCAF: A Deep Convolutional Activation Feature for Generic Visual Recognition",
# ICML 2014; Yosinski et al., "How Transferable Are Features in Deep Neural Networks?", NIPS 2014.

# %%
import time
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import data, layers, optim, training, visualize
from scratchnet.layers.softmax import softmax
from scratchnet.lesson import Lesson, steps, verdict
from scratchnet.lesson.experiment import line

lesson = Lesson("transfer")
_ = threadpool_limits(1, user_api="blas")
SEEDS = range(5 if lesson.full else 3)

# %% [markdown]
# ## 1. A body and a head
#
# The network is as small as it may be: two convolutions, and two fully connected layers. The last
# one, fc4, is the *head*: it has one output for each class, so it speaks of the classes of one
# task. All before it is the *body*. What the body hands to the head, 64 numbers for each image,
# are the *features*.


# %%
def network(channels: int, classes: int, seed: int) -> layers.Sequential:
    """For images of 16×16."""
    rng = np.random.default_rng(seed)
    return layers.Sequential(
        conv1=layers.Conv2d(channels, 12, 3, padding=1, rng=rng),
        relu1=layers.ReLU(),
        pool1=layers.MaxPool2d(2),
        conv2=layers.Conv2d(12, 24, 3, padding=1, rng=rng),
        relu2=layers.ReLU(),
        pool2=layers.MaxPool2d(2),
        flatten=layers.Flatten(),
        fc3=layers.Linear(24 * 4 * 4, 64, rng=rng),
        relu3=layers.ReLU(),
        fc4=layers.Linear(64, classes, rng=rng),
    )


_ = steps(network(3, 5, 0), (3, 16, 16))

# %% [markdown]
# Call the features of one image $f$ (64 numbers), the head's weights $W$ and biases $b$. Its
# outputs are $z_c = \sum_i W_{c,i} f_i + b_c$, softmax makes the probabilities $p$ of them, and
# $t_c$ is 1 for the right class and 0 for the others. The loss $L$ is the cross-entropy, and its
# slope $\partial L / \partial z_c$ is $p_c - t_c$ (lesson 2). By the chain rule
#
# $$\frac{\partial L}{\partial W_{c,i}} = (p_c - t_c) \cdot f_i, \qquad
# \frac{\partial L}{\partial b_c} = p_c - t_c, \qquad
# \frac{\partial L}{\partial f_i} = \sum_c (p_c - t_c) \cdot W_{c,i}$$
#
# The third is what would go on into the body. There are two ways from here:
#
# - *fine-tuning*: it goes on, and the body learns too;
# - *a new head*: it stops. The body is fixed (*frozen*), so $f$ is the same in every epoch. Then it
#   can be computed once and kept, and an epoch costs one small matrix product.
#
# `training.freeze` makes a body a fixed function: no step, no weight decay, and layers that behave
# differently in training (dropout, batch norm) stay as in testing. `training.features` runs the
# body once, `training.train_head` does the rest. Does the body stay, and what does an epoch cost?

# %%
Sets = list[tuple[np.ndarray, np.ndarray]]          # training, validation, test


def halves(sets: tuple, largest: int = 3000) -> tuple[Sets, Sets]:
    """The first half of the classes, for the donor, and the second half, renumbered from 0."""
    parts = [(np.asarray(images[:largest]), labels[:largest]) for images, labels in sets[:3]]
    parts = [(images / np.float32(255) if images.dtype == np.uint8 else images, labels)
             for images, labels in parts]           # a reader's own pictures may be bytes
    middle = parts[0][0].mean(axis=(0, 2, 3), keepdims=True)
    half = (int(parts[0][1].max()) + 1) // 2
    return ([(x[t < half] - middle, t[t < half]) for x, t in parts],
            [(x[t >= half] - middle, t[t >= half] - half) for x, t in parts])


def train(net: layers.Sequential, images: np.ndarray, labels: np.ndarray, epochs: int,
          lr: float, batch_size: int) -> layers.Sequential:
    """Train on these; the error on others is looked at once, at the end, by the caller."""
    sgd = optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    schedule = training.WarmUp(training.Cosine(epochs), epochs=1)
    training.fit(net, (images, labels), (images[:8], labels[:8]), sgd, epochs, batch_size,
                 schedule, rng=0, progress=False, clip=5.0)
    return net


def error(net: layers.Sequential, part: tuple[np.ndarray, np.ndarray]) -> float:
    """The share of wrong answers."""
    return training.evaluate(net, *part)[1]


digits_donor, digits_task = halves(data.load_digits(size=16))
images, labels = digits_task[0][0][:100], digits_task[0][1][:100]

net = training.freeze(network(1, 5, seed=0))
training.replace_head(net, 5, rng=1)                # a fresh head is not frozen
before = net.state_dict()
start = time.perf_counter()
train(net, images, labels, epochs=10, lr=0.02, batch_size=10)
through = time.perf_counter() - start
after = net.state_dict()
stayed = {name: bool((before[name] == after[name]).all()) for name in before}
print("changed in ten epochs:", ", ".join(name for name in stayed if not stayed[name]))

start = time.perf_counter()
kept = training.features(net, images)
training.train_head(net, kept, labels, epochs=10, lr=0.02, batch_size=10, rng=0)
cached = time.perf_counter() - start
print(f"features kept: {kept.shape}. Ten epochs through the whole network: {through:.2f} s; "
      f"with kept features: {cached:.3f} s")

# %% [markdown]
# ## 2. Two tasks
#
# Both experiments cut the classes of a set in half. The *donor* learns the first five from many
# images. The *task* is the other five, of which only 5 or 10 images a class are labelled. No
# class and no image of the task has been seen by the donor.
#
# - digits: from 0–4 to 5–9;
# - shapes: from disc, square, triangle, star, cross to ring, crescent, heart, hourglass, arrow.
#   They come in any colour and texture, with some clutter and rotation.

# %%
sets = lesson.load("shapes", size=16, train=3000, validation=50, test=1000, difficulty=0.2)
ours = not isinstance(sets, data.Data)              # not the reader's own
shapes_donor, shapes_task = halves(sets)
shown = [(image, name) for part, name in ((shapes_donor, "donor"), (shapes_task, "task"))
         for c in range(int(part[0][1].max()) + 1) for image in part[0][0][part[0][1] == c][:2]]
sheet, names = np.stack([image for image, _ in shown]), [name for _, name in shown]
sheet = (sheet - sheet.min()) / (sheet.max() - sheet.min())
lesson.save(visualize.image_sheet(sheet, names, columns=10), "classes",
            alt="Two rows of small pictures: five kinds of shape that the donor learns, and the "
                "five other kinds of the task.")

# %% [markdown]
# Four ways to learn the task, from each of several seeds. With each seed the donor, the images
# that are labelled, and the new head are drawn anew; the four ways share them.
#
# - *from nothing*: weights as drawn, all trained;
# - *fine-tuned*: the donor's body, a new head, all trained;
# - *new head*: the donor's body frozen, only the head trained;
# - *random body*: the control. A body as drawn, frozen, only the head trained. If this does as well
#   as the new head, then the donor's training has given nothing.
#
# The first two train for 30 epochs at one rate, the last two for 100. No rate was searched for each
# way, so a difference may in part be the recipe's.

# %%
WAYS = ("from nothing", "fine-tuned", "new head", "random body")
FEW = (5, 10)                                       # labelled images of each class


def transfer(donor: Sets, task: Sets, donor_epochs: int) -> dict[int, dict[str, list[float]]]:
    """Test errors on the task: {labelled images a class: {way: [one a seed]}}."""
    channels, found = donor[0][0].shape[1], {k: {way: [] for way in WAYS} for k in FEW}
    classes = int(task[0][1].max()) + 1
    for seed in SEEDS:
        teacher = train(network(channels, int(donor[0][1].max()) + 1, seed), *donor[0],
                        donor_epochs, lr=0.05, batch_size=32)
        print(f"seed {seed}: the donor's test error on its own classes is "
              f"{error(teacher, donor[2]):.1%}")
        learned, rng = teacher.state_dict(), np.random.default_rng(seed)
        order = [rng.permutation(np.flatnonzero(task[0][1] == c)) for c in range(classes)]
        for k in FEW:
            mine = np.concatenate([at[:k] for at in order])
            images, labels = task[0][0][mine], task[0][1][mine]
            for way in WAYS:
                net = network(channels, int(donor[0][1].max()) + 1, seed)
                if way in ("fine-tuned", "new head"):
                    net.load_state_dict(learned)
                training.replace_head(net, classes, rng=100 + seed)
                if way in ("from nothing", "fine-tuned"):
                    train(net, images, labels, epochs=30, lr=0.02, batch_size=10)
                else:
                    training.train_head(net, training.features(net, images), labels, epochs=100,
                                        lr=0.02, batch_size=10, rng=seed)
                found[k][way].append(error(net, task[2]))
    for k in FEW:
        print(f"{k} labelled images a class, test errors:")
        for way in WAYS:
            print("  " + line(way, found[k][way]))
    return found


print("digits, 0–4 to 5–9")
on_digits = transfer(digits_donor, digits_task, donor_epochs=8)
print("\nshapes, five to five others")
on_shapes = transfer(shapes_donor, shapes_task, donor_epochs=5)

figure = Figure(figsize=(8, 3.2), layout="constrained")
for axes, found, title in zip(figure.subplots(1, 2, sharey=True), (on_digits, on_shapes),
                              ("digits: 0–4 to 5–9", "shapes: five to five others"), strict=True):
    for n, k in enumerate(FEW):
        for way, color in zip(range(4), ("tab:grey", "tab:blue", "tab:orange", "tab:green"),
                              strict=True):
            errors = found[k][WAYS[way]]
            at = way + (n - 0.5) * 0.36
            axes.bar(at, np.mean(errors), 0.32, color=color, alpha=0.4 if n == 0 else 0.9)
            axes.plot([at] * len(errors), errors, "k.", markersize=4)
    axes.set(title=title, xticks=range(4), xticklabels=[way.replace(" ", "\n") for way in WAYS])
    axes.spines[["top", "right"]].set_visible(False)
figure.axes[0].set_ylabel("test error")
figure.supxlabel(f"pale: {FEW[0]} labelled images a class, full: {FEW[1]}; a dot is a seed",
                 fontsize="medium")
lesson.save(figure, "transfer", alt="Bars of test errors for four ways to learn: on digits "
            "fine-tuning is no better than beginning from nothing, on shapes it is far better.")

# %% [markdown]
# ## 3. What is seen
#
# "Better" means here what it means in all lessons (`verdict`): the means differ by more than two
# standard errors of their difference.

# %%
said = {}
for name, found in (("digits", on_digits), ("shapes", on_shapes)):
    for way, other in (("fine-tuned", "from nothing"), ("new head", "random body")):
        for k in FEW:
            said[name, way, k] = verdict(found[k][way], found[k][other])
            print(f"{name}, {k:2d} a class: {way!r} has fewer errors than {other!r}: "
                  f"{said[name, way, k]}")

# %% [markdown]
# On shapes the donor helps much. Presumably it has learned to ignore colour and texture and to look
# at outlines, and that takes more images than the task has. On digits it does not help, and with
# five labels a class it may even harm. They are white strokes on black, all the same size, in the
# same place: there is little to ignore. Features that were made to tell 0–4 apart may have lost
# what would tell a 5 from an 8. Frozen, they have here no fewer errors than random ones. These
# reasons are guesses; the errors are measured.
#
# A longer experiment (`benchmarks/results/training_experiments.json`, three seeds, a rate chosen
# for each way) went from shapes to digits, 10 labels a digit, and found no help either: mean errors
# of 5.4 % from nothing, 6.0 % fine-tuned, 35 % with a new head.
#
# It seems that the advice needs two conditions: the task is hard for the images that it has, and
# what makes it hard is what the donor has learned. Photographs are reported to be such a case; that
# is not tested here.

# %%
cases = [(name, labels, *(float(np.mean(found[labels][way])) for way in ("fine-tuned",
                                                                         "from nothing")),
          said[name, "fine-tuned", labels])
         for name, found in (("shapes", on_shapes), ("digits", on_digits)) for labels in FEW]
answers = {answer for *_, answer in cases}
lesson.claim(
    "transfer-little-data",
    answers.pop() if len(answers) == 1 else "right, but incomplete",
    "Fine-tuning against beginning from nothing, test errors: " + "; ".join(
        f"{name}, {labels} labels a class {tuned:.1%} against {scratch:.1%} ({answer})"
        for name, labels, tuned, scratch, answer in cases) +
    f"; {len(SEEDS)} seeds. It seems that the donor must know what the task is short of.")

# %% [markdown]
# ## 4. Several networks answer together
#
# AlexNet's 15.3 % of 2012 was of seven networks, averaged (lesson 6). Let network $m$ of
# $M$ give the probability $p_m(c)$ to class $c$. The ensemble gives
#
# $$p(c) = \frac{1}{M} \sum_m p_m(c)$$
#
# Its loss cannot be larger than the mean loss of its members. The loss is $-\log p(t)$ for the
# right class $t$, and the curve of $-\log$ bends upwards: between two points it lies below the
# straight line that joins them. So $-\log$ of a mean is at most the mean of the $-\log$ (Jensen's
# inequality). For the *error* there is no such law. If each of three networks is wrong about
# one image in three, but about different ones, the ensemble may be right about all. If they
# are wrong about the same ones, nothing is gained.
#
# Five networks learn the task of the shapes from nothing, all from the same 20 images a class;
# they differ in their first weights alone. We look at every subset of them. (With five classes the
# right one is always among the first five, so the top-5 error is 0.)

# %%
MEMBERS = 7 if lesson.full else 5
few = np.concatenate([np.flatnonzero(shapes_task[0][1] == c)[:20]
                      for c in range(int(shapes_task[0][1].max()) + 1)])
members = [train(network(shapes_task[0][0].shape[1], int(shapes_task[0][1].max()) + 1, 50 + m),
                 shapes_task[0][0][few], shapes_task[0][1][few], 20, lr=0.02, batch_size=10)
           for m in range(MEMBERS)]
ensemble = training.Ensemble(members)
table = ensemble.evaluate(*shapes_task[2])
print(table)

answers = [softmax(training.predict(net, shapes_task[2][0])) for net in members]
truth = shapes_task[2][1]


def loss(p: np.ndarray) -> float:
    """The mean of −log of the probability of the right class."""
    return float(-np.log(p[np.arange(len(truth)), truth]).mean())


by_size = {size: [float(np.mean(np.mean([answers[m] for m in group], axis=0).argmax(axis=1)
                                != truth)) for group in combinations(range(MEMBERS), size)]
           for size in range(1, MEMBERS + 1)}
losses = [loss(p) for p in answers]
together = loss(np.mean(answers, axis=0))
for size, errors in by_size.items():
    print(f"networks: {size}, subsets: {len(errors):2d}, mean error {np.mean(errors):.1%}, "
          f"from {min(errors):.1%} to {max(errors):.1%}")
print(f"loss: mean of the members {np.mean(losses):.2f}, ensemble {together:.2f}")

figure = Figure(figsize=(8, 2.8), layout="constrained")
axes = figure.subplots()
for size, errors in by_size.items():
    axes.plot([size] * len(errors), errors, ".", color="tab:grey")
axes.plot(list(by_size), [np.mean(errors) for errors in by_size.values()], "o-", color="tab:blue",
          label="mean of the subsets")
axes.set(xlabel="networks in the ensemble", ylabel="test error", xticks=list(by_size),
         ylim=(0, None))
axes.legend(frameon=False, loc="lower left")
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "ensemble", alt="Test error against the number of networks that answer "
            "together: it falls, most from one to two and three.")

# %% [markdown]
# The ensemble of five is better than the mean of its members, but not always better than its best
# member: compare the two in the table. Which member is the best is not known before the test. The
# subsets overlap, so their spread says less than that of seeds, and all members have learned from
# one draw of images. $M$ networks cost $M$ times the training and $M$ times the time for an answer.
#
# ## What we have seen
#
# - A network is a body and a head. With the body frozen, its features are computed once, and a
#   head learns from them in a moment.
# - On shapes a donor of other shapes saves more than half of the errors (10 labels a class); on
#   digits a donor of other digits saves none that could be seen. The control, a random body, says
#   what is the donor's doing.
# - The loss of an ensemble is never above its members' mean. Its error usually falls too, as
#   far as the members err on different images.
#
# ## Exercises
#
# - `scratchnet exercise start linear`: the head
# - `scratchnet exercise start softmax`: where $p - t$ comes from
# - `scratchnet exercise start sgd`: the step that a frozen parameter does not take
#
# To try: freeze conv1 only (`training.freeze(net, "conv1")`), or swap donor and task.

# %%
assert all(stayed[name] != name.startswith("fc4") for name in stayed), stayed
assert kept.shape == (100, 64)
assert together <= np.mean(losses)
means = {name: [np.mean(found[FEW[1]][way]) for way in ("fine-tuned", "from nothing")]
         for name, found in (("shapes", on_shapes), ("digits", on_digits))}
assert means["digits"][0] > 0.6 * means["digits"][1]
assert table.ensemble.top1 == by_size[MEMBERS][0]
if ours:
    assert said["shapes", "fine-tuned", 10] == said["shapes", "new head", 10] == "confirmed here"
    assert means["shapes"][0] < 0.5 * means["shapes"][1]
    assert table.ensemble.top1 < table.mean.top1
lesson.end()
