"""`scratchnet look WHAT RUN_OR_MODEL` — a picture of what a network looks at, into a file."""
import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scratchnet.archive import replace_file
from scratchnet.layer import Layer
from scratchnet.visualize import architecture
from scratchnet.visualize.target import Target, target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = 200            # of a run's test images, among which a feature's strongest are sought
FEW = 16                # drawn pictures, for a network by name, which may be a large one


def add_command(commands: Any) -> None:
    """Add `look` to the command line."""
    command = commands.add_parser("look", help="a picture of what a network looks at")
    kinds = command.add_subparsers(dest="what", metavar="WHAT", required=True)
    architecture.add_command(kinds)
    for name, figure in FIGURES.items():
        kind = kinds.add_parser(name, help=figure.help)
        several = {"nargs": "+"} if "quantity" in figure.options else {}
        kind.add_argument("target", metavar="RUN" if name == "history" else "RUN_OR_MODEL",
                          **several, help="the folder of a run"
                          + (", or a network by name (untrained)" if name != "history" else ""))
        for option in figure.options.split():
            words, settings = OPTIONS[option]
            kind.add_argument(*words, **settings)
        kind.add_argument("--out", metavar="FILE", default=f"{name}.png")
        kind.set_defaults(run=run_figure, draw=figure.draw)


