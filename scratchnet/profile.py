"""Profile — where a training step spends its time and its memory, layer by layer.

    report = profile(model, x)                  # x: a batch (N, C, H, W)
    print(report)
    report.chart().savefig("profile.png")

A step is forward, softmax and cross-entropy with made-up labels, backward, and SGD. Every layer
that holds no others is timed in forward and in backward; the median over `rounds` steps counts.
What the blocks do themselves (a residual block's sum, a split) is one row of its own, as are loss
and update. Memory is what a layer remembers for its backward, in arrays that no layer before it
remembers already; parameters are not counted.

GFLOP/s are two operations for each multiply-accumulate; backward has two products for the one of
forward, but the first layer's has one: nobody asks for the images' gradient. Beside them stands
the rate of one large matrix product here, the most that there is; but Winograd's algorithm needs
fewer operations than the definition, by which it is counted, and may be above.
"""
import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scratchnet.backend import product, threads, to_host, xp_of
from scratchnet.cost import arrays_in, is_innermost, macs, owner_of, whole_numbers
from scratchnet.layer import Layer, no_grad, parameters_only
from scratchnet.layers import SoftmaxCrossEntropy
from scratchnet.optim import SGD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JOINS, LOSS, UPDATE = "(joins and splits)", "(loss)", "(update)"


class Row(NamedTuple):
    """One layer: seconds of forward and backward, multiply-accumulates of both, bytes kept."""

    name: str
    kind: str
    output: tuple[int, ...]
    forward: float
    backward: float
    macs: int
    kept: int

    @property
    def seconds(self) -> float:
        return self.forward + self.backward


