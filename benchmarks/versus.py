"""Ours against PyTorch: single layers, training steps and inference of whole networks.

    python benchmarks/versus.py [NAME …] [--quick] [--device gpu] [--threads 2] [--rounds 7]
                                [--memory] [--only networks|layers|learners]

Both run in one process, in turns, on as many threads, with the same weights and the same data,
float32. Medians over the rounds, and the quartiles between which half of them lie; a ratio is
PyTorch's time divided by ours, the median of the rounds' own ratios. Above 1 we are faster. Beside
it stands the rate of this machine's own matrix products, measured in the same run.

What they compute is compared first (in evaluation mode, since dropout draws at random), and the run
ends with an error if a network's outputs are more than 1e-3 apart, of the largest, or its gradients
more than 2e-2, of their length (a single layer's: 1e-4). That is far for float32, and cannot be
nearer: a ReLU or a maximum whose inputs are rounded across each other sends a gradient another way,
on either side (im2col alone is up to 2e-2 from float64 in a single number). In float64 the tests
compare to rounding.

`learners` is what somebody who learns would otherwise take: VGG-16's inference by DeZero (pip
install dezero), and by convolutions that copy the patches of a whole batch at once.

A training step is zero_grad, forward, softmax and cross-entropy, backward, and SGD with momentum
0.9 and weight decay 5e-4. Inference is forward in evaluation mode, with nothing remembered.
With --memory, each of the two runs three training steps alone in a process of its own; the figure
is the most memory that it held, less what it held when everything was imported.

Writes benchmarks/results/versus.json (or versus_gpu.json) and a figure beside it; rows that were
not measured in this run stay as they were.
"""
import argparse
import functools
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from scaling import held
from threadpoolctl import threadpool_limits

from scratchnet.profile import matrix_rate

RESULTS = Path(__file__).parent / "results"
# name: batch, image, the goal for a training step, the goal for inference
NETWORKS = {
    "vgg16": (8, (3, 224, 224), 1.3, 1.3),
    "alexnet_owt": (32, (3, 224, 224), 1.0, 1.0),
    "googlenet_bn": (16, (3, 224, 224), 1.0, 1.0),
    "resnet18": (16, (3, 224, 224), 1.0, 1.0),
    "resnet50": (8, (3, 224, 224), 1.0, 0.9),
    "densenet121": (8, (3, 224, 224), 0.9, 0.8),
    "mobilenet_v2": (16, (3, 224, 224), 0.8, 0.6),
    "alexnet": (32, (3, 227, 227), 1.3, 1.3),
    "cifar_resnet20": (128, (3, 32, 32), 1.0, 1.0),
}
# name: a layer's kind and settings, and the shape of its input
LAYERS = {
    "VGG conv1_2": ("Conv2d", (64, 64, 3, 1, 1), (8, 64, 224, 224)),
    "VGG conv3_2": ("Conv2d", (256, 256, 3, 1, 1), (8, 256, 56, 56)),
    "VGG conv5_1": ("Conv2d", (512, 512, 3, 1, 1), (8, 512, 14, 14)),
    "AlexNet conv1": ("Conv2d", (3, 96, 11, 4), (32, 3, 227, 227)),
    "AlexNet conv2, 2 groups": ("Conv2d", (96, 256, 5, 1, 2, 1, 2), (32, 96, 27, 27)),
    "ResNet conv1": ("Conv2d", (3, 64, 7, 2, 3), (16, 3, 224, 224)),
    "ResNet 3×3, 56²": ("Conv2d", (64, 64, 3, 1, 1), (16, 64, 56, 56)),
    "ResNet 3×3, 28²": ("Conv2d", (128, 128, 3, 1, 1), (16, 128, 28, 28)),
    "ResNet 3×3, 14²": ("Conv2d", (256, 256, 3, 1, 1), (16, 256, 14, 14)),
    "ResNet 3×3, 7²": ("Conv2d", (512, 512, 3, 1, 1), (16, 512, 7, 7)),
    "ResNet 3×3 stride 2": ("Conv2d", (128, 128, 3, 2, 1), (16, 128, 56, 56)),
    "ResNet 1×1, 56²": ("Conv2d", (256, 64, 1), (16, 256, 56, 56)),
    "ResNet 1×1, 14²": ("Conv2d", (1024, 256, 1), (16, 1024, 14, 14)),
    "MobileNet depthwise, 56²": ("Conv2d", (144, 144, 3, 1, 1, 1, 144), (16, 144, 56, 56)),
    "BatchNorm2d, 112²": ("BatchNorm2d", (64,), (16, 64, 112, 112)),
    "BatchNorm2d, 14²": ("BatchNorm2d", (256,), (16, 256, 14, 14)),
    "ReLU, 112²": ("ReLU", (), (16, 64, 112, 112)),
    "ReLU, 14²": ("ReLU", (), (16, 256, 14, 14)),
    "MaxPool2d 3/2, 112²": ("MaxPool2d", (3, 2, 1), (16, 64, 112, 112)),
    "LocalResponseNorm, 55²": ("LocalResponseNorm", (), (32, 96, 55, 55)),
    "Linear 9216→4096": ("Linear", (9216, 4096), (32, 9216)),
}
LEARNERS = ("DeZero", "whole-batch im2col")


