"""Wrong solutions of residual: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("the shortcut forgotten", "return df + dsum", "return df", r"shortcut"),
    ("the chain forgotten", "return df + dsum", "return dsum", r"chain|branch|missing|body"),
    ("the shortcut from before the ReLU", "return df + dsum", "return df + dy",
     r"shortcut|mask|ReLU"),
    ("no last ReLU in backward", "dsum = self.relu.backward(dy)", "dsum = dy", r"mask|ReLU"),
    ("the shortcut twice", "return df + dsum", "return df + 2 * dsum", r"shortcut|twice"),
    ("relu1 skipped", "(self.bn2, self.conv2, self.relu1, self.bn1, self.conv1)",
     "(self.bn2, self.conv2, self.bn1, self.conv1)", r"mask|ReLU|relu1"),
    ("the parts from the front", "(self.bn2, self.conv2, self.relu1, self.bn1, self.conv1)",
     "(self.conv1, self.bn1, self.relu1, self.conv2, self.bn2)",
     r"order|ValueError|dy to be like y|part"),
    ("adds into x", "return self.relu.forward(x + f)", "x += f\n        return "
     "self.relu.forward(x)", r"wrote into its input|in place"),
    ("the shortcut subtracted", "return df + dsum", "return df - dsum", r"shortcut|sign"),
    ("no shortcut in forward", "self.relu.forward(x + f)", "self.relu.forward(f)",
     r"shortcut is missing"),
    ("no ReLU in forward", "self.relu.forward(x + f)", "x + f", r"last ReLU is missing"),
    ("ReLU before the sum", "self.relu.forward(x + f)", "x + self.relu.forward(f)",
     r"too soon"),
]
