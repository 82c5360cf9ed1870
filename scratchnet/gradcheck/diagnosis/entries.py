"""Entries — which entries of the Jacobian are 0 and should not be, or are not and should?

A loop that ends too early leaves rows of zeros, `=` for `+=` leaves one share of many, a missing
mask fills what should be empty, a wrong index moves one number to its neighbour.
"""
import numpy as np

from scratchnet.gradcheck.diagnosis.hint import (
    Hint,
    axes_of,
    d,
    elementwise,
    few,
    rows_off,
    spread,
    y_axes,
)
from scratchnet.gradcheck.diagnosis.setting import Setting, same


def rows(s: Setting, name: str) -> dict[str, Hint]:
    """Some outputs send nothing back, or only some do."""
    A, N = s.analytic(name), s.numeric(name)
    if elementwise(N):
        return {}                               # slopes says it better
    live = np.abs(N).max(axis=1) > 1e-12 * np.abs(N).max()
    off = rows_off(A, N) & live
    dead = off & (np.abs(A).max(axis=1) < 1e-12 * np.abs(N).max())
    if not off.any() or not (dead == off).all() or off.sum() == live.sum():
        return {}
    if len(s.first.ys) > 1:
        ends = np.cumsum([y.size for y in s.first.ys])
        gone = [n for n, (end, y) in enumerate(zip(ends, s.first.ys, strict=True))
                if off[end - y.size:end].any()]
        if sum(live[ends[n] - s.first.ys[n].size:ends[n]].sum() for n in gone) == off.sum():
            return {f"output {gone}": Hint(
                f"{d(name)}: the gradient of output {', '.join(map(str, gone))} (of "
                f"{len(ends)} outputs: a head, a branch) is never used", "its rows are 0, the "
                "others are right")}
    for i, labels in enumerate(s.subject.inputs):
        if labels.dtype.kind in "iu" and labels.ndim and labels.shape == s.y_shape[:labels.ndim]:
            labels = labels.ravel()
            again = np.array([label in labels[n + 1:] for n, label in enumerate(labels)])
            if again.any() and (off.reshape(len(again), -1).any(axis=1) == again).all():
                which = s.subject.input_name(i)
                return {"repeated": Hint(
                    f"{d(name)}: where {which} has a number twice, only the last one counts: `+=` "
                    f"with an index array writes once for each place; np.add.at adds all of them",
                    f"the samples whose {which} comes again are lost")}
    return _slices(name, off, s.y_shape, y_axes(s), live, "output") or {
        "outputs": Hint(f"{d(name)}: some outputs are never visited (they send nothing back): does "
                        f"a loop end, or return, too early?",
                        f"{off.sum()} of {live.sum()} outputs; the others are right",
                        strength="likely")}


def columns(s: Setting, name: str) -> dict[str, Hint]:
    """Some numbers of the argument get nothing, though the others are right."""
    A, N = s.analytic(name), s.numeric(name)
    if elementwise(N):
        return {}
    live = np.abs(N).max(axis=0) > 1e-12 * np.abs(N).max()
    off = rows_off(A.T, N.T) & live
    dead = off & (np.abs(A).max(axis=0) < 1e-12 * np.abs(N).max())
    if not off.any() or not (dead == off).all() or off.sum() == live.sum():
        return {}
    return _slices(name, off, s.value(name).shape, axes_of(s, name), live, "argument")


