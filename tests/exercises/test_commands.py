"""The student's folder, and every command on it."""
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from cases import NAMES, solution, template

from scratchnet import cli
from scratchnet.exercises import commands, limit
from scratchnet.exercises.workspace import Progress, Workspace


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limit, "SECONDS", 0)            # in this process, but where --time is given


@pytest.fixture
def run(capsys):
    """Run `scratchnet exercise …`; returns (exit status, what it printed)."""
    def run(*words):
        try:
            status = cli.main(["exercise", *words])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out + printed.err
    return run


def solve(name):
    shutil.copy(solution(name), f"exercises/{name}.py")


def progress():
    return json.loads(Path("exercises/progress.json").read_text(encoding="utf-8"))


# ── from the first exercise to the last ──────────────────────────────────────────────


def test_the_list_has_every_exercise_in_order(run):
    status, out = run("list")
    assert status == 0
    assert re.findall(r"^ ?(\d+)  (\w+) ", out, re.MULTILINE) == [
        (str(i), name) for i, name in enumerate(NAMES, start=1)]


def test_one_exercise_after_the_other(run):
    status, out = run("start")
    assert status == 0 and "exercises/linear.py says what to write" in out.replace(os.sep, "/")
    assert Path("exercises/linear.py").read_bytes() == template("linear").read_bytes()
    status, out = run("check")
    assert status == 1 and "linear: not started" in out
    solve("linear")
    status, out = run("check")
    assert status == 0 and "linear: right in all" in out and "Next: relu" in out
    assert progress()["solved"] == ["linear"]
    status, out = run("start")
    assert status == 0 and out.startswith("relu: ")
    assert run("check", "1")[0] == 0                            # the first one, once more
    assert progress()["current"] == "relu"


def test_start_goes_on_with_what_is_there(run):
    run("start", "softmax")
    Path("exercises/softmax.py").write_text("mine")
    for words in (("start", "softmax"), ("start",)):
        status, out = run(*words)
        assert status == 0 and "is there already, and stays as it is" in out
    assert Path("exercises/softmax.py").read_text() == "mine"


def test_the_next_one_comes_after_the_current_one_and_skipped_ones_last():
    workspace = Workspace()
    assert workspace.next_unsolved() == "linear"
    workspace.start("softmax")
    assert workspace.next_unsolved() == "softmax"
    workspace.solve("softmax")
    assert workspace.next_unsolved() == "sgd"
    for name in NAMES[3:]:
        workspace.solve(name)
    assert workspace.next_unsolved() == "linear"
    for name in NAMES:
        workspace.solve(name)
    assert workspace.next_unsolved() is None


def test_when_all_are_solved_it_says_so(run):
    workspace = Workspace()
    workspace.start("relu")
    for name in NAMES:
        workspace.solve(name)
    solve("relu")
    assert "all exercises are solved" in run("check")[1]
    assert run("start") == (0, "All exercises are solved. `scratchnet exercise reset NAME` begins "
                               "one again.\n")


def test_another_folder(run, tmp_path):
    assert run("start", "relu", "--folder", "deep/er")[0] == 0
    assert (tmp_path / "deep/er/relu.py").exists() and not (tmp_path / "exercises").exists()
    assert run("check", "--folder", "deep/er")[0] == 1


# ── hints, status ────────────────────────────────────────────────────────────────────


def test_hints_come_one_at_a_time_and_are_remembered(run):
    run("start", "relu")
    seen = [run("hint")[1] for _ in range(3)]
    assert [out.splitlines()[0] for out in seen] == [f"relu, hint {i} of 3" for i in (1, 2, 3)]
    assert max(len(line) for out in seen for line in out.splitlines()) <= 100
    assert run("hint") == (0, "You have seen all 3 hints of relu; --again repeats them.\n")
    assert run("hint", "relu", "--again") == (0, "".join(seen))
    assert run("hint", "linear", "--again")[0] == 2
    assert progress()["hints"] == {"relu": 3}


