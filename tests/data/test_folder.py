"""A folder of pictures: its layout is understood or an error says what is wrong with it."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import ImageFolder, load_folder


def picture(path, value=0, size=(6, 5), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255 - value)).save(path)


def flat(root, counts):
    """CLASS/*, each picture of another shade."""
    for name, count in counts.items():
        for i in range(count):
            picture(root / name / f"{i:03}.png", i)
    return root


def parted(root, **parts):
    """train/CLASS/* and so on."""
    for part, counts in parts.items():
        flat(root / part, counts)
    return root


def names(split):
    return [tuple(path.split("/")[-2:]) for path in
            (path.replace("\\", "/") for path in split.images.files)]


# ── layouts ──────────────────────────────────────────────────────────────────────────


def test_the_layout_of_imagenet(tmp_path):
    parted(tmp_path, train={"dog": 3, "cat": 2}, val={"cat": 1, "dog": 1},
           test={"cat": 2, "dog": 1})
    data = load_folder(tmp_path, size=4)
    assert data.classes == ("cat", "dog") and data.source == str(tmp_path)
    assert [part.labels.tolist() for part in data[:3]] == [[0, 0, 1, 1, 1], [0, 1], [0, 0, 1]]
    assert names(data.train) == [("cat", "000.png"), ("cat", "001.png"), ("dog", "000.png"),
                                 ("dog", "001.png"), ("dog", "002.png")]
    assert all("val" in path for path in data.validation.images.files)
    assert data.train.images.shape == (5, 3, 4, 4) and data.train.labels.dtype == np.int64
    assert data.train.images[:][:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]


def test_without_test_val_is_also_the_test(tmp_path):
    data = load_folder(parted(tmp_path, train={"a": 3, "b": 3}, val={"a": 1, "b": 2}))
    assert names(data.test) == names(data.validation) and len(data.train.labels) == 6


def test_without_val_a_tenth_of_train_is_held_out(tmp_path):
    data = load_folder(parted(tmp_path, train={"a": 20, "b": 30}, test={"a": 1, "b": 1}))
    assert np.bincount(data.validation.labels).tolist() == [2, 3]
    assert np.bincount(data.train.labels).tolist() == [18, 27]
    assert not set(names(data.train)) & set(names(data.validation))
    assert len(data.test.labels) == 2
    for path in tmp_path.rglob("test/*/*"):
        path.unlink()
    for path in (tmp_path / "test").iterdir():
        path.rmdir()
    (tmp_path / "test").rmdir()
    three = load_folder(tmp_path)
    assert [len(part.labels) for part in three[:3]] == [40, 5, 5]


def test_class_folders_alone_are_split_80_10_10(tmp_path):
    data = load_folder(flat(tmp_path, {"a": 20, "b": 3, "c": 9}))
    assert [np.bincount(part.labels).tolist() for part in data[:3]] == [
        [16, 1, 7], [2, 1, 1], [2, 1, 1]]
    every = [name for part in data[:3] for name in names(part)]
    assert len(set(every)) == len(every) == 32


def test_the_split_is_the_same_for_ever(tmp_path):
    """By the SHA-256 of class/name: worked out once, and written down."""
    data = load_folder(flat(tmp_path, {"a": 20}))
    assert names(data.test) == [("a", "001.png"), ("a", "015.png")]
    assert names(data.validation) == [("a", "002.png"), ("a", "011.png")]
    other = load_folder(flat(tmp_path / "elsewhere", {"a": 20}))
    assert [names(part) for part in other[:3]] == [names(part) for part in data[:3]]


def test_what_systems_leave_in_folders_is_passed_over(tmp_path):
    flat(tmp_path, {"a": 3})
    for name in (".DS_Store", "Thumbs.db", "._001.png", "desktop.ini"):
        (tmp_path / "a" / name).write_bytes(b"x")
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.txt").write_text("beside the classes")
    assert sum(len(part.labels) for part in load_folder(tmp_path)[:3]) == 3