def _slices(name: str, off: np.ndarray, shape: tuple, axes: tuple,
            live: np.ndarray, what: str) -> dict[str, Hint]:
    off, live = off.reshape(shape), live.reshape(shape)
    verb = "sends nothing back" if what == "output" else "gets nothing"
    found = {}
    for j, axis in enumerate(axes):
        if shape[j] < 2:
            continue
        others = tuple(i for i in range(len(shape)) if i != j)
        wrong, alive = off.any(axis=others), live.any(axis=others)
        whole = np.array([(off.take(i, j) == live.take(i, j)).all() for i in range(shape[j])])
        if not (wrong & ~whole).any() and wrong.sum() < alive.sum():
            at, right = np.flatnonzero(wrong), np.flatnonzero(alive & ~wrong)
            thing = f"{axis} of y" if what == "output" else f"{axis} of {name}"
            if len(right) == 1 and (axis not in ("row", "column") or len(at) > 1):
                place = {0: "the first", shape[j] - 1: "the last"}.get(int(right[0]),
                                                                       f"number {right[0]}")
                key = f"only {place} {thing}"
                found[key] = Hint(
                    f"only {place} {thing} counts in {d(name)}; a loop that returns or assigns "
                    f"(`=` where `+=` is needed) too early, or an index [{right[0]}] too many? "
                    f"Only sample, channel or position {right[0]} is right"
                    if axis != "sample" else
                    f"only sample {right[0]} counts in {d(name)}: only {place} sample contributes, "
                    f"the others are lost (`=` in a loop over samples, or an index too many)",
                    f"the other {len(at)} are 0")
            if len(right) == 1 < len(at):
                continue
            if list(at) == list(range(shape[j] - len(at), shape[j])):
                found[f"last {thing}"] = Hint(
                    f"{d(name)}: the last {thing} is never visited ({verb}): does a loop or a "
                    f"slice end too early?", f"{len(at)} of {shape[j]} are 0, the others right")
            elif list(at) == list(range(len(at))):
                found[f"first {thing}"] = Hint(
                    f"{d(name)}: the first {thing} is never visited ({verb}): does a loop or a "
                    f"slice begin too late?", f"{len(at)} of {shape[j]} are 0, the others right")
            else:
                found[f"some {thing}"] = Hint(
                    f"{d(name)}: some {thing} {verb} (never visited)",
                    f"numbers {few(at)} of {shape[j]}")
    return found


def overwritten(s: Setting, name: str) -> dict[str, Hint]:
    """A is N with entries set to 0: each number keeps a part of what it should receive."""
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max()
    kept, true = np.abs(A) > tiny, np.abs(N) > tiny
    if (kept & ~true).any() or not same(np.where(kept, N, 0), A, s.tolerance * 10):
        return {}
    lost = true & ~kept
    if not lost.any() or not kept.any():
        return {}
    shape = s.y_shape
    groups = {"position": tuple(i for i in range(len(shape)) if i not in (2, 3))
              if len(shape) == 4 else tuple(range(1, len(shape)))}
    places_kept = kept.T.reshape(-1, *shape).any(axis=tuple(a + 1 for a in groups["position"]))
    places_true = true.T.reshape(-1, *shape).any(axis=tuple(a + 1 for a in groups["position"]))
    places_kept, places_true = (p.reshape(p.shape[0], -1).sum(axis=1) for p in
                                (places_kept, places_true))
    several = places_true > 1
    is_input = isinstance(s.key(name), int)
    if several.any() and (places_kept[several] == 1).all() and len(shape) == 4:
        if is_input and s.rows > A.shape[1] and (true.sum(axis=1) == 1).all() \
                and spread(N[true]) < 1e-9:
            return {"copies": Hint(
                f"{d(name)}: only one of the outputs that copy a number is counted; the sum over "
                f"all copies is needed", "each number keeps one share of many")}
        if is_input:
            return {"overlap": Hint(
                f"{d(name)} is wrong only where windows overlap; each pixel keeps one window's "
                f"share: `=` where `+=` is needed (in col2im, or when dx is filled)",
                f"{lost.any(axis=0).sum()} of {N.shape[1]} pixels lost all shares but one")}
        return {"one position": Hint(
            f"{d(name)}: only one output position counts: `=` where `+=` is needed in the loop "
            f"over positions", "each number of it keeps one share of many")}
    if s.y_shape == s.value(name).shape and len(s.y_shape) > 1:
        ks, xs = np.nonzero(lost)
        apart = np.unravel_index(xs, s.y_shape)[1] - np.unravel_index(ks, s.y_shape)[1]
        true_ks, true_xs = np.nonzero(true)
        all_apart = (np.unravel_index(true_xs, s.y_shape)[1]
                     - np.unravel_index(true_ks, s.y_shape)[1])
        if (apart == apart[0]).all() and apart[0] != 0 and (all_apart == apart[0]).sum() == len(
                apart):
            return {"window": Hint(
                f"{d(name)}: one end of the window is left out: the neighbour {abs(apart[0])} "
                f"{'after' if apart[0] > 0 else 'before'} gets nothing",
                "exactly these entries are 0; all others are right", strength="likely")}
    share = places_kept[several].mean() / places_true[several].mean() if several.any() else 0
    return {"part lost": Hint(
        f"{d(name)}: a part of the contributions is missing (overwritten or never visited): every "
        f"share that is there is right, others are 0",
        f"{lost.sum()} of {true.sum()} shares are missing"
        + (f"; {share:.0%} of the positions are kept" if share else ""), strength="guess")}


