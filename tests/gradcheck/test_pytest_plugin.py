"""The fixture, in a project of its own: pytest is run there as its author would."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = '''
import numpy as np

class Square:
    factor = 1

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return self.factor * self.x * dy

class Right(Square):
    factor = 2

x = np.random.default_rng(0).standard_normal((2, 3))

def test_right(gradcheck):
    gradcheck(Right(), x)

def test_wrong(gradcheck):
    gradcheck(Square(), x, probes=2)
'''


def run(tmp_path, *arguments):
    (tmp_path / "test_layers.py").write_text(SUITE)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
                          cwd=tmp_path, env=environment, capture_output=True, text=True)


def installed():
    from importlib.metadata import entry_points
    return any(e.value == "scratchnet_pytest"
               for e in entry_points(group="pytest11"))


def test_a_failure_is_the_report_and_nothing_else(tmp_path):
    plugin = [] if installed() else ["-p", "scratchnet_pytest"]
    done = run(tmp_path, *plugin)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout
    assert "Square: wrong" in done.stdout and "2 probes" not in done.stdout
    assert "Cause (exact): dx is the true gradient times 1/2: a factor 2 is missing" in done.stdout
    assert "Traceback" not in done.stdout and "check_or_fail" not in done.stdout


def test_the_plugin_itself_imports_nothing_heavy():
    code = ("import sys, scratchnet_pytest as p; "
            "sys.exit('numpy' in sys.modules or 'scratchnet' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
