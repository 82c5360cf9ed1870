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
    ("over all channels", "= window.max(axis=2)", "= window.max(axis=(1, 2))[:, None]",
     r"over all channels too"),
    ("over everything", "= window.max(axis=2)", "= window.max()", r"all images and channels too"),
    ("rounded up", """OH, OW = (H + 2 * p - K) // s + 1, (W + 2 * p - K) // s + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        winner = np.zeros((N, C, OH, OW), dtype=int)
        for i in range(OH):
            for j in range(OW):
                window = padded[:, :, i * s:i * s + K, j * s:j * s + K].reshape(N, C, K * K)""",
     """OH, OW = -(-(H + 2 * p - K) // s) + 1, -(-(W + 2 * p - K) // s) + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        winner = np.zeros((N, C, OH, OW), dtype=int)
        for i in range(OH):
            for j in range(OW):
                window = padded[:, :, i * s:i * s + K, j * s:j * s + K].reshape(N, C, -1)""",
     r"rounded down"),
]