def extra(s: Setting, name: str) -> dict[str, Hint]:
    """A has entries where the truth is 0: gradient for numbers that had no influence."""
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max()
    more = (np.abs(N) <= tiny) & (np.abs(A) > tiny)
    if not more.any():
        return {}
    rest_right = same(np.where(more, 0, A), N, s.tolerance * 10)
    evidence = f"{more.sum()} entries of the Jacobian should be 0" + (
        "; all the others are right" if rest_right else "")
    x, found = s.value(name), {}
    unseen = np.abs(N).max(axis=0) <= tiny
    is_input = isinstance(s.key(name), int)
    if not is_input and s.subject.inputs[s.subject.floats[0]].size == s.rows:
        v, rows_off = s.subject.inputs[s.subject.floats[0]].ravel(), more.any(axis=1)
        for sign, mask in ((">", v > 0), ("<", v < 0)):
            if rest_right and (rows_off == mask).all():
                found["mask"] = Hint(f"{d(name)}: a mask is not applied: numbers with x {sign} 0 "
                                     f"count, too, though forward does not use {name} there",
                                     evidence)
                return found
    if is_input and unseen.any() and (more.any(axis=0) <= unseen).all() \
            and (np.abs(N) > tiny).sum(axis=1).max() > 1:
        if x.ndim != 4:
            return {"unseen": Hint(f"{d(name)}: numbers that have no influence get gradient: a "
                                   f"mask is not applied?", evidence, strength="guess")}
        found["unseen"] = Hint(f"{d(name)}: pixels that no window sees get gradient; they must "
                               f"get 0", evidence, strength="exact" if rest_right else "likely")
        return found
    if is_input and x.ndim > 1 and len(s.y_shape) > 1 \
            and x.shape[0] == s.y_shape[0] > 1:
        ks, is_ = np.nonzero(more)
        n_y = np.unravel_index(ks, s.y_shape)
        n_x = np.unravel_index(is_, x.shape)
        true_k, true_i = np.nonzero(np.abs(N) > tiny)
        apart = (np.unravel_index(true_k, s.y_shape)[0] == np.unravel_index(true_i, x.shape)[0])
        if (n_y[0] != n_x[0]).any() and apart.all():
            found["samples mixed"] = Hint(
                f"{d(name)} mixes samples: the gradient of one image reaches another; a reshape or "
                f"a transpose in the wrong order?", evidence, strength="guess")
        elif x.ndim == 4 and len(s.y_shape) == 4:
            reach = _reach(N, tiny, s.y_shape, x.shape)
            if (~reach[n_y[1], n_x[1]]).any():
                found["channels mixed"] = Hint(
                    f"{d(name)} mixes channels (groups): gradient reaches channels that the output "
                    f"does not depend on", evidence, strength="guess")
    return found


def _reach(N: np.ndarray, tiny: float, y: tuple, x: tuple) -> np.ndarray:
    """Which input channels does each output channel depend on?"""
    B = (np.abs(N) > tiny).reshape(*y, *x)
    return B.any(axis=(0, 2, 3, 4, 6, 7))


