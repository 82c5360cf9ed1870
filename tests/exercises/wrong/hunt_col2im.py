"""Weak tests for hunt_col2im: (id, old text, new text, what the result must say)."""
WRONG = [
    ("one window", "rng.standard_normal((2, 2, 6, 7))", "rng.standard_normal((2, 2, 4, 3))",
     r"expose|wrong layer|accept"),
    ("shapes only", "for _ in range(3):", "for _ in range(0):", r"expose|wrong layer|accept"),
    ("too lax", "rtol=1e-5, atol=1e-5", "rtol=1e-5, atol=100", r"expose|wrong layer|accept"),
    ("too exact", "rtol=1e-5, atol=1e-5", "rtol=1e-15, atol=0", r"refuse|right layer|reject"),
    ("too long a step", "h = 1e-5", "h = 1.0", r"refuse|right layer|reject"),
    ("a direction of one pixel", "u = rng.standard_normal(x.shape)",
     "u = np.zeros(x.shape)\n        u[0, 0, 0, 0] = 1", r"expose|wrong layer|accept"),
    ("asks for weights", "dx = layer.backward(dy)",
     "dx = layer.backward(dy)\n    assert layer.weight.grad.any()", r"AttributeError|raised"),
]
