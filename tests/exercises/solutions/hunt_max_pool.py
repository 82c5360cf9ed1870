"""The solution of hunt_max_pool, as a good student writes it."""
import numpy as np


def definition(x, dy):
    """y and dx by the text of the exercise."""
    H, W = x.shape[2:]
    y, dx = np.empty_like(dy), np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        pixels = [(r, q) for r in range(2 * i - 1, 2 * i + 2) for q in range(2 * j - 1, 2 * j + 2)
                  if 0 <= r < H and 0 <= q < W]
        r, q = max(pixels, key=lambda pixel: x[n, c, pixel[0], pixel[1]])
        y[n, c, i, j] = x[n, c, r, q]
        dx[n, c, r, q] += dy[n, c, i, j]
    return y, dx


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    layer = make()
    rng = np.random.default_rng(0)
    for shift in (0, 10):
        x = rng.standard_normal((2, 3, 5, 6)) - shift
        dy = rng.standard_normal((2, 3, 3, 3))
        y, dx = definition(x, dy)
        assert np.array_equal(layer.forward(x), y)
        assert np.allclose(layer.backward(dy), dx)
