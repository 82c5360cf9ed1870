"""train, evaluate and predict as a user meets them: what they print, and what stops them."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scratchnet import cli, data
from scratchnet.training import checkpoint

ROOT = Path(__file__).parents[2]
LENET = ("train", "lenet5", "--data", "digits")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8",
    "MPIEXEC_TIMEOUT": "60", "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
COMMAND = (sys.executable, "-m", "scratchnet.cli")
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def start(*arguments, ranks=(), cwd=None):
    """Run the command in a process of its own; returns (status, output, errors)."""
    done = subprocess.run([*ranks, *COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT,
                          capture_output=True, text=True, encoding="utf-8", timeout=120)
    return done.returncode, done.stdout, done.stderr


def refused(capsys, *arguments, status=2):
    """Run the command here; returns the one message that it must end with."""
    capsys.readouterr()
    assert cli.main(list(map(str, arguments))) == status
    said = capsys.readouterr()
    message = said.err[said.err.index("scratchnet: "):]
    assert "Traceback" not in said.err and message.count("scratchnet: ") == 1
    return message


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs of one epoch, "a run" and "b", and some pictures."""
    folder = tmp_path_factory.mktemp("command")
    status, out, err = start(*LENET, "--epochs", 1, "--out", "a run", cwd=folder)
    assert status == 0, err
    assert "Test it with: scratchnet evaluate 'a run'" in out
    assert "epoch 1/1" in err and "validation top-1" in err
    status, _, err = start(*LENET, "--epochs", 1, "--out", "b", "--seed", 1, cwd=folder)
    assert status == 0, err
    test = data.load("digits", size=32).test
    for name, i in (("first", 0), ("second", 1)):
        pixels = np.round(255 * test.images[i, 0]).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "cut.png").write_bytes((folder / "first.png").read_bytes()[:-30])
    (folder / "text.png").write_text("not a picture")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


# ── train ────────────────────────────────────────────────────────────────────────────


def test_the_default_folder_names_what_was_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*LENET, "--epochs", "1", "--recipe", "resnet-cifar", "--workers", "0"]) == 0
    said = capsys.readouterr().out
    assert "lenet5, 60,000 parameters, on digits: 1,257 images to train on" in said
    assert "The run is in runs/lenet5-digits-resnet-cifar: curves.png" in said
    assert (tmp_path / "runs" / "lenet5-digits-resnet-cifar" / "best.npz").exists()


@pytest.mark.parametrize("arguments, message", [
    (["lenet6", "--data", "digits"], "unknown model 'lenet6': did you mean 'lenet5'?"),
    (["lenet5", "--data", "digitz"], "no data set, and no folder, called 'digitz'. Did you mean d"),
    (["lenet5", "--data", "empty"], "empty has no class folders"),
    (["lenet5"], "train expects data, too: --data digits, or another"),
    ([], "train expects a network and data: scratchnet train alexnet_small --data digits"),
    (["--resume"], "--resume expects the folder of a run: --out RUN"),
    (["--resume", "--out", "nowhere"], "there is no run in nowhere to resume: name the network"),
    ([*LENET[1:], "--epochs", "0"], "epochs must be a whole number, 1 or more; got 0"),
    ([*LENET[1:], "--epochs", "-1"], "epochs must be a whole number, 1 or more; got -1"),
    ([*LENET[1:], "--lr", "nan"], "lr must be a number above 0, and finite; got nan"),
    ([*LENET[1:], "--lr", "inf"], "lr must be a number above 0, and finite; got inf"),
    ([*LENET[1:], "--lr", "-1"], "lr must be a number above 0, and finite; got -1.0"),
    ([*LENET[1:], "--size", "7"], "lenet5 cannot look at 1×7×7 images: in C3"),
    ([*LENET[1:], "--size", "0"], "size must be a whole number, 1 or more; got 0"),
    ([*LENET[1:], "--size", "5000"], "size must be an integer from 1 to 1024; got 5000"),
    ([*LENET[1:], "--batch-size", "0"], "batch_size must be a whole number, 1 or more; got 0"),
    ([*LENET[1:], "--seed", "-1"], "seed must be a whole number, 0 or more; got -1"),
    ([*LENET[1:], "--workers", "-1"], "workers must be an integer ≥ 0"),
    ([*LENET[1:], "--save-every", "nan"], "save_every seconds ≥ 0"),
    ([*LENET[1:], "--recipe", "papre"], "unknown recipe 'papre'; there are: alexnet"),
    ([*LENET[1:], "--recipe", "mine.toml"], "mine.toml: No such file"),
    ([*LENET[1:], "--freeze", "C9"], "has no part 'C9'; the nearest names are 'C"),
    ([*LENET[1:], "--pretrained", "nonsense"], "a weights file ends in .npz or .safetensors; got"),
    ([*LENET[1:], "--pretrained", "no.npz"], "no.npz"),
    ([*LENET[1:], "--pretrained", "text.npz"], "text.npz is truncated or damaged"),
])
def test_what_cannot_be_trained_is_told_in_a_line_and_leaves_nothing(inside, tmp_path, capsys,
                                                                     arguments, message):
    (inside / "text.npz").write_text("no weights")
    arguments = arguments if "--out" in arguments or arguments == ["--resume"] else [
        *arguments, "--out", str(tmp_path / "run")]
    assert message in refused(capsys, "train", *arguments)
    assert {p.name for p in tmp_path.glob("run/*")} <= {"lock"}
    assert not (inside / "nowhere").exists()


