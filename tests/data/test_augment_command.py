"""`scratchnet augment` writes a sheet, or says in one line why not."""
import argparse

import numpy as np
import pytest

from scratchnet.data import augment_command, draw_shapes
from scratchnet.visualize.rows import image_rows

Image = pytest.importorskip("PIL.Image")


def call(*arguments):
    parser = argparse.ArgumentParser()
    augment_command.add_command(parser.add_subparsers())
    options = parser.parse_args(["augment", *map(str, arguments)])
    return options.run(options)


def test_a_sheet_of_a_drawn_picture(tmp_path, capsys):
    assert call("--out", tmp_path / "sheet.png", "--size", 28) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1100, round(10 * 1.25 * 110))
        assert np.asarray(sheet).std() > 20
    assert "9 transforms of a drawn picture" in capsys.readouterr().out


def test_a_sheet_of_a_file(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    assert call(tmp_path / "mine.png", "--out", tmp_path / "sheet.png", "--size", 28) == 0
    assert "mine.png" in capsys.readouterr().out
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_rows_begin_with_the_picture_and_vary_with_the_seed():
    images = draw_shapes(3, 32, 0.5, np.random.default_rng(0))[0]
    rows = augment_command.sheet_rows(images[0], images, 28, seed=1)
    title, first = rows[0]
    assert title == "the picture, 32×32, and CentreCrop(size=28)"
    assert np.array_equal(first[0], images[0])
    assert np.array_equal(first[1][:, 2:30, 2:30], images[0][:, 2:30, 2:30])
    assert first[1][:, :2].min() == 1                       # its frame
    assert [title.split("(")[0] for title, _ in rows[1:]] == [
        "TenCrop", "RandomCrop", "RandomResizedCrop", "ScaleJitter", "RandomShift",
        "RandomReflection", "Cutout", "PCAColour.of", "ColourJitter"]
    assert all(len(images) == 10 for _, images in rows[1:])
    for (_, a), (_, b) in zip(rows[2:], augment_command.sheet_rows(images[0], images, 28, 2)[2:],
                              strict=True):
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("arguments, message", [
    (["nowhere.png"], "nowhere.png"),
    (["text.png"], "text.png"),
    (["."], "expects a file"),
    (["--size", 5], "--size must be from 16 to 512; got 5"),
    (["--seed", -1], "--seed must be 0 or more; got -1"),
    (["--size", 28, "--out", "no/such/folder/sheet.png"], "cannot write no/such/folder"),
    (["--size", 28, "--out", "sheet.xyz"], "cannot write sheet.xyz"),
])
def test_what_cannot_be_done_is_said_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    assert call(*arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("scratchnet: ") and message in said.err
    assert said.err.count("\n") == 1 and not said.out
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]


def test_pictures_in_rows():
    figure = image_rows([("one", np.zeros((2, 1, 4, 4))), ("two", np.ones((3, 3, 4, 4)))])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]
    black, white = (axes.images[0].get_array() for axes in figure.axes)
    assert black.shape == (4, 4 + 1 + 4, 3) and white.shape == (4, 4 + 1 + 4 + 1 + 4, 3)
    assert not black[:, :4].any() and (black[:, 4] == 1).all() and not black[:, 5:].any()
    with pytest.raises(ValueError, match="got .* for 'flat'"):
        image_rows([("flat", np.zeros((2, 4, 4)))])
