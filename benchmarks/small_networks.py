"""Do the small networks learn, and how long does a step take?

    python benchmarks/small_networks.py [NAME …]

Each network sees the same 64 digits (32×32) at every step: SGD with momentum 0.9, dropout on,
auxiliary losses 0.3 each, at most 200 steps. Prints a table and keeps
benchmarks/results/small_networks.json up to date: parameters, the first step with a loss below
0.05, and the median time of a training step (forward, loss, backward, update).
"""
import json
import platform
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from scratchnet import data, models, optim
from scratchnet.layers import SoftmaxCrossEntropy

RESULTS = Path(__file__).parent / "results" / "small_networks.json"
# Without batch normalisation 0.02 is too much; LeNet's distances are large.
RATES = {"lenet5": 0.003, "alexnet_small": 0.01, "googlenet_small": 0.01, "nin_small": 0.01,
         "vgg_small": 0.01, "zfnet_small": 0.01}


def learn(name: str) -> dict:
    """Train one network on one batch."""
    images, labels = data.load_digits(32).train
    x, labels = images[:64], labels[:64]
    net, loss = models.get_model(name, rng=0).train(), SoftmaxCrossEntropy()
    optimizer = optim.SGD(net.parameters(), lr=RATES.get(name, 0.02), momentum=0.9)
    values, seconds = [], []
    while len(values) < 200 and (not values or values[-1] >= 0.05):
        start = time.perf_counter()
        outputs = net.forward(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        dys = []
        for i, logits in enumerate(outputs):
            value = loss.forward(logits, labels)
            dys.append(loss.backward(1.0 if i == 0 else 0.3))
            if i == 0:
                values.append(float(value))
        net.zero_grad().backward(*dys)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return {"network": name, "parameters": sum(p.value.size for p in net.parameters()),
            "rate": optimizer.lr, "steps": len(values), "first_loss": round(values[0], 3),
            "last_loss": round(values[-1], 4), "learned": values[-1] < 0.05,
            "milliseconds_a_step": round(1000 * median(seconds))}


def main(names: list[str]) -> int:
    """Train them all, or those named; 1 if one does not learn."""
    names = names or [*[name for name in models.list_models() if name.endswith("_small")], "lenet5"]
    print(f"{'network':28s}{'parameters':>11s}{'rate':>7s}{'steps':>6s}{'loss':>8s}{'ms/step':>9s}")
    results = []
    for name in names:
        row = learn(name)
        results.append(row)
        print(f"{name:28s}{row['parameters']:11,d}{row['rate']:7g}{row['steps']:6d}"
              f"{row['last_loss']:8.4f}{row['milliseconds_a_step']:9d}"
              f"{'' if row['learned'] else '  NOT LEARNED'}", flush=True)
    rows = json.loads(RESULTS.read_text("utf-8"))["networks"] if RESULTS.exists() else []
    rows = [row for row in rows if row["network"] not in names] + results
    rows.sort(key=lambda row: row["network"])
    RESULTS.write_text(json.dumps({
        "what": __doc__.splitlines()[0], "batch": 64, "python": platform.python_version(),
        "numpy": np.__version__, "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"), "networks": rows}, indent=1) + "\n", "utf-8")
    print(f"written: {RESULTS.name}")
    return 0 if all(row["learned"] for row in results) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
