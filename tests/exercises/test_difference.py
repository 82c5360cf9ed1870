"""How two results differ, and what that looks like."""
import numpy as np
import pytest

from scratchnet.exercises.difference import changed, difference, pattern

RIGHT = np.random.default_rng(0).standard_normal((2, 3, 4, 5))


def codes(got, right=RIGHT):
    return [p.code for p in pattern(got, right)]


def test_equal_results_do_not_differ():
    for right in (RIGHT, 3, 2.5, np.float64(1.5), (RIGHT, 3), [1, (2, 3)], np.arange(4)):
        assert difference(right, right, "y") is None
    assert difference(RIGHT * (1 + 1e-12), RIGHT, "y") is None          # a rounding
    assert difference(np.int32(3), 3, "y") is None
    assert difference([1, 2], (1, 2), "y") is None


def test_the_worst_element_is_told_with_both_numbers():
    got = RIGHT.copy()
    got[0, 1, 2, 3] += 1e-3
    got[1, 2, 3, 4] = 7
    assert difference(got, RIGHT, "y") == (f"y[1, 2, 3, 4] is 7; expected {RIGHT[1, 2, 3, 4]:.6g} "
                                           f"(2 of 120 numbers are wrong)")


def test_numbers_are_printed_until_they_differ():
    assert difference(1.00000001, 1.0, "y") == "y is 1.00000001; expected 1"
    assert difference(-0.0, 1.0, "y") == "y is 0; expected 1"


@pytest.mark.parametrize(("got", "right", "message"), [
    (None, RIGHT, "y must be an array of shape (2, 3, 4, 5); it is None: is a return missing?"),
    ([1.0], RIGHT, "y must be an array of shape (2, 3, 4, 5); it is a list"),
    (RIGHT[0], RIGHT, "y has shape (3, 4, 5); expected (2, 3, 4, 5)"),
    (RIGHT.astype("f4"), RIGHT, "y has dtype float32; expected float64"),
    (np.where(RIGHT > 2, np.nan, RIGHT), RIGHT, "is nan; expected"),
    (np.arange(4) + 1.0, np.arange(4), "y has dtype float64; expected int64"),
    (np.array([0, 1, 3]), np.arange(3), "y[2] is 3; expected 2 (1 of 3 numbers are wrong)"),
    (290400.0, 290400, "y must be a whole number, 290400; it is a number with a point, 290400.0"),
    (True, 1, "y must be a whole number, 1; it is a bool"),
    (3, 4, "y is 3; expected 4"),
    (RIGHT, 1.5, "y must be one number; it is an array of shape (2, 3, 4, 5)"),
    (np.inf, 1.5, "y is inf; expected 1.5"),
    (2.5, 1.5, "y is 2.5; expected 1.5"),
    ((1, 2, 3), (1, 2), "y must be 2 results, `return a, b, …`; it is 3"),
    (RIGHT, (1, 2), "y must be 2 results, `return a, b, …`; it is an array"),
    ((1, 5), (1, 2), "y[1] is 5; expected 2"),
])
def test_each_kind_of_difference_is_told(got, right, message):
    assert message in difference(got, right, "y")


@pytest.mark.parametrize(("got", "code"), [
    (0 * RIGHT, "zeros"),
    (-RIGHT, "negative"),
    (RIGHT / 3, "scale"),
    (RIGHT + 2, "offset"),
    (RIGHT.astype("f4").astype("f8"), "float32"),
    (RIGHT.transpose(0, 1, 3, 2), "transposed"),
    (RIGHT.transpose(1, 0, 2, 3).reshape(RIGHT.shape), "reshaped"),
    (RIGHT[:, :, ::-1], "flipped"),
    (np.roll(RIGHT, 1, axis=3), "shifted"),
    (np.sort(RIGHT, axis=None).reshape(RIGHT.shape), "places"),
    (RIGHT * np.array([1, 2])[:, None, None, None], "first"),
    (np.pad(RIGHT[:, :, 1:-1, 1:-1], ((0, 0), (0, 0), (1, 1), (1, 1))), "border"),
    (RIGHT * np.nan, "not finite"),
])
def test_each_pattern_is_seen_first(got, code):
    assert codes(got)[0] == code


def test_patterns_need_more_than_a_wrong_number():
    got = RIGHT.copy()
    got[0, 1, 2, 2] += 1
    assert codes(got) == [] == codes(None) == codes("x") == codes(RIGHT[0])
    assert codes(3.0, 6.0) == ["scale"] and "times 0.5, 1/2" in pattern(3.0, 6.0)[0].says
    assert pattern(3.0, 6.0)[0].weak and not pattern(RIGHT / 2, RIGHT)[0].weak
    assert codes((RIGHT, -RIGHT), (RIGHT, RIGHT)) == ["negative"]


def test_what_was_written_into_is_found():
    before = (RIGHT, 3, np.array([np.nan, 1.0]), np.arange(3))
    after = (RIGHT, 3, np.array([np.nan, 2.0]), np.arange(3))
    assert changed(before, before) is None
    assert changed(after, before) == 2
