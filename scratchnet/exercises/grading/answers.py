"""Answers — what a submission's process is asked, and what it closes before it runs the file."""
import gc
import importlib
import os
import sys
import warnings
from contextlib import suppress
from glob import glob
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from scratchnet.exercises.grading import confine
from scratchnet.exercises.grading.objects import Objects
from scratchnet.exercises.grading.remote import remote_layer
from scratchnet.exercises.grading.wire import Line, Payload, decode, encode
from scratchnet.exercises.solution import LocalSolution


def serve(file: str, reader: BinaryIO, writer: BinaryIO, folders: list[str],
          confined: bool) -> None:
    """Answer what the grader asks about `file` until it hangs up."""
    warnings.simplefilter("ignore")
    # The complex step must hear of imaginary parts that are dropped.
    warnings.simplefilter("error", np.exceptions.ComplexWarning)
    line = Line(reader, writer, catches=BaseException)
    line.file = file
    line.answer = Answers(line, _readable(file, folders) if confined else None).answer
    line.serve()


class Answers:
    """`begin` comes first; then the questions of solution.Solution, and those about layers."""

    def __init__(self, line: Line, readable: list[str] | None):
        self.line, self.readable = line, readable
        self.solution, self.objects = LocalSolution(line.file), Objects()
        self._questions = {"begin": self.begin, "has": self.has, "make": self.make,
                           "call": self.call, "test": self.test}

    def answer(self, message: dict, payload: Payload, reply: list) -> dict:
        """Answer one question."""
        question = self._questions.get(message["ask"], self.objects.answer)
        return question(message, payload, reply)

    def begin(self, message: dict, payload: Payload, reply: list) -> dict:
        """Close the doors; say which are closed. The file runs later, when it is first asked."""
        self.real = show_only(message["library"], [tuple(name) for name in message["hidden"]])
        sys.meta_path.insert(0, NothingElse())
        if self.readable is None:
            return {"files": False, "calls": False}
        return {"files": confine.only_read(self.readable), "calls": confine.forbid_calls()}

    def has(self, message: dict, payload: Payload, reply: list) -> dict:
        """Does the file define this name?"""
        return {"has": self.solution.has(message["name"])}

    def make(self, message: dict, payload: Payload, reply: list) -> dict:
        """Build a layer."""
        args, options = decode(message["arguments"], payload)
        return self.objects.add(self.solution.make(message["name"], *args, **options), reply)

    def call(self, message: dict, payload: Payload, reply: list) -> dict:
        """Call a function; say, too, into which of its arguments it wrote."""
        given: list[np.ndarray] = []
        arguments = decode(message["arguments"], payload, given)
        before = [array.tobytes() for array in given]
        result = self.solution.call(message["name"], *arguments)
        return {"result": encode(result, reply, list(given)), "changed": [
            [i, encode(array, reply)] for i, (array, old) in
            enumerate(zip(given, before, strict=True)) if array.tobytes() != old]}

    def test(self, message: dict, payload: Payload, reply: list) -> dict:
        """Run the student's test, on layers that stay with the grader."""
        self.solution.test(lambda: remote_layer(self.line, *self.line.ask("build")))
        return {}


def show_only(library: list[str] | None, hidden: list[tuple[str, str]]) -> dict:
    """Leave of scratchnet the names in `library` (None is all) without those `hidden`.

    The modules stay in memory without what is hidden, and are returned, to be held; under their
    names stand modules in which the rest is missing.
    """
    for name in library or ():              # what it needs of the exercises is not loaded yet
        with suppress(ImportError):
            importlib.import_module(name.rpartition(".")[0])
    real = {name: module for name, module in sys.modules.items()
            if name.split(".")[0] == "scratchnet"}
    answers = [vars(real[module])[name] for module, name in hidden]
    for module in real.values():            # other layers that need one do not run here
        for key, value in list(vars(module).items()):
            if any(value is answer for answer in answers):
                delattr(module, key)
    del answers, value
    gc.collect()
    for name, module in real.items():
        del sys.modules[name]
        everything = library is None and not name.startswith("scratchnet.exercises")
        sys.modules[name] = _Shown(name, {
            key: value for key, value in vars(module).items()
            if (everything or _within(f"{name}.{key}", library or ()))
            and not isinstance(value, ModuleType)})
    for name, module in list(sys.modules.items()):
        outer, _, inner = name.rpartition(".")
        if isinstance(module, _Shown) and outer:
            setattr(sys.modules[outer], inner, module)
    return real


class NothingElse:
    """The finder that is asked first for a module: only NumPy and what comes with Python can be
    imported, and not what else happens to be installed where it is graded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """None, and so leave it to the other finders; or refuse."""
        # Of Python's own modules, the list lacks those named after the system.
        if (name.partition(".")[0] not in {"numpy", "scratchnet", *sys.stdlib_module_names}
                and not name.startswith("_sysconfigdata_")):
            raise ModuleNotFoundError(
                f"{name} cannot be used in a submission: only NumPy, what comes with Python, and "
                f"what the exercise's own file imports can", name=name)


class _Shown(ModuleType):
    """A module of scratchnet with the names that a submission may import."""

    def __init__(self, name: str, names: dict):
        super().__init__(name)
        self.__path__: list[str] = []
        vars(self).update({key: value for key, value in names.items()
                           if not key.startswith("__")})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"{self.__name__}.{name} cannot be used in a submission: of scratchnet, "
                          f"only what the exercise's own file imports can")


def _within(name: str, library: list[str]) -> bool:
    """True if the dotted name, or a module that it is in, is in the list."""
    return any(name == item or name.startswith(f"{item}.") for item in library)


def _readable(file: str, folders: list[str]) -> list[str]:
    """Python and NumPy; not what else is installed, least of all scratchnet, whose sources hold the
    answers."""
    places = [os.path.dirname(file), *glob("/usr/lib*/*-linux-gnu"), "/usr/lib64"]
    for folder in sys.path:
        if os.path.isdir(folder):
            installed = "-packages" in folder or folder in folders
            places += [os.path.join(folder, name) for name in os.listdir(folder)
                       if (name.startswith("numpy") if installed else
                           name != "scratchnet" and "-packages" not in name)]
    return places
