"""Wrong solutions of dropout: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("a new mask", "factor, = self.recall(dy)\n",
     "factor, = self.recall(dy)\n"
     "        if self.training:\n"
     "            kept = self.rng.random(dy.shape) >= self.p\n"
     "            factor = kept.astype(dy.dtype) / (1 - self.p)\n",
     r"mask|drew|draws|anew|random"),
    ("no mask", "return dy * factor", "return dy / (1 - self.p)", r"mask"),
    ("not scaled", "return dy * factor", "return dy * (factor != 0)", r"1 ?[-−] ?p|scale|times"),
    ("mask without the factor of evaluation", "return dy * m", "return dy * (m != 0)",
     r"1 ?[-−] ?p|scale|times"),
    ("writes into dy", "return dy * factor", "dy *= factor\n        return dy", r"wrote into dy"),
    ("mask from dy", "return dy * m", "return dy * m * (dy > 0)", r"not linear|depend on dy"),
    ("drops in evaluation", "if self.training:\n            factor", "if True:\n            factor",
     r"silenced in evaluation too"),
    ("divided by p", ".astype(x.dtype) / (1 - self.p)", ".astype(x.dtype) / self.p",
     r"divided by p"),
    ("evaluation not scaled", "if self.training else 1 - self.p", "if self.training else 1.0",
     r"evaluation returned x itself"),
    ("evaluation times p", "if self.training else 1 - self.p", "if self.training else self.p",
     r"multiplied by p"),
    ("never scaled", ".astype(x.dtype) / (1 - self.p)", ".astype(x.dtype)", r"came out unscaled"),
    ("kept with p", "(self.rng.random(x.shape) >= self.p).astype(x.dtype)",
     "(self.rng.random(x.shape) < self.p).astype(x.dtype)", r"the wrong part was silenced"),
]
