"""Shapes — coloured objects before cluttered backgrounds, drawn as you ask for them.

Ten kinds of object, each with any colour, texture, size, place and rotation, so that only the
outline tells them apart: what a network reads off them, it must have seen as a shape. There is no
end of them, nothing to download, and `difficulty` is a number.

An object is drawn from its signed distance d: how many pixels it is from here to its outline,
negative inside. What it covers of a pixel is about

    coverage = clip(½ − d, 0, 1)

and over what was there before comes coverage · colour + (1 − coverage) · before. Background,
fragments, object and an occluding bar are painted in that order, then grain over all; the mask
says where the object is still to be seen. Distances of simple outlines are one-liners, as
Quilez collects them: https://iquilezles.org/articles/distfunctions2d.
"""
from collections.abc import Callable, Iterator
from functools import cache
from numbers import Integral
from typing import NamedTuple

import numpy as np

from scratchnet.data.digits import Split

FRAGMENTS = 8           # of clutter, at most
DRAWS = 37 + 9 * FRAGMENTS       # random numbers an image
AT_ONCE = 1 << 15       # pixels: some hundred kilobytes an array, which stay in the cache


class Shapes(NamedTuple):
    """The three parts of the data set; labels are positions in SHAPES."""

    train: Split
    validation: Split
    test: Split


def load_shapes(size: int = 32, train: int = 4000, validation: int = 500, test: int = 1000,
                difficulty: float = 0.5, seed: int = 0) -> Shapes:
    """Return new pictures of objects: images (N, 3, size, size) float32 from 0 to 1.

    The same seed gives the same pictures, whatever the sizes of the other parts; more of them
    begin with the same ones. Raises ValueError for numbers that make no sense (see draw_shapes).
    """
    if not _is_integer(seed) or seed < 0:
        raise ValueError(f"load_shapes: seed must be an integer ≥ 0; got {seed!r}")
    parts = []
    for number, n in enumerate((train, validation, test)):
        rng = np.random.default_rng([seed, number])
        parts.append(Split(*draw_shapes(n, size, difficulty, rng)[:2]))
    return Shapes(*parts)


