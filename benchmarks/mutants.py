"""Does the gradient check see every mistake? A thousand of them, made by machine.

    python benchmarks/mutants.py                    all: some minutes, one process
    python benchmarks/mutants.py --only layers.lrn  those whose name contains this

Takes every mutant of every backward in the library (tests/mutation.py) and asks the gradient
check on the cases that run it. Prints the survivors and writes
benchmarks/results/mutants.json. Survivors that compute the same as the original, or that a
backward may be, stand in benchmarks/mutants_equivalent.txt with the reason; a line there that
belongs to no survivor is reported too.
"""
import argparse
import datetime
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # small products: threads only wait
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from mutation import Laboratory, all_mutants, equivalent  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--seconds", type=float, default=120, help="the limit for one mutant")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "mutants.json")
    options = parser.parse_args()

    mutants = [mutant for mutant in all_mutants() if options.only in mutant.id]
    laboratory, outcome, start = Laboratory(options.seconds), {}, time.perf_counter()
    for i, mutant in enumerate(mutants):
        outcome[mutant.id] = laboratory.examine(mutant)
        if not outcome[mutant.id] and mutant.id not in equivalent():
            print(f"survived: {mutant.id}", flush=True)
        if i % 100 == 99 or i + 1 == len(mutants):
            print(f"{i + 1} of {len(mutants)}, {time.perf_counter() - start:.0f} s", flush=True)
            if not options.only:
                write(options.output, summary(outcome, mutants, time.perf_counter() - start))
    laboratory.close()

    result = summary(outcome, mutants, time.perf_counter() - start)
    stale = [id for id in equivalent() if options.only in id and outcome.get(id) != ""]
    print(f"\nmutants          {result['mutants']} in {len(result['functions'])} functions")
    print(f"caught           {result['caught']}")
    print(f"equivalent       {len(result['equivalent'])}, by hand")
    print(f"survived         {len(result['survived'])}")
    print(f"caught of those that could be  {result['share_caught']:.2%}")
    for id in stale:
        print(f"listed as equivalent, but no survivor: {id}")


def summary(outcome: dict[str, str], mutants: list, seconds: float) -> dict:
    """What the examinations came to."""
    survived = [id for id, caught_by in outcome.items() if not caught_by]
    real = [id for id in survived if id not in equivalent()]
    caught = len(outcome) - len(survived)
    function = {m.id: f"{m.module.removeprefix('scratchnet.')} {m.function}" for m in mutants}
    made, missed = (Counter(function[id] for id in ids) for ids in (outcome, real))
    return {
        "date": datetime.date.today().isoformat(), "seconds": round(seconds),
        "mutants": len(outcome), "caught": caught,
        "no_answer": [id for id, caught_by in outcome.items() if caught_by == "no answer"],
        "equivalent": [id for id in survived if id in equivalent()],
        "survived": real,
        "share_caught": caught / max(1, caught + len(real)),
        "functions": {name: {"mutants": n, "survived": missed[name]} for name, n in made.items()},
    }


def write(path: Path, result: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
