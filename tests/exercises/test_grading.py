"""Grading: submissions in processes of their own, and what comes of a folder full of them."""
import argparse
import copy
import csv
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cases import HERE, solution, wrong

from scratchnet import Layer, Parameter, gradcheck, layers, no_grad
from scratchnet.exercises import catalogue
from scratchnet.exercises.checker import check
from scratchnet.exercises.grading import commands, folders, formats, grade, wire
from scratchnet.exercises.grading.grade import Outcome, Task, grade_one, plan
from scratchnet.exercises.grading.objects import Objects
from scratchnet.exercises.grading.remote import remote_layer
from scratchnet.exercises.grading.submission import RemoteSolution, imports_of
from scratchnet.exercises.solution import LocalSolution, NotWritten, SolutionError
from scratchnet.exercises.spec import Hunt

linux = pytest.mark.skipif(sys.platform != "linux", reason="the fences are Linux's")
RELU = (HERE / "solutions" / "relu.py").read_text(encoding="utf-8")


# ── the wire ─────────────────────────────────────────────────────────────────────────────


def crossed(value):
    payload = []
    code = json.loads(json.dumps(wire.encode(value, payload)))
    arrays = wire.Payload(b"".join(payload))
    back = wire.decode(code, arrays)
    arrays.end()
    return back


@pytest.mark.parametrize("dtype", ["?", "i4", "u1", "f4", ">f8", "c16"])
@pytest.mark.parametrize("layout", [
    np.array, np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2], lambda a: a[:0]])
def test_an_array_crosses_with_its_dtype_and_layout(dtype, layout):
    if dtype == ">f8":
        dtype = "f8"
    a = layout(np.arange(24).reshape(2, 3, 4).astype(dtype))
    b = crossed(a)
    assert b.dtype == a.dtype and b.shape == a.shape and (b == a).all()
    assert b.flags.c_contiguous == a.flags.c_contiguous
    assert b.flags.f_contiguous == a.flags.f_contiguous
    assert b.flags.writeable


def test_plain_values_cross():
    for value in (None, True, 3, -2.5, "text", (1, (2.0, "x")), [1, None], {"a": (1,)},
                  np.float32(2.5), np.float64("nan")):
        back = crossed(value)
        assert type(back) is type(value)
        assert back == value or value != value
    a, b = np.random.default_rng(3), crossed(np.random.default_rng(3))
    assert (a.standard_normal(4) == b.standard_normal(4)).all()


@pytest.mark.parametrize(("thing", "name"), [
    (object(), "object"), ((x for x in ()), "generator"), (np.array([None]), "ndarray of object"),
    ({1: 2}, "dict"), (range(3), "range"), (1 << 80, "int")])
def test_anything_else_crosses_as_the_name_of_its_type(thing, name):
    assert type(crossed(thing)).__name__ == name


@pytest.mark.parametrize("code", [
    {"array": ["<f8", [3], "C"]}, {"array": ["<f8", [-1], "C"]}, {"array": ["O", [1], "C"]},
    {"array": ["<f8", [1 << 40, 1 << 40], "C"]}, {"array": ["<f8", [1.5], "C"]},
    {"array": ["<f8", [1], "X"]}, {"array": "f8"}, {"array": ["V8", [1], "C"]},
    {"scalar": ["<f8", [2], "C"]}, {"known": 0}, {"known": -1}, {"dict": [["a"]]},
    {"generator": {"bit_generator": "PCG64"}}, {"pickle": "…"}, {"tuple": 3}, [1], {}])
def test_what_is_not_in_order_does_not_cross(code):
    with pytest.raises(wire.WireError):
        wire.decode(code, wire.Payload(b"\0" * 16), [])


@pytest.mark.parametrize("data", [
    struct.pack("<II", 1 << 30, 0), struct.pack("<II", 2, 1 << 31),
    struct.pack("<II", 9, 0) + b"{}", struct.pack("<II", 2, 0) + b"[]",
    struct.pack("<II", 1, 0) + b"{", b"",
    struct.pack("<II", 2, 0) + b"{}", struct.pack("<II", 11, 0) + b'{"ask":"x"}',
    struct.pack("<II", 24, 0) + b'{"answer":{},"number":7}',
    struct.pack("<II", 100_000, 0) + b"[" * 100_000])
def test_a_line_refuses_what_is_no_answer(data):
    with pytest.raises(wire.WireError):
        wire.Line(io.BytesIO(data), io.BytesIO()).ask("has")


def test_a_large_result_is_the_submissions_mistake():
    for value in (np.broadcast_to(0.0, (1 << 37,)), [0.0] * 1_000_000):
        with pytest.raises(ValueError, match="asked for"):
            wire.encode(value, [])


