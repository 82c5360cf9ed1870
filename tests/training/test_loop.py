"""The loop with a folder: what it leaves, how it is stopped, and what it takes up again."""
import csv
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from scratchnet import data, optim, training, weights
from scratchnet.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from scratchnet.training import checkpoint
from scratchnet.training.interrupt import Interrupted, Interrupts

ROOT = Path(__file__).parents[2]
DIGITS = data.load_digits()
TRAIN = DIGITS.train.images[:80], DIGITS.train.labels[:80]
VALIDATION = DIGITS.validation.images[:40], DIGITS.validation.labels[:40]


def network(seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(conv=Conv2d(1, 4, 3, padding=1, rng=rng), norm=BatchNorm2d(4), relu=ReLU(),
                      flat=Flatten(), drop=Dropout(0.2, rng=rng), fc=Linear(256, 10, rng=rng))


def fit(out, epochs=3, seed=0, **options):
    net = network(seed)
    sgd = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    options = {"batch_size": 16, "rng": 1, "progress": False} | options
    return net, training.fit(net, TRAIN, VALIDATION, sgd, epochs, out=out, **options)


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return all(np.array_equal(ours[name], theirs[name]) for name in ours)


def stop_after(update, number=signal.SIGTERM):
    """A transform that sends the process a signal when the given update is prepared."""
    count = 0

    def transform(images, rng):
        nonlocal count
        count += 1
        if count == update:
            os.kill(os.getpid(), number)
        return images
    return transform


def test_what_a_run_leaves(tmp_path):
    net, history = fit(tmp_path / "deep" / "run")
    folder = tmp_path / "deep" / "run"
    assert sorted(p.name for p in folder.iterdir()) == [
        "best.npz", "checkpoint-000000010.npz", "checkpoint-000000015.npz", "curves.png", "lock",
        "log.csv", "updates.jsonl"]
    rows = list(csv.DictReader((folder / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["validation_error"]) for row in rows] == pytest.approx(
        [epoch.validation_error for epoch in history])
    lines = [json.loads(line) for line in (folder / "updates.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 16))
    assert np.mean([line["loss"] for line in lines[:5]]) == pytest.approx(history[0].train_loss)
    assert lines[0]["gradient_norm"] > 0
    best = weights.load(network(seed=3), folder / "best.npz")
    error = training.evaluate(best, *VALIDATION)[1]
    assert error == min(epoch.validation_error for epoch in history)


def test_top_5_errors_are_reported():
    _, history = fit(None)
    assert all(epoch.train_error5 <= epoch.train_error for epoch in history)
    assert all(epoch.validation_error5 <= epoch.validation_error for epoch in history)


@pytest.mark.parametrize("number", Interrupts.SIGNALS)
def test_a_signal_saves_at_the_next_update_and_the_run_goes_on(tmp_path, number):
    whole, history = fit(None)
    handler = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped after update 7; saved in") as stopped:
        fit(tmp_path, transform=stop_after(7, number))
    assert stopped.value.number == number
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert signal.getsignal(number) is handler
    assert checkpoint.newest_first(tmp_path)[0].name == "checkpoint-000000007.npz"
    net, resumed = fit(tmp_path, seed=9, rng=8, resume=True)
    assert resumed == history
    assert same(net, whole)


def test_a_signal_in_a_long_validation_is_not_kept_waiting(tmp_path):
    _, history = fit(None, test_transform=lambda images, rng: images)
    looked = 0

    def slow(images, rng):
        nonlocal looked
        looked += 1
        if looked == 3:                     # 1: the check of the first image; 2 …: validation
            os.kill(os.getpid(), signal.SIGTERM)
        return images
    with pytest.raises(Interrupted, match="stopped after update 5; saved in"):
        fit(tmp_path, test_transform=slow)
    assert looked == 3                      # of 1 + 3
    assert fit(tmp_path, resume=True, test_transform=lambda images, rng: images)[1] == history


def test_the_learning_rate_is_put_back(tmp_path):
    """So that the same optimizer can go on, or train again."""
    net = network()
    sgd = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    steps = training.Steps([1, 2])
    whole = fit(None, schedule=steps)[1]
    with pytest.raises(Interrupted):
        training.fit(net, TRAIN, VALIDATION, sgd, 3, 16, steps, stop_after(12), 1, False,
                     out=tmp_path)
    assert sgd.lr == 0.05
    history = training.fit(net, TRAIN, VALIDATION, sgd, 3, 16, steps, None, 1, False,
                           out=tmp_path, resume=True)
    assert history == whole
    assert len({epoch.lr for epoch in history}) == 3


def test_a_checkpoint_is_not_ahead_of_the_log(tmp_path, monkeypatch):
    """A kill just after a checkpoint: the lines of all its updates are on the disk."""
    seen = []
    real = checkpoint.write

    def look(folder, step, *state):
        path = real(folder, step, *state)
        seen.append((step, len((folder / "updates.jsonl").read_text().splitlines())))
        return path
    monkeypatch.setattr(checkpoint, "write", look)
    fit(tmp_path, epochs=2, save_every=0)
    assert len(seen) == 12
    assert all(step == lines for step, lines in seen)


def test_the_seconds_of_the_log_go_on(tmp_path):
    fit(tmp_path, epochs=1)
    log = tmp_path / "updates.jsonl"
    lines = [json.loads(line) | {"seconds": 100.0} for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fit(tmp_path, epochs=2, resume=True)
    assert json.loads(log.read_text().splitlines()[-1])["seconds"] > 100


def test_the_log_has_each_update_once_after_a_kill(tmp_path):
    with pytest.raises(Interrupted):
        fit(tmp_path, transform=stop_after(7))
    log = tmp_path / "updates.jsonl"
    log.write_text(log.read_text() + json.dumps({"step": 8, "loss": 0}) + "\n" + '{"step": 9, "lo')
    fit(tmp_path, resume=True)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 16))
    assert lines[7]["loss"] > 0


def test_resuming_a_run_that_is_complete_changes_nothing(tmp_path):
    net, history = fit(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix in (".npz", ".csv")}
    again, same_history = fit(tmp_path, seed=5, resume=True)
    assert same_history == history
    assert same(net, again)
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()
                      if p.suffix in (".npz", ".csv")}


def test_killed_between_the_first_log_and_the_first_checkpoint_it_begins_again(tmp_path):
    fit(tmp_path, epochs=1)
    for path in checkpoint.newest_first(tmp_path):
        path.unlink()
    assert fit(tmp_path, resume=True)[1] == fit(None)[1]


def test_more_epochs_can_be_asked_for_later(tmp_path):
    fit(tmp_path, epochs=2)
    _, history = fit(tmp_path, epochs=4, resume=True)
    assert history == fit(None, epochs=4)[1]


def test_a_schedule_that_was_done_stays_done(tmp_path):
    _, history = fit(tmp_path, epochs=30, schedule=training.Plateau(patience=1, drops=0))
    assert len(history) < 30
    _, again = fit(tmp_path, epochs=30, schedule=training.Plateau(patience=1, drops=0), resume=True)
    assert again == history


def test_a_folder_with_a_run_is_not_written_over(tmp_path):
    fit(tmp_path, epochs=1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="holds a run already: resume it .* or name another"):
        fit(tmp_path, epochs=1)
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}


def test_the_run_of_another_model_is_refused(tmp_path):
    fit(tmp_path, epochs=1)
    net = Sequential(Flatten(), Linear(64, 10, rng=0))
    sgd = optim.SGD(net.parameters(), lr=0.1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="(?s)belongs to another run; nothing was loaded.*drop"):
        training.fit(net, TRAIN, VALIDATION, sgd, 1, batch_size=16, progress=False, out=tmp_path,
                     resume=True)
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "rubbish"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(tmp_path, capsys, damage):
    whole, history = fit(None)
    fit(tmp_path)
    newest, before = checkpoint.newest_first(tmp_path)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"cut": newest.read_bytes()[:-100], "flip": bytes(content), "empty": b"",
                        "rubbish": b"PK" + bytes(1000)}[damage])
    net, resumed = fit(tmp_path, seed=9, resume=True, progress=True)
    said = capsys.readouterr()
    assert newest.name in said.out + said.err
    assert "Going back to the checkpoint before it" in said.out + said.err
    assert newest.with_suffix(".broken").exists()           # does not count as one of two
    assert resumed == history
    assert same(net, whole)