def misrouted(s: Setting, name: str) -> dict[str, Hint]:
    """Each output gives to one number: the right amount to the wrong one (max-pooling)."""
    if not isinstance(s.key(name), int):
        return {}
    A, N = s.analytic(name), s.numeric(name)
    tiny = 1e-9 * np.abs(N).max()
    one_a, one_n = (np.abs(A) > tiny).sum(axis=1), (np.abs(N) > tiny).sum(axis=1)
    square = A.shape[0] == A.shape[1]
    if (one_n > 1).all() and (one_a == 1).all() and not (
            square and same(A, np.diag(np.diag(A)))):
        return {"not shared": Hint(
            f"{d(name)}: each output's gradient goes to one number only (one pixel of the window); "
            f"it should be shared among all that the output depends on",
            f"one entry in each row of the Jacobian, where there should be {one_n.min()}",
            strength="likely")}
    if (one_n > 1).any() or not (one_n == 1).any() or elementwise(N):
        return {}
    sums = np.abs(A.sum(axis=1) - N.sum(axis=1)) <= 1e-7 * np.abs(N).max()
    if (one_a <= 1).all() and (sums | (one_a == 0)).all():
        went = (A.argmax(axis=1) != N.argmax(axis=1)) & (one_a == 1) & (one_n == 1)
        if not went.any():
            return {}
        where = ""
        x = s.value(name).ravel()
        if (x[A.argmax(axis=1)] <= x[N.argmax(axis=1)])[went].all():
            where = " (one with a smaller number than the maximum)"
        lost = f", {(one_a < one_n).sum()} are lost" if (one_a < one_n).any() else ""
        if square and (one_n == 1).all() and ((np.abs(N) > tiny).sum(axis=0) == 1).all():
            return {"misplaced": Hint(
                f"{d(name)}: the right numbers go to the wrong places: axes are swapped in a "
                f"reshape or transpose, or an index is off", f"{went.sum()} of {len(one_n)} "
                f"numbers are at the wrong place{lost}")}
        return {"misrouted": Hint(
            f"{d(name)}: the right amount goes to the wrong pixel{where}: the index (of the "
            f"maximum, or of the window) is wrong, or is used wrongly",
            f"{went.sum()} of {(one_n == 1).sum()} outputs are misrouted{lost}")}
    if (one_a > 1).any():
        return {"shared": Hint(f"{d(name)}: each output depends on one number, but gives gradient "
                               f"to several: a mask (the maximum's?) is missing or wrong, or it is "
                               f"repeated where it should not be",
                               f"up to {one_a.max()} numbers get a share"
                               + (", which add up to the right amount" if sums.all() else ""),
                               strength="guess")}
    return {}


def label_only(s: Setting, name: str) -> dict[str, Hint]:
    """A loss: wrong only at the entries of the true classes."""
    z = s.value(name)
    labels = [x for x in s.subject.inputs if x.dtype.kind in "iu" and x.shape == z.shape[:1]]
    if z.ndim != 2 or len(labels) != 1 or s.y_shape:
        return {}
    off = np.abs(s.analytic(name) - s.numeric(name)).reshape(z.shape)
    off = off > 1e-9 * np.abs(s.numeric(name)).max()
    own = np.zeros_like(off)
    own[np.arange(len(z)), labels[0]] = True
    if off.any() and (off <= own).all():
        return {"label": Hint(f"{d(name)} is wrong only at the entries of the true classes (the "
                              f"labels): what is subtracted, or counted, there is not right",
                              f"{off.sum()} of {len(z)} of them; all the others are right",
                              strength="likely")}
    return {}


def windows_differ(s: Setting, name: str) -> dict[str, Hint]:
    """Means over windows: each output shares out the right amount, among the wrong numbers."""
    A, N = s.analytic(name), s.numeric(name)
    if not isinstance(s.key(name), int) or not N.any():
        return {}
    tiny = 1e-9 * np.abs(N).max()
    used, true = np.abs(A) > tiny, np.abs(N) > tiny
    if (used == true).all() or not used.any(axis=1).all() or true.sum(axis=1).max() < 2 \
            or used.sum(axis=1).max() == 1:
        return {}
    even = all(np.ptp(np.where(mask, J, J.max(axis=1, keepdims=True)), axis=1).max() < tiny * 10
               for J, mask in ((A, used), (N, true)))
    if not even or not np.allclose(A.sum(axis=1), N.sum(axis=1), rtol=1e-9):
        return {}
    how = ("smaller than" if (used <= true).all() else "larger than" if (used >= true).all() else
           "at another place than")
    return {"windows": Hint(
        f"{d(name)}: backward's windows are {how} forward's: each output shares out the right "
        f"amount, but among the wrong pixels (the first or last row or column of a window)",
        f"{(used != true).any(axis=1).sum()} of {len(A)} windows differ")}
