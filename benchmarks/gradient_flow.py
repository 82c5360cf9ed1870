"""What is left of the gradient in the first layers, and what keeps it alive?

    python benchmarks/gradient_flow.py [FOLDER]

Three comparisons, each with the very same images at the start and after some updates:

    twenty layers       3×3 convolutions of 16 channels on digits of 8×8 and a linear layer:
                        sigmoid and tanh (Xavier's initialisation), ReLU (He's), ReLU from
                        N(0, 0.01²), sigmoid and ReLU with batch normalisation, and that with
                        shortcuts around every two convolutions (ResNet's blocks)
    auxiliary heads     googlenet_small, with its two heads and without
    depth               CIFAR's networks of 20 and 56 layers, plain and residual

Writes the numbers, the RMS of each layer's gradients, to benchmarks/results/gradient_flow.json,
and with a folder the pictures into it. What recording costs is measured on the twenty layers of
ReLU: the same updates with every=10 and without. Under a minute on one core.
"""
import json
import platform
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from scratchnet import data, initialization, models, optim
from scratchnet.layer import Layer
from scratchnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from scratchnet.training.recorder import Recorder
from scratchnet.visualize.gradients import (
    flow_figure,
    gradient_flow,
    history_figure,
    ridge_figure,
)

RESULTS = Path(__file__).parent / "results" / "gradient_flow.json"
WIDTH, UPDATES, EVERY = 16, 48, 3


def twenty(activation: type[Layer], batch_norm: bool = False, residual: bool = False) -> Sequential:
    """Nineteen convolutions and a linear layer."""
    def layer(C: int) -> list[Layer]:
        conv = Conv2d(C, WIDTH, 3, padding=1, bias=not batch_norm, rng=0)
        return [conv, *[BatchNorm2d(WIDTH)] * batch_norm, activation()]

    body = [layer(WIDTH) for _ in range(18)]
    if residual:
        body = [[Residual(*a, *b[:-1]), b[-1]]
                for a, b in zip(body[::2], body[1::2], strict=True)]
    return Sequential(first=Sequential(*layer(1)), body=Sequential(*[x for xs in body for x in xs]),
                      pool=AdaptiveAvgPool2d(2), flatten=Flatten(), last=Linear(4 * WIDTH, 10))


def networks() -> dict[str, Sequential]:
    """The networks of twenty layers, by what they are called in the pictures."""
    he, xavier = initialization.he, initialization.xavier
    return {"sigmoid": xavier(twenty(Sigmoid), rng=0), "tanh": xavier(twenty(Tanh), rng=0),
            "ReLU": he(twenty(ReLU), rng=0),
            "ReLU from N(0, 0.01²)": initialization.gaussian(twenty(ReLU), 0.01, rng=0),
            "sigmoid, batch norm": xavier(twenty(Sigmoid, batch_norm=True), rng=0),
            "ReLU, batch norm": he(twenty(ReLU, batch_norm=True), rng=0),
            "residual, batch norm": he(twenty(ReLU, batch_norm=True, residual=True), rng=0)}


def train(net: Layer, batches: list, recorder: Recorder | None, lr: float) -> tuple[list, list]:
    """Updates with momentum; returns (losses, seconds) of each."""
    loss, optimizer = SoftmaxCrossEntropy(), optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    net.train()
    losses, seconds = [], []
    for step, (x, labels) in enumerate(batches):
        start = time.perf_counter()
        if recorder is None:
            losses.append(_update(net, loss, optimizer, x, labels))
        else:
            with recorder.during(step):
                losses.append(_update(net, loss, optimizer, x, labels))
        seconds.append(time.perf_counter() - start)
    return losses, seconds


def _update(net: Layer, loss: Layer, optimizer: optim.Optimizer, x: np.ndarray,
            labels: np.ndarray) -> float:
    value = loss.forward(net.forward(x), labels)
    net.zero_grad().backward(loss.backward())
    optimizer.step()
    return float(value)


def numbers(flow: Recorder, record: int = -1) -> dict:
    """What goes into the file: from input to output, and what is left at the input."""
    grad = flow.rms("grad")[record]
    return {"left_in_the_first_layer": float(f"{grad[0] / grad[-1]:.3g}"),
            **{what: [float(f"{size:.3g}") for size in flow.rms(what)[record]]
               for what in ("y", "dy", "grad")}}