def test_a_hint_can_be_had_before_the_start(run):
    assert run("hint", "relu")[0] == 0
    assert run("status")[0] == 0


def test_status_is_a_table(run):
    run("start", "linear")
    solve("linear")
    run("check")
    run("start", "relu")
    run("hint")
    assert "[solved]" in run("list")[1].splitlines()[0]
    assert run("list")[1].splitlines()[1].endswith("through  [started, current]")
    assert run("list")[1].splitlines()[2].endswith("slopes")
    status, out = run("status")
    lines = out.splitlines()
    assert status == 0 and lines[-1] == f"1 of {len(NAMES)} solved"
    assert re.fullmatch(r" 1  linear +solved", lines[1])
    assert re.fullmatch(r" 2  relu +started +1 of 3 +← current", lines[2])
    assert re.fullmatch(r" 3  sigmoid_tanh", lines[3])


def test_what_was_solved_and_fails_now_is_said(run):
    run("start", "relu")
    solve("relu")
    run("check")
    shutil.copy(template("relu"), "exercises/relu.py")
    for _ in range(2):
        assert "You had solved relu; as it is now, it fails." in run("check")[1]
    assert progress()["failing"] == ["relu"]
    assert "[solved, now failing, current]" in run("list")[1]
    out = run("status")[1]
    assert re.search("relu +solved, now failing", out)
    assert out.endswith("1 of 33 solved, 1 of them now failing\n")
    solve("relu")
    assert "You had" not in run("check")[1] and progress()["failing"] == []
    assert "failing" not in run("status")[1]


# ── reset ────────────────────────────────────────────────────────────────────────────


def test_reset_keeps_every_old_file(run, monkeypatch):
    run("start", "relu")
    for number in (1, 2):
        solve("relu")
        run("check")
        status, out = run("reset", "relu", "--yes")
        assert status == 0 and f"relu.py.{number}" in out
        assert Path(f"exercises/relu.py.{number}").read_bytes() == solution("relu").read_bytes()
        assert Path("exercises/relu.py").read_bytes() == template("relu").read_bytes()
        assert progress()["solved"] == []


def test_reset_asks(run, monkeypatch):
    run("start", "relu")
    status, out = run("reset", "relu")                  # no terminal here
    assert status == 2 and "no terminal to ask on: say --yes" in out
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, status in (("", 1), ("n", 1), ("yes", 0), ("Y ", 0)):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        assert run("reset", "relu")[0] == status
    assert sorted(os.listdir("exercises"))[-2:] == ["relu.py.1", "relu.py.2"]


def test_reset_needs_a_file_and_a_name(run):
    assert run("reset", "relu", "--yes")[0] == 2
    assert run("reset")[0] == 2


# ── watch ────────────────────────────────────────────────────────────────────────────


def edits(monkeypatch, *steps):
    """Instead of waiting, make the next edit; after the last one, press Ctrl-C."""
    remaining = list(steps)

    def sleep(seconds):
        assert seconds == commands.POLL
        if not remaining:
            raise KeyboardInterrupt
        remaining.pop(0)()

    monkeypatch.setattr(commands.time, "sleep", sleep)


def test_watch_checks_again_when_the_file_changes(run, monkeypatch):
    run("start", "relu")
    edits(monkeypatch, lambda: None, lambda: os.remove("exercises/relu.py"), lambda: None,
          lambda: solve("relu"), lambda: None)
    status, out = run("watch")
    assert status == 0 and out.count("relu.py is no longer there; waiting for it.") == 1
    assert re.findall(r"^(?:\d\d:\d\d:\d\d|relu: \w+)", out, re.MULTILINE)[1::2] == [
        "relu: not", "relu: right"]
    assert out.endswith("Watching ended.\n") and progress()["solved"] == ["relu"]


def test_watch_sees_a_file_put_in_the_place_of_the_old_one(run, monkeypatch):
    run("start", "relu")

    def replace():
        size, times = os.path.getsize("exercises/relu.py"), os.stat("exercises/relu.py")
        Path("new.py").write_bytes(b"#" * size)
        os.utime("new.py", ns=(times.st_atime_ns, times.st_mtime_ns))
        os.replace("new.py", "exercises/relu.py")

    edits(monkeypatch, replace, lambda: None)
    status, out = run("watch", "relu")
    assert status == 1 and "has no class ReLU" in out


