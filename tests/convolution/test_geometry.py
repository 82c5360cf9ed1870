"""Where windows land: closed formulas against counting."""
from itertools import product

import numpy as np
import pytest

from scratchnet.convolution import inside, output_size, pair, short, whole
from scratchnet.convolution.depthwise import _images_last
from scratchnet.convolution.geometry import tiles


@pytest.mark.parametrize("arguments, expected", [
    ((5, 3, 1, 0), 3),              # 012 123 234
    ((5, 3, 1, 1), 5),              # "same"
    ((5, 3, 2, 0), 2),              # 012 234
    ((6, 3, 2, 0), 2),              # 012 234, and pixel 5 is seen by nobody
    ((6, 3, 2, 0, 1, True), 3),     # 012 234 45
    ((5, 2, 1, 0, 3), 2),           # 0..3 1..4
    ((224, 7, 2, 3), 112), ((227, 11, 4, 0), 55), ((224, 3, 2, 0), 111), ((55, 3, 2, 0), 27),
    ((3, 3, 1, 0), 1), ((2, 3, 1, 0), 0), ((2, 3, 2, 0, 1, True), 1), ((1, 3, 2, 0, 1, True), 0),
    ((3, 2, 2, 1, 1, True), 2),     # −1 0 | 1 2, and not 3 4: that one begins on the padding
])
def test_output_size_on_paper(arguments, expected):
    assert output_size(*arguments) == expected


def grid():
    """(size, kernel, stride, padding, dilation), everything small."""
    return product(range(1, 8), range(1, 5), range(1, 4), range(4), range(1, 4))


def test_output_size_counts_the_windows_that_fit():
    for size, kernel, stride, padding, dilation in grid():
        reach = dilation * (kernel - 1)
        starts = range(-padding, size + padding - reach, stride)
        assert max(0, output_size(size, kernel, stride, padding, dilation)) == len(starts)


def test_ceil_mode_adds_at_most_one_window_and_that_one_begins_on_the_image():
    for size, kernel, stride, padding, _ in grid():
        if 2 * padding > kernel or size + 2 * padding < kernel:
            continue
        floor = output_size(size, kernel, stride, padding)
        ceil = output_size(size, kernel, stride, padding, ceil_mode=True)
        start = floor * stride - padding                    # where one more would begin
        overhangs = start - stride + kernel < size + padding        # the last leaves pixels over
        assert ceil - floor == (overhangs and start < size)


def test_inside_names_exactly_the_outputs_that_see_a_pixel():
    for size, kernel, stride, padding, dilation in grid():
        outs = output_size(size, kernel, stride, padding, dilation)
        for tap, (first, last) in product(range(kernel), [(0, outs), (1, outs), (0, outs - 1)]):
            rows = range(first, max(first, last))
            seen = {i: i * stride + tap * dilation - padding for i in rows}
            expected = {i: r for i, r in seen.items() if 0 <= r < size}
            outputs, pixels = inside(tap, first, last, size, stride, padding, dilation)
            assert list(rows)[outputs] == list(expected)
            assert list(range(size))[pixels] == list(expected.values())


@pytest.mark.parametrize("images, rows, row_bytes, budget, expected", [
    (4, 3, 10, 1000, [4 * 3]),                      # all at once
    (5, 3, 10, 60, [2 * 3, 2 * 3, 1 * 3]),          # two images at a time
    (2, 5, 10, 20, [2, 2, 1, 2, 2, 1]),             # two rows of one image at a time
    (2, 2, 10, 5, [1, 1, 1, 1]),                    # never less than one row
    (1, 1, 0, 0, [1]),
])
def test_tiles_on_paper(images, rows, row_bytes, budget, expected):
    sizes = [(n.stop - n.start) * (r.stop - r.start)
             for n, r in tiles(images, rows, row_bytes, budget)]
    assert sizes == expected


def test_tiles_cover_every_row_once_within_the_budget_and_the_first_is_the_largest():
    for images, rows, budget in product(range(1, 6), range(1, 8), range(1, 60)):
        covered, sizes = np.zeros((images, rows), int), []
        for n, r in tiles(images, rows, 4, budget):
            covered[n, r] += 1
            sizes.append(covered[n, r].size)
        assert (covered == 1).all() and max(sizes) == sizes[0]
        assert sizes[0] == 1 or 4 * sizes[0] <= budget


@pytest.mark.parametrize("value, expected", [
    (3, (3, 3)), ((2, 5), (2, 5)), ([2, 5], (2, 5)), (np.int64(3), (3, 3)),
])
def test_pair(value, expected):
    both = pair(value, "kernel_size")
    assert both == expected and {type(n) for n in both} == {int}


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, (), (3,), (1, 2, 3), (1, 0),
                                   (1, 2.0), (True, 1), ((1, 2), 3)], ids=repr)
def test_what_is_no_pair(value):
    with pytest.raises(ValueError, match="stride must be an integer ≥ 1 or a pair of them; got "):
        pair(value, "stride")


def test_padding_may_be_zero():
    assert pair(0, "padding", least=0) == (0, 0)
    with pytest.raises(ValueError, match="padding must be an integer ≥ 0"):
        pair((0, -1), "padding", least=0)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, (3, 3)], ids=repr)
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match="groups must be an integer ≥ 1; got "):
        whole(value, "groups")
    assert whole(np.int32(4), "groups") == 4


def test_short():
    assert short((3, 3)) == "3" and short((3, 5)) == "3×5"


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_images_last_is_the_transpose_and_contiguous(n):
    x = np.random.default_rng(n).standard_normal((n, 3, 4, 5))
    for images in (x, x[:, 1:], x[..., ::2], x[:, :, 1:3]):
        last = _images_last(images)
        assert last.flags.c_contiguous
        assert np.array_equal(last, images.transpose(1, 2, 3, 0))
