"""What the checker asks, in which order, and what it tells the student."""
import time

import numpy as np
import pytest
from cases import solution, template

from scratchnet import Layer, Parameter, layers
from scratchnet.exercises import catalogue
from scratchnet.exercises.checker import check
from scratchnet.exercises.solution import LocalSolution, SolutionError
from scratchnet.exercises.spec import Case, Classic, Exercise, Hunt, randn

RELU = catalogue.load("relu")
BEGIN = "import numpy as np\nfrom scratchnet import Layer, Parameter\n"


@pytest.fixture
def ask(tmp_path):
    """Check a student's file, given as text."""
    def ask(exercise, source, rng=0):
        path = tmp_path / f"{exercise.name}.py"
        path.write_text(BEGIN + source, encoding="utf-8")
        return check(exercise, LocalSolution(path), rng)
    return ask


def relu(forward="y = np.maximum(x, 0)\n        self.remember(x > 0, y=y)\n        return y",
         backward="positive, = self.recall(dy)\n        return dy * positive"):
    return (f"class ReLU(Layer):\n    def forward(self, x):\n        {forward}\n"
            f"    def backward(self, dy):\n        {backward}\n")


# ── does it run? ─────────────────────────────────────────────────────────────────────


def test_a_right_solution_passes(ask):
    result = ask(RELU, relu())
    assert result.passed and result.score == 1 and result.arguments == () == result.causes
    assert str(result) == "relu: right in all 3 cases"


def test_prints_do_no_harm(ask, capsys):
    assert ask(RELU, "print('here')\n" + relu("print(x.shape)\n        y = np.maximum(x, 0)\n"
                                              "        self.remember(x > 0, y=y)\n"
                                              "        return y")).passed
    assert "here" in capsys.readouterr().out


def test_a_file_that_does_not_run_is_an_error(ask):
    for source in ("def f(:\n", "import nunpy\n", "class Relu(Layer):\n    pass\n", "exit()\n"):
        result = ask(RELU, source)
        assert ("the file does not run" in result.text) == ("Relu" not in source)
        assert (result.verdict, result.score) == ("error", 0)
        assert "relu.py" in result.text and "Traceback" not in result.text


def test_an_exception_is_told_with_the_students_line(ask):
    result = ask(RELU, relu(forward="return x[1, 2, 3, 4, 5]"))
    assert result.verdict == "error" and result.arguments == ("forward",)
    assert "relu.py, line 5: IndexError" in result.text
    assert "return x[1, 2, 3, 4, 5]" in result.text and "checker.py" not in result.text
    result = ask(RELU, relu(backward="return dy.foo"))
    assert result.verdict == "error" and result.arguments == ("backward",)
    assert "backward does not run" in result.text and "line 9: AttributeError" in result.text


def test_a_backward_that_asks_for_more_than_was_remembered(ask):
    result = ask(RELU, relu(forward="return np.maximum(x, 0)"))
    assert result.verdict == "error" and "needs a forward() of its own before it" in result.text


def test_recursion_without_end_and_exit_are_told(ask):
    assert "calls itself without end" in ask(RELU, relu(forward="return self.forward(x)")).text
    assert "ends the whole program" in ask(RELU, relu(backward="raise SystemExit")).text


def test_half_of_a_template_says_what_is_missing(ask):
    result = ask(RELU, relu(backward="raise NotImplementedError('relu: write ReLU.backward')"))
    assert (result.verdict, result.score) == ("failed", 0)
    assert "ReLU: forward is right, backward is not written in all 3 cases" in result.text
    assert "relu: write ReLU.backward" in result.text
    source = template("sigmoid_tanh").read_text(encoding="utf-8")
    right = solution("sigmoid_tanh").read_text(encoding="utf-8")
    half = right[:right.index("class Tanh")] + source[source.index("class Tanh"):]
    result = ask(catalogue.load("sigmoid_tanh"), half)
    assert result.verdict == "failed" and result.score == 0.5
    assert "Sigmoid: right in all" in result.text and "Tanh: not written in all" in result.text


# ── is forward right? ────────────────────────────────────────────────────────────────


def test_a_wrong_forward_is_told_before_backward_is_looked_at(ask):
    result = ask(RELU, relu(forward="return np.maximum(x, 1)", backward="return None"))
    assert result.verdict == "failed" and result.arguments == ("forward",)
    assert "forward is wrong in all 3 cases" in result.text and "y[" in result.text
    assert "expected" in result.text and "backward" not in result.text


def test_a_classic_mistake_is_named_with_its_evidence(ask):
    result = ask(RELU, relu(forward="return np.abs(x)"))
    cause = result.causes[0]
    assert (cause.code, cause.confidence) == ("classic", "exact")
    assert "came out positive" in cause.says and "all 3 cases" in cause.evidence
    assert cause.says in result.text


