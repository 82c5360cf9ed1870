"""Grade — every file of every student: one outcome each, whatever is in it.

    outcomes = grade("submissions", seed=1)

    submissions/alice/relu.py       a folder for each student, named as he or she is called, with
    submissions/alice/conv2d.py     a file for each exercise: folders.py
    submissions/bob/relu.py

A file that is missing, unreadable, no file or much too large costs its own score and nothing
else; so does one that never ends or that ends its process.
"""
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import numpy as np

from scratchnet.exercises import catalogue
from scratchnet.exercises.checker import Result, check
from scratchnet.exercises.grading import folders
from scratchnet.exercises.grading.submission import (
    MEMORY,
    SECONDS,
    RemoteSolution,
    end_all,
    imports_of,
)
from scratchnet.exercises.grading.wire import WireError
from scratchnet.exercises.spec import Exercise, Hunt
from scratchnet.exercises.workspace import TEMPLATES

LEAST_MEMORY = 512          # MiB
WORKERS = 2                 # at once, so that the machine stays usable
NICE = 5                    # of the grader's own processes; submissions are nicer still
PATIENCE = 1.0              # seconds for these processes to end when they are told to


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    verdict     "passed", "failed", "error" and "not started" as the checker has them; "missing";
                "refused" (no readable text of the right kind: it did not run); "stopped" (it
                took too long, ended its process or broke the rules)
    arguments   what is wrong: "x", "weight", "forward", …
    cause       the likeliest mistake, in a sentence, or why it did not run
    text        all that the checker has to say
    open        what the system could not close to the submission: "files", "calls"
    """

    student: str
    exercise: str
    verdict: str
    score: float = 0.0
    arguments: tuple[str, ...] = ()
    cause: str = ""
    text: str = ""
    open: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """One file to be graded, and how."""

    folder: Path
    exercise: str
    seed: int
    seconds: float
    memory: int

    @property
    def student(self) -> str:
        """The name of the folder; of a folder `exercises`, of the one that it is in."""
        folder = self.folder.parent if self.folder.name == folders.WORKSPACE else self.folder
        return folders.printable(folder.name)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while files were graded. `outcomes` are those that are done, out of `count`."""

    def __init__(self, outcomes: list[Outcome], count: int):
        super().__init__()
        self.outcomes, self.count = outcomes, count


def grade(submissions: str | os.PathLike, exercises: Sequence[str] = (), seed: int | None = None,
          seconds: float = SECONDS, memory: int = MEMORY, alone: bool = False,
          progress: Callable | None = None) -> list[Outcome]:
    """Grade a folder of students' folders, or one student's folder; sorted by student and exercise.

    exercises   names; without any, all of which at least one student has a file
    seed        of the inputs, the same for every student; None draws one: what a file could
                have learnt of an earlier run is of no use to it
    seconds     of processor time, and `memory` in MiB, for each file
    alone       the folder is one student's, whatever is in it
    progress    called with (outcomes so far, all, the last one or None), at first and after each

    Raises ValueError for a folder that is not there or holds nothing to grade, OSError where no
    process can be started, and Interrupted instead of KeyboardInterrupt.
    """
    tasks = plan(submissions, exercises, new_seed() if seed is None else seed, seconds, memory,
                 alone)
    outcomes: dict[Task, Outcome] = {}

    def note(task: Task, outcome: Outcome) -> None:
        outcomes[task] = outcome
        if progress is not None:
            progress(len(outcomes), len(tasks), outcome)

    try:
        if progress is not None:
            progress(0, len(tasks), None)
        left = _in_pool(tasks, WORKERS, note)
        for task in left:           # a worker died: which of these was it?
            if _in_pool([task], 1, note):
                note(task, Outcome(task.student, task.exercise, "stopped",
                                   cause="the grader's own process ended while it ran"))
    except KeyboardInterrupt:
        raise Interrupted([outcomes[task] for task in tasks if task in outcomes],
                          len(tasks)) from None
    return [outcomes[task] for task in tasks]


def new_seed() -> int:
    """A seed that nobody can guess."""
    return secrets.randbits(32)


def plan(submissions: str | os.PathLike, exercises: Sequence[str], seed: int, seconds: float,
         memory: int, alone: bool = False) -> list[Task]:
    """One Task for each student and exercise."""
    top = Path(submissions)
    if not top.is_dir():
        raise ValueError(f"{top} is no folder: give the folder that holds one folder for each "
                         f"student")
    if memory < LEAST_MEMORY or not seconds > 0:
        raise ValueError(f"expected a time above 0 s and a memory of {LEAST_MEMORY} MiB or more, "
                         f"which NumPy needs; got {seconds} s and {memory} MiB")
    wanted = list(dict.fromkeys(map(catalogue.find, exercises)))
    students = folders.students_in(top, alone)
    if not exercises:
        wanted = [name for name in catalogue.names() if any(
            os.path.lexists(folders.file_of(student, name)) for student in students)]
    if not students or not wanted:
        lies = folders.not_graded(top, students, ())[:5]
        raise ValueError(f"{top} holds nothing to grade: expected students' folders with files "
                         f"such as {top / 'alice' / 'relu.py'}"
                         + (f"; there are only {', '.join(lies)}" if lies else ""))
    return [Task(student, name, seed, seconds, memory)
            for student in students for name in wanted]


