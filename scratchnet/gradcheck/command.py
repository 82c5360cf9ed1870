"""`scratchnet check FILE[:CLASS]` — check the gradients of any class with forward and backward.

The class is built and given an input: by --args and --shape, or else by what its constructor's
arguments are called (in_channels, kernel_size, …), on images or on a matrix.
"""
import argparse
import ast
import copy
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from scratchnet.gradcheck import Report, check

# What a constructor's arguments usually mean; x is (2, 4, 6, 7) images or a (3, 5) matrix.
IMAGES, MATRIX = (2, 4, 6, 7), (3, 5)
USUAL = {"in_channels": 4, "out_channels": 6, "channels": 4, "num_features": 4, "planes": 4,
         "num_channels": 4, "filters": 6, "kernel_size": 3, "kernel": 3, "stride": 2, "padding": 1,
         "pad": 1, "pool_size": 2, "size": 3, "groups": 2, "reduction": 2, "p": 0.3, "rate": 0.3,
         "rng": 0, "seed": 0}
FLAT = {"in_features": 5, "out_features": 3, "in_dim": 5, "out_dim": 3, "n_in": 5, "n_out": 3,
        "input_size": 5, "output_size": 3, "input_dim": 5, "output_dim": 3, "fan_in": 5,
        "fan_out": 3, "features": 5, "dim": 5, "hidden": 4}


def add_command(commands: Any) -> None:
    """Add `check` to the command line."""
    command = commands.add_parser("check", help="check the gradients of a class in a file")
    command.add_argument("file", metavar="FILE[:CLASS]", help="a Python file, and one class in it")
    command.add_argument("--args", default=None, metavar="'3, 8, stride=2'",
                         help="the constructor's arguments")
    command.add_argument("--shape", action="append", metavar="2,3,6,7",
                         help="shape of the input; again for each further input")
    command.add_argument("--labels", type=int, metavar="CLASSES",
                         help="the last input is N labels, integers below CLASSES (for a loss)")
    command.add_argument("--eval", action="store_true", help="check in evaluation mode")
    command.add_argument("--seed", type=int, default=0, help="of inputs and probes (default: 0)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a report for each class; 0 if all passed, 1 if one is wrong, else 2 if one cannot be
    asked."""
    try:
        path, _, name = options.file.rpartition(":")
        if not path or not path.endswith(".py"):
            path, name = options.file, ""
        classes = classes_in(load(Path(path)), name)
    except ValueError as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    code = 0
    for cls in classes:
        try:
            report = _check(cls, options)
        except ValueError as error:         # the other classes can be asked nevertheless
            print(f"scratchnet: {error}", file=sys.stderr)
            code = code or 2
        else:
            print(f"{report}\n")
            code = code if report else 1
    return code


def load(path: Path) -> ModuleType:
    """Run a Python file and return it as a module. ValueError says why it cannot be."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}; write FILE.py or FILE.py:CLASS")
    spec = importlib.util.spec_from_file_location(f"_checked_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ValueError(f"{path} does not run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return module


def classes_in(module: ModuleType, name: str = "") -> list[type]:
    """The classes of this file with forward and backward; or the one called `name`."""
    own = {n: c for n, c in vars(module).items() if inspect.isclass(c)
           and c.__module__ == module.__name__}
    whole = {n: c for n, c in own.items()
             if callable(getattr(c, "forward", None)) and callable(getattr(c, "backward", None))}
    if name and name not in whole:
        raise ValueError(f"{module.__file__} has no class {name!r} with forward and backward"
                         + (f"; it has {', '.join(whole)}" if whole else ""))
    if not whole:
        raise ValueError(f"{module.__file__} has no class with forward and backward"
                         + (f" (classes: {', '.join(own)})" if own else ""))
    return [whole[name]] if name else list(whole.values())


def _check(cls: type, options: argparse.Namespace) -> Report:
    rng = np.random.default_rng(options.seed)
    args, keywords, flat = _arguments(cls, options.args)
    layer = _build(cls, args, keywords)
    if options.eval:
        if not callable(getattr(layer, "eval", None)):
            raise ValueError(f"{cls.__name__} has no eval(): --eval is for layers that have")
        layer.eval()
    shapes = [_shape(text) for text in options.shape] if options.shape else None
    if shapes is None:
        shapes = _usual_shapes(cls, layer, rng, flat, options.labels)
    inputs = _inputs(shapes, rng, options.labels)
    try:
        copy.deepcopy(layer).forward(*inputs)
    except Exception as error:
        sizes = " and ".join(str(x.shape) for x in inputs)
        more = "; give --shape again for each input, or --labels" if isinstance(
            error, TypeError) and "positional argument" in str(error) else ""
        raise ValueError(f"{cls.__name__}.forward raised {type(error).__name__} for {sizes}: "
                         f"{error}{more}") from error
    return check(layer, *inputs, rng=options.seed)


def _arguments(cls: type, text: str | None) -> tuple[list, dict, bool]:
    """(positional, keyword, is it a layer of matrices?)."""
    if text is not None:
        try:
            call = ast.parse(f"f({text})", mode="eval").body
            return ([ast.literal_eval(a) for a in call.args],
                    {k.arg: ast.literal_eval(k.value) for k in call.keywords}, False)
        except (SyntaxError, ValueError, AttributeError) as error:
            raise ValueError(f"--args: expected values such as '3, 8, stride=2'; got "
                             f"{text!r}") from error
    needed, keywords, flat = [], {}, False
    for n, p in inspect.signature(cls).parameters.items():
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY,
                                               p.POSITIONAL_ONLY):
            if n in FLAT:
                keywords[n], flat = FLAT[n], True
            elif n in USUAL:
                keywords[n] = USUAL[n]
            else:
                needed.append(n)
    if needed:
        raise ValueError(f"{cls.__name__} is built with {', '.join(needed)}: give values with "
                         f"--args, for instance --args '3, 8'")
    return [], keywords, flat


