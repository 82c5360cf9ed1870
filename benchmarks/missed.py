"""Where the time goes in the networks that miss their goal against PyTorch.

    python benchmarks/missed.py [NAME …]

Reads benchmarks/results/versus.json, profiles every network there whose training step misses its
goal (or those named), and adds up its layers by kind: milliseconds of forward and backward, the
share of the step, and GFLOP/s against what one large matrix product reaches in the same run.
Writes benchmarks/results/missed.json; networks that were not profiled in this run stay as they
were. From both files, and versus_busy.json, a versus.json of an hour when others used the machine,
it writes the tables of docs/speed.md; --tables does that alone.
"""
import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from scratchnet import models
from scratchnet.backend import threads
from scratchnet.layer import Layer
from scratchnet.layers import Conv2d
from scratchnet.profile import profile

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"


def main() -> int:
    parser = argparse.ArgumentParser(description="Profiles of the networks that miss a goal.")
    parser.add_argument("names", nargs="*", help="networks (default: those that miss their goal)")
    parser.add_argument("--tables", action="store_true", help="measure nothing, write the tables")
    options = parser.parse_args()
    names = options.names
    versus = json.loads((RESULTS / "versus.json").read_text(encoding="utf-8"))["networks"]
    if unknown := set(names) - set(versus):
        parser.error(f"not in versus.json: {', '.join(sorted(unknown))}")
    names = names or [name for name, row in versus.items()
                      if row["training"]["ratio"] < row["training"]["goal"]]
    path = RESULTS / "missed.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in names if not options.tables else ():
        results[name] = _by_kind(name, versus[name]["batch"], tuple(versus[name]["image"]))
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), versus, results),
                    encoding="utf-8")
    return 0


def with_tables(page: str, versus: dict, missed: dict) -> str:
    """Return the page with both tables in their places."""
    for mark, lines in (("versus", _versus(versus)), ("busy", _busy(versus)),
                        ("missed", _missed(missed))):
        before, _, rest = page.partition(f"<!-- {mark} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        page = "".join([before, f"<!-- {mark} -->\n", "\n".join(lines), "\n", end, after])
    return page


def _versus(networks: dict) -> list[str]:
    lines = ["| | batch | training step | goal | inference | goal | memory |",
             "|---|---|---|---|---|---|---|"]
    for name, row in networks.items():
        cells = [f"`{name}`", str(row["batch"])]
        for part in (row["training"], row["inference"]):
            met = part["ratio"] >= part["goal"]
            cells += [f"{part['ratio']:.2f}" if met else f"**{part['ratio']:.2f}**",
                      f"{part['goal']:.1f}"]
        memory = row["memory"]["ours"] / row["memory"]["torch"]
        lines.append(f"| {' | '.join([*cells, f'{memory:.2f}'])} |")
    missed = sum(row[what]["ratio"] < row[what]["goal"] for row in networks.values()
                 for what in ("training", "inference"))
    return [*lines, "", f"Of {2 * len(networks)} goals {missed} are missed, in bold."]


def _busy(quiet: dict) -> list[str]:
    """The training steps of another hour, and the rate of a matrix product in both."""
    networks = json.loads((RESULTS / "versus_busy.json").read_text(encoding="utf-8"))["networks"]
    lines = ["| | training step | inference | a product, GFLOP/s |", "|---|---|---|---|"]
    for name in quiet:
        then = networks[name]
        lines.append(f"| `{name}` | {then['training']['ratio']:.2f} | "
                     f"{then['inference']['ratio']:.2f} | {then['training']['machine']:.0f}, not "
                     f"{quiet[name]['training']['machine']:.0f} |")
    return lines


def _missed(networks: dict) -> list[str]:
    lines = ["| | a step | a product | most of the step |", "|---|---|---|---|"]
    for name, row in networks.items():
        most = [f"{kind} {part['share']:.0%}"
                + (f" ({part['gflops']:.0f})" if part["gflops"] else "")
                for kind, part in list(row["kinds"].items())[:5]]
        lines.append(f"| `{name}` | {row['seconds']:.2f} s | {row['rate']:.0f} | "
                     f"{', '.join(most)} |")
    return lines


def _by_kind(name: str, batch: int, image: tuple) -> dict:
    net = models.get_model(name, rng=0)
    x = np.random.default_rng(0).standard_normal((batch, *image), dtype=np.float32)
    report = profile(net, x, rounds=2)
    layers, kinds = dict(net.named_layers()), defaultdict(lambda: np.zeros(4))
    for row in report.rows:
        kind = _kind(layers[row.name]) if row.name in layers else row.name
        kinds[kind] += 1, row.forward, row.backward, row.macs
    print(f"\n{name}, batch {batch}: {report.seconds * 1e3:.0f} ms a training step on {threads()} "
          f"threads; one matrix product reaches {report.rate:.0f} GFLOP/s")
    rows = {}
    for kind, (count, forward, backward, macs) in sorted(
            kinds.items(), key=lambda item: -item[1][1] - item[1][2]):
        took = forward + backward
        rows[kind] = {"layers": int(count), "forward": forward, "backward": backward,
                      "share": took / report.seconds,
                      "gflops": 2e-9 * macs / took if macs else None}
        if took > 0.01 * report.seconds:
            print(f"    {int(count):3d} × {kind:26s}{forward * 1e3:8.1f} ms {backward * 1e3:7.1f} "
                  f"ms  {took / report.seconds:6.1%}"
                  + (f"  {2e-9 * macs / took:4.0f} GFLOP/s" if macs else ""))
    return {"batch": batch, "seconds": report.seconds, "rate": report.rate, "threads": threads(),
            "kinds": rows}


def _kind(layer: Layer) -> str:
    if not isinstance(layer, Conv2d):
        return type(layer).__name__
    (KH, KW), (stride, _), groups = layer.kernel_size, layer.geometry.stride, layer.geometry.groups
    return f"Conv2d {KH}×{KW}" + f", stride {stride}" * (stride > 1) + (
        ", depthwise" if groups == layer.in_channels > 1 else f", {groups} groups" * (groups > 1))


if __name__ == "__main__":
    raise SystemExit(main())
