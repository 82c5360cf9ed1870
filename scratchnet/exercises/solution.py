"""Solution — the way to a student's code, wherever it runs.

The checker asks these four questions and opens no file itself, so that a check is the same for
a file in this process (LocalSolution) and for one in a process of its own.

What goes wrong in the student's code arrives as one SolutionError: what, in which line of the
student's file, and that line; never a traceback.
"""
import difflib
import inspect
import linecache
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from scratchnet.layer import Layer

PRIVATE = "_scratchnet_solution_"       # begins the module name of every student's file
_ONE_TOO_MANY = re.compile(r"(?:\w+\.)*(forward|backward)\(\) takes (\d+) positional arguments? "
                           r"but (\d+) w\w+ given")


class SolutionError(Exception):
    """The student's code did not run; the message says why, with file and line."""


class NotWritten(SolutionError):
    """It raised NotImplementedError, as the template does."""


class Solution(Protocol):
    """A student's file. Every method raises SolutionError if the code does not run."""

    def has(self, name: str) -> bool:
        """True if the file defines `name`."""

    def make(self, name: str, *args: Any, **options: Any) -> Layer:
        """Build the class `name`. What its methods raise, `explain` turns into a SolutionError."""

    def call(self, name: str, *args: Any) -> Any:
        """Call the function `name`."""

    def test(self, make: Callable[[], Any]) -> None:
        """Call the function test(make); raises AssertionError where the student's test does."""


class LocalSolution:
    """A file run in this process: for the student's own machine, not for strangers' code.

    The file is imported when it is first asked, under a private name, afresh for each object.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._module: ModuleType | None = None

    def has(self, name: str) -> bool:
        return hasattr(self._imported(), name)

    def make(self, name: str, *args: Any, **options: Any) -> Layer:
        build = self._get(name, "class")
        try:
            inspect.signature(build).bind(*args, **options)
        except (TypeError, ValueError) as error:
            raise SolutionError(f"{self.path.name}: {name}(…) cannot be built as the task builds "
                                f"it ({error}): leave the constructor as it was given") from None
        try:
            layer = build(*args, **options)
        except (Exception, SystemExit) as error:
            raise explain(error) from None
        if not isinstance(layer, Layer):
            raise SolutionError(f"{self.path.name}: {name} must be a Layer: write "
                                f"`class {name}(Layer):`, with `from scratchnet import Layer`")
        return layer

    def call(self, name: str, *args: Any) -> Any:
        function = self._get(name, "function")
        try:
            return function(*args)
        except (Exception, SystemExit) as error:
            raise explain(error) from None

    def test(self, make: Callable[[], Any]) -> None:
        function = self._get("test", "function")
        try:
            result = function(make)
        except AssertionError:
            raise
        except (Exception, SystemExit) as error:
            raise explain(error) from None
        if isinstance(result, bool | np.bool_) and not result:
            raise SolutionError(f"{self.path.name}: test returned False, and nobody looks at "
                                f"that: use assert, which raises AssertionError")

    def classes(self) -> dict[str, type]:
        """The classes that the file defines, by name; not those it imports."""
        module = self._imported()
        return {name: thing for name, thing in vars(module).items()
                if isinstance(thing, type) and thing.__module__ == module.__name__}

    def _get(self, name: str, kind: str) -> Any:
        """The class or function `name` of the file."""
        module = self._imported()
        found = getattr(module, name, None)
        if found is None:
            own = [n for n, thing in vars(module).items()
                   if getattr(thing, "__module__", None) == module.__name__]
            near = difflib.get_close_matches(name, own, n=1)
            raise SolutionError(f"{self.path.name} has no {kind} {name}" + (
                f": it has {near[0]}; the name must be {name}" if near else
                ": the task asks for it by that name"))
        if not callable(found) or isinstance(found, type) != (kind == "class"):
            came = ("class" if isinstance(found, type) else
                    "function" if callable(found) else "value")
            raise SolutionError(f"{self.path.name}: {name} must be a {kind}; it is a {came}")
        parts = {name: found}
        if kind == "class":
            parts |= {f"{name}.{method}": own for method in ("forward", "backward")
                      if (own := getattr(found, method, None)) not in (None, vars(Layer)[method])}
        for part, thing in parts.items():
            if (home := getattr(thing, "__module__", None)) != module.__name__:
                raise SolutionError(f"{self.path.name}: {part} comes from {home}; the task is to "
                                    f"write it in this file")
        return found

    def _imported(self) -> ModuleType:
        if self._module is None:
            self._module = self._import()
        return self._module

    def _import(self) -> ModuleType:
        module = ModuleType(PRIVATE + self.path.stem)
        module.__file__ = str(self.path)
        linecache.checkcache(str(self.path))
        try:
            source = self.path.read_bytes()
        except OSError as error:
            raise SolutionError(f"cannot read {self.path}: {error.strerror}") from None
        sys.modules[module.__name__] = module           # dataclasses look themselves up there
        try:
            exec(compile(source, str(self.path), "exec"), vars(module))
        except (Exception, SystemExit) as error:
            raise explain(error, self.path) from None
        return module


def explain(error: BaseException, path: Path | None = None) -> SolutionError:
    """Return what to tell the student about an exception that came out of the student's code:
    what it was, and the last line of the student's file that had a part in it."""
    if isinstance(error, SolutionError):
        return error
    message = str(error)
    file, line = _place(error)
    if isinstance(error, SyntaxError) and path is not None and error.filename == str(path):
        file, line, message = error.filename, error.lineno, error.msg
    elif isinstance(error, RecursionError):
        message = "a function calls itself without end"
    elif isinstance(error, SystemExit):
        message = "the file ends the whole program: leave exit() out"
    elif isinstance(error, TypeError) and (found := _ONE_TOO_MANY.fullmatch(message)) \
            and int(found[3]) == int(found[2]) + 1:
        message += f": is self missing? Write `def {found[1]}(self, …):`"
    where = Path(file).name + f", line {line}: " if line else f"{path.name}: " if path else ""
    if isinstance(error, NotImplementedError):
        return NotWritten(message or f"{where}NotImplementedError")
    code = linecache.getline(file, line).strip() if line else ""
    return SolutionError(f"{where}{type(error).__name__}: {message}".rstrip(": ")
                         + (f"\n    {code}" if code else ""))


def _place(error: BaseException) -> tuple[str, int | None]:
    """The file and line of the innermost frame in a student's file, or ("", None)."""
    place, trace = ("", None), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith(PRIVATE):
            place = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return place