@pytest.mark.parametrize("arguments", [["--epochs", "two"], ["--lr", "small"], ["--device", "tpu"],
                                       ["--nonsense"]])
def test_what_the_parser_refuses(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*LENET, *arguments])
    assert stop.value.code == 2
    assert "usage: scratchnet" in capsys.readouterr().err


def test_no_gpu(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    message = refused(capsys, *LENET, "--out", tmp_path / "run", "--device", "gpu")
    assert message.startswith("scratchnet: device 'gpu' is not there: CuPy is not installed")


def test_a_folder_that_is_taken(inside, capsys):
    assert "text.png is a file: name a folder" in refused(capsys, *LENET, "--out", "text.png")
    assert "a run holds a run already: resume it" in refused(capsys, *LENET, "--out", "a run")


def test_other_settings_than_those_that_the_run_was_begun_with(inside, capsys):
    before = {p.name: p.read_bytes() for p in (inside / "b").iterdir()}
    for arguments, told in ((["--lr", "0.5"], "lr: begun with None, now 0.5"),
                            (["--epochs", "9"], "epochs: begun with 1, now 9"),
                            (["alexnet_small"], "model: begun with 'lenet5', now 'alexnet_small'"),
                            (["--no-mirror"], "mirror: begun with None, now False")):
        message = refused(capsys, "train", *arguments, "--out", "b", "--resume")
        assert "b holds another run; nothing was changed.\n" in message and told in message
    assert before == {p.name: p.read_bytes() for p in (inside / "b").iterdir()}


def test_a_rate_that_is_far_too_large(tmp_path, capsys):
    """One message, no warnings of NumPy's; and the folder can be resumed (and says so again)."""
    out = tmp_path / "run"
    message = refused(capsys, *LENET, "--lr", "1e9", "--out", out)
    assert "in epoch 1, update " in message and "the update was not made" in message
    assert "try a smaller learning rate than" in message
    assert "the update was not made" in refused(capsys, "train", "--out", out, "--resume")


def test_a_rate_that_is_far_too_large_warns_of_nothing_else(tmp_path):
    status, _, err = start(*LENET, "--lr", "1e9", "--out", tmp_path / "run")
    assert status == 2
    assert "RuntimeWarning" not in err and "Traceback" not in err


def test_resuming_a_run_that_is_complete(inside, capsys):
    best = (inside / "b" / "best.npz").read_bytes()
    assert cli.main(["train", "--out", "b", "--resume"]) == 0
    assert "The run is in b" in capsys.readouterr().out
    assert (inside / "b" / "best.npz").read_bytes() == best


def test_a_damaged_run_is_not_resumed(inside, tmp_path, capsys):
    shutil.copytree("b", tmp_path / "run")
    text = (tmp_path / "run" / "run.json").read_text()
    (tmp_path / "run" / "run.json").write_text(text[:500])
    for command in (["train", "--resume", "--out"], ["evaluate"], ["predict"]):
        images = ["first.png"] * (command == ["predict"])
        assert "run.json is damaged, or no run's" in refused(capsys, *command, tmp_path / "run",
                                                             *images)


# ── evaluate ─────────────────────────────────────────────────────────────────────────


def errors(text):
    """{name: top-1 error in percent} of the table that evaluate prints."""
    return {line[:line.index("  ")]: float(re.search(r"([\d.]+)%", line)[1])
            for line in text.splitlines() if re.search(r"%.*%", line)}


def test_a_run_is_tested(inside, capsys):
    assert cli.main(["evaluate", "a run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("360 images of digits, test; one view of each\n")
    row = errors(said)
    assert row.keys() == {"a run"} and 0 < row["a run"] < 60
    assert cli.main(["evaluate", "a run", "--part", "validation"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("180 images of digits, validation")
    table = [line.split(",") for line in (inside / "a run" / "log.csv").read_text().splitlines()]
    best = min(float(row[table[0].index("validation_error")]) for row in table[1:])
    assert errors(said)["a run"] == pytest.approx(100 * best, abs=0.006)


def test_two_runs_answer_together(inside, capsys):
    assert cli.main(["evaluate", "a run", "b"]) == 0
    row = errors(capsys.readouterr().out)
    assert list(row) == ["a run", "b", "their mean", "ensemble"]
    assert row["their mean"] == pytest.approx((row["a run"] + row["b"]) / 2, abs=0.01)
    assert row["ensemble"] < max(row["a run"], row["b"])


def test_several_views_are_another_test(inside, capsys):
    """Five, for the digits may not be mirrored."""
    assert cli.main(["evaluate", "a run"]) == 0
    one = errors(capsys.readouterr().out)
    assert cli.main(["evaluate", "a run", "--ten-crop"]) == 0
    said = capsys.readouterr().out
    assert "five views of each, none mirrored" in said and errors(said) != one


@pytest.mark.parametrize("arguments, message", [
    (["empty"], "empty holds no run of scratchnet train"), (["nowhere"], "nowhere holds no run"),
    (["text.png"], "text.png holds no run"), (["b", "a run", "b"], "expects each run once"),
    (["b", "--data", "shapes"], "shapes has other classes than the run"),
    (["b", "--data", "nothing"], "no data set, and no folder, called 'nothing'"),
])
def test_what_cannot_be_tested(inside, capsys, arguments, message):
    assert message in refused(capsys, "evaluate", *arguments)


def test_runs_of_other_classes_do_not_answer_together(inside, tmp_path, capsys):
    other = shutil.copytree("b", tmp_path / "other")
    table = json.loads((other / "run.json").read_text())
    table["classes"][0] = "zero"
    (other / "run.json").write_text(json.dumps(table))
    assert "have other classes: they cannot answer together" in refused(capsys, "evaluate", "b",
                                                                        other)


# ── predict ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("more", [[], ["--ten-crop"]])
def test_pictures_are_answered_with_the_five_likeliest(inside, capsys, more):
    assert cli.main(["predict", "a run", "first.png", "second.png", *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["first.png", "second.png"]
    shares = [float(line.split()[1].rstrip("%")) for line in lines[1:6]]
    assert shares == sorted(shares, reverse=True) and 20 < sum(shares) <= 100.3


def test_what_is_predicted_is_what_the_test_would_say(inside, capsys):
    from scratchnet.training.run import Run
    run = Run("a run")
    p = run.probabilities(run.network("cpu"), run.data().test.images[:1])[0]
    assert cli.main(["predict", "a run", "first.png"]) == 0
    answer, share = capsys.readouterr().out.splitlines()[1].split()[:2]
    assert int(answer) == p.argmax()
    assert float(share.rstrip("%")) == pytest.approx(100 * p.max(), abs=1)    # in 256 greys


@pytest.mark.parametrize("arguments, message", [
    (["a run", "text.png"], "text.png is no picture that can be read: expected a PNG or a JPEG"),
    (["a run", "cut.png"], "cut.png is truncated or damaged"),
    (["a run", "no.png"], "no.png is not there"), (["a run", "empty"], "empty is no file"),
    (["empty", "first.png"], "empty holds no run"),
])
def test_what_cannot_be_looked_at(inside, capsys, arguments, message):
    assert message in refused(capsys, "predict", *arguments)


# ── stopped from outside ─────────────────────────────────────────────────────────────

LONG = (*LENET, "--epochs", "2", "--workers", "1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stops."""
    folder = tmp_path_factory.mktemp("whole")
    status, _, err = start(*LONG, "--out", folder / "run")
    assert status == 0, err
    return folder / "run"


def started(folder, *arguments, ranks=()):
    """Begin a training in a process of its own; returns it when updates are being made."""
    log = (folder / "errors.txt").open("wb")
    process = subprocess.Popen([*ranks, *COMMAND, *map(str, arguments)], cwd=folder,
                               env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, text=True,
                               encoding="utf-8")
    log.close()
    for _ in range(600):
        said = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace")
        if "loss" in said:
            return process
        assert process.poll() is None, said
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no update within 30 seconds: {said}")


def same_files(run, whole):
    """Whether log and best weights are the same, and the last checkpoint's arrays."""
    assert (run / "log.csv").read_text() == (whole / "log.csv").read_text()
    (ours, _), (theirs, _) = (checkpoint.read(checkpoint.newest_first(f)[0]) for f in (run, whole))
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in theirs)
    return (run / "best.npz").read_bytes() == (whole / "best.npz").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_line_it_prints_goes_on(tmp_path, whole, number, status):
    process = started(tmp_path, *LONG, "--out", "my run's")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    err = (tmp_path / "errors.txt").read_text(encoding="utf-8")
    assert process.returncode == status, err
    assert "Traceback" not in err
    line = re.search(r"stopped after update (\d+); saved in my run's\. Go on with: (.*)", out)
    assert 0 < int(line[1]) < 40
    program, *arguments = shlex.split(line[2])
    assert program == "scratchnet"
    status, out, err = start(*arguments, cwd=tmp_path)
    assert status == 0, err
    assert f"going on after update {line[1]}, epoch " in out + err
    assert same_files(tmp_path / "my run's", whole)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_killed_run_goes_on(tmp_path, whole):
    process = started(tmp_path, *LONG, "--out", "run", "--save-every", "0")
    process.kill()
    process.communicate()
    status, _, err = start("train", "--out", "run", "--resume", cwd=tmp_path)
    assert status == 0, err
    assert same_files(tmp_path / "run", whole)


needs_mpi = pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None,
                               reason="needs mpiexec and mpi4py")
TWO = (MPIEXEC, "-n", "2")


def children(process):
    """The ids of the processes that `process` started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == process.pid:
            found.append(int(path.parent.name))
    return sorted(found)


@needs_mpi
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_two_processes_stop_together_and_go_on_together(tmp_path, whole):
    """First the second of them is asked to stop, then mpiexec is."""
    process = started(tmp_path, *LONG, "--out", "run", ranks=TWO)
    os.kill(children(process)[1], signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    err = (tmp_path / "errors.txt").read_text(encoding="utf-8")
    assert process.returncode == 143, err
    assert "Traceback" not in err
    step = int(re.search(r"stopped after update (\d+); saved in run\. Go on with: ", out)[1])
    assert checkpoint.newest_first(tmp_path / "run")[0].name == f"checkpoint-{step:09d}.npz"

    process = started(tmp_path, "train", "--out", "run", "--resume", ranks=TWO)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode != 0
    saved = checkpoint.newest_first(tmp_path / "run")[0]
    assert saved.name > f"checkpoint-{step:09d}.npz"
    checkpoint.read(saved)

    status, _, err = start("train", "--out", "run", "--resume", ranks=TWO, cwd=tmp_path)
    assert status == 0, err
    losses, alone = ([json.loads(line)["loss"] for line in
                      (run / "updates.jsonl").read_text().splitlines()]
                     for run in (tmp_path / "run", whole))
    assert losses == pytest.approx(alone, rel=1e-3)             # one process, up to rounding
    assert losses != alone


@needs_mpi
def test_wrong_settings_under_mpiexec_are_a_line_and_a_status_too(tmp_path):
    status, _, err = start(*LENET, "--freeze", "C9", "--out", tmp_path / "run", ranks=TWO)
    assert status == 2, err
    assert "scratchnet: freeze: " in err and "Traceback" not in err