def test_no_checkpoint_that_can_be_read_is_an_error_not_a_new_beginning(tmp_path):
    fit(tmp_path)
    for path in checkpoint.newest_first(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 2 checkpoints in .* can be read"):
        fit(tmp_path, resume=True)


def test_a_full_disk_stops_the_run_and_leaves_the_older_checkpoints(tmp_path, monkeypatch):
    fit(tmp_path, epochs=2)
    names = sorted(p.name for p in tmp_path.iterdir())

    def full(table, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(checkpoint, "write_npz", full)
    with pytest.raises(OSError, match=r"checkpoint-000000015.npz was not written \(No space left"):
        fit(tmp_path, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    monkeypatch.undo()
    assert fit(tmp_path, resume=True)[1] == fit(None)[1]


def test_a_disk_that_gives_back_other_bytes_is_noticed_before_the_name_is_given(tmp_path,
                                                                               monkeypatch):
    real = checkpoint.write_npz

    def lying(table, file):
        real(table, file)
        file.seek(2000)
        file.write(b"\xff" * 8)
    monkeypatch.setattr(checkpoint, "write_npz", lying)
    with pytest.raises(OSError, match="the disk gave back other bytes than were written"):
        fit(tmp_path, epochs=1)
    assert checkpoint.newest_first(tmp_path) == []


def test_two_processes_do_not_share_a_folder(tmp_path):
    pytest.importorskip("fcntl")
    hold, release = threading.Event(), threading.Event()

    def waiting(images, rng):
        hold.set()
        release.wait(10)
        return images
    first = threading.Thread(target=fit, args=(tmp_path,), kwargs={"transform": waiting})
    first.start()
    hold.wait(10)
    try:
        with pytest.raises(ValueError, match="another process is training in"):
            fit(tmp_path, resume=True)
    finally:
        release.set()
        first.join()


def test_what_a_kill_left_behind_is_cleared_away(tmp_path):
    (tmp_path / ".checkpoint-000000005.npz.1a2b3c4d.tmp").write_bytes(b"half of it")
    fit(tmp_path, epochs=1)
    assert not list(tmp_path.glob(".*"))


def test_killed_at_random_moments_it_ends_bit_identical():
    """Three of the 200 runs of benchmarks/killed_runs.py."""
    result = subprocess.run(
        [sys.executable, "-c", "import sys, json; sys.path.insert(0, 'benchmarks'); "
         "import killed_runs; print(json.dumps(killed_runs.measure(3, seed=1, progress=False)))"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["ended bit-identical"] == 3
    assert seen["kills"] >= 3
    assert seen["broken newest"] == 0


def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_the_layer(tmp_path):
    fit(tmp_path, epochs=1)
    before = checkpoint.newest_first(tmp_path)[0].read_bytes()
    net = network()
    sgd = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

    def strange(images, rng):
        return images * np.float32(1e38)
    with np.errstate(all="ignore"), pytest.raises(
            RuntimeError, match="(?s)update 6; the update was not made.*forward: norm"):
        training.fit(net, TRAIN, VALIDATION, sgd, 2, batch_size=16, rng=1, progress=False,
                     out=tmp_path, resume=True, transform=strange)
    assert checkpoint.newest_first(tmp_path)[0].read_bytes() == before
    saved, _ = checkpoint.read(checkpoint.newest_first(tmp_path)[0])
    assert all(np.array_equal(saved[f"model.{name}"], array)
               for name, array in net.state_dict().items())


def test_checkpoints_are_saved_as_often_as_asked(tmp_path, monkeypatch):
    steps = []
    real = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda folder, step, *state: (
        steps.append(step), real(folder, step, *state)))
    fit(tmp_path / "a", epochs=1, save_every=0)
    assert steps == [1, 2, 3, 4, 5, 5]
    steps.clear()
    fit(tmp_path / "b", epochs=1)
    assert steps == [5]


def test_progress_says_how_it_goes(capsys, tmp_path):
    fit(tmp_path, epochs=1, progress=True)
    said = capsys.readouterr().err
    for word in ("epoch 1/1", "loss ", "top-1 ", "top-5 ", "images/s", "<"):
        assert word in said, said


def test_bytes_train_like_the_shares_they_stand_for():
    raw = (TRAIN[0] * 16).astype(np.uint8) * 15
    histories = [training.fit(net := network(), (images, TRAIN[1]), VALIDATION,
                              optim.SGD(net.parameters(), lr=0.05), 1, batch_size=16, rng=1,
                              progress=False)
                 for images in (raw, raw.astype(np.float32) / np.float32(255))]
    assert histories[0] == histories[1]
