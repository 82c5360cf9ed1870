"""Ties — equal maxima, or x exactly at the kink: any valid convention passes, others do not.

Where several numbers tie for a maximum, or x = 0 meets ReLU, there is no derivative, and
random inputs never go there; digits, images and zeros after ReLU go there all the time. The
left and the right derivative still exist, and a valid choice lies between them. So: inputs of
small integers, dy ≥ 0, a direction u > 0, and

    least of ⟨dy, ∂₋y⟩ and ⟨dy, ∂₊y⟩  ≤  ⟨dx, u⟩  ≤  largest of both

Taking the first winner passes, so does sharing; counting every winner fully does not. The
rule holds where all kinks bend the same way, as in a layer. A network that mixes both is
not asked: before a gradient is called wrong, up to PLACES numbers of the input are moved
alone, and as many random directions tried, to see whether some kink bends the other way.
"""
import numpy as np

from scratchnet.gradcheck.report import Finding
from scratchnet.gradcheck.subject import BackwardError, Subject

T = 1e-7                # step: forward is smooth but for the kink, so short is right
LOOSE = 1e-4            # relative: a one-sided difference is only of order 1
PLACES = 100


def check_ties(subject: Subject, rng: np.random.Generator) -> list[Finding]:
    """One finding; "not applicable" where the layer has no kinks or mixes both kinds."""
    if not subject.floats or not subject.takes_dy:
        return [Finding("ties", "not applicable")]
    for _ in range(2):
        inputs = [rng.integers(-1, 3, x.shape).astype(np.float64) if x.dtype.kind == "f" else x
                  for x in subject.inputs]
        us = {i: 0.5 + rng.random(inputs[i].shape) for i in subject.floats}
        try:
            left, right = _slopes(subject, inputs, us)
        except Exception:                   # integers may lie outside forward's domain
            return [Finding("ties", "not applicable")]
        if len(_bends(left, right)) != 1:               # smooth, or kinks that bend both ways
            return [Finding("ties", "not applicable")]

        dys = [np.abs(rng.standard_normal(dy.shape)) for dy in subject.dys]
        ends = [sum(float((dy * d).sum()) for dy, d in zip(dys, side, strict=True))
                for side in (left, right)]
        try:
            dxs = subject.run(dys, inputs).dxs
        except BackwardError as error:
            return [Finding("ties", "wrong", f"with equal numbers, {error}")]
        claimed = sum(float((dx * us[i]).sum()) for i, dx in
                      zip(subject.floats, dxs, strict=True))
        slack = LOOSE * (abs(ends[0]) + abs(ends[1]))
        if not min(ends) - slack <= claimed <= max(ends) + slack:
            if _bends_both_ways(subject, inputs, rng):
                return [Finding("ties", "not applicable")]
            return [Finding("ties", "wrong", f"where numbers tie, the gradient is not a valid "
                            f"one: along one direction it says {claimed:.6g}, but the slopes on "
                            f"both sides are {min(ends):.6g} and {max(ends):.6g}. Do several "
                            f"equal maxima each receive all of dy?")]
    return [Finding("ties", "correct")]


def _slopes(subject: Subject, inputs: list, us: dict[int, np.ndarray]) -> tuple[list, list]:
    """∂₋y and ∂₊y along u, for each output."""
    def moved(t: float) -> list[np.ndarray]:
        return subject.forward([x + t * us[i] if i in us else x for i, x in enumerate(inputs)])

    with np.errstate(all="ignore"):
        here, ahead, behind = moved(0), moved(T), moved(-T)
        return ([(h - b) / T for h, b in zip(here, behind, strict=True)],
                [(a - h) / T for a, h in zip(ahead, here, strict=True)])


def _bends(left: list, right: list) -> set[str]:
    """Which ways the slope changes: "up", "down", both, or none where forward is smooth."""
    bends = np.concatenate([np.ravel(r - l) for r, l in zip(right, left, strict=True)])
    size = max((np.abs(d).max(initial=0) for d in (*right, *left)), default=0)
    if not np.isfinite(bends).all() or np.abs(bends).max(initial=0) <= 10 * LOOSE * size:
        return set()
    return ({"up"} if bends.max() > LOOSE * size else set()) | (
        {"down"} if bends.min() < -LOOSE * size else set())


def _bends_both_ways(subject: Subject, inputs: list, rng: np.random.Generator) -> bool:
    """Where outputs add up several kinks, each shows when its numbers are moved alone, or when
    the others happen not to change: along many random directions."""
    ways: set[str] = set()
    for i in subject.floats:
        for place in rng.permutation(inputs[i].size)[:PLACES]:
            alone = np.zeros(inputs[i].size)
            alone[place] = 1
            for u in (alone, rng.standard_normal(inputs[i].size)):
                ways |= _bends(*_slopes(subject, inputs, {i: u.reshape(inputs[i].shape)}))
                if len(ways) > 1:
                    return True
    return False