def test_exceptions_cross_with_their_line_and_nothing_else():
    class Odd(BaseException):
        __reduce__ = None

    file = "/somewhere/relu.py"
    code = compile("def forward():\n    raise kind('why')", file, "exec")
    for kind, base in ((ValueError, ValueError), (NotWritten, NotWritten), (Odd, Exception),
                       (NotImplementedError, NotImplementedError), (SystemExit, SystemExit),
                       (KeyboardInterrupt, Exception), (UnicodeDecodeError, Exception)):
        scope = {"kind": kind if kind is not UnicodeDecodeError else type(
            "UnicodeDecodeError", (Exception,), {})}
        exec(code, scope)
        try:
            scope["forward"]()
        except BaseException as error:
            told = wire.encode_error(error, file)
        with pytest.raises(base, match="why") as caught:
            wire.throw(json.loads(json.dumps(told)), "relu.py")
        assert type(caught.value).__name__ == kind.__name__
        last = caught.traceback[-1]
        assert (str(last.path).endswith("relu.py"), last.lineno + 1, last.name) == (
            True, 2, "forward")


# ── a layer at the other end ─────────────────────────────────────────────────────────────


class Loop(wire.Line):
    """A line whose other end is here."""

    def __init__(self, objects):
        super().__init__(None, None)
        self.objects = objects

    def ask(self, what, payload=(), **fields):
        message = json.loads(json.dumps({"ask": what, **fields}))
        reply = []
        answer = self.objects.answer(message, wire.Payload(b"".join(payload)), reply)
        return json.loads(json.dumps(answer)), wire.Payload(b"".join(reply))


def remote(layer):
    objects, reply = Objects(), []
    answer = objects.add(layer, reply)
    return remote_layer(Loop(objects), answer, wire.Payload(b"".join(reply)))


class Noisy(Layer):
    """Everything that a layer may hold."""

    def __init__(self):
        self.inner = {"a": [layers.Linear(4, 4, rng=0)]}
        self.weight = Parameter(np.ones(4))
        self.mean = np.zeros(4)
        self.rng = np.random.default_rng(1)
        self.factor = 2
        self._hidden = Parameter(np.ones(2))

    def forward(self, a, b):
        if self.training:
            self.mean += 1
        noise = self.rng.random(4)
        y = self.inner["a"][0].forward(a * noise)
        self.remember(noise, y)
        return y * self.weight.value + b * self.factor

    def backward(self, dy):
        noise, y = self.recall()
        self.weight.grad += (dy * y).sum(axis=0)
        return self.inner["a"][0].backward(dy * self.weight.value) * noise, dy * self.factor


def test_a_remote_layer_shows_what_the_layer_is():
    own, far = Noisy().astype("float64"), remote(Noisy()).astype("float64")
    assert type(far).__name__ == "Noisy" and repr(far) == repr(own)
    assert [name for name, _ in far.named_parameters()] == [
        "weight", "inner.a.0.weight", "inner.a.0.bias"]
    assert list(own.state_dict()) == list(far.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 4))
    assert (far.forward(x, x) == own.forward(x, x)).all()
    for a, b in zip(own.backward(x), far.backward(x), strict=True):
        assert (a == b).all()
    for a, b in zip(own.parameters(), far.parameters(), strict=True):
        assert (a.grad == b.grad).all() and a.grad.any()
    assert (far.mean == 1).all()


def test_what_is_changed_here_holds_there():
    own, far = Noisy().astype("float64"), remote(Noisy()).astype("float64")
    x = np.ones((2, 4))
    with no_grad():
        far.eval().forward(x, x)
    assert (far.mean == 0).all()
    with pytest.raises(RuntimeError, match="needs a forward"):
        far.train().backward(x)
    state = {name: value + 1 for name, value in own.state_dict().items()}
    own.load_state_dict(state).forward(x, x)        # both have drawn twice then
    far.load_state_dict(state)
    own.factor = far.factor = far.factor + 1
    assert own.factor == 3 and (far.forward(x, x) == own.forward(x, x)).all()
    far.zero_grad()
    a, b = far.backward(x)[0], own.zero_grad().backward(x)[0]
    assert (a == b).all() and (far.weight.grad == own.weight.grad).all()


def test_a_copy_is_a_layer_of_its_own():
    far = remote(Noisy()).astype("float64")
    x = np.ones((2, 4))
    twin = copy.deepcopy(far)
    memo = copy.deepcopy(far, {id(far.weight.value): np.full(4, 2.0)})
    y = far.forward(x, 0 * x)
    assert (twin.mean == 0).all() and (twin.forward(x, 0 * x) == y).all()
    assert np.allclose(memo.forward(x, 0 * x), 2 * y)


@pytest.mark.parametrize("layer", [
    layers.Linear(5, 3, rng=0), layers.BatchNorm2d(3), layers.Dropout(0.4, rng=2),
    layers.Sequential(layers.Conv2d(3, 2, 3, rng=0), layers.BatchNorm2d(2), layers.MaxPool2d(2))])
