"""Every layer's backward is the derivative of its forward, in training and in evaluation."""
import numpy as np
import pytest
from layer_cases import CASES

from scratchnet import gradcheck


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradients_are_right(case, training):
    layer, inputs = case.layer().train(training), case.inputs()
    report = gradcheck.check(layer, *inputs)
    assert report.passed and report.worst <= 1e-12, report
    assert all("complex step" in row.method for row in report.rows)
    assert len(report.rows) == len(list(layer.named_parameters())) + \
        sum(x.dtype.kind == "f" for x in inputs)


@pytest.mark.parametrize("case", [c for c in CASES if c.takes_dy], ids=str)
def test_gradients_are_right_on_transposed_images(case):
    """The same layer, its input a view whose strides run the other way about."""
    inputs = [np.ascontiguousarray(x.T).T for x in case.inputs(seed=4)]
    gradcheck.assert_correct(case.layer(), *inputs, probes=1)
