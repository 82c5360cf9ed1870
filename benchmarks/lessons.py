"""Run every lesson, and write down what they took and what they found.

    python benchmarks/lessons.py [NAME …]

Each runs alone, in a process of its own. Writes benchmarks/results/lessons.json (seconds from start
to end, CPU seconds, figures, the machine; lessons not named stay as they were) and, if every lesson
has answered, docs/claims.md: the sentences of lessons/claims.toml, the lesson that looks into each,
its verdict and its evidence.
"""
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scratchnet.lesson import claims, lessons

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "lessons.json"
PAGE = ROOT / "docs" / "claims.md"
HEAD = """# What is said of these networks, and what came of it

Sentences that texts about convolutional networks repeat (lessons/claims.toml), each looked into by
one lesson. The verdicts and the evidence are the lessons' own words: this page is written by
`python benchmarks/lessons.py`, which runs them. "Here" is a small experiment on a CPU, with small
networks and few images.

"""


def main(names: list[str]) -> int:
    """Run them; 1 if one does not reach its end."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows, failed = results.get("lessons", {}), []
    for name in names or lessons():
        with tempfile.TemporaryDirectory() as out:
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            run = subprocess.run([sys.executable, "-m", "scratchnet.cli", "lesson", name,
                                  "--out", out], capture_output=True, text=True)
            after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            if run.returncode:
                failed.append(name)
                print(f"{name:18s} stopped:\n{run.stdout[-500:]}{run.stderr[-500:]}")
                continue
            told = json.loads((Path(out) / "lesson.json").read_text(encoding="utf-8"))
            rows[name] = {"seconds": round(seconds - start, 1),
                          "cpu_seconds": round(after.ru_utime - before.ru_utime, 1),
                          "figures": len(list(Path(out).glob("*.png"))),
                          "claims": told["claims"]}
        print(f"{name:18s} {rows[name]['seconds']:6.1f} s, {rows[name]['cpu_seconds']:6.1f} s of "
              f"CPU, {rows[name]['figures']} figures, {len(told['claims'])} claims", flush=True)
    rows = {name: rows[name] for name in lessons() if name in rows}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULTS.write_text(json.dumps({"machine": machine, "lessons": rows}, indent=1,
                                  ensure_ascii=False) + "\n", encoding="utf-8")
    found = {claim: (name, *answer) for name, row in rows.items()
             for claim, answer in row["claims"].items()}
    open_ = [claim for claim in claims.claims() if claim not in found]
    if not open_:
        PAGE.write_text(HEAD + claims.table(found), encoding="utf-8")
    print(f"{len(found)} claims answered" + (f", open: {', '.join(open_)}" if open_ else ""))
    return int(bool(failed or open_))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
