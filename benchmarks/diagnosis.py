"""When the gradient check finds a mistake, does it name the right one?

    python benchmarks/diagnosis.py                  some minutes
    python benchmarks/diagnosis.py --show seen      and what was said of those it got wrong

Asks the diagnosis about the planted bugs (tests/planted_bugs.py), in the half that it may be
tuned on and the half held out, and about bugs by another author in layers of his own style
(tests/gradcheck/unseen_bugs.py): half of these were looked at once, half never. Counts
what the first cause is, the one that is printed:

    right               it says what is wrong
    finding             there is no cause, but a finding's message says it (dy overwritten, …)
    none                nothing is said
    wrong guess         it says something else, introduced by "perhaps"
    confidently wrong   it says something else as "exact" or "likely": worse than silence

Writes benchmarks/results/diagnosis.json. Only for the seen half are single bugs named there, so
that the other two stay a measurement.
"""
import argparse
import datetime
import json
import os
import re
import sys
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # small products: threads only wait
HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
sys.path[:0] = [str(HERE.parent), str(TESTS), str(TESTS / "gradcheck")]

import numpy as np  # noqa: E402
from planted_causes import FOUND, accepted, half  # noqa: E402
from unseen_bugs import UNSEEN  # noqa: E402

from scratchnet.gradcheck import Report, check  # noqa: E402

OUTCOMES = ("right", "finding", "none", "wrong guess", "confidently wrong", "raised")


class Question(NamedTuple):
    """A bug, which set it belongs to, and what may be said of it."""

    id: str
    set: str
    kind: Any
    bug: Any
    accept: tuple[str, ...]


def questions() -> list[Question]:
    """All of them: planted and unseen."""
    return [*[Question(b.id, f"planted, {half(b)}", b.kind, b, accepted(b)) for b in FOUND],
            *[Question(b.id, f"unseen, {part(b.id)}", b.base, b, b.accept) for b in UNSEEN]]


def part(id: str) -> str:
    """Half of the unseen bugs were looked at once, when the diagnosis was first measured."""
    return "looked at" if zlib.crc32(id.encode()) % 2 == 0 else "never"


def says(accept: tuple[str, ...], sentence: str) -> bool:
    """Does the sentence name the mistake?"""
    return any(re.search(pattern, sentence, re.IGNORECASE) for pattern in accept)


def outcome(report: Report, accept: tuple[str, ...]) -> str:
    """What became of one question: one of OUTCOMES."""
    if report.causes:
        first = report.causes[0]
        if says(accept, first.says):
            return "right"
        return "wrong guess" if first.confidence == "guess" else "confidently wrong"
    wrong = [f.message for f in report.findings if f.verdict == "wrong"]
    return "finding" if any(says(accept, message) for message in wrong) else "none"


def ask(question: Question) -> dict:
    """Check the bug, and sort what the check says about it."""
    start = time.perf_counter()
    reference = getattr(question.bug, "reference", lambda: None)()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            report = check(question.bug.make(), *question.bug.inputs, reference=reference)
        except Exception as error:
            return {"outcome": "raised", "said": f"{type(error).__name__}: {error}",
                    "confidence": "", "seconds": time.perf_counter() - start}
    first = report.causes[0] if report.causes else None
    return {"outcome": outcome(report, question.accept), "said": first.says if first else "",
            "confidence": first.confidence if first else "",
            "seconds": time.perf_counter() - start}


def summary(answers: list[tuple[Question, dict]]) -> dict:
    """The counts, for each set."""
    result: dict[str, Any] = {"date": datetime.date.today().isoformat(), "sets": {}}
    for name in dict.fromkeys(question.set for question, _ in answers):
        mine = [(q, a) for q, a in answers if q.set == name]
        counts = Counter(a["outcome"] for _, a in mine)
        sure = [a for _, a in mine if a["confidence"] in ("exact", "likely")]
        result["sets"][name] = {
            "bugs": len(mine), **{key: counts[key] for key in OUTCOMES},
            "right_of_the_confident": (sum(a["outcome"] == "right" for a in sure) / len(sure)
                                       if sure else None),
            "median_milliseconds": round(1e3 * median(a["seconds"] for _, a in mine)),
        }
    result["seen_not_right"] = [
        {"id": q.id, "kind": q.kind, "outcome": a["outcome"], "confidence": a["confidence"],
         "said": a["said"], "bug": q.bug.says}
        for q, a in answers if q.set == "planted, seen" and a["outcome"] not in (
            "right", "finding")]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--show", choices=("nothing", "seen", "all"), default="nothing",
                        help="print what was said of the bugs not named rightly; \"all\" makes "
                             "the rest seen, too: for the end")
    parser.add_argument("--only", default="", help="bugs whose id contains this")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "diagnosis.json")
    options = parser.parse_args()

    answers = []
    for question in questions():
        if options.only not in question.id:
            continue
        answer = ask(question)
        answers.append((question, answer))
        shown = options.show == "all" or (options.show, question.set) == ("seen", "planted, seen")
        if shown and answer["outcome"] not in ("right", "finding"):
            print(f"{answer['outcome']}: {question.id}, {question.bug.says}\n"
                  f"    said ({answer['confidence'] or '–'}): {answer['said'] or 'nothing'}",
                  flush=True)
    if not answers:
        parser.error(f"no bug's id contains {options.only!r}")

    result = summary(answers)
    if not options.only:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n",
                                  encoding="utf-8")
    print("\n" + " " * 20 + "".join(f"{name:>19s}" for name in result["sets"]))
    for key in ("bugs", *OUTCOMES):
        print(f"{key:20s}" + "".join(f"{counts[key]:19d}" for counts in result["sets"].values()))


if __name__ == "__main__":
    main()
