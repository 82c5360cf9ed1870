"""How much memory does a step of training need? Ours beside PyTorch's, the same networks.

    python benchmarks/memory.py --networks vgg16 densenet121 --batch 4 --repeats 3

One pass: forward in training mode, cross-entropy, backward to every parameter; float32, the same
weights and images, 224×224. PyTorch's networks are torchvision's as they are, with their in-place
ReLUs; only dropout has p = 0 on both sides, since its draws cannot be shared. Ours also computes
the gradient of the images, which PyTorch is not asked for, as in training.

Each pass runs in a process of its own, which reads the largest resident set that it ever had
(VmHWM in /proc/self/status, so on Linux only) and subtracts the resident set of just before the
network was built. By then everything is imported and a tiny network has made a pass, so that
neither library's own code counts. What is left, `peak`, is the network, its gradients, what it
remembers between forward and backward, and work space; `pass` is the part of it that was not
there yet when the network had been built and filled.

A resident set also holds what was freed, and not yet handed back to the system. So everything is
measured twice, with the C library's allocator "as it is", and "returning" each large block at
once: the second is what is in use.

Asserts that both did the same work: the logits agree, and the gradients of the first and the last
weights. Prints a table and writes benchmarks/results/memory.json.
"""
import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402

from scratchnet import layers, models  # noqa: E402

CLASSES = 1000
ALLOCATORS = {"as it is": {}, "returning": {"MALLOC_MMAP_THRESHOLD_": "65536"}}      # of glibc

# ‖ours − PyTorch's‖ / ‖PyTorch's‖, at most. Rounding lets a few of a million numbers pass one ReLU
# and not the other; a share f of such flips in each layer changes the gradients behind it by √f.
TOLERANCE = {"logits": 1e-3, "last gradient": 1e-3, "first gradient": 0.1}


def resident(field: str) -> int:
    """Bytes of this process in memory: now ("VmRSS"), or at its worst moment ("VmHWM").

    (getrusage's ru_maxrss would do for the second, but it begins with the parent's.)
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def images_and_labels(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn, not photographed: memory does not depend on them."""
    rng = np.random.default_rng(1)
    return (rng.standard_normal((batch, 3, 224, 224), dtype=np.float32),
            rng.integers(CLASSES, size=batch))


def ours(name: str, batch: int, weights: Path) -> dict[str, np.ndarray]:
    """One pass of our network. (`weights` has what rng=0 draws: nothing to be read here.)"""
    tiny = layers.Sequential(layers.Conv2d(3, 8, 3), layers.BatchNorm2d(8), layers.ReLU(),
                             layers.MaxPool2d(2), layers.Flatten(), layers.Linear(72, 8))
    tiny.backward(tiny.forward(np.ones((2, 3, 8, 8), np.float32)))
    x, labels = images_and_labels(batch)
    before = resident("VmRSS")

    net = models.get_model(name, num_classes=CLASSES, rng=0)
    for _, layer in net.named_layers():
        if isinstance(layer, layers.Dropout):
            layer.p = 0.0
    cross_entropy = layers.SoftmaxCrossEntropy()
    built = resident("VmRSS")

    logits = net.forward(x)
    cross_entropy.forward(logits, labels)
    net.backward(cross_entropy.backward())
    peak = resident("VmHWM")

    grads = [p.grad for p in net.parameters() if p.grad.ndim > 1]
    return {"bytes": np.array([peak - before, peak - built]), "logits": logits,
            "first gradient": grads[0], "last gradient": grads[-1]}


def pytorchs(name: str, batch: int, weights: Path) -> dict[str, np.ndarray]:
    """One pass of torchvision's network, filled with `weights`."""
    import torch
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):                    # for a wheel without its C++ operators
        with contextlib.suppress(RuntimeError):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")
    import torchvision
    from torch import nn

    tiny = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(True),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 8))
    tiny(torch.ones(2, 3, 8, 8)).sum().backward()
    x, labels = map(torch.from_numpy, images_and_labels(batch))
    before = resident("VmRSS")

    net = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    arrays = np.load(weights)                           # read one at a time
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(arrays[key]))
    built = resident("VmRSS")

    logits = net(x)
    nn.functional.cross_entropy(logits, labels).backward()
    peak = resident("VmHWM")

    grads = [p.grad for p in net.parameters() if p.grad.ndim > 1]
    return {"bytes": np.array([peak - before, peak - built]), "logits": logits.detach().numpy(),
            "first gradient": grads[0].numpy(), "last gradient": grads[-1].numpy()}


