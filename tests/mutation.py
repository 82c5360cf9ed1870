"""Mutants — the library's own backward methods, each wrong in one place, made by machine.

A catalogue of bugs holds the mistakes that somebody thought of. A mutant is a mistake that
nobody chose: one operator, constant, axis, slice or statement of a right backward is changed,

    dx[..., pixels] += dy[..., outputs] * (winner[..., outputs] == v)
    dx[..., pixels] = dy[..., outputs] * (winner[..., outputs] == v)        assigned, not added
    dx[..., pixels] += (winner[..., outputs] == v)                          a factor dropped
    dx[..., pixels] += dy[..., outputs] * (winner[..., outputs] != v)       a comparison turned

and the gradient check is asked whether it notices, on the cases of layer_cases.py that run
this line. (Winograd's convolution knows float32 only, too coarse for derivatives: there the
question is whether it still computes what im2col does in float64.) A mutant that passes them all
has survived: either it computes the same as the original (it is equivalent, and
benchmarks/mutants_equivalent.txt says why), or the check or the cases have a hole.

A mutant is put in the place of the original by giving the function another code object, so
every class and every module that has hold of the function has the mutant. They are
examined in another process, with a time limit: a loop without end counts as caught.
"""
import ast
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from layer_cases import CASES, Case, gradient_like

import scratchnet
from scratchnet import convolution, gradcheck
from scratchnet.backend.parallel import limited
from scratchnet.layers import Conv2d
from scratchnet.models.googlenet import GoogLeNet

ROOT = Path(scratchnet.__file__).parent
EQUIVALENT = Path(__file__).resolve().parents[1] / "benchmarks" / "mutants_equivalent.txt"
TILED = {"scratchnet.backend.parallel": "TILE", "scratchnet.convolution.depthwise": "CPU_TILE",
         "scratchnet.convolution.im2col": "CPU_TILE", "scratchnet.convolution.pointwise": "WIDE",
         "scratchnet.convolution.depthwise_strips": "TILE",
         "scratchnet.convolution.kn2row": "TILE", "scratchnet.convolution.winograd": "BLOCK",
         "scratchnet.convolution.winograd_rows": "PIXELS"}
LEAST = {"scratchnet.backend.parallel": "SMALL", "scratchnet.convolution.depthwise": "WORTH",
         "scratchnet.convolution.im2col": "WORTH", "scratchnet.convolution.pointwise": "WORTH",
         "scratchnet.convolution.winograd_rows": "NUMBERS"}
FEW = {"scratchnet.convolution.im2col": "COLUMNS", "scratchnet.convolution.winograd": "TILES",
       "scratchnet.layers.linear": "ROWS"}
TILES = ((3000, 2), (400, 1), (1, 1), (1, 2))   # bytes: several images at once, some rows, one
                                                # row; and threads

# The gradient that comes in is then the first that the classifier's is added to.
AUXILIARY_LAST = Case("googlenet, a classifier on the last layer", lambda: GoogLeNet(
    Conv2d(3, 2, 1), Conv2d(2, 4, 1), ("a", "b"), a=Conv2d(2, 3, 1), b=Conv2d(3, 2, 1)),
    ((2, 2, 3, 4),))


class Mutant(NamedTuple):
    """`id` is "module function: old lines → new lines"; `source` is the whole function."""

    id: str
    module: str
    function: str
    source: str


class Setting(NamedTuple):
    """One check: a case, in training or evaluation; perhaps in small parts, (bytes, threads)."""

    case: Case
    training: bool = True
    parts: tuple[int, int] | None = None

    def __str__(self) -> str:
        return (f"{self.case}{'' if self.training else ', evaluation'}"
                f"{', parts of {} bytes, {} threads'.format(*self.parts) if self.parts else ''}")

    def passes(self) -> bool:
        """Does the gradient check pass here? Anything raised is a no."""
        with in_parts(*self.parts or ()):
            try:
                layer = self.case.layer().train(self.training)
                return gradcheck.check(layer, *self.case.inputs()).passed
            except Exception:
                return False