def test_a_file_that_is_gone_for_a_moment_is_not_missed(run, monkeypatch):
    run("start", "relu")
    edits(monkeypatch, lambda: os.remove("exercises/relu.py"), lambda: solve("relu"))
    assert "no longer there" not in run("watch")[1]


def test_watch_begins_again_when_the_file_is_saved_in_the_middle_of_a_check(run, monkeypatch):
    run("start", "relu")
    Path("exercises/relu.py").write_text("while True:\n    pass\n")
    edits(monkeypatch)
    saved = iter([None, None, None, solve])             # looked at: twice by watch, then by limit
    version = commands._version

    def look(path):
        save = next(saved, None)
        if save is not None:
            save("relu")
        return version(path)

    monkeypatch.setattr(commands, "_version", look)
    edits(monkeypatch, lambda: None, lambda: None)
    start = time.monotonic()
    status, out = run("watch", "--time", "300")
    assert status == 0 and "relu: right in all" in out and "relu: ended" not in out
    assert time.monotonic() - start < 60


def test_watch_needs_a_file(run):
    assert run("watch")[0] == 2 and run("watch", "relu")[0] == 2


# ── a limit ──────────────────────────────────────────────────────────────────────────

LOOP = """        n = 0
        while True:
            n += 1
            print("here", n)
"""


def test_an_endless_loop_is_ended_and_its_prints_are_cut(run):
    run("start", "relu")
    source = solution("relu").read_text(encoding="utf-8")
    Path("exercises/relu.py").write_text(
        source.replace("        y = np", LOOP + "        y = np"), encoding="utf-8")
    status, out = run("check", "--time", "1")
    assert status == 1 and re.search(r"relu\.py, line 1\d: still here after 1 s: does a loop", out)
    assert re.findall(r"^here (\d+)$", out, re.MULTILINE) == [str(n) for n in range(1, 11)]
    assert re.search(r"^… \d\d+ more lines printed$", out, re.MULTILINE)


def test_a_check_of_its_own_process_tells_the_same(run):
    run("start", "relu")
    source = solution("relu").read_text(encoding="utf-8")
    for old, new in (("dy * positive", "-dy * positive"), ("x > 0", "y.foo"), ("0", "0")):
        Path("exercises/relu.py").write_text(source.replace(old, new), encoding="utf-8")
        results = [limit.check_within(seconds, "relu", "exercises/relu.py") for seconds in (0, 60)]
        # each draws its own inputs: numbers and evidence differ
        same = [re.sub(r"\[.*|Evidence: .*", "", result.text) for result in results]
        assert same[0] == same[1] and results[0].score == results[1].score
        assert [c.says for c in results[0].causes[:1]] == [c.says for c in results[1].causes[:1]]
        assert results[0].arguments == results[1].arguments


@pytest.mark.parametrize(("source", "said"), [
    ("import os\nos._exit(3)\n", "its process came to an end, with status 3"),
    ("input()\n", "relu.py, line 1: EOFError"),
    ("import os\nos.write(1, b'no message')\n", "relu.py has no class ReLU"),
])
def test_what_a_file_does_to_its_process_is_a_result(source, said):
    Path("relu.py").write_text(source)
    result = limit.check_within(30, "relu", "relu.py")
    assert result.verdict == "error" and said in result.text


def test_other_modules_in_the_folder_are_not_imported_by_the_check(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)         # it may name this folder
    Path("json.py").write_text("raise SystemExit")
    shutil.copy(solution("relu"), "relu.py")
    assert limit.check_within(30, "relu", "relu.py").passed


def test_the_time_is_a_number_of_seconds(run):
    run("start", "relu")
    for text in ("-1", "soon", "inf", "nan"):
        status, out = run("check", "--time", text)
        assert status == 2 and "--time" in out


