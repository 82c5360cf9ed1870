"""The pytest fixture `gradcheck`: a gradient check as one line of any project's tests.

    def test_my_layer(gradcheck):
        gradcheck(MyLayer(), np.random.default_rng(0).standard_normal((2, 3, 5, 7)))

It fails with the whole report, cause included. Installed with scratchnet; nothing to import.
"""
from collections.abc import Callable
from typing import Any

import pytest


def check_or_fail(layer: Any, *inputs: Any, **options: Any) -> None:
    """As assert_correct(layer, *inputs, probes=…, tolerance=…, rng=…, reference=…); fails the
    test with the report alone, without a traceback."""
    from scratchnet.gradcheck import assert_correct  # here: NumPy only where a test asks for it
    __tracebackhide__ = True
    try:
        assert_correct(layer, *inputs, **options)
    except AssertionError as error:
        report = str(error)
    else:
        return
    pytest.fail(report, pytrace=False)      # out here, or pytest would print the report twice


@pytest.fixture
def gradcheck() -> Callable[..., None]:
    """gradcheck(layer, *inputs): is backward the derivative of forward?"""
    return check_or_fail
