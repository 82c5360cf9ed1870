"""Wrong solutions of conv2d: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
DW = "self.weight.grad += (dy @ columns.T).reshape(w.shape)"
DB = "self.bias.grad += dy.sum(axis=1)"
DX = "return col2im(dcolumns, x_shape, self.kernel_size, self.stride, self.padding)"

WRONG = [
    ("no bias", " + self.bias.value[:, None]", "", r"bias is missing"),
    ("batch and filters mixed", "y.reshape(O, N, OH, OW).transpose(1, 0, 2, 3)",
     "y.reshape(N, O, OH, OW)", r"images and filters are mixed"),
    ("y sideways", "y.reshape(O, N, OH, OW).transpose(1, 0, 2, 3)",
     "y.reshape(O, N, OW, OH).transpose(1, 0, 3, 2)", r"height and width of y"),
    ("flipped in forward", "self.weight.value.reshape(O, -1) @",
     "self.weight.value[:, :, ::-1, ::-1].reshape(O, -1) @", r"180°"),
    ("dy not transposed", "dy.transpose(1, 0, 2, 3).reshape(O, -1)", "dy.reshape(O, -1)",
     r"transpose|reshape|order"),
    ("flipped in dx", "dcolumns = w.reshape", "dcolumns = w[:, :, ::-1, ::-1].reshape",
     r"flipped|180°"),
    ("dw flipped", DW,
     "self.weight.grad += (dy @ columns.T).reshape(w.shape)[:, :, ::-1, ::-1]",
     r"flipped|180°"),
    ("dw assigned", DW, "self.weight.grad = (dy @ columns.T).reshape(w.shape)", r"\+=|assign"),
    ("dw a mean over the batch", DW,
     "self.weight.grad += (dy @ columns.T).reshape(w.shape) / x_shape[0]", r"1/N|batch"),
    ("db a mean", DB, "self.bias.grad += dy.mean(axis=1)", r"mean"),
    ("db of one pixel", DB, "self.bias.grad += dy[:, 0]", r"only|missing"),
    ("dx negative", DX, DX.replace("dcolumns,", "-dcolumns,"),
     r"negative|sign"),
    ("columns of the first call", "self.remember(x.shape, columns, y=y)",
     "self.kept = getattr(self, \"kept\", columns)\n"
     "        self.remember(x.shape, self.kept, y=y)", r"stale|first|remember"),
    ("not padded", "        OH = (H + 2 *", "        self.padding = (0, 0)\n        OH = (H + 2 *",
     r"padding is ignored"),
]
