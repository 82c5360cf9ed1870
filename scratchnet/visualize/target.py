"""Target — which network a command looks at: one by name, as it begins, or one that a run trained.

    target("zfnet_small")           its weights as drawn, and a note that says so
    target("runs/zfnet_small-shapes-quick")         its best weights, its data, its classes
"""
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.layer import Layer

UNTRAINED = "untrained: weights as drawn"


class Target(NamedTuple):
    """A network, the shape of its images, a title, and the run that it is from, if any."""

    model: Layer
    shape: tuple[int, int, int]
    title: str
    note: str = ""                      # "" if it is trained
    run: Any = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; of a network by name, none are known."""
        return () if self.run is None else self.run.classes

    @property
    def stored(self) -> int:
        """The side of the images that `prepared` expects."""
        return self.shape[1] if self.run is None else self.run.stored

    def read(self, path: str) -> np.ndarray:
        """Return a picture as the network takes it, (1, C, H, W).

        Raises ValueError for a file that is no PNG or JPEG; FileNotFoundError.
        """
        from scratchnet.data.images import centre_square, read_image
        image = centre_square(read_image(path, self.shape[0]), self.stored)
        return self.prepared(image[None].astype(np.float32) / 255)

    def images(self, count: int, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Return the first images of a part of the run's data, as the network takes them, and
        their labels. A network by name has no data; it is shown drawn pictures."""
        from scratchnet.data.loader import fetch
        from scratchnet.visualize.drawn import drawn
        if self.run is None:
            return drawn(self.shape, count)[:2]
        images, labels = getattr(self.run.data(), part)
        some = slice(0, count)
        return self.prepared(fetch(images, some)), labels[some]

    def prepared(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, stored, stored) from 0 to 1, as in the run's test."""
        if self.run is None:
            return images
        transform = self.run.recipe.test_transform(self.run.size, self.run.statistics)
        return transform(images, np.random.default_rng(0))


def target(name: str) -> Target:
    """Return the network called `name`, or that of the run in the folder `name`.

    A network's name comes before a folder's: ./alexnet is the folder. Raises ValueError for an
    unknown name, with the nearest, and for a folder that holds no run.
    """
    from scratchnet.models import get_model, input_shape, list_models
    if name in list_models() or not (Path(name).exists() or "/" in name or "\\" in name):
        return Target(get_model(name, rng=0), input_shape(name), name, UNTRAINED)
    from scratchnet.training import Run
    run = Run(name)
    return Target(run.network("cpu"), (run.channels, run.size, run.size),
                  f"{run.settings.model}, trained on {run.settings.data}", run=run)
