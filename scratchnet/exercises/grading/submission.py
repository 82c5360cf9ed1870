"""Submission — a student's file, run in a process of its own.

RemoteSolution is to the checker what LocalSolution is: the same four questions. The file runs in
a child (child.py) in a private folder that holds nothing else, with limits; inputs, references
and the verdict stay here, and only plain arrays come back (wire.py).
"""
import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import scratchnet
from scratchnet.exercises.grading.objects import Objects
from scratchnet.exercises.grading.remote import remote_layer
from scratchnet.exercises.grading.wire import Line, Payload, WireError, decode, encode
from scratchnet.exercises.solution import explain
from scratchnet.layer import Layer

SECONDS, MEMORY = 60.0, 1024            # of a submission: processor time, MiB
BY_THE_CLOCK = 5                        # times as much on the wall: the machine may be busy
START = 60.0                            # seconds for its process to start
_ALWAYS = ["scratchnet.Layer", "scratchnet.Parameter", "scratchnet.no_grad", "scratchnet.layer",
           "scratchnet.backend", "scratchnet.gradcheck"]
_HUNT_ARRAYS = 1 << 20                  # bytes that a test may send to a layer at once


class RemoteSolution:
    """A student's file in a child process; see solution.Solution.

    path        the student's file; it is read once, here
    library     dotted names that the file may import from scratchnet, besides Layer and what
                goes with it; None is all
    hidden      (module, name) of what it may not, even so: the reference
    seconds     processor time, and BY_THE_CLOCK times as much by the clock on the wall, from the
                first question to the last, without starting processes
    memory      MiB of address space
    confined    False leaves out what confine.py asks of Linux

    Raises OSError if the file cannot be read or no process started.
    """

    def __init__(self, path: str | os.PathLike, library: list[str] | None = None,
                 hidden: list[tuple[str, str]] = (), seconds: float = SECONDS,
                 memory: int = MEMORY, confined: bool = True):
        self.path, self.hidden = Path(path), list(hidden)
        self.library = None if library is None else [*_ALWAYS, *library]
        self._source = self.path.read_bytes()
        self._limits = {"memory": memory, "confined": confined}
        self._deadline = time.monotonic() + BY_THE_CLOCK * seconds
        self._seconds = seconds
        self._tests = 0
        self.fences: dict[str, bool] = {}
        self._start()

    def __enter__(self) -> "RemoteSolution":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its folder."""
        self._child.close()

    def why(self, error: WireError) -> str:
        """Why the submission came to an end."""
        return self._child.why or (self._child.ended() if self._child.line.gone else str(error))

    def has(self, name: str) -> bool:
        answer, _ = self._ask("has", name=name)
        return answer.get("has") is True

    def make(self, name: str, *args: Any, **options: Any) -> Layer:
        payload: list[bytes] = []
        code = encode((args, options), payload)
        answer = self._ask("make", payload, name=name, arguments=code)
        return remote_layer(self._child.line, *answer)

    def call(self, name: str, *args: Any) -> Any:
        payload: list[bytes] = []
        given: list[np.ndarray] = []
        code = encode(args, payload, given)
        answer, arrays = self._ask("call", payload, name=name, arguments=code)
        try:
            result = decode(answer["result"], arrays, list(given))
            for i, changed in answer["changed"]:
                given[i][...] = decode(changed, arrays)
        except (LookupError, TypeError, ValueError) as error:
            raise WireError(f"an answer was badly made: {error!r:.200}") from error
        return result

    def test(self, make: Callable[[], Any]) -> None:
        """Each test has a child of its own: it cannot count which layer it is asked about."""
        self._tests += 1
        if self._tests > 1:
            self.close()
            self._start()
        objects, line = Objects(anonymous=True), self._child.line

        def answer(message: dict, payload: Payload, reply: list) -> dict:
            if message["ask"] != "build":
                return objects.answer(message, payload, reply)
            layer = make()
            line.hidden = type(layer).__name__
            return objects.add(layer, reply)

        line.answer, line.limit = answer, _HUNT_ARRAYS
        try:
            self._ask("test")
        finally:
            line.answer = None

    def _start(self) -> None:
        """Start a process. What that takes is not the submission's time."""
        begun = time.monotonic()
        self._child = _Child(self.path.name, self._source, **self._limits, seconds=self._seconds)
        self._child.line.file = str(self.path)
        self._child.set_clock(START, f"did not start within {START:g} s")
        try:
            self.fences, _ = self._ask("begin", library=self.library, hidden=self.hidden)
        except (Exception, WireError) as error:         # the file has not run yet
            self.close()
            why = self.why(error) if isinstance(error, WireError) else error
            raise OSError(f"a process for a submission could not be started: {why}; is the "
                          f"memory of {self._limits['memory']} MiB too small?") from error
        now = time.monotonic()
        self._deadline += now - begun
        self._child.set_clock(max(0.0, self._deadline - now),
                              f"took longer than {BY_THE_CLOCK * self._seconds:g} s by the clock")

    def _ask(self, what: str, payload: list[bytes] = (), **fields: Any) -> tuple[dict, Payload]:
        try:
            return self._child.line.ask(what, payload, **fields)
        except (Exception, SystemExit) as error:
            if what == "test" and isinstance(error, AssertionError):
                raise                   # that is a test's answer
            raise explain(error) from None