def cost(batches: list) -> dict:
    """Milliseconds an update, with a recorder at every=10, every=1 and without, in turns."""
    times: dict[str, list[float]] = {"without": [], "every 10": [], "every 1": []}
    nets = {name: initialization.he(twenty(ReLU), rng=0) for name in times}
    for _ in range(2):
        for name, net in nets.items():
            every = {"every 10": 10, "every 1": 1}.get(name)
            recorder = Recorder(net, every=every) if every else None
            times[name] += train(net, batches, recorder, lr=0.01)[1]
    plain, always = median(times["without"]), median(times["every 1"])
    return {"ms_an_update": round(1000 * plain, 2), "ms_recorded": round(1000 * always, 2),
            "share_at_every_10": round((always / plain - 1) / 10, 4)}


def main(arguments: list[str]) -> int:
    """Measure all, say the story in numbers; 1 if it is another one."""
    folder = Path(arguments[0]) if arguments else None
    rng = np.random.default_rng(0)
    images, labels = data.load_digits(8).train
    rows = [rng.permutation(len(labels))[:32] for _ in range(UPDATES)]
    batches = [((images[r] - 0.3) / 0.38, labels[r]) for r in rows]
    batches = [(x.astype(np.float32), t) for x, t in batches]

    start, after, losses = {}, {}, {}
    for name, net in networks().items():
        start[name] = gradient_flow(net, *batches[0])
        after[name] = Recorder(net, every=EVERY)
        losses[name], _ = train(net, batches, after[name], lr=0.01)
    x, t = data.load_digits(32).train
    net = models.googlenet_small(rng=0)
    trunk = [name for name in Recorder(net).names if not name.startswith("aux")]
    heads = {"with auxiliary heads": gradient_flow(net, x[:32], t[:32], trunk),
             "without": gradient_flow(net, x[:32], t[:32], trunk, auxiliary=0.0)}
    colour = np.repeat(x[:8] - x[:8].mean(), 3, axis=1)
    cifar = {title: gradient_flow(models.get_model(name, rng=0), colour, t[:8])
             for title, name in (("plain, 20 layers", "cifar_plain20"),
                                 ("residual, 20 layers", "cifar_resnet20"),
                                 ("plain, 56 layers", "cifar_plain56"),
                                 ("residual, 56 layers", "cifar_resnet56"))}

    print(f"{'':24s}{'left in the first layer':>26s}{'loss before':>14s}{'after':>8s}")
    results: dict = {"twenty_layers": {}, "auxiliary_heads": {}, "depth": {}}
    for name, flow in start.items():
        results["twenty_layers"][name] = {
            "at_the_start": numbers(flow), f"after_{after[name].steps[-1]}_updates":
            numbers(after[name]), "loss": [round(losses[name][0], 3),
                                           round(float(np.mean(losses[name][-5:])), 3)]}
        before, behind = results["twenty_layers"][name]["loss"]
        print(f"{name:24s}{numbers(flow)['left_in_the_first_layer']:26.2g}{before:14.2f}"
              f"{behind:8.2f}")
    for part, flows in (("auxiliary_heads", heads), ("depth", cifar)):
        for name, flow in flows.items():
            results[part][name] = numbers(flow)
            print(f"{name:24s}{results[part][name]['left_in_the_first_layer']:26.2g}")
    ratio = float(heads["with auxiliary heads"].rms()[0, 0] / heads["without"].rms()[0, 0])
    results["auxiliary_heads"]["first_layer_gets_more_by"] = round(ratio, 2)
    results["recording"] = cost(batches[:20])
    print(f"the heads give the first layer {ratio:.1f} times the gradient; recording every 10th "
          f"update costs {results['recording']['share_at_every_10']:.1%}")

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        note = "at the start: weights as drawn, 32 digits"
        for name, figure in {
                "twenty_layers": flow_figure(start, note=note),
                "auxiliary_heads": flow_figure(heads, relative=False, note=note,
                                               title="GoogLeNet: what its auxiliary heads add"),
                "depth": flow_figure(cifar, note="at the start: weights as drawn",
                                     title="CIFAR's networks: plain and residual"),
                "training": history_figure(after),
                "ridges_sigmoid": ridge_figure(start["sigmoid"],
                                               title="sigmoid, 20 layers")}.items():
            figure.savefig(folder / f"{name}.png", dpi=100)
        print(f"pictures: {folder}")
    RESULTS.write_text(json.dumps({
        "what": __doc__.splitlines()[0], "python": platform.python_version(),
        "numpy": np.__version__, "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"), "updates": UPDATES, **results}, indent=1) + "\n",
        "utf-8")
    print(f"written: {RESULTS.name}")
    left = {name: row["at_the_start"]["left_in_the_first_layer"]
            for name, row in results["twenty_layers"].items()}
    told = (left["sigmoid"] < 1e-6 and 0.01 < left["ReLU"] < 100
            and 0.01 < left["residual, batch norm"] < 100 and ratio > 1)
    return 0 if told else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
