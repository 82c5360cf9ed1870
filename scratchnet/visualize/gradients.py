"""Gradients — how they fare on their way from the loss down to the first layer.

Through a layer y = f(W·x) the gradient goes down as

    dx = Wᵀ · (f'(W·x) · dy)

so with every layer its size is multiplied by some factor, and after L layers by the product. The
slope of a sigmoid is at most ¼, tanh's at most 1, ReLU's 1 for half of the inputs, for which He's
initialisation makes up with Var(w) = 2/n. A factor of 0.3 a layer is 10⁻¹⁰ after 20 layers, and the
first layers do not learn. Batch normalisation sets the size anew after each layer; a shortcut,
y = x + F(x), gives dx = dy + …, which no product can take away; an auxiliary classifier puts a
second loss half-way down.

    flow = gradient_flow(net, x, labels)        the numbers, of one batch
    flow_figure({"sigmoid": a, "ReLU": b})      one line a network, layer by layer
    history_figure({"sigmoid": a, "ReLU": b})   over training: layer × update
    ridge_figure(flow)                          how the sizes are distributed in each layer

All sizes are root mean squares, of training.recorder's three quantities: y, what a layer returns;
dy, the gradient of that; grad, the gradient of its parameters.

Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen", 1991; Bengio, Simard & Frasconi,
"Learning long-term dependencies with gradient descent is difficult", 1994; Glorot & Bengio, AISTATS
2010, whose figures 6 and 7 are the ridges; He et al., ICCV 2015 (the factor 2); He et al., CVPR
2016 (the shortcut).
"""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.layer import Layer
from scratchnet.layers import SoftmaxCrossEntropy
from scratchnet.training.recorder import EDGES, QUANTITIES, Recorder
from scratchnet.visualize import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#b0608f", "#222222", "#c9a400", "#56b4e9", "#8c8c8c")
NAMED = {"y": "size of the output", "dy": "size of the gradient of the output",
         "grad": "size of the weights' gradient"}


def gradient_flow(model: Layer, x: Any, labels: Any, layers: Sequence[str] | None = None,
                  loss: Layer | None = None, auxiliary: float = 0.3) -> Recorder:
    """One forward and backward of images x (N, C, H, W) with labels (N,), as in training; returns
    a Recorder with that one record.

    `layers` are dotted names, by default all with weights; the losses of auxiliary classifiers
    count `auxiliary` each, 0 leaves them out. The model is left as it was, modes, gradients and
    running averages too. Raises ValueError for names and images that do not fit.
    """
    recorder = Recorder(model, layers, every=1)
    loss = SoftmaxCrossEntropy() if loss is None else loss
    with find.undisturbed(model):
        model.train()
        with recorder.during(0):
            outputs = find.run(model, x)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            dys = []
            for i, logits in enumerate(outputs):
                loss.forward(logits, labels)
                dys.append(loss.backward(auxiliary if i else 1.0))
            model.backward(*dys)
    return recorder


# ── the pictures ─────────────────────────────────────────────────────────────────────


def flow_figure(flows: Mapping[str, Recorder], what: str = "grad", record: int = -1,
                relative: bool = True, title: str = "", note: str = "") -> "Figure":
    """One line a network: the size in each layer, from the output on the left down to the input,
    on a logarithmic scale, with its name at its end.

    what        "grad", "dy" or "y"
    record      which of the recorded updates; the last by default
    relative    to the layer nearest the output, which is then 1
    note        written below, such as "untrained: weights as drawn"

    Networks of different depths are stretched to one width. A size of 0 or NaN ends the line.
    Raises ValueError without networks or records.
    """
    lines, given = {}, {}
    for name, flow in _checked(flows, what).items():
        size = flow.rms(what)[_record(flow, record)][::-1]
        given[name] = size = size[~np.isnan(size)]          # layers without the quantity
        size = np.where(np.isinf(size), 0, size)            # a line ends there, too
        if len(size) and relative and size[0] > 0:
            size = size / size[0]
        lines[name] = np.where(size > 0, size, np.nan)
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.subplots()
    deepest = max(map(len, lines.values()))
    ends = {}
    for (name, size), colour in zip(lines.items(), _colours(len(lines)), strict=True):
        place = np.linspace(1, deepest, len(size)) if len(size) > 1 else np.ones(len(size))
        axes.plot(place, size, color=colour, linewidth=2, marker="o", markersize=3)
        alive = np.flatnonzero(~np.isnan(size))
        if len(alive):
            last = alive[-1]
            dead = ""
            if last + 1 < len(size):
                dead = " (then ∞)" if np.isinf(given[name][last + 1]) else " (then 0)"
            ends[name + dead] = (place[last], size[last], colour)
    axes.set_yscale("log")
    _spread_out(axes)
    _label_ends(axes, ends, deepest)
    _decades(axes)
    same = len({len(size) for size in lines.values()}) == 1
    axes.set_xticks([1, deepest], [f"output\n(layer {deepest})" if same else "output",
                                   "input\n(layer 1)" if same else "input"])
    axes.set_xlabel("the gradient's way, layer by layer →" if what != "y" else "← layer by layer")
    axes.set_ylabel(NAMED[what] + (",\nlayer nearest the output = 1" if relative else ", RMS"))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title or {
        "grad": "How much is left of the gradient?", "dy": "How much is left of the gradient?",
        "y": "How large are the activations?"}[what], fontsize=12)
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8, color="#555555")
    return figure


