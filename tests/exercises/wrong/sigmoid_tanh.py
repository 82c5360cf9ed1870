"""Wrong solutions of sigmoid_tanh: (id, old text in the solution, new text, what the cause must
say). See relu.py for what the columns mean."""
SIGMOID = "return dy * y * (1 - y)"
TANH = "return dy * (1 - y ** 2)"

WRONG = [
    ("mirrored", "np.where(positive, 1 / (1 + z), z / (1 + z))",
     "np.where(positive, z / (1 + z), 1 / (1 + z))", r"falls where it should rise"),
    ("overflows", "np.where(positive, 1 / (1 + z), z / (1 + z))", "np.exp(x) / (1 + np.exp(x))",
     r"NaN|nan|not finite|infinit|overflow|not a number"),
    ("stretched sigmoid", "np.tanh(x)", "2 / (1 + np.exp(-x)) - 1", r"half as steep"),
    ("slope at x", "self.remember(y, y=y)\n        return y\n\n    def backward(self, dy):\n"
     "        y, = self.recall(dy)\n        return dy * y * (1 - y)",
     "self.remember(x, y=y)\n        return y\n\n    def backward(self, dy):\n"
     "        y, = self.recall(dy)\n        return dy * y * (1 - y)",
     r"slope|local derivative|\bx\b.*\by\b|\by\b.*\bx\b"),
    ("half of the slope", SIGMOID, "return dy * y", r"slope|local derivative|factor|1 [-−] y"),
    ("the sigmoid's slope", TANH, "return dy * y * (1 - y)", r"slope|local derivative|factor"),
    ("y not squared", TANH, "return dy * (1 - y)", r"slope|local derivative|factor|y²"),
    ("negative", TANH, "return dy * (y ** 2 - 1)", r"negative|sign"),
    ("dy ignored", SIGMOID, "return y * (1 - y)", r"not linear|multiply by dy|dy = 0|ignor"),
    ("writes into y", TANH, "y *= y\n        return dy * (1 - y)", r"wrote into the y|in place"),
]