def main() -> int:
    parser = argparse.ArgumentParser(description="Ours against PyTorch.")
    parser.add_argument("names", nargs="*", help="networks or layers (default: all)")
    parser.add_argument("--only", choices=("networks", "layers", "learners"),
                        help="learners: DeZero, and im2col of the whole batch at once")
    parser.add_argument("--quick", action="store_true", help="three rounds, a quarter of the "
                        "batch; written to versus_quick.json")
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    parser.add_argument("--threads", type=int, default=2, help="of each (default: 2)")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="(default: cpu)")
    parser.add_argument("--tf32", action="store_true", help="gpu: TF32, on both sides")
    parser.add_argument("--memory", action="store_true", help="measure peak memory, too")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(options.rounds, options.threads) < 1:
        parser.error("--rounds and --threads are 1 or more")
    for variable in ("OMP_NUM_THREADS", "SCRATCHNET_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    threadpool_limits(options.threads, user_api="blas")     # NumPy's library is loaded already
    if options.child:
        return _child(*options.child)
    known = [*NETWORKS, *LAYERS, *LEARNERS]
    if unknown := [name for name in options.names if name not in known]:
        parser.error("\n    ".join([f"unknown: {', '.join(unknown)}; there are", *known]))

    import torch

    import scratchnet
    torch.set_num_threads(options.threads)
    if options.device == "gpu" and not torch.cuda.is_available():
        parser.error("--device gpu: PyTorch finds no GPU here")
    if options.device == "gpu":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
        os.environ["CUPY_TF32"] = str(int(options.tf32))
    kind = "versus" if options.device == "cpu" else f"versus_gpu{'_tf32' * options.tf32}"
    path = RESULTS / f"{kind}{'_quick' * options.quick}.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    machine = {"processor": _processor(), "threads": options.threads, "numpy": np.__version__,
               "torch": torch.__version__, "scratchnet": scratchnet.__version__,
               "python": platform.python_version(), "device": options.device}
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.5:
        print(f"Others have been using this machine (load {load:.1f}), or use it still: then the "
              f"ratios are not to be trusted.")
    rounds, cut = (3, 4) if options.quick else (options.rounds, 1)

    print(f"\n{'':26s}{'':10s}{'PyTorch':>16s}{'ours':>16s}   ratio (quartiles)  goal   GFLOP/s  "
          "difference")
    for name in [*LAYERS, *LEARNERS, *NETWORKS]:
        group = ("networks" if name in NETWORKS else "learners" if name in LEARNERS else "layers")
        if options.only not in (None, group) or (options.names and name not in options.names):
            continue
        if group == "learners" and options.device == "gpu":     # they compute on the CPU
            continue
        measure = {"networks": _network, "layers": _layer, "learners": _learner}[group]
        row = measure(name, rounds, cut, options.device)
        if options.memory and name in NETWORKS and options.device == "cpu":
            batch = max(1, NETWORKS[name][0] // cut)
            row["memory"] = {who: _peak(who, name, batch, options.threads)
                             for who in ("torch", "ours")}
            print(f"{name:26s}peak memory of a training step: PyTorch "
                  f"{row['memory']['torch'] / 2**20:.0f} MiB, ours "
                  f"{row['memory']['ours'] / 2**20:.0f} MiB, "
                  f"{row['memory']['ours'] / row['memory']['torch']:.2f} times")
        rows = results.setdefault(group, {})
        if "memory" in rows.get(name, {}):
            row.setdefault("memory", rows[name]["memory"])
        rows[name] = row | {"machine": machine}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _figure(results, path.with_suffix(".png"))
    print(f"\nwritten: {path}")
    return 0


def _network(name: str, rounds: int, cut: int, device: str) -> dict:
    import torch
    import torch_networks

    from scratchnet import models, optim
    from scratchnet.backend import to_device
    from scratchnet.layer import no_grad, parameters_only
    from scratchnet.layers import SoftmaxCrossEntropy
    batch, image, *goals = NETWORKS[name]
    batch = max(1, batch // cut)
    rng = np.random.default_rng(0)
    ours = models.get_model(name, rng=0)
    theirs = torch_networks.make(name, ours)
    x = rng.standard_normal((batch, *image), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    where = "cpu" if device == "cpu" else "cuda"
    X, LABELS, theirs = torch.from_numpy(x).to(where), torch.from_numpy(labels).to(where), \
        theirs.to(where)
    ours, x = ours.to(device), to_device(x, device)
    loss, LOSS = SoftmaxCrossEntropy(), torch.nn.functional.cross_entropy

    # What is computed is compared, without dropout and heads.
    y = ours.eval().forward(x)
    loss.forward(y, labels)
    ours.zero_grad().backward(loss.backward())
    Y = theirs.eval()(X)
    LOSS(Y, LABELS).backward()
    mine, others = dict(ours.named_parameters()), dict(theirs.named_parameters())
    if set(mine) != set(others):        # the same order, other names
        others = dict(zip(mine, others.values(), strict=True))
    pairs = [(p.grad, others[key].grad) for key, p in mine.items() if others[key].grad is not None]
    apart = {"outputs": _apart(y, Y), "gradients": math.sqrt(
        sum(_length(a, b) for a, b in pairs) / sum(_length(b) for _, b in pairs))}
    if not (apart["outputs"] <= 1e-3 and apart["gradients"] <= 2e-2):
        raise SystemExit(f"{name}: ours and PyTorch's are apart: {apart}")
    del Y, y, pairs

    sgd = optim.SGD(ours.parameters(), 1e-6, 0.9, 5e-4, form="pytorch")
    SGD = torch.optim.SGD(theirs.parameters(), 1e-6, 0.9, weight_decay=5e-4)

    def train() -> None:
        outputs = ours.forward(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        dys = []
        for i, logits in enumerate(outputs):
            loss.forward(logits, labels)
            dys.append(loss.backward(1.0 if i == 0 else 0.3))
        with parameters_only(ours):         # nor does PyTorch compute the images' gradient
            ours.zero_grad().backward(*dys)
        sgd.step()

    def TRAIN() -> None:
        SGD.zero_grad()
        outputs = theirs(X)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if len(outputs) == 1:
            LOSS(outputs[0], LABELS).backward()
        else:
            sum(LOSS(logits, LABELS) * (1.0 if i == 0 else 0.3)
                for i, logits in enumerate(outputs)).backward()
        SGD.step()

    def infer() -> None:
        with no_grad():
            ours.forward(x)

    def INFER() -> None:
        with torch.no_grad():
            theirs(X)

    row = {"batch": batch, "image": image, "apart": apart}
    macs = _macs(ours, image) * batch
    ours.train(), theirs.train()
    row["training"] = _race(TRAIN, train, rounds, device)
    ours.eval(), theirs.eval()
    row["inference"] = _race(INFER, infer, rounds, device)
    rate = matrix_rate(x)
    for what, times, goal in (("training", 3, goals[0]), ("inference", 1, goals[1])):
        part = row[what]
        part |= {"goal": goal, "gflops": 2 * times * macs / part["ours"] / 1e9, "machine": rate}
        _say(name, f"{what} ×{batch}", part, max(apart.values()))
    return row


def _layer(name: str, rounds: int, cut: int, device: str) -> dict:
    import torch

    from scratchnet import layers
    from scratchnet.backend import to_device
    kind, settings, shape = LAYERS[name]
    shape = (max(1, shape[0] // cut), *shape[1:])
    rng = np.random.default_rng(0)
    ours = getattr(layers, kind)(*settings)
    theirs = (torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0) if kind == "LocalResponseNorm" else
              getattr(torch.nn, kind)(*settings))
    for p, P in zip(ours.parameters(), theirs.parameters(), strict=True):
        P.data = torch.from_numpy(p.value.copy())
    where = "cpu" if device == "cpu" else "cuda"
    x = rng.standard_normal(shape, dtype=np.float32)
    X, theirs = torch.from_numpy(x).to(where).requires_grad_(), theirs.to(where)
    x, ours = to_device(x, device), ours.to(device)
    y, Y = ours.forward(x), theirs(X)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    DY, dy = torch.from_numpy(dy).to(where), to_device(dy, device)
    dx = ours.zero_grad().backward(dy)
    Y.backward(DY)
    apart = {"outputs": _apart(y, Y), "dx": _apart(dx, X.grad)} | {
        f"parameter {i}": _apart(p.grad, P.grad) for i, (p, P) in enumerate(
            zip(ours.parameters(), theirs.parameters(), strict=True))}
    if not max(apart.values()) <= 1e-4:
        raise SystemExit(f"{name}: ours and PyTorch's are {max(apart.values()):.1e} apart")

    def both() -> None:
        ours.forward(x)
        ours.backward(dy)

    def BOTH() -> None:
        X.grad = None
        theirs(X).backward(DY)

    def INFER() -> None:
        with torch.no_grad():
            theirs(X)

    row = {"shape": shape, "apart": apart,
           "forward": _race(INFER, lambda: ours.forward(x), rounds, device),
           "forward and backward": _race(BOTH, both, rounds, device)}
    for what in ("forward", "forward and backward"):
        _say(name, "forward" if what == "forward" else "both", row[what], max(apart.values()))
    return row


def _learner(name: str, rounds: int, cut: int, device: str) -> dict:
    """VGG-16's inference, by another library or by the convolutions of most tutorials; the same
    weights. Its time is called "torch" here, too."""
    from scratchnet import models
    from scratchnet.layer import no_grad
    batch = max(1, 8 // cut)
    ours = models.get_model("vgg16", rng=0).eval()
    x = np.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype=np.float32)
    if name == "DeZero":
        np.__dict__["int"] = int    # DeZero 0.0.13 was written for an older NumPy
        import dezero
        from dezero.models import VGG16
        theirs = VGG16()
        theirs(x[:1])               # its weights are made by the first forward
        learned = [layer for layer in theirs.__dict__.values()
                   if isinstance(layer, dezero.layers.Layer)]
        mine = [layer for _, layer in ours.named_layers() if hasattr(layer, "weight")]
        for layer, LAYER in zip(mine, learned, strict=True):
            w = layer.weight.value
            LAYER.W.data, LAYER.b.data = w if w.ndim == 4 else w.T.copy(), layer.bias.value

        def other() -> object:
            with dezero.no_grad(), dezero.test_mode():
                return theirs(x).data
    else:
        theirs = models.get_model("vgg16", rng=0).eval()
        for _, layer in theirs.named_layers():
            if type(layer).__name__ == "Conv2d":
                layer.forward = functools.partial(_whole_batch, layer)

        def other() -> object:
            with no_grad():
                return theirs.forward(x)

    def infer() -> object:
        with no_grad():
            return ours.forward(x)

    apart = _apart(infer(), other())
    if not apart <= 1e-4:
        raise SystemExit(f"{name}: its outputs and ours are {apart:.1e} apart")
    row = {"batch": batch, "apart": apart, "inference": _race(other, infer, rounds, device)}
    _say(name, f"VGG-16 ×{batch}", row["inference"], apart)
    return row


def _whole_batch(layer: object, x: np.ndarray) -> np.ndarray:
    """A convolution as most tutorials have it: all patches of all images copied at once."""
    w, (ph, pw) = layer.weight.value, layer.geometry.padding
    (N, _, _, _), (O, _, KH, KW) = x.shape, w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (KH, KW), axis=(2, 3))
    OH, OW = patches.shape[2:4]
    columns = patches.transpose(0, 2, 3, 1, 4, 5).reshape(N * OH * OW, -1)
    y = columns @ w.reshape(O, -1).T + layer.bias.value
    return y.reshape(N, OH, OW, O).transpose(0, 3, 1, 2)


def _race(theirs: Callable, ours: Callable, rounds: int, device: str) -> dict:
    """Run both in turns; their times in seconds, medians and quartiles."""
    times = {"torch": [], "ours": []}
    theirs(), ours()
    for i in range(rounds):
        order = (("torch", theirs), ("ours", ours))
        for who, run in order if i % 2 else order[::-1]:
            _wait(device)
            start = time.perf_counter()
            run()
            _wait(device)
            times[who].append(time.perf_counter() - start)
    ratios = np.array(times["torch"]) / np.array(times["ours"])
    return {"torch": median(times["torch"]), "ours": median(times["ours"]),
            "ratio": float(np.median(ratios)),
            "quartiles": [float(q) for q in np.quantile(ratios, (0.25, 0.75))], "times": times}


def _wait(device: str) -> None:
    if device == "gpu":
        import cupy
        import torch
        cupy.cuda.Device().synchronize()
        torch.cuda.synchronize()


def _apart(a: object, b: object) -> float:
    """The largest difference, relative to the largest number."""
    a, b = _host(a), _host(b)
    return float(abs(a - b).max() / max(abs(b).max(), 1e-30))


def _length(a: object, b: object = 0.0) -> float:
    """Σ (a − b)²."""
    return float(np.sum((_host(a) - _host(b)).astype(np.float64) ** 2))


def _host(a: object) -> np.ndarray:
    """A NumPy array of ours, of PyTorch's, or of a number."""
    from scratchnet.backend import is_array, to_host
    if is_array(a):
        return to_host(a)
    return np.float32(a) if isinstance(a, float) else a.detach().cpu().numpy()


def _macs(net: object, image: tuple) -> int:
    from scratchnet.cost import summary
    return summary(net, image).macs


def _say(name: str, what: str, part: dict, apart: float) -> None:
    low, high = part["quartiles"]
    goal, rate = part.get("goal"), part.get("gflops")
    print(f"{name:26s}{what:14s}{part['torch'] * 1e3:9.1f} ms {part['ours'] * 1e3:12.1f} ms   "
          f"{part['ratio']:5.2f} ({low:.2f}–{high:.2f})   "
          + (f"{goal:4.1f} {'✓' if part['ratio'] >= goal else '✗'}" if goal else f"{'':6s}")
          + (f"  {rate:4.0f} of {part['machine']:.0f}" if rate else f"{'':13s}")
          + f"   {apart:.0e}", flush=True)


def _peak(who: str, name: str, batch: int, threads: int) -> int:
    run = subprocess.run([sys.executable, __file__, "--child", who, name, str(batch),
                          "--threads", str(threads)], capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1])


def _child(who: str, name: str, batch: str) -> int:
    """Three training steps of one of the two; print the bytes that they needed."""
    from scratchnet import models, optim
    from scratchnet.layer import parameters_only
    from scratchnet.layers import SoftmaxCrossEntropy
    _, image, *_ = NETWORKS[name]
    x = np.random.default_rng(0).standard_normal((int(batch), *image), dtype=np.float32)
    labels = np.zeros(int(batch), dtype=np.int64)
    if who == "ours":
        idle = held()
        net, loss = models.get_model(name, rng=0), SoftmaxCrossEntropy()
        sgd = optim.SGD(net.parameters(), 1e-6, 0.9, 5e-4, form="pytorch")
        for _ in range(3):
            outputs = net.forward(x)
            dys = []
            for logits in outputs if isinstance(outputs, tuple) else (outputs,):
                loss.forward(logits, labels)
                dys.append(loss.backward())
            with parameters_only(net):
                net.zero_grad().backward(*dys)
            sgd.step()
    else:
        import torch
        import torch_networks
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        X, LABELS = torch.from_numpy(x), torch.from_numpy(labels)
        torch.nn.functional.conv2d(X[:1], torch.zeros(1, 3, 1, 1))      # start its threads
        idle = held()
        if name in torch_networks.TORCHVISION:
            options = {"init_weights": False} if name == "googlenet_bn" else {}
            NET = getattr(torch_networks._torchvision().models, torch_networks.TORCHVISION[name])(
                weights=None, **options)
        else:
            NET = {"alexnet": torch_networks.alexnet,
                   "cifar_resnet20": torch_networks.CifarResNet20}[name]()
        SGD = torch.optim.SGD(NET.parameters(), 1e-6, 0.9, weight_decay=5e-4)
        for _ in range(3):
            SGD.zero_grad()
            outputs = NET.train()(X)
            sum(torch.nn.functional.cross_entropy(logits, LABELS) for logits in (
                outputs if isinstance(outputs, tuple) else (outputs,))).backward()
            SGD.step()
    print(_most_held() - idle)
    return 0


def _most_held() -> int:
    """The most bytes that this process ever held in memory. (Not getrusage: there a child begins
    with what its parent held.)"""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _figure(results: dict, path: Path) -> None:
    """Ratios as bars that begin at 1, to the right where we are faster."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator
    groups = [(group, whats, rows) for group, whats in (
        ("networks", ("training", "inference")), ("layers", ("forward", "forward and backward")))
        if (rows := results.get(group))]
    heights = [len(rows) for _, _, rows in groups]
    figure = Figure(figsize=(8, 0.42 * sum(heights) + 1.2 * len(groups)), layout="constrained")
    for axes, (_, whats, rows) in zip(
            figure.subplots(len(groups), height_ratios=heights, squeeze=False)[:, 0], groups,
            strict=True):
        axes.set_xscale("log")
        every = [row[what]["ratio"] for row in rows.values() for what in whats]
        for i, (what, colour) in enumerate(zip(whats, ("tab:blue", "tab:orange"), strict=True)):
            for k, row in enumerate(rows.values()):
                ratio, at = row[what]["ratio"], k + 0.2 * (2 * i - 1)
                axes.barh(at, ratio - 1, 0.38, left=1, color=colour, label=what if not k else None)
                axes.annotate(f"{ratio:.2f}", (ratio, at), xytext=(3 if ratio > 1 else -3, 0),
                              textcoords="offset points", fontsize=7, va="center",
                              ha="left" if ratio > 1 else "right")
        axes.axvline(1, color="0.3", lw=1)
        ticks = [tick for tick in (0.25, 0.33, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
                 if min(every) / 1.3 < tick < max(every) * 1.3]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(yticks=range(len(rows)), yticklabels=list(rows), ylim=(len(rows) - 0.5, -0.5),
                 xlim=(min(*every, 0.9) / 1.3, max(*every, 1.1) * 1.3),
                 xlabel="PyTorch's time ÷ ours: ← slower · faster →")
        axes.legend(fontsize=8, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
