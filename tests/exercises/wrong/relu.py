"""Wrong solutions of relu: (id, old text in the solution, new text, what the cause must say).

`old` occurs exactly once in tests/exercises/solutions/relu.py; the last column is a regular
expression that the first cause of the result must match, and that no right hint for another
of these mistakes would match; or None for a mistake that is found, but not named rightly yet.
"""
WRONG = [
    ("no mask", "return dy * positive", "return dy * 1.0", r"mask"),
    ("negative", "return dy * positive", "return -dy * positive", r"negative|sign"),
    ("writes into dy", "return dy * positive", "dy *= positive\n        return dy",
     r"wrote into dy|in place"),
    ("mask from dy", "return dy * positive", "return dy * (dy > 0)", r"not linear|depend on dy"),
    ("absolute", "np.maximum(x, 0)", "np.abs(x)", r"came out positive"),
]
