"""`scratchnet profile`: every layer once, times that add up, memory counted by hand."""
import re
import time

import numpy as np
import pytest

from scratchnet import cli, models
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
from scratchnet.profile import JOINS, LOSS, UPDATE, profile


def network():
    return Sequential(conv=Conv2d(3, 4, 3, padding=1, rng=0), bn=BatchNorm2d(4), relu=ReLU(),
                      flat=Flatten(), fc=Linear(4 * 6 * 5, 10, rng=0))


def images(n=2):
    return np.random.default_rng(0).standard_normal((n, 3, 6, 5), dtype=np.float32)


def test_a_training_step_row_by_row():
    report = profile(network(), images(), rounds=2, name="five layers")
    names = ["conv", "bn", "relu", "flat", "fc"]
    assert [row.name for row in report.rows] == [*names, JOINS, LOSS, UPDATE]
    rows = {row.name: row for row in report.rows}
    assert rows["conv"].kind == "Conv2d" and rows["conv"].output == (4, 6, 5)
    assert rows["conv"].macs == 2 * (2 * 4 * 6 * 5 * 27)    # forward and dw: it is the first layer
    assert rows["fc"].macs == 3 * (2 * 120 * 10)            # forward, dw and dx
    assert all(rows[name].forward > 0 and rows[name].backward > 0 for name in names)
    assert rows[LOSS].forward > 0 and rows[UPDATE].forward > 0
    assert report.batch == 2 and report.rate > 0
    # conv remembers x, which is not its own; bn what conv returned, and two numbers a channel;
    # relu what it returned itself, which fc looks at flattened.
    number = 4 * 2 * 4 * 6 * 5
    assert rows["conv"].kept == 0 and rows["fc"].kept == rows["flat"].kept == 0
    assert number <= rows["bn"].kept <= number + 100 and rows["relu"].kept == number


def test_rows_add_up_to_the_step():
    start = time.perf_counter()
    report = profile(network(), images(), rounds=5)
    assert 0 < report.seconds < time.perf_counter() - start
    shares = [float(share) for share in re.findall(r"(\d+\.\d)%", str(report))]
    assert len(shares) == len(report.rows) and abs(sum(shares) - 100) < 0.1 * len(shares)


def test_inference_keeps_nothing_and_leaves_the_running_averages():
    net = network()
    before = net.bn.running_mean.copy()
    report = profile(net, images(), training=False)
    assert [row.name for row in report.rows][-1] == JOINS
    assert all(row.backward == row.kept == 0 for row in report.rows)
    np.testing.assert_array_equal(net.bn.running_mean, before)


def test_the_model_has_its_own_methods_again():
    net = network()
    profile(net, images(), rounds=1)
    assert not any("forward" in layer.__dict__ or "backward" in layer.__dict__
                   for _, layer in net.named_layers())
    net.eval().forward(images())


def test_folded_rows_are_sums():
    report = profile(models.get_model("resnet_small", rng=0),
                     np.zeros((2, *models.input_shape("resnet_small")), np.float32), rounds=1)
    folded = report.folded(1)
    assert len(folded.rows) < len(report.rows)
    for field in ("macs", "kept"):
        assert sum(getattr(row, field) for row in folded.rows) == sum(
            getattr(row, field) for row in report.rows)
    assert sum(row.seconds for row in folded.rows) == pytest.approx(
        sum(row.seconds for row in report.rows))


def test_the_table_and_the_picture_name_every_layer():
    report = profile(network(), images(), rounds=1, name="five layers")
    text = str(report)
    for name in ("conv", "bn", "relu", "flat", "fc", "3", "4×6×5", "most of it"):
        assert name in text
    chart = report.chart()
    assert "five layers" in chart.axes[0].get_title()


def test_an_output_that_is_no_scores_is_refused():
    with pytest.raises(ValueError, match=r"needs an output \(N, classes\).*training=False"):
        profile(Sequential(a=Conv2d(3, 2, 1)), images())


def test_command(tmp_path, capsys):
    out = tmp_path / "deep" / "profile.png"
    assert cli.main(["profile", "lenet5", "--batch", "2", "--rounds", "1", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "GFLOP/s" in capsys.readouterr().out


def test_where_the_picture_goes(tmp_path, capsys):
    quick = ["profile", "lenet5", "--batch", "1", "--rounds", "1", "--inference", "--out"]
    for out, there in ((tmp_path / "plain", "plain.png"), (tmp_path, "profile.png"),
                       (tmp_path / "a.svg", "a.svg")):
        assert cli.main([*quick, str(out)]) == 0
        assert f"The picture: {tmp_path / there}\n" in capsys.readouterr().out
        assert (tmp_path / there).stat().st_size > 1000
    (tmp_path / "file").write_text("")
    for wrong in ("a.xyz", "file/a.png"):               # told before anything is measured
        assert cli.main([*quick, str(tmp_path / wrong)]) == 2
        captured = capsys.readouterr()
        assert "cannot be written" in captured.err and not captured.out
        assert not (tmp_path / wrong).exists()


def test_too_many_images_are_one_line(tmp_path, capsys):
    assert cli.main(["profile", "lenet5", "--batch", str(10**15), "--out", str(tmp_path)]) == 2
    assert "smaller --batch" in capsys.readouterr().err


def test_inference_shows_no_columns_of_backward():
    text = str(profile(network(), images(), rounds=1, training=False))
    assert "backward" not in text and "kept" not in text and "forward" in text


@pytest.mark.parametrize("arguments, message", [
    (["nonet"], "nonet"), (["lenet5", "--batch", "0"], "--batch"),
    (["lenet5", "--input", "1,2"], "--input"), (["lenet5", "--rounds", "x"], "--rounds")])
def test_command_with_wrong_arguments(arguments, message, capsys):
    assert cli.main(["profile", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scratchnet: ") and message in error
