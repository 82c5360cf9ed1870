"""Graph: on paper, equal to the blocks that it can imitate, and the wirings it refuses."""
import numpy as np
import pytest
from layer_cases import case, gradient_like, run

from scratchnet.layers import (
    Add,
    AvgPool2d,
    Concat,
    Concatenate,
    Conv2d,
    Graph,
    Identity,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)


def test_on_paper():
    """a = relu(x), b = a + x, y = [b, a, b]: x is used twice, a twice, b twice."""
    layer = Graph(("a", ReLU(), "x"), ("b", Add(), "a", "x"), ("y", Concatenate(), "b", "a", "b"))
    y = layer.forward(np.array([[3.0], [-2]]))
    np.testing.assert_array_equal(y, [[6, 3, 6], [-2, 0, -2]])
    dx = layer.backward(np.array([[1.0, 10, 100], [1, 10, 100]]))
    # db = 1 + 100;  da = 101 + 10;  dx = da · [x > 0] + 101
    np.testing.assert_array_equal(dx, [[111 + 101], [0 + 101]])


@pytest.mark.parametrize("block, graph", [
    (lambda: Sequential(a=Conv2d(2, 3, 1), b=Tanh()),
     lambda: Graph(("a", Conv2d(2, 3, 1), "x"), ("b", Tanh(), "a"))),
    (lambda: Residual(a=Conv2d(2, 2, 3, padding=1), b=Tanh()),
     lambda: Graph(("a", Conv2d(2, 2, 3, padding=1), "x"), ("b", Tanh(), "a"),
                   ("sum", Add(), "b", "x"))),
    (lambda: Concat(a=Conv2d(2, 3, 1), b=Identity(), c=AvgPool2d(3, 1, 1)),
     lambda: Graph(("a", Conv2d(2, 3, 1), "x"), ("c", AvgPool2d(3, 1, 1), "x"),
                   ("all", Concatenate(), "a", "x", "c"))),
], ids=["sequential", "residual", "concat"])
def test_a_graph_can_be_any_block(block, graph):
    case_block, case_graph = case("block", block, (2, 2, 4, 5)), case("graph", graph, (2, 2, 4, 5))
    one = run(case_block, case_block.layer(), case_block.inputs())
    other = run(case_graph, case_graph.layer(), case_graph.inputs())
    for a, b in zip((one[0], *one[1], *one[2].values()), (other[0], *other[1], *other[2].values()),
                    strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def test_the_order_of_rows_that_do_not_meet_is_free():
    rows = {"a": ("a", Tanh(), "x"), "b": ("b", Sigmoid(), "x"), "sum": ("sum", Add(), "a", "b")}
    x, results = np.random.default_rng(0).standard_normal((2, 3)), []
    for order in ("a", "b", "sum"), ("b", "a", "sum"):
        layer = Graph(*(rows[name] for name in order))
        y = layer.forward(x)
        results.append((y, layer.backward(gradient_like(y))))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-15)


def test_gradients_that_share_an_array_do_not_add_up_in_it():
    """Add hands one dy to both inputs; adding into it would count it too often."""
    layer = Graph(("s", Add(), "x", "x"), ("t", Add(), "s", "x", "s"), ("u", Add(), "t", "x"))
    np.testing.assert_array_equal(layer.forward(np.array([1.0])), [6])     # 2 + 1 + 2 + 1
    np.testing.assert_array_equal(layer.backward(np.array([1.0])), [6])


def test_rows_are_layers_with_names():
    layer = Graph(("conv", Conv2d(2, 3, 1), "x"), ("act", ReLU(), "conv"))
    assert list(layer.state_dict()) == ["conv.weight", "conv.bias"]
    assert repr(layer) == "Graph(conv, act)" and type(layer.act) is ReLU


twice = ReLU()


@pytest.mark.parametrize("rows, message", [
    ([], r"needs at least one row: \(name, layer, input, …\)"),
    ([("a", ReLU(), "y")], r"row 'a' uses 'y', which is not computed before it; .*\['x'\]"),
    ([("a", ReLU(), "b"), ("b", ReLU(), "x")], "row 'a' uses 'b', which is not computed before"),
    ([("a", ReLU(), "a")], "row 'a' uses 'a', which is not computed before"),
    ([("a", ReLU(), "x"), ("a", ReLU(), "a")], "a row cannot be called 'a': that name is taken"),
    ([("x", ReLU(), "x")], "a row cannot be called 'x'"),
    ([("forward", ReLU(), "x")], "a row cannot be called 'forward'"),
    ([("_a", ReLU(), "x")], "a row cannot be called '_a'"),
    ([("a.b", ReLU(), "x")], "a row cannot be called 'a.b'"),
    ([("a", ReLU(), "x"), ("b", ReLU(), "x")], "'a' is computed but nothing uses it"),
    ([("a", ReLU())], r"a row is \(name, layer, input name, …\); got \('a', ReLU\(\)\)"),
    ([("a",)], "a row is .*; got"),
    ([ReLU()], r"a row is .*; got ReLU\(\)"),
    ([("a", "x", ReLU())], "a row is .*; got"),
    ([("a", ReLU, "x")], "a row is .*; got"),
    ([("a", Add(), ["x", "x"])], "a row is .*; got"),
    ([(1, ReLU(), "x")], "a row is .*; got"),
    ([("a", twice, "x"), ("b", twice, "a")], "the same .* stands at 'a' and at 'b'"),
    ([("a", Sequential(twice), "x"), ("b", twice, "a")], "the same .* stands at 'a.0'"),
])
def test_wirings_that_are_refused(rows, message):
    with pytest.raises(ValueError, match=f"Graph:? {message}"):
        Graph(*rows)


def test_a_join_may_return_a_list_but_not_too_few():
    class Join(Add):
        def backward(self, dy):
            return list(super().backward(dy))[:self.count]

    for count, right in ((2, True), (1, False)):
        join = Join()
        join.count = count
        graph = Graph(("a", ReLU(), "x"), ("sum", join, "a", "x"))
        y = graph.forward(np.ones((2, 3)))
        if right:
            assert (graph.backward(np.ones_like(y)) == 2).all()
        else:
            with pytest.raises(ValueError, match="row 'sum' has 2 inputs, but .* returned 1"):
                graph.backward(np.ones_like(y))
