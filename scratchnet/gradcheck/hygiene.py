"""Hygiene — what the values of one gradient cannot show.

A backward can return the right numbers here and still break a network: by writing into an
array that another branch holds, by assigning where it must add, by remembering the wrong
input, or by working only for dy of this size, dtype or memory layout. Each test below is one
sentence of the contract in layer.py.
"""
import inspect
import random
from collections.abc import Callable, Iterator

import numpy as np

from scratchnet.backend import is_array, to_device
from scratchnet.gradcheck.report import Finding
from scratchnet.gradcheck.subject import BackwardError, Run, Subject, held
from scratchnet.layer import no_grad, remembering

SAME = 1e-9         # relative to the largest number: equal but for rounding


def check_hygiene(subject: Subject, first: Run, rng: np.random.Generator) -> list[Finding]:
    """Ask every question; each answer is a Finding, "not applicable" where it has no sense."""
    findings = []
    for name, question in (
            ("leaves its arrays alone", _untouched), ("repeatable", _repeatable),
            ("new input, new answer", _second_input), ("any batch size", _other_batch),
            ("linear in dy", _linear),
            ("gradients add", _adds), ("no stale backward", _stale),
            ("keeps dtypes", _dtypes), ("backward()", _default), ("any memory layout", _layouts)):
        try:
            problem = question(subject, first, rng)
        except BackwardError as error:
            problem = str(error)
        except _Skip:
            findings.append(Finding(name, "not applicable"))
            continue
        except Exception as error:
            problem = f"forward raised {type(error).__name__}: {error}"
        findings.append(Finding(name, "wrong" if problem else "correct", problem))
    return findings


class _Skip(Exception):
    """The question has no sense for this layer."""