@pytest.mark.parametrize("spoil, message", [
    (lambda r: (r / "train" / "d").mkdir(), r"/d is empty: expected pictures of the class 'd'"),
    (lambda r: picture(r / "train" / "d" / "x.png"), r"val must have the classes of .*lacks 'd'"),
    (lambda r: picture(r / "val" / "d" / "x.png"), r"val must have.*only it has 'd'"),
    (lambda r: (r / "val" / "a").rename(r / "val" / "d"), "it lacks 'a'; only it has 'd'"),
    (lambda r: (r / "val" / "a" / "notes.txt").write_text("hm"), r"nothing else; got 'notes.txt'"),
    (lambda r: (r / "val" / "a" / "more.png").mkdir(), "nothing else; got 'more.png'"),
    (lambda r: picture(r / "train" / "x.png"), "pictures beside its class folders: 'x.png'"),
    (lambda r: (r / "train").rename(r / "training"), "has val/ but no train/"),
])
def test_layouts_that_are_refused(tmp_path, spoil, message):
    parted(tmp_path, train={"a": 1, "b": 1}, val={"a": 1, "b": 1})
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message) as told:
        load_folder(tmp_path)
    assert str(tmp_path) in str(told.value)


def test_no_classes_at_all(tmp_path):
    with pytest.raises(ValueError, match="has no class folders: expected CLASS"):
        load_folder(tmp_path)
    picture(tmp_path / "1.png")
    with pytest.raises(ValueError, match="beside its class folders: '1.png'"):
        load_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is a file"):
        load_folder(tmp_path / "1.png")


def test_too_few_pictures_to_split(tmp_path):
    with pytest.raises(ValueError, match="b has 2 pictures; expected at least 3"):
        load_folder(flat(tmp_path, {"a": 9, "b": 2}))


def test_many_wrong_files_are_counted(tmp_path):
    flat(tmp_path, {"a": 3})
    for i in range(15):
        (tmp_path / "a" / f"{i:02}.txt").write_text("")
    with pytest.raises(ValueError, match="'00.txt', .*'09.txt' and 5 more"):
        load_folder(tmp_path)


# ── reading ──────────────────────────────────────────────────────────────────────────


def folder_of(tmp_path, count=6, **options):
    for i in range(count):
        picture(tmp_path / f"{i}.png", i)
    return ImageFolder([tmp_path / f"{i}.png" for i in range(count)], **options)


def shades(images):
    return images[..., 0, 0, 0].tolist()


def test_any_index_that_numpy_takes(tmp_path):
    images = folder_of(tmp_path, size=3)
    assert images.shape == (6, 3, 3, 3) and images.dtype == np.uint8 and len(images) == 6
    assert shades(images[np.array([4, 0, 4])]) == [4, 0, 4]
    assert shades(images[1:5:2]) == [1, 3] and shades(images[-1]) == 5
    assert shades(images[np.arange(6) > 3]) == [4, 5] and images[:0].shape == (0, 3, 3, 3)
    assert images[[[0, 1], [2, 3]]].shape == (2, 2, 3, 3, 3)
    with pytest.raises(IndexError):
        images[6]


def test_only_what_is_asked_for_is_read(tmp_path):
    images = folder_of(tmp_path, size=3)
    (tmp_path / "3.png").write_bytes(b"broken")
    assert shades(images[[0, 1, 2, 4, 5]]) == [0, 1, 2, 4, 5]
    with pytest.raises(ValueError, match=r"3.png is no picture that can be read"):
        images[2:4]


def test_grey_pictures_among_colours(tmp_path):
    folder_of(tmp_path, 1)
    picture(tmp_path / "grey.jpg", 77, mode="L")
    files = [tmp_path / "0.png", tmp_path / "grey.jpg"]
    assert ImageFolder(files, 4)[1].min() == ImageFolder(files, 4)[1].max() == 77
    assert ImageFolder(files, 4, channels=1)[:].shape == (2, 1, 4, 4)


def test_a_long_thin_picture_is_named(tmp_path):
    picture(tmp_path / "thin.png", size=(5000, 1))
    with pytest.raises(ValueError, match="thin.png: resize_shorter.*too long and thin"):
        ImageFolder([tmp_path / "thin.png"], 256)[0]


def test_threads_read_at_once(tmp_path):
    images = folder_of(tmp_path, 12, size=2)
    with ThreadPoolExecutor(6) as pool:
        read = list(pool.map(lambda i: shades(images[[i, (i + 5) % 12]]), list(range(12)) * 4))
    assert read == [[i, (i + 5) % 12] for i in range(12)] * 4


@pytest.mark.parametrize("options, message", [
    ({"size": 0}, "size must be an integer from 1 to 4096; got 0"), ({"size": 2.5}, "got 2.5"),
    ({"size": True}, "got True"), ({"channels": 2}, "channels must be 1 or 3; got 2")])
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        folder_of(tmp_path, **options)
