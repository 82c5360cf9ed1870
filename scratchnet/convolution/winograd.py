"""Winograd — 3×3 convolution with a quarter of the multiplications.

A 3×3 filter over a tile of 6×6 pixels gives 4×4 outputs: 144 multiplications. Read the rows of tile
and filter as polynomials, and convolution is their product; a product of polynomials is known
from its values at enough points, where it is one multiplication a point. With the six points
0, 1, −1, 2, −2, ∞ along each axis, 36 multiplications suffice:

    Y = Aᵀ · ( (G · w · Gᵀ) ⊙ (Bᵀ · x · B) ) · A        x 6×6,  w 3×3,  Y 4×4
               └── U ─────┘   └── V ─────┘

B, G and A are fixed (toom_cook.py). G evaluates the filter at the points. A convolution like this
gathers where a product of polynomials spreads, so the other two are transposes: Bᵀ of the way back
from values to coefficients, Aᵀ of evaluation. In each of the 36 places the sum over channels is a
matrix product of its own,

    M = V · U        36 times (tiles × C) · (C × O)

and that is where the time goes: 2.25 multiplications for each output and channel, not 9.

All of it is linear, so the backward pass is the transpose, and never leaves the transformed space:

    dM = A · dY · Aᵀ        dU = dMᵀ · V, summed over tiles        dw = Gᵀ · dU · G

and dx is a convolution again, of dy with w turned by 180° and its channels exchanged.

Written with vectors of 36, Bᵀ·x·B is (Bᵀ ⊗ Bᵀ) · vec(x): one matrix product transforms all
tiles of all channels. A block of tiles is taken at a time, so that it stays near the core.

Tiles overlap, every fourth pixel begins one, and a computer copies long runs faster than numbers
picked one by one. So a few images are laid out with their channels innermost first; a pixel is then
a run of C numbers, and so is everything that is copied after that.

Maps of 13×13 (AlexNet's) would fill a third of 4×4 tiles with nothing. Four of them, laid out two
by two with the zeros between them that both sides need, are one of 27×27: 49 tiles instead of 64.
A tile may then see two or four images.

The points 2 and −2 make numbers that differ by 16 in size, and so rounding is ten times that of
im2col: 1e-5 of the largest number in a tile, in float32. It is for float32 only; gradient checks,
in float64, run im2col.

Shapes:  x (N, C, H, W)   w (O, C, 3, 3)   y (N, O, H + 2p − 2, W + 2p − 2)
         V (36, tiles, C)   U (36, C, O)   M (36, tiles, O), in blocks of some tiles
Winograd, "Arithmetic Complexity of Computations", 1980; for neural networks: Lavin & Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016.
"""
from collections.abc import Callable, Iterator
from functools import reduce
from operator import iadd
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import EACH, WORTH, Workspace, empty, product, spread, threads
from scratchnet.convolution.geometry import Geometry, output_shape, tiles
from scratchnet.convolution.toom_cook import matrices

BLOCK = 16 << 20        # bytes of V and M at once …
TILES = 256             # … or so many tiles, where that is more: BLAS lays U out for each block

BT, G, AT = matrices(4, 3)
BB, GG, AA = (np.kron(matrix, matrix) for matrix in (BT, G, AT))    # 36×36, 36×9, 16×36


def fits(w_shape: tuple, geometry: Geometry, dtype: Any) -> bool:
    """Whether this convolution can be computed so: 3×3, stride 1, float32, padding up to 2."""
    return (w_shape[2:] == (3, 3) and geometry.stride == geometry.dilation == (1, 1)
            and geometry.groups == 1 and max(geometry.padding) <= 2 and dtype == np.float32)


