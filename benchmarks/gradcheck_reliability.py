"""How reliable is the gradient check? Many random correct layers, and every planted bug.

    python benchmarks/gradcheck_reliability.py --first 100000 --checks 10000 --processes 2

A correct layer that is called wrong is a false alarm; one called inconclusive is counted apart.
A planted bug that passes is missed. Prints a table and writes
benchmarks/results/gradcheck_reliability.json. `random_case(seed)` in tests/random_layers.py
gives every case again. Seeds below 100000 were looked at while the check was being written;
the result in the repository is from seeds that were not.
"""
import argparse
import datetime
import json
import os
import platform
import sys
from collections import defaultdict
from multiprocessing import get_context
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # small products: threads only wait
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import numpy as np  # noqa: E402
from planted_bugs import BUGS, VALID  # noqa: E402
from random_layers import random_case  # noqa: E402

from scratchnet.gradcheck import check  # noqa: E402


def one(seed: int) -> dict:
    """Check one random correct layer."""
    case = random_case(seed)
    try:
        report = check(case.layer, *case.inputs)
    except Exception as error:
        return {"seed": seed, "case": str(case), "kind": case.kind, "verdict": "raised",
                "says": f"{type(error).__name__}: {error}", "seconds": 0.0, "hints": 0,
                "errors": []}
    return {"seed": seed, "case": str(case), "kind": case.kind, "verdict": report.verdict,
            "says": "" if report.passed else str(report), "seconds": report.seconds,
            "hints": len(report.causes),
            "errors": [(row.method.startswith("complex"), row.error) for row in report.rows
                       if row.verdict == "correct"]}


def milliseconds(seeds: range) -> dict[str, float]:
    """The median time of a check, by kind of layer, one process alone."""
    times = defaultdict(list)
    for result in map(one, seeds):
        times[result["kind"].split(",")[0]].append(1e3 * result["seconds"])
    return {kind: round(median(values), 1) for kind, values in sorted(times.items())}


def planted() -> dict:
    """Check every planted bug, and every layer that is valid, if unusual."""
    verdicts = {bug.id: check(bug.make(), *bug.inputs).verdict for bug in BUGS}
    valid = {case.id: check(case.make(), *case.inputs).verdict for case in VALID}
    missed = {bug.id: bug.missed_because for bug in BUGS if verdicts[bug.id] == "correct"}
    return {"bugs": len(BUGS), "caught": len(BUGS) - len(missed), "missed": missed,
            "inconclusive": [id for id, verdict in verdicts.items() if verdict == "inconclusive"],
            "valid": len(valid), "valid_failed": [id for id, v in valid.items() if v != "correct"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checks", type=int, default=10_000, help="random correct layers")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path,
                        default=HERE / "results" / "gradcheck_reliability.json")
    options = parser.parse_args()

    seeds = range(options.first, options.first + options.checks)
    with get_context("spawn").Pool(options.processes) as pool:
        results = []
        for result in pool.imap_unordered(one, seeds, chunksize=20):
            results.append(result)
            if len(results) % 1000 == 0:
                print(f"{len(results)} checks", flush=True)
            if result["verdict"] != "correct":
                print(f"{result['verdict']}: {result['case']}\n{result['says']}", flush=True)
    results.sort(key=lambda result: result["seed"])

    exact = [e for result in results for is_exact, e in result["errors"] if is_exact]
    by_differences = [e for result in results for is_exact, e in result["errors"] if not is_exact]
    summary = {
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": platform.processor() or platform.machine(),
                    "cpus": os.cpu_count(), "python": platform.python_version(),
                    "numpy": np.__version__},
        "correct_layers": {
            "checks": len(results), "first_seed": options.first,
            "arguments": len(exact) + len(by_differences),
            "false_alarms": [{"seed": r["seed"], "case": r["case"]} for r in results
                             if r["verdict"] in ("wrong", "raised")],
            "inconclusive": [{"seed": r["seed"], "case": r["case"]} for r in results
                             if r["verdict"] == "inconclusive"],
            "hints": sum(r["hints"] for r in results),
            "worst_error": max(exact, default=None),
            "share_of_errors_below_1e-14": float(np.mean(np.array(exact) < 1e-14)),
            "worst_error_by_differences": max(by_differences, default=None),
        },
        "planted_bugs": planted(),
        "median_milliseconds": milliseconds(seeds[:400]),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")

    right, bugs = summary["correct_layers"], summary["planted_bugs"]
    print(f"\ncorrect layers   {right['checks']} checks, {len(right['false_alarms'])} false alarms,"
          f" {right['hints']} hints, {len(right['inconclusive'])} inconclusive")
    print(f"worst error      {right['worst_error']:.1e} by the complex step "
          f"({right['share_of_errors_below_1e-14']:.2%} below 1e-14), "
          f"{right['worst_error_by_differences'] or 0:.1e} by differences")
    print(f"planted bugs     {bugs['caught']} of {bugs['bugs']} caught; missed: "
          f"{', '.join(bugs['missed']) or 'none'}")
    print(f"valid variants   {bugs['valid'] - len(bugs['valid_failed'])} of {bugs['valid']} pass")
    print("median ms        " + "\n                 ".join(
        f"{kind:24s}{ms:6.1f}" for kind, ms in summary["median_milliseconds"].items()))


if __name__ == "__main__":
    main()
