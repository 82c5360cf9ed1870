"""Notebooks — a lesson as a notebook, and the same with what came out when it was run.

A lesson is run by the Python that runs this, in a folder of its own, as a reader runs it in
Jupyter. That takes a minute each, so what came out is kept in runs/book/ under a hash of everything
that it could depend on: the lesson, the tables beside it, and the library's source.
"""
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import scratchnet
from scratchnet.archive import replace_file
from scratchnet.lesson import FINISHED, cells

KEPT = Path("runs") / "book"


class Failed(RuntimeError):
    """A lesson that did not run to its end."""


class Ran(NamedTuple):
    """A notebook with outputs, and its answers to claims: {claim: [verdict, evidence]}."""

    notebook: dict[str, Any]
    claims: dict[str, list[str]]


def notebook(path: Path) -> dict[str, Any]:
    """Return a lesson as a notebook (nbformat 4.5) without outputs."""
    found = []
    for n, (kind, _, content) in enumerate(cells(path.read_text(encoding="utf-8")), start=1):
        cell = {"cell_type": "markdown", "id": f"cell-{n}", "metadata": {},
                "source": content.strip("\n")}
        if kind == "code":
            cell |= {"cell_type": "code", "execution_count": None, "outputs": []}
        found.append(cell)
    return {"cells": found, "nbformat": 4, "nbformat_minor": 5, "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py",
                          "pygments_lexer": "python3"}}}


def ran(path: Path, kept: Path = KEPT) -> tuple[Ran, bool]:
    """Return the lesson's notebook with its outputs, and whether it was run now; if nothing has
    changed since it was run last, what was kept. Raises Failed, with the error of the cell."""
    place = kept / f"{path.stem}-{_hash(path)}.json"
    if place.exists():
        return Ran(**json.loads(place.read_text(encoding="utf-8"))), False
    result = execute(path)
    kept.mkdir(parents=True, exist_ok=True)
    for old in kept.glob(f"{path.stem}-*.json"):
        old.unlink()
    replace_file(place, lambda file: file.write(
        json.dumps(result._asdict(), ensure_ascii=False).encode()))
    return result, True


def execute(path: Path) -> Ran:
    """Run the lesson in a new kernel, in a temporary folder."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    book = nbformat.from_dict(notebook(path))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        class Kernel(AsyncKernelManager):
            """This very Python: with no folders of kernels to look in, "python3" is that."""

            def __init__(self, **settings: Any):
                super().__init__(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), **settings)
                place = str(Path(folder) / "kernel")
                if os.name == "posix" and len(place) < 90:      # a socket's name has 104 letters
                    self.transport, self.ip = "ipc", place      # in our folder, not on the network

        client = NotebookClient(book, kernel_name="python3", kernel_manager_class=Kernel,
                                timeout=None, startup_timeout=180, record_timing=False,
                                resources={"metadata": {"path": folder}})
        library = str(Path(scratchnet.__file__).parents[1])
        paths = [library, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(paths),
                                "IPYTHONDIR": str(Path(folder) / "ipython")})
        except (CellExecutionError, DeadKernelError) as error:
            said = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip()
            raise Failed(f"{path.name} did not run to its end:\n{said}") from None
        ends = [*Path(folder).glob(f"runs/*/{FINISHED}")]
        claims = json.loads(ends[0].read_text(encoding="utf-8"))["claims"] if ends else {}
        for words in _streams(book):        # the folder is no more: leave what is below it
            for place in {folder, str(Path(folder).resolve())}:
                words["text"] = words["text"].replace(place + os.sep, "")
    return Ran(json.loads(json.dumps(book)), claims)


def _streams(book: Any) -> Iterator[Any]:
    for cell in book["cells"]:
        yield from (output for output in cell.get("outputs", ())
                    if output["output_type"] == "stream")


def _hash(path: Path) -> str:
    """Of the lesson, the tables beside it, the library and what it stands on."""
    digest = hashlib.sha256(f"{sys.version} {np.__version__}".encode())
    package = Path(scratchnet.__file__).parent
    beside = [p for p in path.parent.iterdir() if p.suffix in (".json", ".toml")]
    inside = [p for p in package.rglob("*") if p.suffix in (".py", ".json", ".npz", ".toml")
              and package / "book" not in p.parents and package / "lessons" not in p.parents]
    for file in [path, *sorted(beside), *sorted(inside)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
