"""Does memory grow while a network trains? 2,000 updates, from pictures on the disk.

    python benchmarks/long_run.py
    python benchmarks/long_run.py --updates 5000 --workers 8

A small network trains on a folder of PNG pictures (drawn shapes, written by this script) as
`scratchnet train` would: read and varied by four loader threads, a checkpoint and a look at the
validation pictures after each epoch, best weights, log, curves, the progress bar. The resident set
(VmRSS, what is in use at that moment, not the largest) is read after 100 updates and at the end,
each time after a collection of garbage; the goal is that it has grown by at most 2 %.

A resident set also holds what was freed, and not yet handed back to the system, and how much that
is depends on which thread freed what when. So the figure is taken every hundred updates, and a
straight line is laid through the second half, too: a leak would be its slope.

Linux only. Exits with 1 if it has grown by more; writes benchmarks/results/long_run.json.
"""
import argparse
import gc
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from scratchnet import data, optim, training  # noqa: E402
from scratchnet.data.augment import Compose, RandomCrop, RandomReflection  # noqa: E402
from scratchnet.layers import (  # noqa: E402
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)

RESULTS = HERE / "results" / "long_run.json"
STORED, SIDE, BATCH = 28, 24, 16
FIRST, EVERY = 100, 100                 # updates
ALLOWED = 0.02


def resident() -> int:
    """Bytes of this process that are in memory now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def write_pictures(folder: Path, count: int) -> None:
    """`count` drawn shapes as PNG files, a folder a class."""
    images, labels = data.load_shapes(size=STORED, train=count, validation=1, test=1).train
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = folder / data.SHAPES[label]
        name.mkdir(exist_ok=True)
        pixels = np.round(255 * image.transpose(1, 2, 0)).astype(np.uint8)
        Image.fromarray(pixels).save(name / f"{i:05d}.png")


def network(classes: int) -> Sequential:
    rng = np.random.default_rng(0)
    return Sequential(
        conv1=Conv2d(3, 8, 3, padding=1, bias=False, rng=rng), norm1=BatchNorm2d(8), relu1=ReLU(),
        pool1=MaxPool2d(2), conv2=Conv2d(8, 16, 3, padding=1, bias=False, rng=rng),
        norm2=BatchNorm2d(16), relu2=ReLU(), pool2=MaxPool2d(2), flat=Flatten(),
        drop=Dropout(0.2, rng=rng), fc=Linear(16 * (SIDE // 4) ** 2, classes, rng=rng))


class Watched(optim.SGD):
    """SGD that reads the resident set as it goes."""

    def __init__(self, *arguments: object, **options: object):
        super().__init__(*arguments, **options)
        self.updates = 0
        self.seen: list[tuple[int, int]] = []

    def step(self) -> None:
        super().step()
        self.updates += 1
        if self.updates % EVERY == 0 or self.updates == FIRST:
            self.seen.append((self.updates, resident()))


def measure(updates: int, workers: int, pictures: int, folder: Path) -> dict:
    """Train for at least `updates` updates; returns what was seen on the way."""
    (folder / "pictures").mkdir()
    write_pictures(folder / "pictures", pictures)
    sets = data.load(str(folder / "pictures"), size=STORED)
    net = network(len(sets.classes))
    sgd = Watched(net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    epochs = -(-updates // -(-len(sets.train.labels) // BATCH))
    began, before, bar = time.monotonic(), resident(), sys.stderr
    with open(os.devnull, "w") as nowhere, threadpool_limits(limits=1):
        sys.stderr = bar if bar.isatty() else nowhere           # a file needs no progress bar
        try:
            history = training.fit(
                net, tuple(sets.train), tuple(sets.validation), sgd, epochs, BATCH,
                training.Cosine(epochs), Compose([RandomCrop(SIDE), RandomReflection()]), rng=0,
                test_transform=data.CentreCrop(SIDE), average=optim.MovingAverage(net, 0.99),
                workers=workers, out=folder / "run")
        finally:
            sys.stderr = bar
    at_end = resident()
    start = dict(sgd.seen)[FIRST]
    steps, bytes_ = np.array([seen for seen in sgd.seen if seen[0] >= sgd.updates / 2]).T
    slope = float(np.polyfit(steps, bytes_, 1)[0])
    return {"updates": sgd.updates, "epochs": epochs, "workers": workers,
            "seconds": round(time.monotonic() - began, 1),
            "training loss": [round(history[i].train_loss, 3) for i in (0, -1)],
            "resident before, MB": round(before / 1e6, 2),
            f"resident after {FIRST} updates, MB": round(start / 1e6, 2),
            "resident at the end, MB": round(at_end / 1e6, 2),
            "grown by": round(at_end / start - 1, 5),
            "slope over the second half, bytes an update": round(slope, 1),
            "resident every hundred updates, MB": [round(b / 1e6, 2) for _, b in sgd.seen]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = measure(options.updates, options.workers, options.pictures, Path(folder))
    start, end = seen[f"resident after {FIRST} updates, MB"], seen["resident at the end, MB"]
    print(f"{seen['updates']} updates in {seen['seconds']:.0f} s: {start:.1f} MB after {FIRST} "
          f"updates, {end:.1f} MB at the end ({seen['grown by']:+.2%}); over the second half "
          f"{seen['slope over the second half, bytes an update']:+.0f} bytes an update")
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({
        "machine": {"system": platform.platform(), "processor": processor(),
                    "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
                    "numpy": np.__version__},
        **seen}, indent=1) + "\n")
    return 0 if seen["grown by"] <= ALLOWED else 1


def processor() -> str:
    """The model's name, where Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