class Profile(NamedTuple):
    """`rows` in the order in which they ran; `seconds` of all of them; `rate`, the GFLOP/s of one
    large matrix product."""

    model: str
    rows: list[Row]
    seconds: float
    rate: float
    batch: int
    training: bool

    def folded(self, depth: int = 1) -> "Profile":
        """One row for all layers whose names agree in their first `depth` parts."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            groups[".".join(row.name.split(".")[:depth])].append(row)
        rows = [Row(name, rows[0].kind if len(rows) == 1 else f"{len(rows)} layers",
                    rows[-1].output, sum(row.forward for row in rows),
                    sum(row.backward for row in rows), sum(row.macs for row in rows),
                    sum(row.kept for row in rows)) for name, rows in groups.items()]
        return self._replace(rows=rows)

    def __str__(self) -> str:
        wide = max(18, *(len(row.name) for row in self.rows))
        lines = [f"{'layer':{wide}s} {'kind':18s} {'output':>15s} {'forward':>9s} "
                 + f"{'backward':>9s} " * self.training + f"{'share':>6s} {'GFLOP/s':>8s}"
                 + f" {'kept':>10s}" * self.training]
        for row in self.rows:
            speed = f"{2e-9 * row.macs / row.seconds:.0f}" if row.macs else "·"
            lines.append(
                f"{row.name:{wide}s} {row.kind:18s} {'×'.join(map(str, row.output)):>15s} "
                f"{row.forward * 1e3:6.1f} ms "
                + f"{row.backward * 1e3:6.1f} ms " * self.training
                + f"{row.seconds / self.seconds:6.1%} {speed:>8s}"
                + f" {f'{row.kept / 2**20:.1f} MiB' if row.kept else '·':>10s}" * self.training)
        kinds: dict[str, float] = defaultdict(float)
        folded = any(row.kind.endswith(" layers") for row in self.rows)
        for row in self.rows:
            kinds[row.name if folded or not row.kind else row.kind] += row.seconds
        lines.append(f"\n{'all':{wide}s} {'':18s} {'':15s} {self.seconds * 1e3:6.1f} ms for "
                     f"{'a step' if self.training else 'inference'} with {self.batch} "
                     f"image{'s' if self.batch > 1 else ''}; "
                     + f"{sum(row.kept for row in self.rows) / 2**20:.0f} MiB kept for backward; "
                     * self.training + f"one matrix product here reaches {self.rate:.0f} GFLOP/s "
                     f"on {threads()} thread{'s' if threads() > 1 else ''}")
        by_time = sorted(kinds.items(), key=lambda item: -item[1])[:6]
        lines.append("most of it: " + ", ".join(
            f"{kind} {seconds / self.seconds:.0%}" for kind, seconds in by_time))
        return "\n".join(lines)

    def chart(self) -> "Figure":
        """The layers as bars, forward and backward, in the order in which they run."""
        from matplotlib.figure import Figure
        shown = [row for row in self.rows if row.seconds > 0.002 * self.seconds]
        figure = Figure(figsize=(8, 0.8 + 0.19 * len(shown)), layout="constrained")
        axes = figure.subplots()
        at = np.arange(len(shown))
        forward = np.array([row.forward for row in shown]) * 1e3
        axes.barh(at, forward, color="tab:blue", label="forward")
        if self.training:
            axes.barh(at, [row.backward * 1e3 for row in shown], left=forward, color="tab:orange",
                      label="backward")
            axes.legend(fontsize=8)
        axes.set(yticks=at, ylim=(len(shown) - 0.5, -0.5), xlabel="milliseconds",
                 title=f"{self.model}, {'a training step' if self.training else 'inference'} of "
                       f"{self.batch} images: {self.seconds * 1e3:.0f} ms")
        axes.set_yticklabels([row.name for row in shown], fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        return figure


def profile(model: Layer, x: Any, rounds: int = 3, training: bool = True, name: str = ""
            ) -> Profile:
    """Time `rounds` training steps of the model on the batch x (N, C, H, W), after one to warm up;
    or, with training=False, forward in evaluation mode.

    Each layer is timed by itself, so in inference none works in place together with the one before
    it (Sequential), and the whole takes longer than without a profile.
    The model's parameters and running averages change as they do in training; train a copy if that
    matters. Raises ValueError for a model whose output is not (N, classes).
    """
    innermost = [(label, layer) for label, layer in model.named_layers() if is_innermost(layer)]
    times: dict[str, list[list[float]]] = {label: [[], []] for label, _ in innermost}
    outputs: dict[str, tuple] = {}
    order: list[str] = []
    totals: list[list[float]] = []
    loss, sgd = SoftmaxCrossEntropy(), SGD(model.parameters(), 1e-4, 0.9) if training else None
    labels = np.zeros(len(x), dtype=np.int64)

    def timed(label: str, which: int, run: Callable, *arrays: Any) -> Any:
        _wait(x)
        start = time.perf_counter()
        y = run(*arrays)
        _wait(x)
        times[label][which].append(time.perf_counter() - start)
        if not which and label not in outputs:
            outputs[label] = y.shape
            order.append(label)
        return y

    def step() -> list[float]:
        """Seconds of forward, loss, backward and update."""
        marks = [time.perf_counter()]

        def mark() -> None:
            _wait(x)
            marks.append(time.perf_counter())

        y = model.forward(x)
        mark()
        if training:
            ys, dys = y if isinstance(y, tuple) else (y,), []
            if ys[0].ndim != 2:
                raise ValueError(f"profile: a training step needs an output (N, classes); got "
                                 f"{ys[0].shape}: use training=False")
            for scores in ys:
                loss.forward(scores, labels)
                dys.append(loss.backward())
            mark()
            with parameters_only(model):
                model.zero_grad().backward(*dys)
            mark()
            sgd.step()
            mark()
        return list(np.diff(marks))

    model.train(training)
    with _timed(innermost, timed):
        for i in range(rounds + 1):
            if i == 1:
                for pair in times.values():
                    pair[0].clear(), pair[1].clear()
            if training:
                parts = step()
            else:
                with no_grad():
                    parts = step()
            if i:
                totals.append(parts)
    kept = _kept(model, x, innermost) if training else {}
    layers = dict(innermost)
    rows = [Row(label, type(layers[label]).__name__, outputs[label][1:],
                *(median(part) if part else 0.0 for part in times[label]),
                len(x) * macs(layers[label], outputs[label]) * (
                    1 if not training else 2 if layers[label] is model.entrance() else 3),
                kept.get(label, 0))
            for label in order]
    whole = [median(part) for part in zip(*totals, strict=True)]
    inside = sum(row.seconds for row in rows)
    if training:
        forward, of_loss, backward, update = whole
        rows += [Row(JOINS, "", (), max(0.0, forward - sum(row.forward for row in rows)),
                     max(0.0, backward - sum(row.backward for row in rows)), 0, 0),
                 Row(LOSS, "", (), of_loss, 0.0, 0, 0), Row(UPDATE, "", (), update, 0.0, 0, 0)]
    else:
        rows.append(Row(JOINS, "", (), max(0.0, whole[0] - inside), 0.0, 0, 0))
    return Profile(name or type(model).__name__, rows, sum(row.seconds for row in rows),
                   matrix_rate(x), len(x), training)


@contextmanager
def _timed(layers: list[tuple[str, Layer]], call: Callable) -> Iterator[None]:
    """Until the end of the `with`, these layers run as call(name, 0 or 1, their own, *arrays)."""
    def put(label: str, layer: Layer, which: int, method: str) -> None:
        own = getattr(layer, method)
        setattr(layer, method, lambda *arrays: call(label, which, own, *arrays))

    for label, layer in layers:
        put(label, layer, 0, "forward"), put(label, layer, 1, "backward")
    try:
        yield
    finally:
        for _, layer in layers:
            del layer.forward, layer.backward


def _kept(model: Layer, x: Any, innermost: list[tuple[str, Layer]]) -> dict[str, int]:
    """{name: bytes} that each layer remembers, after one more forward; x and parameters aside."""
    model.forward(x)
    seen = {id(p.value) for p in model.parameters()} | {id(x)}
    kept = {}
    for label, layer in innermost:
        arrays = {id(owner_of(a)): owner_of(a) for a in arrays_in(layer.__dict__.get("_memory"))
                  if id(a) not in seen}
        kept[label] = sum(a.nbytes for key, a in arrays.items() if key not in seen)
        seen |= set(arrays)
    for _, layer in model.named_layers():
        layer.__dict__.pop("_memory", None)
    return kept


def matrix_rate(x: Any) -> float:
    """Return GFLOP/s of one matrix product where x lives, of 784×4608 by 4608×512, on as many
    threads as the layers have, the best of five: what this machine can do."""
    a, b = xp_of(x).ones((784, 4608), dtype=np.float32), xp_of(x).ones((4608, 512), np.float32)
    took = []
    for _ in range(5):
        _wait(x)
        start = time.perf_counter()
        y = product(a, b)
        _wait(y)
        took.append(time.perf_counter() - start)
    return 2e-9 * a.size * b.shape[1] / min(took)


def _wait(x: Any) -> None:
    """A GPU works on while Python goes on; wait for it."""
    if xp_of(x) is not np:
        to_host(x[:1, :1])


# ── the command line ─────────────────────────────────────────────────────────────────


def add_command(subparsers: Any) -> None:
    """Add `scratchnet profile MODEL` to the command line."""
    command = subparsers.add_parser(
        "profile", help="time and memory of a network, layer by layer",
        description="Train a network on random images for some steps and print what each layer "
        "takes. kept: what it remembers for backward, beyond what a layer before it keeps already. "
        "GFLOP/s: of layers that multiply, counted by the definition. (joins and splits): what the "
        "blocks themselves do, sums above all, and Python between the layers. (update): SGD.")
    command.add_argument("model", metavar="MODEL", help="its name, such as alexnet")
    command.add_argument("--batch", metavar="N", help="images (default: 8)")
    command.add_argument("--input", metavar="C,H,W", help="the shape of one image (default: the "
                         "network's own)")
    command.add_argument("--fold", metavar="DEPTH", help="one line a block: keep this many parts "
                         "of each layer's name")
    command.add_argument("--inference", action="store_true", help="forward alone, in evaluation")
    command.add_argument("--rounds", metavar="N", help="how often (default: 3)")
    command.add_argument("--device", choices=("cpu", "gpu"), help="(default: cpu)")
    command.add_argument("--out", metavar="FILE", help="the picture (default: runs/profile.png)")
    command.set_defaults(run=run_profile)


def run_profile(options: argparse.Namespace) -> int:
    """Profile a network by name; print the table and write the picture."""
    from scratchnet.backend import to_device
    from scratchnet.models import get_model, input_shape
    try:
        batch, = whole_numbers(options.batch, "--batch", 1) or (8,)
        rounds, = whole_numbers(options.rounds, "--rounds", 1) or (3,)
        depth, = whole_numbers(options.fold, "--fold", 1) or (None,)
        shape = whole_numbers(options.input, "--input", 3)
        model = get_model(options.model, in_channels=shape[0] if shape else None, rng=0)
        x = np.random.default_rng(0).standard_normal(
            (batch, *(shape or input_shape(options.model))), dtype=np.float32)
        device = options.device or "cpu"
        path = _picture(Path(options.out or "runs/profile.png"))
        report = profile(model.to(device), to_device(x, device), rounds, not options.inference,
                         options.model)
    except MemoryError:
        print(f"scratchnet: there is no memory for {batch} such images: use a smaller --batch or "
              f"--input", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    report = report.folded(depth) if depth else report
    print(report)
    report.chart().savefig(path, dpi=110)
    print(f"The picture: {path}")
    return 0


def _picture(path: Path) -> Path:
    """Return where the picture goes, PNG unless its name says otherwise; ValueError, before
    anything is measured, if it cannot be written there."""
    from matplotlib.figure import Figure
    path = path / "profile.png" if path.is_dir() else path
    path = path if path.suffix else path.with_name(path.name + ".png")
    kinds = Figure().canvas.get_supported_filetypes()
    try:
        if path.suffix[1:].lower() not in kinds:
            raise ValueError(f"a picture is one of {', '.join(sorted(kinds))}")
        path.parent.mkdir(parents=True, exist_ok=True)
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
    except (OSError, ValueError) as error:
        raise ValueError(f"the picture cannot be written to {path}: {error}") from None
    return path
