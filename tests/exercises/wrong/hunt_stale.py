"""Weak tests for hunt_stale: (id, old text, new text, what the result must say)."""
WRONG = [
    ("one call only", "for step in range(3):", "for step in range(1):",
     r"expose|wrong layer|accept"),
    ("a new layer each time", "    for step in range(3):\n",
     "    for step in range(3):\n        layer = make()\n        step = 0\n",
     r"expose|wrong layer|accept"),
    ("no evaluation", "if step > 0:", "if step > 3:", r"expose|wrong layer|accept"),
    ("always the same x", "x, dy = rng.standard_normal((3, 4)),", "x, dy = np.full((3, 4), 0.5),",
     r"expose|wrong layer|accept"),
    ("another shape each time", "x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))",
     "x, dy = rng.standard_normal((3, 5 + step)), rng.standard_normal((3, 5 + step))",
     r"expose|wrong layer|accept|raised"),
    ("y only", "        assert np.allclose(dx, dy * (1 - np.tanh(x) ** 2))\n", "",
     r"expose|wrong layer|accept"),
    ("backward twice", "dx = layer.backward(dy)\n", "dx = layer.backward(dy)\n"
     "        assert np.array_equal(dx, layer.backward(dy))\n", r"RuntimeError|raised"),
    ("bit for bit", "np.allclose(dx, dy * (1 - np.tanh(x) ** 2))",
     "np.array_equal(dx, dy * (1 - np.tanh(x) ** 2))", r"refuse|right layer|reject"),
]