def draw_shapes(n: int, size: int, difficulty: float, rng: np.random.Generator,
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (images, labels, masks) of n new objects.

    images (n, 3, size, size) float32 from 0 to 1; labels (n,) int64, positions in SHAPES; masks
    (n, size, size) bool, true where the object is visible. `difficulty` goes from 0 (large,
    upright, in the middle, nothing else) to 1 (small, anywhere, any way up, little contrast, among
    clutter). For the same rng, image i is the same for every n, and the same scene at every size
    (but for its grain).
    Raises ValueError unless n ≥ 1, 8 ≤ size ≤ 1024 and 0 ≤ difficulty ≤ 1.
    """
    if not _is_integer(n) or n < 1:
        raise ValueError(f"draw_shapes: n, how many, must be an integer ≥ 1; got {n!r}")
    if not _is_integer(size) or not 8 <= size <= 1024:
        raise ValueError(f"draw_shapes: size must be an integer from 8 to 1024; got {size!r}")
    if not isinstance(difficulty, int | float) or not 0 <= difficulty <= 1:
        raise ValueError(f"draw_shapes: difficulty must be from 0 (plain) to 1 (hard); got "
                         f"{difficulty!r}")
    grain = np.random.default_rng(rng.integers(2**63))      # apart: its amount depends on the size
    images = np.empty((n, 3, size, size), dtype=np.float32)
    labels, masks = np.empty(n, dtype=np.int64), np.empty((n, size, size), dtype=bool)
    step = max(1, AT_ONCE // size**2)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        draws = rng.random((part.stop - start, DRAWS)).astype(np.float32)
        images[part], labels[part], masks[part] = _paint(_Draws(draws), size, difficulty)
        noise = grain.random(images[part].shape, dtype=np.float32)
        images[part] += (noise - 0.5) * (0.02 + 0.16 * difficulty)
    return np.clip(images, 0, 1, out=images), labels, masks


# ── the ten outlines ─────────────────────────────────────────────────────────────────
# Each is a signed distance from (x, y), x to the right, y down, about as large as the unit circle.

def _disc(x, y):
    return np.hypot(x, y) - 1


def _square(x, y):
    return np.maximum(abs(x), abs(y)) - 1


def _triangle(x, y):
    """The largest distance to its three sides; they face down, up left and up right."""
    return np.maximum(y, abs(x) * np.float32(3**0.5 / 2) - y / 2) - 0.7


def _star(x, y):
    """Five points, folded into half of one: its side goes from the tip (1, 0) to the notch."""
    fold = np.pi / 5
    notch = 0.46 * np.array([np.cos(fold), np.sin(fold)])
    nx, ny = np.array([notch[1], 1 - notch[0]]) / np.hypot(notch[1], 1 - notch[0])
    angle = abs((np.arctan2(x, -y) + fold) % (2 * fold) - fold)
    radius = np.hypot(x, y)
    return (radius * np.cos(angle) - 1) * float(nx) + radius * np.sin(angle) * float(ny)


def _cross(x, y):
    x, y = abs(x), abs(y)
    return np.minimum(np.maximum(x - 1, y - 0.3), np.maximum(y - 1, x - 0.3))


def _ring(x, y):
    return abs(np.hypot(x, y) - 0.78) - 0.22


def _crescent(x, y):
    """A disc, without another that is moved to the right."""
    x = x - 0.3
    return np.maximum(np.hypot(x, y) - 1, 0.82 - np.hypot(x - 0.5, y))


def _heart(x, y):
    """A square on its corner, and a disc on each of its upper sides."""
    x, y = abs(x), y + 0.1
    a, half = np.float32(0.5**0.5), np.float32(0.55)
    along, across = (x + y) * a, (y - x) * a        # the square's own axes, its right half
    box = np.maximum(abs(along), abs(across)) - half
    return np.minimum(box, np.hypot(along, across + half) - half)


def _hourglass(x, y):
    """Two triangles, tip to tip."""
    x, y = abs(x), abs(y)
    return np.maximum(y - 0.95, (x - 0.8 * y - 0.05) * np.float32(1 / np.hypot(1, 0.8)))


def _arrow(x, y):
    """A shaft, and a triangle for its head, to the right."""
    y = abs(y)
    shaft = np.maximum(abs(x + 0.45) - 0.5, y - 0.27)
    head = np.maximum(-x, (0.85 * x + y - 0.85) * np.float32(1 / np.hypot(0.85, 1)))
    return np.minimum(shaft, head)


OUTLINES = (_disc, _square, _triangle, _star, _cross, _ring, _crescent, _heart, _hourglass, _arrow)
SHAPES = tuple(outline.__name__[1:] for outline in OUTLINES)


@cache
def _unit(outline: Callable) -> float:
    """How many times larger the outline must be to have the area of the unit disc: no kind is
    told by its area."""
    at = np.linspace(-1.6, 1.6, 641, dtype=np.float32)
    inside = np.clip(0.5 - outline(*np.meshgrid(at, at)) / (at[1] - at[0]), 0, 1)
    return float(np.sqrt(np.pi / (inside.sum() * (at[1] - at[0]) ** 2)))


# ── textures ─────────────────────────────────────────────────────────────────────────
# Each is a pattern from −1 to 1, of (x, y) in periods, turned and moved already.

def _plain(x, y):
    return np.zeros_like(x + y)


def _stripes(x, y):
    return np.clip(2 * np.sin(x + 0 * y), -1, 1)


def _checks(x, y):
    return np.clip(4 * np.sin(x) * np.sin(y), -1, 1)


def _dots(x, y):
    return np.clip(2 + 3 * np.cos(x) + 3 * np.cos(y), -1, 1)


def _blotches(x, y):
    """Waves across each other's way: no two alike."""
    return (np.sin(x + 1.7 * np.sin(0.6 * y)) + np.sin(0.8 * y - 1.3 * np.sin(0.7 * x))) / 2


TEXTURES = (_plain, _stripes, _checks, _dots, _blotches)


# ── painting ─────────────────────────────────────────────────────────────────────────

class _Draws:
    """The random numbers of some images (n, DRAWS), handed out a column at a time."""

    def __init__(self, draws: np.ndarray):
        self.columns: Iterator[np.ndarray] = iter(draws.T)

    def __call__(self, low: float, high: float) -> np.ndarray:
        """One number from low to high for each image, (n, 1, 1)."""
        return low + (high - low) * next(self.columns)[:, None, None]

    def direction(self, length: float) -> np.ndarray:
        """A colour difference of this length, any direction, (n, 3, 1, 1)."""
        height, turn = self(-1, 1), self(0, 2 * np.pi)
        flat = np.sqrt(1 - height**2)
        return length * np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)

    def kinds(self, count: int) -> np.ndarray:
        """An integer from 0 to count − 1 for each image, (n,)."""
        return np.minimum(next(self.columns) * count, count - 1).astype(np.int64)


