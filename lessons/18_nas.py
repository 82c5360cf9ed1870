# %% [markdown]
# # NASNet: let a search draw the network
#
# AlexNet, VGG, Inception, ResNet: each was drawn by people, who tried, trained and tried again. Can
# a program do the trying? In 2017 Zoph, Vasudevan, Shlens and Le let one search for a small
# building block, a cell, on small images, and then stacked the cell it found into a network for
# ImageNet. This lesson does a real search, as small as it is, counts its cost before it begins,
# and asks the question that belongs to every search: is the winner better than a random choice?
#
# Zoph, Vasudevan, Shlens & Le, "Learning Transferable Architectures for Scalable Image
# Recognition", CVPR 2018.

# %%
import time
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import data, gradcheck, layers, models, optim, training, visualize
from scratchnet.cost import summary
from scratchnet.lesson import Lesson, experiment, verdict, what_changed
from scratchnet.lesson.experiment import difference
from scratchnet.models import nasnet

lesson = Lesson("nas")
_ = threadpool_limits(1, user_api="blas")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A cell is a few lines
#
# A cell has two inputs: $h$, the output of the cell before it, and $p$, that of the cell before
# that one. Several times it takes two values, does an operation on each, and adds the two results.
# The results are numbered from 0, and a later addition may use an earlier one. What no addition
# has used is laid side by side: the output. So a cell can be written down as a list, its
# *genotype*. These are the two cells that the paper's search found (NASNet-A). `sep5` is a
# depthwise and a pointwise convolution, as in lesson 17, with a kernel of 5×5, done
# twice; `mean3` and `max3` are poolings with a window of 3×3; a value without brackets stands for
# itself. The *reduction* cell halves the side of the maps, the *normal* cell keeps it.


# %%
def told(genotype: tuple) -> list[str]:
    """The additions of a genotype as formulas."""
    additions, output = genotype

    def use(op: str, source: str) -> str:
        return f"{op}({source})" if op else source

    lines = [f"{i} = {use(left, a)} + {use(right, b)}"
             for i, (left, a, right, b) in enumerate(additions)]
    return [*lines, f"output [{', '.join(output)}]"]


for kind, genotype in (("normal", nasnet.NORMAL), ("reduction", nasnet.REDUCTION)):
    print(f"{kind} cell")
    print("\n".join(f"  {line}" for line in told(genotype)))

# %% [markdown]
# How many such cells are there? Addition number $b$ (from 0) may use $h$, $p$ and the $b$ results
# before it: $b + 2$ values, twice. Each goes through one of 13 operations (the number of the paper,
# as recalled). So there are $((b + 2) \cdot 13)^2$ choices for it, and for five additions the
# product of five such numbers.

# %%
choices = [((b + 2) * 13) ** 2 for b in range(5)]
cells_there_are = int(np.prod(choices, dtype=object))
print(" · ".join(f"{c:,}" for c in choices) + f" = {cells_there_are:.1e} cells")
print("(many of them are the same cell, written in another order)")

# %% [markdown]
# Nobody trains that many. The paper trained a second network, the controller, to propose cells
# that do well, and that one is left out here.
# Our space is so small that all of it can be tried.
#
# ## 2. Our search space
#
# One addition, two operations, four to choose from:
#
# - `sep3`, the separable convolution;
# - `mean3` and `max3`, the poolings;
# - the value itself.
#
# $0 = a(h) + b(p)$, with $4 \cdot 4 = 16$ cells. The network around it is always the same: a 3×3
# convolution to 8 maps, the cell, max pooling, the cell once more, the mean, a linear layer. In
# both cells $h$ and $p$ first go through ReLU, 1×1 and batch normalisation, as in the paper.

# %%
OPS = ("sep3", "mean3", "max3", "")
space = {f"{a or 'h'} + {b or 'p'}": (((a, "h", b, "p"),), ("0",)) for a in OPS for b in OPS}
digits = lesson.load("digits", size=8)
colours, classes = digits.train.images.shape[1], int(digits.train.labels.max()) + 1


