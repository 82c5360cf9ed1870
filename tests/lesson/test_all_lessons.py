"""Every lesson runs from top to bottom, alone, in a process without network, and asserts what it
says."""
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
