"""Wrong solutions of convolution: (id, old text in the solution, new text, what the cause must
say). See relu.py for what the columns mean."""
WRONG = [
    ("flipped", "np.sum(w[o] * patch)", "np.sum(w[o, :, ::-1, ::-1] * patch)", r"180°"),
    ("no bias", " + b[o]", "", r"bias is missing"),
    ("bias in the sum", "np.sum(w[o] * patch) + b[o]", "np.sum(w[o] * patch + b[o])",
     r"once for each product"),
    ("stride ignored", "i * stride, j * stride", "i, j", r"moves by one pixel"),
    ("edges repeated", "    y = np.zeros(", "    padded = np.pad(x, ((0, 0), (0, 0), (padding, "
     "padding), (padding, padding)), mode=\"edge\")\n    y = np.zeros(", r"repeats the image"),
    ("first channel only", "w[o] * patch", "w[o, 0] * patch[0]", r"only the first channel"),
    ("channels overwritten", "y[n, o, i, j] = np.sum(w[o] * patch) + b[o]",
     "for c in range(C):\n"
     "                        y[n, o, i, j] = (w[o, c] * patch[c]).sum() + b[o]",
     r"only the last channel"),
    ("last row missing", "for i in range(OH):", "for i in range(OH - 1):", r"last row"),
    ("padding not in the middle", "padding:padding + H, padding:padding + W", ":H, :W",
     r"shifted"),
    ("not padded", "    OH = (H + 2 * padding", "    padding = 0\n    OH = (H + 2 * padding",
     r"padding is ignored"),
    ("y of fixed dtype", "y = np.zeros((N, O, OH, OW), dtype=x.dtype)",
     "y = np.zeros((N, O, OH, OW))", r"conv2d gave float64 for float32"),
]
