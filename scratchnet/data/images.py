"""Images — from a file to an array of bytes, and to a square.

    image = read_image("cat.jpg")           # uint8 (3, H, W), from 0 to 255
    square = centre_square(image, 256)      # uint8 (3, 256, 256)

A picture is a program for a decoder, and a few hundred bytes of it can ask for 60,000 × 60,000
pixels. So the size is read from the header, and refused, before a pixel is decoded. (Pillow alone
warns at 89 million pixels, and refuses at 179.) Every chunk of a PNG carries a checksum, which
Pillow does not look at where the pixels are, and it leaves missing rows black: both are checked
here. A JPEG has no checksums, so a changed byte in it may be another picture, and nobody can tell;
but what ends too early is refused in both.

There is more than one way to store a colour; what comes out is always the same:

    grey, black and white   the one channel, three times (channels=3)
    colour                  Y = 0.299 R + 0.587 G + 0.114 B (channels=1)
    palette                 the colours that it names
    alpha                   what a viewer shows on white paper
    16 bits                 the upper 8 of them
    CMYK                    RGB without colour management; colour profiles are passed over
    EXIF orientation        turned upright; EXIF that cannot be read is passed over

Shorter side to 256, then the central square: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 2.
"""
import os
import struct
import threading
import warnings
import zlib
from typing import Any

import numpy as np

from scratchnet.archive import damage_told

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"      # how their files begin
MOST_PIXELS = 50_000_000
DEEPEST = 8                     # bytes a pixel of the largest file: a PNG, 16 bits, RGBA
CHUNK = 1 << 16
_opening = threading.Lock()     # warnings' filters belong to the whole process


