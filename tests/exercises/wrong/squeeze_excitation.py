"""Wrong solutions of squeeze_excitation: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("only the direct way", "return direct + ds", "return direct", r"through s|cross"),
    ("only the way through s", "return direct + ds", "return ds + 0 * direct",
     r"\bown\b|direct term"),
    ("mean instead of sum", ".sum(axis=(2, 3), keepdims=True)", ".mean(axis=(2, 3), "
     "keepdims=True)", r"mean instead of sum|1/\(?H|cross .* multiplied"),
    ("ds without x", "ds = (dy * x)", "ds = dy", r"cross|through|factor x is missing"),
    ("ds with s", "ds = (dy * x)", "ds = (dy * s)", r"cross|through|where x is meant"),
    ("summed over the batch too", "ds = (dy * x).sum(axis=(2, 3), keepdims=True)",
     "ds = (dy * x).sum(axis=(0, 2, 3), keepdims=True) * np.ones_like(s)",
     r"axes|sample|batch"),
    ("keepdims forgotten", "(axis=(2, 3), keepdims=True)", "(axis=(2, 3))",
     r"ValueError|dy to be like y|shape"),
    ("direct way with x", "direct = dy * s", "direct = dy * x", r"\bown\b|direct term"),
    ("the sigmoid skipped", "(self.sigmoid, self.fc2, self.relu, self.fc1, self.avg_pool)",
     "(self.fc2, self.relu, self.fc1, self.avg_pool)", r"sigmoid|slope|cross"),
    ("the difference", "return direct + ds", "return direct - ds", r"sign|negative"),
    ("added in forward", "y = x * s", "y = x + s", r"s is a factor"),
    ("no sigmoid in forward", "self.relu, self.fc2, self.sigmoid)", "self.relu, self.fc2)",
     r"between 0 and 1"),
]
