"""Wrong solutions of max_pool: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("u and v exchanged", "u, v = np.divmod", "v, u = np.divmod",
     r"exchanged|swapped|transposed|wrong (pixel|place)|wrong axes"),
    ("the least wins", "window.argmax(axis=2)", "window.argmin(axis=2)",
     r"wrong (pixel|place)|winner"),
    ("all equal maxima win",
     """winner[:, :, i, j] = window.argmax(axis=2)      # the first, where several tie
                y[:, :, i, j] = window.max(axis=2)
        self.remember(winner, x.shape, y=y)
        return y

    def backward(self, dy):
        winner, x_shape = self.recall(dy)
        K, s = self.kernel_size, self.stride
        N, C, OH, OW = dy.shape
        n, c = np.arange(N)[:, None], np.arange(C)              # (N, 1) and (C,): all pairs
        dx = np.zeros(x_shape, dtype=dy.dtype)
        for i in range(OH):
            for j in range(OW):
                u, v = np.divmod(winner[:, :, i, j], K)
                dx[n, c, i * s + u, j * s + v] = dy[:, :, i, j]
""",
     """y[:, :, i, j] = window.max(axis=2)
        self.remember(x, y, y=y)
        return y

    def backward(self, dy):
        x, y = self.recall(dy)
        K, s = self.kernel_size, self.stride
        OH, OW = dy.shape[2:]
        dx = np.zeros(x.shape, dtype=dy.dtype)
        for i in range(OH):
            for j in range(OW):
                window = (..., slice(i * s, i * s + K), slice(j * s, j * s + K))
                here = (..., slice(i, i + 1), slice(j, j + 1))
                dx[window] = dy[here] * (x[window] == y[here])
""", r"tie|equal maxima"),
    ("the last row is forgotten",
     "for i in range(OH):\n            for j in range(OW):\n                u, v",
     "for i in range(OH - 1):\n            for j in range(OW):\n                u, v",
     r"last.* never"),
    ("no stride in backward", "dx[n, c, i * s + u, j * s + v]", "dx[n, c, i + u, j + v]",
     r"stride|shifted|wrong (pixel|place)|overwr"),
    ("all for the first image", "np.arange(N)[:, None]", "np.zeros((N, 1), dtype=int)",
     r"only sample|only the first|sample|wrong pixel"),
    ("negative", "= dy[:, :, i, j]", "= -dy[:, :, i, j]", r"negative|sign"),
    ("never below zero", "= window.max(axis=2)", "= np.maximum(window.max(axis=2), 0)",
     r"negative numbers came out as 0"),
    ("the mean", "= window.max(axis=2)", "= window.mean(axis=2)", r"the mean of each window"),
    ("one pixel apart", "window = x[:, :, i * s:i * s + K, j * s:j * s + K]",
     "window = x[:, :, i:i + K, j:j + K]", r"one pixel after the one before"),
    ("over all channels", "= window.max(axis=2)", "= window.max(axis=(1, 2))[:, None]",
     r"over all channels too"),
    ("over everything", "= window.max(axis=2)", "= window.max()", r"all images and channels too"),
    ("rounded up", """OH, OW = (H - K) // s + 1, (W - K) // s + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        winner = np.zeros((N, C, OH, OW), dtype=int)
        for i in range(OH):
            for j in range(OW):
                window = x[:, :, i * s:i * s + K, j * s:j * s + K].reshape(N, C, K * K)""",
     """OH, OW = -(-(H - K) // s) + 1, -(-(W - K) // s) + 1
        y = np.zeros((N, C, OH, OW), dtype=x.dtype)
        winner = np.zeros((N, C, OH, OW), dtype=int)
        for i in range(OH):
            for j in range(OW):
                window = x[:, :, i * s:i * s + K, j * s:j * s + K].reshape(N, C, -1)""",
     r"rounded down"),
    ("y of fixed dtype", "y = np.zeros((N, C, OH, OW), dtype=x.dtype)",
     "y = np.zeros((N, C, OH, OW))", r"forward gave float64 for float32 .*dtype=x.dtype"),
]
