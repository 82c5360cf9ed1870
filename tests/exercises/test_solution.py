"""The way to a student's code: what it finds there, and how it tells what went wrong."""
import sys

import numpy as np
import pytest

from scratchnet import Layer
from scratchnet.exercises.solution import LocalSolution, NotWritten, SolutionError, explain


@pytest.fixture
def file(tmp_path):
    """Write a student's file and return the way to it."""
    def write(source, name="relu.py"):
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return LocalSolution(path)
    return write


def told(ask, *args):
    with pytest.raises(SolutionError) as error:
        ask(*args)
    return str(error.value)


HALF = """from scratchnet import Layer
from scratchnet.layers import Tanh
class Half(Layer):
    def __init__(self, factor=0.5, *, rng=None):
        self.factor = factor
    def forward(self, x):
        return self.factor * x
def double(x):
    return 2 * x
number = 3
"""


def test_classes_are_built_and_functions_are_called(file):
    solution = file(HALF)
    half = solution.make("Half", 0.25, rng=0)
    assert isinstance(half, Layer) and half.forward(4.0) == 1.0
    assert solution.call("double", 4) == 8
    assert solution.has("double") and not solution.has("triple")
    assert list(solution.classes()) == ["Half"]             # Tanh is only imported


def test_each_object_reads_the_file_afresh(file):
    first = file("def f():\n    return 1\n")
    assert first.call("f") == 1
    second = file("def f():\n    return 2\n")
    assert (first.call("f"), second.call("f")) == (1, 2)


def test_it_leaves_the_names_of_modules_alone(file):
    file("x = 1\n", "numpy.py").has("x")
    assert sys.modules["numpy"] is np


@pytest.mark.parametrize(("source", "message"), [
    ("def f(:\n", "relu.py, line 1: SyntaxError: invalid syntax\n    def f(:"),
    ("if 1:\nx = 1\n", "relu.py, line 2: IndentationError: expected an indented block"),
    ("x = 1\nimport nunpy as np\n",
     "relu.py, line 2: ModuleNotFoundError: No module named 'nunpy'\n    import nunpy as np"),
    ("y = 1\nz = y / 0\n", "relu.py, line 2: ZeroDivisionError: division by zero\n    z = y / 0"),
    ("import sys\nsys.exit(0)\n", "relu.py, line 2: SystemExit: the file ends the whole program"),
    (b"x = '\xff'\n", "relu.py"),
    (b"x = '\x00'\n", "null byte"),
])
def test_a_file_that_does_not_run_is_told_with_its_line(file, source, message):
    assert message in told(file(source).has, "ReLU")


def test_a_file_that_is_not_there(tmp_path):
    assert "cannot read" in told(LocalSolution(tmp_path / "relu.py").has, "ReLU")


def test_a_missing_name_is_told_with_the_nearest(file):
    solution = file(HALF)
    assert told(solution.make, "Halve") == "relu.py has no class Halve: it has Half; the name " \
                                           "must be Halve"
    assert told(solution.call, "convolve").startswith("relu.py has no function convolve: the task")
    assert "Half must be a function; it is a class" in told(solution.call, "Half")
    assert "double must be a class; it is a function" in told(solution.make, "double")
    assert "number must be a function; it is a value" in told(solution.call, "number")


def test_a_class_must_be_a_layer(file):
    assert "write `class A(Layer):`" in told(file("class A:\n    pass\n").make, "A")


def test_what_is_imported_is_not_a_solution(file):
    solution = file("from scratchnet.layers import ReLU, Tanh\nfrom math import sqrt\n"
                    "class Mine(Tanh):\n    def forward(self, x):\n        return x\n")
    assert "ReLU comes from scratchnet.layers.relu; the task is" in told(solution.make, "ReLU")
    assert "Mine.backward comes from scratchnet.layers.tanh" in told(solution.make, "Mine")
    assert "sqrt comes from math" in told(solution.call, "sqrt", 4)


def test_a_constructor_with_other_arguments(file):
    for source in (HALF, "from scratchnet import Layer\nclass Half(Layer):\n    pass\n"):
        message = told(file(source).make, "Half", 1, 2)
        assert message.startswith("relu.py: Half(…) cannot be built as the task builds it (")
        assert message.endswith("): leave the constructor as it was given")
    wrong = HALF.replace("self.factor = factor", "self.factor = len(factor)")
    assert "relu.py, line 5: TypeError: object of type" in told(file(wrong).make, "Half", 1)


@pytest.mark.parametrize(("method", "given"), [("forward", "x"), ("backward", "dy")])
def test_a_method_without_self(file, method, given):
    source = f"from scratchnet import Layer\nclass A(Layer):\n    def {method}({given}):\n        "
    layer = file(source + "return 1\n").make("A")
    with pytest.raises(TypeError) as error:
        getattr(layer, method)(1)
    assert str(explain(error.value)).endswith(f"is self missing? Write `def {method}(self, …):`")
    with pytest.raises(TypeError) as error:
        Layer.zero_grad(1, 2, 3)
    assert "self missing" not in str(explain(error.value))


def test_the_line_is_the_students_not_the_librarys(file):
    solution = file("from scratchnet import Layer\nimport numpy as np\n"
                    "class A(Layer):\n    def backward(self, dy):\n        return self.recall(dy)\n"
                    "def f(x):\n    return np.linalg.inv(x)\n")
    layer = solution.make("A")
    try:
        layer.backward(1)
    except RuntimeError as error:
        message = str(explain(error))
    assert message.startswith("relu.py, line 5: RuntimeError: ") and "needs a forward()" in message
    assert message.endswith("\n    return self.recall(dy)")
    assert told(solution.call, "f", np.zeros((2, 2))).startswith("relu.py, line 7: LinAlgError")


def test_recursion_without_end_is_told(file):
    message = told(file("def f(x):\n    return f(x)\n").call, "f", 1)
    assert message == ("relu.py, line 2: RecursionError: a function calls itself without end"
                       "\n    return f(x)")


def test_not_implemented_is_not_written(file):
    solution = file("def f():\n    raise NotImplementedError('sgd: write f')\n")
    with pytest.raises(NotWritten, match="^sgd: write f$"):
        solution.call("f")


def test_a_test_may_fail_by_assertion_only(file):
    solution = file("def test(make):\n    assert make() > 1, 'too small'\n    [][make()]\n")
    with pytest.raises(AssertionError, match="too small"):
        solution.test(lambda: 0)
    assert "relu.py, line 3: IndexError" in told(solution.test, lambda: 2)


def test_a_test_that_returns_false_is_told_to_assert(file):
    solution = file("def test(make):\n    return make() > 1\n")
    assert "test returned False, and nobody looks at that: use assert" in told(
        solution.test, lambda: 0)
    solution.test(lambda: 2)                            # True does no harm
