"""The maximum of each window: the windows of a convolution, with max where that has its sum.

    y[n,c,i,j] = max_{u,v} x[n, c, i·s+u−p, j·s+v−p]          padding is −∞

The maximum of a window is the maximum of its rows' maxima, so it is found in two passes, along
the rows and then down the columns: KW + KH comparisons, not KW · KH. What backward needs is who won
in each pass, a byte each (four where the kernel is larger than 256). The first winner of the first
row that has the maximum is the first in reading order.

For these passes the image is dealt out into s · s small ones, with −∞ where there is no pixel:

    P[a,b,i,j] = x[i·s+a−p, j·s+b−p]      so the taps of window (i, j) are
                                          P[u mod s, v mod s, i + ⌊u/s⌋, j + ⌊v/s⌋]

Neighbours in y are neighbours in P. In memory the rows of P lie one behind the other, J places
each, so that a tap of ALL windows is one of the P, ⌊u/s⌋·J + ⌊v/s⌋ places further on: one long call
of NumPy. Places at the end of a row where no window begins have a maximum too, which nobody reads,
and a gradient of zero. The padding behind a row is the padding before the next one.

On paper, a row of five pixels, kernel 3, stride 2, padding 1:

    x  =  4  1  2  7  5
    P₀ = −∞  1  7 −∞        taps 0 and 2: P₀, and P₀ one place further on
    P₁ =  4  2  5 −∞        tap 1
    y  =  4  7  7           v = 1 2 0: the 7 wins twice (and at the fourth place no window begins)

Where nobody asks who won, nothing is dealt out: columns first, whole rows at a time.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchnet.backend import empty, in_planes, xp_of
from scratchnet.convolution.geometry import inside

Pair = tuple[int, int]


def forward(x: Any, kernel: Pair, stride: Pair, padding: Pair, out: Pair) -> tuple[Any, Any, Any]:
    """x (N, C, H, W) → y (N, C, *out), row_winner (SH, N, C, I, J), winner (N, C, I, J).

    Window (i, j) is won by the pixel in its row u = winner[n,c,i,j] and its column
    v = row_winner[u mod SH, n, c, i + ⌊u/SH⌋, j].
    """
    xp, (N, C, H, W), (OH, OW) = xp_of(x), x.shape, out
    (KH, KW), (SH, SW), (PH, PW) = kernel, stride, padding
    I, J = (max(outs + (k - 1) // s - p // s, -(-(size + p) // s))      # for windows, and pixels
            for outs, k, s, p, size in zip(out, kernel, stride, padding, (H, W), strict=True))
    tap = np.uint8 if max(kernel) <= 256 else np.int32
    y = empty(xp, (N, C, OH, OW), x.dtype)
    row_winner, winner = empty(xp, (SH, N, C, I, J), tap), empty(xp, (N, C, I, J), tap)

    def of_planes(n: slice, c: slice) -> None:          # a few images, or channels of one
        shape, M = winner[n, c].shape, winner[n, c].size
        P, rows = _work(xp, M, J, kernel, stride, x.dtype, -np.inf)
        if SH * SW * I * J > H * W:
            P[...] = -np.inf
        for a, b, places, pixels in _phases((H, W), (I, J), stride, padding):
            P[a, b, :M].reshape(shape)[places] = x[n, c][pixels]
        for a in range(SH):
            taps = [P[a, v % SW, v // SW:][:M] for v in range(KW)]
            _maximum(taps, rows[a, :M], row_winner[a, n, c].reshape(M))
        taps = [rows[u % SH, u // SH * J:][:M] for u in range(KH)]
        largest = xp.empty(M, x.dtype)
        _maximum(taps, largest, winner[n, c].reshape(M))
        y[n, c] = largest.reshape(shape)[..., :OH, :OW]

    in_planes(of_planes, x, 9)
    for i in range(-(-PH // SH)):                       # padding wins nowhere, not even where all
        xp.maximum(winner[..., i, :], PH - i * SH, out=winner[..., i, :])       # is −∞
    for j in range(-(-PW // SW)):
        xp.maximum(row_winner[..., j], PW - j * SW, out=row_winner[..., j])
    return y, row_winner, winner


def backward(dy: Any, row_winner: Any, winner: Any, kernel: Pair, stride: Pair, padding: Pair,
             x_shape: tuple[int, ...]) -> Any:
    """dy (N, C, OH, OW) → dx of x_shape: dy goes to the winner, and adds up there."""
    xp, (KH, KW), (SH, SW) = xp_of(dy), kernel, stride
    (OH, OW), (I, J) = dy.shape[2:], winner.shape[2:]
    dx = empty(xp, x_shape, dy.dtype)

    def of_planes(n: slice, c: slice) -> None:
        shape, M = winner[n, c].shape, winner[n, c].size
        dlargest = xp.zeros(shape, dy.dtype)
        dlargest[..., :OH, :OW] = dy[n, c]
        dP, drows = _work(xp, M, J, kernel, stride, dy.dtype, 0)
        dP[:, KW:], drows[KH:] = 0, 0                   # pixels between windows
        dtaps = [drows[u % SH, u // SH * J:][:M] for u in range(KH)]
        _spread(dlargest.reshape(M), dtaps, winner[n, c].reshape(M), SH)
        for a in range(SH):
            dtaps = [dP[a, v % SW, v // SW:][:M] for v in range(KW)]
            _spread(drows[a, :M], dtaps, row_winner[a, n, c].reshape(M), SW)
        for a, b, places, pixels in _phases(x_shape[2:], (I, J), stride, padding):
            dx[n, c][pixels] = dP[a, b, :M].reshape(shape)[places]

    in_planes(of_planes, dx, 9)
    return dx


def _maximum(taps: list, y: Any, winner: Any) -> None:
    """y = max_v taps[v], and winner = the first v that has it; all of them (M,)."""
    xp = xp_of(y)
    if len(taps) == 1:
        y[...], winner[...] = taps[0], 0
    for v in range(1, len(taps)):                   # v ascends: the largest is the last that won
        largest = taps[0] if v == 1 else y
        won = (taps[v] > largest).view(np.uint8)
        xp.maximum(taps[v], largest, out=y)
        if v == 1:
            winner[...] = won
        else:
            xp.maximum(winner, won * winner.dtype.type(v), out=winner)


def _spread(dy: Any, dtaps: list, winner: Any, s: int) -> None:
    """dtaps[v] += dy where v is the winner. Taps 0 … s−1 are the first in their places: =."""
    for v, dtap in enumerate(dtaps):
        if v < s:
            dtap[...] = winner == v
            dtap *= dy
        else:
            share = (winner == v).astype(dy.dtype)
            share *= dy
            dtap += share


def _work(xp: Any, M: int, J: int, kernel: Pair, stride: Pair, dtype: Any,
          behind: float) -> tuple[Any, Any]:
    """P (SH, SW, M + …) and rows (SH, M + …), filled where the last taps look behind M."""
    (KH, KW), (SH, SW) = kernel, stride
    size = M + (KH - 1) // SH * J + (KW - 1) // SW
    P, rows = xp.empty((SH, SW, size), dtype), xp.empty((SH, size), dtype)
    P[..., M:], rows[:, M:] = behind, behind
    return P, rows


def _phases(size: Pair, places: Pair, stride: Pair, padding: Pair) -> \
        Iterator[tuple[int, int, tuple, tuple]]:
    """Yield (a, b, places, pixels): P[a, b][places] are x[pixels]."""
    (H, W), (I, J), (SH, SW), (PH, PW) = size, places, stride, padding
    for a in range(SH):
        i, rows = inside(a, 0, I, H, SH, PH)
        for b in range(SW):
            j, columns = inside(b, 0, J, W, SW, PW)
            yield a, b, (..., i, j), (..., rows, columns)


def largest(x: Any, kernel: Pair, stride: Pair, padding: Pair, out: Pair) -> Any:
    """x (N, C, H, W) → y (N, C, *out), as forward, without who won."""
    xp, (N, C, _, W), (OH, OW) = xp_of(x), x.shape, out
    y = empty(xp, (N, C, OH, OW), x.dtype)
    down, along = zip(kernel, stride, padding, strict=True)

    def of_planes(n: slice, c: slice) -> None:
        x_n = x[n, c]
        columns = empty(xp, (*x_n.shape[:2], OH, W), x.dtype)
        _largest(x_n.swapaxes(-1, -2), columns.swapaxes(-1, -2), *down)
        _largest(columns, y[n, c], *along)

    in_planes(of_planes, x, 9)
    return y


def _largest(x: Any, y: Any, k: int, s: int, p: int) -> None:
    """y[…, j] = max_v x[…, j·s + v − p]."""
    xp, size, outs = xp_of(x), x.shape[-1], y.shape[-1]
    taps = [(v, *inside(v, 0, outs, size, s, p)) for v in range(k)]
    whole = [(v, pixels) for v, outputs, pixels in taps if outputs == slice(0, outs)]
    if whole:                                       # taps that are pixels for every output
        (first, ones), (last, others) = whole[0], whole[-1]
        xp.maximum(x[..., ones], x[..., others], out=y)
    else:
        first = last = None
        y[...] = -np.inf
    for v, outputs, pixels in taps:
        if v not in (first, last):
            xp.maximum(y[..., outputs], x[..., pixels], out=y[..., outputs])
