"""Wrong solutions of nas_cell: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("the last reader wins", "d[name] = d[name] + gradient if name in d else gradient",
     "d[name] = gradient", r"missing|add|sum|branch|term"),
    ("the first reader wins", "d[name] = d[name] + gradient if name in d else gradient",
     "d.setdefault(name, gradient)", r"missing|add|sum|branch|term"),
    ("added in place", "d[name] = d[name] + gradient if name in d else gradient",
     "if name in d:\n                d[name] += gradient\n            else:\n"
     "                d[name] = gradient", r"wrote into dy|in place"),
    ("from the first row", "for i in reversed(range(len(self.genotype))):",
     "for i in range(len(self.genotype)):", r"KeyError|missing|order"),
    ("dh and dp swapped", 'return d["h"], d["p"]', 'return d["p"], d["h"]',
     r"swap|order|gradient of (h|p)"),
    ("the right operation forgotten",
     "            collect(b, self.right[i].backward(d[str(i)]))\n",
     "            collect(b, d[str(i)])\n", r"right|missing|all zeros|mask|was not applied"),
    ("pieces in reverse order", "parts = np.split(dy, len(self.outputs), axis=1)",
     "parts = np.split(dy, len(self.outputs), axis=1)[::-1]",
     r"channel|split|order|shifted|swap"),
    ("averaged over readers", "d[name] = d[name] + gradient if", "d[name] = (d[name] + gradient) "
     "/ 2 if", r"1/2|0\.5|half|mean"),
    ("outputs in reverse order", "[value[name] for name in self.outputs]",
     "[value[name] for name in self.outputs[::-1]]", r"wrong order"),
    ("h and p swapped in forward", 'value = {"h": h, "p": p}', 'value = {"h": p, "p": h}',
     r"h and p are swapped"),
]