def test_gradcheck_finds_the_same_as_in_this_process(layer):
    x = np.random.default_rng(0).standard_normal(
        (4, 5) if isinstance(layer, layers.Linear) else (2, 3, 6, 7))
    own, far = gradcheck.check(layer, x), gradcheck.check(remote(layer), x)
    assert own.passed and same(own, far)


def same(some, other):
    """Two reports say the same."""
    return (some.rows, some.findings, some.causes) == (other.rows, other.findings, other.causes)


class Writes(layers.ReLU):
    """backward writes into dy."""

    def backward(self, dy):
        dy *= self.recall(dy)[0]
        return dy


class Overwrites(layers.ReLU):
    """The second y takes the memory of the first."""

    def forward(self, x):
        y = super().forward(x)
        if not hasattr(self, "_y"):
            self._y = y
        self._y[...] = y
        return self._y


class Keeps(layers.ReLU):
    """Knows only its first input."""

    def forward(self, x):
        self._x = getattr(self, "_x", x)
        y = np.maximum(x, 0)
        self.remember(self._x > 0, y=y)
        return y


class NeverForgets(layers.ReLU):
    """Keeps its memory under no_grad."""

    def forward(self, x):
        self._positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * self._positive


class Assigns(layers.Linear):
    """grad = …, not grad += …"""

    def backward(self, dy):
        self.zero_grad()
        return super().backward(dy)


class Drops(layers.ReLU):
    """Loses imaginary parts."""

    def forward(self, x):
        return np.asarray(super().forward(x), x.real.dtype)


@pytest.mark.parametrize("kind", [Writes, Overwrites, Keeps, NeverForgets, Drops, Assigns])
def test_what_values_do_not_show_is_seen_from_here_too(kind):
    layer = kind(5, 3, rng=0) if kind is Assigns else kind()
    x = np.random.default_rng(0).standard_normal((4, 5))
    own, far = gradcheck.check(layer, x), gradcheck.check(remote(layer), x)
    assert same(own, far) and own.passed == (kind is Drops)


def test_a_layer_that_returns_its_input_returns_this_very_array():
    x = np.ones((2, 3))
    assert remote(layers.Identity()).forward(x) is x


class Raises(layers.ReLU):
    """Raises in forward, now and then; and writes into dy."""

    def forward(self, x):
        if x[0] < 0:
            return 2 * x, [0.0] * 1_000_000
        self.remember(x)
        return 2 * x

    def backward(self, dy):
        dy *= 3
        return dy + 1


def test_what_is_kept_of_many_calls_stays_in_order():
    far = remote(Raises())
    for i in range(1, 60):
        if i % 3 == 0:
            with pytest.raises(ValueError, match="asked for"):
                far.forward(-np.ones(2))
        x, dy = np.full(2, float(i)), np.full(2, float(i))
        y = far.forward(x)
        dx = far.backward(dy)
        assert (x == i).all() and (y == 2 * i).all() and (dy == 3 * i).all()
        assert (dx == 3 * i + 1).all()
    assert len(far._far.kept) < 40


def test_layers_that_nobody_holds_are_freed():
    far = remote(layers.ReLU())
    objects = far._far.line.objects
    for _ in range(10):
        gradcheck.check(far, np.ones((2, 2)))
    assert len(objects._entries) < 200        # of thousands; cycles wait for their collector


# ── a submission ─────────────────────────────────────────────────────────────────────────


def test_a_submission_is_judged_as_in_this_process(tmp_path):
    """Classes and a function, right and wrong: the same text."""
    files = [(name, solution(name).read_text(encoding="utf-8")) for name in ("dropout", "im2col")]
    files += [("relu", RELU.replace(old, new)) for _, old, new, _ in wrong("relu")[2:3]]
    for name, text in files:
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        exercise = catalogue.load(name)
        here = check(exercise, LocalSolution(path), 3)
        with RemoteSolution(path) as far:
            assert str(check(exercise, far, 3)) == str(here)


def submission(tmp_path, text, **options):
    path = tmp_path / "relu.py"
    path.write_text(text, encoding="utf-8")
    return RemoteSolution(path, ["scratchnet.layers.Linear"], [("scratchnet.layers.relu", "ReLU")],
                          **options)


def test_a_file_that_does_not_run_says_where(tmp_path):
    with submission(tmp_path, "\nx = 1\ny = x +\n") as far, pytest.raises(
            SolutionError, match=r"relu.py, line 3: SyntaxError"):
        far.has("ReLU")
    with submission(tmp_path, RELU.replace("return y", "return z")) as far:
        layer = far.make("ReLU")
        with pytest.raises(NameError, match="'z' is not defined"):
            layer.forward(np.ones(3))
        assert far.has("ReLU") and not far.has("Relu")
        with pytest.raises(SolutionError, match="has no class ReLu: it has ReLU"):
            far.make("ReLu")


