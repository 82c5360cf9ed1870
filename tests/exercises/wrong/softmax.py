"""Wrong solutions of softmax: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
WRONG = [
    ("not averaged", "labels].mean()", "labels].sum()", r"grows with the batch"),
    ("averaged over all", "labels].mean()", "labels].sum() / logits.size", r"N·C"),
    ("positive", "return -log_p", "return log_p", r"negative|sign"),
    ("over the batch", "logits.max(axis=1, keepdims=True)\n        log_p = z - "
     "np.log(np.exp(z).sum(axis=1, keepdims=True))", "logits.max(axis=0, keepdims=True)\n"
     "        log_p = z - np.log(np.exp(z).sum(axis=0, keepdims=True))", r"over the images"),
    ("overflows", "logits - logits.max(axis=1, keepdims=True)", "logits",
     r"NaN|nan|not finite|infinit|overflow|not a number"),
    ("one-hot missing", "dz[np.arange(N), labels] -= 1", "pass", r"term is missing|one-hot|label"),
    ("one-hot in every row", "dz[np.arange(N), labels] -= 1", "dz[:, labels] -= 1",
     r"one-hot|label|batch of one"),
    ("one-hot added", "labels] -= 1", "labels] += 1", r"sign|one-hot|label"),
    ("gradient not averaged", "dz *= dy / N", "dz *= dy", r"times N\b|1/N|batch"),
    ("gradient averaged over all", "dz *= dy / N", "dz *= dy / dz.size", r"1/C|classes|channel"),
    ("negative", "dz *= dy / N", "dz *= -dy / N", r"negative|sign"),
    ("dy ignored", "dz *= dy / N", "dz /= N", r"not linear|multiply by dy|dy = 0|ignor"),
    ("every image with every label", "log_p[np.arange(N), labels].mean()",
     "log_p[:, labels].mean()", r"labels of all images"),
]
