"""Weak tests for hunt_batchnorm: (id, old text, new text, what the result must say)."""
WRONG = [
    ("dy of ones", "dy = rng.standard_normal(y.shape)", "dy = np.ones(y.shape)",
     r"expose|wrong layer|accept"),
    ("one dy for each channel", "dy = rng.standard_normal(y.shape)",
     "dy = np.ones(y.shape) * rng.standard_normal((3, 1, 1))", r"expose|wrong layer|accept"),
    ("shapes only", "for _ in range(3):", "for _ in range(0):", r"expose|wrong layer|accept"),
    ("the sum of dx only", "u = rng.standard_normal(x.shape)", "u = np.ones(x.shape)",
     r"expose|wrong layer|accept"),
    ("a tolerance as large as the numbers", "rtol=1e-5, atol=1e-6", "rtol=1e-5, atol=3",
     r"expose|wrong layer|accept"),
    ("its own ε", "    dy = rng.standard_normal(y.shape)\n",
     "    variance = x.var(axis=(0, 2, 3), keepdims=True)\n"
     "    x_hat = (x - x.mean(axis=(0, 2, 3), keepdims=True)) / np.sqrt(variance + 1e-5)\n"
     "    assert np.allclose(y, x_hat, atol=1e-9)\n"
     "    dy = rng.standard_normal(y.shape)\n", r"refuse|right layer|reject"),
    ("too exact", "rtol=1e-5, atol=1e-6", "rtol=1e-15, atol=0", r"refuse|right layer|reject"),
    ("too long a step", "h = 1e-5", "h = 0.5", r"refuse|right layer|reject"),
    ("the wrong exception", "assert np.isclose((dx * u).sum(), measured, rtol=1e-5, atol=1e-6)",
     "if abs((dx * u).sum() - measured) > 1e-4:\n            raise ArithmeticError",
     r"ArithmeticError|raised"),
]