def test_a_submission_sees_of_scratchnet_what_it_needs(tmp_path):
    names = """
from scratchnet import Layer, layers, gradcheck
from scratchnet.layers import Linear
def found(name):
    try:
        exec("from scratchnet" + name, {})
    except ImportError as error:
        return str(error)
    return "found"
def known():
    import gc
    return [kind.__name__ for kind in gc.get_objects() if isinstance(kind, type)
            and issubclass(kind, Layer) and kind.__module__ == "scratchnet.layers.relu"]
"""
    with submission(tmp_path, names) as far:
        assert far.call("found", ".layers import Linear") == "found"
        assert far.call("found", ".layer import expect") == "found"
        for name in (" import models", ".layers.relu import ReLU", ".layers import Conv2d",
                     ".exercises import catalogue", ".exercises.checker import check"):
            assert far.call("found", name) != "found" or name == " import models"
        assert "only what the exercise's own file imports" in far.call(
            "found", ".layers import Conv2d")
        assert far.call("known") == []


def test_a_submission_imports_nothing_else_that_is_installed(tmp_path):
    names = """
def found(name):
    __import__(name)
    return "found"
"""
    with submission(tmp_path, names) as far:
        for name in ("numpy.testing", "numpy.polynomial", "math", "dataclasses", "unittest"):
            assert far.call("found", name) == "found"
        for name in ("matplotlib", "scipy.signal", "helpers"):
            with pytest.raises(SolutionError, match="cannot be used in a submission: only NumPy"):
                far.call("found", name)


def test_imports_are_read_from_the_template():
    assert imports_of("import numpy\nfrom scratchnet import Layer\nimport scratchnet.layers\n"
                      "from scratchnet.layers import ReLU as R") == [
        "scratchnet.Layer", "scratchnet.layers", "scratchnet.layers.ReLU"]


def test_a_submission_that_never_ends_is_ended(tmp_path):
    start = time.monotonic()
    with submission(tmp_path, "while True: pass", seconds=1) as far:
        with pytest.raises(wire.WireError) as ended:
            far.has("ReLU")
        assert far.why(ended.value) == "took longer than 1 s of computing"
    assert time.monotonic() - start < 15


def test_waiting_is_no_computing_but_has_an_end_too(tmp_path, monkeypatch):
    text = "import time\ntime.sleep(0.7)\ndef late():\n    time.sleep(9)\n"
    monkeypatch.setattr("scratchnet.exercises.grading.submission.BY_THE_CLOCK", 4)
    with submission(tmp_path, text, seconds=0.5) as far:
        assert not far.has("ReLU")          # as late as on a machine with other things to do
        with pytest.raises(wire.WireError) as ended:
            far.call("late")
        assert far.why(ended.value) == "took longer than 2 s by the clock"


@linux
def test_what_a_submission_leaves_behind_is_ended_even_without_a_fence(tmp_path):
    text = ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100)\n"
            "    os._exit(0)\n")
    with submission(tmp_path, text, confined=False) as far:
        if os.geteuid():                    # only the administrator may start processes at all
            with pytest.raises(SolutionError):
                far.has("ReLU")
            return
        far.has("ReLU")
        folder = far._child.folder
        assert len(processes(folder)) == 2
    time.sleep(0.2)
    assert processes(folder) == [] and not os.path.exists(folder)


def processes(folder):
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
    return [line for line in listed.decode().splitlines() if folder in line]


@linux
def test_no_process_is_left_and_no_folder(tmp_path):
    with submission(tmp_path, RELU) as far:
        child = far._child
        assert os.listdir(child.folder) == ["relu.py"]
        assert far.fences == {"files": True, "calls": True}
    assert not os.path.exists(child.folder)
    with pytest.raises(ProcessLookupError):
        os.kill(child._process.pid, signal.SIG_DFL)


# ── hunts ────────────────────────────────────────────────────────────────────────────────


class Doubled(layers.ReLU):
    """A wrong layer whose name must not be known."""

    def backward(self, dy):
        return 2 * super().backward(dy)


HUNT = Hunt("hunt_relu", "Find the bug", (layers.ReLU,), (Doubled,), ("", "", ""))


@pytest.mark.parametrize(("test", "verdict"), [
    ("assert gradcheck.check(make(), np.ones((2, 3))).passed, 'wrong'", "passed"),
    ("calls.append(1); assert len(calls) == 1", "failed")])
def test_a_hunt_runs_there_on_layers_that_are_here(test, verdict, tmp_path):
    path = tmp_path / "hunt_relu.py"
    path.write_text(f"import numpy as np\nfrom scratchnet import gradcheck\ncalls = []\n"
                    f"def test(make):\n    {test}\n")
    with RemoteSolution(path) as far:
        assert check(HUNT, far, 0).verdict == verdict


