"""`scratchnet look WHAT RUN_OR_MODEL` — a picture of what a network looks at, into a file."""
import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.visualize import architecture
from scratchnet.visualize.target import Target, target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = 200            # of the run's test images, among which a feature's strongest are sought


def add_command(commands: Any) -> None:
    """Add `look` to the command line."""
    command = commands.add_parser("look", help="a picture of what a network looks at")
    kinds = command.add_subparsers(dest="what", metavar="WHAT", required=True)
    architecture.add_command(kinds)
    for name, (draw, help) in FIGURES.items():
        kind = kinds.add_parser(name, help=help)
        kind.add_argument("target", metavar="RUN_OR_MODEL",
                          help="the folder of a run, or a network by name (untrained)")
        if name != "class-images":
            kind.add_argument("--image", metavar="FILE", help="a PNG or JPEG to look at; without "
                              "it, the first test images of the run")
        if name in ("deconvnet", "saliency", "gradcam"):
            kind.add_argument("--layer", metavar="NAME", help="a layer by its dotted name")
        if name == "deconvnet":
            kind.add_argument("--feature", metavar="N", type=int, action="append",
                              help="a feature of the layer; again for another (default: 0, 1, 2)")
        if name != "deconvnet":
            kind.add_argument("--class", dest="classes", metavar="CLASS", action="append",
                              help="a class by name or number; again for another (default: the "
                                   "network's answers)")
        kind.add_argument("--out", metavar="FILE", default=f"{name}.png")
        kind.set_defaults(run=run_figure, draw=draw)


def run_figure(options: argparse.Namespace) -> int:
    """Write the figure; 0, or 2 for what cannot be looked at."""
    try:
        figure = options.draw(target(options.target), options)
        figure.savefig(options.out, dpi=120)
    except (ValueError, OSError, ImportError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


# ── the figures ──────────────────────────────────────────────────────────────────────


def draw_deconvnet(found: Target, options: argparse.Namespace) -> "Figure":
    """The strongest patches for some features of a layer, and what they are made of."""
    from scratchnet.visualize.deconvnet import deconvnet_figure
    images = found.read(options.image) if options.image else found.images(IMAGES)[0]
    layer = options.layer or _last_of_convolutions(found)
    return deconvnet_figure(found.model, images, {layer: options.feature or [0, 1, 2]},
                            note=found.note)


def draw_saliency(found: Target, options: argparse.Namespace) -> "Figure":
    """The gradient in the image, by three rules."""
    from scratchnet.visualize.saliency import saliency_figure
    x = _some(found, options, 3)
    classes = _classes(found, options)
    return saliency_figure(found.model, x, _answers(found, x) if classes is None else classes[0],
                           options.layer, note=found.note)


def draw_occlusion(found: Target, options: argparse.Namespace) -> "Figure":
    """What a grey square hides."""
    from scratchnet.visualize.occlusion import occlusion_figure
    x = _some(found, options, 1)
    c = int((_classes(found, options) or _answers(found, x))[0])
    return occlusion_figure(found.model, x, c, name=_name(found, c), note=found.note)


def draw_gradcam(found: Target, options: argparse.Namespace) -> "Figure":
    """Where the classes are seen."""
    from scratchnet.visualize.gradcam import gradcam_figure
    x = _some(found, options, 3)
    classes = _classes(found, options) or sorted({int(c) for c in _answers(found, x)})
    return gradcam_figure(found.model, x, classes, options.layer,
                          [_name(found, c) for c in classes], note=found.note)


def draw_class_images(found: Target, options: argparse.Namespace) -> "Figure":
    """Images that the network takes for a class."""
    from scratchnet.visualize.class_image import class_images_figure
    classes = _classes(found, options) or list(range(min(len(found.classes) or 5, 10)))
    settings = {"low": -2.0, "high": 2.0} if found.run is not None else {}    # prepared images
    return class_images_figure(found.model, classes, found.shape,
                               [_name(found, c) for c in classes], note=found.note, rng=0,
                               **settings)


FIGURES: dict[str, tuple[Callable[[Target, argparse.Namespace], "Figure"], str]] = {
    "deconvnet": (draw_deconvnet, "the patches that a feature responds to most, and why"),
    "saliency": (draw_saliency, "which pixels matter: gradient, deconvnet, guided"),
    "occlusion": (draw_occlusion, "what a grey square hides"),
    "gradcam": (draw_gradcam, "where the network sees its classes"),
    "class-images": (draw_class_images, "images that the network takes for a class"),
}


def _some(found: Target, options: argparse.Namespace, count: int) -> np.ndarray:
    return found.read(options.image) if options.image else found.images(count)[0]


def _answers(found: Target, x: np.ndarray) -> np.ndarray:
    from scratchnet.training import predict
    return predict(found.model, x).argmax(axis=1)


def _classes(found: Target, options: argparse.Namespace) -> list[int] | None:
    """The classes asked for, by name or number; None if none was."""
    if not options.classes:
        return None
    chosen = []
    for name in options.classes:
        if name in found.classes:
            chosen.append(found.classes.index(name))
        elif name.isdecimal():
            chosen.append(int(name))
        else:
            raise ValueError(f"there is no class {name!r}: "
                             + (f"the run's are {', '.join(found.classes)}" if found.classes else
                                "a network by name has numbers for classes, from 0"))
    return chosen


def _name(found: Target, c: int) -> str:
    return found.classes[c] if c < len(found.classes) else f"class {c}"


def _last_of_convolutions(found: Target) -> str:
    from scratchnet.layers import Conv2d
    names = [name for name, layer in found.model.named_layers() if isinstance(layer, Conv2d)]
    if not names:
        raise ValueError(f"{found.title} has no convolution: name a layer, --layer NAME")
    return names[-1]
