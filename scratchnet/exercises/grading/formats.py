"""Formats — the outcomes as a table (CSV), for Gradescope (results.json), as JUnit XML.

How much of the reasons they tell is the teacher's choice: "pass" (the verdict alone), "argument"
(also what is wrong: "weight", "forward"), "full" (also the cause). Why a file did not run is
always told.
"""
import csv
import io
import json
import os
import re
import tempfile
from pathlib import Path
from xml.etree import ElementTree as xml

from scratchnet.exercises.grading.grade import Outcome

FEEDBACK = ("pass", "argument", "full")
FORMATS = ("csv", "gradescope", "junit")
_CHECKED = ("passed", "failed", "error", "not started")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(outcomes: list[Outcome], out: str | os.PathLike, form: str = "csv",
          feedback: str = "full") -> list[Path]:
    """Write the outcomes to `out`, whole or not at all; returns the files written.

    Gradescope reads one results.json for each student: of several, `out` is a folder, and each
    has a folder in it. A table begins with the mark by which Excel knows UTF-8. Raises
    ValueError for a format or feedback that there is not, and OSError where it cannot write.
    """
    if form not in FORMATS or feedback not in FEEDBACK:
        raise ValueError(f"expected one of the formats {', '.join(FORMATS)} and one of the kinds "
                         f"of feedback {', '.join(FEEDBACK)}; got {form!r} and {feedback!r}")
    out = Path(out)
    if form == "csv":
        return [_replace(out, "\ufeff" + as_csv(outcomes, feedback))]
    if form == "junit":
        return [_replace(out, as_junit(outcomes, feedback))]
    students: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        students.setdefault(outcome.student, []).append(outcome)
    if len(students) == 1 and is_one_result(out, form):
        return [_replace(out, as_gradescope(outcomes, feedback))]
    written = []
    for student, own in students.items():
        (out / student).mkdir(parents=True, exist_ok=True)
        written.append(_replace(out / student / "results.json", as_gradescope(own, feedback)))
    return written


def is_one_result(out: str | os.PathLike, form: str) -> bool:
    """True if the results are one student's: for Gradescope, into a file NAME.json."""
    return form == "gradescope" and Path(out).suffix == ".json"


def try_to_write(out: str | os.PathLike, form: str = "csv") -> None:
    """Raise OSError, with what to do, if nothing can be written at `out`."""
    path = Path(os.path.realpath(out))
    folder = form == "gradescope" and not is_one_result(out, form)
    if str(out) == "-" or (path.exists() and not (path.is_dir() if folder else path.is_file())):
        wanted = "a folder, or a file NAME.json" if folder else "a file"
        raise OSError(f"cannot write {out}: expected {wanted}; choose another place with --out")
    try:
        place = path if path.is_dir() else path.parent
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OSError(f"cannot write {out}: {error.strerror}; choose another place with --out"
                      ) from error


def as_csv(outcomes: list[Outcome], feedback: str = "full") -> str:
    """A line for each file: student, exercise, score, verdict, argument, cause."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", "exercise", "score", "verdict", "argument", "cause"])
    for o in outcomes:
        table.writerow([_cell(o.student), o.exercise, f"{o.score:.4f}", o.verdict,
                        _cell(_argument(o, feedback)), _cell(_cause(o, feedback))])
    return text.getvalue()


def as_gradescope(outcomes: list[Outcome], feedback: str = "full") -> str:
    """results.json of one student, as in Gradescope's autograder specification."""
    tests = [{"score": round(o.score, 4), "max_score": 1.0, "name": o.exercise,
              "status": "passed" if o.verdict == "passed" else "failed",
              "output": _told(o, feedback), "output_format": "text"} for o in outcomes]
    return json.dumps({"score": round(sum(o.score for o in outcomes), 4),
                       "stdout_visibility": "hidden", "tests": tests},
                      indent=2, ensure_ascii=True) + "\n"


def as_junit(outcomes: list[Outcome], feedback: str = "full") -> str:
    """JUnit XML: a suite for each student, a test case for each exercise.

    What is wrong is a failure; what did not run, an error; what is not there, skipped.
    """
    kinds = {"passed": "", "failed": "failures", "missing": "skipped", "not started": "skipped"}
    tags = {"failures": "failure", "skipped": "skipped", "errors": "error"}

    def counts(some: list[Outcome]) -> dict[str, str]:
        found = [kinds.get(o.verdict, "errors") for o in some]
        return {"tests": str(len(some)), **{kind: str(found.count(kind)) for kind in tags}}

    root = xml.Element("testsuites", name="scratchnet", **counts(outcomes))
    suites: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        suites.setdefault(outcome.student, []).append(outcome)
    for student, own in suites.items():
        suite = xml.SubElement(root, "testsuite", name=_clean(student), **counts(own))
        for o in own:
            case = xml.SubElement(suite, "testcase", classname=_clean(student), name=o.exercise)
            xml.SubElement(xml.SubElement(case, "properties"), "property", name="score",
                           value=f"{o.score:.4f}")
            if kind := kinds.get(o.verdict, "errors"):
                told = xml.SubElement(case, tags[kind], message=_clean(
                    _told(o, feedback).split("\n")[0]), type=o.verdict)
                told.text = _clean(_told(o, feedback))
    xml.indent(root)
    return ('<?xml version="1.0" encoding="utf-8"?>\n'
            + xml.tostring(root, encoding="unicode") + "\n")


def _argument(o: Outcome, feedback: str) -> str:
    return "" if feedback == "pass" else " ".join(o.arguments)


def _cause(o: Outcome, feedback: str) -> str:
    """The cause; of a file that was not checked, always."""
    return o.cause if feedback == "full" or o.verdict not in _CHECKED else ""


def _told(o: Outcome, feedback: str) -> str:
    """What the student reads."""
    if o.verdict not in _CHECKED:
        return f"{o.exercise}: {o.verdict}: {o.cause}"
    if feedback == "full" and o.text:
        return o.text
    wrong = f" ({', '.join(o.arguments)})" if feedback == "argument" and o.arguments else ""
    return f"{o.exercise}: {o.verdict}, score {o.score:.0%}{wrong}"


def _cell(text: str) -> str:
    """One line that no spreadsheet takes for a formula."""
    text = " ".join(_clean(text).split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)


def _replace(path: Path, text: str) -> Path:
    """Write a file at once: whoever looks finds the old one or the new one, whole."""
    real = Path(os.path.realpath(path))     # where a link leads; the link stays
    real.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(new, 0o644)                # mkstemp's is for its owner alone
        os.replace(new, real)
    except BaseException:
        os.unlink(new)
        raise
    return path