def test_a_layer_in_a_hunt_does_not_say_what_it_is(tmp_path):
    path = tmp_path / "hunt_relu.py"
    path.write_text("""
def test(make):
    layer = make()
    told = repr(layer) + str(type(layer).__mro__) + str(layer._far.__slots__)
    try:
        layer.forward("x")
    except ValueError as error:
        told += str(error)
    raise ValueError(told)
""")
    with RemoteSolution(path) as far, pytest.raises(SolutionError, match="expects an array") as e:
        far.test(Doubled)
    assert "Doubled" not in str(e.value) and "Layer()" in str(e.value)


# ── a folder full of them ────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("submissions")
    template = HERE.parents[1] / "scratchnet" / "exercises" / "templates" / "relu.py"
    files = {"alice": RELU, "bob": RELU.replace("dy * positive", "dy"),
             "=carol, \"née\" D": "x = 1\n", "dan\nny": template.read_text(encoding="utf-8"),
             "huge": "#" * (1 << 20) + "\n", "binary": "\0\0", "empty": " \n"}
    for student, text in files.items():
        (top / student).mkdir()
        (top / student / "relu.py").write_text(text, encoding="utf-8")
    (top / "alice" / "sgd.py").write_bytes(solution("sgd").read_bytes())
    (top / "windows").mkdir()
    (top / "windows" / "relu.py").write_bytes(RELU.encode("utf-16"))
    (top / "latin").mkdir()
    (top / "latin" / "relu.py").write_bytes(b"# -*- coding: latin-1 -*-\n# \xfc\n" + RELU.encode())
    (top / "started" / "exercises").mkdir(parents=True)
    (top / "started" / "exercises" / "relu.py").write_text(RELU, encoding="utf-8")
    (top / "exercises").mkdir()
    (top / "link").mkdir()
    (top / "link" / "relu.py").symlink_to(top / "alice" / "relu.py")
    (top / "whole").symlink_to(top / "alice")
    (top / "dangling").mkdir()
    (top / "dangling" / "relu.py").symlink_to(top / "nothing")
    (top / "folder" / "relu.py").mkdir(parents=True)
    (top / "pipe").mkdir()
    os.mkfifo(top / "pipe" / "relu.py")
    os.mkdir(os.fsencode(top) + b"/\xff\xfe")
    (top / ".git").mkdir()
    (top / "notes.txt").write_text("no student")
    return top


def test_each_file_costs_its_own_score_and_no_other(folder):
    outcomes = grade.grade(folder, seed=7)
    verdicts = {o.student: o.verdict for o in outcomes if o.exercise == "relu"}
    assert verdicts == {
        "alice": "passed", "bob": "failed", "=carol, \"née\" D": "error",
        "dan\\nny": "not started", "huge": "refused", "binary": "refused", "link": "refused",
        "empty": "refused", "windows": "refused", "latin": "passed", "started": "passed",
        "whole": "refused", "dangling": "refused", "folder": "refused", "pipe": "refused",
        "\\xff\\xfe": "missing"}
    assert {o.student for o in outcomes if o.exercise == "sgd" and o.verdict != "missing"} == {
        "alice", "whole"}
    causes = {o.student: o.cause for o in outcomes if o.exercise == "relu"}
    assert "mask" in causes["bob"]
    assert "link that leads out" in causes["link"] and "no file" in causes["pipe"]
    assert "1048577 bytes" in causes["huge"] and "has no class ReLU" in causes["=carol, \"née\" D"]
    assert causes["empty"] == "relu.py is empty"
    assert all("save it as UTF-8" in causes[name] for name in ("windows", "binary"))
    assert {o.score for o in outcomes if o.verdict != "passed"} == {0.0}


def test_the_same_seed_gives_the_same_grades(folder):
    first, again, other = (grade_one(Task(folder / "bob", "relu", seed, 30, 1024))
                           for seed in (7, 7, 8))
    assert first == again
    assert other.text != first.text and other.cause == first.cause


def test_without_a_seed_every_run_draws_its_own():
    assert len({grade.new_seed() for _ in range(5)}) == 5


def test_a_folder_with_the_files_in_it_is_one_students(folder):
    tasks = plan(folder / "alice", (), 0, 1, 1024)
    assert [(t.student, t.exercise) for t in tasks] == [("alice", "relu"), ("alice", "sgd")]
    tasks = plan(folder / "alice", ["conv2d", "2", "relu", "02"], 0, 1, 1024)
    assert [t.exercise for t in tasks] == ["conv2d", "relu"]
    for inside in ("started", "started/exercises"):
        assert [(t.student, t.exercise) for t in plan(folder / inside, (), 0, 1, 1024)] == [
            ("started", "relu")]


