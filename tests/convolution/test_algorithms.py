"""The algorithms of convolution: equal to the plain loops, and as sparing as they promise."""
import tracemalloc

import numpy as np
import pytest
from layer_cases import CONV

from scratchnet import convolution, naive
from scratchnet.backend.parallel import limited
from scratchnet.convolution import (
    Geometry,
    depthwise,
    depthwise_strips,
    im2col,
    kn2row,
    pointwise,
    space_to_depth,
    winograd,
    winograd_rows,
)
from scratchnet.convolution.geometry import output_shape
from scratchnet.layers import Conv2d


def setting(case, dtype=np.float64):
    """x, w, dy and the geometry of one case."""
    layer, (x,) = case.layer(dtype), case.inputs(dtype)
    y_shape = naive.conv2d(x, layer.weight.value, None, *layer.geometry).shape
    dy = np.random.default_rng(5).standard_normal(y_shape).astype(dtype)
    return x, layer.weight.value, dy, layer.geometry


def peak(compute):
    """The most bytes that `compute` held at once, its result included."""
    tracemalloc.start()
    try:
        compute()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


POINTWISE = [c for c in CONV if c.id.startswith("conv 1x1") and "padding" not in c.id]
DEPTHWISE = [c for c in CONV if "depthwise" in c.id and "x2" not in c.id]


@pytest.mark.parametrize("algorithm, tile, case", [
    *[pytest.param(im2col, tile, c, id=f"im2col {tile} bytes, {c}")
      for tile in (im2col.CPU_TILE, 4000, 700, 1) for c in CONV],
    *[pytest.param(pointwise, 1, c, id=f"pointwise, {c}") for c in POINTWISE],
    *[pytest.param(depthwise, tile, c, id=f"depthwise {tile} bytes, {c}")
      for tile in (depthwise.CPU_TILE, 700, 1) for c in DEPTHWISE]])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)],
                         ids=["float64", "float32"])
def test_equals_the_plain_loops(algorithm, tile, case, dtype, tolerance, monkeypatch):
    """In tiles of any size: the whole batch, a few images, a few rows or channels, one of them."""
    if algorithm is not pointwise:
        monkeypatch.setattr(algorithm, "CPU_TILE", tile)
    if algorithm is im2col:
        monkeypatch.setattr(im2col, "COLUMNS", 1)
    x, w, dy, geometry = setting(case, dtype)
    dx, dw, _ = naive.conv2d_backward(dy, x, w, *geometry)
    for ours, expected in [
            (algorithm.forward(x, w, geometry), naive.conv2d(x, w, None, *geometry)),
            (algorithm.backward_x(dy, w, x.shape, geometry), dx),
            (algorithm.backward_w(x, dy, w.shape, geometry), dw)]:
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


WINOGRAD = [(shape, outputs, padding) for shape in (
    (1, 1, 3, 3), (2, 3, 4, 4), (3, 5, 7, 7), (2, 16, 14, 13), (1, 4, 9, 30), (5, 8, 6, 17),
    (9, 3, 5, 9), (4, 2, 13, 13))
    for outputs in (1, 6) for padding in ((0, 0), (1, 1), (2, 2), (1, 0), (0, 2))]


@pytest.mark.parametrize("shape, outputs, padding", WINOGRAD, ids=str)
@pytest.mark.parametrize("algorithm, tile", [
    (winograd, {"BLOCK": 1, "TILES": 1}), (winograd, {"BLOCK": 6000, "TILES": 1}), (winograd, {}),
    (winograd_rows, {"PIXELS": 1, "NUMBERS": 1}),
    (winograd_rows, {"PIXELS": 30, "NUMBERS": 1}), (winograd_rows, {})],
    ids=lambda value: getattr(value, "__name__", str(value)).split(".")[-1])
def test_winograd_equals_the_plain_loops(shape, outputs, padding, algorithm, tile, monkeypatch):
    for name, value in tile.items():
        monkeypatch.setattr(algorithm, name, value)
    rng, geometry = np.random.default_rng(0), Geometry(padding=padding)
    x = rng.standard_normal(shape, dtype=np.float32)
    w = rng.standard_normal((outputs, shape[1], 3, 3), dtype=np.float32)
    b = rng.standard_normal(outputs, dtype=np.float32)
    y = naive.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *geometry)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    dx, dw, _ = naive.conv2d_backward(*(a.astype(np.float64) for a in (dy, x, w)), *geometry)
    for threads in (1, 2, 3):
        with limited(threads):
            for ours, expected in [
                    (algorithm.forward(x, w, geometry, b), y),
                    (algorithm.backward_x(dy, w, x.shape, geometry), dx),
                    (algorithm.backward_w(x, dy, w.shape, geometry), dw)]:
                assert ours.dtype == np.float32 and ours.flags.c_contiguous
                assert abs(ours - expected).max() <= 5e-5 * abs(expected).max()


