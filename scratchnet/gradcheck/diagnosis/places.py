"""Places — the right numbers in the wrong places: flipped, transposed, rolled, exchanged."""
from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

from scratchnet.gradcheck.diagnosis.hint import Hint, axes_of, d, y_axes
from scratchnet.gradcheck.diagnosis.setting import Setting


def exchanged(s: Setting, name: str) -> dict[str, Hint]:
    """Several inputs or parameters: this one's gradient is another's."""
    A, is_input = s.analytic(name), isinstance(s.key(name), int)
    for other in s.names:
        if other != name and isinstance(s.key(other), int) == is_input and s.value(
                other).shape == s.value(name).shape and s.match(A, s.numeric(other)):
            how = ": the gradients of the inputs are returned in another order" if is_input else ""
            return {other: Hint(f"{d(name)} is what {d(other)} should be (swapped){how}",
                                f"it equals the true {d(other)}")}
    alike = [other for other in s.names if isinstance(s.key(other), int) and is_input
             and s.value(other).shape == s.value(name).shape]
    if len(alike) > 1 and s.match(A, sum(s.numeric(other) for other in alike)):
        return {"sum": Hint(f"{d(name)} is the sum of the gradients of all inputs: each input gets "
                            f"its own only", f"the sum of those of {', '.join(alike)}")}
    return {}


def moved(s: Setting, name: str) -> dict[str, Hint]:
    """A is N with its argument's (or dy's) indices flipped, swapped, rolled or shifted."""
    A, N = s.analytic(name), s.numeric(name)
    found = {}
    shape, rng = s.value(name).shape, np.random.default_rng(0)
    # A random sum of all rows (or columns) tells nearly everything, and is quick to compare.
    r = rng.standard_normal(A.shape[0])
    a, n = r @ A, r @ N
    for key, says, index in index_maps(shape, axes_of(s, name)):
        there = index >= 0                      # what comes in from outside may be anything
        if 4 * there.sum() > index.size and s.match(n[index[there]], a[there]) and s.match(
                N[:, index[there]], A[:, there]):
            found[f"{name} {key}"] = Hint(f"{d(name)} is right but {says}",
                                          "every entry of the Jacobian is there, elsewhere")
    u = rng.standard_normal(A.shape[1])
    a, n = A @ u, N @ u
    for key, says, index in index_maps(s.y_shape, y_axes(s)) if s.rows > 1 else ():
        if s.match(np.where(index >= 0, n[index], 0), a) and s.match(
                np.where(index[:, None] >= 0, N[index], 0), A):
            found[f"dy {key}"] = Hint(f"{d(name)} is right for dy {says}",
                                      "every row of the Jacobian is there, elsewhere")
    return found


def index_maps(shape: tuple, axes: tuple[str, ...]) -> Iterator[tuple[str, str, np.ndarray]]:
    """(key, words, index): all ways in which indices are commonly confused; −1 is nothing."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    n = len(shape)

    def changes(new: np.ndarray) -> bool:
        return new.shape == shape and not np.array_equal(new, index)

    wide = [j for j in range(n) if shape[j] > 1]
    for count in (1, 2):
        for js in combinations(wide, count):
            new = np.flip(index, js)
            names = " and ".join(axes[j] for j in js)
            if count == 2 and js != (n - 2, n - 1):
                continue
            yield (f"flipped {js}", "flipped by 180° (kernel or image turned round)"
                   if count == 2 else f"flipped along the {names} axis", new.ravel())
    for order in permutations(range(n)):
        new = index.transpose(order)
        if order == tuple(range(n)):
            continue
        swapped = [axes[j] for j in range(n) if order[j] != j]
        if changes(new):
            yield (f"transposed {order}", f"transposed (the axes {', '.join(swapped)} swapped)",
                   new.ravel())
        if changes(new.reshape(shape)):         # where sizes are equal, both are the same thing
            yield (f"reshaped {order}", "reshaped in the wrong order, without the transpose that "
                   f"must go with it (the axes {', '.join(swapped)} are mixed up)",
                   new.reshape(shape).ravel())
            back = np.empty_like(index.ravel())
            back[new.ravel()] = np.arange(index.size)
            yield (f"reshaped back {order}", "reshaped in the wrong order, without the transpose "
                   f"that must go with it (the axes {', '.join(swapped)} are mixed up)", back)
    for j in wide:
        for a in range(2, shape[j]):
            if shape[j] % a == 0 and n > 1:
                mixed = np.arange(shape[j]).reshape(a, -1).T.ravel()
                if not np.array_equal(mixed, np.arange(shape[j])):
                    yield (f"interleaved {j} {a}", f"interleaved along the {axes[j]} axis (taken "
                           f"in steps of {a} or {shape[j] // a} where a block of neighbours is "
                           f"meant, or the other way about: groups mixed?)",
                           index.take(mixed, j).ravel())
    fortran = index.reshape(shape, order="F")
    if n > 1 and changes(fortran):
        yield "fortran", "reshaped in the wrong order (Fortran's)", fortran.ravel()
    for j in wide:
        for step in range(1, shape[j]):
            if step > 2 and step < shape[j] - 2 and n > 2 and j > 1:
                continue
            yield (f"rolled {j} {step}" if shape[j] != 2 * step else f"rolled {j} half",
                   f"rolled along the {axes[j]} axis " + (
                       "(shifted: padding cropped at the wrong place?)" if n == 4 and j > 1 else
                       "(another channel's or group's part is used: the wrong order?)"),
                   np.roll(index, step, j).ravel())
    for j in wide:
        if j < n - 2 and n == 4:
            continue
        for step in (1, -1, 2, -2):
            if abs(step) >= shape[j]:
                continue
            new = np.full_like(index, -1)
            cut = [slice(None)] * n
            put = [slice(None)] * n
            cut[j] = slice(step, None) if step > 0 else slice(None, step)
            put[j] = slice(None, -step) if step > 0 else slice(-step, None)
            new[tuple(put)] = index[tuple(cut)]
            yield (f"shifted {j} {step}", f"shifted by {abs(step)} along the {axes[j]} axis "
                   f"(padding cropped at the wrong place?)", new.ravel())
    if n == 4:
        for a in (1, -1, 2, -2):
            for b in (1, -1, 2, -2):
                if abs(a) < shape[2] and abs(b) < shape[3]:
                    new = np.full_like(index, -1)
                    new[..., max(-a, 0):shape[2] - max(a, 0), max(-b, 0):shape[3] - max(b, 0)] = \
                        index[..., max(a, 0):shape[2] + min(a, 0), max(b, 0):shape[3] + min(b, 0)]
                    yield (f"shifted both {a} {b}", f"shifted by ({abs(a)}, {abs(b)}) pixels "
                           f"(padding cropped at the wrong place?)", new.ravel())