def make(top, *paths):
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text("x = 1\n")


def test_a_teachers_exercises_beside_the_students_are_no_student(tmp_path):
    make(tmp_path, "exercises/relu.py", "alice/relu.py", "bob/exercises/sgd.py")
    assert [path.name for path in folders.students_in(tmp_path)] == ["alice", "bob"]
    (tmp_path / "alice" / "relu.py").unlink()
    assert [path.name for path in folders.students_in(tmp_path)] == ["alice", "bob"]
    (tmp_path / "bob" / "exercises" / "sgd.py").unlink()
    assert folders.students_in(tmp_path) == [tmp_path]


@pytest.mark.parametrize(("there", "told"), [
    ("ReLU.py", True), ("relu (1).py", True), ("relu.py.txt", True), ("re_lu.py", True),
    ("relu.ipynb", True), ("homework/relu.py", True), ("rellu.py", True), ("my.zip", "unpack it"),
    ("hunt_relu.py", False), ("linear.py", False), ("notes.txt", False), (".relu.py", False)])
def test_what_is_nearly_called_right_is_told(there, told, tmp_path):
    make(tmp_path, f"eve/{there}")
    verdict, why = folders.unfit(tmp_path / "eve", "relu")
    assert verdict == "missing" and (f"but there is {there}" in why) == bool(told)
    assert ("unpack it" in why) == (told == "unpack it")


def test_what_was_not_graded_is_listed(tmp_path):
    make(tmp_path, "notes.txt", "all.zip", "alice/relu.py", "alice/sgd.py",
         "alice/exercises/relu.py", "alice/exercises/progress.json", "alice/exercises/relu.py.1",
         "alice/.git/config", "bob/homework/relu.py", "bob/Relu.py", "bob/__pycache__/relu.pyc")
    students = folders.students_in(tmp_path)
    assert folders.not_graded(tmp_path, students, ["relu"]) == [
        "alice/exercises/relu.py", "all.zip", "bob/Relu.py", "bob/homework/relu.py", "notes.txt"]
    assert folders.not_graded(tmp_path / "bob", [tmp_path / "bob"], ["relu"]) == [
        "bob/Relu.py", "bob/homework/relu.py"]


@pytest.mark.parametrize(("arguments", "message"), [
    (("nowhere", (), 0, 1, 1024), "nowhere is no folder"),
    ((".", ["rellu"], 0, 1, 1024), "did you mean 'relu'"),
    ((".", (), 0, 1, 100), "512 MiB or more"), ((".", (), 0, 0, 1024), "above 0 s")])
def test_what_cannot_be_graded_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(*arguments)


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(ValueError, match="nothing to grade"):
        plan(tmp_path, (), 0, 1, 1024)


def die(task):
    """Work whose process ends."""
    if task == "deadly":
        os._exit(3)
    return task


def test_a_process_that_dies_loses_no_other_task():
    done = []
    left = grade._in_pool(["a", "deadly", "b"], 1, lambda task, outcome: done.append(task), die)
    assert "deadly" in left and sorted([*left, *done]) == ["a", "b", "deadly"]


# ── formats ──────────────────────────────────────────────────────────────────────────────

SOME = [Outcome("=1+1", "relu", "passed", 1.0),
        Outcome("b\x00b", "relu", "failed", 0.5, ("x", "weight"), "the sign,\n\"perhaps\"", "all"),
        Outcome("b\x00b", "sgd", "missing", cause="there is no sgd.py"),
        Outcome("b\x00b", "lrn", "stopped", cause="took longer than 3 s")]


def test_csv_is_a_table_that_no_spreadsheet_runs():
    rows = list(csv.reader(io.StringIO(formats.as_csv(SOME))))
    assert rows[0] == ["student", "exercise", "score", "verdict", "argument", "cause"]
    assert rows[1][0] == "'=1+1"
    assert rows[2] == ["b?b", "relu", "0.5000", "failed", "x weight", 'the sign, "perhaps"']
    assert [row[3] for row in rows[1:]] == ["passed", "failed", "missing", "stopped"]


def test_gradescope_gets_what_its_specification_says():
    result = json.loads(formats.as_gradescope(SOME[1:]))
    assert result["score"] == 0.5 and result["stdout_visibility"] == "hidden"
    allowed = {"score", "max_score", "status", "name", "name_format", "number", "output",
               "output_format", "tags", "visibility", "extra_data"}
    for test in result["tests"]:
        assert set(test) <= allowed and test["status"] in ("passed", "failed")
        assert test["max_score"] == 1 and isinstance(test["output"], str)
    assert [test["name"] for test in result["tests"]] == ["relu", "sgd", "lrn"]


