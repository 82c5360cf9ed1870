"""What is read from a picture's file is what a person sees in it, or one error that names it."""
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import centre_square, read_image, resize_shorter
from scratchnet.data.images import _png_bytes

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)           # H, W, C
GREYS = COLOURS[:, :, 0]


def saved(folder, image, name="picture.png", **options):
    path = folder / name
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, *before):
    """A PNG by hand: `rows` as they are stored, each with its filter byte 0."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def refused(path, message, **options):
    with pytest.raises(ValueError, match=message) as told:
        read_image(path, **options)
    assert str(path) in str(told.value) and type(told.value) is ValueError
    return str(told.value)


# ── modes ────────────────────────────────────────────────────────────────────────────


def test_colours_come_channels_first(tmp_path):
    image = read_image(saved(tmp_path, COLOURS))
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    assert np.array_equal(image, COLOURS.transpose(2, 0, 1))


def test_grey_is_the_same_in_all_three_channels(tmp_path):
    path = saved(tmp_path, GREYS)
    assert np.array_equal(read_image(path), np.stack([GREYS] * 3))
    assert np.array_equal(read_image(path, channels=1), GREYS[None])


def test_grey_of_a_colour_is_its_luminance(tmp_path):
    grey = read_image(saved(tmp_path, COLOURS), channels=1)
    assert grey.shape == (1, 5, 7)
    assert abs(grey[0] - COLOURS @ [0.299, 0.587, 0.114]).max() <= 1


def test_black_and_white_is_0_and_255(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREYS > 127))
    assert np.array_equal(read_image(path, channels=1)[0], np.where(GREYS > 127, 255, 0))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_palette_gives_the_colours_it_names(tmp_path, channels):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putdata([1, 0])
    read = read_image(saved(tmp_path, image), channels)
    expected = np.array([[200, 10], [100, 20], [0, 30]]) if channels == 3 else [[118, 18]]
    assert np.array_equal(read[:, 0], expected)


def test_alpha_is_seen_on_white_paper(tmp_path):
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [10, 20, 30, 51]]], np.uint8)
    read = read_image(saved(tmp_path, pixels))
    assert np.array_equal(read[:, 0].T, [[10, 20, 30], [255, 255, 255], [206, 208, 210]])
    grey = read_image(saved(tmp_path, np.array([[[100, 0], [100, 255]]], np.uint8)), channels=1)
    assert grey.tolist() == [[[255, 100]]]


def test_a_transparent_palette_colour_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putdata([1, 0])
    for transparency in (1, b"\xff\x00"):
        read = read_image(saved(tmp_path, image, transparency=transparency))
        assert np.array_equal(read[:, 0].T, [[255, 255, 255], [10, 20, 30]])


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_give_their_upper_8(tmp_path, channels):
    values = np.array([[0, 255, 256, 40000, 65535]], np.uint16)
    path = saved(tmp_path, values)
    assert read_image(path, channels)[0].tolist() == [[0, 0, 1, 156, 255]]
    path.write_bytes(png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 300, 65535, 256, 511, 512)))
    assert read_image(path)[:, 0].T.tolist() == [[0, 1, 255], [1, 1, 2]]


def test_cmyk_becomes_rgb(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (255, 0, 0, 0))              # cyan
    read = read_image(saved(tmp_path, cmyk, "c.jpg", quality=100))
    assert abs(read[:, 8, 8].astype(int) - [0, 255, 255]).max() < 4


@pytest.mark.parametrize("number, turned", [
    (1, lambda a: a), (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]),
    (4, lambda a: a[::-1]), (5, lambda a: a.swapaxes(0, 1)), (6, lambda a: np.rot90(a, -1)),
    (7, lambda a: np.rot90(a, 2).swapaxes(0, 1)), (8, lambda a: np.rot90(a)), (99, lambda a: a)])
def test_exif_orientation_is_turned_upright(tmp_path, number, turned):
    exif = Image.Exif()
    exif[0x0112] = number
    read = read_image(saved(tmp_path, COLOURS, exif=exif))
    assert np.array_equal(read, turned(COLOURS).transpose(2, 0, 1))


def test_exif_that_cannot_be_read_is_passed_over_in_silence(tmp_path):
    path = saved(tmp_path, np.full((16, 16, 3), 90, np.uint8), "e.jpg",
                 exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert abs(read_image(path).astype(int) - 90).max() < 2


def test_the_suffix_does_not_matter(tmp_path):
    path = saved(tmp_path, COLOURS, "really_a_png.jpg", format="PNG")
    assert np.array_equal(read_image(str(path)), COLOURS.transpose(2, 0, 1))


# ── what is refused ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 1, 0, bytes(1000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(path, f"expected at most 50,000,000 pixels; its header says {side:,} × {side:,}")


def test_the_limit_is_one_of_pixels(tmp_path):
    path = saved(tmp_path, COLOURS)
    assert read_image(path, most_pixels=35).shape == (3, 5, 7)
    refused(path, "expected at most 34 pixels; its header says 7 × 5", most_pixels=34)
    path.write_bytes(path.read_bytes() + bytes(400))
    refused(path, "more than a picture of 35 pixels needs", most_pixels=35)


@pytest.mark.parametrize("name", ["p.png", "p.jpg"])
def test_a_truncated_picture_is_refused_wherever_it_ends(tmp_path, name):
    image = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = saved(tmp_path, image, name).read_bytes()
    path = tmp_path / f"cut_{name}"
    for length in range(0, len(whole) - 2, 13):         # (the last two bytes of a JPEG only end it)
        path.write_bytes(whole[:length])
        refused(path, "truncated or damaged|it is empty|no picture")


def test_a_changed_byte_of_a_png_is_found_by_its_checksum(tmp_path):
    path = saved(tmp_path, COLOURS)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"IDAT") + 20
    whole[at] ^= 1
    path.write_bytes(whole)
    refused(path, "truncated or damaged")


def test_too_few_rows_with_a_right_checksum(tmp_path):
    path = tmp_path / "short.png"
    path.write_bytes(png(100, 100, 8, 0, bytes(101 * 99)))
    refused(path, "it has 9,999 of the 10,100 bytes of its pixels")
    path.write_bytes(png(100, 100, 8, 0, bytes(101 * 100)))
    assert read_image(path).shape == (3, 100, 100)


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 3), (17, 16)])
def test_a_whole_png_of_any_kind_has_all_its_bytes(mode, interlaced, size):
    """What zlib finds in a file, against the count from its header."""
    plain = io.BytesIO()
    Image.new(mode, size).save(plain, "PNG")
    header = struct.unpack(">IIBBBBB", plain.getvalue()[16:29])
    start = plain.getvalue().index(b"IDAT") + 4
    rows = zlib.decompressobj().decompress(plain.getvalue()[start:])
    if not interlaced:
        assert _png_bytes(*header) == len(rows)
        return
    width, height = size            # by the letter of the specification: an 8×8 tile of passes
    tile = np.array([[1, 6, 4, 6, 2, 6, 4, 6], [7] * 8, [5, 6] * 4, [7] * 8,
                     [3, 6, 4, 6, 3, 6, 4, 6], [7] * 8, [5, 6] * 4, [7] * 8])
    grid = np.tile(tile, (3, 3))[:height, :width]
    bits = header[2] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[header[3]]
    counts = [((grid == p).any(axis=1).sum(), (grid == p).any(axis=0).sum()) for p in range(1, 8)]
    assert _png_bytes(*header[:6], 1) == sum(
        down * (1 + -(-across * bits // 8)) for down, across in counts if across)


@pytest.mark.parametrize("contents, message", [
    (b"", "expected a PNG or a JPEG; it is empty"),
    (b"GIF89a" + bytes(50), "expected a PNG or a JPEG; it begins with b'GIF89a"),
    (b"\x89PNG\r\n\x1a\n", "truncated or damaged"),
    (b"\xff\xd8\xff", "truncated or damaged"),
])
def test_what_is_no_picture(tmp_path, contents, message):
    path = tmp_path / "x.png"
    path.write_bytes(contents)
    refused(path, message)


def test_wrong_calls(tmp_path):
    with pytest.raises(ValueError, match="channels must be 1 .grey. or 3 .colour.; got 4"):
        read_image(saved(tmp_path, COLOURS), channels=4)
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(FileNotFoundError, match="is no file"):
        read_image(tmp_path)


def test_many_threads_read_at_once(tmp_path):
    paths = [saved(tmp_path, np.full((30, 30), i, np.uint8), f"{i}.png") for i in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(read_image, paths * 5))
        assert warnings.filters == before
    assert [int(image.max()) for image in read] == list(range(20)) * 5


# ── resizing ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape, size, expected", [
    ((3, 40, 60), 20, (3, 20, 30)), ((1, 60, 40), 20, (1, 30, 20)), ((3, 7, 5), 10, (3, 14, 10)),
    ((3, 33, 32), 32, (3, 33, 32)), ((1, 1, 9), 1, (1, 1, 9))])
def test_the_shorter_side_gets_the_size(shape, size, expected):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    resized = resize_shorter(image, size)
    assert resized.shape == expected and resized.dtype == np.uint8 and resized.flags.c_contiguous
    if shape == expected:
        assert np.array_equal(resized, image)
    assert centre_square(image, size).shape == (shape[0], size, size)


def test_halving_averages_what_lies_under_each_pixel():
    """Bilinear with antialiasing: at half the size the weights are 1, 3, 3, 1 (eighths)."""
    image = RNG.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    w = np.zeros((8, 16))
    for i in range(8):
        for k, weight in zip(range(2 * i - 1, 2 * i + 3), (1, 3, 3, 1), strict=True):
            if 0 <= k < 16:
                w[i, k] = weight
    w /= w.sum(axis=1, keepdims=True)
    assert abs(resize_shorter(image, 8) - w @ image @ w.T).max() <= 1


def test_the_square_is_the_middle():
    image = np.repeat(np.arange(60, dtype=np.uint8), 40).reshape(1, 60, 40)     # row i holds i
    square = centre_square(image, 40)
    assert square[0, :, 0].tolist() == list(range(10, 50))
    assert np.array_equal(centre_square(image.swapaxes(1, 2).copy(), 40), square.swapaxes(1, 2))


def test_long_and_thin_is_no_way_to_fill_the_memory():
    image = np.zeros((1, 1, 1_000_000), np.uint8)
    with pytest.raises(ValueError, match="1,000,000 × 1 would become 256,000,000 × 256"):
        resize_shorter(image, 256)


@pytest.mark.parametrize("image, size, message", [
    (np.zeros((3, 4, 4)), 2, r"expects a uint8 array.*got float64 \(3, 4, 4\)"),
    (np.zeros((4, 4), np.uint8), 2, r"got uint8 \(4, 4\)"),
    (np.zeros((4, 4, 3), np.uint8), 2, r"got uint8 \(4, 4, 3\)"),
    (np.zeros((3, 0, 4), np.uint8), 2, r"got uint8 \(3, 0, 4\)"),
    ([[1]], 2, "got list"), (np.zeros((3, 4, 4), np.uint8), 0, "size must be an integer ≥ 1"),
    (np.zeros((3, 4, 4), np.uint8), 2.0, "size must be an integer ≥ 1; got 2.0")])
def test_bad_input(image, size, message):
    with pytest.raises(ValueError, match=message):
        centre_square(image, size)


def test_a_jpeg_is_what_pillow_makes_of_it(tmp_path):
    path = saved(tmp_path, RNG.integers(0, 256, (30, 20, 3), dtype=np.uint8), "p.jpg")
    theirs = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
    assert np.array_equal(read_image(path), theirs.transpose(2, 0, 1))
