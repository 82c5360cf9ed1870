"""Wrong solutions of global_avg_pool: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("not divided", "* dy / (H * W)", "* dy", r"H·W|divi|times"),
    ("divided by the height", "* dy / (H * W)", "* dy / H", r"\bW\b|divi|times|width"),
    ("divided by the batch too", "* dy / (H * W)", "* dy / (H * W * x_shape[0])",
     r"1/N|batch"),
    ("only one pixel", "return np.ones(x_shape, dtype=dy.dtype) * dy / (H * W)",
     "dx = np.zeros(x_shape, dtype=dy.dtype)\n        dx[:, :, :1, :1] = dy\n        return dx",
     r"only|zero|missing|never"),
    ("float64", "np.ones(x_shape, dtype=dy.dtype)", "np.ones(x_shape)", r"float64|dtype"),
    ("not spread out", "np.ones(x_shape, dtype=dy.dtype) * dy", "dy", r"shape"),
    ("the sum", "x.mean(axis=(2, 3), keepdims=True)", "x.sum(axis=(2, 3), keepdims=True)",
     r"the sum of each channel came out"),
    ("over the batch too", "x.mean(axis=(2, 3), keepdims=True)",
     "x.mean(axis=(0, 2, 3), keepdims=True) + np.zeros_like(x[:, :, :1, :1])",
     r"over the batch too"),
]
