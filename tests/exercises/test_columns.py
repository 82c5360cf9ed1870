"""columns: the given im2col and col2im against the plain loops."""
import numpy as np
import pytest

from scratchnet import naive
from scratchnet.exercises.columns import col2im, im2col

GEOMETRIES = pytest.mark.parametrize("kernel, stride, padding", [
    ((3, 3), (1, 1), (0, 0)), ((2, 4), (1, 1), (1, 2)), ((3, 2), (2, 3), (0, 1)),
    ((2, 3), (3, 4), (0, 0)), ((1, 1), (2, 1), (0, 0))])


@GEOMETRIES
def test_filters_times_columns_is_the_convolution(kernel, stride, padding):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 7, 8)), rng.standard_normal((4, 3, *kernel))
    expected = naive.conv2d(x, w, None, stride, padding)
    y = w.reshape(4, -1) @ im2col(x, kernel, stride, padding)
    y = y.reshape(4, 2, *expected.shape[2:]).transpose(1, 0, 2, 3)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@GEOMETRIES
def test_col2im_is_the_transpose_of_im2col(kernel, stride, padding):
    """⟨im2col(x), c⟩ = ⟨x, col2im(c)⟩ for all x and c."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 7, 8), dtype=np.float32)
    columns = im2col(x, kernel, stride, padding)
    assert columns.dtype == np.float32
    c = rng.standard_normal(columns.shape)
    dx = col2im(c, x.shape, kernel, stride, padding)
    assert dx.shape == x.shape and dx.dtype == c.dtype
    np.testing.assert_allclose((columns * c).sum(), (x * dx).sum(), rtol=1e-12)


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match=r"\(5, 2\) on \(4, 6\)"):
        im2col(np.zeros((1, 1, 4, 6)), (5, 2), (1, 1), (0, 0))
    with pytest.raises(ValueError, match="fits on the image"):
        col2im(np.zeros((10, 0)), (1, 1, 4, 6), (5, 2), (1, 1), (0, 0))
