"""Limit — a check in a process of its own, because an endless loop can only be ended from outside.

    result = check_within(60, "relu", "exercises/relu.py")

The child checks the file, hands over what it prints, the first lines of it, and then the result.
When the time is up it says in which line of the student's file it still is; if it cannot even do
that, being deep in one long call, it is ended without. Both talk in lines of JSON.

This protects from mistakes, not from strangers: for those there is grading.
"""
import dataclasses
import io
import json
import linecache
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import scratchnet
from scratchnet.exercises import catalogue
from scratchnet.exercises.checker import Result, check
from scratchnet.exercises.result import indent
from scratchnet.exercises.solution import PRIVATE, LocalSolution
from scratchnet.gradcheck import Cause

SECONDS = 60.0          # that a check may take
LINES = 10              # of what the student's code prints that are shown
START, GRACE = 60.0, 2.0                # seconds to start; and to say where it still is
LOOK = 0.3              # seconds between two looks at whether the file was saved


def check_within(seconds: float, name: str, path: str | os.PathLike, kind: str = "",
                 stale: Callable[[], bool] = lambda: False,
                 say: Callable[[str], Any] = print) -> Result | None:
    """Check the exercise `name`, or of it only the class `kind`; None if `stale()` became true
    before the end. What the student's code prints goes to `say`, line by line.

    With 0 seconds there is no limit and no other process: a debugger works there.
    """
    if not seconds:
        return _check(name, path, kind)
    code = ("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "     # Ctrl-C is ours
            "from scratchnet.exercises.limit import child; child()")
    folders = [str(Path(scratchnet.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(seconds), name, os.fspath(path), kind],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders))})
    messages: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, messages), daemon=True).start()
    deadline = time.monotonic() + START
    try:
        while time.monotonic() < deadline:
            if stale():
                return None
            try:
                what, message = messages.get(timeout=LOOK)
            except queue.Empty:
                continue
            if what == "begun":
                deadline = time.monotonic() + seconds + GRACE
            elif what == "printed":
                say(message)
            elif what == "result":
                causes = tuple(Cause(**cause) for cause in message.pop("causes"))
                return Result(**message | {"arguments": tuple(message["arguments"]),
                                           "causes": causes})
            else:
                return _ended(name, f"its process came to an end, with status {process.wait()}: "
                                    f"was there too little memory?")
        return _ended(name, f"still not done after {seconds:g} s: in one long call of NumPy?")
    finally:
        process.kill()
        process.wait()


def _read(lines: Any, messages: queue.SimpleQueue) -> None:
    """Hand on what the child says; then, that it has ended."""
    with suppress(ValueError):          # half a line: the child was killed as it wrote
        for line in lines:
            messages.put(json.loads(line))
    messages.put(("ended", None))


def _check(name: str, path: str | os.PathLike, kind: str) -> Result:
    exercise = catalogue.load(name)
    if kind:
        exercise = dataclasses.replace(exercise, cases=tuple(
            case for case in exercise.cases if case.name == kind))
    return check(exercise, LocalSolution(path))


def _ended(name: str, why: str) -> Result:
    return Result(name, "error", 0.0, text=f"{name}: ended\n{indent(why)}")


# ── the child ────────────────────────────────────────────────────────────────────────


def child() -> None:
    """Check the file named on the command line; all that is said goes to the other side."""
    seconds, name, path, kind = sys.argv[1:]
    tell = _Line(os.dup(1))
    os.dup2(2, 1)                       # what prints without Python is no message
    sys.stdout = printed = _Printed(tell)
    clock = threading.Timer(float(seconds), _time_is_up, [
        tell, printed, name, float(seconds), threading.get_ident()])
    clock.daemon = True
    tell("begun", None)
    clock.start()
    result = _check(name, path, kind)
    clock.cancel()
    _finish(tell, printed, result)


def _time_is_up(tell: "_Line", printed: "_Printed", name: str, seconds: float,
                thread: int) -> None:
    """Say where the student's code is now, and end."""
    frame = sys._current_frames()[thread]
    while frame and not frame.f_globals.get("__name__", "").startswith(PRIVATE):
        frame = frame.f_back
    if frame is None:
        _finish(tell, printed, _ended(name, f"still not done after {seconds:g} s; --time gives "
                                            f"it more"))
    file, line = frame.f_code.co_filename, frame.f_lineno
    _finish(tell, printed, _ended(
        name, f"{Path(file).name}, line {line}: still here after {seconds:g} s: does a loop never "
              f"end? If it is only slow, --time gives it more\n    "
              f"{linecache.getline(file, line).strip()}"))


def _finish(tell: "_Line", printed: "_Printed", result: Result) -> None:
    """Send the result, once, and end the process whatever else is running in it."""
    with tell.last:
        printed.end()
        tell("result", dataclasses.asdict(result))
        os._exit(0)


class _Line:
    """Sends messages; `last` is held by whoever sends the last one."""

    def __init__(self, number: int):
        self._file = os.fdopen(number, "wb", buffering=0)
        self._lock, self.last = threading.Lock(), threading.Lock()

    def __call__(self, what: str, message: Any) -> None:
        with self._lock:
            self._file.write(json.dumps([what, message]).encode() + b"\n")


class _Printed(io.TextIOBase):
    """Takes the place of sys.stdout: hands over the first lines, and counts the others."""

    def __init__(self, tell: _Line):
        self._tell, self._count, self._begun = tell, 0, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, rest = text.split("\n")
        if lines:
            for line in [self._begun + lines[0], *lines[1:]]:
                self._line(line)
            self._begun = ""
        if self._count < LINES or not self._begun:
            self._begun += rest
        return len(text)

    def end(self) -> None:
        """No more is to come."""
        if self._begun:
            self._line(self._begun)
        if (more := self._count - LINES) > 0:
            self._tell("printed", f"… {more} more line{'s' * (more > 1)} printed")

    def _line(self, line: str) -> None:
        self._count += 1
        if self._count <= LINES:
            self._tell("printed", line[:1000])
