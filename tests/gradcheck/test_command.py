"""`scratchnet check`: any file, any class, and every wrong thing one can type."""
import re

import pytest

from scratchnet import cli

FILE = '''
import numpy as np
from scratchnet import Layer

class Swish:
    def forward(self, x):
        self.x, self.s = x, 1 / (1 + np.exp(-x))
        return x * self.s

    def backward(self, dy):
        return dy * self.s{swish}

class Affine:
    def __init__(self, n_in, n_out):
        self.W = np.random.default_rng(0).standard_normal((n_in, n_out))

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T

class Loss:
    def forward(self, z, labels):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        self.p, self.labels = p, labels
        return -np.log(p[np.arange(len(z)), labels]).mean()

    def backward(self, dloss=1.0):
        dz = self.p.copy()
        dz[np.arange(len(dz)), self.labels] -= 1
        return dz * dloss / len(dz)

class Scaled(Layer):
    def __init__(self, secret):
        self.secret = secret

    def forward(self, x):
        self.remember(y=x)
        return x * self.secret

    def backward(self, dy):
        self.recall(dy)
        return dy * self.secret

class Helper:
    pass
'''


@pytest.fixture
def file(tmp_path):
    def write(swish=" * (1 + self.x * (1 - self.s))", text=FILE):
        path = tmp_path / "mine.py"
        path.write_text(text.replace("{swish}", swish))
        return str(path)
    return write


def run(capsys, *arguments):
    code = cli.main(["check", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_right_classes_pass(file, capsys):
    code, out, _ = run(capsys, f"{file()}:Swish")
    assert code == 0 and "Swish: correct" in out and "2×4×6×7" in out
    code, out, _ = run(capsys, f"{file()}:Affine")          # n_in, n_out: known by their names
    assert code == 0 and "3×5" in out and "W " in out
    code, out, _ = run(capsys, f"{file()}:Affine", "--args", "2, n_out=7", "--shape", "6x2")
    assert code == 0 and "6×2" in out and "2×7" in out
    code, out, _ = run(capsys, f"{file()}:Loss", "--labels", "5")
    assert code == 0 and "z " in out
    code, out, _ = run(capsys, f"{file()}:Scaled", "--args", "2.5", "--eval", "--seed", "3")
    assert code == 0 and "Scaled" in out


def test_a_wrong_one_fails_with_its_cause(file, capsys):
    code, out, _ = run(capsys, f"{file(swish='')}:Swish")
    assert code == 1
    assert "Swish: wrong" in out and "the local derivative is wrong: σ(x) is used" in out


@pytest.mark.parametrize("arguments, says", [
    (["{file}:Nothing"], "has no class 'Nothing' with forward and backward; it has Swish, Affine"),
    (["{file}:Helper"], "has no class 'Helper' with forward and backward"),
    (["nowhere.py"], "there is no file nowhere.py"),
    (["{file}:Scaled"], "Scaled is built with secret: give values with --args"),
    (["{file}:Scaled", "--args", "open('x')"], "--args: expected values such as '3, 8, stride=2'"),
    (["{file}:Scaled", "--args", "1, 2, 3"], r"Scaled\(1, 2, 3\) raised TypeError"),
    (["{file}:Affine", "--shape", "2,x"], "--shape: expected sizes such as 2,3,6,7; got '2,x'"),
    (["{file}:Affine", "--shape", "2,7"], r"Affine.forward raised ValueError for \(2, 7\): "),
    (["{file}:Affine", "--shape", "0,5"], "--shape: expected sizes"),
    (["{file}:Swish", "--eval"], r"Swish has no eval\(\)"),
])
def test_what_cannot_be_asked_is_one_clear_line(file, capsys, arguments, says):
    code, out, err = run(capsys, *[a.replace("{file}", file()) for a in arguments])
    assert code == 2 and not out
    assert re.search(says, err) and err.count("\n") == 1


@pytest.mark.parametrize("text, says", [
    ("def f(:\n", "mine.py, line 1: invalid syntax"),
    ("import nothing_of_that_name\n", "does not run: ModuleNotFoundError"),
    ("x = 1\n", "has no class with forward and backward"),
    ("class A:\n    def forward(self, x):\n        raise NotImplementedError('A: write it')\n"
     "    def backward(self, dy):\n        pass\n", "A.forward is not written yet: A: write it"),
    ("class A:\n    def forward(self, x):\n        return x.nothing\n"
     "    def backward(self, dy):\n        pass\n", "takes none of the usual inputs"),
])
def test_files_that_do_not_work_say_where(file, capsys, text, says):
    code, _, err = run(capsys, file(text=text))
    assert code == 2 and says in err and "Traceback" not in err