# ── what cannot be done ──────────────────────────────────────────────────────────────


def test_unknown_names_are_told_the_nearest(run):
    for action in ("start", "check", "watch", "hint", "reset"):
        status, out = run(action, "rellu")
        assert status == 2 and "unknown exercise 'rellu': did you mean 'relu'?" in out
    assert run()[0] == run("begin")[0] == run("list", "relu")[0] == 2


def test_check_and_hint_need_something_to_look_at(run):
    for words in (("check",), ("hint",), ("watch",)):
        status, out = run(*words)
        assert status == 2 and "`scratchnet exercise start` begins" in out
    status, out = run("check", "relu")
    assert status == 2 and "`scratchnet exercise start relu` makes it" in out
    assert not os.path.exists("exercises")


def test_inside_the_folder_its_files_are_found(run, monkeypatch):
    run("start", "relu")
    solve("relu")
    monkeypatch.chdir("exercises")
    assert "relu: right in all" in run("check")[1]
    assert run("start")[0] == 0 and Path("sigmoid_tanh.py").exists()
    assert not Path("exercises").exists()


def test_a_folder_that_is_not_there_is_said(run):
    for words in (("check",), ("check", "relu"), ("watch",), ("status",), ("list",),
                  ("reset", "relu")):
        status, out = run(*words, "--folder", "nosuch")
        assert status == 2 and "there is no folder nosuch: `scratchnet exercise start" in out
    assert not Path("nosuch").exists()
    assert run("check", "99")[1].startswith("scratchnet: there is no exercise 99: there are 33;")


def test_a_folder_that_cannot_be_written(run):
    Path("file").touch()
    status, out = run("start", "relu", "--folder", "file")
    assert status == 2 and "choose another folder with --folder" in out


def test_a_file_that_cannot_be_read_is_an_error_of_the_check(run):
    run("start", "relu")
    os.remove("exercises/relu.py")
    os.mkdir("exercises/relu.py")
    status, out = run("check")
    assert status == 1 and "the file does not run" in out and "cannot read" in out


# ── progress.json ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", "{", "[]", '{"solved": 3}', '{"hints": {"relu": 7}}',
                                  '{"current": 1}', '{"solved": [1]}', '{"failing": 1}', "\x00"])
def test_a_damaged_file_is_kept_and_its_backup_read(run, text):
    run("start", "relu")
    Workspace().solve("linear")
    run("hint")                                         # the backup: before the hint
    Path("exercises/progress.json").write_text(text)
    status, out = run("status")
    assert status == 0 and "is damaged" in out and "going on with progress.json.bak" in out
    assert "kept as progress.json.1" in out
    assert Path("exercises/progress.json.1").read_text() == text
    assert progress() == {"current": "relu", "solved": ["linear"], "failing": [], "hints": {}}
    assert "is damaged" not in run("status")[1]


def test_without_a_backup_it_begins_with_an_empty_one(run):
    run("start", "relu")
    for name in ("progress.json", "progress.json.bak"):
        Path("exercises", name).write_bytes(b"\xff\xfe")
    status, out = run("status")
    assert status == 0 and "beginning with an empty one" in out
    assert Path("exercises/progress.json.1").read_bytes() == b"\xff\xfe"
    assert progress() == {"current": None, "solved": [], "failing": [], "hints": {}}
    assert Path("exercises/progress.json.bak").read_bytes() == b"\xff\xfe"


def test_a_failed_write_leaves_the_old_file(monkeypatch):
    workspace = Workspace()
    workspace.start("relu")
    before = Path("exercises/progress.json").read_text()
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        workspace.solve("relu")
    assert Path("exercises/progress.json").read_text() == before
    assert sorted(os.listdir("exercises")) == ["progress.json", "progress.json.bak", "relu.py"]


def test_progress_survives_a_round_trip_and_unknown_names():
    for it in (Progress(), Progress("relu", ["linear", "of_later"], ["linear"], {"relu": 2})):
        assert Progress.parse(it.dump()) == it