def _build(cls: type, args: list, keywords: dict) -> Any:
    try:
        return cls(*args, **keywords)
    except Exception as error:
        given = [*map(repr, args), *(f"{k}={v!r}" for k, v in keywords.items())]
        raise ValueError(f"{cls.__name__}({', '.join(given)}) raised {type(error).__name__}: "
                         f"{error}; give other arguments with --args") from error


def _usual_shapes(cls: type, layer: Any, rng: np.random.Generator, flat: bool,
                  labels: int | None) -> list[tuple]:
    """The first of the usual inputs that forward accepts."""
    count = sum(p.default is p.empty for p in inspect.signature(layer.forward).parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    count -= labels is not None
    tried = []
    for shape in ((MATRIX, IMAGES) if flat or labels else (IMAGES, MATRIX)):
        for n in dict.fromkeys((max(count, 1), 1)):
            shapes = [shape] * n
            try:
                layer.forward(*_inputs(shapes, rng, labels))
            except NotImplementedError as error:
                raise ValueError(f"{cls.__name__}.forward is not written yet: {error}") from error
            except Exception as error:
                tried.append(f"{n} × {shape}: {type(error).__name__}: {error}" if n > 1 else
                             f"{shape}: {type(error).__name__}: {error}")
            else:
                return shapes
    raise ValueError(f"{cls.__name__}.forward takes none of the usual inputs; say which with "
                     f"--shape (and --labels for a loss). Tried\n  " + "\n  ".join(tried))


def _inputs(shapes: list[tuple], rng: np.random.Generator, labels: int | None) -> list:
    inputs: list = [rng.standard_normal(shape) for shape in shapes]
    return inputs if labels is None else [*inputs, rng.integers(0, labels, shapes[0][0])]


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(map(int, re.split("[,x×]", text)))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(f"--shape: expected sizes such as 2,3,6,7; got {text!r}")
    return shape