def test_an_image_is_mixed_with_its_three_neighbours_at_most():
    """13×13, four in one: the sixth of ten lies beside the fifth, above the seventh and eighth."""
    x, w = np.ones((10, 2, 13, 13), np.float32), np.ones((3, 2, 3, 3), np.float32)
    geometry = Geometry(padding=(1, 1))
    x[5, 0, 6, 0] = np.nan                          # at its left edge, in one tile
    for found in (winograd.forward(x, w, geometry),
                  winograd.backward_x(x, w.swapaxes(0, 1), (10, 3, 13, 13), geometry)):
        expected = np.zeros((10, 3, 13, 13), bool)
        expected[4, :, 4:8, 12], expected[5, :, 4:8, :2] = True, True
        np.testing.assert_array_equal(np.isnan(found), expected)
    x[5, 0, 12, 0] = np.nan                         # and in the corner where four meet
    spoilt = np.isnan(winograd.forward(x, w, geometry)).any(axis=(1, 2, 3))
    assert np.flatnonzero(spoilt).tolist() == [4, 5, 6, 7]


def test_winograd_cuts_four_images_in_one_where_that_is_fewer_tiles():
    of = winograd._Layout.of
    assert of(32, (13, 13), (1, 1))[1:4] == (8, 7, 7)           # 27×27, not 4 · 4×4 tiles
    assert of(30, (13, 13), (1, 1)).images == 8                 # two of the last four are missing
    assert of(5, (13, 13), (1, 1))[1:4] == (5, 4, 4)            # three of the last four would be
    assert of(32, (14, 14), (1, 1))[1:4] == (32, 4, 4)          # 29×29 are 8×8 tiles: no fewer
    assert list(of(6, (5, 5), (1, 1)).places(1)) == [(4, 0, 0), (5, 0, 6)]


FIVES = [((2, 6, 9, 8), 4, (2, 2), 2), ((1, 3, 5, 5), 2, (0, 0), 1), ((3, 2, 1, 6), 2, (4, 3), 1),
         ((2, 4, 14, 7), 6, (1, 4), 2), ((1, 2, 30, 11), 3, (2, 0), 1)]