def network(genotype: tuple, seed: int, F: int = 8) -> layers.Graph:
    """The network of the search with this cell in it, twice; F maps in each."""
    rng = np.random.default_rng(seed)
    return layers.Graph(
        ("stem", layers.Sequential(
            conv=layers.Conv2d(colours, F, 3, padding=1, bias=False, rng=rng),
            bn=layers.BatchNorm2d(F)), "x"),
        # after the layer, its inputs: h and p. "same", "larger": p's side, compared with h's
        ("cell_0", nasnet.cell(genotype, F, F, F, "same", rng), "stem", "stem"),
        ("pool", layers.MaxPool2d(2), "cell_0"),
        ("cell_1", nasnet.cell(genotype, F, F, F, "larger", rng), "pool", "stem"),
        ("relu", layers.ReLU(), "cell_1"),
        ("avgpool", layers.AdaptiveAvgPool2d(1), "relu"),
        ("flatten", layers.Flatten(), "avgpool"),
        ("fc", layers.Linear(F, classes, rng=rng), "flatten"))


checks = {name: gradcheck.check(network(genotype, 0).train(),
                                rng.standard_normal((2, colours, 6, 6)), probes=1)
          for name, genotype in space.items() if name in ("sep3 + p", "max3 + mean3")}
for name, report in checks.items():
    print(f"gradient check of the network with {name}: {report.verdict}, {report.worst:.0e}")

# %% [markdown]
# Backward through a graph is one rule (lesson 12): where a value is used several times, the
# gradients of its uses add up. $h$ and $p$ of the first cell are the same value, the stem's
# output, and it is used a third time in the second cell.
#
# ## 3. The price, before we pay it
#
# Every cell is trained for two epochs on 400 images, from one seed. Forward costs the
# multiply-accumulates (MACs) of the network; backward about twice as many, for it has two
# products where forward has one: one for the inputs, one for the weights.

# %%
IMAGES, EPOCHS = 400, 4 if lesson.full else 2
costs = {name: summary(network(genotype, 0), (colours, 8, 8)) for name, genotype in space.items()}
price = sum(3 * table.macs * IMAGES * EPOCHS for table in costs.values())
print(f"{len(space)} cells · {IMAGES} images · {EPOCHS} epochs · 3 · MACs of each = "
      f"{price:.2e} MACs")
print(f"as many as {price / 568_234_858:.1f} forward passes of the mobile NASNet-A (section 7)")

# %% [markdown]
# ## 4. The search
#
# The validation images decide. The test images are not looked at.
#
# These settings were not fixed beforehand. Learning rates were tried, and the number of cells,
# epochs and seeds was changed after results had been seen. One version trained each cell from two
# seeds for three epochs, on ten cells (which operation gets $h$ did not count). Its winner was
# sep3 + sep3. So the winner below is that of one set-up.

# %%
middle = digits.train.images.mean(axis=0)
train = digits.train.images[:IMAGES] - middle, digits.train.labels[:IMAGES]
validation = digits.validation.images - middle, digits.validation.labels


def score(genotype: tuple, seed: int) -> float:
    """The share of validation images that the network with this cell has right."""
    net = network(genotype, seed)
    few = train[0][:8], train[1][:8]        # fit wants some to validate; all of them come after it
    training.fit(net, train, few, optim.SGD(net.parameters(), 0.05, 0.9, 5e-4), EPOCHS, 16,
                 training.WarmUp(training.Cosine(EPOCHS), epochs=0.5), rng=seed, progress=False,
                 clip=5.0)
    return 1 - training.evaluate(net, *validation)[1]


start = time.perf_counter()
found = {name: score(genotype, 0) for name, genotype in space.items()}
seconds = time.perf_counter() - start
order = sorted(found, key=found.get, reverse=True)
print(f"{'cell':16s} {'right':>7s} {'parameters':>11s} {'MACs':>9s}")
for name in order:
    print(f"{name:16s} {found[name]:7.1%} {costs[name].params:11,} {costs[name].macs:9,}")
winner = order[0]
print(f"The winner is {winner}, after {seconds:.0f} seconds.")

figure = Figure(figsize=(8, 3.2), layout="constrained")
axes = figure.subplots()
for name in order:
    axes.plot(costs[name].macs, found[name], "o", color="tab:red" if name == winner else "tab:blue")
    if name in (winner, order[-1], "h + p", "sep3 + sep3"):
        axes.annotate(name, (costs[name].macs, found[name]), (7, -3), textcoords="offset points")
axes.set(xlabel="MACs for one image", ylabel="validation images right", ylim=(0, 1),
         title="All sixteen cells, one short training each")
axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
axes.margins(x=0.15)
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "search", alt="Accuracy on the validation images against MACs for sixteen "
            "cells; the winner in red")

# %% [markdown]
# The winning cell and the paper's normal cell are drawn as SVG files in the lesson's folder.

# %%
drawn = {"winner.svg": (network(space[winner], 0), (colours, 8, 8), "cell_1"),
         "nasnet_a.svg": (models.nasnet_small(rng=0), (1, 32, 32), "cell_1")}
for file, (net, shape, block) in drawn.items():
    svg = visualize.draw(net, shape, block=block, title=file.removesuffix(".svg"))
    (lesson.folder / file).write_text(svg, encoding="utf-8")
    print(f"{file}: {len(svg) // 1000} kB")

# %% [markdown]
# ## 5. How much of the order is luck?
#
# One seed, two epochs, 180 validation images: the scores are noisy. Train every second cell of the
# list again from another seed and compare the ranks. Spearman's correlation is the correlation of
# the two lists of ranks: 1 if the order is the same, about 0 if the orders have nothing to do with
# each other, −1 if one is the other reversed. Equal values share the mean of their ranks.


# %%
def spearman(a: list[float], b: list[float]) -> float:
    """The correlation of the ranks of a and b: how many are smaller, and half of those equal."""
    ranks = [[np.sum(values < v) + 0.5 * np.sum(values == v) for v in values]
             for values in (np.array(a), np.array(b))]
    return float(np.corrcoef(*ranks)[0, 1])


some = order[::2]
again = {name: score(space[name], 1) for name in some}
seeds_agree = spearman([found[name] for name in some], list(again.values()))
macs_agree = spearman([found[name] for name in order], [costs[name].macs for name in order])
print(f"rank correlation of seed 0 and seed 1, {len(some)} cells: {seeds_agree:.2f}")
print(f"rank correlation of the score and the MACs, all cells: {macs_agree:.2f}")

# %% [markdown]
# The first number says how far to trust the list: far below 1, its order is in good part luck,
# and the winner is at best one of the better cells. The second says what could have been had for
# nothing: near 1, counting MACs would have given nearly the same list.
#
# ## 6. Against a random choice
#
# Now the winner and three cells drawn at random, trained from three fresh seeds each, twice as
# long, with the test images as judges. And a third competitor, who does not search: take the cell
# with the most MACs. The random ones are drawn from the whole space, the winner included, as one
# would without a search.
#
# The verdict asks for a difference of more than two standard errors. The standard error of a mean
# of $n$ values is their standard deviation divided by $\sqrt{n}$, if the values are independent.
# The nine errors of the random cells are not: three each belong to the same cell. So each of these
# cells counts once, with the mean of its seeds.

# %%
drawn_by_lot = [str(name) for name in np.random.default_rng(7).choice(list(space), 3,
                                                                      replace=False)]
costliest = max(space, key=lambda name: costs[name].macs)
seeds = range(10, 15) if lesson.full else range(10, 13)
sets = SimpleNamespace(train=data.Split(digits.train.images[:IMAGES], digits.train.labels[:IMAGES]),
                       test=digits.test)


def makes(name: str):
    """A function of the seed that returns the network with this cell."""
    return lambda seed: network(space[name], seed)


# A cell that is in two lists is trained once.
entrants = dict.fromkeys([winner, costliest, *drawn_by_lot])
results = experiment({name: makes(name) for name in entrants}, sets, seeds=seeds, lr=0.05,
                     epochs=2 * EPOCHS, batch_size=16, device=lesson.device)
random_choice = [float(np.mean(results[name])) for name in drawn_by_lot]
print(f"random choice, means of {', '.join(drawn_by_lot)}: "
      f"{', '.join(f'{mean:.1%}' for mean in random_choice)}")
print(f"the winner has fewer errors than a random choice: "
      f"{verdict(results[winner], random_choice)}, by "
      f"{-difference(results[winner], random_choice):.1f} standard errors")
if winner == costliest:
    print("The winner is also the cell with the most MACs: counting would have found it, too.")
else:
    print(f"the winner has fewer errors than the costliest cell, {costliest}: "
          f"{verdict(results[winner], results[costliest])}")

figure = Figure(figsize=(8, 2.9), layout="constrained")
axes = figure.subplots()
groups = {f"searched: {winner}": results[winner], f"costliest: {costliest}": results[costliest],
          **{f"by lot: {name}": results[name] for name in drawn_by_lot}}