def pays(x_shape: tuple, w_shape: tuple, geometry: Geometry) -> bool:
    """Whether it is the fastest, as measured: U needs pixels to pay for it, copying channels, and
    small maps spoil many of their tiles at the edge."""
    N, _, H, W = x_shape
    return N * H * W >= 1536 and w_shape[0] * w_shape[1] >= 96 * 96 and min(H, W) >= 12


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i+u−p, j+v−p]."""
    U = _filters(w, GG).transpose(0, 2, 1)                          # (36, C, O)
    return _convolve(x, U, geometry.padding, output_shape(x.shape, w.shape, geometry), b)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx = dy convolved with w turned by 180°, from outputs to inputs; the padding is 2 − p."""
    U = _filters(w, GG[:, ::-1])                                    # (36, O, C)
    return _convolve(dy, U, tuple(2 - p for p in geometry.padding), x_shape[2:])


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw = Gᵀ · (Σ dMᵀ · V) · G."""
    O, C = w_shape[:2]
    layout = _Layout.of(len(x), dy.shape[2:], geometry.padding)

    def part(blocks: list) -> Any:
        space = Workspace()
        dU, term = empty(np, (36, O, C), np.float32), space("term", (6, O, C))
        dU[...] = 0
        for images, rows in blocks:
            V = _transform(BB, _read(x, layout, images, rows, 6, geometry.padding, space),
                           space, "V")                              # (36, tiles, C)
            dM = _transform(AA.T, _read(dy, layout, images, rows, 4, (0, 0), space),
                            space, "dM")                            # (36, tiles, O)
            for k in range(0, 36, 6):
                dU[k:k + 6] += np.matmul(dM[k:k + 6].transpose(0, 2, 1), V[k:k + 6], out=term)
        return dU

    dU = reduce(iadd, _blocks(part, layout, C + O))
    dw = product(GG.T, dU.reshape(36, -1)).reshape(3, 3, O, C)
    return np.ascontiguousarray(dw.transpose(2, 3, 0, 1))


def _convolve(x: Any, U: Any, padding: tuple[int, int], size: tuple[int, int], b: Any = None
              ) -> Any:
    """y (N, O, *size) from images x (N, C, H, W) and transformed filters U (36, C, O)."""
    (N, C), O = x.shape[:2], U.shape[2]
    y = empty(np, (N, O, *size), np.float32)
    layout = _Layout.of(N, size, padding)

    def part(blocks: list) -> None:
        space = Workspace()     # "tiles": pixels, once they are in V then M, at last whole images;
        for images, rows in blocks:                                 # "V": V, after M then Y
            V = _transform(BB, _read(x, layout, images, rows, 6, padding, space), space, "V")
            M = np.matmul(V, U, out=space("tiles", (36, V.shape[1], O)))
            _write(y, _transform(AA, M, space, "V"), layout, images, rows, b, space)

    _blocks(part, layout, C + O, EACH)
    return y


class _Layout(NamedTuple):
    """Where images lie in those that are cut into tiles: each alone, or four in one."""

    N: int                      # images of the batch
    images: int                 # … that are cut: N or ⌈N/4⌉
    down: int                   # tiles in a column of one of them …
    across: int                 # … and in a row
    pitch: tuple[int, int]      # rows and columns from one of four to the next

    @classmethod
    def of(cls, N: int, size: tuple[int, int], padding: tuple[int, int]) -> "_Layout":
        """That with fewer tiles, for N images of `size` outputs each."""
        pitch = tuple(s + 2 - p for s, p in zip(size, padding, strict=True))
        alone = cls(N, N, -(-size[0] // 4), -(-size[1] // 4), pitch)
        four = cls(N, -(-N // 4), -(-(size[0] + pitch[0]) // 4), -(-(size[1] + pitch[1]) // 4),
                   pitch)
        return min(alone, four, key=lambda cut: cut.images * cut.down * cut.across)

    def places(self, image: int) -> Iterator[tuple[int, int, int]]:
        """Yield (n, i, j) for an image that is cut: x[n] begins at its row i, column j."""
        if self.images == self.N:
            yield image, 0, 0
            return
        for k in range(min(4, self.N - 4 * image)):
            yield 4 * image + k, k // 2 * self.pitch[0], k % 2 * self.pitch[1]


def _blocks(part: Callable, layout: _Layout, channels: int, each: int = 1) -> list:
    """Cut the outputs of a batch into blocks: some images, some rows of their tiles. Call part on a
    list of blocks for each thread."""
    N, down, tile = layout.images, layout.down, 36 * channels * 4
    row_bytes = layout.across * tile
    blocks = list(tiles(N, down, row_bytes, min(
        max(BLOCK, TILES * tile), -(-N * down * row_bytes // threads()))))
    return spread(lambda first, last: part(blocks[first:last]), len(blocks), each=each)


def _filters(w: Any, matrix: Any) -> Any:
    """U = matrix (36, 9) · w (O, C, 3, 3), for each filter and channel: (36, O, C)."""
    O, C = w.shape[:2]
    w, U = w.reshape(O * C, 9), empty(np, (36, O * C), np.float32)

    def part(first: int, last: int) -> None:
        for start in range(first, last, 2048):
            some = slice(start, min(start + 2048, last))
            np.matmul(matrix, w[some].T, out=U[:, some])

    spread(part, O * C, U.size > WORTH)
    return U.reshape(36, O, C)


def _read(x: Any, layout: _Layout, images: slice, rows: slice, side: int, padding: tuple,
          space: Workspace) -> Any:
    """Copy tiles of side×side pixels, one every four: (side², n·rows·across, C)."""
    (_, C, H, W), (ph, pw), across = x.shape, padding, layout.across
    n, down = images.stop - images.start, rows.stop - rows.start
    padded = space("padded", (n, 4 * down + side - 4, 4 * across + side - 4, C))
    padded[...] = 0
    for image, out in zip(range(images.start, images.stop), padded, strict=True):
        for k, i, j in layout.places(image):
            top = 4 * rows.start - ph - i                           # where out begins in x[k]
            bottom = min(top + len(out), H)
            for h in range(max(top, 0), bottom, 4):                 # few rows: a cache holds them
                some = x[k, :, h:min(h + 4, bottom)]
                out[h - top:h - top + some.shape[1], j + pw:j + pw + W] = some.transpose(1, 2, 0)

    i, h, w, c = padded.strides
    view = np.lib.stride_tricks.as_strided(
        padded, (side, side, n, down, across, C), (h, w, i, 4 * h, 4 * w, c), writeable=False)
    block = space("tiles", view.shape)
    block[...] = view
    return block.reshape(side * side, n * down * across, C)


def _transform(matrix: Any, block: Any, space: Workspace, name: str) -> Any:
    """matrix · block over the first axis: (k, tiles, C) → (m, tiles, C)."""
    out = space(name, (len(matrix), *block.shape[1:]))
    np.matmul(matrix, block.reshape(len(block), -1), out=out.reshape(len(matrix), -1))
    return out


def _write(y: Any, block: Any, layout: _Layout, images: slice, rows: slice, b: Any,
           space: Workspace) -> None:
    """Put tiles of outputs, (16, tiles, O), where they belong in y, and add b."""
    (_, O, OH, OW), n = y.shape, images.stop - images.start
    down = rows.stop - rows.start
    block = block.reshape(4, 4, n, down, -1, O).transpose(2, 3, 0, 4, 1, 5)
    whole = space("tiles", block.shape)                             # (n, down, 4, across, 4, O)
    np.add(block, 0 if b is None else b, out=whole)
    whole = whole.reshape(n, 4 * down, -1, O)
    for image, out in zip(range(images.start, images.stop), whole, strict=True):
        for k, i, j in layout.places(image):
            top = 4 * rows.start - i                                # where out begins in y[k]
            bottom = min(top + len(out), OH)
            for h in range(max(top, 0), bottom, 4):
                some = out[h - top:min(h + 4, bottom) - top, j:j + OW]
                y[k, :, h:h + len(some)] = some.transpose(2, 0, 1)