def _paint(draw: _Draws, size: int, difficulty: float,
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images without grain, labels, masks); lengths are shares of the side, (0, 0) the middle."""
    hard = float(difficulty)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x, y = at[None, None, :], at[None, :, None]

    labels = draw.kinds(len(OUTLINES))
    radius = draw(0.26 - 0.13 * hard, 0.29)
    room = hard * np.maximum(0.5 - 1.3 * radius, 0)
    ox, oy = x - draw(-1, 1) * room, y - draw(-1, 1) * room     # from the middle of the object
    turn = draw(-np.pi, np.pi) * hard
    cos, sin = np.cos(turn), np.sin(turn)
    middle = np.stack([draw(0.35, 0.65) for _ in range(3)], axis=1)
    contrast = draw.direction(0.5 - 0.28 * hard)    # object and background lie this far from it
    ground = middle - contrast

    # The background: a colour, a slope, a pattern, perhaps a second area, and fragments.
    uphill = draw(0, 2 * np.pi)
    images = ground + draw.direction(0.4 * hard) * _colours(np.cos(uphill) * x + np.sin(uphill) * y)
    images += draw.direction(0.1 * hard) * _colours(_texture(draw, x, y))
    uphill = draw(0, 2 * np.pi)
    area = np.cos(uphill) * x + np.sin(uphill) * y + draw(0.1, 0.4) + _absent(draw, hard)
    _cover(images, _coverage(area, size), ground + draw.direction(0.2))
    for _ in range(FRAGMENTS):
        fragment = _stroke(x - draw(-0.5, 0.5), y - draw(-0.5, 0.5), draw(0, np.pi),
                           length=draw(0.04, 0.12), width=draw(0.012, 0.03), bend=draw(-5, 5))
        fragment += _absent(draw, hard)
        _cover(images, _coverage(fragment, size), ground + draw.direction(0.55 - 0.15 * hard))

    # The object, with a pattern of its own, and perhaps a bar across it.
    u, v = cos * ox + sin * oy, cos * oy - sin * ox
    distance = np.empty((len(labels), size, size), dtype=np.float32)
    for kind, outline in enumerate(OUTLINES):
        mine = labels == kind
        if mine.any():
            unit = radius[mine] * np.float32(_unit(outline))
            distance[mine] = unit * outline(u[mine] / unit, v[mine] / unit)
    visible = _coverage(distance, size)
    pattern = draw.direction(0.25 - 0.1 * hard) * _colours(_texture(draw, u, v))
    _cover(images, visible, middle + contrast + pattern)
    away, aside = draw(0, 2 * np.pi), radius * draw(0.2, 0.8)
    bar = _stroke(ox - np.cos(away) * aside, oy - np.sin(away) * aside,
                  away + np.pi / 2 + draw(-0.5, 0.5), length=2 * radius,
                  width=radius * draw(0.07, 0.13), bend=0)
    hidden = _coverage(bar + _absent(draw, 0.5 * hard), size)
    _cover(images, hidden, middle + draw.direction(0.4))
    return images, labels, visible * (1 - hidden) > 0.5


def _coverage(distance: np.ndarray, size: int) -> np.ndarray:
    """How much of each pixel is inside, from 0 to 1; distances are shares of the side."""
    return np.clip(0.5 - size * distance, 0, 1)


def _cover(images: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> None:
    """Paint `colour` (n, 3, …) over the images, in place, where coverage (n, H, W) is above 0."""
    images += _colours(coverage) * (colour - images)


def _colours(plane: np.ndarray) -> np.ndarray:
    """(n, H, W) → (n, 1, H, W), the same for all three colours."""
    return plane[:, None]


def _absent(draw: _Draws, share: float) -> np.ndarray:
    """A distance to add: 0 in this share of the images, else so large that nothing is there."""
    return 9.0 * (draw(0, 1) >= share).astype(np.float32)


def _stroke(x: np.ndarray, y: np.ndarray, turn: np.ndarray, length: np.ndarray,
            width: np.ndarray, bend: np.ndarray | float) -> np.ndarray:
    """The distance to a stroke around (0, 0), half as long and as wide as said, bent a little."""
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    return np.maximum(abs(along) - length, abs(across - bend * along**2) - width)


def _texture(draw: _Draws, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A pattern for each image, (n, H, W) from −1 to 1, of its own kind, width and direction."""
    kinds, turn, waves = draw.kinds(len(TEXTURES)), draw(0, np.pi), 2 * np.pi / draw(0.13, 0.25)
    a, b = waves * np.cos(turn), waves * np.sin(turn)
    shift = draw(0, 2 * np.pi)
    along, across = a * x + b * y + shift, a * y - b * x + shift
    pattern = np.empty_like(along)
    for kind, texture in enumerate(TEXTURES):
        mine = kinds == kind
        pattern[mine] = texture(along[mine], across[mine])
    return pattern


def _is_integer(n: object) -> bool:
    return isinstance(n, Integral) and not isinstance(n, bool)