def test_a_mistake_without_a_classic_is_described(ask):
    result = ask(RELU, relu(forward="return -np.maximum(x, 0)"))
    assert result.causes[0].code == "negative" and result.causes[0].confidence == "likely"
    result = ask(RELU, relu(forward="return np.maximum(x, 0).T"))
    assert "has shape (5, 3); expected (3, 5)" in result.text
    assert result.causes[0].code == "transposed"
    result = ask(RELU, relu(forward="return np.maximum(x, 0).astype('float32')"))
    assert "y has dtype float32; expected float64" in result.text


def test_one_number_is_a_multiple_of_any_other(ask):
    """So a factor is told of a scalar only if it is the same in several cases."""
    loss = catalogue.load("softmax")
    right = solution("softmax").read_text(encoding="utf-8")
    result = ask(loss, right.replace("labels].mean()", "labels].mean() - 0.1 * N"))
    assert result.verdict == "failed" and result.causes == (), result.text
    result = ask(loss, right.replace("labels].mean()", "labels].mean() * 0.7"))
    assert "times 0.7" in result.causes[0].says and "all 5 cases" in result.causes[0].evidence
    only = "labels].mean() * (0.7 if N == 1 else 1)"                    # one case: no evidence
    assert ask(loss, right.replace("labels].mean()", only)).causes == ()


def test_a_factor_that_differs_between_cases_is_told_as_such(ask):
    result = ask(RELU, relu(forward="return np.maximum(x, 0) / len(x)"))
    assert "times 0.333333" in result.causes[0].says
    assert "another number in other cases (images: it is the right" in result.causes[0].evidence
    assert "times 0.5" in result.causes[0].evidence and "the same in" not in result.text


def test_forward_keeps_float32(ask):
    result = ask(RELU, relu(forward="y = np.zeros(x.shape)\n        y[x > 0] = x[x > 0]\n"
                                    "        self.remember(x > 0, y=y)\n        return y"))
    assert (result.verdict, result.score, result.arguments) == ("failed", 0, ("forward",))
    assert "forward gave float64 for float32 inputs: np.zeros and the like need dtype=x.dtype" \
        in result.text
    assert "forward has the right numbers, but breaks a rule in all 3 cases" in result.text
    assert "backward" not in result.text
    result = ask(ADD, "def add(a, b):\n    y = np.zeros(a.shape)\n    y += a + b\n    return y\n")
    assert result.score == 0 and "add gave float64 for float32 inputs" in result.text
    right = solution("batchnorm").read_text(encoding="utf-8")
    result = ask(catalogue.load("batchnorm"),
                 right.replace("self.running_mean = (", "self.running_mean = np.float64(1) * ("))
    assert "forward left running_mean in float64 for float32 inputs" in result.text


def test_running_averages_are_results_too(ask):
    right = solution("batchnorm").read_text(encoding="utf-8")
    line = next(line for line in right.splitlines() if "self.running_mean = (" in line)
    result = ask(catalogue.load("batchnorm"), right.replace(line, line + " + 1"))
    assert result.verdict == "failed" and result.arguments == ("running_mean",)
    assert "after forward, running_mean[" in result.text