class ByName(NamedTuple):
    """One question to an algorithm that is chosen for float32 only, or for more channels than the
    cases have: does it compute what im2col does?"""

    algorithm: str
    shape: tuple[int, int, int, int]
    outputs: int
    padding: tuple[int, int]
    parts: tuple[int, int] = (0, 2)     # the size of blocks (0: as it is), and threads
    kernel: int = 3
    groups: int = 1
    stride: tuple[int, int] = (1, 1)

    def __str__(self) -> str:
        return f"{self.algorithm} against im2col, {self.shape}, padding {self.padding}"

    def passes(self) -> bool:
        """Are dx and dw im2col's, within what float32 can hold? Anything raised is a no."""
        try:
            return all(a.shape == b.shape and abs(a - b).max() <= 5e-5 * abs(b).max() for a, b in
                       zip(self.gradients(np.float32, self.algorithm),
                           self.gradients(np.float64, "im2col"), strict=True))
        except Exception:
            return False

    def gradients(self, dtype: Any, algorithm: str) -> tuple[np.ndarray, np.ndarray]:
        """dx and dw for random images, weights and output gradients."""
        rng, K = np.random.default_rng(0), self.kernel
        geometry = convolution.Geometry(self.stride, self.padding, groups=self.groups)
        (N, C, H, W), (ph, pw), (sh, sw) = self.shape, self.padding, self.stride
        x, w, dy = (rng.standard_normal(shape).astype(dtype) for shape in (
            self.shape, (self.outputs, C // self.groups, K, K),
            (N, self.outputs, (H + 2 * ph - K) // sh + 1, (W + 2 * pw - K) // sw + 1)))
        with in_parts(*self.parts):
            return (convolution.backward_x(dy, w, x.shape, geometry, algorithm),
                    convolution.backward_w(x, dy, w.shape, geometry, algorithm))


BY_NAME = tuple(
    ByName(name, *question) for name in convolution.ALGORITHMS
    if name in ("winograd", "winograd_rows") for question in (
        ((2, 5, 9, 7), 6, (1, 1)), ((1, 3, 6, 11), 4, (0, 2)),
        ((2, 2, 20, 20), 3, (1, 1), (60, 1))))          # many blocks
BY_NAME += (ByName("winograd_rows", (2, 6, 9, 8), 4, (2, 1), (60, 2), 5, 2),
            ByName("depthwise_strips", (3, 4, 9, 36), 4, (1, 2), (2000, 2), 3, 4),
            ByName("depthwise_strips", (2, 3, 8, 7), 3, (2, 0), (1, 1), 3, 3, (2, 1)),
            ByName("depthwise_strips", (2, 2, 11, 18), 2, (1, 0), (0, 2), 2, 2, (2, 3)),
            ByName("kn2row", (5, 3, 5, 4), 2, (1, 1), (1, 2)),
            ByName("kn2row", (7, 2, 3, 2), 3, (2, 2), (6000, 1), 5),
            ByName("space_to_depth", (2, 4, 23, 18), 6, (2, 1), (0, 2), 7, 2, (3, 3)),
            ByName("space_to_depth", (2, 2, 14, 15), 4, (1, 0), (0, 2), 4, 1, (3, 2)),
            ByName("space_to_depth", (1, 2, 13, 14), 3, (1, 0), (0, 2), 6, 1, (3, 3)))



# ── making mutants ───────────────────────────────────────────────────────────────────

OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
             ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult}
COMPARISONS = {ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
               ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
               ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
               ast.NotIn: (ast.In,)}
METHODS = {"sum": "mean", "mean": "sum", "zeros": "ones", "min": "max", "max": "min",
           "zeros_like": "ones_like"}
# that only backwards call:
WITH_BACKWARD = {"split", "_spread", "_shares", "sums", "_correlate", "_moved"}
# from this argument on it is about speed, not numbers:
HOW = {"in_planes": 1, "in_tiles": 1, "spread": 2}
UNWRAPPED = {"transpose", "swapaxes", "reshape", "sum", "mean", "ravel", "copy"}    # a.f() → a
SYMMETRIC = {"swapaxes", "result_type", "einsum", "min", "max", "add",      # the order says
             "multiply"}                                                    # nothing
LOOKED_AT = {"shape", "size", "dtype", "ndim"}          # of these two a mutant of dy has what
LOOKERS = {"xp_of", "result_type", "recall", "_tiles", "choose",    # dy has: they do not ask for
           "empty_like", "per_pixel"}                               # its numbers


@cache
def all_mutants() -> tuple[Mutant, ...]:
    """Every mutant of every backward in layers, convolution and models, and of what they call in
    backend, in a fixed order."""
    found = []
    for package in ("backend", "convolution", "layers", "models"):
        for file in sorted((ROOT / package).glob("*.py")):
            module = f"scratchnet.{package}" + (f".{file.stem}" if file.stem != "__init__" else "")
            for name, function in _targets(ast.parse(file.read_text(encoding="utf-8"))):
                found += _mutants_of(module, name, function)
    return tuple(found)


def _targets(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions that only a backward pass runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _targets(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (
                node.name.startswith("backward") or node.name in WITH_BACKWARD):
            yield prefix + node.name, node


def _mutants_of(module: str, name: str, function: ast.FunctionDef) -> Iterator[Mutant]:
    function.returns, function.body = None, [
        s for s in function.body if not isinstance(s, ast.Expr) or isinstance(s.value, ast.Call)]
    gradients = {a.arg for a in function.args.args if a.arg.startswith("d")}
    for argument in function.args.args:
        argument.annotation = None
    original = ast.unparse(function)
    seen, ids = {original}, set()
    for holder, key, node in list(_places(function)):
        for new in list(_alternatives(node, gradients)):
            with _replaced(holder, key, new):
                source = ast.unparse(function)
            if source not in seen:
                seen.add(source)
                id = f"{module.removeprefix('scratchnet.')} {name}: {_difference(original, source)}"
                while id in ids:
                    id += " (another)"
                ids.add(id)
                yield Mutant(id, module, name, source)


def _places(function: ast.FunctionDef) -> Iterator[tuple[Any, Any, ast.AST]]:
    """Yield (list or node, index or field, node) for everything that computes.

    Left out is what only refuses wrong arguments (a `raise`, the `if` around it, strict=True),
    asks dy for its shape alone, or runs on a GPU only.
    """
    for parent in ast.walk(function):
        for field, value in ast.iter_fields(parent):
            holder, items = (value, enumerate(value)) if isinstance(value, list) else \
                (parent, [(field, value)])
            for key, node in items:
                if isinstance(node, ast.AST) and not isinstance(node, ast.arguments | ast.Load):
                    node.idle = getattr(parent, "idle", False) or _idle(node, parent)
                    if not node.idle:
                        yield holder, key, node


def _idle(node: ast.AST, parent: ast.AST) -> bool:
    """Would any change of `node` leave the numbers as they are?"""
    match parent, node:
        case _, ast.Raise() | ast.keyword("strict"):
            return True
        case _, ast.If(_, body):        # (kernels are for the GPU, where other tests ask)
            return isinstance(body[-1], ast.Raise) or "kernels." in ast.unparse(node)
        case ast.Call(ast.Name(name), arguments), _ if name in HOW and any(
                node is argument for argument in arguments[HOW[name]:]):
            return True
        case ast.Attribute(_, name), ast.Name():
            return name in LOOKED_AT
        case ast.Call(ast.Name(name) | ast.Attribute(_, name)), ast.Name():
            return name in LOOKERS
        case ast.Call(ast.Attribute(_, "reshape")), ast.UnaryOp():      # −1, "what is left"
            return True
    return False


def _alternatives(node: ast.AST, gradients: set[str]) -> Iterator[ast.AST | list]:
    """What may stand in the place of `node`."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in OPERATORS:
                yield ast.BinOp(left, OPERATORS[type(op)](), right)
            if isinstance(op, ast.MatMult):
                yield ast.BinOp(right, op, left)
            yield left
            yield right
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from values
        case ast.Compare(left, [op], right):
            for other in COMPARISONS[type(op)]:
                yield ast.Compare(left, [other()], right)
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield operand
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value)):
            yield ast.Constant(value + 1)
            if value:
                yield ast.Constant(value - 1)
        case ast.Constant(float(value)):
            yield ast.Constant(2 * value)
        case ast.keyword("axis", ast.Tuple(axes)):
            for i in range(len(axes)):
                yield ast.keyword("axis", ast.Tuple(axes[:i] + axes[i + 1:], ast.Load()))
        case ast.Attribute(value, "T"):
            yield value
        case ast.Attribute(ast.Name("self"), "stride" | "padding", ast.Load()):
            yield ast.Subscript(node, ast.Slice(step=ast.Constant(-1)), ast.Load())
        case ast.Name(name, ast.Load()) if name in gradients:
            yield ast.parse(f"({name} * 0 + 1)", mode="eval").body          # ones like dy
        case ast.Slice(lower, upper, step):
            one = ast.Constant(1)
            yield ast.Slice(ast.BinOp(lower, ast.Add(), one) if lower else one, upper, step)
            yield ast.Slice(lower, ast.BinOp(upper, ast.Sub(), one) if upper else
                            ast.UnaryOp(ast.USub(), one), step)
            yield ast.Slice(lower and ast.BinOp(lower, ast.Sub(), one),
                            upper and ast.BinOp(upper, ast.Add(), one), step)
            for less in ((None, upper, step), (lower, None, step), (lower, upper, None)):
                yield ast.Slice(*less)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Call():
            yield from _other_calls(node)
        case ast.AugAssign(target, op, value):
            yield ast.AugAssign(target, OPERATORS[type(op)](), value)
            yield ast.Assign([target], value, lineno=0)
            yield ast.Pass()
        case ast.Assign([ast.Subscript() | ast.Attribute()]) | ast.Expr():
            yield ast.Pass()
        case ast.Assign([target], ast.BinOp(ast.Name(name), op, right)):
            yield [ast.AugAssign(ast.Name(name, ast.Store()), op, right),
                   ast.Assign([target], ast.Name(name, ast.Load()), lineno=0)]
        case ast.Return(value):
            yield ast.Pass()
            if isinstance(value, ast.BinOp) and isinstance(value.left, ast.Name):
                yield [ast.AugAssign(ast.Name(value.left.id, ast.Store()), value.op, value.right),
                       ast.Return(value.left)]
        case ast.If(body=body, orelse=orelse):
            yield body
            yield orelse or ast.Pass()
        case ast.For(target, iterable, body, orelse):
            for less in ([*body, ast.Break()], [ast.Continue()], body[1:]):
                yield ast.For(target, iterable, less or [ast.Pass()], orelse, lineno=0)


def _other_calls(call: ast.Call) -> Iterator[ast.AST]:
    """Another method, the call left out, arguments swapped, moved or left out."""
    function, arguments, keywords = call.func, call.args, call.keywords
    if isinstance(function, ast.Attribute):
        if other := METHODS.get(function.attr):
            yield ast.Call(ast.Attribute(function.value, other), arguments, keywords)
        if function.attr in UNWRAPPED:
            yield function.value
        if function.attr == "backward":             # a part passed over
            yield from (a for a in arguments if not isinstance(a, ast.Starred))
    elif isinstance(function, ast.Name) and function.id in ("reversed", "images_last"):
        yield from arguments
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name not in SYMMETRIC:
        for i in range(min(len(arguments), HOW.get(name, 99)) - 1):
            swapped = [*arguments[:i], arguments[i + 1], arguments[i], *arguments[i + 2:]]
            yield ast.Call(function, swapped, keywords)
    for k in keywords:
        if k.arg != "strict":
            yield ast.Call(function, arguments, [other for other in keywords if other is not k])


@contextmanager
def _replaced(holder: Any, key: Any, new: ast.AST | list) -> Iterator[None]:
    if not isinstance(holder, list):
        old = getattr(holder, key)
        setattr(holder, key, new)
        yield
        setattr(holder, key, old)
        return
    old = holder[:]
    holder[key:key + 1] = new if isinstance(new, list) else [new]
    yield
    holder[:] = old


def _difference(old: str, new: str) -> str:
    """The lines that differ, "old → new"."""
    a, b = ([line.strip() for line in text.splitlines()] for text in (old, new))
    while a and b and a[0] == b[0]:
        del a[0], b[0]
    while a and b and a[-1] == b[-1]:
        del a[-1], b[-1]
    return f"{'; '.join(a) or 'nothing'} → {'; '.join(b) or 'nothing'}"


@cache
def equivalent() -> dict[str, str]:
    """The mutants that are no mistakes, each with its reason: mutants_equivalent.txt.

    A paragraph is a reason, then the ids of its mutants, indented.
    """
    reasons, reason = {}, ""
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            reasons[line.strip()] = reason
        else:
            reason = f"{reason} {line}".strip() if line else ""
    return reasons


# ── examining them ───────────────────────────────────────────────────────────────────


def original_function(mutant: Mutant) -> FunctionType:
    """The function that the mutant is a wrong version of."""
    found: Any = import_module(mutant.module)
    for name in mutant.function.split("."):
        found = vars(found)[name]
    return found


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The library with the mutant in the place of its original."""
    function = original_function(mutant)
    code, function.__code__ = function.__code__, _compiled(mutant, function.__code__)
    defaults = function.__defaults__
    if defaults:                                    # they are no part of the code
        node = ast.parse(mutant.source).body[0]
        function.__defaults__ = tuple(map(ast.literal_eval, node.args.defaults))
    try:
        yield
    finally:
        function.__code__, function.__defaults__ = code, defaults


def _compiled(mutant: Mutant, original: CodeType) -> CodeType:
    source = mutant.source
    if "." in mutant.function:                      # in a class, for the sake of super()
        if "__class__" in original.co_freevars:     # named, lest a mutant lose it
            source = source.replace("\n", "\n    __class__\n", 1)
        source = "class Somewhere:\n" + "\n".join("    " + line for line in source.splitlines())
    code = compile(source, f"<{mutant.id}>", "exec")
    while code.co_name != original.co_name:
        code = next(c for c in code.co_consts if isinstance(c, CodeType))
    return code


@contextmanager
def in_parts(size: int = 0, threads: int = 1) -> Iterator[None]:
    """Work spaces of `size` bytes, so that small arrays are cut up, too; 0: as they are."""
    places = [(import_module(module), name) for names in (TILED, LEAST, FEW)
              for module, name in names.items()]
    old = [getattr(module, name) for module, name in places]
    for module, name in places if size else ():
        setattr(module, name, size if TILED.get(module.__name__) == name
                else 1 if FEW.get(module.__name__) == name else 0)
    try:
        with limited(threads):
            yield
    finally:
        for (module, name), value in zip(places, old, strict=True):
            setattr(module, name, value)


@contextmanager
def unset_is_nan() -> Iterator[None]:
    """np.empty's memory may hold the right result of the last run: here it holds NaN."""
    def unset(shape: Any, dtype: Any = float, **options: Any) -> np.ndarray:
        return np.full(shape, np.nan if np.dtype(dtype).kind in "fc" else 1, dtype)
    empty, np.empty = np.empty, unset
    try:
        yield
    finally:
        np.empty = empty


@cache
def coverage() -> dict[CodeType, list[Setting | ByName]]:
    """For each code object, the settings whose backward runs it: the plain ones first."""
    sys.path.append(str(Path(__file__).parent / "models"))
    from test_blocks import BLOCKS, BOTH, TRAIN
    blocks = [b.case for b in BLOCKS if b.case.id in BOTH | TRAIN] + [AUXILIARY_LAST]
    found: dict[CodeType, list[Setting]] = {}
    for case in CASES + blocks:
        for training in (True, False):
            layer = case.layer().train(training)
            if not training and case in CASES and not _has_modes(layer):
                continue
            y = layer.forward(*case.inputs())
            dys = [gradient_like(v, i) for i, v in enumerate(y if isinstance(y, tuple) else (y,))]
            for code in _codes_run(lambda layer=layer, dys=dys if case.takes_dy else (): layer
                                   .backward(*dys)):
                if case in CASES or "models" in code.co_filename:
                    found.setdefault(code, []).append(Setting(case, training))
    for code, settings in found.items():
        settings.sort(key=lambda s: (s.case in blocks, sum(
            p.value.size for p in s.case.layer().parameters()) + s.case.inputs()[0].size))
        if "models" not in code.co_filename:
            settings += [s._replace(parts=parts) for parts in TILES for s in settings[::4]]
    for question in BY_NAME:
        for code in _codes_run(lambda question=question: question.gradients(
                np.float32, question.algorithm)):
            found.setdefault(code, []).append(question)
    return found


def _has_modes(layer: Any) -> bool:
    return any(type(part).__name__ in ("BatchNorm2d", "Dropout", "StochasticDepth")
               for _, part in layer.named_layers())


def _codes_run(call: Any) -> set[CodeType]:
    codes = set()
    sys.setprofile(lambda frame, event, argument: codes.add(frame.f_code))
    try:
        call()
    finally:
        sys.setprofile(None)
    return codes


def settings_of(mutant: Mutant) -> list[Setting | ByName]:
    """The checks that run the mutant's function."""
    return coverage().get(original_function(mutant).__code__, [])


def examine(mutant: Mutant) -> str:
    """The first setting in which the check does not pass; "" if the mutant survives them all."""
    settings = settings_of(mutant)
    with planted(mutant), unset_is_nan(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return next((str(setting) for setting in settings if not setting.passes()), "")


class Laboratory:
    """A process that examines mutants, replaced when one does not come back."""

    def __init__(self, seconds: float = 120):
        self.seconds, self._process = seconds, None

    def examine(self, mutant: Mutant) -> str:
        """As `examine`; "no answer" for a mutant that runs on and on, or ends the process."""
        if self._process is None:
            context = get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other,), daemon=True)
            self._process.start()
            other.close()
            self._pipe.recv()                                       # ready
        self._pipe.send(mutant)
        try:
            if self._pipe.poll(self.seconds):
                answer = self._pipe.recv()
                if isinstance(answer, Exception):
                    raise answer
                return answer
        except EOFError:
            pass
        self.close()
        return "no answer"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(pipe: Any) -> None:
    gradcheck.diagnose = lambda *_: []          # only whether, not why: that takes longer
    coverage()
    pipe.send("ready")
    while True:
        try:
            mutant = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(examine(mutant))
        except Exception as error:                  # of this file, not of the mutant
            pipe.send(error)
