"""Results — how training went, and what is taken for what."""
from typing import TYPE_CHECKING

import numpy as np

from scratchnet.training import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(history: list[Epoch]) -> "Figure":
    """Loss and error of training and validation, epoch by epoch.

    Lines where the rate dropped, unless it falls all the time (cosine).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    dots = "o" if len(history) < 10 else ""
    epochs = np.arange(1, len(history) + 1)
    drops = [(epoch, after.lr) for before, after, epoch in
             zip(history, history[1:], epochs[1:], strict=False) if after.lr < before.lr]
    panels = (("cross-entropy", [e.train_loss for e in history],
               [e.validation_loss for e in history]),
              ("error, %", [100 * e.train_error for e in history],
               [100 * e.validation_error for e in history]))
    for axes, (label, train, validation) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(epochs, train, color="tab:blue", label="training (while it learns)",
                  marker=dots, clip_on=False)
        axes.plot(epochs, validation, color="tab:orange", label="validation", marker=dots,
                  clip_on=False)
        for epoch, rate in drops if 3 * len(drops) <= len(history) else ():
            axes.axvline(epoch - 0.5, color="grey", linewidth=0.8, linestyle=":")
            axes.annotate(f"rate {rate:.0e}", (epoch - 0.4, 0.98), rotation=90, va="top",
                          xycoords=("data", "axes fraction"), fontsize=7, color="grey")
        axes.set(xlabel="epoch", ylabel=label, ylim=(0, None), xlim=(1, max(2, len(history))))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def confusion(matrix: np.ndarray, names: list[str] | None = None) -> "Figure":
    """A confusion matrix (rows: true class, columns: answer), every count written in its cell."""
    from matplotlib.figure import Figure
    classes = len(matrix)
    names = names or [str(c) for c in range(classes)]
    figure = Figure(figsize=(1.6 + 0.42 * classes, 1.2 + 0.42 * classes), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    wrong = ~np.eye(classes, dtype=bool) & (matrix > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.4)
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column]:
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center",
                      color="tab:red" if wrong[row, column] else "black",
                      weight="bold" if wrong[row, column] else "normal")
    axes.set(xlabel="answer", ylabel="true class")
    axes.set_xticks(range(classes), names)
    axes.set_yticks(range(classes), names)
    axes.set_title(f"{matrix.trace()} of {matrix.sum()} right", fontsize=10)
    return figure