def test_junit_counts_failures_errors_and_what_is_not_there():
    root = ElementTree.fromstring(formats.as_junit(SOME).encode())
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors"),
            root.get("skipped")) == ("testsuites", "4", "1", "1", "1")
    cases = root.findall("testsuite/testcase")
    assert [[child.tag for child in case if child.tag != "properties"] for case in cases] == [
        [], ["failure"], ["skipped"], ["error"]]
    assert cases[1].get("classname") == "b?b" and cases[3].find("error").get("message") == (
        "lrn: stopped: took longer than 3 s")


def test_feedback_tells_as_much_as_the_teacher_wants():
    for form in (formats.as_csv, formats.as_gradescope, formats.as_junit):
        told = {feedback: form(SOME, feedback) for feedback in formats.FEEDBACK}
        assert "weight" not in told["pass"] and "weight" in told["argument"]
        assert "perhaps" not in told["pass"] + told["argument"] and "all" not in told["argument"]
        assert all("took longer" in text for text in told.values())


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    out = tmp_path / "new" / "grades.csv"
    assert formats.write(SOME, out) == [out]
    assert out.read_bytes().startswith("\ufeffstudent,".encode())        # Excel asks for that
    before = out.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        formats.write(SOME[:1], out)
    assert out.read_bytes() == before and os.listdir(out.parent) == ["grades.csv"]


def test_gradescope_has_a_file_for_each_student(tmp_path):
    written = formats.write([SOME[0]], tmp_path / "results.json", "gradescope")
    assert written == [tmp_path / "results.json"]
    many = [SOME[0], Outcome("other", "relu", "failed")]
    assert [path.relative_to(tmp_path).as_posix() for path in formats.write(
        many, tmp_path / "all", "gradescope")] == ["all/=1+1/results.json",
                                                   "all/other/results.json"]


# ── the command ──────────────────────────────────────────────────────────────────────────


def command(*words):
    parser = argparse.ArgumentParser()
    commands.add_command(parser.add_subparsers())
    options = parser.parse_args(["grade", *map(str, words)])
    return options.run(options)


def test_the_command_writes_the_grades_and_names_the_seed(folder, tmp_path, capsys):
    out = tmp_path / "grades.csv"
    assert command(folder / "alice", "--out", out, "--exercise", "sgd") == 0
    said = capsys.readouterr().out
    assert "1 file of 1 student: 1 passed" in said and re.search(r"Seed \d+\. Written: ", said)
    assert out.read_text(encoding="utf-8-sig").splitlines()[1] == "alice,sgd,1.0000,passed,,"


def test_the_command_tells_what_nobody_handed_in_and_what_was_not_graded(tmp_path, capsys):
    make(tmp_path / "all", "alice/ReLU.py", *(f"alice/{i:02d}.txt" for i in range(25)))
    assert command(tmp_path / "all", "--out", tmp_path / "x.csv", "--exercise", "relu", "2") == 0
    said = capsys.readouterr().out
    assert "1 file of 1 student: 1 missing" in said and "Nobody handed in relu.\n" in said
    assert "named like an exercise:\n    alice/00.txt\n" in said and "… and 6 more\n" in said


def test_the_command_shows_how_far_it_is(folder, tmp_path, monkeypatch):
    shown = []

    class Bar:
        """A terminal."""

        n = 0

        def __init__(self, **options):
            assert options["disable"] is None           # elsewhere than on a terminal: nothing

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            shown.append("closed")

        def set_description(self, text, refresh):
            shown.append(text)

        def update(self, more):
            self.n += more

        def refresh(self):
            shown.append((self.n, self.total))

    monkeypatch.setattr(commands, "tqdm", Bar)
    assert command(folder / "empty", "--out", tmp_path / "x.csv", "--exercise", "relu") == 0
    assert shown == [(0, 1), "empty/relu", (1, 1), "closed"]


@pytest.mark.parametrize("there", [(), ("ReLU.py", "notes.txt"), ("homework/relu.py",)])
def test_gradescope_gets_a_result_whatever_was_handed_in(there, tmp_path):
    (tmp_path / "submission").mkdir()
    make(tmp_path / "submission", *there)
    out = tmp_path / "results.json"
    assert command(tmp_path / "submission", "--exercise", "relu", "sgd", "--format", "gradescope",
                   "--out", out) == 0
    result = json.loads(out.read_text())
    assert result["score"] == 0 and [test["name"] for test in result["tests"]] == ["relu", "sgd"]
    assert all("missing: there is no" in test["output"] for test in result["tests"])


