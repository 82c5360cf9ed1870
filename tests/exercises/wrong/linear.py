"""Wrong solutions of linear: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
DW = "self.weight.grad += dy.T @ x"
DB = "self.bias.grad += dy.sum(axis=0)"
DX = "return dy @ self.weight.value"

WRONG = [
    ("no bias", " + self.bias.value", "", r"bias is missing"),
    ("activation inside", "@ self.weight.value.T + self.bias.value",
     "@ self.weight.value.T + self.bias.value\n        y = np.maximum(y, 0)",
     r"came out as 0"),
    ("dw assigned", DW, "self.weight.grad = dy.T @ x", r"\+=|assign"),
    ("dw a mean", DW, "self.weight.grad += dy.T @ x / len(x)", r"1/N|batch|mean"),
    ("dw of one sample", DW, "self.weight.grad += dy[:1].T @ x[:1]", r"only (the first )?sample"),
    ("dw negative", DW, "self.weight.grad -= dy.T @ x", r"negative|sign"),
    ("db a mean", DB, "self.bias.grad += dy.mean(axis=0)", r"mean|1/N|batch"),
    ("db over everything", DB, "self.bias.grad += dy.sum()",
     r"wrong ax[ei]s|every ax|all ax|too many axes"),
    ("db forgotten", DB, "pass", r"all zeros"),
    ("dx masked", DX, "return dy @ self.weight.value * (x > 0)", r"mask"),
    ("dx with w squared", DX, "return dy @ self.weight.value ** 2", r"weight"),
    ("writes into dy", DB, DB + "\n        dy *= 1.5", r"wrote into dy|in place"),
]
