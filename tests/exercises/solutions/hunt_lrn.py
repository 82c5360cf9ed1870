"""The solution of hunt_lrn, as a good student writes it."""
import numpy as np


def definition(a):
    """b by the text of the exercise."""
    C = a.shape[1]
    expected = np.empty_like(a)
    for i in range(C):
        s = 2.0
        for j in (i - 2, i - 1, i, i + 1, i + 2):
            if 0 <= j < C:
                s = s + 1e-4 * a[:, j] ** 2
        expected[:, i] = a[:, i] / s ** 0.75
    return expected


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    layer = make()
    rng = np.random.default_rng(0)
    a = 100 * rng.standard_normal((2, 7, 3, 4))
    b = layer.forward(a)
    assert np.allclose(b, definition(a), rtol=1e-9)

    db = rng.standard_normal(b.shape)
    da = layer.backward(db)
    h = 1e-3
    for _ in range(3):
        u = rng.standard_normal(a.shape)
        measured = (db * (definition(a + h * u) - definition(a - h * u))).sum() / (2 * h)
        assert np.isclose((da * u).sum(), measured, rtol=1e-5)