def test_the_command_says_what_is_wrong_before_it_begins(folder, tmp_path, capsys):
    assert command(tmp_path / "none", "--out", tmp_path / "x.csv") == 2
    assert "is no folder" in capsys.readouterr().err
    assert command("--out", tmp_path / "x.csv", "--exercise", "relu", folder) == 2
    assert "It comes first" in capsys.readouterr().err
    for words, why in (
            (["--time", "soon"], "expected a number of seconds above 0; got 'soon'"),
            (["--time", "0"], "got '0'"), (["--seed", "1.5"], "expected a whole number"),
            (["--seed", "-1"], "got '-1'"), (["--format", "xml"], "invalid choice"),
            ([], "--out")):
        with pytest.raises(SystemExit) as ended:
            command(folder, *(["--out", "x"] if words else []), *words)
        assert ended.value.code == 2 and why in capsys.readouterr().err


@pytest.mark.parametrize(("out", "form", "why"), [
    ("file/x.csv", "csv", "cannot write"), ("folder", "csv", "expected a file"),
    ("folder", "junit", "expected a file"), ("folder.json", "gradescope", "expected a file"),
    ("file", "gradescope", "expected a folder"), ("pipe", "csv", "expected a file"),
    ("-", "csv", "expected a file")])
def test_the_command_refuses_a_place_where_it_cannot_write(out, form, why, folder, tmp_path,
                                                           capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "grade", None)            # it does not come to that
    make(tmp_path, "file", "folder/x", "folder.json/x")
    os.mkfifo("pipe")
    assert command(folder, "--out", out, "--format", form) == 2
    said = capsys.readouterr().err
    assert why in said and "choose another place with --out" in said


def test_a_link_to_a_table_stays_a_link(tmp_path):
    (tmp_path / "link.csv").symlink_to("real.csv")
    formats.write(SOME, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").stat().st_size > 100


# ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def running(tmp_path):
    """A grading that never comes to its end: one file is easily graded, two run for ever."""
    make(tmp_path / "all", "alice/linear.py", "bob/relu.py", "carol/relu.py")
    for name in ("bob", "carol"):
        (tmp_path / "all" / name / "relu.py").write_text("while True: pass\n")
    program = ("import sys\nfrom scratchnet import cli\n"
               "if __name__ == '__main__':\n    sys.exit(cli.main())\n")
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", "grade", tmp_path / "all", "--exercise", "linear",
         "relu", "--out", tmp_path / "grades.csv"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary"),
             "PYTHONPATH": str(HERE.parents[1])})
    yield process
    process.kill()
    for pid in started_by(process):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def started_by(process):
    """The processes that Ctrl-C on its terminal would reach besides."""
    listed = subprocess.run(["ps", "-eo", "pgid=,pid="], capture_output=True, check=True).stdout
    groups = [map(int, line.split()) for line in listed.splitlines()]
    return [pid for group, pid in groups if group == process.pid != pid]


def hears_control_c(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    blocked, ignored = (int(re.search(rf"{name}:\s+(\w+)", status)[1], 16)
                        for name in ("SigBlk", "SigIgn"))
    return not (blocked | ignored) & 1 << signal.SIGINT - 1


def until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("that did not come about within 10 s")


@linux
def test_a_killed_grader_leaves_no_process(running, tmp_path):
    until(lambda: len(processes(str(tmp_path / "temporary"))) == 2)
    running.kill()
    until(lambda: not started_by(running) and not processes(str(tmp_path / "temporary")))


@linux
def test_control_c_waits_while_processes_are_started():
    """Also where another thread hears it, as one of OpenBLAS does."""
    end, done = threading.Event(), []
    thread = threading.Thread(target=end.wait, args=(10,))
    thread.start()
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            with grade._later(signal.SIGINT):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
                done.append("all started")
            done.append("and more")
    finally:
        end.set()
        thread.join()
    assert done == ["all started"] and signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@linux
@pytest.mark.parametrize("when", ["at first", "while a worker imports", "while files run"])
def test_control_c_ends_everything_at_once(when, running, tmp_path):
    temporary = str(tmp_path / "temporary")
    if when == "at first":
        until(lambda: started_by(running))
    elif when == "while a worker imports":
        until(lambda: len(started_by(running)) > 1)
        time.sleep(0.2)
        assert not any(map(hears_control_c, started_by(running)))
    else:
        until(lambda: len(processes(temporary)) == 2 and all(
            "relu.py" in line for line in processes(temporary)))
        time.sleep(0.5)
    start = time.monotonic()
    for _ in range(3):                                  # impatient
        os.killpg(running.pid, signal.SIGINT)
        time.sleep(0.02)
    out, err = running.communicate(timeout=10)
    assert time.monotonic() - start < 3
    assert running.returncode == 130 and "Traceback" not in out + err and "stopped" in err
    assert processes(temporary) == [] and os.listdir(temporary) == []
    if when == "while files run":
        assert "missing there: 2 files" in err
        assert "alice,linear" in (tmp_path / "grades.csv").read_text(encoding="utf-8")
    else:
        assert not (tmp_path / "grades.csv").exists()