def read_image(path: str | os.PathLike, channels: int = 3,
               most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Return the picture in a PNG or JPEG file as uint8 (channels, H, W), channels 1 or 3.

    Decoding takes at most 20 bytes for each of `most_pixels`.
    Raises ValueError that names the file: not a PNG or JPEG (whatever its suffix says), too
    large, truncated or damaged; FileNotFoundError.
    """
    if channels not in (1, 3):
        raise ValueError(f"read_image: channels must be 1 (grey) or 3 (colour); got {channels!r}")
    path = os.fspath(path)              # a Path would leave its name in the interpreter's table
    if not os.path.isfile(path):
        raise FileNotFoundError(f"read_image expects a file; {path} is "
                                f"{'no file' if os.path.exists(path) else 'not there'}")
    if os.path.getsize(path) > DEEPEST * most_pixels:
        raise ValueError(f"{path} has {os.path.getsize(path):,} bytes, more than a picture of "
                         f"{most_pixels:,} pixels needs: make it smaller")
    with open(path, "rb") as file:
        start = file.read(8)
        if not start.startswith((PNG, JPEG)):
            raise ValueError(f"{path} is no picture that can be read: expected a PNG or a JPEG; "
                             + (f"it begins with {start!r}: convert it" if start
                                else "it is empty"))
        with damage_told(path):
            image, orientation = _open(file)
        width, height = image.size
        if width * height > most_pixels:
            raise ValueError(f"{path} is too large: expected at most {most_pixels:,} pixels; its "
                             f"header says {width:,} × {height:,}: make it smaller")
        with damage_told(path):
            if image.format == "PNG":
                _check_png(file)
                image, _ = _open(file)
            image.load()
            image = _plain(image, "L" if channels == 1 else "RGB")
            turned = image if orientation is None else image.transpose(orientation)
            pixels = np.asarray(turned)
    if pixels.ndim == 2:
        return pixels[None].copy()
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resize_shorter(image: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 (C, H, W), C 1 or 3, so that its shorter side is `size`; keeps proportions.

    Bilinear; where it gets smaller, each new pixel is a weighted mean of all the old ones under
    it (antialiasing). Raises ValueError for another array, a size below 1, and a picture so
    long and thin that the result has more than 50 million pixels.
    """
    _check(image, size, "resize_shorter")
    _, height, width = image.shape
    shorter = min(height, width)
    height, width = (max(size, round(side * size / shorter)) for side in (height, width))
    if height * width > MOST_PIXELS:
        raise ValueError(f"resize_shorter: a picture of {image.shape[2]:,} × {image.shape[1]:,} "
                         f"would become {width:,} × {height:,}: it is too long and thin")
    return resize(image, height, width)


def centre_square(image: np.ndarray, size: int) -> np.ndarray:
    """Return the central square of uint8 (C, H, W), resized: (C, size, size).

    The shorter side becomes `size`, then the middle is cut out of the longer one.
    """
    image = resize_shorter(image, size)
    _, height, width = image.shape
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(image[:, top:top + size, left:left + size])


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 (C, H, W) to (C, height, width), bilinear, antialiased."""
    from PIL import Image
    channels_last = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(channels_last)).resize(
        (width, height), Image.Resampling.BILINEAR))
    return resized.reshape(height, width, -1).transpose(2, 0, 1).copy()


def _open(file: Any) -> tuple[Any, Any]:
    """The picture, not yet decoded, and how to turn it (None: it stands upright).

    One of two decoders, by name: Image.open would choose among fifty.
    """
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    file.seek(0)
    decoder = PngImageFile if file.read(8) == PNG else JpegImageFile
    file.seek(0)
    with _opening, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")      # of EXIF, which may be broken
        image = decoder(file)
        try:
            number = image.getexif().get(0x0112) if "exif" in image.info else None
        except Exception:       # broken EXIF raises any kind of error; the picture may be sound
            number = None
    turn = Image.Transpose
    return image, {2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM,
                   5: turn.TRANSPOSE, 6: turn.ROTATE_270, 7: turn.TRANSVERSE,
                   8: turn.ROTATE_90}.get(number)


def _check_png(file: Any) -> None:
    """Raise ValueError unless every checksum is right and every row of pixels is there."""
    file.seek(len(PNG))
    inflate, header, kind, inflated, expected = zlib.decompressobj(), b"", b"", 0, 0
    while kind != b"IEND":
        left, kind = struct.unpack(">I4s", _exactly(file, 8))
        checksum = zlib.crc32(kind)
        while left:
            piece = _exactly(file, min(left, CHUNK))
            left, checksum = left - len(piece), zlib.crc32(piece, checksum)
            if kind == b"IHDR":
                header += piece
            elif kind == b"IDAT":
                while piece and inflated <= expected:       # more than that is passed over
                    inflated += len(inflate.decompress(piece, CHUNK))
                    piece = inflate.unconsumed_tail
        if struct.unpack(">I", _exactly(file, 4)) != (checksum,):
            raise ValueError(f"its {ascii(kind)[2:-1]} chunk has a wrong checksum")
        if kind == b"IHDR":
            expected = _png_bytes(*struct.unpack(">IIBBBBB", header))
    if inflated < expected or not (inflate.eof or inflated > expected):
        raise ValueError(f"it has {inflated:,} of the {expected:,} bytes of its pixels")


def _png_bytes(width: int, height: int, depth: int, colour: int, _: int, __: int,
               interlaced: int) -> int:
    """How many bytes the pixels of a PNG have: its rows, each after a byte that names its filter.

    Interlaced, it is seven pictures: every 8th pixel, those halfway between, and so on.
    """
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)          # x, y, their steps
    total = 0
    for x, y, step_x, step_y in passes:
        across, down = len(range(x, width, step_x)), len(range(y, height, step_y))
        total += down * (1 + (across * bits + 7) // 8) if across else 0
    return total


def _exactly(file: Any, count: int) -> bytes:
    read = file.read(count)
    if len(read) < count:
        raise ValueError("it ends too early")
    return read


def _plain(image: Any, mode: str) -> Any:
    """`image` in any of Pillow's modes, as "L" or "RGB"."""
    from PIL import Image
    if image.mode.startswith("I"):              # 16 bits, or 32 that hold 16: convert would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    elif mode == "L" and image.mode in ("P", "CMYK"):       # P would lose colours on the way
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _check(image: Any, size: Any, who: str) -> None:
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
            and len(image) in (1, 3) and 0 not in image.shape):
        came = (f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray)
                else type(image).__name__)
        raise ValueError(f"{who} expects a uint8 array (C, H, W) with C 1 or 3; got {came}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{who}: size must be an integer ≥ 1; got {size!r}")
