"""`scratchnet augment [IMAGE]` — see what each transform does to a picture."""
import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.data import augment, crops
from scratchnet.data.shapes import draw_shapes

COLUMNS = 10            # as many as ten crops
SIZES = 16, 512


def add_command(commands: Any) -> None:
    """Add `augment` to the command line."""
    command = commands.add_parser("augment", help="see what each transform does to a picture")
    command.add_argument("image", nargs="?", metavar="IMAGE",
                         help="a PNG or JPEG; without it, a picture of the data set shapes")
    command.add_argument("--out", default="augment.png", metavar="FILE",
                         help="where to write the sheet (default: augment.png)")
    command.add_argument("--size", type=int, default=224,
                         help="side of the crops (default: 224); the stored picture is 8/7 of it")
    command.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the sheet; 0, or 2 where the picture cannot be read or the sheet not written."""
    try:
        if options.image and Path(options.out).resolve() == Path(options.image).resolve():
            raise ValueError(f"--out {options.out} is the picture itself: name another file")
        picture, colours = _pictures(options.image, options.size, options.seed)
        rows = sheet_rows(picture, colours, options.size, options.seed)
        from scratchnet.visualize.rows import image_rows
        try:
            image_rows(rows).savefig(options.out, dpi=110)
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot write {options.out}: {error}") from error
    except (ValueError, OSError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(rows) - 1} transforms of {options.image or 'a drawn picture'}")
    return 0


def sheet_rows(picture: np.ndarray, colours: np.ndarray, size: int,
               seed: int = 0) -> list[tuple[str, np.ndarray]]:
    """Return (title, images) for each row: the picture, then ten draws of each transform.

    picture (3, H, W) float32 from 0 to 1, its sides larger than `size`; colours (N, 3, H, W), of
    which PCAColour learns. Each transform begins with the same seed.
    """
    stored = picture.shape[-1]
    transforms = [
        crops.TenCrop(size),
        augment.RandomCrop(size),
        augment.RandomResizedCrop(size),
        augment.ScaleJitter(size, stored, 2 * stored),
        augment.RandomShift(stored // 8),
        augment.RandomReflection(),
        augment.Cutout(stored // 3),
        augment.PCAColour.of(colours),
        augment.ColourJitter(),
    ]
    rows = [(f"the picture, {stored}×{stored}, and {crops.CentreCrop(size)}",
             np.stack([picture, _framed(crops.CentreCrop(size)(picture[None])[0], stored)]))]
    for transform in transforms:
        batch = picture[None].repeat(1 if isinstance(transform, crops.TenCrop) else COLUMNS, axis=0)
        learnt = isinstance(transform, augment.PCAColour)       # its numbers are long to read
        rows.append(("PCAColour.of(the training images)" if learnt else repr(transform),
                     transform(batch, np.random.default_rng(seed))))
    return rows


def _pictures(path: str | None, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(the picture, float32 (3, stored, stored); images whose colours are typical of it)."""
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"--size must be from {SIZES[0]} to {SIZES[1]}; got {size}")
    if seed < 0:
        raise ValueError(f"--seed must be 0 or more; got {seed}")
    stored = size * 8 // 7                              # 256 for 224
    if path is None:
        images = draw_shapes(32, stored, 0.5, np.random.default_rng(seed))[0]
        return images[0], images
    from scratchnet.data.images import centre_square, read_image
    picture = centre_square(read_image(Path(path), 3), stored).astype(np.float32) / 255
    return picture, picture[None]


def _framed(image: np.ndarray, side: int) -> np.ndarray:
    """The image in the middle of a white square of this side."""
    framed = np.ones((len(image), side, side), dtype=image.dtype)
    border = (side - image.shape[-1]) // 2
    framed[:, border:border + image.shape[1], border:border + image.shape[2]] = image
    return framed
