"""Are the gradients of the full-size networks right, each as a whole?

    python benchmarks/gradcheck_networks.py [NAME …]

One network of each family (or those named), all of its parameters and its input, two images, in
training; some in evaluation, too. The images are small where the network allows it: what is
checked is the network, and this reaches every weight. VGG-16 needs about 12 GB of memory.
Prints a table and keeps benchmarks/results/gradcheck_networks.json up to date.
"""
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from scratchnet import gradcheck, models

RESULTS = Path(__file__).parent / "results" / "gradcheck_networks.json"

#: One of each family or more, and the side of its images.
NETWORKS = {
    "lenet5": 32, "alexnet": 227, "zfnet": 224, "nin": 128, "vgg16": 32, "googlenet": 224,
    "googlenet_bn": 64, "inception_v4": 139, "inception_resnet_v2": 139, "resnet50": 64,
    "resnet18": 64, "cifar_resnet20": 32, "cifar_plain20": 32, "preact_resnet50": 64,
    "resnext50_32x4d": 64, "se_resnet50": 64, "densenet121": 64, "cifar_densenet_bc100": 32,
    "mobilenet_v1": 64, "mobilenet_v2": 64, "nasnet_a_mobile": 224, "efficientnet_b0": 64,
}
#: Checked in evaluation, too; the others in training only, which is the harder one.
BOTH = {"lenet5", "cifar_resnet20", "mobilenet_v1", "mobilenet_v2", "efficientnet_b0"}


def examine(name: str, training: bool) -> dict:
    """Check one network in one mode; run in a process of its own, for its peak memory."""
    net = models.get_model(name, rng=0).train(training)
    C, _, _ = models.input_shape(name)
    side = NETWORKS.get(name, models.input_shape(name)[1])
    x = np.random.default_rng(0).standard_normal((2, C, side, side))
    report = gradcheck.check(net, x, probes=1)
    return {
        "network": name, "mode": "train" if training else "eval", "image": [C, side, side],
        "parameters": sum(p.value.size for p in net.parameters()), "arguments": len(report.rows),
        "passed": report.passed, "worst_error": max(row.error for row in report.rows),
        "method": report.rows[0].method, "seconds": round(report.seconds, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "report": "" if report.passed else str(report)[:4000],
    }


def main(names: list[str]) -> int:
    """Check the networks and write each result as it comes; 1 if one fails."""
    failed = []
    print(f"{'network':24s}{'mode':7s}{'parameters':>13s}{'arguments':>11s}{'worst error':>13s}"
          f"{'seconds':>9s}{'GB':>7s}")
    for name in names or NETWORKS:
        for training in (True, False) if name in BOTH else (True,):
            done = subprocess.run([sys.executable, __file__, "--one", name, str(int(training))],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return 1
            row = json.loads(done.stdout)
            write(row)
            print(f"{name:24s}{row['mode']:7s}{row['parameters']:13,d}{row['arguments']:11d}"
                  f"{row['worst_error']:13.1e}{row['seconds']:9.1f}{row['peak_gb']:7.2f}  "
                  f"{'correct' if row['passed'] else 'NOT CORRECT'}", flush=True)
            if not row["passed"]:
                print(row["report"])
                failed.append(name)
    return 1 if failed else 0


def write(row: dict) -> None:
    """Put a row into the file of results, in the place of an older one."""
    rows = json.loads(RESULTS.read_text("utf-8"))["networks"] if RESULTS.exists() else []
    rows = [r for r in rows if (r["network"], r["mode"]) != (row["network"], row["mode"])] + [row]
    rows.sort(key=lambda r: (r["network"], r["mode"]))
    RESULTS.write_text(json.dumps({
        "what": __doc__.splitlines()[0], "python": platform.python_version(),
        "numpy": np.__version__, "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"), "networks": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(examine(sys.argv[2], sys.argv[3] == "1")))
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
