"""What a training step costs against threads, batch, image size and depth; does memory grow?

    python benchmarks/scaling.py [threads] [batch] [image] [depth] [steps] [--quick]

    threads     VGG-16 and ResNet-50, 8 images, on one thread and on all: how many times faster; and
                products of small matrices that share nothing: what the machine's cores can do
    batch       ResNet-18 with 8, 16, 32 and 64 images: seconds an image, against those of 8
    image       ResNet-18, 8 images of 96², 160², 224² and 320²: seconds a pixel
    depth       ResNet-18, 34, 50 and 101, 8 images: seconds a billion multiply-accumulates
    steps       200 steps of a small ResNet: memory after 20 of them, and after all

A training step is zero_grad, forward, softmax and cross-entropy, backward and SGD; the median of
some, after one to warm up. With threads, the two take turns. Writes benchmarks/results/scaling.json
and a figure beside it; parts that were not measured in this run stay as they were. --quick takes
smaller networks and fewer steps, and writes scaling_quick.json.
"""
import argparse
import gc
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

RESULTS = Path(__file__).parent / "results"
PRODUCTS = "matrix products"
PARTS = ("threads", "batch", "image", "depth", "steps")


def main() -> int:
    parser = argparse.ArgumentParser(description="Cost against threads, batch, image and depth.")
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller networks, fewer steps")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    path = RESULTS / f"scaling{'_quick' * options.quick}.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    measure = {"threads": _threads, "batch": _batch, "image": _image, "depth": _depth,
               "steps": _steps}
    for part in PARTS:
        if options.parts and part not in options.parts:
            continue
        print(f"\n{part}")
        results[part] = measure[part](options.quick)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n",
                        encoding="utf-8")
    _figure(results, path.with_suffix(".png"))
    print(f"\nwritten: {path}")
    return 0


def stepper(name: str, batch: int, side: int | None = None) -> Callable[[], None]:
    """Return a function that trains the network `name` for one step on made-up images."""
    from scratchnet import models, optim
    from scratchnet.layer import parameters_only
    from scratchnet.layers import SoftmaxCrossEntropy
    net, loss = models.get_model(name, rng=0), SoftmaxCrossEntropy()
    C, H, W = models.input_shape(name)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, C, side or H, side or W), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    sgd = optim.SGD(net.parameters(), 1e-3, 0.9, 5e-4)

    def step() -> None:
        loss.forward(net.forward(x), labels)
        with parameters_only(net):
            net.zero_grad().backward(loss.backward())
        sgd.step()

    return step


def seconds(step: Callable[[], None], rounds: int) -> list[float]:
    step()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def _threads(quick: bool) -> dict:
    from scratchnet.backend import threads
    from scratchnet.backend.parallel import limited
    most, rows = threads(), {}
    names = ("resnet_small",) if quick else ("vgg16", "resnet50")
    for name in (PRODUCTS, *names):
        step = _products if name == PRODUCTS else stepper(name, 32 if quick else 8)
        times: dict[int, list[float]] = {1: [], most: []}
        step()
        for i in range(3 if quick else 5):
            for count in (1, most) if i % 2 else (most, 1):
                with limited(count):
                    start = time.perf_counter()
                    step()
                    times[count].append(time.perf_counter() - start)
        one, all_ = median(times[1]), median(times[most])
        rows[name] = {"one": one, "all": all_, "threads": most, "ratio": one / all_,
                      "times": [times[1], times[most]]}
        print(f"    {name:14s} one thread {one:6.2f} s, {most} threads {all_:6.2f} s: "
              f"{one / all_:.2f} times")
    return rows


def _products() -> None:
    """Products of matrices in each core's cache, as many on each thread as work is spread over."""
    from scratchnet.backend import spread
    a = np.ones((256, 256), np.float32)

    def part(first: int, last: int) -> None:
        out = np.empty_like(a)
        for _ in range(first, last):
            np.matmul(a, a, out=out)

    spread(part, 4000)


def _batch(quick: bool) -> dict:
    name = "resnet_small" if quick else "resnet18"
    return _against([(f"{n} images", (name, n), n) for n in (8, 16, 32, 64)], "image", quick)


def _image(quick: bool) -> dict:
    sides = (32, 48, 64) if quick else (96, 160, 224, 320)
    name = "resnet_small" if quick else "resnet18"
    return _against([(f"{side}²", (name, 8, side), 8 * side * side / 1e6) for side in sides],
                    "million pixels", quick)


def _depth(quick: bool) -> dict:
    from scratchnet import models
    from scratchnet.cost import summary
    names = ("cifar_resnet20", "cifar_resnet32") if quick else (
        "resnet18", "resnet34", "resnet50", "resnet101")
    macs = [8 * summary(models.get_model(name, rng=0), models.input_shape(name)).macs / 1e9
            for name in names]
    return _against([(name, (name, 8), amount) for name, amount in zip(names, macs, strict=True)],
                    "GMAC", quick)


def _against(settings: list, unit: str, quick: bool) -> dict:
    """Seconds of a step for each setting, and for each unit of what grows."""
    rows = {}
    for label, arguments, amount in settings:
        took = median(seconds(stepper(*arguments), 3 if quick else 5))
        rows[label] = {"seconds": took, "amount": amount, "each": took / amount, "unit": unit}
        first = next(iter(rows.values()))["each"]
        print(f"    {label:14s} {took:6.2f} s, {took / amount * 1e3:8.2f} ms for each {unit}, "
              f"{took / amount / first:.2f} times the first")
    return rows


def _steps(quick: bool) -> dict:
    count = 40 if quick else 200
    step = stepper("resnet_small", 32)
    at = {}
    for i in range(1, count + 1):
        step()
        if i in (20, count):
            gc.collect()
            at[i] = held()
    growth = at[count] - at[20]
    print(f"    {at[20] / 2**20:.1f} MiB after 20 steps, {at[count] / 2**20:.1f} MiB after "
          f"{count}: {growth / 2**20:+.2f} MiB")
    return {"steps": count, "bytes after 20": at[20], "bytes at the end": at[count],
            "growth": growth}


def held() -> int:
    """Bytes of this process in memory now."""
    fields = Path("/proc/self/statm").read_text(encoding="utf-8").split()
    return int(fields[1]) * resource.getpagesize()


def _figure(results: dict, path: Path) -> None:
    """Seconds against batch, image and depth, with the line that the first point gives."""
    from matplotlib.figure import Figure
    parts = [part for part in ("batch", "image", "depth") if part in results]
    if not parts:
        return
    figure = Figure(figsize=(3.4 * len(parts), 3), layout="constrained")
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        rows = list(results[part].values())
        at, took = [row["amount"] for row in rows], [row["seconds"] for row in rows]
        axes.plot([0, max(at)], [0, max(at) * rows[0]["each"]], color="0.7", lw=1,
                  label="in proportion to the first")
        axes.plot(at, took, "o", color="tab:blue")
        for label, x, y in zip(results[part], at, took, strict=True):
            axes.annotate(label, (x, y), xytext=(4, -9), textcoords="offset points", fontsize=7)
        unit = rows[0]["unit"]
        axes.set(xlabel=unit if unit != "image" else "images", xlim=(0, max(at) * 1.3),
                 ylim=(0, max(took) * 1.15), title=part)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("seconds a training step")
    figure.axes[0].legend(fontsize=7, loc="upper left", frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    raise SystemExit(main())