def grade_one(task: Task) -> Outcome:
    """Grade one file. Nothing that is in it makes this raise; OSError if no process can be
    started."""
    def outcome(verdict: str, *rest: object) -> Outcome:
        return Outcome(task.student, task.exercise, verdict, *rest)

    if problem := folders.unfit(task.folder, task.exercise):
        verdict, why = problem
        return outcome(verdict, 0.0, (), why)
    exercise = catalogue.load(task.exercise)
    with _started(task, exercise) as solution:
        fences = solution.fences
        rng = np.random.default_rng([task.seed, catalogue.names().index(task.exercise)])
        try:
            result = check(exercise, solution, rng)
        except WireError as error:
            return outcome("stopped", 0.0, (), solution.why(error))
        except (Exception, SystemExit) as error:    # no submission may end the grading
            return outcome("error", 0.0, (), f"{type(error).__name__}: {error}")
    cause = result.causes[0].says if result.causes else _headline(result)
    return outcome(result.verdict, result.score, result.arguments, cause, result.text,
                   tuple(what for what in ("files", "calls") if not fences.get(what)))


def _started(task: Task, exercise: Exercise | Hunt) -> RemoteSolution:
    """The submission's process. A machine that had no room for it may have some a moment later."""
    arguments = (folders.file_of(task.folder, task.exercise), *_shown(exercise), task.seconds,
                 task.memory)
    try:
        return RemoteSolution(*arguments)
    except OSError:
        time.sleep(1)
        return RemoteSolution(*arguments)


def _shown(exercise: Exercise | Hunt) -> tuple[list[str] | None, list[tuple[str, str]]]:
    """What a submission may import from scratchnet, and what not: see RemoteSolution."""
    if not isinstance(exercise, Exercise):          # in a bug hunt there is no answer to hide
        return None, []
    answers = [(kind.__module__, kind.__name__) for kind in exercise.reference.values()]
    text = (TEMPLATES / f"{exercise.name}.py").read_text(encoding="utf-8")
    return imports_of(text), [(module, name) for module, name in answers
                              if not module.startswith("scratchnet.exercises")]


def _headline(result: Result) -> str:
    """What is wrong, from the first lines of a result's text."""
    lines = [line.strip() for line in result.text.splitlines()[1:] if line.strip()]
    return "" if result.passed else " ".join(lines[:3])


def _in_pool(tasks: list[Task], workers: int, note: Callable,
             work: Callable = grade_one) -> list[Task]:
    """Grade in other processes; the tasks of which nothing came, because one of those died."""
    left, folder = list(tasks), tempfile.mkdtemp(prefix="scratchnet-")
    others = active_children()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (folder,))
    try:
        with _later(signal.SIGINT):
            futures = {pool.submit(work, task): task for task in tasks}
        for future in as_completed(futures):
            with suppress(BrokenProcessPool):
                note(futures[future], future.result())
                left.remove(futures[future])
    except BrokenProcessPool:           # while submitting
        pass
    except BaseException:
        processes = [process for process in active_children() if process not in others]
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(PATIENCE)
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(folder, ignore_errors=True)
    return left


@contextmanager
def _later(wanted: signal.Signals) -> Iterator[None]:
    """Let a signal wait. Processes started meanwhile never get it, not even while they import."""
    if not hasattr(signal, "pthread_sigmask"):          # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {wanted})         # which they take over;
    came, ours = [], threading.current_thread() is threading.main_thread()
    if ours:                            # here, a thread of OpenBLAS may be told in our place
        handler = signal.signal(wanted, lambda *_: came.append(wanted))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if ours:
            signal.signal(wanted, handler)
        if came:
            signal.raise_signal(wanted)


def _begin(folder: str) -> None:
    """The first thing that a process of the pool does. Its submissions live in `folder`; with them
    it ends when it is told to, or when its parent is gone. What Ctrl-C means, its parent knows."""
    def end(*signal_and_frame: object) -> None:
        end_all()
        os._exit(1)

    def orphaned() -> None:
        parent_process().join()
        end()

    threading.Thread(target=orphaned, daemon=True).start()
    tempfile.tempdir = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    if hasattr(os, "nice"):
        os.nice(NICE)
