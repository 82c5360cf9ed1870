"""Graph: on paper, equal to the blocks that it can imitate, several inputs, what it keeps, and the
wirings it refuses."""
import tracemalloc
import weakref

import numpy as np
import pytest
from layer_cases import case, gradient_like, run

from scratchnet.layer import Layer, no_grad
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


def test_several_inputs_on_paper():
    """a = relu(h), b = a + p, y = [b, h]: h is used twice, p once."""
    layer = Graph(("a", ReLU(), "h"), ("b", Add(), "a", "p"), ("y", Concatenate(), "b", "h"),
                  inputs=("h", "p"))
    y = layer.forward(np.array([[3.0], [-2]]), np.array([[10.0], [20]]))
    np.testing.assert_array_equal(y, [[13, 3], [20, -2]])
    dh, dp = layer.backward(np.array([[1.0, 100], [1, 100]]))
    np.testing.assert_array_equal(dh, [[1 + 100], [0 + 100]])       # db·[h > 0] + 100
    np.testing.assert_array_equal(dp, [[1], [1]])


@pytest.mark.parametrize("inputs, gradients", [(("h", "p"), [2, 1]), (("p", "h"), [1, 2])])
@pytest.mark.parametrize("used", [("twice", "p"), ("p", "twice")])
def test_gradients_come_back_in_the_order_of_the_inputs(inputs, gradients, used):
    """y = 2·h + p, in whatever order the rows take them."""
    layer = Graph(("twice", Add(), "h", "h"), ("y", Add(), *used), inputs=inputs)
    values = {"h": np.array([3.0]), "p": np.array([-5.0])}
    np.testing.assert_array_equal(layer.forward(*(values[name] for name in inputs)), [1])
    dxs = layer.backward(np.array([1.0]))
    assert isinstance(dxs, tuple) and [dx.item() for dx in dxs] == gradients


def test_a_graph_that_stands_in_a_graph_may_take_one_value_twice():
    """NASNet's first cell: both inputs are the stem's output; dx adds up outside."""
    cell = Graph(("a", ReLU(), "h"), ("y", Add(), "a", "p", "p"), inputs=("h", "p"))
    layer = Graph(("cell", cell, "x", "x"))
    np.testing.assert_array_equal(layer.forward(np.array([3.0, -2])), [9, -4])
    np.testing.assert_array_equal(layer.backward(np.array([1.0, 1])), [1 + 2, 0 + 2])


class PlusOne(Layer):
    """y = Σ xs + 1; keeps nothing, but notes which earlier results exist when it is called."""

    def __init__(self, name, results, alive):
        self._name, self._results, self._alive = name, results, alive

    def forward(self, *xs):
        self._alive[self._name] = {n for n, result in self._results.items() if result() is not None}
        y = sum(xs) + 1
        self._results[self._name] = weakref.ref(y)
        return y


def test_a_value_is_dropped_after_its_last_use():
    """a is last used by c, b by d, c by e: no forward finds more than it or a later row needs."""
    results, alive = {}, {}

    def plus_one(name):
        return PlusOne(name, results, alive)

    layer = Graph(("a", plus_one("a"), "x"), ("b", plus_one("b"), "a"),
                  ("c", plus_one("c"), "a", "b"), ("d", plus_one("d"), "b", "b"),
                  ("e", plus_one("e"), "c", "d"), ("f", plus_one("f"), "e"))
    y = layer.forward(np.zeros(3))
    np.testing.assert_array_equal(y, 11)        # a, b, c, d, e, f = 1, 2, 4, 5, 10, 11
    assert alive == {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"b", "c"}, "e": {"c", "d"},
                     "f": {"e"}}
    assert [name for name, result in results.items() if result() is not None] == ["f"]


def test_a_long_chain_without_memory_holds_two_values_at_once():
    """Under no_grad a graph of 20 layers needs no more than one of 2."""
    layer = Graph(("0", Tanh(), "x"), *((str(i), Tanh(), str(i - 1)) for i in range(1, 20)))
    x = np.ones(100_000)
    tracemalloc.start()
    try:
        with no_grad():
            layer.forward(x)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * x.nbytes
    finally:
        tracemalloc.stop()


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


@pytest.mark.parametrize("rows, inputs, message", [
    ([("a", ReLU(), "h")], ("h", "p"), "nothing uses the input 'p'"),
    ([("a", ReLU(), "x")], ("h", "p"), r"'x', which is not computed before it; .*\['h', 'p'\]"),
    ([("a", ReLU(), "x")], (), r"inputs are a tuple of one name or more; got \(\)"),
    ([("a", ReLU(), "x")], "x", "inputs are a tuple of one name or more; got 'x'"),
    ([("h", Add(), "h", "p")], ("h", "p"), "a row cannot be called 'h': that name is taken"),
    ([("a", Add(), "x", "x")], ("x", "x"), r"each input needs a name of its own; got \('x', 'x'\)"),
])
def test_inputs_that_are_refused(rows, inputs, message):
    with pytest.raises(ValueError, match=f"Graph: .*{message}"):
        Graph(*rows, inputs=inputs)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_arrays_than_inputs_is_refused(count):
    layer = Graph(("sum", Add(), "h", "p"), inputs=("h", "p"))
    with pytest.raises(ValueError, match=rf"Graph\(sum\) expects 2 arrays, h, p; got {count}"):
        layer.forward(*[np.ones(3)] * count)


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