def _untouched(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    layer = subject.fresh_to_write()
    inputs, dys = subject.put(subject.inputs), subject.put(subject.dys)

    def changed(arrays: list, originals: list) -> bool:
        return any(not np.array_equal(_host(a), b) for a, b in zip(arrays, originals, strict=True))

    known = {(path, name) for path, part in layer.named_layers() for name, _ in part._buffers()} \
        if subject.is_layer else set()

    def buffers() -> list:          # not what forward and backward keep in attributes of their own
        return [_host(array).copy() for path, part in layer.named_layers()
                for name, array in part._buffers() if (path, name) in known] if known else []

    values, before = subject.values(), buffers()
    with remembering():
        y = layer.forward(*inputs)
    if changed(inputs, subject.inputs):
        return "forward wrote into its input: another branch may hold the same array"
    if not getattr(layer, "training", True) and changed(buffers(), before):
        return "in evaluation, forward changed a buffer (running averages?): only training may"
    ys = y if isinstance(y, tuple) else (y,)
    ys_before, before = [_host(v).copy() for v in ys], buffers()
    with remembering():
        if subject.takes_dy:
            layer.backward(*(dy if dy.ndim else dy[()] for dy in dys))
        else:
            layer.backward()
    if changed(dys, subject.dys):
        return "backward wrote into dy: another branch still needs it"
    if changed(inputs, subject.inputs):
        return "backward wrote into forward's input"
    if changed(ys, ys_before):
        return "backward wrote into the y that forward had returned: the next layer holds it"
    if changed(buffers(), before):
        return "backward changed a buffer (running averages?): only forward may"
    after = subject.slots(layer)
    if changed([after[name][0] for name in values], list(values.values())):
        return "a parameter's value changed: only an optimizer may do that"
    return ""


def _repeatable(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    again = subject.run(subject.dys)
    if _different(again.ys, first.ys):
        return ("the same input gave another output: does forward draw from a generator of "
                "its own each time? Keep one in the layer")
    if _different(_gradients(again), _gradients(first)):
        return "the same forward and dy gave other gradients: backward chooses something anew"
    layer = subject.fresh_to_write()
    subject.forward(layer=layer)
    before = _random_states(layer)
    subject.backward(layer, subject.dys)
    if _random_states(layer) != before:
        return ("backward draws random numbers, a new mask perhaps: what forward drew must be "
                "remembered, not drawn again")
    return ""


def _random_states(layer: object) -> list[str]:
    """Where every generator is now: those in the layer, and numpy's global one."""
    states = [g.bit_generator.state if isinstance(g, np.random.Generator) else
              g.get_state() if isinstance(g, np.random.RandomState) else g.getstate()
              for g in _generators(layer)]
    with np.printoptions(threshold=10_000):
        return [repr(state) for state in [*states, np.random.get_state()]]      # noqa: NPY002


def _second_input(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    others = [x * 1.25 if x.dtype.kind == "f" and x.size == 1 else
              rng.permutation(x.ravel()).reshape(x.shape) for x in subject.inputs]
    dys = _new_dys(subject, rng)
    expected = subject.run(dys, others)

    layer = subject.fresh_to_write()
    rewind = _rewinder(layer)
    run = subject.run(subject.dys, layer=layer)
    kept = [[a.copy() for a in run.ys], [np.array(dx) for dx in run.dxs]]
    if subject.is_layer:
        layer.zero_grad()
    rewind()
    second = subject.run(dys, others, layer)
    if _different(second.ys, expected.ys):
        return "a second, different input on the same object gave a wrong output: stale memory?"
    if not _same_gradients(subject, second, expected, run):
        return ("a second, different input on the same object got wrong gradients: does it "
                "remember the first one, or add into something that is never cleared?")
    if _different(run.ys, kept[0], 0) or _different(run.dxs, kept[1], 0):
        return "an array returned earlier was overwritten by the next call: return new arrays"

    layer = subject.fresh_to_write()        # an evaluation, then a training step
    rewind = _rewinder(layer)
    subject.forward(layer=layer)
    rewind()
    if _different(_gradients(subject.run(dys, others, layer)), _gradients(expected)):
        return "after two forwards, backward used the first input: it must use the last"
    return ""


def _other_batch(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    sizes = {x.shape[0] if x.ndim else 0 for x in subject.inputs}
    if len(sizes) != 1 or max(sizes) < 2:
        raise _Skip
    fewer = [x[:-1] for x in subject.inputs]
    try:
        with np.errstate(all="ignore"):
            ys = subject.forward(fewer)
        dys = [rng.standard_normal(y.shape) if subject.takes_dy else np.ones(y.shape) for y in ys]
        expected = subject.run(dys, fewer)
    except Exception:                       # the first axis is no batch, or its size is fixed
        raise _Skip from None
    layer = subject.fresh_to_write()
    rewind = _rewinder(layer)
    run = subject.run(subject.dys, layer=layer)
    if subject.is_layer:
        layer.zero_grad()
    rewind()
    second = subject.run(dys, fewer, layer)
    if _different(second.ys, expected.ys) or not _same_gradients(subject, second, expected, run):
        return "after a larger batch, a smaller one gave other numbers: memory of the larger one?"
    return ""


def _linear(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    if not subject.takes_dy:
        raise _Skip
    dys = _new_dys(subject, rng)
    g = _gradients(first)
    other = _gradients(subject.run(dys))
    for a, b in ((2.5, -700.0), (1e-6, 0.0), (0.0, 0.0)):
        run = subject.run([a * u + b * v for u, v in zip(subject.dys, dys, strict=True)])
        expected = [a * p + b * q for p, q in zip(g, other, strict=True)]
        if _different(_gradients(run), expected):
            return ("backward is not linear in dy: backward(0) is not 0: is dy used at all?"
                    if a == b == 0 else "backward is not linear in dy: no gradient may depend "
                    "on dy's size or sign (clipping, |dy|, a mask made from dy, a term without dy)")
    return ""


def _adds(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    if not first.grads:
        raise _Skip
    layer = subject.fresh_to_write()
    rewind = _rewinder(layer)
    subject.run(subject.dys, layer=layer)
    rewind()
    twice = subject.run(subject.dys, layer=layer)
    if not subject.is_layer:
        return "" if _same_gradients(subject, twice, first, first) else (
            "after two equal backwards the gradients are neither equal to the first nor doubled")
    if _different(list(twice.grads.values()), [2 * g for g in first.grads.values()]):
        return ("after two backwards the gradients are not the sum of both: write "
                "`grad += …`, not `grad = …`")
    layer.zero_grad()
    if any(g.any() for g in subject.grads(layer).values()):
        return "zero_grad() left a gradient that is not zero"
    return ""


def _stale(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    layer = subject.fresh_to_write()
    subject.run(subject.dys, layer=layer)
    try:
        dxs = subject.backward(layer, subject.dys)
    except BackwardError:
        dxs = None
    if not subject.is_layer:                # others may keep their memory, if they leave it whole
        return "" if dxs is None or not _different(dxs, first.dxs) else (
            "a second backward after one forward returned another gradient: does the first one "
            "write into what forward has remembered?")
    if dxs is not None:
        return ("a second backward without a forward returned a stale number; it must raise, so "
                "that a forgotten forward is noticed: keep what backward needs with "
                "self.remember(…), not in attributes, and get it with self.recall()")
    layer = subject.fresh_to_write()
    with no_grad():
        layer.forward(*subject.put(subject.inputs))
    try:
        subject.backward(layer, subject.dys)
    except BackwardError:
        return ""
    return "forward under no_grad() kept memory for backward: use self.remember(…)"


def _default(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    parameters = inspect.signature(subject.layer.backward).parameters.values()
    if subject.dys[0].shape or not any(isinstance(p.default, int | float) for p in parameters):
        raise _Skip
    layer = subject.fresh_to_write()
    subject.forward(layer=layer)
    with remembering():
        dx = layer.backward()
    dxs = dx if isinstance(dx, tuple | list) else (dx,)
    if len(dxs) == len(subject.inputs):
        dxs = [dxs[i] for i in subject.floats]
    if _different([_host(v) for v in dxs], subject.run([np.ones(())]).dxs):
        return "backward() without an argument differs from backward(1)"
    return ""


def _dtypes(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    layer = subject.fresh()
    subject.forward(layer=layer)
    for array in held([vars(layer), layer.__dict__.get("_memory")], is_array):
        if array.dtype.kind == "f" and array.dtype != np.float64:
            return (f"float64 in, but forward keeps an array in {array.dtype} for backward: a "
                    f"buffer or conversion of fixed dtype loses digits")
    for x in (*first.ys, *first.dxs, *first.grads.values()):
        if np.asarray(x).dtype != np.float64:
            return f"float64 in gave {np.asarray(x).dtype} out: is there a buffer of fixed dtype?"

    if not subject.is_layer:                # others may compute in float64 always
        return ""
    run = subject.run_in_float32()
    for what, arrays in (("y", run.ys), ("dx", run.dxs), ("a gradient", run.grads.values())):
        for a in arrays:
            if np.asarray(a).dtype not in (np.float32, np.int64, np.int32) and np.ndim(a):
                return (f"float32 in gave {what} in {np.asarray(a).dtype}: dtypes must be kept "
                        f"(np.zeros and np.ones make float64 unless they get dtype=x.dtype)")
    if _different(*[[np.where(np.abs(y) < 1e-30, 0, y) for y in ys]       # float32 ends there
                    for ys in (run.ys, first.ys)], 1e-2):
        return "in float32 the output differs from float64 by more than rounding"
    return ""


def _layouts(subject: Subject, first: Run, rng: np.random.Generator) -> str:
    for layout, name in ((_fortran, "Fortran-ordered"), (_strided, "strided")):
        run = subject.run(subject.dys, layout=layout)
        if _different(run.ys, first.ys) or _different(_gradients(run), _gradients(first)):
            return f"{name} (not C-contiguous) inputs or dy gave other numbers"
    return ""


# ── helpers ──────────────────────────────────────────────────────────────────────────


def _host(a: object) -> np.ndarray:
    return to_device(a, "cpu") if hasattr(a, "ndim") and not isinstance(a, np.generic) \
        else np.asarray(a)


def _new_dys(subject: Subject, rng: np.random.Generator) -> list:
    return [rng.standard_normal(dy.shape) if subject.takes_dy else dy for dy in subject.dys]


def _gradients(run: Run) -> list:
    return [dx for dx in run.dxs if isinstance(dx, np.ndarray | np.generic | float)
            and np.asarray(dx).dtype.kind == "f"] + list(run.grads.values())


def _different(some: list, others: list, tolerance: float = SAME) -> bool:
    """True unless both lists hold the same arrays but for rounding.

    Relative to the largest number of each array; but no less than a thousandth of the largest
    of all, because an array that should be zero holds nothing but the rounding of others.
    """
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(some, others, strict=False)]
    if len(some) != len(others) or any(a.shape != b.shape for a, b in pairs):
        return True
    sizes = [max(np.abs(a).max(initial=0), np.abs(b).max(initial=0)) for a, b in pairs]
    floor = 1e-3 * max(sizes, default=0)
    return any(not np.abs(a - b).max(initial=0) <= tolerance * max(size, floor)
               for (a, b), size in zip(pairs, sizes, strict=True))


def _same_gradients(subject: Subject, run: Run, expected: Run, earlier: Run) -> bool:
    """After `earlier` on the same object, are the gradients of `run` those expected?

    Objects that are not ours may assign the gradients of their parameters or add them.
    """
    if _different(run.dxs, expected.dxs):
        return False
    grads, wanted = list(run.grads.values()), list(expected.grads.values())
    if not _different(grads, wanted):
        return True
    sums = [a + b for a, b in zip(earlier.grads.values(), wanted, strict=True)]
    return not subject.is_layer and not _different(grads, sums)


def _rewinder(layer: object) -> Callable:
    """A function that puts every random generator in `layer` back to where it is now."""
    states = [(g, g.bit_generator.state if isinstance(g, np.random.Generator) else
               g.get_state() if isinstance(g, np.random.RandomState) else g.getstate())
              for g in _generators(layer)]

    def rewind() -> None:
        for g, state in states:
            if isinstance(g, np.random.Generator):
                g.bit_generator.state = state
            elif isinstance(g, np.random.RandomState):
                g.set_state(state)
            else:
                g.setstate(state)
    return rewind


def _generators(thing: object, seen: set | None = None) -> Iterator:
    """Every random generator that a layer, or a layer in it, keeps."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.random.Generator | np.random.RandomState | random.Random):
        yield thing
    elif isinstance(thing, dict | list | tuple):
        for value in thing.values() if isinstance(thing, dict) else thing:
            yield from _generators(value, seen)
    elif hasattr(thing, "__dict__") and (hasattr(thing, "backward") or not callable(thing)):
        yield from _generators(vars(thing), seen)


def _fortran(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def _strided(a: np.ndarray) -> np.ndarray:
    """The same numbers, every second element of a larger array."""
    if not a.ndim:
        return a.copy()
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), dtype=a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]
