"""Weak tests for hunt_lrn: (id, old text, new text, what the result must say)."""
WRONG = [
    ("usual numbers in forward", "a = 100 * rng.standard_normal((2, 7, 3, 4))",
     "a = rng.standard_normal((2, 7, 3, 4))\n    assert np.allclose(make().forward(a), "
     "definition(a), rtol=1e-3)\n    return", r"expose|wrong layer|accept"),
    ("forward only", "for _ in range(3):", "for _ in range(0):", r"expose|wrong layer|accept"),
    ("two channels", "(2, 7, 3, 4)", "(2, 2, 3, 4)", r"expose|wrong layer|accept"),
    ("the loops copied from the layer", "(i - 2, i - 1, i, i + 1, i + 2)",
     "(i - 2, i - 1, i, i + 1)", r"refuse|right layer|reject"),
    ("α divided", "1e-4 * a[:, j] ** 2", "1e-4 / 5 * a[:, j] ** 2",
     r"refuse|right layer|reject"),
    ("backward to no digit", "measured, rtol=1e-5)", "measured, rtol=1e-5, atol=100)",
     r"expose|wrong layer|accept"),
    ("too exact", "measured, rtol=1e-5)", "measured, rtol=1e-15, atol=0)",
     r"refuse|right layer|reject"),
    ("the wrong exception", "assert np.allclose(b, definition(a), rtol=1e-9)",
     "np.linalg.inv(np.diag([float(np.allclose(b, definition(a), rtol=1e-9))]))",
     r"LinAlgError|raised"),
]
