"""Weak tests for hunt_max_pool: (id, old text, new text, what the result must say)."""
WRONG = [
    ("behind a ReLU", "rng.standard_normal((2, 3, 5, 6)) - shift",
     "rng.random((2, 3, 5, 6)) + shift", r"expose|wrong layer|accept"),
    ("forward only", "        assert np.allclose(layer.backward(dy), dx)\n", "",
     r"expose|wrong layer|accept"),
    ("no border", "range(2 * i - 1, 2 * i + 2) for q", "range(2 * i, 2 * i + 2) for q",
     r"refuse|right layer|reject"),
    ("padding with zeros", "    return y, dx\n", "    return np.maximum(y, 0), dx\n",
     r"refuse|right layer|reject"),
    ("equal pixels", "x = rng.standard_normal((2, 3, 5, 6)) - shift",
     "x = rng.integers(-3, 0, (2, 3, 5, 6)) - float(shift)", r"refuse|right layer|reject"),
    ("wrong sizes", "(2, 3, 3, 3)", "(2, 3, 2, 3)", r"ValueError|raised|refuse|right layer"),
    ("the wrong exception", "assert np.array_equal(layer.forward(x), y)",
     "if not np.array_equal(layer.forward(x), y):\n            raise ValueError('y is wrong')",
     r"ValueError|AssertionError"),
]
