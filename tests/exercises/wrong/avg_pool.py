"""Wrong solutions of avg_pool: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("assigned", "+= share", "= share", r"overlap"),
    ("not divided", "share = dy / m", "share = dy", r"divi|times"),
    ("divided by the side", "share = dy / m", "share = dy / self.kernel_size",
     r"kernel|divi|times"),
    ("divided by the whole kernel", "share = dy / m", "share = dy / self.kernel_size ** 2",
     r"padding|border|count"),
    ("border cut off at the other end", "padded[:, :, p:p + H, p:p + W]", "padded[:, :, :H, :W]",
     r"shifted|padding"),
    ("the last column is forgotten",
     "for j in range(OW):\n                padded",
     "for j in range(OW - 1):\n                padded",
     r"last.* never"),
    ("only the corner", "padded[:, :, i * s:i * s + K, j * s:j * s + K] += share[:, :, i:i + 1, "
     "j:j + 1]", "padded[:, :, i * s, j * s] += share[:, :, i, j]",
     r"never|missing|only|zero"),
    ("the sum", ".sum(axis=(2, 3)) / m[i, j]", ".sum(axis=(2, 3))",
     r"the sum of each window"),
    ("padding always counted", "int(self.count_include_pad)", "1",
     r"count_include_pad=False makes no difference"),
]
