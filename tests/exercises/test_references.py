"""References of exercises that are no class of the library: do they agree with the library?"""
import numpy as np

from scratchnet import models, optim, summary
from scratchnet.exercises.catalogue import counting, sgd
from scratchnet.layer import Parameter
from scratchnet.layers import Conv2d


def test_sgd_step_moves_as_the_optimizer_does():
    rng = np.random.default_rng(0)
    parameter = Parameter(rng.standard_normal((2, 3)))
    optimizer = optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=0.01)
    w, v = parameter.value.copy(), np.zeros((2, 3))
    for _ in range(3):
        parameter.grad[...] = rng.standard_normal((2, 3))
        optimizer.step()
        w, v = sgd.sgd_step(w, v, parameter.grad, 0.1, 0.9, 0.01)
        np.testing.assert_allclose(w, parameter.value, rtol=1e-12)


def test_counting_agrees_with_summary_row_by_row():
    network = models.alexnet()
    rows = [row for row in summary(network, (3, 227, 227)).rows if row.params]
    assert len(rows) == len(counting.ALEXNET)
    for row, (C, O, K, g, side) in zip(rows, counting.ALEXNET, strict=True):
        assert counting.network_cost(((C, O, K, g, side),)) == (row.params, row.macs)
        if isinstance(network[row.name], Conv2d):
            assert row.params == counting.conv_parameters(C, O, (K, K), g, True)
            assert row.macs == counting.conv_macs(C, O, (K, K), g, row.output_shape[-2:])
        else:
            assert row.params == counting.linear_parameters(C, O, True)
