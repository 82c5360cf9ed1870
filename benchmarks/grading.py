"""Two hundred mixed submissions, graded: does any hang, or cost another its score?

    python benchmarks/grading.py            some minutes

Solutions, known wrong solutions, untouched templates, broken files and every attack of
tests/exercises/attacks, dealt out to fifty-four students by a seed. Prints and writes how long it
took, what became of each kind, and how responsive the machine was meanwhile: the longest time that
a sleep of 50 ms took in another process.

Writes benchmarks/results/grading.json.
"""
import datetime
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "exercises"
sys.path[:0] = [str(HERE.parent), str(TESTS), str(TESTS.parent)]

STUDENTS, EACH = 54, 4
BROKEN = {"syntax error": "class ReLU(Layer:\n", "empty": "", "endless at the top":
          "while True:\n    pass\n", "not text": "\0\1\2"}


def heartbeat(stop: Any, worst: Any) -> None:
    """Sleep 50 ms again and again; note the longest time it took."""
    while not stop.is_set():
        start = time.perf_counter()
        time.sleep(0.05)
        worst.value = max(worst.value, time.perf_counter() - start)


def deal(folder: Path, rng: random.Random) -> dict[tuple[str, str], str]:
    """Write the submissions; returns {(student, exercise): what it is}."""
    from cases import NAMES, solution, template, wrong
    attacks = sorted((TESTS / "attacks").glob("*.py"))
    dealt = {}
    for n in range(STUDENTS):
        student = folder / f"student{n:02d}"
        student.mkdir()
        for name in rng.sample(NAMES, EACH):
            kind = rng.choice(["right", "right", "wrong", "wrong", "template", "attack", "broken"])
            if kind == "attack" and attacks:
                name, text = "relu", attacks.pop().read_text(encoding="utf-8")
            elif kind == "wrong" and wrong(name):
                _, old, new, _ = rng.choice(wrong(name))
                text = solution(name).read_text(encoding="utf-8").replace(old, new)
            elif kind == "template":
                text = template(name).read_text(encoding="utf-8")
            elif kind == "broken":
                text = BROKEN[rng.choice(sorted(BROKEN))]
            else:
                kind, text = "right", solution(name).read_text(encoding="utf-8")
            (student / f"{name}.py").write_text(text, encoding="utf-8")
            dealt[student.name, name] = kind
    return dealt


def main() -> None:
    from scratchnet.exercises.grading import grade as grading
    context = get_context("spawn")
    stop, worst = context.Event(), context.Value("d", 0.0)
    beat = context.Process(target=heartbeat, args=(stop, worst), daemon=True)
    beat.start()
    with tempfile.TemporaryDirectory() as folder:
        dealt = deal(Path(folder), random.Random(0))
        start = time.perf_counter()
        outcomes = [o for o in grading.grade(Path(folder), seed=0, seconds=20)
                    if (o.student, o.exercise) in dealt]
        seconds = time.perf_counter() - start
    stop.set()
    beat.join(2)

    kinds = {kind: Counter(o.verdict for o in outcomes if dealt[o.student, o.exercise] == kind)
             for kind in sorted(set(dealt.values()))}
    result = {"date": datetime.date.today().isoformat(),
              "machine": {"processor": platform.processor() or platform.machine(),
                          "cpus": os.cpu_count(), "python": platform.python_version()},
              "submissions": len(dealt), "graded": len(outcomes), "seconds": round(seconds, 1),
              "limit_seconds_of_processor_time": 20,
              "longest_sleep_of_50_ms": round(worst.value, 3),
              "verdicts": {kind: dict(counts) for kind, counts in kinds.items()}}
    (HERE / "results" / "grading.json").write_text(
        json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