def run_figure(options: argparse.Namespace) -> int:
    """Write the figure; 0, or 2 for what cannot be looked at."""
    try:
        several = isinstance(options.target, list)
        found = [target(one) for one in options.target] if several else target(options.target)
        figure = options.draw(found, options)
        replace_file(Path(options.out), lambda file: figure.savefig(
            file, dpi=120, format=Path(options.out).suffix.removeprefix(".").lower() or "png"))
    except (ValueError, OSError, ImportError) as error:
        print(f"scratchnet: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


# ── the figures ──────────────────────────────────────────────────────────────────────


def draw_filters(found: Target, options: argparse.Namespace) -> "Figure":
    """The filters of a layer; of a run, dead are those that none of its images stirs."""
    from scratchnet.visualize.features import filter_sheet
    images = found.images(IMAGES)[0] if found.run is not None else None
    return filter_sheet(found.model, options.layer or _convolutions(found)[0], images,
                        note=_said(found))


def draw_maps(found: Target, options: argparse.Namespace) -> "Figure":
    """What a layer makes of an image."""
    from scratchnet.visualize.features import map_sheet
    return map_sheet(found.model, options.layer or _convolutions(found)[0],
                     _some(found, options, 32 if found.run is not None else 1), note=_said(found))


def draw_towers(found: Target, options: argparse.Namespace) -> "Figure":
    """The first layer's filters in two halves, how much of each is colour."""
    from scratchnet.visualize.features import towers_figure
    return towers_figure(found.model, options.layer or _convolutions(found)[0],
                         note=_said(found))


def draw_gradients(found: list[Target], options: argparse.Namespace) -> "Figure":
    """Several networks: what is left of the gradient; one: the sizes in each of its layers."""
    from scratchnet.visualize.gradients import flow_figure, gradient_flow, ridge_figure
    count = 32 if all(one.run is not None for one in found) else 8
    flows = {name: gradient_flow(one.model, *one.images(count, "train"))
             for name, one in _by_name(found).items()}
    note = " · ".join(dict.fromkeys(one.note for one in found if one.note))
    if len(found) > 1:
        return flow_figure(flows, options.quantity, note=note)
    name, flow = next(iter(flows.items()))
    return ridge_figure(flow, options.quantity, title=f"{name}: input below, output on top",
                        note=note)


def draw_history(found: list[Target], options: argparse.Namespace) -> "Figure":
    """What each layer got, over training: of runs that recorded it."""
    from scratchnet.visualize.gradients import history_figure
    if unrecorded := [one.title for one in found if one.run is None]:
        raise ValueError(f"{unrecorded[0]} is a network by name and has no training behind it: "
                         f"name the folder of a run trained with --record 10")
    return history_figure({name: one.run.record() for name, one in _by_name(found).items()},
                          options.quantity)


def draw_field(found: Target, options: argparse.Namespace) -> "Figure":
    """What a unit can see, and what it looks at."""
    from scratchnet.visualize.receptive_field import receptive_field_figure
    return receptive_field_figure(found.model, options.layer or _convolutions(found)[-1],
                                  _some(found, options, FEW if found.run is not None else 2),
                                  note=_said(found))


def draw_deconvnet(found: Target, options: argparse.Namespace) -> "Figure":
    """The strongest patches for some features of a layer, and what they are made of."""
    from scratchnet.visualize.deconvnet import deconvnet_figure
    images = _some(found, options, IMAGES if found.run is not None else FEW // 4)
    layer = options.layer or _convolutions(found)[-1]
    return deconvnet_figure(found.model, images,
                            {layer: options.feature or _strong(found.model, layer, images)},
                            note=_said(found))


def draw_saliency(found: Target, options: argparse.Namespace) -> "Figure":
    """The gradient in the image, by three rules."""
    from scratchnet.visualize.saliency import saliency_figure
    x = _some(found, options, 3)
    if options.layer is not None:
        if options.classes or len(options.feature or ()) != 1:
            raise ValueError("with --layer, saliency is that of one of its features: --feature N, "
                             "and no --class")
        return saliency_figure(found.model, x, options.feature[0], options.layer, note=_said(found))
    if options.feature:
        raise ValueError("--feature is one of a layer's: name it, --layer NAME")
    return saliency_figure(found.model, x, _one_class(found, options, x), note=_said(found))


def draw_occlusion(found: Target, options: argparse.Namespace) -> "Figure":
    """What a grey square hides."""
    from scratchnet.visualize.occlusion import occlusion_figure
    x = _some(found, options, 1)
    c = int(_one_class(found, options, x)[0])
    return occlusion_figure(found.model, x, c, name=_name(found, c), note=_said(found))


def draw_gradcam(found: Target, options: argparse.Namespace) -> "Figure":
    """Where the classes are seen."""
    from scratchnet.visualize.gradcam import gradcam_figure
    x = _some(found, options, 3)
    classes = _classes(found, options) or sorted({int(c) for c in _answers(found, x)})
    return gradcam_figure(found.model, x, classes, options.layer,
                          [_name(found, c) for c in classes], note=_said(found))


def draw_class_images(found: Target, options: argparse.Namespace) -> "Figure":
    """Images that the network takes for a class."""
    from scratchnet.visualize.class_image import class_images_figure
    classes = _classes(found, options) or list(range(min(len(found.classes) or 5, 10)))
    black, white = (found.prepared(np.full((1, found.shape[0], *2 * [found.stored]), n, np.float32))
                    for n in (0, 1))
    settings = {"low": float(black.min()), "high": float(white.max())}
    return class_images_figure(found.model, classes, found.shape,
                               [_name(found, c) for c in classes], note=_said(found), rng=0,
                               **settings)


class Kind(NamedTuple):
    """A figure: who draws it, one line of help, the options it has."""

    draw: Callable[[Any, argparse.Namespace], "Figure"]
    help: str
    options: str


FIGURES = {
    "filters": Kind(draw_filters, "the filters of a layer, dead and duplicate ones marked",
                    "layer"),
    "maps": Kind(draw_maps, "what the features of a layer make of an image", "layer image"),
    "towers": Kind(draw_towers, "the first layer's filters as two towers, colour against grey",
                   "layer"),
    "gradients": Kind(draw_gradients, "the gradient's way down, of one network or of several",
                      "quantity"),
    "history": Kind(draw_history, "what each layer got, over training (of a run with --record)",
                    "quantity"),
    "field": Kind(draw_field, "a receptive field: what a unit can see, and what it looks at",
                  "layer image"),
    "deconvnet": Kind(draw_deconvnet, "the patches that a feature responds to most, and why",
                      "layer image feature"),
    "saliency": Kind(draw_saliency, "which pixels matter: gradient, deconvnet, guided",
                     "layer image feature class"),
    "occlusion": Kind(draw_occlusion, "what a grey square hides", "image class"),
    "gradcam": Kind(draw_gradcam, "where the network sees its classes", "layer image class"),
    "class-images": Kind(draw_class_images, "images that the network takes for a class", "class"),
}
OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "layer": (("--layer",), {"metavar": "NAME", "help": "a layer by its dotted name"}),
    "image": (("--image",), {"metavar": "FILE", "help": "a PNG or JPEG to look at; without it, the "
                             "first test images of the run, or drawn ones"}),
    "feature": (("--feature",), {"metavar": "N", "type": int, "action": "append",
                                 "help": "a feature of the layer; for deconvnet, again for "
                                         "another (default: the three that respond most)"}),
    "class": (("--class",), {"dest": "classes", "metavar": "CLASS", "action": "append",
                             "help": "a class by name or number, again for another where several "
                                     "are shown (default: the network's answers)"}),
    "quantity": (("--of",), {"dest": "quantity", "choices": ("grad", "dy", "y"), "default": "grad",
                             "help": "the sizes of the weights' gradient (grad, the default), of "
                                     "the gradient of the outputs (dy), or of the outputs (y)"}),
}


def _by_name(found: list[Target]) -> dict[str, Target]:
    """Each under its title; runs that have one title, under their folders."""
    titles = [one.title for one in found]
    named = {title if titles.count(title) == 1 or one.run is None else str(one.run.folder): one
             for title, one in zip(titles, found, strict=True)}
    if len(named) < len(found):
        raise ValueError("one of these networks is named twice; each gets a line of its own")
    return named


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


def _one_class(found: Target, options: argparse.Namespace, x: np.ndarray) -> np.ndarray:
    """For each image the class asked for, or else the network's answer, (N,)."""
    classes = _classes(found, options)
    if classes is not None and len(classes) > 1:
        raise ValueError(f"{options.what} shows one class; got --class {len(classes)} times: make "
                         f"a figure for each")
    return _answers(found, x) if classes is None else np.repeat(classes, len(x))


def _name(found: Target, c: int) -> str:
    name = found.classes[c] if c < len(found.classes) else str(c)
    return f"class {name}" if name.isdecimal() else name


def _strong(model: Layer, layer: str, images: np.ndarray, count: int = 3) -> list[int]:
    """The features of a layer that respond most to the first of these images."""
    from scratchnet.visualize.features import activation
    a = activation(model, layer, images[:32])
    return a.max(axis=(0, *range(2, a.ndim))).argsort()[::-1][:count].tolist()


def _convolutions(found: Target) -> list[str]:
    """The names of all convolutions that run in evaluation, from the first to the last."""
    from scratchnet.cost import summary
    from scratchnet.layers import Conv2d
    layers = dict(found.model.named_layers())
    names = [row.name for row in summary(found.model, found.shape).rows
             if row.output_shape is not None and isinstance(layers.get(row.name), Conv2d)]
    if not names:
        raise ValueError(f"{found.title} has no convolution: name a layer, --layer NAME")
    return names


def _said(found: Target) -> str:
    """What stands on the figure: which network it is, and in what state."""
    return f"{found.title}, {found.note}" if found.note else found.title
