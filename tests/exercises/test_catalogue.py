"""Every exercise: its files, its texts, its solution, its template, and wrong solutions."""
import ast
import re
import warnings

import pytest
from cases import HERE, NAMES, solution, template, with_mistake, wrong

from scratchnet.exercises import catalogue
from scratchnet.exercises.checker import check
from scratchnet.exercises.solution import LocalSolution
from scratchnet.exercises.spec import Exercise, Hunt

FOLDER = template("relu").parents[1] / "catalogue"
BLOCKS = {"inception", "residual", "bottleneck", "dense_layer", "squeeze_excitation", "nas_cell"}
MISTAKES = [pytest.param(name, *entry, id=f"{name}: {entry[0]}",
                         marks=[pytest.mark.slow] if name in BLOCKS and n >= 4 else [])
            for name in NAMES for n, entry in enumerate(wrong(name))]
every_exercise = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize("folder", [FOLDER, template("relu").parent, HERE / "solutions",
                                    HERE / "wrong"], ids=lambda folder: folder.name)
def test_every_folder_has_a_file_for_each_exercise_and_no_other(folder):
    assert sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__") == sorted(NAMES)


def test_there_are_27_exercises_and_then_six_hunts():
    kinds = [type(catalogue.load(name)) for name in NAMES]
    assert kinds == [Exercise] * 27 + [Hunt] * 6


def test_an_exercise_is_found_by_name_number_or_file():
    assert catalogue.find("relu") == catalogue.find("2") == catalogue.find("02") == "relu"
    assert catalogue.find("exercises/relu.py") == "relu"
    for word in ("0", "34", "99"):
        with pytest.raises(ValueError, match=f"no exercise {word}: there are 33; `scratchnet"):
            catalogue.find(word)
    for word in ("", "relu/..", "xyzzy"):                   # nothing is near to these
        with pytest.raises(ValueError, match="unknown exercise '.*': `scratchnet exercise list`"):
            catalogue.find(word)
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        catalogue.load("rellu")


# ── texts ────────────────────────────────────────────────────────────────────────────


@every_exercise
def test_the_exercise_is_described(name):
    exercise = catalogue.load(name)
    assert exercise.name == name and exercise.title
    assert template(name).read_text(encoding="utf-8").startswith(f'"""{name} — ')
    if isinstance(exercise, Exercise):
        assert len(exercise.cases) >= 3
        assert {case.name for case in exercise.cases} == set(exercise.reference)
        for kind in exercise.reference:
            labels = [case.label for case in exercise.cases if case.name == kind]
            assert len(set(labels)) == len(labels)
        assert {classic.name for classic in exercise.classics} <= set(exercise.reference)


@every_exercise
def test_there_are_three_hints_of_80_to_160_words(name):
    hints = catalogue.load(name).hints
    assert len(hints) == 3
    assert [len(hint.split()) for hint in hints] == pytest.approx([120] * 3, abs=40)


@every_exercise
def test_neither_template_nor_hints_hold_a_line_of_the_solution(name):
    text = template(name).read_text(encoding="utf-8")
    hints = "\n".join(catalogue.load(name).hints)
    lines = written(name)
    assert lines
    for line in lines:
        assert line not in hints, f"a hint says {line!r}"
        assert line not in text, f"the template says {line!r}"


def written(name):
    """The lines of the solution that the student writes: those of bodies that the template leaves
    out, but for those too short to give anything away and those that only name the sizes."""
    given = {function.name for function in functions(template(name))
             if not isinstance(function.body[-1], ast.Raise)}
    source = solution(name).read_text(encoding="utf-8").splitlines()
    lines = [source[number] for function in functions(solution(name)) if function.name not in given
             for statement in function.body[ast.get_docstring(function) is not None:]
             for number in range(statement.lineno - 1, statement.end_lineno)]
    lines = [line.split("  #")[0].strip() for line in lines]
    return [line for line in lines if len(line) > 15 and not line.endswith(".shape")]


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)]


@every_exercise
def test_no_exercise_imports_another(name):
    for path in (template(name), solution(name), FOLDER / f"{name}.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                home = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for module in (home + alias.name for alias in node.names):
                    *package, last = module.split(".")
                    near = not package or package[-1] in ("templates", "catalogue")
                    assert not near or last == name or last not in NAMES, module
                    assert not package or package[0] not in NAMES, module


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("hunt_")])
def test_the_first_wrong_layer_of_a_hunt_is_the_one_in_its_file(name):
    shown = catalogue.load(name).wrong[0]
    assert shown.__module__ == f"scratchnet.exercises.templates.{name}"
    assert f"\nclass {shown.__name__}(Layer):" in template(name).read_text(encoding="utf-8")


# ── what the checker says ────────────────────────────────────────────────────────────


@every_exercise
def test_the_solution_passes(name):
    result = check(catalogue.load(name), LocalSolution(solution(name)))     # fresh inputs
    assert result.passed and result.score == 1 and not result.causes, result.text
    assert result.name == name and result.text.startswith(f"{name}: ")


@every_exercise
def test_the_template_is_not_started_and_says_what_to_write(name):
    result = check(catalogue.load(name), LocalSolution(template(name)), rng=0)
    assert (result.verdict, result.score) == ("not started", 0), result.text
    assert re.search(rf"{name}: write \w", result.text), result.text


@every_exercise
def test_there_are_at_least_four_wrong_solutions(name):
    assert len({entry[0] for entry in wrong(name) if entry[3]}) >= 4


@pytest.mark.parametrize(("name", "what", "old", "new", "cause"), MISTAKES)
def test_a_wrong_solution_is_told_its_cause(name, what, old, new, cause, tmp_path):
    path = with_mistake(name, old, new, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)     # some overflow: that is the mistake
        result = check(catalogue.load(name), LocalSolution(path), rng=0)
    assert result.verdict in ("failed", "error") and result.score < 1, result.text
    if cause is None:
        return                                              # found, but not named: as it says there
    said = str(result.causes[0]) if result.causes else result.text
    assert re.search(cause, said, re.IGNORECASE), result.text
