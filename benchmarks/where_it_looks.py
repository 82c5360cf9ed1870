"""Do the pictures fall on the object? A share of their energy inside its mask, measured.

    python benchmarks/where_it_looks.py             some minutes of one processor

zfnet_small learns to name drawn shapes, of which it is known pixel by pixel where they are. Then
each way of looking into a network says, for new pictures, where it looks for the true class:

    gradient, deconvnet, guided     saliency of the class's logit; energy: Σ dx² over the colours
    occlusion                       what covering a pixel takes from the probability, where it takes
    Grad-CAM                        the map of the last maps of more than one pixel
    deconvnet of relu2, relu5       the reconstruction from the strongest activation of the layer's
                                    strongest feature in the picture; energy as above

The share of a picture is its energy inside the object's mask by all of its energy; the table has
the mean over the pictures. Energy spread evenly would have the share of the area, which is
printed, too. A network that has learnt nothing has more than that, presumably for the contrast
of an outline, which any filter answers to; so three random ones are asked the same. (Where a map
is zero everywhere it has no share; how often that is, is counted.)

Writes benchmarks/results/where_it_looks.json, and with --figures the pictures of docs/seeing.md.
"""
import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from scratchnet import data, models, optim, training, visualize
from scratchnet.layer import Layer
from scratchnet.visualize import find
from scratchnet.visualize.deconvnet import reconstruct
from scratchnet.visualize.gradcam import gradcam, resize
from scratchnet.visualize.occlusion import occlusion
from scratchnet.visualize.saliency import RULES, saliency

RESULTS = Path(__file__).parent / "results" / "where_it_looks.json"
DIFFICULTY = 0.2
SEEDS = (1, 2, 3)               # of the random networks; the trained one began with 0


def trained(images: int, epochs: int) -> tuple[Layer, np.float32, float]:
    """The network, the mean brightness that was taken from its images, and its validation error."""
    shapes = data.load_shapes(32, images, 300, 1, DIFFICULTY, seed=1)
    middle = shapes.train.images.mean()
    net = models.zfnet_small(in_channels=3, rng=0)
    history = training.fit(
        net, (shapes.train.images - middle, shapes.train.labels),
        (shapes.validation.images - middle, shapes.validation.labels),
        optim.SGD(net.parameters(), 0.02, 0.9, 5e-4), epochs, 64,
        training.WarmUp(training.Cosine(epochs), epochs=1), rng=0, clip=1.0)
    return net, middle, history[-1].validation_error


def energies(net: Layer, x: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, energy of each pixel of each picture (N, H, W)) for every way of looking."""
    for rule in RULES:
        yield rule, np.concatenate([(saliency(net, some, t, rule)**2).sum(axis=1)
                                    for some, t in batches(x, labels)])
    drops = [occlusion(net, x[n:n + 1], int(t), size=8, stride=4).drop()
             for n, t in enumerate(labels)]
    yield "occlusion", np.maximum(np.stack(drops), 0)
    yield "Grad-CAM", np.concatenate([resize(gradcam(net, some, t), x.shape[2:])
                                      for some, t in batches(x, labels)])
    for layer in ("relu2", "relu5"):
        shown = []
        for some, _ in batches(x, labels):
            with find.undisturbed(net):
                a = find.output_of(net, layer, some)
            features = a.max(axis=(2, 3)).argmax(axis=1)
            shown.append((reconstruct(net, some, layer, features)**2).sum(axis=1))
        yield f"deconvnet of {layer}", np.concatenate(shown)


def batches(x: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((x[n:n + 50], labels[n:n + 50]) for n in range(0, len(x), 50))


def shares(net: Layer, x: np.ndarray, labels: np.ndarray, masks: np.ndarray) -> dict[str, dict]:
    """For every way of looking the mean share, its standard error, and the pictures without one."""
    table = {}
    for name, energy in energies(net, x, labels):
        total = energy.sum(axis=(1, 2))
        share = (energy * masks).sum(axis=(1, 2))[total > 0] / total[total > 0]
        table[name] = {"share": float(share.mean()) if len(share) else None,
                       "standard_error": float(share.std() / max(1, len(share)) ** 0.5),
                       "without": int((total <= 0).sum())}
    return table


def draw(net: Layer, x: np.ndarray, labels: np.ndarray, folder: Path) -> None:
    """The pictures themselves, of the first of these images x (N, 3, H, W), into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    some = [int(n) for n in np.flatnonzero(net.eval()(x).argmax(axis=1) == labels)[:12]]
    kinds = sorted({int(label) for label in labels[some[:3]]})
    # Where the network is sure of itself a square takes next to nothing: one that it can hurt.
    hurt = max(some, key=lambda n: occlusion(net, x[n:n + 1], int(labels[n])).drop().max())
    for name, figure in {
            "deconvnet": visualize.deconvnet_figure(
                net, x, {f"relu{n}": strong(net, f"relu{n}", x) for n in (2, 3, 5)}),
            "saliency": visualize.saliency_figure(net, x[some[:2]], labels[some[:2]]),
            "occlusion": visualize.occlusion_figure(net, x[hurt:hurt + 1], int(labels[hurt]),
                                                    name=data.SHAPES[labels[hurt]]),
            "gradcam": visualize.gradcam_figure(net, x[some[:3]], kinds,
                                                names=[data.SHAPES[c] for c in kinds])}.items():
        figure.savefig(folder / f"{name}.png", dpi=90)


def strong(net: Layer, layer: str, x: np.ndarray) -> list[int]:
    """The two features of a layer that respond most, over all images and places."""
    with find.undisturbed(net):
        return [int(f) for f in find.output_of(net, layer, x).max(axis=(0, 2, 3)).argsort()[:-3:-1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=3000, help="to learn from")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=100, help="to look at")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="pictures, too")
    options = parser.parse_args()

    with threadpool_limits(1):
        began = time.process_time()
        net, middle, error = trained(options.images, options.epochs)
        seconds = time.process_time() - began
        images, labels, masks = data.draw_shapes(options.pictures, 32, DIFFICULTY,
                                                 np.random.default_rng(99))
        x = images - middle
        found = shares(net, x, labels, masks)
        if options.figures is not None:
            draw(net, x, labels, options.figures)
        chance = [shares(models.zfnet_small(in_channels=3, rng=seed), x, labels, masks)
                  for seed in SEEDS]
    right = float((net.eval()(x).argmax(axis=1) == labels).mean())
    area = float(masks.mean())
    print(f"\nvalidation error {error:.1%} after {seconds:.0f} s; {options.pictures} new pictures, "
          f"{right:.0%} named rightly; the object is {area:.1%} of their area\n")
    print(f"{'share of energy inside the object':34} {'trained':>14}   random networks")
    for name, one in found.items():
        others = "  ".join(_percent(random[name]["share"]) for random in chance)
        print(f"{name:34} {_percent(one['share'])} ± {one['standard_error']:5.1%}   {others}")
    RESULTS.write_text(json.dumps({
        "machine": f"{platform.machine()}, one thread, NumPy {np.__version__}",
        "images": options.images, "epochs": options.epochs, "difficulty": DIFFICULTY,
        "seconds_of_training": round(seconds), "validation_error": error,
        "pictures": options.pictures, "named_rightly": right, "area": area,
        "trained": found, "random": dict(zip(map(str, SEEDS), chance, strict=True))},
        indent=1) + "\n", encoding="utf-8")


def _percent(share: float | None) -> str:
    return "   —  " if share is None else f"{share:6.1%}"


if __name__ == "__main__":
    main()
