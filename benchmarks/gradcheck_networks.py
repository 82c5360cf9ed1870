"""Are the gradients of the full-size networks right, each as a whole?

    python benchmarks/gradcheck_networks.py [NAME …]

One network of each family (or those named), all of its parameters and its input, two images,
in training and in evaluation. The images are small where the network allows it: what is
checked is the network, and this reaches every weight. VGG-16 needs about 12 GB of memory.
Prints a table and writes benchmarks/results/gradcheck_networks.json.
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

#: One of each family, and the side of its images.
NETWORKS = {
    "lenet5": 32, "alexnet": 227, "alexnet_owt": 64, "zfnet": 224, "nin": 128, "vgg16": 32,
    "vgg16_bn": 32, "googlenet": 224, "googlenet_bn": 64, "inception_v4": 96,
    "inception_resnet_v2": 96, "resnet50": 64, "resnet50_paper": 64, "plain34": 64,
    "cifar_resnet110": 32, "cifar_plain56": 32, "preact_resnet50": 64,
    "cifar_preact_resnet110": 32, "resnext50_32x4d": 64, "se_resnet50": 64, "densenet121": 64,
    "cifar_densenet_bc100": 32, "mobilenet_v1": 64, "mobilenet_v2": 64, "nasnet_a_mobile": 224,
    "efficientnet_b0": 64,
}


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
    """Check the networks; 1 if one fails."""
    results = []
    print(f"{'network':24s}{'mode':7s}{'parameters':>13s}{'arguments':>11s}{'worst error':>13s}"
          f"{'seconds':>9s}{'GB':>7s}")
    for name in names or NETWORKS:
        for training in (True, False):
            done = subprocess.run([sys.executable, __file__, "--one", name, str(int(training))],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return 1
            row = json.loads(done.stdout)
            results.append(row)
            print(f"{name:24s}{row['mode']:7s}{row['parameters']:13,d}{row['arguments']:11d}"
                  f"{row['worst_error']:13.1e}{row['seconds']:9.1f}{row['peak_gb']:7.2f}  "
                  f"{'correct' if row['passed'] else 'NOT CORRECT'}", flush=True)
            if not row["passed"]:
                print(row["report"])
    if not names:
        RESULTS.write_text(json.dumps({
            "what": __doc__.splitlines()[0], "python": platform.python_version(),
            "numpy": np.__version__, "machine": platform.machine(),
            "date": time.strftime("%Y-%m-%d"), "networks": results}, indent=1) + "\n", "utf-8")
        print(f"written: {RESULTS.name}")
    return 0 if all(row["passed"] for row in results) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(examine(sys.argv[2], sys.argv[3] == "1")))
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
