"""The command line, lessons as files, and what importing costs."""
import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import scratchnet
from scratchnet import cli, lesson


def test_lessons_are_listed_with_their_titles(capsys):
    assert cli.main(["lesson"]) == 0
    out = capsys.readouterr().out
    assert "06  alexnet" in out and "AlexNet: the network of 2012" in out
    assert "scratchnet lesson NAME" in out


@pytest.mark.parametrize("name", ["alexnet", "06", "6", "06_alexnet"])
def test_a_lesson_is_found_by_name_or_number(name):
    assert lesson.find(name).name == "06_alexnet.py"


def test_unknown_lesson_suggests_the_nearest(capsys):
    assert cli.main(["lesson", "alexnt"]) == 2
    assert "unknown lesson 'alexnt': did you mean 'alexnet'?" in capsys.readouterr().err


def test_wrong_usage_is_status_2(capsys):
    for arguments in ([], ["lessons"], ["lesson", "alexnet", "--nonsense"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 2


def test_a_device_that_is_not_there(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)          # importing it fails
    monkeypatch.setattr(sys, "argv", ["lesson"])
    for device, message in (("gpu", "device 'gpu' is not there: CuPy is not installed"),
                            ("tpu", "unknown device 'tpu': expected 'cpu' or 'gpu'")):
        with pytest.raises(SystemExit) as stop:
            cli.main(["lesson", "alexnet", "--device", device, "--out", str(tmp_path)])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(sys, "argv", ["lesson"])
    with pytest.raises(SystemExit):
        cli.main(["lesson", "alexnet", "--out", str(tmp_path / "file" / "x")])
    assert "choose another folder with --out" in capsys.readouterr().err


SAMPLE = '''# %% [markdown]
# # A lesson
#
# Two and two.

# %%
from scratchnet.lesson import Lesson
lesson = Lesson("sample")


def double(x):
    return 2 * x


# %% [markdown]
# Is

# %%
print(double(2))
lesson.end()
'''


def test_a_lesson_runs_cell_by_cell(capsys, monkeypatch, tmp_path):
    path = tmp_path / "01_sample.py"
    path.write_text(SAMPLE)
    monkeypatch.setattr(sys, "argv", ["before"])
    lesson.run(path, ["--out", str(tmp_path / "figures"), "--device", "cpu"])
    out = capsys.readouterr().out
    assert out.index("# A lesson") < out.index("Device: CPU") < out.index("Is") < out.index("4\n")
    assert str(tmp_path / "figures") in out
    assert lesson.title(path) == "A lesson"


def test_an_error_in_a_lesson_names_its_line(monkeypatch, tmp_path):
    path = tmp_path / "02_broken.py"
    path.write_text("# %% [markdown]\n# text\n\n# %%\nx = 1\nx / 0\n")
    monkeypatch.setattr(sys, "argv", ["before"])
    with pytest.raises(ZeroDivisionError) as error:
        lesson.run(path, [])
    assert error.traceback[-1].lineno == 5 and str(error.traceback[-1].path) == str(path)


def test_every_lesson_file_is_well_formed():
    assert lesson.lessons()
    for path in lesson.lessons().values():
        source = path.read_text(encoding="utf-8")
        kinds = [kind for kind, _, _ in lesson.cells(source)]
        assert kinds[0] == "text" and kinds.count("text") > 3 and kinds[-1] == "code"
        assert lesson.title(path) != path.stem
        compile(source, str(path), "exec")


def test_importing_scratchnet_is_light():
    heavy = ["matplotlib", "PIL", "cupy", "torch", "sklearn", "IPython"]
    code = f"import sys, scratchnet; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=True)
    assert json.loads(result.stdout.replace("'", '"')) == []


def test_nothing_needs_what_only_posix_has():
    """Imported it may be where its absence is foreseen: try … except ImportError."""
    posix = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "posix", "syslog"}
    for path in Path(scratchnet.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        foreseen = {node for tried in ast.walk(tree) if isinstance(tried, ast.Try)
                    and any(ast.unparse(h.type) == "ImportError" for h in tried.handlers if h.type)
                    for node in ast.walk(tried)}
        for node in set(ast.walk(tree)) - foreseen:
            names = ([a.name for a in node.names] if isinstance(node, ast.Import) else
                     [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            assert not posix & {name.split(".")[0] for name in names}, path


def test_a_reader_that_stops_reading_is_no_error():
    program = "import sys; from scratchnet import cli; sys.exit(cli.main(['verify', 'lenet5']))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.close()                      # as `head` does when it has its lines
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_wrong_number_of_threads_is_one_line_before_all_work(monkeypatch, capsys):
    monkeypatch.setenv("SCRATCHNET_NUM_THREADS", "many")
    assert cli.main(["profile", "lenet5"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err == ("scratchnet: SCRATCHNET_NUM_THREADS is the number of threads to compute "
                        "with, 1 to 1024; got 'many'\n")
