"""The rules of the house that a reader relies on: formulas in layers/ and models/, speed and
devices in backend/ and convolution/."""
import ast
from pathlib import Path

import pytest

import scratchnet

PACKAGE = Path(scratchnet.__file__).parent
FILES = sorted([*(PACKAGE / "layers").glob("*.py"), *(PACKAGE / "models").glob("*.py")])
BELOW = {"cupy", "threading", "concurrent", "multiprocessing", "queue", "threadpoolctl", "ctypes"}


def modules(tree):
    """The first parts of the names of all modules that are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def numpy_calls(tree):
    """(function, call) for each call of NumPy's in a forward or a backward."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name in ("forward", "backward"):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and (
                        isinstance(node.func.value, ast.Name) and node.func.value.id == "np"):
                    yield function.name, ast.unparse(node)


def buffers(tree):
    """Arrays that would be shared: names of a module or a class that hold the result of a call of
    NumPy's."""
    for scope in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        for node in scope.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and any(
                    isinstance(part, ast.Call) and ast.unparse(part.func).startswith("np.")
                    for part in ast.walk(node.value)):
                yield ast.unparse(node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_layers_and_models_leave_devices_threads_and_buffers_to_the_backend(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert not BELOW & set(modules(tree))
    assert not list(numpy_calls(tree))          # xp_of(x) says where the arrays are
    assert not list(buffers(tree))


@pytest.mark.parametrize("code, finder", [
    ("import threading", modules), ("from cupy.cuda import Device", modules),
    ("class L:\n def forward(self, x):\n  return np.exp(x)", numpy_calls),
    ("class L:\n def backward(self, dy):\n  def part():\n   np.add(dy, 1)", numpy_calls),
    ("SPACE = np.empty(100)", buffers), ("class L:\n space: object = np.zeros(3)", buffers)])
def test_what_would_be_found(code, finder):
    found = list(finder(ast.parse(code)))
    assert found and (finder is not modules or set(found) & BELOW)


def test_kernels_stand_below_the_rest_of_the_backend():
    """backend/channels.py calls them, so they may not need it."""
    tree = ast.parse((PACKAGE / "kernels" / "__init__.py").read_text(encoding="utf-8"))
    assert not BELOW & set(modules(tree))
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
            and node.module.startswith("scratchnet")} == {"scratchnet.backend.arrays"}


@pytest.mark.parametrize("folder, forbidden", [
    ("kernels", {"layers", "models", "convolution", "layer", "training", "visualize", "lesson",
                 "optim"}),
    ("backend", {"layers", "models", "convolution", "layer", "training", "visualize", "lesson"}),
    ("convolution", {"layers", "models", "layer", "training", "visualize", "lesson"}),
    ("layers", {"models", "training", "visualize", "lesson", "gradcheck", "optim"}),
    ("models", {"training", "visualize", "lesson", "gradcheck", "optim"})])
def test_imports_go_one_way(folder, forbidden):
    for file in (PACKAGE / folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("scratchnet."):
                assert node.module.split(".")[1] not in forbidden, f"{file.name}: {node.module}"
