"""Toom–Cook: exact in rational numbers, for every size that there are points for."""
from fractions import Fraction

import numpy as np
import pytest

from scratchnet.convolution.toom_cook import POINTS, matrices


@pytest.mark.parametrize("m, r", [(m, r) for m in range(1, 7) for r in range(1, 6)
                                  if m + r - 1 <= len(POINTS) + 1])
def test_correlation(m, r):
    BT, G, AT = (matrix.astype(np.float64) for matrix in matrices(m, r))
    assert BT.shape == (m + r - 1, m + r - 1) and G.shape == (m + r - 1, r)
    assert AT.shape == (m, m + r - 1)
    rng = np.random.default_rng(0)
    g, d = rng.standard_normal(r), rng.standard_normal(m + r - 1)
    y = AT @ ((G @ g) * (BT @ d))
    np.testing.assert_allclose(y, [g @ d[i:i + r] for i in range(m)], atol=2e-6)


def test_on_paper():
    """F(4, 3), as printed by Lavin and Gray."""
    BT, G, AT = matrices(4, 3)
    assert BT.tolist() == [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                           [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
    G_paper = [["1/4", 0, 0], ["-1/6", "-1/6", "-1/6"], ["-1/6", "1/6", "-1/6"],
               ["1/24", "1/12", "1/6"], ["1/24", "-1/12", "1/6"], [0, 0, 1]]
    np.testing.assert_array_equal(
        G, np.array([[float(Fraction(v)) for v in row] for row in G_paper], np.float32))
    assert AT.tolist() == [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0],
                           [0, 1, -1, 8, -8, 1]]
