"""Every lesson runs from top to bottom, alone, in a process without network, and asserts what it
says."""
import ast
import json
import os
import subprocess
import sys

import pytest

from scratchnet import lesson

NO_NETWORK = """
import socket, sys
def refuse(*arguments, **options):
    raise OSError("a lesson asked for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from scratchnet import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", lesson.lessons())
def test_runs_to_its_end(name, tmp_path):
    environment = os.environ | {"SCRATCHNET_DATA": str(tmp_path / "no-data"), "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "lesson", name, "--out", str(tmp_path / "out")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    written = json.loads((tmp_path / "out" / lesson.FINISHED).read_text(encoding="utf-8"))
    print(f"{name}: {written['seconds']} s")
    for figure in (tmp_path / "out").glob("*.png"):
        assert figure.stat().st_size > 2000


SHOWN = ("print", "lesson.save", "lesson.claim", "lesson.end")


@pytest.mark.parametrize("path", lesson.lessons().values(), ids=lambda path: path.stem)
def test_no_cell_ends_in_a_value_that_a_notebook_would_print(path):
    """A notebook shows a cell's last value, as a script does not; ours print what is to be seen."""
    for kind, line, content in lesson.cells(path.read_text(encoding="utf-8")):
        body = ast.parse(content).body if kind == "code" else []
        if body and isinstance(body[-1], ast.Expr):
            call = body[-1].value
            assert isinstance(call, ast.Call), f"line {line + body[-1].lineno}"
            name = ast.unparse(call.func)
            assert name in SHOWN or name.split(".")[-1] in ("append", "update", "warmup"), \
                f"{path.name}, line {line + body[-1].lineno - 1}: {name}"