def history_figure(records: Mapping[str, Recorder], what: str = "grad", title: str = "",
                   note: str = "") -> "Figure":
    """A panel a network: sizes as colour, a row a layer (output on top) and a column an update.

    One logarithmic scale for all panels; grey is 0 or no number, and said so. Raises as
    flow_figure does.
    """
    records = _checked(records, what)
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    tables = {name: record.rms(what) for name, record in records.items()}
    sizes = np.concatenate([t[(t > 0) & np.isfinite(t)] for t in tables.values()])
    high = float(sizes.max()) if len(sizes) else 1.0
    low = max(float(sizes.min()), high * 1e-12) if len(sizes) else 0.1
    norm = LogNorm(min(low, high / 10), high)
    columns = min(3, len(tables))
    rows = -(-len(tables) // columns)
    figure = Figure(figsize=(1.4 + 3.2 * columns, 0.7 + 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(tables):]:
        axes.set_axis_off()
    image = None
    for axes, (name, table) in zip(grid.flat, tables.items(), strict=False):
        steps, L = records[name].steps, table.shape[1]
        edges = _edges(steps)
        alive = (table > 0) & np.isfinite(table)
        shown = np.ma.masked_where(~alive.T, table.T)
        image = axes.pcolormesh(edges, np.arange(L + 1) + 0.5, shown, norm=norm, cmap="viridis")
        axes.set_facecolor("#d9d9d9")
        if not alive.all():
            what_not = "0" if (table[~alive] == 0).all() else "0, or no finite number"
            axes.text(0.97, 0.05, f"grey: {what_not}", transform=axes.transAxes, ha="right",
                      fontsize=8)
        axes.set_title(name, fontsize=10)
        axes.set_yticks([1, L], ["input", "output"] if axes in grid[:, 0] else ["", ""])
        if len(tables) == 1 and L <= 30:                    # room for names
            axes.set_yticks(range(1, L + 1), records[name].names, fontsize=min(8, 180 / L))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(length=2)
    for axes in grid.flat[max(0, len(tables) - columns):len(tables)]:       # nothing below them
        axes.set_xlabel("update")
    bar = figure.colorbar(image, ax=grid, shrink=0.9, pad=0.02,
                          extend="min" if len(sizes) and sizes.min() < low else "neither")
    bar.set_label(f"{NAMED[what]}, RMS")
    figure.suptitle(title or "What each layer gets, over training", fontsize=12)
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8, color="#555555")
    return figure


def ridge_figure(flow: Recorder, what: str = "grad", record: int = -1, title: str = "",
                 note: str = "") -> "Figure":
    """How the sizes of single numbers are distributed: a ridge a layer, output on top.

    Left is small, on a logarithmic scale; at the left margin the share that is 0 (or below 2⁻⁴⁶),
    where it is 1 % or more. The mark on each ridge is the root mean square. Raises as
    flow_figure does.
    """
    _checked({"": flow}, what)
    record = _record(flow, record)
    counts, rms = flow.histograms(what)[record].astype(float), flow.rms(what)[record]
    rows = [i for i in range(len(flow.names)) if counts[i].sum()]
    if not rows:
        raise ValueError(f"no layer of this record has a {what}: nothing to draw")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    middles = np.concatenate([[EDGES[0] / 2], EDGES * 2])
    used = np.flatnonzero(share[rows, 1:].sum(axis=0)) + 1
    first, last = (used.min(), used.max()) if len(used) else (1, len(middles) - 1)
    first, last = max(1, first - 1), min(len(middles) - 1, last + 1)
    tallest = share[rows, 1:].max() or 1.0
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7.4, 1.3 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    x = middles[first:last + 1]
    for place, i in enumerate(rows):                        # from the back, the output, forwards
        base = place
        height = 1.9 * share[i, first:last + 1] / tallest
        order = 2 * (len(rows) - place)
        axes.fill_between(x, base, base + height, color="#9ecae9", alpha=0.9, zorder=order,
                          linewidth=0)
        axes.plot(x, base + height, color="#1f4e79", linewidth=1, zorder=order + 1)
        axes.plot([rms[i]], [base + 0.12], marker="|", markersize=7, color="#d55e00",
                  zorder=order + 1, markeredgewidth=1.8)
        if share[i, 0] >= 0.01:
            axes.annotate(f"{share[i, 0]:.0%} zero", (1.005, base + 0.1), fontsize=7,
                          xycoords=("axes fraction", "data"), color="#555555", va="bottom",
                          annotation_clip=False)
    axes.set_xscale("log")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(-0.2, len(rows) + 1.2)
    axes.set_yticks(range(len(rows)), [flow.names[i] for i in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{NAMED[what].removeprefix('size of ').capitalize()}: size of single numbers "
                    f"(mark: their RMS)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    step = int(flow.steps[record])
    axes.set_title(title or f"Layer by layer, from input (bottom) to output, update {step}",
                   fontsize=11, loc="left")
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8, color="#555555")
    return figure


def _checked(flows: Mapping[str, Recorder], what: str) -> dict[str, Recorder]:
    if what not in QUANTITIES:
        raise ValueError(f"what is one of {', '.join(QUANTITIES)}; got {what!r}")
    if not isinstance(flows, Mapping) or not flows:
        raise ValueError(f"expected {{name: Recorder}}, one network at least; got "
                         f"{type(flows).__name__}")
    for name, flow in flows.items():
        if not len(flow):
            raise ValueError(f"{name or 'this Recorder'} has recorded nothing yet: give it to "
                             f"training.fit(record=…), or use gradient_flow")
    return dict(flows)


def _record(flow: Recorder, record: int) -> int:
    if not -len(flow) <= record < len(flow):
        raise ValueError(f"there are {len(flow)} records, 0 to {len(flow) - 1} (−1 is the last); "
                         f"got {record}")
    return record


def _colours(n: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(n)]


def _edges(steps: np.ndarray) -> np.ndarray:
    """Borders between updates, one more than there are."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[steps[0]], middles, [2 * steps[-1] - middles[-1]]])


def _spread_out(axes: Any) -> None:
    """At least two decades high: a line that stays level must look level."""
    low, high = axes.get_ylim()
    middle = (low * high) ** 0.5
    axes.set_ylim(min(low, middle / 10), max(high, middle * 10))


def _decades(axes: Any) -> None:
    """Ticks at powers of ten alone."""
    from matplotlib.ticker import LogLocator, NullFormatter
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=9))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _label_ends(axes: Any, ends: dict[str, tuple], deepest: int) -> None:
    """Names beside the ends of the lines, moved apart so that none covers another."""
    low, high = np.log10(axes.get_ylim())
    step = (high - low) * 0.055
    names = sorted(ends, key=lambda name: ends[name][1])
    heights: list[float] = []
    for name in names:
        wanted = np.log10(ends[name][1])
        heights.append(max(wanted, heights[-1] + step) if heights else wanted)
    if heights and heights[-1] > high + step:               # down again, from the top
        heights[-1] = high + step
        for i in range(len(heights) - 2, -1, -1):
            heights[i] = min(heights[i], heights[i + 1] - step)
    for name, height in zip(names, heights, strict=True):
        x, y, colour = ends[name]
        at_the_end = x > deepest - 0.5
        side = (deepest + max(0.5, deepest * 0.04), 10 ** height) if at_the_end else (x + 0.3, y)
        axes.annotate(name, (x, y), xytext=side, color=colour, va="center", fontsize=10,
                      annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7,
                                  "relpos": (0, 0.5)} if at_the_end else None)
    axes.set_xlim(0.5, deepest + 0.3)
