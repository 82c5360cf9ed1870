"""The solution of hunt_stale, as a good student writes it."""
import numpy as np


def test(make):
    """Raise AssertionError if the layer that make() builds is wrong."""
    layer = make()
    rng = np.random.default_rng(0)
    for step in range(3):
        if step > 0:
            layer.forward(rng.standard_normal((3, 4)))      # an evaluation
        x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
        y = layer.forward(x)
        dx = layer.backward(dy)
        assert np.allclose(y, np.tanh(x))
        assert np.allclose(dx, dy * (1 - np.tanh(x) ** 2))
