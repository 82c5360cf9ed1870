"""The pytest fixture `gradcheck`: a gradient check as one line of any project's tests.

    def test_my_layer(gradcheck):
        gradcheck(MyLayer(), np.random.default_rng(0).standard_normal((2, 3, 5, 7)))

It fails with the whole report, cause included. Installed with scratchnet; nothing to import.
"""
from collections.abc import Callable

import pytest


@pytest.fixture
def gradcheck() -> Callable[..., None]:
    """assert_correct(layer, *inputs, probes=…, tolerance=…, rng=…, reference=…)."""
    from scratchnet.gradcheck import assert_correct  # only where a test asks for it

    def check(layer: object, *inputs: object, **options: object) -> None:
        __tracebackhide__ = True
        try:
            assert_correct(layer, *inputs, **options)
        except AssertionError as error:
            pytest.fail(str(error), pytrace=False)
    return check
