"""The exercises' files: templates, solutions, and solutions with a mistake."""
import importlib.util
from pathlib import Path

from scratchnet.exercises import catalogue, workspace

HERE = Path(__file__).parent
NAMES = catalogue.names()


def template(name):
    return workspace.TEMPLATES / f"{name}.py"


def solution(name):
    return HERE / "solutions" / f"{name}.py"


def wrong(name):
    """[(id, old, new, regular expression)]: see tests/exercises/wrong/relu.py."""
    path = HERE / "wrong" / f"{name}.py"
    if not path.exists():
        return []
    spec = importlib.util.spec_from_file_location(f"wrong_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG


def with_mistake(name, old, new, folder):
    """Write the solution with `new` for `old`, and return its path."""
    source = solution(name).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    path = folder / f"{name}.py"
    path.write_text(source.replace(old, new), encoding="utf-8")
    return path
