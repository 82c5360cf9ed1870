"""The maximum of each window: by the example of its file, and cut into parts of any size."""
import numpy as np
import pytest

from scratchnet import naive
from scratchnet.backend import parallel
from scratchnet.convolution import maximum

ROW = (1, 3), (1, 2), (0, 1)                # kernel, stride, padding


def row(*pixels):
    return np.array(pixels, float)[None, None, None]


def test_on_paper():
    """What the file's docstring computes, and the gradients 1 2 3: two of them meet at the 7."""
    y, row_winner, winner = maximum.forward(row(4, 1, 2, 7, 5), *ROW, (1, 3))
    np.testing.assert_array_equal(y, row(4, 7, 7))
    np.testing.assert_array_equal(row_winner[0, ..., :3], row(1, 2, 0))
    np.testing.assert_array_equal(winner[..., :3], row(0, 0, 0))
    dx = maximum.backward(row(1, 2, 3), row_winner, winner, *ROW, (1, 1, 1, 5))
    np.testing.assert_array_equal(dx, row(1, 0, 0, 2 + 3, 0))


@pytest.mark.parametrize("part", [1, 600, 1 << 20])
@pytest.mark.parametrize("window", [((3, 3), (2, 2), (0, 0)), ((3, 3), (1, 1), (1, 1)),
                                    ((2, 3), (3, 2), (1, 1)), ((5, 2), (2, 4), (2, 0))])
def test_parts_of_any_size_are_what_the_plain_loops_have(window, part, monkeypatch):
    """A channel at a time, several, and all at once; on two threads."""
    monkeypatch.setattr(parallel, "PLANES", part)
    monkeypatch.setattr(parallel, "SMALL", 0)
    x = np.random.default_rng(0).integers(0, 9, (3, 4, 9, 8)).astype(float)
    expected = naive.max_pool2d(x, *window)
    with parallel.limited(2):
        y, *winners = maximum.forward(x, *window, expected.shape[2:])
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(maximum.largest(x, *window, y.shape[2:]), expected)
        dy = np.random.default_rng(1).integers(-9, 9, y.shape).astype(float)
        np.testing.assert_array_equal(maximum.backward(dy, *winners, *window, x.shape),
                                      naive.max_pool2d_backward(dy, x, *window))


def test_what_it_writes_down_are_the_places_of_the_winners():
    """Ties and padding: the pixel that the two winners name is the first with the maximum."""
    kernel, (sh, sw), (ph, pw) = window = (3, 2), (2, 1), (1, 1)
    x = np.random.default_rng(0).integers(0, 3, (2, 3, 7, 6)).astype(float)
    switches = naive.max_pool2d_switches(x, *window)
    row_winner, winner = maximum.forward(x, *window, switches.shape[2:])[1:]
    n, c, i, j = np.indices(switches.shape)
    u = winner[n, c, i, j]
    v = row_winner[u % sh, n, c, i + u // sh, j]
    np.testing.assert_array_equal((i * sh + u - ph) * 6 + j * sw + v - pw, switches)
