"""The solution of sgd, as a good student writes it."""


def sgd_step(w, v, g, lr, momentum, weight_decay):
    """Return (w, v) after one step."""
    v = momentum * v - weight_decay * lr * w - lr * g
    return w + v, v
