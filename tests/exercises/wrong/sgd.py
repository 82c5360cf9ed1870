"""Wrong solutions of sgd: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
V = "v = momentum * v - weight_decay * lr * w - lr * g"
W = "return w + v, v"

WRONG = [
    ("PyTorch's order", V + "\n    " + W,
     "v = momentum * v + g + weight_decay * w\n    return w - lr * v, v", r"outside the velocity"),
    ("uphill", "- lr * g", "+ lr * g", r"uphill"),
    ("decay without the rate", "weight_decay * lr * w", "weight_decay * w",
     r"lacks the learning rate"),
    ("decay grows weights", "- weight_decay", "+ weight_decay", r"wrong sign"),
    ("decay of v", "weight_decay * lr * w", "weight_decay * lr * v", r"pulls at v"),
    ("decay forgotten", " - weight_decay * lr * w", "", r"decay is missing"),
    ("old velocity", V + "\n    " + W,
     "old, v = v, momentum * v - weight_decay * lr * w - lr * g\n    return w + old, v",
     r"old velocity"),
    ("average", V, "v = momentum * v - (1 - momentum) * lr * (g + weight_decay * w)",
     r"an average"),
    ("wrong order", W, "return v, w + v", r"wrong order"),
    ("in place", V + "\n    " + W,
     "v *= momentum\n    v -= weight_decay * lr * w + lr * g\n    return w + v, v",
     r"wrote into|in place|changed"),
]