def measure(library: str, name: str, batch: int, threads: int, allocator: str,
            folder: Path) -> dict[str, np.ndarray]:
    """Run `ours` or `pytorchs` in a fresh process."""
    out = folder / "pass.npz"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    subprocess.run([sys.executable, __file__, "--pass", library, name, str(batch), str(folder)],
                   env=os.environ | dict.fromkeys(names, str(threads)) | ALLOCATORS[allocator],
                   check=True)
    return dict(np.load(out))


def compare(name: str, batch: int, threads: int, repeats: int) -> dict:
    """Measure both libraries, in turns; AssertionError where their numbers differ."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/weights.npz",
                 **models.get_model(name, num_classes=CLASSES, rng=0).state_dict())
        for allocator in ALLOCATORS:
            megabytes: dict[str, list] = {"ours": [], "pytorchs": []}
            for _ in range(repeats):
                done = {library: measure(library, name, batch, threads, allocator, Path(folder))
                        for library in megabytes}
                for library, runs in megabytes.items():
                    runs.append(done[library]["bytes"] / 1e6)
                result["differences"] = differences(name, done["ours"], done["pytorchs"])
            row = result[allocator] = {}
            for i, what in enumerate(("peak", "pass")):
                for library, runs in megabytes.items():
                    each = sorted(round(float(run[i]), 1) for run in runs)
                    row[f"{what}_{library}_mb"] = {"median": median(each), "least": each[0],
                                                   "most": each[-1]}
                row[f"{what}_ratio"] = round(row[f"{what}_ours_mb"]["median"]
                                             / row[f"{what}_pytorchs_mb"]["median"], 3)
    return result


def differences(name: str, got: dict, expected: dict) -> dict[str, float]:
    """How far the numbers are apart; AssertionError if further than TOLERANCE."""
    apart = {}
    for what, most in TOLERANCE.items():
        apart[what] = float(np.linalg.norm(got[what] - expected[what])
                            / np.linalg.norm(expected[what]))
        assert apart[what] < most, f"{name}: the {what}: {apart[what]:.1e} apart"
    return apart


def processor() -> str:
    """The model's name, where Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["vgg16", "densenet121", "resnet50",
                                                          "mobilenet_v2"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "memory.json")
    parser.add_argument("--pass", nargs=4, dest="one_pass", help=argparse.SUPPRESS)
    options = parser.parse_args()

    if options.one_pass:                                # a process that `measure` started
        library, name, batch, folder = options.one_pass
        result = {"ours": ours, "pytorchs": pytorchs}[library](
            name, int(batch), Path(folder, "weights.npz"))
        np.savez(Path(folder, "pass.npz"), **result)
        return

    networks = {}
    print(f"{'megabytes':14s}{'allocator':10s}{'peak: ours':>12s}{'PyTorch':>9s}{'ratio':>7s}"
          f"{'pass: ours':>14s}{'PyTorch':>9s}{'ratio':>7s}")
    for name in options.networks:
        networks[name] = compare(name, options.batch, options.threads, options.repeats)
        for allocator in ALLOCATORS:
            row = networks[name][allocator]
            print(f"{name:14s}{allocator:10s}{row['peak_ours_mb']['median']:12.0f}"
                  f"{row['peak_pytorchs_mb']['median']:9.0f}{row['peak_ratio']:7.2f}"
                  f"{row['pass_ours_mb']['median']:14.0f}{row['pass_pytorchs_mb']['median']:9.0f}"
                  f"{row['pass_ratio']:7.2f}", flush=True)
    summary = {
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": processor(), "cpus": os.cpu_count(),
                    "python": platform.python_version(), "numpy": np.__version__,
                    "torch": version("torch"), "torchvision": version("torchvision")},
        "batch": options.batch, "image": [3, 224, 224], "dtype": "float32",
        "threads": options.threads, "repeats": options.repeats, "networks": networks,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
