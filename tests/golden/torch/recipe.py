"""The recipe of the golden records beside it, which say what PyTorch computes, without PyTorch.

Each NAME.json is what a network as torchvision, timm or Cadene's pretrainedmodels define it (as
built by tests/models/reference.py) computed in float64, written by tools/make_torch_golden.py.
The recipe makes the same weights, input and dy again for our network:

- One ring of random numbers, drawn from NumPy's frozen RandomState; an array reads on from a
  place that its name (ours) determines. So no array depends on the order in which a library
  creates them, and 140 million weights take a second. All are exact in float32.
- Scales that keep the signal alive: He's for weights, γ and running variances around 1, biases, β
  and running means around 0. Nothing is 0 or 1, dropout and stochastic depth are off.
- Two images, small, but every batch normalisation sees 2×2 pixels or more; seven classes.

A network with batch normalisation first runs in training, forwards and backwards; then, like all
others, in evaluation, with the running averages that this left.

What a record holds:

    eval, train   "outputs": logits (in training GoogLeNet's aux1 and aux2, too), in full;
                  "dx": a sketch of the input's gradient
    layers        a line each: sketches of its parameters' gradients in evaluation, of those in
                  training, and of its running averages after training, where there are such

A sketch of arrays is the norm of all of them together, then, by name, one projection each: u·A·v,
with A the array as a matrix, and u and v frozen numbers between ±½ and ±1½. They all differ and
none is near 0, so no entry can change, and no two can change places, unnoticed.
"""
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

CLASSES = 7

#: The side of the image where it is not 64: the Inceptions' unpadded strides need more (and
#: Inception-v4, a long chain without shortcuts, multiplies rounding errors in training unless its
#: last layers see 3×3), and NASNet's last pooling needs 7×7.
SIDES = {"inception_v4": 139, "inception_resnet_v2": 107, "nasnet_a_mobile": 224}

PERIOD = 2 ** 20 - 3            # a prime: the rows of a matrix start at different places
_RING = (2 * np.random.RandomState(2012).random_sample(PERIOD) - 1).astype(np.float32)
_TWICE = np.concatenate([_RING, _RING])
_FACTORS = (_RING + np.copysign(np.float32(0.5), _RING)).astype(np.float64)


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers that belong to this name: float32, evenly spread over −1 … 1."""
    start = zlib.crc32(name.encode()) % PERIOD
    return np.resize(_TWICE[start:start + min(math.prod(shape), PERIOD)], shape)


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The parameter or running average of this name, float32.

    Raises ValueError for a name that ends in none of weight, bias, running_mean, running_var.
    """
    kind = name.rpartition(".")[2]
    numbers = uniform(name, shape)
    if kind == "weight" and len(shape) > 1:
        return numbers * np.float32(math.sqrt(6 / math.prod(shape[1:])))    # variance 2 / fan-in
    if kind in ("weight", "running_var"):
        return 1 + np.float32(0.3) * numbers
    if kind in ("bias", "running_mean"):
        return np.float32(0.3) * numbers
    raise ValueError(f"the recipe knows weight, bias, running_mean and running_var; got {name!r}: "
                     f"say here how to scale it")


def image(name: str) -> np.ndarray:
    """The input of the network of this name, (2, 3, H, W) float32, variance 1."""
    side = SIDES.get(name, 64)
    return np.float32(math.sqrt(3)) * uniform("x", (2, 3, side, side))


def heads(outputs: Any) -> dict[str, Any]:
    """The outputs of a network by name: logits, and aux1 and aux2 if there are such."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(("logits", "aux1", "aux2"), outputs, strict=False))


def has_batch_norm(name: str) -> bool:
    """Does training differ from evaluation?"""
    return "_bn" in name or not name.startswith(("alexnet", "vgg"))


def narrow(name: str, network: Any, linear: Callable[[int, int], Any]) -> None:
    """Give a VGG 64 instead of 4096 hidden units, with this library's Linear.

    The eight share their three fully connected layers, nine tenths of their weights: vgg16 alone
    keeps them.
    """
    if name.startswith("vgg") and name != "vgg16":
        for place, sizes in (("0", (512 * 7 * 7, 64)), ("3", (64, 64)), ("6", (64, CLASSES))):
            setattr(network.classifier, place, linear(*sizes))


def sketch(arrays: dict[str, np.ndarray]) -> list[float]:
    """[norm of all, projection of the first by name, …], float64."""
    projections = []
    for _, array in sorted(arrays.items()):
        matrix = array.reshape(len(array), -1)
        rows, columns = matrix.shape
        projections.append(float(_FACTORS[:rows] @ (matrix @ _FACTORS[-columns:])))
    return [math.hypot(*(float(np.linalg.norm(array)) for array in arrays.values())), *projections]


def sketches(state: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """{layer: sketch of its arrays}, in the order of `state`."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in state.items():
        layer, _, kind = name.rpartition(".")
        layers.setdefault(layer, {})[kind] = array
    return {layer: sketch(arrays) for layer, arrays in layers.items()}


def run(outputs: dict[str, np.ndarray], dx: np.ndarray, gradients: dict[str, np.ndarray]) -> dict:
    """What is kept of one forwards and backwards; `gradients` by our names."""
    return {"outputs": {head: y.tolist() for head, y in outputs.items()}, "dx": sketch({"x": dx}),
            "gradients": sketches(gradients)}


def record(evaluation: dict, training: dict | None, averages: dict[str, np.ndarray]) -> dict:
    """The golden record of two runs and of the running averages that training left."""
    runs = {"eval": evaluation, **({"train": training} if training else {})}
    columns = [*(run.pop("gradients") for run in runs.values()), sketches(averages)]
    return {**runs, "layers": {layer: [column[layer] for column in columns if layer in column]
                               for layer in columns[0]}}