for row, values in enumerate(groups.values()):
    axes.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.6)
    axes.plot(np.mean(values), row, "|", color="tab:red", markersize=22, markeredgewidth=2)
axes.set(yticks=range(5), yticklabels=groups, ylim=(4.5, -0.5), xlim=(0, None),
         xlabel="test error", title="A dot is a training, a red line the mean of a cell")
axes.xaxis.set_major_formatter(lambda error, _: f"{error:.0%}")
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "against_chance", alt="Test errors of the searched cell, of the costliest and "
            "of three drawn by lot: a dot for each training and the mean of each cell")

# %% [markdown]
# Three cells by lot are few, and another lot may give another verdict. In the version with ten
# cells it was borderline: 2.1 standard errors, counted in this way. And chance is a weak opponent
# in a space where most cells are poor. Where people have filled the space with good cells
# beforehand, a search has less to win, and has to be compared with random choice at equal cost.
#
# ## 7. The paper's cell
#
# NASNet-A in full is two genotypes and a plan for stacking them. In the mobile network the first
# normal cells have $F = 44$ maps in each addition, and the first reduction cell has $F = 88$.
# The sum for a normal cell with inputs of 264 maps: $h$ and $p$ each go through 1×1 and batch
# normalisation (2 numbers a map), $264 \cdot 44 + 2 \cdot 44 = 11{,}704$. A separable convolution
# with kernel $k$ is twice $44 k^2 + 44 \cdot 44 + 2 \cdot 44$: 6,248 for `sep5`, 4,840 for `sep3`.
# The cell has two and three of them, together
# $2 \cdot 11{,}704 + 2 \cdot 6{,}248 + 3 \cdot 4{,}840 = 50{,}424$.

# %%
normal = nasnet.cell(nasnet.NORMAL, 264, 264, 44, "same", np.random.default_rng(0))
reduction = nasnet.cell(nasnet.REDUCTION, 264, 264, 88, "same", np.random.default_rng(0))
paper_checks, counted = [], {}
for name, cell, F, laid in (("normal", normal, 44, 6), ("reduction", reduction, 88, 4)):
    params = sum(p.value.size for p in cell.parameters())
    small = nasnet.cell(nasnet.NORMAL if name == "normal" else nasnet.REDUCTION, 6, 6, 4, "same",
                        np.random.default_rng(0))
    paper_checks.append(gradcheck.check(small.train(), rng.standard_normal((2, 6, 6, 6)),
                                        rng.standard_normal((2, 6, 6, 6)), probes=1))
    counted[name] = params
    print(f"{name:9s} {params:7,} parameters; output {laid}·{F} = {laid * F} maps; gradient check "
          f"with F = 4: {paper_checks[-1].verdict}, {paper_checks[-1].worst:.0e}")
before, after = what_changed("mobilenet_v1", "nasnet_a_mobile")

# %% [markdown]
# As many MACs as MobileNet, and 74.0 % where that has 70.6 % (published, each with its own recipe).
# The price is a network of many small parts, and a search far larger than ours.
#
# ## What we have seen
#
# - A cell is a list: operations, inputs, additions. A network is a cell, stacked.
# - A search is many trainings. Its cost is a product that can be written down beforehand.
# - Scores of short trainings are noisy; how noisy, a second seed tells. Another set-up of the
#   search, another winner.
# - The winner has to beat a random choice, and the simplest rule one can think of, on images that
#   the search has not seen. With three cells by lot this is a weak test.
#
# ## Exercises
#
# ```sh
# scratchnet exercise start nas_cell
# scratchnet exercise start depthwise_conv
# scratchnet exercise start counting
# ```
#
# To try: add `sep5` to the operations. How many cells are there then, and what does the search
# cost? Print that before you start it.

# %%
assert len(space) == 16 and all(report.passed for report in checks.values())
assert cells_there_are == 720 ** 2 * 13 ** 10
assert all(report.passed for report in paper_checks)
assert counted["normal"] == 2 * 11_704 + 2 * 6_248 + 3 * 4_840 == 50_424
assert max(found.values()) > 0.3 and found[winner] >= found[order[-1]] + 0.1
assert (after.params, round(after.macs / 1e6)) == (5_289_978, 568)
assert all((lesson.folder / file).stat().st_size > 1000 for file in drawn)
lesson.end()