class _Child:
    """The process, its folder, and the clock that ends both."""

    alive: ClassVar[set["_Child"]] = set()

    def __init__(self, name: str, source: bytes, memory: int, confined: bool, seconds: float):
        self.why = ""
        self._seconds, self._before = seconds, _computed()
        self.folder = tempfile.mkdtemp(prefix="scratchnet-")
        file = os.path.join(self.folder, name)
        Path(file).write_bytes(source)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(Path(__file__).with_name("child.py")), file,
             str(memory << 20), str(seconds), str(int(confined)), *_folders()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=self.folder, start_new_session=True,
            env={"SYSTEMROOT": os.environ["SYSTEMROOT"]} if os.name == "nt" else {})
        self.alive.add(self)
        self.line = Line(self._process.stdout, self._process.stdin)
        self._clock: threading.Timer | None = None

    def set_clock(self, seconds: float, why: str) -> None:
        """End the process after so many seconds; an earlier setting no longer holds."""
        if self._clock is not None:
            self._clock.cancel()
        self._clock = threading.Timer(seconds, self._stop, [why])
        self._clock.daemon = True
        self._clock.start()

    def ended(self) -> str:
        """How the process came to its end."""
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "closed the line to the grader"
        if status >= 0:
            return f"ended its own process, with status {status}"
        if _computed() - self._before > self._seconds:      # which the kernel has seen first
            return f"took longer than {self._seconds:g} s of computing"
        return f"its process was ended by {signal.Signals(-status).name}"

    def close(self) -> None:
        """End everything, remove the folder."""
        self._clock.cancel()
        self._stop("")
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()
        self._process.wait()
        self.alive.discard(self)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self, why: str) -> None:
        """Kill the process, its group, and what has left the group, as far as it is found."""
        self.why = self.why or why
        if os.name == "nt":
            self._process.kill()
            return
        if self._process.returncode is None:    # else the number may belong to another
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for process in _mentioning(self.folder):
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)


def end_all() -> None:
    """Kill all submissions that this process has started."""
    for child in list(_Child.alive):
        child._stop("")


def _computed() -> float:
    """The processor time of all processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _mentioning(folder: str) -> list[int]:
    """The processes in whose command line the folder stands: children that left the group."""
    found = []
    for path in glob("/proc/[0-9]*/cmdline"):
        with suppress(OSError):
            if folder.encode() in Path(path).read_bytes():
                found.append(int(path.split("/")[2]))
    return found


def _folders() -> list[str]:
    """Where scratchnet and NumPy are installed."""
    return list(dict.fromkeys(str(Path(module.__file__).parents[1])
                              for module in (scratchnet, np)))


def imports_of(source: str) -> list[str]:
    """What a file imports from scratchnet, as dotted names."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scratchnet":
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names
                      if alias.name.split(".")[0] == "scratchnet"]
    return found
