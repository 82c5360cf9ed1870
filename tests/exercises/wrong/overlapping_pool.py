"""Wrong solutions of overlapping_pool: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("assigned", "+= dy[:, :, i, j]", "= dy[:, :, i, j]", r"overlap"),
    ("border cut off at the other end", "padded[:, :, p:p + H, p:p + W]", "padded[:, :, :H, :W]",
     r"shifted|padding"),
    ("border cut off by -p", "padded[:, :, p:p + H, p:p + W]", "padded[:, :, p:-p, p:-p]",
     r"shape|empty|-0"),
    ("border left on", "padded[:, :, p:p + H, p:p + W]", "padded", r"shape"),
    ("u and v exchanged", "u, v = np.divmod", "v, u = np.divmod",
     r"exchanged|swapped|transposed|wrong (pixel|place)|wrong axes"),
    ("corner without stride", "i * s + u, j * s + v", "i + u, j + v",
     r"stride|wrong (pixel|place)"),
    ("writes into dy", "OH, OW = dy.shape[2:]\n", "OH, OW = dy.shape[2:]\n        dy *= 1.5\n",
     r"wrote into dy"),
    ("padded with zeros", "constant_values=-np.inf", "constant_values=0",
     r"negative maxima came out as 0"),
    ("not padded", "K, s, p = self.kernel_size, self.stride, self.padding\n        padded = np.pad",
     "K, s, p = self.kernel_size, self.stride, 0\n        padded = np.pad", r"padding is ignored"),
]