class Bias(Layer):
    """y = x + b."""

    def __init__(self, size=3):
        self.bias = Parameter(np.zeros(size, dtype=np.float32))

    def forward(self, x):
        y = x + self.bias.value
        self.remember(y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        self.bias.grad += dy.sum(axis=0)
        return dy.copy()


BIAS = Exercise("bias", "A bias", (Case("plain", "Bias", randn((2, 3))),
                                   Case("four", "Bias", randn((5, 4)), (4,)),
                                   Case("one", "Bias", randn((1, 3)))), {"Bias": Bias}, ("",) * 3)
OWN = """class Bias(Layer):
    def __init__(self, size=3):
        self.bias = Parameter(np.zeros(size, dtype=np.float32))
    def forward(self, x):
        y = x + self.bias.value
        self.remember(y=y)
        return y
    def backward(self, dy):
        self.recall(dy)
        self.bias.grad += dy.sum(axis=0)
        return dy.copy()
"""


def test_parameters_are_drawn_so_that_nothing_is_hidden(ask):
    assert ask(BIAS, OWN).passed
    result = ask(BIAS, OWN.replace("y = x + self.bias.value", "y = x * 1.0"))   # right for b = 0
    assert "forward is wrong" in result.text


def test_arrays_of_the_students_own_are_private(ask):
    own = OWN.replace("self.bias = ", "self.a_cache = np.zeros(7)\n        self.bias = ")
    assert "Bias keeps a_cache, which would be saved" in ask(BIAS, own).text
    assert ask(BIAS, own.replace("a_cache", "_a_cache")).passed


def test_other_parameters_than_given_are_refused(ask):
    result = ask(BIAS, OWN.replace("self.bias ", "self.b "))
    assert result.verdict == "error"
    assert "must have the parameters bias (3,); it has b (3,): leave the constr" in result.text
    result = ask(BIAS, OWN.replace("(size,", "(size + 1,"))
    assert "bias (3,); it has bias (4,)" in result.text


# ── is backward right? ───────────────────────────────────────────────────────────────


def test_a_wrong_gradient_is_told_with_its_worst_element_and_cause(ask):
    result = ask(BIAS, OWN.replace("+= dy.sum(axis=0)", "+= -dy.sum(axis=0)"))
    assert (result.verdict, result.score, result.arguments) == ("failed", 0, ("bias",))
    assert "forward is right, backward is wrong in all 3 cases" in result.text
    assert "the gradient of bias[" in result.text and "expected" in result.text
    assert result.causes and result.causes[0].says in result.text


def test_only_the_cases_that_are_wrong_cost(ask):
    result = ask(BIAS, OWN.replace("dy.sum(axis=0)", "dy.mean(axis=0)"))
    assert result.score == pytest.approx(1 / 3)                 # a batch of one is right
    assert "only with plain, four" in result.text


def test_mistakes_that_values_do_not_show_fail_too(ask):
    for old, new, said in (("return dy.copy()", "dx = dy.copy(); dy *= 2; return dx", "dy"),
                           ("self.bias.grad += ", "self.bias.grad[...] = ", "+=")):
        result = ask(BIAS, OWN.replace(old, new))
        assert result.verdict == "failed" and result.score == 0, result.text
        assert said in result.text


def test_where_the_numbers_are_right_it_does_not_say_that_backward_is_wrong(ask):
    result = ask(RELU, relu(forward="positive = x > 0\n        x[x < 0] = 0\n        y = x.copy()\n"
                                    "        self.remember(positive, y=y)\n        return y"))
    assert "forward wrote into its input" in result.text
    assert "ReLU: the numbers are right, but a rule is broken in all 3 cases" in result.text
    assert "backward is wrong" not in result.text and result.arguments == ("forward",)
    result = ask(BIAS, OWN.replace("self.bias.grad += ", "self.bias.grad[...] = "))
    assert "the numbers are right, but a rule is broken" in result.text


def test_a_score_of_nothing_beside_a_right_forward_is_explained(ask):
    half = "(a case counts if forward and backward are right)"
    assert f"score 0% {half}" in ask(RELU, relu(backward="return dy.copy()")).text
    assert half not in ask(RELU, relu(forward="return np.maximum(x, 1)")).text


BATCHNORM = solution("batchnorm").read_text(encoding="utf-8")


@pytest.mark.parametrize(("old", "new", "score", "said"), [
    ("x_hat, std, training = self.recall(dy)",
     "x_hat, std, _ = self.recall(dy)\n        training = self.training", 0,
     "backward asked for the mode again"),
    ("x_hat, std, training = self.recall(dy)\n", "x_hat, std, training = self.recall(dy)\n        "
     "assert training == self.training\n", 0, "backward asked for the mode again"),
    ("self.running_mean = (", "self.running_mean[:] = (", 1 / 7,           # not in evaluation
     "forward wrote into running_mean: replace it by a new array"),
])
def test_what_forward_chose_stays_and_buffers_are_replaced(ask, old, new, score, said):
    assert BATCHNORM.count(old) == 1
    result = ask(catalogue.load("batchnorm"), BATCHNORM.replace(old, new))
    assert result.score == pytest.approx(score) and said in result.text, result.text


def test_evaluation_draws_nothing(ask):
    right = solution("dropout").read_text(encoding="utf-8")
    old = "        factor = 1.0\n"
    assert right.count(old) == 1
    draws = "        self.rng.random(0 if self.training else x.shape)\n"
    result = ask(catalogue.load("dropout"), right.replace(old, old + draws))
    assert result.score == 7 / 8 and "draws random numbers in evaluation" in result.text


# ── functions ────────────────────────────────────────────────────────────────────────


def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


ADD = Exercise("add", "A sum", (Case("vectors", "add", randn((3,), (3,))),
                                Case("maps", "add", randn((2, 4), (2, 4)))),
               {"add": add}, ("",) * 3, (Classic("add", subtract, "b has the wrong sign"),))


def test_functions_are_compared_with_the_reference(ask):
    assert ask(ADD, "def add(a, b):\n    return a + b\n").passed
    result = ask(ADD, "def add(a, b):\n    return a - b\n")
    assert result.arguments == ("add",) and result.score == 0
    assert "the result[" in result.text and "b has the wrong sign" in result.text
    assert "line 4: ValueError" in ask(ADD, "def add(a, b):\n    raise ValueError('no')\n").text
    assert ask(ADD, "def add(a, b):\n    raise NotImplementedError('add: write add')\n"
               ).verdict == "not started"


def test_a_function_may_not_write_into_its_arguments(ask):
    result = ask(ADD, "def add(a, b):\n    b += a\n    return b.copy()\n")
    assert (result.verdict, result.score) == ("failed", 0)
    assert "add wrote into b, an array that belongs to the caller" in result.text


# ── the numbers ──────────────────────────────────────────────────────────────────────


def test_a_seed_makes_a_check_repeatable_and_none_draws_anew(ask):
    wrong = relu(forward="return np.abs(x)")
    assert ask(RELU, wrong, rng=1) == ask(RELU, wrong, rng=1)
    assert len({ask(RELU, wrong, rng=None).text for _ in range(3)}) > 1


def test_classes_count_alike_however_many_cases_they_have(ask):
    both = Exercise("both", "Two", ADD.cases + (Case("plain", "ReLU", randn((2, 3))),),
                    {"add": add, "ReLU": layers.ReLU}, ("",) * 3)
    result = ask(both, "def add(a, b):\n    return 0\n" + relu())
    assert result.score == 0.5 and "ReLU: right in all 1 cases" in result.text


def test_a_check_takes_a_moment():
    start = time.process_time()
    check(RELU, LocalSolution(solution("relu")), rng=0)
    assert time.process_time() - start < 2


# ── hunts ────────────────────────────────────────────────────────────────────────────


class Greedy(layers.ReLU):
    """Writes into dy."""

    def backward(self, dy):
        dy *= self.recall(dy)[0]
        return dy


class Blind(layers.ReLU):
    """Lets negative numbers through."""

    def forward(self, x):
        super().forward(x)
        return x


HUNT = Hunt("hunt", "A hunt", (layers.ReLU, lambda: layers.ReLU()), (Blind, Greedy), ("",) * 3)
TEST = """def test(make):
    layer, x, dy = make(), np.array([1.0, -2.0]), np.array([3.0, 4.0])
    assert (layer.forward(x) == [1, 0]).all(), "forward"
    layer.backward(dy)
    assert (dy == [3, 4]).all(), "dy was written into"
"""


def test_a_test_that_tells_right_from_wrong_passes(ask):
    result = ask(HUNT, TEST)
    assert result.passed and result.score == 1
    assert "accepts 2 right layers and exposes 2 wrong ones" in result.text


@pytest.mark.parametrize(("source", "score", "said"), [
    ("def test(make):\n    pass\n", 0, "accepts 2 of 2 wrong layers\n    the one in the file"),
    (TEST[:TEST.index("    layer.b")], 0.5, "accepts 1 of 2 wrong layers\n    it exposes the one"),
    ("def test(make):\n    assert 0, 'no'\n", 0, "refuses 2 of 2 right layers\n    hunt.py"),
    (TEST.replace("assert (dy == [3, 4]).all()", "assert not dy"), 0, "ValueError"),
])
def test_a_hunt_says_which_kind_failed(ask, source, score, said):
    result = ask(HUNT, source)
    assert (result.score, result.arguments) == (score, ("test",))
    assert said in result.text and result.verdict in ("failed", "error")
    assert "Greedy" not in result.text and "Blind" not in result.text


@pytest.mark.parametrize(("line", "said"), [
    ("make().backwards(1)", "AttributeError: the layer has no attribute 'backwards'"),
    ("assert 0, make()", "AssertionError: the layer"),
    ("assert 0, type(make()).__name__", "AssertionError: the layer"),
    ("make.forward(1)", "make is a function that builds a layer: begin with `layer = make()`"),
    ("return False", "test returned False, and nobody looks at that: use assert"),
])
def test_a_hunt_hides_what_it_hides_and_says_what_is_meant(ask, line, said):
    hidden = type("TimesInPlace", (layers.ReLU,), {})
    result = ask(Hunt("hunt", "A hunt", (hidden,), (hidden,), ("",) * 3),
                 f"def test(make):\n    {line}\n")
    assert said in result.text and "TimesInPlace" not in result.text, result.text
    assert result.score == 0


def test_a_hunt_without_a_test_is_an_error_and_a_template_not_started(ask):
    result = ask(HUNT, "")
    assert result.verdict == "error" and "has no function test" in result.text
    result = ask(HUNT, "def test(make):\n    raise NotImplementedError('hunt: write test')\n")
    assert result.verdict == "not started" and "hunt: write test" in result.text


def test_a_solution_elsewhere_may_raise_solution_errors_anywhere():
    class Elsewhere:
        def has(self, name):
            return True

        def make(self, name, *args, **options):
            layer = layers.ReLU()
            layer.forward = self.stop
            return layer

        def stop(self, x):
            raise SolutionError("stopped after 5 seconds")

    result = check(RELU, Elsewhere())
    assert result.verdict == "error" and "stopped after 5 seconds" in result.text
