"""benchmarks/training_experiments.py, with next to no images: is it the experiment that it says?"""
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import training_experiments as experiments  # noqa: E402

from scratchnet import data, training  # noqa: E402

SIZES = experiments.Sizes(
    train=20, validation=10, test=12, epochs=2, batch=10, seeds=2, members=3, digits=1,
    digits_batch=5, digits_epochs=1, digits_rates=(0.001, 0.01), head_epochs=2,
    head_rates=(0.001, 0.1))


@pytest.fixture
def quick(monkeypatch):
    """No curves, which take longer than such runs, and fewer digits to look at."""
    monkeypatch.setattr("scratchnet.training.log.Log.draw", lambda *a, **options: None)
    whole = data.load_digits(32)
    monkeypatch.setattr(data, "load_digits", lambda size: whole._replace(**{
        part: data.Split(*(array[:20] for array in getattr(whole, part)))
        for part in ("validation", "test")}))


def forbidden(*arguments, **options):
    raise AssertionError("this was done already")


def test_all_parts_are_measured_and_what_is_done_is_not_done_again(quick, tmp_path, monkeypatch,
                                                                   capsys):
    results = tmp_path / "results.json"
    run = ["--folder", str(tmp_path / "runs")]
    assert experiments.main([*run, "--parts", "1"], SIZES, results) == 0
    assert list(json.loads(results.read_text())["parts"]) == ["1"]
    assert experiments.main([*run, "--parts", "2,3"], SIZES, results) == 0
    told = json.loads(results.read_text())
    one, two, three = (told["parts"][part] for part in "123")

    assert [row["regularisation"] for row in one["rows"]] == ["neither", "dropout", "augmentation",
                                                              "both"]
    assert one["updates"] == 4
    assert [row["digits read by"] for row in two["rows"]] == ["new head", "fine-tuned",
                                                              "from nothing"]
    for row in one["rows"] + two["rows"]:
        for part in ("training", "validation", "test"):
            assert len(row[part]) == 2 and all(0 <= error <= 1 for error in row[part])
    lowest = min(one["rows"], key=lambda row: sum(row["validation"]))["regularisation"]
    assert two["donors"] == three["kind"] == lowest
    for row in two["rows"]:
        tried = row["validation_by_rate"]
        assert row["validation"][0] == tried[f"{row['rate']:g}"] == min(tried.values())

    own = next(row for row in one["rows"] if row["regularisation"] == lowest)
    assert [top1 for top1, _ in three["members"]] == pytest.approx(
        [*own["test"], three["members"][2][0]])         # seeds 0 and 1 of part 1, and a third
    assert three["mean"][0] == pytest.approx(np.mean([top1 for top1, _ in three["members"]]))

    monkeypatch.setattr(training, "fit", forbidden)
    assert experiments.main(run, SIZES, results) == 0
    again = json.loads(results.read_text())["parts"]
    assert (again["1"], again["3"]) == (one, three)
    assert [row["test"] for row in again["2"]["rows"]] == [row["test"] for row in two["rows"]]
    assert "ensemble" in capsys.readouterr().out


def test_a_folder_of_other_sizes_is_not_gone_on_with(tmp_path):
    experiments.check_folder(tmp_path, SIZES)
    experiments.check_folder(tmp_path, SIZES)
    with pytest.raises(ValueError, match="runs of other sizes.*name another folder"):
        experiments.check_folder(tmp_path, SIZES._replace(train=21))


def test_an_unknown_part_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        experiments.main(["--parts", "1,4", "--folder", str(tmp_path)], SIZES)
    assert "no part '4'; the parts are 1, 2, 3" in capsys.readouterr().err


def test_the_four_kinds_are_what_they_are_called(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(experiments, "train", lambda folder, net, sets, vary, *rest: asked.update(
        {folder.name: (vary is not None, net.drop6.p, net.drop7.p, *rest)}))
    for kind in experiments.KINDS:
        experiments.shapes_run(SIZES, tmp_path, kind, 1)
    rest = (SIZES.rate, SIZES.epochs, SIZES.batch, 1)               # alike for all
    assert asked == {
        "shapes-neither-1": (False, 0, 0, *rest), "shapes-dropout-1": (False, 0.5, 0.5, *rest),
        "shapes-augmentation-1": (True, 0, 0, *rest), "shapes-both-1": (True, 0.5, 0.5, *rest)}


def test_few_digits_are_as_many_of_each_class_and_others_for_another_seed():
    sizes = SIZES._replace(digits=4)
    few, other = experiments.few_digits(sizes, 0), experiments.few_digits(sizes, 1)
    assert np.bincount(few.train.labels).tolist() == 10 * [4]
    assert few.train.images.shape == (40, 3, 32, 32)
    assert np.array_equal(few.train.images[:, 0], few.train.images[:, 2])
    assert abs(few.train.images.mean()) < 1e-3 and abs(few.train.images.std() - 1) < 1e-3
    assert not np.array_equal(few.train.images, other.train.images)
    whole = data.load_digits(32)
    assert np.array_equal(few.test.labels, whole.test.labels)
    same = np.corrcoef(few.test.images[:, 0].ravel(), whole.test.images.ravel())[0, 1]
    assert same == pytest.approx(1)                         # all of them, but for mean and scale


def test_processor_time_is_added_up_over_the_pieces_of_a_run(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), experiments.timed(folder):
        sum(i * i for i in range(100_000))
        raise KeyboardInterrupt
    first = experiments.seconds(folder)
    with experiments.timed(folder):
        pass
    assert 0 < first < experiments.seconds(folder) < first + 1