@pytest.mark.parametrize("shape, outputs, padding, groups", FIVES, ids=str)
@pytest.mark.parametrize("K", [2, 3, 4, 5])
@pytest.mark.parametrize("pixels", [1, 30, winograd_rows.PIXELS])
def test_winograd_along_one_axis_with_any_taps_and_groups(shape, outputs, padding, groups, K,
                                                           pixels, monkeypatch):
    monkeypatch.setattr(winograd_rows, "PIXELS", pixels)
    monkeypatch.setattr(winograd_rows, "NUMBERS", 1)
    rng, padding = np.random.default_rng(0), tuple(min(p, K - 1) for p in padding)
    geometry = Geometry(padding=padding, groups=groups)
    x, w, b = (rng.standard_normal(size, dtype=np.float32) for size in (
        shape, (outputs, shape[1] // groups, K, K), outputs))
    y = naive.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *geometry)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    dx, dw, _ = naive.conv2d_backward(*(a.astype(np.float64) for a in (dy, x, w)), *geometry)
    for threads in (1, 3):
        with limited(threads):
            for ours, expected in [
                    (winograd_rows.forward(x, w, geometry, b), y),
                    (winograd_rows.backward_x(dy, w, x.shape, geometry), dx),
                    (winograd_rows.backward_w(x, dy, w.shape, geometry), dw)]:
                assert ours.dtype == np.float32 and ours.shape == expected.shape
                assert abs(ours - expected).max() <= 5e-5 * abs(expected).max()


SHIFTED = [((2, 3, 5, 6), 2, (3, 3)), ((5, 4, 7, 4), 3, (3, 3)), ((1, 2, 1, 1), 1, (3, 3)),
           ((3, 2, 9, 5), 4, (5, 3)), ((4, 3, 2, 7), 2, (1, 5)), ((7, 1, 4, 3), 3, (3, 1)),
           ((2, 2, 3, 2), 2, (7, 7)), ((3, 5, 6, 1), 2, (3, 3))]


@pytest.mark.parametrize("shape, outputs, kernel", SHIFTED, ids=str)
@pytest.mark.parametrize("tile", [kn2row.TILE, 3000, 1])
def test_shifted_and_added_equals_the_plain_loops(shape, outputs, kernel, tile, monkeypatch):
    monkeypatch.setattr(kn2row, "TILE", tile)
    geometry = Geometry(padding=tuple(K // 2 for K in kernel))
    assert kn2row.fits((outputs, shape[1], *kernel), geometry, np.float32)
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(size, dtype=np.float32) for size in (
        shape, (outputs, shape[1], *kernel), outputs))
    y = naive.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *geometry)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    dx, dw, _ = naive.conv2d_backward(*(a.astype(np.float64) for a in (dy, x, w)), *geometry)
    for threads in (1, 3):
        with limited(threads):
            for ours, expected in [
                    (kn2row.forward(x, w, geometry, b), y),
                    (kn2row.forward(x, w, geometry), y - b[:, None, None]),
                    (kn2row.backward_x(dy, w, x.shape, geometry), dx),
                    (kn2row.backward_w(x, dy, w.shape, geometry), dw)]:
                assert ours.dtype == np.float32 and ours.flags.c_contiguous
                np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("w_shape, geometry, dtype", [
    ((2, 4, 3, 3), Geometry(), np.float32),                         # images that shrink
    ((2, 4, 3, 3), Geometry(padding=(1, 2)), np.float32),
    ((2, 4, 2, 3), Geometry(padding=(1, 1)), np.float32),
    ((2, 4, 3, 3), Geometry((1, 2), (1, 1)), np.float32),
    ((2, 4, 3, 3), Geometry(padding=(1, 1), dilation=(2, 1)), np.float32),
    ((2, 2, 3, 3), Geometry(padding=(1, 1), groups=2), np.float32),
    ((2, 4, 3, 3), Geometry(padding=(1, 1)), np.float64)])
def test_what_cannot_be_shifted_and_added(w_shape, geometry, dtype):
    assert not kn2row.fits(w_shape, geometry, dtype)


def test_shifted_and_added_on_paper():
    """Two rows of two pixels as four numbers in a row; a filter that looks left, and one that looks
    right: neither may see the end of the other row."""
    x, dy = image([1, 2], [3, 4]).astype(np.float32), image([5, 6], [7, 8]).astype(np.float32)
    w, geometry = np.array([[[[10, 1, 100]]]], np.float32), Geometry(padding=(0, 1))
    np.testing.assert_array_equal(kn2row.forward(x, w, geometry), image([201, 12], [403, 34]))
    np.testing.assert_array_equal(kn2row.backward_x(dy, w, x.shape, geometry),
                                  image([5 + 60, 500 + 6], [7 + 80, 700 + 8]))
    np.testing.assert_array_equal(kn2row.backward_w(x, dy, w.shape, geometry), [[[[
        6 * 1 + 8 * 3, 5 * 1 + 6 * 2 + 7 * 3 + 8 * 4, 5 * 2 + 7 * 4]]]])


REGROUPED = [((2, 3, 23, 19), 4, (11, 11), (4, 4), (2, 2), 1), ((3, 4, 9, 8), 6, (3, 3), (2, 2),
                                                                (1, 1), 2),
             ((1, 3, 30, 17), 5, (7, 7), (2, 2), (3, 3), 1), ((2, 2, 9, 14), 3, (5, 4), (2, 1),
                                                              (0, 3), 1),
             ((2, 2, 12, 13), 2, (4, 6), (2, 3), (3, 0), 1), ((1, 2, 10, 11), 4, (5, 6), (3, 3),
                                                              (2, 1), 2)]


@pytest.mark.parametrize("shape, outputs, kernel, stride, padding, groups", REGROUPED, ids=str)
def test_space_to_depth_equals_the_plain_loops(shape, outputs, kernel, stride, padding, groups):
    geometry = Geometry(stride, padding, groups=groups)
    assert space_to_depth.fits((outputs, shape[1] // groups, *kernel), geometry, np.float32)
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(size, dtype=np.float32) for size in (
        shape, (outputs, shape[1] // groups, *kernel), outputs))
    y = naive.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *geometry)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    dx, dw, _ = naive.conv2d_backward(*(a.astype(np.float64) for a in (dy, x, w)), *geometry)
    for threads in (1, 3):
        with limited(threads):
            for ours, expected in [
                    (space_to_depth.forward(x, w, geometry, b), y),
                    (space_to_depth.backward_x(dy, w, x.shape, geometry), dx),
                    (space_to_depth.backward_w(x, dy, w.shape, geometry), dw)]:
                assert ours.dtype == np.float32 and ours.flags.c_contiguous
                assert ours.shape == expected.shape
                assert abs(ours - expected).max() <= 5e-5 * abs(expected).max()


def test_space_to_depth_on_paper():
    """Two by two pixels become one with four channels; a 3×3 filter, one with 2×2 of them."""
    x, w = (np.arange(n, dtype=np.float32).reshape(1, 1, size, size) for n, size in ((25, 5),
                                                                                     (9, 3)))
    geometry = Geometry((2, 2))
    X, W = space_to_depth._images(x, w.shape, geometry), space_to_depth._filters(w, geometry)
    np.testing.assert_array_equal(X[0, :, 0, 1], [2, 3, 7, 8])
    np.testing.assert_array_equal(W[0, :, 0, 0], [0, 1, 3, 4])
    np.testing.assert_array_equal(W[0, :, 1, 1], [8, 0, 0, 0])
    assert X.shape == (1, 4, 3, 3) and W.shape == (1, 4, 2, 2)


@pytest.mark.parametrize("w_shape, geometry, dtype", [
    ((4, 2, 3, 3), Geometry(), np.float32),                         # stride 1
    ((4, 2, 3, 3), Geometry((2, 2), dilation=(2, 2)), np.float32),
    ((4, 2, 11, 11), Geometry((2, 2)), np.float32),                 # 6×6: too large
    ((4, 2, 1, 1), Geometry((2, 2)), np.float32),                   # 1×1: too small
    ((4, 2, 3, 3), Geometry((2, 2)), np.float64)])
def test_what_cannot_be_regrouped(w_shape, geometry, dtype):
    assert not space_to_depth.fits(w_shape, geometry, dtype)


STRIPS = [((2, 3, 5, 6), (3, 3), (1, 1), (1, 1)), ((3, 2, 9, 7), (3, 3), (2, 2), (1, 1)),
          ((1, 4, 6, 40), (3, 3), (1, 1), (0, 1)), ((2, 2, 11, 35), (5, 5), (2, 2), (2, 2)),
          ((4, 3, 7, 7), (2, 3), (1, 2), (1, 0)), ((2, 1, 8, 33), (3, 2), (3, 1), (2, 1)),
          ((2, 2, 10, 9), (2, 2), (3, 3), (0, 0)), ((1, 2, 1, 17), (1, 4), (1, 1), (0, 3)),
          ((3, 5, 4, 4), (4, 4), (2, 1), (3, 2))]


@pytest.mark.parametrize("shape, kernel, stride, padding", STRIPS, ids=str)
@pytest.mark.parametrize("tile, widest", [(depthwise_strips.TILE, 16), (2000, 16), (1, 3)])
def test_depthwise_in_strips_equals_the_plain_loops(shape, kernel, stride, padding, tile, widest,
                                                    monkeypatch):
    monkeypatch.setattr(depthwise_strips, "TILE", tile)
    monkeypatch.setattr(depthwise_strips, "WIDEST", widest)
    rng, C = np.random.default_rng(0), shape[1]
    geometry = Geometry(stride, padding, groups=C)
    assert depthwise_strips.fits((C, 1, *kernel), geometry, np.float32)
    x, w, b = (rng.standard_normal(size, dtype=np.float32) for size in (shape, (C, 1, *kernel), C))
    y = naive.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *geometry)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    dx, dw, _ = naive.conv2d_backward(*(a.astype(np.float64) for a in (dy, x, w)), *geometry)
    for threads in (1, 3):
        with limited(threads):
            for ours, expected in [
                    (depthwise_strips.forward(x, w, geometry, b), y),
                    (depthwise_strips.backward_x(dy, w, x.shape, geometry), dx),
                    (depthwise_strips.backward_w(x, dy, w.shape, geometry), dw)]:
                assert ours.dtype == np.float32 and ours.flags.c_contiguous
                np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("w_shape, geometry, dtype", [
    ((4, 2, 3, 3), Geometry(groups=4), np.float32),                 # two channels a filter
    ((4, 1, 3, 3), Geometry(groups=2), np.float32),                 # two filters a channel
    ((4, 1, 3, 3), Geometry(dilation=(1, 2), groups=4), np.float32),
    ((4, 1, 3, 3), Geometry(padding=(0, 3), groups=4), np.float32),
    ((4, 1, 3, 3), Geometry(groups=4), np.float64)])
def test_what_does_not_fit_into_strips(w_shape, geometry, dtype):
    assert not depthwise_strips.fits(w_shape, geometry, dtype)


def test_depthwise_in_strips_on_paper():
    """Three columns of outputs in strips of two; the filter (1, 10) above (100, 1000)."""
    x = image([1, 2, 3, 4], [5, 6, 7, 8]).astype(np.float32)
    w = np.array([[[[1, 10], [100, 1000]]]], np.float32)
    y = depthwise_strips.forward(x, w, Geometry())
    np.testing.assert_array_equal(y, image([6521, 7632, 8743]))
    dx = depthwise_strips.backward_x(image([1, 2, 3]).astype(np.float32), w, x.shape, Geometry())
    np.testing.assert_array_equal(dx, image([1, 12, 23, 30], [100, 1200, 2300, 3000]))


@pytest.mark.parametrize("algorithm, shape, outputs, kernel, geometry", [
    ("im2col", (5, 6, 9, 11), 4, 3, Geometry((2, 1), (1, 2), (1, 2), 2)),
    ("im2col", (1, 64, 40, 40), 16, 3, Geometry(padding=(1, 1))),
    ("pointwise", (5, 32, 20, 20), 16, 1, Geometry()),
    ("pointwise", (7, 64, 5, 5), 128, 1, Geometry()),
    ("pointwise", (7, 64, 12, 12), 128, 1, Geometry((2, 2), groups=4)),
    ("depthwise", (6, 40, 30, 30), 40, 3, Geometry(padding=(1, 1), groups=40)),
    ("depthwise_strips", (6, 40, 30, 30), 40, 3, Geometry(padding=(1, 1), groups=40)),
    ("kn2row", (5, 48, 30, 30), 8, 3, Geometry(padding=(1, 1))),
    ("space_to_depth", (5, 3, 64, 60), 32, 11, Geometry((4, 4), (2, 2))),
    ("winograd", (5, 16, 30, 30), 32, 3, Geometry(padding=(1, 1))),
    ("winograd_rows", (5, 16, 30, 30), 32, 3, Geometry(padding=(1, 1)))])
def test_threads_change_rounding_only_and_runs_repeat(algorithm, shape, outputs, kernel, geometry):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, dtype=np.float32)
    w = rng.standard_normal((outputs, shape[1] // geometry.groups, kernel, kernel),
                            dtype=np.float32)
    b = rng.standard_normal(outputs, dtype=np.float32)
    dy = rng.standard_normal(convolution.forward(x, w, geometry, b, "im2col").shape,
                             dtype=np.float32)

    def three():
        return (convolution.forward(x, w, geometry, b, algorithm),
                convolution.backward_x(dy, w, x.shape, geometry, algorithm),
                convolution.backward_w(x, dy, w.shape, geometry, algorithm))

    plain = (convolution.forward(x, w, geometry, None, "im2col") + b[:, None, None],
             convolution.backward_x(dy, w, x.shape, geometry, "im2col"),
             convolution.backward_w(x, dy, w.shape, geometry, "im2col"))
    for count in (1, 2, 3):
        with limited(count):
            once, again = three(), three()
        for a, same, expected in zip(once, again, plain, strict=True):
            np.testing.assert_array_equal(a, same)
            assert abs(a - expected).max() <= 5e-5 * abs(expected).max()


def test_an_algorithm_that_cannot_is_refused():
    x, w = np.zeros((1, 3, 8, 8), np.float32), np.zeros((4, 3, 3, 3), np.float32)
    with pytest.raises(ValueError, match="'winograd' cannot .* im2col, space_to_depth can"):
        convolution.forward(x, w, Geometry((2, 2)), None, "winograd")
    with pytest.raises(ValueError, match="'fft' cannot compute this convolution; im2col, "):
        convolution.forward(x, w, Geometry(), None, "fft")


@pytest.mark.parametrize("case", CONV, ids=str)
def test_backward_is_the_transpose_of_forward(case):
    """⟨dy, conv(x, w)⟩ = ⟨dx, x⟩ = ⟨dw, w⟩: convolution is linear in x, and in w."""
    x, w, dy, geometry = setting(case)
    inner = (dy * convolution.forward(x, w, geometry)).sum()
    dx = convolution.backward_x(dy, w, x.shape, geometry)
    dw = convolution.backward_w(x, dy, w.shape, geometry)
    assert (dx * x).sum() == pytest.approx(inner, rel=1e-12, abs=1e-12)
    assert (dw * w).sum() == pytest.approx(inner, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("tile, images, rows", [
    (8 << 20, {6}, {12}), (500_000, {2}, {12}), (100_000, {1}, {6}), (20_000, {1}, {1})])
def test_columns_are_made_tile_by_tile_in_one_buffer(tile, images, rows, monkeypatch):
    """One row of one image has C·KH·KW·OW = 8·9·14 columns of 8 bytes: 8064·2."""
    monkeypatch.setattr(im2col, "CPU_TILE", tile)
    monkeypatch.setattr(im2col, "COLUMNS", 1)
    x = np.random.default_rng(0).standard_normal((6, 16, 14, 16))
    buffers, shapes = set(), []
    with limited(1):                                # more threads would have a tile each
        cut = list(im2col._tiles(x, 16 * 9, 1, 12, 14))
    for n, r, columns in im2col._column_tiles(x, (4, 16, 3, 3), Geometry(), cut):
        buffers.add(columns.__array_interface__["data"][0])
        shapes.append((n.stop - n.start, r.stop - r.start))
        assert columns.nbytes <= max(tile, 16 * 9 * 14 * 8)
    assert len(buffers) == 1
    assert {n for n, _ in shapes} == images and {r for _, r in shapes} == rows
    assert sum(n * r for n, r in shapes) == 6 * 12


def test_a_tile_of_columns_grows_to_four_times_for_a_few_hundred_of_them():
    x = np.empty((64, 512, 7, 7), np.float32)                       # 18 KB a column
    with limited(1):
        images, _ = next(im2col._tiles(x, 512 * 9, 1, 7, 7))
        assert images == slice(0, 9)                                # 441 columns, 8.1 MB
        images, _ = next(im2col._tiles(x, 16 * 9, 32, 7, 7))        # in groups the filters are few
        assert images == slice(0, 2)


def test_dx_with_stride_1_is_a_convolution_and_else_a_sum():
    """By either way it is the same; which one is taken is a matter of time."""
    for padding, stride, dilation, groups, C, O, turned in [
            (1, 1, 1, 1, 4, 6, True), (2, 1, 3, 2, 4, 6, True), (1, 2, 1, 1, 4, 6, False),
            (1, 1, 1, 1, 2, 6, False), (3, 1, 1, 1, 4, 6, False)]:
        geometry = Geometry((stride,) * 2, (padding,) * 2, (dilation,) * 2, groups)
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((3, C, 9, 8)), rng.standard_normal((O, C // groups, 3, 3))
        dy = rng.standard_normal((3, O, *output_shape(x.shape, w.shape, geometry)))
        assert (im2col._turned(w, geometry) is not None) == turned
        np.testing.assert_allclose(im2col.backward_x(dy, w, x.shape, geometry),
                                   naive.conv2d_backward(dy, x, w, *geometry)[0], atol=1e-12)


def test_the_columns_of_a_whole_batch_never_exist_at_once(monkeypatch):
    monkeypatch.setattr(im2col, "CPU_TILE", 50_000)
    monkeypatch.setattr(im2col, "COLUMNS", 1)
    rng, geometry = np.random.default_rng(0), Geometry(padding=(1, 1))
    x, w, dy = (rng.standard_normal(shape) for shape in
                ((8, 16, 20, 24), (2, 16, 3, 3), (8, 2, 20, 24)))
    columns = 9 * x.nbytes
    few = 4 * im2col.CPU_TILE
    assert peak(lambda: im2col.forward(x, w, geometry)) < dy.nbytes + few < columns / 10
    assert peak(lambda: im2col.backward_w(x, dy, w.shape, geometry)) < w.nbytes + few
    assert peak(lambda: im2col.backward_x(dy, w, x.shape, geometry)) < x.nbytes + few


def test_im2col_of_no_images():
    x, w, geometry = np.zeros((0, 4, 9, 8)), np.ones((6, 4, 3, 3)), Geometry(padding=(1, 1))
    dy = im2col.forward(x, w, geometry)
    assert dy.shape == (0, 6, 9, 8)
    assert im2col.backward_x(dy, w, x.shape, geometry).shape == x.shape
    np.testing.assert_array_equal(im2col.backward_w(x, dy, w.shape, geometry), np.zeros_like(w))


def test_a_pointwise_convolution_copies_nothing(monkeypatch):
    for name in ("forward", "backward_x", "backward_w"):
        monkeypatch.setattr(im2col, name, lambda *_: pytest.fail("im2col was called"))
    x = np.random.default_rng(0).standard_normal((4, 64, 32, 40))
    layer = Conv2d(64, 2, 1).astype(np.float64)
    y = layer.forward(x)
    slack = 100_000                                 # Python's objects, NumPy's buffers
    assert peak(lambda: layer.forward(x)) < y.nbytes + slack < x.nbytes / 10
    assert peak(lambda: pointwise.backward_w(x, y, (2, 64, 1, 1), Geometry())) < slack
    assert peak(lambda: pointwise.backward_x(y, layer.weight.value, x.shape,
                                             Geometry())) < x.nbytes + slack


def image(*rows):
    return np.array([[rows]], dtype=float)


def test_depthwise_on_paper():
    """A 1×2 filter for each of two channels: (1, 10) and (100, 1000)."""
    geometry = Geometry(groups=2)
    x = np.concatenate([image([1, 2, 3]), image([4, 5, 6])], axis=1)
    w = np.array([[1.0, 10], [100, 1000]]).reshape(2, 1, 1, 2)
    y = depthwise.forward(x, w, geometry)
    np.testing.assert_array_equal(y[0], [[[21, 32]], [[5400, 6500]]])
    dy = np.concatenate([image([1, 2]), image([3, 4])], axis=1)
    np.testing.assert_array_equal(depthwise.backward_x(dy, w, x.shape, geometry)[0],
                                  [[[1, 10 + 2, 20]], [[300, 3000 + 400, 4000]]])
    np.testing.assert_array_equal(depthwise.backward_w(x, dy, w.shape, geometry).reshape(2, 2), [
        [1 * 1 + 2 * 2, 1 * 2 + 2 * 3], [3 * 4 + 4 * 5, 3 * 5 + 4 * 6]])


@pytest.mark.parametrize("tile, images, channels", [
    (6 * 5 * 8 * 20, {5}, {4}),             # all 5 images of 4 channels of 6×5 pixels
    (6 * 5 * 8 * 8, {2, 1}, {4}),           # two images, and the fifth alone
    (6 * 5 * 8 * 3, {1}, {3, 1}),           # three channels, and the fourth alone
    (1, {1}, {1})])
def test_depthwise_tiles_cover_every_image_and_channel_once(tile, images, channels, monkeypatch):
    monkeypatch.setattr(depthwise, "CPU_TILE", tile)
    x = np.zeros((5, 4, 6, 5))
    tiles = list(depthwise._tiles(x))
    for part, kept in tiles:
        assert part[1] == kept
        x[part] += 1
    assert (x == 1).all()
    assert {n.stop - n.start for (n, _), _ in tiles} == images
    assert {c.stop - c.start for (_, c), _ in tiles} == channels


def test_a_depthwise_convolution_makes_no_columns(monkeypatch):
    """Beyond its result it needs a product of one tile; im2col would copy 9 times as much."""
    for name in ("forward", "backward_x", "backward_w"):
        monkeypatch.setattr(im2col, name, lambda *_: pytest.fail("im2col was called"))
    monkeypatch.setattr(depthwise, "CPU_TILE", 20_000)
    rng, geometry = np.random.default_rng(0), Geometry(padding=(1, 1), groups=16)
    x, dy = rng.standard_normal((2, 8, 16, 20, 24))
    w = rng.standard_normal((16, 1, 3, 3))
    few = 2 * 20_000 + 100_000                      # two products, and NumPy's buffers
    assert few < x.nbytes
    assert peak(lambda: convolution.forward(x, w, geometry)) < dy.nbytes + few
    assert peak(lambda: convolution.backward_x(dy, w, x.shape, geometry)) < x.nbytes + few
    assert peak(lambda: convolution.backward_w(x, dy, w.shape, geometry)) < few


@pytest.mark.parametrize("shape, w_shape, geometry, expected", [
    ((8, 3, 64, 64), (64, 3, 11, 11), Geometry((4, 4), (2, 2)), space_to_depth),
    ((8, 3, 64, 64), (64, 3, 7, 7), Geometry((2, 2), (3, 3)), space_to_depth),
    ((8, 64, 32, 32), (64, 64, 3, 3), Geometry((2, 2), (1, 1)), im2col),
    ((8, 64, 16, 16), (64, 64, 3, 3), Geometry(padding=(1, 1)), winograd_rows),
    ((8, 64, 32, 32), (64, 64, 3, 3), Geometry(padding=(1, 1)), winograd_rows),
    ((8, 64, 32, 32), (192, 64, 3, 3), Geometry(padding=(1, 1)), winograd),
    ((8, 128, 14, 14), (32, 128, 3, 3), Geometry(padding=(1, 1)), kn2row),
    ((8, 128, 14, 14), (32, 128, 5, 5), Geometry(padding=(2, 2)), winograd_rows),
    ((8, 63, 14, 14), (32, 63, 3, 3), Geometry(padding=(1, 1)), winograd_rows),
    ((8, 128, 64, 64), (32, 128, 3, 3), Geometry(padding=(1, 1)), winograd_rows),
    ((8, 128, 14, 14), (128, 128, 3, 3), Geometry(padding=(1, 1)), winograd),
    ((8, 512, 7, 7), (512, 512, 3, 3), Geometry(padding=(1, 1)), im2col),
    ((8, 8, 32, 32), (8, 8, 3, 3), Geometry(padding=(1, 1)), im2col),
    ((8, 64, 32, 32), (64, 1, 3, 3), Geometry((2, 2), (1, 1), groups=64), depthwise_strips),
    ((1, 64, 7, 7), (64, 1, 3, 3), Geometry(padding=(1, 1), groups=64), depthwise)])
def test_choose_in_float32(shape, w_shape, geometry, expected):
    with limited(2):
        assert convolution.choose(np.zeros(shape, np.float32), w_shape, geometry) is expected


@pytest.mark.parametrize("w_shape, geometry, expected", [
    ((4, 3, 1, 1), Geometry(), pointwise),
    ((4, 3, 1, 1), Geometry(stride=(2, 3)), pointwise),
    ((4, 2, 1, 1), Geometry(groups=2), pointwise),
    ((4, 3, 1, 1), Geometry(padding=(0, 1)), im2col),
    ((4, 3, 1, 2), Geometry(), im2col),
    ((4, 3, 3, 3), Geometry(padding=(1, 1)), im2col),
    ((4, 1, 3, 3), Geometry((2, 1), (1, 0), (1, 2), groups=4), depthwise),
    ((4, 1, 1, 1), Geometry(padding=(1, 0), groups=4), depthwise),
    ((4, 1, 1, 1), Geometry(groups=4), pointwise),
    ((4, 1, 3, 3), Geometry(groups=2), im2col),             # two filters a channel
    ((4, 2, 3, 3), Geometry(groups=4), im2col),             # two channels a filter
    ((1, 1, 3, 3), Geometry(), im2col),                     # one channel: nothing to keep apart
])
def test_choose(w_shape, geometry, expected):
    x = np.zeros((2, w_shape[1] * geometry.groups, 9, 9))
    assert convolution.choose(x, w_shape, geometry) is expected


def test_kn2row_wants_an_image_for_each_thread():
    x, w_shape, geometry = np.zeros((2, 64, 9, 9), np.float32), (8, 64, 3, 3), Geometry((1, 1),
                                                                                       (1, 1))
    for threads, expected in ((2, kn2row), (3, im2col)):
        with limited(threads):
            assert convolution.choose(x, w_shape, geometry) is expected


def test_the_choice_for_dx_is_that_of_the_images():
    """dy of AlexNet's first layer is too small a map by itself, and its images are not."""
    x_shape, w_shape, geometry = (1, 3, 227, 227), (64, 3, 11, 11), Geometry((4, 4))
    dy = np.zeros((1, 64, 55, 55), np.float32)
    assert convolution.choose(dy, w_shape, geometry, x_shape=x_shape) is space_to_depth
    assert convolution.choose(np.zeros(x_shape, np.float32), w_shape, geometry) is space_to_depth


def test_local_convolutions_spread_nothing_beyond_the_window():
    x, w = np.zeros((8, 16, 12, 12), np.float32), np.ones((16, 16, 3, 3), np.float32)
    x[0, 0, 5, 6] = np.nan
    seen = np.zeros((12, 12), bool)
    seen[4:7, 5:8] = True
    geometry = Geometry(padding=(1, 1))
    assert convolution.choose(x, w.shape, geometry) is winograd_rows
    with convolution.local():
        with convolution.local():
            assert convolution.choose(x, w.shape, geometry) is im2col
        y = convolution.forward(x, w, geometry)
        dx = convolution.backward_x(x, w, x.shape, geometry)
    for image in (*y[0], *dx[0]):
        np.testing.assert_array_equal(np.isnan(image), seen)
    assert convolution.choose(x, w.shape, geometry) is winograd_rows
    for name in ("winograd", "winograd_rows"):          # asked for by name, too
        with convolution.local():
            y = convolution.forward(x, w, geometry, algorithm=name)
        np.testing.assert_array_equal(np.isnan(y[0, 0]), seen)

    few, seen_there = np.ones((8, 16, 3, 3), np.float32), np.zeros((12, 12), bool)
    seen_there[4:7, 10:12] = True                       # at the end of a row: not in the next one
    x[1, 3, 5, 11] = np.nan
    with convolution.local():                           # kn2row mixes nothing
        assert convolution.choose(x, few.shape, geometry) is kn2row
        assert convolution.choose(x, few.shape, geometry, "kn2row") is kn2row
        y = convolution.forward(x, few, geometry)
        dx = convolution.backward_x(x, np.ones((16, 8, 3, 3), np.float32), (8, 8, 12, 12), geometry,
                                    "kn2row")
    for image in (*y[0], *dx[0]):
        np.testing.assert_array_equal(np.isnan(image), seen)
    for image in (*y[1], *dx[1]):
        np.testing.assert_array_equal(np.isnan(image), seen_there)
    x[1, 3, 5, 11] = 0

    filters, geometry = np.ones((16, 1, 3, 3), np.float32), Geometry(padding=(1, 1), groups=16)
    assert convolution.choose(x, filters.shape, geometry) is depthwise_strips
    with convolution.local():
        assert convolution.choose(x, filters.shape, geometry) is depthwise
        np.testing.assert_array_equal(
            np.isnan(convolution.forward(x, filters, geometry)[0, 0]), seen)


def test_dilation_of_a_single_tap_means_nothing():
    x, w = np.ones((1, 2, 3, 4)), np.ones((2, 2, 1, 1))
    np.testing.assert_array_equal(convolution.forward(x, w, Geometry(dilation=(3, 2))),
                                  convolution.forward(x, w, Geometry()))
